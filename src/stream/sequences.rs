//! Follows the numbers of a connection's events, and says what is missing. Pure.

use crate::market::{Place, Sequence, Series, is_name};
use rustc_hash::FxBuildHasher;
use std::collections::{BTreeSet, HashMap};

/// So many series of a kind are followed on one connection. Their names come from the venue, which may be out of its mind.
const MOST_SERIES: usize = 20_000;

/// What is further behind the last number than this is no repetition: the series began anew.
const FARTHEST_REPEAT: u64 = 10_000;

/// Nor are so many in a row.
const MOST_REPEATS: u32 = 100;

/// In a series without order, what has not come by so many numbers later is lost.
const PATIENCE: u64 = 1000;

/// So many numbers of a series without order may be missing at a time; more are lost at once.
const MOST_MISSING: usize = 256;

/// Where an event stands among those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// It follows.
    Next,
    /// It has been there before, or comes late.
    Repeated,
    /// Events are missing before it; how many, where the numbers tell.
    Gap(Option<u64>),
}

/// The numbers of one connection.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    numbered: HashMap<Series, State, FxBuildHasher>,
    /// By the kind of the series, then by instrument: looked up without a copy of its name.
    instruments: Vec<(u8, ByInstrument)>,
}

type ByInstrument = HashMap<Box<str>, State, FxBuildHasher>;

impl Sequences {
    /// An event of `instrument` stands there.
    pub(super) fn follow(&mut self, sequence: &Sequence, instrument: Option<&str>) -> Order {
        let place = sequence.place;
        let (Series::Instrument(kind), Some(instrument)) = (sequence.series, instrument) else {
            if let Some(state) = self.numbered.get_mut(&sequence.series) {
                return state.follow(place);
            }
            if self.numbered.len() < MOST_SERIES {
                self.numbered.insert(sequence.series, State::at(place));
            }
            return Order::Next;
        };
        let of_kind = self.instruments.iter().position(|(known, _)| *known == kind);
        if of_kind.is_none() {
            self.instruments.push((kind, HashMap::default()));
        }
        let index = of_kind.unwrap_or(self.instruments.len() - 1);
        let Some((_, states)) = self.instruments.get_mut(index) else {
            return Order::Next;
        };
        if let Some(state) = states.get_mut(instrument) {
            return state.follow(place);
        }
        if states.len() < MOST_SERIES && is_name(instrument) {
            states.insert(instrument.into(), State::at(place));
        }
        Order::Next
    }

    /// The numbers of all instruments begin anew with whatever comes next.
    pub(super) fn forget_instruments(&mut self) {
        self.instruments.clear();
    }

    /// The instrument's numbers begin anew with whatever comes next.
    pub(super) fn forget(&mut self, instrument: &str) {
        for (_, states) in &mut self.instruments {
            states.remove(instrument);
        }
    }
}

#[derive(Debug)]
struct State {
    last: u64,
    /// Since the last one that followed.
    repeats: u32,
    /// Of a series without order: what may still come.
    missing: BTreeSet<u64>,
}

impl State {
    const fn at(place: Place) -> Self {
        Self {
            last: number(place),
            repeats: 0,
            missing: BTreeSet::new(),
        }
    }

    fn follow(&mut self, place: Place) -> Order {
        let before = self.last;
        match place {
            Place::After { previous, .. } if previous == before => {}
            // Of numbers that jump a distance says little. But nothing is repeated from the first half of a series.
            Place::After { number, .. } if number <= before => {
                return self.fell_back(number, FARTHEST_REPEAT.max(before / 2));
            }
            Place::After { number, .. } => return self.jumped_to(number, None),
            Place::Next(number) | Place::Unordered(number) | Place::Range { last: number, .. } if number <= before => {
                return self.fell_back(number, FARTHEST_REPEAT);
            }
            Place::Next(first) | Place::Range { first, .. } if first > before.saturating_add(1) => {
                return self.jumped_to(number(place), Some(first - before - 1));
            }
            Place::Start(_) | Place::Next(_) | Place::Range { .. } => {}
            Place::Unordered(number) => return self.ran_ahead_to(number),
        }
        *self = Self::at(place);
        Order::Next
    }

    fn jumped_to(&mut self, number: u64, missed: Option<u64>) -> Order {
        *self = Self::at(Place::Start(number));
        Order::Gap(missed)
    }

    /// The number is no higher than the last one: a repetition, one that was late, or another beginning.
    fn fell_back(&mut self, number: u64, farthest: u64) -> Order {
        if self.missing.remove(&number) {
            return Order::Repeated;
        }
        self.repeats += 1;
        let is_reset = number == 0 && self.last > 0 || self.last - number > farthest || self.repeats > MOST_REPEATS;
        if is_reset {
            return self.jumped_to(number, None);
        }
        Order::Repeated
    }

    /// In a series without order, a higher number says only that those in between have not come yet.
    fn ran_ahead_to(&mut self, number: u64) -> Order {
        let between = usize::try_from(number - self.last - 1).unwrap_or(usize::MAX);
        if between > MOST_MISSING - self.missing.len().min(MOST_MISSING) {
            let lost = self.missing.len().saturating_add(between);
            return self.jumped_to(number, u64::try_from(lost).ok());
        }
        self.missing.extend(self.last + 1..number);
        self.last = number;
        self.repeats = 0;
        let awaited = self.missing.split_off(&number.saturating_sub(PATIENCE));
        let lost = std::mem::replace(&mut self.missing, awaited).len();
        if lost == 0 {
            Order::Next
        } else {
            Order::Gap(u64::try_from(lost).ok())
        }
    }
}

/// The last number of a place.
const fn number(place: Place) -> u64 {
    match place {
        Place::Start(number)
        | Place::Next(number)
        | Place::Unordered(number)
        | Place::Range { last: number, .. }
        | Place::After { number, .. } => number,
    }
}

#[cfg(test)]
mod tests {
    use super::Order::{Gap, Next, Repeated};
    use super::*;
    use proptest::prelude::*;

    fn of(places: &[Place]) -> Vec<Order> {
        let mut sequences = Sequences::default();
        let follow = |place: &Place| {
            let sequence = Sequence {
                series: Series::Instrument(0),
                place: *place,
            };
            sequences.follow(&sequence, Some("a"))
        };
        places.iter().map(follow).collect()
    }

    fn next(numbers: &[u64]) -> Vec<Order> {
        of(&numbers.iter().copied().map(Place::Next).collect::<Vec<_>>())
    }

    #[test]
    fn a_jump_is_a_gap_once_and_a_repetition_is_none() {
        assert_eq!(
            next(&[7, 8, 8, 12, 13, 10]),
            [Next, Next, Repeated, Gap(Some(3)), Next, Repeated]
        );
    }

    #[test]
    fn a_series_that_begins_anew_is_a_gap() {
        assert_eq!(next(&[7, 0, 1])[1..], [Order::Gap(None), Order::Next]);
        assert_eq!(next(&[1_000_000, 5, 6])[1..], [Order::Gap(None), Order::Next]);
        let low: Vec<_> = [500].into_iter().chain(1..=102).collect();
        let orders = next(&low);
        assert!(orders[1..=100].iter().all(|order| *order == Order::Repeated));
        assert_eq!(
            orders[101..],
            [Order::Gap(None), Order::Next],
            "nobody repeats that much"
        );
    }

    #[test]
    fn a_range_that_overlaps_what_has_been_follows_it() {
        let range = |first, last| Place::Range { first, last };
        assert_eq!(
            of(&[range(1, 5), range(6, 9), range(8, 12), range(10, 12), range(15, 16)]),
            [Next, Next, Next, Repeated, Gap(Some(2))]
        );
    }

    #[test]
    fn who_names_the_event_before_may_jump_and_fall_back() {
        let after = |previous, number| Place::After { previous, number };
        assert_eq!(
            of(&[
                after(0, 100),
                after(100, 900),
                after(100, 900),
                after(900, 900),
                after(900, 3),
                after(3, 4),
                after(9, 10)
            ]),
            [Next, Next, Repeated, Next, Next, Next, Gap(None)]
        );
    }

    #[test]
    fn numbers_that_jump_begin_anew_where_they_fall_far_back() {
        let after = |previous, number| Place::After { previous, number };
        assert_eq!(
            of(&[
                after(0, 5_000_000),
                after(4_000_000, 4_900_000),
                after(5_000_000, 5_100_000),
                after(10, 20),
                after(20, 900)
            ]),
            [Next, Repeated, Next, Gap(None), Next]
        );
    }

    #[test]
    fn what_is_forgotten_begins_anew_and_the_others_go_on() {
        let mut sequences = Sequences::default();
        let follow = |sequences: &mut Sequences, number, instrument| {
            let (series, place) = (Series::Instrument(0), Place::Next(number));
            sequences.follow(&Sequence { series, place }, Some(instrument))
        };
        for instrument in ["a", "b"] {
            assert_eq!(follow(&mut sequences, 1, instrument), Next);
        }
        sequences.forget("a");
        assert_eq!(follow(&mut sequences, 9, "a"), Next);
        assert_eq!(follow(&mut sequences, 11, "a"), Gap(Some(1)));
        assert_eq!(follow(&mut sequences, 9, "b"), Gap(Some(7)));
    }

    #[test]
    fn a_start_is_never_a_gap() {
        let places = [
            Place::Next(5),
            Place::Start(90),
            Place::Next(91),
            Place::Start(2),
            Place::Next(3),
        ];
        assert!(of(&places).iter().all(|order| *order == Order::Next));
    }

    #[test]
    fn without_order_only_what_never_comes_is_lost() {
        let mut numbers: Vec<u64> = vec![1, 3, 2, 6, 5];
        numbers.extend(7..=1005);
        let orders = of(&numbers.iter().copied().map(Place::Unordered).collect::<Vec<_>>());
        let gaps: Vec<_> = orders.iter().filter(|order| matches!(order, Order::Gap(_))).collect();
        assert_eq!(gaps, [&Order::Gap(Some(1))], "4 never came");
    }

    #[test]
    fn instruments_kinds_and_channels_are_numbered_apart() {
        let mut sequences = Sequences::default();
        let mut follow = |series, number, instrument| {
            let place = Place::Next(number);
            sequences.follow(&Sequence { series, place }, instrument)
        };
        for (series, instrument) in [
            (Series::Instrument(0), Some("a")),
            (Series::Instrument(0), Some("b")),
            (Series::Instrument(1), Some("a")),
            (Series::Channel(3), Some("a")),
            (Series::Channel(4), None),
            (Series::Connection, None),
        ] {
            assert_eq!(follow(series, 10, instrument), Order::Next);
            assert_eq!(follow(series, 11, instrument), Order::Next);
            assert_eq!(follow(series, 13, instrument), Order::Gap(Some(1)));
        }
    }

    proptest! {
        #[test]
        fn any_numbers_are_followed_in_bounds(numbers in prop::collection::vec(any::<u64>(), 0..300), kind in 0..3) {
            let place = |number: u64| match kind {
                0 => Place::Next(number),
                1 => Place::Unordered(number % 2000),
                _ => Place::Range { first: number / 2, last: number },
            };
            let mut state = State::at(Place::Start(0));
            for number in numbers {
                state.follow(place(number));
                prop_assert!(state.missing.len() <= MOST_MISSING);
            }
        }

        #[test]
        fn what_is_missing_is_what_is_told(kept in prop::collection::vec(any::<bool>(), 1..500)) {
            let numbers: Vec<u64> = (1..).zip(&kept).filter(|(_, kept)| **kept).map(|(number, _)| number).collect();
            let told: u64 = next(&numbers).iter().map(|order| if let Order::Gap(Some(missed)) = order { *missed } else { 0 }).sum();
            let span = numbers.last().zip(numbers.first()).map_or(0, |(last, first)| last - first + 1);
            prop_assert_eq!(told, span - numbers.len() as u64);
        }
    }
}
