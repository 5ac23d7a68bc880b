//! What is secret in a configuration: of an address the user name, the password and the query; of headers the values.

use std::ops::Range;

/// The same text, but other letters and digits in all that is secret; `None` where nothing is.
///
/// Letters become letters and digits digits, each always the same one: what was different stays different, and what was no
/// valid address becomes none.
pub(crate) fn disguised(input: &str) -> Option<String> {
    let mut disguised = input.as_bytes().to_vec();
    let variables = input.find("\n---\n").unwrap_or(0);
    let addresses = input.match_indices("://").map(|(at, _)| at + "://".len());
    // The name of a variable is no place for a secret.
    let addresses = addresses.filter(|at| *at > variables || line_up_to(input, *at).contains('='));
    let secrets: Vec<_> = addresses.flat_map(|at| of_address(input, at)).collect();
    for range in secrets.into_iter().chain(of_headers(input)) {
        // A letter that is secret twice is still replaced once.
        for (byte, plain) in disguised[range.clone()].iter_mut().zip(&input.as_bytes()[range]) {
            *byte = match *plain {
                b'z' => b'a',
                b'Z' => b'A',
                b'9' => b'0',
                plain if plain.is_ascii_alphanumeric() => plain + 1,
                plain => plain,
            };
        }
    }
    (disguised != input.as_bytes()).then(|| String::from_utf8(disguised).unwrap())
}

fn line_up_to(input: &str, at: usize) -> &str {
    input[..at].rsplit('\n').next().unwrap_or_default()
}

/// Of the address whose host begins there.
fn of_address(input: &str, at: usize) -> Vec<Range<usize>> {
    let ends = |c: char| matches!(c, '"' | '\'' | '\\') || c.is_whitespace() || c.is_control();
    let address = &input[at..];
    let end = address.find(ends).unwrap_or(address.len());
    if address[end..].starts_with('\\') {
        // What is escaped would become something else.
        return Vec::new();
    }
    let address = &address[..end];
    let authority = address.find(['/', '?', '#']).unwrap_or(end);
    let user = address[..authority].rfind('@').unwrap_or(0);
    let query = address.find('?').unwrap_or(end);
    vec![at..at + user, at + query..at + end]
}

/// Of the variables that hold headers, with values that are not percent-encoded: those would become something else.
fn of_headers(input: &str) -> Vec<Range<usize>> {
    let variables = input.find("\n---\n").map_or("", |end| &input[..end]);
    let mut secrets = Vec::new();
    let mut start = 0;
    for line in variables.split('\n') {
        if let Some((name, value)) = line.split_once('=')
            && name.ends_with("_HEADERS")
            && !value.contains('%')
        {
            let mut at = start + name.len() + 1;
            for part in value.split(',') {
                let key = part.find('=').map_or(0, |equals| equals + 1);
                secrets.push(at + key..at + part.len());
                at += part.len() + 1;
            }
        }
        start += line.len() + 1;
    }
    secrets
}
