//! Venues of ill will: raw sockets on threads of their own, which send as fast as they can what no library would send. Each has its
//! cause and its time limit, takes no more memory than it may, and keeps nobody else on the same thread from its work.

#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    clippy::panic,
    reason = "tests may fail, and counts are exact"
)]

mod support;

use feedwatch::market::{Instrument, MarketEvent};
use feedwatch::stream::{Dialler, MarketDataStream, TcpDialler, TlsTrust, TransportOptions};
use feedwatch::supervise::{OnStale, Policy};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;
use support::Scrape;
use support::aftermath::leaves_nothing_behind;
use support::metered::Metered;
use support::pipe::BOOK;
use support::rig::{Rig, spread};
use support::rows::{millis, options, policy};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// What takes longer has failed; the time limits that are tried are far below it.
const LIMIT: Duration = Duration::from_secs(20);

/// No task that shares the thread waits for so long. A flood that is read until it pauses takes far more.
const PATIENCE: Duration = Duration::from_secs(2);

/// The venue's end of a connection.
struct Peer(TcpStream);

impl Peer {
    /// Reads the request to upgrade; the answer to it.
    fn request(&mut self) -> String {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        let request = String::from_utf8(request).unwrap();
        let key = request.lines().find_map(|line| {
            line.to_ascii_lowercase()
                .starts_with("sec-websocket-key")
                .then(|| &line[19..])
        });
        let accept = derive_accept_key(key.unwrap().trim().as_bytes());
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        )
    }

    /// Answers the upgrade, and reads the subscription.
    fn upgrade(&mut self) -> String {
        let answer = self.request();
        self.send(answer.as_bytes());
        let mut frame = vec![0; 4096];
        let length = self.0.read(&mut frame).unwrap();
        frame.truncate(length);
        // A short text: two bytes of a header, or four, then the mask.
        let header = if frame[1] & 0x7f == 126 { 4 } else { 2 };
        let mask = frame[header..header + 4].to_vec();
        let text = frame[header + 4..].iter().zip(mask.iter().cycle());
        String::from_utf8(text.map(|(byte, mask)| byte ^ mask).collect()).unwrap()
    }

    /// The same, and answers it.
    fn go_live(&mut self) {
        self.upgrade();
        self.send(&frame(TEXT, BOOK.as_bytes()));
    }

    /// `false`: the stream has ended the connection.
    fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// Sends these again and again, until the stream ends the connection.
    fn flood(&mut self, frames: &[u8]) {
        let many = frames.repeat((64 * 1024 / frames.len()).max(1));
        while self.send(&many) {}
    }

    /// Reads all that comes, on a thread of its own.
    fn listen(&self) -> JoinHandle<()> {
        let mut ears = self.0.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut heard = vec![0; 64 * 1024];
            while ears.read(&mut heard).is_ok_and(|length| length > 0) {}
        })
    }
}

const TEXT: u8 = 0x81;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
const CLOSE: u8 = 0x88;

/// A frame of at most 125 bytes, or of some more.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(length) if length < 126 => frame.push(length),
        _ => {
            frame.push(126);
            frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}

/// A venue that accepts one connection and does this; whoever dials next is refused. It has ended when the stream has.
fn venue(deed: impl FnOnce(&mut Peer) + Send + 'static) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/ws/market", listener.local_addr().unwrap());
    let deeds = std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        drop(listener);
        socket.set_write_timeout(Some(LIMIT)).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        deed(&mut Peer(socket));
    });
    (url, deeds)
}

async fn dial<D: Dialler>(url: &str, policy: Policy, options: TransportOptions, dialler: D) -> Rig<D> {
    Rig::new(url, policy, options, TlsTrust::only([]).unwrap(), dialler).await
}

/// Polls the stream until the connection is lost, or the attempt has failed, with that cause. Meanwhile another task of the same
/// thread does its work. Returns how long that took.
async fn until_ended<D: Dialler>(rig: &mut Rig<D>, figure: &str, cause: &str) -> Duration {
    let neighbour = tokio::spawn(async {
        let mut longest = Duration::ZERO;
        let mut last = Instant::now();
        loop {
            sleep(millis(5)).await;
            longest = longest.max(last.elapsed());
            last = Instant::now();
            assert!(longest < PATIENCE, "it was kept from its work for {longest:?}");
        }
    });
    let begun = Instant::now();
    let scrape = rig.until(cause, |scrape: &Scrape| scrape.sum(figure, &[]) > 0.0).await;
    assert_eq!(
        scrape.sum(figure, &[("cause", cause)]),
        1.0,
        "{:?}",
        scrape.nonzero(figure, "cause")
    );
    let took = begun.elapsed();
    neighbour.abort();
    let judged = neighbour.await;
    assert!(
        judged.is_err_and(|error| error.is_cancelled()),
        "{cause}: a neighbour was kept from its work"
    );
    took
}

const LOST: &str = "feedwatch_disconnects_total";
const FAILED: &str = "feedwatch_connect_failures_total";

/// What the consumer was told of the end.
fn detail<D: Dialler>(rig: &Rig<D>) -> &str {
    let told = rig.events.iter().find_map(|event| match event {
        MarketEvent::Disconnected { detail, .. } => Some(detail.as_ref()),
        _ => None,
    });
    told.expect("a loss")
}

#[tokio::test]
async fn a_message_of_endless_fragments_is_given_up_before_it_takes_all_the_time_there_is() {
    leaves_nothing_behind(async || {
        for part in [&[0x00, 0x00][..], &[0x00, 0x01, b'x']] {
            let (url, deeds) = venue(move |peer| {
                peer.go_live();
                peer.send(&[0x01, 0x00]);
                peer.flood(part);
            });
            let dialler = Metered::default();
            let mut rig = dial(&url, policy(), options(), dialler.clone()).await;
            until_ended(&mut rig, LOST, "too_big").await;
            assert_eq!(detail(&rig), "a message of more than 65536 fragments");
            assert_eq!(rig.causes_of_outages(), [] as [&str; 0], "it is not over");
            let most = 65_536 * part.len() as u64 + 256 * 1024;
            assert!(dialler.read() < most, "{} bytes were read", dialler.read());
            rig.end().await;
            deeds.join().unwrap();
        }
    })
    .await;
}

/// What says nothing, and never stops.
fn floods() -> Vec<(&'static str, Vec<u8>)> {
    let mut in_fragments = vec![0x01, 0x00];
    in_fragments.extend([0x00, 0x00].repeat(125));
    in_fragments.extend([0x80, 0x00]);
    vec![
        ("empty texts", frame(TEXT, b"")),
        ("empty texts in fragments", in_fragments),
        ("pings", frame(PING, &[7; 125])),
        ("pongs", frame(PONG, b"")),
        ("binary frames", frame(0x82, b"")),
    ]
}

#[tokio::test]
async fn silence_is_noticed_in_the_midst_of_a_flood_that_says_nothing() {
    leaves_nothing_behind(async || {
        for (what, frames) in floods() {
            let (url, deeds) = venue(move |peer| {
                peer.go_live();
                let ears = peer.listen();
                peer.flood(&frames);
                ears.join().unwrap();
            });
            let policy = Policy {
                stale_after: Some(millis(500)),
                on_stale: OnStale::Reconnect,
                ..policy()
            };
            let mut rig = dial(&url, policy, options(), TcpDialler::default()).await;
            rig.until_live().await;
            let took = until_ended(&mut rig, LOST, "stale").await;
            assert!(took < Duration::from_secs(10), "{what}: {took:?}");
            rig.end().await;
            deeds.join().unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_subscription_is_given_up_in_the_midst_of_a_flood_that_does_not_answer_it() {
    leaves_nothing_behind(async || {
        for (what, frames) in floods() {
            let (url, deeds) = venue(move |peer| {
                peer.upgrade();
                let ears = peer.listen();
                peer.flood(&frames);
                ears.join().unwrap();
            });
            let mut rig = dial(&url, policy(), options(), TcpDialler::default()).await;
            let took = until_ended(&mut rig, FAILED, "subscribe_timeout").await;
            assert!(took < Duration::from_secs(10), "{what}: {took:?}");
            assert_eq!(rig.error_types()[0], "subscribe_timeout", "{what}");
            rig.end().await;
            deeds.join().unwrap();
        }
    })
    .await;
}

/// A full buffer is no time that is over: what waits to leave has its time, and the peer may read again.
#[tokio::test]
async fn a_venue_that_floods_with_pings_and_reads_no_pong_is_given_the_time_to_read() {
    leaves_nothing_behind(async || {
        let (url, deeds) = venue(|peer| {
            peer.go_live();
            peer.flood(&frame(PING, &[7; 125]));
        });
        let send_timeout = Duration::from_secs(5);
        let (options, policy) = (
            TransportOptions {
                send_timeout,
                // Before they are full nothing else is sent, and so nothing has waited.
                ping_interval: Some(LIMIT),
                ..options()
            },
            Policy {
                subscribe_timeout: LIMIT,
                ..policy()
            },
        );
        let mut rig = dial(&url, policy, options, TcpDialler::default()).await;
        rig.until_live().await;
        let live = Instant::now();
        // So many that their pongs fill all buffers between here and there.
        let pings = [("opcode", "ping"), ("direction", "received")];
        let full = |scrape: &Scrape| {
            scrape.sum("feedwatch_control_frames_total", &pings) > 100_000.0 || scrape.sum(LOST, &[]) > 0.0
        };
        rig.until("the buffers are full", full).await;
        let more: Vec<_> = (1000..1100).map(|id: u32| Instrument::new(&id.to_string())).collect();
        rig.stream.subscribe(&more).await.unwrap();
        until_ended(&mut rig, LOST, "send_timeout").await;
        assert_eq!(detail(&rig), "the venue stopped reading");
        assert!(live.elapsed() >= send_timeout, "after {:?} already", live.elapsed());
        rig.end().await;
        deeds.join().unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_answer_to_the_upgrade_that_does_not_end_is_none() {
    leaves_nothing_behind(async || {
        let switching: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n";
        let interim: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
        for (begin, more) in [
            (
                switching,
                &b"X-Padding: ................................................\r\n"[..],
            ),
            (switching, b"X-Endless............"),
            (interim, interim),
            (b"", b"\n"),
            (b"", b"\0"),
        ] {
            let (url, deeds) = venue(move |peer| {
                peer.request();
                peer.send(begin);
                peer.flood(more);
            });
            let dialler = Metered::default();
            let mut rig = dial(&url, policy(), options(), dialler.clone()).await;
            until_ended(&mut rig, FAILED, "upgrade").await;
            assert!(dialler.read() < 256 * 1024, "{} bytes were read", dialler.read());
            rig.end().await;
            deeds.join().unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_frame_that_no_library_would_send_ends_the_connection() {
    leaves_nothing_behind(async || {
        let mut no_reason = 1000_u16.to_be_bytes().to_vec();
        no_reason.extend([0xff; 123]);
        let announced = |length: u64| [&[TEXT, 127][..], &length.to_be_bytes()].concat();
        for (what, bytes, cause) in [
            ("a reason that is no text", frame(CLOSE, &no_reason), "invalid_utf8"),
            (
                "compressed, which nobody agreed to",
                frame(TEXT | 0x40, b"[]"),
                "protocol",
            ),
            ("masked", vec![TEXT, 0x80 | 2, 0, 0, 0, 0, b'[', b']'], "protocol"),
            ("a ping that is too long", frame(PING, &[7; 126]), "protocol"),
            ("a text of 2^63 bytes", announced(1 << 63), "too_big"),
            ("a text of all the bytes there are", announced(u64::MAX), "too_big"),
            ("half a frame, and then nothing", announced(16 << 20), "pong_timeout"),
            ("half a header, and then nothing", vec![TEXT, 127, 0], "pong_timeout"),
        ] {
            let (url, deeds) = venue(move |peer| {
                peer.go_live();
                peer.send(&bytes);
                // Until the stream ends the connection.
                peer.listen().join().unwrap();
            });
            let dialler = Metered::default();
            let mut rig = dial(&url, policy(), options(), dialler.clone()).await;
            let took = until_ended(&mut rig, LOST, cause).await;
            assert!(took < Duration::from_secs(10), "{what}: {took:?}");
            assert!(dialler.read() < 4096, "{what}");
            rig.end().await;
            deeds.join().unwrap();
        }
    })
    .await;
}

/// Of two connections on one task one is flooded, and the other gets its data.
#[tokio::test]
async fn a_connection_that_is_flooded_leaves_the_others_of_its_stream_their_turn() {
    leaves_nothing_behind(async || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/ws/market", listener.local_addr().unwrap());
        let book = |id: &str| frame(TEXT, BOOK.replace("\"11\"", &format!("\"{id}\"")).as_bytes());
        let serve = move |socket: TcpStream| {
            socket.set_write_timeout(Some(LIMIT)).unwrap();
            let mut peer = Peer(socket);
            let is_first = peer.upgrade().contains("\"11\"");
            let ears = peer.listen();
            if is_first {
                peer.send(&book("11"));
                peer.flood(&frame(PING, b""));
            } else {
                while peer.send(&book("12")) {
                    #[allow(clippy::disallowed_methods, reason = "the thread is the venue's own")]
                    std::thread::sleep(millis(5));
                }
            }
            ears.join().unwrap();
        };
        let deeds = std::thread::spawn(move || {
            let both = [(); 2].map(|()| {
                let (socket, _) = listener.accept().unwrap();
                std::thread::spawn(move || serve(socket))
            });
            drop(listener);
            for deeds in both {
                deeds.join().unwrap();
            }
        });
        let instruments = ["11", "12"].map(Instrument::new);
        let mut rig = spread(&url, policy(), options(), 1, &instruments).await;
        let hundred = async {
            let mut of_the_other = 0;
            while of_the_other < 100 {
                let event = rig.stream.next_event().await.unwrap();
                if let MarketEvent::Frame(frame) = &event {
                    of_the_other += u32::from(frame.text().is_some_and(|text| text.contains("\"12\"")));
                }
            }
        };
        timeout(LIMIT, hundred).await.expect("the other gets its data");
        rig.end().await;
        deeds.join().unwrap();
    })
    .await;
}
