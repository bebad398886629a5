//! Web pages of strangers: those whose name was pointed at this machine (DNS rebinding), and those that just ask.

use super::super::support::wire::{Connection, request};
use super::{Target, assert_refusal};

#[tokio::test]
async fn name_that_was_pointed_at_this_machine_is_refused() {
    let target = Target::start("").await;
    let port = target.server.address.port();
    let hosts = [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        format!("EVIL.example.:{port}"),
        format!("127.0.0.1.evil.example:{port}"),
        format!("localhost.evil.example:{port}"),
        // A name that some resolvers take for this machine.
        format!("a.localhost:{port}"),
        // Reaches this machine on Linux; browsers let pages ask there long after they closed loopback to them.
        format!("0.0.0.0:{port}"),
        format!("[::]:{port}"),
        format!("192.168.0.1:{port}"),
        format!("xn--bcher-kva.example:{port}"),
    ];
    for host in &hosts {
        // To the browser, page and server have one origin: it leaves nothing out, and lets the page read the answer.
        let origin = format!("http://{host}");
        for headers in [
            format!("Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nReferer: {origin}/"),
            format!("Origin: {origin}\r\nSec-Fetch-Site: same-origin"),
            "Accept: */*".to_owned(),
        ] {
            let reply =
                target.send(&format!("GET /getToken HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n\r\n")).await;
            assert_eq!((reply.status, reply.error()), (403, "access_denied".to_owned()), "{host}: {reply:?}");
            assert!(reply.description().starts_with("host: "), "{reply:?}");
            assert_eq!(reply.header("access-control-allow-origin"), None, "{reply:?}");
        }
        let post = format!(
            "POST /oauth2/token HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: 29\r\n\r\ngrant_type=client_credentials"
        );
        assert_eq!(target.send(&post).await.status, 403, "{host}");
    }
    target.assert_nothing_happened();
    let lines = target.lines();
    assert_eq!(lines.len(), hosts.len() * 4);
    for line in &lines {
        assert_refusal(line, 403, "host", "127.0.0.1");
    }
    // Where the page says that it comes from, it is written down.
    assert!(lines.iter().any(|line| line["origin"] == "http://evil.example"), "{lines:?}");
}

#[tokio::test]
async fn foreign_page_is_refused_whatever_its_browser_sends() {
    let target = Target::start("[cors]\norigins = [\"https://maps.example.com\"]\n").await;
    let requests: [&[(&str, &str)]; 12] = [
        // fetch in mode cors, from a page on the web, in a sandboxed frame, and in a file.
        &[("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "cors")],
        &[("Origin", "null"), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "cors")],
        &[("Origin", "file://")],
        // An older browser, which sends `Origin` alone.
        &[("Origin", "https://evil.example")],
        &[("Origin", "https://maps.example.com.evil.example")],
        &[("Origin", "http://maps.example.com")],
        &[("Origin", "https://maps.example.com"), ("Origin", "https://evil.example")],
        // fetch in mode no-cors; a script, an image, a frame; a link.
        &[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "empty")],
        &[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "script")],
        &[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "iframe")],
        &[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")],
        // A page of another program on this machine.
        &[("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "image")],
    ];
    for headers in requests {
        let reply = target.get(headers).await;
        assert_eq!(
            (reply.status, reply.error()),
            (403, "access_denied".to_owned()),
            "{headers:?}: {reply:?}"
        );
        assert!(reply.description().starts_with("origin: "), "{reply:?}");
        assert_eq!(reply.header("access-control-allow-origin"), None, "{headers:?}: {reply:?}");
    }
    target.assert_nothing_happened();
    let lines = target.lines();
    assert_eq!(lines.len(), requests.len());
    for line in &lines {
        assert_refusal(line, 403, "origin", "127.0.0.1");
    }
    assert_eq!(lines[0]["origin"], "https://evil.example");
    assert_eq!(lines[1]["origin"], "null");
}

#[tokio::test]
async fn prefetch_is_refused_and_nothing_is_fetched_for_it() {
    let target = Target::start("[cors]\norigins = [\"*\"]\n").await;
    // What speculation rules and `<link rel=prefetch>` have Chromium send, and what browsers sent before.
    let ways = [
        ("Sec-Purpose", "prefetch"),
        ("Sec-Purpose", "prefetch;prerender"),
        ("Sec-Purpose", "prefetch;anonymous-client-ip"),
        ("sec-purpose", "Prefetch"),
        ("Purpose", "prefetch"),
        ("X-Moz", "prefetch"),
    ];
    let door = "POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                Content-Length: 29";
    for (name, value) in ways {
        for head in [
            "GET /getToken?ttl=86400 HTTP/1.1\r\nHost: localhost",
            "HEAD /getToken HTTP/1.1\r\nHost: localhost",
            "GET /readyz HTTP/1.1\r\nHost: localhost",
            "GET /oauth2/token HTTP/1.1\r\nHost: localhost",
            door,
        ] {
            let head =
                format!("{head}\r\n{name}: {value}\r\nSec-Fetch-Site: none\r\nConnection: close\r\n\r\n");
            let mut connection = Connection::open(target.server.address).await;
            connection.send(head.clone() + "grant_type=client_credentials").await;
            let reply = connection.reply_to(head.split(' ').next().unwrap_or_default()).await;
            assert_eq!(reply.status, 403, "{head}: {reply:?}");
            if !reply.body.is_empty() {
                assert!(reply.description().starts_with("prefetch: "), "{reply:?}");
            }
        }
    }
    target.assert_nothing_happened();
    // Pages give nothing away; and who types the address has no such header.
    for path in ["/", "/openapi.json", "/livez"] {
        let reply = request(target.server.address, "GET", path, &[("Sec-Purpose", "prefetch")]).await;
        assert_eq!(reply.status, 200, "{path}");
    }
    assert_eq!(target.get(&[("Sec-Fetch-Site", "none"), ("Purpose", "other")]).await.status, 200);
    let lines = target.lines();
    assert_eq!(lines.len(), ways.len() * 5 + 1);
    for line in &lines[..ways.len() * 5] {
        assert_refusal(line, 403, "prefetch", "127.0.0.1");
    }
}
