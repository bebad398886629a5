//! The look-up service: where the other services are. Here, all at the address that the question came to.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::get};
use serde::Serialize;
use serde_json::{Map, Value};

use super::asked::{self, Problem};
use crate::sandbox::Sandbox;

/// How long an answer may be kept. HERE's clients ask before every request where nothing is said.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("private, max-age=3600");

/// The services that know about one catalog, and the first part of their paths.
const OF_A_CATALOG: [(&str, &str); 3] = [("blob", "blobstore"), ("metadata", "metadata"), ("query", "query")];

const VERSION: &str = "v1";

/// Where a service is.
#[derive(Serialize)]
struct Api {
    #[serde(rename = "api")]
    name: &'static str,
    version: &'static str,
    #[serde(rename = "baseURL")]
    base_url: String,
    parameters: Map<String, Value>,
}

pub(super) fn routes() -> Router<Sandbox> {
    Router::new()
        .route("/lookup/v1/platform/apis", get(of_platform))
        .route("/lookup/v1/platform/apis/{api}/{version}", get(one_of_platform))
        .route("/lookup/v1/resources/{hrn}/apis", get(of_catalog))
        .route("/lookup/v1/resources/{hrn}/apis/{api}/{version}", get(one_of_catalog))
}

async fn of_platform(State(sandbox): State<Sandbox>, headers: HeaderMap) -> Result<Response, Problem> {
    platform(&sandbox, &headers).map(answer)
}

async fn one_of_platform(
    State(sandbox): State<Sandbox>,
    Path((api, version)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    one(platform(&sandbox, &headers)?, &api, &version)
}

async fn of_catalog(
    State(sandbox): State<Sandbox>,
    Path(hrn): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    catalog(&sandbox, &headers, &hrn).map(answer)
}

async fn one_of_catalog(
    State(sandbox): State<Sandbox>,
    Path((hrn, api, version)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    one(catalog(&sandbox, &headers, &hrn)?, &api, &version)
}

fn platform(sandbox: &Sandbox, headers: &HeaderMap) -> Result<Vec<Api>, Problem> {
    let base_url = asked::base_url(sandbox, headers)?;
    Ok(vec![Api::new("config", format!("{base_url}/config/{VERSION}"))])
}

fn catalog(sandbox: &Sandbox, headers: &HeaderMap, hrn: &str) -> Result<Vec<Api>, Problem> {
    asked::catalog(hrn)?;
    let base_url = asked::base_url(sandbox, headers)?;
    let apis = OF_A_CATALOG
        .map(|(name, path)| Api::new(name, format!("{base_url}/{path}/{VERSION}/catalogs/{hrn}")));
    Ok(apis.into())
}

fn one(apis: Vec<Api>, name: &str, version: &str) -> Result<Response, Problem> {
    let apis: Vec<_> = apis.into_iter().filter(|api| api.name == name && api.version == version).collect();
    if apis.is_empty() {
        return Err(Problem::missing(format_args!("API {name} {version} here")));
    }
    Ok(answer(apis))
}

fn answer(apis: Vec<Api>) -> Response {
    ([(header::CACHE_CONTROL, CACHE_CONTROL)], Json(apis)).into_response()
}

impl Api {
    fn new(name: &'static str, base_url: String) -> Self {
        Self { name, version: VERSION, base_url, parameters: Map::new() }
    }
}
