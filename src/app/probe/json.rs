//! A report for scripts.

use crate::clock::unix_seconds;
use crate::exporter::rfc3339;
use crate::market::{DecodeError, DialPhase, Instrument, Subscribed};
use crate::metrics::NameStatus;
use crate::probe::{Advice, LookUp, ProbeReport, SeenEvent, SeenFrame};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The report as one JSON object. Times are in seconds; what there is none of is null.
pub fn json(report: &ProbeReport) -> Value {
    let phases: Map<_, _> = report
        .phases
        .iter()
        .map(|(phase, took)| (phase.to_string(), seconds(*took)))
        .collect();
    let began = unix_seconds(report.began.wall);
    let failure = report.failure.as_ref().map(|failure| {
        json!({
            "cause": failure.cause.as_str(),
            "phase": report.failed_in.map(DialPhase::as_str),
            "detail": failure.detail,
            "retry_after_seconds": failure.retry_after.map(seconds),
        })
    });
    let advice = Advice::on(report).map(|advice| json!({ "meaning": advice.meaning, "remedy": advice.remedy }));
    json!({
        "well": report.verdict.is_well(),
        "verdict": report.verdict.as_str(),
        "venue": report.venue,
        "url": report.endpoint.to_string(),
        "began": rfc3339(began),
        "seconds": seconds(report.took),
        "names": report.look_up.as_ref().map(looked_up),
        "phases": phases,
        "peer": report.peer.map(|peer| peer.to_string()),
        "http_status": report.status,
        "certificate_not_after": report.certificate_not_after.map(|end| rfc3339(end as f64)),
        "certificate_not_after_unix": report.certificate_not_after,
        "round_trip_seconds": report.round_trip.map(seconds),
        "subscriptions": subscriptions(report),
        "first_frame_seconds": report.first_frame.map(seconds),
        "first_data_seconds": report.first_data.map(seconds),
        "frames": report.frames,
        "data_frames": report.data_frames,
        "unreadable_frames": report.unreadable_frames,
        "bytes": report.bytes,
        "first_frames": report.seen.iter().map(frame).collect::<Vec<_>>(),
        "failure": failure,
        "advice": advice,
    })
}

fn looked_up(look_up: &LookUp) -> Value {
    let of =
        |status: &NameStatus| json!({ "name": status.name, "instruments": status.instruments, "error": status.error });
    json!({
        "rest_url": look_up.rest.to_string(),
        "seconds": seconds(look_up.took),
        "instruments": look_up.instruments,
        "watched": look_up.names.iter().map(of).collect::<Vec<_>>(),
    })
}

fn subscriptions(report: &ProbeReport) -> Value {
    let names = |instruments: &[Instrument]| instruments.iter().map(Instrument::as_str).collect::<Vec<_>>().into();
    let of = |pick: fn(&Subscribed) -> &[Instrument]| -> Value {
        report.answer.as_ref().map_or(Value::Null, |answer| names(pick(answer)))
    };
    json!({
        "asked": report.asked,
        "accepted": of(|answer| &answer.accepted),
        "refused": of(|answer| &answer.refused),
        "unanswered": of(|answer| &answer.unanswered),
    })
}

fn frame(frame: &SeenFrame) -> Value {
    json!({
        "seconds": seconds(frame.after),
        "bytes": frame.bytes,
        "events": frame.events.iter().map(event).collect::<Vec<_>>(),
        "further_events": frame.further,
        "error": frame.error.map(DecodeError::as_str),
    })
}

fn event(event: &SeenEvent) -> Value {
    json!({
        "kind": event.kind.as_str(),
        "instrument": event.instrument,
        "venue_time_ms": event.venue_time_ms,
    })
}

fn seconds(time: Duration) -> Value {
    time.as_secs_f64().into()
}
