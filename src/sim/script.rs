//! Which connection meets which fault.

use super::fault::{Fault, millis};
use super::rest::{ListedEvent, ListedInstruments};
use serde::{Deserialize, Deserializer};
use std::time::Duration;

/// Rules for arriving connections: the first that matches decides; where none does, the venue behaves well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// In the order in which they are tried.
    pub rules: Vec<Rule>,
}

/// A fault, and the connections that meet it. The conditions hold together.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The first connection that it is for, counted from 1 in the order of arrival.
    #[serde(default = "one")]
    pub first_connection: u64,
    /// The last one; `None` = no end.
    #[serde(default)]
    pub last_connection: Option<u64>,
    /// Connections that arrive from then on, counted from the venue's start. In a script: `from_ms`.
    #[serde(rename = "from_ms", default, deserialize_with = "millis")]
    pub from: Duration,
    /// Connections that arrive before then; `None` = no end. In a script: `until_ms`.
    #[serde(rename = "until_ms", default, deserialize_with = "some_millis")]
    pub until: Option<Duration>,
    /// The two come again after so long, and count from the beginning of each such period; `None` = they come once. In a
    /// script: `every_ms`.
    #[serde(rename = "every_ms", default, deserialize_with = "some_millis")]
    pub every: Option<Duration>,
    /// What they meet.
    pub fault: Fault,
}

/// What is wrong with a script, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {problem}")]
#[non_exhaustive]
pub struct ScriptError {
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1, in characters.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub problem: String,
}

/// A whole script, the REST part's own included.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    #[serde(default)]
    rules: Vec<toml::Spanned<Rule>>,
    #[serde(default)]
    pub(super) rest: Vec<toml::Spanned<Rule>>,
    #[serde(default)]
    pub(super) events: Vec<ListedEvent>,
    #[serde(default)]
    pub(super) instruments: Vec<ListedInstruments>,
    #[serde(default)]
    pub(super) page_size: Option<usize>,
}

/// Reads a script, and judges its rules each for itself.
pub(super) fn parse(text: &str) -> Result<Document, ScriptError> {
    let document: Document = toml::from_str(text).map_err(|error| {
        error_at(
            text,
            error.span().map_or(0, |span| span.start),
            error.message().to_owned(),
        )
    })?;
    for rule in document.rules.iter().chain(&document.rest) {
        if let Some(problem) = rule.get_ref().problem() {
            return Err(error_at(text, rule.span().start, problem));
        }
    }
    Ok(document)
}

impl Script {
    /// Reads a script. The format is on the page of [`crate::sim`].
    pub fn from_toml(text: &str) -> Result<Self, ScriptError> {
        let document = parse(text)?;
        Ok(Self {
            rules: document.rules.into_iter().map(toml::Spanned::into_inner).collect(),
        })
    }

    /// What is wrong with the first rule that makes no sense; a script that was read from text has none.
    pub fn problem(&self) -> Option<String> {
        self.rules
            .iter()
            .enumerate()
            .find_map(|(index, rule)| Some(format!("rule {}: {}", index + 1, rule.problem()?)))
    }

    /// The first rule that needs a venue with TLS.
    pub(super) fn needs_tls(&self) -> Option<usize> {
        let needs_tls = |rule: &Rule| matches!(rule.fault, Fault::Tls(_));
        self.rules.iter().position(needs_tls)
    }

    /// What connection number `connection`, arriving `at` after the venue's start, meets.
    pub(super) fn fault(&self, connection: u64, at: Duration) -> Fault {
        self.rules
            .iter()
            .find(|rule| rule.fault != Fault::Refuse && rule.matches(connection, at))
            .map_or(Fault::None, |rule| rule.fault.clone())
    }

    /// Until when the port is closed, where it is at `at`.
    pub(super) fn refused_until(&self, at: Duration) -> Option<Duration> {
        self.refusals().filter_map(|rule| rule.window_end(at)).max()
    }

    /// When the port is closed next, after `at`.
    pub(super) fn next_refusal(&self, at: Duration) -> Option<Duration> {
        self.refusals().filter_map(|rule| rule.next_window(at)).min()
    }

    fn refusals(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| rule.fault == Fault::Refuse)
    }
}

impl Rule {
    /// A rule for every connection.
    pub const fn always(fault: Fault) -> Self {
        Self {
            first_connection: 1,
            last_connection: None,
            from: Duration::ZERO,
            until: None,
            every: None,
            fault,
        }
    }

    /// A rule for the connections `first` to `last`, counted from 1.
    pub fn connections(first: u64, last: u64, fault: Fault) -> Self {
        Self {
            first_connection: first,
            last_connection: Some(last),
            ..Self::always(fault)
        }
    }

    /// A rule for connections that arrive from `from` on and before `until`, counted from the venue's start.
    pub fn during(from: Duration, until: Duration, fault: Fault) -> Self {
        Self {
            from,
            until: Some(until),
            ..Self::always(fault)
        }
    }

    /// The same in each period of this length.
    #[must_use]
    pub const fn each(mut self, period: Duration) -> Self {
        self.every = Some(period);
        self
    }

    fn matches(&self, connection: u64, at: Duration) -> bool {
        let at = at.saturating_sub(self.period_begin(at));
        self.first_connection <= connection
            && self.last_connection.is_none_or(|last| connection <= last)
            && self.from <= at
            && self.until.is_none_or(|until| at < until)
    }

    /// When the window ends that is open at `at`; `None` where none is, or where it has no end.
    fn window_end(&self, at: Duration) -> Option<Duration> {
        let begin = self.period_begin(at);
        let end = begin.checked_add(self.until?)?;
        (begin.saturating_add(self.from) <= at && at < end).then_some(end)
    }

    /// When a window opens next, after `at`.
    fn next_window(&self, at: Duration) -> Option<Duration> {
        let this = self.period_begin(at).checked_add(self.from)?;
        if at < this {
            return Some(this);
        }
        this.checked_add(self.every?)
    }

    /// When the period begins to which `at` belongs.
    fn period_begin(&self, at: Duration) -> Duration {
        let into = |every: Duration| at.as_nanos().checked_rem(every.as_nanos()).unwrap_or(0);
        self.every.map_or(Duration::ZERO, |every| {
            at.saturating_sub(Duration::from_nanos(u64::try_from(into(every)).unwrap_or(0)))
        })
    }

    fn problem(&self) -> Option<String> {
        if self.first_connection == 0 {
            return Some("first_connection: connections are counted from 1".into());
        }
        if let Some(last) = self.last_connection.filter(|last| *last < self.first_connection) {
            let first = self.first_connection;
            return Some(format!("last_connection: {last} is before first_connection, {first}"));
        }
        if let Some(until) = self.until.filter(|until| *until <= self.from) {
            let (until, from) = (until.as_millis(), self.from.as_millis());
            return Some(format!("until_ms: {until} is not after from_ms, {from}"));
        }
        if let Some(every) = self.every {
            let every_ms = every.as_millis();
            match self.until {
                None => return Some("every_ms: needs until_ms: what comes again must end".into()),
                Some(until) if every < until => {
                    return Some(format!(
                        "every_ms: {every_ms} is less than until_ms, {}",
                        until.as_millis()
                    ));
                }
                Some(until) if self.fault == Fault::Refuse && every == until.saturating_sub(self.from) => {
                    return Some("fault: refuse for the whole of every_ms: the port must open again".into());
                }
                Some(_) => {}
            }
        }
        match &self.fault {
            Fault::Refuse if self.until.is_none() => {
                Some("fault: refuse needs until_ms: the port must open again".into())
            }
            Fault::Refuse if self.first_connection != 1 || self.last_connection.is_some() => {
                Some("fault: refuse closes the port for all: it takes no first_connection or last_connection".into())
            }
            fault => fault.problem(),
        }
    }
}

fn error_at(text: &str, offset: usize, problem: String) -> ScriptError {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    ScriptError {
        line: before.matches('\n').count() + 1,
        column: before.chars().count() - before.get(..line_start).map_or(0, |head| head.chars().count()) + 1,
        problem,
    }
}

const fn one() -> u64 {
    1
}

pub(super) fn some_millis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    millis(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let script = Script {
            rules: vec![
                Rule::connections(2, 3, Fault::Hang),
                Rule::during(seconds(5), seconds(9), Fault::NoAnswer),
                Rule::connections(1, 3, Fault::Flap),
            ],
        };
        assert_eq!(script.fault(1, seconds(0)), Fault::Flap);
        assert_eq!(script.fault(1, seconds(5)), Fault::NoAnswer);
        assert_eq!(script.fault(3, seconds(5)), Fault::Hang);
        assert_eq!(script.fault(4, seconds(8)), Fault::NoAnswer);
        assert_eq!(script.fault(4, seconds(9)), Fault::None);
    }

    #[test]
    fn the_port_is_closed_within_its_windows_only() {
        let script = Script {
            rules: vec![
                Rule::during(seconds(2), seconds(4), Fault::Refuse),
                Rule::during(seconds(3), seconds(6), Fault::Refuse),
            ],
        };
        assert_eq!(script.refused_until(seconds(1)), None);
        assert_eq!(script.refused_until(seconds(2)), Some(seconds(4)));
        assert_eq!(script.refused_until(seconds(3)), Some(seconds(6)));
        assert_eq!(script.refused_until(seconds(6)), None);
        assert_eq!(script.next_refusal(seconds(0)), Some(seconds(2)));
        assert_eq!(script.next_refusal(seconds(3)), None);
    }

    #[test]
    fn a_window_comes_again_in_each_period() {
        let down = Rule::during(seconds(2), seconds(60), Fault::Refuse).each(seconds(60));
        let script = Script {
            rules: vec![
                down,
                Rule::during(seconds(1), seconds(2), Fault::Hang).each(seconds(60)),
            ],
        };
        for minute in [0, 60, 6000] {
            assert_eq!(script.refused_until(seconds(minute + 1)), None);
            assert_eq!(script.refused_until(seconds(minute + 2)), Some(seconds(minute + 60)));
            assert_eq!(script.refused_until(seconds(minute + 59)), Some(seconds(minute + 60)));
            assert_eq!(script.next_refusal(seconds(minute)), Some(seconds(minute + 2)));
            assert_eq!(script.next_refusal(seconds(minute + 2)), Some(seconds(minute + 62)));
            assert_eq!(script.fault(1, seconds(minute)), Fault::None);
            assert_eq!(script.fault(1, seconds(minute + 1)), Fault::Hang);
            assert_eq!(script.fault(1, seconds(minute + 2)), Fault::None);
        }
    }

    #[test]
    fn every_fault_can_be_written() {
        let script = Script::from_toml(
            r#"
            rules = [
                { fault = "none" }, { fault = "hang" }, { fault = "no_answer" }, { fault = "flap" },
                { fault = "reject_subscription" }, { fault = "refuse", from_ms = 1, until_ms = 2 },
                { fault.close = { after_ms = 7 } }, { fault.reset = { after_ms = 7 } }, { fault.cut = { after_ms = 7 } },
                { fault.silence = { after_ms = 7 } }, { fault.heartbeats_only = { after_ms = 7 } },
                { fault.tls = "expired" }, { fault.tls = "wrong_host" }, { fault.tls = "unknown_authority" },
                { fault.tls = "old_version" }, { fault.tls = "garbage" }, { fault.tls = "hang" }, { fault.tls = "cut" },
                { fault.upgrade.slow = {} }, { fault.upgrade = "wrong_accept" }, { fault.upgrade = "no_accept" },
                { fault.upgrade.headers = {} }, { fault.upgrade = "extension" }, { fault.upgrade = "cut" },
                { fault.retry_after = { code = 429, seconds = 7, form = "date" } },
                { fault.reset_in_frame = { after_ms = 7 } }, { fault.cut_in_frame = { after_ms = 7 } },
                { fault.bad_frame = { kind = "invalid_utf8", after_ms = 7 } },
                { fault.bad_frame = { kind = "reserved_bit", after_ms = 7 } },
                { fault.bad_frame = { kind = "masked", after_ms = 7 } },
                { fault.bad_frame = { kind = "opcode", after_ms = 7 } },
                { fault.bad_frame = { kind = "long_control", after_ms = 7 } },
                { fault.bad_frame = { kind = "fragmented_control", after_ms = 7 } },
                { fault.bad_frame = { kind = "continuation", after_ms = 7 } },
                { fault.too_big = { after_ms = 7 } }, { fault.endless_fragments = { after_ms = 7 } },
                { fault.fragments = { fragments = 3, after_ms = 7 } },
                { fault.odd_text = { kind = "not_json", after_ms = 7 } },
                { fault.odd_text = { kind = "other_schema", after_ms = 7 } },
                { fault.odd_text = { kind = "unknown_channel", after_ms = 7 } },
                { fault.odd_text = { kind = "deep_nesting", after_ms = 7 } },
                { fault.odd_text = { kind = "future", after_ms = 7 } },
                { fault.odd_text = { kind = "long_ago", after_ms = 7 } },
                { fault.odd_text = { kind = "absurd_time", after_ms = 7 } },
                { fault.flood = { of = "pings", after_ms = 7 } }, { fault.flood = { of = "empty_texts", after_ms = 7 } },
                { fault.mute = { after_ms = 7 } }, { fault.status = { code = 503, headers = { Retry-After = "2" } } },
            ]"#,
        )
        .unwrap();
        let mut names: Vec<_> = script.rules.iter().map(|rule| rule.fault.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 48);
        let waits = script.rules.iter().filter_map(|rule| rule.fault.after());
        assert_eq!(waits.filter(|after| *after == Duration::from_millis(7)).count(), 27);
    }

    #[test]
    fn an_error_names_line_column_and_problem() {
        for (text, message) in [
            (
                "[[rules]]\nfault = \"hang\"\nform_ms = 3",
                "3:1: unknown field `form_ms`, expected one of `first_connection`, `last_connection`, `from_ms`, `until_ms`, `every_ms`, `fault`",
            ),
            (
                "[[rules]]\nfault = \"refuse\"",
                "1:1: fault: refuse needs until_ms: the port must open again",
            ),
            (
                "[[rules]]\nfirst_connection = 0\nfault = \"hang\"",
                "1:1: first_connection: connections are counted from 1",
            ),
            (
                "\n[[rules]]\nfrom_ms = 5\nuntil_ms = 5\nfault = \"hang\"",
                "2:1: until_ms: 5 is not after from_ms, 5",
            ),
            (
                "[[rules]]\nfrom_ms = 5\nevery_ms = 9\nfault = \"hang\"",
                "1:1: every_ms: needs until_ms: what comes again must end",
            ),
            (
                "[[rules]]\nuntil_ms = 9\nevery_ms = 8\nfault = \"hang\"",
                "1:1: every_ms: 8 is less than until_ms, 9",
            ),
            (
                "[[rules]]\nuntil_ms = 9\nevery_ms = 9\nfault = \"refuse\"",
                "1:1: fault: refuse for the whole of every_ms: the port must open again",
            ),
            (
                "[[rules]]\nfault.status = { code = 101 }",
                "1:1: fault.status.code: must be from 200 to 599, not 101",
            ),
            (
                "[[rules]]\nfault.status = { code = 503, headers = { \"a b\" = \"1\" } }",
                "1:1: fault.status.headers: \"a b\" = \"1\" is not an HTTP header",
            ),
            (
                "[[rules]]\nfault.retry_after = { code = 429, seconds = 99999999, form = \"date\" }",
                "1:1: fault.retry_after.seconds: must be from 0 to 31536000, not 99999999",
            ),
            (
                "[[rules]]\nfault.upgrade.headers = { bytes = 0 }",
                "1:1: fault.upgrade.headers.bytes: must be from 1 to 16777216, not 0",
            ),
            (
                "[[rules]]\nfault.too_big = { bytes = 9999999999, after_ms = 0 }",
                "1:1: fault.too_big.bytes: must be from 1 to 1073741824, not 9999999999",
            ),
            (
                "[[rules]]\nfault.endless_fragments = { bytes = 65537, after_ms = 0 }",
                "1:1: fault.endless_fragments.bytes: must be from 0 to 65536, not 65537",
            ),
            (
                "[[rules]]\nfault.endless_fragments = { fragments = 0, after_ms = 0 }",
                "1:1: fault.endless_fragments.fragments: must be from 1 to 1048576, not 0",
            ),
            (
                "[[rules]]\nfault.fragments = { fragments = 1, after_ms = 0 }",
                "1:1: fault.fragments.fragments: must be from 2 to 1000, not 1",
            ),
            (
                "[[rules]]\nfault.odd_text = { kind = \"future\", frames = 0, after_ms = 0 }",
                "1:1: fault.odd_text.frames: must be from 1 to 1000000, not 0",
            ),
            (
                "[[rules]]\nfault.flood = { of = \"pings\", frames = 1000001, after_ms = 0 }",
                "1:1: fault.flood.frames: must be from 1 to 1000000, not 1000001",
            ),
            (
                "[[rules]]\nfault.close = { reason = \"why\", after_ms = 0 }",
                "1:1: fault.close.reason: a close frame without a code has no reason",
            ),
            (
                "[[rules]]\nfault.mute = { after_ms = -1 }",
                "2:27: invalid value: integer `-1`, expected u64",
            ),
        ] {
            assert_eq!(Script::from_toml(text).unwrap_err().to_string(), message, "{text}");
        }
    }
}
