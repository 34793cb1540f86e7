//! PostgreSQL, a server of the test's own.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::connectors::conformance::Subject;
use crate::connectors::conformance::conforms;
use crate::source::SourceKind;

const TYPES: &[(&str, &str, &str)] = &[
    ("boolean", "true", "true"),
    ("smallint", "-32768", "-32768"),
    ("integer", "2147483647", "2147483647"),
    ("bigint", "-9223372036854775808", "-9223372036854775808"),
    ("real", "'3.4028235e38'", "3.4028235e38"),
    ("real", "0.1", "0.1"),
    (
        "double precision",
        "1.7976931348623157e308",
        "1.7976931348623157e308",
    ),
    ("double precision", "'NaN'", "NaN"),
    ("double precision", "'-Infinity'", "-Infinity"),
    ("numeric(12,2)", "-1234567890.10", "-1234567890.10"),
    (
        "numeric(38,10)",
        "1234567890123456789012345678.0123456789",
        "1234567890123456789012345678.0123456789",
    ),
    ("numeric(5,0)", "12345", "12345"),
    ("numeric(3,-2)", "12345", "12300"),
    ("numeric", "1e-20", "0.00000000000000000001"),
    ("numeric", "'NaN'", "NaN"),
    ("numeric", "'Infinity'", "Infinity"),
    (
        "numeric(60,20)",
        "1234567890123456789012345678901234567890.5",
        "1234567890123456789012345678901234567890.50000000000000000000",
    ),
    ("text", "'ä\t\"\n😀'", "ä\t\"\n😀"),
    ("text", "''", ""),
    ("varchar(10)", "'abc'", "abc"),
    ("char(5)", "'abc'", "abc  "),
    ("name", "'n'", "n"),
    ("\"char\"", "'x'", "x"),
    ("bytea", "'\\x00ff41'", "\\x00ff41"),
    ("date", "'2026-01-31'", "2026-01-31"),
    ("date", "'0044-03-15 BC'", "0044-03-15 (BC)"),
    ("date", "'infinity'", "infinity"),
    ("date", "'-infinity'", "-infinity"),
    ("time", "'23:59:59.999999'", "23:59:59.999999"),
    ("time", "'24:00'", "24:00:00"),
    ("timetz", "'12:00:00.5+05:30'", "12:00:00.5+05:30"),
    (
        "timestamp",
        "'2017-09-13 07:28:19.664131'",
        "2017-09-13 07:28:19.664131",
    ),
    ("timestamp", "'infinity'", "infinity"),
    (
        "timestamptz",
        "'2026-01-31 23:00:00-05'",
        "2026-02-01 04:00:00+00",
    ),
    (
        "interval",
        "'1 year 2 mons 3 days 04:05:06.5'",
        "1 year 2 mons 3 days 04:05:06.5",
    ),
    ("interval", "'-00:00:00.000001'", "-00:00:00.000001"),
    (
        "uuid",
        "'A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11'",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    ),
    ("json", "'{\"a\": 1.0,  \"a\": 2}'", "{\"a\": 1.0,  \"a\": 2}"),
    ("jsonb", "'{\"a\":  [1e3, null]}'", "{\"a\": [1000, null]}"),
    ("integer[]", "'{{1,2},{3,null}}'", "{{1,2},{3,NULL}}"),
    ("text[]", "array['a,b', '\"', '']", "{\"a,b\",\"\\\"\",\"\"}"),
    ("mood", "'sehr gut'", "sehr gut"),
    ("int4range", "'[1,5)'", "[1,5)"),
    (
        "tstzrange",
        "'[2026-01-01 00:00+00,)'",
        "[\"2026-01-01 00:00:00+00\",)",
    ),
    ("nummultirange", "'{[1,2),[3,4)}'", "{[1,2),[3,4)}"),
    ("inet", "'192.168.0.1/24'", "192.168.0.1/24"),
    ("cidr", "'2001:db8::/32'", "2001:db8::/32"),
    ("macaddr", "'08:00:2b:01:02:03'", "08:00:2b:01:02:03"),
    ("positive", "7", "7"),
    ("pair", "row(1, 'a b')", "(1,\"a b\")"),
    ("money", "'-1234.56'", "-$1,234.56"),
    ("bit(3)", "B'101'", "101"),
    ("bit varying(8)", "B'1'", "1"),
    ("xml", "'<a>1</a>'", "<a>1</a>"),
    ("point", "'(1,2)'", "(1,2)"),
    ("tsvector", "'a fat cat'", "'a' 'cat' 'fat'"),
    ("oid", "4294967295", "4294967295"),
    ("regclass", "'pg_class'", "pg_class"),
    ("pg_lsn", "'16/B374D848'", "16/B374D848"),
    ("xid8", "'18446744073709551615'", "18446744073709551615"),
];

const SETUP: &str = "
    create type mood as enum ('sehr gut', 'schlecht');
    create domain positive as integer check (value > 0);
    create type pair as (a integer, b text);";

#[tokio::test(flavor = "multi_thread")]
async fn postgres_conforms() {
    let server = Server::start();
    server.run(SETUP);
    let url = server.url();
    conforms(Subject {
        kind: SourceKind::Postgres,
        url,
        admin: Box::new(move |sql| server.run(sql)),
        types: TYPES,
        slow: "select pg_sleep(300)",
        endless: "select n, md5(n::text) as text from (select generate_series(1, 50000000) as n) as rows",
        running: Some("select query from pg_stat_activity where state = 'active' and pid <> pg_backend_pid()"),
        cut: Some(|admin| {
            admin("select pg_terminate_backend(pid) from pg_stat_activity where query like '/* holistics job=%' and state = 'active'");
        }),
        syntax_error: "syntax error at or near \"from\" (line 2, column 3 of the SQL)",
        quote: '"',
    })
    .await;
}

/// A cluster in a temporary folder, reached by TCP on a free port and by a socket in that folder.
pub(in crate::connectors) struct Server {
    folder: TempDir,
    port: u16,
}

impl Server {
    pub(in crate::connectors) fn start() -> Self {
        Self::start_with("host all all all trust", false)
    }

    /// With these rules of who may come in how, and a certificate of its own if it is to speak TLS.
    pub(in crate::connectors) fn start_with(rules: &str, with_tls: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let server = Self { folder, port };
        if is_root() {
            succeed(Command::new("chown").arg("postgres").arg(server.folder.path()));
        }
        let data = server.data();
        let initdb = [
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "-D",
        ];
        succeed(program("initdb").args(initdb).arg(&data));
        let rules = format!("local all all trust\n{rules}\n");
        std::fs::write(data.join("pg_hba.conf"), rules).unwrap();
        let mut options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='{}' -c fsync=off",
            server.folder.path().display()
        );
        if with_tls {
            server.make_certificate();
            options.push_str(" -c ssl=on");
        }
        succeed(
            program("pg_ctl")
                .args(["start", "--wait", "--silent", "-D"])
                .arg(&data)
                .arg("-l")
                .arg(server.folder.path().join("log"))
                .args(["-o", &options]),
        );
        server
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What the server's certificate is signed by: itself.
    pub(in crate::connectors) fn certificate(&self) -> PathBuf {
        self.data().join("server.crt")
    }

    fn make_certificate(&self) {
        let key = self.data().join("server.key");
        let what = [
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ];
        let whose = ["-addext", "subjectAltName=DNS:localhost"];
        succeed(
            Command::new("openssl")
                .arg("req")
                .args(what)
                .args(whose)
                .arg("-keyout")
                .arg(&key)
                .arg("-out")
                .arg(self.certificate()),
        );
        if is_root() {
            succeed(Command::new("chown").arg("postgres").arg(&key));
        }
        succeed(Command::new("chmod").arg("600").arg(&key));
    }

    pub(in crate::connectors) fn url(&self) -> String {
        self.url_of("postgres@127.0.0.1", "postgres?sslmode=disable")
    }

    pub(in crate::connectors) fn url_of(&self, user_and_host: &str, rest: &str) -> String {
        format!("postgres://{user_and_host}:{}/{rest}", self.port)
    }

    /// What psql says.
    pub(in crate::connectors) fn run(&self, sql: &str) -> String {
        let flags = [
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            "postgres",
            "-p",
        ];
        succeed(
            Command::new("psql")
                .args(flags)
                .arg(self.port.to_string())
                .arg("-h")
                .arg(self.folder.path())
                .args(["-c", sql, "postgres"]),
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        succeed(
            program("pg_ctl")
                .args(["stop", "--mode=immediate", "--silent", "-D"])
                .arg(self.data()),
        );
    }
}

fn succeed(command: &mut Command) -> String {
    let output = command.current_dir("/").output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// One of the server's programs; they refuse to run as root.
fn program(name: &str) -> Command {
    let folder = succeed(Command::new("pg_config").arg("--bindir"));
    let path = PathBuf::from(folder.trim()).join(name);
    if !is_root() {
        return Command::new(path);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(path);
    command
}

pub(in crate::connectors) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}
