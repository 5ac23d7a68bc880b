//! The dialogue of one connection: commands with ids, and an answer for each channel of a command.

use super::decode::Message;
use crate::market::Instrument;
use crate::venue::ledger::Ledger;
use crate::venue::{Answer, Heard, Session, wire};
use serde::Deserialize;
use serde_json::json;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// So many instruments in one command.
const INSTRUMENTS_PER_COMMAND: usize = 100;

#[derive(Debug)]
pub(super) struct KalshiSession {
    channels: Vec<String>,
    /// 0 counts as no id.
    last_id: u64,
    commands: HashMap<u64, Command>,
    /// What each subscription carries, by its number.
    carried: HashMap<u64, HashSet<Instrument>>,
    /// What was taken back before the number was known, and is to leave.
    leaving: Vec<(u64, Vec<Instrument>)>,
    /// By the id of the command, and the instrument: some of a command may be left out.
    ledger: Ledger<(u64, Instrument)>,
}

/// A command that is not answered, or not for all of its channels. What it asks for stands in the ledger.
#[derive(Debug)]
struct Command {
    unanswered: usize,
    left_out: HashSet<Instrument>,
}

/// What an answer says.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body<'f> {
    sid: Option<u64>,
    code: Option<i64>,
    #[serde(borrow)]
    msg: Option<Cow<'f, str>>,
    #[serde(borrow)]
    market_tickers: Option<Vec<Cow<'f, str>>>,
}

impl KalshiSession {
    pub(super) fn new(channels: Vec<String>) -> Self {
        Self {
            channels,
            last_id: 0,
            commands: HashMap::new(),
            carried: HashMap::new(),
            leaving: Vec::new(),
            ledger: Ledger::default(),
        }
    }

    fn command(&mut self, name: &str, params: &serde_json::Value) -> String {
        self.last_id += 1;
        json!({"id": self.last_id, "cmd": name, "params": params}).to_string()
    }

    /// These are no longer of a subscription.
    fn leave(&mut self, sid: u64, instruments: &[Instrument]) -> Option<String> {
        let carried = self.carried.get_mut(&sid)?;
        let left: Vec<_> = instruments.iter().filter(|one| carried.remove(*one)).collect();
        if left.is_empty() {
            return None;
        }
        if carried.is_empty() {
            self.carried.remove(&sid);
            return Some(self.command("unsubscribe", &json!({"sids": [sid]})));
        }
        let tickers: Vec<_> = left.iter().map(|instrument| instrument.as_str()).collect();
        let params = json!({"sids": [sid], "market_tickers": tickers, "action": "delete_markets"});
        Some(self.command("update_subscription", &params))
    }

    /// One channel of a command is in effect. With a list, what is not in it was left out.
    fn hear_granted(&mut self, id: u64, sid: u64, list: Option<&[Cow<'_, str>]>) -> Option<Heard> {
        let command = self.commands.get_mut(&id)?;
        command.unanswered = command.unanswered.saturating_sub(1);
        let listed: Option<HashSet<&str>> = list.map(|list| list.iter().map(|ticker| &**ticker).collect());
        let is_in = |instrument: &Instrument| listed.as_ref().is_none_or(|all| all.contains(instrument.as_str()));
        let carried = self.carried.entry(sid).or_default();
        let mut taken_back = Vec::new();
        for ((_, instrument), is_wanted) in self.ledger.parts(id) {
            if is_in(instrument) {
                carried.insert(instrument.clone());
            } else if is_wanted {
                command.left_out.insert(instrument.clone());
            }
            if !is_wanted {
                taken_back.push(instrument.clone());
            }
        }
        if !taken_back.is_empty() {
            taken_back.sort_unstable();
            self.leaving.push((sid, taken_back));
        }
        let is_over = command.unanswered == 0;
        let answer = if is_over { self.settle(id) } else { None };
        // An answer goes first; then what is to leave waits for the next one, or for the next command.
        if let Some(answer) = answer {
            return Some(Heard::Answer(answer));
        }
        let (sid, instruments) = self.leaving.pop()?;
        self.leave(sid, &instruments).map(Heard::Reply)
    }

    fn leave_now(&mut self) -> Vec<String> {
        let leaving = std::mem::take(&mut self.leaving);
        let texts = leaving
            .iter()
            .filter_map(|(sid, instruments)| self.leave(*sid, instruments));
        texts.collect()
    }

    fn settle(&mut self, id: u64) -> Option<Answer> {
        let command = self.commands.remove(&id)?;
        self.ledger
            .settle_request(id, |(_, instrument)| !command.left_out.contains(instrument))
    }

    fn hear_error(&mut self, id: Option<u64>, body: &Body<'_>) -> Option<Heard> {
        let words = body.msg.as_deref().unwrap_or(wire::NO_WORDS);
        let words = format!("{words} (code {})", body.code.unwrap_or_default());
        let Some(id) = id else {
            self.commands.clear();
            return self.ledger.refuse_rest(words).map(Heard::Answer);
        };
        self.commands.remove(&id)?;
        self.ledger.refuse_request_as_one(id, words).map(Heard::Answer)
    }
}

impl Session for KalshiSession {
    fn subscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        let mut texts = self.leave_now();
        for batch in instruments.chunks(INSTRUMENTS_PER_COMMAND) {
            let tickers: Vec<_> = batch.iter().map(Instrument::as_str).collect();
            // Whether prices of the other side come as they are was to change: said, it stays.
            let params = json!({"channels": self.channels, "market_tickers": tickers, "use_yes_price": false});
            texts.push(self.command("subscribe", &params));
            let command = Command {
                unanswered: self.channels.len(),
                left_out: HashSet::new(),
            };
            self.commands.insert(self.last_id, command);
            for instrument in batch {
                let key = (self.last_id, instrument.clone());
                self.ledger.ask_in(self.last_id, key, [instrument.clone()]);
            }
        }
        // Those that were given up, and of which nothing is wanted.
        self.commands.retain(|id, _| self.ledger.parts(*id).next().is_some());
        texts
    }

    fn unsubscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        self.ledger.forget(instruments);
        let mut sids: Vec<_> = self.carried.keys().copied().collect();
        sids.sort_unstable();
        let mut texts = self.leave_now();
        texts.extend(sids.into_iter().filter_map(|sid| self.leave(sid, instruments)));
        texts
    }

    fn is_awaiting(&self) -> bool {
        self.ledger.is_awaiting()
    }

    /// Answers say that they are.
    fn hears_data(&self) -> bool {
        false
    }

    fn hear(&mut self, frame: &str) -> Option<Heard> {
        let message: Message<'_> = serde_json::from_str(frame).ok()?;
        if !matches!(message.name, "subscribed" | "ok" | "error") {
            return None;
        }
        let body = message.msg.map(|msg| serde_json::from_str::<Body<'_>>(msg.get()));
        let body = body.and_then(Result::ok).unwrap_or_default();
        if message.name == "error" {
            return self.hear_error(message.id, &body);
        }
        let sid = body.sid.or(message.sid)?;
        let beside = message
            .market_tickers
            .and_then(|list| serde_json::from_str(list.get()).ok());
        let list: Option<Vec<Cow<'_, str>>> = body.market_tickers.or(beside);
        self.hear_granted(message.id?, sid, list.as_deref())
    }

    fn give_up(&mut self) -> Vec<Instrument> {
        self.ledger.give_up()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_is_never_answered_and_wanted_no_more_is_not_kept() {
        let mut session = KalshiSession::new(vec!["trade".into()]);
        let instrument = [Instrument::new("KXA-1")];
        for _ in 0..100 {
            session.subscribe(&instrument);
            session.unsubscribe(&instrument);
            session.give_up();
        }
        assert_eq!(session.commands.len(), 2, "those of the last two rounds");
    }
}
