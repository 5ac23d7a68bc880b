//! An object of a frame, and what its fields say: as strictly as money wants it.

use super::decode::{Each, millis, plain};
use crate::market::{Decimal, Instrument, Side, ValueError, decimal};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// The fields that are read. All others are skipped.
const NAMES: [&str; 17] = [
    "event_type",
    "asset_id",
    "timestamp",
    "price",
    "size",
    "side",
    "bids",
    "asks",
    "price_changes",
    "best_bid",
    "best_ask",
    "tick_size",
    "new_tick_size",
    "last_trade_price",
    "transaction_hash",
    "assets_ids",
    "winning_asset_id",
];

const PRICE: &str = r#"a decimal from 0 to 1 in quotes, such as "0.525""#;
const SIZE: &str = r#"a decimal of 0 or more in quotes, such as "219.21""#;
const TICK_SIZE: &str = r#"a decimal above 0 and up to 1 in quotes, such as "0.001""#;
const SIDE: &str = r#""BUY" or "SELL""#;
const TEXT: &str = "a text in quotes, without escapes";
const LIST: &str = "a list";
const OBJECT: &str = "an object";
/// So many characters of what is wrong are shown.
const SHOWN: usize = 40;

/// A field as it stands in the frame; `None` = missing, or `null`.
type Raw<'f> = Option<&'f RawValue>;

/// Where in a frame something stands, and whose it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'f> {
    event: usize,
    /// The list, and the position in it.
    item: Option<(&'static str, usize)>,
    instrument: Option<&'f str>,
}

impl<'f> Place<'f> {
    /// Event number `event` of the frame, counted from 0.
    pub(super) const fn new(event: usize) -> Self {
        Self {
            event,
            item: None,
            instrument: None,
        }
    }

    pub(super) fn error(self, name: &str, problem: String, valid: &'static str) -> ValueError {
        let field = match self.item {
            Some((list, index)) if name.is_empty() => format!("{list}[{index}]"),
            Some((list, index)) => format!("{list}[{index}].{name}"),
            None => name.to_owned(),
        };
        ValueError {
            event: self.event,
            instrument: self.instrument.map(Instrument::new),
            field,
            problem,
            valid,
        }
    }

    fn wrong(self, name: &str, raw: Raw<'_>, valid: &'static str) -> ValueError {
        self.error(name, raw.map_or_else(|| "missing".to_owned(), shown), valid)
    }

    /// The object that stands here.
    pub(super) fn object(self, raw: &'f RawValue) -> Result<Object<'f>, ValueError> {
        let Ok(Fields(fields)) = serde_json::from_str(raw.get()) else {
            return Err(self.wrong("", Some(raw), OBJECT));
        };
        let mut object = Object { place: self, fields };
        // Where it names none, it is its event's.
        object.place.instrument = plain(object.get("asset_id")).ok().or(self.instrument);
        Ok(object)
    }

    /// The text that stands here.
    pub(super) fn text(self, raw: &'f RawValue) -> Result<&'f str, ValueError> {
        plain(Some(raw)).map_err(|_| self.wrong("", Some(raw), TEXT))
    }
}

/// An event, a price change or a level.
pub(super) struct Object<'f> {
    place: Place<'f>,
    fields: [Raw<'f>; NAMES.len()],
}

impl<'f> Object<'f> {
    fn get(&self, name: &'static str) -> Raw<'f> {
        let index = NAMES.iter().position(|known| *known == name)?;
        self.fields.get(index).copied().flatten()
    }

    /// A text that must be there.
    pub(super) fn text(&self, name: &'static str) -> Result<&'f str, ValueError> {
        let raw = self.get(name);
        plain(raw).map_err(|_| self.place.wrong(name, raw, TEXT))
    }

    /// A price that must be there.
    pub(super) fn price(&self, name: &'static str) -> Result<Decimal, ValueError> {
        self.decimal(name, PRICE, |price| price <= Decimal::ONE)
    }

    /// A size that must be there.
    pub(super) fn size(&self, name: &'static str) -> Result<Decimal, ValueError> {
        self.decimal(name, SIZE, |_| true)
    }

    /// A step of prices that must be there.
    pub(super) fn tick_size(&self, name: &'static str) -> Result<Decimal, ValueError> {
        self.decimal(name, TICK_SIZE, |tick| tick > Decimal::ZERO && tick <= Decimal::ONE)
    }

    /// A side that must be there.
    pub(super) fn side(&self, name: &'static str) -> Result<Side, ValueError> {
        match plain(self.get(name)) {
            Ok("BUY") => Ok(Side::Buy),
            Ok("SELL") => Ok(Side::Sell),
            _ => Err(self.place.wrong(name, self.get(name), SIDE)),
        }
    }

    /// What may be missing, `null` or an empty text.
    pub(super) fn optional<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&Self, &'static str) -> Result<T, ValueError>,
    ) -> Result<Option<T>, ValueError> {
        match self.get(name) {
            Some(raw) if raw.get() != r#""""# => read(self, name).map(Some),
            _ => Ok(None),
        }
    }

    /// Milliseconds since the Unix epoch, where they can be read: a wrong time costs nobody a price.
    pub(super) fn time(&self) -> Option<i64> {
        self.get("timestamp").and_then(millis)
    }

    /// Visits what stands in a list that must be there.
    pub(super) fn items(
        &self,
        name: &'static str,
        mut visit: impl FnMut(Place<'f>, &'f RawValue),
    ) -> Result<(), ValueError> {
        let raw = self.get(name);
        let mut index = 0;
        let each = |item: &'f RawValue| {
            let item_place = Place {
                item: Some((name, index)),
                ..self.place
            };
            visit(item_place, item);
            index += 1;
        };
        let list = raw.map(|list| serde_json::Deserializer::from_str(list.get()).deserialize_seq(Each::new(each)));
        match list {
            Some(Ok(())) => Ok(()),
            _ => Err(self.place.wrong(name, raw, LIST)),
        }
    }

    fn decimal(
        &self,
        name: &'static str,
        valid: &'static str,
        is_possible: impl FnOnce(Decimal) -> bool,
    ) -> Result<Decimal, ValueError> {
        let raw = self.get(name);
        let read = plain(raw).ok().and_then(decimal);
        read.filter(|read| is_possible(*read))
            .ok_or_else(|| self.place.wrong(name, raw, valid))
    }
}

/// What is wrong, on one line and cut to a readable length.
fn shown(raw: &RawValue) -> String {
    let mut text: String = raw
        .get()
        .chars()
        .take(SHOWN)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.len() < raw.get().len() {
        text.push_str("...");
    }
    text
}

/// The fields of [`NAMES`], in its order. Of one that is named twice the last counts, as it does where envelopes are read.
struct Fields<'f>([Raw<'f>; NAMES.len()]);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(OBJECT)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = [None; NAMES.len()];
        while let Some(Name(index)) = map.next_key()? {
            match index.and_then(|index| fields.get_mut(index)) {
                Some(field) => *field = map.next_value()?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Fields(fields))
    }
}

/// The position of a field's name in [`NAMES`].
struct Name(Option<usize>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(NameVisitor)
    }
}

struct NameVisitor;

impl Visitor<'_> for NameVisitor {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        Ok(Name(NAMES.iter().position(|known| *known == name)))
    }
}
