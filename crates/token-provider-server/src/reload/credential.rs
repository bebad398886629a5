//! Rotation of one profile's credential: the new one is tried at HERE before it is used.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use token_provider::{Clock as _, CredentialSource, HereIssuer, Moment, Scope, SystemClock, TokenKey};

use super::stamp::Watched;
use crate::access::Handout;

/// When HERE could not be asked about a new credential, or did not take it (a new access key may need a moment to be
/// known everywhere), it is asked again after this time.
const TRY_AGAIN: Duration = Duration::from_secs(30);

/// Looks after one profile's credential.
#[derive(Debug)]
pub struct Rotation {
    profile: String,
    source: CredentialSource,
    scope: Option<Scope>,
    issuer: Arc<HereIssuer>,
    file: Option<Watched>,
    /// A new credential has not been taken into use yet: when to try it again.
    pending: Option<Moment>,
}

impl Rotation {
    /// Takes the source that the issuer's credential was read from; `scope` is the configuration's, which beats the
    /// file's.
    pub fn new(
        profile: &str,
        source: CredentialSource,
        scope: Option<Scope>,
        issuer: Arc<HereIssuer>,
    ) -> Self {
        let file = source.path().map(|path| Watched::new(path.to_owned()));
        Self { profile: profile.to_owned(), source, scope, issuer, file, pending: None }
    }

    /// Returns the file that is watched, if the credential is in one.
    pub fn file(&self) -> Option<&Path> {
        self.source.path()
    }

    /// Takes a new credential into use, if there is one and HERE accepts it. Tokens already held go on being handed
    /// out.
    pub async fn look(&mut self, is_asked_to: bool, handout: &Handout) {
        let has_changed = match &mut self.file {
            Some(file) => file.has_changed().await,
            None => false,
        };
        let is_time = self.pending.is_some_and(|at| at.left_at(SystemClock.now()).is_zero());
        if has_changed || is_asked_to || is_time {
            self.pending = None;
            self.rotate(handout).await;
        }
    }

    async fn rotate(&mut self, handout: &Handout) {
        let profile = self.profile.as_str();
        let credential = match self.source.load() {
            Ok(credential) => credential,
            Err(error) => {
                tracing::error!(profile, %error, "the changed credential is not used; the old one stays in use");
                return;
            }
        };
        let credential = match &self.scope {
            Some(scope) => credential.with_scope(Some(scope.clone())),
            None => credential,
        };
        if credential.is_same(&self.issuer.credential()) {
            return;
        }
        match self.issuer.rotate(credential, &TokenKey::default()).await {
            Ok(_) => {
                tracing::info!(profile, credential.source = %self.source, "credential rotated: HERE accepts the new one");
                handout.credential_changed(profile);
            }
            Err(error) => {
                tracing::error!(
                    profile,
                    %error,
                    cause = error.causes(),
                    retry_in = TRY_AGAIN.as_secs(),
                    "HERE did not accept the changed credential; the old one stays in use"
                );
                self.pending = Some(SystemClock.now().after(TRY_AGAIN));
            }
        }
    }
}
