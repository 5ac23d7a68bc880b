//! Whatever bytes come, and wherever they are cut: messages and errors are those of tungstenite alone.

use super::{MaybeTls, Next, Stage, Wire};
use futures_util::Stream;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, duplex};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream as Socket, client_async};

/// How much is read ahead.
const SIZE: usize = 256;
const LARGEST: usize = 4096;

/// A venue that says what it says in pieces, waits after each, and hangs up. What is written to it is thrown away.
struct Pieces {
    bytes: Vec<u8>,
    /// Where pieces end, in order.
    cuts: Vec<usize>,
    at: usize,
    waits: bool,
}

impl AsyncRead for Pieces {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if std::mem::replace(&mut this.waits, false) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let end = this.cuts.iter().copied().find(|cut| *cut > this.at);
        let end = end.unwrap_or(this.bytes.len()).min(this.bytes.len());
        let length = (end - this.at).min(buf.remaining());
        buf.put_slice(&this.bytes[this.at..this.at + length]);
        this.at += length;
        this.waits = this.at == end && end < this.bytes.len();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pieces {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// All messages, and the error that ends them. After a close frame a connection reads no more.
async fn all<S: Stream<Item = Result<Message, tungstenite::Error>> + Unpin>(
    mut socket: S,
    mut poll: impl FnMut(&mut S, &mut Context<'_>) -> Poll<Option<Result<Message, tungstenite::Error>>>,
) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        let next = poll_fn(|cx| poll(&mut socket, cx)).await;
        told.push(format!("{next:?}"));
        if !matches!(next, Some(Ok(ref message)) if !message.is_close()) {
            return told;
        }
    }
}

/// What is read of the bytes through the wire, and by tungstenite alone.
fn read_both(bytes: &[u8], cuts: &[usize], size: usize, largest: usize) -> (Vec<String>, Vec<String>) {
    let config = WebSocketConfig::default()
        .read_buffer_size(64)
        .max_message_size(Some(largest))
        .max_frame_size(Some(largest));
    let pieces = || Pieces {
        bytes: bytes.to_vec(),
        cuts: cuts.to_vec(),
        at: 0,
        waits: false,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut wire = Wire::new(MaybeTls::plain(pieces()), size, largest);
        wire.stage = Stage::Frames;
        let wired = Socket::from_raw_socket(wire, Role::Client, Some(config)).await;
        let through = all(wired, |socket, cx| match socket.get_mut().poll_next(cx) {
            Poll::Ready(Next::Text(message)) => Poll::Ready(Some(message)),
            Poll::Ready(Next::Other) => Pin::new(socket).poll_next(cx),
            Poll::Pending => Poll::Pending,
        })
        .await;
        let alone = Socket::from_raw_socket(pieces(), Role::Client, Some(config)).await;
        (through, all(alone, |socket, cx| Pin::new(socket).poll_next(cx)).await)
    })
}

/// How a length is told: in as few bytes as it needs, or in more, which the protocol forbids.
#[derive(Clone, Copy, Debug)]
enum Told {
    Short,
    In16,
    In64,
}

/// A frame as it should never be, perhaps: `first` has FIN, the reserved bits and the opcode.
fn frame(first: u8, told: Told, length: u64, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = vec![first];
    match (told, u8::try_from(length), u16::try_from(length)) {
        (Told::Short, Ok(length @ ..126), _) => frame.push(masked | length),
        (Told::Short | Told::In16, _, Ok(length)) => {
            frame.push(masked | 0x7e);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(masked | 0x7f);
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend(mask.unwrap_or_default().iter().filter(|_| mask.is_some()));
    frame.extend(payload);
    frame
}

fn plain(first: u8, payload: &[u8]) -> Vec<u8> {
    frame(first, Told::Short, payload.len() as u64, None, payload)
}

#[test]
fn cut_at_each_byte() {
    let euro = "€".as_bytes();
    let conversations: [&[Vec<u8>]; 16] = [
        &[
            plain(0x81, b"a"),
            plain(0x81, b""),
            plain(0x81, euro),
            plain(0x82, &[0xff]),
        ],
        &[
            plain(0x01, b"a"),
            plain(0x89, b"p"),
            plain(0x00, b""),
            plain(0x8a, b""),
            plain(0x80, b"b"),
            plain(0x81, b"c"),
        ],
        // A character in two frames, and one that never ends.
        &[plain(0x01, &euro[..1]), plain(0x80, &euro[1..]), plain(0x81, b"x")],
        &[plain(0x01, &euro[..2]), plain(0x80, b"x"), plain(0x81, b"x")],
        &[plain(0x01, &euro[..2]), plain(0x80, b"")],
        &[plain(0x01, b"a"), plain(0x81, b"a new one")],
        &[plain(0x01, b"a"), plain(0x88, &[3, 232])],
        &[plain(0x81, b"a"), plain(0x88, b""), plain(0x81, b"late")],
        &[plain(0x81, b"a"), plain(0x88, &[3])],
        &[plain(0x88, &[3, 232, 0xff])],
        &[plain(0x88, &[0, 0])],
        &[plain(0x81, b"a"), plain(0x09, b"")],
        &[plain(0x89, &[0; 125]), plain(0x81, b"a"), plain(0x89, &[0; 126])],
        &[
            plain(0x81, b"a"),
            frame(0x81, Told::In16, 1, None, b"b"),
            frame(0x81, Told::In64, 1, None, b"c"),
        ],
        &[
            plain(0x81, b"a"),
            frame(0x81, Told::Short, 2, Some([1, 2, 3, 4]), b"bc"),
            plain(0x81, b"d"),
        ],
        &[plain(0x81, b"a"), plain(0xc1, b"b")],
    ];
    for conversation in conversations {
        let bytes = conversation.concat();
        let each: Vec<_> = (0..bytes.len()).collect();
        let (through, alone) = read_both(&bytes, &each, SIZE, LARGEST);
        assert_eq!(through, alone, "{bytes:x?}, a byte at a time");
        for cut in 0..=bytes.len() {
            let (through, alone) = read_both(&bytes, &[cut], SIZE, LARGEST);
            assert_eq!(through, alone, "{bytes:x?}, cut at {cut}");
            // And hung up there.
            let (through, alone) = read_both(&bytes[..cut], &[cut / 2], SIZE, LARGEST);
            assert_eq!(through, alone, "{bytes:x?}, ended at {cut}");
        }
    }
}

#[test]
fn lengths_at_the_limits() {
    let most = 70_000;
    for length in [
        0, 124, 125, 126, 127, 251, 252, 253, 255, 256, 65_531, 65_535, 65_536, most,
    ] {
        for told in [Told::Short, Told::In16, Told::In64] {
            for (size, largest) in [(256, most), (1 << 16, most), (most + 10, most), (1 << 20, 65_535)] {
                let payload = vec![b'x'; length];
                let bytes = [
                    plain(0x81, b"before"),
                    frame(0x81, told, length as u64, None, &payload),
                    frame(0x82, told, length as u64, None, &payload),
                    plain(0x81, b"behind"),
                ];
                let (through, alone) = read_both(&bytes.concat(), &[9, 12, 300], size, largest);
                assert_eq!(through, alone, "{length} {told:?} {size} {largest}");
            }
        }
    }
    for length in [u64::MAX, 1 << 63, (1 << 63) - 1, 1 << 32, LARGEST as u64 + 1] {
        for first in [0x81, 0x01, 0x82, 0x88, 0x89] {
            let bytes = [
                plain(0x81, b"before"),
                frame(first, Told::In64, length, None, b"behind"),
            ];
            let (through, alone) = read_both(&bytes.concat(), &[], SIZE, LARGEST);
            assert_eq!(through, alone, "{length} {first:x}");
        }
    }
}

/// The outcome of an upgrade and the first messages behind it. The venue answers with `answer`, in two pieces; `KEY` stands for its
/// proof.
async fn upgraded(answer: &str, cut: usize, is_wired: bool) -> Vec<String> {
    let (near, mut far) = duplex(1 << 16);
    let answering = async {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(far.read_u8().await.unwrap());
        }
        let request = String::from_utf8(request).unwrap();
        let key = request
            .lines()
            .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
            .unwrap();
        let mut bytes = answer.replace("KEY", &derive_accept_key(key.as_bytes())).into_bytes();
        bytes.extend(
            [
                plain(0x81, b"first"),
                plain(0x01, b"sec"),
                plain(0x80, b"ond"),
                plain(0x81, b"third"),
            ]
            .concat(),
        );
        let cut = cut.min(bytes.len());
        far.write_all(&bytes[..cut]).await.unwrap();
        tokio::task::yield_now().await;
        // Who refuses the answer has gone.
        let _ = far.write_all(&bytes[cut..]).await;
        drop(far);
    };
    let reading = async {
        if !is_wired {
            return match client_async("ws://venue.example/", near).await {
                Ok((socket, _)) => all(socket, |socket, cx| Pin::new(socket).poll_next(cx)).await,
                Err(error) => vec![error.to_string()],
            };
        }
        let wire = Wire::new(MaybeTls::plain(near), SIZE, LARGEST);
        match client_async("ws://venue.example/", wire).await {
            Ok((socket, _)) => {
                all(socket, |socket, cx| match socket.get_mut().poll_next(cx) {
                    Poll::Ready(Next::Text(message)) => Poll::Ready(Some(message)),
                    Poll::Ready(Next::Other) => Pin::new(socket).poll_next(cx),
                    Poll::Pending => Poll::Pending,
                })
                .await
            }
            Err(error) => vec![error.to_string()],
        }
    };
    tokio::join!(answering, reading).1
}

#[tokio::test]
async fn answers_to_an_upgrade_cut_at_each_byte() {
    let usual = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: KEY\r\n\r\n";
    let many = usual.replace("\r\n\r\n", &("\r\nx: y".repeat(60) + "\r\n\r\n"));
    for (answer, is_upgrade) in [
        (usual.to_owned(), true),
        (usual.replace("\r\n", "\n"), true),
        (usual.replace("\r\n\r\n", "\r\n\n"), true),
        (usual.replace("\r\n\r\n", "\n\r\n"), true),
        (format!("\r\n{usual}"), true),
        (many, true),
        (usual.replace("KEY", "another"), false),
        (usual.replace("101", "200"), false),
        (usual.replace("101", "100"), false),
        (usual.replace("1.1", "1.0"), false),
        (usual.replace("\r\n\r\n", ""), false),
        (usual.replace("HTTP", "ICY"), false),
        ("\n\n\n".to_owned(), false),
        (String::new(), false),
    ] {
        for cut in 0..answer.len() + 40 {
            let (through, alone) = (upgraded(&answer, cut, true).await, upgraded(&answer, cut, false).await);
            assert_eq!(through, alone, "{answer:?}, cut at {cut}");
            assert_eq!(through.len() > 3, is_upgrade, "{answer:?}: {through:?}");
        }
    }
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        8 => Just(0x81),
        2 => select(vec![0x01, 0x00, 0x80, 0x82, 0x02, 0x89, 0x8a]),
        1 => prop_oneof![Just(0x88), any::<u8>()],
    ];
    let told = prop_oneof![8 => Just(Told::Short), 1 => Just(Told::In16), 1 => Just(Told::In64)];
    let payload = prop_oneof![
        8 => "[a-zü€]{0,12}".prop_map(String::into_bytes),
        2 => (100..400_usize).prop_map(|length| vec![b'x'; length]),
        1 => prop::collection::vec(any::<u8>(), 0..20),
        1 => Just(vec![b'x'; LARGEST + 1]),
    ];
    let mask = prop::option::weighted(0.02, any::<[u8; 4]>());
    let more = prop_oneof![30 => Just(0), 1 => 1..5_u64, 1 => Just(1 << 62)];
    (first, told, payload, mask, more)
        .prop_map(|(first, told, payload, mask, more)| frame(first, told, payload.len() as u64 + more, mask, &payload))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn frames_of_any_kind(
        frames in prop::collection::vec(any_frame(), 0..12),
        cuts in prop::collection::vec(any::<Index>(), 0..8),
        size in prop_oneof![Just(1_usize), Just(SIZE), Just(1 << 16)],
    ) {
        let bytes = frames.concat();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let (through, alone) = read_both(&bytes, &cuts, size, LARGEST);
        prop_assert_eq!(through, alone);
    }
}
