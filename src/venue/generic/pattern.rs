//! Conditions on frames, and texts taken out of them.

use super::pointer::Pointer;
use super::tree::{Scope, Tree};
use crate::market;
use std::borrow::Cow;

/// What has to stand in a frame: all of these. Without any, every frame has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern(pub Vec<(Pointer, Vec<Wanted>)>);

/// What may stand in one place. Numbers and truth values are compared as they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wanted {
    /// Anything but `null`.
    Anything,
    /// This text.
    Text(String),
    /// A text that begins so.
    Prefix(String),
}

/// A frame that is recognised as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Saying {
    /// A frame of this text, which need not be JSON.
    Text(String),
    /// JSON with this in it.
    Json(Pattern),
}

/// A text that is taken out of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pick {
    /// Where it stands; of several places all are joined.
    pub of: Vec<Pointer>,
    /// What stands between those that are joined.
    pub join: String,
    /// Only what follows the last of these.
    pub after: Option<String>,
    /// And then only what stands before the first of these.
    pub before: Option<String>,
    /// Whether it is written in capitals, or without any, whatever the frame has.
    pub case: Case,
}

/// How a text is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Case {
    /// As it stands.
    #[default]
    AsIs,
    /// In capitals.
    Upper,
    /// Without capitals.
    Lower,
}

impl Pattern {
    /// Whether all of it stands there.
    pub(super) fn holds(&self, scope: Scope<'_, '_>) -> bool {
        self.holds_of(scope, |_| true)
    }

    /// The same of those conditions alone whose pointers are of that sort.
    pub(super) fn holds_of(&self, scope: Scope<'_, '_>, of: impl Fn(&Pointer) -> bool) -> bool {
        let mut conditions = self.0.iter().filter(|(pointer, _)| of(pointer));
        conditions.all(|(pointer, wanted)| scope.find(pointer).is_some_and(|found| Wanted::fits(wanted, found)))
    }

    pub(super) fn pointers(&self) -> impl Iterator<Item = &Pointer> {
        self.0.iter().map(|(pointer, _)| pointer)
    }
}

impl Wanted {
    /// `*` is anything, `book*` what begins with `book`, and everything else itself.
    pub fn parse(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some("") => Self::Anything,
            Some(prefix) => Self::Prefix(prefix.to_owned()),
            None => Self::Text(text.to_owned()),
        }
    }

    /// Whether one of these stands there.
    pub(super) fn fits(wanted: &[Self], found: &Tree<'_>) -> bool {
        let text = found.text();
        wanted.iter().any(|wanted| match (wanted, text.as_deref()) {
            (Self::Anything, _) => true,
            (Self::Text(wanted), Some(text)) => wanted == text,
            (Self::Prefix(prefix), Some(text)) => text.starts_with(prefix),
            (_, None) => false,
        })
    }
}

impl Pick {
    /// The text at one place.
    pub const fn at(pointer: Vec<Pointer>) -> Self {
        Self {
            of: pointer,
            join: String::new(),
            after: None,
            before: None,
            case: Case::AsIs,
        }
    }

    /// The text, if all places have one, and it is no longer than a name.
    pub(super) fn text<'f>(&self, scope: Scope<'_, 'f>) -> Option<Cow<'f, str>> {
        match self.of.as_slice() {
            [pointer] => self.cut(scope.text(pointer)?),
            pointers => {
                let texts: Option<Vec<_>> = pointers.iter().map(|pointer| scope.text(pointer)).collect();
                self.cut(Cow::Owned(texts?.join(&self.join)))
            }
        }
    }

    /// The same where there may be a list of texts.
    pub(super) fn texts<'f>(&self, scope: Scope<'_, 'f>) -> Vec<Cow<'f, str>> {
        if let [pointer] = self.of.as_slice()
            && let Some(items) = scope.find(pointer).and_then(|found| found.items())
        {
            return items.iter().filter_map(|item| self.cut(item.text()?)).collect();
        }
        self.text(scope).into_iter().collect()
    }

    fn cut<'f>(&self, text: Cow<'f, str>) -> Option<Cow<'f, str>> {
        let (mut from, mut to) = (0, text.len());
        if let Some(after) = &self.after {
            from = text.rfind(after.as_str())? + after.len();
        }
        if let Some(before) = &self.before {
            to = from + text.get(from..)?.find(before.as_str())?;
        }
        let cut = match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.get(from..to)?),
            Cow::Owned(text) => Cow::Owned(text.get(from..to)?.to_owned()),
        };
        // No instrument and no channel is longer, and nothing that is copied for each event may be.
        let is_name = |text: &Cow<'_, str>| !text.is_empty() && market::is_name(text);
        Some(cut).filter(is_name).map(|cut| self.case.of(cut)).filter(is_name)
    }
}

impl Case {
    pub(super) fn of(self, text: Cow<'_, str>) -> Cow<'_, str> {
        match self {
            Self::AsIs => text,
            Self::Upper => Cow::Owned(text.to_uppercase()),
            Self::Lower => Cow::Owned(text.to_lowercase()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    fn pointer(text: &str) -> Pointer {
        Pointer::parse(text).unwrap()
    }

    fn holds(json: &str, conditions: &[(&str, &[&str])]) -> bool {
        let conditions = conditions.iter().map(|(at, wanted)| {
            let wanted = wanted.iter().map(|wanted| Wanted::parse(wanted));
            (pointer(at), wanted.collect())
        });
        let frame = Tree::parse(json).unwrap();
        Pattern(conditions.collect()).holds(Scope {
            frame: &frame,
            event: None,
        })
    }

    #[test]
    fn all_conditions_must_hold_and_one_of_their_texts() {
        let frame = r#"{"event":"subscribe","code":0,"ok":true,"error":null,"arg":{}}"#;
        assert!(holds(frame, &[]));
        assert!(holds(frame, &[("/event", &["x", "subscribe"]), ("/code", &["0"])]));
        assert!(holds(
            frame,
            &[("/ok", &["true"]), ("/event", &["sub*"]), ("/arg", &["*"])]
        ));
        assert!(!holds(frame, &[("/event", &["subscribe"]), ("/code", &["1"])]));
        assert!(!holds(frame, &[("/error", &["*"])]), "null is nothing");
        assert!(!holds(frame, &[("/arg", &["{}"])]), "an object is no text");
        assert!(!holds(frame, &[("/event", &["sub"])]));
    }

    #[test]
    fn a_text_is_joined_and_cut() {
        let json = r#"{"topic":"a.book.50.BTCUSDT@x","base":"btc","quote":"usd","n":5,"all":["b-x","b-y"]}"#;
        let frame = Tree::parse(json).unwrap();
        let scope = Scope {
            frame: &frame,
            event: None,
        };
        let pick = |of: &[&str]| Pick::at(of.iter().copied().map(pointer).collect());
        let text = |pick: &Pick| pick.text(scope).map(Cow::into_owned);
        let mut topic = pick(&["/topic"]);
        (topic.after, topic.before) = (Some(".".into()), Some("@".into()));
        assert_eq!(text(&topic).as_deref(), Some("BTCUSDT"));
        topic.before = Some("#".into());
        assert_eq!(text(&topic), None, "there is no such end");
        let mut pair = pick(&["/base", "/quote"]);
        (pair.join, pair.case) = ("-".into(), Case::Upper);
        assert_eq!(text(&pair).as_deref(), Some("BTC-USD"));
        assert_eq!(text(&pick(&["/n"])).as_deref(), Some("5"));
        assert_eq!(text(&pick(&["/base", "/none"])), None);
        let mut all = pick(&["/all"]);
        all.after = Some("-".into());
        assert_eq!(all.texts(scope), ["x", "y"]);
        assert_eq!(all.text(scope), None);
    }
}
