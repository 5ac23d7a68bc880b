//! Label sets: rendered once, when they are made.

/// Labels with their values, and their text as it stands between the braces.
#[derive(Clone, Debug, Default)]
pub(super) struct LabelSet {
    text: String,
    pairs: Vec<(&'static str, String)>,
}

impl LabelSet {
    pub(super) fn new<V: Into<String>>(pairs: impl IntoIterator<Item = (&'static str, V)>) -> Self {
        let mut set = Self::default();
        for (name, value) in pairs {
            let value = value.into();
            push_pair(&mut set.text, name, &value);
            set.pairs.push((name, value));
        }
        // Kept for as long as the stream lives.
        set.text.shrink_to_fit();
        set.pairs.shrink_to_fit();
        set
    }

    /// `a="1",b="2"`, values escaped; empty without labels.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Names and values as they are.
    pub(super) fn pairs(&self) -> &[(&'static str, String)] {
        &self.pairs
    }
}

/// Appends `name="value"`, with a comma where something stands before it.
pub(super) fn push_pair(out: &mut String, name: &str, value: &str) {
    if !out.is_empty() && !out.ends_with('{') {
        out.push(',');
    }
    out.push_str(name);
    out.push_str("=\"");
    push_escaped(out, value);
    out.push('"');
}

/// Appends a text as it may stand between quotation marks.
pub(super) fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}

/// Escapes a help text of the text format: a quotation mark may stand there as it is.
pub(super) fn escape_help(help: &str) -> String {
    help.replace('\\', "\\\\").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_and_names_are_not() {
        let set = LabelSet::new([("a", "b\\c\"d\ne"), ("f", "")]);
        assert_eq!(set.text(), r#"a="b\\c\"d\ne",f="""#);
        assert_eq!(escape_help("a\\b\n\"c\""), "a\\\\b\\n\"c\"");
    }
}
