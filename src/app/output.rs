//! What the programs that listen and print have in common: the simulator and the pager.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// What is left to print at the end may take so long.
const LAST_LINES: Duration = Duration::from_secs(2);

/// That an address cannot be had, with the way out.
pub(super) fn cannot_listen(address: SocketAddr, error: &io::Error) -> io::Error {
    let told = format!("cannot listen on {address}: {error}; choose another with --listen");
    io::Error::new(error.kind(), told)
}

/// Waits for a thread that prints, but not for a reader of stdout that has stalled.
pub(super) async fn last_lines(printer: JoinHandle<io::Result<()>>) -> io::Result<()> {
    match timeout(LAST_LINES, printer).await {
        Ok(ended) => ended.map_err(io::Error::other)?,
        Err(_) => Ok(()),
    }
}
