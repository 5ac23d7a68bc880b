//! What a stream's address may look like. No message repeats any of it: an address may hold a secret.

use super::value::Wrong;
use hyper::Uri;

/// Accepts `ws://host[:port][/path][?query]` and the same with `wss`.
pub(super) fn check(url: &str) -> Result<(), Wrong> {
    let wrong = |problem: &str| {
        Err(format!(
            "{problem}; an address is ws:// or wss://, a host, and maybe a port, a path and a query"
        ))
    };
    let Some(rest) = url.strip_prefix("wss://").or_else(|| url.strip_prefix("ws://")) else {
        return wrong("does not begin with ws:// or wss://");
    };
    if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return wrong("holds blanks or characters that must be percent-encoded");
    }
    if url.contains('#') {
        return wrong("has a fragment (#...), which is never sent");
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.contains('@') {
        return wrong("holds a user name or password");
    }
    if authority.is_empty() || authority.starts_with(':') {
        return wrong("has no host");
    }
    let Ok(uri) = url.parse::<Uri>() else {
        return wrong("is no valid address");
    };
    let Some(host) = uri.host().filter(|host| !host.is_empty()) else {
        return wrong("has no host");
    };
    let has_port = authority.len() > host.len();
    if has_port && uri.port_u16().is_none_or(|port| port == 0) {
        return wrong("has a port that is not from 1 to 65535");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_and_a_host() {
        for good in [
            "wss://venue.example/ws/market",
            "ws://127.0.0.1:9001",
            "ws://[::1]:9001/a?b=c&d=%20",
            "wss://venue.example?token=x@y",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, problem) in [
            ("", "does not begin"),
            ("https://venue.example", "does not begin"),
            ("WSS://venue.example", "does not begin"),
            ("wss://", "has no host"),
            ("wss:///path", "has no host"),
            ("wss://:80/", "has no host"),
            ("wss://user:pass@venue.example", "user name or password"),
            ("wss://user@/", "user name or password"),
            ("wss://venue.example/#part", "fragment"),
            ("wss://venue.example/a b", "blanks"),
            ("wss://vénue.example", "blanks"),
            ("wss://venue.example:0/", "port"),
            ("wss://venue.example:65536/", "port"),
            ("wss://venue.example:/", "port"),
            ("wss://[::1/", "no valid address"),
            ("wss://a:b:c/", "no valid address"),
        ] {
            let error = check(bad).unwrap_err();
            assert!(error.contains(problem), "{bad}: {error}");
        }
    }

    #[test]
    fn a_message_never_repeats_the_address() {
        for bad in [
            "wss://hunter2:hunter2@venue.example",
            "hunter2",
            "wss://venue.example/#hunter2",
            "wss://venue.example:hunter2/",
            "wss://venue.example/hunter2 ",
        ] {
            assert!(!check(bad).unwrap_err().contains("hunter2"), "{bad}");
        }
    }
}
