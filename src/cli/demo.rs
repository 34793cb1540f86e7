//! `holistics demo`: a warehouse, reports, a user and a key; then the main job before the user's eyes.

use std::fs;
use std::fs::File;
use std::io::IsTerminal as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;

use crate::access::KeyTerms;
use crate::access::Role;
use crate::api_key::HashedKey;
use crate::api_key::PlainKey;
use crate::cli::reports;
use crate::cli::serve::Server;
use crate::cli::serve::cannot_listen;
use crate::cli::serve::start_log;
use crate::cli::serve::stop_signal;
use crate::cli::serve::with_runtime;
use crate::cli::tour;
use crate::cli::tpch;
use crate::config::Config;
use crate::error::Error;
use crate::error::Result;
use crate::objects::keep_new_files_private;
use crate::objects::make_private_file;
use crate::objects::make_private_folder;
use crate::store::Store;

const EMAIL: &str = "demo@example.com";

/// The reports of `reports/`, so that the program needs nothing beside it.
const REPORTS: [(&str, &str); 7] = [
    (
        "reports/1-pricing-summary.sql",
        include_str!("../../reports/1-pricing-summary.sql"),
    ),
    (
        "reports/2-revenue-by-nation.sql",
        include_str!("../../reports/2-revenue-by-nation.sql"),
    ),
    (
        "reports/3-orders-of-a-segment.sql",
        include_str!("../../reports/3-orders-of-a-segment.sql"),
    ),
    ("reports/4-parts.sql", include_str!("../../reports/4-parts.sql")),
    (
        "reports/5-late-shipments.sql",
        include_str!("../../reports/5-late-shipments.sql"),
    ),
    (
        "reports/6-customers.sql",
        include_str!("../../reports/6-customers.sql"),
    ),
    (
        "reports/7-every-line-item.sql",
        include_str!("../../reports/7-every-line-item.sql"),
    ),
];

#[derive(Args)]
pub(super) struct DemoArgs {
    /// Folder of everything the demo keeps; a second start reuses it
    #[arg(long, default_value = "demo-data", value_name = "DIR")]
    data_dir: PathBuf,
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// TPC-H scale factor: 1 is 6 million line items
    #[arg(long, default_value_t = 0.1)]
    scale: f64,
    /// Stop after showing the main job
    #[arg(long)]
    once: bool,
}

pub(super) fn run(args: DemoArgs) -> Result<()> {
    if !(args.scale >= 0.001 && args.scale <= 100.0) {
        return Err(Error::invalid(format!(
            "--scale must be from 0.001 to 100, got {}",
            args.scale
        )));
    }
    let config = Config {
        listen: SocketAddr::from(([127, 0, 0, 1], args.port)),
        log: "warn".to_owned(),
        ..Config::in_folder(&args.data_dir)?
    };
    start_log(&config)?;
    // Found out before anything is made for nothing.
    TcpListener::bind(config.listen).map_err(|error| cannot_listen(config.listen, &error))?;
    keep_new_files_private();
    make_private_folder(&args.data_dir)?;
    make_warehouse(&config.warehouse_file(), args.scale)?;
    with_runtime(async {
        let reports = reports::parse_files(&REPORTS)?;
        let server = Server::start(config, &reports).await?;
        for report in &reports {
            say!("report {}: {}", report.id, report.title);
        }
        let key = demo_key(&server.worker.store, &args.data_dir.join("demo-key")).await?;
        let host = format!("http://{}", server.address);
        say!("serving on {host} as {EMAIL}");
        let toured = tokio::task::spawn_blocking({
            let data_dir = args.data_dir.clone();
            move || tour::run(&host, &key, &data_dir)
        });
        toured.await.map_err(Error::internal)??;
        if !args.once {
            say!("\nserving on http://{} until Ctrl-C", server.address);
            stop_signal().await?;
        }
        server.stop().await;
        Ok(())
    })
}

fn make_warehouse(path: &Path, scale: f64) -> Result<()> {
    let scale_file = path.with_extension("scale");
    if path.exists() {
        let found = fs::read_to_string(&scale_file).unwrap_or_default();
        say!(
            "using the warehouse in {} (TPC-H scale {})",
            path.display(),
            found.trim()
        );
        if found.trim() != scale.to_string() {
            say!("it stays as it is; for scale {scale}, name another folder with --data-dir");
        }
        return Ok(());
    }
    say!("making a warehouse in {} (TPC-H scale {scale})", path.display());
    fs::write(&scale_file, scale.to_string())?;
    tpch::make_warehouse(path, scale, std::io::stderr().is_terminal())
}

/// The key in the file if it still opens the server, else a new one.
async fn demo_key(store: &Store, path: &Path) -> Result<String> {
    if let Ok(key) = fs::read_to_string(path) {
        let key = key.trim().to_owned();
        if store.holder_of_key(&HashedKey::of(&key)).await?.is_some() {
            return Ok(key);
        }
    }
    let user = match store.user_by_email(EMAIL).await? {
        Some(user) => user,
        None => store.add_user(EMAIL, "Demo", Role::Administrator, true).await?,
    };
    // The demo's warehouse is there to be tried.
    store.set_can_import(EMAIL, true).await?;
    let key = PlainKey::generate()?;
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    make_private_file(path)?;
    writeln!(file, "{}", key.reveal())?;
    store
        .add_key(user.id, "demo", &key.hash(), &KeyTerms::default())
        .await?;
    Ok(key.reveal().to_owned())
}
