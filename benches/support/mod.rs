//! What benchmarks share: contenders that take turns, CPU time by the system's accounting, medians, and one table.
//!
//! A machine is shared, and its clock goes up and down: so a figure is never judged alone, but against a reference that ran
//! right before it, in the same process, and by the CPU time that was used rather than by the time that passed.

#![allow(
    dead_code,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "each benchmark uses a part, names contenders by number, and prints"
)]

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// The CPU time that all threads of this process have used, in user mode and in the kernel.
pub(crate) fn cpu_of_process() -> Duration {
    cpu(ClockId::ProcessCPUTime)
}

/// The same of this thread alone.
pub(crate) fn cpu_of_thread() -> Duration {
    cpu(ClockId::ThreadCPUTime)
}

/// What this process holds in memory, in bytes. Linux alone tells it; 0 elsewhere.
pub(crate) fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    kib * 1024
}

/// What each of `N` contenders measured, round by round.
pub(crate) struct Rounds<const N: usize>(Vec<[f64; N]>);

/// Lets contenders take turns (A B A B ...), so many rounds of them. A round before the first is thrown away.
pub(crate) fn take_turns<const N: usize>(rounds: usize, mut contenders: [&mut dyn FnMut() -> f64; N]) -> Rounds<N> {
    let mut round = || contenders.each_mut().map(|contender| contender());
    round();
    Rounds((0..rounds).map(|_| round()).collect())
}

impl<const N: usize> Rounds<N> {
    /// The median of what a contender measured.
    pub(crate) fn of(&self, contender: usize) -> f64 {
        median(self.0.iter().map(|round| round[contender]))
    }

    /// The median of a contender's ratio to another of the same round: what slows a whole round down falls out of it.
    pub(crate) fn ratio(&self, contender: usize, reference: usize) -> f64 {
        median(self.0.iter().map(|round| round[contender] / round[reference]))
    }

    /// A row that judges one contender by its ratio to another.
    pub(crate) fn row(&self, what: impl Into<String>, unit: &'static str, pair: (usize, usize), most: f64) -> Row {
        let (contender, reference) = pair;
        Row {
            what: what.into(),
            unit,
            figure: self.of(contender),
            reference: Some(self.of(reference)),
            ratio: Some(self.ratio(contender, reference)),
            limit: Limit::Ratio(most),
        }
    }
}

/// The one in the middle, or the mean of the two that are.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let (lower, upper) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    match (values.get(lower), values.get(upper)) {
        (Some(lower), Some(upper)) => f64::midpoint(*lower, *upper),
        _ => f64::NAN,
    }
}

/// What a figure must reach.
#[derive(Clone, Copy)]
pub(crate) enum Limit {
    /// At most so many times the reference.
    Ratio(f64),
    /// At most so much, whatever the reference.
    Figure(f64),
    /// Only told.
    None,
}

/// One figure of a table.
pub(crate) struct Row {
    /// The line of the design that asks for it, and what was measured.
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) figure: f64,
    pub(crate) reference: Option<f64>,
    pub(crate) ratio: Option<f64>,
    pub(crate) limit: Limit,
}

impl Row {
    /// A figure with a limit of its own.
    pub(crate) fn absolute(what: impl Into<String>, unit: &'static str, figure: f64, most: f64) -> Self {
        Self {
            what: what.into(),
            unit,
            figure,
            reference: None,
            ratio: None,
            limit: Limit::Figure(most),
        }
    }

    /// Prints it.
    pub(crate) fn print(&self) {
        let number = |value: Option<f64>| value.map_or_else(|| "-".into(), shown);
        let limit = match self.limit {
            Limit::Ratio(most) => format!("ratio {most}"),
            Limit::Figure(most) => format!("{most}"),
            Limit::None => "-".into(),
        };
        let holds = match self.holds() {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "-",
        };
        println!(
            "| {} | {} | {} | {} | {} | {limit} | {holds} |",
            self.what,
            self.unit,
            shown(self.figure),
            number(self.reference),
            self.ratio.map_or_else(|| "-".into(), |ratio| format!("{ratio:.2}")),
        );
    }

    /// `None` where there is no limit.
    fn holds(&self) -> Option<bool> {
        match self.limit {
            Limit::Ratio(most) => Some(self.ratio.is_some_and(|ratio| ratio <= most)),
            Limit::Figure(most) => Some(self.figure <= most),
            Limit::None => None,
        }
    }
}

/// Begins the table of rows that are printed as they come, with what they are about.
pub(crate) fn begin_table(title: &str) {
    println!("\n{title}\n");
    println!("| measured | unit | figure | reference | ratio | limit | holds |");
    println!("| --- | --- | ---: | ---: | ---: | ---: | --- |");
}

/// Whether a part of the benchmark was asked for: by a name on the command line, or by none at all.
pub(crate) fn is_wanted(part: &str) -> bool {
    let mut names = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .peekable();
    names.peek().is_none() || names.any(|name| name == part)
}

/// Whether this stands on the command line: `--full`, say.
pub(crate) fn has_flag(flag: &str) -> bool {
    std::env::args().skip(1).any(|argument| argument == flag)
}

fn shown(value: f64) -> String {
    match value.abs() {
        small if small < 10.0 => format!("{value:.2}"),
        middle if middle < 1000.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn cpu(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}
