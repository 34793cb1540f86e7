//! MariaDB, a server of the test's own.

use std::io::BufRead as _;
use std::io::BufReader;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use tempfile::TempDir;

use crate::connectors::conformance::Subject;
use crate::connectors::conformance::conforms;
use crate::connectors::conformance::postgres::free_port;
use crate::source::SourceKind;

const TYPES: &[(&str, &str, &str)] = &[
    ("tinyint", "-128", "-128"),
    ("tinyint unsigned", "255", "255"),
    ("boolean", "true", "1"),
    ("smallint", "-32768", "-32768"),
    ("smallint unsigned", "65535", "65535"),
    ("mediumint", "-8388608", "-8388608"),
    ("mediumint unsigned", "16777215", "16777215"),
    ("int", "-2147483648", "-2147483648"),
    ("int unsigned", "4294967295", "4294967295"),
    ("int(5) zerofill", "42", "42"),
    ("bigint", "-9223372036854775808", "-9223372036854775808"),
    ("bigint unsigned", "18446744073709551615", "18446744073709551615"),
    ("float", "0.1", "0.1"),
    ("float", "-3.4028234e38", "-3.4028235e38"),
    ("double", "0.1", "0.1"),
    ("double", "1.7976931348623157e308", "1.7976931348623157e308"),
    ("double", "5e-324", "5e-324"),
    ("decimal(12,2)", "-1234567890.10", "-1234567890.10"),
    ("decimal(5,0)", "12345", "12345"),
    ("decimal(5,5) unsigned", "0.12345", "0.12345"),
    ("decimal(10,3) zerofill", "1.5", "1.500"),
    ("decimal(18,2)", "-9999999999999999.99", "-9999999999999999.99"),
    ("decimal(19,2)", "99999999999999999.99", "99999999999999999.99"),
    (
        "decimal(38,10)",
        "-9999999999999999999999999999.9999999999",
        "-9999999999999999999999999999.9999999999",
    ),
    (
        "decimal(39,0)",
        "999999999999999999999999999999999999999",
        "999999999999999999999999999999999999999",
    ),
    (
        "decimal(65,30)",
        "-99999999999999999999999999999999999.000000000000000000000000000001",
        "-99999999999999999999999999999999999.000000000000000000000000000001",
    ),
    ("bit(1)", "b'1'", "true"),
    ("bit(1)", "b'0'", "false"),
    ("bit(9)", "b'100000001'", "257"),
    ("bit(64)", "0xffffffffffffffff", "18446744073709551615"),
    ("year", "2155", "2155"),
    ("year", "0", "0"),
    ("date", "'9999-12-31'", "9999-12-31"),
    ("date", "'0001-01-01'", "0001-01-01"),
    ("datetime", "'2026-01-31 23:59:59'", "2026-01-31 23:59:59"),
    (
        "datetime(6)",
        "'1000-01-01 00:00:00.000001'",
        "1000-01-01 00:00:00.000001",
    ),
    (
        "datetime(3)",
        "'2026-01-31 00:00:00.500'",
        "2026-01-31 00:00:00.5",
    ),
    (
        "timestamp(6) null",
        "'1970-01-01 00:00:01.5'",
        "1970-01-01 00:00:01.5",
    ),
    ("time", "'838:59:59'", "838:59:59"),
    ("time(6)", "'-838:59:59.999999'", "-838:59:59.999999"),
    ("time(3)", "'-00:00:00.5'", "-00:00:00.500"),
    ("time", "'00:00:00'", "00:00:00"),
    ("time(2)", "'00:00:00'", "00:00:00.00"),
    ("char(5)", "'abc  '", "abc"),
    ("varchar(20)", "'ä\\t\\\"\\n😀'", "ä\t\"\n😀"),
    ("varchar(5)", "''", ""),
    ("varchar(20) character set latin1", "'größe'", "größe"),
    ("varchar(20) character set utf16", "'日本'", "日本"),
    ("tinytext", "'t'", "t"),
    ("text", "'t'", "t"),
    ("mediumtext", "repeat('ü', 4)", "üüüü"),
    ("longtext", "'t'", "t"),
    ("enum('sehr gut', 'schlecht')", "'sehr gut'", "sehr gut"),
    ("set('a', 'b', 'c')", "'c,a'", "a,c"),
    ("json", "'{\"a\":  [1.0, null]}'", "{\"a\":  [1.0, null]}"),
    ("binary(3)", "'a'", "\\x610000"),
    ("varbinary(4)", "0x00ff41", "\\x00ff41"),
    ("tinyblob", "0x00", "\\x00"),
    ("blob", "''", "\\x"),
    ("longblob", "0xff", "\\xff"),
    (
        "uuid",
        "'A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11'",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    ),
    ("inet6", "'2001:DB8::1'", "2001:db8::1"),
    ("inet4", "'192.168.0.1'", "192.168.0.1"),
    (
        "point",
        "point(1, 2)",
        "\\x000000000101000000000000000000f03f0000000000000040",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_conforms() {
    let Some(server) = Server::start() else {
        return;
    };
    let url = server.url();
    conforms(Subject {
        kind: SourceKind::Mysql,
        url,
        admin: Box::new(move |sql| server.run(sql)),
        types: TYPES,
        slow: "select sleep(300)",
        endless: "select seq as n, md5(seq) as text from seq_1_to_50000000",
        running: Some("select info from information_schema.processlist where info is not null and id <> connection_id()"),
        cut: Some(|admin| {
            let kills = admin("select concat('kill ', id, ';') from information_schema.processlist where info like '/* holistics job=%'");
            admin(&kills);
        }),
        syntax_error: "near 'from nowhere where' at line 2",
        quote: '`',
    })
    .await;
}

/// A server in a temporary folder, reached by TCP on a free port and by a socket in that folder.
/// Its administrator is `root`, who has no password.
pub(in crate::connectors) struct Server {
    folder: TempDir,
    port: u16,
    child: Child,
}

impl Server {
    /// Without a MariaDB on the machine there is none, but in CI there must be.
    pub(in crate::connectors) fn start() -> Option<Self> {
        Self::start_with(|_| Vec::new())
    }

    /// With more options, which may be files in the server's folder.
    pub(in crate::connectors) fn start_with(options: impl FnOnce(&Path) -> Vec<String>) -> Option<Self> {
        let Some(program) = [
            "/usr/sbin/mariadbd",
            "/usr/bin/mariadbd",
            "/usr/local/bin/mariadbd",
        ]
        .into_iter()
        .find(|path| Path::new(path).exists()) else {
            assert!(std::env::var_os("CI").is_none(), "CI needs a MariaDB server");
            println!("skipped: there is no MariaDB server on this machine");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let data = folder.path().join("data");
        let mut common = vec![
            "--no-defaults".to_owned(),
            format!("--datadir={}", data.display()),
            // A server that starts removes what others have in theirs.
            format!("--tmpdir={}", folder.path().display()),
        ];
        let options = options(folder.path());
        if rustix::process::geteuid().is_root() {
            succeed(Command::new("chown").args(["-R", "mysql"]).arg(folder.path()));
            common.push("--user=mysql".to_owned());
        }
        succeed(Command::new("mariadb-install-db").args(&common).args([
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
        ]));
        let mut child = Command::new(program)
            .args(&common)
            .arg(format!("--socket={}", folder.path().join("socket").display()))
            .arg(format!("--port={port}"))
            .args(["--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=0"])
            .args(["--character-set-server=utf8mb4", "--skip-log-bin"])
            .args(options)
            .current_dir("/")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut told = String::new();
        loop {
            let line = log.next().unwrap_or_else(|| panic!("{told}")).unwrap();
            if line.contains("ready for connections") {
                break;
            }
            told.push_str(&line);
            told.push('\n');
        }
        // What it says later would otherwise hold it up.
        std::thread::spawn(move || log.for_each(drop));
        let server = Self { folder, port, child };
        server.run_in("mysql", "create database test character set utf8mb4");
        Some(server)
    }

    pub(in crate::connectors) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(in crate::connectors) fn port(&self) -> u16 {
        self.port
    }

    pub(in crate::connectors) fn url(&self) -> String {
        format!("mysql://root@127.0.0.1:{}/test?sslmode=disable", self.port)
    }

    /// What the client says.
    pub(in crate::connectors) fn run(&self, sql: &str) -> String {
        self.run_in("test", sql)
    }

    fn run_in(&self, database: &str, sql: &str) -> String {
        let mut client = Command::new("mariadb");
        client
            .args(["--no-defaults", "--batch", "--skip-column-names", "--user=root"])
            .arg("--default-character-set=utf8mb4")
            .arg(format!(
                "--socket={}",
                self.folder.path().join("socket").display()
            ))
            .args(["-e", sql, database]);
        succeed(&mut client)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

pub(in crate::connectors) fn succeed(command: &mut Command) -> String {
    let output = command.current_dir("/").output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
