//! The history entry for each fact: what changes what a person would think of the stream, and nothing that comes by the second.

use super::{About, GapNews};
use crate::history::{Entry, Figure};
use crate::market::{Cause, DialPhase};
use crate::stream::{DataFact, Fact, TransportFact};
use crate::supervise::Notice;
use std::borrow::Cow;
use std::time::Duration;

#[derive(Default)]
pub(super) struct Memory {
    /// The phases of the attempt under way, those that have ended.
    phases: Vec<(DialPhase, Duration)>,
    /// The one under way. What ends afterwards belongs to an attempt that was given up.
    open: Option<DialPhase>,
    /// As in the log, one frame of garbage a connection is news.
    told_parse_error: bool,
    gaps: GapNews,
    checksums: GapNews,
}

pub(super) fn keep(about: About<'_>, memory: &mut Memory, fact: &Fact) {
    let told = match fact {
        Fact::Supervisor(notice) => {
            if matches!(notice, Notice::Attempt { .. } | Notice::Renewing { .. }) {
                *memory = Memory::default();
            }
            of_notice(notice)
        }
        Fact::Transport(TransportFact::Endpoint(endpoint)) => Some(Told {
            detail: endpoint.authority().into(),
            ..Told::new("endpoint")
        }),
        Fact::Transport(fact) => {
            memory.take_note(fact);
            None
        }
        Fact::Data(DataFact::SubscriptionFailed {
            reason,
            instruments,
            detail,
            ..
        }) => Some(
            Told {
                detail: detail.clone(),
                ..Told::new("subscription_failed")
            }
            .with("reason", Figure::Word(reason.as_str()))
            .with("instruments", count(*instruments)),
        ),
        Fact::Data(DataFact::Ended { instruments }) => {
            Some(Told::new("ended").with("instruments", count(*instruments)))
        }
        Fact::Data(DataFact::SequenceGap { missed }) => {
            let told = || Told::new("sequence_gap");
            memory.gaps.is_news(about.at.mono).then(|| match missed {
                Some(missed) => told().with("missed", Figure::Count(*missed)),
                None => told(),
            })
        }
        Fact::Data(DataFact::ChecksumFailed) => {
            let is_news = memory.checksums.is_news(about.at.mono);
            is_news.then(|| Told::new("checksum_failed"))
        }
        Fact::Data(DataFact::Resync) => Some(Told::new("resync")),
        Fact::Data(DataFact::Leaving { detail }) => Some(Told {
            detail: detail.clone(),
            ..Told::new("leaving")
        }),
        Fact::Data(DataFact::ParseError(reason)) => {
            let is_news = !std::mem::replace(&mut memory.told_parse_error, true);
            is_news.then(|| Told::new("parse_error").with("reason", Figure::Word(reason.as_str())))
        }
        Fact::Data(DataFact::QueueFull(when_full)) => {
            Some(Told::new("queue_full").with("policy", Figure::Word(when_full.as_str())))
        }
        Fact::Data(DataFact::CaughtUp { dropped, after }) => Some(
            Told::new("caught_up")
                .with("dropped", Figure::Count(*dropped))
                .with("after_seconds", Figure::Time(*after)),
        ),
        // Each change of what is in effect has a reason, which is told.
        Fact::Data(DataFact::Subscriptions { .. }) => None,
    };
    let Some(mut told) = told else { return };
    if let Some(number) = about.further() {
        told = told.with("connection", Figure::Count(number.into()));
    }
    let ends_attempt = matches!(
        fact,
        Fact::Supervisor(
            Notice::AttemptFailed { .. } | Notice::Up { .. } | Notice::RenewalFailed { .. } | Notice::Renewed { .. }
        )
    );
    if ends_attempt {
        memory.open = None;
    }
    about.cells.history().push(Entry {
        at: about.at,
        what: told.what,
        cause: told.cause,
        detail: told.detail,
        figures: told.figures,
        phases: if ends_attempt {
            std::mem::take(&mut memory.phases)
        } else {
            Vec::new()
        },
        trace: about.trace,
    });
}

impl Memory {
    fn take_note(&mut self, fact: &TransportFact) {
        match fact {
            TransportFact::PhaseBegan(phase) => self.open = Some(*phase),
            TransportFact::PhaseEnded { phase, took } if self.open == Some(*phase) => {
                self.open = None;
                self.phases.push((*phase, *took));
            }
            // The phases of an attempt stand in the entry of its end, and a panic is its cause; the others say nothing about
            // the stream's fate.
            TransportFact::PhaseEnded { .. }
            | TransportFact::Panicked { .. }
            | TransportFact::Endpoint(_)
            | TransportFact::Peer(_)
            | TransportFact::Answered { .. }
            | TransportFact::Certificate { .. }
            | TransportFact::RoundTrip(_)
            | TransportFact::WaitedAtGate(_)
            | TransportFact::WaitsAtGate { .. } => {}
        }
    }
}

fn of_notice(notice: &Notice) -> Option<Told> {
    let told = match notice {
        Notice::Attempt { number, kind } => Told::new("attempt")
            .with("number", Figure::Count((*number).into()))
            .with("kind", Figure::Word(kind.as_str())),
        Notice::Connected => Told::new("connected"),
        Notice::AttemptFailed { stage, cause, detail } => Told::new("attempt_failed")
            .with("stage", Figure::Word(stage.as_str()))
            .because(*cause, detail.clone()),
        Notice::Up { accepted, refused } => Told::new("up")
            .with("accepted", count(*accepted))
            .with("refused", count(*refused)),
        Notice::Stable => Told::new("stable"),
        Notice::Lost { cause, detail } => Told::new("lost").because(*cause, detail.clone()),
        Notice::Renewing { number } => Told::new("renewing").with("number", Figure::Count((*number).into())),
        Notice::SuccessorConnected => Told::new("successor_connected"),
        Notice::RenewalFailed {
            stage, cause, detail, ..
        } => Told::new("renewal_failed")
            .with("stage", Figure::Word(stage.as_str()))
            .because(*cause, detail.clone()),
        Notice::Renewed { accepted, refused } => Told::new("renewed")
            .with("accepted", count(*accepted))
            .with("refused", count(*refused)),
        Notice::TakenOver { stage, failures } => Told::new("taken_over")
            .with("stage", Figure::Word(stage.as_str()))
            .with("failures", Figure::Count((*failures).into())),
        Notice::Stale => Told::new("stale"),
        Notice::Fresh => Told::new("fresh"),
        Notice::BackingOff { delay, failures, .. } => Told::new("backing_off")
            .with("delay_seconds", Figure::Time(*delay))
            .with("failures", Figure::Count((*failures).into())),
        Notice::CoolingDown { .. } => Told::new("cooling_down"),
        // Comes again and again; when the dial is made is what matters.
        Notice::Held { .. } => return None,
        Notice::Breaker(moved) => Told::new("breaker")
            .with("from", Figure::Word(moved.from.as_str()))
            .with("to", Figure::Word(moved.to.as_str()))
            .with("trigger", Figure::Word(moved.trigger.as_str()))
            .with("failures", Figure::Count(moved.failures.into())),
        Notice::Reset => Told::new("reset"),
        Notice::Policy { .. } => Told::new("policy"),
        Notice::Idle => Told::new("idle"),
        Notice::Stopped => Told::new("stopped"),
    };
    Some(told)
}

/// An entry without its time and its place in the traces.
struct Told {
    what: &'static str,
    cause: Option<Cause>,
    detail: Cow<'static, str>,
    figures: Vec<(&'static str, Figure)>,
}

impl Told {
    const fn new(what: &'static str) -> Self {
        Self {
            what,
            cause: None,
            detail: Cow::Borrowed(""),
            figures: Vec::new(),
        }
    }

    fn with(mut self, name: &'static str, figure: Figure) -> Self {
        self.figures.push((name, figure));
        self
    }

    fn because(mut self, cause: Cause, detail: Cow<'static, str>) -> Self {
        self.cause = Some(cause);
        self.detail = detail;
        self
    }
}

const fn count(count: usize) -> Figure {
    Figure::Count(count as u64)
}
