//! Tokens whose signature has been checked: until they expire, a look here takes the place of that work.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use aws_lc_rs::digest::{SHA256, digest};
use token_provider::Moment;

use super::key_set::KeyId;

/// A lock each, so that a token being written down holds up few that are looked up.
const SHARDS: usize = 16;
/// 16,384 tokens in all, or some 3 MB: more callers than one server has in the hour that tokens live.
const SHARD_SIZE: usize = 1024;

/// SHA-256 of a token: the token itself is not kept.
pub(super) type TokenHash = [u8; 32];

/// Verified tokens, by hash; a bounded number. Locks are held for a look or a note, never while a signature is checked.
#[derive(Debug)]
pub(super) struct Memory {
    shards: [RwLock<HashMap<TokenHash, Remembered>>; SHARDS],
}

/// What a verified token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remembered {
    pub(super) subject: Arc<str>,
    /// The key that signed it. It counts only while the identity provider has that key.
    pub(super) key: KeyId,
    /// A required claim that it does not have: it is genuine, but lets nobody in.
    pub(super) missing: Option<Arc<str>>,
    pub(super) until: Moment,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self { shards: std::array::from_fn(|_| RwLock::default()) }
    }

    pub(super) fn recall(&self, hash: &TokenHash, now: Moment) -> Option<Remembered> {
        let known = self.read(hash).get(hash).cloned()?;
        (!known.until.left_at(now).is_zero()).then_some(known)
    }

    pub(super) fn remember(&self, hash: TokenHash, token: Remembered, now: Moment) {
        let mut shard = self.write(&hash);
        if shard.len() >= SHARD_SIZE {
            shard.retain(|_, known| !known.until.left_at(now).is_zero());
        }
        if shard.len() >= SHARD_SIZE {
            // The one that would be of use for the shortest time; its caller only has to be looked at again.
            let soonest = shard.iter().min_by_key(|(_, known)| known.until.left_at(now));
            if let Some(soonest) = soonest.map(|(hash, _)| *hash) {
                shard.remove(&soonest);
            }
        }
        shard.insert(hash, token);
    }

    pub(super) fn forget(&self, hash: &TokenHash) {
        self.write(hash).remove(hash);
    }

    fn shard(&self, hash: &TokenHash) -> &RwLock<HashMap<TokenHash, Remembered>> {
        let [first, ..] = hash;
        let [shard, ..] = &self.shards;
        self.shards.get(usize::from(*first) % SHARDS).unwrap_or(shard)
    }

    fn read(&self, hash: &TokenHash) -> RwLockReadGuard<'_, HashMap<TokenHash, Remembered>> {
        self.shard(hash).read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, hash: &TokenHash) -> RwLockWriteGuard<'_, HashMap<TokenHash, Remembered>> {
        self.shard(hash).write().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn hash(token: &[u8]) -> TokenHash {
    let mut hash = TokenHash::default();
    hash.copy_from_slice(digest(&SHA256, token).as_ref());
    hash
}
