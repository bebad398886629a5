//! The blob service: the data themselves.

use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};

use super::asked::{self, Problem};
use crate::data;
use crate::sandbox::Sandbox;

pub(super) fn routes() -> Router<Sandbox> {
    Router::new().route("/blobstore/v1/catalogs/{hrn}/layers/{layer}/data/{data_handle}", get(read))
}

async fn read(Path((hrn, layer, data_handle)): Path<(String, String, String)>) -> Result<Response, Problem> {
    let layer = asked::layer(&hrn, &layer)?;
    let partition = layer.blob(&data_handle).ok_or_else(|| Problem::missing("data under this handle"))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(data::CONTENT_TYPE)),
        // Whoever reads twice is to be seen asking twice: that is what the sandbox is for.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, partition.data.clone()).into_response())
}
