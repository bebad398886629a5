//! `/openapi.json`: what the server answers to, for programs: an `OpenAPI` 3.1 document. Tests hold real answers against it.

use super::answer::{Answer, JSON, NO_CACHE, answer};

const DOCUMENT: &str = include_str!("openapi.json");

/// The same for everybody: it names no profile and no scope.
pub(super) fn document() -> Answer {
    answer(JSON, NO_CACHE, DOCUMENT)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::http::request::Route;
    use crate::reason::{Method, Rule};

    fn words(value: &Value) -> BTreeSet<&str> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    #[test]
    fn document_is_of_this_version_and_names_what_there_is() {
        let document: Value = serde_json::from_str(DOCUMENT).expect("is JSON");
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        let paths = document["paths"].as_object().expect("is an object");
        let admin = ["/metrics", "/status"];
        for path in paths.keys().filter(|path| !admin.contains(&path.as_str())) {
            assert!(Route::of(path).is_some(), "{path}");
        }
        assert_eq!(paths.len(), 8 + admin.len());
        let event = &document["components"]["schemas"]["AuditEvent"]["properties"];
        assert_eq!(words(&event["rule"]["enum"]), Rule::ALL.map(Rule::as_str).into());
        assert_eq!(words(&event["method"]["enum"]), Method::ALL.map(Method::as_str).into());
    }
}
