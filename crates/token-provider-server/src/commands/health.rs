//! `health`: asks the running server whether it is ready, for whoever starts and stops it without a shell or curl at
//! hand, such as a container's health check.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::failure::Failure;
use crate::config::{Config, Listen};
use crate::outbound;
use crate::printable::excerpt;
use crate::reload::Settings;

/// `/readyz` answers within 0.8 s, be it with a no; the rest is for a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(3);

/// An answer is not read beyond this: something else may have taken the port.
const MAX_ANSWER: usize = 16 * 1024;

/// What the server says when it is not ready.
#[derive(Deserialize)]
struct Problem {
    error_description: String,
}

/// Where a server on this machine can be asked.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

pub(super) async fn run(settings: Settings, live: bool) -> Result<(), Failure> {
    let config = &settings.config;
    let (listen, place) = place(config)?;
    let failed = |source| Failure::Unanswered { listen: listen.to_string(), source };
    let (path, word) = if live { ("/livez", "live\n") } else { ("/readyz", "ready\n") };
    let answer = ask(&place, path, config.tls.is_some()).await.map_err(failed)?;
    let status = answer.status().as_u16();
    if status != 200 {
        let problem = serde_json::from_slice::<Problem>(&body_of(answer).await).ok();
        let reason = problem.map(|problem| format!(": {}", excerpt(problem.error_description)));
        let reason = reason.unwrap_or_default();
        return Err(Failure::NotReady { listen: listen.to_string(), status, reason });
    }
    std::io::stdout().write_all(word.as_bytes()).map_err(Failure::system("cannot write to stdout"))
}

/// Returns whether a server of ours answers there.
pub(super) async fn is_ours(listen: &Listen, is_tls: bool) -> bool {
    let Some(place) = Place::of(listen) else { return false };
    match ask(&place, "/livez", is_tls).await {
        Ok(answer) => {
            answer.status() == 200
                && answer.headers().contains_key("x-request-id")
                && body_of(answer).await == b"live\n"
        }
        Err(_) => false,
    }
}

/// What a server of ours says; nothing, where the answer breaks off or is longer than ours are.
async fn body_of(answer: reqwest::Response) -> Vec<u8> {
    outbound::body(answer, MAX_ANSWER).await.ok().flatten().unwrap_or_default()
}

/// The first listener of which the configuration says where it is: all of them lead to one server.
fn place(config: &Config) -> Result<(&Listen, Place), Failure> {
    let place = |listen| Some((listen, Place::of(listen)?));
    config.listen.iter().find_map(place).ok_or_else(|| {
        Failure::Usage(
            "no listener has a port or a path that the configuration names; name one with --listen"
                .to_owned(),
        )
    })
}

impl Place {
    /// `None` for what the system chooses.
    fn of(listen: &Listen) -> Option<Self> {
        let (host, port) = match listen {
            Listen::Unix(place) => return Some(Self::Unix(place.path.clone())),
            Listen::Systemd(_) | Listen::Tcp { port: 0, .. } => return None,
            Listen::Tcp { host, port } => (host, *port),
        };
        Some(Self::Tcp(SocketAddr::new(host.callable(), port)))
    }
}

async fn ask(place: &Place, path: &str, is_tls: bool) -> reqwest::Result<reqwest::Response> {
    // It is this machine: its certificate does not speak of addresses. Nothing secret is sent, and all that is believed is
    // a status.
    let client = outbound::client(PATIENCE).tls_danger_accept_invalid_certs(true);
    let (client, url) = match place {
        Place::Tcp(address) if is_tls => (client, format!("https://{address}{path}")),
        Place::Tcp(address) => (client, format!("http://{address}{path}")),
        Place::Unix(socket) => (client.unix_socket(socket.as_path()), format!("http://localhost{path}")),
    };
    client.build()?.get(url).send().await
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Environment, Overrides};

    #[test]
    fn listener_is_asked_at_an_address_that_can_be_called() {
        for (listen, expected) in [
            ("[\"localhost:3000\"]", Some("127.0.0.1:3000")),
            ("[\"0.0.0.0:8443\"]", Some("127.0.0.1:8443")),
            ("[\"[::]:8443\"]", Some("[::1]:8443")),
            ("[\"192.0.2.7:80\"]", Some("192.0.2.7:80")),
            ("[\"systemd\", \"localhost:0\", \"127.0.0.1:1\"]", Some("127.0.0.1:1")),
            ("[\"systemd\"]", None),
        ] {
            let file = (Path::new("c.toml"), format!("listen = {listen}\naccess.anonymous = true"));
            let config =
                Config::parse(Some((file.0, &file.1)), &Environment::default(), &Overrides::default());
            let config = config.expect("is well-formed");
            let found = place(&config).ok().map(|(_, place)| place);
            let expected = expected.map(|address| Place::Tcp(address.parse().expect("is one")));
            assert_eq!(found, expected, "{listen}");
        }
    }
}
