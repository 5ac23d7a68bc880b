//! What is read of the project's pages.

/// The fenced blocks: info string and text.
pub(crate) fn blocks(document: &str) -> Vec<(&str, String)> {
    let mut blocks = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let text: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((info, text.join("\n") + "\n"));
        }
    }
    blocks
}

/// The text in `ticks`, outside of fenced blocks.
pub(crate) fn code_spans(document: &str) -> Vec<&str> {
    let outside = document.split("\n```").step_by(2);
    outside.flat_map(|text| text.split('`').skip(1).step_by(2)).collect()
}

/// Where its links lead: a file, and a heading in it; either may be empty.
pub(crate) fn links(document: &str) -> impl Iterator<Item = (&str, &str)> {
    let targets = document.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
    targets.map(|target| target.split_once('#').unwrap_or((target, "")))
}

/// Whether it has a heading that such an anchor leads to.
pub(crate) fn has_heading(document: &str, anchor: &str) -> bool {
    let leads = |line: &str| line.starts_with('#') && line.to_lowercase().replace(' ', "-").ends_with(anchor);
    document.lines().any(leads)
}
