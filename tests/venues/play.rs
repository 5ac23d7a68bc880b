//! Frames that are played to a client which has subscribed, and all that it makes of them.

use super::fixture::{Answers, Dialogue, Scenario};
use super::server::{Client, Listening, answer};
use super::sockets::stream;
use feedwatch::clock::Moment;
use feedwatch::market::{Cause, Instrument, MarketEvent};
use feedwatch::metrics::{StreamCells, text};
use feedwatch::observe::StreamObserver;
use feedwatch::stream::{MarketDataStream, Observer, TransportOptions};
use feedwatch::supervise::Policy;
use feedwatch::venue::{Feed, VenueRef};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

/// Nothing that is played takes so long.
const LIMIT: Duration = Duration::from_secs(300);

/// How the venue answers to the subscription.
pub(crate) enum Answering {
    /// As is documented of whatever is asked.
    Each(Answers),
    /// The answers are among the frames.
    Played,
    /// Word for word, to the instruments of the scenario.
    Scenario(Scenario),
}

impl Answering {
    pub(crate) fn of(dialogue: Dialogue) -> Self {
        dialogue.answers.map_or(Self::Played, Self::Each)
    }
}

/// All that came of it.
pub(crate) struct Played {
    scrape: String,
    /// Of what each told gap was; nothing = of all that the connection carries.
    pub(crate) gaps: Vec<Vec<String>>,
    /// How many answers there were.
    pub(crate) answers: u64,
}

impl Played {
    /// The value of a series of the stream, whose labels have that in them.
    pub(crate) fn figure(&self, name: &str, label: &str) -> u64 {
        let begins = format!("{name}{{");
        let mut lines = self.scrape.lines();
        let found = lines.find(|line| line.starts_with(&begins) && line.contains(label));
        found.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    pub(crate) fn gaps_and_missed(&self) -> (u64, u64) {
        (
            self.figure("feedwatch_sequence_gaps_total", ""),
            self.figure("feedwatch_sequence_missed_total", ""),
        )
    }
}

/// Subscribes, is answered, gets the frames, and is closed. Gaps are only reported, so that the connection is kept.
pub(crate) async fn play(
    venue: VenueRef,
    channels: &[String],
    instruments: &[String],
    answering: Answering,
    frames: Vec<String>,
) -> Played {
    let name = venue.name().to_owned();
    let playing = async {
        let listening = Listening::new().await;
        let address = listening.address();
        let (subscribed, is_subscribed) = oneshot::channel();
        let served = tokio::spawn(serve(listening, answering, is_subscribed, frames));
        let mut feed = Feed::of(channels);
        feed.report_gaps_only = true;
        let options = TransportOptions {
            // All of it may come before the last answer.
            max_message_bytes: 256 << 20,
            ..TransportOptions::default()
        };
        let observe = |cells: &Arc<StreamCells>| -> Arc<dyn Observer> {
            Arc::new(StreamObserver::new(cells.clone(), &Policy::default()))
        };
        let (mut socket, shown) = stream(venue, address, feed, options, observe);
        let instruments: Vec<_> = instruments.iter().map(|id| Instrument::new(id)).collect();
        socket.connect().await.unwrap();
        socket.subscribe(&instruments).await.unwrap();
        // Whose answers are among the frames waits for nothing.
        let _ = subscribed.send(());
        let mut gaps = Vec::new();
        let end = loop {
            match socket.next_event().await {
                Some(MarketEvent::Disconnected { cause, .. }) => break cause,
                Some(MarketEvent::Gap { instruments }) => {
                    gaps.push(instruments.iter().map(|of| of.as_str().to_owned()).collect());
                }
                Some(_) => {}
                None => panic!("it does not say why"),
            }
        };
        assert_eq!(end, Cause::CloseNormal, "{name}");
        socket.close().await;
        Played {
            answers: served.await.unwrap(),
            scrape: text::render(&shown, Moment::now()),
            gaps,
        }
    };
    timeout(LIMIT, playing)
        .await
        .unwrap_or_else(|_| panic!("{name}: it hangs"))
}

/// Answers what is asked, sends the frames, and closes. Returns how many answers there were.
async fn serve(
    listening: Listening,
    answering: Answering,
    is_subscribed: oneshot::Receiver<()>,
    frames: Vec<String>,
) -> u64 {
    let mut client = listening.accept().await;
    let answered = match answering {
        Answering::Each(answers) => answer_each(&mut client, &answers, is_subscribed).await,
        Answering::Played => {
            client.text().await.expect("it asks");
            0
        }
        Answering::Scenario(scenario) => {
            client.play(&scenario.steps[..2]).await;
            0
        }
    };
    for frame in frames {
        client.feed(Message::text(frame)).await;
    }
    client.close().await;
    while client.text().await.is_some() {}
    answered
}

/// Until the client has what it wants: a request may wait for its turn.
async fn answer_each(client: &mut Client, answers: &Answers, mut is_subscribed: oneshot::Receiver<()>) -> u64 {
    let mut answered = 0;
    loop {
        let request = tokio::select! {
            request = client.text() => request.expect("it is not done yet"),
            _ = &mut is_subscribed => return answered,
        };
        for text in answer(answers, &request) {
            client.feed(Message::text(text)).await;
            answered += 1;
        }
        client.flush().await;
    }
}
