//! File descriptors: as many as the system allows, and some of them kept for the HTTP server.
//!
//! Streams that take the last one would leave nobody who could see it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the process itself will need beside what is open: look-ups, files read at a scrape, the way to the tracing backend.
const OWN: usize = 8;
/// What is open where that cannot be told: stdio, the runtime, the listener.
const USUAL: usize = 8;

/// Raises the limit as far as it goes, and returns how many sockets are left for streams. What the process was started with counts
/// against the limit like all else.
pub(super) fn for_streams(http_connections: usize) -> usize {
    left(raised(), open().unwrap_or(USUAL), http_connections)
}

fn left(limit: usize, open: usize, http_connections: usize) -> usize {
    let free = limit.saturating_sub(open);
    free.saturating_sub(OWN + http_connections.min(free / 4))
}

/// How many descriptors are open, but for the one that is needed to look.
fn open() -> Option<usize> {
    let entries = std::fs::read_dir("/dev/fd").ok()?;
    entries.count().checked_sub(1)
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
    fn what_is_open_already_is_nobodys_any_more() {
        assert_eq!(left(1024, 10, 256), 1014 - 8 - 253);
        assert_eq!(left(64, 10, 256), 54 - 8 - 13);
        assert_eq!(left(64, 43, 256), 21 - 8 - 5);
        assert_eq!(left(64, 64, 256), 0);
        assert_eq!(left(64, 70, 256), 0, "the limit was lowered");
        assert_eq!(left(usize::MAX, 10, 256), usize::MAX - 10 - 8 - 256);
        let before = open().unwrap();
        let _file = std::fs::File::open("/dev/null").unwrap();
        // Other tests open and close theirs meanwhile.
        assert!(open().unwrap() > 3 && before > 2);
    }

    #[test]
    fn some_descriptors_are_kept_for_the_http_server() {
        let limit = raised();
        assert!(for_streams(256) < limit);
        assert!(for_streams(256) >= limit / 2, "most of {limit} are for streams");
    }
}
