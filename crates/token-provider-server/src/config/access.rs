//! Who is allowed (section `access`): the ways to authenticate, and what each caller may have.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER_PERMISSIVE;
use humantime::format_rfc3339_seconds;
use hyper::header::HeaderName;
use ipnet::IpNet;
use url::Url;

use super::hint::API_KEY;
use super::oidc::{self, OidcConfig};
use super::policy::{self, Known, PolicyConfig};
use super::rules;
use crate::settings::{List, Parse, Section};
use crate::values::Pattern;
use crate::values::duration::{date_time, duration};
use crate::values::header::{callers_header, required_header};
use crate::values::host::normal;
use crate::values::name::{here_key_id, name};
use crate::values::network::ip_net;

/// Who is allowed. Any of the configured ways lets a caller in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessConfig {
    /// Callers need not authenticate, wherever they are: something else protects the server.
    pub anonymous: bool,
    /// What callers may have who do not authenticate.
    pub anonymous_policy: PolicyConfig,
    /// Callers with an API key.
    pub api_keys: Vec<ApiKeyConfig>,
    /// Callers that sign with an access key of this server, as HERE's SDKs do.
    pub here_keys: Vec<HereKeyConfig>,
    /// Callers with a token of an identity provider: the providers in the order of the file.
    pub oidc: Vec<OidcConfig>,
    /// Callers with a client certificate.
    pub mtls: Option<MtlsConfig>,
    /// A reverse proxy in front, and the callers whom it has authenticated.
    pub trusted_proxy: Option<TrustedProxyConfig>,
    /// What callers without a credential have to send.
    pub require_header: Option<HeaderName>,
    /// Nobody is let in: a change of the file took away the last way to authenticate. Never so at the start.
    pub is_locked: bool,
    /// Anonymous callers get every profile because the configuration has neither callers nor `anonymous_profiles`.
    pub has_implied_profiles: bool,
}

impl AccessConfig {
    /// Returns whether anonymous callers are allowed: explicitly, or because no access rule is configured.
    pub fn allows_anonymous(&self) -> bool {
        self.anonymous || !(self.has_callers() || self.is_locked)
    }

    /// Returns whether the configuration says who is allowed, as it must on a server that the network reaches.
    pub fn has_access_rule(&self) -> bool {
        self.anonymous || self.has_callers()
    }

    /// Returns what there is to say of API keys that have expired, or will in two weeks. The texts change once a day.
    pub fn expiry_warnings(&self, now: Duration) -> impl Iterator<Item = String> {
        self.api_keys.iter().filter_map(move |ApiKeyConfig { id, expires, .. }| {
            let end = expires.filter(|end| *end <= now + 14 * DAY)?;
            let (left, end) = (end.saturating_sub(now), format_rfc3339_seconds(UNIX_EPOCH + end));
            Some(match left.as_secs() / DAY.as_secs() {
                _ if left.is_zero() => format!("{id} expired at {end}; replace or remove it"),
                days => format!("{id} expires at {end} (full days left: {days}); replace it"),
            })
        })
    }

    /// Returns the names of the rules whose handouts are marked.
    pub fn audited(&self) -> impl Iterator<Item = &Arc<str>> {
        let policies =
            self.sections().flat_map(|(_, section)| section.rules.iter().map(|(_, policy)| policy));
        policies.filter(|policy| policy.is_audit).map(|policy| &policy.path)
    }

    /// Returns the sections without rules that had some before: each lets in everybody now whom its own keys do.
    pub fn opened(&self, before: &Self) -> impl Iterator<Item = &str> {
        let had_rules = |name| before.sections().any(|(other, was)| other == name && !was.rules.is_empty());
        let open = self.sections().filter(|(_, section)| section.rules.is_empty());
        open.map(|(name, _)| name).filter(move |name| had_rules(*name))
    }

    /// Returns the sections that may have rules, each by its name, an identity provider's by its issuer.
    fn sections(&self) -> impl Iterator<Item = (&str, &PolicyConfig)> {
        let oidc = self.oidc.iter().map(|oidc| (oidc.name.as_str(), &oidc.policy));
        let mtls = self.mtls.iter().map(|mtls| ("access.mtls", &mtls.policy));
        let proxy = self.trusted_proxy.iter().map(|proxy| ("access.trusted_proxy", &proxy.policy));
        oidc.chain(mtls).chain(proxy)
    }

    /// Returns whether there is a way to authenticate.
    pub fn has_callers(&self) -> bool {
        !self.api_keys.is_empty()
            || !self.here_keys.is_empty()
            || !self.oidc.is_empty()
            || self.mtls.is_some()
            || self.naming_proxy().is_some()
    }

    /// Returns the trusted proxy if it names callers.
    pub fn naming_proxy(&self) -> Option<&TrustedProxyConfig> {
        self.trusted_proxy.as_ref().filter(|proxy| proxy.header.is_some())
    }
}

const DAY: Duration = Duration::from_secs(86_400);

/// One API key, by its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyConfig {
    /// The caller's name, and its OAuth 2.0 `client_id`.
    pub id: String,
    /// SHA-256 of the key, or of the new one and the old.
    pub sha256: Vec<[u8; 32]>,
    /// When it expires, since the epoch. A date is for the wall clock alone.
    pub expires: Option<Duration>,
    /// What the caller may have.
    pub policy: PolicyConfig,
}

/// Reads how long a new API key is to be good: not for so long that its end has no text in RFC 3339.
pub fn key_lifetime(text: &str) -> Result<Duration, &'static str> {
    let range = Duration::from_secs(1)..=36_500 * DAY;
    let lifetime = duration(text).ok().filter(|lifetime| range.contains(lifetime));
    lifetime.ok_or("expected a duration from \"1s\" to \"36500d\", such as \"90d\"")
}

/// One access key of this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HereKeyConfig {
    /// The caller's name, and the access key id.
    pub id: String,
    /// The file with the access key secret.
    pub secret_file: PathBuf,
    /// What the caller may have.
    pub policy: PolicyConfig,
}

/// The client certificates that let a caller in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MtlsConfig {
    /// One of the certificate's subject alternative names (RFC 5280 §4.2.1.6) must be among them: DNS names, in lower case, and URIs,
    /// which only have `://` in them, such as SPIFFE ids. Where there are rules it may be empty, and then they alone decide.
    pub allow: Vec<String>,
    /// What such a caller may have.
    pub policy: PolicyConfig,
}

/// The reverse proxy that says where a request comes from, and who the caller is if it knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedProxyConfig {
    /// The proxy's own addresses. From everybody else the header is taken away.
    pub from: Vec<IpNet>,
    /// The header with the caller's name; `None` where the proxy names no callers.
    pub header: Option<HeaderName>,
    /// The header with the caller's groups.
    pub groups_header: Option<HeaderName>,
    /// What such a caller may have.
    pub policy: PolicyConfig,
}

/// Reads the section. `client_ca` is whether client certificates are requested.
pub(super) fn read(mut section: Section<'_>, known: &Known<'_>, client_ca: bool) -> AccessConfig {
    let mut access = AccessConfig {
        anonymous: section.flag("anonymous").unwrap_or(false),
        anonymous_policy: policy::read(&mut section, "anonymous_", known),
        api_keys: read_api_keys(&mut section, known),
        here_keys: read_here_keys(&mut section, known),
        oidc: oidc::read(&mut section, known),
        mtls: section.table("mtls").map(|section| read_mtls(section, known, client_ca)),
        trusted_proxy: section.table("trusted_proxy").map(|section| read_trusted_proxy(section, known)),
        require_header: section.text("require_header", required_header),
        is_locked: false,
        has_implied_profiles: false,
    };
    let headers = access.trusted_proxy.iter().map(|proxy| [&proxy.header, &proxy.groups_header]);
    if access.require_header.is_some() && headers.flatten().any(|header| access.require_header == *header) {
        section.error("require_header", "expected another header than those of access.trusted_proxy");
    }
    // Without a way to authenticate, callers may ask for every configured profile.
    if !access.has_callers() && !section.is_set("anonymous_profiles") {
        access.has_implied_profiles = true;
        access.anonymous_policy.profiles = known.profiles.keys().cloned().collect();
    }
    access
}

fn read_api_keys(section: &mut Section<'_>, known: &Known<'_>) -> Vec<ApiKeyConfig> {
    let mut keys: Vec<ApiKeyConfig> = Vec::new();
    for mut section in section.tables("api_keys", List::Any) {
        let id = read_id(&mut section, "api_keys", keys.iter().map(|key| &key.id), name);
        let sha256 = section.list("sha256", List::NotEmpty, sha256).unwrap_or_default();
        section.need(&[
            ("id", "a name for the caller"),
            ("sha256", "the hash that `token-provider key new` prints"),
        ]);
        let expires = section.text_or_number("expires", date_time);
        let policy = policy::read(&mut section, "", known);
        let is_known = |other: &ApiKeyConfig| sha256.iter().any(|hash| other.sha256.contains(hash));
        if let Some(first) = keys.iter().position(is_known) {
            section.error("sha256", format!("the same key as access.api_keys[{first}]"));
        }
        if sha256.len() > 2 || sha256.len() == 2 && sha256.first() == sha256.last() {
            section.error("sha256", "expected one hash, or two different ones: of the new key and the old");
        }
        keys.push(ApiKeyConfig { id, sha256, expires, policy });
    }
    keys
}

fn read_here_keys(section: &mut Section<'_>, known: &Known<'_>) -> Vec<HereKeyConfig> {
    let mut keys: Vec<HereKeyConfig> = Vec::new();
    for mut section in section.tables("here_keys", List::Any) {
        let id = read_id(&mut section, "here_keys", keys.iter().map(|key| &key.id), here_key_id);
        let secret_file = section.path("secret_file").unwrap_or_default();
        section.need(&[
            ("id", "a name for the caller that begins with `tp.`"),
            ("secret_file", "the NAME.secret that `token-provider key new --here` writes"),
        ]);
        let policy = policy::read(&mut section, "", known);
        keys.push(HereKeyConfig { id, secret_file, policy });
    }
    keys
}

/// Reads the id of a key, which none before it in the list may have. It is empty where there is none, or a wrong one.
fn read_id<'k>(
    section: &mut Section<'_>,
    list: &str,
    mut others: impl Iterator<Item = &'k String>,
    parse: impl Parse<String>,
) -> String {
    let id = section.text("id", parse).unwrap_or_default();
    if let Some(first) = others.position(|other| !id.is_empty() && *other == id) {
        section.error("id", format!("already used by access.{list}[{first}]: each key needs its own id"));
    }
    id
}

fn read_mtls(mut section: Section<'_>, known: &Known<'_>, client_ca: bool) -> MtlsConfig {
    let allow = section.list("allow", List::NotEmpty, subject_name).unwrap_or_default();
    let names = |rule: &mut Section<'_>| rules::listed(rule, &["names"], subject_pattern);
    let policy = rules::read(&mut section, known, names);
    if !section.is_set("rules") {
        section.need(&[("allow", "a list of DNS names and URIs")]);
    }
    if !client_ca {
        section.error_here("requires tls.client_ca: without it no client certificates are requested");
    }
    MtlsConfig { allow, policy }
}

fn read_trusted_proxy(mut section: Section<'_>, known: &Known<'_>) -> TrustedProxyConfig {
    let from = section.list("from", List::NotEmpty, ip_net).unwrap_or_default();
    section.need(&[("from", "a list of the proxy's addresses")]);
    let [header, groups_header] = ["header", "groups_header"].map(|key| section.text(key, callers_header));
    let (has_name, has_groups) = (section.is_set("header"), section.is_set("groups_header"));
    let users = |rule: &mut Section<'_>| {
        let matching = rules::listed(rule, &["users", "groups"], Pattern::parse);
        if rule.is_set("groups") && !has_groups {
            rule.error("groups", "requires access.trusted_proxy.groups_header");
        }
        matching
    };
    let policy = rules::read(&mut section, known, users);
    for key in ["profiles", "scopes", "max_ttl", "rate", "groups_header", "rules"] {
        if section.is_set(key) && !has_name {
            section.error(key, "requires header: it applies only to callers named by the proxy");
        }
    }
    if has_groups && !section.is_set("rules") {
        section.error("groups_header", "requires rules: nothing else reads groups");
    } else if has_groups && header.is_some() && header == groups_header {
        section.error("groups_header", "expected another header than `header`");
    }
    TrustedProxyConfig { from, header, groups_header, policy }
}

fn sha256(text: &str) -> Result<[u8; 32], &'static str> {
    if text.starts_with(API_KEY) {
        return Err("expected the SHA-256 of the key, not the key itself; this one is no longer secret, so \
                    create a new one with `token-provider key new`");
    }
    let hash = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok().and_then(|hash| hash.try_into().ok());
    let hash: [u8; 32] =
        hash.ok_or("expected 64 hexadecimal digits, as `token-provider key new` prints them")?;
    if hash == digest(&SHA256, b"").as_ref() {
        return Err(
            "expected the SHA-256 of a key: this is the hash of empty input, as an empty file or variable gives it",
        );
    }
    Ok(hash)
}

fn subject_name(text: &str) -> Result<String, &'static str> {
    const EXPECTED: &str = "expected a DNS name such as \"dashboard.example.com\" or a URI such as \
                            \"spiffe://example.com/dashboard\", in full";
    if text.contains("://") {
        let is_whole =
            Url::parse(text).is_ok() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*');
        return if is_whole { Ok(text.to_owned()) } else { Err(EXPECTED) };
    }
    let name = normal(text).filter(|_| !text.contains('['));
    name.map(|name| name.to_string()).ok_or(EXPECTED)
}

/// Reads a pattern for names in certificates, which are in full, DNS names in lower case.
fn subject_pattern(text: &str) -> Result<Pattern, &'static str> {
    let example = text.replace('*', "x");
    match subject_name(&example)? {
        name if name.contains("://") => Pattern::parse(text),
        name if name.eq_ignore_ascii_case(&example) => Pattern::parse(&text.to_lowercase()),
        _ => Err("expected the name as certificates have it, in ASCII and without a final dot"),
    }
}
