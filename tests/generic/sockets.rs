//! Described venues over a real socket, at the other end of which one keeps to a script.

use super::{NO_VARIABLES, instruments, venue};
use feedwatch::clock::Moment;
use feedwatch::config::Config;
use feedwatch::market::{Cause, Failure, Instrument, MarketEvent, StreamName, Subscribed};
use feedwatch::metrics::{StreamCells, StreamInfo, Streams};
use feedwatch::stream::{
    Endpoint, Fact, MarketDataStream, Observer, TlsTrust, TransportFact, TransportOptions, WebSocketStream,
};
use feedwatch::venue::VenueRef;
use futures_util::{SinkExt, StreamExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream as Server, accept_async};

/// Nothing here takes so long.
const LIMIT: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Facts {
    round_trip: AtomicBool,
}

impl Observer for Facts {
    fn observe(&self, _at: Moment, fact: &Fact) {
        let is_round_trip = matches!(fact, Fact::Transport(TransportFact::RoundTrip(_)));
        self.round_trip.fetch_or(is_round_trip, SeqCst);
    }
}

/// A stream of that venue that has connected, and the venue's end.
async fn connected(venue: VenueRef, facts: &Arc<Facts>) -> (WebSocketStream, Server<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::parse(&format!("ws://{}/", listener.local_addr().unwrap())).unwrap();
    let info = StreamInfo::new(StreamName::new("s").unwrap(), endpoint.host(), endpoint.scheme());
    let cells = StreamCells::new(info, Streams::new().venue(venue.name()), Moment::now().mono);
    let trust = TlsTrust::only([]).unwrap();
    let options = TransportOptions {
        ping_interval: Some(Duration::from_millis(20)),
        ..TransportOptions::default()
    };
    let mut stream = WebSocketStream::new(venue, endpoint, options, trust, Arc::new(cells), facts.clone());
    let accepted = async {
        let (socket, _) = listener.accept().await.unwrap();
        accept_async(socket).await.unwrap()
    };
    let (dialled, server) = timeout(LIMIT, async { tokio::join!(stream.connect(), accepted) })
        .await
        .unwrap();
    dialled.unwrap();
    (stream, server)
}

/// The next text that is no ping.
async fn request(server: &mut Server<TcpStream>) -> String {
    loop {
        let message = timeout(LIMIT, server.next()).await.unwrap().unwrap().unwrap();
        if let Message::Text(text) = message
            && text.as_str() != "ping"
        {
            return text.as_str().to_owned();
        }
    }
}

/// What Bitget's answers come to, each a word and an instrument.
async fn asked(answers: &[(&str, &str)]) -> Result<Subscribed, Failure> {
    let (mut stream, mut server) = connected(venue("bitget"), &Arc::default()).await;
    let script = async {
        request(&mut server).await;
        for (event, id) in answers {
            for channel in ["trade", "books"] {
                let arg = format!(r#"{{"instType":"SPOT","channel":"{channel}","instId":"{id}"}}"#);
                let answer = format!(r#"{{"event":"{event}","arg":{arg},"code":30001,"msg":"there is none"}}"#);
                server.send(Message::text(answer)).await.unwrap();
            }
        }
    };
    let wanted = instruments(&["A", "B"]);
    let (answer, ()) = timeout(LIMIT, async { tokio::join!(stream.subscribe(&wanted), script) })
        .await
        .unwrap();
    answer
}

#[tokio::test]
async fn what_is_granted_goes_on_without_what_is_refused() {
    let sorted = |mut ids: Vec<Instrument>| {
        ids.sort();
        ids
    };
    let all = asked(&[("subscribe", "A"), ("subscribe", "B")]).await.unwrap();
    assert_eq!((sorted(all.accepted), all.refused), (instruments(&["A", "B"]), vec![]));
    let one = asked(&[("error", "A"), ("subscribe", "B")]).await.unwrap();
    assert_eq!((one.accepted, one.refused), (instruments(&["B"]), instruments(&["A"])));
    let none = asked(&[("error", "A"), ("error", "B")]).await.unwrap_err();
    assert_eq!(
        (none.cause, &*none.detail),
        (Cause::SubscribeRejected, "there is none, 30001")
    );
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_nothing_is_in_effect() {
    let (mut stream, mut server) = connected(venue("bitget"), &Arc::default()).await;
    let reading = tokio::spawn(async move { while let Some(Ok(_)) = server.next().await {} });
    let answer = timeout(Duration::from_secs(10), stream.subscribe(&instruments(&["A"]))).await;
    assert!(answer.is_err(), "{answer:?}");
    drop(stream);
    reading.await.unwrap();
}

#[tokio::test]
async fn data_in_a_binary_frame_is_an_answer() {
    let (mut stream, mut server) = connected(venue("upbit"), &Arc::default()).await;
    let trade = r#"{"ty":"trade","cd":"KRW-BTC","tms":1700000000123}"#;
    let script = async {
        request(&mut server).await;
        server.send(Message::binary(trade)).await.unwrap();
    };
    let wanted = instruments(&["KRW-BTC"]);
    let (answer, ()) = timeout(LIMIT, async { tokio::join!(stream.subscribe(&wanted), script) })
        .await
        .unwrap();
    assert_eq!(answer.unwrap().accepted, wanted);
    let Some(MarketEvent::Frame(frame)) = timeout(LIMIT, stream.next_event()).await.unwrap() else {
        panic!("the consumer gets it as well")
    };
    assert_eq!((frame.text(), frame.is_data), (Some(trade), true));
}

#[tokio::test]
async fn what_is_no_text_answers_nothing_and_ends_nothing() {
    let (mut stream, mut server) = connected(venue("upbit"), &Arc::default()).await;
    let (garbage, trade) = (
        vec![0xff, 0xfe, b'{'],
        r#"{"ty":"trade","cd":"KRW-BTC","tms":1700000000123}"#,
    );
    let script = async {
        request(&mut server).await;
        server.send(Message::binary(garbage.clone())).await.unwrap();
        server.send(Message::binary(trade)).await.unwrap();
    };
    let wanted = instruments(&["KRW-BTC"]);
    let (answer, ()) = timeout(LIMIT, async { tokio::join!(stream.subscribe(&wanted), script) })
        .await
        .unwrap();
    assert_eq!(answer.unwrap().accepted, wanted);
    for (payload, text) in [(garbage.as_slice(), None), (trade.as_bytes(), Some(trade))] {
        let Some(MarketEvent::Frame(frame)) = timeout(LIMIT, stream.next_event()).await.unwrap() else {
            panic!("the consumer gets both")
        };
        assert_eq!(
            (&*frame.payload, frame.text(), frame.is_data),
            (payload, text, text.is_some())
        );
    }
}

#[tokio::test]
async fn texts_of_heartbeats_pass_in_both_directions() {
    let text = r#"
        [[venues]]
        name = "chat"
        url = "wss://chat.example"
        hello = ['{"hello":"feedwatch"}']
        ping = '{"op":"ping"}'
        pong = { when = { "/op" = "pong" } }
        venue_ping = { when = { "/ping" = "*" }, reply = '{"pong":{/ping}}' }
        leaving = { when = { "/op" = "bye" }, words = "/why" }
        events = [{ kind = "other", when = { "/op" = "joined" } }, { kind = "ticker", instrument = "/room" }]
        subscribe = '{"op":"join","room":"{instrument}"}'
        [[streams]]
        name = "s"
        venue = "chat"
    "#;
    let chat = Config::parse("f", text, NO_VARIABLES).unwrap().streams.remove(0).venue;
    let facts = Arc::<Facts>::default();
    let (mut stream, mut server) = connected(chat, &facts).await;
    let script = async {
        assert_eq!(request(&mut server).await, r#"{"hello":"feedwatch"}"#);
        assert_eq!(request(&mut server).await, r#"{"op":"join","room":"the \"room\""}"#);
        assert_eq!(request(&mut server).await, r#"{"op":"ping"}"#);
        for text in [r#"{"op":"pong"}"#, r#"{"ping":17}"#] {
            server.send(Message::text(text)).await.unwrap();
        }
        while request(&mut server).await != r#"{"pong":17}"# {}
        server
            .send(Message::text(r#"{"op":"bye","why":"night"}"#))
            .await
            .unwrap();
    };
    let asking = async {
        // Nothing acknowledges: what was sent is in effect.
        let wanted = instruments(&[r#"the "room""#]);
        assert_eq!(stream.subscribe(&wanted).await.unwrap().accepted, wanted);
        loop {
            match stream.next_event().await {
                Some(MarketEvent::Leaving { detail }) => return detail,
                Some(MarketEvent::Frame(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let (detail, ()) = timeout(LIMIT, async { tokio::join!(asking, script) }).await.unwrap();
    assert_eq!(detail, "night");
    assert!(facts.round_trip.load(SeqCst));
}
