//! A private key in place of an access key (`private_key_jwt`), through the program, at an account that checks assertions with its
//! own code.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use rustix::process::Signal;
use serde_json::Value;
use token_provider::secrecy::ExposeSecret as _;
use token_provider::{PrivateKey, SigningAlgorithm};

use crate::support::program::{Account, Folder, Outcome, Running, set_mode};
use crate::support::wire::{get, request};
use crate::support::within;

const CREDENTIALS: &str = "credentials.properties";

/// An account, and a folder with a credential file for it that names the key's file.
struct Bench {
    account: Account,
    folder: Folder,
}

impl Bench {
    async fn open() -> Self {
        let (account, folder) = (Account::open().await, Folder::new());
        folder.write("token-provider.toml", "admin.listen = '127.0.0.1:0'\n");
        let bench = Self { account, folder };
        bench.name("here.pem");
        bench
    }

    /// Makes the credential file name this key file. In one step: the server may be reading it.
    fn name(&self, file: &str) {
        let text = format!(
            "here.auth.method = private_key_jwt\nhere.client.id = {}\nhere.private.key = {file}\n\
             here.token.endpoint.url = {}/oauth2/token\n",
            here_sandbox::APP_ID,
            self.account.origin
        );
        let new = self.folder.write("new", &text);
        fs::rename(new, self.folder.path(CREDENTIALS)).expect("can be renamed");
    }

    /// Makes a key, and registers its public half under a name.
    fn register(&self, algorithm: SigningAlgorithm, id: &str) -> (PrivateKey, String) {
        let (key, pem) = new_key(algorithm);
        let named = key.clone().with_key_id(id).expect("is a name");
        self.account.sandbox.register_jwks(&named.public_jwk()).expect("is public");
        (key, pem)
    }

    /// The name of the key that the account accepted last.
    fn last_key(&self) -> Option<String> {
        self.account.sandbox.stats().last_assertion_key_id
    }

    fn serve(&self) -> Running {
        self.folder.start(&["serve", "--listen", "127.0.0.1:0", "--log-format", "json"])
    }
}

fn new_key(algorithm: SigningAlgorithm) -> (PrivateKey, String) {
    let pem = PrivateKey::generate_pem(algorithm).expect("randomness is there");
    (PrivateKey::from_pem(pem.expose_secret()).expect("is a key"), pem.expose_secret().to_owned())
}

async fn profile(admin: std::net::SocketAddr) -> Value {
    let status = request(admin, "GET", "/status", &[("Accept", "application/json")]).await.json();
    status["profiles"][0].clone()
}

#[tokio::test]
async fn server_gets_tokens_with_a_private_key_and_names_it() {
    let bench = Bench::open().await;
    let (key, pem) = bench.register(SigningAlgorithm::Rs256, "2026-11");
    bench.folder.write("here.pem", &pem);
    let text = fs::read_to_string(bench.folder.path(CREDENTIALS)).expect("is there");
    bench.folder.write(CREDENTIALS, &(text + "here.key.id = 2026-11\nhere.signing.algorithm = RS256\n"));
    let mut server = bench.serve();
    let line = server.logged("credential: ").await;
    let name = format!("(private_key_jwt: key 2026-11, thumbprint {})", key.thumbprint());
    assert!(line.contains(CREDENTIALS) && line.contains(&name), "{line}");
    let [address, admin] = server.addresses().await;
    for ttl in [3600, 600] {
        let reply = get(address, &format!("/getToken?ttl={ttl}")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(bench.account.sandbox.verify_token(reply.text()).is_ok(), "is good at the account");
    }
    let credential = &profile(admin).await["credential"];
    assert_eq!(
        *credential,
        serde_json::json!({"method": "private_key_jwt", "kid": "2026-11", "thumbprint": key.thumbprint()})
    );
    assert_eq!(bench.account.sandbox.stats().refused, std::collections::BTreeMap::new());
    server.signal(Signal::TERM);
    let (_, _, log) = server.end().await;
    let log = log.join("\n");
    let (_, secret) = pem.split_once('\n').expect("has lines");
    assert!(secret.lines().all(|line| line.contains("-----") || !log.contains(line)), "{log}");
}

#[tokio::test]
async fn check_names_the_key_and_judges_the_permissions_of_its_file() {
    let bench = Bench::open().await;
    let (key, pem) = bench.register(SigningAlgorithm::Es256, "one");
    let path = bench.folder.write("here.pem", &pem);
    let check = async || bench.folder.run(&["check", "--listen", "127.0.0.1:0"]).await;
    let outcome = check().await;
    let expected =
        format!("ok       private key: profile default: private_key_jwt: thumbprint {}", key.thumbprint());
    assert!(outcome.stdout.contains(&expected), "{outcome:?}");
    assert!(outcome.stdout.contains("ok       token: received") && outcome.code == Some(0), "{outcome:?}");
    for file in [CREDENTIALS, "here.pem"] {
        let found = format!("ok       permissions: other users cannot read {file}\n");
        assert!(outcome.stdout.contains(&found), "{outcome:?}");
    }

    set_mode(&path, 0o644);
    let outcome = check().await;
    assert!(outcome.stdout.contains("here.pem: other users can read it; run chmod 600"), "{outcome:?}");
    assert_eq!(outcome.code, Some(0));

    assert!(bench.account.sandbox.remove_jwk("one"));
    let outcome = check().await;
    assert!(
        outcome.stdout.contains("401953") && outcome.stdout.contains("register the public key"),
        "{outcome:?}"
    );
    assert_eq!(outcome.code, Some(1));

    fs::remove_file(&path).expect("is there");
    let outcome = check().await;
    assert!(outcome.stdout.contains("line 3: here.private.key: it is neither PEM"), "{outcome:?}");
    assert_eq!(outcome.code, Some(78));
}

#[tokio::test]
async fn changed_key_file_is_tried_and_then_used() {
    let bench = Bench::open().await;
    let (_, first) = bench.register(SigningAlgorithm::Es256, "first");
    bench.folder.write("here.pem", &first);
    let mut server = bench.serve();
    let [address, admin] = server.addresses().await;
    assert_eq!(get(address, "/getToken?ttl=3600").await.status, 200);
    assert_eq!(bench.last_key().as_deref(), Some("first"));

    // Half a key changes nothing; nor does one that nobody has registered.
    let (second, pem) = new_key(SigningAlgorithm::Es256);
    let second = second.with_key_id("second").expect("is a name");
    bench.folder.write("here.pem", pem.split_at(120).0);
    server.logged("the changed credential cannot be used").await;
    assert!(server.last_line().contains("here.private.key"), "{}", server.last_line());
    bench.folder.write("here.pem", &pem);
    server.logged("HERE did not accept the changed credential").await;
    assert_eq!(get(address, "/getToken?ttl=600").await.status, 200);
    assert_eq!(bench.last_key().as_deref(), Some("first"));
    assert!(profile(admin).await["rotation_problem"].is_string());

    bench.account.sandbox.register_jwks(&second.public_jwk()).expect("is public");
    server.signal(Signal::HUP);
    server.logged("credential rotated").await;
    assert!(server.last_line().contains(second.thumbprint()), "{}", server.last_line());
    assert!(bench.account.sandbox.remove_jwk("first"));
    assert_eq!(get(address, "/getToken?ttl=300").await.status, 200);
    assert_eq!(bench.last_key().as_deref(), Some("second"));
    let fixed = async { while profile(admin).await["rotation_problem"].is_string() {} };
    within("no problem", fixed).await;
    assert_eq!(profile(admin).await["credential"]["thumbprint"], second.thumbprint());

    // With nothing wrong that would be looked at again, and without a signal.
    let (third, pem) = bench.register(SigningAlgorithm::Es256, "third");
    bench.folder.write("here.pem", &pem);
    server.logged("credential rotated").await;
    assert!(server.last_line().contains(third.thumbprint()), "{}", server.last_line());
}

#[tokio::test]
async fn key_file_that_comes_after_the_credential_file_that_names_it_is_found() {
    let bench = Bench::open().await;
    let (_, first) = bench.register(SigningAlgorithm::Es256, "first");
    let (_, second) = bench.register(SigningAlgorithm::Es256, "second");
    bench.folder.write("here.pem", &first);
    let mut server = bench.serve();
    let [address, _] = server.addresses().await;
    bench.name("other.pem");
    server.logged("the changed credential cannot be used").await;
    // Looked at once more, the change of the credential file is done with.
    server.signal(Signal::HUP);
    server.logged("the changed credential cannot be used").await;
    // Nothing but this file changes, and nobody sends a signal.
    bench.folder.write("other.pem", &second);
    server.logged("credential rotated").await;
    assert_eq!(get(address, "/getToken?ttl=600").await.status, 200);
    assert_eq!(bench.last_key().as_deref(), Some("second"));

    // The file of the first key is nobody's any more.
    bench.folder.write("here.pem", "planted");
    bench.folder.write(CREDENTIALS, &bench.account.credentials());
    server.logged("credential rotated").await;
    assert_eq!(get(address, "/getToken?ttl=900").await.status, 200);
    assert!(bench.account.sandbox.stats().last_access_key_id.is_some(), "and back to an access key");
}

/// It looks like the path of a file that is not there, and is the key.
#[tokio::test]
async fn key_that_is_pasted_as_a_path_is_neither_logged_nor_shown() {
    let bench = Bench::open().await;
    let (_, pem) = bench.register(SigningAlgorithm::Es256, "first");
    bench.folder.write("here.pem", &pem);
    let mut server = bench.serve();
    let [address, admin] = server.addresses().await;
    let base64: String = pem.lines().filter(|line| !line.contains("-----")).collect();
    bench.name(&base64);
    server.logged("the changed credential cannot be used").await;
    assert!(server.last_line().contains("it is neither PEM"), "{}", server.last_line());
    assert_eq!(get(address, "/getToken?ttl=600").await.status, 200, "the previous one stays in use");
    let shown =
        [get(admin, "/status").await, get(admin, "/metrics").await].map(|reply| reply.text().to_owned());
    assert!(shown.concat().contains("it is neither PEM") && !shown.concat().contains(&base64), "{shown:?}");

    // Looked at again with nothing changed, there is nothing new to say.
    bench.folder.write("token-provider.toml", "admin.listen = '127.0.0.1:0'\naccess.anonymous = true\n");
    server.logged("configuration reloaded").await;
    bench.name("here.pem");
    let fixed = async { while profile(admin).await["rotation_problem"].is_string() {} };
    within("no problem", fixed).await;
    server.signal(Signal::TERM);
    let (_, _, log) = server.end().await;
    let log = log.join("\n");
    assert!(!log.contains(&base64), "{log}");
    let reports = log.matches("the changed credential cannot be used").count();
    assert_eq!(reports, 1, "read at every look, and said once: {log}");
}

#[tokio::test]
async fn sandbox_command_says_that_it_needs_an_access_key() {
    let bench = Bench::open().await;
    bench.folder.write("here.pem", &new_key(SigningAlgorithm::Es256).1);
    let outcome = bench.folder.run(&["sandbox", "--listen", "0", "--credentials", CREDENTIALS]).await;
    assert!(
        outcome.stderr.contains("it has a private key, and the account needs an access key"),
        "{outcome:?}"
    );
    assert_eq!(outcome.code, Some(78));
}

/// From nothing to a token: the key is made, its public half registered as it is printed, and the lines used that the command says.
#[tokio::test]
async fn made_key_is_registered_and_brings_tokens() {
    for algorithm in ["RS256", "ES256"] {
        let (account, folder) = (Account::open().await, Folder::new());
        let made = folder.run(&["key", "new", "--issuer-key", "here.pem", "--algorithm", algorithm]).await;
        assert_eq!((made.code, made.stdout.lines().count()), (Some(0), 1), "{made:?}");
        let jwk: Value = serde_json::from_str(&made.stdout).expect("is JSON");
        assert_eq!((&jwk["alg"], &jwk["use"]), (&algorithm.into(), &"sig".into()));
        assert!(jwk["d"].is_null(), "{jwk}");
        account.sandbox.register_jwks(&made.stdout).expect("is public");

        let mode = fs::metadata(folder.path("here.pem")).expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let pem = fs::read_to_string(folder.path("here.pem")).expect("is there");
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n") && pem.lines().all(|line| line.len() <= 64));
        assert!(
            pem.lines().skip(1).all(|line| line.contains("-----") || !format!("{made:?}").contains(line))
        );

        let lines: Vec<&str> = made.stderr.lines().filter(|line| line.starts_with("here.")).collect();
        assert_eq!(lines.len(), 4, "{made:?}");
        let text = lines.join("\n").replace("CLIENT_ID_OF_THE_APP", here_sandbox::APP_ID);
        let endpoint = format!("\nhere.token.endpoint.url = {}/oauth2/token\n", account.origin);
        folder.write(CREDENTIALS, &(text + &endpoint));
        let mut server = folder.start(&["serve", "--listen", "127.0.0.1:0", "--log-format", "json"]);
        let reply = get(server.address().await, "/getToken").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(account.sandbox.verify_token(reply.text()).is_ok());
        assert_eq!(account.sandbox.stats().last_assertion_key_id.as_deref(), jwk["kid"].as_str());
    }
}

#[tokio::test]
async fn made_key_replaces_nothing_and_options_must_fit() {
    let folder = Folder::new();
    folder.write("here.pem", "planted");
    symlink("nowhere", folder.path("link")).expect("can be linked");
    for (arguments, code, problem) in [
        (&["--issuer-key", "here.pem"][..], 2, "already exists and is not overwritten"),
        (&["--issuer-key", "link"], 2, "already exists and is not overwritten"),
        (&["--issuer-key", "no/such/folder"], 1, "cannot create"),
        (&["--issuer-key", "new.pem", "--id", "a"], 2, "cannot be used with"),
        (&["--issuer-key", "new.pem", "--here", "--out", "x"], 2, "cannot be used with"),
        (&["--issuer-key", "new.pem", "--algorithm", "HS256"], 2, "RS256"),
        (&["--id", "a", "--algorithm", "ES256"], 2, "cannot be used with"),
        (&["--algorithm", "ES256"], 2, "--issuer-key"),
        (&[], 2, "--id"),
    ] {
        let outcome = folder.run(&[&["key", "new"], arguments].concat()).await;
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(code), ""), "{arguments:?}: {outcome:?}");
        assert!(outcome.stderr.contains(problem), "{arguments:?}: {outcome:?}");
    }
    assert_eq!(fs::read_to_string(folder.path("here.pem")).expect("is there"), "planted");
    assert!(!folder.path("new.pem").exists() && !folder.path("nowhere").exists());

    // Nobody reads the public key, so there is none to register. Only Linux has a disk that is always full.
    if !cfg!(target_os = "linux") {
        return;
    }
    let mut command = folder.command(&["key", "new", "--issuer-key", "new.pem"]);
    command.stdout(fs::File::options().write(true).open("/dev/full").expect("is there"));
    let outcome = Outcome::of(command).await;
    assert!(outcome.code == Some(1) && !folder.path("new.pem").exists(), "{outcome:?}");
}
