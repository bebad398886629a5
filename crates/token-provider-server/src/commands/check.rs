//! `check`: finds what is wrong before the server does.
//!
//! Each line says what was checked and the result: ok, warning or FAILURE, with the remedy. Everything that can be
//! checked is, even after a failure.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use token_provider::{
    Clock as _, Issue as _, PrivateKey, Proxies, SystemClock, TokenError, TokenErrorKind, TokenKey,
};

use super::health;
use crate::config::{
    AuditConfig, Config, Environment, HereKeyConfig, Listen, LoadedConfig, OidcConfig, OutputConfig,
    Overrides, TlsConfig,
};
use crate::failure::{EXIT_CONFIG, Failure};
use crate::listen::{self, Listener, Tls};
use crate::oidc;
use crate::outputs;
use crate::printable::{escaped, one_line};
use crate::setup::{self, ProfileIssuer, Secret, TokenSource, is_readable_by_others};
use crate::store;
use crate::telemetry::is_cut;

/// HERE refuses timestamps that are too far off; how far is not published. A clock that is off by this much is worth
/// a word: other services are stricter.
const NOTABLE_OFFSET_SECONDS: u64 = 30;

/// Permission bits of those who are neither the owner nor in the group.
const BY_OTHERS: u32 = 0o007;

/// One line of the report.
struct Finding {
    text: String,
    /// What the process exits with, if this is the first failure.
    exit_code: Option<u8>,
}

type Findings = Vec<Finding>;

fn ok(what: &str, found: impl Display) -> Finding {
    Finding { text: escaped(format_args!("ok       {what}: {found}")), exit_code: None }
}

fn warning(what: &str, found: impl Display) -> Finding {
    Finding { text: escaped(format_args!("warning  {what}: {found}")), exit_code: None }
}

fn failure(what: &str, found: impl Display, exit_code: u8) -> Finding {
    Finding { text: escaped(format_args!("FAILURE  {what}: {found}")), exit_code: Some(exit_code) }
}

fn failed(what: &str, error: &Failure) -> Finding {
    failure(what, one_line(error), error.exit_code)
}

pub(super) async fn run(overrides: Overrides, offline: bool) -> Result<ExitCode, Failure> {
    let findings = match LoadedConfig::from_process(overrides) {
        Ok(LoadedConfig { config, environment, .. }) => check(&config, &environment, offline).await,
        Err(errors) => {
            errors.as_slice().iter().map(|error| failure("configuration", error, EXIT_CONFIG)).collect()
        }
    };
    let text: String = findings.iter().flat_map(|finding| [&finding.text, "\n"]).collect();
    io::stdout().write_all(text.as_bytes()).map_err(Failure::stdout)?;
    let first = findings.iter().find_map(|finding| finding.exit_code);
    Ok(first.map_or(ExitCode::SUCCESS, ExitCode::from))
}

async fn check(config: &Config, environment: &Environment, offline: bool) -> Findings {
    let file = config.file.as_ref().map(|file| file.display().to_string());
    let mut findings = vec![ok("configuration", file.as_deref().unwrap_or("no file; using the defaults"))];
    findings.extend(config.warnings.iter().map(|problem| warning("configuration", problem)));
    match setup::tls(config) {
        Ok(None) => {}
        Ok(Some(tls)) => findings.extend(check_certificate(&tls, config)),
        Err(error) => findings.push(failed("tls", &error)),
    }
    let unknown = "who else can read or change files (credentials, keys, configuration, outputs) cannot be judged on this system";
    findings.extend((!cfg!(unix)).then(|| warning("permissions", unknown)));
    findings.extend(check_copies(config));
    let warnings = config.access.expiry_warnings(SystemClock.now().wall);
    findings.extend(warnings.map(|found| warning("API key", found)));
    findings.extend(check_here_keys(config));
    let mut safe = setup::check_exposure(config);
    if !offline {
        let (found, bound) = check_listeners(config, environment).await;
        findings.extend(found);
        safe = safe.and_then(|()| setup::check_listeners(config, &bound));
    }
    findings.extend(safe.err().map(|error| failed("access", &error)));
    findings.extend(check_audit(config));
    findings.extend(check_identity_providers(config, offline).await);
    findings.extend(Proxies::from_env().problem().map(|problem| warning("proxy", problem)));
    let mut sources = Vec::new();
    for name in config.profiles.keys() {
        match setup::find_credential(name, config, environment) {
            Ok((source, secret)) => {
                findings.extend(check_profile(&source, secret, config, offline).await);
                sources.push(source);
            }
            Err(error) => findings.push(failed("credential", &error)),
        }
    }
    findings.extend(check_store(config, offline).await);
    findings.extend(check_outputs(config, &setup::needed_files(config, &sources)).await);
    findings
}

/// Returns the listeners that could be bound, too.
async fn check_listeners(config: &Config, environment: &Environment) -> (Findings, Vec<Listener>) {
    let is_from_systemd = environment.variable("LISTEN_FDS").is_some();
    // Held until all are bound: two of them may be in each other's way.
    let (mut findings, mut bound) = (Vec::new(), Vec::new());
    for listen in &config.listen {
        if matches!(listen, Listen::Systemd(_)) && !is_from_systemd {
            let found = format!("{listen}: these sockets exist only when systemd starts the server");
            findings.push(warning("listener", found));
            continue;
        }
        match listen::bind(listen, "--listen") {
            Ok(listeners) => {
                findings.push(ok("listener", format_args!("{listen} is free")));
                if config.is_plain() && !listeners.iter().all(Listener::is_local) {
                    findings.push(warning("listener", format_args!("{listen}: {}", setup::IN_THE_CLEAR)));
                }
                bound.extend(listeners);
            }
            Err(error) => findings.push(taken("listener", listen, config.tls.is_some(), error).await),
        }
    }
    if let Some(listen) = &config.admin {
        findings.push(match listen::bind(listen, "admin.listen") {
            Ok(_) => ok("admin", format_args!("{listen} is free")),
            Err(error) => taken("admin", listen, false, error).await,
        });
    }
    (findings, bound)
}

/// If a token provider responds at the address, it is the server being checked.
async fn taken(what: &str, listen: &Listen, is_tls: bool, error: io::Error) -> Finding {
    if error.kind() == io::ErrorKind::AddrInUse && health::is_ours(listen, is_tls).await {
        ok(what, format_args!("{listen}: the server is running"))
    } else {
        failure(what, error, 1)
    }
}

async fn check_identity_providers(config: &Config, offline: bool) -> Findings {
    let what = "identity provider";
    let check = async |OidcConfig { name, keys, .. }: &OidcConfig| match oidc::fetch_keys(keys).await {
        Ok(0) => failure(what, format_args!("{name}: has no key that can be used"), 1),
        Ok(keys) => ok(what, format_args!("{name}: keys: {keys}")),
        Err(error) => failure(what, format_args!("{name}: {}", one_line(&error)), 1),
    };
    let providers = config.access.oidc.iter().filter(|oidc| !offline || oidc.keys.file.is_some());
    join_all(providers.map(check)).await
}

/// Checks for certificate problems that the server tolerates but clients do not.
fn check_certificate(tls: &Tls, config: &Config) -> Findings {
    let unusable = |found: String| failure("tls", found, EXIT_CONFIG);
    let mut findings = Vec::new();
    findings.extend(tls.out_of_date().map(|reason| unusable(format!("{reason}; clients will reject it"))));
    for host in &config.public_hosts {
        let name = host.name.to_string().trim_matches(['[', ']']).to_owned();
        if tls.is_for(&name) {
            continue;
        }
        let found = format!("the certificate does not cover {name}, which is in public_hosts");
        // A proxy shows its own certificate.
        findings.push(match config.access.trusted_proxy {
            Some(_) => warning("tls", found),
            None => unusable(format!("{found}; clients will reject it")),
        });
    }
    match tls.expired_authorities() {
        (0, _) => {}
        (_, false) => findings.push(unusable("every authority in tls.client_ca has expired".to_owned())),
        (expired, true) => {
            let found = "expired authorities in tls.client_ca, which are ignored";
            findings.push(warning("tls", format_args!("{found}: {expired}")));
        }
    }
    if findings.is_empty() {
        findings.push(ok("tls", "certificate and key match"));
    }
    findings
}

fn check_copies(config: &Config) -> Option<Finding> {
    let tls = config.tls.iter().flat_map(TlsConfig::files).map(|file| ("tls", file));
    let keys = config.access.here_keys.iter().map(|key| ("access key", &key.secret_file));
    let store = config.store.iter().map(|store| ("store", &store.key_file));
    tls.chain(keys).chain(store).find_map(|(what, file)| check_copy(what, file))
}

/// What replaces a file seldom restarts its readers.
fn check_copy(what: &str, file: &Path) -> Option<Finding> {
    let copy = file.starts_with("/run/credentials").then(|| file.display())?;
    let why = "is a copy that systemd made at the unit's start (LoadCredential=); after a renewal, restart the unit";
    Some(warning(what, format_args!("{copy} {why}")))
}

/// Checks the secrets of access keys.
fn check_here_keys(config: &Config) -> Findings {
    let what = "access key";
    let check = |key: &HereKeyConfig| match setup::read_here_secret(&key.secret_file) {
        Err(problem) => failure(what, format_args!("{}: {problem}", key.id), EXIT_CONFIG),
        Ok(_) if is_readable_by_others(&key.secret_file) == Some(true) => {
            let file = key.secret_file.display();
            warning(what, format_args!("{}: other users can read {file}; run chmod 600", key.id))
        }
        Ok(_) => ok(what, format_args!("{}: its secret can be read", key.id)),
    };
    config.access.here_keys.iter().map(check).collect()
}

fn check_audit(config: &Config) -> Option<Finding> {
    if let Err(error) = setup::check_audit(config) {
        return Some(failed("audit", &error));
    }
    let AuditConfig::File(path) = &config.audit else { return None };
    Some(ok("audit", format_args!("{} can be written", path.display())))
}

async fn check_outputs(config: &Config, needed_files: &Arc<[PathBuf]>) -> Findings {
    let check = async |output: &OutputConfig| {
        let (path, mode) = (output.path.display(), output.mode);
        match outputs::check(output, Arc::clone(needed_files), false).await {
            Err(error) => failed("output", &error),
            Ok(()) if mode & BY_OTHERS != 0 => {
                let found =
                    format_args!("{path}: every user of this machine may use the token (mode {mode:04o})");
                warning("output", found)
            }
            Ok(()) => ok("output", format_args!("{path} can be written")),
        }
    };
    join_all(config.outputs.iter().map(check)).await
}

/// Checks the key file of the store, and whether records can be kept in it.
async fn check_store(config: &Config, offline: bool) -> Findings {
    let Some(store) = &config.store else { return Vec::new() };
    let mut findings = match store::check(store, offline).await {
        Err(error) => vec![failed("store", &error)],
        Ok(None) => vec![ok("store", store.key_file.display())],
        Ok(Some(found)) => {
            let found = found.into_iter().map(|found| warning("store", found));
            [ok("store", format_args!("{} can be used", store.url))].into_iter().chain(found).collect()
        }
    };
    let readable = store.secrets().filter(|file| is_readable_by_others(file) == Some(true));
    findings.extend(readable.map(|file| {
        warning("store", format_args!("other users can read {}; run chmod 600", file.display()))
    }));
    findings
}

async fn check_profile(source: &TokenSource, secret: Secret, config: &Config, offline: bool) -> Findings {
    let TokenSource { profile, credential, .. } = source;
    let mut findings = vec![ok("credential", format_args!("profile {profile}: {credential}"))];
    let key = source.private_key.as_ref().map(setup::key_name);
    findings.extend(key.map(|key| ok("private key", format_args!("profile {profile}: {key}"))));
    let key_file = source.private_key.as_ref().and_then(PrivateKey::file);
    findings.extend(key_file.and_then(|file| check_copy("private key", file)));
    findings.extend(source.files().filter_map(|file| {
        Some(if is_readable_by_others(file)? {
            warning("permissions", format_args!("{}: other users can read it; run chmod 600", file.display()))
        } else {
            ok("permissions", format_args!("other users cannot read {}", file.display()))
        })
    }));
    let proxy = source.proxy.as_ref();
    findings.extend(proxy.map(|proxy| ok("proxy", format_args!("profile {profile}: {proxy}"))));
    match setup::issuer(profile, config, secret) {
        Ok(issuer) if !offline => {
            findings.extend(check_issuer(&issuer, &source.endpoint, config.lifetimes.longest()).await);
        }
        Ok(_) => {}
        Err(error) => findings.push(failed("issuer", &error)),
    }
    findings
}

/// Requests a token: from HERE the one with the longest lifetime, which shows whether the app has a shorter limit.
async fn check_issuer(issuer: &ProfileIssuer, endpoint: &str, longest: Duration) -> Findings {
    let key = match issuer {
        ProfileIssuer::Here { .. } => {
            TokenKey::new(longest).expect("the configuration takes only lifetimes of HERE")
        }
        ProfileIssuer::Remote(_) => TokenKey::default(),
    };
    let result = issuer.issue(&key).await;
    let kind = result.as_ref().err().map(TokenError::kind);
    let mut findings = match &result {
        Err(error) if !matches!(kind, Some(TokenErrorKind::Rejected { .. } | TokenErrorKind::ClockSkew)) => {
            let causes = error.causes().map_or_else(String::new, |causes| format!(" (caused by: {causes})"));
            return vec![failure("issuer", format_args!("{endpoint}: {error}{causes}"), 1)];
        }
        _ => vec![ok("issuer", format_args!("{endpoint} responds"))],
    };
    if kind != Some(TokenErrorKind::ClockSkew) {
        findings.extend(check_clock(issuer));
    }
    findings.push(match result {
        Ok(issued) => check_lifetime(issuer, key.lifetime().as_secs(), issued.expires_in().as_secs()),
        Err(error) if error.kind() == TokenErrorKind::ClockSkew => failure("clock", error, 1),
        Err(error) => failure("token", error, 1),
    });
    findings
}

fn check_lifetime(issuer: &ProfileIssuer, asked: u64, got: u64) -> Finding {
    let received = format!("received, valid for {got} s");
    // Another token provider has held its token for a while.
    if matches!(issuer, ProfileIssuer::Remote(_)) || !is_cut(asked, got) {
        return ok("token", received);
    }
    let remedy = "the app's tokenDuration cuts longer lifetimes; raise it, or leave them out of `lifetimes`";
    warning("token", format_args!("{received} (asked {asked}, got {got}): {remedy}"))
}

/// Another token provider does not look at the clock.
fn check_clock(issuer: &ProfileIssuer) -> Option<Finding> {
    let ProfileIssuer::Here { issuer, .. } = issuer else { return None };
    let offset = issuer.clock_offset();
    let (seconds, direction) = (offset.unsigned_abs(), if offset > 0 { "behind" } else { "ahead of" });
    if seconds < NOTABLE_OFFSET_SECONDS {
        return Some(ok("clock", "HERE accepts this machine's time"));
    }
    let remedy = "tokens are still issued, but set the clock, preferably with NTP";
    Some(warning("clock", format_args!("this machine's clock is {seconds} s {direction} HERE's; {remedy}")))
}
