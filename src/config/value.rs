//! One value, from the file or from the environment, read as what its key wants.
//!
//! The file's types are kept apart: `url = 5` is not "5". A variable has no type: it is read as what the key wants.

use super::error::quoted;
use super::keys::instead_of;
use std::ops::RangeInclusive;
use std::time::Duration;
use toml::de::DeValue;

/// No duration is longer.
const MAX_MILLIS: u64 = 7 * 24 * 3600 * 1000;

/// A value as it was written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Raw<'v> {
    /// In the file.
    Toml(&'v DeValue<'v>),
    /// In an environment variable.
    Variable(&'v str),
}

/// What is wrong with a value, and what would be valid.
pub(super) type Wrong = String;

impl<'v> Raw<'v> {
    pub(super) fn text(self) -> Result<&'v str, Wrong> {
        match self {
            Self::Toml(DeValue::String(text)) => Ok(text),
            Self::Variable(text) => Ok(text),
            Self::Toml(other) => Err(format!("must be a string in quotes, not {}", kind(other))),
        }
    }

    pub(super) fn whole<T: TryFrom<u64>>(self, range: RangeInclusive<u64>) -> Result<T, Wrong> {
        self.whole_of("", range)
    }

    pub(super) fn number(self) -> Result<f64, Wrong> {
        let number = match self {
            Self::Toml(DeValue::Float(number)) => number.as_str().parse().ok(),
            Self::Toml(DeValue::Integer(number)) => i128::from_str_radix(number.as_str(), number.radix())
                .ok()
                .map(|number| number as f64),
            Self::Toml(_) => None,
            Self::Variable(text) => text.parse().ok(),
        };
        number.ok_or_else(|| format!("must be a number, not {}", self.shown()))
    }

    pub(super) fn flag(self) -> Result<bool, Wrong> {
        match self {
            Self::Toml(DeValue::Boolean(flag)) => Ok(*flag),
            Self::Variable("true") => Ok(true),
            Self::Variable("false") => Ok(false),
            _ => Err(format!("must be true or false, not {}", self.shown())),
        }
    }

    /// A number of bytes.
    pub(super) fn bytes(self, range: RangeInclusive<u64>) -> Result<usize, Wrong> {
        self.whole_of(" bytes", range)
    }

    /// Milliseconds: at least `least`, at most seven days.
    pub(super) fn millis(self, least: u64) -> Result<Duration, Wrong> {
        self.whole_of(" ms", least..=MAX_MILLIS).map(Duration::from_millis)
    }

    /// Milliseconds of a range.
    pub(super) fn millis_within(self, range: RangeInclusive<u64>) -> Result<Duration, Wrong> {
        self.whole_of(" ms", range).map(Duration::from_millis)
    }

    /// Milliseconds of a range; `None` for 0, which means never.
    pub(super) fn millis_within_or_never(self, range: RangeInclusive<u64>) -> Result<Option<Duration>, Wrong> {
        if self.whole_of("", 0..=0) == Ok(0_u64) {
            return Ok(None);
        }
        self.millis_within(range)
            .map(Some)
            .map_err(|wrong| wrong.replacen("must be", "must be 0 or", 1))
    }

    /// At least so many milliseconds; `None` for 0, which means never.
    pub(super) fn millis_or_never(self, least: u64) -> Result<Option<Duration>, Wrong> {
        let millis = self.millis(0)?;
        if millis.is_zero() {
            Ok(None)
        } else if millis < Duration::from_millis(least) {
            Err(format!("must be 0 or at least {least} ms, not {}", millis.as_millis()))
        } else {
            Ok(Some(millis))
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Clone>(self, choices: &[(&str, T)]) -> Result<T, Wrong> {
        let text = self.text()?;
        let chosen = choices.iter().find(|(name, _)| *name == text);
        chosen.map(|(_, choice)| choice.clone()).ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            format!("{} is unknown; {}", quoted(text), instead_of(text, &names))
        })
    }

    fn whole_of<T: TryFrom<u64>>(self, unit: &str, range: RangeInclusive<u64>) -> Result<T, Wrong> {
        let number = match self {
            Self::Toml(DeValue::Integer(number)) => i128::from_str_radix(number.as_str(), number.radix()).ok(),
            Self::Toml(_) => None,
            Self::Variable(text) => text.parse().ok(),
        };
        let number = number
            .and_then(|number| u64::try_from(number).ok())
            .filter(|number| range.contains(number));
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| {
            let days = if *range.end() == MAX_MILLIS { " (7 days)" } else { "" };
            let (least, most) = (range.start(), range.end());
            format!(
                "must be a whole number from {least} to {most}{unit}{days}, not {}",
                self.shown()
            )
        })
    }

    /// The value where it is short and may be told, else what it is.
    fn shown(self) -> String {
        match self {
            Self::Toml(DeValue::Integer(number)) => number.to_string().chars().take(80).collect(),
            Self::Toml(DeValue::Float(number)) => number.as_str().chars().take(80).collect(),
            Self::Toml(other) => kind(other).to_owned(),
            Self::Variable(text) => quoted(text),
        }
    }
}

/// What a value of the file is.
pub(super) const fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_read_as_what_the_key_wants() {
        let raw = Raw::Variable("10");
        assert_eq!(raw.text(), Ok("10"));
        assert_eq!(raw.whole(0..=10), Ok(10_u32));
        assert_eq!(raw.number(), Ok(10.0));
        assert_eq!(raw.millis(0), Ok(Duration::from_millis(10)));
        assert_eq!(raw.flag().unwrap_err(), r#"must be true or false, not "10""#);
        assert_eq!(
            Raw::Variable("").whole::<u64>(1..=9).unwrap_err(),
            r#"must be a whole number from 1 to 9, not """#
        );
    }

    #[test]
    fn a_whole_number_in_the_file_may_have_any_base_and_any_length() {
        let read = |text| {
            let value = DeValue::parse(text).unwrap().into_inner();
            Raw::Toml(&value).whole::<u64>(1..=255)
        };
        assert_eq!(read("0xff"), Ok(255));
        assert_eq!(read("2_5_5"), Ok(255));
        assert_eq!(read("-1").unwrap_err(), "must be a whole number from 1 to 255, not -1");
        assert_eq!(
            read("0x100").unwrap_err(),
            "must be a whole number from 1 to 255, not 0x100"
        );
        let long = "9".repeat(500);
        assert_eq!(
            read(&long).unwrap_err(),
            format!("must be a whole number from 1 to 255, not {}", "9".repeat(80))
        );
    }

    #[test]
    fn a_whole_number_is_a_number_but_text_is_not() {
        let read = |text| {
            let value = DeValue::parse(text).unwrap().into_inner();
            Raw::Toml(&value).number()
        };
        assert_eq!(read("2"), Ok(2.0));
        assert_eq!(read("2.5"), Ok(2.5));
        assert!(read("nan").unwrap().is_nan());
        assert_eq!(read("'2'").unwrap_err(), "must be a number, not a string");
    }
}
