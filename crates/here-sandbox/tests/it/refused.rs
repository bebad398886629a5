//! Every reason to refuse a token request has HERE's status and code.

use here_sandbox::APP_ID;

use crate::support::{FORM, JSON, KEY_ID, PLAIN_JSON, Running, Signer};

#[tokio::test]
async fn each_mistake_in_the_authorization_has_its_own_code() {
    let running = Running::start().await;
    let with = |change: &dyn Fn(&mut Signer)| {
        let mut signer = running.signer();
        change(&mut signer);
        signer.header(&[])
    };
    let good = with(&|_| {});
    let at = |offset: i64| with(&|signer| signer.timestamp = (running.now() + offset).to_string());
    let cases = [
        (good.replace("OAuth", "Basic"), 401_202),
        (good.replace(",oauth_version=\"1.0\"", ""), 401_202),
        (format!("{good},oauth_nonce=\"x\""), 401_202),
        (good.replace("oauth_timestamp=\"", "oauth_timestamp=\"x"), 401_202),
        (with(&|signer| signer.nonce = "a/b".into()), 401_202),
        (at(-301), 401_204),
        (at(301), 401_204),
        (at(1800), 401_204),
        (with(&|signer| signer.timestamp = "99999999999999999999".into()), 401_204),
        (with(&|signer| signer.method = "HMAC-SHA1".into()), 401_205),
        (with(&|signer| signer.method = "PLAINTEXT".into()), 401_205),
        (with(&|signer| signer.version = "2.0".into()), 401_206),
        (with(&|signer| signer.secret.push('x')), 401_300),
        (with(&|signer| signer.secret.clear()), 401_300),
        (with(&|signer| signer.key_id = "unknown".into()), 401_300),
        (with(&|signer| signer.url.push('x')), 401_300),
        (good.replace("%3D\"", "%3E\""), 401_300),
        (with(&|signer| signer.key_id = APP_ID.to_owned()), 401_310),
    ];
    for (authorization, code) in cases {
        let answer = running.post_token(&authorization, JSON, PLAIN_JSON).await;
        assert_eq!(answer.refusal(), (401, code), "{authorization}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    for offset in [-300, 300] {
        assert_eq!(running.post_token(&at(offset), JSON, PLAIN_JSON).await.status, 200, "{offset}");
    }
    assert_eq!(running.sandbox.stats().refused.values().sum::<u64>(), 18);
}

#[tokio::test]
async fn missing_or_repeated_authorization_is_told_apart() {
    let running = Running::start().await;
    let none = running.send("POST", "/oauth2/token", &[("Content-Type", JSON)], PLAIN_JSON).await;
    assert_eq!(none.refusal(), (401, 401_200));
    let good = running.signer().header(&[]);
    let twice = [("Authorization", &*good), ("Authorization", &*good), ("Content-Type", JSON)];
    assert_eq!(running.send("POST", "/oauth2/token", &twice, PLAIN_JSON).await.refusal(), (401, 401_202));
}

#[tokio::test]
async fn nonce_is_good_for_one_request() {
    let running = Running::start().await;
    let authorization = running.signer().header(&[]);
    assert_eq!(running.post_token(&authorization, JSON, PLAIN_JSON).await.status, 200);
    assert_eq!(running.post_token(&authorization, JSON, PLAIN_JSON).await.refusal(), (401, 401_207));
    running.advance(300);
    assert_eq!(running.post_token(&authorization, JSON, PLAIN_JSON).await.refusal(), (401, 401_207));
    running.advance(1);
    assert_eq!(running.post_token(&authorization, JSON, PLAIN_JSON).await.refusal(), (401, 401_204));
}

#[tokio::test]
async fn wrong_signature_uses_up_no_nonce() {
    let running = Running::start().await;
    let signer = running.signer();
    let forged = Signer { secret: "guess".into(), ..signer.clone() };
    assert_eq!(running.post_token(&forged.header(&[]), JSON, PLAIN_JSON).await.refusal(), (401, 401_300));
    assert_eq!(running.post_token(&signer.header(&[]), JSON, PLAIN_JSON).await.status, 200);
}

#[tokio::test]
async fn form_fields_must_be_signed_and_json_must_not() {
    let running = Running::start().await;
    let fields = [("grant_type", "client_credentials")];
    let unsigned =
        running.post_token(&running.signer().header(&[]), FORM, "grant_type=client_credentials").await;
    assert_eq!(unsigned.refusal(), (401, 401_300));
    let more = "grant_type=client_credentials&scope=openid";
    assert_eq!(
        running.post_token(&running.signer().header(&fields), FORM, more).await.refusal(),
        (401, 401_300)
    );
    assert_eq!(
        running.post_token(&running.signer().header(&fields), JSON, PLAIN_JSON).await.refusal(),
        (401, 401_300)
    );
}

#[tokio::test]
async fn broken_escape_in_the_query_is_a_mismatch() {
    let running = Running::start().await;
    let authorization = running.signer().header(&[]);
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", JSON)];
    let answer = running.send("POST", "/oauth2/token?a=%zz", &headers, PLAIN_JSON).await;
    assert_eq!(answer.refusal(), (401, 401_300));
    assert!(answer.json()["sandboxHint"].as_str().unwrap().contains("broken percent-escape"));
}

#[tokio::test]
async fn oauth_parameters_belong_in_the_header_alone() {
    let running = Running::start().await;
    let fields = [("grant_type", "client_credentials"), ("oauth_nonce", "x")];
    let body = "grant_type=client_credentials&oauth_nonce=x";
    assert_eq!(
        running.post_token(&running.signer().header(&fields), FORM, body).await.refusal(),
        (401, 401_202)
    );
    let authorization = running.signer().header(&[("oauth_token", "t")]);
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", JSON)];
    let answer = running.send("POST", "/oauth2/token?oauth_token=t", &headers, PLAIN_JSON).await;
    assert_eq!(answer.refusal(), (401, 401_202));
}

#[tokio::test]
async fn each_mistake_in_the_body_has_its_own_code() {
    let running = Running::start().await;
    let post = async |content_type: &str, body: &str| {
        running.post_token(&running.signer().header(&[]), content_type, body).await
    };
    assert_eq!(post(JSON, "{x\\}").await.refusal(), (400, 400_002));
    assert_eq!(post(JSON, "").await.refusal(), (400, 400_002));
    assert_eq!(post("text/plain", PLAIN_JSON).await.refusal(), (400, 400_004));
    let authorization = running.signer().header(&[]);
    let no_type =
        running.send("POST", "/oauth2/token", &[("Authorization", &authorization)], PLAIN_JSON).await;
    assert_eq!(no_type.refusal(), (400, 400_003));

    let answer = post(JSON, r#"{"grantType":"password","expiresIn":-1,"scope":"anything"}"#).await;
    assert_eq!(answer.refusal(), (400, 400_200));
    let body = answer.json();
    let expected = serde_json::json!([
        { "name": "grantType", "errorCode": 400_290, "message": "Illegal grant type." },
        { "name": "expiresIn", "errorCode": 400_209, "message": "Value too small." },
        { "name": "scope", "errorCode": 400_927, "message": "Scope is invalid." }
    ]);
    assert_eq!((&body["errorFields"], &body["error"]), (&expected, &"unsupported_grant_type".into()));
}

#[tokio::test]
async fn body_over_64_kib_is_refused() {
    let running = Running::start().await;
    let body = |size: usize| format!("{}{}", PLAIN_JSON, " ".repeat(size - PLAIN_JSON.len()));
    let post = async |body: String| running.post_token(&running.signer().header(&[]), JSON, &body).await;
    assert_eq!(post(body(64 * 1024)).await.status, 200);
    assert_eq!(post(body(64 * 1024 + 1)).await.refusal(), (413, 0));
}

#[tokio::test]
async fn host_must_be_one_and_valid() {
    let running = Running::start().await;
    let authorization = running.signer().header(&[]);
    for hosts in [vec![("Host", "a b")], vec![("Host", "")], vec![("Host", "a"), ("Host", "a")]] {
        let mut headers = vec![("Authorization", authorization.as_str()), ("Content-Type", JSON)];
        headers.extend(&hosts);
        let answer = running.send("POST", "/oauth2/token", &headers, PLAIN_JSON).await;
        assert_eq!(answer.refusal(), (400, 0), "{hosts:?}");
    }
}

#[tokio::test]
async fn other_methods_and_paths_are_refused_in_heres_form() {
    let running = Running::start().await;
    let wrong_method = running.get("/oauth2/token", &[]).await;
    assert_eq!(wrong_method.refusal(), (405, 0));
    assert_eq!(wrong_method.header("allow"), Some("POST"));
    assert_eq!(running.get("/oauth2", &[]).await.refusal(), (404, 0));
    assert_eq!(running.send("POST", "/oauth2/%74oken", &[], "").await.refusal(), (404, 0));
    assert_eq!(running.sandbox.stats().refused.len(), 0);
}

#[tokio::test]
async fn mismatch_is_explained_without_the_secret() {
    let running = Running::start().await;
    let signer = Signer { secret: "wrong".into(), nonce: "n0nce".into(), ..running.signer() };
    let answer = running.post_token(&signer.header(&[]), JSON, PLAIN_JSON).await;
    assert!(answer.json()["sandboxHint"].as_str().unwrap().contains("last_mismatch"));
    let base_string = running.sandbox.stats().last_mismatch.unwrap();
    let host = running.address.to_string().replace(':', "%3A");
    assert_eq!(
        base_string,
        format!(
            "POST&http%3A%2F%2F{host}%2Foauth2%2Ftoken&oauth_consumer_key%3D{KEY_ID}%26oauth_nonce%3Dn0nce\
             %26oauth_signature_method%3DHMAC-SHA256%26oauth_timestamp%3D{}%26oauth_version%3D1.0",
            running.now()
        )
    );
}
