//! HERE's error numbers over HTTP, in each of their spellings, up to the person who reads the message. And the ids for HERE's support, which
//! are for the operator and for nobody else.

use here_sandbox::{App, AppRefusal, Fault, NumberSpelling};
use rustix::process::Signal;
use serde::Deserialize;
use serde_json::Value;
use token_provider::{CredentialSource, HereIssuer, HereIssuerConfig, Issue as _, Scope, TokenKey};

use super::support::program::{Account, Folder};
use super::support::wire::{get, post_form, request};

/// Every number that HERE documents, and the message for it; the file names its sources.
const NUMBERS: &str = include_str!("../../../token-provider/testdata/numbers.json");

const SPELLINGS: [NumberSpelling; 4] =
    [NumberSpelling::Quoted, NumberSpelling::Unquoted, NumberSpelling::Wrapped, NumberSpelling::Bare];

#[derive(Deserialize)]
struct Numbers {
    numbers: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    number: u32,
    status: u16,
    message: String,
}

impl Row {
    fn fault(&self, spelling: NumberSpelling) -> Fault {
        Fault {
            status: Some(self.status),
            error_code: Some(self.number),
            spelling: Some(spelling),
            ..Fault::default()
        }
    }
}

fn documented() -> Vec<Row> {
    serde_json::from_str::<Numbers>(NUMBERS).expect("the table is well-formed").numbers
}

#[tokio::test]
async fn every_number_is_understood_in_every_spelling() {
    let (account, folder) = (Account::open().await, Folder::new());
    let path = folder.write("credentials.properties", &account.credentials());
    let credential = CredentialSource::file(&path, "default").load().expect("is well-formed");
    let issuer = HereIssuer::new(HereIssuerConfig::new(credential)).expect("can be made");
    for row in documented() {
        for spelling in SPELLINGS {
            account.sandbox.faults().replace(vec![row.fault(spelling)]);
            let error = issuer.issue(&TokenKey::default()).await.expect_err("is refused");
            let message = error.to_string().replace(&path.display().to_string(), "credentials.properties");
            assert_eq!(message, row.message, "{} {spelling:?}", row.number);
            assert_eq!(
                error.error_id().is_some(),
                spelling != NumberSpelling::Bare,
                "{} {spelling:?}",
                row.number
            );
        }
    }
}

#[tokio::test]
async fn app_that_may_not_have_the_token_gets_the_remedy() {
    let (account, folder) = (Account::open().await, Folder::new());
    let path = folder.write("credentials.properties", &account.credentials());
    let credential = CredentialSource::file(&path, "default").load().expect("is well-formed");
    let issuer = HereIssuer::new(HereIssuerConfig::new(credential)).expect("can be made");
    let project = "hrn:here:authorization::rlm0000:project/p";
    let several = format!("{project} {project}2");
    let refused = |refusal| App { refusal: Some(refusal), ..App::default() };
    for (app, scope, number) in [
        (refused(AppRefusal::KeyDisabled), None, 401_424),
        (refused(AppRefusal::AppInactive), None, 401_311),
        (refused(AppRefusal::AppUnknown), None, 404_660),
        (refused(AppRefusal::NotAMember), Some(project), 403_109),
        (App { restricted_scope: true, ..App::default() }, Some(project), 400_927),
        (App { always_project_scope: true, ..App::default() }, None, 400_927),
        (App::default(), Some(several.as_str()), 400_981),
    ] {
        account.sandbox.faults().replace(vec![Fault { app: Some(app.clone()), ..Fault::default() }]);
        let scope = scope.map(|scope| Scope::new(scope).expect("is one"));
        let error = issuer.issue(&TokenKey::default().with_scope(scope)).await.expect_err("is refused");
        let message = error.to_string().replace(&path.display().to_string(), "credentials.properties");
        let expected = documented().into_iter().find(|row| row.number == number).expect("is documented");
        assert_eq!(message, expected.message, "{app:?}");
    }
}

#[tokio::test]
async fn check_says_what_to_do_about_every_number() {
    let (account, folder) = (Account::open().await, Folder::new());
    folder.write("credentials.properties", &account.credentials());
    for (row, spelling) in documented().iter().zip(SPELLINGS.into_iter().cycle()) {
        account.sandbox.faults().replace(vec![row.fault(spelling)]);
        let outcome = folder.run(&["check", "--listen", "127.0.0.1:0"]).await;
        assert_eq!(outcome.code, Some(1), "{}: {outcome:?}", row.number);
        let is_told = |line: &str| line.starts_with("FAILURE") && line.ends_with(&row.message);
        assert!(outcome.stdout.lines().any(is_told), "{}: {outcome:#?}", row.number);
    }
}

#[tokio::test]
async fn ids_for_heres_support_are_for_the_operator_alone() {
    let (account, folder) = (Account::open().await, Folder::new());
    folder.write("credentials.properties", &account.credentials());
    let trail = folder.path("audit.jsonl");
    let config = format!("listen = ['127.0.0.1:0']\nadmin.listen = 0\naudit.to = '{}'\n", trail.display());
    folder.write("token-provider.toml", &config);
    account.sandbox.faults().inject(Fault {
        status: Some(401),
        error_code: Some(401_424),
        ..Fault::default()
    });
    let mut server = folder.start(&["serve"]);
    let [callers, admin] = server.addresses().await;

    server.logged("no token received").await;
    let line: Value = serde_json::from_str(server.last_line()).expect("is JSON");
    let [error_id, correlation_id] =
        ["error_id", "correlation_id"].map(|name| line[name].as_str().expect("is there").to_owned());
    assert!(error_id.starts_with("ERROR-"), "{line}");

    let status = request(admin, "GET", "/status", &[("Accept", "application/json")]).await.json();
    let error = &status["profiles"][0]["tokens"][0]["last_error"];
    assert_eq!((&error["error_id"], &error["correlation_id"]), (&line["error_id"], &line["correlation_id"]));

    let asked = get(callers, "/getToken").await;
    let as_json = request(callers, "GET", "/getToken", &[("Accept", "application/json")]).await;
    let posted = post_form(callers, "grant_type=client_credentials", &[]).await;
    let ready = get(callers, "/readyz").await;
    assert_eq!((asked.status, asked.json()["error"].as_str()), (502, Some("issuer_rejected")));
    assert!(asked.text().contains("it is disabled; enable it in the HERE portal"), "{asked:?}");
    let metrics = get(admin, "/metrics").await;
    server.signal(Signal::TERM);
    assert!(server.end().await.0.success());
    let audit = std::fs::read_to_string(trail).expect("is there");
    assert_eq!(audit.lines().count(), 3, "{audit}");
    for shown in [
        &format!("{asked:?}"),
        &format!("{as_json:?}"),
        &format!("{posted:?}"),
        &format!("{ready:?}"),
        metrics.text(),
        &audit,
    ] {
        for id in [&error_id, &correlation_id, "ERROR-"] {
            assert!(!shown.contains(id), "{id}: {shown}");
        }
    }
}

#[tokio::test]
async fn lifetimes_that_the_app_cuts_alike_are_warned_of_once() {
    let (account, folder) = (Account::open().await, Folder::new());
    folder.write("credentials.properties", &account.credentials());
    let app = App { token_duration_s: Some(3600), ..App::default() };
    account.sandbox.faults().inject(Fault { app: Some(app), ..Fault::default() });
    let mut server = folder.start(&["serve", "--listen", "127.0.0.1:0"]);
    let address = server.address().await;
    // The token of the start first: it is not cut, and on its way still.
    for ttl in ["3600", "86400", "28800", "14400", "7200", "600"] {
        assert_eq!(get(address, &format!("/getToken?ttl={ttl}")).await.status, 200, "{ttl}");
    }
    server.signal(Signal::TERM);
    let (_, _, log) = server.end().await;
    let warnings: Vec<_> = log.iter().filter(|line| line.contains("tokenDuration")).collect();
    let [warning] = warnings[..] else { panic!("one is enough: {log:#?}") };
    let warning: Value = serde_json::from_str(warning).expect("is JSON");
    assert_eq!((&warning["level"], &warning["span"]["profile"]), (&"WARN".into(), &"default".into()));
    let message = warning["message"].as_str().expect("is text");
    assert!(message.starts_with("lifetimes of 86400 s and 28800 s get the same from HERE"), "{message}");
}
