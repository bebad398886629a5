//! The way to the endpoint: no connection, no TLS, and proxies.

use std::process::Command;
use std::time::Duration;

use secrecy::SecretString;
use token_provider::{
    Credential, HereIssuer, HereIssuerConfig, Issue as _, RemoteIssuer, RemoteIssuerConfig, ReportOutcome,
    Scope, TokenError, TokenErrorKind, TokenKey, TokenProvider,
};
use tokio::net::{TcpSocket, TcpStream};

use crate::leaks;
use crate::wire::{Endpoint, Reply, SECRET, hour, token};

/// Asks once, at a URL that nothing good can come from.
async fn failure(url: &str) -> TokenError {
    leaks::listen();
    let credential = Credential::new("key-id", SecretString::from(SECRET))
        .and_then(|credential| credential.with_token_endpoint_url(url))
        .expect("is well-formed");
    let issuer = HereIssuer::new(HereIssuerConfig::new(credential)).expect("TLS can be set up");
    let error = issuer.issue(&hour()).await.expect_err("no token came");
    leaks::assert_hidden(&leaks::rendered(&error));
    error
}

#[tokio::test]
async fn refused_connection_says_what_to_check() {
    let socket = TcpSocket::new_v4().expect("can be made");
    socket.bind("127.0.0.1:0".parse().expect("is an address")).expect("loopback has a free port");
    // Bound, so that nobody else takes the port, and not listening.
    let error = failure(&format!("http://{}/oauth2/token", socket.local_addr().expect("is bound"))).await;
    assert_eq!(error.kind(), TokenErrorKind::Unreachable);
    assert_eq!(
        error.to_string(),
        "no connection to the token endpoint; check here.token.endpoint.url, the network and HTTPS_PROXY"
    );
    assert!(error.causes().is_some_and(|causes| causes.contains("refused")), "{error:?}");
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn connection_that_does_not_come_about_is_given_up() {
    // Linux drops what would overflow a listener's queue, which looks like a host that is not there.
    let socket = TcpSocket::new_v4().expect("can be made");
    socket.bind("127.0.0.1:0".parse().expect("is an address")).expect("loopback has a free port");
    let listener = socket.listen(0).expect("can be listened on");
    let address = listener.local_addr().expect("is bound");
    let _queued = TcpStream::connect(address).await.expect("is queued");
    let error = failure(&format!("http://{address}/oauth2/token")).await;
    assert_eq!(error.kind(), TokenErrorKind::TimedOut, "{error:?}");
    assert_eq!(
        error.to_string(),
        "no connection to the token endpoint within 3 s; check the network and HTTPS_PROXY"
    );
}

/// Two issuers at one server, one of them with a query in its URL: each asks for its own.
#[tokio::test]
async fn other_token_provider_is_asked_for_profile_scope_and_lifetime() {
    let endpoint = Endpoint::start(|_, _| Reply::Close(token(300))).await;
    let key = TokenKey::new(Duration::from_secs(300)).expect("is in range");
    let scoped = key.clone().with_scope(Some(Scope::new("a scope").expect("is one")));
    for (url, profile, key, expected) in [
        ("", None, &key, "?ttl=300"),
        ("", Some("maps & more"), &key, "?profile=maps+%26+more&ttl=300"),
        ("?a=b", Some("traffic"), &scoped, "?a=b&profile=traffic&ttl=300&scope=a+scope"),
    ] {
        let mut config = RemoteIssuerConfig::new(&(endpoint.url.clone() + url)).expect("is on this machine");
        config.profile = profile.map(str::to_owned);
        let issuer = RemoteIssuer::new(config).expect("can be made");
        issuer.issue(key).await.expect("a token came");
        let asked = endpoint.requests().pop().expect("was asked").head;
        assert!(asked.starts_with("GET ") && asked.contains(&format!("{expected} HTTP/1.1")), "{asked}");
    }
}

/// A token with a number in it, and with characters that a form has to encode.
fn numbered(number: usize) -> String {
    let body = format!(r#"{{"access_token":"a+b/{number}=","token_type":"Bearer","expires_in":300}}"#);
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn other_token_provider_learns_of_a_refused_token_before_it_is_asked_for_another() {
    let endpoint = Endpoint::start(|number, request| {
        let is_report = request.head.starts_with("POST ");
        let taken = || "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned();
        Reply::Close(if is_report { taken() } else { numbered(number) })
    })
    .await;
    let url = endpoint.url.replace("/oauth2/token", "/base/getToken?a=b");
    let mut config = RemoteIssuerConfig::new(&url).expect("is on this machine");
    (config.profile, config.bearer) = (Some("maps".to_owned()), Some("planted-key".into()));
    let issuer = RemoteIssuer::new(config).expect("can be made");
    let provider = TokenProvider::new(issuer);
    let first = provider.token().await.expect("is handed out");
    assert_eq!((first.expose_secret(), provider.report(&first)), ("a+b/1=", ReportOutcome::Accepted));
    while provider.token().await.expect("is held").fingerprint() == first.fingerprint() {
        tokio::task::yield_now().await;
    }
    let requests = endpoint.requests();
    let heads: Vec<_> = requests.iter().filter_map(|request| request.head.lines().next()).collect();
    let ask = "GET /base/getToken?a=b&profile=maps&ttl=3600 HTTP/1.1";
    assert_eq!(heads, [ask, "POST /base/oauth2/revoke HTTP/1.1", ask]);
    let report = &requests[1];
    assert_eq!(report.body, "token=a%2Bb%2F1%3D");
    let head = report.head.to_ascii_lowercase();
    assert!(head.contains("authorization: bearer planted-key"), "{head}");
    assert!(head.contains("content-type: application/x-www-form-urlencoded"), "{head}");
}

#[tokio::test]
async fn server_that_takes_no_reports_is_asked_for_another_token_all_the_same() {
    leaks::listen();
    for gone in ["HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", ""] {
        let endpoint = Endpoint::start(move |number, request| {
            let is_report = request.head.starts_with("POST ");
            Reply::Close(if is_report { gone.to_owned() } else { numbered(number) })
        })
        .await;
        let config = RemoteIssuerConfig::new(&endpoint.url).expect("is on this machine");
        let provider = TokenProvider::new(RemoteIssuer::new(config).expect("can be made"));
        let first = provider.token().await.expect("is handed out");
        assert_eq!(provider.report(&first), ReportOutcome::Accepted);
        while provider.token().await.expect("is held").fingerprint() == first.fingerprint() {
            tokio::task::yield_now().await;
        }
        assert!(endpoint.requests().iter().any(|request| request.head.starts_with("POST ")));
    }
}

#[tokio::test]
async fn extra_ca_that_is_none_is_refused() {
    let endpoint = Endpoint::start(|_, _| Reply::Close(token(3599))).await;
    for pem in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let mut config = HereIssuerConfig::new(endpoint.credential());
        config.network.extra_ca_pem = Some(pem.into());
        let error = HereIssuer::new(config).err();
        assert!(error.is_some(), "{pem:?}");
        assert!(error.is_some_and(|error| !leaks::rendered(&error.into()).contains("AAAA")));
    }
}

/// Set for the process that [`environment_decides_on_the_proxy`] starts.
const ENDPOINT_VARIABLE: &str = "TOKEN_PROVIDER_TEST_ENDPOINT";

/// The other half of the next test: asks once, in its own environment.
#[tokio::test]
async fn asks_as_its_environment_says() {
    #[expect(clippy::disallowed_methods, reason = "how the other half of the test tells this one what to do")]
    let Ok(url) = std::env::var(ENDPOINT_VARIABLE) else {
        return;
    };
    let credential = Credential::new("key-id", SecretString::from(SECRET))
        .and_then(|new| new.with_token_endpoint_url(&url));
    let issuer = HereIssuer::new(HereIssuerConfig::new(credential.expect("is well-formed")))
        .expect("TLS can be set up");
    let answer = issuer.issue(&hour()).await;
    assert_eq!(answer.is_ok(), url.starts_with("http://"), "{answer:?}");
}

#[tokio::test]
async fn environment_decides_on_the_proxy() {
    // Answers `CONNECT` with a refusal, so that nothing leaves this machine; and plain requests as an endpoint does.
    let proxy = Endpoint::start(|_, request| {
        if request.head.starts_with("CONNECT") {
            Reply::Close("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n".to_owned())
        } else {
            Reply::Close(token(3599))
        }
    })
    .await;
    let endpoint = Endpoint::start(|_, _| Reply::Close(token(3599))).await;
    let proxy_url = proxy.url.replace("/oauth2/token", "");
    for url in ["https://account.api.here.invalid/oauth2/token", &endpoint.url] {
        let mut child = Command::new(std::env::current_exe().expect("is known"));
        child
            .args(["network::asks_as_its_environment_says", "--exact", "--nocapture"])
            .env(ENDPOINT_VARIABLE, url)
            .envs([("HTTPS_PROXY", &proxy_url), ("HTTP_PROXY", &proxy_url)])
            // The system's certificates are needed where TLS is spoken, and only there: a plain endpoint does without.
            .envs(
                url.starts_with("http://")
                    .then_some([("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")])
                    .into_iter()
                    .flatten(),
            )
            .env_remove("NO_PROXY")
            .env_remove("no_proxy");
        let output = tokio::task::spawn_blocking(move || child.output()).await.expect("did not panic");
        let output = output.expect("is this very program");
        assert!(output.status.success(), "{output:?}");
    }
    let heads: Vec<String> = proxy.requests().into_iter().map(|request| request.head).collect();
    assert_eq!(heads.len(), 1, "the endpoint on loopback is asked directly: {heads:?}");
    assert!(heads[0].starts_with("CONNECT account.api.here.invalid:443 HTTP/1.1\r\n"), "{heads:?}");
    assert_eq!(endpoint.requests().len(), 1);
}
