//! The names by which a request calls this server (`Host`) and its page (`Origin`), each as one text. Two spellings of
//! one name must compare equal, and a browser (here: the `url` crate) must read the name as we do, or an access rule
//! can be walked around.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use token_provider_server::parts::config::{Origin, PublicHost};
use url::{Host, Url};

/// One run.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(host) = PublicHost::parse(text) {
        check_host(text, &host);
    }
    if let Some(origin) = Origin::parse(text) {
        check_origin(text, &origin);
    }
}

fn check_host(text: &str, host: &PublicHost) {
    assert_eq!(PublicHost::parse(&host.to_string()).as_ref(), Some(host), "reads back");
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.[]:".contains(&byte);
    let name = host.name.to_string();
    assert!(!name.is_empty() && name.bytes().all(is_plain) && !name.ends_with('.'), "{host:?}");
    if text.is_ascii() {
        assert_eq!(PublicHost::parse(&text.to_ascii_uppercase()).as_ref(), Some(host), "in capitals");
    }

    let url = Url::parse(&format!("http://{text}/")).expect("a browser takes it, too");
    assert_eq!(url.path(), "/", "nothing but a host and a port");
    assert_eq!(url.host_str().map(without_dot), Some(name.as_str()), "a browser calls it the same");
    assert_eq!(url.port_or_known_default(), host.port.or(Some(80)));

    let address = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address).to_canonical()),
        _ => None,
    };
    let is_loopback = name == "localhost" || address.is_some_and(|address| address.is_loopback());
    assert_eq!(host.is_loopback(), is_loopback, "{host:?}");
    let some =
        [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST), Ipv4Addr::new(10, 0, 0, 1).into()];
    for other in some.into_iter().chain(address) {
        assert_eq!(host.is_address(other), address == Some(other), "{host:?} {other}");
    }
}

fn check_origin(text: &str, origin: &Origin) {
    let shown = origin.to_string();
    assert_eq!(Origin::parse(&shown).as_ref(), Some(origin), "reads back: {shown}");
    let (_, rest) = text.split_once("://").expect("has a scheme");
    let at = PublicHost::parse(rest).expect("the rest is what a Host header would say");
    assert!(origin.is_at(&at), "{shown} is at {at}");
    let elsewhere = PublicHost { port: Some(at.port.unwrap_or_default() ^ 0x4001), ..at };
    assert!(!origin.is_at(&elsewhere), "{shown} is not at {elsewhere}");

    if shown.starts_with("http://") || shown.starts_with("https://") {
        let url = Url::parse(text).expect("a browser takes it, too");
        assert_eq!(url.path(), "/", "nothing after the port");
        let theirs = url.origin().ascii_serialization();
        let theirs = Url::parse(&theirs).expect("is an origin");
        let ours = Url::parse(&shown).expect("is an origin");
        assert_eq!(theirs.scheme(), ours.scheme());
        assert_eq!(theirs.host_str().map(without_dot), ours.host_str());
        assert_eq!(theirs.port_or_known_default(), ours.port_or_known_default());
    }
}

/// The dot of a name that is spelled out in full; we drop it.
fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}
