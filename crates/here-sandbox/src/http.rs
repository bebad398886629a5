//! The route table: four groups of routes, each behind the envelope that says which faults it takes part in.

mod account;
mod bearer;
mod control;
mod data;
mod envelope;
mod misbehave;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};

use crate::fault::Route;
use crate::problem::Refusal;
use crate::sandbox::Sandbox;
use envelope::Envelope;

/// The largest request body. A token request has a few hundred bytes.
pub(crate) const MAX_BODY: usize = 64 * 1024;

pub(crate) fn router(sandbox: &Sandbox) -> Router {
    let token = Router::new().route("/oauth2/token", post(account::token));
    let account = Router::new()
        .route("/timestamp", get(account::timestamp))
        .route("/verify/accessToken", post(account::verify))
        .fallback(|| async { Refusal::not_found() });
    let data = data::routes(sandbox);
    let control = control::routes();

    let in_envelope = |routes: Router<Sandbox>, route: Route| {
        let envelope = Envelope { sandbox: sandbox.clone(), route };
        let layer = middleware::from_fn_with_state(envelope, envelope::envelope);
        routes.method_not_allowed_fallback(|| async { Refusal::method_not_allowed() }).layer(layer)
    };
    in_envelope(token, Route::Token)
        .merge(in_envelope(account, Route::Account))
        .merge(in_envelope(data, Route::Data).layer(middleware::from_fn(data::cors)))
        .merge(in_envelope(control, Route::Control))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(sandbox.clone())
}
