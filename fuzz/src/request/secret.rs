//! A client secret is known again, however it is written down (RFC 6749 §2.3.1).

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{HeaderMap, Method, Uri};
use url::form_urlencoded::byte_serialize;

use super::{Asked, World, app, ends};

const GRANT: &str = "grant_type=client_credentials";

/// Makes a key of these bytes that of `dashboard`, and shows it in each encoding.
pub(super) fn check(world: &World, bytes: &[u8]) {
    if bytes.len() > 512 {
        return;
    }
    let mut random = bytes.to_vec();
    random.resize(bytes.len().max(32), 0);
    let secret = &format!("tp_{}", URL_SAFE_NO_PAD.encode(random));
    let hash = sha256(secret);
    let config = format!("[[access.api_keys]]\nid = 'dashboard'\nsha256 = '{hash}'\n");
    let app = app(&config, &world.provider);

    let mut percent = String::new();
    for byte in secret.bytes() {
        // Writing to a `String` cannot fail.
        let _ = write!(percent, "%{byte:02x}");
    }
    let encodings = [byte_serialize(secret.as_bytes()).collect(), percent];
    for encoded in &encodings {
        let status = |asked: &Asked| world.answer(&app, asked).status;
        assert_eq!(status(&basic(&format!("dashboard:{encoded}"))), 200, "client_secret_basic: {encoded}");
        assert_eq!(status(&basic(&format!("%64ashboard:{encoded}"))), 200, "client_secret_basic: {encoded}");
        assert_eq!(status(&post(&format!("&client_id=dashboard&client_secret={encoded}"))), 200, "{encoded}");
        for wrong in [format!("dashboard:{encoded}x"), format!("dashboar:{encoded}"), "dashboard:".to_owned()]
        {
            assert_eq!(status(&basic(&wrong)), 401, "{wrong}");
        }
        assert_eq!(
            status(&post(&format!("&client_id=dashboard&client_secret=x{encoded}"))),
            401,
            "{encoded}"
        );
        assert_eq!(status(&post("&client_id=dashboard")), 401);
    }
}

/// The hash in hex, as the configuration has it.
pub(super) fn sha256(secret: &str) -> String {
    let hash = digest(&SHA256, secret.as_bytes());
    hash.as_ref().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

fn post(fields: &str) -> Asked {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_static("localhost:3000"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    Asked {
        app: 0,
        ends: ends(b'l').expect("is one"),
        method: Method::POST,
        uri: Uri::from_static("/oauth2/token"),
        headers,
        body: format!("{GRANT}{fields}").into_bytes(),
    }
}

fn basic(pair: &str) -> Asked {
    let mut asked = post("");
    let value = format!("Basic {}", BASE64.encode(pair));
    asked.headers.insert(AUTHORIZATION, HeaderValue::from_str(&value).expect("is ASCII"));
    asked
}
