//! Counts of the requests so far, for tests and for finding the mistake in a signer.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::signature::SignatureForm;

/// Counts and last values of requests. Holds no secret of the sandbox and no token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Token requests that arrived, those answered by a fault included.
    pub token_requests: u64,
    /// Tokens made, even if a fault then kept them from arriving.
    pub tokens_issued: u64,
    /// Token requests answered or spoiled by a fault.
    pub faults_applied: u64,
    /// Requests for what lies behind a token, those answered by a fault included; preflights are not counted.
    pub data_requests: u64,
    /// Those of them that were not answered with success.
    pub data_failures: u64,
    /// Token requests refused on their merits, by HERE's error code; 0 stands for reasons without one.
    pub refused: BTreeMap<u32, u64>,
    /// The access key id of the last request with a well-formed `Authorization` header.
    pub last_access_key_id: Option<String>,
    /// The name of the key of the last accepted client assertion, as it is registered.
    pub last_assertion_key_id: Option<String>,
    /// How the last accepted request was signed.
    pub last_signature_form: Option<SignatureForm>,
    /// The signature base string that the sandbox made for the last request with a wrong signature: compare
    /// it with your own. It shows the query and the form fields as they were sent.
    pub last_mismatch: Option<String>,
}
