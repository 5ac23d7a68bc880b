//! The values of many streams, packed: a scrape keeps all of them as they were for as long as its text is being written.

use super::catalogue::Value;

/// So many streams have a row in one set of columns.
pub(super) const ROWS: usize = 64;

/// One series of the streams of a block. Kept is how far each value lies above the least one, in as few bytes as the
/// greatest needs: none at all where all are equal.
#[derive(Debug)]
struct Column {
    least: u64,
    /// Of each row whether the word is that of a floating-point number.
    floats: u64,
    start: usize,
    width: usize,
}

/// Columns of up to [`ROWS`] rows.
#[derive(Debug, Default)]
pub(super) struct Columns {
    series: Vec<Column>,
    /// Little-endian. Behind the last value there are at least eight bytes less its width.
    bytes: Vec<u8>,
    end: usize,
}

impl Columns {
    /// Appends a column. What is above [`ROWS`] values is left out.
    pub(super) fn push(&mut self, values: impl Iterator<Item = Value>) {
        let mut words = [0; ROWS];
        let (mut floats, mut count) = (0, 0);
        let (mut least, mut greatest) = (u64::MAX, 0);
        for (word, value) in words.iter_mut().zip(values) {
            *word = match value {
                Value::Int(value) => value,
                Value::Float(value) => {
                    floats |= 1 << count;
                    value.to_bits()
                }
            };
            least = least.min(*word);
            greatest = greatest.max(*word);
            count += 1;
        }
        let width = bytes_of(greatest.saturating_sub(least));
        self.series.push(Column {
            least,
            floats,
            start: self.end,
            width,
        });
        if width > 0 {
            for word in words.iter().take(count) {
                self.bytes.truncate(self.end);
                self.bytes.extend_from_slice(&(word - least).to_le_bytes());
                self.end += width;
            }
        }
    }

    /// Nothing more is appended: gives back what memory is spare.
    pub(super) fn seal(&mut self) {
        self.series.shrink_to_fit();
        self.bytes.shrink_to_fit();
    }

    /// The value of a row that was appended.
    pub(super) fn value(&self, column: usize, row: usize) -> Option<Value> {
        let column = self.series.get(column)?;
        let above = if column.width == 0 {
            0
        } else {
            let start = column.start + row * column.width;
            let word = self.bytes.get(start..)?.first_chunk()?;
            u64::from_le_bytes(*word) & (u64::MAX >> (64 - 8 * column.width))
        };
        let word = column.least + above;
        Some(if column.floats >> row & 1 == 1 {
            Value::Float(f64::from_bits(word))
        } else {
            Value::Int(word)
        })
    }
}

/// The bytes that are not 0 at the upper end.
const fn bytes_of(word: u64) -> usize {
    (u64::BITS - word.leading_zeros()).div_ceil(8) as usize
}

#[cfg(test)]
mod tests {
    use super::Value::{Float, Int};
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn same(told: Option<Value>, put: Value) -> bool {
        match (told, put) {
            (Some(Int(told)), Int(put)) => told == put,
            (Some(Float(told)), Float(put)) => told.to_bits() == put.to_bits(),
            _ => false,
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            (0..3_u64).prop_map(Int),
            any::<u64>().prop_map(Int),
            (0..=64_u32).prop_map(|shift| Int(u64::MAX.checked_shr(shift).unwrap_or(0))),
            any::<f64>().prop_map(Float),
            Just(Float(0.0)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_value_comes_out_as_it_was_put_in(columns in vec(vec(value(), 0..=ROWS), 0..20)) {
            let mut packed = Columns::default();
            for column in &columns {
                packed.push(column.iter().copied());
            }
            packed.seal();
            for (at, column) in columns.iter().enumerate() {
                for (row, put) in column.iter().enumerate() {
                    prop_assert!(same(packed.value(at, row), *put), "{at} {row} {put:?}");
                }
            }
            prop_assert!(packed.value(columns.len(), 0).is_none());
        }
    }

    #[test]
    fn what_is_equal_takes_no_bytes_and_what_is_near_takes_few() {
        let mut packed = Columns::default();
        packed.push((0..64).map(|_| Float(1_700_000_000.125)));
        assert_eq!(packed.end, 0);
        packed.push((0..64).map(|row| Int(u64::MAX - row)));
        assert_eq!(packed.end, 64);
        packed.push((0..64).map(|row| Float(1_700_000_000.0 + f64::from(row) / 1000.0)));
        assert!(packed.end <= 64 + 64 * 3, "{}", packed.end);
    }
}
