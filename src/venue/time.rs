//! Times as venues write them in words.

/// Milliseconds since the Unix epoch of a time in UTC such as `2026-01-31T12:00:00.123456Z` (RFC 3339); what is finer than a
/// millisecond is cut off.
pub(super) fn rfc3339(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    utc(date, time)
}

/// The same of a date and of a time of day, as in `2026-01-31` and `12:00:00.123456`.
pub(super) fn utc(date: &str, time: &str) -> Option<i64> {
    let [year, month, day] = three(date, '-', [4, 2, 2])?;
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = three(clock, ':', [2, 2, 2])?;
    // A leap second is number 60.
    let is_possible = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !is_possible || fraction.is_empty() {
        return None;
    }
    let mut millis = 0;
    let mut weight = 100;
    for digit in fraction.bytes() {
        if !digit.is_ascii_digit() {
            return None;
        }
        millis += i64::from(digit - b'0') * weight;
        weight /= 10;
    }
    Some((((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1000 + millis)
}

/// Three numbers with so many digits each.
fn three(text: &str, between: char, lengths: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(between);
    let mut numbers = [0; 3];
    for (number, length) in numbers.iter_mut().zip(lengths) {
        let digits = parts.next()?;
        if digits.len() != length || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = digits.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Days since 1970-01-01 in the Gregorian calendar. Years begin in March here, so that a leap day comes last.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_to_the_millisecond() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T00:00:00.000001Z", Some(951_782_400_000)),
            ("2021-04-17T16:43:30.244975Z", Some(1_618_677_810_244)),
            ("2024-10-04T07:13:08.600625889Z", Some(1_728_025_988_600)),
            ("2026-01-01T00:00:00.5Z", Some(1_767_225_600_500)),
            ("2016-12-31T23:59:60Z", Some(1_483_228_800_000)),
        ] {
            assert_eq!(rfc3339(text), expected, "{text}");
        }
        for text in [
            "",
            "Z",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-01-01 00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00.1aZ",
            "26-01-01T00:00:00Z",
            "2026-01-01-01T00:00:00Z",
            "2026-01-01T+1:00:00Z",
        ] {
            assert_eq!(rfc3339(text), None, "{text}");
        }
    }
}
