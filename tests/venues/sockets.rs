//! The dialogue over a real socket.

use super::fixture::{self, Exchange, Scenario, message, text, venues};
use super::server::Listening;
use feedwatch::clock::Moment;
use feedwatch::market::{Cause, Failure, Instrument, MarketEvent, StreamName, Subscribed};
use feedwatch::metrics::{StreamCells, StreamInfo, Streams};
use feedwatch::stream::{
    Endpoint, Fact, MarketDataStream, Observer, TlsTrust, TransportFact, TransportOptions, WebSocketStream,
};
use feedwatch::venue::{Feed, VenueRef};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;
use tokio::time::timeout;

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

pub(crate) fn stream(
    venue: VenueRef,
    address: SocketAddr,
    feed: Feed,
    options: TransportOptions,
    observe: impl FnOnce(&Arc<StreamCells>) -> Arc<dyn Observer>,
) -> (WebSocketStream, Streams) {
    let endpoint = Endpoint::parse(&format!("ws://{address}/")).unwrap();
    let info = StreamInfo::new(StreamName::new("venue").unwrap(), endpoint.host(), endpoint.scheme());
    let shown = Streams::new();
    let cells = Arc::new(StreamCells::new(info, shown.venue(venue.name()), Moment::now().mono));
    shown.add(&cells);
    let trust = TlsTrust::system().unwrap();
    let observer = observe(&cells);
    let stream = WebSocketStream::new(venue, endpoint, options, trust, cells, observer);
    (stream.with_feed(feed), shown)
}

/// One that tells `facts`.
fn told(name: &str, address: SocketAddr, feed: Feed, options: TransportOptions, facts: &Arc<Facts>) -> WebSocketStream {
    let facts = facts.clone();
    stream(fixture::venue(name), address, feed, options, |_| facts).0
}

/// What came of a scenario over a socket.
async fn subscribed(name: &str, scenario: Scenario) -> Result<Subscribed, Failure> {
    let listening = Listening::new().await;
    let address = listening.address();
    let (instruments, feed) = (scenario.instruments(), scenario.feed());
    let served = async {
        let mut client = listening.accept().await;
        client.play(&scenario.steps).await;
        while client.text().await.is_some() {}
    };
    let asked = async {
        let facts = Arc::default();
        let mut stream = told(name, address, feed, TransportOptions::default(), &facts);
        stream.connect().await.unwrap();
        let answer = stream.subscribe(&instruments).await;
        stream.close().await;
        answer
    };
    timeout(LIMIT, async { tokio::join!(asked, served).0 })
        .await
        .unwrap_or_else(|_| panic!("{name} does not answer"))
}

fn sorted(mut instruments: Vec<Instrument>) -> Vec<String> {
    instruments.sort();
    instruments
        .iter()
        .map(|instrument| instrument.as_str().to_owned())
        .collect()
}

fn ids(ids: &[String]) -> Vec<String> {
    sorted(ids.iter().map(|id| Instrument::new(id)).collect())
}

#[tokio::test]
async fn subscriptions_are_answered() {
    for venue in venues() {
        let name = venue.name();
        let dialogue = fixture::dialogue(name);
        for scenario in [dialogue.accepted, dialogue.refused_one] {
            let expected = (ids(&scenario.accepted), ids(&scenario.refused));
            let answer = subscribed(name, scenario)
                .await
                .unwrap_or_else(|failure| panic!("{name}: {failure:?}"));
            assert_eq!((sorted(answer.accepted), sorted(answer.refused)), expected, "{name}");
        }
        let words = dialogue.refused_all.words.clone();
        let failure = subscribed(name, dialogue.refused_all).await.unwrap_err();
        assert_eq!(
            (failure.cause, Some(&*failure.detail)),
            (Cause::SubscribeRejected, words.as_deref()),
            "{name}"
        );
    }
}

/// Of two requests the venue answers the first one.
#[tokio::test]
async fn what_is_answered_in_time_goes_on_without_the_rest() {
    let listening = Listening::new().await;
    let address = listening.address();
    let ids: Vec<_> = (0..51).map(|number| format!("S{number:03}USDT")).collect();
    let instruments: Vec<_> = ids.iter().map(|id| Instrument::new(id)).collect();
    let served = async {
        let mut client = listening.accept().await;
        for first in ["s000usdt@", "s050usdt@"] {
            let request = client.text().await.expect("two requests");
            assert!(request.contains(first), "{request}");
        }
        client.say(&serde_json::json!({"result": null, "id": 1})).await;
        while client.text().await.is_some() {}
    };
    let asked = async {
        let options = TransportOptions {
            subscribe_timeout: Duration::from_secs(2),
            ..TransportOptions::default()
        };
        let mut stream = told("binance", address, Feed::default(), options, &Arc::default());
        stream.connect().await.unwrap();
        let answer = timeout(Duration::from_secs(15), stream.subscribe(&instruments)).await;
        stream.close().await;
        answer.expect("it does not wait for ever").unwrap()
    };
    let (answer, ()) = tokio::join!(asked, served);
    let (answered, silent) = ids.split_at(50);
    assert_eq!(
        (sorted(answer.accepted), sorted(answer.unanswered)),
        (answered.to_vec(), silent.to_vec())
    );
    assert!(answer.refused.is_empty());
}

/// It minds something else than an instrument, and is not asked for ever smaller parts.
#[tokio::test]
async fn a_venue_that_refuses_whatever_is_asked_is_soon_asked_no_more() {
    const WORDS: &str = "too many visitors";
    let listening = Listening::new().await;
    let address = listening.address();
    let instruments: Vec<_> = (0..40)
        .map(|number| Instrument::new(&format!("S{number:02}USDT")))
        .collect();
    let served = async {
        let mut client = listening.accept().await;
        let mut requests = 0;
        while let Some(request) = client.text().await {
            let Ok(request) = serde_json::from_str::<serde_json::Value>(&request) else {
                continue;
            };
            if request["op"] == "subscribe" {
                requests += 1;
                let refusal = serde_json::json!({
                    "success": false, "ret_msg": WORDS, "conn_id": "c", "req_id": request["req_id"], "op": "subscribe"
                });
                client.try_say(&refusal).await;
            }
        }
        requests
    };
    let asked = async {
        let options = TransportOptions::default();
        let mut stream = told("bybit_spot", address, Feed::default(), options, &Arc::default());
        stream.connect().await.unwrap();
        let answer = stream.subscribe(&instruments).await;
        stream.close().await;
        answer.unwrap_err()
    };
    let (failure, requests) = timeout(LIMIT, async { tokio::join!(asked, served) }).await.unwrap();
    assert_eq!((failure.cause, &*failure.detail), (Cause::SubscribeRejected, WORDS));
    // Eight for five symbols each, and four of these again in halves.
    assert_eq!(requests, 8 + 4 * 2);
}

/// The driver's deadline ends what is never answered; until then nothing is told.
#[tokio::test(start_paused = true)]
async fn without_an_answer_nothing_is_in_effect() {
    for venue in venues() {
        let name = venue.name();
        let scenario = fixture::dialogue(name).accepted;
        let listening = Listening::new().await;
        let (address, instruments) = (listening.address(), scenario.instruments());
        let served = tokio::spawn(async move {
            let mut client = listening.accept().await;
            while client.text().await.is_some() {}
        });
        let facts = Arc::default();
        let mut stream = told(name, address, scenario.feed(), TransportOptions::default(), &facts);
        stream.connect().await.unwrap();
        let answer = timeout(Duration::from_secs(10), stream.subscribe(&instruments)).await;
        assert!(answer.is_err(), "{name}: {answer:?}");
        drop(stream);
        served.await.unwrap();
    }
}

#[tokio::test]
async fn heartbeats_pass_in_both_directions() {
    for venue in venues() {
        let name = venue.name();
        let dialogue = fixture::dialogue(name);
        let listening = Listening::new().await;
        let address = listening.address();
        let scenario = &dialogue.accepted;
        let pong = async {
            let mut client = listening.accept().await;
            client.play(&scenario.steps).await;
            if let Exchange::Texts { ping, pong } = &dialogue.ping {
                let said = client.text().await.expect("a ping");
                assert_eq!(message(&said), message(&text(ping)), "{name}");
                client.say(pong).await;
            }
            if let Exchange::Texts { ping, pong } = &dialogue.venue_ping {
                client.say(ping).await;
                let expected = message(&text(pong));
                // Pings of the client may come in between.
                while message(&client.text().await.expect("a pong")) != expected {}
            }
            if let Some(notice) = &dialogue.leaving {
                client.say(notice).await;
            }
            // A pong that comes after the next ping says nothing of how long it took: each is answered.
            while let Some(said) = client.text().await {
                if let Exchange::Texts { ping, pong } = &dialogue.ping
                    && message(&said) == message(&text(ping))
                    && !client.try_say(pong).await
                {
                    break;
                }
            }
        };
        let asked = async {
            let facts = Arc::<Facts>::default();
            let options = TransportOptions {
                ping_interval: Some(Duration::from_millis(20)),
                ..TransportOptions::default()
            };
            let mut stream = told(name, address, scenario.feed(), options, &facts);
            stream.connect().await.unwrap();
            stream.subscribe(&scenario.instruments()).await.unwrap();
            let mut is_told = dialogue.leaving.is_none();
            while !is_told || !facts.round_trip.load(SeqCst) {
                match timeout(Duration::from_millis(50), stream.next_event()).await {
                    Ok(Some(MarketEvent::Leaving { .. })) => is_told = true,
                    Ok(None | Some(MarketEvent::Disconnected { .. })) => panic!("{name}: it was lost"),
                    Ok(_) | Err(_) => {}
                }
            }
            stream.close().await;
        };
        timeout(LIMIT, async { tokio::join!(asked, pong) })
            .await
            .unwrap_or_else(|_| panic!("{name}: no heartbeat"));
    }
}
