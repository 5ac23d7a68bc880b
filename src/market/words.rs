//! What somebody else has said, fit to be shown: a venue's words go to terminals, log files and the API.

use std::borrow::Cow;

/// No more of somebody else's words is told: characters.
const LONGEST: usize = 200;

/// Words on one line, of a readable length, and without what moves a cursor or turns text around. All that a venue says in its own
/// words comes through here, or is shorter than this by its kind. What stands in the program itself is left as it is.
pub(crate) fn words(said: impl Into<Cow<'static, str>>) -> Cow<'static, str> {
    match said.into() {
        Cow::Owned(said) if !is_fit(&said) => Cow::Owned(cut(&said, LONGEST)),
        said => said,
    }
}

/// At most so many characters, blanks in the place of those that nobody sees.
pub(crate) fn cut(text: &str, most: usize) -> String {
    let shown = |c| if is_unseen(c) { ' ' } else { c };
    let mut chars = text.chars().map(shown);
    let mut kept: String = chars.by_ref().take(most).collect();
    if chars.next().is_some() {
        kept.pop();
        kept.push('\u{2026}');
    }
    kept
}

/// Whether a character is none that is read: it controls a terminal, breaks a line, has no width, or turns the text around it.
pub(crate) fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

fn is_fit(text: &str) -> bool {
    text.chars().take(LONGEST + 1).count() <= LONGEST && !text.contains(is_unseen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_on_one_line_and_cut() {
        assert_eq!(words("no such symbol".to_owned()), "no such symbol");
        assert_eq!(
            words("\u{1b}[31m\u{202e}a\r\nb\u{9b}c\u{2028}".to_owned()),
            " [31m a  b c "
        );
        let long = words("\u{e9}\n".repeat(1_000_000));
        assert_eq!(long.chars().count(), LONGEST);
        assert!(
            long.starts_with("\u{e9} \u{e9} ") && long.ends_with('\u{2026}'),
            "{long}"
        );
        let whole = "x".repeat(LONGEST);
        assert_eq!(words(whole.clone()), whole);
    }

    #[test]
    fn what_is_the_programs_own_is_left_as_it_is() {
        let own: &'static str = "x\n".repeat(LONGEST).leak();
        assert_eq!(words(own), own);
    }
}
