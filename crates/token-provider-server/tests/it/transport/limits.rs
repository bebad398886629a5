//! How long the steps of a TLS connection may take, and its end.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Version;
use rustls::version::TLS13;
use token_provider::TokenProvider;
use token_provider_server::parts::listen::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::authority::Files;
use super::{REQUEST, TlsServer};
use crate::support::issuer::GatedIssuer;
use crate::support::server::Setup;
use crate::support::wire::Connection;
use crate::support::within;

const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn handshake_that_stalls_ends_the_connection() {
    let limits = Limits { handshake: SHORT, ..Limits::default() };
    let server = TlsServer::start_with(Setup::default().limits(limits), Files::new()).await;
    for beginning in [&[][..], &[22], &[22, 3, 1, 2, 0, 1, 0]] {
        let mut connection = Connection::open(server.server.address).await;
        connection.send(beginning).await;
        assert!(connection.is_closed_by_server().await, "{beginning:?}");
    }
}

#[tokio::test]
async fn silence_after_the_handshake_ends_the_connection() {
    let limits = Limits { head: SHORT, ..Limits::default() };
    let server = TlsServer::start_with(Setup::default().limits(limits), Files::new()).await;
    let mut connection = server.connect(Arc::new(server.client_config(&[&TLS13]))).await;
    assert!(connection.is_closed_by_server().await);
}

#[tokio::test]
async fn idle_connection_ends_with_a_proper_farewell() {
    // Before and after it has come to rest.
    for idle in [SHORT, 12 * SHORT] {
        let limits = Limits { idle, ..Limits::default() };
        let server = TlsServer::start_with(Setup::default().limits(limits), Files::new()).await;
        let mut stream =
            server.try_connect(Arc::new(server.client_config(&[&TLS13]))).await.expect("shakes hands");
        stream.write_all(REQUEST.as_bytes()).await.expect("is sent");
        let mut answer = Vec::new();
        // Without `close_notify`, rustls would report that the end may be somebody else's doing.
        within("the end", stream.read_to_end(&mut answer)).await.expect("ends in order");
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
}

#[tokio::test]
async fn answers_under_way_are_finished_when_the_server_stops() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let issuer = Arc::new(GatedIssuer::new("planted.token.text"));
        let setup = Setup::default().provider(TokenProvider::new(Arc::clone(&issuer)));
        let mut server = TlsServer::start_with(setup, Files::new()).await;
        let client = server.client();
        let client = if version == Version::HTTP_11 { client.http1_only() } else { client };
        let request = client.build().expect("is a client").get(server.url("/getToken")).send();
        let asked = tokio::spawn(request);
        issuer.asked().await;
        server.server.begin_shutdown();
        issuer.answer();
        let answer = within("an answer", asked).await.expect("does not panic").expect("is answered");
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
        assert_eq!(answer.text().await.expect("is text"), "planted.token.text");
        server.server.ended().await;
    }
}

#[tokio::test]
async fn answer_that_takes_too_long_is_given_up() {
    let issuer = Arc::new(GatedIssuer::new("planted.token.text"));
    let limits = Limits { answer: SHORT, ..Limits::default() };
    let setup = Setup::default().limits(limits).provider(TokenProvider::new(Arc::clone(&issuer)));
    let server = TlsServer::start_with(setup, Files::new()).await;
    let client = server.client().build().expect("is a client");
    let answer = within("an answer", client.get(server.url("/getToken")).send()).await.expect("is answered");
    assert_eq!(answer.status().as_u16(), 503);
    let body: serde_json::Value = answer.json().await.expect("is JSON");
    assert_eq!(body["error"], "temporarily_unavailable");
}
