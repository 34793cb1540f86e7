//! The settings as they are given: by flag, by environment, in a file.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;
use ipnet::IpNet;
use serde::Deserialize;

use crate::config::LogFormat;
use crate::error::Error;
use crate::error::Result;

/// Every setting as given, by whichever way; `docs/configuration.md` lists them.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Folder of everything the server keeps
    #[arg(long, env = "HOLISTICS_DATA_DIR", value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// Address and port to serve on; port 0 takes a free one
    #[arg(long, env = "HOLISTICS_LISTEN", value_name = "ADDRESS:PORT")]
    pub(super) listen: Option<SocketAddr>,
    /// How clients reach the server, for links in answers, such as `https://reports.example.com`
    #[arg(long, env = "HOLISTICS_PUBLIC_URL", value_name = "URL")]
    pub(super) public_url: Option<String>,
    /// Folder of report files to apply at start
    #[arg(long, env = "HOLISTICS_REPORTS", value_name = "DIR")]
    pub(super) reports: Option<PathBuf>,
    /// Jobs that run at the same time
    #[arg(long, env = "HOLISTICS_WORKERS", value_name = "COUNT")]
    pub(super) workers: Option<usize>,
    /// Jobs of one user that run at the same time
    #[arg(long, env = "HOLISTICS_USER_JOBS_MAX", value_name = "COUNT")]
    pub(super) user_jobs_max: Option<i64>,
    /// Jobs that may wait to be run
    #[arg(long, env = "HOLISTICS_QUEUE_MAX", value_name = "COUNT")]
    pub(super) queue_max: Option<i64>,
    /// How long a worker need not be heard of before its job is given to another
    #[arg(long, env = "HOLISTICS_JOB_LEASE", value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(default, deserialize_with = "duration")]
    pub(super) job_lease: Option<Duration>,
    /// How often a job's worker may be lost before the job fails
    #[arg(long, env = "HOLISTICS_ATTEMPTS_MAX", value_name = "COUNT")]
    pub(super) attempts_max: Option<i64>,
    /// How long running jobs may go on when the server is told to stop
    #[arg(long, env = "HOLISTICS_STOP_GRACE", value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(default, deserialize_with = "duration")]
    pub(super) stop_grace: Option<Duration>,
    /// Threads that encode one file
    #[arg(long, env = "HOLISTICS_ENCODE_THREADS", value_name = "COUNT")]
    pub(super) encode_threads: Option<usize>,
    /// How long a result and its files can be fetched, such as 24h
    #[arg(long, env = "HOLISTICS_RESULT_LIFETIME", value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(default, deserialize_with = "duration")]
    pub(super) result_lifetime: Option<Duration>,
    /// How long a finished job is remembered
    #[arg(long, env = "HOLISTICS_JOB_LIFETIME", value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(default, deserialize_with = "duration")]
    pub(super) job_lifetime: Option<Duration>,
    /// How long a query may run before it is stopped
    #[arg(long, env = "HOLISTICS_QUERY_TIMEOUT", value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(default, deserialize_with = "duration")]
    pub(super) query_timeout: Option<Duration>,
    /// Rows a result may have
    #[arg(long, env = "HOLISTICS_RESULT_ROWS_MAX", value_name = "ROWS")]
    pub(super) result_rows_max: Option<u64>,
    /// Size on disk that a result may have, such as 20GiB
    #[arg(long, env = "HOLISTICS_RESULT_BYTES_MAX", value_name = "SIZE")]
    pub(super) result_bytes_max: Option<ByteSize>,
    /// Size that a request's body may have
    #[arg(long, env = "HOLISTICS_REQUEST_BYTES_MAX", value_name = "SIZE")]
    pub(super) request_bytes_max: Option<ByteSize>,
    /// Certificate to serve HTTPS with, and its chain, in PEM
    #[arg(long, env = "HOLISTICS_TLS_CERTIFICATE", value_name = "FILE")]
    pub(super) tls_certificate: Option<PathBuf>,
    /// The certificate's key, in PEM
    #[arg(long, env = "HOLISTICS_TLS_KEY", value_name = "FILE")]
    pub(super) tls_key: Option<PathBuf>,
    /// Whether to serve plain HTTP to other machines: true or false
    #[arg(long, env = "HOLISTICS_PLAIN_HTTP", value_name = "SWITCH", num_args = 0..=1, default_missing_value = "true")]
    pub(super) plain_http: Option<bool>,
    /// How long records of the audit are kept, such as 365d
    #[arg(long, env = "HOLISTICS_AUDIT_LIFETIME", value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(default, deserialize_with = "duration")]
    pub(super) audit_lifetime: Option<Duration>,
    /// How long a link to a download needs no key, such as 60s
    #[arg(long, env = "HOLISTICS_LINK_LIFETIME", value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(default, deserialize_with = "duration")]
    pub(super) link_lifetime: Option<Duration>,
    /// How long a feed waits for its report before it says to come back, such as 100s
    #[arg(long, env = "HOLISTICS_FEED_WAIT", value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(default, deserialize_with = "duration")]
    pub(super) feed_wait: Option<Duration>,
    /// Feeds that one user may have
    #[arg(long, env = "HOLISTICS_USER_FEEDS_MAX", value_name = "COUNT")]
    pub(super) user_feeds_max: Option<u32>,
    /// Networks of proxies whose `X-Forwarded-For` is believed, such as 10.0.0.0/8; several by commas
    #[arg(
        long,
        env = "HOLISTICS_TRUSTED_PROXIES",
        value_name = "NETWORKS",
        value_delimiter = ','
    )]
    pub(super) trusted_proxies: Option<Vec<IpNet>>,
    /// Origins of pages whose scripts may read data, such as `https://app.example.com`; several by commas
    #[arg(
        long,
        env = "HOLISTICS_CORS_ORIGINS",
        value_name = "ORIGINS",
        value_delimiter = ','
    )]
    pub(super) cors_origins: Option<Vec<String>>,
    /// Size that all stored results and their files may have together
    #[arg(long, env = "HOLISTICS_RESULTS_BYTES_MAX", value_name = "SIZE")]
    pub(super) results_bytes_max: Option<ByteSize>,
    /// Size that all uploaded files may have together
    #[arg(long, env = "HOLISTICS_UPLOADS_BYTES_MAX", value_name = "SIZE")]
    pub(super) uploads_bytes_max: Option<ByteSize>,
    /// Size that an uploaded file may have, also when it is unpacked
    #[arg(long, env = "HOLISTICS_UPLOAD_BYTES_MAX", value_name = "SIZE")]
    pub(super) upload_bytes_max: Option<ByteSize>,
    /// How long an uploaded file can be imported again, such as 7d
    #[arg(long, env = "HOLISTICS_UPLOAD_LIFETIME", value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(default, deserialize_with = "duration")]
    pub(super) upload_lifetime: Option<Duration>,
    /// Memory that the warehouse's engine may use; beyond it spills to disk
    #[arg(long, env = "HOLISTICS_WAREHOUSE_MEMORY_MAX", value_name = "SIZE")]
    pub(super) warehouse_memory_max: Option<ByteSize>,
    /// Threads of the warehouse's engine
    #[arg(long, env = "HOLISTICS_WAREHOUSE_THREADS", value_name = "COUNT")]
    pub(super) warehouse_threads: Option<usize>,
    /// What to log: error, warn, info, debug or trace, also by module
    #[arg(long, env = "HOLISTICS_LOG", value_name = "FILTER")]
    pub(super) log: Option<String>,
    /// How to log: text or json
    #[arg(long, env = "HOLISTICS_LOG_FORMAT", value_name = "FORMAT")]
    pub(super) log_format: Option<LogFormat>,
}

impl Settings {
    /// Fills what is not set from a TOML file.
    pub(crate) fn or_file(self, path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .map_err(|error| Error::invalid(format!("cannot read `{}`: {error}", path.display())))?;
        let file: Self = toml::from_str(&text).map_err(|error| {
            Error::invalid(format!("`{}`: {}", path.display(), error.to_string().trim_end()))
        })?;
        Ok(self.or(file))
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            data_dir: self.data_dir.or(other.data_dir),
            listen: self.listen.or(other.listen),
            public_url: self.public_url.or(other.public_url),
            reports: self.reports.or(other.reports),
            workers: self.workers.or(other.workers),
            user_jobs_max: self.user_jobs_max.or(other.user_jobs_max),
            queue_max: self.queue_max.or(other.queue_max),
            job_lease: self.job_lease.or(other.job_lease),
            attempts_max: self.attempts_max.or(other.attempts_max),
            stop_grace: self.stop_grace.or(other.stop_grace),
            encode_threads: self.encode_threads.or(other.encode_threads),
            result_lifetime: self.result_lifetime.or(other.result_lifetime),
            job_lifetime: self.job_lifetime.or(other.job_lifetime),
            query_timeout: self.query_timeout.or(other.query_timeout),
            result_rows_max: self.result_rows_max.or(other.result_rows_max),
            result_bytes_max: self.result_bytes_max.or(other.result_bytes_max),
            request_bytes_max: self.request_bytes_max.or(other.request_bytes_max),
            tls_certificate: self.tls_certificate.or(other.tls_certificate),
            tls_key: self.tls_key.or(other.tls_key),
            plain_http: self.plain_http.or(other.plain_http),
            audit_lifetime: self.audit_lifetime.or(other.audit_lifetime),
            link_lifetime: self.link_lifetime.or(other.link_lifetime),
            feed_wait: self.feed_wait.or(other.feed_wait),
            user_feeds_max: self.user_feeds_max.or(other.user_feeds_max),
            trusted_proxies: self.trusted_proxies.or(other.trusted_proxies),
            cors_origins: self.cors_origins.or(other.cors_origins),
            results_bytes_max: self.results_bytes_max.or(other.results_bytes_max),
            uploads_bytes_max: self.uploads_bytes_max.or(other.uploads_bytes_max),
            upload_bytes_max: self.upload_bytes_max.or(other.upload_bytes_max),
            upload_lifetime: self.upload_lifetime.or(other.upload_lifetime),
            warehouse_memory_max: self.warehouse_memory_max.or(other.warehouse_memory_max),
            warehouse_threads: self.warehouse_threads.or(other.warehouse_threads),
            log: self.log.or(other.log),
            log_format: self.log_format.or(other.log_format),
        }
    }
}

fn duration<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text)
        .map(Some)
        .map_err(serde::de::Error::custom)
}
