//! What a received message means: counted, understood, and queued for the consumer.

use super::quality::Missing;
use super::{Connection, FirstAnswer, MOST_PARTINGS, OF_ONE_ARRIVAL};
use crate::clock::Moment;
use crate::market::{self, Cause, DecodeError, EventKind, Failure, Frame, Instrument, MarketEvent, Subscribed};
use crate::metrics::{Direction, Opcode};
use crate::stream::sequences::Order;
use crate::stream::{DataFact, Fact, TransportFact, failure};
use crate::venue::{Answer, Heard};
use bytes::Bytes;
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::Message;

impl<Io: AsyncRead + AsyncWrite + Unpin> Connection<Io> {
    /// Counts a message and queues what it holds. Returns when it was read.
    pub(super) fn on_message(&mut self, message: Message) -> Instant {
        if self.of_arrival == 0 {
            self.of_arrival = OF_ONE_ARRIVAL;
            self.arrival = self.cells.arrival(Moment::now());
        }
        self.of_arrival -= 1;
        let now = self.arrival.at;
        if let Some(tap) = &self.tap {
            tap.received(now, &message);
        }
        self.clocks.received();
        let bytes = payload_bytes(&message);
        self.cells.frame_arrived(bytes, self.arrival.stamp);
        match message {
            Message::Text(text) => {
                let read = self.read(text.as_str());
                self.queue_read(read, text.into());
            }
            Message::Binary(payload) => {
                if let Ok(text) = std::str::from_utf8(&payload) {
                    let read = self.read(text);
                    self.queue_read(read, payload);
                } else {
                    self.tell(now, &Fact::Data(DataFact::ParseError(DecodeError::Utf8)));
                    self.queue_frame(payload, now, false);
                }
            }
            Message::Ping(_) => {
                self.cells.control_frame(Opcode::Ping, Direction::Received);
                self.answered_in_kind(Opcode::Pong, bytes, now.mono);
            }
            Message::Pong(_) => {
                self.cells.control_frame(Opcode::Pong, Direction::Received);
                self.on_pong(now);
            }
            Message::Close(frame) => {
                self.cells.control_frame(Opcode::Close, Direction::Received);
                if !std::mem::replace(&mut self.closing, true) {
                    // The frame that tungstenite made of it, where it was illegal.
                    let answer = frame.as_ref().map_or(0, |frame| 2 + frame.reason.len());
                    self.answered_in_kind(Opcode::Close, answer, now.mono);
                }
                self.end(failure::of_close(frame.as_ref()));
            }
            // Only ever returned by a raw frame reader.
            Message::Frame(_) => {}
        }
        now.mono
    }

    /// tungstenite has queued an answer with the same payload; it leaves with the next flush.
    fn answered_in_kind(&mut self, opcode: Opcode, bytes: usize, now: Instant) {
        self.clocks.queued(now);
        self.cells.control_frame(opcode, Direction::Sent);
        self.cells.frame_sent(bytes);
    }

    /// Counts what a text holds.
    fn read(&mut self, text: &str) -> Read {
        let arrival = self.arrival;
        let mut read = Read::default();
        // Whatever is not data may be meant for this side.
        let mut is_control = false;
        let (cells, instruments, quality) = (&self.cells, &self.instruments, &mut self.quality);
        let observer = &self.observer;
        let decoded = self.decoder.decode(text, &mut |event| {
            cells.message(event.kind);
            let mut is_asked_for = None;
            if event.kind.is_data() {
                read.is_data = true;
                is_asked_for = event
                    .instrument
                    .map(|instrument| instruments.data(instrument, arrival.stamp));
                // A snapshot's time is that of its last change, however long ago.
                if let Some(time) = event.venue_time_ms.filter(|_| event.kind != EventKind::BookSnapshot) {
                    cells.event_arrived(time, &arrival);
                }
            }
            if let Some(sequence) = event.sequence {
                let named = event.instrument.map(|instrument| {
                    let carries = || instruments.carries(instrument);
                    (instrument, is_asked_for.unwrap_or_else(carries))
                });
                if let Order::Gap(missed) = quality.follow(sequence, named, &mut read.missing) {
                    observer.observe(arrival.at, &Fact::Data(DataFact::SequenceGap { missed }));
                }
            }
            is_control |= !event.kind.is_data();
            read.is_news |= event.kind != EventKind::Heartbeat;
            if let (true, Some(instrument)) = (event.ended, event.instrument)
                && instruments.carries(instrument)
            {
                read.ended.push(Instrument::new(instrument));
            }
        });
        if read.is_data {
            cells.data_arrived(arrival.stamp);
        }
        // A checksum may come alone, and an answer says what the numbers of channels mean.
        self.check_books(text, &mut read.missing);
        if let Err(error) = decoded {
            read.is_news = true;
            self.tell(arrival.at, &Fact::Data(DataFact::ParseError(error)));
        }
        if (is_control || self.session.hears_data())
            && let Some(heard) = self.session.hear(text)
        {
            self.on_heard(heard);
        }
        read
    }

    #[cold]
    fn on_heard(&mut self, heard: Heard) {
        match heard {
            Heard::Answer(answer) => self.on_answer(answer, self.arrival.at.mono),
            Heard::Pong => self.on_pong(self.arrival.at),
            Heard::Reply(text) => self.outbox.reply(text),
            // The driver follows the first one only.
            Heard::Leaving(detail) if !self.is_told_leaving => {
                self.is_told_leaving = true;
                let detail = market::words(detail);
                self.queue.push_back(MarketEvent::Leaving { detail });
            }
            Heard::Leaving(_) => {}
        }
    }

    fn queue_read(&mut self, read: Read, payload: Bytes) {
        let end = if read.missing.is_empty() {
            None
        } else {
            self.on_missing(read.missing)
        };
        if read.is_news {
            self.queue_frame(payload, self.arrival.at, read.is_data);
        }
        if !read.ended.is_empty() {
            self.instruments.leave_out(&read.ended);
            self.quality.forget_books(&read.ended);
            let instruments = read.ended;
            self.queue.push_back(MarketEvent::Ended { instruments });
        }
        if let Some(failure) = end {
            self.end(failure);
        }
    }

    fn queue_frame(&mut self, payload: Bytes, received: Moment, is_data: bool) {
        self.queued_bytes += queue_cost(&payload);
        self.queue.push_back(MarketEvent::Frame(Frame {
            payload,
            received,
            is_data,
        }));
        // One frame is always taken: its size has a limit of its own.
        if self.queue.len() > 1 && self.queued_bytes > self.queue_limit {
            self.end(if matches!(self.first_answer, FirstAnswer::Awaited(_)) {
                let detail = "more came than may wait before the subscription was answered";
                Failure::new(Cause::SubscribeTimeout).with_detail(detail)
            } else {
                Failure::new(Cause::SendTimeout).with_detail("more came than may wait while requests could not leave")
            });
        }
    }

    fn on_answer(&mut self, answer: Answer, now: Instant) {
        let (answer, failure) = match answer {
            Answer::Settled(subscribed) => (subscribed, None),
            Answer::RejectedTogether(refused, _) if self.partings_left > 0 => {
                return self.ask_apart(&refused);
            }
            Answer::Rejected(refused, failure) | Answer::RejectedTogether(refused, failure) => {
                let answer = Subscribed {
                    refused,
                    words: failure.detail.clone(),
                    ..Subscribed::default()
                };
                (answer, Some(failure))
            }
        };
        if !answer.accepted.is_empty() {
            self.partings_left = MOST_PARTINGS;
        }
        self.instruments.accepted(&answer.accepted, now);
        self.quality.goes_on_with(&answer.accepted);
        self.quality.goes_on_with(&answer.refused);
        let FirstAnswer::Awaited(came) = &mut self.first_answer else {
            return self.queue.push_back(MarketEvent::Subscribed(answer));
        };
        let (so_far, refusal) = &mut **came;
        so_far.accepted.extend(answer.accepted);
        so_far.refused.extend(answer.refused);
        if so_far.words.is_empty() {
            so_far.words = answer.words;
        }
        if refusal.is_none() {
            *refusal = failure;
        }
        if !self.session.is_awaiting() {
            self.first_answer = FirstAnswer::Came(match std::mem::take(&mut **came) {
                (so_far, Some(refusal)) if so_far.accepted.is_empty() => Err(refusal),
                // Some are in effect: they go on without those that were refused.
                (so_far, _) => Ok(so_far),
            });
        }
    }

    /// A venue that refuses a request as a whole may mean one instrument of it: each half is asked for by itself, so that what is
    /// wrong is found in a few steps, and the rest is in effect.
    fn ask_apart(&mut self, refused: &[Instrument]) {
        self.partings_left -= 1;
        let (left, right) = refused.split_at(refused.len() / 2);
        self.ask(left);
        self.ask(right);
    }

    fn on_pong(&mut self, now: Moment) {
        if let Some(took) = self.clocks.ponged(now.mono) {
            self.tell(now, &Fact::Transport(TransportFact::RoundTrip(took)));
        }
    }
}

/// What is made of a text.
#[derive(Default)]
struct Read {
    is_data: bool,
    /// The consumer gets it: it is more than a heartbeat or an acknowledgement, or cannot be read.
    is_news: bool,
    ended: Vec<Instrument>,
    missing: Missing,
}

/// What a frame costs while it waits for the consumer: an empty one is not free.
pub(super) const fn queue_cost(payload: &Bytes) -> usize {
    payload.len() + size_of::<MarketEvent>()
}

/// The payload of a close frame is its code and its reason (RFC 6455, section 5.5.1). Of one with an illegal code the reason is
/// lost, if there was one.
fn payload_bytes(message: &Message) -> usize {
    match message {
        Message::Close(Some(frame)) if failure::is_illegal_close(frame) => 2,
        Message::Close(Some(frame)) => 2 + frame.reason.len(),
        message => message.len(),
    }
}
