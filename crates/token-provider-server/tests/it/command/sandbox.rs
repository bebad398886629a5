//! `sandbox`: the offline account alone, and the credential file that leads to it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::process::Signal;

use crate::support::program::{Folder, Running};
use crate::support::wire::request;

const ANYWHERE: &str = "127.0.0.1:0";

async fn start(folder: &Folder, file: &Path) -> Running {
    let file = file.to_str().expect("is text");
    let mut sandbox = folder.start(&["sandbox", "--listen", ANYWHERE, "--write-credentials", file]);
    sandbox.logged("an offline HERE account at").await;
    sandbox
}

#[tokio::test]
async fn written_credentials_are_all_that_a_script_needs() {
    let folder = Folder::new();
    let file = folder.path("credentials.properties");
    let sandbox = start(&folder, &file).await;
    let mode = file.metadata().expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "for the owner's eyes");
    // The file says where the account is, and `token` finds the file.
    let token = folder.run(&["token"]).await;
    assert_eq!((token.code, token.stdout.split('.').count()), (Some(0), 3), "{token:?}");
    sandbox.signal(Signal::TERM);
    let (status, stdout, _) = sandbox.end().await;
    assert_eq!((status.code(), stdout.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn file_that_is_there_is_not_replaced() {
    let folder = Folder::new();
    let file = folder.write("credentials.properties", "precious");
    let arguments = ["sandbox", "--listen", ANYWHERE, "--write-credentials", file.to_str().expect("is text")];
    let outcome = folder.run(&arguments).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{outcome:?}");
    let remedy = "credentials.properties already exists and is not overwritten. If it belongs to an earlier \
         sandbox, reuse it with";
    assert!(outcome.stderr.contains(remedy), "{outcome:?}");
    assert_eq!(std::fs::read_to_string(&file).expect("is there"), "precious");
}

#[tokio::test]
async fn link_is_not_followed_to_a_file_that_is_not_there() {
    let folder = Folder::new();
    let file = folder.path("credentials.properties");
    std::os::unix::fs::symlink(folder.path("target"), &file).expect("can be made");
    let arguments = ["sandbox", "--listen", ANYWHERE, "--write-credentials", file.to_str().expect("is text")];
    let outcome = folder.run(&arguments).await;
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(!folder.path("target").exists());
}

#[tokio::test]
async fn localhost_is_both_of_its_addresses() {
    let folder = Folder::new();
    let mut sandbox = folder.start(&["sandbox", "--listen", "localhost:0"]);
    let message = sandbox.logged("an offline HERE account at").await;
    let port = message.rsplit(':').next().and_then(|port| port.trim().parse::<u16>().ok());
    let port = port.unwrap_or_else(|| panic!("no port: {message}"));
    for address in ["127.0.0.1", "::1"] {
        let address = std::net::SocketAddr::new(address.parse().expect("is an address"), port);
        assert_eq!(request(address, "GET", "/timestamp", &[]).await.status, 200, "{address}");
    }
    sandbox.signal(Signal::TERM);
    assert_eq!(sandbox.end().await.0.code(), Some(0));
}

#[tokio::test]
async fn fault_that_makes_no_sense_is_told_in_words() {
    let folder = Folder::new();
    for (fault, expected) in [
        ("503", "expected JSON such as {\"status\": 503, \"count\": 2}"),
        ("{status: 503}", "expected JSON such as {\"status\": 503, \"count\": 2}"),
        ("{\"statuss\": 503}", "statuss"),
    ] {
        let outcome = folder.run(&["sandbox", "--listen", ANYWHERE, "--fault", fault]).await;
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert!(outcome.stderr.contains(expected), "{outcome:?}");
        assert!(!outcome.stderr.contains("Wire"), "no type's name: {outcome:?}");
    }
}

#[tokio::test]
async fn interrupt_ends_it_well() {
    let folder = Folder::new();
    let sandbox = start(&folder, &folder.path("c")).await;
    sandbox.signal(Signal::INT);
    assert_eq!(sandbox.end().await.0.code(), Some(0));
}

#[tokio::test]
async fn secret_is_in_the_file_alone() {
    let folder = Folder::new();
    let file = folder.path("c");
    let sandbox = start(&folder, &file).await;
    let text = std::fs::read_to_string(&file).expect("is there");
    let secret = text.lines().find_map(|line| line.strip_prefix("here.access.key.secret = "));
    let secret = secret.expect("is there").to_owned();
    assert!(!sandbox.visible_arguments().contains(&secret));
    sandbox.signal(Signal::TERM);
    let (_, stdout, log) = sandbox.end().await;
    assert!(!stdout.contains(&secret) && !log.iter().any(|line| line.contains(&secret)), "{log:#?}");
}

#[tokio::test]
async fn account_is_the_same_again_for_the_same_credentials() {
    let folder = Folder::new();
    let file = folder.path("credentials.properties");
    let first = start(&folder, &file).await;
    let token = folder.run(&["token"]).await.stdout;
    first.signal(Signal::TERM);
    first.end().await;

    let again = folder.path("again.properties");
    let paths = [&file, &again].map(|path| path.to_str().expect("is text"));
    let arguments =
        ["sandbox", "--listen", ANYWHERE, "--credentials", paths[0], "--write-credentials", paths[1]];
    let mut second = folder.start(&arguments);
    let message = second.logged("an offline HERE account at").await;
    let address = message.rsplit("http://").next().unwrap_or_default();
    let address = address.parse().unwrap_or_else(|_| panic!("no address: {message}"));
    let bearer = format!("Bearer {}", token.trim());
    let hello = request(address, "GET", "/hello", &[("Authorization", &bearer)]).await;
    assert_eq!(hello.status, 200, "knows the first one's token: {hello:?}");
    let outcome = folder.run(&["token", "--credentials", paths[1]]).await;
    assert_eq!(outcome.code, Some(0), "and its access key: {outcome:?}");
}

#[tokio::test]
async fn account_needs_credentials_that_can_be_read() {
    let folder = Folder::new();
    let file = folder.write("c", "here.access.key.id = an-id\n");
    for path in [file.to_str().expect("is text"), "nothing"] {
        let outcome = folder.run(&["sandbox", "--listen", ANYWHERE, "--credentials", path]).await;
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(78), ""), "{outcome:?}");
        assert!(outcome.stderr.contains(path) && !outcome.stderr.contains("an-id"), "{outcome:?}");
    }
}

#[tokio::test]
async fn faults_of_the_command_line_are_there_from_the_start() {
    let folder = Folder::new();
    let file = folder.path("credentials.properties");
    let mut arguments =
        vec!["sandbox", "--listen", ANYWHERE, "--write-credentials", file.to_str().expect("is text")];
    arguments.extend(["--fault", r#"{"status": 503, "count": 1}"#, "--fault", r#"{"lifetime_s": 77}"#]);
    let mut sandbox = folder.start(&arguments);
    sandbox.logged("an offline HERE account at").await;
    let failed = folder.run(&["token"]).await;
    assert!(failed.code == Some(1) && failed.stderr.contains("503"), "{failed:?}");
    let short = folder.run(&["token", "--format", "json"]).await;
    assert!(short.code == Some(0) && short.stdout.contains("\"expires_in\":7"), "{short:?}");

    let wrong = folder.run(&["sandbox", "--listen", ANYWHERE, "--fault", r#"{"statuss": 503}"#]).await;
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    assert!(wrong.stderr.contains("unknown field `statuss`, expected one of"), "{wrong:?}");
}

#[tokio::test]
async fn address_is_one_that_can_be_called() {
    let folder = Folder::new();
    for (number, listen) in ["0", "localhost:0", "0.0.0.0:0"].into_iter().enumerate() {
        let name = format!("{number}.properties");
        let mut sandbox = folder.start(&["sandbox", "--listen", listen, "--write-credentials", &name]);
        let message = sandbox.logged("an offline HERE account at").await;
        assert!(message.contains("http://127.0.0.1:"), "{message}");
        let token = folder.run(&["token", "--credentials", &name]).await;
        assert_eq!(token.code, Some(0), "{listen}: {token:?}");
    }
}

#[tokio::test]
async fn place_that_it_cannot_listen_at_is_bad_usage() {
    let folder = Folder::new();
    for (listen, expected) in [
        (&["unix:/tmp/x.sock"][..], "one TCP port"),
        (&["systemd"], "one TCP port"),
        (&["nonsense"], "one TCP port"),
        (&["127.0.0.1:0", "127.0.0.1:0"], "cannot be used multiple times"),
        (&["192.0.2.1:8080"], "loopback only"),
    ] {
        let flags = listen.iter().flat_map(|listen| ["--listen", listen]);
        let arguments: Vec<&str> = ["sandbox", "--write-credentials", "c"].into_iter().chain(flags).collect();
        let outcome = folder.run(&arguments).await;
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{outcome:?}");
        assert!(outcome.stderr.contains(expected), "{outcome:?}");
        assert!(!folder.path("c").exists());
    }
}
