//! Keys that are guessed, one after the other: refused, slowed down, written down, and charged to nobody else.

use super::{Target, assert_refusal};
use crate::support::wire::{Connection, Reply};

/// `token-provider key new` made this hash of [`KEY`].
const KEY: &str = "tp_4IkXw9sKqQ1YjvJ6c0l2mT3nR5oU7pZ8aBdEfGhHiLw";

fn config(rest: &str) -> String {
    let hash = sha256(KEY);
    format!(
        "[access]\nanonymous_rate = \"5/h\"\n[[access.api_keys]]\nid = \"dashboard\"\nsha256 = \"{hash}\"\n{rest}"
    )
}

fn sha256(text: &str) -> String {
    use std::fmt::Write as _;

    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes everything");
        hex
    })
}

/// A guess at each of the places where a key can be shown, by turns.
async fn guess(target: &Target, number: usize, forwarded_for: Option<&str>) -> Reply {
    let key = format!("tp_{number:043}");
    let forwarded =
        forwarded_for.map(|address| format!("X-Forwarded-For: {address}\r\n")).unwrap_or_default();
    let request = match number % 4 {
        0 => format!("GET /getToken HTTP/1.1\r\nHost: localhost\r\n{forwarded}X-API-Key: {key}\r\n\r\n"),
        1 => format!(
            "GET /getToken HTTP/1.1\r\nHost: localhost\r\n{forwarded}Authorization: Bearer {key}\r\n\r\n"
        ),
        2 => {
            post(&format!("{forwarded}Authorization: Basic {}\r\n", base64(&format!("dashboard:{key}"))), "")
        }
        _ => post(&forwarded, &format!("&client_id=dashboard&client_secret={key}")),
    };
    target.send(&request).await
}

fn post(headers: &str, fields: &str) -> String {
    let body = format!("grant_type=client_credentials{fields}");
    format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn base64(text: &str) -> String {
    use base64::Engine as _;

    base64::engine::general_purpose::STANDARD.encode(text)
}

#[tokio::test]
async fn guesses_are_refused_then_slowed_down_and_all_written_down() {
    let target = Target::start(&config("")).await;
    for number in 0..20 {
        let reply = guess(&target, number, None).await;
        let is_post = number % 4 > 1;
        if number < 5 {
            let (error, scheme) =
                if is_post { ("invalid_client", "Basic") } else { ("invalid_token", "Bearer") };
            assert_eq!((reply.status, reply.error().as_str()), (401, error), "{number}: {reply:?}");
            let challenge = reply.header("www-authenticate").unwrap_or_default();
            assert!(challenge.starts_with(scheme), "{challenge}");
        } else {
            assert_eq!((reply.status, reply.error().as_str()), (429, "slow_down"), "{number}: {reply:?}");
            assert!(reply.header("retry-after").is_some(), "{reply:?}");
        }
    }
    target.assert_nothing_happened();
    // The one who has the key and sits behind the same address is not shut out.
    assert_eq!(target.get(&[("X-API-Key", KEY)]).await.status, 200);

    let lines = target.lines();
    assert_eq!(lines.len(), 21);
    for (number, line) in lines.iter().take(20).enumerate() {
        let (status, rule) = if number < 5 { (401, "authenticate") } else { (429, "rate") };
        assert_refusal(line, status, rule, "127.0.0.1");
    }
    assert_eq!((&lines[20]["caller"], &lines[20]["status"]), (&"dashboard".into(), &200.into()));
    let text = lines.iter().map(ToString::to_string).collect::<String>();
    assert!(!text.contains("tp_"), "what was guessed is not written down: {text}");
}

/// Its time is over: the key is as good as a guess, but for the trail, which says whose it was.
#[tokio::test]
async fn expired_key_is_refused_and_charged_like_a_wrong_one_and_its_holder_alone_is_told() {
    let target = Target::start(&config("expires = 2020-01-31T00:00:00Z\n")).await;
    let basic = format!("Authorization: Basic {}\r\n", base64(&format!("dashboard:{KEY}")));
    for (request, error) in [
        (format!("GET /getToken HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\n\r\n"), "invalid_token"),
        (
            format!("GET /getToken HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n\r\n"),
            "invalid_token",
        ),
        (post(&basic, ""), "invalid_client"),
        (post("", &format!("&client_id=dashboard&client_secret={KEY}")), "invalid_client"),
    ] {
        let reply = target.send(&request).await;
        assert_eq!((reply.status, reply.error().as_str()), (401, error), "{reply:?}");
        assert_eq!(reply.description(), "the API key has expired", "{request}");
        assert!(reply.header("www-authenticate").is_some(), "{reply:?}");
    }
    let guessed = guess(&target, 0, None).await;
    assert_eq!(guessed.status, 401);
    assert!(!guessed.description().contains("expired"), "{guessed:?}");
    assert_eq!(target.get(&[("X-API-Key", KEY)]).await.status, 429, "five wrong ones from this address");
    target.assert_nothing_happened();
    let lines = target.lines();
    for line in lines.iter().take(4) {
        let found = [&line["rule"], &line["reason"], &line["method"], &line["caller"], &line["address"]];
        assert_eq!(
            found,
            ["authenticate", "the API key has expired", "api_key", "dashboard", "127.0.0.1"],
            "{line}"
        );
    }
    assert!(lines[4]["caller"].is_null() && lines[4]["reason"].is_null(), "{}", lines[4]);
}

#[tokio::test]
async fn guesses_through_a_proxy_are_charged_to_the_client() {
    let proxy = "[access.trusted_proxy]\nfrom = [\"127.0.0.1\"]\nheader = \"X-Forwarded-User\"\n";
    let target = Target::start(&config(proxy)).await;
    let mut statuses = Vec::new();
    for number in 0..8 {
        statuses.push(guess(&target, number, Some("192.0.2.1")).await.status);
    }
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429, 429]);
    for number in 0..4 {
        assert_eq!(guess(&target, number, Some("192.0.2.2")).await.status, 401, "{number}: another caller");
    }
    let lines = target.lines();
    assert!(lines[..8].iter().all(|line| line["address"] == "192.0.2.1"), "{lines:?}");
    assert!(lines[8..].iter().all(|line| line["address"] == "192.0.2.2"), "{lines:?}");
}

#[tokio::test]
async fn key_that_is_nearly_right_is_wrong() {
    let target = Target::start(&config("")).await;
    let (shorter, upper) = (KEY.trim_end_matches('w'), KEY.to_ascii_uppercase());
    let hash = sha256(KEY);
    for key in [shorter, &format!("{KEY}A"), &upper, &hash, &format!(" {hash}")] {
        assert_eq!(target.get(&[("X-API-Key", key)]).await.status, 401, "{key}");
    }
    // The right key under another name, at the door where it has one.
    let mut connection = Connection::open(target.server.address).await;
    connection.send(post("", &format!("&client_id=other&client_secret={KEY}"))).await;
    let reply = connection.reply().await;
    assert_eq!(reply.status, 429, "the same address has made five wrong guesses: {reply:?}");
    target.assert_nothing_happened();
}
