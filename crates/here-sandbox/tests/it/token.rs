//! Requests that HERE would grant are granted, in both body forms and header layouts, with HERE's answers.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use here_sandbox::{APP_ID, SignatureForm};
use serde_json::Value;

use crate::support::{FORM, JSON, NOW, PLAIN_JSON, Running, Signer};

const PROJECT: &str = "hrn:here:authorization::rlm0000:project/my-project-0000";

#[tokio::test]
async fn json_request_gets_a_camel_case_answer() {
    let running = Running::start().await;
    let answer = running.ask().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json();
    let keys: Vec<_> = body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["accessToken", "expiresIn", "tokenType"]);
    assert_eq!((&body["tokenType"], &body["expiresIn"]), (&"bearer".into(), &3599.into()));

    let claims = running.sandbox.verify_token(body["accessToken"].as_str().unwrap()).unwrap();
    assert_eq!((claims.issued_at, claims.expires_at, claims.scope), (NOW, NOW + 3600, None));
}

#[tokio::test]
async fn form_request_gets_a_snake_case_answer_with_its_scope() {
    let running = Running::start().await;
    let fields = [("grant_type", "client_credentials"), ("expires_in", "15"), ("scope", PROJECT)];
    let body = "scope=hrn%3Ahere%3Aauthorization%3A%3Arlm0000%3Aproject%2Fmy-project-0000&expires_in=15&grant_type=client_credentials";
    let answer = running.post_token(&running.signer().header(&fields), FORM, body).await;
    assert_eq!(answer.status, 200);
    let body = answer.json();
    assert_eq!(
        (&body["token_type"], &body["expires_in"], &body["scope"]),
        (&"bearer".into(), &14.into(), &PROJECT.into())
    );
    let claims = running.sandbox.verify_token(body["access_token"].as_str().unwrap()).unwrap();
    assert_eq!(claims.scope.as_deref(), Some(PROJECT));
    assert!(body.get("accessToken").is_none());
}

#[tokio::test]
async fn header_of_the_java_sdk_is_accepted() {
    let running = Running::start().await;
    let mut parts = running.signer().header_parts(&[("grant_type", "client_credentials")]);
    // Key, method, signature, timestamp, nonce, version; a space after each comma.
    parts = [0, 2, 5, 3, 1, 4].map(|index: usize| parts[index].clone()).to_vec();
    let answer = running
        .post_token(&format!("OAuth {}", parts.join(", ")), FORM, "grant_type=client_credentials")
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn lifetime_follows_heres_rules() {
    let running = Running::start().await;
    let cases = [
        ("", 86_399),
        (r#","expiresIn":0"#, 86_399),
        (r#","expiresIn":90000"#, 86_399),
        (r#","expiresIn":60"#, 59),
        (r#","expiresIn":1"#, 0),
    ];
    for (field, expected) in cases {
        let body = format!(r#"{{"grantType":"client_credentials"{field}}}"#);
        let answer = running.post_token(&running.signer().header(&[]), JSON, &body).await.json();
        assert_eq!(answer["expiresIn"], expected, "{field}");
        let claims = running.sandbox.verify_token(answer["accessToken"].as_str().unwrap()).unwrap();
        assert_eq!(claims.expires_at - claims.issued_at, expected + 1);
    }
}

#[tokio::test]
async fn token_header_can_be_read_as_at_here() {
    let running = Running::start().await;
    let token = running.token().await;
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    let expected = serde_json::json!({
        "alg": "RS512", "cty": "JWT", "iss": "HERE", "aid": APP_ID, "iat": NOW, "exp": NOW + 3600, "kid": "j1"
    });
    assert_eq!(header, expected);
    assert!((840..=860).contains(&token.len()), "{}", token.len());
}

#[tokio::test]
async fn query_of_the_javascript_sdk_is_part_of_the_signature() {
    let running = Running::start().await;
    let target = "/oauth2/token?sentWith=OLP-TS-SDK-1.11.0";
    let send = async |authorization: String| {
        running
            .send("POST", target, &[("Authorization", &authorization), ("Content-Type", JSON)], PLAIN_JSON)
            .await
    };
    let answer = send(running.signer().header(&[("sentWith", "OLP-TS-SDK-1.11.0")])).await;
    assert_eq!(answer.status, 200);
    assert_eq!(running.sandbox.stats().last_signature_form, Some(SignatureForm::Rfc5849));
    assert_eq!(send(running.signer().header(&[])).await.refusal(), (401, 401_300));
}

#[tokio::test]
async fn query_left_in_the_base_url_is_accepted_and_shown() {
    let running = Running::start().await;
    let mut signer = running.signer();
    signer.url.push_str("?tenant=a");
    let headers = [("Authorization", &*signer.header(&[])), ("Content-Type", JSON)];
    let answer = running.send("POST", "/oauth2/token?tenant=a", &headers, PLAIN_JSON).await;
    assert_eq!(answer.status, 200);
    assert_eq!(running.sandbox.stats().last_signature_form, Some(SignatureForm::QueryInBaseUrl));
}

#[tokio::test]
async fn signature_is_for_the_host_header_over_plain_http() {
    let running = Running::start().await;
    let send = async |url: &str, extra: &[(&str, &str)]| {
        let authorization = Signer::new(url, NOW).header(&[]);
        let mut headers = vec![("Authorization", authorization.as_str()), ("Content-Type", JSON)];
        headers.extend(extra);
        running.send("POST", "/oauth2/token", &headers, PLAIN_JSON).await.status
    };
    assert_eq!(send("http://here.test/oauth2/token", &[("Host", "HERE.test:80")]).await, 200);
    assert_eq!(send("http://here.test:8080/oauth2/token", &[("Host", "here.test:8080")]).await, 200);
    assert_eq!(send("https://here.test/oauth2/token", &[("Host", "here.test")]).await, 401);
    let forwarded = [("Host", "here.test"), ("X-Forwarded-Proto", "https"), ("Forwarded", "proto=https")];
    assert_eq!(send("https://here.test/oauth2/token", &forwarded).await, 401);
}

#[tokio::test]
async fn access_key_is_rotated_without_a_gap() {
    let running = Running::start().await;
    let ask_with_second = async || {
        let signer = Signer { key_id: "second".into(), secret: "s\\ec ret".into(), ..running.signer() };
        running.post_token(&signer.header(&[]), JSON, PLAIN_JSON).await
    };
    assert_eq!(ask_with_second().await.refusal(), (401, 401_300));
    running.sandbox.add_access_key("second", "s\\ec ret");
    let token = running.token().await;
    assert_eq!(ask_with_second().await.status, 200);
    assert_eq!(running.sandbox.stats().last_access_key_id.as_deref(), Some("second"));

    assert!(running.sandbox.remove_access_key(crate::support::KEY_ID));
    assert_eq!(running.ask().await.refusal(), (401, 401_300));
    assert_eq!(ask_with_second().await.status, 200);
    assert!(running.sandbox.verify_token(&token).is_ok(), "a token outlives its key");
}

#[tokio::test]
async fn token_survives_a_restart_with_the_same_credential() {
    let token = Running::start().await.token().await;
    let again = Running::start().await;
    assert!(again.sandbox.verify_token(&token).is_ok());
    let other = Running::start_with(|config| config.access_key_secret = "other".into()).await;
    assert!(other.sandbox.verify_token(&token).is_err());
}

#[tokio::test]
async fn stats_tell_what_was_asked() {
    let running = Running::start().await;
    let authorization = running.signer().header(&[]);
    let headers = [
        ("Authorization", authorization.as_str()),
        ("Content-Type", JSON),
        ("User-Agent", "probe/1"),
        ("X-Correlation-ID", "c-1"),
    ];
    let answer = running.send("POST", "/oauth2/token", &headers, PLAIN_JSON).await;
    assert_eq!((answer.status, answer.header("x-correlation-id")), (200, Some("c-1")));
    running.send("POST", "/oauth2/token", &headers, PLAIN_JSON).await;
    let stats = running.sandbox.stats();
    assert_eq!((stats.token_requests, stats.tokens_issued, stats.faults_applied), (2, 1, 0));
    assert_eq!(stats.refused.into_iter().collect::<Vec<_>>(), [(401_207, 1)]);
}

#[tokio::test]
async fn correlation_id_is_made_up_where_none_fits() {
    let running = Running::start().await;
    let id = async |headers: &[(&str, &str)]| {
        let answer = running.get("/timestamp", headers).await;
        answer.header("x-correlation-id").expect("an id").to_owned()
    };
    assert_eq!(id(&[]).await.len(), 36);
    assert_ne!(id(&[]).await, id(&[]).await);
    assert_eq!(id(&[("X-Correlation-ID", "two words")]).await.len(), 36);
    assert_eq!(id(&[("X-Correlation-ID", &"x".repeat(129))]).await.len(), 36);
}
