//! The program without the sandbox, as it is in the Debian package and the container image, and without Valkey: run by `ci/check`
//! with `--no-default-features`.

use rustix::process::Signal;

use crate::support::program::{Account, Folder};
use crate::support::wire::request;

#[tokio::test]
async fn sandbox_that_is_not_there_is_told_whatever_else_is_wrong() {
    let folder = Folder::new();
    folder.write("token-provider.toml", "listen = [\"nonsense\"]\n");
    for arguments in [
        &["serve", "--sandbox"][..],
        &["serve", "--sandbox", "--listen", "127.0.0.1:0"],
        &["sandbox"],
        &["sandbox", "--listen", "127.0.0.1:0", "--write-credentials", "c.properties", "--fault", "{}"],
        &["sandbox", "--log-format", "json", "--credentials", "c.properties", "-v"],
    ] {
        let outcome = folder.run(arguments).await;
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{outcome:?}");
        for words in ["error: this program was built without the sandbox", "or here-sandbox"] {
            assert!(outcome.stderr.contains(words), "{outcome:?}");
        }
    }
    assert!(!folder.path("c.properties").exists());
}

#[tokio::test]
async fn help_and_manual_say_nothing_of_the_sandbox() {
    let folder = Folder::new();
    for arguments in [&["--help"][..], &["serve", "--help"], &["man"]] {
        let outcome = folder.run(arguments).await;
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(!outcome.stdout.to_lowercase().contains("sandbox"), "{arguments:?}: {}", outcome.stdout);
    }
}

#[tokio::test]
async fn server_hands_out_tokens_and_has_the_plain_page() {
    let (account, folder) = (Account::open().await, Folder::new());
    folder.write("credentials.properties", &account.credentials());
    let mut server = folder.start(&["serve", "--listen", "127.0.0.1:0"]);
    let address = server.address().await;
    let token = request(address, "GET", "/getToken", &[]).await;
    assert_eq!(token.status, 200, "{token:?}");
    assert!(account.sandbox.verify_token(token.text()).is_ok());
    let page = request(address, "GET", "/", &[]).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.text().contains("/getToken?ttl=3600") && !page.text().contains("<script"));
    for path in ["/config.json", "/licences.txt", "/favicon.svg"] {
        assert_eq!(request(address, "GET", path, &[]).await.status, 404, "{path}");
    }
    server.signal(Signal::TERM);
    assert_eq!(server.end().await.0.code(), Some(0));
}

#[cfg(not(feature = "store"))]
#[tokio::test]
async fn without_valkey_the_program_says_so_and_has_the_folder() {
    let (account, folder) = (Account::open().await, Folder::new());
    folder.write("credentials.properties", &account.credentials());
    let key = data_encoding::BASE64.encode(&[1; 32]);
    folder.write("store.keys", &format!("a = {key}\nindex = {key}\n"));
    let config = |url: &str| {
        folder.write("token-provider.toml", &format!("store = {{ url = '{url}', key_file = 'store.keys' }}"))
    };
    config("rediss://valkey.example.com");
    let outcome = folder.run(&["check", "--offline"]).await;
    let expected = "store.url: this program was built without Valkey and Redis (cargo feature `store`)";
    assert!(outcome.code == Some(78) && outcome.stdout.contains(expected), "{outcome:?}");
    config(&format!("file:{}", folder.path("kept").display()));
    let outcome = folder.run(&["check", "--offline"]).await;
    assert!(outcome.code == Some(0) && outcome.stdout.contains("kept can be used"), "{outcome:?}");
}
