//! Addresses, names and settings of sources: what is taken, and what is said of the rest.

use super::*;

/// Of a source that imports may go to.
pub(crate) fn writable() -> SourceSettings {
    SourceSettings {
        writable: true,
        ..SourceSettings::default()
    }
}

fn new(kind: SourceKind, url: &str) -> Result<NewSource> {
    NewSource::new("sales".to_owned(), kind, url, None, SourceSettings::default())
}

#[test]
fn password_leaves_the_url() {
    let source = new(
        SourceKind::Postgres,
        "postgres://ann:p%40ss%2Fword@db:5433/sales?sslmode=require",
    )
    .unwrap();
    assert_eq!(source.url, "postgres://ann@db:5433/sales?sslmode=require");
    assert_eq!(source.password.as_ref().unwrap().reveal(), "p@ss/word");
    assert!(!format!("{source:?}").contains("p@ss"));
}

#[test]
fn address_is_taken_apart() {
    let Address::Server(address) = Address::parse(
        SourceKind::Postgres,
        "postgres://a%20b@[::1]/my%20db?sslmode=verify-full",
    )
    .unwrap() else {
        panic!("a server has a server's address");
    };
    assert_eq!((address.user.as_str(), address.host.as_str()), ("a b", "::1"));
    assert_eq!((address.port, address.database.as_str()), (5432, "my db"));
    assert_eq!(address.sslmode, SslMode::VerifyFull);
}

#[test]
fn what_is_wrong_with_an_address_is_said_without_its_password() {
    let cases = [
        (
            SourceKind::Postgres,
            "mysql://a:secret@h/d",
            "must be like postgres://",
        ),
        (SourceKind::Postgres, "postgres://a:secret@h", "names no database"),
        (SourceKind::Postgres, "postgres://h/d", "names no user"),
        (
            SourceKind::Mysql,
            "mysql://a:secret@h/d?ssl=1",
            "unknown parameter `ssl`",
        ),
        (
            SourceKind::Mysql,
            "mysql://a:secret@h/d?sslmode=on",
            "`sslmode` must be",
        ),
        (
            SourceKind::Mysql,
            "mysql://a:secret@h:x/d",
            "must be like mysql://",
        ),
        (SourceKind::Sqlite, "here.db", "absolute path"),
    ];
    for (kind, url, wanted) in cases {
        let message = new(kind, url).unwrap_err().message;
        assert!(message.contains(wanted), "{url}: {message}");
        assert!(!message.contains("secret"), "{message}");
    }
}

#[test]
fn files_are_named_by_path() {
    for url in ["/data/x.db", "sqlite:/data/x.db", "sqlite:///data/x.db"] {
        assert_eq!(new(SourceKind::Sqlite, url).unwrap().url, "/data/x.db");
    }
}

#[test]
fn names_and_settings_are_plain() {
    let named = |name: &str| {
        NewSource::new(
            name.to_owned(),
            SourceKind::Sqlite,
            "/x",
            None,
            SourceSettings::default(),
        )
    };
    for name in ["", "a b", "warehouse", "a'b", &"x".repeat(65)] {
        assert!(named(name).is_err(), "{name}");
    }
    assert!(named("größe_2.live-db").is_ok());
    for settings in [
        SourceSettings {
            concurrency: 0,
            ..SourceSettings::default()
        },
        SourceSettings {
            time_zone: "UTC'; drop".to_owned(),
            ..SourceSettings::default()
        },
        SourceSettings {
            statement_timeout_secs: 90_000,
            ..SourceSettings::default()
        },
    ] {
        assert!(check_settings(&settings).is_err(), "{settings:?}");
    }
}
