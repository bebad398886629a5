//! What the SDKs send, where they differ.

use super::{Bench, ID, SCOPE, SECRET, assert_refused, token};
use crate::support::sdk::{ALL, Sdk, SdkRequest};
use crate::support::server::Server;
use crate::support::wire::{get, send};

#[tokio::test]
async fn every_sdk_gets_a_token_in_its_own_spelling() {
    let bench = Bench::start("", "").await;
    for sdk in ALL {
        let reply = bench.send(&bench.request(sdk)).await;
        let token = token(&reply, sdk);
        bench.server.sandbox.verify_token(&token).expect("the account made it");
        let scoped = bench.send(&bench.request(sdk).with("expires_in", 900).with("scope", SCOPE)).await;
        assert_eq!(scoped.status, 200, "{sdk:?}: {scoped:?}");
        assert_eq!(scoped.json()["scope"], SCOPE, "{sdk:?}");
    }
    let (app, lines) = (format!("{:?}", bench.server.app), bench.audit_lines());
    assert!(app.contains(ID) && !app.contains(SECRET), "{app}");
    assert_eq!(lines.len(), 2 * ALL.len());
    for line in lines {
        assert_eq!((&line["method"], &line["caller"]), (&"here_key".into(), &ID.into()), "{line}");
        assert_eq!(line["outcome"], "handed_out", "{line}");
    }
}

/// Left out, the list would mean `client_secret_basic` (RFC 8414 §2).
#[tokio::test]
async fn metadata_has_a_way_to_authenticate_where_callers_sign() {
    for (access, ways) in
        [("", &["urn:ietf:rfc:5849"][..]), ("[access]\nanonymous = true", &["urn:ietf:rfc:5849", "none"])]
    {
        let bench = Bench::start(access, "").await;
        let reply = get(bench.server.address, "/.well-known/oauth-authorization-server").await;
        assert_eq!(reply.json()["token_endpoint_auth_methods_supported"], serde_json::json!(ways));
    }
}

#[tokio::test]
async fn query_is_signed_as_each_sdk_signs_it() {
    let bench = Bench::start("", "").await;
    for query in ["?a=1", "?b=x+y&a=%2F", "?a=1&a=0&novalue", "?sentWith=mine&a=1", "?a=b=c"] {
        for sdk in ALL {
            let mut request = bench.request(sdk);
            request.url += query;
            token(&bench.send(&request).await, sdk);
        }
    }
}

#[tokio::test]
async fn base_url_is_tried_with_both_schemes_and_the_default_port() {
    let bench = Bench::start("public_hosts = [\"tokens.example.com\"]", "").await;
    for (signed, sent, is_good) in [
        ("http://tokens.example.com", "tokens.example.com", true),
        ("https://tokens.example.com", "tokens.example.com", true),
        ("https://tokens.example.com:443", "tokens.example.com", true),
        ("http://tokens.example.com:80", "tokens.example.com", true),
        ("https://tokens.example.com", "tokens.example.com:443", true),
        ("https://tokens.example.com:443", "tokens.example.com:443", true),
        ("http://tokens.example.com", "tokens.example.com:80", true),
        ("https://tokens.example.com:8443", "tokens.example.com:8443", true),
        ("http://tokens.example.com:8443", "tokens.example.com:8443", true),
        ("https://Tokens.Example.com", "Tokens.Example.com", true),
        ("http://[::1]:3000", "[::1]:3000", true),
        ("https://[::1]:443", "[::1]", true),
        ("http://tokens.example.com:443", "tokens.example.com", false),
        ("https://tokens.example.com:80", "tokens.example.com", false),
        ("https://tokens.example.com", "tokens.example.com:8443", false),
        ("https://other.example.com", "tokens.example.com", false),
        ("ftp://tokens.example.com", "tokens.example.com", false),
        // A signature for HERE is none for us.
        ("https://account.api.here.com", "tokens.example.com", false),
    ] {
        for sdk in ALL {
            let mut request = bench.request(sdk);
            request.url = format!("{signed}/oauth2/token");
            request.host = Some(sent.to_owned());
            let reply = bench.send(&request).await;
            if is_good {
                token(&reply, sdk);
            } else {
                assert_refused(&reply, 401, Some(401_300));
            }
        }
    }
}

/// java.net.URI and a form of HERE's Java SDK, in its order and its layout; the same for `requests-oauthlib`.
#[tokio::test]
async fn form_is_signed_with_every_field() {
    let bench = Bench::start("", "").await;
    let request = bench.request(Sdk::Java).with("expires_in", 3600).with("x", "a b+ä*~");
    token(&bench.send(&request).await, Sdk::Java);
    // The signature is of a form without the last field.
    let mut more = bench.request(Sdk::Java);
    let authorization = more.authorization();
    more.fields.push(("scope", SCOPE.to_owned()));
    assert_refused(&more.send_with(bench.server.address, &authorization).await, 401, Some(401_300));
}

#[tokio::test]
async fn anyone_on_loopback_may_use_any_credentials_file_by_default() {
    let server = Server::start().await;
    for sdk in ALL {
        let request = SdkRequest::new(sdk, server.address, "an-access-key-id-of-here", "whatever-it-is");
        token(&request.send(server.address).await, sdk);
    }
    let body = "{\"grantType\":\"client_credentials\",\"deviceId\":\"d\",\"unknown\":[1]}";
    let length = body.len().to_string();
    let json = [("Content-Type", "application/json; charset=utf-8"), ("Content-Length", length.as_str())];
    token(&send(server.address, "POST", "/oauth2/token", &json, body).await, Sdk::Cpp);
}

#[tokio::test]
async fn timestamp_is_the_time() {
    let bench = Bench::start("", "").await;
    let before = crate::support::sdk::now();
    let reply = get(bench.server.address, "/timestamp").await;
    let after = crate::support::sdk::now();
    assert_eq!((reply.status, reply.header("cache-control")), (200, Some("no-store")), "{reply:?}");
    let body = reply.json();
    assert_eq!(body.as_object().expect("is an object").len(), 1);
    let timestamp = body["timestamp"].as_u64().expect("is a number");
    assert!((before..=after).contains(&timestamp), "{timestamp}");
}

/// HERE's Java SDK asks for the time once, and its C++ SDK takes that of the refusal; both sign again.
#[tokio::test]
async fn clock_that_is_wrong_is_set_right() {
    let bench = Bench::start("", "").await;
    for (sdk, offset) in [(Sdk::Java, -1800_i64), (Sdk::Cpp, 1800)] {
        let mut request = bench.request(sdk);
        request.timestamp = request.timestamp.checked_add_signed(offset).expect("is a time");
        let refused = bench.send(&request).await;
        assert_refused(&refused, 401, Some(401_204));
        assert_eq!(refused.error(), "invalid_request");
        request.timestamp = if sdk == Sdk::Java {
            get(bench.server.address, "/timestamp").await.json()["timestamp"].as_u64().expect("is a number")
        } else {
            let date =
                httpdate::parse_http_date(refused.header("date").expect("is there")).expect("is a date");
            date.duration_since(std::time::UNIX_EPOCH).expect("is later").as_secs()
        };
        token(&bench.send(&request).await, sdk);
    }
}

#[tokio::test]
async fn secret_need_not_be_alphanumeric() {
    let folder = tempfile::tempdir().expect("can be made");
    let (file, secret) = (folder.path().join("s"), "base64+of/32-bytes_that~are=random==");
    std::fs::write(&file, secret).expect("can be written");
    let config =
        format!("[[access.here_keys]]\nid = \"{ID}\"\nsecret_file = {:?}", file.display().to_string());
    let server = crate::support::server::Setup::default().config(&config).start().await;
    for sdk in ALL {
        token(&SdkRequest::new(sdk, server.address, ID, secret).send(server.address).await, sdk);
        let wrong = SdkRequest::new(sdk, server.address, ID, SECRET).send(server.address).await;
        assert_refused(&wrong, 401, Some(401_300));
    }
}
