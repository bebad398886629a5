//! The app that the access key belongs to: its settings, as HERE's portal has them, and what may be wrong with it.

use serde::{Deserialize, Serialize};

use crate::grant::Grant;
use crate::problem::Refusal;
use crate::scope;

/// The longest lifetime of a token, in seconds, as HERE documents it.
const DAY: u32 = 86_400;

/// The settings of the app. The default ones restrict nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct App {
    /// The longest lifetime, and the one of tokens for which none is requested (`tokenDuration`); a day at most, and if it is 0 or not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_duration_s: Option<u32>,
    /// The scope of tokens for which none is requested (`defaultScope`). The answer names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_scope: Option<String>,
    /// Refuses every scope but the default one (`isRestrictedScope`).
    pub restricted_scope: bool,
    /// Refuses tokens that are for no project (`alwaysProjectScope`).
    pub always_project_scope: bool,
    /// Refuses requests that are signed well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<AppRefusal>,
}

/// Why an app, or its key, gets no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AppRefusal {
    /// The access key is disabled (401424).
    KeyDisabled,
    /// The app is not active (401311).
    AppInactive,
    /// The app is gone (404660).
    AppUnknown,
    /// The app is not a member of the project in the scope (403109).
    NotAMember,
}

impl App {
    /// Decides what a request gets of what it asks for: seconds, and a scope.
    pub(crate) fn grant(&self, requested: Grant) -> Result<(u64, Option<String>), Refusal> {
        let longest = self.token_duration_s.filter(|seconds| *seconds > 0).unwrap_or(DAY).min(DAY).into();
        let lifetime = requested.lifetime.unwrap_or(longest).min(longest);
        let is_other = requested.scope.is_some() && requested.scope != self.default_scope;
        let scope = requested.scope.or_else(|| self.default_scope.clone());
        let has_project = scope.as_deref().is_some_and(scope::is_project);
        match self.refusal {
            Some(AppRefusal::KeyDisabled) => Err(Refusal::KEY_DISABLED),
            Some(AppRefusal::AppInactive) => Err(Refusal::APP_INACTIVE),
            Some(AppRefusal::AppUnknown) => Err(Refusal::APP_UNKNOWN),
            Some(AppRefusal::NotAMember) if has_project => Err(Refusal::NOT_A_MEMBER),
            _ if self.restricted_scope && is_other || self.always_project_scope && !has_project => {
                // HERE documents no number for either.
                Err(Refusal::fields_invalid(vec![("scope", Refusal::SCOPE)]))
            }
            _ => Ok((lifetime, scope)),
        }
    }
}
