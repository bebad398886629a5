//! The metadata service: versions of a catalog, and all partitions of a layer.

use axum::extract::Path;
use axum::{Json, Router, routing::get};
use serde_json::{Map, Value, json};

use super::asked::{self, Parameters, Problem};
use crate::data::{LATEST_VERSION, Layer, Partition};
use crate::sandbox::Sandbox;

/// When the catalogs came to be, at the beginning of which their first version was published.
pub(super) const CREATED: &str = "2026-01-05T08:00:00.000Z";
const FIRST_PUBLISHED_MS: i64 = 1_767_600_000_000;

/// Four weeks between versions.
const BETWEEN_VERSIONS_MS: i64 = 28 * 86_400_000;

pub(super) fn routes() -> Router<Sandbox> {
    let catalog = |path: &str| format!("/metadata/v1/catalogs/{{hrn}}{path}");
    Router::new()
        .route(&catalog("/versions"), get(versions))
        .route(&catalog("/versions/latest"), get(latest))
        .route(&catalog("/versions/minimum"), get(minimum))
        .route(&catalog("/layerVersions"), get(layer_versions))
        .route(&catalog("/layers/{layer}/partitions"), get(partitions))
}

async fn latest(Path(hrn): Path<String>, parameters: Parameters) -> Result<Json<Value>, Problem> {
    asked::catalog(&hrn)?;
    // The version that the caller has already, or -1.
    parameters.number::<i64>("startVersion")?;
    Ok(Json(json!({ "version": LATEST_VERSION })))
}

async fn minimum(Path(hrn): Path<String>) -> Result<Json<Value>, Problem> {
    asked::catalog(&hrn)?;
    Ok(Json(json!({ "version": 0 })))
}

/// From a version, exclusive, to a version, inclusive.
async fn versions(Path(hrn): Path<String>, parameters: Parameters) -> Result<Json<Value>, Problem> {
    let catalog = asked::catalog(&hrn)?;
    let after = parameters.number::<i64>("startVersion")?.unwrap_or(-1);
    let last = parameters.number("endVersion")?.unwrap_or(LATEST_VERSION);
    asked::published(last)?;
    let wanted = (0..=last).filter(|&version| i64::from(version) > after);
    let versions = wanted.map(|version| {
        let counts = catalog.layers.iter().map(|layer| (layer.id, layer.at_version(version).count()));
        let counts: Map<_, _> = counts.map(|(layer, count)| (layer.to_owned(), count.into())).collect();
        json!({
            "version": version,
            "timestamp": published_at(version),
            "dependencies": [],
            "partitionCounts": counts,
        })
    });
    Ok(Json(json!({ "versions": versions.collect::<Vec<_>>() })))
}

async fn layer_versions(Path(hrn): Path<String>, parameters: Parameters) -> Result<Json<Value>, Problem> {
    let catalog = asked::catalog(&hrn)?;
    let version = parameters.version()?;
    let layers = catalog.layers.iter().filter_map(|layer| {
        let changed = layer.at_version(version).map(|partition| partition.version).max()?;
        Some(json!({ "layer": layer.id, "version": changed, "timestamp": published_at(changed) }))
    });
    Ok(Json(json!({ "version": version, "layerVersions": layers.collect::<Vec<_>>() })))
}

async fn partitions(
    Path((hrn, layer)): Path<(String, String)>,
    parameters: Parameters,
) -> Result<Json<Value>, Problem> {
    let layer = asked::layer(&hrn, &layer)?;
    let version = parameters.version()?;
    Ok(list(layer, layer.at_version(version), &parameters))
}

/// Lists partitions as both this service and the query service do.
pub(super) fn list<'a>(
    layer: &Layer,
    partitions: impl Iterator<Item = &'a Partition>,
    parameters: &Parameters,
) -> Json<Value> {
    let partitions = partitions.map(|partition| {
        let mut fields = describe(partition, parameters);
        fields.insert("partition".into(), partition.id().into());
        fields.insert("layer".into(), layer.id.into());
        Value::Object(fields)
    });
    Json(json!({ "partitions": partitions.collect::<Vec<_>>() }))
}

/// What is told about a partition anywhere, its name aside.
pub(super) fn describe(partition: &Partition, parameters: &Parameters) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("version".into(), partition.version.into());
    fields.insert("dataHandle".into(), partition.data_handle.clone().into());
    if parameters.wants("dataSize") {
        fields.insert("dataSize".into(), partition.data.len().into());
    }
    if parameters.wants("checksum") {
        fields.insert("checksum".into(), partition.checksum.clone().into());
    }
    fields
}

fn published_at(version: u32) -> i64 {
    FIRST_PUBLISHED_MS + i64::from(version) * BETWEEN_VERSIONS_MS
}
