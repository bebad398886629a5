//! Every word of help, compared with files in `testdata/cli`. After a change that is meant, run the tests once with
//! `UPDATE_EXPECTED=1` and look at the difference.

use std::fs;
use std::path::Path;

use crate::support::program::Folder;

fn is_to_be_updated() -> bool {
    #[expect(
        clippy::disallowed_methods,
        reason = "a switch for running the tests; the program does not read it"
    )]
    std::env::var_os("UPDATE_EXPECTED").is_some()
}

/// Compares with a file, in which the version is written as `VERSION`: a release changes no help.
fn differs(name: &str, text: &str) -> Option<String> {
    let text = text.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/cli").join(name);
    if is_to_be_updated() {
        fs::write(&path, &text).expect("can be written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    let line = text.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    (text != expected)
        .then(|| format!("{name}: run with UPDATE_EXPECTED=1 if this is meant; first: {line:#?}"))
}

#[tokio::test]
async fn help_is_as_written_down() {
    let folder = Folder::new();
    let mut different = Vec::new();
    for (name, arguments) in [
        ("help.txt", &["--help"][..]),
        ("help-short.txt", &["-h"]),
        ("version.txt", &["--version"]),
        ("serve.txt", &["serve", "--help"]),
        ("token.txt", &["token", "--help"]),
        ("check.txt", &["check", "--help"]),
        ("health.txt", &["health", "--help"]),
        ("sandbox.txt", &["sandbox", "--help"]),
        ("key.txt", &["key", "--help"]),
        ("key-new.txt", &["key", "new", "--help"]),
        ("completions.txt", &["completions", "--help"]),
        ("man.txt", &["man", "--help"]),
    ] {
        let outcome = folder.run(arguments).await;
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
        different.extend(differs(name, &outcome.stdout));
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[tokio::test]
async fn every_shell_has_completions() {
    let folder = Folder::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let outcome = folder.run(&["completions", shell]).await;
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
        assert!(outcome.stdout.contains("write-credentials"), "{shell}");
    }
}

#[tokio::test]
async fn manual_page_has_every_command_its_options_and_the_exit_codes() {
    let outcome = Folder::new().run(&["man"]).await;
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
    let page = outcome.stdout.replace('\\', "");
    for name in ["serve", "token", "check", "health", "sandbox", "key new", "completions", "man"] {
        assert!(page.lines().any(|line| line == format!(".SS {name}")), "{name}: {page}");
    }
    for part in [".TH token-provider 1", "--write-credentials", "--allow-origin", "78"] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[tokio::test]
async fn help_names_every_command_and_exit_code() {
    let help = Folder::new().run(&["--help"]).await.stdout;
    for word in ["serve", "token", "check", "health", "sandbox", "completions", "man", "78"] {
        assert!(help.contains(word), "{word}: {help}");
    }
    assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
}

#[tokio::test]
async fn no_option_takes_a_secret() {
    let folder = Folder::new();
    for arguments in [&["--help"][..], &["serve", "--help"], &["token", "--help"], &["sandbox", "--help"]] {
        let help = folder.run(arguments).await.stdout.to_lowercase();
        for option in ["--secret", "--access-key", "--password", "--api-key", "--token "] {
            assert!(!help.contains(option), "{option}: {help}");
        }
    }
}
