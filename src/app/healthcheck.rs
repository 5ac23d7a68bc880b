//! Asks a running service whether it answers, for containers that have neither a shell nor curl.

use super::http;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Fails where what listens at `address` does not say within `patience` that it is healthy, or is not feedwatch. An address
/// that means every interface, as in the configuration, is asked on loopback.
pub async fn healthcheck(address: SocketAddr, patience: Duration) -> Result<(), Error> {
    let answer = http::get(reachable(address), "/-/healthy", patience).await?;
    // Others have the same path, Prometheus for one.
    if answer != "healthy\n" {
        return Err("something else than feedwatch answers there".into());
    }
    Ok(())
}

fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interface_is_asked_on_loopback_and_an_address_where_it_is() {
        for (listens, asked) in [
            ("0.0.0.0:9885", "127.0.0.1:9885"),
            ("[::]:9885", "[::1]:9885"),
            ("192.0.2.1:1", "192.0.2.1:1"),
            ("[2001:db8::1]:1", "[2001:db8::1]:1"),
        ] {
            assert_eq!(reachable(listens.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
