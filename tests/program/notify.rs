//! What systemd is told: a socket of the test's own takes its place.

use crate::harness::{Service, TempFile, config, eventually, get, venue};
use std::os::unix::net::UnixDatagram;

/// How often systemd would want to hear that the service is alive, in microseconds; half of it is 50 ms.
const WATCHDOG: &str = "100000";

/// systemd's end of the socket. It never waits.
struct Manager {
    socket: UnixDatagram,
    path: TempFile,
}

impl Manager {
    fn new() -> Self {
        let path = TempFile::unused("sock");
        let socket = UnixDatagram::bind(path.name()).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, path }
    }

    /// The next message, if one has come.
    fn heard(&self) -> Option<String> {
        let mut text = [0; 4096];
        let length = self.socket.recv(&mut text).ok()?;
        Some(String::from_utf8(text[..length].to_vec()).unwrap())
    }

    /// All that has come.
    fn all(&self) -> Vec<String> {
        std::iter::from_fn(|| self.heard()).collect()
    }

    async fn next(&self, wanted: &str) -> String {
        let mut found = None;
        eventually(wanted, async || {
            while let (None, Some(message)) = (&found, self.heard()) {
                found = Some(message).filter(|message| message.lines().any(|line| line == wanted));
            }
            found.is_some()
        })
        .await;
        found.unwrap()
    }
}

#[tokio::test]
async fn systemd_hears_that_the_service_is_ready_alive_and_stopping() {
    let venue = venue(Vec::new());
    let manager = Manager::new();
    let variables = [("NOTIFY_SOCKET", manager.path.name()), ("WATCHDOG_USEC", WATCHDOG)];
    let service = Service::run_with(&config("", &[("s", &venue.url(), "")]), &[], &variables).await;
    let ready = manager.next("READY=1").await;
    assert!(
        ready.contains(&format!("STATUS=1 streams, http://{}", service.address)),
        "{ready}"
    );
    assert_eq!(service.get("/-/ready").await.status, 200);
    for _ in 0..5 {
        manager.next("WATCHDOG=1").await;
    }
    let address = service.address;
    service.program.signal("TERM");
    manager.next("STOPPING=1").await;
    let ended = service.program.end().await;
    assert_eq!(ended.code, Some(0));
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_process_that_is_frozen_is_not_alive() {
    let manager = Manager::new();
    let variables = [("NOTIFY_SOCKET", manager.path.name()), ("WATCHDOG_USEC", WATCHDOG)];
    let service = Service::run_with(&config("", &[("s", "ws://127.0.0.1:1/", "")]), &[], &variables).await;
    manager.next("WATCHDOG=1").await;
    service.program.signal("STOP");
    // The signal has arrived once the socket is silent for six times the interval.
    let mut silent = 0;
    eventually("silence", async || {
        silent = if manager.all().is_empty() { silent + 1 } else { 0 };
        silent > 30
    })
    .await;
    service.program.signal("CONT");
    manager.next("WATCHDOG=1").await;
    assert_eq!(service.stop("TERM").await.code, Some(0));
}

#[tokio::test]
async fn a_watchdog_that_is_for_another_process_hears_nothing() {
    let manager = Manager::new();
    let variables = [
        ("NOTIFY_SOCKET", manager.path.name()),
        ("WATCHDOG_USEC", "1000"),
        ("WATCHDOG_PID", "1"),
    ];
    let service = Service::run_with(&config("", &[("s", "ws://127.0.0.1:1/", "")]), &[], &variables).await;
    manager.next("READY=1").await;
    assert_eq!(service.stop("TERM").await.code, Some(0));
    let heard = manager.all();
    assert!(
        heard.iter().any(|message| message.starts_with("STOPPING=1")),
        "{heard:?}"
    );
    assert!(!heard.iter().any(|message| message.contains("WATCHDOG")), "{heard:?}");
}

#[tokio::test]
async fn a_socket_that_is_gone_is_told_once_and_harms_nothing() {
    let variables = [("NOTIFY_SOCKET", "/nowhere/notify"), ("WATCHDOG_USEC", "20000")];
    let service = Service::run_with(&config("", &[("s", "ws://127.0.0.1:1/", "")]), &[], &variables).await;
    let before = service.scrape().await;
    assert_eq!(before.value("feedwatch_streams", &[]), 1.0);
    assert_eq!(get(service.address, "/-/healthy").await.status, 200);
    let ended = service.stop("TERM").await;
    assert_eq!(ended.code, Some(0));
    let told = ended.err.iter().filter(|line| line.contains("systemd cannot be told"));
    assert_eq!(told.count(), 1, "{}", ended.stderr());
}
