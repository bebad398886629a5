//! Callers that no rule matches, and those that a rule lets in which you plan to remove.

use super::{Target, assert_refusal};
use crate::support::wire::{get, request};

const CONFIG: &str = r#"
admin.listen = "127.0.0.1:0"
[access]
anonymous = true
[access.trusted_proxy]
from = ["127.0.0.1"]
header = "X-Forwarded-User"
groups_header = "X-Forwarded-Groups"
[[access.trusted_proxy.rules]]
groups = ["/maps/*"]
max_ttl = "5m"
[[access.trusted_proxy.rules]]
users = ["*@example.com"]
max_ttl = "10m"
mode = "audit"
[[access.trusted_proxy.rules]]
users = ["a*"]
mode = "audit"
"#;

#[tokio::test]
async fn rules_are_judged_in_order_and_what_an_audited_one_lets_in_is_marked_and_counted() {
    let target = Target::start(CONFIG).await;
    for (user, groups, expected) in [
        // Two rules match, then all three.
        ("ann@example.com", Some("/maps/dev"), Ok(300)),
        ("ann@example.com", Some("/else"), Ok(600)),
        ("bob@example.com", None, Ok(600)),
        ("alice", None, Ok(3600)),
        ("mallory", Some("/maps"), Err(403)),
        ("mallory", Some("/maps/dev/x"), Err(403)),
    ] {
        let groups = groups.map(|groups| ("X-Forwarded-Groups", groups));
        let headers: Vec<_> = [("X-Forwarded-User", user)].into_iter().chain(groups).collect();
        let reply = target.get(&headers).await;
        match expected {
            Ok(most) => {
                let left = reply.header("token-expires-in").and_then(|left| left.parse::<u64>().ok());
                let left = left.unwrap_or_else(|| panic!("{user}: {reply:?}"));
                assert!((most - 10..=most).contains(&left), "{user}: {reply:?}");
            }
            Err(status) => {
                assert_eq!((reply.status, reply.error()), (status, "access_denied".to_owned()), "{user}");
                assert!(!reply.text().contains("maps") && !reply.text().contains("example.com"), "{reply:?}");
            }
        }
    }
    let metrics = get(target.server.admin().await, "/metrics").await;
    for (rule, count) in [(1, 2), (2, 1)] {
        let line = format!(
            "token_provider_audit_rule_total{{rule=\"access.trusted_proxy.rules[{rule}]\"}} {count}\n"
        );
        assert!(metrics.text().contains(&line), "{line}{}", metrics.text());
    }
    assert!(!metrics.text().contains("rules[0]"), "it is not in audit mode");
    let lines = target.lines();
    let marks: Vec<_> = lines.iter().map(|line| line["would_refuse"].as_str()).collect();
    let [first, second] = [1, 2].map(|rule| format!("access.trusted_proxy.rules[{rule}]"));
    let (first, second) = (Some(first.as_str()), Some(second.as_str()));
    assert_eq!(marks, [None, first, first, second, None, None]);
    assert_eq!(lines[4]["rule"], "rules");
    assert_eq!((&lines[4]["outcome"], &lines[4]["caller"]), (&"refused".into(), &"mallory".into()));
}

#[tokio::test]
async fn groups_are_not_taken_from_strangers_nor_from_a_page() {
    let elsewhere = CONFIG.replace("127.0.0.1\"]", "10.0.0.1\"]").replace("anonymous = true\n", "");
    let target = Target::start(&elsewhere).await;
    let headers = [("X-Forwarded-User", "ann@example.com"), ("X-Forwarded-Groups", "/maps/dev")];
    assert_eq!(target.get(&headers).await.status, 401);
    target.assert_nothing_happened();
    assert_refusal(&target.lines()[0], 401, "authenticate", "127.0.0.1");

    let named =
        CONFIG.replace("X-Forwarded-Groups", "Remote-Groups").replace("X-Forwarded-User", "Remote-User");
    let target = Target::start(&named).await;
    let asked = "remote-user, Remote-Groups, remote_groups, x-trace";
    let preflight = [
        ("Origin", "http://localhost:5173"),
        ("Access-Control-Request-Method", "GET"),
        ("Access-Control-Request-Headers", asked),
    ];
    let reply = request(target.server.address, "OPTIONS", "/getToken", &preflight).await;
    let allowed = reply.header("access-control-allow-headers").unwrap_or_default().to_lowercase();
    assert!(allowed.contains("x-trace") && !allowed.contains("remote"), "{allowed}");
}
