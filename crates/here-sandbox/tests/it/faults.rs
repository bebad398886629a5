//! Each fault, seen from the other end of the wire.

use here_sandbox::{App, AppRefusal, Fault, FaultBody, HangUp, NumberSpelling, Target};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Answer, JSON, NOW, PLAIN_JSON, Running, Signer, until};

async fn with(fault: Fault) -> Running {
    let running = Running::start().await;
    running.sandbox.faults().inject(fault);
    running
}

#[tokio::test]
async fn status_is_answered_in_heres_form_whatever_was_sent() {
    let cases = [
        (400, 400_200),
        (401, 401_300),
        (403, 0),
        (404, 404_000),
        (408, 0),
        (412, 412_001),
        (429, 429_002),
        (500, 500_203),
        (502, 0),
        (503, 0),
        (504, 0),
    ];
    for (status, code) in cases {
        let running = with(Fault { status: Some(status), ..Fault::default() }).await;
        assert_eq!(running.ask().await.refusal(), (status, code));
        assert_eq!(running.post_token("nonsense", JSON, "").await.refusal(), (status, code));
        let stats = running.sandbox.stats();
        assert_eq!((stats.token_requests, stats.faults_applied, stats.tokens_issued), (2, 2, 0));
    }
}

#[tokio::test]
async fn error_code_can_be_chosen() {
    let running = with(Fault { status: Some(401), error_code: Some(401_302), ..Fault::default() }).await;
    assert_eq!(running.ask().await.refusal(), (401, 401_302));
}

#[tokio::test]
async fn success_of_another_status_is_still_a_token() {
    let running = with(Fault { status: Some(201), ..Fault::default() }).await;
    let answer = running.ask().await;
    assert_eq!(answer.status, 201);
    assert!(answer.json()["accessToken"].is_string());
    assert_eq!(running.post_token("nonsense", JSON, PLAIN_JSON).await.refusal(), (401, 401_202));
}

#[tokio::test]
async fn fault_ends_with_its_count() {
    let running = with(Fault { status: Some(503), count: Some(2), ..Fault::default() }).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(running.ask().await.status);
    }
    assert_eq!(statuses, [503, 503, 200]);
}

#[tokio::test]
async fn retry_after_is_sent_as_it_is() {
    for value in ["120", "007", "+2", "Fri, 15 Jan 2027 08:02:00 GMT", "soon", "-1"] {
        let running =
            with(Fault { status: Some(429), retry_after: Some(value.to_owned()), ..Fault::default() }).await;
        assert_eq!(running.ask().await.header("retry-after"), Some(value));
    }
}

#[tokio::test]
async fn bodies_are_what_a_client_must_survive() {
    let html = with(Fault { body: Some(FaultBody::Html), ..Fault::default() }).await.ask().await;
    assert_eq!((html.status, html.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(html.body.starts_with(b"<!DOCTYPE html>"));

    let gateway =
        with(Fault { body: Some(FaultBody::Html), status: Some(502), ..Fault::default() }).await.ask().await;
    assert_eq!((gateway.status, gateway.body), (502, html.body));

    let garbage = with(Fault { body: Some(FaultBody::Garbage), ..Fault::default() }).await.ask().await;
    assert_eq!(garbage.header("content-type"), Some("application/json"));
    assert!(std::str::from_utf8(&garbage.body).is_err());

    let empty = with(Fault { body: Some(FaultBody::Empty), ..Fault::default() }).await.ask().await;
    assert_eq!(
        (empty.status, empty.body.len(), empty.header("content-type")),
        (200, 0, Some("application/json"))
    );

    let huge = with(Fault { body: Some(FaultBody::Huge), ..Fault::default() }).await.ask().await;
    assert_eq!((huge.status, huge.header("content-length")), (200, None));
    assert!(huge.body.len() > 16 * 1024 * 1024);
}

#[tokio::test]
async fn client_that_stops_reading_a_huge_body_does_not_hold_up_others() {
    let running = with(Fault { body: Some(FaultBody::Huge), count: Some(1), ..Fault::default() }).await;
    let mut reader = TcpStream::connect(running.address).await.unwrap();
    reader.write_all(running.token_request().as_bytes()).await.unwrap();
    let mut some = [0; 4096];
    reader.read_exact(&mut some).await.unwrap();
    assert_eq!(running.ask().await.status, 200);
}

#[tokio::test]
async fn hang_up_before_the_header_sends_nothing() {
    let running = with(Fault { hang_up: Some(HangUp::BeforeHeader), ..Fault::default() }).await;
    assert_eq!(running.raw(&running.token_request()).await, b"");
    running.sandbox.faults().clear();
    assert_eq!(running.ask().await.status, 200);
}

#[tokio::test]
async fn large_request_is_read_before_it_is_badly_answered() {
    let running =
        with(Fault { hang_up: Some(HangUp::BeforeHeader), count: Some(1), ..Fault::default() }).await;
    let request = running.request("POST", "/oauth2/token", &[("Content-Type", JSON)], &" ".repeat(60_000));
    assert_eq!(running.raw(&request).await, b"", "an orderly end, not a reset");
    running.sandbox.faults().inject(Fault { status: Some(503), ..Fault::default() });
    assert!(running.raw(&request).await.starts_with(b"HTTP/1.1 503"));
}

#[tokio::test]
async fn hang_up_mid_header_ends_within_a_header_line() {
    let running = with(Fault { hang_up: Some(HangUp::MidHeader), ..Fault::default() }).await;
    let raw = String::from_utf8(running.raw(&running.token_request()).await).unwrap();
    assert!(raw.starts_with("HTTP/1.1 200 OK\r\n"), "{raw:?}");
    assert!(!raw.contains("\r\n\r\n") && !raw.ends_with("\r\n"), "{raw:?}");
    assert_eq!(running.sandbox.stats().tokens_issued, 1, "the token is lost on the way");

    running.sandbox.faults().inject(Fault { status: Some(503), ..Fault::default() });
    let raw = String::from_utf8(running.raw(&running.token_request()).await).unwrap();
    assert!(raw.starts_with("HTTP/1.1 503 Service Unavailable\r\n") && !raw.contains("\r\n\r\n"), "{raw:?}");
}

#[tokio::test]
async fn hang_up_mid_body_announces_more_than_it_sends() {
    let running = with(Fault { hang_up: Some(HangUp::MidBody), ..Fault::default() }).await;
    let answer = running.ask().await;
    let announced: usize = answer.header("content-length").unwrap().parse().unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, announced / 2));
    assert!(answer.body.starts_with(b"{\"accessToken\":\"eyJ"));

    running.sandbox.faults().inject(Fault { body: Some(FaultBody::Empty), ..Fault::default() });
    let answer = running.ask().await;
    assert_eq!((answer.header("content-length"), answer.body.len()), (Some("0"), 0));
}

#[tokio::test]
async fn hang_never_answers_and_ends_with_the_connection() {
    let running = with(Fault { hang: true, count: Some(1), ..Fault::default() }).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(running.token_request().as_bytes()).await.unwrap();
    // The count says that the request has arrived and met the fault.
    until(|| running.sandbox.faults().list().is_empty()).await;
    assert_eq!(running.ask().await.status, 200, "others are served meanwhile");
    let mut byte = [0];
    let error = stream.try_read(&mut byte).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn skewed_clock_is_skewed_everywhere() {
    let running = with(Fault { clock_skew_s: Some(600), ..Fault::default() }).await;
    let refused = running.ask().await;
    assert_eq!(refused.refusal(), (401, 401_204));
    assert!(refused.json()["sandboxHint"].as_str().unwrap().contains("-600 s"));
    assert_eq!(refused.header("date"), Some("Fri, 15 Jan 2027 08:10:00 GMT"));
    assert_eq!(running.get("/timestamp", &[]).await.json()["timestamp"], NOW + 600);

    let corrected = Signer { timestamp: (NOW + 600).to_string(), ..running.signer() };
    let answer = running.post_token(&corrected.header(&[]), JSON, PLAIN_JSON).await;
    let token = answer.json()["accessToken"].as_str().unwrap().to_owned();
    let claims = running.sandbox.verify_token(&token).unwrap();
    assert_eq!((claims.issued_at, claims.expires_at), (NOW + 600, NOW + 600 + 3600));
    let hello = running.get("/hello", &[("Authorization", &format!("Bearer {token}"))]).await;
    assert_eq!(hello.json()["secondsLeft"], 3600);
}

#[tokio::test]
async fn skew_of_one_request_is_seen_by_that_request() {
    let running = with(Fault { clock_skew_s: Some(-1000), count: Some(1), ..Fault::default() }).await;
    let refused = running.ask().await;
    assert_eq!(
        (refused.refusal(), refused.header("date")),
        ((401, 401_204), Some("Fri, 15 Jan 2027 07:43:20 GMT"))
    );
    assert_eq!(running.ask().await.status, 200);
}

#[tokio::test]
async fn skewing_the_clock_forth_and_back_forgets_no_nonce() {
    let running = Running::start().await;
    let request = running.token_request();
    assert!(running.raw(&request).await.starts_with(b"HTTP/1.1 200"));
    running.sandbox.faults().inject(Fault { clock_skew_s: Some(10_000), ..Fault::default() });
    let later = Signer { timestamp: (NOW + 10_000).to_string(), ..running.signer() };
    assert_eq!(running.post_token(&later.header(&[]), JSON, PLAIN_JSON).await.status, 200);
    running.sandbox.faults().clear();
    assert!(String::from_utf8_lossy(&running.raw(&request).await).contains("401207"));
}

#[tokio::test]
async fn lifetime_is_overridden_exactly() {
    for seconds in [0, 1, 5, 100_000] {
        let running = with(Fault { lifetime_s: Some(seconds), ..Fault::default() }).await;
        let answer = running.ask().await.json();
        assert_eq!(answer["expiresIn"], seconds);
        let verified = running.sandbox.verify_token(answer["accessToken"].as_str().unwrap());
        assert_eq!(verified.is_ok(), seconds > 0);
    }
}

#[tokio::test]
async fn expired_token_comes_with_the_usual_promise() {
    let running = with(Fault { expired: true, ..Fault::default() }).await;
    let answer = running.ask().await.json();
    assert_eq!(answer["expiresIn"], 3599);
    let bearer = format!("Bearer {}", answer["accessToken"].as_str().unwrap());
    assert_eq!(running.get("/hello", &[("Authorization", &bearer)]).await.refusal(), (401, 400_601));
}

#[tokio::test]
async fn data_can_be_down_while_tokens_are_handed_out() {
    let running = with(Fault { target: Target::Data, status: Some(503), ..Fault::default() }).await;
    let bearer = format!("Bearer {}", running.token().await);
    let answer = running.get("/hello", &[("Authorization", &bearer)]).await;
    assert_eq!(answer.refusal(), (503, 0));
    assert_eq!(running.sandbox.stats().faults_applied, 0, "these count token requests");
}

/// What is the same in every answer of this form.
fn without_ids(answer: &Answer) -> Value {
    let mut body = answer.json();
    let fields = body.as_object_mut().unwrap();
    if let Some(id) = fields.remove("errorId") {
        assert_eq!(id.as_str().unwrap().len(), 42, "{id}");
    }
    fields.remove("sandboxHint");
    body
}

#[tokio::test]
async fn number_is_spelled_as_the_fault_says() {
    let message = "Signature mismatch. Authorization signature or client credential is wrong.";
    let cases = [
        (
            NumberSpelling::Quoted,
            json!({
                "httpStatus": 401, "error": "invalid_client", "error_description": format!("errorCode: '401424'. {message}")
            }),
        ),
        (
            NumberSpelling::Unquoted,
            json!({
                "title": message, "status": 401, "code": "E110000", "cause": message,
                "action": "See the description.", "error": "invalid_client",
                "error_description": format!("errorCode: 401424. {message}")
            }),
        ),
        (
            NumberSpelling::Wrapped,
            json!({
                "httpStatus": 401, "errorCode": 400_200, "error": "invalid_client",
                "message": "Received invalid data.  See json element 'errorFields' for more information.",
                "error_description": "errorCode: '400200'. Received invalid data.  See json element 'errorFields' for more information.",
                "errorFields": [{ "name": "", "errorCode": 401_424, "message": message }]
            }),
        ),
        (NumberSpelling::Bare, json!({ "errorCode": 401_424, "message": message })),
    ];
    for (spelling, expected) in cases {
        let running = with(Fault {
            status: Some(401),
            error_code: Some(401_424),
            spelling: Some(spelling),
            ..Fault::default()
        })
        .await;
        let answer = running.ask().await;
        assert_eq!((answer.status, without_ids(&answer)), (401, expected), "{spelling:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    // What the account refuses by itself is spelled so, too; a status without a number has nothing to spell.
    let running = with(Fault { spelling: Some(NumberSpelling::Bare), ..Fault::default() }).await;
    assert_eq!(running.post_token("nonsense", JSON, "").await.json()["errorCode"], 401_202);
    assert_eq!(running.ask().await.status, 200);
    running.sandbox.faults().inject(Fault { status: Some(503), ..Fault::default() });
    assert_eq!(running.ask().await.refusal(), (503, 0));
    // Fields that are wrong are in `errorFields` already.
    let running = with(Fault { spelling: Some(NumberSpelling::Wrapped), ..Fault::default() }).await;
    let answer = running.post_token(&running.signer().header(&[]), JSON, "{}").await;
    assert_eq!(answer.json()["errorFields"][0]["errorCode"], 400_201);
}

const PROJECT: &str = "hrn:here:authorization::rlm0000:project/p";
const OTHER: &str = "hrn:here:authorization::rlm0000:project/q";

/// Asks for a scope, or none; returns status and number, or the scope of the token.
async fn ask_for(running: &Running, scope: Option<&str>) -> Result<Value, (u16, u64)> {
    let body = json!({ "grantType": "client_credentials", "scope": scope }).to_string();
    let answer = running.post_token(&running.signer().header(&[]), JSON, &body).await;
    if answer.status == 200 {
        let body = answer.json();
        let claims = running.sandbox.verify_token(body["accessToken"].as_str().unwrap()).unwrap();
        assert_eq!(
            claims.scope.as_deref(),
            body["scope"].as_str(),
            "the token is for the scope that is told"
        );
        return Ok(body["scope"].clone());
    }
    let (status, code) = answer.refusal();
    let field = answer.json()["errorFields"][0]["errorCode"].as_u64();
    Err((status, field.unwrap_or(code)))
}

#[tokio::test]
async fn scopes_of_the_app_decide() {
    let [default, restricted, always, all] = [
        App { default_scope: Some(PROJECT.into()), ..App::default() },
        App { default_scope: Some(PROJECT.into()), restricted_scope: true, ..App::default() },
        App { always_project_scope: true, ..App::default() },
        App {
            default_scope: Some(PROJECT.into()),
            always_project_scope: true,
            restricted_scope: true,
            ..App::default()
        },
    ];
    let invalid = Err((400, 400_927));
    let (project, other) = (Ok(PROJECT.into()), Ok(OTHER.into()));
    let cases = [
        (App::default(), [Ok(Value::Null), project.clone(), other.clone(), Ok("openid".into())]),
        (default, [project.clone(), project.clone(), other.clone(), Ok("openid".into())]),
        (restricted, [project.clone(), project.clone(), invalid.clone(), invalid.clone()]),
        (always, [invalid.clone(), project.clone(), other, invalid.clone()]),
        (all, [project.clone(), project, invalid.clone(), invalid]),
    ];
    for (app, expected) in cases {
        let running = with(Fault { app: Some(app.clone()), ..Fault::default() }).await;
        for (scope, expected) in [None, Some(PROJECT), Some(OTHER), Some("openid")].into_iter().zip(expected)
        {
            assert_eq!(ask_for(&running, scope).await, expected, "{app:?} {scope:?}");
        }
    }
    let running = Running::start().await;
    assert_eq!(ask_for(&running, Some(&format!("{PROJECT} {OTHER}"))).await, Err((400, 400_981)));
}

#[tokio::test]
async fn app_that_may_have_no_token_says_why() {
    let cases = [
        (AppRefusal::KeyDisabled, (401, 401_424)),
        (AppRefusal::AppInactive, (401, 401_311)),
        (AppRefusal::AppUnknown, (401, 404_660)),
    ];
    for (refusal, expected) in cases {
        let running =
            with(Fault { app: Some(App { refusal: Some(refusal), ..App::default() }), ..Fault::default() })
                .await;
        assert_eq!(ask_for(&running, None).await, Err(expected));
        // Who has no key learns nothing of it.
        assert_eq!(running.post_token("nonsense", JSON, PLAIN_JSON).await.refusal(), (401, 401_202));
        assert_eq!(running.sandbox.stats().refused[&u32::try_from(expected.1).unwrap()], 1);
    }
    let stranger = App { refusal: Some(AppRefusal::NotAMember), ..App::default() };
    let running = with(Fault { app: Some(stranger), ..Fault::default() }).await;
    assert_eq!(ask_for(&running, Some(PROJECT)).await, Err((403, 403_109)));
    assert_eq!(ask_for(&running, None).await, Ok(Value::Null));
    assert_eq!(ask_for(&running, Some("openid")).await, Ok("openid".into()));
}

#[tokio::test]
async fn lifetime_above_the_apps_own_is_ignored() {
    let app = |seconds| App { token_duration_s: Some(seconds), ..App::default() };
    for (app, requested, expected) in [
        (app(3600), json!(86_400), 3599),
        (app(3600), json!(3601), 3599),
        (app(3600), json!(600), 599),
        (app(3600), json!(null), 3599),
        (app(3600), json!(0), 3599),
        (app(200_000), json!(null), 86_399),
        (app(0), json!(0), 86_399),
        (App::default(), json!(null), 86_399),
    ] {
        let running = with(Fault { app: Some(app.clone()), ..Fault::default() }).await;
        let body = json!({ "grantType": "client_credentials", "expiresIn": requested }).to_string();
        let answer = running.post_token(&running.signer().header(&[]), JSON, &body).await.json();
        assert_eq!(answer["expiresIn"], expected, "{app:?} {requested}");
    }
}
