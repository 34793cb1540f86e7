//! Settings: by flag, else by environment, else by file, else the default.

mod settings;

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use ipnet::IpNet;
use serde::Deserialize;

pub(crate) use settings::Settings;

use crate::error::Error;
use crate::error::Result;

/// What the engine needs for sorts, joins and aggregates that spill; measured at TPC-H scale 3.
/// More would mostly be cache, which the operating system keeps as well.
const MEMORY_PER_THREAD_MIB: u64 = 64;

/// Ten years: longer is a slip, and would not fit where times are kept in microseconds.
const DURATION_MAX: Duration = Duration::from_hours(3650 * 24);

#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

/// The settings as the server uses them: none is missing.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) public_url: Option<String>,
    pub(crate) reports: Option<PathBuf>,
    pub(crate) workers: usize,
    pub(crate) user_jobs_max: i64,
    pub(crate) queue_max: i64,
    pub(crate) job_lease: Duration,
    pub(crate) attempts_max: i64,
    pub(crate) stop_grace: Duration,
    pub(crate) encode_threads: usize,
    pub(crate) result_lifetime: Duration,
    pub(crate) job_lifetime: Duration,
    pub(crate) query_timeout: Duration,
    pub(crate) result_rows_max: u64,
    pub(crate) result_bytes_max: ByteSize,
    pub(crate) request_bytes_max: ByteSize,
    /// Certificate and key.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    pub(crate) audit_lifetime: Duration,
    pub(crate) link_lifetime: Duration,
    pub(crate) feed_wait: Duration,
    pub(crate) user_feeds_max: u32,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) cors_origins: Vec<String>,
    pub(crate) results_bytes_max: ByteSize,
    pub(crate) uploads_bytes_max: ByteSize,
    pub(crate) upload_bytes_max: ByteSize,
    pub(crate) upload_lifetime: Duration,
    pub(crate) warehouse_memory_max: ByteSize,
    pub(crate) warehouse_threads: usize,
    pub(crate) log: String,
    pub(crate) log_format: LogFormat,
}

impl Settings {
    /// Puts the defaults in and refuses values that cannot work.
    pub(crate) fn resolve(self) -> Result<Config> {
        let plain_http = self.plain_http.unwrap_or(false);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let warehouse_threads = self.warehouse_threads.unwrap_or(cores);
        let config = Config {
            data_dir: self.data_dir.unwrap_or_else(|| "holistics-data".into()),
            listen: self
                .listen
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 3000))),
            public_url: self.public_url.map(|url| url.trim_end_matches('/').to_owned()),
            reports: self.reports,
            workers: self.workers.unwrap_or(8),
            user_jobs_max: self.user_jobs_max.unwrap_or(5),
            queue_max: self.queue_max.unwrap_or(10_000),
            job_lease: self.job_lease.unwrap_or(Duration::from_secs(30)),
            attempts_max: self.attempts_max.unwrap_or(3),
            stop_grace: self.stop_grace.unwrap_or(Duration::from_secs(10)),
            encode_threads: self.encode_threads.unwrap_or(cores),
            result_lifetime: self.result_lifetime.unwrap_or(Duration::from_hours(24)),
            job_lifetime: self.job_lifetime.unwrap_or(Duration::from_hours(30 * 24)),
            query_timeout: self.query_timeout.unwrap_or(Duration::from_hours(1)),
            result_rows_max: self.result_rows_max.unwrap_or(1_000_000_000),
            result_bytes_max: self.result_bytes_max.unwrap_or(ByteSize::gib(20)),
            request_bytes_max: self.request_bytes_max.unwrap_or(ByteSize::mib(10)),
            tls: match (self.tls_certificate, self.tls_key) {
                (Some(certificate), Some(key)) => Some((certificate, key)),
                (None, None) => None,
                _ => {
                    let message = "settings `tls_certificate` and `tls_key` go together";
                    return Err(Error::invalid(message));
                }
            },
            audit_lifetime: self.audit_lifetime.unwrap_or(Duration::from_hours(365 * 24)),
            link_lifetime: self.link_lifetime.unwrap_or(Duration::from_mins(1)),
            feed_wait: self.feed_wait.unwrap_or(Duration::from_secs(100)),
            user_feeds_max: self.user_feeds_max.unwrap_or(1_000),
            trusted_proxies: self.trusted_proxies.unwrap_or_default(),
            cors_origins: self.cors_origins.unwrap_or_default(),
            results_bytes_max: self.results_bytes_max.unwrap_or(ByteSize::gib(200)),
            uploads_bytes_max: self.uploads_bytes_max.unwrap_or(ByteSize::gib(200)),
            upload_bytes_max: self.upload_bytes_max.unwrap_or(ByteSize::gib(20)),
            upload_lifetime: self.upload_lifetime.unwrap_or(Duration::from_hours(7 * 24)),
            warehouse_memory_max: self
                .warehouse_memory_max
                .unwrap_or_else(|| ByteSize::mib(MEMORY_PER_THREAD_MIB * warehouse_threads.max(2) as u64)),
            warehouse_threads,
            log: self.log.unwrap_or_else(|| "info".to_owned()),
            log_format: self.log_format.unwrap_or_default(),
        };
        for (name, value) in [
            ("workers", config.workers),
            ("encode_threads", config.encode_threads),
            ("warehouse_threads", config.warehouse_threads),
        ] {
            if value == 0 {
                return Err(Error::invalid(format!(
                    "setting `{name}` must be 1 or more, got 0"
                )));
            }
        }
        for (name, value) in [
            ("user_jobs_max", config.user_jobs_max),
            ("queue_max", config.queue_max),
            ("attempts_max", config.attempts_max),
        ] {
            if value < 1 {
                return Err(Error::invalid(format!(
                    "setting `{name}` must be 1 or more, got {value}"
                )));
            }
        }
        for (name, value) in [
            ("job_lease", config.job_lease),
            ("result_lifetime", config.result_lifetime),
            ("job_lifetime", config.job_lifetime),
            ("query_timeout", config.query_timeout),
            ("link_lifetime", config.link_lifetime),
            ("audit_lifetime", config.audit_lifetime),
            ("feed_wait", config.feed_wait),
            ("upload_lifetime", config.upload_lifetime),
        ] {
            if value.is_zero() || value > DURATION_MAX {
                return Err(Error::invalid(format!(
                    "setting `{name}` must be above 0 and up to 3650d"
                )));
            }
        }
        if !config.listen.ip().is_loopback() && config.tls.is_none() && !plain_http {
            return Err(Error::invalid(format!(
                "keys would cross the network in the clear from {}: set `tls_certificate` and `tls_key`, or \
                 `plain_http` where a proxy speaks TLS or the network is trusted",
                config.listen
            )));
        }
        if let Some(url) = &config.public_url
            && !url.starts_with("http://")
            && !url.starts_with("https://")
        {
            return Err(Error::invalid(format!(
                "setting `public_url` must begin with http:// or https://, got `{url}`"
            )));
        }
        for origin in &config.cors_origins {
            if !is_origin(origin) {
                return Err(Error::invalid(format!(
                    "setting `cors_origins` must be origins like https://app.example.com, got `{origin}`"
                )));
            }
        }
        Ok(config)
    }
}

/// Just as browsers write it; no pattern, no path.
fn is_origin(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| {
        ["http", "https"].contains(&url.scheme()) && url.origin().ascii_serialization() == text
    })
}

impl Config {
    /// The settings of a folder when nothing else is said.
    pub(crate) fn in_folder(data_dir: &Path) -> Result<Self> {
        let settings = Settings {
            data_dir: Some(data_dir.to_owned()),
            ..Settings::default()
        };
        settings.resolve()
    }

    /// What the server itself speaks.
    pub(crate) fn scheme(&self) -> &'static str {
        match self.tls {
            Some(_) => "https",
            None => "http",
        }
    }

    pub(crate) fn metadata_file(&self) -> PathBuf {
        self.data_dir.join("metadata.sqlite")
    }

    pub(crate) fn warehouse_file(&self) -> PathBuf {
        self.data_dir.join("warehouse.duckdb")
    }

    /// Where the engine puts what does not fit its memory; emptied at start.
    pub(crate) fn spill_dir(&self) -> PathBuf {
        self.data_dir.join("tmp").join("spill")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Args as _;
    use clap::Command;

    use super::*;

    #[test]
    fn flag_wins_over_file_and_file_over_default() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("holistics.toml");
        fs::write(
            &path,
            "workers = 7\nresult_lifetime = \"2h\"\nresult_bytes_max = \"3MiB\"\n",
        )
        .unwrap();
        let flags = Settings {
            workers: Some(2),
            ..Settings::default()
        };
        let config = flags.or_file(&path).unwrap().resolve().unwrap();
        assert_eq!(config.workers, 2);
        assert_eq!(config.result_lifetime, Duration::from_hours(2));
        assert_eq!(config.result_bytes_max, ByteSize::mib(3));
        assert_eq!(config.query_timeout, Duration::from_hours(1));
    }

    #[test]
    fn plain_http_to_others_has_to_be_asked_for() {
        for (listen, plain_http, allowed) in [
            ("127.0.0.1:3000", false, true),
            ("[::1]:3000", false, true),
            ("0.0.0.0:3000", false, false),
            ("192.0.2.1:3000", false, false),
            ("0.0.0.0:3000", true, true),
        ] {
            let settings = Settings {
                listen: Some(listen.parse().unwrap()),
                plain_http: Some(plain_http),
                ..Settings::default()
            };
            assert_eq!(settings.resolve().is_ok(), allowed, "{listen} {plain_http}");
        }
    }

    #[test]
    fn wrong_file_names_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("holistics.toml");
        fs::write(&path, "workers = 7\nworkerz = 8\n").unwrap();
        let message = Settings::default().or_file(&path).unwrap_err().message;
        assert!(message.contains("holistics.toml"), "{message}");
        assert!(
            message.contains("line 2") && message.contains("workerz"),
            "{message}"
        );
    }

    #[test]
    fn every_setting_is_documented() {
        let document = include_str!("../docs/configuration.md");
        for argument in Settings::augment_args(Command::new("test")).get_arguments() {
            let flag = argument.get_long().unwrap();
            let variable = argument.get_env().unwrap().to_str().unwrap();
            let setting = flag.replace('-', "_");
            let row = document
                .lines()
                .find(|line| line.starts_with(&format!("| `{setting}` |")))
                .unwrap_or_else(|| panic!("docs/configuration.md has no row for `{setting}`"));
            assert!(row.contains(&format!("`--{flag}`")), "{row}");
            assert!(row.contains(&format!("`{variable}`")), "{row}");
            assert_eq!(
                row.matches(" | ").count(),
                5,
                "{row}: setting, flag, variable, default, unit, meaning"
            );
        }
    }

    #[test]
    fn documented_defaults_are_the_defaults() {
        let document = include_str!("../docs/configuration.md");
        let default = |setting: &str| {
            let row = document
                .lines()
                .find(|line| line.starts_with(&format!("| `{setting}` |")));
            row.unwrap()
                .split(" | ")
                .nth(3)
                .unwrap()
                .trim_matches('`')
                .to_owned()
        };
        let config = Settings::default().resolve().unwrap();
        assert_eq!(default("data_dir"), format!("./{}", config.data_dir.display()));
        assert_eq!(default("listen"), config.listen.to_string());
        assert_eq!(default("workers"), config.workers.to_string());
        assert_eq!(default("user_jobs_max"), config.user_jobs_max.to_string());
        assert_eq!(default("queue_max"), config.queue_max.to_string());
        assert_eq!(default("user_feeds_max"), config.user_feeds_max.to_string());
        assert_eq!(default("attempts_max"), config.attempts_max.to_string());
        for (setting, duration) in [
            ("job_lease", config.job_lease),
            ("stop_grace", config.stop_grace),
            ("link_lifetime", config.link_lifetime),
            ("audit_lifetime", config.audit_lifetime),
            ("feed_wait", config.feed_wait),
        ] {
            assert_eq!(humantime::parse_duration(&default(setting)).unwrap(), duration);
        }
        assert_eq!(default("result_lifetime"), "24h");
        assert_eq!(
            config.result_lifetime,
            humantime::parse_duration(&default("result_lifetime")).unwrap()
        );
        assert_eq!(
            config.job_lifetime,
            humantime::parse_duration(&default("job_lifetime")).unwrap()
        );
        assert_eq!(
            config.query_timeout,
            humantime::parse_duration(&default("query_timeout")).unwrap()
        );
        assert_eq!(default("result_rows_max"), config.result_rows_max.to_string());
        assert_eq!(
            config.result_bytes_max,
            default("result_bytes_max").parse().unwrap()
        );
        for (setting, size) in [
            ("results_bytes_max", config.results_bytes_max),
            ("uploads_bytes_max", config.uploads_bytes_max),
        ] {
            assert_eq!(size, default(setting).parse().unwrap());
        }
        assert_eq!(
            config.request_bytes_max,
            default("request_bytes_max").parse().unwrap()
        );
        assert_eq!(
            config.upload_bytes_max,
            default("upload_bytes_max").parse().unwrap()
        );
        assert_eq!(
            config.upload_lifetime,
            humantime::parse_duration(&default("upload_lifetime")).unwrap()
        );
        assert_eq!(default("warehouse_memory_max"), "64MiB a thread, at least 128MiB");
        let of_threads = |threads| Settings {
            warehouse_threads: Some(threads),
            ..Settings::default()
        };
        let memory = |threads| of_threads(threads).resolve().unwrap().warehouse_memory_max;
        assert_eq!((memory(1), memory(16)), (ByteSize::mib(128), ByteSize::gib(1)));
        assert_eq!(default("log"), config.log);
        assert_eq!(default("log_format"), "text");
    }
}
