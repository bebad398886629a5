//! Who gets no token, and by which number it is told.

use super::{Bench, ID, OTHER_SECRET, SCOPE, SECRET, assert_refused, token};
use crate::support::sdk::{ALL, Sdk, SdkRequest};
use crate::support::wire::{request, send};

const ANONYMOUS: &str = "[access]\nanonymous = true";

#[tokio::test]
async fn key_of_ours_is_checked_even_where_anyone_may_ask() {
    for access in ["", ANONYMOUS] {
        let bench = Bench::start(access, "").await;
        for sdk in ALL {
            let mut request = bench.request(sdk);
            OTHER_SECRET.clone_into(&mut request.secret);
            assert_refused(&bench.send(&request).await, 401, Some(401_300));
            let mut request = bench.request(sdk);
            request.timestamp -= 301;
            assert_refused(&bench.send(&request).await, 401, Some(401_204));
        }
        assert_eq!(bench.server.sandbox.stats().token_requests, 0);
        for line in bench.audit_lines() {
            assert_eq!(
                (&line["outcome"], &line["rule"]),
                (&"refused".into(), &"authenticate".into()),
                "{line}"
            );
        }
    }
}

#[tokio::test]
async fn unknown_id_counts_as_no_credential() {
    for id in ["tp.other", "TP.MAPS", "an-access-key-id-of-here"] {
        for (access, number) in [("", Some(401_600)), (ANONYMOUS, None)] {
            let bench = Bench::start(access, "").await;
            let reply =
                SdkRequest::new(Sdk::Cpp, bench.server.address, id, SECRET).send(bench.server.address).await;
            if number.is_some() {
                assert_refused(&reply, 401, number);
            } else {
                token(&reply, Sdk::Cpp);
                assert_eq!(bench.audit_lines()[0]["method"], "anonymous");
            }
        }
    }
}

#[tokio::test]
async fn signature_of_ours_needs_no_header_and_one_of_another_is_no_credential() {
    let bench = Bench::start("[access]\nanonymous = true\nrequire_header = \"X-Asked\"", "").await;
    for sdk in ALL {
        token(&bench.send(&bench.request(sdk)).await, sdk);
        let address = bench.server.address;
        let reply = SdkRequest::new(sdk, address, "an-access-key-id-of-here", SECRET).send(address).await;
        assert_refused(&reply, 403, None);
    }
    let refusals = bench.audit_lines().into_iter().filter(|line| line["status"] == 403);
    assert!(refusals.inspect(|line| assert_eq!(line["rule"], "header")).count() > 0);
}

#[tokio::test]
async fn nobody_is_let_in_without_a_signature_where_callers_authenticate() {
    let bench = Bench::start("", "").await;
    let body = "{\"grantType\":\"client_credentials\"}";
    let length = body.len().to_string();
    let json = [("Content-Type", "application/json"), ("Content-Length", length.as_str())];
    let reply = send(bench.server.address, "POST", "/oauth2/token", &json, body).await;
    assert_refused(&reply, 401, Some(401_200));
    assert!(reply.json()["message"].as_str().is_some_and(|text| text.contains("access key of this server")));
}

#[tokio::test]
async fn timestamp_may_be_off_by_five_minutes() {
    let bench = Bench::start("", "").await;
    // A second may pass between the two.
    for (offset, is_good) in
        [(-298_i64, true), (298, true), (-301, false), (303, false), (-1_000_000_000, false)]
    {
        let mut request = bench.request(Sdk::Java);
        request.timestamp = request.timestamp.checked_add_signed(offset).expect("is a time");
        let reply = bench.send(&request).await;
        if is_good {
            token(&reply, Sdk::Java);
        } else {
            assert_refused(&reply, 401, Some(401_204));
        }
    }
}

#[tokio::test]
async fn signature_brings_a_token_once() {
    let bench = Bench::start("", "").await;
    for sdk in ALL {
        let request = bench.request(sdk);
        token(&bench.send(&request).await, sdk);
        assert_refused(&bench.send(&request).await, 401, Some(401_207));
        // Signed anew, but with the same nonce; and the nonce at another time.
        let again = request.clone().with("expires_in", 600);
        assert_refused(&bench.send(&again).await, 401, Some(401_207));
        let mut later = request.clone();
        later.timestamp += 1;
        token(&bench.send(&later).await, sdk);
    }
}

#[tokio::test]
async fn signature_that_brought_no_token_is_good_again() {
    let bench = Bench::start("", "").await;
    let request = bench.request(Sdk::Java).with("scope", "hrn:here:authorization::myrealm:project/unknown");
    for _ in 0..3 {
        assert_refused(&bench.send(&request).await, 400, Some(400_927));
    }
}

#[tokio::test]
async fn at_most_one_of_many_requests_with_the_same_signature_gets_a_token() {
    let bench = Bench::start("", "").await;
    for sdk in ALL {
        let request = bench.request(sdk).with("expires_in", 7200);
        let replies = futures_util::future::join_all((0..16).map(|_| bench.send(&request))).await;
        let tokens = replies.iter().filter(|reply| reply.status == 200).count();
        assert_eq!(tokens, 1, "{replies:?}");
        for reply in replies.iter().filter(|reply| reply.status != 200) {
            // The first may still be in flight.
            let number = (reply.status != 503).then_some(401_207);
            assert_refused(reply, if number.is_some() { 401 } else { 503 }, number);
        }
    }
}

/// A signature does not tell a form's fields from a query's, nor from what else is in the header.
#[tokio::test]
async fn signed_form_cannot_be_sent_as_something_else() {
    let bench = Bench::start("", "").await;
    let signed = bench.request(Sdk::Java).with("scope", SCOPE).with("expires_in", 600);
    let authorization = signed.authorization();
    let fields = ["grant_type=client_credentials", &format!("scope={SCOPE}"), "expires_in=600"];
    let send_as = async |query: &[&str], more: &str, content_type: &str, body: &str| {
        let length = body.len().to_string();
        let authorization = format!("{authorization}{more}");
        let headers = [
            ("Content-Type", content_type),
            ("Content-Length", length.as_str()),
            ("Authorization", authorization.as_str()),
        ];
        let target = format!("/oauth2/token?{}", query.join("&"));
        send(bench.server.address, "POST", &target, &headers, body).await
    };
    let (json, form) = ("application/json", "application/x-www-form-urlencoded");
    let other = "{\"grantType\":\"client_credentials\",\"expiresIn\":86400}";
    assert_refused(&send_as(&fields, "", json, other).await, 400, Some(400_200));
    assert_refused(&send_as(&fields[1..], "", form, fields[0]).await, 400, Some(400_200));
    let in_header = fields.map(|field| format!(", {}\"", field.replace('=', "=\""))).concat();
    assert_refused(&send_as(&[], &in_header, json, other).await, 401, Some(401_202));
    token(&bench.send(&signed).await, Sdk::Java);
}

/// RFC 5849 §3.5.2 and §3.5.3 have signatures elsewhere, too; and a credential may be spelt as in a form.
#[tokio::test]
async fn credential_in_the_wrong_place_does_not_make_anybody_anonymous() {
    let bench = Bench::start(ANONYMOUS, "").await;
    let post = async |target: &str, content_type: &str, body: &str| {
        let length = body.len().to_string();
        let headers = [("Content-Type", content_type), ("Content-Length", length.as_str())];
        send(bench.server.address, "POST", target, &headers, body).await
    };
    let (json, form) = ("application/json", "application/x-www-form-urlencoded");
    let (target, grant) = ("/oauth2/token", "grant_type=client_credentials");
    assert_eq!(post(target, form, grant).await.status, 200, "anyone may ask");
    for name in ["oauth_signature", "oauth_consumer_key"] {
        let parameter = format!("{name}=tp.maps");
        assert_eq!(post(target, form, &format!("{grant}&{parameter}")).await.status, 401, "{name}");
        assert_eq!(post(&format!("{target}?{parameter}"), form, grant).await.status, 401, "{name}");
        let in_json = "{\"grantType\":\"client_credentials\"}";
        assert_refused(&post(&format!("{target}?{parameter}"), json, in_json).await, 401, None);
    }
    for name in ["client_assertion", "client_assertion_type"] {
        assert_eq!(post(target, form, &format!("{grant}&{name}=x")).await.status, 401, "{name}");
    }
    for name in ["oauthState", "o_auth", "clientAssertion", "clientSecret"] {
        let reply = post(target, form, &format!("{grant}&{name}=x")).await;
        assert_eq!(reply.status, 200, "RFC 6749 ignores what it does not know: {name}: {reply:?}");
    }
    for name in
        ["client_secret", "clientSecret", "client_assertion", "clientAssertionType", "oauth_signature"]
    {
        for value in ["\"x\"", "null"] {
            let body = format!("{{\"grantType\":\"client_credentials\",\"{name}\":{value}}}");
            assert_refused(&post(target, json, &body).await, 401, None);
        }
    }
    let signed = bench.request(Sdk::Java).authorization();
    let reply = request(bench.server.address, "GET", "/getToken", &[("Authorization", &signed)]).await;
    assert_eq!((reply.status, reply.error().as_str()), (401, "invalid_token"), "{reply:?}");
    let foreign = signed.replace("tp.maps", "someone-elses");
    let reply = request(bench.server.address, "GET", "/getToken", &[("Authorization", &foreign)]).await;
    assert_eq!(reply.status, 200, "counts as no credential: {reply:?}");
}

#[tokio::test]
async fn signature_is_judged_before_the_fields_of_its_form() {
    let bench = Bench::start("", "").await;
    let refused =
        [("client_assertion", 401, None), ("oauth_token", 401, None), ("scope", 400, Some(400_200))];
    for (name, status, number) in refused {
        let right = bench.request(Sdk::Java).with(name, SCOPE).with(name, SCOPE);
        let wrong = SdkRequest { secret: OTHER_SECRET.to_owned(), ..right.clone() };
        assert_refused(&bench.send(&wrong).await, 401, Some(401_300));
        assert_refused(&bench.send(&right).await, status, number);
    }
    let lines = bench.audit_lines();
    assert_eq!(lines.len(), 2 * refused.len());
    assert!(lines.iter().all(|line| line["caller"] == ID), "{lines:?}");
}

#[tokio::test]
async fn refusal_of_a_known_key_names_it_in_the_audit_trail() {
    let bench = Bench::start("", "").await;
    let mut wrong = bench.request(Sdk::Java);
    OTHER_SECRET.clone_into(&mut wrong.secret);
    assert_refused(&bench.send(&wrong).await, 401, Some(401_300));
    let request = bench.request(Sdk::Cpp);
    token(&bench.send(&request).await, Sdk::Cpp);
    assert_refused(&bench.send(&request).await, 401, Some(401_207));
    let lines = bench.audit_lines();
    assert_eq!(lines.len(), 3);
    for line in lines {
        assert_eq!((&line["method"], &line["caller"]), (&"here_key".into(), &ID.into()), "{line}");
        assert!(line["outcome"] == "handed_out" || line["reason"].is_string(), "{line}");
    }
}

#[tokio::test]
async fn header_that_is_not_well_formed_is_refused_even_where_anyone_may_ask() {
    let bench = Bench::start(ANONYMOUS, "").await;
    let good = bench.request(Sdk::Java).authorization();
    let nonce = |length| good.replace("oauth_nonce=\"", &format!("oauth_nonce=\"{}", "x".repeat(length)));
    for malformed in [
        "OAuth".to_owned(),
        "OAuth ".to_owned(),
        "oauth x".to_owned(),
        "OAuth realm=\"x\"".to_owned(),
        "OAuth\toauth_nonce=\"x\"".to_owned(),
        good.replace("oauth_consumer_key", "oauth_consumer"),
        good.replace("oauth_nonce", "nonce"),
        good.replace("oauth_signature=", "oauth_signatur="),
        good.replace("oauth_signature_method", "x"),
        good.replace("oauth_timestamp=\"", "oauth_timestamp=\"x"),
        good.replace("oauth_timestamp=\"", "oauth_timestamp=\"-"),
        good.replace("oauth_timestamp=\"", "oauth_timestamp=\"99999999999999999999"),
        good.replace("\", ", "\"; "),
        good.replace('"', ""),
        format!("{good},"),
        format!("{good}, oauth_nonce=\"x\""),
        format!("{good}, oauth_x=\"%ff\""),
        format!("{good}, x=\"\""),
        nonce(1000),
    ] {
        let reply = bench.request(Sdk::Java).send_with(bench.server.address, &malformed).await;
        assert_refused(&reply, 401, Some(401_202));
    }
    let twice = bench.request(Sdk::Java).header("Authorization", &good);
    assert_refused(&bench.send(&twice).await, 401, Some(401_202));
    // `realm` is not signed, blanks around commas mean nothing, and neither does the case of the scheme.
    let fine = good.replace("OAuth ", "oauth realm=\"a b\" ,  ").replace("\", ", "\",");
    token(&bench.request(Sdk::Java).send_with(bench.server.address, &fine).await, Sdk::Java);
}

#[tokio::test]
async fn other_methods_and_versions_are_told_apart() {
    let bench = Bench::start(ANONYMOUS, "").await;
    for id in [ID, "someone-elses"] {
        let request = |method, version| SdkRequest {
            method,
            version,
            ..SdkRequest::new(Sdk::Java, bench.server.address, id, SECRET)
        };
        for method in ["HMAC-SHA1", "PLAINTEXT", "ES512", ""] {
            assert_refused(&bench.send(&request(method, "1.0")).await, 401, Some(401_205));
        }
        for version in ["1.0a", "2.0", ""] {
            assert_refused(&bench.send(&request("HMAC-SHA256", version)).await, 401, Some(401_206));
        }
    }
}

#[tokio::test]
async fn fields_have_heres_rules() {
    let bench = Bench::start("", "max_ttl = \"2h\"").await;
    let lifetime = |reply: &crate::support::wire::Reply| {
        let body = reply.json();
        let token =
            body.get("accessToken").or_else(|| body.get("access_token")).and_then(|token| token.as_str());
        bench.server.sandbox.verify_token(token.expect("is there")).expect("is ours");
        body.get("expiresIn")
            .or_else(|| body.get("expires_in"))
            .and_then(serde_json::Value::as_u64)
            .expect("is there")
    };
    for sdk in [Sdk::Java, Sdk::Cpp] {
        for (expires_in, seconds) in [
            ("0", 3600),
            ("60", 60),
            ("599", 300),
            ("3600", 3600),
            ("86400", 7200),
            ("90000", 7200),
            ("999999999999", 7200),
        ] {
            let reply = bench.send(&bench.request(sdk).with("expires_in", expires_in)).await;
            token(&reply, sdk);
            let left = lifetime(&reply);
            assert!((seconds - 10..=seconds).contains(&left), "{sdk:?}: {expires_in}: {left}");
        }
        for (name, value, status, number) in [
            ("expires_in", "1", 400, 400_209),
            ("expires_in", "59", 400, 400_209),
            ("expires_in", "-1", 400, 400_208),
            ("expires_in", "1.5", 400, 400_208),
            ("scope", "hrn:here:authorization::myrealm:project/unknown", 400, 400_927),
            ("token_format", "hN", 400, 400_203),
            ("resource", "https://x.example", 400, 400_203),
            ("client_assertion", "x", 401, 0),
            ("client_secret", "x", 401, 0),
        ] {
            let reply = bench.send(&bench.request(sdk).with(name, value)).await;
            assert_refused(&reply, status, (number != 0).then_some(number));
        }
        token(&bench.send(&bench.request(sdk).with("device_id", "a device")).await, sdk);
    }
}

#[tokio::test]
async fn bodies_have_heres_rules() {
    let bench = Bench::start("", "").await;
    let post = async |body: &str, content_type: Option<&str>| {
        let authorization = bench.request(Sdk::Cpp).authorization();
        let length = body.len().to_string();
        let mut headers = vec![("Content-Length", length.as_str()), ("Authorization", &authorization)];
        headers.extend(content_type.map(|value| ("Content-Type", value)));
        send(bench.server.address, "POST", "/oauth2/token", &headers, body).await
    };
    let json = Some("application/json");
    let good = "{\"grantType\":\"client_credentials\",\"expiresIn\":\"900\",\"scope\":null}";
    token(&post(good, json).await, Sdk::Cpp);
    token(&post(good, Some("Application/JSON;charset=UTF-8")).await, Sdk::Cpp);
    assert_refused(&post(good, None).await, 400, Some(400_003));
    assert_refused(&post(good, Some("text/plain")).await, 400, Some(400_004));
    for body in ["", "{", "[]", "null", "\"x\"", "grant_type=client_credentials"] {
        assert_refused(&post(body, json).await, 400, Some(400_002));
    }
    assert_refused(&post("{}", json).await, 400, Some(400_201));
    for grant_type in ["\"password\"", "\"\"", "7", "[]"] {
        let body = format!("{{\"grantType\":{grant_type}}}");
        assert_refused(&post(&body, json).await, 400, Some(400_290));
    }
    let long = format!("{{\"grantType\":\"client_credentials\",\"x\":\"{}\"}}", "x".repeat(17_000));
    assert_refused(&post(&long, json).await, 413, None);
}

#[tokio::test]
async fn scope_that_the_key_may_not_have_is_refused() {
    let other = "hrn:here:authorization::myrealm:project/p2";
    let config = format!("[profiles.other]\ncredentials = \"x\"\nscopes = [\"{other}\"]");
    let bench = Bench::start(&config, &format!("scopes = [\"{SCOPE}\"]")).await;
    token(&bench.send(&bench.request(Sdk::Cpp).with("scope", SCOPE)).await, Sdk::Cpp);
    assert_refused(&bench.send(&bench.request(Sdk::Cpp).with("scope", other)).await, 400, Some(400_927));
}

#[tokio::test]
async fn correlation_id_is_echoed_if_it_is_well_formed() {
    let bench = Bench::start("", "").await;
    for (sent, is_kept) in [("my-id_1.2~3", true), ("a b", false), ("", false)] {
        let good = bench.send(&bench.request(Sdk::Java).header("X-Correlation-ID", sent)).await;
        let mut wrong = bench.request(Sdk::Cpp).header("X-Correlation-ID", sent);
        wrong.timestamp = 0;
        let wrong = bench.send(&wrong).await;
        for reply in [good, wrong] {
            let id = reply.header("x-correlation-id").expect("is there");
            assert_eq!(id == sent, is_kept, "{sent:?}: {reply:?}");
            assert!(!id.is_empty());
        }
    }
}

#[tokio::test]
async fn other_ways_to_authenticate_keep_their_answers() {
    let bench = Bench::start(ANONYMOUS, "").await;
    let body = "{\"grantType\":\"client_credentials\"}";
    let length = body.len().to_string();
    for authorization in ["Basic dHAubWFwczp4", "Bearer x", "Digest x"] {
        let headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", length.as_str()),
            ("Authorization", authorization),
        ];
        let reply = send(bench.server.address, "POST", "/oauth2/token", &headers, body).await;
        let members: Vec<String> = reply.json().as_object().expect("is an object").keys().cloned().collect();
        assert_eq!(members, ["error", "error_description", "request_id"], "{authorization}: {reply:?}");
        assert_eq!(reply.status, 400);
    }
    // An API key with a signature is one way too many.
    let with_key = bench.request(Sdk::Cpp).header("X-API-Key", "tp_x");
    assert_refused(&bench.send(&with_key).await, 401, None);
}
