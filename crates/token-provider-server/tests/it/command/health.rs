//! `health`: what a container's health check hears, over each kind of listener.

use here_sandbox::Fault;
use rcgen::generate_simple_self_signed;
use rustix::process::Signal;

use crate::support::port::Port;
use crate::support::program::{Account, Folder, Outcome};
use crate::support::within;

async fn at_home() -> (Account, Folder) {
    let (account, folder) = (Account::open().await, Folder::new());
    folder.write("credentials.properties", &account.credentials());
    (account, folder)
}

/// Runs it until the server's first request to the account has come to an end, for which no probe waits long.
async fn health(folder: &Folder, arguments: &[&str]) -> Outcome {
    let asking = async {
        loop {
            let outcome = folder.run(&[&["health"], arguments].concat()).await;
            if !outcome.stderr.contains("the first token has not arrived yet") {
                return outcome;
            }
        }
    };
    within("the first token", asking).await
}

#[tokio::test]
async fn running_server_is_ready_over_tcp() {
    let (_account, folder) = at_home().await;
    let port = Port::new();
    let listen = port.address.to_string();
    let mut server = folder.start(&["serve", "--listen", &listen]);
    assert_eq!(server.address().await, port.address);
    let outcome = health(&folder, &["--listen", &listen]).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "ready\n"), "{outcome:?}");
    assert_eq!(outcome.stderr, "");

    server.signal(Signal::TERM);
    server.end().await;
    let outcome = folder.run(&["health", "--listen", &listen]).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{outcome:?}");
    let expected = format!("error: no server answers at {listen}\ncaused by: ");
    assert!(outcome.stderr.starts_with(&expected), "{outcome:?}");
}

#[tokio::test]
async fn running_server_is_ready_over_tls() {
    let (_account, mut folder) = at_home().await;
    let made = generate_simple_self_signed(["tokens.example.com".to_owned()]).expect("can be made");
    folder.write("tls.crt", &made.cert.pem());
    folder.write("tls.key", &made.signing_key.serialize_pem());
    folder.write(
        "token-provider.toml",
        "listen = [\"127.0.0.1:0\"]\n[tls]\ncert = \"tls.crt\"\nkey = \"tls.key\"\n",
    );
    // A proxy on the way to others is none on the way to this machine.
    folder.set("HTTPS_PROXY", "http://127.0.0.1:1");
    folder.set("NO_PROXY", "localhost");
    let mut server = folder.start(&["serve"]);
    let message = server.logged("listening on https://").await;
    let listen = message.split("https://").nth(1).and_then(|rest| rest.split([' ', ';']).next());
    let outcome = health(&folder, &["--listen", listen.expect("is there")]).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "ready\n"), "{outcome:?}");
}

#[tokio::test]
async fn running_server_is_ready_over_a_unix_socket_of_its_configuration() {
    let (_account, folder) = at_home().await;
    let socket = folder.path("http.sock").display().to_string();
    folder.write("token-provider.toml", &format!("listen = [\"unix:{socket}\"]\n"));
    let mut server = folder.start(&["serve"]);
    server.logged("listening on unix:").await;
    let outcome = health(&folder, &[]).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "ready\n"), "{outcome:?}");
}

#[tokio::test]
async fn server_without_a_token_is_live_and_says_why_it_is_not_ready() {
    let (account, folder) = at_home().await;
    account.sandbox.faults().replace(vec![Fault {
        status: Some(401),
        error_code: Some(401_300),
        count: Some(99),
        ..Fault::default()
    }]);
    let mut server = folder.start(&["serve", "--listen", "127.0.0.1:0"]);
    let listen = server.address().await.to_string();
    let outcome = health(&folder, &["--listen", &listen]).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{outcome:?}");
    let expected = format!("error: the server at {listen} is not ready: HTTP 503: ");
    assert!(outcome.stderr.starts_with(&expected) && outcome.stderr.contains("401300"), "{outcome:?}");

    let outcome = folder.run(&["health", "--live", "--listen", &listen]).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "live\n"), "{outcome:?}");
}

#[tokio::test]
async fn listener_that_cannot_be_known_is_asked_for() {
    let folder = Folder::new();
    let outcome = folder.run(&["health", "--listen", "127.0.0.1:0"]).await;
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("--listen"), "{outcome:?}");
}
