//! The part of HERE's Data API that reading a versioned layer takes: look-up, config, metadata, query and blob service.

use std::collections::HashMap;

use axum::extract::{Path, Request};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::get};
use serde_json::{Value, json};

use super::request::{Parameters, Problem, catalog, layer, number, published};
use crate::base_url::BaseUrl;
use crate::data::{CATALOGS, CONTENT_TYPE, Catalog, LATEST_VERSION, Layer, Partition};
use crate::problem::without_nulls;
use crate::sandbox::Sandbox;

/// How long an answer of the look-up service may be kept. HERE's clients look up before every request where nothing
/// is said.
const LOOK_UP_CACHE: &str = "private, max-age=3600";

/// A client that reads data twice is seen requesting them twice: that is what the sandbox is for.
const BLOB_CACHE: &str = "no-store";

/// The services, as their paths begin.
const SERVICES: [&str; 5] = ["lookup", "config", "metadata", "query", "blobstore"];

/// When the first version of each catalog was published, and four weeks to the next one, in milliseconds.
const FIRST_PUBLISHED_MS: i64 = 1_767_600_000_000;
const BETWEEN_VERSIONS_MS: i64 = 28 * 86_400_000;

/// The most partitions that one request can name, as HERE documents it.
const MAX_NAMES: usize = 100;

/// The most levels below a tile that one request can reach, as HERE documents it.
const MAX_DEPTH: u32 = 4;

/// The deepest level of HERE's tiles.
const MAX_LEVEL: u32 = 26;

pub(super) fn routes() -> Router<Sandbox> {
    let add = |router: Router<_>, service| {
        let answer = move |path, request| async move { answer(service, path, &request) };
        router.route(&format!("/{service}/v1/{{*path}}"), get(answer))
    };
    SERVICES.into_iter().fold(Router::new(), add)
}

fn answer(service: &str, Path(path): Path<String>, request: &Request) -> Result<Response, Problem> {
    let parameters = Parameters::read(request.uri().query().unwrap_or_default())?;
    let base_url = BaseUrl::from_headers(request.headers());
    let base_url = base_url.ok_or_else(|| Problem::bad("exactly one valid Host header is needed"))?;
    let segments: Vec<_> = path.split('/').collect();
    let in_catalog = segments.strip_prefix(&["catalogs"]).and_then(<[_]>::split_first);
    let (hrn, path) = in_catalog.unwrap_or((&"", &segments));
    let answer = match (service, path) {
        ("lookup", ["platform", "apis"]) => {
            return Ok(apis([("config", format!("{base_url}/config/v1"))]));
        }
        ("lookup", ["resources", hrn, "apis"]) => {
            catalog(hrn)?;
            let of_catalog = |path| format!("{base_url}/{path}/v1/catalogs/{hrn}");
            let services = [("blob", "blobstore"), ("metadata", "metadata"), ("query", "query")];
            return Ok(apis(services.map(|(name, path)| (name, of_catalog(path)))));
        }
        ("config", ["catalogs"]) => catalogs(&base_url),
        ("config", []) => catalog(hrn)?.configuration.clone(),
        ("metadata", ["versions"]) => versions(catalog(hrn)?, &parameters)?,
        ("metadata", ["versions", "latest"]) => {
            catalog(hrn)?;
            // The version that the caller has already, or -1.
            parameters.number::<i64>("startVersion")?;
            json!({ "version": LATEST_VERSION })
        }
        ("metadata", ["layers", id, "partitions"]) => list(layer(hrn, id)?, |_| true, &parameters)?,
        ("query", ["layers", id, "partitions"]) => by_name(layer(hrn, id)?, &parameters)?,
        ("query", ["layers", id, "versions", version, "quadkeys", root, "depths", depth]) => {
            let version = published(number("version", version)?)?;
            let (root, depth) = (number("the quad key", root)?, number("the depth", depth)?);
            by_tile(layer(hrn, id)?, version, (root, depth), &parameters)?
        }
        ("blobstore", ["layers", id, "data", data_handle]) => {
            let partition = layer(hrn, id)?.partition_of(data_handle);
            let partition = partition.ok_or_else(|| Problem::missing("data under this handle"))?;
            let headers = [(header::CONTENT_TYPE, CONTENT_TYPE), (header::CACHE_CONTROL, BLOB_CACHE)];
            return Ok((headers, partition.data).into_response());
        }
        _ => return Err(Problem::missing("such resource")),
    };
    Ok(Json(answer).into_response())
}

/// Where the services are.
fn apis<const N: usize>(services: [(&str, String); N]) -> Response {
    let api = |(name, url)| json!({ "api": name, "version": "v1", "baseURL": url, "parameters": {} });
    ([(header::CACHE_CONTROL, LOOK_UP_CACHE)], Json(services.map(api).to_vec())).into_response()
}

fn catalogs(base_url: &BaseUrl) -> Value {
    let item = |Catalog { hrn, configuration, .. }: &Catalog| {
        let href = format!("{base_url}/config/v1/catalogs/{hrn}");
        json!({ "title": configuration.get("name"), "href": href, "hrn": hrn, "type": "Catalog" })
    };
    json!({ "verbose": false, "results": { "items": CATALOGS.iter().map(item).collect::<Vec<_>>() } })
}

/// The versions of a catalog after `startVersion`, up to `endVersion`.
fn versions(catalog: &Catalog, parameters: &Parameters) -> Result<Value, Problem> {
    let after = parameters.number::<i64>("startVersion")?.unwrap_or(-1);
    let last = published(parameters.number("endVersion")?.unwrap_or(LATEST_VERSION))?;
    let wanted = (0..=last).filter(|&version| i64::from(version) > after);
    let versions = wanted.map(|version| {
        let counts = catalog.layers.iter().map(|layer| (&layer.id, layer.at_version(version).count()));
        json!({
            "version": version,
            "timestamp": FIRST_PUBLISHED_MS + i64::from(version) * BETWEEN_VERSIONS_MS,
            "dependencies": [],
            "partitionCounts": counts.collect::<HashMap<_, _>>(),
        })
    });
    Ok(json!({ "versions": versions.collect::<Vec<_>>() }))
}

/// Partitions by name. A name that no partition has is left out of the answer.
fn by_name(layer: &Layer, parameters: &Parameters) -> Result<Value, Problem> {
    // Before the names are counted.
    parameters.version()?;
    let names: Vec<_> = parameters.all("partition").collect();
    if names.is_empty() || names.len() > MAX_NAMES {
        return Err(Problem::bad(format_args!("from 1 to {MAX_NAMES} partitions can be asked for")));
    }
    list(layer, |partition| names.contains(&partition.quad_key.to_string().as_str()), parameters)
}

/// What a tile holds down to a depth, and which of the tiles above it hold something.
fn by_tile(
    layer: &Layer,
    version: u32,
    (root, depth): (u64, u32),
    parameters: &Parameters,
) -> Result<Value, Problem> {
    if !is_quad_key(root) {
        return Err(Problem::bad("the quad key names no tile"));
    }
    if depth > MAX_DEPTH {
        return Err(Problem::bad(format_args!("the depth is at most {MAX_DEPTH}")));
    }
    let (mut sub_quads, mut parent_quads) = (Vec::new(), Vec::new());
    for partition in layer.at_version(version) {
        match below(root, partition.quad_key) {
            Some((levels, sub_quad_key)) if levels <= depth => {
                sub_quads.push(describe(partition, ("subQuadKey", sub_quad_key), None, parameters));
            }
            None if below(partition.quad_key, root).is_some() => {
                parent_quads.push(describe(partition, ("partition", partition.quad_key), None, parameters));
            }
            _ => {}
        }
    }
    Ok(json!({ "subQuads": sub_quads, "parentQuads": parent_quads }))
}

/// The partitions of a layer, as both the metadata and the query service list them.
fn list(
    layer: &Layer,
    is_wanted: impl Fn(&Partition) -> bool,
    parameters: &Parameters,
) -> Result<Value, Problem> {
    let partitions = layer.at_version(parameters.version()?).filter(|partition| is_wanted(partition));
    let partitions = partitions
        .map(|partition| describe(partition, ("partition", partition.quad_key), Some(&layer.id), parameters));
    Ok(json!({ "partitions": partitions.collect::<Vec<_>>() }))
}

/// What a list says about a partition, by this name.
fn describe(
    partition: &Partition,
    (key, quad_key): (&str, u64),
    layer: Option<&str>,
    parameters: &Parameters,
) -> Value {
    without_nulls(json!({
        key: quad_key.to_string(),
        "layer": layer,
        "version": partition.version,
        "dataHandle": partition.data_handle,
        "dataSize": parameters.wants("dataSize").then_some(partition.data.len()),
        "checksum": parameters.wants("checksum").then_some(partition.checksum),
    }))
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
