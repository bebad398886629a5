//! A configuration of an earlier version goes on starting the server: `testdata/config` keeps one with every key that there
//! was, as a file and as variables.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustix::process::{Signal, getegid, geteuid};
use token_provider_server::parts::config::{Config, Environment, Overrides};

use crate::support::program::{Account, Folder, Outcome};

/// Reads one of the files, with the names of this run in it.
fn kept(name: &str, folder: &Folder) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/config").join(name);
    let text = fs::read_to_string(path).expect("is text");
    let text = text.replace("FOLDER", folder.path("").to_str().expect("is text").trim_end_matches('/'));
    text.replace("USER", &geteuid().to_string()).replace("GROUP", &getegid().to_string())
}

fn variables(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect()
}

/// A folder with every file that the configuration names.
async fn furnished() -> (Account, Folder) {
    let (account, folder) = (Account::open().await, Folder::new());
    for name in ["maps.properties", "credentials.properties"] {
        folder.write(name, &account.credentials());
    }
    folder.write("far.key", "tp_an-api-key-of-the-tests-0123456789-0123456789\n");
    let mut params = CertificateParams::new(vec!["tokens.example.com".to_owned()]).expect("is a name");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("can be made");
    let certificate = params.self_signed(&key).expect("signs").pem();
    folder.write("tls.crt", &certificate);
    folder.write("clients.pem", &certificate);
    folder.write("tls.key", &key.serialize_pem());
    (account, folder)
}

#[tokio::test]
async fn every_key_in_a_file_starts_the_server() {
    let (_account, folder) = furnished().await;
    folder.write("token-provider.toml", &kept("every-key.toml", &folder));
    starts(&folder).await;
}

#[tokio::test]
async fn every_key_in_variables_starts_the_server() {
    let (_account, mut folder) = furnished().await;
    for (name, value) in variables(&kept("every-key.env", &folder)) {
        folder.set(name.leak(), value);
    }
    starts(&folder).await;
}

#[track_caller]
fn assert_passed(outcome: &Outcome) {
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    assert!(!outcome.stdout.contains("warning  configuration"), "{outcome:#?}");
}

async fn starts(folder: &Folder) {
    assert_passed(&folder.run(&["check", "--offline"]).await);
    let mut server = folder.start(&["serve"]);
    let listening = server.logged("listening on ").await;
    for place in ["https://127.0.0.1:", "http.sock", "admin.sock"] {
        assert!(listening.contains(place), "{place}: {listening}");
    }
    server.signal(Signal::TERM);
    server.signal(Signal::TERM);
    server.end().await;
}

#[tokio::test]
async fn file_and_variables_say_the_same() {
    let folder = Folder::new();
    let (text, variables) = (kept("every-key.toml", &folder), variables(&kept("every-key.env", &folder)));
    let path = folder.path("token-provider.toml");
    let mut of_file =
        Config::parse(Some((&path, &text)), &Environment::default(), &Overrides::default()).expect("is good");
    of_file.file = None;
    let of_variables = Config::parse(None, &Environment::from_pairs(variables), &Overrides::default());
    assert_eq!(of_file, of_variables.expect("is good"));
}

#[cfg(all(target_os = "linux", not(portable)))]
#[tokio::test]
async fn other_spellings_and_every_flag_are_understood() {
    let (_account, folder) = furnished().await;
    folder.write("other.toml", &kept("other-spellings.toml", &folder));
    assert_passed(&folder.run(&["check", "--offline", "--config", "other.toml"]).await);
    let flags = "check --offline --config other.toml --credentials maps.properties --profile default \
                 --scope hrn:here:authorization::myrealm:project/p1 --listen localhost:0 --listen unix:/run/x.sock \
                 --allow-origin https://maps.example.com --anonymous";
    assert_passed(&folder.run(&flags.split_whitespace().collect::<Vec<_>>()).await);
    for word in ["log", "stdout", "journal", "off", "/var/log/audit.jsonl"] {
        let text = format!("audit.to = '{word}'");
        let config =
            Config::parse(Some((Path::new("c.toml"), &text)), &Environment::default(), &Overrides::default());
        assert!(config.is_ok(), "{word}: {config:?}");
    }
}
