//! What happens on a connection while it is open: nothing can be sent on it any more, or its time limits change. Paused clock,
//! and a venue in memory.

#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "tests may fail, and counts are exact"
)]

mod support;

use feedwatch::clock::Moment;
use feedwatch::market::{Cause, Instrument, MarketEvent, StreamName};
use feedwatch::metrics::{StreamCells, StreamInfo, Streams};
use feedwatch::stream::{Dialler, Endpoint, MarketDataStream, NoObserver, TlsTrust, TransportOptions, WebSocketStream};
use feedwatch::venue::Polymarket;
use futures_util::{SinkExt, StreamExt};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use support::pipe::{Pipe, serve_first_subscription};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::WebSocketStream as Server;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

const TRADE: &str = r#"{"asset_id":"11","timestamp":"1","event_type":"last_trade_price"}"#;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A pipe into which nothing can be written once it is cut.
struct OneWay {
    pipe: DuplexStream,
    cut: Arc<AtomicBool>,
}

impl AsyncRead for OneWay {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_read(cx, buf)
    }
}

impl AsyncWrite for OneWay {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.cut.load(Ordering::Relaxed) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.pipe).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

struct ToOneWay {
    pipe: Pipe,
    cut: Arc<AtomicBool>,
}

impl Dialler for ToOneWay {
    type Io = OneWay;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.pipe.resolve(host, port).await
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<OneWay> {
        let pipe = self.pipe.connect(address).await?;
        let cut = self.cut.clone();
        Ok(OneWay { pipe, cut })
    }
}

struct Open {
    stream: WebSocketStream<ToOneWay>,
    venue: Server<DuplexStream>,
    options: watch::Sender<TransportOptions>,
    cut: Arc<AtomicBool>,
}

/// A connection that is live.
async fn open() -> Open {
    let (pipe, end) = Pipe::new(1 << 20);
    let serving = tokio::spawn(serve_first_subscription(end));
    let endpoint = Endpoint::parse("ws://venue.example/ws").unwrap();
    let info = StreamInfo {
        stream: StreamName::new("test").unwrap(),
        server_address: endpoint.host().into(),
        transport: endpoint.scheme().into(),
        page_on_stale: false,
    };
    let shown = Streams::new();
    let cells = Arc::new(StreamCells::new(info, shown.venue("polymarket"), Moment::now().mono));
    let figures = TransportOptions {
        ping_interval: Some(secs(100)),
        ..TransportOptions::default()
    };
    let (options, followed) = watch::channel(figures.clone());
    let cut = Arc::new(AtomicBool::new(false));
    let dialler = ToOneWay { pipe, cut: cut.clone() };
    let trust = TlsTrust::only([]).unwrap();
    let socket = WebSocketStream::new(&Polymarket, endpoint, figures, trust, cells, Arc::new(NoObserver));
    let mut stream = socket.with_options(followed).with_dialler(dialler);
    stream.connect().await.unwrap();
    stream.subscribe(&[Instrument::new("11")]).await.unwrap();
    let mut open = Open {
        stream,
        venue: serving.await.unwrap(),
        options,
        cut,
    };
    assert!(
        matches!(open.stream.next_event().await, Some(MarketEvent::Frame(_))),
        "the answer"
    );
    open
}

impl Open {
    /// What is left to tell when a ping is due that cannot be sent: how many frames, and why it ended.
    async fn told_after_the_cut(&mut self) -> (usize, Cause) {
        self.cut.store(true, Ordering::Relaxed);
        sleep(secs(101)).await;
        let mut frames = 0;
        loop {
            match timeout(secs(1), self.stream.next_event()).await.expect("it has ended") {
                Some(MarketEvent::Frame(_)) => frames += 1,
                Some(MarketEvent::Disconnected { cause, .. }) => return (frames, cause),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_before_a_ping_that_cannot_be_sent_is_told() {
    let mut open = open().await;
    for _ in 0..3 {
        open.venue.send(Message::text(TRADE)).await.unwrap();
    }
    assert_eq!(open.told_after_the_cut().await, (3, Cause::TcpReset));
}

#[tokio::test(start_paused = true)]
async fn a_close_frame_that_waits_says_why_nothing_can_be_sent() {
    let mut open = open().await;
    open.venue.send(Message::text(TRADE)).await.unwrap();
    let close = CloseFrame {
        code: 1012.into(),
        reason: "".into(),
    };
    open.venue.send(Message::Close(Some(close))).await.unwrap();
    assert_eq!(open.told_after_the_cut().await, (1, Cause::CloseServiceRestart));
}

#[tokio::test(start_paused = true)]
async fn with_nothing_to_read_a_ping_that_cannot_be_sent_is_the_end() {
    assert_eq!(open().await.told_after_the_cut().await, (0, Cause::TcpReset));
}

#[tokio::test(start_paused = true)]
async fn a_shorter_ping_interval_reaches_the_open_connection() {
    let mut open = open().await;
    let opened = Instant::now();
    assert!(
        timeout(secs(50), open.stream.next_event()).await.is_err(),
        "nothing is due before 100 s"
    );
    open.options
        .send_modify(|options| options.ping_interval = Some(secs(60)));
    let pinged = async {
        assert_eq!(open.venue.next().await.unwrap().unwrap(), Message::text("PING"));
        opened.elapsed()
    };
    tokio::select! {
        at = pinged => assert_eq!(at, secs(60), "so long after it was opened"),
        event = open.stream.next_event() => panic!("{event:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_shorter_pong_timeout_holds_for_the_next_ping() {
    let mut open = open().await;
    let opened = Instant::now();
    open.options.send_modify(|options| options.pong_timeout = secs(2));
    let event = open.stream.next_event().await;
    assert!(
        matches!(
            event,
            Some(MarketEvent::Disconnected {
                cause: Cause::PongTimeout,
                ..
            })
        ),
        "{event:?}"
    );
    // A deadline is judged at the second look.
    assert_eq!(opened.elapsed(), secs(102) + Duration::from_millis(1));
}
