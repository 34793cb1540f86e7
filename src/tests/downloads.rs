//! Files in whole and in part.

use std::io::Read as _;

use axum::body::Body;
use axum::http::Method;
use axum::http::Request;
use futures::StreamExt as _;
use sha2::Digest as _;
use sha2::Sha256;
use tower::ServiceExt as _;

use crate::config::Config;
use crate::hex::hex;
use crate::tests::TestApp;

async fn app_with_file() -> (TestApp, String) {
    let app = TestApp::new().await;
    app.report("---\nid: 1\ntitle: \"Größe: 報告 / x\"\n---\nselect n from range(1000) as t(n) order by n")
        .await;
    let job_id = app.submit("/queries/1/submit_export.csv").await;
    app.run_pending_jobs().await;
    (app, format!("/exports/download?job_id={job_id}"))
}

#[tokio::test]
async fn parts_put_together_are_the_whole() {
    let (app, path) = app_with_file().await;
    let whole = app.get(&path).await;
    assert_eq!(whole.status, 200);
    let length = whole.body.len();
    assert_eq!(whole.header("content-length"), length.to_string());
    assert_eq!(whole.header("accept-ranges"), "bytes");
    let etag = whole.header("etag").to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    chrono::NaiveDateTime::parse_from_str(whole.header("last-modified"), "%a, %d %b %Y %H:%M:%S GMT")
        .unwrap();
    let mut joined = Vec::new();
    for start in (0..length).step_by(700) {
        let range = format!("bytes={start}-{}", start + 699);
        let part = app
            .get_with(&path, &[("Range", &range), ("If-Range", &etag)])
            .await;
        assert_eq!(part.status, 206);
        let end = (start + 700).min(length) - 1;
        assert_eq!(
            part.header("content-range"),
            format!("bytes {start}-{end}/{length}")
        );
        assert_eq!(part.header("content-length"), part.body.len().to_string());
        joined.extend_from_slice(&part.body);
    }
    assert_eq!(joined, whole.body);
    let tail = app.get_with(&path, &[("Range", "bytes=-4")]).await;
    assert_eq!(tail.text(), "999\n");
    let other = app
        .get_with(&path, &[("Range", "bytes=0-1"), ("If-Range", "\"other\"")])
        .await;
    assert_eq!(other.status, 200);
    assert_eq!(other.body, whole.body);
    let beyond = app
        .get_with(&path, &[("Range", &format!("bytes={length}-"))])
        .await;
    assert_eq!(beyond.status, 416);
    assert_eq!(beyond.header("content-range"), format!("bytes */{length}"));
}

#[tokio::test]
async fn head_tells_all_but_the_bytes() {
    let (app, path) = app_with_file().await;
    let whole = app.get(&path).await;
    let head = app
        .send(Method::HEAD, &path, &[("X-Holistics-Key", &app.key)], "")
        .await;
    assert_eq!(head.status, 200);
    assert!(head.body.is_empty());
    for name in [
        "content-length",
        "etag",
        "content-type",
        "content-disposition",
        "accept-ranges",
    ] {
        assert_eq!(head.header(name), whole.header(name), "{name}");
    }
}

#[tokio::test]
async fn client_that_has_the_file_gets_304() {
    let (app, path) = app_with_file().await;
    let etag = app.get(&path).await.header("etag").to_owned();
    for tags in [etag.clone(), format!("\"x\", {etag}"), "*".to_owned()] {
        let answer = app.get_with(&path, &[("If-None-Match", &tags)]).await;
        assert_eq!(answer.status, 304, "{tags}");
        assert!(answer.body.is_empty());
        assert_eq!(answer.header("etag"), etag);
    }
}

#[tokio::test]
async fn every_title_makes_a_good_file_name() {
    let (app, path) = app_with_file().await;
    let disposition = app.get(&path).await.header("content-disposition").to_owned();
    let (plain, encoded) = disposition.split_once("; filename*=UTF-8''").unwrap();
    assert!(
        plain.starts_with("attachment; filename=\"1-gr__e-__-x-2"),
        "{plain}"
    );
    assert!(
        encoded.starts_with("1-gr%C3%B6%C3%9Fe-%E5%A0%B1%E5%91%8A-x-2"),
        "{encoded}"
    );
    assert!(encoded.ends_with(".csv"), "{encoded}");
}

#[tokio::test]
async fn what_has_no_file() {
    let (app, path) = app_with_file().await;
    let no_file = r#"422 Unprocessable Entity {"errors":["Holistics::NotFound"]}"#;
    let not_found = r#"404 Not Found {"errors":["Resource not found"]}"#;
    let query = app.submit("/queries/1/submit_query.json").await;
    let queued = app.submit("/queries/1/submit_export.json").await;
    assert_eq!(
        app.get(&format!("/exports/download?job_id={queued}"))
            .await
            .line(),
        no_file
    );
    app.run_pending_jobs().await;
    assert_eq!(
        app.get(&format!("/exports/download?job_id={query}")).await.line(),
        no_file
    );
    assert_eq!(app.get("/exports/download?job_id=999").await.line(), not_found);
    assert_eq!(app.get("/exports/download?job_id=x").await.line(), not_found);
    let missing = app.get("/exports/download").await;
    assert_eq!(missing.status, 422);
    assert!(missing.text().contains("job_id"), "{}", missing.text());
    assert_eq!(app.get(&path).await.status, 200);
}

#[tokio::test]
async fn expired_file_is_gone_and_its_job_says_so() {
    let short_lived = |config: &mut Config| config.result_lifetime = std::time::Duration::ZERO;
    let app = TestApp::with_config(short_lived).await;
    app.report_sql("select 1 as n").await;
    let export = app.submit("/queries/1/submit_export.csv").await;
    app.run_pending_jobs().await;
    let expired = "the result has expired: run the report again";
    let poll = app
        .get(&format!("/queries/get_export_results.json?job_id={export}"))
        .await
        .json();
    assert_eq!(poll["status"], "failure");
    assert_eq!(poll["error"], expired);
    app.worker.sweep().await.unwrap();
    for folder in ["results", "exports", "tmp"] {
        assert_eq!(
            std::fs::read_dir(app.path().join(folder))
                .unwrap()
                .filter(|entry| entry.as_ref().unwrap().path().is_file())
                .count(),
            0
        );
    }
    let poll = app.get(&format!("/jobs/{export}/get_results.json")).await.json();
    assert_eq!(poll["error"], expired);
    let download = app.get(&format!("/exports/download?job_id={export}")).await;
    assert_eq!(download.status, 422);
}

#[tokio::test]
async fn client_that_takes_it_gets_the_compressed_copy() {
    let app = TestApp::new().await;
    app.report("---\nid: 1\ntitle: Test\ncache: 1h\n---\nselect range as n from range(20000)")
        .await;
    let plain = app.submit("/queries/1/submit_export.csv").await;
    app.run_pending_jobs().await;
    let path = format!("/exports/download?job_id={plain}");
    let takes = ("Accept-Encoding", "gzip, deflate");
    let before = app.get_with(&path, &[takes]).await;
    assert_eq!(
        (before.header("content-encoding"), before.status.as_u16()),
        ("", 200)
    );
    let gzip = app.submit("/queries/1/submit_export.csv?_compress=gzip").await;
    app.run_pending_jobs().await;
    let copy = app.get(&format!("/exports/download?job_id={gzip}")).await;
    assert_eq!(
        copy.header("content-encoding"),
        "",
        "a file of its own is not unpacked on the way"
    );

    let sent = app.get_with(&path, &[takes]).await;
    assert_eq!(sent.header("content-encoding"), "gzip");
    assert_eq!(sent.header("vary"), "accept-encoding");
    assert_eq!(sent.header("content-type"), before.header("content-type"));
    assert_eq!(
        sent.header("content-disposition"),
        before.header("content-disposition")
    );
    assert_eq!(sent.header("content-length"), copy.body.len().to_string());
    assert_ne!(sent.header("etag"), before.header("etag"));
    let mut unpacked = Vec::new();
    flate2::read::MultiGzDecoder::new(sent.body.as_slice())
        .read_to_end(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, before.body);

    assert_eq!(sent.header("accept-ranges"), "none");

    let refused = ("Accept-Encoding", "gzip;q=0");
    assert_eq!(app.get_with(&path, &[refused]).await.body, before.body);
    // Lengths and parts are of the plain file, whatever was sent before.
    let tag = ("If-Range", sent.header("etag"));
    for more in [vec![takes], vec![takes, tag]] {
        let part = app
            .get_with(&path, &[&more[..], &[("Range", "bytes=10-19")]].concat())
            .await;
        assert_eq!(part.header("content-encoding"), "");
        let expected = if more.len() == 1 {
            &before.body[10..20]
        } else {
            &before.body
        };
        assert_eq!(part.body, expected);
    }
    let key = ("X-Holistics-Key", app.key.as_str());
    let head = app.send(Method::HEAD, &path, &[key, takes], "").await;
    assert_eq!(head.header("content-length"), before.body.len().to_string());
    // What the client has is good, in either form.
    for etag in [before.header("etag"), sent.header("etag")] {
        let answer = app.get_with(&path, &[takes, ("If-None-Match", etag)]).await;
        assert_eq!((answer.status.as_u16(), answer.header("etag")), (304, etag));
        assert_eq!(answer.header("content-encoding"), "", "there is no content");
    }
    // A copy that was removed by hand is no reason to send nothing.
    for file in std::fs::read_dir(app.path().join("exports")).unwrap() {
        let file = file.unwrap().path();
        if file
            .file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with(&format!("{gzip}-"))
        {
            std::fs::remove_file(file).unwrap();
        }
    }
    let answer = app.get_with(&path, &[takes]).await;
    assert_eq!(
        (answer.header("content-encoding"), &answer.body),
        ("", &before.body)
    );
}

/// As large that it becomes a file, in several pieces.
const MANY: &str = "select range as n from range(300000) order by n";

#[tokio::test(flavor = "multi_thread")]
async fn file_that_is_followed_is_the_file() {
    for (format, sql) in [
        ("csv", MANY),
        ("arrow", MANY),
        ("parquet", MANY),
        ("csv", "select 1 as n"),
    ] {
        let app = TestApp::new().await;
        app.report_sql(sql).await;
        let job_id = app.submit(&format!("/queries/1/submit_export.{format}")).await;
        let path = format!("/exports/download?job_id={job_id}");
        assert_eq!(
            app.get(&format!("{path}&_follow=true")).await.status,
            422,
            "nothing yet"
        );
        let follow = format!("{path}&_follow=true&_wait=50");
        let (followed, ()) = tokio::join!(app.get(&follow), app.run_pending_jobs());
        assert_eq!(followed.status, 200, "{}", followed.text());
        let whole = app.get(&path).await;
        assert_eq!(followed.body, whole.body, "{format}");
        assert_eq!(followed.header("content-type"), whole.header("content-type"));
        assert_eq!(followed.header("etag"), whole.header("etag"));
        assert_eq!(followed.header("x-followed-job").is_empty(), sql != MANY);
        // A small one never grows: it is there at once, with its length.
        assert_eq!(
            followed.header("content-length").is_empty(),
            sql == MANY,
            "{format}"
        );
        let manifest = app.get(&format!("/jobs/{job_id}/manifest.json")).await.json();
        assert_eq!(manifest["sha256"], hex(&Sha256::digest(&whole.body)));
        // Now it is done.
        assert_eq!(app.get(&follow).await.header("etag"), whole.header("etag"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn file_that_does_not_become_whole_breaks_off() {
    let app = TestApp::new().await;
    app.report_sql("select range as n from range(1000000000000)")
        .await;
    let job_id = app.submit("/queries/1/submit_export.csv").await;
    let follow = format!("/exports/download?job_id={job_id}&_follow=true&_wait=50");
    let request = Request::get(&follow).header("X-Holistics-Key", &app.key);
    let following = async {
        let answer = app
            .router
            .clone()
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        let mut body = answer.into_body().into_data_stream();
        let first = body.next().await.unwrap().unwrap();
        assert!(first.starts_with(b"n\n0\n1\n"));
        app.worker.store.cancel(job_id).await.unwrap();
        let end = body.fold(Ok(()), async |end, piece| end.and(piece.map(drop)));
        end.await.unwrap_err()
    };
    let (error, ()) = tokio::join!(following, app.run_pending_jobs());
    assert!(error.to_string().contains("did not become whole"), "{error}");
    assert_eq!(app.get(&follow).await.status, 422);
    let wrong = app
        .get(&format!("/exports/download?job_id={job_id}&_follow=yes"))
        .await;
    assert_eq!(wrong.status, 422);
    assert!(
        wrong.text().contains("`_follow` must be `true` or `false`"),
        "{}",
        wrong.text()
    );
}
