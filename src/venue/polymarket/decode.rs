//! Reads the envelopes of the market channel's frames. The quick reader takes what nearly all of them are; from where it gives
//! up, the full one reads on: one pass, and a second one over the list of a `price_change`.

use super::quick;
use crate::market::{DecodeError, Envelope, EventKind};
use crate::venue::object::Each;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// The answer to a text `PING`.
pub(super) const PONG: &str = "PONG";
/// The answer to a subscription of tokens which are all subscribed already.
pub(super) const NO_NEW_ASSETS: &str = "NO NEW ASSETS";
/// The answer to a request that the venue does not understand.
pub(super) const INVALID_OPERATION: &str = "INVALID OPERATION";

type Visit<'v> = &'v mut dyn FnMut(Envelope<'_>);

pub(super) fn decode(frame: &str, visit: Visit<'_>) -> Result<(), DecodeError> {
    let text = frame.trim();
    if !text.starts_with(['{', '[']) {
        return control_text(text, visit);
    }
    if text == "[]" {
        visit(Envelope::new(EventKind::Ack));
        return Ok(());
    }
    let mut visited = 0_usize;
    let is_read = quick::decode(text, &mut |event| {
        visited += 1;
        visit(event);
    });
    if is_read {
        return Ok(());
    }
    // Both visit the same events in the same order.
    decode_fully(text, &mut |event| {
        if visited > 0 {
            visited -= 1;
        } else {
            visit(event);
        }
    })
}

fn decode_fully(text: &str, visit: Visit<'_>) -> Result<(), DecodeError> {
    let mut defect = None;
    let mut json = serde_json::Deserializer::from_str(text);
    let seed = Events {
        visit,
        defect: &mut defect,
    };
    let read = if text.starts_with('[') {
        json.deserialize_seq(seed)
    } else {
        seed.deserialize(&mut json)
    };
    read.and_then(|()| json.end()).map_err(|error| reason(&error))?;
    defect.map_or(Ok(()), Err)
}

fn control_text(text: &str, visit: Visit<'_>) -> Result<(), DecodeError> {
    visit(Envelope::new(match text {
        PONG => EventKind::Heartbeat,
        NO_NEW_ASSETS => EventKind::Ack,
        INVALID_OPERATION => EventKind::Error,
        _ => {
            let json = serde_json::from_str::<IgnoredAny>(text);
            return Err(json.map_or(DecodeError::Json, |_| DecodeError::Schema));
        }
    }));
    Ok(())
}

fn reason(error: &serde_json::Error) -> DecodeError {
    if error.is_data() {
        DecodeError::Schema
    } else {
        DecodeError::Json
    }
}

/// One event, or an array of them. What is wrong with one event does not hide the others.
struct Events<'v, 'd> {
    visit: Visit<'v>,
    defect: &'d mut Option<DecodeError>,
}

impl<'de> DeserializeSeed<'de> for Events<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Events<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event of the market channel")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut events: A) -> Result<(), A::Error> {
        while events
            .next_element_seed(Events {
                visit: &mut *self.visit,
                defect: &mut *self.defect,
            })?
            .is_some()
        {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut event = Event::default();
        // Values are taken as they stand, and judged when the event is whole: a wrong one does not end the reading.
        while let Some(key) = map.next_key()? {
            let place = match key {
                Key::EventType => &mut event.name,
                Key::AssetId => &mut event.asset_id,
                Key::Timestamp => &mut event.timestamp,
                Key::PriceChanges => &mut event.price_changes,
                Key::AssetsIds => &mut event.assets_ids,
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *place = Some(map.next_value()?);
        }
        if let Err(defect) = event.visit(self.visit) {
            self.defect.get_or_insert(defect);
        }
        Ok(())
    }

    // An element that is no event at all.

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.no_event();
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.no_event();
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.no_event();
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.no_event();
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.no_event();
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.no_event();
        Ok(())
    }
}

impl Events<'_, '_> {
    fn no_event(self) {
        self.defect.get_or_insert(DecodeError::Schema);
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Key {
    EventType,
    AssetId,
    Timestamp,
    PriceChanges,
    #[serde(alias = "asset_ids")]
    AssetsIds,
    #[serde(other)]
    Other,
}

/// The values of an event, as they stand in the frame.
#[derive(Default)]
struct Event<'de> {
    /// Its `event_type`.
    name: Option<&'de RawValue>,
    asset_id: Option<&'de RawValue>,
    timestamp: Option<&'de RawValue>,
    price_changes: Option<&'de RawValue>,
    assets_ids: Option<&'de RawValue>,
}

impl Event<'_> {
    fn visit(&self, visit: Visit<'_>) -> Result<(), DecodeError> {
        let venue_time_ms = self.timestamp.and_then(millis);
        let kind = match plain(self.name)? {
            "book" => EventKind::BookSnapshot,
            "price_change" => {
                let changes = self.price_changes.ok_or(DecodeError::Schema)?;
                return self.visit_each::<Change<'_>>(changes, EventKind::BookDelta, false, visit);
            }
            "last_trade_price" => EventKind::Trade,
            "best_bid_ask" => EventKind::Ticker,
            "tick_size_change" => EventKind::Status,
            // Told to everybody, and of a market that nobody here has subscribed to yet.
            "new_market" => {
                visit(Envelope {
                    venue_time_ms,
                    ..Envelope::new(EventKind::Status)
                });
                return Ok(());
            }
            "market_resolved" => {
                let tokens = self.assets_ids.ok_or(DecodeError::Schema)?;
                return self.visit_each::<Plain<'_>>(tokens, EventKind::Status, true, visit);
            }
            // Of the user channel, which shares the endpoint's host.
            "order" | "trade" => EventKind::Other,
            _ => return Err(DecodeError::UnknownChannel),
        };
        let instrument = Some(plain(self.asset_id)?);
        visit(Envelope {
            instrument,
            venue_time_ms,
            ..Envelope::new(kind)
        });
        Ok(())
    }

    /// Visits one event for each token that a list names.
    fn visit_each<'l, T: Deserialize<'l> + Into<&'l str>>(
        &self,
        list: &'l RawValue,
        kind: EventKind,
        ended: bool,
        visit: Visit<'_>,
    ) -> Result<(), DecodeError> {
        let venue_time_ms = self.timestamp.and_then(millis);
        let mut each = |token: T| {
            visit(Envelope {
                instrument: Some(token.into()),
                venue_time_ms,
                ended,
                ..Envelope::new(kind)
            });
        };
        let mut json = serde_json::Deserializer::from_str(list.get());
        json.deserialize_seq(Each::new(&mut each))
            .map_err(|error| reason(&error))
    }
}

/// An element of `price_changes`: the token that it names.
struct Change<'a>(&'a str);

impl<'de> Deserialize<'de> for Change<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not as a struct: that could be a list, too.
        deserializer.deserialize_map(ChangeFields)
    }
}

struct ChangeFields;

impl<'de> Visitor<'de> for ChangeFields {
    type Value = Change<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a change of a price")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Change<'de>, A::Error> {
        let mut asset_id = None;
        while let Some(key) = map.next_key()? {
            if let Key::AssetId = key {
                asset_id = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        plain(asset_id).map(Change).map_err(A::Error::custom)
    }
}

impl<'a> From<Change<'a>> for &'a str {
    fn from(change: Change<'a>) -> Self {
        change.0
    }
}

impl<'a> From<Plain<'a>> for &'a str {
    fn from(plain: Plain<'a>) -> Self {
        plain.0
    }
}

/// A string without escapes, borrowed from the frame: ids and names of events have none.
struct Plain<'de>(&'de str);

impl<'de: 'a, 'a> Deserialize<'de> for Plain<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&str>::deserialize(deserializer).map(Plain)
    }
}

/// A string without escapes: ids and names of events have none.
pub(super) fn plain(value: Option<&RawValue>) -> Result<&str, DecodeError> {
    let text = value.and_then(|value| value.get().strip_prefix('"')?.strip_suffix('"'));
    text.filter(|text| !text.contains('\\')).ok_or(DecodeError::Schema)
}

/// Milliseconds since the epoch: a string of digits, or a number. `None` where it is neither.
pub(super) fn millis(value: &RawValue) -> Option<i64> {
    value.get().trim_matches('"').parse().ok()
}

#[cfg(test)]
mod agreement;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Seen = (EventKind, Option<String>, Option<i64>, bool);

    fn read(frame: &str) -> (Vec<Seen>, Result<(), DecodeError>) {
        let mut seen = Vec::new();
        let result = decode(frame, &mut |e| {
            seen.push((e.kind, e.instrument.map(String::from), e.venue_time_ms, e.ended));
        });
        (seen, result)
    }

    fn event(kind: EventKind, instrument: &str, time: i64) -> Seen {
        (kind, Some(instrument.into()), Some(time), false)
    }

    #[test]
    fn every_event_type_decodes_to_what_it_is() {
        for (event_type, kind) in [
            ("book", EventKind::BookSnapshot),
            ("last_trade_price", EventKind::Trade),
            ("best_bid_ask", EventKind::Ticker),
            ("tick_size_change", EventKind::Status),
        ] {
            let frame = format!(r#"{{"asset_id":"71","timestamp":"1790908667676", "event_type":"{event_type}"}}"#);
            assert_eq!(read(&frame), (vec![event(kind, "71", 1_790_908_667_676)], Ok(())));
        }
        let (seen, _) = read(r#"{"event_type":"new_market","assets_ids":["1"],"timestamp":"5"}"#);
        assert_eq!(seen, [(EventKind::Status, None, Some(5), false)]);
    }

    #[test]
    fn a_price_change_is_one_event_for_each_token_it_names() {
        let frame = r#"{"market":"0x1", "price_changes":[{"asset_id":"1","price":"0.5"},{"price":"0.5","asset_id":"2"}],
            "timestamp":"7", "event_type":"price_change"}"#;
        let expected = vec![event(EventKind::BookDelta, "1", 7), event(EventKind::BookDelta, "2", 7)];
        assert_eq!(read(frame), (expected, Ok(())));
    }

    #[test]
    fn a_resolved_market_ends_each_of_its_tokens() {
        let (seen, result) = read(r#"{"event_type":"market_resolved","assets_ids":["1","2"],"timestamp":"7"}"#);
        assert_eq!(result, Ok(()));
        let ended = |token: &str| (EventKind::Status, Some(token.into()), Some(7), true);
        assert_eq!(seen, [ended("1"), ended("2")]);
    }

    #[test]
    fn a_defect_of_one_event_does_not_hide_the_others() {
        for (bad, reason) in [
            (r#"{"event_type":"surprise"}"#, DecodeError::UnknownChannel),
            (r#"{"event_type":"book","asset_id":null}"#, DecodeError::Schema),
            (
                r#"{"event_type":"book","asset_id":7,"timestamp":{}}"#,
                DecodeError::Schema,
            ),
            (r#"{"event_type":["book"],"asset_id":"1"}"#, DecodeError::Schema),
            (r#"{"event_type":"bo\\u006fk","asset_id":"1"}"#, DecodeError::Schema),
            (
                r#"{"event_type":"price_change","price_changes":[{"asset_id":7}]}"#,
                DecodeError::Schema,
            ),
            (
                r#"{"event_type":"price_change","price_changes":[["4"]]}"#,
                DecodeError::Schema,
            ),
            (
                r#"{"event_type":"price_change","price_changes":[["4","5"]]}"#,
                DecodeError::Schema,
            ),
            ("17", DecodeError::Schema),
            ("-1.5", DecodeError::Schema),
            ("\"book\"", DecodeError::Schema),
            ("null", DecodeError::Schema),
            ("true", DecodeError::Schema),
        ] {
            let frame = format!(r#"[{bad},{{"event_type":"book","asset_id":"3","timestamp":"1"}}]"#);
            assert_eq!(
                read(&frame),
                (vec![event(EventKind::BookSnapshot, "3", 1)], Err(reason)),
                "{bad}"
            );
        }
    }

    #[test]
    fn control_texts_are_told_apart() {
        for (text, kind) in [
            ("PONG", EventKind::Heartbeat),
            ("[]", EventKind::Ack),
            ("[]\n", EventKind::Ack),
            ("NO NEW ASSETS", EventKind::Ack),
            ("INVALID OPERATION", EventKind::Error),
        ] {
            assert_eq!(read(text), (vec![(kind, None, None, false)], Ok(())), "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_frame_is_named() {
        for (frame, reason) in [
            ("", DecodeError::Json),
            ("hello", DecodeError::Json),
            (r#"{"event_type":"book""#, DecodeError::Json),
            (r#"{"event_type":"book"} x"#, DecodeError::Json),
            ("42", DecodeError::Schema),
            ("[1]", DecodeError::Schema),
            ("{}", DecodeError::Schema),
            (r#"{"event_type":"book"}"#, DecodeError::Schema),
            (r#"{"event_type":"book","asset_id":7}"#, DecodeError::Schema),
            (
                r#"{"event_type":"price_change","price_changes":{}}"#,
                DecodeError::Schema,
            ),
            (r#"{"event_type":"quake"}"#, DecodeError::UnknownChannel),
        ] {
            assert_eq!(read(frame).1, Err(reason), "{frame}");
        }
    }

    #[test]
    fn ten_thousand_levels_of_nesting_do_no_harm() {
        let (open, shut) = ("[".repeat(10_000), "]".repeat(10_000));
        assert!(read(&format!("{open}{shut}")).1.is_err());
        let nested = format!(r#"{{"event_type":"book","asset_id":"1","bids":{open}{shut}}}"#);
        assert_eq!(read(&nested).0.len(), 1);
    }

    /// As the venue writes them: the answer to a subscription is compact, later events have a blank after each comma.
    const USUAL: [&str; 5] = [
        r#"{"market":"0xab", "asset_id":"71", "price":"0.585", "size":"2.46", "fee_rate_bps":"0", "side":"BUY", "timestamp":"1786728432337", "event_type":"last_trade_price", "transaction_hash":"0xcd"}"#,
        r#"{"market":"0xab", "price_changes":[{"asset_id":"71", "price":"0.06", "size":"374.34", "side":"BUY", "hash":"f3", "best_bid":"0.07", "best_ask":"0.08"}, {"asset_id":"72", "price":"0.94", "size":"0", "side":"SELL", "hash":"bc", "best_bid":"0.92", "best_ask":"0.93"}], "timestamp":"1786728438403", "event_type":"price_change"}"#,
        r#"{"market":"0xab", "asset_id":"71", "timestamp":"1786728432337", "hash":"92", "bids":[{"price":"0.001", "size":"2200.8"}, {"price":"0.004", "size":"100"}], "asks":[], "event_type":"book", "last_trade_price":"0.004"}"#,
        r#"{"market":"0xab", "asset_id":"71", "best_bid":"0.3", "best_ask":"0.4", "spread":"0.1", "timestamp":"1786728432337", "event_type":"best_bid_ask"}"#,
        r#"[{"market":"0xab","asset_id":"71","timestamp":"1786728432337","hash":"92","bids":[{"price":"0.001","size":"2200.8"}],"asks":[{"price":"0.999","size":"50"}],"tick_size":"0.001","event_type":"book","last_trade_price":"0.140"},{"market":"0xab","asset_id":"72","timestamp":"1786728432338","hash":"93","bids":[],"asks":[],"tick_size":"0.001","event_type":"book","last_trade_price":""}]"#,
    ];

    #[test]
    fn what_comes_usually_is_read_by_the_quick_reader() {
        for frame in USUAL {
            assert!(quick::decode(frame, &mut |_| ()), "{frame}");
        }
    }

    fn read_fully(frame: &str) -> (Vec<Seen>, Result<(), DecodeError>) {
        let mut seen = Vec::new();
        let result = decode_fully(frame, &mut |e| {
            seen.push((e.kind, e.instrument.map(String::from), e.venue_time_ms, e.ended));
        });
        (seen, result)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn the_quick_reader_changes_nothing(
            frame in 0..USUAL.len(),
            cut in any::<prop::sample::Index>(),
            length in 0..40_usize,
            put in r#"[\[\]{}":, 0-9\\\n]{0,3}|"asset_id":("7"|7)|"event_type":"(trade|quake)",|"timestamp":""#,
        ) {
            let frame = USUAL[frame];
            let at = cut.index(frame.len() + 1);
            let rest = frame.get(at + length..).unwrap_or_default();
            let frame = format!("{}{put}{rest}", &frame[..at]);
            if frame.trim() == frame && frame.starts_with(['{', '[']) && frame != "[]" {
                prop_assert_eq!(read(&frame), read_fully(&frame), "{}", frame);
            }
        }

        #[test]
        fn no_text_makes_it_panic(frame in r#"[\[\]{}":,a-z0-9 \\]{0,200}|\PC{0,100}"#) {
            let _ = read(&frame);
        }
    }
}
