//! Where in a frame something stands.

use std::fmt;

/// So deep a pointer goes.
const MOST_STEPS: usize = 16;

/// A JSON pointer (RFC 6901) into the frame, `/arg/channel`; one that begins with `*` leads into each event of a list, `*/ts`.
///
/// ```
/// use feedwatch::venue::generic::Pointer;
///
/// assert_eq!(Pointer::parse("/data/0/ts").unwrap().to_string(), "/data/0/ts");
/// assert!(Pointer::parse("*/ts").unwrap().is_of_event());
/// assert!(Pointer::parse("data.ts").is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Pointer {
    is_of_event: bool,
    steps: Vec<String>,
}

/// A text is no [`Pointer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no JSON pointer; one is /names/like/these, of an event in a list */name, and at most 16 names deep")]
pub struct InvalidPointer;

impl Pointer {
    /// Reads a pointer: the empty text is the whole frame, and `*` a whole event.
    pub fn parse(text: &str) -> Result<Self, InvalidPointer> {
        let (is_of_event, path) = text.strip_prefix('*').map_or((false, text), |path| (true, path));
        let mut steps = Vec::new();
        if !path.is_empty() {
            for step in path.strip_prefix('/').ok_or(InvalidPointer)?.split('/') {
                steps.push(unescaped(step).ok_or(InvalidPointer)?);
            }
        }
        if steps.len() > MOST_STEPS {
            return Err(InvalidPointer);
        }
        Ok(Self { is_of_event, steps })
    }

    /// The element of that number of a list that is an element of a list itself: `*/0`.
    pub(super) fn of_item(index: usize) -> Self {
        Self {
            is_of_event: true,
            steps: vec![index.to_string()],
        }
    }

    /// Whether it leads into an event of a list, rather than into the frame.
    pub const fn is_of_event(&self) -> bool {
        self.is_of_event
    }

    /// Whether it leads to that place, or to something in what stands there.
    pub(super) fn is_within(&self, place: &Self) -> bool {
        self.is_of_event == place.is_of_event && self.steps.starts_with(&place.steps)
    }

    pub(super) fn steps(&self) -> &[String] {
        &self.steps
    }
}

/// `~1` is a slash and `~0` a tilde; no other tilde is legal.
fn unescaped(step: &str) -> Option<String> {
    let mut text = String::with_capacity(step.len());
    let mut chars = step.chars();
    while let Some(c) = chars.next() {
        text.push(match c {
            '~' => match chars.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            c => c,
        });
    }
    Some(text)
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_of_event { "*" } else { "" })?;
        self.steps
            .iter()
            .try_for_each(|step| write!(f, "/{}", step.replace('~', "~0").replace('/', "~1")))
    }
}

impl fmt::Debug for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_read_as_the_standard_has_it() {
        let steps = |text| Pointer::parse(text).unwrap().steps;
        assert!(steps("").is_empty());
        assert_eq!(steps("/"), [""]);
        assert_eq!(steps("/a~1b/m~0n/~01/0"), ["a/b", "m~n", "~1", "0"]);
        for text in ["", "*", "/a~1b/m~0n/0", "*/a"] {
            assert_eq!(Pointer::parse(text).unwrap().to_string(), text);
        }
        let deep = "/a".repeat(17);
        for text in ["a", "a/b", "/~", "/~2", "*a", "**", "$.a", deep.as_str()] {
            assert_eq!(Pointer::parse(text), Err(InvalidPointer), "{text}");
        }
    }
}
