//! Whatever a venue sends, and however it is cut up on its way: the messages are those that tungstenite alone would read.

use super::{MaybeTls, Next, Wire};
use futures_util::{SinkExt, Stream};
use proptest::prelude::*;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream as Socket, accept_async, client_async_with_config};

/// How much is read ahead.
const SIZE: usize = 256;
const LARGEST: usize = 4096;

/// A client that has been upgraded through the wire, and the venue's end.
async fn upgraded(bytes: usize) -> (Socket<Wire<DuplexStream>>, Socket<DuplexStream>) {
    let (near, far) = duplex(bytes);
    let config = WebSocketConfig::default()
        .read_buffer_size(64)
        .max_message_size(Some(LARGEST))
        .max_frame_size(Some(LARGEST));
    let wire = Wire::new(MaybeTls::plain(near), SIZE, LARGEST);
    let client = client_async_with_config("ws://venue.example/", wire, Some(config));
    let (client, venue) = tokio::join!(client, accept_async(far));
    let client = client.unwrap().0;
    assert!(client.get_ref().is_between_frames());
    // As the transport does it.
    let client = Socket::from_raw_socket(client.into_inner(), Role::Client, Some(config)).await;
    (client, venue.unwrap())
}

/// The next message, and whether it was cut out here.
fn poll_message(
    socket: &mut Socket<Wire<DuplexStream>>,
    cx: &mut Context<'_>,
) -> Poll<(bool, Option<Result<Message, tungstenite::Error>>)> {
    match socket.get_mut().poll_next(cx) {
        Poll::Ready(Next::Text(message)) => Poll::Ready((true, Some(message))),
        Poll::Ready(Next::Other) => Pin::new(socket).poll_next(cx).map(|message| (false, message)),
        Poll::Pending => Poll::Pending,
    }
}

async fn message(socket: &mut Socket<Wire<DuplexStream>>) -> (bool, Option<Result<Message, tungstenite::Error>>) {
    poll_fn(|cx| poll_message(socket, cx)).await
}

/// What a venue may send.
#[derive(Clone, Debug)]
enum Sent {
    Text(usize),
    /// In so many frames, with a ping between them.
    Parts(usize),
    Binary(usize),
    Ping(usize),
}

impl Sent {
    fn frames(&self) -> Vec<Frame> {
        let data = |length, opcode, is_last| Frame::message(vec![b'x'; length], OpCode::Data(opcode), is_last);
        match *self {
            Self::Text(length) => vec![data(length, Data::Text, true)],
            Self::Parts(parts) => {
                let mut frames = vec![data(9, Data::Text, false)];
                for part in 0..parts {
                    frames.push(Frame::ping(vec![1]));
                    frames.push(data(9, Data::Continue, part + 1 == parts));
                }
                frames
            }
            Self::Binary(length) => vec![data(length, Data::Binary, true)],
            Self::Ping(length) => vec![Frame::ping(vec![2; length])],
        }
    }

    fn messages(&self) -> Vec<Message> {
        match *self {
            Self::Text(length) => vec![Message::text("x".repeat(length))],
            Self::Parts(parts) => {
                let mut messages = vec![Message::Ping(vec![1].into()); parts];
                messages.push(Message::text("x".repeat(9 + 9 * parts)));
                messages
            }
            Self::Binary(length) => vec![Message::binary(vec![b'x'; length])],
            Self::Ping(length) => vec![Message::Ping(vec![2; length].into())],
        }
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        4 => (0..700_usize).prop_map(Sent::Text),
        1 => (1..4_usize).prop_map(Sent::Parts),
        1 => (0..700_usize).prop_map(Sent::Binary),
        1 => (0..125_usize).prop_map(Sent::Ping),
    ]
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

proptest! {
    #[test]
    fn every_message_comes_whole_and_in_its_order(sent in prop::collection::vec(sent(), 0..12), bytes in 64..600_usize) {
        run(async {
            let (mut client, mut venue) = upgraded(bytes).await;
            let expected: Vec<_> = sent.iter().flat_map(Sent::messages).collect();
            let sending = async {
                for frame in sent.iter().flat_map(Sent::frames) {
                    venue.send(Message::Frame(frame)).await.unwrap();
                }
                // The pongs are of no interest, and may find nobody.
                drop(venue);
            };
            let receiving = async {
                let mut received = Vec::new();
                while received.len() < expected.len() {
                    match message(&mut client).await {
                        (_, Some(Ok(message))) => received.push(message),
                        (_, other) => panic!("{other:?} after {received:?}"),
                    }
                }
                received
            };
            let ((), received) = tokio::join!(sending, receiving);
            assert_eq!(received, expected);
            assert!(!matches!(message(&mut client).await, (_, Some(Ok(_)))), "the end");
        });
    }
}

#[test]
fn a_text_is_cut_out_and_what_follows_the_upgrade_at_once_is_not_lost() {
    run(async {
        let (mut client, mut venue) = upgraded(1 << 16).await;
        for length in [0, 1, 125, 126, SIZE - 4] {
            venue.send(Message::text("x".repeat(length))).await.unwrap();
            let (is_cut_out, text) = message(&mut client).await;
            assert_eq!((is_cut_out, text.unwrap().unwrap().len()), (true, length));
        }
        venue.send(Message::text("x".repeat(SIZE))).await.unwrap();
        assert!(!message(&mut client).await.0, "larger than the buffer");
        assert!(poll_fn(|cx| Poll::Ready(poll_message(&mut client, cx).is_pending())).await);
        assert_eq!(
            client.get_ref().ahead.capacity(),
            0,
            "nothing waits, so there is no buffer"
        );
    });
}

#[test]
fn what_is_wrong_is_what_tungstenite_says_it_is() {
    let header = |first, second| vec![first, second];
    for (bytes, error) in [
        (vec![0x81, 2, 0xc3, 0x28], "Utf8"),
        (header(0xc1, 0), "NonZeroReservedBits"),
        (vec![0x81, 0x80, 0, 0, 0, 0], "MaskedFrameFromServer"),
        (header(0x80, 0), "UnexpectedContinueFrame"),
        (header(0x83, 0), "InvalidOpcode"),
        (vec![0x81, 126, 0xff, 0xff], "MessageTooLong"),
    ] {
        run(async {
            let (mut client, venue) = upgraded(1 << 16).await;
            venue.into_inner().write_all(&bytes).await.unwrap();
            let (_, told) = message(&mut client).await;
            let told = format!("{:?}", told.unwrap().unwrap_err());
            assert!(told.contains(error), "{told}, and not {error}");
        });
    }
}
