//! Secrets stay inside: the access key's secret and the tokens are planted, everything that can be rendered is, and
//! looked through.

use std::path::Path;

use here_sandbox::{Fault, FaultBody};
use token_provider_server::parts::config::{Config, Environment, Overrides};

use super::support::log::{heard, listen_in};
use super::support::program::{Account, Folder};
use super::support::server::{ACCESS_KEY_SECRET, Server, Setup};
use super::support::wire::{Reply, get, report, request};

/// What must be nowhere, and parts of it that are long enough to be of use.
fn pieces(secret: &str) -> Vec<String> {
    let characters: Vec<char> = secret.chars().collect();
    characters.chunks(16).filter(|chunk| chunk.len() == 16).map(|chunk| chunk.iter().collect()).collect()
}

#[track_caller]
fn assert_hidden(what: &str, text: &str, secrets: &[&str]) {
    for secret in secrets {
        for piece in pieces(secret) {
            assert!(!text.contains(&piece), "{what} shows {piece}:\n{text}");
        }
    }
}

fn rendered(reply: &Reply) -> String {
    format!("{reply:?}")
}

/// Makes every kind of request, and returns the answers that hold no token.
async fn use_it(server: &Server) -> (String, Vec<Reply>) {
    let token = get(server.address, "/getToken?ttl=3600").await;
    assert_eq!(token.status, 200, "{token:?}");
    let json = request(server.address, "GET", "/getToken", &[("Accept", "application/json")]).await;
    assert_eq!(json.json()["access_token"], token.text());
    let mut others = Vec::new();
    for target in ["/", "/page.css", "/livez", "/readyz", "/nothing", "/getToken?ttl=1", "/getToken?scope=x"]
    {
        others.push(get(server.address, target).await);
    }
    let head = request(server.address, "HEAD", "/getToken", &[]).await;
    assert!(head.body.is_empty());
    others.push(head);
    for fault in [
        Fault { status: Some(401), error_code: Some(401_300), ..Fault::default() },
        Fault { status: Some(503), ..Fault::default() },
        Fault { body: Some(FaultBody::Html), ..Fault::default() },
        Fault { expired: true, ..Fault::default() },
        Fault { lifetime_s: Some(3), ..Fault::default() },
        Fault { clock_skew_s: Some(5000), ..Fault::default() },
    ] {
        server.sandbox.faults().replace(vec![Fault { count: Some(1), ..fault }]);
        // A different lifetime for each, so that each causes a request to the account.
        let ttl = [60, 300, 600, 900, 1800, 7200][others.len() - 8];
        others.push(get(server.address, &format!("/getToken?ttl={ttl}")).await);
    }
    (token.text().to_owned(), others)
}

#[tokio::test]
async fn no_secret_is_in_logs_debug_or_other_answers() {
    listen_in();
    let server = Server::start().await;
    let (token, others) = use_it(&server).await;
    tracing::trace!(target: "some_library", "a quiet word");
    let text = heard();
    let refused = others.iter().filter(|reply| reply.status >= 500).count();
    assert!(refused >= 4, "the faults have come through: {others:?}");
    let secrets = [ACCESS_KEY_SECRET, token.as_str()];
    for reply in others.iter().filter(|reply| reply.status != 200 || reply.body.len() < 200) {
        assert_hidden("an answer", &rendered(reply), &secrets);
    }
    assert_hidden("Debug of App", &format!("{:?} {0:#?}", server.app), &secrets);
    assert_hidden("Debug of Access", &format!("{:?}", server.app.access), &secrets);
    assert_hidden("Debug of the account", &format!("{:?}", server.sandbox), &secrets);

    assert!(text.contains("token received") && text.contains("no token received"), "is a log: {text}");
    assert!(text.contains("a quiet word"), "is heard at every level: {text}");
    assert_hidden("the log", &text, &secrets);
    // Signatures are no secrets, but single-use proofs of one; they are no one's business either.
    assert!(!text.contains("oauth_signature="), "{text}");
}

#[tokio::test]
async fn reported_token_is_in_no_answer_log_or_trail() {
    const FOREIGN: &str = "planted-token-of-somebody-else-0123456789-0123456789-0123456789";
    listen_in();
    let folder = tempfile::tempdir().expect("can be made");
    let trail = folder.path().join("audit.jsonl");
    let server = Setup::default().config("[admin]\nlisten = 0\n").trail(&trail).start().await;
    let held = get(server.address, "/getToken").await.text().to_owned();
    let twice = format!("&token={FOREIGN}");
    let mut text = String::new();
    for (token, fields, status) in [
        (FOREIGN, "", 200),
        (FOREIGN, &*twice, 400),
        (FOREIGN, "&client_id=a&client_secret=b", 401),
        (held.as_str(), "", 200),
    ] {
        let reply = report(server.address, token, fields, &[]).await;
        assert_eq!(reply.status, status, "{reply:?}");
        text += &rendered(&reply);
    }
    let admin = server.admin().await;
    for target in ["/status", "/metrics"] {
        text += get(admin, target).await.text();
    }
    let text = format!("{text} {:?} {:?} {}", server.audit_lines(&trail), server.app, heard());
    assert!(text.contains("reported"), "{text}");
    assert_hidden("what is told", &text, &[FOREIGN, &held]);
}

#[tokio::test]
async fn wrong_secret_is_not_told_either() {
    const WRONG: &str = "planted-wrong-secret-0123456789-0123456789-0123456789";
    listen_in();
    let server = Setup::default().wrong_secret(WRONG).start().await;
    let reply = get(server.address, "/getToken").await;
    let text = heard();
    assert_eq!(reply.status, 502, "{reply:?}");
    assert_hidden("the answer", &rendered(&reply), &[WRONG]);
    assert_hidden("the log", &text, &[WRONG, ACCESS_KEY_SECRET]);
    assert_hidden("Debug of App", &format!("{:?}", server.app), &[WRONG]);
}

#[tokio::test]
async fn what_callers_send_is_not_logged() {
    const KEY: &str = "tp_planted-api-key-0123456789-0123456789-012345";
    listen_in();
    let server = Server::start().await;
    let basic = format!("Bearer {KEY}");
    for headers in [[("X-API-Key", KEY)], [("Authorization", basic.as_str())], [("Cookie", KEY)]] {
        let reply = request(server.address, "GET", "/getToken", &headers).await;
        assert_hidden("an answer", &rendered(&reply), &[KEY]);
    }
    let in_query = get(server.address, &format!("/getToken?api_key={KEY}&ttl={KEY}&scope={KEY}")).await;
    assert_eq!(in_query.status, 400);
    assert_hidden("an answer", &rendered(&in_query), &[KEY]);
    assert_hidden("the log", &heard(), &[KEY]);
}

#[test]
fn debug_of_configuration_and_environment_shows_no_secret() {
    const SECRET: &str = "planted-in-the-environment-0123456789-0123456789";
    let names = ["HERE_ACCESS_KEY_ID", "HERE_ACCESS_KEY_SECRET", "HERE_CREDENTIALS_STRING"];
    let environment = Environment::from_pairs(names.map(|name| (name, SECRET)));
    let file = (Path::new("c.toml"), "[profiles.default]\ncredentials = \"/etc/here\"\n");
    let config = Config::parse(Some(file), &environment, &Overrides::default()).expect("is well-formed");
    assert_hidden("Debug of Environment", &format!("{environment:?} {environment:#?}"), &[SECRET]);
    assert_hidden("Debug of Config", &format!("{config:?} {config:#?}"), &[SECRET]);
}

#[tokio::test]
async fn check_shows_no_query_of_an_endpoint_of_ones_own() {
    const KEY: &str = "planted-in-the-query-0123456789-0123456789";
    let (account, folder) = (Account::open().await, Folder::new());
    let endpoint = format!("{}/oauth2/token", account.origin);
    let good = account.credentials().replace(&endpoint, &format!("{endpoint}?key={KEY}"));
    let wrong = good.replace(&account.secret(), "planted-wrong-secret");
    let nowhere = good.replace(&account.origin, "http://127.0.0.1:1");
    for (text, code) in [(good, 0), (wrong, 1), (nowhere, 1)] {
        folder.write("credentials.properties", &text);
        let outcome = folder.run(&["check", "--listen", "127.0.0.1:0"]).await;
        assert_eq!(outcome.code, Some(code), "{outcome:?}");
        assert!(outcome.stdout.contains("/oauth2/token"), "{outcome:?}");
        assert_hidden("check", &format!("{outcome:?}"), &[KEY]);
    }
}
