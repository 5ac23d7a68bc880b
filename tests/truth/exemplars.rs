//! What the exemplars of a scrape name, against the traces.

use crate::exposition::{Labels, Series};
use crate::openmetrics::Exemplar;
use crate::told::{Told, attribute};
use opentelemetry_sdk::trace::SpanData;

const TRIPS: &str = "feedwatch_breaker_trips";
const DELAYS: &str = "feedwatch_reconnect_delay_seconds";
const OUTAGES: &str = "feedwatch_outage_duration_seconds";

/// What is wrong with the exemplars, or missing.
pub(crate) fn wrong(told: &Told) -> Vec<String> {
    let mut wrong = Vec::new();
    for ((metric, series), exemplar) in &told.exemplars {
        if let Err(problem) = check(told, metric, series, exemplar) {
            wrong.push(format!("exemplar of {metric}{series:?}, {exemplar:?}: {problem}"));
        }
    }
    let has = |metric: &str, labels: &Labels| {
        told.exemplars
            .keys()
            .any(|(of, series)| of == metric && labels.iter().all(|(name, value)| series.1.get(name) == Some(value)))
    };
    for (labels, count) in told.scrape.series("feedwatch_breaker_trips_total", &[]) {
        if (count > 0.0) != has(TRIPS, labels) {
            wrong.push(format!("{count} trips {labels:?}, and their exemplars do not agree"));
        }
    }
    for histogram in [DELAYS, OUTAGES] {
        if (told.part(histogram, "_count", &[]) > 0.0) != has(histogram, &Labels::new()) {
            wrong.push(format!("{histogram} and its exemplars do not agree"));
        }
    }
    wrong
}

fn check(told: &Told, metric: &str, (_, labels): &Series, exemplar: &Exemplar) -> Result<(), String> {
    let trace_id = exemplar.labels.get("trace_id").ok_or("names no trace")?;
    let of_trace = |name: &str| -> Vec<&SpanData> {
        let spans = told.named(name).into_iter();
        spans
            .filter(|span| span.span_context.trace_id().to_string() == *trace_id)
            .collect()
    };
    let roots = of_trace("stream.outage");
    let [root] = roots[..] else {
        return Err(format!("{} roots have this trace", roots.len()));
    };
    let ends = |end: &str| attribute(root, "feedwatch.outage.end").as_deref() == Some(end);
    let at = exemplar.at.ok_or("has no time")?;
    let ended = root
        .end_time
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64();
    // Times are written to the millisecond.
    if at > ended + 0.002 {
        return Err(format!("came after its root had ended at {ended}"));
    }
    let near = |seconds: f64| (seconds - exemplar.value).abs() < 0.005;
    let holds = match metric {
        TRIPS => {
            let trigger = attribute(root, "feedwatch.breaker.trigger");
            ends("tripped") && trigger.as_ref() == labels.get("trigger") && exemplar.value == 1.0
        }
        DELAYS => of_trace("stream.backoff").iter().any(|wait| {
            let delay = attribute(wait, "feedwatch.backoff.delay_seconds").unwrap();
            near(delay.parse().unwrap())
        }),
        OUTAGES => ends("live") && told.outages().iter().any(|outage| near(outage.as_secs_f64())),
        _ => return Err("this metric has none".to_owned()),
    };
    if holds {
        Ok(())
    } else {
        Err(format!("is not what its trace tells: {root:?}"))
    }
}
