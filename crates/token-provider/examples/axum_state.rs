//! A provider as the state of an axum service: clones share the tokens, and each handler asks for one when it needs it.
//!
//! ```text
//! cargo run -p token-provider --example axum_state
//! ```

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use token_provider::TokenProvider;

/// Would make a request to HERE, with `token.header_value()` as its `Authorization`.
async fn handle(State(provider): State<TokenProvider>) -> Response {
    match provider.token().await {
        Ok(token) => format!("would use token {}\n", token.fingerprint()).into_response(),
        Err(error) => {
            // The message holds no secret, but is for the operator of the service.
            tracing::warn!(%error, cause = error.causes(), "no token");
            let seconds = error.retry_after().map_or(1, |after| after.as_secs() + 1);
            (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, seconds.to_string())]).into_response()
        }
    }
}

fn app(provider: TokenProvider) -> Router {
    provider.warm();
    Router::new().route("/", get(handle)).with_state(provider)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
    axum::serve(listener, app(TokenProvider::from_env()?)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn handler_is_tested_with_a_token_of_ones_own() {
        let provider = TokenProvider::fixed("a-token");
        assert_eq!(handle(State(provider)).await.status(), StatusCode::OK);
    }
}
