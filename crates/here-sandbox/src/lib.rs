//! An offline HERE account: a token endpoint that checks signatures as strictly as HERE does, and
//! misbehaves on request.
//!
//! It stands in for `account.api.here.com` in tests, demonstrations and on machines without a network. A
//! signer that HERE would refuse is refused here, too, with HERE's error codes and bodies; the verification
//! is this crate's own code and shares nothing with the library that signs, so that one mistake cannot hide
//! in both.
//!
//! | route | what it is |
//! |---|---|
//! | `POST /oauth2/token` | an access token for an OAuth 1.0a signed request (RFC 5849) or a client assertion (RFC 7523), JSON or form body |
//! | `GET /timestamp` | the account's clock: `{"timestamp": <epoch seconds>}` |
//! | `POST /verify/accessToken` | 204 for a token that holds, 401 for one that does not |
//! | `/lookup/v1`, `/config/v1`, `/metadata/v1`, `/query/v1`, `/blobstore/v1` | the part of HERE's Data API that reading a versioned layer takes, over a fictional city; open to web pages |
//! | `GET /hello` | a small protected resource, open to web pages (CORS), so that a token can be seen to work |
//! | `GET`, `PUT`, `DELETE /sandbox/faults` | [faults](Fault) on request; loopback only |
//! | `GET /sandbox/stats` | [counts of requests](Stats); loopback only |
//!
//! ```
//! use here_sandbox::{Fault, Sandbox, SandboxConfig};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let sandbox = Sandbox::new(SandboxConfig::generate());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let token_url = format!("http://{}/oauth2/token", listener.local_addr()?);
//!
//! // What HERE's portal offers as a download, for this account.
//! let file = sandbox.credentials_properties(&token_url);
//! assert!(file.contains("here.access.key.secret = "));
//!
//! // The next token request is answered 503, the one after it as usual.
//! sandbox.faults().inject(Fault { status: Some(503), count: Some(1), ..Fault::default() });
//!
//! tokio::spawn(async move { sandbox.serve(vec![listener]).await });
//! # Ok(())
//! # }
//! ```
//!
//! # What is HERE's and what is assumed
//!
//! HERE publishes its error codes, the signature method and the token's lifetime limits; its public SDKs
//! show the two body forms, both header layouts, the shape of answers, errors and tokens. Where neither
//! says anything the sandbox takes the stricter reading:
//!
//! - the timestamp window is 300 s;
//! - `oauth_version` must be present, although RFC 5849 makes it optional: every SDK sends it;
//! - `oauth_nonce` may hold unreserved characters only: nonces that need percent-encoding are reported to
//!   fail at HERE;
//! - HMAC-SHA1 is refused (401205), and so is an access token in `oauth_token`;
//! - an access key id that does not exist is answered like a wrong secret (401300);
//! - a scope that the [app](App) may not have, or must have and has not, is 400927 of the field `scope`;
//! - a client assertion has `exp` and `iat`, lives for 10 minutes at most, and may come 300 s before its `iat`; otherwise it is
//!   answered like one that has expired (401933). Its `jti` has at most 256 bytes. One for another client id gets 404660.
//!
//! For a URL with a query it is more lenient, see [`SignatureForm`].
//!
//! Tokens look like HERE's, but their signature is a MAC under a key derived from the access key secret:
//! only this sandbox, or one started with the same first access key, can verify them.

#![forbid(unsafe_code)]

mod app;
mod assertion;
mod base_url;
pub mod cli;
mod clock;
mod config;
mod data;
mod fault;
mod grant;
mod http;
mod nonce;
mod oauth;
mod percent;
mod problem;
mod random;
mod sandbox;
mod scope;
mod serve;
mod signature;
mod stats;
mod token;

pub use app::{App, AppRefusal};
pub use config::SandboxConfig;
pub use fault::{Fault, FaultBody, FaultControl, HangUp, Target};
pub use problem::NumberSpelling;
pub use sandbox::Sandbox;
pub use secrecy::SecretString;
pub use signature::SignatureForm;
pub use stats::Stats;
pub use token::{APP_ID, TokenClaims, TokenRefusal};
