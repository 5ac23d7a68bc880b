//! B8: how soon after it happened a loss or a silence stands in the figures.

use super::contenders::{Wanted, noticed};
use super::cpu::runtime;
use super::support::{Limit, Row, begin_table, has_flag, median};
use feedwatch::clock::Moment;
use feedwatch::supervise::{Notice, Policy};
use futures_util::{SinkExt, StreamExt};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;

const MOST_MILLIS: f64 = 10.0;
/// A stream without data for so long is stale.
const PATIENCE: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    Close,
    Reset,
    Silence,
}

pub(crate) fn all() {
    begin_table("From what the venue did to the figures (B8)");
    let rounds = if has_flag("--full") { 100 } else { 20 };
    for (deed, name) in [
        (Deed::Close, "a close frame"),
        (Deed::Reset, "a reset"),
        (Deed::Silence, "the end of patience with silence"),
    ] {
        let millis: Vec<_> = (0..rounds).map(|_| notice(deed).as_secs_f64() * 1000.0).collect();
        let worst = millis.iter().copied().fold(0.0, f64::max);
        Row::absolute(format!("B8 {name}"), "ms", median(millis), MOST_MILLIS).print();
        let worst = Row::absolute(format!("B8 {name}, the worst of {rounds}"), "ms", worst, 0.0);
        Row {
            limit: Limit::None,
            ..worst
        }
        .print();
    }
}

/// The venue is on a thread of its own.
fn notice(deed: Deed) -> Duration {
    let (done, when) = channel();
    let (listening, address) = channel();
    let venue = std::thread::spawn(move || {
        runtime().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            listening.send(listener.local_addr().unwrap()).unwrap();
            let (socket, _) = listener.accept().await.unwrap();
            act(socket, deed, done).await;
        });
    });
    let url = format!("ws://{}", address.recv().unwrap());
    let policy = Policy {
        stale_after: Some(PATIENCE),
        ..Policy::default()
    };
    let at = runtime().block_on(async {
        let is_it = move |notice: &Notice| match deed {
            Deed::Silence => matches!(notice, Notice::Stale),
            Deed::Close | Deed::Reset => matches!(notice, Notice::Lost { .. }),
        };
        noticed(&url, &Wanted::one(), policy, is_it).await
    });
    let happened = when.recv().unwrap();
    venue.join().unwrap();
    at.saturating_duration_since(happened)
}

async fn act(socket: TcpStream, deed: Deed, done: Sender<Instant>) {
    let mut socket = tokio_tungstenite::accept_async(socket).await.unwrap();
    socket.next().await.unwrap().unwrap();
    let answer = super::frames::answer(&Wanted::one().request());
    socket.send(Message::text(answer)).await.unwrap();
    sleep(PATIENCE / 2).await;
    let now = Moment::now().mono;
    match deed {
        Deed::Close => {
            done.send(now).unwrap();
            let _ = socket.close(None).await;
            while let Some(Ok(_)) = socket.next().await {}
        }
        Deed::Reset => {
            done.send(now).unwrap();
            socket.get_ref().set_zero_linger().unwrap();
        }
        Deed::Silence => {
            let frame = super::frames::Shape::Small.frames(1).swap_remove(0);
            socket.send(Message::text(frame)).await.unwrap();
            done.send(now + PATIENCE).unwrap();
            while let Some(Ok(_)) = socket.next().await {}
        }
    }
}
