//! The parts that other processes play: who scrapes, who serves, who sends messages.

use crate::child::questions;
use crate::shown::Shown;
use feedwatch::exporter::{Exporter, ExporterState, Limits, Readiness};
use feedwatch::metrics::{BuildInfo, OwnMetrics};
use rustix::time::{ClockId, clock_gettime};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// Messages are the time at which they were sent: nanoseconds of the system's monotonic clock.
const MESSAGE: usize = 8;
/// Connections that each get a message every millisecond.
const CONNECTIONS: usize = 8;

/// Serves these streams for as long as the runtime lives.
pub(crate) fn serve(runtime: &Runtime, shown: &Shown) -> SocketAddr {
    let build = BuildInfo {
        version: "1".into(),
        revision: "r".into(),
        rustversion: "1".into(),
    };
    let state = ExporterState {
        streams: Arc::clone(&shown.streams),
        own: Arc::new(OwnMetrics::new(&build).unwrap()),
        readiness: Arc::new(Readiness::new()),
        build,
    };
    let any = "127.0.0.1:0".parse().unwrap();
    let exporter = runtime.block_on(Exporter::bind(any, state, Limits::default())).unwrap();
    let address = exporter.local_addr();
    runtime.spawn(exporter.serve(CancellationToken::new()));
    address
}

/// Scrapes with the header lines that a question names, and answers how many bytes came.
pub(crate) fn scraper(address: SocketAddr) {
    for headers in questions() {
        let mut socket = TcpStream::connect(address).unwrap();
        let headers = headers.replace('|', "\r\n");
        let request = format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{headers}\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).unwrap();
        let (mut buffer, mut bytes, mut end) = (vec![0; 256 * 1024], 0, Vec::new());
        loop {
            let read = socket.read(&mut buffer).unwrap();
            if read == 0 {
                break;
            }
            bytes += read;
            end.extend_from_slice(&buffer[read.saturating_sub(5)..read]);
            end.drain(..end.len().saturating_sub(5));
        }
        assert!(end == b"0\r\n\r\n", "cut short");
        println!("{bytes}");
    }
}

/// Serves so many streams. Tells where, and how much more memory it has held since it was asked last: bytes.
pub(crate) fn server(streams: usize) {
    let (runtime, shown) = (Runtime::new().unwrap(), Shown::new(streams));
    println!("{}", serve(&runtime, &shown));
    let mut before = 0;
    for _ in questions() {
        println!("{}", status("VmHWM:") - before);
        // Begins the peak anew. Source: proc(5), /proc/pid/clear_refs
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        before = status("VmRSS:");
    }
}

/// The same, and takes messages on the same workers. Tells where the two are; and, of the messages since it was asked last, how
/// late the latest came, in nanoseconds, and how many there were.
pub(crate) fn receiver(streams: usize) {
    let (runtime, shown) = (Runtime::new().unwrap(), Shown::new(streams));
    let exporter = serve(&runtime, &shown);
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    println!("{exporter} {}", listener.local_addr().unwrap());
    let seen = Arc::new([const { AtomicU64::new(0) }; 2]);
    let told = Arc::clone(&seen);
    runtime.spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let [latest, count] = &*seen;
                let mut message = [0; MESSAGE];
                while socket.read_exact(&mut message).await.is_ok() {
                    latest.fetch_max(nanos() - u64::from_le_bytes(message), Relaxed);
                    count.fetch_add(1, Relaxed);
                }
            });
        }
    });
    for _ in questions() {
        let [latest, count] = told.each_ref().map(|seen| seen.swap(0, Relaxed));
        println!("{latest} {count}");
    }
}

/// Sends messages until it is ended.
pub(crate) fn sender(address: SocketAddr) {
    let connect = |_| {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        socket
    };
    let mut sockets: Vec<_> = (0..CONNECTIONS).map(connect).collect();
    loop {
        for socket in &mut sockets {
            if socket.write_all(&nanos().to_le_bytes()).is_err() {
                return;
            }
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

fn nanos() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap()
}

/// A line of this process's status: bytes.
fn status(key: &str) -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<i64>().unwrap() * 1024
}
