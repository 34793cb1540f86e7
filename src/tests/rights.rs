//! What keys and users open: sharing, pinned values, limits, links, the audit.

use axum::http::Method;

use crate::access::KeyTerms;
use crate::access::Role;
use crate::access::Scope;
use crate::api_key::PlainKey;
use crate::http::auth::Peer;
use crate::tests::Answer;
use crate::tests::TestApp;
use crate::tests::add_key_with;

const TENANTS: &str = "---
id: 1
title: Tenants
cache: 1h
filters:
  tenant: {type: number, required: true}
---
select {{ tenant }} as tenant, random() as r";

impl TestApp {
    async fn key_with(&self, user_id: i64, terms: KeyTerms) -> String {
        let (_, key) = add_key_with(&self.worker, user_id, &terms).await;
        key.reveal().to_owned()
    }

    async fn get_as(&self, key: &str, path: &str) -> Answer {
        self.send_as(key, Method::GET, path, "").await
    }

    async fn send_as(&self, key: &str, method: Method, path: &str, body: &str) -> Answer {
        self.send(method, path, &[("X-Holistics-Key", key)], body.to_owned())
            .await
    }

    /// How many things a list has for a key.
    async fn count_as(&self, key: &str, path: &str) -> usize {
        self.get_as(key, path).await.json().as_array().unwrap().len()
    }

    async fn submit_as(&self, key: &str, path: &str) -> i64 {
        let answer = self.get_as(key, path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()["job_id"].as_i64().unwrap()
    }

    async fn user(&self, email: &str, role: Role) -> i64 {
        let store = &self.worker.store;
        store.add_user(email, email, role, true).await.unwrap().id
    }
}

fn pinned(tenant: &str) -> KeyTerms {
    KeyTerms {
        pins: [("tenant".to_owned(), vec![tenant.to_owned()])].into(),
        ..KeyTerms::default()
    }
}

#[tokio::test]
async fn a_report_is_for_those_whom_it_is_shared_with_and_so_is_all_of_it() {
    let app = TestApp::new().await;
    app.report("---\nid: 1\ntitle: One\n---\nselect 1 as n").await;
    let bob = app.user("bob@example.com", Role::Viewer).await;
    let bob = app.key_with(bob, KeyTerms::default()).await;
    let store = &app.worker.store;
    let query = app.submit_as(&bob, "/queries/1/submit_query.json").await;
    let export = app.submit_as(&bob, "/queries/1/submit_export.csv").await;
    app.run_pending_jobs().await;
    let all = [
        "/queries/1/submit_query.json".to_owned(),
        "/queries/1/submit_export.csv".to_owned(),
        "/queries/1.json".to_owned(),
        format!("/queries/get_query_results.json?job_id={query}"),
        format!("/queries/get_export_results.json?job_id={export}"),
        format!("/exports/download?job_id={export}"),
        format!("/jobs/{export}/logs.json"),
        format!("/jobs/{export}/manifest.json"),
        format!("/jobs/{export}/events"),
        format!("/jobs/{export}.json"),
    ];
    store
        .set_group("sales", &["bob@example.com".to_owned()])
        .await
        .unwrap();
    for (shared_with, expected) in [
        (vec!["everyone"], 200),
        (vec![], 404),
        (vec!["bob@example.com"], 200),
        (vec!["ann@example.com"], 404),
        (vec!["ann@example.com", "group:sales"], 200),
    ] {
        let shared_with: Vec<String> = shared_with.iter().map(|name| (*name).to_owned()).collect();
        store.set_shares(1, &shared_with, None).await.unwrap();
        for path in &all {
            let answer = app.get_as(&bob, path).await;
            assert_eq!(
                answer.status,
                expected,
                "{shared_with:?} {path}: {}",
                answer.text()
            );
        }
        let listed = app.get_as(&bob, "/queries.json").await.json();
        assert_eq!(listed.as_array().unwrap().len(), usize::from(expected == 200));
        let jobs = app.get_as(&bob, "/jobs.json").await.json();
        assert_eq!(
            !jobs.as_array().unwrap().is_empty(),
            expected == 200,
            "{shared_with:?}"
        );
    }
    store.set_group("sales", &[]).await.unwrap();
    assert_eq!(app.get_as(&bob, &all[0]).await.status, 404);
    assert!(
        store
            .set_shares(1, &["group:none".to_owned()], None)
            .await
            .is_err()
    );
    let mut shares = store.shares(1).await.unwrap();
    shares.sort();
    assert_eq!(shares, ["ann@example.com", "group:sales"]);
}

#[tokio::test]
async fn analysts_make_share_and_delete_their_own_reports() {
    let app = TestApp::new().await;
    let ann = app.key.clone();
    let other = app.user("other@example.com", Role::Analyst).await;
    let other = app.key_with(other, KeyTerms::default()).await;
    let file =
        |sql: &str| serde_json::json!({"file": format!("---\nid: 5\ntitle: Mine\n---\n{sql}")}).to_string();
    let send = async |key: &str, method: Method, path: &str, body: String| {
        app.send(method, path, &[("X-Holistics-Key", key)], body)
            .await
            .line()
    };
    let made = send(&ann, Method::POST, "/queries.json", file("select 1 as n")).await;
    assert_eq!(made, r#"200 OK {"id":5,"status":"created"}"#);
    let changed = send(&ann, Method::PUT, "/queries/5-mine.json", file("select 2 as n")).await;
    assert_eq!(changed, r#"200 OK {"id":5,"status":"changed"}"#);
    let wrong = send(&ann, Method::POST, "/queries.json", file("select {{ x }}")).await;
    assert!(wrong.starts_with("422") && wrong.contains("file:5:"), "{wrong}");
    // Nobody else sees it, nor takes its number.
    assert_eq!(app.get_as(&other, "/queries/5.json").await.status, 404);
    assert!(
        send(&other, Method::PUT, "/queries/5.json", file("select 3 as n"))
            .await
            .starts_with("404")
    );
    assert!(
        send(&other, Method::POST, "/queries.json", file("select 3 as n"))
            .await
            .starts_with("403")
    );
    let share = r#"{"shared_with":["everyone"]}"#.to_owned();
    let shared = send(&ann, Method::PUT, "/queries/5/shares.json", share.clone()).await;
    assert_eq!(shared, format!("200 OK {share}"));
    // Shared is not given away.
    let shown = app.get_as(&other, "/queries/5.json").await.json();
    assert_eq!((&shown["version"], shown.get("sql")), (&2.into(), None));
    assert!(
        send(&other, Method::DELETE, "/queries/5.json", String::new())
            .await
            .starts_with("403")
    );
    let shown = app.get("/queries/5.json").await.json();
    assert_eq!(
        (shown["sql"].as_str(), &shown["shared_with"][0]),
        (Some("select 2 as n"), &"everyone".into())
    );
    let deleted = send(&ann, Method::DELETE, "/queries/5.json", String::new()).await;
    assert_eq!(deleted, r#"200 OK {"id":5,"status":"deleted"}"#);
    assert_eq!(app.get("/queries/5.json").await.status, 404);
}

#[tokio::test]
async fn pinned_values_cannot_be_changed_and_keep_rows_apart() {
    let app = TestApp::new().await;
    app.report(TENANTS).await;
    let one = app.key_with(app.user.id, pinned("1")).await;
    let two = app.key_with(app.user.id, pinned("2")).await;
    let submit = "/queries/1/submit_query.json";
    let of_one = app.submit_as(&one, submit).await;
    let of_two = app.submit_as(&two, submit).await;
    let of_all = app.submit(&format!("{submit}?tenant=1")).await;
    assert!(
        of_one != of_two && of_one != of_all,
        "pinned work is joined by nobody else"
    );
    app.run_pending_jobs().await;
    let poll = |job_id: i64| format!("/queries/get_query_results.json?job_id={job_id}");
    assert_eq!(app.get_as(&one, &poll(of_one)).await.json()["values"][0][0], "1");
    assert_eq!(app.get_as(&two, &poll(of_two)).await.json()["values"][0][0], "2");
    // Of the same user, and yet.
    for (key, job_id) in [(&one, of_two), (&two, of_one), (&one, of_all)] {
        assert_eq!(app.get_as(key, &poll(job_id)).await.status, 404);
    }
    assert_eq!(app.count_as(&one, "/jobs.json").await, 1);
    assert_eq!(
        app.get(&poll(of_two)).await.status,
        200,
        "an open key of the user sees both"
    );
    // A fresh result is for keys with the same pins alone.
    assert_eq!(app.submit_as(&one, submit).await, of_one);
    for path in [
        format!("{submit}?tenant=2"),
        format!("{submit}?tenant[]=1&tenant[]=2"),
    ] {
        let answer = app.get_as(&one, &path).await;
        assert_eq!(answer.status, 403, "{path}");
        assert!(
            answer
                .text()
                .contains("filter `tenant` has its value from the key")
        );
    }
    let body = app
        .send(
            Method::POST,
            submit,
            &[("X-Holistics-Key", &one)],
            r#"{"tenant": 2}"#,
        )
        .await;
    assert_eq!(body.status, 403);
    app.report("---\nid: 2\ntitle: Open\n---\nselect 1").await;
    let answer = app.get_as(&one, "/queries/2/submit_query.json").await;
    assert_eq!(answer.status, 403, "a report that the pin does not narrow");
    for path in ["/feeds.json", "/data_imports/import_csv.json"] {
        let answer = app
            .send(Method::POST, path, &[("X-Holistics-Key", &one)], "{}")
            .await;
        assert!([403, 422].contains(&answer.status.as_u16()), "{path}");
    }
}

#[tokio::test]
async fn a_pinned_value_stays_where_an_optional_block_goes() {
    let app = TestApp::new().await;
    app.report(
        "---\nid: 1\ntitle: Orders\nfilters:\n  tenant: {type: number}\n  since: {type: number, default: 0}\n---\n\
         select n from range(10) t(n) where 1=1 [[and n = {{ tenant }} and n >= {{ since }}]]",
    )
    .await;
    let key = app.key_with(app.user.id, pinned("7")).await;
    let submit = "/queries/1/submit_query.json";
    app.submit_as(&key, submit).await;
    let answer = app.get_as(&key, &format!("{submit}?since=")).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert!(
        answer
            .text()
            .contains("this key pins filter `tenant`, which report `1` does not use"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn what_is_behind_a_report_is_for_keys_that_may_change_it() {
    let app = TestApp::new().await;
    app.report(TENANTS).await;
    let admin = app.user("root@example.com", Role::Administrator).await;
    let scoped = |scopes: &[Scope]| KeyTerms {
        scopes: Some(scopes.to_vec()),
        ..KeyTerms::default()
    };
    for (terms, open) in [
        (scoped(&[Scope::Run, Scope::Read]), false),
        (pinned("1"), false),
        (scoped(&[Scope::Read, Scope::ReportsWrite]), true),
    ] {
        let key = app.key_with(admin, terms).await;
        for report in [
            app.get_as(&key, "/queries/1.json").await.json(),
            app.get_as(&key, "/queries.json").await.json()[0].clone(),
        ] {
            assert_eq!(
                report.get("sql").is_some_and(|sql| sql.is_string()),
                open,
                "{report}"
            );
            assert_eq!(
                report.get("shared_with").is_some_and(|with| with.is_array()),
                open
            );
        }
    }
}

#[tokio::test]
async fn an_administrators_key_is_for_others_only_with_its_scope() {
    let app = TestApp::new().await;
    app.report(TENANTS).await;
    let job = app.submit("/queries/1/submit_query.json?tenant=1").await;
    let feed = app
        .post(
            "/feeds.json",
            r#"{"report_id":1,"format":"csv","filters":{"tenant":["1"]}}"#,
        )
        .await;
    assert_eq!(feed.status, 200, "{}", feed.text());
    let admin = app.user("root@example.com", Role::Administrator).await;
    let scopes = |scopes: &[Scope]| KeyTerms {
        scopes: Some(scopes.to_vec()),
        ..KeyTerms::default()
    };
    let of_report = KeyTerms {
        reports: Some(vec![1]),
        ..KeyTerms::default()
    };
    for (terms, sees) in [
        (scopes(&[Scope::Run, Scope::Read]), false),
        (of_report, false),
        (KeyTerms::default(), true),
    ] {
        let key = app.key_with(admin, terms.clone()).await;
        let status = if sees { 200 } else { 404 };
        for path in [format!("/jobs/{job}.json"), format!("/jobs/{job}/manifest.json")] {
            let answer = app.get_as(&key, &path).await;
            assert_eq!(answer.status == 404, !sees, "{path} {}", answer.text());
        }
        assert_eq!(app.count_as(&key, "/jobs.json").await, usize::from(sees));
        if terms.reports.is_none() {
            assert_eq!(app.count_as(&key, "/feeds.json").await, usize::from(sees));
            let rotated = app
                .send_as(&key, Method::POST, "/feeds/1/rotate.json", "{}")
                .await;
            assert_eq!(rotated.status, status, "{}", rotated.text());
        }
        let cancel = format!("/jobs/{job}/cancel.json");
        let cancelled = app.send_as(&key, Method::PUT, &cancel, "").await;
        assert_eq!(cancelled.status, status, "{}", cancelled.text());
    }
}

#[tokio::test]
async fn secret_values_of_a_feed_are_its_owners() {
    let app = TestApp::new().await;
    app.report(
        "---\nid: 1\ntitle: T\nfilters:\n  code: {type: text, secret: true}\n  plain: {type: text}\n---\n\
         select {{ code }} as a, {{ plain }} as b",
    )
    .await;
    let asked = r#"{"report_id":1,"format":"csv","filters":{"code":["s3cret"],"plain":["p"]}}"#;
    assert_eq!(app.post("/feeds.json", asked).await.status, 200);
    assert!(app.get("/feeds.json").await.text().contains("s3cret"));
    let admin = app.user("root@example.com", Role::Administrator).await;
    let admin = app.key_with(admin, KeyTerms::default()).await;
    let listed = app.get_as(&admin, "/feeds.json").await;
    assert_eq!(listed.json()[0]["filters"], serde_json::json!({"plain": ["p"]}));
    let changed = app
        .send_as(&admin, Method::PUT, "/feeds/1.json", r#"{"is_paused":true}"#)
        .await;
    assert!(
        changed.status == 200 && !changed.text().contains("s3cret"),
        "{}",
        changed.text()
    );
}

#[tokio::test]
async fn long_values_are_not_written_down_again_with_every_use() {
    let app = TestApp::new().await;
    app.report("---\nid: 1\ntitle: T\nfilters:\n  x: {type: text}\n---\nselect {{ x }} as x")
        .await;
    let long = format!(r#"{{"x": "{}"}}"#, "x".repeat(100_000));
    let answer = app.post("/queries/1/submit_query.json", &long).await;
    let job = answer.json()["job_id"].as_i64().unwrap();
    app.put(&format!("/jobs/{job}/cancel.json")).await;
    app.submit("/queries/1/submit_query.json?x=short").await;
    app.worker.store.write_records().await.unwrap();
    let records: Vec<Option<String>> =
        sqlx::query_scalar("select filter_values from audit where job_id is not null order by id")
            .fetch_all(&mut app.metadata().await)
            .await
            .unwrap();
    assert_eq!(records, [None, None, Some(r#"{"x":"short"}"#.to_owned())]);
}

#[tokio::test]
async fn refusals_of_json_routes_are_json_and_kept_by_no_cache() {
    let app = TestApp::with_config(|config| config.request_bytes_max = bytesize::ByteSize::kib(64)).await;
    let answer = app.post("/feeds.json", &" ".repeat(70_000)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("cache-control")),
        (413, "no-store")
    );
    assert!(
        answer.json()["errors"][0]
            .as_str()
            .unwrap()
            .contains("`request_bytes_max`"),
        "{}",
        answer.text()
    );
    for path in [
        "/queries.json",
        "/jobs.json",
        "/queries/99/submit_export.csv",
        "/nowhere",
    ] {
        let answer = app.get(path).await;
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
    }
}

#[tokio::test]
async fn a_key_of_some_reports_opens_no_others() {
    let app = TestApp::new().await;
    app.report("---\nid: 1\ntitle: One\n---\nselect 1").await;
    app.report("---\nid: 2\ntitle: Two\n---\nselect 2").await;
    let terms = KeyTerms {
        reports: Some(vec![2]),
        ..KeyTerms::default()
    };
    let key = app.key_with(app.user.id, terms).await;
    let other = app.submit("/queries/1/submit_query.json").await;
    assert_eq!(app.get_as(&key, "/queries/1/submit_query.json").await.status, 404);
    assert_eq!(app.get_as(&key, &format!("/jobs/{other}.json")).await.status, 404);
    let own = app.submit_as(&key, "/queries/2/submit_query.json").await;
    assert_eq!(app.get_as(&key, &format!("/jobs/{own}.json")).await.status, 200);
    assert_eq!(app.count_as(&key, "/jobs.json").await, 1);
}

#[tokio::test]
async fn keys_have_a_rate_jobs_and_an_end() {
    let app = TestApp::new().await;
    app.report("---\nid: 1\ntitle: One\nfilters:\n  n: {type: number, default: 1}\n---\nselect {{ n }}")
        .await;
    let narrow = |change: &dyn Fn(&mut KeyTerms)| {
        let mut terms = KeyTerms::default();
        change(&mut terms);
        terms
    };
    let rate = app
        .key_with(app.user.id, narrow(&|terms| terms.rate_max = Some(3)))
        .await;
    for _ in 0..3 {
        assert_eq!(app.get_as(&rate, "/users/info.json").await.status, 200);
    }
    let over = app.get_as(&rate, "/users/info.json").await;
    assert_eq!(over.status, 429);
    assert_eq!(
        (
            over.header("x-ratelimit-limit"),
            over.header("x-ratelimit-remaining")
        ),
        ("3", "0")
    );
    let seconds: u64 = over.header("retry-after").parse().unwrap();
    assert!((1..=61).contains(&seconds) && over.header("x-ratelimit-reset") == over.header("retry-after"));

    let jobs = app
        .key_with(app.user.id, narrow(&|terms| terms.jobs_max = Some(1)))
        .await;
    app.submit_as(&jobs, "/queries/1/submit_query.json?n=1").await;
    let second = app.get_as(&jobs, "/queries/1/submit_query.json?n=2").await;
    assert_eq!((second.status.as_u16(), second.header("retry-after")), (429, "5"));
    assert!(
        second.text().contains("this key has 1 job under way"),
        "{}",
        second.text()
    );
    // One that is under way can be asked for again.
    app.submit_as(&jobs, "/queries/1/submit_query.json?n=1").await;
    app.run_pending_jobs().await;
    // At the same moment too.
    let paths: Vec<String> = (2..10)
        .map(|n| format!("/queries/1/submit_query.json?n={n}"))
        .collect();
    let answers = futures::future::join_all(paths.iter().map(|path| app.get_as(&jobs, path))).await;
    let taken = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(taken, 1);

    let store = &app.worker.store;
    let terms = narrow(&|terms| terms.scopes = Some(vec![Scope::Read]));
    let (id, old) = add_key_with(&app.worker, app.user.id, &terms).await;
    let new = PlainKey::generate().unwrap();
    store.rotate_key(id, &new.hash(), 3_600_000_000).await.unwrap();
    for key in [old.reveal(), new.reveal()] {
        assert_eq!(app.get_as(key, "/users/info.json").await.status, 200);
        assert_eq!(
            app.get_as(key, "/queries/1/submit_query.json").await.status,
            403,
            "the scopes are the same"
        );
    }
    let newer = PlainKey::generate().unwrap();
    store.rotate_key(id, &newer.hash(), 0).await.unwrap();
    assert_eq!(app.get_as(old.reveal(), "/users/info.json").await.status, 422);
    assert!(
        store
            .rotate_key(id, &PlainKey::generate().unwrap().hash(), 0)
            .await
            .is_err(),
        "it is over"
    );
}

#[tokio::test]
async fn wrong_keys_from_one_address_are_slowed_down() {
    let app =
        TestApp::with_config(|config| config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await;
    let from = async |address: &str, key: &str| {
        let mut request = axum::http::Request::builder()
            .uri("/users/info.json")
            .header("X-Holistics-Key", key)
            .header("X-Forwarded-For", format!("203.0.113.9, {address}"))
            .body(axum::body::Body::empty())
            .unwrap();
        request
            .extensions_mut()
            .insert(Peer("127.0.0.1".parse().unwrap()));
        app.request(request).await.status.as_u16()
    };
    for _ in 0..30 {
        assert_eq!(from("198.51.100.1", "wrong").await, 422);
    }
    assert_eq!(from("198.51.100.1", "wrong").await, 429);
    assert_eq!(
        from("198.51.100.1", &app.key).await,
        200,
        "who has a key is not shut out"
    );
    assert_eq!(
        from("198.51.100.2", &app.key).await,
        200,
        "others are not held up"
    );
}

#[tokio::test]
async fn who_may_not_export_reads_pages() {
    let app = TestApp::new().await;
    app.report_sql("select 1 as n").await;
    let job_id = app.submit("/queries/1/submit_export.csv").await;
    app.run_pending_jobs().await;
    app.worker
        .store
        .set_can_export("ann@example.com", false)
        .await
        .unwrap();
    for path in [
        "/queries/1/submit_export.csv".to_owned(),
        format!("/exports/download?job_id={job_id}"),
        format!("/queries/get_export_results.json?job_id={job_id}"),
        format!("/jobs/{job_id}/get_results.json"),
    ] {
        let answer = app.get(&path).await;
        assert_eq!(answer.status, 403, "{path}");
    }
    assert_eq!(app.page().await["values"][0][0], "1");
}

#[tokio::test]
async fn a_link_needs_no_key_for_a_while_and_no_character_of_it_can_be_changed() {
    let app = TestApp::new().await;
    app.report_sql("select 1 as n").await;
    let job_id = app.submit("/queries/1/submit_export.csv").await;
    app.run_pending_jobs().await;
    let poll = format!("/queries/get_export_results.json?job_id={job_id}");
    let link = app.get(&poll).await.json()["export"]["http_path"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = &link[link.find("/exports").unwrap()..];
    let get = async |path: &str| app.send(Method::GET, path, &[], "").await;
    assert_eq!(get(path).await.text(), "n\n1\n");
    let query = path.find('?').unwrap() + 1;
    for (at, character) in path.char_indices().skip(query) {
        let other = match character {
            '0'..='8' => char::from(character as u8 + 1),
            '9' | 'f' => '0',
            _ => 'b',
        };
        if other == character {
            continue;
        }
        let mut changed = path.to_owned();
        changed.replace_range(at..=at, &other.to_string());
        let status = get(&changed).await.status.as_u16();
        let is_named = path[query..at].rsplit('&').next().unwrap().contains('=');
        match is_named {
            true => assert_eq!(status, 403, "{changed}"),
            // The name of a parameter: what is left is no link.
            false => assert!([401, 403].contains(&status), "{changed}: {status}"),
        }
    }
    // Of a second ago, and signed as it should be.
    let expires = crate::store::now_us() / 1_000_000 - 1;
    let key = app
        .worker
        .store
        .make_signing_key(expires / 86_400, 0, &[7; 32])
        .await
        .unwrap();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key);
    let tag = ring::hmac::sign(
        &key,
        format!("download {job_id} {} {expires}", app.user.id).as_bytes(),
    );
    let signature = crate::hex::hex(tag.as_ref());
    let late = format!(
        "/exports/download?job_id={job_id}&user_id={}&expires={expires}&signature={signature}",
        app.user.id
    );
    let answer = get(&late).await;
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("the link is over"), "{}", answer.text());
    // It lends what its user may at this moment.
    let store = &app.worker.store;
    store.set_shares(1, &[], None).await.unwrap();
    assert_eq!(get(path).await.status, 404);
    store.set_shares(1, &["everyone".to_owned()], None).await.unwrap();
    store.set_can_export("ann@example.com", false).await.unwrap();
    assert_eq!(get(path).await.status, 403);
}

#[tokio::test]
async fn the_audit_says_who_took_what() {
    let app = TestApp::new().await;
    app.report(
        "---\nid: 1\ntitle: One\nfilters:\n  n: {type: number}\n  s: {type: text, secret: true, default: x}\n---
         select {{ n }} as n, {{ s }} as s from range(3)",
    )
    .await;
    let admin = app.key_of("root@example.com", Role::Administrator).await;
    let query = app.submit("/queries/1/submit_query.json?n=5&s=hidden").await;
    let export = app.submit("/queries/1/submit_export.csv?n=5&s=hidden").await;
    app.run_pending_jobs().await;
    app.get(&format!(
        "/queries/get_query_results.json?job_id={query}&_page_size=2&_page=2"
    ))
    .await;
    let file = app.get(&format!("/exports/download?job_id={export}")).await;
    app.get("/users.json").await;
    app.send(
        Method::GET,
        "/users/info.json",
        &[("X-Holistics-Key", "wrong")],
        "",
    )
    .await;
    let records = app.get_as(&admin, "/audit.json").await;
    assert!(!records.text().contains("hidden") && !records.text().contains(&app.key));
    let records = records.json();
    let told: Vec<(&str, i64, Option<i64>, Option<i64>)> = records
        .as_array()
        .unwrap()
        .iter()
        .map(|record| {
            (
                record["action"].as_str().unwrap(),
                record["status"].as_i64().unwrap(),
                record["job_id"].as_i64(),
                record["rows"].as_i64(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("run", 200, Some(query), None),
            ("export", 200, Some(export), None),
            ("read", 200, Some(query), Some(1)),
            ("download", 200, Some(export), Some(3)),
            ("refused", 403, None, None),
            ("wrong key", 422, None, None),
        ]
    );
    let download = &records[3];
    assert_eq!(download["bytes"], file.body.len());
    assert_eq!(download["filter_values"], serde_json::json!({"n": "5"}));
    assert_eq!(
        (&download["user_id"], &download["report_version"]),
        (&app.user.id.into(), &1.into())
    );
    let after = app
        .get_as(&admin, &format!("/audit.json?last_id={}", records[4]["id"]))
        .await;
    assert_eq!(after.json()[0]["action"], "wrong key");
    let metadata = app.path().join("metadata.sqlite");
    let metadata = rusqlite::Connection::open(metadata).unwrap();
    assert!(
        metadata
            .execute("update audit set action = 'nothing'", [])
            .is_err()
    );
}

#[tokio::test]
async fn what_a_key_may_not_it_may_not_by_another_way() {
    let app = TestApp::new().await;
    app.report(TENANTS).await;
    let scoped = |scope: Scope| KeyTerms {
        scopes: Some(vec![scope]),
        ..KeyTerms::default()
    };
    let run = app.key_with(app.user.id, scoped(Scope::Run)).await;
    let submit = "/queries/1/submit_query.json?tenant=1";
    assert_eq!(app.get_as(&run, submit).await.status, 200);
    assert_eq!(
        app.get_as(&run, &format!("{submit}&_wait=1")).await.status,
        403,
        "that would be reading"
    );
    let feed = r#"{"report_id":1,"format":"csv","filters":{"tenant":["1"]}}"#;
    let made = app
        .send(Method::POST, "/feeds.json", &[("X-Holistics-Key", &run)], feed)
        .await;
    assert_eq!(made.status, 403);
    // A pin without a value narrows nothing.
    app.report("---\nid: 2\ntitle: Two\nfilters:\n  tenant: {type: text}\n---\nselect 1 where true [[and {{ tenant }} = '1']]")
        .await;
    for empty in ["", " ", ","] {
        let key = app.key_with(app.user.id, pinned(empty)).await;
        assert_eq!(
            app.get_as(&key, "/queries/2/submit_query.json").await.status,
            403,
            "{empty:?}"
        );
    }
}

#[tokio::test]
async fn a_feed_ends_with_the_key_that_made_it_and_goes_on_when_that_is_rotated() {
    let app = TestApp::new().await;
    app.report_sql("select 1 as n").await;
    let store = &app.worker.store;
    let (id, key) = add_key_with(&app.worker, app.user.id, &KeyTerms::default()).await;
    let made = app
        .send(
            Method::POST,
            "/feeds.json",
            &[("X-Holistics-Key", key.reveal())],
            r#"{"report_id":1,"format":"csv","max_age":900}"#,
        )
        .await;
    let url = made.json()["url"].as_str().unwrap().to_owned();
    let path = &url[url.find("/feeds").unwrap()..];
    let status = async || app.send(Method::GET, path, &[], "").await.status.as_u16();
    app.submit("/queries/1/submit_export.csv").await;
    app.run_pending_jobs().await;
    let new = PlainKey::generate().unwrap();
    let (new_id, _) = store.rotate_key(id, &new.hash(), 0).await.unwrap();
    assert_eq!(status().await, 200, "the old key is over, the new one is not");
    store.revoke_key(new_id).await.unwrap();
    assert_eq!(status().await, 404);
}

#[tokio::test]
async fn numbers_of_reports_are_not_taken_from_others() {
    let app = TestApp::new().await;
    let send = async |id: i64| {
        let file = serde_json::json!({"file": format!("---\nid: {id}\ntitle: Mine\n---\nselect 1 as n")});
        app.post("/queries.json", &file.to_string()).await
    };
    // What the operator applies is the operator's, whoever had the number before.
    assert_eq!(send(5).await.status, 200);
    app.worker
        .store
        .set_shares(5, &["everyone".to_owned()], None)
        .await
        .unwrap();
    let official =
        crate::query::file::parse_report("5.sql", "---\nid: 5\ntitle: Official\n---\nselect 2 as n").unwrap();
    app.worker
        .store
        .apply_reports(&[official], None, false)
        .await
        .unwrap();
    assert_eq!(send(5).await.status, 403);
    assert_eq!(
        app.get("/queries/5.json").await.status,
        404,
        "nor is it shared as it was"
    );
    // A removed one's jobs and keys may still be there.
    app.worker.store.remove_report(5, None).await.unwrap();
    let refused = send(5).await;
    assert_eq!(refused.status, 409);
    assert!(
        refused.text().contains("report `5` was removed"),
        "{}",
        refused.text()
    );
}

#[tokio::test]
async fn addresses_behind_proxies_cannot_be_chosen() {
    let app =
        TestApp::with_config(|config| config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await;
    let terms = KeyTerms {
        addresses: vec!["10.0.0.0/8".parse().unwrap()],
        ..KeyTerms::default()
    };
    let key = app.key_with(app.user.id, terms).await;
    for (forwarded, expected) in [
        (&b"10.1.2.3"[..], 200),
        (b"10.1.2.3:5123", 200),
        (b"192.0.2.1, 10.1.2.3, 127.0.0.2", 200),
        (b"10.1.2.3, 192.0.2.1:51234", 403),
        (b"10.1.2.3, [2001:db8::1]:51234", 403),
        (b"10.1.2.3, unknown", 403),
        (b"10.1.2.3, \xff", 403),
        (b"", 403),
    ] {
        let mut request = axum::http::Request::builder()
            .uri("/users/info.json")
            .header("X-Holistics-Key", &key)
            .header(
                "X-Forwarded-For",
                axum::http::HeaderValue::from_bytes(forwarded).unwrap(),
            )
            .body(axum::body::Body::empty())
            .unwrap();
        request
            .extensions_mut()
            .insert(Peer("127.0.0.1".parse().unwrap()));
        let answer = app.request(request).await;
        assert_eq!(
            answer.status.as_u16(),
            expected,
            "{}",
            String::from_utf8_lossy(forwarded)
        );
    }
}

#[tokio::test]
async fn whose_report_it_is_decides_when_it_is_changed() {
    let app = TestApp::new().await;
    let store = &app.worker.store;
    let report =
        crate::query::file::parse_report("5.sql", "---\nid: 5\ntitle: Mine\n---\nselect 1 as n").unwrap();
    store
        .apply_reports(std::slice::from_ref(&report), Some(&app.user), false)
        .await
        .unwrap();
    let add = async |email: &str, role| store.add_user(email, email, role, true).await.unwrap();
    let other = add("other@example.com", Role::Analyst).await;
    let root = add("root@example.com", Role::Administrator).await;
    let everyone = ["everyone".to_owned()];
    let reports = std::slice::from_ref(&report);
    // As they were when they asked, these two would be allowed; as they are, one of them is.
    store.set_role("root@example.com", Role::Analyst).await.unwrap();
    for by in [&other, &root] {
        for refused in [
            store.set_shares(5, &everyone, Some(by)).await.unwrap_err(),
            store.remove_report(5, Some(by)).await.unwrap_err(),
            store.apply_reports(reports, Some(by), false).await.unwrap_err(),
        ] {
            assert_eq!(refused.code, crate::error::ErrorCode::Forbidden, "{}", by.email);
        }
    }
    store
        .set_role("root@example.com", Role::Administrator)
        .await
        .unwrap();
    store.set_shares(5, &everyone, Some(&root)).await.unwrap();
    store.set_shares(5, &[], Some(&app.user)).await.unwrap();
    store.remove_report(5, Some(&app.user)).await.unwrap();
    let gone = store.remove_report(5, None).await.unwrap_err();
    assert_eq!(gone.code, crate::error::ErrorCode::NotFound);
}

#[tokio::test]
async fn a_key_of_reports_sees_no_sources() {
    let app = TestApp::new().await;
    let of_report = KeyTerms {
        reports: Some(vec![1]),
        ..KeyTerms::default()
    };
    for (terms, count, status) in [
        (of_report, 0, 404),
        (pinned("1"), 0, 404),
        (KeyTerms::default(), 1, 200),
    ] {
        let key = app.key_with(app.user.id, terms).await;
        assert_eq!(app.count_as(&key, "/data_sources.json").await, count);
        assert_eq!(app.get_as(&key, "/data_sources/1.json").await.status, status);
    }
}

#[tokio::test]
async fn a_key_that_is_rotated_again_passes_its_own_terms_on() {
    let app = TestApp::new().await;
    let store = &app.worker.store;
    let hash = || PlainKey::generate().unwrap().hash();
    let hour = 3_600_000_000;
    let end = crate::store::now_us() + 1_000 * hour;
    let terms = KeyTerms {
        expires_at: Some(end),
        ..KeyTerms::default()
    };
    let old = store.add_key(app.user.id, "old", &hash(), &terms).await.unwrap();
    let expires_at = async |id: i64| {
        let keys = store.keys().await.unwrap();
        let key = keys.into_iter().find(|key| key.id == id).unwrap();
        key.terms.expires_at.unwrap()
    };
    let (first, over_at) = store.rotate_key(old, &hash(), hour).await.unwrap();
    assert_eq!((expires_at(first).await, expires_at(old).await), (end, over_at));
    // A longer grace than the first is none.
    let (second, again) = store.rotate_key(old, &hash(), 24 * hour).await.unwrap();
    assert_eq!(again, over_at);
    assert_eq!((expires_at(second).await, expires_at(old).await), (end, over_at));
    // Nor is one beyond the key's own end.
    let (_, own_end) = store.rotate_key(first, &hash(), 10_000 * hour).await.unwrap();
    assert_eq!(own_end, end);
}
