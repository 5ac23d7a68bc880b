//! What a test leaves behind: nothing.

use std::collections::BTreeSet;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

/// What is on its way out has gone by then.
const LIMIT: Duration = Duration::from_secs(20);
/// Descriptors are the process's: one test at a time.
static TURN: LazyLock<Mutex<()>> = LazyLock::new(Mutex::default);

/// Does what `test` says in its turn; afterwards there are as many tasks and TCP sockets as before. Other descriptors are the
/// runtimes' of the tests that wait for their turn.
pub(crate) async fn leaves_nothing_behind(test: impl AsyncFnOnce()) {
    let _turn = TURN.lock().await;
    let before = (alive_tasks(), tcp_sockets());
    test().await;
    let begun = Instant::now();
    loop {
        let after = (alive_tasks(), tcp_sockets());
        if after == before {
            break;
        }
        assert!(
            begun.elapsed() < LIMIT,
            "tasks and sockets: {before:?} before, {after:?} after"
        );
        sleep(Duration::from_millis(5)).await;
    }
}

fn alive_tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// Open descriptors of this process that are TCP sockets in the network of this thread, by their inodes.
fn tcp_inodes() -> Vec<String> {
    let mut of_tcp = BTreeSet::new();
    for table in ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"] {
        let table = std::fs::read_to_string(table).unwrap();
        // The tenth column is the inode.
        of_tcp.extend(
            table
                .lines()
                .skip(1)
                .filter_map(|line| Some(line.split_whitespace().nth(9)?.to_owned())),
        );
    }
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    let links = descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links
        .filter_map(|link| inode(&link))
        .filter(|inode| of_tcp.contains(inode))
        .collect()
}

fn tcp_sockets() -> usize {
    tcp_inodes().len()
}

/// The inode of a socket, as the link of its descriptor tells it.
fn inode(link: &Path) -> Option<String> {
    let name = link.to_str()?;
    let inode = name.strip_prefix("socket:[")?.strip_suffix(']')?;
    Some(inode.to_owned())
}

#[tokio::test]
async fn a_socket_that_is_open_is_counted() {
    let _turn = TURN.lock().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let link = std::fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap();
    let own = inode(&link).unwrap();
    assert!(tcp_inodes().contains(&own));
    drop(listener);
    assert!(!tcp_inodes().contains(&own));
}
