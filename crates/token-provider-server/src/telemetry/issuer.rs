//! Counts, times and bounds the requests to an issuer, on their way.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use prometheus_client::metrics::histogram::Histogram;
use token_provider::{
    AccessToken, AnyIssuer, Credential, HereIssuer, Issue, Issued, TokenError, TokenErrorKind, TokenKey,
};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use url::Url;

use super::{Tally, each};
use crate::reason::IssuerOutcome;

/// The most requests in flight at once, over all profiles, in addition to one for each profile's usual token. Each
/// takes one or two file descriptors (IPv6 and IPv4 in parallel); of the 64 not used by callers' connections, 17 are
/// for them. HERE answers in some 200 ms: that makes 30 tokens a second.
const IN_FLIGHT: usize = 6;

/// Upper bounds of the buckets, in seconds: within a region HERE answers in tens of milliseconds; an attempt, and a caller's
/// wait, end after ten seconds.
pub const BUCKETS: [f64; 9] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// HERE often says a second less than was requested; the way there and back takes some, too.
const SAME_LIFETIME: u64 = 5;

/// An issuer whose requests are counted.
#[derive(Debug)]
pub struct MeteredIssuer {
    issuer: AnyIssuer,
    /// The same issuer, where it is HERE.
    here: Option<Arc<HereIssuer>>,
    /// Where another one is.
    endpoint: String,
    ended: Tally<IssuerOutcome>,
    /// How long requests have taken.
    pub durations: Histogram,
    /// Permits for all tokens but the usual one.
    permits: Semaphore,
    usual: ArcSwap<TokenKey>,
    cuts: Mutex<Cuts>,
}

/// Lifetimes that HERE cuts, as the app has a shorter one (`tokenDuration`).
#[derive(Debug, Default)]
struct Cuts {
    /// The one that was cut last, and what is left of it.
    last: Option<(u64, u64)>,
    is_reported: bool,
}

impl Cuts {
    /// Notes what a request asked for and got. Reports another lifetime that gets the same, the first time that there is one: each
    /// lifetime has its own token, also where it gets no longer one than another.
    fn note(&mut self, asked: u64, got: u64) -> Option<u64> {
        let is_same = |&(other, left): &(u64, u64)| other != asked && left.abs_diff(got) <= SAME_LIFETIME;
        let same = self.last.filter(is_same).filter(|_| !self.is_reported);
        self.is_reported |= same.is_some();
        if is_cut(asked, got) {
            self.last = Some((asked, got));
        }
        let (other, _) = same?;
        tracing::warn!(
            token.expires_in = got,
            "lifetimes of {other} s and {asked} s get the same from HERE (the app's tokenDuration), and each costs a token of its \
             own; leave the longer one out of `lifetimes`"
        );
        Some(other)
    }
}

/// Returns whether a token's lifetime is shorter than requested, in seconds.
pub fn is_cut(asked: u64, got: u64) -> bool {
    got.saturating_add(SAME_LIFETIME) < asked
}

impl MeteredIssuer {
    /// Counts the requests to HERE.
    pub fn here(issuer: Arc<HereIssuer>) -> Self {
        Self { here: Some(Arc::clone(&issuer)), ..Self::other(issuer, String::new()) }
    }

    /// Counts the requests to another issuer.
    pub fn other(issuer: impl Issue, endpoint: String) -> Self {
        Self {
            issuer: AnyIssuer::new(issuer),
            here: None,
            endpoint,
            ended: Tally::default(),
            durations: Histogram::new(BUCKETS),
            permits: Semaphore::new(IN_FLIGHT),
            usual: ArcSwap::default(),
            cuts: Mutex::default(),
        }
    }

    /// Leaves permits to other profiles: each has an equal part, so that an issuer that hangs holds up no other's.
    #[must_use]
    pub fn sharing_with(self, profiles: usize) -> Self {
        let part = IN_FLIGHT.checked_div(profiles).unwrap_or(IN_FLIGHT);
        Self { permits: Semaphore::new(part.max(1)), ..self }
    }

    /// Names the token that most callers ask for. It waits for no other.
    pub fn set_usual(&self, key: Arc<TokenKey>) {
        self.usual.store(key);
    }

    /// Returns where the issuer is, without what its URL may have of secrets.
    pub fn endpoint(&self) -> String {
        let here = self.here.as_ref().map(|here| endpoint_of(here.credential().token_endpoint_url()));
        here.unwrap_or_else(|| self.endpoint.clone())
    }

    /// Returns the credential in use, if the issuer is HERE.
    pub fn credential(&self) -> Option<Arc<Credential>> {
        self.here.as_ref().map(|here| here.credential())
    }

    /// Returns by how many seconds HERE's clock was last seen to be ahead of ours.
    pub fn clock_offset(&self) -> Option<i64> {
        self.here.as_ref().map(|here| here.clock_offset())
    }

    /// Returns how many requests have ended in each way.
    pub fn ended(&self) -> impl Iterator<Item = (IssuerOutcome, u64)> {
        each(IssuerOutcome::ALL, &self.ended).into_iter()
    }

    /// Returns how many requests have brought no token.
    pub fn failures(&self) -> u64 {
        self.ended().filter(|(outcome, _)| *outcome != IssuerOutcome::Issued).map(|(_, count)| count).sum()
    }
}

impl Issue for MeteredIssuer {
    async fn issue(&self, key: &TokenKey) -> Result<Issued, TokenError> {
        // The refresher gives up after a minute, wait and request together. Never closed.
        let _permit = if *key == **self.usual.load() { None } else { self.permits.acquire().await.ok() };
        let mut request = Request { of: self, since: Instant::now(), outcome: IssuerOutcome::TimedOut };
        let result = self.issuer.issue(key).await;
        request.outcome = result.as_ref().map_or_else(outcome, |_| IssuerOutcome::Issued);
        if let (Ok(issued), Some(_)) = (&result, &self.here) {
            self.cuts.lock().note(key.lifetime().as_secs(), issued.expires_in().as_secs());
        }
        result
    }

    async fn report(&self, token: &AccessToken) {
        self.issuer.report(token).await;
    }
}

/// A request in flight. One that is dropped before it ends has timed out.
struct Request<'a> {
    of: &'a MeteredIssuer,
    since: Instant,
    outcome: IssuerOutcome,
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        self.of.durations.observe(self.since.elapsed().as_secs_f64());
        *self.of.ended.lock().entry(self.outcome).or_default() += 1;
    }
}

fn outcome(error: &TokenError) -> IssuerOutcome {
    match error.kind() {
        TokenErrorKind::Rejected { .. } | TokenErrorKind::NotLoaded => IssuerOutcome::Rejected,
        TokenErrorKind::ClockSkew => IssuerOutcome::ClockSkew,
        TokenErrorKind::Throttled => IssuerOutcome::Throttled,
        TokenErrorKind::Unavailable { .. } => IssuerOutcome::Unavailable,
        TokenErrorKind::Unreachable | TokenErrorKind::IssuerPanicked => IssuerOutcome::Unreachable,
        TokenErrorKind::TimedOut => IssuerOutcome::TimedOut,
        TokenErrorKind::InvalidAnswer { .. } => IssuerOutcome::InvalidAnswer,
        _ => IssuerOutcome::Other,
    }
}

/// Returns scheme, host, port and path: a query or a user may hold a key.
pub fn endpoint_of(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus_client::encoding::prometheus_text;
    use prometheus_client::registry::Registry;
    use token_provider::Issued;

    use super::*;

    #[derive(Debug)]
    struct Scripted(Option<TokenErrorKind>);

    impl Issue for Scripted {
        async fn issue(&self, _key: &TokenKey) -> Result<Issued, TokenError> {
            tokio::time::sleep(Duration::from_millis(300)).await;
            match self.0 {
                None => Ok(Issued::new("a.b.c", Duration::from_secs(3600))),
                Some(kind) => Err(TokenError::new(kind, "no")),
            }
        }
    }

    fn ended(issuer: &MeteredIssuer) -> Vec<(&'static str, u64)> {
        issuer
            .ended()
            .filter(|(_, count)| *count > 0)
            .map(|(outcome, count)| (outcome.as_str(), count))
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn every_end_of_a_request_is_counted_and_timed() {
        let key = TokenKey::default();
        for (kind, expected) in [
            (None, "issued"),
            (Some(TokenErrorKind::Rejected { status: 401, code: Some(401_300) }), "rejected"),
            (Some(TokenErrorKind::ClockSkew), "clock_skew"),
            (Some(TokenErrorKind::Throttled), "throttled"),
            (Some(TokenErrorKind::Unavailable { status: 503 }), "unavailable"),
            (Some(TokenErrorKind::Unreachable), "unreachable"),
            (Some(TokenErrorKind::TimedOut), "timed_out"),
            (Some(TokenErrorKind::InvalidAnswer { status: Some(200) }), "invalid_answer"),
            (Some(TokenErrorKind::ExpiresTooSoon), "other"),
        ] {
            let issuer = MeteredIssuer::other(Scripted(kind), String::new());
            assert_eq!(issuer.issue(&key).await.is_ok(), kind.is_none());
            assert_eq!(ended(&issuer), [(expected, 1)]);
            assert_eq!(issuer.failures(), u64::from(kind.is_some()));
            let mut registry = Registry::default();
            registry.register("x", "X.", issuer.durations.clone());
            let mut page = String::new();
            prometheus_text::encode(&mut page, &registry).expect("a String takes everything");
            assert!(page.contains("\nx_sum 0.3\nx_count 1\n"), "{page}");
        }
    }

    /// Asks for 40 kinds at once, and then for the usual one. Returns how many of the 40 had an answer after each
    /// 300 ms that the issuer takes, and when the usual one had.
    async fn ask_for_forty(issuer: &MeteredIssuer) -> (Vec<u64>, Duration) {
        let since = Instant::now();
        let keys = (0..40).map(|scope| {
            let scope = token_provider::Scope::new(&format!("hrn:here:authorization::r:project/p{scope}"));
            TokenKey::default().with_scope(Some(scope.expect("is one")))
        });
        let keys: Vec<_> = keys.collect();
        let all = futures_util::future::join_all(keys.iter().map(|key| issuer.issue(key)));
        let counts = async {
            let mut counts = Vec::new();
            while counts.last() != Some(&41) {
                tokio::time::sleep(Duration::from_millis(301)).await;
                counts.push(issuer.ended().map(|(_, count)| count).sum());
            }
            counts
        };
        let usual = TokenKey::default();
        let usual = async {
            issuer.issue(&usual).await.expect("is issued");
            since.elapsed()
        };
        let (_, usual, counts) = tokio::join!(all, usual, counts);
        (counts, usual)
    }

    #[tokio::test(start_paused = true)]
    async fn few_requests_are_in_flight_and_the_usual_one_waits_for_no_other() {
        for (profiles, expected) in [
            (1, vec![7, 13, 19, 25, 31, 37, 41]),
            (2, (4..=40).step_by(3).chain([41]).collect()),
            (100, (2..=41).collect::<Vec<_>>()),
        ] {
            let issuer = MeteredIssuer::other(Scripted(None), String::new()).sharing_with(profiles);
            let (counts, usual) = ask_for_forty(&issuer).await;
            assert_eq!(counts, expected, "{profiles} profiles");
            assert_eq!(usual, Duration::from_millis(300), "{profiles} profiles");
        }
    }

    #[test]
    fn lifetimes_that_get_the_same_are_reported_once() {
        let mut cuts = Cuts::default();
        let steps = [
            // asked, got, what is reported
            (3600, 3599, None),
            (86_400, 7199, None),
            (86_400, 7198, None),
            (3600, 3599, None),
            (43_200, 7200, Some(86_400)),
            (86_400, 7199, None),
            (14_400, 7199, None),
        ];
        for (step, (asked, got, expected)) in steps.into_iter().enumerate() {
            assert_eq!(cuts.note(asked, got), expected, "{step}");
        }
        // One lifetime is what the others are cut to.
        let mut cuts = Cuts::default();
        assert_eq!(
            [(3600, 3599), (86_400, 3599), (3600, 3598)].map(|(asked, got)| cuts.note(asked, got)),
            [None, None, Some(86_400)]
        );
        for (asked, got, expected) in [
            (3600, 3600, false),
            (3600, 3595, false),
            (3600, 3594, true),
            (60, u64::MAX, false),
            (1, 0, false),
        ] {
            assert_eq!(is_cut(asked, got), expected, "{asked} {got}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn request_that_is_given_up_has_timed_out() {
        let issuer = MeteredIssuer::other(Scripted(None), String::new());
        let key = TokenKey::default();
        assert!(tokio::time::timeout(Duration::from_millis(100), issuer.issue(&key)).await.is_err());
        assert_eq!(ended(&issuer), [("timed_out", 1)]);
    }

    #[test]
    fn endpoint_shows_neither_query_nor_user() {
        for (url, expected) in [
            ("https://account.api.here.com/oauth2/token", "https://account.api.here.com/oauth2/token"),
            ("https://user:planted@example.com:8443/a/b?key=planted#planted", "https://example.com:8443/a/b"),
        ] {
            assert_eq!(endpoint_of(&Url::parse(url).expect("is a URL")), expected);
        }
    }
}
