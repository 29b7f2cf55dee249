//! Sockets to listen on.

use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs as _},
};

use crate::Error;

/// Connections that wait to be accepted. The standard library asks for 128,
/// which a burst of clients fills; the kernel cuts this to its own limit.
const BACKLOG: i32 = 4_096;

/// Listens on the first address of `host` that can be listened on.
pub(super) fn listen(host: &str, port: u16) -> Result<TcpListener, Error> {
    let named = format!("{host}:{port}");
    let refused = |source| Error::Listen {
        address: named.clone(),
        source,
    };
    // An address in brackets is one of IPv6.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(refused)?.collect();
    let mut last = Error::Listen {
        address: named.clone(),
        source: io::Error::from(io::ErrorKind::AddrNotAvailable),
    };
    for address in addresses {
        match TcpListener::bind(address) {
            Ok(listener) => {
                rustix::net::listen(&listener, BACKLOG).map_err(|error| refused(error.into()))?;
                return Ok(listener);
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                last = Error::AddressInUse { address };
            }
            Err(source) => last = refused(source),
        }
    }
    Err(last)
}
