//! Secrets, tokens and bodies show up nowhere: not in `Debug`, not in an error's chain, and not in any log, those of
//! the HTTP and TLS libraries at their most talkative included.

use std::error::Error as _;
use std::io;
use std::sync::{Mutex, Once};

use secrecy::SecretString;
use token_provider::{Credential, HereIssuerConfig, Issue as _, TokenError, TokenProvider};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::wire::{BODY, Endpoint, Reply, SECRET, TOKEN, answer, hour, token};

/// All that was logged since [`listen`], by any test of this process.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        LOG.lock().expect("no test panics with it").extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes down everything that is logged from now on, from `log` as from `tracing`.
pub(crate) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(|| Log).finish().init();
    });
}

pub(crate) fn logged() -> String {
    String::from_utf8_lossy(&LOG.lock().expect("no test panics with it")).into_owned()
}

#[track_caller]
pub(crate) fn assert_nothing_logged() {
    let logged = logged();
    assert!(
        logged.contains("token_provider") && logged.contains("TRACE"),
        "nothing was listened to: {logged}"
    );
    assert_hidden(&logged);
}

#[track_caller]
pub(crate) fn assert_hidden(text: &str) {
    for planted in [SECRET, TOKEN, BODY, "oauth_signature"] {
        assert!(!text.contains(planted), "{planted} in {text}");
    }
}

/// Everything that a program could show of an error.
pub(crate) fn rendered(error: &TokenError) -> String {
    let mut cause = error.source();
    let causes = std::iter::from_fn(|| {
        let error = cause?;
        cause = error.source();
        Some(format!("{error} {error:?}"))
    });
    let causes: Vec<String> = causes.collect();
    format!("{error} {error:?} {error:#?} {:?} {causes:?}", error.causes())
}

#[tokio::test]
async fn provider_shows_no_secret_whatever_happens() {
    listen();
    // A good token, then trouble of all kinds, each of which may leave a trace.
    let endpoint = Endpoint::start(|number, _| match number % 6 {
        1 => Reply::Keep(token(3599)),
        2 => Reply::Keep(answer(
            "401 Unauthorized",
            "",
            &format!(r#"{{"errorCode":401300,"message":"{BODY}"}}"#),
        )),
        3 => Reply::Keep(answer("503 Oops", &format!("X-Note: {BODY}\r\n"), BODY)),
        4 => Reply::Close(format!("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{BODY}")),
        5 => Reply::Close(format!("{BODY} {TOKEN}\r\n\r\n")),
        _ => Reply::Keep(answer("200 OK", "", &format!(r#"{{"accessToken":"{TOKEN}\n","expiresIn":1}}"#))),
    })
    .await;
    let issuer = std::sync::Arc::new(endpoint.issuer());
    let provider = TokenProvider::new(std::sync::Arc::clone(&issuer));
    let held = provider.token().await.expect("a token came");
    assert_eq!(held.expose_secret(), TOKEN);
    for _ in 0..12 {
        match issuer.issue(&hour()).await {
            Ok(issued) => assert_hidden(&format!("{issued:?} {issued:#?}")),
            Err(error) => assert_hidden(&rendered(&error)),
        }
        assert_hidden(&format!("{provider:?} {provider:#?} {issuer:?} {:?} {held:?}", provider.status()));
    }
    assert_nothing_logged();
    assert!(logged().contains("HERE answered"));
}

#[tokio::test]
async fn url_of_a_private_endpoint_is_shown_without_its_query() {
    listen();
    let endpoint = Endpoint::start(|_, _| Reply::Close(String::new())).await;
    let url = format!("{}?key={SECRET}", endpoint.url);
    let credential =
        Credential::new("key-id", SecretString::from("s")).and_then(|new| new.with_token_endpoint_url(&url));
    let config = HereIssuerConfig::new(credential.expect("is on loopback"));
    assert_hidden(&format!("{config:?}"));
    let issuer = token_provider::HereIssuer::new(config).expect("TLS can be set up");
    let error = issuer.issue(&hour()).await.expect_err("the connection breaks off");
    assert!(endpoint.requests()[0].head.contains(SECRET));
    assert_hidden(&rendered(&error));
    assert_hidden(&format!("{issuer:?}"));
    assert_nothing_logged();
}
