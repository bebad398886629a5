//! A caller limited to some scopes that wants another.

use super::Target;

const MAPS: &str = "hrn:here:authorization::rlm:project/maps";
const SECRET: &str = "hrn:here:authorization::rlm:project/secret";

#[tokio::test]
async fn omitting_the_scope_does_not_grant_one_that_the_caller_may_not_have() {
    let config = format!(
        "[profiles.default]\nscopes = [\"{MAPS}\"]\nscope = \"{SECRET}\"\n\
         [access]\nanonymous = true\nanonymous_scopes = [\"{MAPS}\"]\n\
         [access.trusted_proxy]\nfrom = [\"127.0.0.1\"]\nheader = \"X-User\"\n"
    );
    let target = Target::start(&config).await;
    let get = |query: &str, user: &str| {
        let request = format!("GET /getToken{query} HTTP/1.1\r\nHost: localhost\r\n{user}\r\n");
        let target = &target;
        async move { target.send(&request).await.status }
    };
    assert_eq!(get(&format!("?scope={SECRET}"), "").await, 403);
    target.assert_nothing_happened();
    assert_eq!(get("", "").await, 200);
    // Not limited, and so given the profile's own.
    assert_eq!(get("", "X-User: alice\r\n").await, 200);

    let lines = target.lines();
    assert_eq!((&lines[0]["rule"], &lines[0]["scope"]), (&"scope".into(), &SECRET.into()));
    assert_eq!((&lines[1]["outcome"], &lines[1]["scope"]), (&"handed_out".into(), &MAPS.into()));
    assert_eq!((&lines[2]["caller"], &lines[2]["scope"]), (&"alice".into(), &SECRET.into()));
}
