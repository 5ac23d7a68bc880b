//! In what two ways to a venue differ. What files hold is compared, not their names.

use crate::config::{AccessConfig, TlsConfig};
use crate::stream::{ClientIdentity, Proxy};

/// The keys that lead from one to the other. They may be the stream's own or those of the sections.
pub(super) fn differing(before: &AccessConfig, next: &AccessConfig) -> Vec<&'static str> {
    let AccessConfig {
        headers,
        key,
        tls,
        proxy,
    } = before;
    let TlsConfig { authorities, identity } = tls;
    let is_same_certificate = both(
        identity.as_ref(),
        next.tls.identity.as_ref(),
        ClientIdentity::has_certificate_of,
    );
    let is_same_place = both(proxy.as_ref(), next.proxy.as_ref(), Proxy::is_at_place_of);
    let is_same_user = both(proxy.as_ref(), next.proxy.as_ref(), Proxy::has_user_of);
    let is_same_key = both(key.as_ref(), next.key.as_ref(), |before, next| before.id() == next.id());
    super::differing([
        ("headers", *headers != next.headers),
        ("api_key_id", !is_same_key),
        ("api_key_file", is_same_key && *key != next.key),
        ("tls.ca_file", *authorities != next.tls.authorities),
        ("tls.client_certificate_file", !is_same_certificate),
        (
            "tls.client_key_file",
            is_same_certificate && *identity != next.tls.identity,
        ),
        ("proxy.url", !is_same_place),
        ("proxy.username", is_same_place && !is_same_user),
        (
            "proxy.password_file",
            is_same_place && is_same_user && *proxy != next.proxy,
        ),
    ])
}

/// Whether what both have is the same; nothing is the same as nothing.
fn both<T>(before: Option<&T>, next: Option<&T>, is_same: impl Fn(&T, &T) -> bool) -> bool {
    match (before, next) {
        (Some(before), Some(next)) => is_same(before, next),
        (None, None) => true,
        _ => false,
    }
}
