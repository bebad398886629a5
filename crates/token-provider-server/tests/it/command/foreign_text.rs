//! Text that strangers have chosen, in what people read: nothing steers their terminal, passes for a line of ours, or
//! fills the screen.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::generate_simple_self_signed;
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::support::program::{Folder, Outcome};
use crate::support::within;

/// Clears the screen and prints "all is well" on its own line.
const NASTY: &str = "\u{1b}[2J\nok       token: HERE gave one\r\u{202e}";

/// The lines, if a terminal would show them as they are.
#[track_caller]
fn lines(text: &str) -> Vec<&str> {
    let is_hidden = |c: char| c != '\n' && c.is_control() || c == '\u{202e}';
    assert!(!text.chars().any(is_hidden), "{text:?}");
    text.lines().collect()
}

/// Answers the first connection with what `answer` writes, and returns where.
async fn server<F, A>(answer: F) -> String
where
    F: FnOnce(TcpStream) -> A + Send + 'static,
    A: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("is bound").to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("somebody comes");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.expect("a whole request"));
        }
        answer(stream).await;
    });
    address
}

async fn health(description: String) -> Outcome {
    let body = serde_json::json!({ "error_description": description }).to_string();
    let head = format!("HTTP/1.1 503 No\r\nContent-Length: {}\r\n\r\n", body.len());
    let listen = server(async move |mut stream| {
        // The client may close once it has read enough.
        let _ = stream.write_all((head + &body).as_bytes()).await;
        let _ = stream.read_u8().await;
    })
    .await;
    let outcome = Folder::new().run(&["health", "--listen", &listen]).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{outcome:?}");
    Outcome { stderr: outcome.stderr.replace(&listen, "LISTEN"), ..outcome }
}

#[tokio::test]
async fn health_shows_a_few_words_of_whatever_answers() {
    let start = "error: the server at LISTEN is not ready: HTTP 503: ";
    let outcome = health(NASTY.to_owned()).await;
    let expected = r"\u{1b}[2J\nok       token: HERE gave one\r\u{202e}";
    assert_eq!(lines(&outcome.stderr), [format!("{start}{expected}")]);

    let outcome = health("x".repeat(10_000)).await;
    assert_eq!(lines(&outcome.stderr), [format!("{start}{}…", "x".repeat(300))]);

    let outcome = health("x".repeat(200_000)).await;
    assert_eq!(lines(&outcome.stderr), ["error: the server at LISTEN is not ready: HTTP 503"]);
}

#[tokio::test]
async fn health_does_not_read_an_answer_without_an_end() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let listen = server(async move |mut stream| {
        let chunk = vec![b' '; 64 * 1024];
        let mut next = &b"HTTP/1.1 503 No\r\nContent-Length: 99999999999\r\n\r\n"[..];
        while stream.write_all(next).await.is_ok() {
            count.fetch_add(next.len(), Ordering::Relaxed);
            next = &chunk;
        }
    })
    .await;
    let outcome = Folder::new().run(&["health", "--listen", &listen]).await;
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    // The buffers of the two sockets take a few megabytes, even if nobody reads.
    let sent = sent.load(Ordering::Relaxed);
    assert!(sent < 32 * 1024 * 1024, "{sent} bytes");
}

/// A token endpoint whose certificate is for hundreds of names, and not for the one that it is called by.
async fn endpoint_with_many_names(folder: &Folder) -> String {
    let names: Vec<String> = (0..500).map(|number| format!("host-{number}.stranger.example")).collect();
    let made = generate_simple_self_signed(names).expect("can be made");
    folder.write("ca.crt", &made.cert.pem());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("fit");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let port = listener.local_addr().expect("is bound").port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("somebody comes");
            let _ = acceptor.accept(stream).await;
        }
    });
    format!("https://localhost:{port}/oauth2/token")
}

#[tokio::test]
async fn names_in_the_certificate_of_a_stranger_are_cut() {
    let folder = Folder::new();
    let endpoint = endpoint_with_many_names(&folder).await;
    let credential = "here.access.key.id = an-id\nhere.access.key.secret = a-secret\n";
    folder.write("credentials.properties", &format!("{credential}here.token.endpoint.url = {endpoint}\n"));
    folder.write("token-provider.toml", "[profiles.default]\nca = \"ca.crt\"\n");

    let checked = folder.run(&["check", "--listen", "127.0.0.1:0"]).await;
    let asked = folder.run(&["token"]).await;
    let mut server = folder.start(&["serve", "--listen", "127.0.0.1:0"]);
    server.logged("no token received").await;
    let logged = server.last_line();
    for text in [checked.stdout.as_str(), asked.stderr.as_str(), logged] {
        assert!(text.contains("host-1.stranger.example"), "the cause is told: {text}");
        let longest = lines(text).into_iter().map(|line| line.chars().count()).max();
        assert!(longest < Some(2000), "{longest:?} characters in one line: {text:.3000}");
    }
}

#[tokio::test]
async fn names_of_variables_and_files_cannot_pass_for_lines_of_ours() {
    let mut folder = Folder::new();
    folder.set("TOKEN_PROVIDER_X__\u{1b}[2J\nok       token: HERE gave one\r\u{202e}", "x");
    for command in ["serve", "token", "health", "sandbox"] {
        let outcome = within(command, folder.run(&[command])).await;
        let [first, second] = lines(&outcome.stderr)[..] else { panic!("two lines: {outcome:?}") };
        assert_eq!(first, "error: the configuration cannot be used:");
        assert!(second.starts_with(r"TOKEN_PROVIDER_X__\u{1b}[2J\nok "), "{second}");
    }
    let outcome = folder.run(&["check"]).await;
    assert!(matches!(lines(&outcome.stdout)[..], [line] if line.starts_with("FAILURE ")), "{outcome:?}");

    let folder = Folder::new();
    let file = serde_json::json!(NASTY).to_string();
    folder.write("token-provider.toml", &format!("[profiles.default]\ncredentials = {file}\n"));
    let outcome = folder.run(&["check", "--listen", "127.0.0.1:0"]).await;
    assert!(!lines(&outcome.stdout).iter().any(|line| line.starts_with("ok       token")), "{outcome:?}");
    let outcome = folder.run(&["token"]).await;
    let starts: Vec<_> = lines(&outcome.stderr).iter().filter_map(|line| line.split_once(": ")).collect();
    assert!(matches!(starts[..], [("error", _), ("caused by", _)]), "{outcome:?}");
}
