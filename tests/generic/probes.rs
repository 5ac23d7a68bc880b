//! Probes of described venues whose subscription fails: what came all the same is told.

use super::{described, instruments};
use feedwatch::market::{Cause, DecodeError, EventKind};
use feedwatch::probe::{Advice, Probe, ProbeReport, Verdict};
use feedwatch::stream::{Access, Endpoint, TcpDialler, TlsTrust, TransportOptions};
use feedwatch::venue::Feed;
use futures_util::{SinkExt, StreamExt};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

const VENUE: &str = r#"
    subscribe = '{"op":"sub","id":{id},"args":[{instruments}]}'
    acknowledgements = [{ when = { "/ok" = true }, id = "/id" }]
    refusals = [{ when = { "/ok" = false }, id = "/id", words = "/why" }]
    events = [{ kind = "trade", when = { "/type" = "trade" }, instrument = "/i" }]
"#;
/// As a venue compresses `{}`.
const GZIP: [u8; 22] = *b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xab\xae\x05\0\x43\xbf\xa6\xa3\x02\0\0\0";

/// A probe of a venue that sends these frames on a request, and reads on.
async fn probe(time: Duration, frames: Vec<Message>) -> ProbeReport {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::parse(&format!("ws://{}/", listener.local_addr().unwrap())).unwrap();
    let venue = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let mut socket = accept_async(socket).await.unwrap();
        while !socket.next().await.unwrap().unwrap().is_text() {}
        for frame in frames {
            socket.send(frame).await.unwrap();
        }
        while let Some(Ok(_)) = socket.next().await {}
    });
    let probe = Probe {
        venue: described(VENUE),
        endpoint,
        instruments: instruments(&["A"]),
        feed: Feed::default(),
        access: Access::new(TlsTrust::only([]).unwrap()),
        gate: None,
        time,
        frames: 1,
        transport: TransportOptions::default(),
    };
    let report = Box::pin(probe.run(TcpDialler::default())).await;
    venue.await.unwrap();
    report
}

#[tokio::test]
async fn frames_that_are_no_text_are_told_where_nothing_answered() {
    let report = probe(Duration::from_secs(1), vec![Message::binary(GZIP.to_vec()); 7]).await;
    let failure = report.failure.as_ref().unwrap();
    assert_eq!(
        (report.verdict, failure.cause),
        (Verdict::Failed, Cause::SubscribeTimeout)
    );
    assert_eq!((report.frames, report.unreadable_frames, report.data_frames), (7, 7, 0));
    assert_eq!(report.bytes, 7 * GZIP.len() as u64);
    assert_eq!(report.seen.len(), 5);
    assert!(report.seen.iter().all(|frame| frame.error == Some(DecodeError::Utf8)));
    assert!(report.first_frame.is_some());
    let advice = Advice::on(&report).unwrap();
    assert!(advice.meaning.contains("compresses"), "{advice:?}");
}

#[tokio::test]
async fn an_answer_that_no_rule_knows_is_looked_for_among_what_could_not_be_read() {
    let report = probe(
        Duration::from_secs(1),
        vec![Message::text(r#"{"result":"granted","id":1}"#)],
    )
    .await;
    assert_eq!((report.verdict, report.frames), (Verdict::Failed, 1));
    assert_eq!(report.seen[0].error, Some(DecodeError::UnknownChannel));
    let advice = Advice::on(&report).unwrap();
    assert!(advice.meaning.contains("the answer may be among them"), "{advice:?}");
}

#[tokio::test]
async fn where_nothing_came_the_instruments_are_to_be_checked() {
    let report = probe(Duration::from_millis(400), Vec::new()).await;
    let failure = report.failure.clone().unwrap();
    assert_eq!((failure.cause, report.frames), (Cause::SubscribeTimeout, 0));
    assert_eq!(Advice::on(&report), Some(Advice::on_failure(&failure)));
}

#[tokio::test]
async fn a_refusal_and_what_came_before_it_are_among_the_first_frames() {
    let frames = [r#"{"type":"trade","i":"A"}"#, r#"{"id":1,"ok":false,"why":"no A"}"#];
    let report = probe(Duration::from_secs(20), frames.map(Message::text).to_vec()).await;
    let failure = report.failure.as_ref().unwrap();
    assert_eq!((failure.cause, &*failure.detail), (Cause::SubscribeRejected, "no A"));
    assert_eq!(
        (report.verdict, report.frames, report.data_frames),
        (Verdict::Failed, 2, 1)
    );
    let kinds: Vec<_> = report.seen.iter().map(|frame| frame.events[0].kind).collect();
    assert_eq!(kinds, [EventKind::Trade, EventKind::Error]);
    assert_eq!(Advice::on(&report), Some(Advice::on_failure(failure)));
}
