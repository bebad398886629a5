//! The HTTP contract, case by case: `testdata/http`, whose README says how a case is read, and which others follow from
//! it: the same at the other endpoint, and from a page.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use regex_lite::Regex;
use serde::Deserialize;
use serde_json::Value;
use token_provider_server::parts::config::Config;
use url::form_urlencoded;

use super::support::server::{Server, Setup, parse};
use super::support::wire::{Connection, Reply};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    #[serde(rename = "about")]
    _about: String,
    #[serde(default)]
    config: Vec<String>,
    #[serde(default = "usual_page")]
    page: String,
    cases: Vec<Case>,
}

fn usual_page() -> String {
    "http://localhost:5173".to_owned()
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    request: Request,
    answer: Expected,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    method: Option<String>,
    target: String,
    pad_target_to: Option<usize>,
    #[serde(default)]
    no_host: bool,
    #[serde(default)]
    headers: Vec<(String, String)>,
    body: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, Option<Text>>,
    body: Option<Text>,
    json: Option<BTreeMap<String, Text>>,
    json_token: Option<u64>,
    token: Option<u64>,
}

/// A text as it is, or a pattern for it.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Text {
    Exact(String),
    Pattern { matches: String },
}

impl Text {
    fn compare(&self, found: &str, port: u16) -> Result<(), String> {
        let fits = match self {
            Self::Exact(text) => with_port(text, port) == found,
            Self::Pattern { matches } => Regex::new(matches).expect("is a pattern").is_match(found),
        };
        if fits { Ok(()) } else { Err(format!("expected {self:?}, found {found:?}")) }
    }
}

impl Case {
    /// The same wish at the OAuth 2.0 door.
    fn at_other_endpoint(&self, config: &Config) -> Option<Self> {
        let Request { target, headers, .. } = &self.request;
        let is_plain = self.request.body.is_none() && self.request.pad_target_to.is_none();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if path != "/getToken" || !is_plain || self.request.method() != "GET" {
            return None;
        }
        let mut form = form_urlencoded::Serializer::new("grant_type=client_credentials".to_owned());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if name == "scope" && value.is_empty() {
                return None;
            }
            form.append_pair(if name == "ttl" { "expires_in" } else { &name }, &value);
        }
        let mut kept = vec![("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
        let mut keys = Vec::new();
        for (name, value) in headers {
            match name.as_str() {
                "Accept" => {}
                "X-API-Key" => keys.push(value.as_str()),
                "Authorization" => {
                    keys.push(value.split_once(' ').filter(|(_, key)| key.starts_with("tp_"))?.1);
                }
                _ => kept.push((name.clone(), value.clone())),
            }
        }
        if let [key] = keys.as_slice() {
            let hash = digest(&SHA256, key.as_bytes());
            let known = config
                .access
                .api_keys
                .iter()
                .find(|known| known.sha256.iter().any(|known| known == hash.as_ref()));
            form.append_pair("client_id", known.map_or("nobody", |known| &known.id));
            form.append_pair("client_secret", key);
        } else if !keys.is_empty() {
            return None;
        }
        let request = Request {
            method: Some("POST".to_owned()),
            target: "/oauth2/token".to_owned(),
            headers: kept,
            body: Some(form.finish()),
            ..self.request.clone()
        };
        let name = format!("{} (at the other endpoint)", self.name);
        Some(Self { name, request, answer: self.answer.at_other_endpoint() })
    }

    /// The same refusal, asked for by a page that may ask.
    fn asked_by(&self, page: &str) -> Option<Self> {
        let mut case = self.clone();
        let says_more = |(name, _): &(String, String)| name == "Origin" || name.starts_with("Sec-");
        // The page at `/` is for no other page to read.
        let is_for_pages = self.answer.status >= 400 && self.request.target != "/";
        if !is_for_pages || self.request.headers.iter().any(says_more) {
            return None;
        }
        case.name += " (from a page)";
        case.request.headers.push(("Origin".to_owned(), page.to_owned()));
        let exposed = Text::Pattern { matches: "Retry-After".to_owned() };
        for (name, text) in [
            ("access-control-allow-origin", Text::Exact(page.to_owned())),
            ("access-control-expose-headers", exposed),
        ] {
            case.answer.headers.insert(name.to_owned(), Some(text));
        }
        Some(case)
    }

    /// This case, and those that follow from it.
    fn variants(&self, page: &str, config: &Config) -> Vec<Self> {
        let mut all = vec![self.clone()];
        all.extend(self.at_other_endpoint(config));
        let from_page: Vec<Self> = all.iter().filter_map(|case| case.asked_by(page)).collect();
        all.extend(from_page);
        all
    }
}

fn with_port(text: &str, port: u16) -> String {
    text.replace("{port}", &port.to_string())
}

impl Request {
    fn method(&self) -> &str {
        self.method.as_deref().unwrap_or("GET")
    }

    fn bytes(&self, address: SocketAddr) -> Vec<u8> {
        let port = address.port();
        let mut target = with_port(&self.target, port);
        if let Some(length) = self.pad_target_to {
            target.push_str(&"x".repeat(length - target.len()));
        }
        let mut lines = vec![format!("{} {target} HTTP/1.1", self.method())];
        let names_host = self.headers.iter().any(|(name, _)| name == "Host");
        if !self.no_host && !names_host {
            lines.push(format!("Host: 127.0.0.1:{port}"));
        }
        for (name, value) in &self.headers {
            lines.push(format!("{name}: {}", with_port(value, port)));
        }
        let body = self.body.as_deref().unwrap_or_default();
        if self.body.is_some() {
            lines.push(format!("Content-Length: {}", body.len()));
        }
        lines.push(format!("Connection: close\r\n\r\n{body}"));
        lines.join("\r\n").into_bytes()
    }
}

impl Expected {
    fn at_other_endpoint(&self) -> Self {
        let mut answer = self.clone();
        let is_for_browsers =
            |name: &str| name.starts_with("access-control-") || name.starts_with("cross-origin-");
        answer.headers.retain(|name, _| is_for_browsers(name));
        (answer.json_token, answer.token, answer.body) = (self.json_token.or(self.token), None, None);
        for text in answer.json.iter_mut().flat_map(BTreeMap::values_mut) {
            let (Text::Exact(text) | Text::Pattern { matches: text }) = text;
            *text = text.replace("invalid_token", "invalid_client").replace("ttl: ", "expires_in: ");
        }
        answer
    }

    fn compare(&self, reply: &Reply, method: &str, port: u16) -> Result<(), String> {
        if reply.status != self.status {
            return Err(format!("expected status {}", self.status));
        }
        for (name, expected) in &self.headers {
            match (expected, reply.header(name)) {
                (Some(expected), Some(found)) => {
                    expected.compare(found, port).map_err(|problem| format!("{name}: {problem}"))?;
                }
                (None, None) => {}
                (Some(_), None) => return Err(format!("{name}: is not there")),
                (None, Some(found)) => return Err(format!("{name}: is there: {found:?}")),
            }
        }
        compare_common(reply, method)?;
        if let Some(body) = &self.body {
            body.compare(reply.text(), port)?;
        }
        if let Some(fields) = &self.json {
            compare_fields(fields, &reply.json(), port)?;
        }
        if let Some(lifetime) = self.json_token {
            compare_token(reply.json()["access_token"].as_str().unwrap_or_default(), lifetime)?;
        }
        if let Some(lifetime) = self.token {
            compare_token(reply.text(), lifetime)?;
        }
        Ok(())
    }
}

fn compare_fields(fields: &BTreeMap<String, Text>, found: &Value, port: u16) -> Result<(), String> {
    let found = found.as_object().ok_or("expected a JSON object")?;
    if !found.keys().eq(fields.keys()) {
        return Err(format!("expected the fields {:?}", fields.keys()));
    }
    for (name, expected) in fields {
        let value = &found[name];
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        expected.compare(&text, port).map_err(|problem| format!("{name}: {problem}"))?;
    }
    Ok(())
}

/// A token of HERE's shape begins with a part that says how long it lives.
fn compare_token(token: &str, lifetime: u64) -> Result<(), String> {
    let parts: Vec<&str> = token.split('.').collect();
    let is_base64url = |part: &&str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    if parts.len() != 3 || !parts.iter().all(is_base64url) {
        return Err("expected a token and nothing else".to_owned());
    }
    let header = URL_SAFE_NO_PAD.decode(parts[0]).map_err(|error| error.to_string())?;
    let header: Value = serde_json::from_slice(&header).map_err(|error| error.to_string())?;
    let found = header["exp"].as_u64().zip(header["iat"].as_u64()).map(|(exp, iat)| exp - iat);
    if found == Some(lifetime) {
        Ok(())
    } else {
        Err(format!("expected a lifetime of {lifetime}, found {found:?}"))
    }
}

/// What the README says of every answer.
fn compare_common(reply: &Reply, method: &str) -> Result<(), String> {
    let expect = |name: &str, expected: &str| match reply.header(name) {
        Some(found) if found == expected => Ok(()),
        found => Err(format!("{name}: expected {expected:?}, found {found:?}")),
    };
    expect("x-content-type-options", "nosniff")?;
    // A page that can come compressed says so behind it.
    if reply.header("vary") != Some("Origin, Accept, Accept-Encoding") {
        expect("vary", "Origin, Accept")?;
    }
    let id = reply.header("x-request-id").ok_or("no x-request-id")?;
    if reply.header("access-control-allow-credentials").is_some() {
        return Err("cookies are allowed".to_owned());
    }
    if ![204, 304].contains(&reply.status) && reply.header("content-length").is_none() {
        return Err("no content-length".to_owned());
    }
    if reply.status < 400 {
        return Ok(());
    }
    expect("content-type", "application/json")?;
    expect("cache-control", "no-store")?;
    if method == "HEAD" {
        return Ok(());
    }
    let body = reply.json();
    let fields: Vec<&String> = body.as_object().map(|fields| fields.keys().collect()).unwrap_or_default();
    if fields != ["error", "error_description", "request_id"] {
        return Err(format!("expected the three fields of an error, found {fields:?}"));
    }
    if body["request_id"] != id {
        return Err("request_id is not the X-Request-ID".to_owned());
    }
    Ok(())
}

fn case_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/http");
    let entries =
        fs::read_dir(folder).expect("is a folder").map(|entry| entry.expect("can be listed").path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect();
    files.sort();
    files
}

async fn run_case(case: &Case, server: &Server) -> Result<(), String> {
    let method = case.request.method();
    let mut connection = Connection::open(server.address).await;
    connection.send(case.request.bytes(server.address)).await;
    let reply = connection.reply_to(method).await;
    if !connection.is_closed_by_server().await {
        return Err(format!("more came after the answer {reply:?}"));
    }
    let described = |problem| format!("{problem}\n    {reply:?}");
    case.answer.compare(&reply, method, server.address.port()).map_err(described)?;
    // The account itself agrees that it made the token.
    if case.answer.token.is_some() {
        let verified = server.sandbox.verify_token(reply.text());
        verified.map_err(|refusal| format!("the account refuses the token: {refusal:?}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn every_case_of_the_contract_holds() {
    let files = case_files();
    assert!(files.len() >= 12, "only {} case files", files.len());
    let mut failures = Vec::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().display();
        let text = fs::read_to_string(&file).expect("can be read");
        let cases: CaseFile = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let text = cases.config.join("\n");
        let (config, server) = (parse(&text), Setup::default().config(&text).start().await);
        for case in cases.cases.iter().flat_map(|case| case.variants(&cases.page, &config)) {
            if let Err(problem) = run_case(&case, &server).await {
                failures.push(format!("{name}: {}:\n    {problem}", case.name));
            }
        }
    }
    assert!(failures.is_empty(), "{} cases fail:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn comparing_finds_what_is_wrong() {
    let expected = |text: &str| serde_json::from_str::<Expected>(text).expect("is well-formed");
    let reply = |status, headers: &[(&str, &str)], body: &str| Reply {
        status,
        headers: [("X-Content-Type-Options", "nosniff"), ("Vary", "Origin, Accept"), ("X-Request-ID", "1")]
            .iter()
            .chain(headers)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .chain([("Content-Length".to_owned(), body.len().to_string())])
            .collect(),
        body: body.as_bytes().to_vec(),
    };
    let good = reply(200, &[("A", "1")], r#"{"n":5}"#);
    for text in [
        r#"{"status": 200}"#,
        r#"{"status": 200, "headers": {"a": "1", "b": null}}"#,
        r#"{"status": 200, "json": {"n": "5"}}"#,
        r#"{"status": 200, "body": {"matches": "^..n"}}"#,
    ] {
        assert_eq!(expected(text).compare(&good, "GET", 1), Ok(()), "{text}");
    }
    for text in [
        r#"{"status": 204}"#,
        r#"{"status": 200, "headers": {"a": "2"}}"#,
        r#"{"status": 200, "headers": {"a": null}}"#,
        r#"{"status": 200, "headers": {"b": "1"}}"#,
        r#"{"status": 200, "json": {}}"#,
        r#"{"status": 200, "json": {"n": "6"}}"#,
        r#"{"status": 200, "json": {"n": "5", "m": "5"}}"#,
        r#"{"status": 200, "body": "x"}"#,
        r#"{"status": 200, "token": 60}"#,
    ] {
        assert!(expected(text).compare(&good, "GET", 1).is_err(), "{text}");
    }
    let json = [("Content-Type", "application/json"), ("Cache-Control", "no-store")];
    let body = r#"{"error":"e","error_description":"d","request_id":"1"}"#;
    let refused = expected(r#"{"status": 400}"#);
    assert_eq!(refused.compare(&reply(400, &json, body), "GET", 1), Ok(()));
    assert!(refused.compare(&reply(400, &json[..1], body), "GET", 1).is_err(), "may be stored");
    assert!(refused.compare(&reply(400, &json, &body.replace('1', "2")), "GET", 1).is_err(), "another id");
    assert!(refused.compare(&reply(400, &json, "{}"), "GET", 1).is_err(), "no fields");
}
