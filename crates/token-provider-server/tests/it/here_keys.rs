//! The endpoint for HERE's own SDKs: what they send gets a token, and errors in HERE's form and with HERE's numbers.

mod clients;
mod files;
mod limits;
mod refusals;

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::sdk::{Sdk, SdkRequest};
use crate::support::server::{Server, Setup};
use crate::support::wire::Reply;

pub(crate) const ID: &str = "tp.maps";
pub(crate) const SECRET: &str = "plantedSecret0123456789ABCDEFGHIJKLMNOPQRST";
const OTHER_SECRET: &str = "plantedOther00123456789ABCDEFGHIJKLMNOPQRST";
const SCOPE: &str = "hrn:here:authorization::myrealm:project/p1";

/// A server with an access key, and the file with its secret.
struct Bench {
    server: Server,
    _folder: tempfile::TempDir,
    trail: std::path::PathBuf,
}

impl Bench {
    /// `before` comes before the key's stanza, `policy` into it.
    async fn start(before: &str, policy: &str) -> Self {
        Self::start_with(Setup::default(), before, policy).await
    }

    async fn start_with(setup: Setup, before: &str, policy: &str) -> Self {
        let folder = tempfile::tempdir().expect("can be made");
        let file = folder.path().join("maps.secret");
        std::fs::write(&file, format!("{SECRET}\n")).expect("can be written");
        let mut config = before.to_owned();
        write!(
            config,
            "\n[profiles.default]\nscopes = [\"{SCOPE}\"]\n[[access.here_keys]]\nid = \"{ID}\"\nsecret_file = {:?}\n{policy}",
            file.display().to_string()
        )
        .expect("a String takes everything");
        let trail = folder.path().join("audit.jsonl");
        let server = setup.config(&config).trail(&trail).start().await;
        Self { server, _folder: folder, trail }
    }

    fn request(&self, sdk: Sdk) -> SdkRequest {
        SdkRequest::new(sdk, self.server.address, ID, SECRET)
    }

    async fn send(&self, request: &SdkRequest) -> Reply {
        request.send(self.server.address).await
    }

    fn audit_lines(&self) -> Vec<Value> {
        self.server.audit_lines(&self.trail)
    }
}

/// The token of an answer, with its members by the names of this SDK, all checked.
#[track_caller]
fn token(reply: &Reply, sdk: Sdk) -> String {
    assert_eq!(reply.status, 200, "{sdk:?}: {reply:?}");
    let body = reply.json();
    let names = match sdk {
        Sdk::Java => ["access_token", "token_type", "expires_in", "scope"],
        _ => ["accessToken", "tokenType", "expiresIn", "scope"],
    };
    let members = body.as_object().expect("is an object");
    assert!(members.keys().all(|name| names.contains(&name.as_str())), "{sdk:?}: {reply:?}");
    assert_eq!(body[names[1]], "bearer", "{sdk:?}");
    assert!(body[names[2]].as_u64().is_some_and(|seconds| seconds > 0), "{sdk:?}: {reply:?}");
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    body[names[0]].as_str().expect("is text").to_owned()
}

/// Holds an answer against HERE's form of an error.
#[track_caller]
fn assert_refused(reply: &Reply, status: u16, number: Option<u64>) {
    assert_eq!(reply.status, status, "{reply:?}");
    let body = reply.json();
    assert_eq!(
        body.get("errorCode").map(|number| number.as_u64().expect("is a number")),
        number,
        "{reply:?}"
    );
    assert_eq!(body["httpStatus"], status, "{reply:?}");
    let id = body["errorId"].as_str().expect("is text");
    let lengths: Vec<_> = id.split('-').map(str::len).collect();
    assert!(id.starts_with("ERROR-") && lengths == [5, 8, 4, 4, 4, 12], "{id}");
    let message = body["message"].as_str().expect("is text");
    let description = body["error_description"].as_str().expect("is text");
    match number {
        Some(number) => assert_eq!(description, format!("errorCode: '{number}'. {message}")),
        None => assert_eq!(description, message),
    }
    assert!(body["error"].is_string(), "{reply:?}");
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert!(reply.header("x-correlation-id").is_some() && reply.header("date").is_some(), "{reply:?}");
    assert_eq!(reply.header("www-authenticate"), (status == 401).then_some("OAuth realm=\"token-provider\""));
}
