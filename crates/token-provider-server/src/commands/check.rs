//! `check`: finds what is wrong before the server does.
//!
//! Each line says what was looked at, and how it is: ok, warning or FAILURE, with the remedy. All is looked at that can
//! be, even after a failure.

use std::fmt::Display;
use std::io::{self, Write as _};

use token_provider::{Error, ErrorKind, Issue as _, Proxies, TokenKey};

use super::failure::{EXIT_CONFIG, Failure};
use super::health;
use crate::config::{AuditConfig, Config, Environment, Listen, LoadedConfig, Overrides};
use crate::listen::{self, Listener, Tls};
use crate::oidc;
use crate::printable::{causes, escaped};
use crate::setup::{self, ProfileIssuer, is_readable_by_others};

/// HERE refuses timestamps that are too far off; how far is not published. A clock that is off by this much is worth
/// a word: other services are stricter.
const NOTABLE_OFFSET_SECONDS: u64 = 30;

/// What has been found so far.
#[derive(Debug, Default)]
struct Report {
    lines: Vec<String>,
    exit_code: u8,
}

impl Report {
    fn ok(&mut self, what: &str, found: impl Display) {
        self.line("ok     ", what, found);
    }

    fn warning(&mut self, what: &str, found: impl Display) {
        self.line("warning", what, found);
    }

    /// The first failure decides what the process exits with.
    fn failure(&mut self, what: &str, found: impl Display, exit_code: u8) {
        self.line("FAILURE", what, found);
        if self.exit_code == 0 {
            self.exit_code = exit_code;
        }
    }

    fn line(&mut self, word: &str, what: &str, found: impl Display) {
        self.lines.push(escaped(format_args!("{word}  {what}: {found}")));
    }
}

pub(super) async fn run(overrides: Overrides, offline: bool) -> Result<(), Failure> {
    let mut report = Report::default();
    match LoadedConfig::from_process(overrides) {
        Ok(LoadedConfig { config, environment, .. }) => {
            check(&config, &environment, offline, &mut report).await;
        }
        Err(error) => {
            for problem in error.as_slice() {
                report.failure("configuration", problem, EXIT_CONFIG);
            }
        }
    }
    let text = report.lines.join("\n") + "\n";
    io::stdout().write_all(text.as_bytes()).map_err(Failure::system("cannot write to stdout"))?;
    if report.exit_code == 0 { Ok(()) } else { Err(Failure::Reported(report.exit_code)) }
}

async fn check(config: &Config, environment: &Environment, offline: bool, report: &mut Report) {
    match &config.file {
        Some(file) => report.ok("configuration", file.display()),
        None => report.ok("configuration", "no file, the defaults"),
    }
    for warning in &config.warnings {
        report.warning("configuration", warning);
    }
    match setup::tls(config) {
        Ok(None) => {}
        Ok(Some(tls)) => check_certificate(&tls, config, report),
        Err(error) => report.failure("tls", with_causes(&error), EXIT_CONFIG),
    }
    let is_exposed =
        setup::check_exposure(config).map_err(|error| report.failure("access", error, EXIT_CONFIG));
    if !offline {
        let bound = check_listeners(config, environment, report).await;
        if is_exposed.is_ok()
            && let Err(error) = setup::check_listeners(config, &bound)
        {
            report.failure("access", error, EXIT_CONFIG);
        }
    }
    check_audit(config, report);
    if !offline {
        check_identity_provider(config, report).await;
    }
    if let Some(problem) = Proxies::from_env().problem() {
        report.warning("proxy", problem);
    }
    for name in config.profiles.keys() {
        check_profile(name, config, environment, offline, report).await;
    }
}

/// Returns the listeners that could be bound.
async fn check_listeners(config: &Config, environment: &Environment, report: &mut Report) -> Vec<Listener> {
    let is_from_systemd = environment.variable("LISTEN_FDS").is_some();
    // Held until all are bound: two of them may be in each other's way.
    let mut bound = Vec::new();
    for listen in &config.listen {
        if matches!(listen, Listen::Systemd(_)) && !is_from_systemd {
            let found = format_args!("{listen}: its sockets are only there when systemd starts the server");
            report.warning("listener", found);
            continue;
        }
        match listen::bind(listen, "--listen") {
            Ok(listeners) => {
                report.ok("listener", format_args!("{listen} is free"));
                if config.is_plain() && !listeners.iter().all(Listener::is_local) {
                    report.warning("listener", format_args!("{listen}: {}", setup::IN_THE_CLEAR));
                }
                bound.extend(listeners);
            }
            Err(error) => taken("listener", listen, config.tls.is_some(), error, report).await,
        }
    }
    if let Some(listen) = &config.admin {
        match listen::bind(listen, "admin.listen") {
            Ok(_) => report.ok("admin", format_args!("{listen} is free")),
            Err(error) => taken("admin", listen, false, error, report).await,
        }
    }
    bound
}

/// A place at which a server of ours answers is in use by the one that is being checked.
async fn taken(what: &str, listen: &Listen, is_tls: bool, error: io::Error, report: &mut Report) {
    if error.kind() == io::ErrorKind::AddrInUse && health::is_ours(listen, is_tls).await {
        return report.ok(what, format_args!("{listen}: the server is running"));
    }
    report.failure(what, error, 1);
}

async fn check_identity_provider(config: &Config, report: &mut Report) {
    let Some(oidc) = &config.access.oidc else { return };
    let (what, issuer) = ("identity provider", &oidc.issuer);
    match oidc::fetch_keys(oidc).await {
        Ok(0) => report.failure(what, format_args!("{issuer}: has no key that can be used"), 1),
        Ok(keys) => report.ok(what, format_args!("{issuer}: keys: {keys}")),
        Err(error) => report.failure(what, format_args!("{issuer}: {}", with_causes(&error)), 1),
    }
}

/// What the server would serve with all the same, and clients would refuse.
fn check_certificate(tls: &Tls, config: &Config, report: &mut Report) {
    let said = report.lines.len();
    if let Some(reason) = tls.out_of_date() {
        report.failure("tls", format_args!("{reason}; clients will refuse it"), EXIT_CONFIG);
    }
    for host in &config.public_hosts {
        let name = host.name.trim_start_matches('[').trim_end_matches(']');
        if tls.is_for(name) {
            continue;
        }
        let found = format_args!("the certificate is not for {name}, which is one of public_hosts");
        // A proxy shows one of its own.
        if config.access.trusted_proxy.is_some() {
            report.warning("tls", found);
        } else {
            report.failure("tls", format_args!("{found}; clients will refuse it"), EXIT_CONFIG);
        }
    }
    match tls.expired_authorities() {
        (0, _) => {}
        (_, false) => report.failure("tls", "every authority in tls.client_ca has expired", EXIT_CONFIG),
        (expired, true) => {
            let found =
                format_args!("authorities in tls.client_ca that have expired, and are not used: {expired}");
            report.warning("tls", found);
        }
    }
    if report.lines.len() == said {
        report.ok("tls", "certificate and key fit");
    }
}

fn check_audit(config: &Config, report: &mut Report) {
    match setup::check_audit(config) {
        Ok(()) => {
            if let AuditConfig::File(path) = &config.audit {
                report.ok("audit", format_args!("{} can be written", path.display()));
            }
        }
        Err(error) => report.failure("audit", with_causes(&error), EXIT_CONFIG),
    }
}

async fn check_profile(
    name: &str,
    config: &Config,
    environment: &Environment,
    offline: bool,
    report: &mut Report,
) {
    let found = match setup::find_credential(name, config, environment) {
        Ok(found) => found,
        Err(error) => return report.failure("credential", with_causes(&error), EXIT_CONFIG),
    };
    report.ok("credential", format_args!("profile {name}: {}", found.place));
    if let Some(file) = &found.file {
        if is_readable_by_others(file) {
            report
                .warning("permissions", format_args!("{}: others can read it; chmod 600 it", file.display()));
        } else {
            report.ok("permissions", "others cannot read the credential file");
        }
    }
    if let Some(proxy) = &found.proxy {
        report.ok("proxy", format_args!("profile {name}: {proxy}"));
    }
    let endpoint = found.endpoint.clone();
    let issuer = match setup::issuer(name, config, found) {
        Ok(issuer) => issuer,
        Err(error) => return report.failure("issuer", with_causes(&error), EXIT_CONFIG),
    };
    if offline {
        return;
    }
    let result = issuer.issue(&TokenKey::default()).await;
    let kind = result.as_ref().err().map(Error::kind);
    match &result {
        Err(error) if !matches!(kind, Some(ErrorKind::Rejected { .. } | ErrorKind::ClockSkew)) => {
            let caused_by =
                error.causes().map_or_else(String::new, |causes| format!(" (caused by: {causes})"));
            return report.failure("issuer", format_args!("{endpoint}: {error}{caused_by}"), 1);
        }
        _ => report.ok("issuer", format_args!("{endpoint} answers")),
    }
    if kind != Some(ErrorKind::ClockSkew) {
        check_clock(&issuer, report);
    }
    match result {
        Ok(issued) => {
            let (giver, seconds) = (issuer.name(), issued.expires_in().as_secs());
            report.ok("token", format_args!("{giver} gave one for {seconds} s"));
        }
        Err(error) if error.kind() == ErrorKind::ClockSkew => report.failure("clock", error, 1),
        Err(error) => report.failure("token", error, 1),
    }
}

/// Another token provider does not look at the clock.
fn check_clock(issuer: &ProfileIssuer, report: &mut Report) {
    let ProfileIssuer::Here { issuer, .. } = issuer else { return };
    let offset = issuer.clock_offset();
    if offset.unsigned_abs() < NOTABLE_OFFSET_SECONDS {
        return report.ok("clock", "HERE accepts this machine's time");
    }
    let (seconds, direction) = (offset.unsigned_abs(), if offset > 0 { "behind" } else { "ahead of" });
    report.warning(
        "clock",
        format_args!("this machine is {seconds} s {direction} HERE; requests are signed with HERE's time, but set the clock, preferably with NTP"),
    );
}

/// An error with its causes, on one line.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    [vec![error.to_string()], causes(error)].concat().join(": ")
}
