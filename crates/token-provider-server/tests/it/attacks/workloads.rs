//! Tokens of pods and of jobs in CI, as their issuers' documentation shows them (`testdata/workloads`), and what somebody would
//! change who may choose some of their claims: names of branches, projects and service accounts.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use token_provider::{Clock as _, SystemClock};

use super::Target;
use crate::support::identity::{AUDIENCE, IdentityProvider, KEY_ID, header};

const RULES: &str = r#"
[[access.oidc.rules]]
claims = { sub = "system:serviceaccount:my-namespace:*", "/kubernetes.io/namespace" = "my-namespace" }
name = "k8s:{/kubernetes.io/namespace}/{/kubernetes.io/serviceaccount/name}"
max_ttl = "5m"

[[access.oidc.rules]]
claims = { sub = "repo:octo-org/*:environment:prod", repository_owner_id = "65" }
name = "github:{repository}"
max_ttl = "10m"

[[access.oidc.rules]]
claims = { sub = "repo:octo-org/*" }

[[access.oidc.rules]]
claims = { project_path = "my-group/*", groups_direct = "mygroup/*", "/user_identities/0/provider" = "github" }
mode = "audit"
"#;

struct Workloads {
    company: IdentityProvider,
    target: Target,
}

impl Workloads {
    async fn start() -> Self {
        let company = IdentityProvider::start().await;
        let target = Target::start(&format!("{}max_ttl = \"15m\"\n{RULES}", company.config())).await;
        Self { company, target }
    }

    /// Asks with the claims of a file, some of them changed, those that are null left out. Returns the status.
    async fn ask(&self, file: &str, changes: &Value) -> u16 {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/workloads").join(file);
        let mut claims: Value =
            serde_json::from_str(&fs::read_to_string(path).expect("is text")).expect("is JSON");
        let now = SystemClock.now().wall.as_secs();
        let own =
            json!({ "iss": self.company.issuer, "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + 600 });
        for (name, value) in own.as_object().into_iter().chain(changes.as_object()).flatten() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().expect("is an object").retain(|_, value| !value.is_null());
        let token = self.company.sign(&header("RS256", KEY_ID), &claims);
        let authorization = format!("Bearer {token}");
        self.target.get(&[("Authorization", &authorization)]).await.status
    }
}

#[tokio::test]
async fn published_claims_of_workloads_get_what_their_rule_says_and_its_name() {
    let workloads = Workloads::start().await;
    for (file, changes) in [
        ("kubernetes.json", json!({})),
        ("github-actions.json", json!({})),
        // The second rule needs the number of the owner, which no other can have.
        ("github-actions.json", json!({ "sub": "repo:octo-org/octo-repo" })),
        ("gitlab-ci.json", json!({})),
        ("gitlab-ci.json", json!({ "groups_direct": "mygroup/x" })),
    ] {
        assert_eq!(workloads.ask(file, &changes).await, 200, "{file} {changes}");
    }
    let lines = workloads.target.lines();
    let seen: Vec<_> =
        lines.iter().map(|line| (line["caller"].as_str(), line["lifetime"].as_u64())).collect();
    let gitlab = "project_path:my-group/my-project:ref_type:branch:ref:feature-branch-1";
    let expected = [
        ("k8s:my-namespace/my-serviceaccount", 300),
        ("github:octo-org/octo-repo", 600),
        ("repo:octo-org/octo-repo", 900),
        (gitlab, 900),
        (gitlab, 900),
    ];
    assert_eq!(seen, expected.map(|(name, ttl)| (Some(name), Some(ttl))));
    let marks: Vec<_> = lines.iter().map(|line| line["would_refuse"].as_str()).collect();
    let mark = Some("access.oidc.rules[3]");
    assert_eq!(marks, [None, None, None, mark, mark]);
}

#[tokio::test]
async fn claims_that_only_look_like_those_of_a_rule_are_refused() {
    let workloads = Workloads::start().await;
    let kubernetes = |namespace: Value, account: Value| json!({ "kubernetes.io": { "namespace": namespace, "serviceaccount": { "name": account } } });
    for (file, changes) in [
        ("kubernetes.json", json!({ "sub": "system:serviceaccount:other:my-namespace:x" })),
        ("kubernetes.json", json!({ "sub": "system:serviceaccount:my-namespace:" })),
        ("kubernetes.json", json!({ "sub": "system:serviceaccount:my-namespace:a:b" })),
        ("kubernetes.json", kubernetes(json!("my-namespace2"), json!("x"))),
        ("kubernetes.json", kubernetes(json!(null), json!("x"))),
        ("kubernetes.json", kubernetes(json!([["my-namespace"]]), json!("x"))),
        ("kubernetes.json", kubernetes(json!({ "my-namespace": "my-namespace" }), json!("x"))),
        // Matched as one of a list, but it makes no name.
        ("kubernetes.json", kubernetes(json!(["my-namespace"]), json!("x"))),
        ("kubernetes.json", kubernetes(json!("my-namespace"), json!("a\nb"))),
        ("kubernetes.json", kubernetes(json!("my-namespace"), json!("\u{1b}[2J"))),
        ("kubernetes.json", kubernetes(json!("my-namespace"), json!("\u{e4}"))),
        ("kubernetes.json", kubernetes(json!("my-namespace"), json!("x".repeat(129)))),
        ("kubernetes.json", kubernetes(json!("my-namespace"), json!(""))),
        ("kubernetes.json", kubernetes(json!("my-namespace"), json!(true))),
        ("kubernetes.json", json!({ "kubernetes.io": null, "/kubernetes.io/namespace": "my-namespace" })),
        ("github-actions.json", json!({ "sub": "repo:octo-org/x:pull_request" })),
        ("github-actions.json", json!({ "sub": "repo:octo-org/x:ref:refs/heads/environment:prod" })),
        ("github-actions.json", json!({ "sub": "repo:octo-org-evil/x" })),
        ("github-actions.json", json!({ "sub": "repo:octo-org/x/y" })),
        ("github-actions.json", json!({ "repository_owner_id": 65 })),
        ("github-actions.json", json!({ "repository_owner_id": "66" })),
        ("github-actions.json", json!({ "repository_owner_id": null })),
        ("gitlab-ci.json", json!({ "project_path": "my-group/sub/project" })),
        ("gitlab-ci.json", json!({ "groups_direct": [["mygroup/x"]] })),
        ("gitlab-ci.json", json!({ "groups_direct": [7, { "a": "mygroup/x" }, "other/x"] })),
        ("gitlab-ci.json", json!({ "groups_direct": "mygroup/x/y" })),
        ("gitlab-ci.json", json!({ "user_identities": { "0": { "provider": "gitlab" } } })),
        ("gitlab-ci.json", json!({ "user_identities": [] })),
    ] {
        assert_eq!(workloads.ask(file, &changes).await, 403, "{file} {changes}");
    }
    workloads.target.assert_nothing_happened();
    for line in workloads.target.lines() {
        assert_eq!((&line["rule"], &line["method"]), (&"rules".into(), &"oidc".into()), "{line}");
    }
}

#[tokio::test]
async fn required_claims_are_judged_before_the_rules_and_what_a_claim_says_is_no_template() {
    let company = IdentityProvider::start().await;
    let rule = "require = { team = \"maps\" }\n[[access.oidc.rules]]\nclaims = { team = \"*\" }\nname = \"{x}:{y}\"\n";
    let target = Target::start(&format!("{}{rule}", company.config())).await;
    let workloads = Workloads { company, target };
    let with = |team: &str| json!({ "team": team, "x": "{y}", "y": "a:{x}" });
    assert_eq!(workloads.ask("kubernetes.json", &with("maps")).await, 200);
    assert_eq!(workloads.ask("kubernetes.json", &with("other")).await, 403);
    let lines = workloads.target.lines();
    assert_eq!((&lines[0]["caller"], &lines[1]["rule"]), (&"{y}:a:{x}".into(), &"claims".into()));
}
