//! What is wrong with a configuration: collected, sorted by position, and told together.

use std::fmt;

/// Errors told in full; a file that is wrong in more places than this is wrong as a whole.
const MOST: usize = 100;

/// Everything that is wrong with a configuration; one error a line.
///
/// ```
/// use feedwatch::config::Config;
///
/// let text = "[log]\nlevle = \"info\"\n[[streams]]\nname = \"a\"\nvenue = \"polymarkt\"\n";
/// let no_variables: [(&str, &str); 0] = [];
/// let errors = Config::parse("feeds.toml", text, no_variables).unwrap_err();
/// let told = errors.to_string();
/// let mut lines = told.lines();
/// assert_eq!(lines.next(), Some("feeds.toml:2:1: log.levle: unknown key; did you mean level? valid: level, format"));
/// let second = "feeds.toml:5:9: streams[0].venue: \"polymarkt\" is unknown; did you mean polymarket? valid: polymarket, ";
/// assert!(lines.next().is_some_and(|line| line.starts_with(second)));
/// assert_eq!(errors.errors()[0].path, "log.levle");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    errors: Vec<ConfigError>,
    untold: usize,
}

/// One thing that is wrong: `file:line:column: key.path: what is wrong; what would be valid`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigError {
    /// `file:line:column`, counted in characters from 1; or the file, or the environment variable.
    pub place: String,
    /// The key's full path; empty where the fault is not a key's.
    pub path: String,
    /// What is wrong, and what would be valid.
    pub problem: String,
}

impl ConfigErrors {
    /// A fault of the file as a whole.
    pub(super) fn of_file(file: &str, problem: impl Into<String>) -> Self {
        Self {
            errors: vec![ConfigError {
                place: file.to_owned(),
                path: String::new(),
                problem: problem.into(),
            }],
            untold: 0,
        }
    }

    /// The errors, sorted by position; those of the environment last. At most 100 of them: [`ConfigErrors::untold`] counts
    /// the others.
    pub fn errors(&self) -> &[ConfigError] {
        &self.errors
    }

    /// How many errors were found beyond those that are told.
    pub const fn untold(&self) -> usize {
        self.untold
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        if self.untold > 0 {
            write!(f, "\nand {} more", self.untold)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.problem)
    }
}

/// Where a value, or the lack of it, was found. The order is that of telling.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// In the file: the offset in bytes.
    File(usize),
    /// In the environment: the variable's name.
    Variable(String),
}

/// Collects what is wrong.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

#[derive(Debug)]
struct Problem {
    place: Place,
    path: String,
    text: String,
    /// The offset of the first of two that may not be the same.
    first: Option<usize>,
}

impl Problems {
    pub(super) fn add(&mut self, place: Place, path: impl Into<String>, text: impl Into<String>) {
        self.push(place, path.into(), text.into(), None);
    }

    /// A second one of what may be there only once; `first` is the offset of the first.
    pub(super) fn add_repeated(&mut self, place: Place, path: String, text: String, first: usize) {
        self.push(place, path, text, Some(first));
    }

    fn push(&mut self, place: Place, path: String, text: String, first: Option<usize>) {
        self.0.push(Problem {
            place,
            path,
            text,
            first,
        });
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The errors, with their positions in `text`.
    pub(super) fn into_errors(self, file: &str, text: &str) -> ConfigErrors {
        let mut problems = self.0;
        problems.sort_by(|left, right| left.place.cmp(&right.place));
        let untold = problems.len().saturating_sub(MOST);
        problems.truncate(MOST);
        let errors = problems
            .into_iter()
            .map(|problem| ConfigError {
                place: match problem.place {
                    Place::File(offset) => format!("{file}:{}", position(text.as_bytes(), offset)),
                    Place::Variable(name) => name,
                },
                path: problem.path,
                problem: match problem.first {
                    Some(first) => format!(
                        "{} (the first is at {})",
                        problem.text,
                        position(text.as_bytes(), first)
                    ),
                    None => problem.text,
                },
            })
            .collect();
        ConfigErrors { errors, untold }
    }
}

/// `line:column` of an offset, both from 1; a column is a character, and a byte order mark is none.
pub(super) fn position(text: &[u8], offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let before = before.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(before);
    let lines = || before.split(|byte| *byte == b'\n');
    let is_start_of_char = |byte: &&u8| (**byte & 0xC0) != 0x80;
    let before_on_line = lines().next_back().unwrap_or_default();
    let column = before_on_line.iter().filter(is_start_of_char).count() + 1;
    format!("{}:{column}", lines().count())
}

/// A user's text as a message shows it: quoted, control characters escaped, cut where it is long. Of an address only the
/// scheme is shown, since the rest may hold a secret, wherever the address was put by mistake.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 80;
    const SCHEME_END: &str = "://";
    let too_long = text.char_indices().nth(LONGEST).map(|(end, _)| end);
    let secret = text.find(SCHEME_END).map(|at| at + SCHEME_END.len());
    match too_long.into_iter().chain(secret).min() {
        Some(end) => format!("{:?}...", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let text = "\u{feff}a = 1\nü = \"é\" # x\r\nb";
        let at = |offset| position(text.as_bytes(), offset);
        assert_eq!(at(3), "1:1");
        assert_eq!(at(text.find('#').unwrap()), "2:9");
        assert_eq!(at(text.find('b').unwrap()), "3:1");
        assert_eq!(at(9999), "3:2");
        assert_eq!(position(b"", 0), "1:1");
    }

    #[test]
    fn errors_are_sorted_by_position_and_bounded() {
        let mut problems = Problems::default();
        problems.add(Place::Variable("FEEDWATCH__X".into()), "", "last");
        for offset in (0..100).rev() {
            problems.add(Place::File(offset), "key", "wrong");
        }
        let errors = problems.into_errors("f", &"\n".repeat(100));
        assert_eq!(errors.errors().len(), 100);
        assert_eq!(errors.untold(), 1);
        let told = errors.to_string();
        assert!(told.starts_with("f:1:1: key: wrong\nf:2:1: key: wrong\n"), "{told}");
        assert!(told.ends_with("f:100:1: key: wrong\nand 1 more"), "{told}");
    }

    #[test]
    fn a_users_text_stays_on_one_short_line() {
        assert_eq!(quoted("a\nb\u{1b}[31m"), r#""a\nb\u{1b}[31m""#);
        assert_eq!(quoted(&"ü".repeat(81)), format!("\"{}\"...", "ü".repeat(80)));
    }

    #[test]
    fn of_an_address_only_the_scheme_is_shown() {
        assert_eq!(quoted("wss://user:pass@venue.example?key=x"), "\"wss://\"...");
        assert_eq!(
            quoted(&format!("{}://key", "ü".repeat(80))),
            format!("\"{}\"...", "ü".repeat(80))
        );
    }
}
