//! What a received message means: counted, understood, and queued for the consumer.

use super::{Connection, FirstAnswer};
use crate::clock::Moment;
use crate::market::{Cause, DecodeError, EventKind, Failure, Frame, Instrument, MarketEvent, Subscribed};
use crate::metrics::{Direction, Opcode};
use crate::stream::{DataFact, Fact, TransportFact, failure};
use crate::venue::Answer;
use bytes::Bytes;
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::Message;

impl<Io: AsyncRead + AsyncWrite + Unpin> Connection<Io> {
    /// Counts a message and queues what it holds. Returns when it was read.
    pub(super) fn on_message(&mut self, message: Message) -> Instant {
        let now = Moment::now();
        self.clocks.received();
        let bytes = payload_bytes(&message);
        self.cells.frame_received(bytes, now.mono);
        match message {
            Message::Text(text) => self.on_text(now, text.as_str(), text.clone().into()),
            Message::Binary(payload) => {
                if let Ok(text) = std::str::from_utf8(&payload) {
                    self.on_text(now, text, payload.clone());
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

    fn on_text(&mut self, now: Moment, text: &str, payload: Bytes) {
        let (mut is_data, mut is_heartbeat, mut is_news) = (false, false, false);
        let mut ended = Vec::new();
        let (cells, instruments) = (&self.cells, &self.instruments);
        let decoded = self.venue.decode(text, &mut |event| {
            cells.message(event.kind);
            is_data |= event.kind.is_data();
            if let (true, Some(instrument)) = (event.kind.is_data(), event.instrument) {
                instruments.data(instrument, now.mono);
            }
            is_heartbeat |= event.kind == EventKind::Heartbeat;
            is_news |= !matches!(event.kind, EventKind::Heartbeat | EventKind::Ack);
            // A snapshot's time is that of its last change, however long ago.
            if let (true, Some(time)) = (
                event.kind.is_data() && event.kind != EventKind::BookSnapshot,
                event.venue_time_ms,
            ) {
                cells.latency(time, now);
            }
            if let (true, Some(instrument)) = (event.ended, event.instrument) {
                ended.push(Instrument::new(instrument));
            }
        });
        if is_data {
            cells.data(now.mono);
        }
        if is_heartbeat {
            self.on_pong(now);
        }
        if let Err(error) = decoded {
            self.tell(now, &Fact::Data(DataFact::ParseError(error)));
        }
        if self.session.is_pending()
            && let Some(answer) = self.session.answer(text)
        {
            self.on_answer(answer, now.mono);
        }
        if is_news || decoded.is_err() {
            self.queue_frame(payload, now, is_data);
        }
        if !ended.is_empty() {
            self.instruments.leave_out(&ended);
            self.queue.push_back(MarketEvent::Ended { instruments: ended });
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
            self.end(Failure::new(Cause::TooBig).with_detail("too much came before the subscription was answered"));
        }
    }

    fn on_answer(&mut self, answer: Answer, now: Instant) {
        if let Answer::Settled(subscribed) = &answer {
            self.instruments.accepted(&subscribed.accepted, now);
        }
        if matches!(self.first_answer, FirstAnswer::Taken) {
            self.queue.push_back(MarketEvent::Subscribed(match answer {
                Answer::Settled(subscribed) => subscribed,
                Answer::Rejected(refused, _) => Subscribed {
                    refused,
                    ..Subscribed::default()
                },
            }));
        } else {
            self.first_answer = FirstAnswer::Came(match answer {
                Answer::Settled(subscribed) => Ok(subscribed),
                Answer::Rejected(_, failure) => Err(failure),
            });
        }
    }

    fn on_pong(&mut self, now: Moment) {
        if let Some(took) = self.clocks.ponged(now.mono) {
            self.tell(now, &Fact::Transport(TransportFact::RoundTrip(took)));
        }
    }
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
