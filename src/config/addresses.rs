//! What streams come to together, where a venue counts by the address that they come from.
//!
//! Those count together that speak the protocol of one venue with one host, and come from one address: through the same proxy, or
//! through none. What is listed is known here, and an error where it is too much. What names will stand for is not: they share
//! what is left, and get no more at run time.

use super::error::Place;
use super::section::Section;
use super::streams::StreamConfig;
use crate::venue::Limits;
use std::collections::BTreeMap;

/// What to do with those that are too many.
const ELSEWHERE: &str = "take some through another proxy, or to another machine";

/// Where a stream is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    /// Which of the streams in the file it is.
    index: usize,
    /// The offset of what it subscribes to, or of the stream.
    instruments: usize,
    /// The same of its names.
    watch: usize,
}

impl Written {
    pub(super) fn of(index: usize, section: &Section<'_, '_>) -> Self {
        Self {
            index,
            instruments: section.offset_of("instruments"),
            watch: section.offset_of("watch"),
        }
    }
}

type Member<'s> = (&'s mut StreamConfig, Written);

/// Reports streams that are too many together, and shares out what is left to names.
pub(super) fn check(root: &mut Section<'_, '_>, streams: &mut [StreamConfig], written: &[Written]) {
    let mut groups: BTreeMap<_, Vec<Member<'_>>> = BTreeMap::new();
    for (stream, written) in streams.iter_mut().zip(written) {
        let limits = stream.venue.limits();
        if limits.connections_per_address.is_none() && limits.subscriptions_per_address.is_none() {
            continue;
        }
        let group = (
            stream.venue.name().to_owned(),
            stream.endpoint.host().to_owned(),
            stream.endpoint.port(),
            stream.access.proxy.as_ref().map(ToString::to_string),
        );
        groups.entry(group).or_default().push((stream, *written));
    }
    for ((venue, host, ..), mut group) in groups {
        let Some(limits) = group.first().map(|(stream, _)| stream.venue.limits()) else {
            continue;
        };
        let before = root.reported();
        check_subscriptions(root, limits, (&venue, &host), &group);
        check_connections(root, limits, (&venue, &host), &group);
        if root.reported() == before {
            share_out(root, limits, (&venue, &host), &mut group);
        }
    }
}

fn check_subscriptions(root: &mut Section<'_, '_>, limits: Limits, (venue, host): (&str, &str), group: &[Member<'_>]) {
    let Some(most) = limits.subscriptions_per_address else {
        return;
    };
    let Some((before, (stream, written))) = first_beyond(most, group, subscriptions) else {
        return;
    };
    let total: usize = group.iter().map(|(stream, _)| subscriptions(stream)).sum();
    let here = most.saturating_sub(before) / channels(stream);
    let problem = format!(
        "{total} subscriptions, instruments times channels, of all streams go to {host}, and {venue} takes {most} from one address; \
         list no more than {here} here, or subscribe to fewer channels, or {ELSEWHERE}"
    );
    report(root, (stream, *written), problem);
}

fn check_connections(root: &mut Section<'_, '_>, limits: Limits, (venue, host): (&str, &str), group: &[Member<'_>]) {
    let Some(most) = limits.connections_per_address else {
        return;
    };
    let Some((_, (stream, written))) = first_beyond(most, group, connections) else {
        return;
    };
    let total: usize = group.iter().map(|(stream, _)| connections(stream)).sum();
    let problem = format!(
        "{total} connections of all streams go to {host}, and {venue} takes {most} from one address; put streams together, or raise \
         instruments_per_connection, or {ELSEWHERE}"
    );
    report(root, (stream, *written), problem);
}

/// Names get what the instruments of all streams leave, in equal parts.
fn share_out(root: &mut Section<'_, '_>, limits: Limits, (venue, host): (&str, &str), group: &mut [Member<'_>]) {
    let watching = group.iter().filter(|(stream, _)| stream.watch.is_some()).count();
    let share = |most: Option<usize>, figure: fn(&StreamConfig) -> usize| {
        let taken: usize = group.iter().map(|(stream, _)| figure(stream)).sum();
        most?.saturating_sub(taken).checked_div(watching)
    };
    let more_connections = share(limits.connections_per_address, connections);
    let more_subscriptions = share(limits.subscriptions_per_address, subscriptions);
    for (stream, written) in group {
        let carried = more_connections.map(|more| {
            let connections = connections(stream).saturating_add(more);
            let all = connections.saturating_mul(stream.instruments_per_connection);
            all.saturating_sub(stream.instruments.len())
        });
        let subscribed = more_subscriptions.map(|more| more / channels(stream));
        let Some(watch) = &mut stream.watch else { continue };
        watch.room = carried.into_iter().chain(subscribed).min();
        if watch.room == Some(0) {
            let problem = format!(
                "there is no room for what the names stand for: {venue} takes no more from one address than the instruments that go \
                 to {host}; list fewer, or {ELSEWHERE}"
            );
            root.add(
                Place::File(written.watch),
                &format!("streams[{}].watch", written.index),
                problem,
            );
        }
    }
}

/// The first stream with which there are too many, and how many those before it are.
fn first_beyond<'m, 's>(
    most: usize,
    group: &'m [Member<'s>],
    figure: fn(&StreamConfig) -> usize,
) -> Option<(usize, &'m Member<'s>)> {
    let mut total = 0;
    group.iter().find_map(|member| {
        let before = total;
        total += figure(member.0);
        (total > most).then_some((before, member))
    })
}

fn report(root: &mut Section<'_, '_>, (stream, written): (&StreamConfig, Written), problem: String) {
    let (key, at) = if stream.instruments.is_empty() {
        ("watch", written.watch)
    } else {
        ("instruments", written.instruments)
    };
    root.add(Place::File(at), &format!("streams[{}].{key}", written.index), problem);
}

/// Those of what is listed. A stream that watches names has one at least, and one that wants nothing has none.
fn connections(stream: &StreamConfig) -> usize {
    let wants = !stream.instruments.is_empty() || stream.watch.is_some();
    if wants { stream.connections() } else { 0 }
}

fn subscriptions(stream: &StreamConfig) -> usize {
    stream.instruments.len().saturating_mul(channels(stream))
}

fn channels(stream: &StreamConfig) -> usize {
    stream.feed.channels.len().max(1)
}
