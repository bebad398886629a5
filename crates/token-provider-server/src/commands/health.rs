//! `health`: asks the running server whether it is ready, where there is no shell or curl to do so, as in a container's health
//! check.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use crate::config::{Config, Listen, LoadedConfig};
use crate::failure::Failure;
use crate::outbound;
use crate::printable::excerpt;
use crate::topic::Topic;

/// `/readyz` answers within 0.8 s, be it with a no; the rest is for a machine that is busy.
const TIMEOUT: Duration = Duration::from_secs(3);

/// An answer is not read beyond this: something else may have taken the port.
const MAX_ANSWER: usize = 16 * 1024;

pub(super) async fn run(loaded: LoadedConfig, live: bool) -> Result<(), Failure> {
    let (listen, origin) = place(&loaded.config).ok_or_else(|| {
        let message = "no configured listener has a fixed port or path; pass one with --listen";
        Failure::new(Topic::Usage, message)
    })?;
    let (path, word) = if live { ("/livez", "live\n") } else { ("/readyz", "ready\n") };
    let unanswered =
        |error| Failure::new(Topic::Unanswered, format!("no server answers at {listen}")).caused_by(error);
    let answer = get(listen, origin + path).await.map_err(unanswered)?;
    let status = answer.status().as_u16();
    if status != 200 {
        let problem = serde_json::from_slice(&body_of(answer).await).unwrap_or(Value::Null);
        // An answer of something else gives no reason.
        let reason = problem.get("error_description").and_then(Value::as_str);
        let reason = reason.map(|reason| format!(": {}", excerpt(reason))).unwrap_or_default();
        let message = format!("the server at {listen} is not ready: HTTP {status}{reason}");
        return Err(Failure::new(Topic::NotReady, message));
    }
    std::io::stdout().write_all(word.as_bytes()).map_err(Failure::stdout)
}

/// Returns whether a token provider answers there.
pub(super) async fn is_ours(listen: &Listen, is_tls: bool) -> bool {
    let Some(origin) = origin(listen, is_tls) else { return false };
    let Ok(answer) = get(listen, origin + "/livez").await else { return false };
    answer.status() == 200
        && answer.headers().contains_key("x-request-id")
        && body_of(answer).await == b"live\n"
}

/// Returns the body of an answer; nothing where it breaks off or is too long to be ours.
async fn body_of(answer: reqwest::Response) -> Vec<u8> {
    outbound::body(answer, MAX_ANSWER).await.ok().flatten().unwrap_or_default()
}

/// The first listener with a fixed address; all of them lead to the same server.
fn place(config: &Config) -> Option<(&Listen, String)> {
    config.listen.iter().find_map(|listen| Some((listen, origin(listen, config.tls.is_some())?)))
}

/// Returns where a server on this machine can be called; `None` where the system chooses the address.
fn origin(listen: &Listen, is_tls: bool) -> Option<String> {
    let scheme = if is_tls { "https" } else { "http" };
    match listen {
        Listen::Unix(_) => Some("http://localhost".to_owned()),
        Listen::Systemd(_) | Listen::Tcp { port: 0, .. } => None,
        Listen::Tcp { host, port } => Some(format!("{scheme}://{}", SocketAddr::new(host.callable(), *port))),
    }
}

async fn get(listen: &Listen, url: String) -> reqwest::Result<reqwest::Response> {
    // This connects to the local machine by address, which its certificate need not cover. Nothing secret is sent, and
    // only the status is used.
    let client = outbound::client(TIMEOUT).tls_danger_accept_invalid_certs(true);
    let client = match listen {
        #[cfg(unix)]
        Listen::Unix(place) => client.unix_socket(place.path.as_path()),
        _ => client,
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
            #[cfg(all(target_os = "linux", not(portable)))]
            ("[\"systemd\", \"localhost:0\", \"127.0.0.1:1\"]", Some("127.0.0.1:1")),
            #[cfg(all(target_os = "linux", not(portable)))]
            ("[\"systemd\"]", None),
        ] {
            let file = (Path::new("c.toml"), format!("listen = {listen}\naccess.anonymous = true"));
            let config =
                Config::parse(Some((file.0, &file.1)), &Environment::default(), &Overrides::default());
            let config = config.expect("is well-formed");
            let found = place(&config).map(|(_, origin)| origin);
            let expected = expected.map(|address| format!("http://{address}"));
            assert_eq!(found, expected, "{listen}");
        }
    }
}
