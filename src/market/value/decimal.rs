//! Reads a decimal exactly, or not at all.

use rust_decimal::Decimal;

/// No decimal of 96 bits and 28 places is longer. What is longer is not even looked at.
const MAX_LEN: usize = 30;

/// An unsigned decimal as venues write prices and sizes: digits without a needless zero in front, and after a point at least
/// one more digit. The zero before the point may be missing. `None` for anything else (signs, exponents, `NaN`, blanks,
/// separators), and for what could be held only by rounding it.
pub(crate) fn decimal(text: &str) -> Option<Decimal> {
    if text.len() > MAX_LEN {
        return None;
    }
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let integer = |part: &str| digits(part) && (part == "0" || !part.starts_with('0'));
    let is_plain = match text.split_once('.') {
        Some((whole, fraction)) => (whole.is_empty() || integer(whole)) && digits(fraction),
        None => integer(text),
    };
    if is_plain {
        Decimal::from_str_exact(text).ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_venues_write_is_read_exactly() {
        for text in [
            "0",
            "1",
            "0.5",
            "0.50",
            "0.870",
            "219.217767",
            "1034095.75",
            "0.0000",
            "79228162514264337593543950335",
            "0.0000000000000000000000000001",
            "7.9228162514264337593543950335",
        ] {
            assert_eq!(decimal(text).unwrap().to_string(), text);
        }
        assert_eq!(
            decimal(".48").unwrap().to_string(),
            "0.48",
            "as Polymarket's documentation has it"
        );
    }

    #[test]
    fn what_is_no_plain_decimal_is_refused() {
        for text in [
            "", ".", "5.", "-1", "-0", "+1", "1e5", "1E-7", "NaN", "inf", "Infinity", " 1", "1 ", "1_000", "1,5",
            "0x1", "00", "01.5", "1.2.3", "\u{661}", "1\0", "0.5\n",
        ] {
            assert_eq!(decimal(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_would_be_rounded_is_refused() {
        for text in [
            "79228162514264337593543950336",
            "0.00000000000000000000000000001",
            "7.9228162514264337593543950336",
        ] {
            assert_eq!(decimal(text), None, "{text:?}");
        }
        assert_eq!(decimal(&"9".repeat(1_000_000)), None);
        assert_eq!(decimal(&format!("0.5{}", "0".repeat(1_000_000))), None);
    }

    proptest! {
        #[test]
        fn every_decimal_survives_being_written_and_read(mantissa in 0_i128..1 << 96, scale in 0_u32..=28) {
            let value = Decimal::from_i128_with_scale(mantissa, scale);
            let read = decimal(&value.to_string()).unwrap();
            prop_assert_eq!((read.mantissa(), read.scale()), (mantissa, scale));
        }

        #[test]
        fn what_is_read_is_written_as_it_stood(text in "(0|[1-9][0-9]{0,30})(\\.[0-9]{1,31})?") {
            if let Some(read) = decimal(&text) {
                prop_assert_eq!(read.to_string(), text);
            } else {
                let digits = text.replace('.', "");
                prop_assert!(digits.parse::<u128>().map_or(true, |whole| whole >= 1 << 96) || text.len() > MAX_LEN);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9.eE+_-]{0,40}|\\PC{0,40}") {
            let _ = decimal(&text);
        }
    }
}
