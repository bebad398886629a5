//! The part of HERE's Data API that reading a versioned layer takes: look-up, config, metadata, query and blob service.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::get};
use serde_json::{Map, Value, json};

use super::request::{self, Parameters, Problem};
use crate::account::Account;
use crate::data::{CATALOGS, CONTENT_TYPE, LATEST_VERSION, Layer, Partition};

/// How long an answer of the look-up service may be kept. HERE's clients look up before every request where nothing
/// is said.
const LOOK_UP_CACHE: HeaderValue = HeaderValue::from_static("private, max-age=3600");

/// A client that reads data twice is seen requesting them twice: that is what the sandbox is for.
const BLOB_CACHE: HeaderValue = HeaderValue::from_static("no-store");

/// The services of one catalog, and the first part of their paths.
const OF_A_CATALOG: [(&str, &str); 3] = [("blob", "blobstore"), ("metadata", "metadata"), ("query", "query")];

/// When the first version of each catalog was published, and four weeks to the next one, in milliseconds.
const FIRST_PUBLISHED_MS: i64 = 1_767_600_000_000;
const BETWEEN_VERSIONS_MS: i64 = 28 * 86_400_000;

/// The most partitions that one request can name, as HERE documents it.
const MAX_NAMES: usize = 100;

/// The most levels below a tile that one request can reach, as HERE documents it.
const MAX_DEPTH: u32 = 4;

/// The deepest level of HERE's tiles.
const MAX_LEVEL: u32 = 26;

pub(super) fn routes() -> Router<Arc<Account>> {
    Router::new()
        .route("/lookup/v1/platform/apis", get(apis))
        .route("/lookup/v1/platform/apis/{api}/{version}", get(apis))
        .route("/lookup/v1/resources/{hrn}/apis", get(apis))
        .route("/lookup/v1/resources/{hrn}/apis/{api}/{version}", get(apis))
        .route("/config/v1/catalogs", get(catalogs))
        .route("/config/v1/catalogs/{hrn}", get(catalog))
        .route("/metadata/v1/catalogs/{hrn}/versions", get(versions))
        .route("/metadata/v1/catalogs/{hrn}/versions/latest", get(latest_version))
        .route("/metadata/v1/catalogs/{hrn}/versions/minimum", get(minimum_version))
        .route("/metadata/v1/catalogs/{hrn}/layerVersions", get(layer_versions))
        .route("/metadata/v1/catalogs/{hrn}/layers/{layer}/partitions", get(all_partitions))
        .route("/query/v1/catalogs/{hrn}/layers/{layer}/partitions", get(partitions_by_name))
        .route(
            "/query/v1/catalogs/{hrn}/layers/{layer}/versions/{version}/quadkeys/{quad_key}/depths/{depth}",
            get(partitions_by_tile),
        )
        .route("/blobstore/v1/catalogs/{hrn}/layers/{layer}/data/{data_handle}", get(data))
}

/// Look-up: where the services of the platform or of a catalog are; all of them, or the one that the path names. Here,
/// all are at the address that the request came to.
async fn apis(
    State(account): State<Arc<Account>>,
    Path(path): Path<HashMap<String, String>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let base_url = request::base_url(&account, &headers)?;
    let services = match path.get("hrn") {
        None => vec![("config", format!("{base_url}/config/v1"))],
        Some(hrn) => {
            request::catalog(hrn)?;
            OF_A_CATALOG.map(|(name, path)| (name, format!("{base_url}/{path}/v1/catalogs/{hrn}"))).into()
        }
    };
    let is_wanted = |name: &str| {
        path.get("api").is_none_or(|api| api == name) && path.get("version").is_none_or(|v| v == "v1")
    };
    let services = services.into_iter().filter(|(name, _)| is_wanted(name));
    let apis: Vec<_> = services
        .map(|(api, url)| json!({ "api": api, "version": "v1", "baseURL": url, "parameters": {} }))
        .collect();
    match (path.get("api"), path.get("version")) {
        (Some(api), Some(version)) if apis.is_empty() => {
            Err(Problem::missing(format_args!("API {api} {version} here")))
        }
        _ => Ok(([(header::CACHE_CONTROL, LOOK_UP_CACHE)], Json(apis)).into_response()),
    }
}

/// Config: the catalogs that exist.
async fn catalogs(
    State(account): State<Arc<Account>>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Json<Value>, Problem> {
    let base_url = request::base_url(&account, &headers)?;
    let verbose = parameters.all("verbose").next() == Some("true");
    let items = CATALOGS.iter().map(|catalog| {
        if verbose {
            return catalog.configuration.clone();
        }
        let hrn = catalog.hrn();
        json!({
            "title": catalog.configuration.get("name"),
            "href": format!("{base_url}/config/v1/catalogs/{hrn}"),
            "hrn": hrn,
            "type": "Catalog",
        })
    });
    let items: Vec<_> = items.collect();
    Ok(Json(json!({ "verbose": verbose, "results": { "items": items } })))
}

/// Config: how a catalog and its layers are made up.
async fn catalog(Path(hrn): Path<String>) -> Result<Json<&'static Value>, Problem> {
    Ok(Json(&request::catalog(&hrn)?.configuration))
}

/// Metadata: the latest version of a catalog.
async fn latest_version(Path(hrn): Path<String>, parameters: Parameters) -> Result<Json<Value>, Problem> {
    request::catalog(&hrn)?;
    // The version that the caller has already, or -1.
    parameters.number::<i64>("startVersion")?;
    Ok(Json(json!({ "version": LATEST_VERSION })))
}

/// Metadata: the first version of a catalog that can still be read.
async fn minimum_version(Path(hrn): Path<String>) -> Result<Json<Value>, Problem> {
    request::catalog(&hrn)?;
    Ok(Json(json!({ "version": 0 })))
}

/// Metadata: the versions of a catalog after `startVersion`, up to `endVersion`.
async fn versions(Path(hrn): Path<String>, parameters: Parameters) -> Result<Json<Value>, Problem> {
    let catalog = request::catalog(&hrn)?;
    let after = parameters.number::<i64>("startVersion")?.unwrap_or(-1);
    let last = parameters.number("endVersion")?.unwrap_or(LATEST_VERSION);
    request::published(last)?;
    let wanted = (0..=last).filter(|&version| i64::from(version) > after);
    let versions = wanted.map(|version| {
        let counts = catalog.layers.iter().map(|layer| (&layer.id, layer.at_version(version).count()));
        json!({
            "version": version,
            "timestamp": published_at(version),
            "dependencies": [],
            "partitionCounts": counts.collect::<HashMap<_, _>>(),
        })
    });
    Ok(Json(json!({ "versions": versions.collect::<Vec<_>>() })))
}

/// Metadata: the version in which each layer has last changed.
async fn layer_versions(Path(hrn): Path<String>, parameters: Parameters) -> Result<Json<Value>, Problem> {
    let catalog = request::catalog(&hrn)?;
    let version = parameters.version()?;
    let layers = catalog.layers.iter().filter_map(|layer| {
        let changed = layer.at_version(version).map(|partition| partition.version).max()?;
        Some(json!({ "layer": layer.id, "version": changed, "timestamp": published_at(changed) }))
    });
    Ok(Json(json!({ "version": version, "layerVersions": layers.collect::<Vec<_>>() })))
}

/// Metadata: all partitions of a layer.
async fn all_partitions(
    Path((hrn, layer)): Path<(String, String)>,
    parameters: Parameters,
) -> Result<Json<Value>, Problem> {
    let layer = request::layer(&hrn, &layer)?;
    let version = parameters.version()?;
    Ok(list(layer, layer.at_version(version), &parameters))
}

/// Query: partitions by name. A name that no partition has is left out of the answer.
async fn partitions_by_name(
    Path((hrn, layer)): Path<(String, String)>,
    parameters: Parameters,
) -> Result<Json<Value>, Problem> {
    let layer = request::layer(&hrn, &layer)?;
    let version = parameters.version()?;
    let names: Vec<_> = parameters.all("partition").collect();
    if names.is_empty() || names.len() > MAX_NAMES {
        return Err(Problem::bad(format_args!("from 1 to {MAX_NAMES} partitions can be asked for")));
    }
    let is_named = |partition: &&Partition| names.contains(&partition.quad_key.to_string().as_str());
    Ok(list(layer, layer.at_version(version).filter(is_named), &parameters))
}

/// Query: what a tile holds down to a depth, and which of the tiles above it hold something.
async fn partitions_by_tile(
    Path((hrn, layer, version, root, depth)): Path<(String, String, u32, u64, u32)>,
    parameters: Parameters,
) -> Result<Json<Value>, Problem> {
    let layer = request::layer(&hrn, &layer)?;
    let version = request::published(version)?;
    if !is_quad_key(root) {
        return Err(Problem::bad("the quad key names no tile"));
    }
    if depth > MAX_DEPTH {
        return Err(Problem::bad(format_args!("the depth is at most {MAX_DEPTH}")));
    }
    let (mut sub_quads, mut parent_quads) = (Vec::new(), Vec::new());
    for partition in layer.at_version(version) {
        let mut fields = describe(partition, &parameters);
        if let Some((levels, sub_quad_key)) = below(root, partition.quad_key) {
            if levels <= depth {
                fields.insert("subQuadKey".into(), sub_quad_key.to_string().into());
                sub_quads.push(fields);
            }
        } else if below(partition.quad_key, root).is_some() {
            fields.insert("partition".into(), partition.quad_key.to_string().into());
            parent_quads.push(fields);
        }
    }
    Ok(Json(json!({ "subQuads": sub_quads, "parentQuads": parent_quads })))
}

/// Blob: the data of a partition.
async fn data(Path((hrn, layer, data_handle)): Path<(String, String, String)>) -> Result<Response, Problem> {
    let partition = request::layer(&hrn, &layer)?.partition_of(&data_handle);
    let partition = partition.ok_or_else(|| Problem::missing("data under this handle"))?;
    let content_type = HeaderValue::from_static(CONTENT_TYPE);
    let headers = [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, BLOB_CACHE)];
    Ok((headers, partition.data).into_response())
}

/// Lists partitions as both the metadata and the query service do.
fn list<'a>(
    layer: &Layer,
    partitions: impl Iterator<Item = &'a Partition>,
    parameters: &Parameters,
) -> Json<Value> {
    let partitions = partitions.map(|partition| {
        let mut fields = describe(partition, parameters);
        fields.insert("partition".into(), partition.quad_key.to_string().into());
        fields.insert("layer".into(), layer.id.as_str().into());
        fields
    });
    Json(json!({ "partitions": partitions.collect::<Vec<_>>() }))
}

/// The fields that a partition has in every list, its name aside.
fn describe(partition: &Partition, parameters: &Parameters) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("version".into(), partition.version.into());
    fields.insert("dataHandle".into(), partition.data_handle.into());
    if parameters.wants("dataSize") {
        fields.insert("dataSize".into(), partition.data.len().into());
    }
    if parameters.wants("checksum") {
        fields.insert("checksum".into(), partition.checksum.into());
    }
    fields
}

fn published_at(version: u32) -> i64 {
    FIRST_PUBLISHED_MS + i64::from(version) * BETWEEN_VERSIONS_MS
}

/// A quad key is the tile's column and row, bit by bit, behind a 1 that marks the level.
fn is_quad_key(number: u64) -> bool {
    number.checked_ilog2().is_some_and(|bits| bits % 2 == 0 && bits / 2 <= MAX_LEVEL)
}

/// Returns how many levels a tile is below `ancestor`, and its quad key counted from there; 1 is the ancestor itself.
fn below(ancestor: u64, tile: u64) -> Option<(u32, u64)> {
    let bits = tile.ilog2().checked_sub(ancestor.ilog2())?;
    let mark = 1 << bits;
    (tile >> bits == ancestor).then_some((bits / 2, tile & (mark - 1) | mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quad_keys_are_those_of_heres_sdks() {
        // From the tests of heremaps/here-data-sdk-cpp: a tile, its ancestor four levels up, and the sub quad key
        // between them.
        let (tile, ancestor) = (5_904_591, 23_064);
        assert_eq!(below(ancestor, tile), Some((4, 463)));
        assert_eq!(below(tile, tile), Some((0, 1)));
        assert_eq!(below(tile, ancestor), None);
        assert_eq!(below(ancestor + 1, tile), None);
    }

    #[test]
    fn number_without_a_level_is_no_tile() {
        for number in [0, 2, 3, 8, 15, 1 << 54, u64::MAX] {
            assert!(!is_quad_key(number), "{number}");
        }
        for number in [1, 4, 7, 16, 1 << 52] {
            assert!(is_quad_key(number), "{number}");
        }
    }
}
