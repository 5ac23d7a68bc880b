//! What a venue's fixtures hold.

use feedwatch::market::Instrument;
use feedwatch::venue::{self, Feed, Venue, VenueRef};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::Path;

/// A frame, and what is to be read of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Frame {
    #[serde(rename = "frame")]
    pub(crate) text: String,
    pub(crate) events: Vec<String>,
    /// Not given = there are none.
    #[serde(default)]
    pub(crate) values: Vec<String>,
    /// The reason of a parse error.
    pub(crate) error: Option<String>,
}

/// What is said, by scenario.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dialogue {
    pub(crate) accepted: Scenario,
    pub(crate) refused_one: Scenario,
    pub(crate) refused_all: Scenario,
    /// Accepted first, and then taken back.
    pub(crate) unsubscribed: Scenario,
    /// What is taken back before its answer has come is unsubscribed only then: the answer says how.
    #[serde(default)]
    pub(crate) unsubscribes_by_answer: bool,
    /// The client's ping.
    pub(crate) ping: Exchange,
    /// The venue's own.
    pub(crate) venue_ping: Exchange,
    /// The frame that says that the venue will end the connection; `None` = it never says so.
    pub(crate) leaving: Option<Value>,
    /// How the venue answers any subscription: for replays of recordings.
    pub(crate) answers: Option<Answers>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    pub(crate) instruments: Vec<String>,
    /// Not given = the venue's usual ones.
    #[serde(default)]
    pub(crate) channels: Vec<String>,
    /// In turns.
    pub(crate) steps: Vec<Step>,
    #[serde(default)]
    pub(crate) accepted: Vec<String>,
    #[serde(default)]
    pub(crate) refused: Vec<String>,
    /// Words of a refusal of all.
    pub(crate) words: Option<String>,
}

/// One side says these, in their order.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    Client(Vec<Value>),
    Venue(Vec<Value>),
}

/// A ping and its pong.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Exchange {
    /// Frames of the WebSocket protocol.
    Frames,
    /// It does not ask.
    Never,
    Texts {
        ping: Value,
        pong: Value,
    },
    /// It only says that it is there.
    Sign(Value),
}

/// What answers a request: for each item of the list at that pointer of it, or once. In the template, a text `$/a/b` is what
/// stands at that pointer of the request, and `$item/a` of the item.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answers {
    pub(crate) for_each: Option<String>,
    pub(crate) template: Value,
}

impl Scenario {
    pub(crate) fn instruments(&self) -> Vec<Instrument> {
        self.instruments.iter().map(|id| Instrument::new(id)).collect()
    }

    pub(crate) fn feed(&self) -> Feed {
        Feed::of(&self.channels)
    }

    /// All that the venue says.
    pub(crate) fn venue(&self) -> Vec<String> {
        let said = |step: &Step| match step {
            Step::Venue(frames) => frames.iter().map(text).collect(),
            Step::Client(_) => Vec::new(),
        };
        self.steps.iter().flat_map(said).collect()
    }
}

pub(crate) fn venues() -> impl Iterator<Item = &'static dyn Venue> {
    venue::ALL.iter().copied()
}

pub(crate) fn venue(name: &str) -> VenueRef {
    venue::find(name).unwrap_or_else(|| panic!("there is no venue {name}"))
}

/// A file of the venue's fixtures, each of whose lines is one of these.
pub(crate) fn lines<T: DeserializeOwned>(venue: &str, file: &str) -> Vec<T> {
    let read = |(index, line): (usize, &str)| {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{venue}/{file}:{}: {error}", index + 1))
    };
    text_of(venue, file).lines().enumerate().map(read).collect()
}

/// A file of the venue's fixtures that is one of these.
pub(crate) fn whole<T: DeserializeOwned>(venue: &str, file: &str) -> T {
    serde_json::from_str(&text_of(venue, file)).unwrap_or_else(|error| panic!("{venue}/{file}: {error}"))
}

fn text_of(venue: &str, file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(venue);
    std::fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{venue}/{file}: {error}"))
}

pub(crate) fn frames(venue: &str) -> Vec<Frame> {
    lines(venue, "frames.jsonl")
}

pub(crate) fn dialogue(venue: &str) -> Dialogue {
    whole(venue, "dialogue.json")
}

/// A text that is sent: JSON as it is, a text as its characters.
pub(crate) fn text(message: &Value) -> String {
    match message {
        Value::String(text) => text.clone(),
        json => json.to_string(),
    }
}

/// A text that was sent, to compare: the order of fields says nothing.
pub(crate) fn message(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(json @ (Value::Object(_) | Value::Array(_))) => json,
        _ => Value::String(text.to_owned()),
    }
}
