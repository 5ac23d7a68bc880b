//! The dialogue of one connection.

use crate::market::{Failure, Instrument, Subscribed};
use std::borrow::Cow;

/// The dialogue of one connection: what to send, and what the venue says to it.
pub trait Session: Send {
    /// The text frames that subscribe to `instruments`; the first time with whatever has to be said before. Their answers are
    /// awaited from now on.
    fn subscribe(&mut self, instruments: &[Instrument]) -> Vec<String>;

    /// How many texts [`Session::subscribe`] would give for these, where that is known without making them.
    fn count_requests(&self, _instruments: &[Instrument]) -> Option<usize> {
        None
    }

    /// The text frames that end subscriptions. No answer is awaited.
    fn unsubscribe(&mut self, instruments: &[Instrument]) -> Vec<String>;

    /// Whether the answer to a subscription is awaited. The first subscription is answered when none is.
    fn is_awaiting(&self) -> bool;

    /// Whether to show every frame to [`Session::hear`], and not only those in which something else than data was found: an
    /// answer may look like data, and may come when it is no longer awaited.
    fn hears_data(&self) -> bool {
        self.is_awaiting()
    }

    /// What a received frame says to this side. Shown are those with an acknowledgement, an error, a heartbeat or news in them.
    fn hear(&mut self, frame: &str) -> Option<Heard>;

    /// No longer waits; returns what is unanswered. Its answer may come late.
    fn give_up(&mut self) -> Vec<Instrument>;
}

/// What a frame says to this side.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Heard {
    /// The answer to a subscription, or to a part of it.
    Answer(Answer),
    /// The answer to a ping.
    Pong,
    /// The venue wants this text in return.
    Reply(String),
    /// The venue will end the connection, and says so in time to make another one first. The words are for the log, and
    /// are made fit for it as by [`Failure::with_detail`].
    Leaving(Cow<'static, str>),
}

/// A venue's answer to a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What is in effect now, and what was left out.
    Settled(Subscribed),
    /// All of these were refused, and the venue says why.
    Rejected(Vec<Instrument>, Failure),
    /// One request for all of these was refused, and none of it is in effect; the venue may mean a single one of them.
    RejectedTogether(Vec<Instrument>, Failure),
}

impl Answer {
    /// What two answers of one frame come to.
    pub(super) fn with(self, other: Self) -> Self {
        let apart = |answer| match answer {
            Self::RejectedTogether(refused, failure) => Self::Rejected(refused, failure),
            answer => answer,
        };
        match (apart(self), apart(other)) {
            (Self::Settled(mut left), Self::Settled(right)) => {
                left.accepted.extend(right.accepted);
                left.refused.extend(right.refused);
                if left.words.is_empty() {
                    left.words = right.words;
                }
                Self::Settled(left)
            }
            (Self::Rejected(mut left, failure), Self::Rejected(right, _)) => {
                left.extend(right);
                Self::Rejected(left, failure)
            }
            // Both in one: what was refused is named, and the words are kept.
            (Self::Rejected(refused, failure), Self::Settled(mut settled))
            | (Self::Settled(mut settled), Self::Rejected(refused, failure)) => {
                settled.refused.extend(refused);
                settled.words = failure.detail;
                Self::Settled(settled)
            }
            (left, _) => left,
        }
    }
}
