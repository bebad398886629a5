//! What is known of the connection that a request came in on.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The connection that a request came in on, as far as it is known; a Unix socket has no addresses.
#[derive(Clone, Debug, Default)]
pub struct ConnectionInfo {
    /// The address that the connection came in on.
    pub local: Option<SocketAddr>,
    /// The address of the other side.
    pub peer: Option<SocketAddr>,
    /// Whether the connection is encrypted.
    pub is_tls: bool,
    /// The other side's certificate.
    pub client: ClientCertificate,
}

impl ConnectionInfo {
    /// Returns the other side's address; an IPv4 one that came in through IPv6 is the same address.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        Some(self.peer?.ip().to_canonical())
    }
}

/// The certificate that a client has shown in the TLS handshake, as it is judged now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientCertificate {
    /// It has shown none.
    #[default]
    None,
    /// `tls.client_ca` vouches for these names.
    Verified(Arc<[String]>),
    /// It was good in the handshake, and is not any more.
    Rejected,
}
