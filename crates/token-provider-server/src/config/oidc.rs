//! The identity providers whose tokens let callers in (section `access.oidc`).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::policy::{Known, PolicyConfig, RuleConfig};
use super::rules;
use crate::settings::{List, Section};
use crate::values::claim::claim_pointer;
use crate::values::duration::duration;
use crate::values::host::service_url;
use crate::values::{NameTemplate, Pattern};

/// By how much the clocks of this machine and the identity provider may differ. Machines that keep time by NTP differ by
/// less than a second, and a minute covers one that lost it for a while.
const LEEWAY: Duration = Duration::from_secs(60);
/// RFC 7519 §4.1.4: "no more than a few minutes".
const MAX_LEEWAY: Duration = Duration::from_secs(5 * 60);

/// An `OpenID` Connect provider whose tokens are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcConfig {
    /// What metrics and messages call it: the issuer, with `#2` for the second entry with the same one, and so on.
    pub name: String,
    /// The issuer, and where its keys are.
    pub keys: KeySource,
    /// A token must be meant for one of these.
    pub audience: Vec<String>,
    /// Claims that a token must have, each with one of the values.
    pub require: BTreeMap<String, Vec<String>>,
    /// By how much its clock may differ from ours.
    pub leeway: Duration,
    /// What such a caller may have.
    pub policy: PolicyConfig,
}

/// An issuer, and where its keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySource {
    /// Exactly as written: the claim `iss` is compared with it letter by letter, final slash and all.
    pub issuer: String,
    /// The file that they are in. Without it there is a URL.
    pub file: Option<PathBuf>,
    /// The URL that they are at, or the document that says where.
    pub url: Option<Url>,
    /// Whether at the URL the provider describes itself (`OpenID` Connect Discovery 1.0 §4).
    pub is_discovery: bool,
    /// File with a bearer token for the URL. Not with discovery.
    pub token_file: Option<PathBuf>,
    /// PEM file with certificate authorities that are trusted there, besides the system's.
    pub ca: Option<PathBuf>,
}

impl KeySource {
    /// Returns the files that it names.
    pub(crate) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.file, &self.token_file, &self.ca].into_iter().flatten()
    }
}

/// Reads the providers, in their order.
pub(super) fn read(section: &mut Section<'_>, known: &Known<'_>) -> Vec<OidcConfig> {
    let mut providers: Vec<OidcConfig> = Vec::new();
    for section in section.table_or_tables("oidc") {
        let Some(mut provider) = read_one(section, known) else { continue };
        let earlier = providers.iter().filter(|other| other.keys.issuer == provider.name).count();
        if earlier > 0 {
            provider.name = format!("{}#{}", provider.name, earlier + 1);
        }
        providers.push(provider);
    }
    providers
}

fn read_one(mut section: Section<'_>, known: &Known<'_>) -> Option<OidcConfig> {
    let keys = read_keys(&mut section);
    let audience = section.list("audience", List::NotEmpty, filled);
    section.need(&[("issuer", "the identity provider's URL"), ("audience", "the `aud` of its tokens")]);
    let mut claims = section.table_or_empty("require");
    let mut require = BTreeMap::new();
    for claim in claims.names() {
        let values = claims.list(&claim, List::NotEmpty, filled).unwrap_or_default();
        if claim.starts_with('/') {
            claims.error(
                &claim,
                "expected a claim's name: one inside another can be in the `claims` of a rule alone",
            );
        }
        require.insert(claim, values);
    }
    let leeway = section.text_or_number("leeway", leeway).unwrap_or(LEEWAY);
    let mut policy = rules::read(&mut section, known, read_rule);
    policy.path = section.dotted().into();
    let keys = keys?;
    Some(OidcConfig { name: keys.issuer.clone(), keys, audience: audience?, require, leeway, policy })
}

/// Reads the claims that a rule is about, and the name that it gives.
fn read_rule(rule: &mut Section<'_>) -> RuleConfig {
    let (name, mut claims) = (rule.text("name", NameTemplate::parse), Vec::new());
    let mut table = rule.table_or_empty("claims");
    let names = table.names();
    if names.is_empty() {
        rule.error("claims", "expected a table with one claim at least, and its value");
    }
    for claim in names {
        let pattern = table.text(&claim, Pattern::parse);
        match claim_pointer(&claim) {
            Ok(pointer) => claims.extend(pattern.map(|pattern| (pointer, vec![pattern]))),
            Err(message) => table.error(&claim, message),
        }
    }
    RuleConfig { claims, name }
}

fn read_keys(section: &mut Section<'_>) -> Option<KeySource> {
    let (file, url) = (section.path("jwks_file"), section.text("jwks_url", service_url));
    let (token_file, ca) = (section.path("jwks_token_file"), section.path("ca"));
    let (has_file, has_url) = (section.is_set("jwks_file"), section.is_set("jwks_url"));
    for (key, is_wrong, message) in [
        ("jwks_file", has_url, "cannot be combined with jwks_url: only one of them can have the keys"),
        ("jwks_token_file", !has_url, "requires jwks_url: the token is sent there alone"),
        ("ca", has_file, "cannot be combined with jwks_file: nothing is requested"),
    ] {
        if is_wrong && section.is_set(key) {
            section.error(key, message);
        }
    }
    let is_discovery = !has_file && !has_url;
    // Else it is a name, and not asked for anything (RFC 7519 §2, `StringOrURI`).
    let name = |text: &str| Ok::<_, &'static str>((filled(text)?, None));
    let issuer = if is_discovery { section.text("issuer", issuer) } else { section.text("issuer", name) };
    let (issuer, discovery) = issuer?;
    Some(KeySource { issuer, file, url: url.or(discovery), is_discovery, token_file, ca })
}

fn issuer(text: &str) -> Result<(String, Option<Url>), &'static str> {
    service_url(text)?;
    // The issuer is cut at its final slash for this and for nothing else (Discovery 1.0 §4.1).
    let discovery = format!("{}/.well-known/openid-configuration", text.strip_suffix('/').unwrap_or(text));
    Ok((text.to_owned(), Some(service_url(&discovery)?)))
}

fn filled(text: &str) -> Result<String, &'static str> {
    if text.is_empty() { Err("expected a string that is not empty") } else { Ok(text.to_owned()) }
}

fn leeway(text: &str) -> Result<Duration, &'static str> {
    let leeway = duration(text)?;
    if leeway > MAX_LEEWAY { Err("expected a duration from 0s to 5m") } else { Ok(leeway) }
}
