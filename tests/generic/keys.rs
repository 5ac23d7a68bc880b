//! The list of keys is what the configuration reads, and what the documentation tells.

use super::NO_VARIABLES;
use feedwatch::config::{Config, VENUE_KEYS};
use std::fmt::Write as _;

const DOCUMENTATION: &str = include_str!("../../docs/generic-venue.md");
const VENUE: &str = "[[venues]]\nname = 'v'\nurl = 'wss://v.example'\n";
const STREAM: &str = "\n[[streams]]\nname = 's'\nvenue = 'v'\n";

/// `a[].b.c` as it is written: `a = [{ b = { c = value } }]`.
fn written(path: &str, value: &str) -> String {
    let mut keys = path.split('.').rev();
    let innermost = format!("{} = {value}", keys.next().unwrap());
    keys.fold(innermost, |inner, key| match key.strip_suffix("[]") {
        Some(list) => format!("{list} = [{{ {inner} }}]"),
        None => format!("{key} = {{ {inner} }}"),
    })
}

#[test]
fn every_key_is_read() {
    for key in VENUE_KEYS {
        let line = written(key.path.strip_prefix("venues[].").unwrap(), "1979-05-27");
        let others = ["name = 'v'", "url = 'wss://v.example'"];
        let others = others.iter().filter(|other| !line.starts_with(&other[..4]));
        let others: Vec<_> = others.copied().collect();
        let text = format!("[[venues]]\n{}\n{line}{STREAM}", others.join("\n"));
        let errors = Config::parse("f", &text, NO_VARIABLES).unwrap_err();
        let path = key.path.replace("[]", "[0]");
        let told = errors.errors().iter().filter(|error| error.path == path);
        let told: Vec<_> = told.collect();
        assert_eq!(told.len(), 1, "{path}\n{errors}");
        assert!(told[0].problem.ends_with(", not a date or time"), "{errors}");
    }
}

#[test]
fn a_default_in_the_list_is_the_default_in_the_code() {
    let parse = |line: &str| {
        let events = if line.starts_with("events") {
            ""
        } else {
            "events = [{ kind = 'trade' }]"
        };
        let text = format!("{VENUE}subscribe = '[{{instruments}}]'\n{line}\n{events}{STREAM}");
        Config::parse("f", &text, NO_VARIABLES)
            .unwrap_or_else(|errors| panic!("{errors}\n{text}"))
            .venues
            .remove(0)
    };
    let plain = parse("");
    for key in VENUE_KEYS {
        let path = key.path.strip_prefix("venues[].").unwrap();
        if let Some(default) = key.default.filter(|_| !path.contains('.')) {
            assert_eq!(parse(&format!("{path} = {default}")), plain, "{path}");
        }
    }
    assert_eq!(parse("events = [{ kind = 'trade', ended = false }]"), plain);
    let timed = parse("events = [{ kind = 'trade', time = '/t' }]");
    assert_eq!(
        parse("events = [{ kind = 'trade', time = '/t', time_unit = 'ms' }]"),
        timed
    );
    let picked = parse("events = [{ kind = 'trade', instrument = '/i' }]");
    let long = parse("events = [{ kind = 'trade', instrument = { of = ['/i'], join = '', case = 'as_is' } }]");
    assert_eq!(long, picked);
    let default = |path: &str| {
        let key = VENUE_KEYS.iter().find(|key| key.path.ends_with(path)).unwrap();
        key.default.unwrap()
    };
    let told = "kind = 'trade', instrument = '/i', price = '/p'";
    let (buy, sell) = (default("side.buy"), default("side.sell"));
    assert_eq!(
        parse(&format!(
            "events = [{{ {told}, side = {{ of = '/s', buy = {buy}, sell = {sell} }} }}]"
        )),
        parse(&format!("events = [{{ {told}, side = '/s' }}]"))
    );
    let told = "kind = 'book_delta', instrument = '/i', asks = '/a'";
    let (price, size) = (default("bids.price"), default("bids.size"));
    assert_eq!(
        parse(&format!(
            "events = [{{ {told}, bids = {{ each = '/b', price = {price}, size = {size} }} }}]"
        )),
        parse(&format!("events = [{{ {told}, bids = '/b' }}]"))
    );
}

#[test]
fn the_documentation_has_every_key_with_its_default_and_its_help() {
    let table = DOCUMENTATION
        .split("<!-- keys -->\n")
        .nth(1)
        .expect("the table of keys");
    let mut expected = "| key | default | |\n| --- | --- | --- |\n".to_owned();
    for key in VENUE_KEYS {
        let path = key.path.strip_prefix("venues[].").unwrap();
        let default = key.default.map(|default| format!("`{default}`")).unwrap_or_default();
        writeln!(expected, "| `{path}` | {default} | {} |", key.help).unwrap();
    }
    assert_eq!(table, expected);
}

#[test]
fn every_example_of_the_documentation_is_valid() {
    let mut examples = 0;
    for block in DOCUMENTATION.split("```toml\n").skip(1) {
        let text = block.split("```").next().unwrap();
        let whole = if text.contains("[[venues]]") {
            text.to_owned()
        } else {
            format!("{VENUE}{text}")
        };
        let events = if whole.contains("events") {
            ""
        } else {
            "\n[[venues.events]]\nkind = 'trade'\n"
        };
        let stream = if whole.contains("[[streams]]") { "" } else { STREAM };
        let whole = format!("{whole}{events}{stream}");
        Config::parse("docs", &whole, NO_VARIABLES).unwrap_or_else(|errors| panic!("{errors}\n{whole}"));
        examples += 1;
    }
    assert!(examples >= 5, "{examples}");
}
