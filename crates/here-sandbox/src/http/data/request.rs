//! What a request to a data service names: parameters, catalog and layer; and the answer where these do not exist.

use std::fmt::Display;
use std::str::FromStr;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::data::{CATALOGS, Catalog, LATEST_VERSION, Layer};
use crate::percent;
use crate::problem::uncached;

/// The parameters of a query. HERE's SDKs add some of their own (`sentWith`, `billingTag`), which change nothing.
pub(super) struct Parameters(Vec<(String, String)>);

/// A request that cannot be answered, in the words and fields of HERE's data services. They number their reasons,
/// too, but do not publish the numbers.
pub(super) struct Problem(StatusCode, String);

impl Parameters {
    pub(super) fn read(query: &str) -> Result<Self, Problem> {
        let pairs = percent::form_pairs(query.as_bytes())
            .ok_or_else(|| Problem::bad("the query has a broken escape"))?;
        let text = |bytes| String::from_utf8(bytes).map_err(|_| Problem::bad("the query is not UTF-8"));
        let pairs = pairs.into_iter().map(|(name, value)| Ok((text(name)?, text(value)?)));
        Ok(Self(pairs.collect::<Result<_, Problem>>()?))
    }

    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let matching = self.0.iter().filter(move |(candidate, _)| candidate == name);
        matching.map(|(_, value)| value.as_str())
    }

    /// Reads a number that may be missing.
    pub(super) fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, Problem> {
        self.all(name).next().map(|value| number(name, value)).transpose()
    }

    /// Reads the version of the catalog, which is needed for a versioned layer.
    pub(super) fn version(&self) -> Result<u32, Problem> {
        let version = self.number("version")?;
        published(version.ok_or_else(|| Problem::bad("version is needed for a versioned layer"))?)
    }

    /// Returns whether an optional field was requested, as in `additionalFields=dataSize,checksum`.
    pub(super) fn wants(&self, field: &str) -> bool {
        self.all("additionalFields").flat_map(|list| list.split(',')).any(|name| name == field)
    }
}

pub(super) fn number<T: FromStr>(name: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::bad(format_args!("{name} is not a number that it can be")))
}

/// Refuses a version that was never published.
pub(super) fn published(version: u32) -> Result<u32, Problem> {
    if version > LATEST_VERSION {
        return Err(Problem::missing(format_args!("version {version} of the catalog")));
    }
    Ok(version)
}

pub(super) fn catalog(hrn: &str) -> Result<&'static Catalog, Problem> {
    let catalog = CATALOGS.iter().find(|catalog| catalog.hrn == hrn);
    catalog.ok_or_else(|| Problem::missing(format_args!("catalog {hrn}")))
}

pub(super) fn layer(hrn: &str, id: &str) -> Result<&'static Layer, Problem> {
    let layer = catalog(hrn)?.layers.iter().find(|layer| layer.id == id);
    layer.ok_or_else(|| Problem::missing(format_args!("layer {id}")))
}

impl Problem {
    pub(super) fn missing(what: impl Display) -> Self {
        Self(StatusCode::NOT_FOUND, format!("there is no {what}"))
    }

    pub(super) fn bad(cause: impl Display) -> Self {
        Self(StatusCode::BAD_REQUEST, cause.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self(status, cause) = self;
        let body = json!({
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "cause": cause,
            "action": "Look the names up in the catalog's configuration, then try again.",
        });
        (status, uncached(body)).into_response()
    }
}
