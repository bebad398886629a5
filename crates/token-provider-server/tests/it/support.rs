//! What the tests share: a server on its own port, raw connections, scripted issuers, an identity provider, and the
//! program itself.

pub(crate) mod identity;
pub(crate) mod issuer;
pub(crate) mod log;
pub(crate) mod port;
pub(crate) mod program;
pub(crate) mod sdk;
pub(crate) mod server;
pub(crate) mod wire;

use std::sync::LazyLock;
use std::time::Duration;

/// Ends a test that would hang. Nothing here takes a tenth of it on an idle machine. `ci/mutants/run` sets another: where a rule
/// is broken on purpose, many a test waits for what never comes.
pub(crate) static TIMEOUT: LazyLock<Duration> = LazyLock::new(|| {
    #[expect(
        clippy::disallowed_methods,
        reason = "a switch for those who run the tests; the program does not read it"
    )]
    let seconds = std::env::var("TEST_TIMEOUT");
    Duration::from_secs(seconds.map_or(60, |text| text.parse().expect("TEST_TIMEOUT is a number")))
});

/// Waits for what must come.
pub(crate) async fn within<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(*TIMEOUT, future)
        .await
        .unwrap_or_else(|_elapsed| panic!("{what}: not within {:?}", *TIMEOUT))
}
