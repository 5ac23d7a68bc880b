//! The spans of a world, when all have ended.

use super::journal::Journal;
use super::ledger::Ledger;
use super::promise::Promise;
use feedwatch::observe::same_outage;
use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::{IdGenerator, SpanData};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Counts: the same ids in each run, and how many spans there are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ids {
    traces: Arc<AtomicU64>,
    spans: Arc<AtomicU64>,
}

impl Ids {
    /// So many spans were begun.
    pub(crate) fn spans(&self) -> u64 {
        self.spans.load(Relaxed)
    }
}

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        TraceId::from_bytes(u128::from(self.traces.fetch_add(1, Relaxed) + 1).to_be_bytes())
    }

    fn new_span_id(&self) -> SpanId {
        SpanId::from_bytes((self.spans.fetch_add(1, Relaxed) + 1).to_be_bytes())
    }
}

fn attribute<'s>(span: &'s SpanData, key: &str) -> Option<std::borrow::Cow<'s, str>> {
    let found = span.attributes.iter().find(|pair| pair.key.as_str() == key)?;
    Some(found.value.as_str())
}

fn length(span: &SpanData) -> Duration {
    span.end_time.duration_since(span.start_time).expect("not negative")
}

/// The spans of one stream, in the order of their beginnings.
pub(crate) fn of_stream<'s>(spans: &'s [SpanData], stream: &str) -> Vec<&'s SpanData> {
    let is_of = |span: &&SpanData| attribute(span, "feedwatch.stream").is_some_and(|name| name == stream);
    let mut spans: Vec<_> = spans.iter().filter(is_of).collect();
    // Their ids are counted.
    spans.sort_by_key(|span| span.span_context.span_id().to_bytes());
    spans
}

/// Holds the spans of one stream that has stopped against its books.
pub(crate) fn compare(journal: &Journal, who: &str, spans: &[&SpanData], ledger: &Ledger, is_spread: bool) {
    let named = |name: &str| -> Vec<&SpanData> { spans.iter().copied().filter(|span| span.name == name).collect() };
    let roots = named("stream.outage");
    let chains = chains(journal, who, &roots, is_spread);
    let gaps: Vec<_> = ledger.gaps.iter().filter(|gap| gap.has_roots).collect();
    journal.expect(Promise::OneChain, chains.len() == gaps.len(), who, || {
        format!("{} chains of roots for {} outages and starts", chains.len(), gaps.len())
    });
    for (number, (chain, gap)) in chains.iter().zip(gaps).enumerate() {
        let shown: Duration = chain.iter().map(|root| length(root)).sum();
        // Where a stream has one connection, its roots follow each other.
        let is_whole = is_spread || shown + gap.rootless == gap.lasted;
        journal.expect(Promise::ChainIsAsLong, shown == gap.rooted && is_whole, who, || {
            format!(
                "the {number}th: {} roots last {shown:?}, and it is {gap:?}",
                chain.len()
            )
        });
        if chain.len() > 1 {
            journal.met("outage of several roots");
        }
        for end in chain.iter().filter_map(|root| attribute(root, "feedwatch.outage.end")) {
            if end == "continued" {
                journal.met("root that was continued");
            }
        }
    }

    let attempts = named("stream.connect");
    let renewals = named("stream.renewal");
    let ids: BTreeSet<_> = roots
        .iter()
        .chain(&renewals)
        .map(|root| root.span_context.span_id().to_bytes())
        .collect();
    let orphans = attempts
        .iter()
        .filter(|attempt| !ids.contains(&attempt.parent_span_id.to_bytes()));
    let orphans = orphans.count();
    journal.expect(Promise::SpansNameCauses, orphans == 0, who, || {
        format!("{orphans} attempts without a root")
    });
    let mut failed: BTreeMap<String, u64> = BTreeMap::new();
    for cause in attempts.iter().filter_map(|attempt| attribute(attempt, "error.type")) {
        *failed.entry(cause.into_owned()).or_default() += 1;
    }
    let counted: BTreeMap<String, u64> = ledger
        .attempts_failed
        .iter()
        .map(|(cause, count)| ((*cause).to_owned(), *count))
        .collect();
    let holds = failed == counted && attempts.len() as u64 == ledger.attempts;
    journal.expect(Promise::SpansNameCauses, holds, who, || {
        format!(
            "{} spans with {failed:?}, and {} attempts with {counted:?}",
            attempts.len(),
            ledger.attempts
        )
    });
}

/// The roots of each outage together. Looks at the links.
fn chains<'s>(journal: &Journal, who: &str, roots: &[&'s SpanData], is_spread: bool) -> Vec<Vec<&'s SpanData>> {
    let mut chains: Vec<Vec<&SpanData>> = Vec::new();
    for root in roots {
        let before = chains.last().and_then(|chain| chain.last()).copied();
        let links = &root.links.links;
        let leads_back = match (&links[..], before) {
            ([], None) => true,
            ([link], Some(before)) => link.span_context == before.span_context,
            _ => false,
        };
        journal.expect(Promise::OneChain, leads_back, who, || {
            format!("{root:?} does not link to the root before it, {before:?}")
        });
        let goes_on = links.iter().any(|link| link.attributes.contains(&same_outage()));
        if let Some(before) = before {
            let end = attribute(before, "feedwatch.outage.end").unwrap_or_default();
            let left_open = matches!(&*end, "tripped" | "reopened" | "continued");
            // A stream that had nothing to do while it cooled down begins anew. Of several connections one may come back before
            // the next one is lost.
            journal.expect(Promise::OneChain, left_open || !goes_on || is_spread, who, || {
                format!("a root goes on after one that ended {end:?}")
            });
        }
        match chains.last_mut().filter(|_| goes_on) {
            Some(chain) => chain.push(root),
            None => chains.push(vec![root]),
        }
    }
    chains
}
