//! A frame, read as deep as somebody points.

use super::pointer::Pointer;
use crate::venue::object::{Each, Fields};
use serde::Deserializer as _;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::cell::OnceCell;

/// So many fields or elements of one value are looked at; of a larger one nothing is.
const MOST_CHILDREN: usize = 65_536;

/// Fields of larger objects are sorted, so that looking for one of them for each of many events stays quick.
const FEW_FIELDS: usize = 64;

/// No name, condition or id is longer, quotes and escapes included.
const LONGEST_TEXT: usize = 4096;

/// A value of a frame. What is in it is found when it is asked for; books that nobody points into stay text.
pub(super) struct Tree<'f> {
    raw: &'f RawValue,
    children: OnceCell<Children<'f>>,
}

enum Children<'f> {
    /// As they stand.
    Fields(Vec<(Cow<'f, str>, Tree<'f>)>),
    /// By their names; of those that are the same in their order.
    Sorted(Vec<(Cow<'f, str>, Tree<'f>)>),
    Items(Vec<Tree<'f>>),
    None,
}

impl<'f> Tree<'f> {
    /// Checks that all of the text is JSON.
    pub(super) fn parse(text: &'f str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text).map(Self::new)
    }

    const fn new(raw: &'f RawValue) -> Self {
        Self {
            raw,
            children: OnceCell::new(),
        }
    }

    /// What stands there; what is `null` does not.
    pub(super) fn at(&self, steps: &[String]) -> Option<&Self> {
        self.stands(steps).filter(|found| !found.is_null())
    }

    /// What stands there, be it `null`.
    fn stands(&self, steps: &[String]) -> Option<&Self> {
        steps.iter().try_fold(self, |tree, step| tree.child(step))
    }

    pub(super) fn is_null(&self) -> bool {
        self.raw.get() == "null"
    }

    pub(super) const fn raw(&self) -> &'f RawValue {
        self.raw
    }

    /// The elements of a list.
    pub(super) fn items(&self) -> Option<&[Self]> {
        match self.children() {
            Children::Items(items) => Some(items),
            _ => None,
        }
    }

    /// A text, a number or a truth value as text; one that is very long is nothing that anybody asks for.
    pub(super) fn text(&self) -> Option<Cow<'f, str>> {
        (self.raw.get().len() <= LONGEST_TEXT).then(|| self.whole_text())?
    }

    /// The same however long it is: to be read once a frame, and not once for each of its events.
    pub(super) fn whole_text(&self) -> Option<Cow<'f, str>> {
        let raw = self.raw.get();
        match raw.as_bytes().first()? {
            b'"' => match raw.strip_prefix('"')?.strip_suffix('"')? {
                plain if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
                _ => serde_json::from_str(raw).ok().map(Cow::Owned),
            },
            b'{' | b'[' | b'n' => None,
            _ => Some(Cow::Borrowed(raw)),
        }
    }

    /// Of a field that is named twice the last counts.
    fn child(&self, step: &str) -> Option<&Self> {
        match self.children() {
            Children::Fields(fields) => {
                let field = fields.iter().rev().find(|(name, _)| name == step);
                field.map(|(_, tree)| tree)
            }
            Children::Sorted(fields) => {
                let behind = fields.partition_point(|(name, _)| name.as_ref() <= step);
                let last = fields.get(behind.checked_sub(1)?);
                last.filter(|(name, _)| name == step).map(|(_, tree)| tree)
            }
            // No zero in front, as RFC 6901 has it.
            Children::Items(items) if step == "0" || !step.starts_with(['0', '+']) => {
                items.get(step.parse::<usize>().ok()?)
            }
            _ => None,
        }
    }

    fn children(&self) -> &Children<'f> {
        self.children.get_or_init(|| {
            let raw = self.raw.get();
            match raw.as_bytes().first() {
                Some(b'{') => match serde_json::from_str::<Fields<'f>>(raw) {
                    Ok(Fields(fields)) if fields.len() <= MOST_CHILDREN => {
                        let fields = fields.into_iter().map(|(name, raw)| (name, Tree::new(raw)));
                        let mut fields: Vec<_> = fields.collect();
                        if fields.len() <= FEW_FIELDS {
                            Children::Fields(fields)
                        } else {
                            fields.sort_by(|(left, _), (right, _)| left.cmp(right));
                            Children::Sorted(fields)
                        }
                    }
                    _ => Children::None,
                },
                Some(b'[') => {
                    let (mut items, mut count) = (Vec::new(), 0_usize);
                    let each = |raw: &'f RawValue| {
                        count += 1;
                        if count <= MOST_CHILDREN {
                            items.push(Tree::new(raw));
                        }
                    };
                    let read = serde_json::Deserializer::from_str(raw).deserialize_seq(Each::new(each));
                    if read.is_ok() && count <= MOST_CHILDREN {
                        Children::Items(items)
                    } else {
                        Children::None
                    }
                }
                _ => Children::None,
            }
        })
    }
}

/// What pointers lead into: a frame, and maybe one of its events.
#[derive(Clone, Copy)]
pub(super) struct Scope<'t, 'f> {
    pub(super) frame: &'t Tree<'f>,
    pub(super) event: Option<&'t Tree<'f>>,
}

impl<'t, 'f> Scope<'t, 'f> {
    pub(super) fn find(&self, pointer: &Pointer) -> Option<&'t Tree<'f>> {
        self.stands(pointer).filter(|found| !found.is_null())
    }

    /// What stands there, be it `null`.
    pub(super) fn stands(&self, pointer: &Pointer) -> Option<&'t Tree<'f>> {
        let from = if pointer.is_of_event() { self.event? } else { self.frame };
        from.stands(pointer.steps())
    }

    pub(super) fn text(&self, pointer: &Pointer) -> Option<Cow<'f, str>> {
        self.find(pointer)?.text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_finds_what_the_standard_says() {
        // The document and the pointers of RFC 6901, section 5, and what is not there.
        let text = r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"k\"l":6," ":7,"m~n":8,"no":null,"t":true}"#;
        let tree = Tree::parse(text).unwrap();
        let find = |pointer| {
            let found = tree.at(Pointer::parse(pointer).unwrap().steps());
            found.map(|tree| tree.raw().get())
        };
        for (pointer, expected) in [
            ("", Some(text)),
            ("/foo", Some(r#"["bar","baz"]"#)),
            ("/foo/0", Some(r#""bar""#)),
            ("/", Some("0")),
            ("/a~1b", Some("1")),
            ("/c%d", Some("2")),
            ("/k\"l", Some("6")),
            ("/ ", Some("7")),
            ("/m~0n", Some("8")),
            ("/no", None),
            ("/foo/2", None),
            ("/foo/00", None),
            ("/foo/+0", None),
            ("/foo/-", None),
            ("/t/x", None),
        ] {
            assert_eq!(find(pointer), expected, "{pointer}");
        }
    }

    #[test]
    fn texts_are_read_without_their_escapes_and_lists_are_no_texts() {
        let text = |json: &str| Tree::parse(json).unwrap().text().map(Cow::into_owned);
        assert_eq!(text(r#""a\u00e9\"b""#).as_deref(), Some("aé\"b"));
        assert_eq!(text("1.50").as_deref(), Some("1.50"));
        assert_eq!(text("true").as_deref(), Some("true"));
        assert_eq!((text("null"), text("[1]"), text("{}")), (None, None, None));
    }

    #[test]
    fn what_is_too_large_or_too_deep_is_not_looked_into() {
        let wide = format!("[{}0]", "0,".repeat(MOST_CHILDREN));
        assert!(Tree::parse(&wide).unwrap().items().is_none());
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let _ = Tree::parse(&deep).map(|tree| tree.at(&["0".into(), "0".into()]).is_some());
    }
}
