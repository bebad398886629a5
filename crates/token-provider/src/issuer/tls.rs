//! What was wrong with a TLS connection, in words.

use std::error::Error as StdError;

use rustls::{CertificateError, Error as TlsError};

use crate::error::error_chain;

/// Returns what a failed request's TLS or proxy did not like, and what to do; `None` where it was something else.
pub fn connection_problem(error: &(dyn StdError + 'static)) -> Option<&'static str> {
    error_chain(error).find_map(|error| {
        if let Some(error) = error.downcast_ref::<TlsError>() {
            return Some(explain(error));
        }
        // hyper-util's `TunnelError` is private.
        match error.to_string().as_str() {
            "tunnel error: proxy authorization required" => Some(
                "the proxy requires authentication (407): put USER:PASSWORD@ before the host in HTTPS_PROXY",
            ),
            "tunnel error: unsuccessful" => {
                Some("the proxy refused to connect to it: check the proxy's rules, HTTPS_PROXY and NO_PROXY")
            }
            _ => None,
        }
    })
}

fn explain(error: &TlsError) -> &'static str {
    match error {
        TlsError::InvalidCertificate(error) => match error {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "its certificate is from an authority that this machine does not trust, such as a private \
                 one or a proxy that intercepts TLS: add the authority to the system's trust store, or set \
                 profiles.NAME.ca to its certificate"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired, or this machine's clock is ahead: check the clock first"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet, most likely because this machine's clock is behind: set the clock, \
                 preferably with NTP"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another host name: check the URL, and whether something else \
                 answers in its place"
            }
            // webpki's CaUsedAsEndEntity.
            CertificateError::Other(_) => {
                "its certificate cannot be used, most likely because it is an authority's own (CA:TRUE): give the server a \
                 certificate that the authority has signed"
            }
            _ => "its certificate cannot be used",
        },
        TlsError::InvalidMessage(_) => {
            "it does not speak TLS on this port: check the port, and https:// in the URL"
        }
        TlsError::AlertReceived(_) => {
            "it aborted the TLS handshake: it may require a client certificate, or support only versions \
             before TLS 1.2"
        }
        TlsError::PeerIncompatible(_) => {
            "it supports neither TLS 1.2 nor 1.3, or none of their cipher suites used here"
        }
        _ => "the TLS handshake failed",
    }
}
