//! Waking up: nobody polled the stream for a minute, or the process stood still. Paused clock, and a venue in memory.

#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "tests may fail, and counts are exact"
)]

mod support;

use feedwatch::market::Instrument;
use feedwatch::stream::{Dialler, MarketDataStream, TlsTrust, TransportOptions};
use feedwatch::supervise::Policy;
use futures_util::{SinkExt, StreamExt};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use support::pipe::{BOOK, Pipe, serve_first_subscription};
use support::rig::Rig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_tungstenite::WebSocketStream as Server;
use tokio_tungstenite::tungstenite::Message;

/// Longer than every limit below.
const MINUTE: Duration = Duration::from_secs(60);
const PING: Duration = Duration::from_secs(10);

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A pipe whose reader is told of what waits only at the second look after a pause. So it is with a socket when the process
/// goes on: the wait that was interrupted tells the runtime of its timers, and of its sockets only the next one does.
struct Drowsy {
    pipe: DuplexStream,
    looked: Instant,
}

impl AsyncRead for Drowsy {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let now = Instant::now();
        if now - std::mem::replace(&mut self.looked, now) > secs(1) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.pipe).poll_read(cx, buf)
    }
}

impl AsyncWrite for Drowsy {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

/// Reaches a drowsy pipe after a while.
struct Sleeper {
    pipe: Pipe,
    dial_takes: Duration,
}

impl Dialler for Sleeper {
    type Io = Drowsy;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.pipe.resolve(host, port).await
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Drowsy> {
        sleep(self.dial_takes).await;
        let pipe = self.pipe.connect(address).await?;
        let looked = Instant::now();
        Ok(Drowsy { pipe, looked })
    }
}

fn policy() -> Policy {
    Policy {
        initial_delay: secs(40),
        jitter: 0.0,
        ..Policy::default()
    }
}

/// A stream that has dialled nothing yet, and the venue's end.
async fn rig(policy: Policy, ping_interval: Duration, dial_takes: Duration) -> (Rig<Sleeper>, DuplexStream) {
    let (pipe, end) = Pipe::new(1 << 20);
    let options = TransportOptions {
        ping_interval: Some(ping_interval),
        ..TransportOptions::default()
    };
    let trust = TlsTrust::only([]).unwrap();
    let dialler = Sleeper { pipe, dial_takes };
    (
        Rig::new("ws://venue.example/ws", policy, options, trust, dialler).await,
        end,
    )
}

/// A stream that is live, with a venue that does this afterwards.
async fn live<F: Future<Output = ()> + Send + 'static>(
    policy: Policy,
    ping_interval: Duration,
    then: impl FnOnce(Server<DuplexStream>) -> F + Send + 'static,
) -> Rig<Sleeper> {
    let (mut rig, end) = rig(policy, ping_interval, Duration::ZERO).await;
    tokio::spawn(async move { then(serve_first_subscription(end).await).await });
    poll(&mut rig, millis(100)).await;
    assert_eq!(connected(&rig), 1.0);
    rig
}

/// Polls the stream for so long.
async fn poll(rig: &mut Rig<Sleeper>, time: Duration) {
    let end = Instant::now() + time;
    while let Ok(event) = timeout_at(end, rig.stream.next_event()).await {
        rig.events.push(event.expect("the stream goes on"));
    }
}

fn sum(rig: &Rig<Sleeper>, name: &str) -> f64 {
    rig.scrape().sum(name, &[])
}

fn connected(rig: &Rig<Sleeper>) -> f64 {
    sum(rig, "feedwatch_stream_connected")
}

fn losses(rig: &Rig<Sleeper>) -> Vec<String> {
    rig.scrape().nonzero("feedwatch_disconnects_total", "cause")
}

fn failures(rig: &Rig<Sleeper>) -> Vec<String> {
    rig.scrape().nonzero("feedwatch_connect_failures_total", "cause")
}

/// Reads and answers nothing.
async fn read_on(mut server: Server<DuplexStream>) {
    while let Some(Ok(_)) = server.next().await {}
}

/// Answers each ping after so long.
async fn answer_pings(mut server: Server<DuplexStream>, after: Duration) {
    while let Some(Ok(message)) = server.next().await {
        if message == Message::text("PING") {
            sleep(after).await;
            server.send(Message::text("PONG")).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pong_that_waits_is_read_before_it_is_missed() {
    let mut rig = live(policy(), PING, |server| answer_pings(server, secs(5))).await;
    poll(&mut rig, millis(10_500)).await;
    assert_eq!(
        sum(&rig, "feedwatch_ping_rtt_seconds_count"),
        0.0,
        "a ping is under way"
    );
    sleep(MINUTE).await;
    poll(&mut rig, secs(29)).await;
    assert_eq!((connected(&rig), losses(&rig)), (1.0, vec![]));
    // The pong of the ping of 10 s is read after that of 70.6 s was sent: what it answers cannot be told.
    assert_eq!(sum(&rig, "feedwatch_ping_rtt_seconds_count"), 2.0);
    assert_eq!(sum(&rig, "feedwatch_ping_rtt_seconds_sum"), 10.0);
    // One at 10 s, one on waking at 70.6 s, and two of the half minute since.
    assert_eq!(
        sum(&rig, "feedwatch_frames_sent_total"),
        1.0 + 4.0,
        "what was missed is not caught up on"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pong_that_does_not_wait_has_one_more_second_and_a_ping_to_answer() {
    for (answer_after, kept) in [(millis(500), true), (millis(1500), false)] {
        let mut rig = live(policy(), PING, move |mut server| async move {
            server.next().await.unwrap().unwrap();
            sleep(secs(30)).await;
            answer_pings(server, answer_after).await;
        })
        .await;
        poll(&mut rig, millis(10_500)).await;
        sleep(MINUTE).await;
        poll(&mut rig, millis(950)).await;
        assert_eq!(connected(&rig), 1.0);
        poll(&mut rig, millis(100)).await;
        let expected = if kept { vec![] } else { vec!["pong_timeout".to_owned()] };
        assert_eq!(losses(&rig), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn data_that_waits_is_read_before_it_is_missed_and_counts_from_then() {
    let watching = Policy {
        stale_after: Some(secs(30)),
        ..policy()
    };
    let mut rig = live(watching, 2 * MINUTE, |mut server| async move {
        sleep(secs(20)).await;
        server.send(Message::text(BOOK)).await.unwrap();
        answer_pings(server, Duration::ZERO).await;
    })
    .await;
    poll(&mut rig, secs(1)).await;
    sleep(MINUTE).await;
    poll(&mut rig, secs(29)).await;
    assert_eq!(sum(&rig, "feedwatch_stale_episodes_total"), 0.0);
    assert_eq!(sum(&rig, "feedwatch_messages_total"), 2.0, "both books");
    poll(&mut rig, secs(2)).await;
    assert_eq!(sum(&rig, "feedwatch_stale_episodes_total"), 1.0);
    assert_eq!(losses(&rig), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn data_that_never_came_is_missed_once_after_waking() {
    let watching = Policy {
        stale_after: Some(secs(30)),
        ..policy()
    };
    let mut rig = live(watching, 2 * MINUTE, |server| answer_pings(server, Duration::ZERO)).await;
    poll(&mut rig, secs(1)).await;
    sleep(MINUTE).await;
    poll(&mut rig, millis(950)).await;
    assert_eq!(sum(&rig, "feedwatch_stream_stale"), 0.0, "not yet judged");
    poll(&mut rig, millis(100)).await;
    assert_eq!(sum(&rig, "feedwatch_stream_stale"), 1.0);
    poll(&mut rig, MINUTE).await;
    assert_eq!(sum(&rig, "feedwatch_stale_episodes_total"), 1.0);
}

/// A text frame as a server sends it.
fn text_frame(payload: &str) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&[0x81, 126], &length[..], payload.as_bytes()].concat()
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_frame_is_a_sign_of_life_since_pongs_queue_behind_it() {
    let mut rig = live(policy(), PING, |mut server| async move {
        let frame = text_frame(&format!("{BOOK:1000}"));
        for part in frame.chunks(100) {
            server.get_mut().write_all(part).await.unwrap();
            sleep(secs(10)).await;
        }
        server.get_mut().write_all(&frame[..500]).await.unwrap();
        read_on(server).await;
    })
    .await;
    poll(&mut rig, secs(95)).await;
    assert_eq!(
        sum(&rig, "feedwatch_frames_received_total"),
        1.0,
        "slower than any pong time-out"
    );
    assert_eq!(losses(&rig), [""; 0]);
    poll(&mut rig, secs(30)).await;
    assert_eq!(sum(&rig, "feedwatch_frames_received_total"), 2.0);
    assert_eq!(losses(&rig), [""; 0]);
    poll(&mut rig, secs(20)).await;
    assert_eq!(
        losses(&rig),
        ["pong_timeout"],
        "the venue has stopped in the middle of a frame"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_waits_behind_other_frames_is_read_before_it_is_missed() {
    let mut rig = live(policy(), PING, |mut server| async move {
        server.next().await.unwrap().unwrap();
        for _ in 0..500 {
            server.send(Message::text(BOOK.trim_matches(['[', ']']))).await.unwrap();
        }
        server.send(Message::text(BOOK.replace("11", "77"))).await.unwrap();
        read_on(server).await;
    })
    .await;
    rig.stream.subscribe(&[Instrument::new("77")]).await.unwrap();
    // Sends it, and is not polled again before the answer is late.
    let _ = timeout_at(Instant::now(), rig.stream.next_event()).await;
    sleep(MINUTE).await;
    assert_eq!(sum(&rig, "feedwatch_subscriptions_active"), 1.0);
    poll(&mut rig, secs(3)).await;
    assert_eq!(sum(&rig, "feedwatch_subscriptions_active"), 2.0);
    assert_eq!(
        sum(&rig, "feedwatch_subscription_failures_total"),
        1.0,
        "the 12 of the first subscription"
    );
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_was_answered_meanwhile_is_taken() {
    let (mut rig, end) = rig(policy(), PING, Duration::ZERO).await;
    tokio::spawn(async move {
        sleep(secs(20)).await;
        read_on(serve_first_subscription(end).await).await;
    });
    poll(&mut rig, secs(1)).await;
    sleep(MINUTE).await;
    poll(&mut rig, secs(3)).await;
    assert_eq!((connected(&rig), failures(&rig)), (1.0, vec![]));
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_could_not_be_asked_for_before_has_a_second() {
    for (answer_after, kept) in [(millis(900), true), (millis(1100), false)] {
        let (mut rig, end) = rig(policy(), PING, secs(5)).await;
        tokio::spawn(async move {
            // The request for the upgrade comes on waking, at 61 s.
            sleep(secs(61) + answer_after).await;
            if let Ok(mut server) = tokio_tungstenite::accept_async(end).await {
                server.next().await.unwrap().unwrap();
                server.send(Message::text(BOOK)).await.unwrap();
                read_on(server).await;
            }
        });
        poll(&mut rig, secs(1)).await;
        sleep(MINUTE).await;
        poll(&mut rig, secs(3)).await;
        let expected = if kept {
            vec![]
        } else {
            vec!["upgrade_timeout".to_owned()]
        };
        assert_eq!(failures(&rig), expected);
        assert_eq!(connected(&rig), f64::from(u8::from(kept)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_was_answered_meanwhile_is_in_effect() {
    let (mut rig, end) = rig(policy(), PING, Duration::ZERO).await;
    tokio::spawn(async move {
        let mut server = tokio_tungstenite::accept_async(end).await.unwrap();
        server.next().await.unwrap().unwrap();
        sleep(secs(20)).await;
        // Not the first thing that is read.
        for _ in 0..500 {
            server.send(Message::text("PONG")).await.unwrap();
        }
        server.send(Message::text(BOOK)).await.unwrap();
        read_on(server).await;
    });
    poll(&mut rig, secs(1)).await;
    assert_eq!(sum(&rig, "feedwatch_connect_attempts_total"), 1.0);
    sleep(MINUTE).await;
    poll(&mut rig, secs(3)).await;
    assert_eq!((connected(&rig), failures(&rig)), (1.0, vec![]));
    assert_eq!(
        sum(&rig, "feedwatch_subscription_failures_total"),
        1.0,
        "the 12 is refused, and nothing has timed out"
    );
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_long_over_dials_once() {
    let mut rig = live(policy(), PING, |server| async move {
        sleep(millis(500)).await;
        drop(server);
    })
    .await;
    poll(&mut rig, secs(1)).await;
    assert_eq!(losses(&rig), ["eof"]);
    sleep(MINUTE).await;
    poll(&mut rig, secs(39)).await;
    assert_eq!(sum(&rig, "feedwatch_connect_attempts_total"), 2.0);
    assert_eq!(failures(&rig), ["tcp_refused"]);
}
