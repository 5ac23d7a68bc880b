//! An object of a frame, and what its fields say: as strictly as money wants it. For values, at leisure.

mod fields;

pub(super) use fields::{Each, Fields};

use super::wire::unquoted;
use crate::market::{Decimal, Instrument, LastPrice, Level, Value, ValueError, decimal, is_unseen};
use serde::de::Deserializer;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What a number of 0 or more may be: prices of some venues are below 0, but those are told as such.
pub(super) const AMOUNT: &str = r#"a decimal of 0 or more, such as "219.21" or 219.21"#;
const TEXT: &str = "a text in quotes, without escapes";
const LIST: &str = "a list";
const OBJECT: &str = "an object";
/// So many characters of what is wrong are shown.
const SHOWN: usize = 40;

/// No number is longer.
const LONGEST_NUMBER: usize = 64;

/// A field as it stands in the frame; `None` = missing, or `null`.
pub(super) type Raw<'f> = Option<&'f RawValue>;

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

    /// The same, of what is about this instrument.
    pub(super) const fn about(mut self, instrument: &'f str) -> Self {
        self.instrument = Some(instrument);
        self
    }

    /// The same, of what stands at that position of that list.
    pub(super) const fn item(mut self, list: &'static str, index: usize) -> Self {
        self.item = Some((list, index));
        self
    }

    /// Whose it is, where that is known.
    pub(super) const fn instrument(self) -> Option<&'f str> {
        self.instrument
    }

    /// The JSON of a whole frame.
    pub(super) fn whole(self, frame: &'f str) -> Result<&'f RawValue, ValueError> {
        serde_json::from_str(frame).map_err(|error| self.error("", error.to_string(), "JSON to the end"))
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

    pub(super) fn wrong(self, name: &str, raw: Raw<'_>, valid: &'static str) -> ValueError {
        self.error(name, raw.map_or_else(|| "missing".to_owned(), shown), valid)
    }

    /// The object that stands here, whose instrument is the text of that field; where it names none, it is its event's.
    pub(super) fn object(self, raw: &'f RawValue, instrument: &'static str) -> Result<Object<'f>, ValueError> {
        let Ok(Fields(fields)) = serde_json::from_str(raw.get()) else {
            return Err(self.wrong("", Some(raw), OBJECT));
        };
        let mut object = Object { place: self, fields };
        object.place.instrument = plain(object.get(instrument)).or(self.instrument);
        Ok(object)
    }

    /// The list that stands here.
    pub(super) fn list(self, raw: &'f RawValue) -> Result<Vec<&'f RawValue>, ValueError> {
        let mut items = Vec::new();
        let read = serde_json::Deserializer::from_str(raw.get()).deserialize_seq(Each::new(|item| items.push(item)));
        read.map(|()| items).map_err(|_| self.wrong("", Some(raw), LIST))
    }

    /// The text that stands here.
    pub(super) fn text(self, raw: &'f RawValue) -> Result<&'f str, ValueError> {
        plain(Some(raw)).ok_or_else(|| self.wrong("", Some(raw), TEXT))
    }
}

/// An event, a price change or a level.
pub(super) struct Object<'f> {
    place: Place<'f>,
    fields: Vec<(Cow<'f, str>, &'f RawValue)>,
}

impl<'f> Object<'f> {
    /// Where it stands.
    pub(super) const fn place(&self) -> Place<'f> {
        self.place
    }

    /// The same, of what is about this instrument.
    pub(super) fn about(mut self, instrument: &'f str) -> Self {
        self.place = self.place.about(instrument);
        self
    }

    /// Whose it is, by that field or by what it is part of.
    pub(super) fn instrument(&self, name: &'static str) -> Result<&'f str, ValueError> {
        self.place
            .instrument
            .ok_or_else(|| self.place.wrong(name, self.get(name), TEXT))
    }

    /// A field. Of one that is named twice the last counts, as it does where envelopes are read.
    pub(super) fn get(&self, name: &str) -> Raw<'f> {
        let field = self.fields.iter().rev().find(|(known, _)| known == name);
        field.map(|(_, raw)| *raw).filter(|raw| raw.get() != "null")
    }

    /// A text that must be there.
    pub(super) fn text(&self, name: &'static str) -> Result<&'f str, ValueError> {
        let raw = self.get(name);
        plain(raw).ok_or_else(|| self.place.wrong(name, raw, TEXT))
    }

    /// An object that must be there; the instrument is this one's.
    pub(super) fn object(&self, name: &'static str) -> Result<Self, ValueError> {
        let raw = self.get(name);
        match raw.map(|raw| serde_json::from_str(raw.get())) {
            Some(Ok(Fields(fields))) => Ok(Self {
                place: self.place,
                fields,
            }),
            _ => Err(self.place.wrong(name, raw, OBJECT)),
        }
    }

    /// A decimal of 0 or more that must be there, in quotes or not.
    pub(super) fn amount(&self, name: &'static str) -> Result<Decimal, ValueError> {
        let raw = self.get(name);
        amount(raw).ok_or_else(|| self.place.wrong(name, raw, AMOUNT))
    }

    /// The text of a field as it was written, without quotes: an id that may be a number.
    pub(super) fn id(&self, name: &'static str) -> Option<&'f str> {
        let raw = self.get(name)?;
        plain(Some(raw)).or_else(|| raw.get().bytes().all(|byte| byte.is_ascii_digit()).then(|| raw.get()))
    }

    /// A whole number, in quotes or not, where it can be read.
    pub(super) fn whole(&self, name: &'static str) -> Option<i64> {
        self.get(name).and_then(whole)
    }

    /// A side of a book that must be there: lists that begin with price and size, in quotes or not.
    pub(super) fn pairs(&self, name: &'static str) -> Result<Vec<Level>, ValueError> {
        self.levels(name, pair)
    }

    /// A side of a book that must be there, level by level.
    pub(super) fn levels(
        &self,
        name: &'static str,
        read: impl Fn(Place<'f>, &'f RawValue) -> Result<Level, ValueError>,
    ) -> Result<Vec<Level>, ValueError> {
        let mut levels = Ok(Vec::new());
        self.items(name, |place, item| {
            if let Ok(known) = &mut levels {
                match read(place, item) {
                    Ok(level) => known.push(level),
                    Err(error) => levels = Err(error),
                }
            }
        })?;
        levels
    }

    /// The best price of a side: where nobody offers one, it is missing, or 0.
    pub(super) fn best(&self, name: &'static str) -> Result<Option<Decimal>, ValueError> {
        let price = self.optional(name, Self::amount)?;
        Ok(price.filter(|price| !price.is_zero()))
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

    /// Visits the price of the last trade, where that field of a ticker has one: before the first trade it is 0, if anything.
    pub(super) fn last_price(
        &self,
        name: &'static str,
        instrument: &'f str,
        venue_time_ms: Option<i64>,
        visit: &mut dyn FnMut(Result<Value<'f>, ValueError>),
    ) {
        let last = |price| {
            Value::LastPrice(LastPrice {
                instrument,
                price,
                venue_time_ms,
            })
        };
        match self.optional(name, Self::amount) {
            Ok(price) => price
                .filter(|price| !price.is_zero())
                .into_iter()
                .for_each(|price| visit(Ok(last(price)))),
            Err(error) => visit(Err(error)),
        }
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
            visit(self.place.item(name, index), item);
            index += 1;
        };
        let list = raw.map(|list| serde_json::Deserializer::from_str(list.get()).deserialize_seq(Each::new(each)));
        match list {
            Some(Ok(())) => Ok(()),
            _ => Err(self.place.wrong(name, raw, LIST)),
        }
    }
}

/// A level that is a list: its price, its size, and more.
pub(super) fn pair<'f>(place: Place<'f>, raw: &'f RawValue) -> Result<Level, ValueError> {
    let items = place.list(raw)?;
    let read = |index: usize| amount(items.get(index).copied());
    match (read(0), read(1)) {
        (Some(price), Some(size)) => Ok(Level { price, size }),
        _ => Err(place.wrong(
            "",
            Some(raw),
            r#"a list that begins with a price and a size, such as ["0.5", "12"]"#,
        )),
    }
}

/// A level that is an object, with these names for its price and its size.
pub(super) fn level<'f>(
    place: Place<'f>,
    raw: &'f RawValue,
    price: &'static str,
    size: &'static str,
) -> Result<Level, ValueError> {
    let Ok(Fields(fields)) = serde_json::from_str(raw.get()) else {
        return Err(place.wrong("", Some(raw), OBJECT));
    };
    let level = Object { place, fields };
    Ok(Level {
        price: level.amount(price)?,
        size: level.amount(size)?,
    })
}

/// A decimal of 0 or more, in quotes or not; a number may have an exponent.
pub(super) fn amount(raw: Raw<'_>) -> Option<Decimal> {
    signed(raw).filter(|amount| !amount.is_sign_negative() || amount.is_zero())
}

/// A decimal, in quotes or not; a number may have an exponent. Exact, or not at all.
pub(super) fn signed(raw: Raw<'_>) -> Option<Decimal> {
    let text = unquoted(raw?.get());
    if text.len() > LONGEST_NUMBER {
        return None;
    }
    let (is_negative, unsigned) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let read = decimal(unsigned).or_else(|| scientific(unsigned))?;
    Some(if is_negative { -read } else { read })
}

/// A number with an exponent, such as `1e-7` or `2.5E+3`.
fn scientific(text: &str) -> Option<Decimal> {
    let (digits, exponent) = text.split_once(['e', 'E'])?;
    let digits = decimal(digits)?;
    let exponent: i32 = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?;
    let mut read = digits;
    for _ in 0..exponent.unsigned_abs().min(30) {
        // The point moves, as long as there is room for it.
        if exponent < 0 {
            read.set_scale(read.scale() + 1).ok()?;
        } else if read.scale() > 0 {
            read.set_scale(read.scale() - 1).ok()?;
        } else {
            read = read.checked_mul(Decimal::TEN)?;
        }
    }
    (exponent.unsigned_abs() <= 30).then_some(read)
}

/// A whole number, in quotes or not.
pub(super) fn whole(raw: &RawValue) -> Option<i64> {
    unquoted(raw.get()).parse().ok()
}

/// A text without escapes.
pub(super) fn plain(raw: Raw<'_>) -> Option<&str> {
    serde_json::from_str(raw?.get()).ok()
}

/// What is wrong, on one line and cut to a readable length.
fn shown(raw: &RawValue) -> String {
    let mut text: String = raw
        .get()
        .chars()
        .take(SHOWN)
        .map(|c| if is_unseen(c) { ' ' } else { c })
        .collect();
    if text.len() < raw.get().len() {
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn numbers_are_exact_in_quotes_or_not_and_with_an_exponent() {
        for (text, expected) in [
            (r#""0.450""#, "0.450"),
            ("0.450", "0.450"),
            ("1e-7", "0.0000001"),
            ("2.5E+3", "2500"),
            ("-12.50", "-12.50"),
            ("0", "0"),
        ] {
            assert_eq!(
                signed(Some(&raw(text))).map(|read| read.to_string()).as_deref(),
                Some(expected)
            );
        }
        for text in ["true", r#""""#, r#""1,5""#, "1e40", "1e-40", "[1]", r#""NaN""#] {
            assert_eq!(signed(Some(&raw(text))), None, "{text}");
        }
        assert_eq!(amount(Some(&raw("-1"))), None);
        assert_eq!(amount(None), None);
    }

    #[test]
    fn a_level_is_a_list_of_price_and_size_and_whatever() {
        let (level, error) = (raw(r#"["10.5","3",0]"#), raw(r#"["10.5"]"#));
        let read = pair(Place::new(0), &level).unwrap();
        assert_eq!(
            (read.price.to_string(), read.size.to_string()),
            ("10.5".into(), "3".into())
        );
        let told = pair(Place::new(2), &error).unwrap_err().to_string();
        assert!(
            told.starts_with(r#"event 2: ["10.5"]; valid: a list that begins"#),
            "{told}"
        );
    }
}
