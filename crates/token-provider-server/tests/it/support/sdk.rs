//! Requests for a token as HERE's SDKs sign and send them, made with code of its own. Sources:
//! heremaps/here-aaa-java-sdk@f9724daf4 `SignatureCalculator.java`, `OAuth1Signer.java`; heremaps/here-data-sdk-cpp@30cf9ff2c
//! `AuthenticationClientUtils.cpp`, `TokenEndpointImpl.cpp`; heremaps/here-data-sdk-typescript@36a57e32e
//! `requestToken_common.ts`.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use token_provider::{Clock as _, SystemClock};

use super::wire::{Reply, send};

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Which of them. `Rfc` is a program for OAuth 1.0a with a body in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sdk {
    Java,
    Cpp,
    TypeScript,
    Rfc,
}

pub(crate) const ALL: [Sdk; 4] = [Sdk::Java, Sdk::Cpp, Sdk::TypeScript, Sdk::Rfc];

/// The value of a field.
pub(crate) struct Field(String);

impl From<&str> for Field {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<u64> for Field {
    fn from(number: u64) -> Self {
        Self(number.to_string())
    }
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct SdkRequest {
    pub(crate) sdk: Sdk,
    pub(crate) key_id: String,
    pub(crate) secret: String,
    pub(crate) nonce: String,
    pub(crate) timestamp: u64,
    /// The endpoint's URL as the file has it, `http://host/oauth2/token` with or without a query.
    pub(crate) url: String,
    /// `Host`, where it is another than in the URL.
    pub(crate) host: Option<String>,
    /// Fields behind the grant type, by their names in a form.
    pub(crate) fields: Vec<(&'static str, String)>,
    pub(crate) method: &'static str,
    pub(crate) version: &'static str,
    /// Further header fields.
    pub(crate) headers: Vec<(&'static str, String)>,
}

pub(crate) fn now() -> u64 {
    SystemClock.now().wall.as_secs()
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

impl SdkRequest {
    pub(crate) fn new(sdk: Sdk, address: SocketAddr, key_id: &str, secret: &str) -> Self {
        static NONCES: AtomicU64 = AtomicU64::new(0);
        Self {
            sdk,
            key_id: key_id.to_owned(),
            secret: secret.to_owned(),
            nonce: format!("n{:05}", NONCES.fetch_add(1, Ordering::Relaxed)),
            timestamp: now(),
            url: format!("http://{address}/oauth2/token"),
            host: None,
            fields: Vec::new(),
            method: "HMAC-SHA256",
            version: "1.0",
            headers: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Field>) -> Self {
        self.fields.push((name, value.into().0));
        self
    }

    /// Adds a header field.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn oauth(&self) -> Vec<(&str, String)> {
        vec![
            ("oauth_consumer_key", self.key_id.clone()),
            ("oauth_nonce", self.nonce.clone()),
            ("oauth_signature_method", self.method.to_owned()),
            ("oauth_timestamp", self.timestamp.to_string()),
            ("oauth_version", self.version.to_owned()),
        ]
    }

    /// What is sent as the request's target and what is signed: base URL, and parameters as one text.
    fn signed(&self) -> (String, String, String) {
        let (base, query) = self.url.split_once('?').unwrap_or((&self.url, ""));
        let path = base.splitn(4, '/').nth(3).expect("has a path");
        let target = format!("/{path}{}{query}", if query.is_empty() { "" } else { "?" });
        let raw: Vec<String> =
            self.oauth().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        match self.sdk {
            Sdk::Cpp => (target, self.url.clone(), raw.join("&")),
            Sdk::TypeScript => {
                let separator = if query.is_empty() { '?' } else { '&' };
                let sent_with = "sentWith=OLP-TS-SDK-2.0.0";
                (
                    format!("{target}{separator}{sent_with}"),
                    self.url.clone(),
                    format!("{}&{sent_with}", raw.join("&")),
                )
            }
            Sdk::Java | Sdk::Rfc => {
                let query: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
                let mut pairs: Vec<(String, String)> =
                    query.iter().map(|(name, value)| (encoded(name), encoded(value))).collect();
                pairs.extend(self.oauth().iter().map(|(name, value)| (encoded(name), encoded(value))));
                if self.sdk == Sdk::Java {
                    pairs.push(("grant_type".to_owned(), "client_credentials".to_owned()));
                    pairs.extend(self.fields.iter().map(|(name, value)| (encoded(name), encoded(value))));
                }
                pairs.sort();
                let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
                (target, base.to_owned(), pairs.join("&"))
            }
        }
    }

    pub(crate) fn authorization(&self) -> String {
        let (_, base, parameters) = self.signed();
        let text = format!("POST&{}&{}", encoded(&base), encoded(&parameters));
        let secret = if self.sdk == Sdk::Java { encoded(&self.secret) } else { self.secret.clone() };
        let key = hmac::Key::new(hmac::HMAC_SHA256, format!("{secret}&").as_bytes());
        let signature = encoded(&BASE64.encode(hmac::sign(&key, text.as_bytes())));
        let (id, nonce, time) = (encoded(&self.key_id), encoded(&self.nonce), self.timestamp);
        let (method, version) = (self.method, self.version);
        match self.sdk {
            Sdk::Java | Sdk::Rfc => format!(
                "OAuth oauth_consumer_key=\"{id}\", oauth_signature_method=\"{method}\", \
                 oauth_signature=\"{signature}\", oauth_timestamp=\"{time}\", oauth_nonce=\"{nonce}\", \
                 oauth_version=\"{version}\""
            ),
            Sdk::Cpp | Sdk::TypeScript => format!(
                "OAuth oauth_consumer_key=\"{id}\",oauth_nonce=\"{nonce}\",oauth_signature_method=\"{method}\",\
                 oauth_timestamp=\"{time}\",oauth_version=\"{version}\",oauth_signature=\"{signature}\""
            ),
        }
    }

    pub(crate) fn body(&self) -> (String, &'static str) {
        if self.sdk == Sdk::Java {
            let mut form = url::form_urlencoded::Serializer::new("grant_type=client_credentials".to_owned());
            form.extend_pairs(&self.fields);
            return (form.finish(), "application/x-www-form-urlencoded");
        }
        let mut members = vec!["\"grantType\":\"client_credentials\"".to_owned()];
        for (name, value) in &self.fields {
            let name = camel_case(name);
            let is_number = name == "expiresIn";
            members.push(if is_number {
                format!("\"{name}\":{value}")
            } else {
                format!("\"{name}\":\"{value}\"")
            });
        }
        (format!("{{{}}}", members.join(",")), "application/json")
    }

    pub(crate) async fn send(&self, address: SocketAddr) -> Reply {
        self.send_with(address, &self.authorization()).await
    }

    /// Sends another header than the request's own.
    pub(crate) async fn send_with(&self, address: SocketAddr, authorization: &str) -> Reply {
        let (body, content_type) = self.body();
        let length = body.len().to_string();
        let mut headers = vec![
            ("Content-Type", content_type),
            ("Content-Length", &length),
            ("Authorization", authorization),
        ];
        headers.extend(self.host.as_deref().map(|host| ("Host", host)));
        headers.extend(self.headers.iter().map(|(name, value)| (*name, value.as_str())));
        send(address, "POST", &self.signed().0, &headers, &body).await
    }
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |text, word| {
        let (head, tail) = word.split_at(1);
        text + &head.to_ascii_uppercase() + tail
    })
}
