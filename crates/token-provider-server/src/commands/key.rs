//! `key new`: an API key, shown once; with `--here`, an access key for HERE's SDKs, in two files; with `--issuer-key`, a private key
//! for this server, in one.

use std::fs;
use std::io::{self, Write as _};
use std::path::{MAIN_SEPARATOR, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use token_provider::secrecy::ExposeSecret as _;
use token_provider::{Clock as _, LoadError, PrivateKey, SigningAlgorithm, SystemClock};
use tracing::Level;
use url::{Position, Url};
use zeroize::Zeroizing;

use super::system;
use crate::access::api_key;
use crate::config::{Config, Environment, FileOption, Host, Listen, Overrides};
use crate::failure::Failure;
use crate::outputs::Place;
use crate::telemetry;
use crate::topic::Topic;
use crate::values::name::{HERE_KEY, here_key_id, name};

pub(super) fn new(id: &str, lifetime: Option<Duration>) -> Result<(), Failure> {
    // What the configuration would refuse must not be printed for it.
    name(id).map_err(|expected| Failure::new(Topic::Usage, format!("--id: {expected}")))?;
    let (key, hash) = api_key::generate(api_key::PREFIX).map_err(no_randomness)?;
    let end = lifetime.map(|lifetime| SystemClock.now().after(lifetime).system_time());
    let expires =
        end.map_or_else(String::new, |end| format!("expires = {}\n", humantime::format_rfc3339_seconds(end)));
    // The key stands alone on the first line, for scripts.
    let text = Zeroizing::new(format!(
        "{}\n\n# Add this to the configuration file. It does not contain the key, which cannot be shown \
         again.\n\
         [[access.api_keys]]\nid = \"{id}\"\nsha256 = \"{hash}\"\n{expires}\
         # profiles = [\"NAME\"]    # default: the default profile\n",
        *key
    ));
    print(&text)
}

fn no_randomness(error: getrandom::Error) -> Failure {
    Failure::new(Topic::System, "the operating system provided no random data").caused_by(error.to_string())
}

/// Makes an access key for HERE's SDKs: `out/NAME.properties` for the client, and `out/NAME.secret` for the server.
pub(super) fn new_here(
    name: &str,
    out: &Path,
    url: Option<&str>,
    config: Option<PathBuf>,
) -> Result<(), Failure> {
    let id = if name.starts_with(HERE_KEY) { name.to_owned() } else { format!("{HERE_KEY}{name}") };
    here_key_id(&id).map_err(|expected| Failure::new(Topic::Usage, format!("--id: {expected}")))?;
    let origin = match url {
        Some(url) => origin_of(url)?,
        None => default_origin(config)?,
    };
    let (secret, _) = api_key::generate("").map_err(no_randomness)?;
    let unusable = |error| Failure::system(&format!("--out {}: cannot be used", out.display()))(error);
    system::new_folder().create(out).map_err(unusable)?;
    // The stanza must mean the same file wherever the configuration is, and nothing else.
    // On Windows, few programs know the canonical form of a path.
    let folder = if cfg!(windows) { std::path::absolute(out) } else { out.canonicalize() };
    let folder = folder.map_err(unusable)?;
    let folder = folder.to_str().filter(|folder| !folder.contains(char::is_control));
    let expected = "--out: expected a folder whose path is plain text";
    let folder = folder.ok_or_else(|| Failure::new(Topic::Usage, expected))?;
    let [properties, secret_file] =
        ["properties", "secret"].map(|end| format!("{folder}{MAIN_SEPARATOR}{name}.{end}"));

    create(Path::new(&secret_file), Zeroizing::new(format!("{}\n", *secret)).as_bytes())?;
    let text = Zeroizing::new(format!(
        "# An access key of a token provider, worth nothing at HERE. The first two are placeholders that no server reads.\n\
         here.user.id = not-used\n\
         here.client.id = not-used\n\
         here.access.key.id = {id}\n\
         here.access.key.secret = {}\n\
         here.token.endpoint.url = {origin}/oauth2/token\n",
        *secret
    ));
    // Half a key is of no use, and in the way of the next attempt.
    create(Path::new(&properties), text.as_bytes()).inspect_err(|_| drop(fs::remove_file(&secret_file)))?;
    // JSON's strings are TOML's, too.
    let quoted = serde_json::to_string(&secret_file).expect("text has a JSON form");
    print(&format!(
        "# For the client: {properties} (requests tokens at {origin}/oauth2/token)\n\
         # Add this to the configuration file of the server, whose user must be able to read the secret.\n\
         [[access.here_keys]]\nid = \"{id}\"\nsecret_file = {quoted}\n\
         # profiles = [\"NAME\"]    # the client gets the first; default: the default profile\n"
    ))
    .inspect_err(|_| drop([&secret_file, &properties].map(fs::remove_file)))
}

/// Writes a file for this user alone. The path is absolute.
fn create(file: &Path, text: &[u8]) -> Result<(), Failure> {
    let name = file.display();
    Place::new(file, Arc::default()).create(text).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::new(Topic::Usage, format!("{name} already exists and is not overwritten"))
        }
        _ => Failure::system(&format!("cannot create {name}"))(error),
    })
}

fn print(text: &str) -> Result<(), Failure> {
    io::stdout().write_all(text.as_bytes()).map_err(Failure::stdout)
}

/// Makes a private key for HERE in a new file, and prints its public half.
pub(super) fn new_issuer_key(file: &Path, algorithm: Option<&str>) -> Result<(), Failure> {
    let algorithm = match algorithm {
        Some("ES256") => SigningAlgorithm::Es256,
        _ => SigningAlgorithm::Rs256,
    };
    let failed = |error: LoadError| Failure::new(Topic::System, error.to_string());
    let pem = PrivateKey::generate_pem(algorithm).map_err(failed)?;
    let key = PrivateKey::from_pem(pem.expose_secret()).map_err(failed)?;
    create(file, pem.expose_secret().as_bytes())?;
    // Alone, for scripts. A key that nobody can register is of no use, and in the way of the next attempt.
    print(&format!("{}\n", key.public_jwk())).inspect_err(|_| drop(fs::remove_file(file)))?;
    let next = format!(
        "Created {path}. Register the public key (the JWK on stdout) with the app at HERE, then put these lines into the \
         credential file of the server, whose user must be able to read the key:\n\
         here.auth.method = private_key_jwt\n\
         here.client.id = CLIENT_ID_OF_THE_APP\n\
         here.private.key = {path}\n\
         here.key.id = {}\n",
        key.thumbprint(),
        // As `.properties` files have it.
        path = file.display().to_string().replace('\\', r"\\")
    );
    telemetry::log::write(Level::INFO, next.as_bytes());
    Ok(())
}

/// Reads `--url`: scheme, host and port. A path other than the endpoint's own would not be what this server sees, and
/// verifies.
fn origin_of(text: &str) -> Result<String, Failure> {
    let is_bare = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url[Position::BeforeUsername..Position::BeforeHost].is_empty()
            && matches!(&url[Position::BeforePath..], "/" | "/oauth2/token")
    };
    let url = Url::parse(text).ok().filter(is_bare);
    let expected =
        "--url: expected the server's URL, such as https://tokens.example.com:8443, without a path";
    url.map(|url| url.origin().ascii_serialization()).ok_or_else(|| Failure::new(Topic::Usage, expected))
}

/// Returns where the configured server is called: by its first public name, else at its first listener. A name without a port has
/// the listener's where clients reach the listener itself, and https's where something in front ends TLS.
fn default_origin(file: Option<PathBuf>) -> Result<String, Failure> {
    let overrides = Overrides { file: FileOption { config: file }, ..Overrides::default() };
    let config = Config::load(&overrides, &Environment::from_process())?;
    let (is_tls, listener) = (config.tls.is_some(), config.listen.first());
    let scheme = |is_tls| if is_tls { "https" } else { "http" };
    if let Some(host) = config.public_hosts.first() {
        let is_direct = config.access.trusted_proxy.is_none() && (is_tls || host.is_loopback());
        let port = match listener {
            Some(Listen::Tcp { port: port @ 1.., .. }) if is_direct && host.port.is_none() => {
                format!(":{port}")
            }
            _ => String::new(),
        };
        // Without the port that goes without saying.
        return origin_of(&format!("{}://{host}{port}", scheme(is_tls || !host.is_loopback())));
    }
    match listener {
        Some(listen @ Listen::Tcp { host, port: 1.. }) if !matches!(host, Host::Ip(ip) if ip.is_unspecified()) => {
            Ok(format!("{}://{listen}", scheme(is_tls)))
        }
        _ => Err(Failure::new(
            Topic::Usage,
            "--url: neither public_hosts nor the first listener says where clients call the server; pass its URL",
        )),
    }
}
