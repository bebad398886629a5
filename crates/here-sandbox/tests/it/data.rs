//! What lies behind a token, and what tells whether a token holds.

use here_sandbox::{APP_ID, Fault};
use serde_json::json;

use crate::support::{JSON, NOW, Running};

#[tokio::test]
async fn hello_greets_requests_with_a_token() {
    let running = Running::start().await;
    let token = running.token().await;
    running.advance(100);
    let answer = running.get("/hello", &[("Authorization", &format!("Bearer {token}"))]).await;
    assert_eq!(answer.status, 200);
    let expected = json!({
        "greeting": "Hello from the HERE sandbox", "appId": APP_ID, "secondsLeft": 3500
    });
    assert_eq!(answer.json(), expected);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));

    let scoped = running
        .post_token(
            &running.signer().header(&[]),
            JSON,
            r#"{"grantType":"client_credentials","scope":"openid"}"#,
        )
        .await;
    let token = scoped.json()["accessToken"].as_str().unwrap().to_owned();
    assert_eq!(
        running.get("/hello", &[("Authorization", &format!("bearer {token}"))]).await.json()["scope"],
        "openid"
    );
}

#[tokio::test]
async fn hello_challenges_requests_without_a_token() {
    let running = Running::start().await;
    let challenge = async |headers: &[(&str, &str)]| {
        let answer = running.get("/hello", headers).await;
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("*"),
            "a page must be able to read the refusal"
        );
        (answer.refusal(), answer.header("www-authenticate").unwrap().to_owned())
    };
    let none = ((401, 401_200), "Bearer realm=\"here-sandbox\"".to_owned());
    assert_eq!(challenge(&[]).await, none);
    assert_eq!(challenge(&[("Authorization", "Basic YTpi")]).await, none);
    assert_eq!(challenge(&[("Authorization", "Bearer ")]).await, none);

    let foreign = challenge(&[("Authorization", "Bearer not-a-token")]).await;
    assert_eq!(foreign.0, (401, 400_601));
    assert!(
        foreign.1.contains("error=\"invalid_token\"") && foreign.1.contains("not issued"),
        "{}",
        foreign.1
    );

    let bearer = format!("Bearer {}", running.token().await);
    running.advance(3600);
    let expired = challenge(&[("Authorization", &bearer)]).await;
    assert_eq!(expired.0, (401, 400_601));
    assert!(expired.1.contains("expired"), "{}", expired.1);
    assert_eq!(challenge(&[("Authorization", &bearer), ("Authorization", &bearer)]).await, none);
}

#[tokio::test]
async fn preflight_lets_a_page_send_a_token() {
    let running = Running::start().await;
    running.sandbox.faults().inject(Fault {
        target: here_sandbox::Target::All,
        status: Some(500),
        count: Some(1),
        ..Fault::default()
    });
    let headers = [
        ("Origin", "https://maps.example.com"),
        ("Access-Control-Request-Method", "GET"),
        ("Access-Control-Request-Headers", "authorization"),
        ("Access-Control-Request-Private-Network", "true"),
    ];
    let answer = running.send("OPTIONS", "/hello", &headers, "").await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-private-network"), Some("true"));
    assert!(answer.header("access-control-allow-headers").unwrap().contains("Authorization"));
    assert_eq!(running.sandbox.faults().list().len(), 1, "a preflight uses up no fault");
}

#[tokio::test]
async fn only_data_are_open_to_every_page() {
    let running = Running::start().await;
    for target in ["/timestamp", "/sandbox/stats", "/oauth2/token"] {
        let answer = running.get(target, &[("Origin", "https://maps.example.com")]).await;
        assert_eq!(answer.header("access-control-allow-origin"), None, "{target}");
    }
}

#[tokio::test]
async fn verify_accepts_a_token_that_holds_and_refuses_others() {
    let running = Running::start().await;
    let token = running.token().await;
    let verify = async |bearer: &str, body: &str| {
        let authorization = format!("Bearer {bearer}");
        running
            .send(
                "POST",
                "/verify/accessToken?sentWith=x",
                &[("Authorization", &authorization), ("Content-Type", JSON)],
                body,
            )
            .await
    };
    let body = json!({ "token": token }).to_string();
    let good = verify(&token, &body).await;
    assert_eq!((good.status, good.body.len()), (204, 0));
    assert_eq!(verify("other", &body).await.refusal(), (401, 400_601));
    assert_eq!(verify(&token, r#"{"token":"other"}"#).await.refusal(), (401, 400_601));
    assert_eq!(verify(&token, "{}").await.refusal(), (400, 400_002));
    let anonymous = running.send("POST", "/verify/accessToken", &[("Content-Type", JSON)], &body).await;
    assert_eq!(anonymous.refusal(), (401, 401_200));
    running.advance(3600);
    assert_eq!(verify(&token, &body).await.refusal(), (401, 400_601));
}

#[tokio::test]
async fn timestamp_and_date_follow_the_sandboxs_clock() {
    let running = Running::start().await;
    let answer = running.get("/timestamp", &[]).await;
    assert_eq!(answer.json(), json!({ "timestamp": NOW }));
    assert_eq!(answer.header("date"), Some("Fri, 15 Jan 2027 08:00:00 GMT"));
    running.advance(61);
    let answer = running.get("/timestamp", &[]).await;
    assert_eq!(answer.json()["timestamp"], NOW + 61);
    assert_eq!(answer.header("date"), Some("Fri, 15 Jan 2027 08:01:01 GMT"));
}
