//! The route table: four groups of routes, each in an envelope that says which faults apply to it.

mod account;
mod bearer;
mod control;
mod cors;
mod data;
mod envelope;
mod misbehave;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};

use crate::account::Account;
use crate::fault::Target;
use crate::problem::Refusal;
use envelope::Envelope;
use misbehave::MAX_BODY;

pub(crate) fn router(account: &Arc<Account>) -> Router {
    let token = Router::new().route("/oauth2/token", post(account::token));
    let others = Router::new()
        .route("/timestamp", get(account::timestamp))
        .route("/verify/accessToken", post(account::verify))
        .fallback(|| async { Refusal::NOT_FOUND });
    let data = data::routes(account);
    let control = control::routes();

    let in_envelope = |routes: Router<Arc<Account>>, target: Option<Target>| {
        let envelope = Envelope { account: Arc::clone(account), target };
        let layer = middleware::from_fn_with_state(envelope, envelope::envelope);
        routes.method_not_allowed_fallback(|| async { Refusal::METHOD_NOT_ALLOWED }).layer(layer)
    };
    in_envelope(token, Some(Target::Token))
        .merge(in_envelope(others, Some(Target::All)))
        .merge(in_envelope(data, Some(Target::Data)).layer(middleware::from_fn(data::cors)))
        .merge(in_envelope(control, None))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Arc::clone(account))
}
