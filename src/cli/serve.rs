//! `holistics serve`: the server, until it is told to stop.

use std::io;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::error;
use tracing::info;
use tracing::warn;
use tracing_subscriber::EnvFilter;

use crate::cli::reports;
use crate::config::Config;
use crate::config::LogFormat;
use crate::config::Settings;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::http;
use crate::objects::keep_new_files_private;
use crate::report::Report;
use crate::worker::Worker;

/// How long requests have to end when the server stops, and jobs to let go.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Args)]
pub(super) struct ServeArgs {
    /// File of settings, in TOML
    #[arg(long, env = "HOLISTICS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

pub(super) fn run(args: ServeArgs) -> Result<()> {
    let settings = match &args.config {
        Some(path) => args.settings.or_file(path)?,
        None => args.settings,
    };
    let config = settings.resolve()?;
    start_log(&config)?;
    keep_new_files_private();
    let reports = config.reports.as_deref().map(reports::read_folder).transpose()?;
    with_runtime(async {
        let server = Server::start(config, &reports.unwrap_or_default()).await?;
        info!(
            "serving on {}://{}",
            server.worker.config.scheme(),
            server.address
        );
        stop_signal().await?;
        info!("stopping");
        server.stop().await;
        Ok(())
    })
}

/// Runs on a runtime whose last threads are not waited for without end.
pub(super) fn with_runtime<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Error::internal)?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(STOP_TIMEOUT);
    done
}

/// Logs to standard error.
pub(super) fn start_log(config: &Config) -> Result<()> {
    let filter =
        EnvFilter::try_new(&config.log).map_err(|error| Error::invalid(format!("setting `log`: {error}")))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) worker: Worker,
    draining: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<Result<()>>,
    working: JoinHandle<()>,
}

pub(super) fn cannot_listen(address: SocketAddr, error: &io::Error) -> Error {
    Error::new(
        ErrorCode::Conflict,
        format!("cannot listen on {address}: {error}; choose another address or port"),
    )
}

impl Server {
    /// Opens the data folder, applies reports, takes up what was left, and serves.
    pub(crate) async fn start(config: Config, reports: &[Report]) -> Result<Self> {
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|error| cannot_listen(config.listen, &error))?;
        let tls = match &config.tls {
            Some((certificate, key)) => Some(http::tls::acceptor(certificate, key)?),
            None => None,
        };
        let address = listener.local_addr()?;
        let worker = Worker::open(Config {
            listen: address,
            ..config
        })
        .await?;
        for line in reports::apply(&worker.store, reports, false).await? {
            info!("{line}");
        }
        let (stop, stopping) = watch::channel(false);
        let app = http::App {
            limits: Arc::default(),
            store: worker.store.clone(),
            objects: worker.objects.clone(),
            config: worker.config.clone(),
            queued: worker.queued.clone(),
            stop: stopping.clone(),
        };
        let serving = tokio::spawn(http::server::serve(listener, tls, app, stopping.clone()));
        let at_work = worker.clone();
        let (draining, drained) = watch::channel(false);
        let working = tokio::spawn(async move { at_work.work(drained, stopping).await });
        Ok(Self {
            address,
            worker,
            draining,
            stop,
            serving,
            working,
        })
    }

    /// Takes no more jobs, but answers while running ones have their grace; then queues those again,
    /// takes no more requests, and gives running ones some time.
    pub(crate) async fn stop(self) {
        let mut working = self.working;
        self.draining.send_replace(true);
        let drained = tokio::time::timeout(self.worker.config.stop_grace, &mut working);
        let drained = drained.await.ok();
        self.stop.send_replace(true);
        let store = self.worker.store.clone();
        let ended = tokio::time::timeout(STOP_TIMEOUT, async {
            let worked = match drained {
                Some(worked) => worked,
                None => working.await,
            };
            if let Err(error) = worked {
                error!(%error, "the workers ended badly");
            }
            match self.serving.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => error!(%error, "serving ended badly"),
                Err(error) => error!(%error, "serving ended badly"),
            }
        });
        if ended.await.is_err() {
            warn!("stopped without waiting for the last requests");
        }
        // A request that does not let go must not keep the server from stopping.
        if tokio::time::timeout(CLOSE_TIMEOUT, store.close()).await.is_err() {
            warn!("stopped without closing the metadata");
        }
    }
}

/// Waits for SIGTERM or SIGINT, and says which it was.
pub(super) async fn stop_signal() -> Result<SignalKind> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => Ok(SignalKind::terminate()),
        _ = interrupt.recv() => Ok(SignalKind::interrupt()),
    }
}
