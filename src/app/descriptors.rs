//! File descriptors: as many as the system allows, and some of them kept for the HTTP server.
//!
//! Streams that take the last one would leave nobody who could see it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the process itself needs: stdio, the runtime, the listener, look-ups, files read at a scrape.
const OWN: usize = 16;

/// Raises the limit as far as it goes, and returns how many sockets are left for streams.
pub(super) fn for_streams(http_connections: usize) -> usize {
    let limit = raised();
    limit.saturating_sub(OWN + http_connections.min(limit / 4))
}

fn raised() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // Where it cannot be raised, what there is has to do.
    let limit = match setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    ) {
        Ok(()) => maximum,
        Err(_) => current,
    };
    limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_descriptors_are_kept_for_the_http_server() {
        let limit = raised();
        assert!(for_streams(256) < limit);
        assert!(for_streams(256) >= limit / 2, "most of {limit} are for streams");
    }
}
