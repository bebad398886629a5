//! The query service: partitions by name, and by the tile that they lie below.

use axum::extract::Path;
use axum::{Json, Router, routing::get};
use serde_json::{Value, json};

use super::asked::{self, Parameters, Problem};
use super::metadata;
use crate::data::Tile;
use crate::sandbox::Sandbox;

/// The most partitions that can be asked for by name in one request, as HERE documents it.
const MAX_NAMES: usize = 100;

/// The most levels below a tile that can be asked for, as HERE documents it.
const MAX_DEPTH: u32 = 4;

pub(super) fn routes() -> Router<Sandbox> {
    let layer = |path: &str| format!("/query/v1/catalogs/{{hrn}}/layers/{{layer}}{path}");
    Router::new()
        .route(&layer("/partitions"), get(by_name))
        .route(&layer("/versions/{version}/quadkeys/{quad_key}/depths/{depth}"), get(by_tile))
}

/// Names that there are not are left out of the answer.
async fn by_name(
    Path((hrn, layer)): Path<(String, String)>,
    parameters: Parameters,
) -> Result<Json<Value>, Problem> {
    let layer = asked::layer(&hrn, &layer)?;
    let version = parameters.version()?;
    let names: Vec<_> = parameters.all("partition").collect();
    if names.is_empty() || names.len() > MAX_NAMES {
        return Err(Problem::bad(format_args!("from 1 to {MAX_NAMES} partitions can be asked for")));
    }
    let named = layer.at_version(version).filter(|partition| names.contains(&partition.id().as_str()));
    Ok(metadata::list(layer, named, &parameters))
}

/// What a tile holds down to a depth, and which of the tiles above it hold something.
async fn by_tile(
    Path((hrn, layer, version, quad_key, depth)): Path<(String, String, u32, u64, u32)>,
    parameters: Parameters,
) -> Result<Json<Value>, Problem> {
    let layer = asked::layer(&hrn, &layer)?;
    let version = asked::published(version)?;
    let root = Tile::from_quad_key(quad_key).ok_or_else(|| Problem::bad("the quad key names no tile"))?;
    if depth > MAX_DEPTH {
        return Err(Problem::bad(format_args!("the depth is at most {MAX_DEPTH}")));
    }
    let (mut sub_quads, mut parent_quads) = (Vec::new(), Vec::new());
    for partition in layer.at_version(version) {
        let mut fields = metadata::describe(partition, &parameters);
        if let Some((below, sub_quad_key)) = partition.tile.below(root) {
            if below <= depth {
                fields.insert("subQuadKey".into(), sub_quad_key.to_string().into());
                sub_quads.push(fields);
            }
        } else if root.below(partition.tile).is_some() {
            fields.insert("partition".into(), partition.id().into());
            parent_quads.push(fields);
        }
    }
    Ok(Json(json!({ "subQuads": sub_quads, "parentQuads": parent_quads })))
}
