//! What `check` says of a PostgreSQL server, in words that name what to mend.

use std::time::Duration;

use crate::connectors::conformance::no_engine;
use crate::connectors::conformance::postgres::Server;
use crate::connectors::conformance::postgres::free_port;
use crate::connectors::sources::Connector;
use crate::source::NewSource;
use crate::source::Password;
use crate::source::Source;
use crate::source::SourceKind;
use crate::source::SourceSettings;

async fn check(url: &str, password: Option<&str>) -> Result<String, String> {
    let password = password.map(|text| Password::new(text.to_owned()));
    let settings = SourceSettings::default();
    let new = NewSource::new("db".to_owned(), SourceKind::Postgres, url, password, settings).unwrap();
    let source = Source {
        id: 2,
        name: new.name,
        kind: new.kind,
        url: new.url,
        sealed_password: None,
        settings: new.settings,
        updated_at: 0,
    };
    let connector = Connector::new(
        &source,
        new.password.as_ref(),
        Duration::from_secs(10),
        &no_engine(),
    );
    let checked = match connector {
        Ok(connector) => connector.check().await,
        Err(error) => Err(error),
    };
    checked.map_err(|error| error.message)
}

async fn fails_with(words: &str, url: &str, password: Option<&str>) {
    let message = check(url, password).await.unwrap_err();
    assert!(message.contains(words), "{url}: {message}");
    assert!(!message.contains("s3cret"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_what_is_wrong() {
    let server = Server::start_with("host all all all scram-sha-256", false);
    server.run(
        "create role ann login password 's3cret'; create role eve login password 's3cret';
         create table secrets (n integer); grant select on secrets to ann;",
    );
    let url = |user: &str, database: &str| server.url_of(&format!("{user}@127.0.0.1"), database);
    let found = check(&url("ann", "postgres"), Some("s3cret")).await.unwrap();
    assert_eq!(found, "PostgreSQL 15, 1 of 1 tables and views can be read");
    // The password may also be in the URL, from where it is taken.
    let inner = server.url_of("ann:s3cret@localhost", "postgres");
    assert_eq!(check(&inner, None).await.unwrap(), found);
    fails_with("wrong user or password", &url("ann", "postgres"), Some("s3cret?")).await;
    fails_with("wrong user or password", &url("ann", "postgres"), None).await;
    fails_with(
        "no such database: database \"sales\"",
        &url("ann", "sales"),
        Some("s3cret"),
    )
    .await;
    fails_with(
        "no right to read any of the 1 tables",
        &url("eve", "postgres"),
        Some("s3cret"),
    )
    .await;
    let tls = url("ann", "postgres?sslmode=require");
    fails_with(
        "TLS required by `sslmode`, but the server does not",
        &tls,
        Some("s3cret"),
    )
    .await;
    let nobody = format!("postgres://ann@127.0.0.1:{}/postgres", free_port());
    fails_with("connection refused", &nobody, None).await;
    fails_with("host unknown", "postgres://ann@nowhere.invalid/postgres", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_as_sslmode_says() {
    let server = Server::start_with("hostssl all all all trust", true);
    let certificate = server.certificate();
    let url = |host: &str, mode: &str| {
        server.url_of(&format!("postgres@{host}"), &format!("postgres?sslmode={mode}"))
    };
    let trusting =
        |host: &str, mode: &str| format!("{}&sslrootcert={}", url(host, mode), certificate.display());
    for mode in ["prefer", "require"] {
        check(&url("127.0.0.1", mode), None).await.unwrap();
    }
    fails_with("TLS required", &url("127.0.0.1", "disable"), None).await;
    fails_with("certificate", &url("localhost", "verify-full"), None).await;
    check(&trusting("localhost", "verify-full"), None).await.unwrap();
    // The certificate is of `localhost`.
    check(&trusting("127.0.0.1", "verify-ca"), None).await.unwrap();
    fails_with("certificate", &trusting("127.0.0.1", "verify-full"), None).await;
    let missing = format!("{}&sslrootcert=/no/such/file", url("localhost", "verify-full"));
    fails_with("cannot use `sslrootcert` /no/such/file", &missing, None).await;
}
