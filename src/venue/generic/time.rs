//! Times and numbers, in the ways in which venues write them.

use crate::market::Decimal;
use crate::venue::object::signed;
use crate::venue::time::utc;
use crate::venue::wire;
use rust_decimal::prelude::ToPrimitive as _;
use serde_json::value::RawValue;

/// No time and no number is longer, quotes included.
const LONGEST: usize = 64;

/// How a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimeUnit {
    /// Seconds since the Unix epoch; they may have a fraction.
    Seconds,
    /// Milliseconds since the Unix epoch.
    Millis,
    /// Microseconds since the Unix epoch.
    Micros,
    /// Nanoseconds since the Unix epoch.
    Nanos,
    /// A date and a time, `2026-01-31T12:00:00.123Z` (RFC 3339).
    Rfc3339,
}

impl TimeUnit {
    /// Milliseconds since the Unix epoch.
    pub(super) fn millis(self, raw: &RawValue) -> Option<i64> {
        if raw.get().len() > LONGEST {
            return None;
        }
        let (up, down) = match self {
            Self::Seconds => (1000, 1),
            Self::Millis => (1, 1),
            Self::Micros => (1, 1000),
            Self::Nanos => (1, 1_000_000),
            Self::Rfc3339 => return rfc3339(unquoted(raw)),
        };
        if let Some(number) = hexadecimal(raw) {
            return i64::try_from(number).ok()?.checked_mul(up)?.checked_div(down);
        }
        let number = signed(Some(raw))?;
        let millis = number
            .checked_mul(Decimal::from(up))?
            .checked_div(Decimal::from(down))?;
        millis.floor().to_i64()
    }
}

/// A whole number of 0 or more, in quotes or not, or hexadecimal as `"0x1b4"`.
pub(super) fn number(raw: &RawValue) -> Option<u64> {
    if raw.get().len() > LONGEST {
        return None;
    }
    hexadecimal(raw).or_else(|| unquoted(raw).parse().ok())
}

fn hexadecimal(raw: &RawValue) -> Option<u64> {
    let digits = unquoted(raw).strip_prefix("0x")?;
    let is_legal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(digits, 16).ok().filter(|_| is_legal)
}

fn unquoted(raw: &RawValue) -> &str {
    wire::unquoted(raw.get())
}

/// `2026-01-31T12:00:00.123Z`, or with an offset such as `+09:00`.
fn rfc3339(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let (time, offset) = if let Some(time) = time.strip_suffix(['Z', 'z']) {
        (time, 0)
    } else {
        let (time, offset) = time.split_at_checked(time.rfind(['+', '-'])?)?;
        let (hours, minutes) = offset.get(1..)?.split_once(':')?;
        let minutes = within(hours, 2, 0, 23)? * 60 + within(minutes, 2, 0, 59)?;
        (time, if offset.starts_with('-') { -minutes } else { minutes })
    };
    Some(utc(date, time)? - offset * 60_000)
}

fn within(digits: &str, length: usize, least: i64, most: i64) -> Option<i64> {
    let is_legal = digits.len() == length && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: i64 = digits.parse().ok()?;
    (is_legal && (least..=most).contains(&number)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn a_time_of_any_unit_becomes_milliseconds() {
        use TimeUnit::{Micros, Millis, Nanos, Rfc3339, Seconds};
        for (unit, text, expected) in [
            (Millis, "1617646620673", Some(1_617_646_620_673)),
            (Millis, r#""1617646620673""#, Some(1_617_646_620_673)),
            (Seconds, "1617646620.6739", Some(1_617_646_620_673)),
            (Seconds, r#""0x656ff8""#, Some(6_647_800_000)),
            (Micros, r#""1617646620673999""#, Some(1_617_646_620_673)),
            (Nanos, "1617646620673999999", Some(1_617_646_620_673)),
            (Millis, "1.617646620673e12", Some(1_617_646_620_673)),
            (Rfc3339, r#""1970-01-01T00:00:00Z""#, Some(0)),
            (Rfc3339, r#""2021-04-05T18:17:00.6739Z""#, Some(1_617_646_620_673)),
            (Rfc3339, r#""2021-04-06T03:17:00.6+09:00""#, Some(1_617_646_620_600)),
            (Rfc3339, r#""2000-02-29T23:59:60-00:30""#, Some(951_870_600_000)),
            (Rfc3339, r#""2021-04-05""#, None),
            (Rfc3339, r#""2021-13-05T18:17:00Z""#, None),
            (Rfc3339, r#""2021-04-05T18:17:00.Z""#, None),
            (Rfc3339, "1617646620673", None),
            (Millis, r#""soon""#, None),
            (Seconds, "1e30", None),
            (Millis, "[1]", None),
        ] {
            assert_eq!(unit.millis(&raw(text)), expected, "{text}");
        }
    }

    #[test]
    fn numbers_may_be_in_quotes_or_hexadecimal() {
        for (text, expected) in [
            ("12", Some(12)),
            (r#""12""#, Some(12)),
            (r#""0x1b4""#, Some(436)),
            (r#""0x""#, None),
            (r#""0x+1""#, None),
            ("-1", None),
            ("1.5", None),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
        ] {
            assert_eq!(number(&raw(text)), expected, "{text}");
        }
    }
}
