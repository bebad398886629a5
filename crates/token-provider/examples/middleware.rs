//! A `reqwest` client that puts a fresh token on every request to HERE's hosts, as middleware.
//!
//! The tokens come from a running token-provider; `API_KEY` is its API key, where it wants one:
//!
//! ```text
//! token-provider serve --sandbox      # says where its offline HERE account is
//! cargo run -p token-provider --example middleware -- http://localhost:3000/getToken http://127.0.0.1:8080/hello
//! ```

#![expect(clippy::print_stdout, reason = "a command: what it reads goes to stdout")]

use std::error::Error;

use http::Extensions;
use reqwest::header::AUTHORIZATION;
use reqwest::{Request, Response};
use reqwest_middleware::{ClientBuilder, Middleware, Next};
use token_provider::{RemoteIssuer, RemoteIssuerConfig, TokenProvider};

/// Puts a token on requests to these hosts, and on no others: it must not reach anyone else.
struct Authorize {
    provider: TokenProvider,
    hosts: Vec<String>,
}

#[async_trait::async_trait]
impl Middleware for Authorize {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        if request.url().host_str().is_some_and(|host| self.hosts.iter().any(|known| known == host)) {
            // At once while a usable token is held; no need to keep it here.
            let token = self.provider.token().await.map_err(reqwest_middleware::Error::middleware)?;
            request.headers_mut().insert(AUTHORIZATION, token.header_value());
        }
        next.run(request, extensions).await
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let from = arguments.next().ok_or("usage: middleware TOKEN_PROVIDER_URL URL…")?;
    let urls = arguments.map(|url| url.parse()).collect::<Result<Vec<url::Url>, _>>()?;

    let mut issuer = RemoteIssuerConfig::new(&from)?;
    #[expect(
        clippy::disallowed_methods,
        reason = "a program may read its own environment; the library does not"
    )]
    if let Ok(key) = std::env::var("API_KEY") {
        issuer.bearer = Some(key.into());
    }
    let provider = TokenProvider::new(RemoteIssuer::new(issuer)?);
    let hosts = urls.iter().filter_map(|url| url.host_str().map(str::to_owned)).collect();
    let client =
        ClientBuilder::new(reqwest::Client::builder().build()?).with(Authorize { provider, hosts }).build();

    for url in urls {
        let response = client.get(url.clone()).send().await?;
        println!("{} {url}: {} bytes", response.status().as_u16(), response.bytes().await?.len());
    }
    Ok(())
}
