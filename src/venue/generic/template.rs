//! Texts with places that are filled in: requests, and replies.

use super::pattern::Case;
use super::pointer::Pointer;
use super::read::LONGEST_ALIAS;
use super::tree::Scope;
use crate::market::LONGEST_NAME;
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::fmt::Write as _;

/// No template is longer.
const MOST_BYTES: usize = 64 * 1024;
/// A venue that wants more in return for a ping than this gets nothing.
const MOST_COPIED: usize = 4096;
/// So many digits the longest id of a request has.
const LONGEST_ID: usize = 20;

/// JSON with placeholders such as `{instrument}`. Outside of quotes one becomes a whole JSON value, within quotes a part of the
/// text; either way whatever is filled in stays one value.
///
/// ```
/// use feedwatch::venue::generic::Template;
///
/// assert!(Template::parse(r#"{"op":"subscribe","args":["{channel}:{instrument}"],"id":{id}}"#).is_ok());
/// assert!(Template::parse(r#"{"op":"subscribe","args":[{items}]}"#).is_ok());
/// let error = Template::parse(r#"{"op":"subscribe","args":[{symbol}]}"#).unwrap_err();
/// assert!(error.to_string().starts_with("{symbol} is no placeholder; valid: {instrument}, "));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Hole { what: Hole, is_quoted: bool },
}

/// What is filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hole {
    Instrument(Case),
    Instruments,
    Channel,
    Channels,
    Items,
    Id,
    Alias,
    /// What stands there in the frame that is replied to.
    Copy(Pointer),
}

const HOLES: &[(&str, Hole)] = &[
    ("instrument", Hole::Instrument(Case::AsIs)),
    ("instrument_lower", Hole::Instrument(Case::Lower)),
    ("instrument_upper", Hole::Instrument(Case::Upper)),
    ("instruments", Hole::Instruments),
    ("channel", Hole::Channel),
    ("channels", Hole::Channels),
    ("items", Hole::Items),
    ("id", Hole::Id),
    ("alias", Hole::Alias),
];

/// Why a text is no [`Template`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTemplate {
    /// Nothing is known by that name.
    #[error("{{{0}}} is no placeholder; valid: {1}")]
    Placeholder(String, String),
    /// A list within quotes.
    #[error("{{{0}}} stands for values with commas between them, and cannot stand within quotes")]
    Quoted(String),
    /// Behind a backslash, or in the middle of `\u0000`.
    #[error("{{{0}}} stands in an escape that has not ended, and would end it with what is filled in")]
    Escaped(String),
    /// Not JSON, once it is filled in.
    #[error("is not JSON when its placeholders are filled in: {0}")]
    Json(String),
    /// Very long.
    #[error("is longer than 65536 bytes")]
    Length,
}

/// What the placeholders of a request stand for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Filling<'a> {
    pub(super) instruments: &'a [&'a str],
    pub(super) channels: &'a [&'a str],
    pub(super) items: &'a str,
    pub(super) id: u64,
    pub(super) alias: &'a str,
}

/// How much of an escape in a JSON text has been read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escape {
    /// None, or all of it.
    None,
    /// Its backslash.
    Backslash,
    /// All but so many hexadecimal digits.
    Digits(u8),
}

impl Escape {
    const fn behind(self, c: char, is_quoted: bool) -> Self {
        match (self, c) {
            (Self::None, '\\') if is_quoted => Self::Backslash,
            (Self::Backslash, 'u') => Self::Digits(4),
            (Self::Digits(left @ 2..), _) => Self::Digits(left - 1),
            _ => Self::None,
        }
    }
}

impl Template {
    /// Reads a template of a request, or of an item of one.
    pub fn parse(text: &str) -> Result<Self, InvalidTemplate> {
        let template = Self::read(text, |name| {
            let known = HOLES.iter().find(|(known, _)| *known == name);
            known.map(|(_, hole)| hole.clone()).ok_or_else(|| {
                let names: Vec<_> = HOLES.iter().map(|(name, _)| format!("{{{name}}}")).collect();
                names.join(", ")
            })
        })?;
        // Nothing that is filled in breaks it, if this does not.
        let nasty = [r#"a"b\c"#, "\n"];
        let sample = Filling {
            instruments: &nasty,
            channels: &nasty,
            items: "null,null",
            id: 1,
            alias: r#"""#,
        };
        is_json(&template.fill(&sample)).map(|()| template)
    }

    /// Reads a template of a reply: its placeholders are pointers into the frame that is replied to, `{"pong":{/ping}}`. It may
    /// be no JSON at all.
    pub fn parse_reply(text: &str) -> Result<Self, InvalidTemplate> {
        Self::read(text, |name| {
            let pointer = Pointer::parse(name).ok().filter(|pointer| !pointer.is_of_event());
            pointer
                .map(Hole::Copy)
                .ok_or_else(|| "a JSON pointer, such as {/ping}".to_owned())
        })
    }

    fn read(text: &str, hole: impl Fn(&str) -> Result<Hole, String>) -> Result<Self, InvalidTemplate> {
        if text.len() > MOST_BYTES {
            return Err(InvalidTemplate::Length);
        }
        let (mut parts, mut plain) = (Vec::new(), String::new());
        let (mut is_quoted, mut escape) = (false, Escape::None);
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if let Some((name, after)) = placeholder(rest) {
                let what = hole(name).map_err(|valid| InvalidTemplate::Placeholder(name.to_owned(), valid))?;
                if is_quoted && matches!(what, Hole::Instruments | Hole::Channels | Hole::Items) {
                    return Err(InvalidTemplate::Quoted(name.to_owned()));
                }
                if escape != Escape::None {
                    return Err(InvalidTemplate::Escaped(name.to_owned()));
                }
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(Part::Hole { what, is_quoted });
                rest = after;
                continue;
            }
            is_quoted ^= c == '"' && escape == Escape::None;
            escape = escape.behind(c, is_quoted);
            plain.push(c);
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self(parts))
    }

    /// Whether it copies something from the frame that is replied to.
    pub fn copies(&self) -> bool {
        self.names(|hole| matches!(hole, Hole::Copy(_)))
    }

    /// Whether it has a place for anything.
    pub fn has_places(&self) -> bool {
        self.names(|_| true)
    }

    /// Whether the id of a request stands there as a value of its own, as a number or in quotes.
    pub(super) fn has_whole_id(&self) -> bool {
        let text = |index: Option<usize>| match index.map(|index| self.0.get(index)) {
            Some(Some(Part::Text(text))) => Some(text.as_str()),
            Some(Some(Part::Hole { .. })) => None,
            // The template begins or ends here.
            _ => Some(""),
        };
        self.0.iter().enumerate().any(|(index, part)| match part {
            Part::Hole {
                what: Hole::Id,
                is_quoted,
            } => {
                let around = text(index.checked_sub(1)).zip(text(index.checked_add(1)));
                around.is_some_and(|(before, after)| is_whole(before, after, *is_quoted))
            }
            _ => false,
        })
    }

    /// Whether it is made for each instrument.
    pub(super) fn names_one(&self) -> bool {
        self.names(|hole| matches!(hole, Hole::Instrument(_) | Hole::Alias))
    }

    /// Whether it has a place for one that this is true of.
    pub(super) fn names(&self, is_one: impl Fn(&Hole) -> bool) -> bool {
        self.0
            .iter()
            .any(|part| matches!(part, Part::Hole { what, .. } if is_one(what)))
    }

    /// How long it is with so many instruments and channels of the longest names, and items of that length.
    pub(super) fn longest(&self, instruments: usize, channels: usize, items: usize) -> usize {
        // Quotes and a comma.
        let list = |names: usize| names.saturating_mul(LONGEST_NAME + 3);
        let lengths = self.0.iter().map(|part| match part {
            Part::Text(text) => text.len(),
            Part::Hole { what, .. } => match what {
                Hole::Instrument(_) | Hole::Channel => list(1),
                Hole::Instruments => list(instruments),
                Hole::Channels => list(channels),
                Hole::Items => items,
                Hole::Id => LONGEST_ID,
                Hole::Alias => LONGEST_ALIAS,
                Hole::Copy(_) => MOST_COPIED,
            },
        });
        lengths.fold(0, usize::saturating_add)
    }

    pub(super) fn fill(&self, filling: &Filling<'_>) -> String {
        let mut text = String::new();
        for part in &self.0 {
            let (what, is_quoted) = match part {
                Part::Text(plain) => {
                    text.push_str(plain);
                    continue;
                }
                Part::Hole { what, is_quoted } => (what, *is_quoted),
            };
            let first = |all: &[&str]| all.first().copied().unwrap_or_default().to_owned();
            match what {
                Hole::Instrument(case) => push(&mut text, &case.of(Cow::Owned(first(filling.instruments))), is_quoted),
                Hole::Channel => push(&mut text, &first(filling.channels), is_quoted),
                Hole::Alias => push(&mut text, filling.alias, is_quoted),
                Hole::Instruments => push_all(&mut text, filling.instruments),
                Hole::Channels => push_all(&mut text, filling.channels),
                Hole::Items => text.push_str(filling.items),
                Hole::Id => {
                    let _ = write!(text, "{}", filling.id);
                }
                Hole::Copy(_) => {}
            }
        }
        text
    }

    /// The reply to a frame; `None` where the frame has not what is to be copied, or too much of it.
    pub(super) fn reply(&self, scope: Scope<'_, '_>) -> Option<String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Hole {
                    what: Hole::Copy(pointer),
                    is_quoted: false,
                } => {
                    let raw = scope.find(pointer)?.raw().get();
                    text.push_str(Some(raw).filter(|raw| raw.len() <= MOST_COPIED)?);
                }
                Part::Hole {
                    what: Hole::Copy(pointer),
                    is_quoted: true,
                } => push(&mut text, &scope.text(pointer)?, true),
                Part::Hole { .. } => {}
            }
        }
        Some(text)
    }

    /// The reply to a frame that is no JSON: there is nothing to copy.
    pub(super) fn plain(&self) -> Option<String> {
        match self.0.as_slice() {
            [Part::Text(text)] => Some(text.clone()),
            _ => None,
        }
    }
}

/// The name of the placeholder that the text begins with, and what follows it. `{Word}` and `{/a}` never begin a JSON object; within
/// quotes they might be meant as they stand, and hardly ever are.
fn placeholder(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.strip_prefix('{')?.split_once('}')?;
    let of_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b' ');
    let is_word = name.bytes().all(of_word) && name.bytes().any(|byte| byte.is_ascii_alphabetic());
    let is_pointer = name.starts_with(['/', '*']) && !name.contains(['"', ',', ':']);
    (is_word || is_pointer).then_some((name, rest))
}

/// Whether what stands between these parts of a JSON text is a value, and neither a part of one nor a name.
fn is_whole(before: &str, after: &str, is_quoted: bool) -> bool {
    let (before, after) = if is_quoted {
        let quotes = before.strip_suffix('"').zip(after.strip_prefix('"'));
        match quotes.filter(|(before, _)| !before.ends_with('\\')) {
            Some(within) => within,
            None => return false,
        }
    } else {
        (before, after)
    };
    let (last, next) = (before.trim_end().chars().next_back(), after.trim_start().chars().next());
    matches!(last, None | Some('[' | ',' | ':')) && matches!(next, None | Some(']' | ',' | '}'))
}

fn push(text: &mut String, value: &str, is_quoted: bool) {
    // A text is always JSON.
    let quoted = serde_json::to_string(value).unwrap_or_default();
    let bare = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    text.push_str(bare.filter(|_| is_quoted).unwrap_or(&quoted));
}

fn push_all(text: &mut String, values: &[&str]) {
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        push(text, value, false);
    }
}

pub(super) fn is_json(text: &str) -> Result<(), InvalidTemplate> {
    serde_json::from_str::<IgnoredAny>(text)
        .map(drop)
        .map_err(|error| InvalidTemplate::Json(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;
    use proptest::prelude::*;

    fn template(text: &str) -> Template {
        Template::parse(text).unwrap()
    }

    #[test]
    fn placeholders_are_filled_in_within_quotes_and_without() {
        let filling = Filling {
            instruments: &["BTC-usd", "ETH-usd"],
            channels: &["trade", "book"],
            items: r#"{"a":1},{"a":2}"#,
            id: 7,
            alias: "0x9",
        };
        for (text, expected) in [
            (r#"{"i":{instrument},"n":{id}}"#, r#"{"i":"BTC-usd","n":7}"#),
            (r#"["{instrument_lower}@{channel}#{id}"]"#, r#"["btc-usd@trade#7"]"#),
            (r#"["{instrument_upper}"]"#, r#"["BTC-USD"]"#),
            (
                "[[{instruments}],[{channels}]]",
                r#"[["BTC-usd","ETH-usd"],["trade","book"]]"#,
            ),
            (r#"[{"t":1},{items}]"#, r#"[{"t":1},{"a":1},{"a":2}]"#),
            (r#"["\"{alias}"]"#, r#"["\"0x9"]"#),
        ] {
            assert_eq!(template(text).fill(&filling), expected);
        }
    }

    #[test]
    fn what_is_no_template_is_told() {
        let told = |text: &str| Template::parse(text).unwrap_err().to_string();
        assert!(told("[{symbol}]").starts_with("{symbol} is no placeholder; valid: {instrument}, {instrument_lower}"));
        assert!(told("[{/ping}]").starts_with("{/ping} is no placeholder"));
        assert!(told(r#"["{instruments}"]"#).starts_with("{instruments} stands for values"));
        assert!(told(r#"{"op":}"#).starts_with("is not JSON when its placeholders are filled in: "));
        for text in [r#"["\{alias}"]"#, r#"["\\\{id}"]"#, r#"["\u{id}"]"#, r#"["\u000{id}"]"#] {
            assert!(told(text).contains("stands in an escape that has not ended"), "{text}");
        }
        for text in [r#"["\\{id}"]"#, r#"["\u0041{id}"]"#, r#"["\n{id}"]"#, r#"["\"{id}"]"#] {
            assert!(Template::parse(text).is_ok(), "{text}");
        }
        assert!(told("SUB {instrument}").starts_with("is not JSON"));
        assert_eq!(told(&" ".repeat(MOST_BYTES + 1)), "is longer than 65536 bytes");
    }

    #[test]
    fn an_id_is_a_value_of_its_own_or_a_part_of_something() {
        for (text, expected) in [
            (r#"{"id":{id}}"#, true),
            (r#"{"id": "{id}" }"#, true),
            ("[ {id} , 1]", true),
            ("{id}", true),
            (r#"["no. {id}","{id}"]"#, true),
            (r#"{"id":1{id}}"#, false),
            (r#"{"id":-{id}}"#, false),
            (r#"{"id":0.{id}}"#, false),
            (r#"{"id":1e{id}}"#, false),
            (r#"{"id":{id}0}"#, false),
            (r#"{"id":{id}.5}"#, false),
            (r#"{"{id}":1}"#, false),
            (r#"{"{id}" : 1}"#, false),
            (r#"["\"{id}"]"#, false),
            (r#"["{id}\""]"#, false),
            (r#"["{id}{id}"]"#, false),
            (r#"["{channel}{id}"]"#, false),
            ("[1]", false),
        ] {
            assert_eq!(template(text).has_whole_id(), expected, "{text}");
        }
    }

    #[test]
    fn a_reply_copies_from_the_frame() {
        let reply = |text: &str, frame: &str| {
            let frame = Tree::parse(frame).unwrap();
            Template::parse_reply(text).unwrap().reply(Scope {
                frame: &frame,
                event: None,
            })
        };
        let frame = r#"{"ping":12,"a":{"b":"x\"y"}}"#;
        assert_eq!(reply(r#"{"pong":{/ping}}"#, frame).as_deref(), Some(r#"{"pong":12}"#));
        assert_eq!(reply(r#"{"p":{/a/b}}"#, frame).as_deref(), Some(r#"{"p":"x\"y"}"#));
        assert_eq!(
            reply(r#"{"p":"<{/a/b}>"}"#, frame).as_deref(),
            Some(r#"{"p":"<x\"y>"}"#)
        );
        assert_eq!(reply(r#"{"pong":{/id}}"#, frame), None);
        assert_eq!(reply("pong", frame).as_deref(), Some("pong"));
        assert!(Template::parse_reply("{ping}").is_err());
    }

    proptest! {
        /// Whatever an instrument is called, a request stays what it is.
        #[test]
        fn nothing_that_is_filled_in_breaks_the_json(id in any::<String>(), channel in any::<String>()) {
            let text = r#"{"a":[{instruments}],"b":"{channel}:{instrument}"}"#;
            let (instruments, channels) = ([id.as_str()], [channel.as_str()]);
            let filling = Filling { instruments: &instruments, channels: &channels, ..Filling::default() };
            let json: serde_json::Value = serde_json::from_str(&template(text).fill(&filling)).unwrap();
            prop_assert_eq!(json, serde_json::json!({"a": [id], "b": format!("{channel}:{id}")}));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = Template::parse(&text);
            let _ = Template::parse_reply(&text);
        }
    }
}
