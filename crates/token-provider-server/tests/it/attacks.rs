//! What somebody would try who should get nothing: each is tried against a running server, is refused before the issuer
//! is asked, and is in the audit trail.

mod forger;
mod forwarded;
mod guessing;
mod rebinding;
mod rules;
mod scopes;
mod shares;
mod tokens;
mod workloads;

use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use super::support::server::{Server, Setup};
use super::support::wire::{Connection, Reply, request};

/// A server with this configuration that leaves an audit trail.
struct Target {
    server: Server,
    trail: PathBuf,
    _folder: TempDir,
}

impl Target {
    async fn start(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("can be made");
        let trail = folder.path().join("audit.jsonl");
        let server = Setup::default().config(config).trail(&trail).start().await;
        Self { server, trail, _folder: folder }
    }

    async fn get(&self, headers: &[(&str, &str)]) -> Reply {
        request(self.server.address, "GET", "/getToken", headers).await
    }

    /// Sends these bytes on a connection of their own, and reads one answer.
    async fn send(&self, bytes: &str) -> Reply {
        let mut connection = Connection::open(self.server.address).await;
        connection.send(bytes).await;
        connection.reply().await
    }

    /// The sandbox has not been asked for a single token.
    fn assert_nothing_happened(&self) {
        assert_eq!(self.server.sandbox.stats().token_requests, 0, "HERE was asked");
    }

    /// Ends the audit trail, and returns its lines.
    fn lines(&self) -> Vec<Value> {
        self.server.audit_lines(&self.trail)
    }
}

/// Says that a line is about a refusal by this rule, of a request from this address.
#[track_caller]
fn assert_refusal(line: &Value, status: u16, rule: &str, address: &str) {
    let found = (&line["outcome"], &line["status"], &line["rule"], &line["address"]);
    let expected = ("refused".into(), status.into(), rule.into(), address.into());
    assert_eq!(found, (&expected.0, &expected.1, &expected.2, &expected.3), "{line}");
    assert!(line["fingerprint"].is_null() && line["caller"].is_null(), "{line}");
}
