//! Where tokens are kept outside the process (`[store]`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use url::{Position, Url};

use super::outputs::normal;
use crate::settings::Section;
use crate::values::duration::{digits, duration};

/// A file system or a server nearby answers in milliseconds while it is well, and a cold caller waits for two or three operations.
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(150);
/// A caller without a token may have to wait for several.
const TIMEOUTS: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(2)];

/// Where tokens are kept outside the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// As configured. It has no user and no password.
    pub url: String,
    /// What the records are in.
    pub place: StorePlace,
    /// File with the keys that records are encrypted with.
    pub key_file: PathBuf,
    /// PEM file with the certificate authorities that are trusted instead of the system's.
    pub ca: Option<PathBuf>,
    /// PEM file with the client certificate.
    pub cert: Option<PathBuf>,
    /// PEM file with its private key.
    pub key: Option<PathBuf>,
    /// The ACL user; without it the user that the server calls `default`.
    pub user: Option<String>,
    /// File with the password.
    pub password_file: Option<PathBuf>,
    /// How long an operation may take.
    pub timeout: Duration,
}

/// What the records of a store are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorePlace {
    /// A folder, by its absolute path.
    Folder(PathBuf),
    /// Valkey or Redis.
    Valkey {
        /// What is at the addresses.
        topology: Topology,
        /// Where to connect to, one place at least: `redis://`, or `rediss://` for TLS, with a host and a port.
        nodes: Vec<Url>,
    },
}

/// What is at the addresses in the URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topology {
    /// The server.
    Standalone,
    /// Some servers of a cluster.
    Cluster,
    /// Sentinels, which know the server of this name.
    Sentinel(String),
}

impl StoreConfig {
    /// Returns those of its files that nobody else may read.
    pub fn secrets(&self) -> impl Iterator<Item = &PathBuf> {
        [Some(&self.key_file), self.key.as_ref(), self.password_file.as_ref()].into_iter().flatten()
    }

    /// Returns the files that it names, and the folder.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let folder = if let StorePlace::Folder(folder) = &self.place { Some(folder) } else { None };
        self.secrets().chain([folder, self.ca.as_ref(), self.cert.as_ref()].into_iter().flatten())
    }
}

impl StorePlace {
    /// Returns whether connections are encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Valkey { nodes, .. } if nodes.iter().all(|node| node.scheme() == "rediss"))
    }
}

/// Reads `[store]`.
pub(super) fn read(mut section: Section<'_>) -> Option<StoreConfig> {
    let place = section.text("url", url);
    let key_file = section.path("key_file");
    let timeout = section.text_or_number("timeout", timeout).unwrap_or(DEFAULT_TIMEOUT);
    let (ca, cert, key) = (section.path("ca"), section.path("cert"), section.path("key"));
    let (user, password_file) = (section.text("user", user), section.path("password_file"));
    section.need(&[
        ("url", "\"file:\" and the absolute path of a folder, or the URL of Valkey or Redis"),
        ("key_file", "the path of the file with the store's keys"),
    ]);
    let (url, place) = place?;
    judge(&section, &place);
    Some(StoreConfig { url, place, key_file: key_file?, ca, cert, key, user, password_file, timeout })
}

/// Reports the keys that have no meaning beside the URL, or without another key.
fn judge(section: &Section<'_>, place: &StorePlace) {
    const FOR_SERVERS: &str = "cannot be combined with a folder in url: it is for Valkey or Redis";
    const FOR_TLS: &str = "requires TLS: write rediss:// in url, with two s";
    let is_folder = matches!(place, StorePlace::Folder(_));
    for (key, other, message) in [
        ("ca", "ca", ""),
        ("cert", "key", "requires key, the path of its private key"),
        ("key", "cert", "requires cert, the path of its certificate"),
        ("user", "password_file", "requires password_file, the path of the file with the user's password"),
        ("password_file", "password_file", ""),
    ] {
        let needs_tls = matches!(key, "ca" | "cert" | "key");
        let problem = match section.is_set(other) {
            _ if is_folder => FOR_SERVERS,
            _ if needs_tls && !place.is_tls() => FOR_TLS,
            true => continue,
            false => message,
        };
        if section.is_set(key) {
            section.error(key, problem);
        }
    }
}

fn url(text: &str) -> Result<(String, StorePlace), &'static str> {
    place(text).map(|place| (text.to_owned(), place))
}

fn place(text: &str) -> Result<StorePlace, &'static str> {
    const EXPECTED: &str = "expected \"file:\" and the absolute path of a folder, such as \"file:/var/lib/token-provider/store\", \
                            or the URL of Valkey or Redis, such as \"rediss://valkey.example.com:6379\"";
    let Some(path) = text.strip_prefix("file:") else {
        let url = Url::parse(text).map_err(|_| EXPECTED)?;
        let (scheme, kind) = url.scheme().split_once('-').unwrap_or_else(|| (url.scheme(), ""));
        let scheme = match scheme {
            "redis" | "valkey" => "redis",
            "rediss" | "valkeys" => "rediss",
            _ => return Err(EXPECTED),
        };
        if !cfg!(feature = "store") {
            return Err("this program was built without Valkey and Redis (cargo feature `store`)");
        }
        return valkey(&url, scheme, kind)?.ok_or(EXPECTED);
    };
    // As in a whole URL: `file:///var/lib`. What is between two slashes and the third is a host.
    let path = path.strip_prefix("//").unwrap_or(path);
    let path = Path::new(path);
    let is_folder = path.is_absolute() && path.parent().is_some() && !text.contains('\0');
    is_folder.then(|| StorePlace::Folder(normal(path))).ok_or(EXPECTED)
}

/// Reads the URL of Valkey or Redis. `None` if there is no such kind of it. Messages name the URL later, so nothing in it may be a
/// secret.
fn valkey(url: &Url, scheme: &str, kind: &str) -> Result<Option<StorePlace>, &'static str> {
    let port = if kind == "sentinel" { 26379 } else { 6379 };
    if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
        return Err("expected nothing after the host and port: there is no database to choose");
    }
    let (mut nodes, mut service) =
        (vec![node(scheme, &url[Position::BeforeUsername..Position::AfterPort], port)?], None);
    for (key, value) in url.query_pairs() {
        match &*key {
            "node" if !kind.is_empty() => nodes.push(node(scheme, &value, port)?),
            "sentinelServiceName" if !value.is_empty() => service = Some(value.into_owned()),
            "sentinelServiceName" => {}
            _ => return Err("expected no parameters but, for a cluster and for Sentinel, node=HOST:PORT"),
        }
    }
    let topology = match (kind, service) {
        ("", None) => Topology::Standalone,
        ("cluster", None) => Topology::Cluster,
        ("sentinel", Some(name)) => Topology::Sentinel(name),
        ("sentinel", None) => {
            return Err("expected \"?sentinelServiceName=\" and the name that Sentinel has for the server");
        }
        _ => return Ok(None),
    };
    Ok(Some(StorePlace::Valkey { topology, nodes }))
}

fn node(scheme: &str, authority: &str, port: u16) -> Result<Url, &'static str> {
    const EXPECTED: &str = "expected a host, or a host and a port, such as \"valkey.example.com:6379\"";
    if authority.contains('@') {
        return Err("expected a URL without user name and password: they belong in user and password_file");
    }
    let mut node = Url::parse(&format!("{scheme}://{authority}")).map_err(|_| EXPECTED)?;
    let is_host = node.has_host() && node[Position::AfterPort..].is_empty();
    // Only a URL without a host takes no port.
    let _ = node.set_port(Some(node.port().unwrap_or(port)));
    is_host.then_some(node).ok_or(EXPECTED)
}

/// Valkey takes any name without spaces.
fn user(text: &str) -> Result<String, &'static str> {
    let is_name = !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control());
    is_name.then(|| text.to_owned()).ok_or("expected the name of an ACL user, without spaces")
}

fn timeout(text: &str) -> Result<Duration, &'static str> {
    let milliseconds = text.strip_suffix("ms").and_then(digits).map(Duration::from_millis);
    let timeout = milliseconds.or_else(|| duration(text).ok());
    let [shortest, longest] = TIMEOUTS;
    timeout
        .filter(|timeout| (shortest..=longest).contains(timeout))
        .ok_or("expected a duration from 10ms to 2s, such as \"150ms\"")
}
