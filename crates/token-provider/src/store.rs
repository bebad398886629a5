//! Tokens that several servers share, or that outlive a restart: the interface to a [`Store`] outside the process, and the issuer
//! that looks there before it makes a request.
//!
//! The cache in the process stays as it is: only its refreshers come here, and never while a caller waits who could have a held
//! token. A store that is away means a request to the issuer, as without one. Its lease saves requests, and nothing depends on
//! it: two servers that both make one get two good tokens.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::clock::{Clock, Moment, SystemClock};
use crate::error::{TokenError, TokenErrorKind};
use crate::issuer::{Issue, Issued};
use crate::schedule;
use crate::token::{AccessToken, EXPIRY_MARGIN, Fingerprint, TokenKey};

/// A lease is renewed this often while a request is in flight, so that it may end soon after its holder has crashed …
const RENEW_AFTER: Duration = Duration::from_millis(1300);
/// … for 25 s at most: one request with its correction of the clock.
const RENEWALS: u32 = 19;
/// Where another server has the lease, its token is looked for after this pause, which doubles …
const FIRST_LOOK: Duration = Duration::from_millis(50);
/// … up to this one, …
const LAST_LOOK: Duration = Duration::from_millis(500);
/// … for so long. Then this server makes the request itself: no caller loses a token for the sake of economy.
const WAIT: Duration = Duration::from_secs(2);
/// What a token of the store needs at most until callers get it.
const ON_THE_WAY: Duration = Duration::from_millis(500);
/// Of so many kinds of token the newest is remembered: as many as a provider holds, twice.
const MAX_NEWEST: usize = 1024;
/// So many refused tokens are remembered here, for the time in which the store is away.
const MAX_REFUSED: usize = 64;

/// A place outside the process where servers with the same credential share tokens.
///
/// No method fails: a store that is away has nothing. An implementation bounds the time of each call, encrypts what it writes,
/// believes nothing that it cannot verify, and keeps the tokens of different credentials apart.
pub trait Store: Send + Sync + 'static {
    /// Returns the store's name for a kind of token, and the credential in use: another one's fences say nothing about it.
    fn id(&self, key: &TokenKey) -> String;

    /// Returns what is stored for a kind of token.
    fn load(&self, key: &TokenKey) -> impl Future<Output = Stored> + Send;

    /// Asks for the right to make the next request, which lapses within seconds unless it is renewed.
    fn lease(&self, key: &TokenKey) -> impl Future<Output = Leased> + Send;

    /// Prolongs a lease. Returns whether it was still this server's.
    fn renew(&self, lease: &Lease) -> impl Future<Output = bool> + Send;

    /// Stores a token that was requested at `sent_at`, if the lease is still this server's, no token of a higher fence is there, and
    /// the credential has not changed since; then deletes the noted failure and the lease.
    fn publish(
        &self,
        key: &TokenKey,
        lease: &Lease,
        issued: &Issued,
        sent_at: Moment,
    ) -> impl Future<Output = ()> + Send;

    /// Ends a lease if it is still this server's, and notes why there is no token.
    fn release(&self, lease: &Lease, failure: Option<NotedFailure>) -> impl Future<Output = ()> + Send;

    /// Notes that a service refused this token.
    fn report(&self, token: Fingerprint) -> impl Future<Output = ()> + Send;

    /// Returns whether a service refused this token.
    fn is_reported(&self, token: Fingerprint) -> impl Future<Output = bool> + Send;

    /// Learns that a token of this kind was older than one seen here: somebody put an old record back.
    fn replayed(&self, key: &TokenKey);
}

/// What a [`Store`] has for a kind of token.
#[derive(Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a store makes it")]
pub struct Stored {
    /// The newest token, if it has not expired.
    pub token: Option<StoredToken>,
    /// The last failure, if no token came after it.
    pub failure: Option<NotedFailure>,
}

/// A token out of a [`Store`].
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "a store makes it")]
pub struct StoredToken {
    /// Rises with each request for this kind of token.
    pub fence: u64,
    /// The lifetime that the issuer granted.
    pub lifetime: Duration,
    /// The token, with the time that it has left.
    pub issued: Issued,
}

/// A failed request, for all servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a store makes it")]
pub struct NotedFailure {
    /// Why it failed.
    pub kind: TokenErrorKind,
    /// How many requests in a row have failed, on whatever server.
    pub failures: u32,
    /// How long until the next request may be made; zero once it may.
    pub wait: Duration,
}

/// The answer to a request for a lease.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a store answers one of these")]
pub enum Leased {
    /// This server makes the request.
    Won(Lease),
    /// Another server is making it.
    Lost,
    /// The store does not answer.
    Away,
}

/// The right to make a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a store makes it")]
pub struct Lease {
    /// As in [`Store::id`].
    pub id: String,
    /// Higher than that of every lease before.
    pub fence: u64,
}

/// An issuer whose tokens are shared through a [`Store`].
///
/// A server that finds a newer token in the store takes it. Else one server makes the request, and the others wait for its token,
/// for two seconds at most. What the issuer refused, or asked to wait for, is told to all; that it cannot be reached is not, as
/// that may be one server's own trouble.
pub struct SharedIssuer<I, S> {
    issuer: I,
    store: S,
    clock: Arc<dyn Clock>,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    /// The newest token of each kind and credential that came through here.
    newest: HashMap<String, Newest>,
    refused: VecDeque<Fingerprint>,
}

/// Of a token that has come through here.
struct Newest {
    fence: u64,
    /// By the boot clock.
    expires_at: Duration,
}

impl<I: Issue, S: Store> SharedIssuer<I, S> {
    /// Puts a store in front of an issuer.
    pub fn new(issuer: I, store: S) -> Self {
        Self { issuer, store, clock: Arc::new(SystemClock), memory: Mutex::default() }
    }

    /// Uses another clock than the system's.
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    /// Makes the request, and shares its result.
    async fn request(&self, key: &TokenKey, lease: &Lease, began: Instant) -> Result<Issued, TokenError> {
        // Another server may have published, or failed, between the look and the lease.
        let failures = match self.look(key, began).await {
            Look::Answer(answer) => {
                self.store.release(lease, None).await;
                return answer;
            }
            Look::Request { failures, .. } => failures.saturating_add(1),
        };
        let sent_at = self.clock.now();
        let result = tokio::select! {
            biased;
            result = self.issuer.issue(key) => result,
            never = self.keep(lease) => match never {},
        };
        match &result {
            Ok(issued) => {
                self.remember(lease.id.clone(), lease.fence, issued.expires_in);
                self.store.publish(key, lease, issued, sent_at).await;
            }
            Err(error) => self.store.release(lease, noted(error, failures)).await,
        }
        result
    }

    /// Renews a lease until it is lost, or long enough.
    async fn keep(&self, lease: &Lease) -> Infallible {
        for _ in 0..RENEWALS {
            sleep(RENEW_AFTER).await;
            if !self.store.renew(lease).await {
                break;
            }
        }
        // The request goes on: its token is good. Whether it may be published is for the store to say.
        std::future::pending().await
    }

    /// Looks at what is stored, and decides what to do about it.
    async fn look(&self, key: &TokenKey, began: Instant) -> Look {
        let waited = began.elapsed();
        let Stored { token, failure } = self.store.load(key).await;
        let token = match token {
            Some(token) if self.may_be_used(key, &token).await => Some(token),
            _ => None,
        };
        match token {
            // After a restart one that is due is better than none; the cache soon asks for its successor.
            Some(token) if !is_due(&token) || self.is_new(key, &token) => {
                Look::Answer(Ok(self.take(key, token, waited)))
            }
            due => match failure {
                Some(failure) if !failure.wait.is_zero() => Look::Answer(Err(failure.into_error())),
                failure => Look::Request { due, failures: failure.map_or(0, |failure| failure.failures) },
            },
        }
    }

    /// Returns whether a token has not come through here.
    fn is_new(&self, key: &TokenKey, token: &StoredToken) -> bool {
        self.memory().newest.get(&self.store.id(key)).is_none_or(|newest| newest.fence < token.fence)
    }

    /// Not if it has almost expired, is older than one seen here (somebody put an old record back), or a service refused it.
    async fn may_be_used(&self, key: &TokenKey, token: &StoredToken) -> bool {
        let (fingerprint, id) = (token.issued.fingerprint(), self.store.id(key));
        {
            let memory = self.memory();
            if memory.newest.get(&id).is_some_and(|newest| token.fence < newest.fence) {
                self.store.replayed(key);
                return false;
            }
            if memory.refused.contains(&fingerprint) || token.issued.expires_in <= EXPIRY_MARGIN + ON_THE_WAY
            {
                return false;
            }
        }
        !self.store.is_reported(fingerprint).await
    }

    /// Hands a token out of the store to the cache, which asked for it so long before it was read, and counts from then.
    fn take(&self, key: &TokenKey, token: StoredToken, waited: Duration) -> Issued {
        let StoredToken { fence, mut issued, .. } = token;
        self.remember(self.store.id(key), fence, issued.expires_in);
        issued.expires_in += waited;
        issued.marked_as_cached()
    }

    fn remember(&self, id: String, fence: u64, expires_in: Duration) {
        let now = self.clock.now().boot;
        let mut memory = self.memory();
        // What is older than an expired token has expired, too.
        memory.newest.retain(|_, newest| newest.expires_at > now);
        let expires_at = now.saturating_add(expires_in);
        let newest = memory.newest.entry(id).or_insert(Newest { fence, expires_at });
        *newest = Newest { fence: newest.fence.max(fence), expires_at: newest.expires_at.max(expires_at) };
        let first =
            memory.newest.iter().min_by_key(|(_, newest)| newest.expires_at).map(|(key, _)| key.clone());
        if let Some(first) = first.filter(|_| memory.newest.len() > MAX_NEWEST) {
            memory.newest.remove(&first);
        }
    }

    /// Held for moments, and by refreshers alone.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a look at the store comes to.
enum Look {
    /// The store has the answer.
    Answer(Result<Issued, TokenError>),
    /// A request is to be made: what is there is due, and so many have failed before.
    Request { due: Option<StoredToken>, failures: u32 },
}

/// Returns whether a token's successor is to be requested, as for one that is held.
fn is_due(token: &StoredToken) -> bool {
    let due_after = schedule::refresh_after(token.lifetime, 0.5);
    token.issued.expires_in <= token.lifetime.saturating_sub(due_after)
}

/// Returns what other servers are told of a failure: what the issuer itself said of the credential and the load. That it
/// cannot be reached may be one server's own trouble, and must not become the others'.
fn noted(error: &TokenError, failures: u32) -> Option<NotedFailure> {
    let kind = error.kind();
    let is_the_issuers = matches!(
        kind,
        TokenErrorKind::Rejected { code: Some(_), .. }
            | TokenErrorKind::Throttled
            | TokenErrorKind::Unavailable { .. }
    );
    let wait = schedule::retry_after(error, failures, 0.0);
    is_the_issuers.then_some(NotedFailure { kind, failures, wait })
}

impl NotedFailure {
    fn into_error(self) -> TokenError {
        let message = "an earlier request with this credential failed, as noted in the store; \
                       the log of the server that made it says why";
        TokenError::new(self.kind, message).with_retry_after(Some(self.wait))
    }
}

impl<I: Issue, S: Store> Issue for SharedIssuer<I, S> {
    /// Returns a token out of the store, or the result of a request: this server's, or another's.
    async fn issue(&self, key: &TokenKey) -> Result<Issued, TokenError> {
        let (began, mut pause) = (Instant::now(), FIRST_LOOK);
        loop {
            let due = match self.look(key, began).await {
                Look::Answer(answer) => return answer,
                Look::Request { due, .. } => due,
            };
            match (self.store.lease(key).await, due) {
                (Leased::Won(lease), _) => return self.request(key, &lease, began).await,
                // The cache goes on with what it has, and asks again: not for so long that callers get less than they may expect.
                (Leased::Lost, Some(due)) if due.issued.expires_in > due.lifetime / 4 => {
                    return Ok(self.take(key, due, Duration::ZERO));
                }
                (Leased::Lost, _) if began.elapsed() < WAIT => {}
                (Leased::Lost | Leased::Away, _) => return self.issuer.issue(key).await,
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(LAST_LOOK);
        }
    }

    async fn report(&self, token: &AccessToken) {
        let refused = token.fingerprint();
        {
            let mut memory = self.memory();
            memory.refused.push_front(refused);
            memory.refused.truncate(MAX_REFUSED);
        }
        // Each server that learns of it reports it here as well. The store tells the others once.
        if !self.store.is_reported(refused).await {
            self.store.report(refused).await;
        }
        self.issuer.report(token).await;
    }
}

impl<I, S> fmt::Debug for SharedIssuer<I, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedIssuer")
    }
}

#[cfg(test)]
mod tests;
