//! `check`: the right line and exit code for each thing that can be wrong.

use std::fs;

use here_sandbox::{App, Fault, FaultBody};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::identity::IdentityProvider;
use crate::support::port::Port;
use crate::support::program::{Account, Folder, Outcome, set_mode};

const API_KEY: &str = "tp_an-api-key-of-the-tests-0123456789-0123456789";
/// SHA-256 of [`API_KEY`].
const API_KEY_SHA256: &str = "45031396deae5803240c63b24994287aa2715350dc5622d246f33ad3de2d5d50";

/// Runs it with a port that is free, and the account's credential in the folder.
async fn check(folder: &Folder) -> Outcome {
    folder.run(&["check", "--listen", "127.0.0.1:0"]).await
}

async fn at_home() -> (Account, Folder) {
    let (account, folder) = (Account::open().await, Folder::new());
    folder.write("credentials.properties", &account.credentials());
    (account, folder)
}

#[track_caller]
fn assert_outcome(outcome: &Outcome, code: i32, lines: &[(&str, &str)]) {
    assert_eq!(outcome.code, Some(code), "{outcome:?}");
    for (beginning, part) in lines {
        let found = outcome.stdout.lines().any(|line| line.starts_with(beginning) && line.contains(part));
        assert!(found, "no line {beginning:?} … {part:?}: {outcome:#?}");
    }
    let failures = outcome.stdout.lines().filter(|line| line.starts_with("FAILURE")).count();
    assert_eq!(failures > 0, code != 0, "failures and exit code agree: {outcome:#?}");
    assert_eq!(outcome.stderr, "", "the report is data, and all there is");
}

#[tokio::test]
async fn good_set_up_is_all_ok() {
    let (account, folder) = at_home().await;
    let outcome = check(&folder).await;
    let lines = [
        ("ok       configuration: ", "no file"),
        ("ok       listener: ", "127.0.0.1:0"),
        ("ok       credential: ", "credentials.properties"),
        ("ok       permissions: ", ""),
        ("ok       issuer: ", &account.origin),
        ("ok       clock: ", ""),
        // The longest lifetime of the configuration.
        ("ok       token: ", "received, valid for 86399 s"),
    ];
    assert_outcome(&outcome, 0, &lines);
    assert_eq!(outcome.stdout.lines().count(), lines.len(), "{outcome:?}");
    assert!(!outcome.stdout.contains(&account.secret()), "{outcome:?}");
}

#[tokio::test]
async fn lifetime_that_the_app_cuts_is_shown_by_one_request() {
    let (account, folder) = at_home().await;
    let app = App { token_duration_s: Some(3600), ..App::default() };
    account.sandbox.faults().inject(Fault { app: Some(app), ..Fault::default() });
    for (lifetimes, line) in [
        (
            "",
            (
                "warning  token: ",
                "received, valid for 3599 s (asked 86400, got 3599): the app's tokenDuration",
            ),
        ),
        ("lifetimes = ['5m', '2h']", ("warning  token: ", "(asked 7200, got 3599)")),
        ("lifetimes = ['5m', '1h']", ("ok       token: ", "received, valid for 3599 s")),
        ("lifetimes = ['5m']", ("ok       token: ", "received, valid for 299 s")),
    ] {
        folder.write("token-provider.toml", lifetimes);
        let before = account.sandbox.stats().token_requests;
        assert_outcome(&check(&folder).await, 0, &[line]);
        assert_eq!(account.sandbox.stats().token_requests, before + 1, "{lifetimes}");
    }
}

/// `check` is for the server that runs, too.
#[tokio::test]
async fn server_that_runs_already_is_no_failure() {
    let (_account, folder) = at_home().await;
    let mut server = folder.start(&["serve", "--listen", "127.0.0.1:0"]);
    let address = server.address().await.to_string();
    let outcome = folder.run(&["check", "--listen", &address]).await;
    assert_outcome(&outcome, 0, &[("ok       listener: ", "the server is running")]);

    // Something else is there.
    let stranger = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = stranger.local_addr().expect("is bound").to_string();
    let answered = async {
        let (mut stream, _) = stranger.accept().await?;
        stream.read_u8().await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nlive\n").await
    };
    let arguments = ["check", "--listen", &address];
    let (outcome, answered) = tokio::join!(folder.run(&arguments), answered);
    assert!(answered.is_ok());
    assert_outcome(&outcome, 1, &[("FAILURE  listener: ", "another process is already listening there")]);
    server.signal(Signal::TERM);
    server.end().await;
}

#[tokio::test]
async fn offline_looks_at_files_alone() {
    let (account, folder) = at_home().await;
    let outcome = folder.run(&["check", "--offline"]).await;
    assert_outcome(&outcome, 0, &[("ok       credential: ", "credentials.properties")]);
    assert_eq!(account.sandbox.stats().token_requests, 0);
    for word in ["listener", "issuer", "token:"] {
        assert!(!outcome.stdout.contains(word), "{outcome:?}");
    }
    folder.write("credentials.properties", "here.access.key.id = x\n");
    let outcome = folder.run(&["check", "--offline"]).await;
    assert_outcome(&outcome, 78, &[("FAILURE  credential: ", "here.access.key.secret is missing")]);
}

#[tokio::test]
async fn identity_provider_is_asked() {
    let (_account, folder) = at_home().await;
    let nobody = Port::new();
    let oidc = format!("[access.oidc]\nissuer = \"http://{}\"\naudience = \"a\"\n", nobody.address);
    folder.write("token-provider.toml", &oidc);
    let outcome = check(&folder).await;
    let asked = ("FAILURE  identity provider: ", "no answer to the request for the discovery document");
    assert_outcome(&outcome, 1, &[asked, ("ok       token: ", "")]);
    assert_eq!(folder.run(&["check", "--offline"]).await.code, Some(0));
}

#[tokio::test]
async fn each_identity_provider_has_its_line() {
    let (_account, folder) = at_home().await;
    let company = IdentityProvider::start().await;
    let entry = |keys: &str| format!("[[access.oidc]]\nissuer = 'cluster'\naudience = 'a'\n{keys}\n");
    let several = [
        company.config().replace("[access.oidc]", "[[access.oidc]]"),
        entry("jwks_file = 'keys.json'"),
        entry("jwks_file = 'nowhere.json'"),
        entry(&format!("jwks_url = '{}/keys'\njwks_token_file = 'token'", company.issuer)),
    ];
    folder.write("keys.json", &company.key_set());
    folder.write("token-provider.toml", &several.concat());
    let of_company = format!("{}: keys: 1", company.issuer);
    let lines = |is_online: bool| {
        let mut lines = vec![
            ("ok       identity provider: cluster: keys: 1", ""),
            (
                "FAILURE  identity provider: cluster#2: access.oidc.jwks_file: ",
                "nowhere.json: cannot be read",
            ),
        ];
        if is_online {
            lines.push(("ok       identity provider: ", &of_company));
            lines.push((
                "FAILURE  identity provider: cluster#3: access.oidc.jwks_token_file: ",
                "cannot be read",
            ));
        }
        lines
    };
    assert_outcome(&check(&folder).await, 1, &lines(true));
    let offline = folder.run(&["check", "--offline"]).await;
    assert_outcome(&offline, 1, &lines(false));
    assert!(!offline.stdout.contains(&company.issuer), "{offline:?}");
    assert_eq!(company.asked(), 1, "the other has no token to show");
}

#[tokio::test]
async fn missing_file_is_named() {
    let folder = Folder::new();
    let nowhere = ("FAILURE  credential: ", "no HERE credential found");
    assert_outcome(&check(&folder).await, 78, &[nowhere]);
    let outcome =
        folder.run(&["check", "--listen", "127.0.0.1:0", "--credentials", "nowhere.properties"]).await;
    assert_outcome(&outcome, 78, &[("FAILURE  credential: ", "nowhere.properties: there is no such file")]);
}

#[tokio::test]
async fn missing_key_is_named() {
    let (account, folder) = at_home().await;
    let text = account.credentials().replace("here.access.key.secret", "here.access.key.sceret");
    folder.write("credentials.properties", &text);
    let outcome = check(&folder).await;
    assert_outcome(&outcome, 78, &[("FAILURE  credential: ", "did you mean here.access.key.secret?")]);
    assert!(!outcome.stdout.contains(&account.secret()), "{outcome:?}");
}

/// A proxy that nobody answers at, as its port is bound and not listened on.
#[tokio::test]
async fn proxy_is_named_without_its_password_and_a_wrong_one_is_an_error_where_it_is_needed() {
    let (account, mut folder) = at_home().await;
    let port = Port::new();
    folder.set("HTTPS_PROXY", format!("\"http://user:planted@127.0.0.1:{}\" ", port.address.port()));
    let outcome = check(&folder).await;
    assert_eq!(outcome.code, Some(0), "an account on this machine needs no proxy: {outcome:?}");

    let far = account.credentials().replace(&account.origin, "https://account.invalid");
    folder.write("credentials.properties", &far);
    let proxy = format!("profile default: http://127.0.0.1:{}", port.address.port());
    let outcome = check(&folder).await;
    assert_outcome(&outcome, 1, &[("ok       proxy: ", &proxy), ("FAILURE  issuer: ", "no connection")]);
    assert!(!outcome.stdout.contains("planted"), "{outcome:?}");

    folder.set("HTTPS_PROXY", "http://DOMAIN\\user:planted@127.0.0.1:1");
    let outcome = check(&folder).await;
    assert_outcome(&outcome, 78, &[("FAILURE  issuer: ", "HTTPS_PROXY cannot be used: expected http://")]);
    let served = folder.run(&["serve", "--listen", "127.0.0.1:0"]).await;
    assert_eq!(served.code, Some(78), "{served:?}");
    assert!(!outcome.stdout.contains("planted") && !served.stderr.contains("planted"), "{served:?}");

    folder.write("credentials.properties", &account.credentials());
    let outcome = check(&folder).await;
    assert_outcome(&outcome, 0, &[("warning  proxy: ", "HTTPS_PROXY cannot be used: expected http://")]);

    // Of two identity providers it is needed for one.
    let provider = |issuer: &str| format!("[[access.oidc]]\nissuer = \"{issuer}\"\naudience = \"a\"\n");
    let [near, far] = ["http://127.0.0.1:1", "https://login.invalid"].map(provider);
    folder.write("token-provider.toml", &(near + &far));
    let served = folder.run(&["serve", "--listen", "127.0.0.1:0"]).await;
    let error = "error: identity provider https://login.invalid: HTTPS_PROXY cannot be used";
    assert_eq!(served.code, Some(78), "{served:?}");
    assert!(served.stderr.contains(error), "{served:?}");
}

/// A container without `ca-certificates`, or a variable that points to a file of yesterday.
#[tokio::test]
async fn certificates_are_needed_only_where_tls_is_spoken() {
    let (account, mut folder) = at_home().await;
    folder.set("SSL_CERT_FILE", "/nonexistent/ca.pem");
    folder.set("SSL_CERT_DIR", "/nonexistent");
    assert_eq!(check(&folder).await.code, Some(0));
    let far = account.credentials().replace(&account.origin, "https://account.invalid");
    folder.write("credentials.properties", &far);
    let outcome = check(&folder).await;
    assert_outcome(&outcome, 78, &[("FAILURE  issuer: ", "SSL_CERT_FILE")]);
}

#[tokio::test]
async fn wrong_secret_is_told_from_a_wrong_address() {
    let (account, folder) = at_home().await;
    let text = account.credentials().replace(&account.secret(), "planted-wrong-secret");
    folder.write("credentials.properties", &text);
    let outcome = check(&folder).await;
    assert_outcome(&outcome, 1, &[("ok       issuer: ", "responds"), ("FAILURE  token: ", "401300")]);
    assert!(!outcome.stdout.contains("planted"), "{outcome:?}");
}

#[tokio::test]
async fn skewed_clock_is_a_warning_with_its_size_and_direction() {
    for (seconds, direction) in [(3600, "behind HERE"), (-3600, "ahead of HERE")] {
        let (account, folder) = at_home().await;
        account.sandbox.faults().inject(Fault { clock_skew_s: Some(seconds), ..Fault::default() });
        let outcome = check(&folder).await;
        assert_outcome(&outcome, 0, &[("warning  clock: ", direction), ("ok       token: ", "")]);
        let size =
            outcome.stdout.split("this machine's clock is ").nth(1).and_then(|rest| rest.split(' ').next());
        let size: i64 = size.and_then(|size| size.parse().ok()).expect("says how much");
        // Some seconds may pass between reading one clock and the other.
        assert!((3590..=3610).contains(&size), "{outcome:?}");
    }
}

#[tokio::test]
async fn clock_that_cannot_be_put_right_is_a_failure() {
    let (account, folder) = at_home().await;
    account.sandbox.faults().inject(Fault {
        status: Some(401),
        error_code: Some(401_204),
        ..Fault::default()
    });
    assert_outcome(&check(&folder).await, 1, &[("FAILURE  clock: ", "401204")]);
}

#[tokio::test]
async fn unreachable_host_is_a_failure_of_the_issuer() {
    let folder = Folder::new();
    let text = "here.access.key.id = id\nhere.access.key.secret = secret\nhere.token.endpoint.url = \
                http://127.0.0.1:1/oauth2/token\n";
    folder.write("credentials.properties", text);
    let outcome = check(&folder).await;
    assert_outcome(&outcome, 1, &[("FAILURE  issuer: ", "http://127.0.0.1:1/oauth2/token: no connection")]);
}

#[tokio::test]
async fn page_of_a_proxy_is_a_failure_of_the_issuer() {
    let (account, folder) = at_home().await;
    account.sandbox.faults().inject(Fault { body: Some(FaultBody::Html), ..Fault::default() });
    assert_outcome(&check(&folder).await, 1, &[("FAILURE  issuer: ", "proxy")]);
}

#[tokio::test]
async fn file_that_others_can_read_is_a_warning() {
    let (_account, folder) = at_home().await;
    set_mode(&folder.path("credentials.properties"), 0o644);
    assert_outcome(&check(&folder).await, 0, &[("warning  permissions: ", "chmod 600")]);
}

#[tokio::test]
async fn api_key_that_expires_soon_is_a_warning() {
    let (_account, folder) = at_home().await;
    let made = async |id: &str, lifetime: &str| {
        let made = folder.run(&["key", "new", "--id", id, "--expires", lifetime]).await;
        made.stdout.split_once('\n').expect("a key, then its stanza").1.to_owned()
    };
    let stanzas = [made("near", "13d12h").await, made("far", "15d").await].concat();
    let over = format!(
        "[[access.api_keys]]\nid = \"over\"\nsha256 = \"{API_KEY_SHA256}\"\nexpires = 2020-01-31T00:00:00Z\n"
    );
    folder.write("token-provider.toml", &(stanzas + &over));
    for arguments in [&["check", "--listen", "127.0.0.1:0"][..], &["check", "--offline"]] {
        let outcome = folder.run(arguments).await;
        let expected = [
            ("warning  API key: near expires at ", "(full days left: 13)"),
            ("warning  API key: over expired at ", "2020-01-31T00:00:00Z; replace or remove it"),
        ];
        assert_outcome(&outcome, 0, &expected);
        assert!(!outcome.stdout.contains("far expires"), "{outcome:?}");
    }
}

#[tokio::test]
async fn new_key_expires_in_a_time_that_is_one() {
    const EXPECTED: &str = "expected a duration from \"1s\" to \"36500d\"";
    let folder = Folder::new();
    for (arguments, part) in [
        (&["--expires", "0"][..], EXPECTED),
        (&["--expires", "36501d"], EXPECTED),
        (&["--expires", "90 days"], EXPECTED),
        (&["--expires", "2030-01-31T00:00:00Z"], EXPECTED),
        (&["--expires", "90d", "--here", "--out", "."], "cannot be used with"),
    ] {
        let outcome = folder.run(&[&["key", "new", "--id", "a"], arguments].concat()).await;
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{arguments:?}: {outcome:?}");
        assert!(outcome.stderr.contains(part), "{outcome:?}");
    }
    let longest = folder.run(&["key", "new", "--id", "a", "--expires", "36500d"]).await;
    assert!(longest.stdout.contains("\nexpires = 21"), "{longest:?}");
}

#[tokio::test]
async fn port_that_is_taken_is_a_failure() {
    let (_account, folder) = at_home().await;
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = taken.local_addr().expect("is bound").to_string();
    let outcome = folder.run(&["check", "--listen", &address]).await;
    assert_outcome(&outcome, 1, &[("FAILURE  listener: ", &address), ("ok       token: ", "")]);
}

#[tokio::test]
async fn listeners_that_are_in_each_others_way_are_a_failure() {
    let (_account, folder) = at_home().await;
    let port = Port::new();
    let (all, one) = (format!("0.0.0.0:{}", port.address.port()), port.address.to_string());
    let outcome = folder.run(&["check", "--anonymous", "--listen", &all, "--listen", &one]).await;
    assert_outcome(&outcome, 1, &[("ok       listener: ", &all), ("FAILURE  listener: ", &one)]);
}

#[tokio::test]
async fn admin_port_that_is_taken_is_a_failure() {
    let (_account, folder) = at_home().await;
    let port = Port::new();
    let address = port.address.to_string();
    let taken = TcpListener::bind(port.address).await.expect("is free");
    folder.write("token-provider.toml", &format!("admin.listen = '{address}'\n"));
    assert_outcome(&check(&folder).await, 1, &[("FAILURE  admin: ", &address)]);
    drop(taken);
    assert_outcome(&check(&folder).await, 0, &[("ok       admin: ", &address)]);
}

#[tokio::test]
async fn audit_trail_that_cannot_be_opened_is_a_failure() {
    let (_account, folder) = at_home().await;
    let trail = folder.path("trail/audit.jsonl");
    folder.write("token-provider.toml", &format!("audit.to = '{}'\n", trail.display()));
    let nowhere = ("FAILURE  audit: ", "trail/audit.jsonl: cannot be opened: No such file");
    assert_outcome(&check(&folder).await, 78, &[nowhere]);
    fs::create_dir(folder.path("trail")).expect("can be made");
    assert_outcome(&check(&folder).await, 0, &[("ok       audit: ", "trail/audit.jsonl can be written")]);
    assert!(!trail.exists(), "a look leaves nothing behind");
}

#[cfg(all(target_os = "linux", not(portable)))]
#[tokio::test]
async fn sockets_from_systemd_are_a_warning_where_there_are_none() {
    let (_account, folder) = at_home().await;
    let outcome = folder.run(&["check", "--listen", "systemd"]).await;
    let lines = [("warning  listener: ", "when systemd starts the server"), ("ok       token: ", "")];
    assert_outcome(&outcome, 0, &lines);
}

#[tokio::test]
async fn exposed_listener_is_a_failure() {
    let (_account, folder) = at_home().await;
    let outcome = folder.run(&["check", "--listen", "0.0.0.0:0"]).await;
    assert_outcome(&outcome, 78, &[("FAILURE  access: ", "--anonymous"), ("ok       token: ", "")]);
    let outcome = folder.run(&["check", "--listen", "0.0.0.0:0", "--anonymous"]).await;
    assert_outcome(&outcome, 0, &[]);
}

#[tokio::test]
async fn listener_that_the_network_reaches_without_tls_is_a_warning() {
    let (_account, folder) = at_home().await;
    let key = format!("[[access.api_keys]]\nid = \"a\"\nsha256 = \"{}\"\n", "a".repeat(64));
    let proxy = "access.trusted_proxy.from = [\"10.0.0.1\"]\n";
    for (text, listen, warned) in [
        (key.clone(), "0.0.0.0:0", true),
        (key.clone(), "127.0.0.1:0", false),
        // TLS ends at the proxy.
        (format!("{proxy}{key}"), "0.0.0.0:0", false),
    ] {
        folder.write("token-provider.toml", &text);
        let outcome = folder.run(&["check", "--listen", listen]).await;
        assert_outcome(&outcome, 0, &[]);
        let says =
            outcome.stdout.contains(&format!("warning  listener: {listen}: keys and tokens are sent over"));
        assert_eq!(says, warned, "{text} {listen}: {outcome:?}");
    }
}

#[tokio::test]
async fn unix_socket_is_left_as_it_was() {
    let (_account, folder) = at_home().await;
    let path = folder.path("x.sock");
    let listen = format!("unix:{}", path.display());
    let outcome = folder.run(&["check", "--listen", &listen]).await;
    assert_outcome(&outcome, 0, &[("ok       listener: ", &listen)]);
    assert!(!path.exists(), "a look leaves nothing behind");
}

#[tokio::test]
async fn each_problem_of_the_configuration_is_a_line() {
    let (_account, folder) = at_home().await;
    folder.write("token-provider.toml", "lisetn = 1\n[cors]\norigins = [\"null\"]\n");
    let lines = [
        ("FAILURE  configuration: ", "token-provider.toml:1: lisetn"),
        ("FAILURE  configuration: ", "token-provider.toml:3: cors.origins"),
    ];
    assert_outcome(&check(&folder).await, 78, &lines);
}

#[tokio::test]
async fn every_profile_is_checked() {
    let (account, folder) = at_home().await;
    let other =
        folder.write("other", &account.credentials().replace(&account.secret(), "planted-wrong-secret"));
    folder.write(
        "token-provider.toml",
        &format!("[profiles.default]\n[profiles.maps]\ncredentials = {:?}\n", other.display().to_string()),
    );
    let outcome = check(&folder).await;
    let lines = [
        ("ok       credential: ", "profile default"),
        ("ok       credential: ", "profile maps"),
        ("FAILURE  token: ", "401300"),
        ("ok       token: ", ""),
    ];
    assert_outcome(&outcome, 1, &lines);
}

#[tokio::test]
async fn profile_does_not_get_the_access_key_of_the_default_one() {
    let (account, folder) = (Account::open().await, Folder::new());
    folder.write("token-provider.toml", "[profiles.default]\n[profiles.maps]\n");
    fs::create_dir(folder.path(".here")).expect("can be made");
    folder.write(".here/credentials.properties", &account.credentials());
    let lines = [
        ("ok       credential: ", "profile default: "),
        ("FAILURE  credential: ", "profile maps: no HERE credential found for this profile"),
    ];
    assert_outcome(&check(&folder).await, 78, &lines);
    let section = |name: &str| format!("[{name}]\n{}", account.credentials());
    folder.write(".here/credentials.ini", &(section("default") + &section("maps")));
    let own = ("ok       credential: ", "profile maps: file");
    assert_outcome(&check(&folder).await, 0, &[own]);
}

#[tokio::test]
async fn profile_of_another_token_provider_is_asked_there() {
    let far_folder = Folder::new();
    far_folder.write(
        "token-provider.toml",
        &format!("[[access.api_keys]]\nid = 'a'\nsha256 = '{API_KEY_SHA256}'\n"),
    );
    let mut far = far_folder.start(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]);
    let url = format!("http://{}/getToken", far.address().await);

    // An account's credential is at hand, and not the one to be used.
    let (account, folder) = at_home().await;
    let config = format!("[profiles.default]\nremote = '{url}'\napi_key_file = 'key'\n");
    folder.write("token-provider.toml", &config);
    let missing = ("FAILURE  credential: ", "api_key_file: ");
    assert_outcome(&check(&folder).await, 78, &[missing]);

    set_mode(&folder.write("key", &format!("{API_KEY}\n")), 0o644);
    let outcome = check(&folder).await;
    let lines = [
        ("ok       credential: ", "profile default: file "),
        ("warning  permissions: ", "key: other users can read it"),
        ("ok       issuer: ", &url),
        ("ok       token: ", "received, valid for "),
    ];
    assert_outcome(&outcome, 0, &lines);
    assert!(!outcome.stdout.contains("clock") && !outcome.stdout.contains(API_KEY), "{outcome:?}");
    let token = folder.run(&["token"]).await;
    assert_eq!((token.code, token.stdout.split('.').count()), (Some(0), 3), "{token:?}");

    folder.write("key", "tp_planted-key-that-nobody-knows");
    let outcome = check(&folder).await;
    assert_outcome(&outcome, 1, &[("FAILURE  token: ", "check the API key")]);
    let token = folder.run(&["token"]).await;
    assert_eq!((token.code, token.stdout.as_str()), (Some(1), ""), "{token:?}");
    assert_eq!(account.sandbox.stats().token_requests, 0);
}

/// Writes a certificate for this name, good from the beginning of one year until that of another.
pub(super) fn write_certificate(folder: &Folder, name: &str, from: i32, until: i32) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("is a name");
    (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
    let key = KeyPair::generate().expect("makes a key");
    folder.write("tls.crt", &params.self_signed(&key).expect("signs").pem());
    folder.write("tls.key", &key.serialize_pem());
}

const TLS: &str = "[tls]\ncert = \"tls.crt\"\nkey = \"tls.key\"\n";

#[tokio::test]
async fn certificate_that_clients_refuse_is_a_failure() {
    let (_account, folder) = at_home().await;
    let names = "public_hosts = [\"tokens.example.com:8443\", \"[2001:db8::1]\"]\n";
    let proxy = "[access.trusted_proxy]\nfrom = [\"10.0.0.1\"]\n";
    let other = "the certificate does not cover 2001:db8::1, which is in public_hosts";
    for (name, from, until, config, code, line) in [
        ("localhost", 2019, 2099, String::new(), 0, ("ok       tls: ", "match")),
        ("a", 2019, 2020, String::new(), 78, ("FAILURE  tls: ", "expired on Wed, 01 Jan 2020 00:00:00 GMT")),
        ("a", 2090, 2099, String::new(), 78, ("FAILURE  tls: ", "not valid before Sun, 01 Jan 2090")),
        ("tokens.example.com", 2019, 2099, names.to_owned(), 78, ("FAILURE  tls: ", other)),
        ("*.example.com", 2019, 2099, format!("{names}{proxy}"), 0, ("warning  tls: ", other)),
        (
            "*.example.com",
            2019,
            2099,
            "public_hosts = [\"b.example.com\"]\n".into(),
            0,
            ("ok       tls: ", "match"),
        ),
        (
            "2001:db8::1",
            2019,
            2099,
            "public_hosts = [\"[2001:db8::1]\"]\n".into(),
            0,
            ("ok       tls: ", "match"),
        ),
    ] {
        write_certificate(&folder, name, from, until);
        folder.write("token-provider.toml", &format!("{config}{TLS}"));
        let outcome = check(&folder).await;
        assert_outcome(&outcome, code, &[line]);
        let lines = outcome.stdout.lines().filter(|line| line.contains(" tls: ")).count();
        assert_eq!(lines, 1, "{outcome:?}");
    }
}

#[tokio::test]
async fn authorities_that_have_expired_are_noticed() {
    let (_account, folder) = at_home().await;
    write_certificate(&folder, "a", 2019, 2020);
    let expired = fs::read_to_string(folder.path("tls.crt")).expect("is there");
    write_certificate(&folder, "localhost", 2019, 2099);
    let lasting = fs::read_to_string(folder.path("tls.crt")).expect("is there");
    folder.write("token-provider.toml", &format!("{TLS}client_ca = \"clients.pem\"\n"));
    folder.write("clients.pem", &expired);
    let outcome = check(&folder).await;
    assert_outcome(&outcome, 78, &[("FAILURE  tls: ", "every authority in tls.client_ca has expired")]);
    folder.write("clients.pem", &format!("{expired}{lasting}"));
    assert_outcome(&check(&folder).await, 0, &[("warning  tls: ", "which are ignored: 1")]);
}

#[tokio::test]
async fn certificate_of_which_systemd_has_made_a_copy_is_noticed() {
    let (_account, folder) = at_home().await;
    write_certificate(&folder, "localhost", 2019, 2099);
    let own = folder.path("tls.crt").display().to_string();
    for (cert, is_copy) in [("/run/credentials/token-provider.service/tls.crt", true), (&own, false)] {
        folder.write("token-provider.toml", &format!("[tls]\ncert = {cert:?}\nkey = \"tls.key\"\n"));
        let outcome = check(&folder).await;
        let line = format!("warning  tls: {cert} is a copy that systemd made at the unit's start");
        assert_eq!(outcome.stdout.contains(&line), is_copy, "{outcome:?}");
        assert_eq!(outcome.stdout.contains("after a renewal, restart the unit"), is_copy, "{outcome:?}");
    }
    let secret = "/run/credentials/token-provider.service/a.secret";
    folder.write(
        "token-provider.toml",
        &format!("[[access.here_keys]]\nid = \"tp.a\"\nsecret_file = {secret:?}\n"),
    );
    let outcome = check(&folder).await;
    assert!(outcome.stdout.contains(&format!("warning  access key: {secret} is a copy")), "{outcome:?}");
}

#[tokio::test]
async fn unix_socket_that_cannot_be_given_to_its_group_leaves_no_file_behind() {
    let folder = Folder::new();
    // A process that is not root's cannot give a file to a group that it is not in.
    let socket = folder.path("x.sock");
    let listen = format!("unix:{},group=0", socket.display());
    let outcome = Outcome::of(folder.command_of_other(&["check", "--offline", "--listen", &listen])).await;
    assert!(!socket.exists(), "{outcome:?}");
    let outcome = Outcome::of(folder.command_of_other(&["check", "--listen", &listen])).await;
    for cause in ["be in the group that the socket is for", "PrivateUsers=", "SystemCallFilter="] {
        assert!(outcome.stdout.contains(cause), "{cause}: {outcome:?}");
    }
    assert!(!socket.exists(), "{outcome:?}");
}
