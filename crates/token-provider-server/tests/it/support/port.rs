//! Ports at which nobody listens, for a while or at all.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// A port of this machine that no other test gets, and that can be bound.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    /// Bound and not listening: others may bind it who say so, and who ask for any port do not get this one. Not
    /// everywhere as on Linux.
    _held: Option<TcpSocket>,
}

impl Port {
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("can be made");
        socket.set_reuseaddr(true).expect("can be set");
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a port is free");
        let address = socket.local_addr().expect("is bound");
        Self { address, _held: Some(socket).filter(|_| cfg!(target_os = "linux")) }
    }
}
