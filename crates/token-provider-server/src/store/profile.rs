//! The store as the profile of an issuer at HERE sees it: with names for its kinds of token that nobody else's credential leads to.

use std::sync::Arc;
use std::time::Duration;

use token_provider::{
    Credential, Fingerprint, Issued, Lease, Leased, Moment, NotedFailure, Scope, Store, Stored, StoredToken,
    TokenErrorKind, TokenKey,
};

use super::seal::Content;
use super::{Engine, MARGIN, MAX_UNSENT, TokenStore};
use crate::reason::Flaw;
use crate::telemetry::MeteredIssuer;

/// How long a failure counts, as in the cache.
const FAILURE_LIFE: Duration = Duration::from_secs(5 * 60);
/// The longest `Retry-After` that is honoured.
const MAX_WAIT: Duration = Duration::from_secs(5 * 60);
pub(super) const REPORT_LIFE: Duration = Duration::from_secs(3600);

/// The store of a profile.
#[derive(Debug)]
pub struct ProfileStore {
    /// The server's.
    pub store: Arc<TokenStore>,
    /// What requests the profile's tokens.
    pub issuer: Arc<MeteredIssuer>,
}

impl ProfileStore {
    fn credential(&self) -> Arc<Credential> {
        self.issuer.credential().expect("another token provider's tokens are in its own store")
    }
}

fn token_name(kind: &str) -> String {
    format!("tp1:{{{kind}}}:t")
}

fn failure_name(kind: &str) -> String {
    format!("tp1:{{{kind}}}:f")
}

impl Store for ProfileStore {
    fn id(&self, key: &TokenKey) -> String {
        self.store.keys.load().kind(&self.credential(), key)
    }

    async fn load(&self, key: &TokenKey) -> Stored {
        let (kind, store) = (self.id(key), &self.store);
        let names = [token_name(&kind), failure_name(&kind)];
        let [token, failure] = store.read([&names[0], &names[1]]).await;
        let token = token.and_then(|(sealed, kept_for)| {
            store.open(&names[0], &sealed, |fence, record, age| {
                let Content::Token(text, scope) = record.content else { return Err(Flaw::Malformed) };
                let scope = scope.map(Scope::new).transpose().map_err(|_| Flaw::Malformed)?;
                let left = record.life.saturating_sub(age).min(kept_for.saturating_add(MARGIN));
                let issued = Issued::new(text, left).with_scope(scope);
                Ok(StoredToken { fence, lifetime: record.life, issued })
            })
        });
        let known = token.as_ref().map_or(0, |token| token.fence);
        let failure = failure.and_then(|(sealed, _)| {
            store.open(&names[1], &sealed, |fence, record, age| {
                let Content::Failure(status, code, failures, wait) = record.content else {
                    return Err(Flaw::Malformed);
                };
                let (kind, wait) = (kind_of(status, code), wait.saturating_sub(age));
                // A token that came after it has ended it.
                Ok((fence > known).then_some(NotedFailure { kind, failures, wait }))
            })
        });
        Stored { token, failure: failure.flatten() }
    }

    async fn lease(&self, key: &TokenKey) -> Leased {
        let (kind, store) = (self.id(key), &self.store);
        let fence = match &store.engine {
            // One process uses it: there is nobody to wait for.
            Engine::Folder(folder) => Some(Some(folder.draw(store.clock.now().wall))),
            #[cfg(feature = "store")]
            Engine::Valkey(valkey) => store.attempt(valkey.lease(&kind)).await,
        };
        match fence {
            Some(Some(fence)) => Leased::Won(Lease { id: kind, fence }),
            Some(None) => Leased::Lost,
            None => Leased::Away,
        }
    }

    async fn renew(&self, lease: &Lease) -> bool {
        // Where the store does not answer in time, the next attempt may come before the lease ends.
        self.store.with_lease("renew", lease, None).await.unwrap_or(true)
    }

    async fn publish(&self, key: &TokenKey, lease: &Lease, issued: &Issued, sent_at: Moment) {
        let store = &self.store;
        // After a rotation it is the old credential's token.
        if self.id(key) != lease.id {
            return self.release(lease, None).await;
        }
        let name = token_name(&lease.id);
        let record = store.seal(&name, lease.fence, sent_at, (issued.expires_in(), Content::of(issued)));
        let age = store.clock.now().boot.saturating_sub(sent_at.boot);
        let life = issued.expires_in().saturating_sub(age + MARGIN);
        store.with_lease("publish", lease, Some((name, &record, life))).await;
    }

    async fn release(&self, lease: &Lease, failure: Option<NotedFailure>) {
        let (store, name) = (&self.store, failure_name(&lease.id));
        let sealed = failure.and_then(|failure| {
            let (status, code) = match failure.kind {
                TokenErrorKind::Rejected { status, code } => (status, code),
                TokenErrorKind::Unavailable { status } => (status, None),
                TokenErrorKind::Throttled => (429, None),
                _ => return None,
            };
            let content = Content::Failure(status, code, failure.failures, failure.wait.min(MAX_WAIT));
            Some(store.seal(&name, lease.fence, store.clock.now(), (FAILURE_LIFE, content)))
        });
        let record = sealed.as_deref().map(|sealed| (name, sealed, FAILURE_LIFE));
        store.with_lease("release", lease, record).await;
    }

    async fn report(&self, token: Fingerprint) {
        self.store.report(token).await;
    }

    async fn is_reported(&self, token: Fingerprint) -> bool {
        self.store.is_reported(token).await
    }

    fn replayed(&self, key: &TokenKey) {
        self.store.reject(&token_name(&self.id(key)), Flaw::Replayed);
    }
}

impl TokenStore {
    /// Notes that a token was refused. While the store is away, that is done once it is back.
    pub(super) async fn report(self: &Arc<Self>, token: Fingerprint) {
        let name = self.report_name(token);
        let sealed = self.seal(&name, 0, self.clock.now(), (REPORT_LIFE, Content::Report));
        let stored: Option<()> = match &self.engine {
            Engine::Folder(folder) => return self.keep(folder, name, &sealed, REPORT_LIFE).await,
            #[cfg(feature = "store")]
            Engine::Valkey(valkey) => self.attempt(valkey.announce(&name, &sealed, REPORT_LIFE)).await,
        };
        let mut unsent = self.unsent.lock();
        if stored.is_none() && unsent.len() < MAX_UNSENT {
            unsent.push(token);
        }
    }

    fn report_name(&self, token: Fingerprint) -> String {
        format!("tp1:{{{}}}:x", self.keys.load().report(token))
    }

    pub(super) async fn is_reported(self: &Arc<Self>, token: Fingerprint) -> bool {
        let name = self.report_name(token);
        let [found] = self.read([&name]).await;
        found.is_some_and(|(sealed, _)| self.open(&name, &sealed, |_, _, _| Ok(())).is_some())
    }
}

/// Returns what a failed request is called in the library.
fn kind_of(status: u16, code: Option<u32>) -> TokenErrorKind {
    match status {
        429 => TokenErrorKind::Throttled,
        408 | 500.. => TokenErrorKind::Unavailable { status },
        _ => TokenErrorKind::Rejected { status, code },
    }
}
