//! Access keys of this server, for HERE's own SDKs: they sign each request with a secret (RFC 5849), which this server has to
//! know as well. A key is worth nothing at HERE.
//!
//! Timestamp, id, signature and nonce are judged in this order. A nonce is reserved before the token is requested, and noted
//! once there is one: of two requests with the same signature at most one gets a token, and one that failed can be repeated,
//! as HERE's Java SDK does.

mod header;
mod nonces;

use std::borrow::Cow;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use secrecy::{ExposeSecret as _, SecretString};
use token_provider::{Moment, verify};
use url::form_urlencoded;

use super::caller::Caller;
use super::policy::Way;
use crate::config::{HereKeyConfig, PublicHost};
use crate::problem::Problem;
use crate::reason::Method;

use self::nonces::{Nonces, WINDOW};

pub(crate) use self::header::{Signature, is_signed};
pub(crate) use self::nonces::Nonce;

type Parameters<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

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
    /// As it was sent.
    pub(crate) query: &'a str,
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

/// Returns whose key the request was signed with, and its nonce, reserved. `None` for a key that is not of this server.
pub(super) fn authenticate<'k>(
    keys: &'k [Way<Arc<HereKey>>],
    signature: &Signature,
    request: &SignedRequest<'_>,
    now: Moment,
) -> Result<Option<(Caller<'k>, Nonce)>, Problem> {
    if signature.timestamp.abs_diff(now.wall.as_secs()) > WINDOW {
        let reason = "the timestamp differs from this server's clock by more than 300 seconds";
        return Err(Problem::rejected_signature(401_204, reason));
    }
    let Some(Way { config: key, policy }) = find(keys, &signature.key_id) else { return Ok(None) };
    let secret = key.secret.load();
    if !secret.as_ref().is_some_and(|secret| request.is_signed(signature, secret)) {
        let reason = "the signature is wrong: another secret, URL or form was signed";
        return Err(Problem::rejected_signature(401_300, reason));
    }
    let nonce = key.nonces.reserve(signature, now)?;
    Ok(Some((Caller::new(Method::HereKey, Some(Arc::clone(&key.id)), policy), nonce)))
}

impl SignedRequest<'_> {
    /// Returns whether the request was signed with this secret, as any of HERE's SDKs signs: with one of up to 12 base strings.
    fn is_signed(&self, signature: &Signature, secret: &SecretString) -> bool {
        let origins = self.origins();
        let form: Vec<_> = form_urlencoded::parse(self.form).collect();
        self.readings().into_iter().any(|(kept, parameters)| {
            let urls: Vec<_> = origins.iter().map(|origin| format!("{origin}/oauth2/token{kept}")).collect();
            let header = signature.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let others = parameters.iter().chain(&form).map(|(name, value)| (&**name, &**value));
            let parameters: Vec<_> = header.chain(others).collect();
            verify("POST", &urls, &parameters, &signature.value, secret)
        })
    }

    /// Returns how the client may have begun the URL. What stands before this server may have ended TLS, and not every client
    /// signs the default port just when it sends that.
    fn origins(&self) -> Vec<String> {
        let host = self.host;
        let has_port = PublicHost::parse(host).is_some_and(|host| host.port.is_some());
        let mut origins = Vec::new();
        for (scheme, port) in [("https://", ":443"), ("http://", ":80")] {
            origins.push(format!("{scheme}{host}"));
            if !has_port {
                origins.push(format!("{scheme}{host}{port}"));
            } else if let Some(name) = host.strip_suffix(port) {
                origins.push(format!("{scheme}{name}"));
            }
        }
        origins
    }

    /// Returns what the client may have made of the query: the part that it left in the base URL, and the parameters that it
    /// signed as such. RFC 5849 and the Java SDK take all as parameters; the C++ SDK leaves all in the URL; the TypeScript SDK
    /// leaves what was in its URL, and signs the `sentWith` that it adds.
    fn readings(&self) -> Vec<(String, Parameters<'_>)> {
        let mut readings = vec![(String::new(), form_urlencoded::parse(self.query.as_bytes()).collect())];
        if !self.query.is_empty() {
            readings.push((format!("?{}", self.query), Vec::new()));
            let is_added = |part: &&str| part.starts_with("sentWith=");
            let (added, rest): (Vec<&str>, Vec<&str>) = self.query.split('&').partition(is_added);
            if let ([added], [_, ..]) = (added.as_slice(), rest.as_slice()) {
                let rest = format!("?{}", rest.join("&"));
                readings.push((rest, form_urlencoded::parse(added.as_bytes()).collect()));
            }
        }
        readings
    }
}

#[cfg(test)]
mod tests;
