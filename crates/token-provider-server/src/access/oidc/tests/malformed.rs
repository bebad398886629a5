//! What is no token, or one that two readers could read differently.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::support::{Bench, Key, claims, encode, header};
use crate::access::oidc::fault::Fault;
use crate::access::oidc::jwt::Jwt;

/// A token of these texts, rightly signed.
fn signed(key: &Key, header: &str, claims: &str) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    format!("{message}.{}", encode(key.sign("ES256", message.as_bytes())))
}

#[tokio::test(start_paused = true)]
async fn rightly_signed_token_is_refused_when_its_form_is_wrong() {
    let key = Key::p256();
    let bench = Bench::new(vec![key.jwk("a")]);
    let good = claims().to_string();
    let plain = header("ES256", "a").to_string();
    assert!(bench.judge(&signed(&key, &plain, &good)).await.is_ok());

    let more = |member: &str| plain.replacen('{', &format!("{{{member},"), 1);
    for (what, header, claims, expected) in [
        ("no object", "[]".to_owned(), good.clone(), Fault::Malformed),
        ("not JSON", "alg".to_owned(), good.clone(), Fault::Malformed),
        ("more than JSON", format!("{plain}x"), good.clone(), Fault::Malformed),
        ("no algorithm", r#"{"kid":"a"}"#.to_owned(), good.clone(), Fault::Malformed),
        ("algorithm that is no text", r#"{"alg":1,"kid":"a"}"#.to_owned(), good.clone(), Fault::Malformed),
        ("algorithm given twice", more(r#""alg":"none""#), good.clone(), Fault::Malformed),
        (
            "algorithm given twice, once escaped",
            more(r#""\u0061lg":"ES256""#),
            good.clone(),
            Fault::Malformed,
        ),
        ("key id given twice", more(r#""kid":"b""#), good.clone(), Fault::Malformed),
        ("unknown member given twice", more(r#""x":1,"x":2"#), good.clone(), Fault::Malformed),
        ("key id that is no text", r#"{"alg":"ES256","kid":1}"#.to_owned(), good.clone(), Fault::Malformed),
        (
            "long key id",
            json!({ "alg": "ES256", "kid": "a".repeat(257) }).to_string(),
            good.clone(),
            Fault::Malformed,
        ),
        (
            "type that is no text",
            more(r#""typ":null"#).replace(r#","typ":"at+jwt""#, ""),
            good.clone(),
            Fault::Malformed,
        ),
        ("extension", more(r#""crit":["b64"],"b64":false"#), good.clone(), Fault::CriticalHeader),
        ("extension without a name", more(r#""crit":[]"#), good.clone(), Fault::CriticalHeader),
        ("extension of no form", more(r#""crit":null"#), good.clone(), Fault::CriticalHeader),
        ("claims that are no object", plain.clone(), "\"x\"".to_owned(), Fault::Malformed),
        ("no claims", plain.clone(), String::new(), Fault::Malformed),
        (
            "claim given twice",
            plain.clone(),
            good.replacen('{', r#"{"aud":"elsewhere","#, 1),
            Fault::Malformed,
        ),
        ("deep claims", plain.clone(), r#"{"a":"#.repeat(2000), Fault::Malformed),
        ("control character", plain.clone(), "{\"sub\":\"\u{0}\"}".to_owned(), Fault::Malformed),
    ] {
        let token = signed(&key, &header, &claims);
        assert_eq!(bench.refusal(&token).await, format!("401 {}", expected.as_str()), "{what}");
    }
}

#[test]
fn text_that_is_not_three_parts_of_base64url_is_refused() {
    let key = Key::p256();
    let good = key.token(&header("ES256", "a"), &claims());
    let (signed, signature) = good.rsplit_once('.').expect("has parts");
    let (head, body) = signed.split_once('.').expect("has parts");
    assert!(Jwt::parse(good.as_bytes()).is_ok());
    let standard = encode(r#"{"alg":"ES256","kid":"a","x":"???>>>"}"#).replace('_', "/");
    assert!(standard.contains('/'), "{standard}");
    for text in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        head.to_owned(),
        signed.to_owned(),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}"),
        // Five parts, as an encrypted token has.
        format!("{head}.{body}.{body}.{body}.{signature}"),
        format!("{good}="),
        format!("{head}=.{body}.{signature}"),
        format!("{good}\n"),
        format!("{head} .{body}.{signature}"),
        format!("{standard}.{body}.{signature}"),
        // The last character has bits that belong to no byte.
        format!("{signed}.{}", signature.replace(|_: char| true, "B")),
        format!("{signed}.é"),
    ] {
        assert_eq!(Jwt::parse(text.as_bytes()).map(drop), Err(Fault::Malformed), "{text}");
    }
    assert_eq!(Jwt::parse(&[0xff; 32]).map(drop), Err(Fault::Malformed));
}

#[tokio::test(start_paused = true)]
async fn huge_token_is_refused_before_it_is_read() {
    let key = Key::p256();
    let bench = Bench::new(vec![key.jwk("a")]);
    let token = |padding: usize| {
        let mut claims = claims();
        claims["padding"] = "x".repeat(padding).into();
        key.token(&header("ES256", "a"), &claims)
    };
    let short = token(12_000 - 400);
    assert!(short.len() < 16 * 1024 && bench.judge(&short).await.is_ok(), "{}", short.len());
    let long = token(12_500);
    assert!(long.len() > 16 * 1024);
    assert_eq!(bench.refusal(&long).await, "401 the token is too long");
}

#[tokio::test(start_paused = true)]
async fn token_of_another_kind_is_refused() {
    let key = Key::p256();
    let bench = Bench::new(vec![key.jwk("a")]);
    for (typ, is_good) in [
        (Value::Null, true),
        ("JWT".into(), true),
        ("jwt".into(), true),
        ("at+jwt".into(), true),
        ("AT+JWT".into(), true),
        ("application/at+jwt".into(), true),
        ("logout+jwt".into(), false),
        ("dpop+jwt".into(), false),
        ("secevent+jwt".into(), false),
        ("token-introspection+jwt".into(), false),
        ("JOSE".into(), false),
        ("".into(), false),
    ] {
        let mut header = header("ES256", "a");
        match &typ {
            Value::Null => drop(header.as_object_mut().expect("is an object").remove("typ")),
            typ => header["typ"] = typ.clone(),
        }
        let token = key.token(&header, &claims());
        if is_good {
            assert!(bench.judge(&token).await.is_ok(), "{typ}");
        } else {
            assert_eq!(
                bench.refusal(&token).await,
                "401 the token is of a type that is not for access",
                "{typ}"
            );
        }
    }
}

proptest! {
    #[test]
    fn reader_comes_to_an_end_whatever_it_is_given(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Jwt::parse(&bytes);
        let part = encode(&bytes);
        let _ = Jwt::parse(format!("{part}.{part}.{part}").as_bytes());
        let head = encode(r#"{"alg":"ES256"}"#);
        let _ = Jwt::parse(format!("{head}.{part}.{part}").as_bytes());
    }
}
