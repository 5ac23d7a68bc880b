//! The rules of a described venue: what frames are recognised by, and where their parts stand.

use super::{not_empty, values};
use crate::config::error::{Place, quoted};
use crate::config::section::Section;
use crate::config::value::{Raw, Wrong, kind};
use crate::market::EventKind;
use crate::venue::generic::{
    AnswerRule, Case, EventRule, LeavingRule, Pattern, Pick, PlaceRule, Pointer, Saying, SequenceRule, SeriesRule,
    Template, TimeUnit, Wanted,
};
use toml::de::{DeTable, DeValue};

const PICK: &str = "venues[].events[].instrument";
const CASES: &[(&str, Case)] = &[("as_is", Case::AsIs), ("upper", Case::Upper), ("lower", Case::Lower)];
const UNITS: &[(&str, TimeUnit)] = &[
    ("s", TimeUnit::Seconds),
    ("ms", TimeUnit::Millis),
    ("us", TimeUnit::Micros),
    ("ns", TimeUnit::Nanos),
    ("rfc3339", TimeUnit::Rfc3339),
];
const WHEN: &str = r#"what the frame has in it, such as { "/event" = "subscribe" }"#;

pub(super) fn pointer(raw: Raw<'_>) -> Result<Pointer, Wrong> {
    pointer_of(raw.text()?)
}

pub(super) fn pointer_of(text: &str) -> Result<Pointer, Wrong> {
    Pointer::parse(text).map_err(|error| format!("{} {error}", quoted(text)))
}

/// The answers of a list, and where each of them is written.
pub(super) fn answers(
    section: &mut Section<'_, '_>,
    key: &'static str,
    schema: &'static str,
) -> (Vec<AnswerRule>, Vec<usize>) {
    let (tables, _) = section.tables(key).unwrap_or_default();
    let (mut rules, mut places) = (Vec::new(), Vec::new());
    for (index, table) in tables.iter().enumerate() {
        let Some(mut section) = section.element(key, schema, index, table) else {
            continue;
        };
        let is_refusal = key == "refusals";
        rules.push(AnswerRule {
            when: needed(&mut section),
            each: section.take("each", pointer),
            id: section.take("id", pointer),
            instrument: pick(&mut section, "instrument"),
            channel: pick(&mut section, "channel"),
            alias: (!is_refusal).then(|| section.take("alias", pointer)).flatten(),
            words: if is_refusal {
                pointers(&mut section, "words")
            } else {
                Vec::new()
            },
        });
        places.push(table.span().start);
    }
    (rules, places)
}

/// The rules of events, and where each of them is written.
pub(super) fn events(section: &mut Section<'_, '_>) -> (Vec<EventRule>, Vec<usize>) {
    let kinds: Vec<_> = EventKind::ALL.iter().map(|kind| (kind.as_str(), *kind)).collect();
    let valid: Vec<_> = kinds.iter().map(|(name, _)| *name).collect();
    let (tables, _) = section.tables("events").unwrap_or_default();
    let (mut rules, mut places) = (Vec::new(), Vec::new());
    for (index, table) in tables.iter().enumerate() {
        let Some(mut section) = section.element("events", "venues[].events[]", index, table) else {
            continue;
        };
        let kind = section.require("kind", &valid.join(", "), |raw| raw.choice(&kinds));
        let mut rule = EventRule::new(kind.unwrap_or(EventKind::Other));
        rule.when = pattern(&mut section);
        rule.each = section.take("each", pointer);
        rule.instrument = pick(&mut section, "instrument");
        rule.alias = section.take("alias", pointer);
        let unit = section.take("time_unit", |raw| raw.choice(UNITS));
        rule.time = section
            .take("time", pointer)
            .map(|at| (at, unit.unwrap_or(TimeUnit::Millis)));
        if unit.is_some() && rule.time.is_none() && !section.is_faulty("time") {
            section.wrong("time_unit", "is of no use without time beside it".to_owned());
        }
        rule.sequence = sequence(&mut section, rule.kind);
        rule.value = values::value(&mut section, kind);
        rule.ended = section.take("ended", Raw::flag).unwrap_or(false);
        rules.push(rule);
        places.push(table.span().start);
    }
    (rules, places)
}

fn sequence(section: &mut Section<'_, '_>, kind: EventKind) -> Option<SequenceRule> {
    let mut section = table(section, "sequence", "venues[].events[].sequence")?;
    let series = section.take("series", series);
    let mut at = |key| section.take(key, pointer);
    let (next, unordered, start) = (at("next"), at("unordered"), at("start"));
    let (range, after) = ((at("first"), at("last")), (at("previous"), at("number")));
    let place = match (next, unordered, start, range, after) {
        (Some(at), None, None, (None, None), (None, None)) => PlaceRule::Next(at),
        (None, Some(at), None, (None, None), (None, None)) => PlaceRule::Unordered(at),
        (None, None, Some(at), (None, None), (None, None)) => PlaceRule::Start(at),
        (None, None, None, (Some(first), Some(last)), (None, None)) => PlaceRule::Range { first, last },
        (None, None, None, (None, None), (Some(previous), Some(number))) => PlaceRule::After { previous, number },
        _ => {
            let keys = ["next", "unordered", "start", "first", "last", "previous", "number"];
            if !keys.into_iter().any(|key| section.is_faulty(key)) {
                let problem = "must have one of these: next; unordered; start; first and last; previous and number";
                section.wrong("", problem.to_owned());
            }
            return None;
        }
    };
    // Books are one series, changes and whole ones alike.
    let of_kind = match kind {
        EventKind::BookSnapshot | EventKind::BookDelta => 0,
        EventKind::Trade => 1,
        EventKind::Ticker => 2,
        EventKind::Candle => 3,
        _ => 4,
    };
    Some(SequenceRule::new(
        series.unwrap_or(SeriesRule::Instrument(of_kind)),
        place,
    ))
}

fn series(raw: Raw<'_>) -> Result<SeriesRule, Wrong> {
    match raw {
        Raw::Toml(DeValue::Integer(_)) => raw.whole(0..=255).map(SeriesRule::Instrument),
        _ => match raw.text()? {
            "connection" => Ok(SeriesRule::Connection),
            text => Pointer::parse(text).map(SeriesRule::Channel).map_err(|_| {
                format!(
                    "{} is no series; valid: connection, a JSON pointer, or a number from 0 to 255",
                    quoted(text)
                )
            }),
        },
    }
}

/// The answer to a ping: its text, or a table that says what is in it.
pub(super) fn pong(section: &mut Section<'_, '_>) -> Option<Saying> {
    match section.take("pong", |raw| text_or_table(raw, "a text"))? {
        Some(text) if text.trim().is_empty() => {
            section.wrong("pong", "is empty".to_owned());
            return None;
        }
        Some(text) => return Some(Saying::Text(text.trim().to_owned())),
        None => {}
    }
    let mut section = section.section_of("pong", "venues[].pong");
    Some(Saying::Json(needed(&mut section)))
}

pub(super) fn venue_ping(section: &mut Section<'_, '_>) -> Option<(Saying, Template)> {
    let mut section = table(section, "venue_ping", "venues[].venue_ping")?;
    let text = section.take("text", not_empty);
    let is_json = section.place_of("when").is_some();
    let saying = match text {
        Some(_) if is_json => {
            section.wrong("text", "stands beside when; a ping is JSON or it is not".to_owned());
            None
        }
        Some(text) => Some(Saying::Text(text.trim().to_owned())),
        None if section.is_faulty("text") => None,
        None => Some(Saying::Json(needed(&mut section))),
    };
    let reply = section.require("reply", "the text that is sent in return", |raw| {
        let reply = Template::parse_reply(&not_empty(raw)?).map_err(|error| error.to_string())?;
        match &saying {
            Some(Saying::Text(_)) if reply.copies() => Err("copies from a ping that is no JSON".to_owned()),
            _ => Ok(reply),
        }
    });
    saying.zip(reply)
}

pub(super) fn leaving(section: &mut Section<'_, '_>) -> Option<LeavingRule> {
    let mut section = table(section, "leaving", "venues[].leaving")?;
    Some(LeavingRule {
        when: needed(&mut section),
        words: pointers(&mut section, "words"),
    })
}

/// The text, or `None` where there is a table.
pub(super) fn text_or_table<'v>(raw: Raw<'v>, text: &str) -> Result<Option<&'v str>, Wrong> {
    match raw {
        Raw::Toml(DeValue::Table(_)) => Ok(None),
        Raw::Toml(DeValue::String(text)) => Ok(Some(text)),
        Raw::Variable(text) => Ok(Some(text)),
        Raw::Toml(other) => Err(format!("must be {text} in quotes, or a table, not {}", kind(other))),
    }
}

/// The section of that name; `None` where it is left out, or no table.
fn table<'a, 's>(section: &'s mut Section<'a, '_>, key: &'static str, schema: &'static str) -> Option<Section<'a, 's>> {
    section.take(key, |raw| match raw {
        Raw::Toml(DeValue::Table(_)) => Ok(()),
        Raw::Toml(other) => Err(format!("must be a table, not {}", kind(other))),
        Raw::Variable(_) => Err("must be a table".to_owned()),
    })?;
    Some(section.section_of(key, schema))
}

/// A pattern without which every frame would fit.
fn needed(section: &mut Section<'_, '_>) -> Pattern {
    if section.is_empty("when") {
        section.wrong("when", format!("is missing; valid: {WHEN}"));
        return Pattern::default();
    }
    pattern(section)
}

fn pattern(section: &mut Section<'_, '_>) -> Pattern {
    let mut conditions = Vec::new();
    for (name, value, at) in section.entries("when") {
        match pointer_of(name).and_then(|pointer| Ok((pointer, wanted(value)?))) {
            Ok(condition) => conditions.push(condition),
            Err(wrong) => section.add_below(at, "when", name, wrong),
        }
    }
    Pattern(conditions)
}

/// A text, a number, a truth value or a table; or several of which one will do.
pub(super) fn wanted(value: Raw<'_>) -> Result<Vec<Wanted>, Wrong> {
    let one = |value: &DeValue<'_>| match value {
        DeValue::String(text) => wanted_text(text),
        DeValue::Table(table) => wanted_table(table),
        DeValue::Integer(number) if number.radix() == 10 => number_of_json(number.as_str()),
        DeValue::Integer(_) => Err(NO_NUMBER_OF_JSON.to_owned()),
        DeValue::Float(number) => number_of_json(number.as_str()),
        DeValue::Boolean(flag) => Ok(Wanted::Text(flag.to_string())),
        other => Err(format!(
            "must be a text, a number, true or false, {{ absent = true }}, or an array of these, not {}",
            kind(other)
        )),
    };
    let wanted: Vec<_> = match value {
        Raw::Toml(DeValue::Array(values)) if values.is_empty() => {
            return Err("is empty; say what may stand there".to_owned());
        }
        Raw::Toml(DeValue::Array(values)) => values
            .iter()
            .map(|value| one(value.get_ref()))
            .collect::<Result<_, _>>()?,
        Raw::Toml(value) => vec![one(value)?],
        Raw::Variable(text) => vec![wanted_text(text)?],
    };
    if wanted.contains(&Wanted::Anything) && wanted.contains(&Wanted::Absent) {
        return Err("is anything and nothing, which every frame has; leave it out".to_owned());
    }
    Ok(wanted)
}

fn wanted_text(text: &str) -> Result<Wanted, Wrong> {
    Wanted::parse(text).map_err(|error| {
        let text = quoted(text);
        format!("{text} {error}; valid: {{ text = {text} }} where it stands so, {{ absent = true }} where nothing does")
    })
}

/// What no text alone says: that nothing stands there, or a text with what else would be a sign.
fn wanted_table(table: &DeTable<'_>) -> Result<Wanted, Wrong> {
    let mut keys = table
        .iter()
        .map(|(key, value)| (key.get_ref().as_ref(), value.get_ref()));
    match (keys.next(), keys.next()) {
        (Some(("absent", DeValue::Boolean(true))), None) => Ok(Wanted::Absent),
        (Some(("text", DeValue::String(text))), None) => Ok(Wanted::Text(text.to_string())),
        _ => Err(NO_TABLE.to_owned()),
    }
}

const NO_TABLE: &str =
    r#"is another table than { absent = true } for nothing and { text = "..." } for that text; "*" is anything"#;

const NO_NUMBER_OF_JSON: &str =
    "is never in a frame: JSON has no such number; valid: digits as the venue writes them, such as -1 or 2.50";

/// A number as it stands in a frame.
fn number_of_json(text: &str) -> Result<Wanted, Wrong> {
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    is_json
        .then(|| Wanted::Text(text.to_owned()))
        .ok_or_else(|| NO_NUMBER_OF_JSON.to_owned())
}

/// A pointer, or a table that says how a text is put together.
fn pick(section: &mut Section<'_, '_>, key: &'static str) -> Option<Pick> {
    let read = |raw| text_or_table(raw, "a JSON pointer")?.map(pointer_of).transpose();
    if let Some(at) = section.take(key, read)? {
        return Some(Pick::at(vec![at]));
    }
    let mut section = section.section_of(key, PICK);
    let before = section.reported();
    let mut pick = Pick::at(pointers(&mut section, "of"));
    if pick.of.is_empty() && section.place_of("of").is_some() && section.reported() == before {
        section.wrong("of", "is empty; valid: a JSON pointer, or several".to_owned());
    }
    if section.place_of("of").is_none() {
        section.wrong("of", "is missing; valid: a JSON pointer, or several".to_owned());
    }
    pick.join = section
        .take("join", |raw| raw.text().map(str::to_owned))
        .unwrap_or_default();
    if !pick.join.is_empty() && pick.of.len() < 2 && section.reported() == before {
        section.wrong("join", "is of no use: of has one pointer alone".to_owned());
    }
    pick.after = section.take("after", not_empty);
    pick.before = section.take("before", not_empty);
    pick.case = section.take("case", |raw| raw.choice(CASES)).unwrap_or_default();
    Some(pick)
}

fn pointers(section: &mut Section<'_, '_>, key: &'static str) -> Vec<Pointer> {
    let mut pointers = Vec::new();
    for (place, text, at) in section.one_or_more(key) {
        match pointer_of(text) {
            Ok(pointer) => pointers.push(pointer),
            Err(wrong) => section.add(Place::File(at), &place, wrong),
        }
    }
    pointers
}
