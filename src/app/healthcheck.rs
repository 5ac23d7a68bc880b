//! Asks a running service whether it answers, for containers that have neither a shell nor curl.

use super::http;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Fails where the HTTP server at `address` does not say in time that it is healthy. An address that means every interface, as
/// in the configuration, is asked on loopback.
pub async fn healthcheck(address: SocketAddr, timeout: Duration) -> Result<(), Error> {
    let asked = tokio::time::timeout(timeout, http::get(reachable(address), "/-/healthy")).await;
    asked.map_err(|_| format!("no answer within {timeout:?}"))??;
    Ok(())
}

fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
