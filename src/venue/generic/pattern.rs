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
    /// Nothing, or `null`.
    Absent,
    /// This text.
    Text(String),
    /// A text that begins so.
    Prefix(String),
}

/// A text is no [`Wanted`]: what it seems to mean is not what it would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidWanted {
    /// `*x` or `x*y`.
    #[error("has a * elsewhere than at its end, where it stands for whatever follows")]
    Star,
    /// `!x`.
    #[error("begins with !, which denies nothing")]
    Denial,
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
        conditions.all(|(pointer, wanted)| Wanted::fits(wanted, scope.find(pointer)))
    }

    pub(super) fn pointers(&self) -> impl Iterator<Item = &Pointer> {
        self.0.iter().map(|(pointer, _)| pointer)
    }

    /// Those at which something has to stand.
    pub(super) fn needed(&self) -> impl Iterator<Item = &Pointer> {
        let needed = self.0.iter().filter(|(_, wanted)| !wanted.contains(&Wanted::Absent));
        needed.map(|(pointer, _)| pointer)
    }

    /// Whether it holds only where nothing stands at that pointer.
    pub(super) fn rules_out(&self, pointer: &Pointer) -> bool {
        self.0.iter().any(|(place, wanted)| {
            pointer.is_within(place) && wanted.iter().all(|wanted| matches!(wanted, Wanted::Absent))
        })
    }

    /// Whether it holds wherever the other does, as far as one condition alone tells.
    pub(super) fn includes(&self, other: &Self) -> bool {
        self.0.iter().all(|(place, wanted)| {
            other.0.iter().any(|(pointer, narrower)| {
                let is_same = pointer == place && narrower.iter().all(|one| Wanted::include(wanted, one));
                // Where something stands in it, it is there itself.
                let is_around = pointer.is_within(place)
                    && wanted.contains(&Wanted::Anything)
                    && narrower.iter().all(|one| Wanted::Anything.includes(one));
                is_same || is_around
            })
        })
    }
}

impl Wanted {
    /// `*` is anything, `book*` what begins with `book`, and everything else itself. A text with a `*` elsewhere or with a `!` in
    /// front can only be made as [`Wanted::Text`].
    pub fn parse(text: &str) -> Result<Self, InvalidWanted> {
        let (plain, is_open) = text.strip_suffix('*').map_or((text, false), |prefix| (prefix, true));
        match plain {
            "" if is_open => Ok(Self::Anything),
            _ if plain.contains('*') => Err(InvalidWanted::Star),
            _ if plain.starts_with('!') => Err(InvalidWanted::Denial),
            _ if is_open => Ok(Self::Prefix(plain.to_owned())),
            _ => Ok(Self::Text(plain.to_owned())),
        }
    }

    /// Whether whatever fits the other fits one of these.
    pub(crate) fn include(wanted: &[Self], other: &Self) -> bool {
        wanted.iter().any(|wanted| wanted.includes(other))
    }

    /// Whether whatever fits the other fits this. What is not known to does not.
    fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Anything, Self::Text(_) | Self::Prefix(_)) => true,
            (Self::Prefix(prefix), Self::Text(text) | Self::Prefix(text)) => text.starts_with(prefix),
            _ => self == other,
        }
    }

    /// Whether one of these stands there, or nothing where that is wanted.
    pub(super) fn fits(wanted: &[Self], found: Option<&Tree<'_>>) -> bool {
        let text = found.and_then(Tree::text);
        wanted.iter().any(|wanted| match (wanted, text.as_deref()) {
            (Self::Anything, _) => found.is_some(),
            (Self::Absent, _) => found.is_none(),
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
            let wanted = wanted.iter().map(|wanted| match *wanted {
                "<absent>" => Wanted::Absent,
                wanted => Wanted::parse(wanted).unwrap(),
            });
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
    fn absent_is_what_is_null_or_what_no_pointer_leads_to() {
        let frame = r#"{"event":"subscribe","error":null,"arg":{},"list":[1]}"#;
        for absent in ["/error", "/none", "/arg/none", "/list/1", "/event/x"] {
            assert!(holds(frame, &[(absent, &["<absent>"])]), "{absent}");
            assert!(!holds(frame, &[(absent, &["*"])]), "{absent}");
        }
        for there in ["", "/event", "/arg", "/list/0"] {
            assert!(!holds(frame, &[(there, &["<absent>"])]), "{there}");
        }
        assert!(holds(
            frame,
            &[("/code", &["0", "<absent>"]), ("/event", &["subscribe"])]
        ));
        assert!(!holds(r#"{"code":1}"#, &[("/code", &["0", "<absent>"])]));
    }

    #[test]
    fn a_star_is_for_the_end_and_nothing_is_denied() {
        assert_eq!(Wanted::parse("*"), Ok(Wanted::Anything));
        assert_eq!(Wanted::parse("book*"), Ok(Wanted::Prefix("book".to_owned())));
        for text in ["", "book", "a!b", "<absent>"] {
            assert_eq!(Wanted::parse(text), Ok(Wanted::Text(text.to_owned())));
        }
        for text in ["*x", "*x*", "a*b", "**", "book**", "!*x"] {
            assert_eq!(Wanted::parse(text), Err(InvalidWanted::Star), "{text}");
        }
        for text in ["!", "!x", "!x*", "!*"] {
            assert_eq!(Wanted::parse(text), Err(InvalidWanted::Denial), "{text}");
        }
    }

    #[test]
    fn a_pattern_includes_what_is_narrower_and_nothing_else() {
        let pattern = |conditions: &[(&str, &[&str])]| {
            let conditions = conditions.iter().map(|(at, wanted)| {
                let wanted = wanted.iter().map(|wanted| Wanted::parse(wanted).unwrap());
                (pointer(at), wanted.collect())
            });
            Pattern(conditions.collect())
        };
        let includes = |wide: &[(&str, &[&str])], narrow: &[(&str, &[&str])]| pattern(wide).includes(&pattern(narrow));
        assert!(includes(&[], &[]));
        assert!(includes(&[], &[("/t", &["x"])]));
        assert!(!includes(&[("/t", &["x"])], &[]));
        assert!(includes(&[("/t", &["x"])], &[("/a", &["1"]), ("/t", &["x"])]));
        assert!(!includes(&[("/t", &["x"]), ("/a", &["1"])], &[("/t", &["x"])]));
        for (wide, narrow, expected) in [
            (&["*"] as &[&str], &["x"] as &[&str], true),
            (&["*"], &["x*", "y"], true),
            (&["x"], &["*"], false),
            (&["a", "b"], &["a"], true),
            (&["a"], &["a", "b"], false),
            (&["a*"], &["ab", "ac*", "a*"], true),
            (&["ab*"], &["a*"], false),
            (&["ab*"], &["a"], false),
        ] {
            assert_eq!(
                includes(&[("/t", wide)], &[("/t", narrow)]),
                expected,
                "{wide:?} {narrow:?}"
            );
            assert!(!includes(&[("/t", wide)], &[("*/t", narrow)]), "that is in an event");
        }
        assert!(includes(&[("/d", &["*"])], &[("/d/0/t", &["x"])]));
        assert!(includes(&[("", &["*"])], &[("/d", &["x"])]));
        assert!(!includes(&[("/d", &["x*"])], &[("/d/0/t", &["x"])]));
        assert!(!includes(&[("/d/t", &["*"])], &[("/d", &["*"])]));
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
