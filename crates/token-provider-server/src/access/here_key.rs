//! Access keys of this server, for HERE's own SDKs: they sign each request with a secret (RFC 5849), which this server has to
//! know as well. A key is worth nothing at HERE.
//!
//! Timestamp, id, signature and nonce are judged in this order. A nonce is reserved before the token is requested, and noted
//! once there is one: of two requests with the same signature at most one gets a token, and one that failed can be repeated,
//! as HERE's Java SDK does.

mod header;
mod nonces;

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use secrecy::{ExposeSecret as _, SecretString};
use token_provider::{Moment, verify};
use url::form_urlencoded;

use super::caller::Caller;
use super::policy::Way;
use crate::config::HereKeyConfig;
use crate::problem::Problem;
use crate::reason::Method;

use self::nonces::Nonces;

pub(crate) use self::header::{Signature, is_signed};
pub(crate) use self::nonces::Nonce;

/// All that a signed request has to say fits in here. Of strangers, who know an id, more would take long to hash.
const MAX_SIGNED: usize = 2048;

/// An access key, which outlives a reload that keeps it.
#[derive(Debug)]
pub(super) struct HereKey {
    id: Arc<str>,
    /// `None` until its file could be read: nobody can sign with it.
    secret: ArcSwapOption<SecretString>,
    nonces: Arc<Nonces>,
}

/// What a signature covers beside the header that it is in.
pub(crate) struct SignedRequest<'a> {
    /// As `Host` or `:authority` has it.
    pub(crate) host: &'a str,
    /// Path and query, as they were sent.
    pub(crate) target: &'a str,
    /// The body, if it is a form. One in JSON is not signed.
    pub(crate) form: &'a [u8],
}

/// Makes the keys of a configuration; those that were in force keep their secrets and nonces.
pub(super) fn start(configs: &[HereKeyConfig], previous: &[Way<Arc<HereKey>>]) -> Vec<Way<Arc<HereKey>>> {
    let key = |id: &str| match find(previous, id) {
        Some(kept) => Arc::clone(&kept.config),
        None => Arc::new(HereKey { id: id.into(), secret: ArcSwapOption::empty(), nonces: Arc::default() }),
    };
    configs.iter().map(|config| Way::new(key(&config.id), &config.policy)).collect()
}

/// Returns the key with this id.
pub(super) fn find<'k>(keys: &'k [Way<Arc<HereKey>>], id: &str) -> Option<&'k Way<Arc<HereKey>>> {
    keys.iter().find(|key| *key.config.id == *id)
}

impl HereKey {
    /// Has signatures be verified with this secret from now on. Returns whether it is another one than before.
    pub(super) fn set_secret(&self, secret: SecretString) -> bool {
        let secret = Arc::new(secret);
        let before = self.secret.swap(Some(Arc::clone(&secret)));
        before.is_none_or(|before| {
            let (before, secret) = (before.expose_secret().as_bytes(), secret.expose_secret().as_bytes());
            verify_slices_are_equal(before, secret).is_err()
        })
    }
}

/// Returns whose key the request was signed with, and where its nonce is to be reserved. `None` for a key that is not of this
/// server.
pub(super) fn authenticate<'k>(
    keys: &'k [Way<Arc<HereKey>>],
    signature: &Signature,
    request: &SignedRequest<'_>,
    now: Moment,
) -> Result<Option<(Caller<'k>, &'k Arc<Nonces>)>, Problem> {
    if !signature.is_timely(now) {
        let reason = "the timestamp differs from this server's clock by more than 300 seconds";
        return Err(Problem::rejected_signature(401_204, reason));
    }
    let Some(Way { config: key, policy }) = find(keys, &signature.key_id) else { return Ok(None) };
    let caller = Caller::new(Method::HereKey, Some(Arc::clone(&key.id)), policy);
    let refused = |problem: Problem| Err(problem.with_subject(caller.subject()));
    if request.target.len() + request.form.len() > MAX_SIGNED {
        return refused(Problem::invalid_request("a signed request has at most 2 KiB of query and form"));
    }
    let secret = key.secret.load();
    if !secret.as_ref().is_some_and(|secret| request.is_signed(signature, secret)) {
        let reason = "the signature is wrong: it was made with another secret, URL or form";
        return refused(Problem::rejected_signature(401_300, reason));
    }
    Ok(Some((caller, &key.nonces)))
}

impl SignedRequest<'_> {
    /// Returns whether the request was signed with this secret, as any of HERE's SDKs signs: with one of up to 12 base strings.
    fn is_signed(&self, signature: &Signature, secret: &SecretString) -> bool {
        self.readings().into_iter().any(|(target, query)| {
            let urls: Vec<_> = self.origins().iter().map(|origin| format!("{origin}{target}")).collect();
            let others = form_urlencoded::parse(query.as_bytes()).chain(form_urlencoded::parse(self.form));
            let others: Vec<_> = others.collect();
            let header = signature.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let parameters = header.chain(others.iter().map(|(name, value)| (&**name, &**value)));
            verify("POST", &urls, &parameters.collect::<Vec<_>>(), &signature.value, secret)
        })
    }

    /// Returns how the client may have begun the URL. What stands before this server may have ended TLS, and not every client
    /// signs the default port just when it sends that.
    fn origins(&self) -> Vec<String> {
        let both = [("https", ":443"), ("http", ":80")].map(|(scheme, port)| {
            let name = self.host.strip_suffix(port).unwrap_or(self.host);
            [format!("{scheme}://{name}"), format!("{scheme}://{name}{port}")]
        });
        both.concat()
    }

    /// Returns what the client may have made of the query: the URL that it signed, and the parameters that it signed as such.
    /// RFC 5849 and the Java SDK take all as parameters; the C++ SDK leaves all in the URL; the TypeScript SDK leaves what was
    /// in its URL, and signs the `sentWith` that it adds.
    fn readings(&self) -> Vec<(&str, &str)> {
        let Some(split) = self.target.split_once('?') else { return vec![(self.target, "")] };
        let added = self.target.rsplit_once('&').filter(|(_, last)| last.starts_with("sentWith="));
        [split, (self.target, "")].into_iter().chain(added).collect()
    }
}

#[cfg(test)]
mod tests;
