//! Known signatures are accepted, and refused after any single change; the base string is compared first,
//! so that the failing step shows.

use axum::http::Uri;
use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
}

/// One signed request of `testdata/signatures.json`.
#[derive(Deserialize)]
struct Vector {
    name: String,
    method: String,
    url: String,
    access_key_id: String,
    access_key_secret: String,
    nonce: String,
    timestamp: i64,
    query: Vec<(String, String)>,
    form: Vec<(String, String)>,
    base_string: Option<String>,
    signature: Option<String>,
    /// The whole header, where the source gives it.
    authorization: Option<String>,
    /// A signature of something close by that must not pass.
    refused_signature: Option<String>,
}

/// The request of a vector, owned, so that one part at a time can be changed.
#[derive(Debug, Clone)]
struct Case {
    method: String,
    base_url: BaseUrl,
    path: String,
    query: Option<String>,
    form: Vec<Pair>,
    header: Authorization,
    secret: String,
}

impl Case {
    fn request(&self) -> SignedRequest<'_> {
        SignedRequest {
            method: &self.method,
            base_url: &self.base_url,
            path: &self.path,
            query: self.query.as_deref(),
            query_fields: percent::form_pairs(self.query.as_deref().unwrap_or_default().as_bytes())
                .expect("well-formed"),
            form: &self.form,
        }
    }

    fn verify(&self) -> Result<SignatureForm, String> {
        verify(&self.request(), &self.header, &self.secret)
    }

    /// Signs with an HMAC computed here, over a base string that the test wrote.
    fn sign_over(&mut self, base_string: &str) {
        let key = hmac::Key::new(hmac::HMAC_SHA256, format!("{}&", percent::encode(&self.secret)).as_bytes());
        self.header.signature = STANDARD.encode(hmac::sign(&key, base_string.as_bytes()));
    }
}

impl Vector {
    fn case(&self) -> Case {
        let uri: Uri = self.url.parse().expect("a URL");
        let authority = uri.authority().expect("a host");
        let mut query: Vec<String> = uri.query().map(str::to_owned).into_iter().collect();
        query.extend(self.query.iter().map(|(name, value)| format!("{name}={value}")));
        Case {
            method: self.method.clone(),
            base_url: BaseUrl::from_origin(&format!("{}://{authority}", uri.scheme_str().expect("a scheme")))
                .expect("a base URL"),
            path: uri.path().to_owned(),
            query: (!query.is_empty()).then(|| query.join("&")),
            form: self.form.iter().map(|(name, value)| (name.clone().into(), value.clone().into())).collect(),
            header: Authorization::parse(&self.header()).expect("a well-formed header"),
            secret: self.access_key_secret.clone(),
        }
    }

    fn header(&self) -> String {
        if let Some(header) = &self.authorization {
            return header.clone();
        }
        let signature = self.signature.as_ref().or(self.refused_signature.as_ref()).expect("a signature");
        header_text(&self.access_key_id, &self.nonce, self.timestamp, signature)
    }
}

fn header_text(key_id: &str, nonce: &str, timestamp: i64, signature: &str) -> String {
    format!(
        "OAuth oauth_consumer_key=\"{}\",oauth_nonce=\"{nonce}\",oauth_signature_method=\"HMAC-SHA256\",\
         oauth_timestamp=\"{timestamp}\",oauth_version=\"1.0\",oauth_signature=\"{}\"",
        percent::encode(key_id),
        percent::encode(signature)
    )
}

fn vectors() -> Vec<Vector> {
    let file: File =
        serde_json::from_str(include_str!("../../testdata/signatures.json")).expect("the vectors");
    assert_eq!(file.vectors.len(), 27);
    file.vectors
}

fn a_case(url: &str) -> Case {
    let header = Authorization::parse(&header_text("key-id", "n0nce", 1_456_945_283, "unsigned")).unwrap();
    let uri: Uri = url.parse().unwrap();
    Case {
        method: "POST".into(),
        base_url: BaseUrl::from_origin("http://127.0.0.1:8080").unwrap(),
        path: uri.path().into(),
        query: uri.query().map(str::to_owned),
        form: vec![],
        header,
        secret: "s3cret".into(),
    }
}

/// Everything that one step away from `case` could be.
fn single_changes(case: &Case) -> Vec<(String, Case)> {
    let mut changes: Vec<(String, Case)> = Vec::new();
    let mut change = |what: &str, apply: &dyn Fn(&mut Case)| {
        let mut changed = case.clone();
        apply(&mut changed);
        changes.push((what.to_owned(), changed));
    };
    change("method", &|case| case.method.push('X'));
    change("scheme", &|case| {
        let url = case.base_url.to_string();
        let other = if url.starts_with("https") {
            url.replacen("https", "http", 1)
        } else {
            url.replacen("http", "https", 1)
        };
        case.base_url = BaseUrl::from_origin(&other).unwrap();
    });
    change("host", &|case| {
        case.base_url = BaseUrl::from_origin(&case.base_url.to_string().replacen("://", "://x", 1)).unwrap();
    });
    change("port", &|case| {
        let url = case.base_url.to_string();
        let without_port = url.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches(':');
        case.base_url = BaseUrl::from_origin(&format!("{without_port}:9")).unwrap();
    });
    change("path", &|case| case.path.push('/'));
    change("added query", &|case| {
        case.query = Some([case.query.as_deref().unwrap_or("a=a"), "b=b"].join("&"));
    });
    change("added form field", &|case| {
        case.form.push((b"added".to_vec(), vec![]));
    });
    change("secret", &|case| case.secret.push('x'));
    change("empty secret", &|case| case.secret.clear());
    change("signature", &|case| {
        let mut bytes = STANDARD.decode(&case.header.signature).unwrap();
        bytes[31] ^= 1;
        case.header.signature = STANDARD.encode(bytes);
    });
    change("no signature", &|case| case.header.signature.clear());
    change("short signature", &|case| case.header.signature.truncate(40));
    if case.query.is_some() {
        change("no query", &|case| case.query = None);
    }
    for index in 0..case.form.len() {
        change("form name", &|case| case.form[index].0.push(b'x'));
        change("form value", &|case| case.form[index].1.push(b'x'));
        change("form field gone", &|case| drop(case.form.remove(index)));
    }
    for name in case.header.signed.keys() {
        change("header value", &|case| case.header.signed.get_mut(name).unwrap().push('1'));
        change("header parameter gone", &|case| drop(case.header.signed.remove(name)));
    }
    changes
}

#[test]
fn known_signatures_are_accepted_and_any_single_change_is_refused() {
    for vector in vectors() {
        let case = vector.case();
        let Some(expected) = &vector.base_string else {
            assert!(case.verify().is_err(), "{}", vector.name);
            continue;
        };
        assert_eq!(base_string(&case.request(), &case.header), *expected, "{}", vector.name);
        assert_eq!(case.verify(), Ok(SignatureForm::Rfc5849), "{}", vector.name);
        for (what, changed) in single_changes(&case) {
            assert!(changed.verify().is_err(), "{}: {what}", vector.name);
        }
    }
}

#[test]
fn only_the_vector_that_must_fail_lacks_a_base_string() {
    let without: Vec<_> = vectors().into_iter().filter(|vector| vector.base_string.is_none()).collect();
    assert_eq!(without.len(), 1);
    assert!(without[0].refused_signature.is_some());
}

#[test]
fn mismatch_shows_the_base_string_and_no_secret() {
    let mut case = a_case("/oauth2/token");
    case.secret = "planted".into();
    let base_string = case.verify().expect_err("accepted");
    assert!(
        base_string.starts_with(
            "POST&http%3A%2F%2F127.0.0.1%3A8080%2Foauth2%2Ftoken&oauth_consumer_key%3Dkey-id%26"
        )
    );
    assert!(!base_string.contains("planted"));
}

const SDK_PARAMETERS: &str = "oauth_consumer_key%3Dkey-id%26oauth_nonce%3Dn0nce%26oauth_signature_method%3DHMAC-SHA256\
                              %26oauth_timestamp%3D1456945283%26oauth_version%3D1.0";

#[test]
fn query_left_in_the_base_url_is_accepted_as_the_cpp_sdk_writes_it() {
    let mut case = a_case("/oauth2/token?x=1&y=a%20b");
    let url = "http%3A%2F%2F127.0.0.1%3A8080%2Foauth2%2Ftoken%3Fx%3D1%26y%3Da%2520b";
    case.sign_over(&format!("POST&{url}&{SDK_PARAMETERS}"));
    assert_eq!(case.verify(), Ok(SignatureForm::QueryInBaseUrl));
    for (what, changed) in single_changes(&case) {
        assert!(changed.verify().is_err(), "{what}");
    }
}

#[test]
fn query_left_in_the_base_url_is_accepted_as_the_javascript_sdk_writes_it() {
    let mut case = a_case("/oauth2/token?x=1&sentWith=OLP-TS-SDK-1.11.0");
    let url = "http%3A%2F%2F127.0.0.1%3A8080%2Foauth2%2Ftoken%3Fx%3D1";
    case.sign_over(&format!("POST&{url}&{SDK_PARAMETERS}%26sentWith%3DOLP-TS-SDK-1.11.0"));
    assert_eq!(case.verify(), Ok(SignatureForm::QueryInBaseUrl));
    for (what, changed) in single_changes(&case) {
        assert!(changed.verify().is_err(), "{what}");
    }

    // No other parameter is treated like that.
    let mut other = a_case("/oauth2/token?x=1&y=2");
    other.sign_over(&format!("POST&{url}&{SDK_PARAMETERS}%26y%3D2"));
    assert!(other.verify().is_err());

    // Without a query the SDK's base string is the RFC's.
    let mut plain = a_case("/oauth2/token?sentWith=OLP-TS-SDK-1.11.0");
    let url = "http%3A%2F%2F127.0.0.1%3A8080%2Foauth2%2Ftoken";
    plain.sign_over(&format!("POST&{url}&{SDK_PARAMETERS}%26sentWith%3DOLP-TS-SDK-1.11.0"));
    assert_eq!(plain.verify(), Ok(SignatureForm::Rfc5849));
}

#[test]
fn form_body_is_never_left_out() {
    let mut case = a_case("/oauth2/token?x=1");
    case.form.push((b"grant_type".to_vec(), b"client_credentials".to_vec()));
    let url = "http%3A%2F%2F127.0.0.1%3A8080%2Foauth2%2Ftoken%3Fx%3D1";
    case.sign_over(&format!("POST&{url}&{SDK_PARAMETERS}"));
    assert!(case.verify().is_err());
}

proptest! {
    #[test]
    fn base_string_has_exactly_two_ampersands_whatever_is_sent(
        form in proptest::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>()), 0..5),
        query in proptest::collection::vec(("[ -~]{0,8}", any::<String>()), 0..5),
    ) {
        let mut case = a_case("/oauth2/token");
        case.form = form;
        let pairs: Vec<_> = query.iter().map(|(n, v)| format!("{}={}", percent::encode(n), percent::encode(v))).collect();
        case.query = Some(pairs.join("&"));
        let base_string = base_string(&case.request(), &case.header);
        prop_assert_eq!(base_string.matches('&').count(), 2);

        case.sign_over(&base_string);
        prop_assert_eq!(case.verify(), Ok(SignatureForm::Rfc5849));
    }

    #[test]
    fn order_of_parameters_does_not_matter(mut form in proptest::collection::vec(("[a-c]{1,2}", "[a-c]{0,2}"), 0..6)) {
        let mut case = a_case("/oauth2/token");
        let to_pairs = |form: &[(String, String)]| form.iter().map(|(n, v)| (n.clone().into(), v.clone().into())).collect();
        case.form = to_pairs(&form);
        let one = base_string(&case.request(), &case.header);
        form.reverse();
        case.form = to_pairs(&form);
        prop_assert_eq!(base_string(&case.request(), &case.header), one);
    }
}
