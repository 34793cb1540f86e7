//! What MariaDB does that no other database does, beside the promises that every source keeps.

use std::process::Command;
use std::time::Duration;

use crate::connectors::BatchStream;
use crate::connectors::Purpose;
use crate::connectors::conformance::mariadb::Server;
use crate::connectors::conformance::mariadb::succeed;
use crate::connectors::conformance::no_engine;
use crate::connectors::sources::Connector;
use crate::connectors::types::statement;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::exports::text::page_values;
use crate::query::Bind;
use crate::query::Statement;
use crate::query::ValueCheck;
use crate::source::Password;
use crate::source::Source;
use crate::source::SourceKind;
use crate::source::SourceSettings;

const TIMEOUT: Duration = Duration::from_secs(60);

fn connector(url: &str, password: Option<&str>, time_zone: &str) -> Connector {
    let source = Source {
        id: 2,
        name: "db".to_owned(),
        kind: SourceKind::Mysql,
        url: url.to_owned(),
        sealed_password: None,
        settings: SourceSettings {
            time_zone: time_zone.to_owned(),
            ..SourceSettings::default()
        },
        updated_at: 0,
    };
    let password = password.map(|text| Password::new(text.to_owned()));
    Connector::new(&source, password.as_ref(), TIMEOUT, &no_engine()).unwrap()
}

async fn start(connector: &Connector, statement: &Statement) -> Result<BatchStream, Error> {
    let purpose = Purpose {
        job_id: 1,
        subject: "report=1".to_owned(),
        user: "ann@example.com".to_owned(),
    };
    connector.query(statement, purpose).await
}

/// Types and rows. What is worth another try is tried again.
async fn run(connector: &Connector, statement: &Statement) -> Result<(Vec<String>, Vec<Vec<String>>), Error> {
    match run_once(connector, statement).await {
        Err(error) if error.again => run_once(connector, statement).await,
        outcome => outcome,
    }
}

async fn run_once(
    connector: &Connector,
    statement: &Statement,
) -> Result<(Vec<String>, Vec<Vec<String>>), Error> {
    let mut stream = start(connector, statement).await?;
    let fields = stream.schema.fields().iter();
    let types = fields.map(|field| field.data_type().to_string()).collect();
    let reading = tokio::task::spawn_blocking(move || {
        let mut rows = Vec::new();
        while let Some(batch) = stream.batches.blocking_next()? {
            rows.extend(page_values(&batch));
        }
        drop(stream.cancel_on_drop);
        Ok::<_, Error>(rows)
    });
    let text = |value: Option<String>| value.unwrap_or_else(|| "NULL".to_owned());
    let rows = reading.await.unwrap()?.into_iter();
    Ok((
        types,
        rows.map(|row| row.into_iter().map(text).collect()).collect(),
    ))
}

async fn rows(connector: &Connector, sql: &str, binds: &[Bind]) -> Vec<Vec<String>> {
    match run(connector, &statement(sql, binds)).await {
        Ok((_, rows)) => rows,
        Err(error) => panic!("{sql}: {error}"),
    }
}

async fn failure(connector: &Connector, sql: &str, binds: &[Bind]) -> Error {
    match run(connector, &statement(sql, binds)).await {
        Ok((_, rows)) => panic!("{sql}: {rows:?}"),
        Err(error) => error,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_exact() {
    let Some(server) = Server::start_with(|_| vec!["--max-allowed-packet=64M".to_owned()]) else {
        return;
    };
    let db = connector(&server.url(), None, "UTC");
    days_that_are_none_come_as_they_are_written(&server, &db).await;
    expressions_have_their_types(&db).await;
    values_compare_exactly_and_by_index(&server, &db).await;
    values_are_counted(&db).await;
    allowed_values_are_those_of_their_sql(&server, &db).await;
    only_a_query_is_a_report(&server, &db).await;
    long_values_arrive_whole(&db).await;
    time_zone_is_the_sources(&server).await;
}

async fn days_that_are_none_come_as_they_are_written(server: &Server, db: &Connector) {
    server.run(
        "set sql_mode = 'ALLOW_INVALID_DATES';
         create table days (n int, d date, t datetime(3), s timestamp null, price decimal(5,2));
         insert into days values (1, '2024-01-31', '2024-01-31 10:00:00.250', '2024-01-31 10:00:00', 1.50),
                                 (2, '0000-00-00', '0000-00-00', '0000-00-00', 2),
                                 (3, '2024-00-10', '2024-02-31 00:00:00.001', null, null),
                                 (4, '0000-01-01', null, null, null)",
    );
    let (types, found) = run(db, &statement("select d, t, s, price from days order by n", &[]))
        .await
        .unwrap();
    assert_eq!(types, ["Utf8", "Utf8", "Utf8", "Decimal64(5, 2)"]);
    assert_eq!(
        found,
        [
            [
                "2024-01-31",
                "2024-01-31 10:00:00.250",
                "2024-01-31 10:00:00",
                "1.50"
            ],
            [
                "0000-00-00",
                "0000-00-00 00:00:00.000",
                "0000-00-00 00:00:00",
                "2.00"
            ],
            ["2024-00-10", "2024-02-31 00:00:00.001", "NULL", "NULL"],
            ["0000-01-01", "NULL", "NULL", "NULL"],
        ]
    );
    let written = server.run("select d, t, s, price from days order by n");
    let ours: Vec<String> = found.iter().map(|row| row.join("\t")).collect();
    assert_eq!(written.trim_end(), ours.join("\n"));
    let days = statement("select d, t from days where n = 1", &[]);
    let (types, _) = run(db, &days).await.unwrap();
    assert_eq!(types, ["Date32", "Timestamp(µs)"]);
}

async fn expressions_have_their_types(db: &Connector) {
    let sql = "select null as nothing, 1 / 3 as third, sum(x) as total, avg(x) as mean, count(*) as rows_found,
                      1 = 1 as is_so, 1e0 as real_, greatest(1.5, 2.255) as greatest, now(6) > '2020-01-01' as later,
                      coalesce(1.5, 2) as first, concat('a', 1) as text, cast('a' as binary) as bytes,
                      timediff('2024-01-01 00:00:00.5', '2024-02-01 00:00:00') as distance,
                      18446744073709551615 as most, truncate(2.999, 1) as cut, 1.10 as one
               from (select 1.25 as x union all select 2) as numbers";
    let (types, found) = run(db, &statement(sql, &[])).await.unwrap();
    assert_eq!(
        found,
        [[
            "NULL",
            "0.3333",
            "3.25",
            "1.625000",
            "2",
            "1",
            "1.0",
            "2.255",
            "1",
            "1.5",
            "a1",
            "\\x61",
            "-743:59:59.5",
            "18446744073709551615",
            "2.9",
            "1.10"
        ]]
    );
    assert_eq!(types[0], "Utf8");
    assert_eq!(types[10..12], ["Utf8", "Binary"]);
    assert_eq!(types[13], "UInt64");
}

async fn values_compare_exactly_and_by_index(server: &Server, db: &Connector) {
    server.run(
        "create table prices (id bigint primary key, price decimal(38,10), name varchar(20), d date, t datetime(6), b bit(1),
                              key (price), key (name), key (d), key (t));
         insert into prices select seq, seq + 0.1, concat('n', seq), '2024-01-01' + interval seq day,
                                   '2024-01-01' + interval seq microsecond, seq % 2 from seq_1_to_1000;
         insert into prices values (9007199254740993, 9007199254740993.0000000001, 'é', '2030-01-01', '2030-01-01', 1),
                                   (9007199254740992, 9007199254740993.0000000002, 'e', '2030-01-02', '2030-01-02', null);
         analyze table prices",
    );
    let date = chrono::NaiveDate::from_ymd_opt(2024, 1, 8).unwrap();
    let moment = chrono::NaiveDate::from_ymd_opt(2024, 1, 1)
        .unwrap()
        .and_hms_micro_opt(0, 0, 0, 9)
        .unwrap();
    for (condition, bind, wanted) in [
        (
            "price = ?",
            Bind::Decimal("9007199254740993.0000000001".to_owned()),
            "9007199254740993",
        ),
        ("id = ?", Bind::Integer(9_007_199_254_740_993), "9007199254740993"),
        ("price = ?", Bind::Decimal("5.1".to_owned()), "5"),
        ("name = ?", Bind::Text("n6".to_owned()), "6"),
        ("d = ?", Bind::Date(date), "7"),
        ("d = ?", Bind::Text("2024-01-08".to_owned()), "7"),
        ("t = ?", Bind::Datetime(moment), "9"),
    ] {
        let sql = format!("select id from prices where {condition}");
        let bind = std::slice::from_ref(&bind);
        assert_eq!(rows(db, &sql, bind).await, [[wanted]], "{sql} {bind:?}");
        let plan = rows(db, &format!("explain {sql}"), bind).await;
        assert!(["ref", "const"].contains(&plan[0][3].as_str()), "{sql}: {plan:?}");
    }
    let sql = "select ? is null, ?, ?, ?, ?, ?";
    let binds = [
        Bind::Null,
        Bind::Boolean(true),
        Bind::Integer(i64::MIN),
        Bind::Decimal("-0.10".to_owned()),
        Bind::Null,
        Bind::Date(date),
    ];
    assert_eq!(
        rows(db, sql, &binds).await,
        [["1", "1", "-9223372036854775808", "-0.10", "NULL", "2024-01-08"]]
    );
    let odd = "select count(*) from prices where b = ?";
    assert_eq!(rows(db, odd, &[Bind::Boolean(true)]).await, [["501"]]);
}

async fn values_are_counted(db: &Connector) {
    let list = |count: i64| {
        let places = vec!["?"; usize::try_from(count).unwrap()].join(", ");
        let binds: Vec<Bind> = (1..=count).map(Bind::Integer).collect();
        (
            format!("select count(*) from prices where id in ({places})"),
            binds,
        )
    };
    let (sql, binds) = list(65_535);
    assert_eq!(rows(db, &sql, &binds).await, [["1000"]]);
    let (sql, binds) = list(65_536);
    let error = failure(db, &sql, &binds).await;
    assert_eq!(
        error.message,
        "a query on MySQL takes at most 65535 values, got 65536"
    );
    let error = failure(db, "select ?", &[]).await;
    assert!(error.message.contains("the SQL has 1 placeholders"), "{error}");
}

async fn allowed_values_are_those_of_their_sql(server: &Server, db: &Connector) {
    server.run("create table shops (name varchar(20), size decimal(10,2), since datetime(3)); insert into shops values ('größe', 1.5, '2024-01-01 10:00:00'), (null, null, null)");
    let since = chrono::NaiveDate::from_ymd_opt(2024, 1, 1)
        .unwrap()
        .and_hms_opt(10, 0, 0)
        .unwrap();
    let text = |text: &str| Bind::Text(text.to_owned());
    for (values_sql, value, is_there) in [
        ("select name, size from shops", text("größe"), true),
        ("select name from shops", text("grosse"), false),
        (
            "select size from shops -- sizes",
            Bind::Decimal("1.5".to_owned()),
            true,
        ),
        ("select size from shops", Bind::Integer(1), false),
        ("select since from shops", Bind::Datetime(since), true),
        ("select 1 union select 2", Bind::Integer(2), true),
        ("select name from shops where false", text("größe"), false),
    ] {
        let mut statement = statement("select 1", &[]);
        statement.checks = vec![ValueCheck {
            filter: "shop".to_owned(),
            values_sql: values_sql.to_owned(),
            values: vec![value],
        }];
        match run(db, &statement).await {
            Ok(_) => assert!(is_there, "{values_sql}"),
            Err(error) => {
                assert!(!is_there, "{values_sql}: {error}");
                assert!(error.message.contains("filter `shop` must be one of"), "{error}");
            }
        }
    }
}

async fn only_a_query_is_a_report(server: &Server, db: &Connector) {
    server.run("create sequence numbers; create procedure one() select 1;");
    let outfile = server.path().join("data").join("out");
    let before = server.run("select count(*) from shops");
    for sql in [
        "select 1; select 2".to_owned(),
        "select 1; delete from shops".to_owned(),
        "set @x = 1".to_owned(),
        "call one()".to_owned(),
        "insert into shops (name) values ('x') returning name".to_owned(),
        "select nextval(numbers)".to_owned(),
        "optimize table shops".to_owned(),
        " /* now */ -- really\n# so\n(analyze table shops)".to_owned(),
        "/*! optimize table shops */".to_owned(),
        "/*M! optimize table shops */".to_owned(),
        "execute immediate 'optimize table shops'".to_owned(),
        "set statement max_statement_time = 0 for select 1".to_owned(),
        "begin not atomic select 1; end".to_owned(),
        "load data local infile '/etc/passwd' into table shops".to_owned(),
        format!("select 1 into outfile '{}'", outfile.display()),
        String::new(),
    ] {
        let error = failure(db, &sql, &[]).await;
        assert_eq!(error.code, ErrorCode::SourceFailed, "{sql}: {error}");
    }
    assert_eq!(server.run("select count(*) from shops"), before);
    assert!(!outfile.exists());
    assert_eq!(rows(db, "select 1;", &[]).await, [["1"]]);
    assert_eq!(rows(db, "show tables like 'shops'", &[]).await, [["shops"]]);
    let commented = "-- first\n /* second */ # third\n((select 1)\n union (select 2)) order by 1";
    assert_eq!(rows(db, commented, &[]).await, [["1"], ["2"]]);
}

async fn long_values_arrive_whole(db: &Connector) {
    let length = 17 << 20;
    let sql = format!(
        "select repeat('ab', {}) as text, 1 as one union all select 'x', 2",
        length / 2
    );
    let found = rows(db, &sql, &[]).await;
    assert_eq!(found[0][0].len(), length);
    assert!(found[0][0].ends_with("abab"));
    assert_eq!(found[1], ["x", "2"]);
}

async fn time_zone_is_the_sources(server: &Server) {
    server.run("set time_zone = '+00:00'; create table moments (s timestamp); insert into moments values ('2024-01-01 20:00:00')");
    for (zone, wanted) in [("UTC", "2024-01-01 20:00:00"), ("+07:00", "2024-01-02 03:00:00")] {
        let db = connector(&server.url(), None, zone);
        assert_eq!(rows(&db, "select s from moments", &[]).await, [[wanted]]);
    }
    let db = connector(&server.url(), None, "Mars/Phobos");
    let error = failure(&db, "select 1", &[]).await;
    assert!(
        error.message.contains("set `time_zone` of source `db`"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn query_that_nobody_reads_is_held_back_and_stopped() {
    let Some(server) = Server::start() else {
        return;
    };
    let db = connector(&server.url(), None, "UTC");
    let endless = statement("select seq, repeat('x', 1000) from seq_1_to_50000000", &[]);
    let mut stream = start(&db, &endless).await.unwrap();
    let first = tokio::task::spawn_blocking(move || {
        let batch = stream.batches.blocking_next().unwrap().unwrap();
        (batch.num_rows(), stream)
    });
    let (count, stream) = first.await.unwrap();
    assert!(count > 0 && count < 10_000, "{count}");
    let running = "select count(*) from information_schema.processlist where info like '/* holistics%'";
    assert_eq!(server.run(running).trim(), "1");
    drop(stream);
    assert!(db.settle(TIMEOUT).await);
    assert_eq!(server.run(running).trim(), "0");
    assert_eq!(rows(&db, "select 1", &[]).await, [["1"]]);
    // A connection that the server has closed meanwhile is not used again.
    let kills = server
        .run("select concat('kill ', id, ';') from information_schema.processlist where command = 'Sleep'");
    server.run(&kills);
    assert_eq!(rows(&db, "select 1", &[]).await, [["1"]]);
}

const USERS: &str = "
    create table orders (n int);
    create table items (n int);
    create user plain@'%' identified by 'secret';
    grant select on test.* to plain@'%';
    install soname 'auth_ed25519';
    create user modern@'%' identified via ed25519 using password('sécret');
    grant select on test.orders to modern@'%';
    create user stranger@'%' identified by 'secret';
    create user caller@'%' identified by 'secret';
    grant execute on test.* to caller@'%';
    create user writer@'%' identified by 'secret';
    grant insert on test.orders to writer@'%';
    create user encrypted@'%' identified by 'secret' require ssl;
    grant select on test.* to encrypted@'%';";

/// A certificate for 127.0.0.1 that nobody has signed, and its key.
fn certificate(folder: &std::path::Path, name: &str) -> String {
    let path = folder.join(name).display().to_string();
    succeed(Command::new("openssl").args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-subj",
        "/CN=test",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-keyout",
        &format!("{path}.key"),
        "-out",
        &path,
    ]));
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn server_lets_in_whom_it_knows() {
    let mut certificates = (String::new(), String::new());
    let server = Server::start_with(|folder| {
        certificates = (certificate(folder, "right"), certificate(folder, "wrong"));
        let (right, _) = &certificates;
        vec![format!("--ssl-cert={right}"), format!("--ssl-key={right}.key")]
    });
    let Some(server) = server else {
        return;
    };
    server.run(USERS);
    let (right, wrong) = certificates;
    let socket = server.path().join("socket").display().to_string();
    let port = server.port();
    let at = |rest: &str| format!("127.0.0.1:{port}/{rest}");
    let found = "MariaDB 10.";
    for (user, password, rest, wanted) in [
        ("plain", "secret", at("test"), found),
        (
            "plain",
            "secret",
            at("test?sslmode=disable"),
            "2 of 2 tables and views can be read",
        ),
        ("plain", "secret", at("test?sslmode=require"), found),
        (
            "plain",
            "secret",
            at(&format!("test?sslmode=verify-ca&sslrootcert={right}")),
            found,
        ),
        (
            "plain",
            "secret",
            at(&format!("test?sslmode=verify-full&sslrootcert={right}")),
            found,
        ),
        (
            "plain",
            "secret",
            format!("localhost:{port}/test?sslmode=verify-full&sslrootcert={right}"),
            "no TLS connection: invalid peer certificate",
        ),
        (
            "plain",
            "secret",
            format!("localhost:{port}/test?sslmode=verify-ca&sslrootcert={right}"),
            found,
        ),
        (
            "plain",
            "secret",
            at(&format!("test?sslmode=verify-ca&sslrootcert={wrong}")),
            "no TLS connection: invalid peer certificate",
        ),
        (
            "plain",
            "secret",
            at("test?sslmode=verify-full"),
            "no TLS connection: invalid peer certificate",
        ),
        (
            "plain",
            "secret",
            format!("localhost/test?socket={socket}"),
            found,
        ),
        (
            "modern",
            "sécret",
            at("test"),
            "1 of 1 tables and views can be read",
        ),
        ("modern", "sécret", at("test?sslmode=disable"), found),
        ("modern", "wrong", at("test"), "wrong user or password"),
        ("encrypted", "secret", at("test"), found),
        (
            "encrypted",
            "secret",
            at("test?sslmode=disable"),
            "wrong user or password",
        ),
        (
            "plain",
            "wrong",
            at("test"),
            "wrong user or password: Access denied for user 'plain'",
        ),
        ("nobody", "secret", at("test"), "wrong user or password"),
        (
            "root",
            "",
            at("nowhere"),
            "no such database: Unknown database 'nowhere'",
        ),
        ("stranger", "secret", at("test"), "no right to use this database"),
        (
            "caller",
            "secret",
            at("test"),
            "no right to read any table of this database",
        ),
        (
            "writer",
            "secret",
            at("test"),
            "no right to read any of the 1 tables",
        ),
        (
            "plain",
            "secret",
            "127.0.0.1:1/test".to_owned(),
            "connection refused",
        ),
        (
            "plain",
            "secret",
            "nowhere.invalid/test".to_owned(),
            "host unknown",
        ),
    ] {
        let url = format!("mysql://{user}@{rest}");
        let password = Some(password).filter(|text| !text.is_empty());
        let told = match connector(&url, password, "UTC").check().await {
            Ok(told) => told,
            Err(error) => error.message,
        };
        assert!(told.contains(wanted), "{url}: {told}");
        assert!(!told.contains("cret"), "{url}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_that_is_not_there_is_said_to_be_required() {
    let Some(server) = Server::start() else {
        return;
    };
    let url = server.url().replace("disable", "require");
    let error = connector(&url, None, "UTC").check().await.unwrap_err();
    assert!(
        error
            .message
            .contains("TLS required by `sslmode`, but the server does not support TLS"),
        "{error}"
    );
    server.run("set global require_secure_transport = on");
    let error = connector(&server.url(), None, "UTC").check().await.unwrap_err();
    assert!(error.message.contains("or TLS required"), "{error}");
}
