//! The config service: which catalogs there are, and how their layers are made up.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::{Json, Router, routing::get};
use serde_json::{Value, json};

use super::asked::{self, Parameters, Problem};
use super::metadata;
use crate::data::{self, Catalog, Layer};
use crate::sandbox::Sandbox;

pub(super) fn routes() -> Router<Sandbox> {
    Router::new().route("/config/v1/catalogs", get(list)).route("/config/v1/catalogs/{hrn}", get(show))
}

async fn list(
    State(sandbox): State<Sandbox>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Json<Value>, Problem> {
    let base_url = asked::base_url(&sandbox, &headers)?;
    let verbose = parameters.all("verbose").next() == Some("true");
    let items = data::catalogs().iter().map(|catalog| {
        if verbose {
            return configuration(catalog);
        }
        let hrn = catalog.hrn();
        json!({
            "title": catalog.name,
            "href": format!("{base_url}/config/v1/catalogs/{hrn}"),
            "hrn": hrn,
            "type": "Catalog",
        })
    });
    let items: Vec<_> = items.collect();
    Ok(Json(json!({ "verbose": verbose, "results": { "items": items } })))
}

async fn show(Path(hrn): Path<String>) -> Result<Json<Value>, Problem> {
    asked::catalog(&hrn).map(|catalog| Json(configuration(catalog)))
}

fn configuration(catalog: &Catalog) -> Value {
    json!({
        "id": catalog.id,
        "hrn": catalog.hrn(),
        "name": catalog.name,
        "summary": catalog.summary,
        "description": catalog.summary,
        "tags": catalog.tags,
        "created": metadata::CREATED,
        "coverage": { "adminAreas": [] },
        "replication": { "regions": [] },
        "notifications": { "enabled": false },
        "marketplaceReady": false,
        "owner": owner(),
        "layers": catalog.layers.iter().map(|layer| layer_configuration(catalog, layer)).collect::<Vec<_>>(),
        "version": 1,
    })
}

fn layer_configuration(catalog: &Catalog, layer: &Layer) -> Value {
    json!({
        "id": layer.id,
        "hrn": format!("{}:{}", catalog.hrn(), layer.id),
        "name": layer.name,
        "summary": layer.summary,
        "description": layer.summary,
        "layerType": "versioned",
        "contentType": data::CONTENT_TYPE,
        "partitioning": { "scheme": "heretile", "tileLevels": [layer.level] },
        "volume": { "volumeType": "durable" },
        "digest": "sha-1",
        "coverage": { "adminAreas": [] },
        "tags": [],
    })
}

fn owner() -> Value {
    json!({ "creator": { "id": "here-sandbox" }, "organisation": { "id": "sandbox" } })
}
