//! `token`: one token on stdout, and nothing but.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use here_sandbox::Fault;
use serde_json::Value;

use crate::support::program::{Account, Folder};

async fn at_home() -> (Account, Folder) {
    let (account, folder) = (Account::open().await, Folder::new());
    folder.write("credentials.properties", &account.credentials());
    (account, folder)
}

#[tokio::test]
async fn each_format_is_what_its_reader_expects() {
    let (account, folder) = at_home().await;
    let text = folder.run(&["token"]).await;
    assert_eq!((text.code, text.stderr.as_str()), (Some(0), ""), "{text:?}");
    let token = text.stdout.strip_suffix('\n').expect("a line").to_owned();
    let claims = account.sandbox.verify_token(&token).expect("the account made it");
    assert_eq!(claims.expires_at - claims.issued_at, 3600);

    let header = folder.run(&["token", "--format", "header"]).await.stdout;
    let token = header.strip_prefix("Authorization: Bearer ").and_then(|rest| rest.strip_suffix('\n'));
    assert!(account.sandbox.verify_token(token.unwrap_or_default()).is_ok(), "{header}");

    let env = folder.run(&["token", "--format", "env"]).await.stdout;
    let token = env.strip_prefix("HERE_ACCESS_TOKEN=").and_then(|rest| rest.strip_suffix('\n'));
    assert!(account.sandbox.verify_token(token.unwrap_or_default()).is_ok(), "{env}");

    let json = folder.run(&["token", "--format", "json", "--ttl", "120"]).await.stdout;
    let json: Value = serde_json::from_str(&json).expect("is JSON");
    let claims = account.sandbox.verify_token(json["access_token"].as_str().unwrap_or_default());
    assert_eq!(claims.map(|claims| claims.expires_at - claims.issued_at), Ok(120));
    assert_eq!(json["token_type"], "Bearer");
    assert!((60..120).contains(&json["expires_in"].as_u64().unwrap_or_default()), "{json}");
    assert_eq!(json.as_object().map(serde_json::Map::len), Some(3), "{json}");
}

#[tokio::test]
async fn scope_is_asked_for() {
    let (account, folder) = at_home().await;
    let scope = "hrn:here:authorization::rlm:project/p1";
    let outcome = folder.run(&["token", "--format", "json", "--scope", scope]).await;
    let json: Value = serde_json::from_str(&outcome.stdout).expect("is JSON");
    assert_eq!(json["scope"], scope);
    let claims = account.sandbox.verify_token(json["access_token"].as_str().unwrap_or_default());
    assert_eq!(claims.ok().and_then(|claims| claims.scope).as_deref(), Some(scope));
}

/// A typing mistake never gets the credential that happens to be around.
#[tokio::test]
async fn profile_that_is_written_down_nowhere_gets_no_credential() {
    let (account, mut folder) = at_home().await;
    let refused = async |folder: &Folder, arguments: &[&str], expected: &str| {
        for command in ["token", "check", "serve"] {
            let outcome = folder.run(&[&[command], arguments].concat()).await;
            assert_eq!(outcome.code, Some(78), "{command} {arguments:?}: {outcome:?}");
            let shown = format!("{}{}", outcome.stdout, outcome.stderr);
            assert!(shown.contains(expected), "{command} {arguments:?}: {shown}");
        }
    };
    let neither =
        "profile trafic: there is neither [profiles.trafic] in the configuration nor a section [trafic]";
    refused(&folder, &["--profile", "trafic"], neither).await;
    refused(&folder, &["--profile", "trafic", "--scope", "hrn:a"], neither).await;
    folder.set("TOKEN_PROVIDER_PROFILE", "trafic");
    refused(&folder, &[], neither).await;

    let mut folder = Folder::new();
    folder.write("credentials.properties", &account.credentials());
    folder.write("token-provider.toml", "[profiles.traffic]\ncredentials = \"credentials.properties\"\n");
    refused(&folder, &["--profile", "trafic"], "; did you mean \"traffic\"?").await;
    folder.write(
        "token-provider.toml",
        "profile = \"mapps\"\n[profiles.maps]\ncredentials = \"credentials.properties\"\n",
    );
    refused(&folder, &[], "; did you mean \"maps\"?").await;
    folder.write("token-provider.toml", "");
    refused(&folder, &["--profile", "defualt"], "; did you mean \"default\"?").await;
    std::fs::create_dir(folder.path(".here")).expect("can be made");
    let section = account.credentials().replace("here.", "here..");
    folder.write(".here/credentials.ini", &format!("[traffic]\n{section}"));
    refused(&folder, &["--profile", "trafic"], "; did you mean \"traffic\"?").await;

    // Each way to write it down.
    assert_eq!(folder.run(&["token", "--profile", "traffic"]).await.code, Some(0), "a section");
    folder.write("token-provider.toml", "profile = \"other\"\n[profiles.other]\n");
    assert_eq!(folder.run(&["token"]).await.code, Some(0), "the configuration");
    let named = ["token", "--profile", "any", "--credentials", "credentials.properties"];
    assert_eq!(folder.run(&named).await.code, Some(0), "a file that is named with it");
    folder.set("TOKEN_PROVIDER_PROFILES__VARIABLE__SCOPE", "hrn:here:authorization::rlm:project/p1");
    assert_eq!(folder.run(&["token", "--profile", "variable"]).await.code, Some(0), "a variable");
}

#[tokio::test]
async fn variable_that_merely_has_our_prefix_is_warned_of() {
    let (_account, mut folder) = at_home().await;
    folder.set("TOKEN_PROVIDER_KEY", "tp_planted");
    assert_eq!(folder.run(&["token"]).await.code, Some(0));
    let outcome = folder.run(&["check", "--listen", "127.0.0.1:0"]).await;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let warning = "warning  configuration: TOKEN_PROVIDER_KEY: not a setting; ignored; an API key";
    assert!(outcome.stdout.contains(warning) && !outcome.stdout.contains("planted"), "{outcome:?}");
}

#[tokio::test]
async fn variable_that_is_not_utf8_is_refused_by_name_and_not_shown() {
    let names =
        ["HERE_ACCESS_KEY_ID", "HERE_ACCESS_KEY_SECRET", "HERE_TOKEN_ENDPOINT_URL", "HERE_TOKEN_SCOPE"];
    for name in names {
        let mut folder = Folder::new();
        for (other, value) in names.into_iter().zip(["id", "secret", "http://127.0.0.1:9/oauth2/token", "s"])
        {
            folder.set(other, value);
        }
        folder.set(name, OsString::from_vec(b"http://127.0.0.1:9/planted\xff".to_vec()));
        let outcome = folder.run(&["token"]).await;
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(78), ""), "{name}: {outcome:?}");
        assert!(outcome.stderr.contains(name) && !outcome.stderr.contains("planted"), "{name}: {outcome:?}");
    }
}

#[tokio::test]
async fn credential_is_found_in_each_place() {
    let account = Account::open().await;
    let text = account.credentials();
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
        line.expect("is there").to_owned()
    };
    let assert_found = async |folder: &Folder, arguments: &[&str], what: &str| {
        let outcome = folder.run(arguments).await;
        assert_eq!(outcome.code, Some(0), "{what}: {outcome:?}");
        assert!(account.sandbox.verify_token(outcome.stdout.trim_end()).is_ok(), "{what}");
    };

    let folder = Folder::new();
    let file = folder.write("elsewhere", &text);
    let named = ["token", "--credentials", file.to_str().expect("is text")];
    assert_found(&folder, &named, "--credentials").await;

    let mut folder = Folder::new();
    folder.set("HERE_ACCESS_KEY_ID", value("here.access.key.id"));
    folder.set("HERE_ACCESS_KEY_SECRET", value("here.access.key.secret"));
    folder.set("HERE_TOKEN_ENDPOINT_URL", value("here.token.endpoint.url"));
    assert_found(&folder, &["token"], "variables").await;

    let mut folder = Folder::new();
    let file = folder.write("elsewhere", &text);
    folder.set("HERE_CREDENTIALS_FILE", file.display().to_string());
    assert_found(&folder, &["token"], "HERE_CREDENTIALS_FILE").await;

    let mut folder = Folder::new();
    folder.set("HERE_CREDENTIALS_STRING", text.clone());
    assert_found(&folder, &["token"], "HERE_CREDENTIALS_STRING").await;

    let mut folder = Folder::new();
    folder.write("here-credentials", &text);
    folder.set("CREDENTIALS_DIRECTORY", folder.path("").display().to_string());
    assert_found(&folder, &["token"], "CREDENTIALS_DIRECTORY").await;

    let folder = Folder::new();
    std::fs::create_dir(folder.path(".here")).expect("can be made");
    folder.write(".here/credentials.properties", &text);
    assert_found(&folder, &["token"], "~/.here/credentials.properties").await;
    folder.write(".here/credentials.ini", &format!("[other]\nx = 1\n[default]\n{text}"));
    folder.write(".here/credentials.properties", "not = read\n");
    assert_found(&folder, &["token"], "~/.here/credentials.ini").await;

    let folder = Folder::new();
    let file = folder.write("elsewhere", &text);
    let config = format!("[profiles.default]\ncredentials = {:?}\n", file.display().to_string());
    folder.write("token-provider.toml", &config);
    assert_found(&folder, &["token"], "the configuration").await;
    let config = folder.write("other.toml", &config);
    folder.write("token-provider.toml", "[profiles.default]\ncredentials = \"/nowhere\"\n");
    assert_found(&folder, &["token", "--config", config.to_str().expect("is text")], "--config").await;
}

#[tokio::test]
async fn refused_credential_is_exit_code_1_with_the_remedy() {
    let (account, folder) = at_home().await;
    let wrong = account.credentials().replace(&account.secret(), "planted-wrong-secret");
    folder.write("credentials.properties", &wrong);
    let outcome = folder.run(&["token"]).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{outcome:?}");
    assert!(outcome.stderr.contains("error: "), "{outcome:?}");
    assert!(
        outcome.stderr.contains("401300") && outcome.stderr.contains("here.access.key.secret"),
        "{outcome:?}"
    );
    assert!(!outcome.stderr.contains("planted"), "{outcome:?}");
}

#[tokio::test]
async fn failing_account_is_exit_code_1() {
    let (account, folder) = at_home().await;
    account.sandbox.faults().inject(Fault { status: Some(503), ..Fault::default() });
    let outcome = folder.run(&["token"]).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{outcome:?}");
    assert!(outcome.stderr.contains("503"), "{outcome:?}");
}

#[tokio::test]
async fn credential_that_is_absent_or_broken_is_exit_code_78() {
    let folder = Folder::new();
    let outcome = folder.run(&["token"]).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(78), ""), "{outcome:?}");
    assert!(outcome.stderr.contains("credentials.properties"), "says what to do: {outcome:?}");

    folder.write("credentials.properties", "here.access.key.id = x\n");
    let outcome = folder.run(&["token"]).await;
    assert_eq!(outcome.code, Some(78), "{outcome:?}");
    assert!(outcome.stderr.contains("here.access.key.secret is missing"), "{outcome:?}");
    assert_eq!(
        outcome.stderr.matches("here.access.key.secret is missing").count(),
        1,
        "said once: {outcome:?}"
    );

    folder.write("token-provider.toml", "lisetn = [\"localhost:1\"]\n");
    let outcome = folder.run(&["token"]).await;
    assert_eq!(outcome.code, Some(78), "{outcome:?}");
    assert!(outcome.stderr.contains("did you mean \"listen\""), "{outcome:?}");
}

#[tokio::test]
async fn usage_that_makes_no_sense_is_exit_code_2() {
    let folder = Folder::new();
    for arguments in [
        &["tokens"][..],
        &[],
        &["token", "--ttl", "0"],
        &["token", "--ttl", "86401"],
        &["token", "--format", "xml"],
        &["token", "--quiet", "--verbose"],
        &["token", "--secret", "x"],
        &["serve", "x"],
    ] {
        let outcome = folder.run(arguments).await;
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{arguments:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn verbose_logs_go_to_stderr_and_hold_no_token() {
    let (account, folder) = at_home().await;
    let outcome = folder.run(&["token", "-vv", "--log-format", "text"]).await;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let token = outcome.stdout.trim_end();
    assert!(account.sandbox.verify_token(token).is_ok());
    assert!(outcome.stderr.contains("token received"), "{outcome:?}");
    assert!(
        !outcome.stderr.contains(token) && !outcome.stderr.contains(&account.secret()),
        "{}",
        outcome.stderr
    );
    let quiet = folder.run(&["token", "-qq"]).await;
    assert_eq!((quiet.code, quiet.stderr.as_str()), (Some(0), ""), "{quiet:?}");
}
