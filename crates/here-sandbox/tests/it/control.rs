//! The control endpoint: for this machine alone, and clear about what it does not understand.

use serde_json::{Value, json};

use crate::support::{Answer, Running};

async fn put(running: &Running, body: &str) -> Answer {
    running.send("PUT", "/sandbox/faults", &[("Content-Type", "application/json")], body).await
}

#[tokio::test]
async fn faults_are_put_shown_and_cleared() {
    let running = Running::start().await;
    assert_eq!(running.get("/sandbox/faults", &[]).await.json(), json!([]));

    let one = put(&running, r#"{"status": 503, "count": 2}"#).await;
    assert_eq!((one.status, one.json()), (200, json!([{ "target": "token", "status": 503, "count": 2 }])));
    assert_eq!(running.ask().await.status, 503);
    assert_eq!(running.get("/sandbox/faults", &[]).await.json()[0]["count"], 1);

    let many = put(&running, r#"[{"status": 429, "retry_after": 1, "count": 1}, {"lifetime_s": 5}]"#).await;
    assert_eq!(many.json().as_array().unwrap().len(), 2, "they take the place of the first");
    assert_eq!(running.ask().await.status, 429);
    assert_eq!(running.ask().await.json()["expiresIn"], 5);

    assert_eq!(running.send("DELETE", "/sandbox/faults", &[], "").await.status, 204);
    assert_eq!(running.get("/sandbox/faults", &[]).await.json(), json!([]));
    assert_eq!(running.ask().await.json()["expiresIn"], 3599);
}

#[tokio::test]
async fn what_is_not_understood_changes_nothing_and_is_named() {
    let running = Running::start().await;
    put(&running, r#"{"status": 503}"#).await;
    let cases = [
        (r#"{"statsu": 500}"#, "unknown field `statsu`"),
        (r#"[{"status": 500}, {"hangup": true}]"#, "unknown field `hangup`"),
        (r#"{"status": 99}"#, "status must be from 200 to 599"),
        ("", "EOF"),
        ("7", "invalid type"),
    ];
    for (body, expected) in cases {
        let answer = put(&running, body).await;
        assert_eq!(answer.status, 400, "{body}");
        let description = answer.json()["error_description"].as_str().unwrap().to_owned();
        assert!(description.contains(expected), "{body}: {description}");
    }
    let too_large = put(&running, &" ".repeat(64 * 1024 + 1)).await;
    assert_eq!((too_large.status, &too_large.json()["error"]), (413, &"invalid_request".into()));
    assert_eq!(running.get("/sandbox/faults", &[]).await.json()[0]["status"], 503);
}

#[tokio::test]
async fn stats_are_json_without_a_secret() {
    let running = Running::start().await;
    let token = running.token().await;
    let answer = running.get("/sandbox/stats", &[]).await;
    let stats = answer.json();
    assert_eq!((&stats["token_requests"], &stats["tokens_issued"]), (&1.into(), &1.into()));
    assert_eq!(stats["last_signature_form"], "rfc5849");
    let text = String::from_utf8_lossy(&answer.body);
    assert!(!text.contains(crate::support::SECRET) && !text.contains(&token));
}

#[tokio::test]
async fn other_hosts_and_foreign_pages_are_turned_away() {
    let running = Running::start().await;
    let port = running.address.port();
    let denied: [&[(&str, &str)]; 5] = [
        &[("Host", "sandbox.example.com")],
        &[("Origin", "https://maps.example.com")],
        &[("Origin", "null")],
        &[("Sec-Fetch-Site", "cross-site")],
        &[("X-Forwarded-For", "203.0.113.7")],
    ];
    for headers in denied {
        for (method, target) in [
            ("GET", "/sandbox/faults"),
            ("PUT", "/sandbox/faults"),
            ("DELETE", "/sandbox/faults"),
            ("GET", "/sandbox/stats"),
        ] {
            let answer = running.send(method, target, headers, r#"{"status": 500}"#).await;
            assert_eq!(answer.status, 403, "{method} {target} {headers:?}");
            assert_eq!(answer.json()["error"], Value::from("access_denied"));
        }
    }
    assert!(running.sandbox.faults().list().is_empty());
    let own_page = format!("http://localhost:{port}");
    let answer =
        running.send("PUT", "/sandbox/faults", &[("Host", "localhost"), ("Origin", &own_page)], "{}").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn page_of_this_machine_may_make_and_end_faults() {
    let running = Running::start().await;
    // What a browser says of a page at `localhost` that asks `127.0.0.1`.
    let from = [("Origin", "http://localhost:3000"), ("Sec-Fetch-Site", "cross-site")];
    let preflight =
        [("Access-Control-Request-Method", "PUT"), ("Access-Control-Request-Headers", "content-type")];
    let answer = running.send("OPTIONS", "/sandbox/faults", &[&from[..], &preflight].concat(), "").await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!(answer.header("access-control-allow-origin"), Some("http://localhost:3000"));
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET, PUT, DELETE"));
    assert_eq!(answer.header("access-control-allow-headers"), Some("Content-Type"));

    let answer = running.send("PUT", "/sandbox/faults", &from, r#"{"status": 503}"#).await;
    assert_eq!((answer.status, answer.header("vary")), (200, Some("Origin")));
    assert_eq!(answer.header("access-control-allow-origin"), Some("http://localhost:3000"));
    assert_eq!(running.sandbox.faults().list().len(), 1);
    assert_eq!(running.send("POST", "/sandbox/faults", &from, "").await.refusal(), (405, 0));

    let foreign = [("Origin", "https://maps.example.com"), preflight[0], preflight[1]];
    let answer = running.send("OPTIONS", "/sandbox/faults", &foreign, "").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (403, None));
}

#[tokio::test]
async fn control_endpoint_never_misbehaves() {
    let running = Running::start().await;
    put(&running, r#"{"target": "all", "status": 500}"#).await;
    assert_eq!(running.get("/sandbox/faults", &[]).await.status, 200);
    assert_eq!(running.get("/timestamp", &[]).await.status, 500);
    assert_eq!(running.send("DELETE", "/sandbox/faults", &[], "").await.status, 204);
    assert_eq!(running.get("/timestamp", &[]).await.status, 200);
}
