//! A caller that has more kinds of tokens held than anybody needs.

use super::super::support::wire::{Reply, request};
use super::Target;

/// A quarter of the 512 tokens that a profile holds.
const SHARE: usize = 128;

#[tokio::test]
async fn one_caller_fills_its_share_and_others_still_get_tokens() {
    let scopes: Vec<String> =
        (0..20).map(|number| format!("hrn:here:authorization::r:project/p{number}")).collect();
    let target = Target::start(&format!(
        "[profiles.default]\nscopes = {scopes:?}\n\
         [access.trusted_proxy]\nfrom = [\"127.0.0.1\"]\nheader = \"X-User\"\n"
    ))
    .await;
    let ask = async |user: &str, target_and_query: &str| -> Reply {
        request(target.server.address, "GET", target_and_query, &[("X-User", user)]).await
    };
    let kinds = scopes.iter().flat_map(|scope| {
        [300, 600, 900, 1800, 7200, 14400, 28800].map(|ttl| format!("/getToken?ttl={ttl}&scope={scope}"))
    });
    let kinds: Vec<String> = kinds.collect();
    for kind in &kinds[..SHARE] {
        assert_eq!(ask("mallory", kind).await.status, 200, "{kind}");
    }
    let more = ask("mallory", &kinds[SHARE]).await;
    assert_eq!((more.status, more.error().as_str()), (503, "temporarily_unavailable"), "{more:?}");
    assert_eq!(more.header("retry-after"), Some("60"), "{more:?}");
    assert!(
        more.description().starts_with("this caller already holds its share of 128 different tokens"),
        "{more:?}"
    );
    // A held token is available to everyone, no matter who requested it first.
    assert_eq!(ask("mallory", &kinds[0]).await.status, 200);
    assert_eq!(ask("alice", &kinds[0]).await.status, 200);
    assert_eq!(ask("alice", &kinds[SHARE]).await.status, 200);
    assert_eq!(ask("mallory", &kinds[SHARE]).await.status, 200);
    // The token that most callers get is in nobody's share.
    assert_eq!(ask("mallory", "/getToken").await.status, 200);
}
