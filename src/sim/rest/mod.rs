//! The venue's REST part: what Polymarket's Gamma API says of events and markets, on a port of its own.

mod listing;
mod serve;

pub use listing::{ListedEvent, ListedMarket};
pub(super) use serve::serve;

use super::Venue;
use super::fault::Fault;
use super::log::What;
use super::script::{Document, Script, ScriptError, parse};
use super::upgrade::retry_after;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So much of a path is kept in the log.
const PATH_LENGTH: usize = 200;
/// So many events are served, and so many markets of each.
const MOST: usize = 10_000;

/// What the REST part serves.
#[derive(Clone, Debug)]
pub struct RestOptions {
    /// Where it listens; port 0 = any free one.
    pub listen: SocketAddr,
    /// What it knows.
    pub events: Vec<ListedEvent>,
    /// Which request meets which fault: its rules count requests in place of connections. A request can meet `none`, `hang`,
    /// `status`, `retry_after`, and `cut`, an answer of which a half comes.
    pub script: Script,
    /// It does not know yet what was resolved less than this ago.
    pub behind: Duration,
}

impl Default for RestOptions {
    /// Any free port on loopback; nothing is known.
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            events: Vec::new(),
            script: Script::default(),
            behind: Duration::ZERO,
        }
    }
}

impl RestOptions {
    /// Reads `[[events]]` and `[[rest]]` of a script. The format is on the page of [`crate::sim`].
    pub fn from_toml(text: &str) -> Result<Self, ScriptError> {
        let Document { rest, events, .. } = parse(text)?;
        Ok(Self {
            events,
            script: Script {
                rules: rest.into_iter().map(toml::Spanned::into_inner).collect(),
            },
            ..Self::default()
        })
    }

    /// What makes no sense about them.
    pub(super) fn problem(&self) -> Option<String> {
        let is_too_many = self.events.len() > MOST || self.events.iter().any(|event| event.markets.len() > MOST);
        let too_many = || Some(format!("events: at most {MOST}, with as many markets"));
        let of_event = || self.events.iter().find_map(ListedEvent::problem);
        let of_rule = || {
            let no_request = self.script.rules.iter().position(|rule| !suits(&rule.fault))?;
            Some(format!(
                "rule {}: of a request only none, hang, status, retry_after and cut make sense",
                no_request + 1
            ))
        };
        let of_script = || self.script.problem().or_else(of_rule);
        if is_too_many { too_many() } else { of_event() }.or_else(|| Some(format!("rest: {}", of_script()?)))
    }
}

/// Whether a request can meet that.
const fn suits(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::None | Fault::Hang | Fault::Status { .. } | Fault::RetryAfter { .. } | Fault::Cut { .. }
    )
}

/// The REST part of a running venue.
#[derive(Debug)]
pub(super) struct Rest {
    address: SocketAddr,
    script: Script,
    behind: Duration,
    requests: AtomicU64,
    events: Mutex<Vec<ListedEvent>>,
    /// Tokens whose market has ended, and when: since the venue's start.
    ended: Mutex<HashMap<String, Duration>>,
}

/// An answer; `None` = none ever.
type Answer = Option<Response<Body>>;
type Body = Either<Full<Bytes>, UnsyncBoxBody<Bytes, io::Error>>;

impl Rest {
    /// Takes the port; nothing is served before [`serve`].
    pub(super) fn bind(options: RestOptions) -> io::Result<(Self, std::net::TcpListener)> {
        let listener = std::net::TcpListener::bind(options.listen).map_err(|error| {
            let told = format!("the REST part at {}: {error}", options.listen);
            io::Error::new(error.kind(), told)
        })?;
        listener.set_nonblocking(true)?;
        let rest = Self {
            address: listener.local_addr()?,
            script: options.script,
            behind: options.behind,
            requests: AtomicU64::new(0),
            events: Mutex::new(options.events),
            ended: Mutex::default(),
        };
        Ok((rest, listener))
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// When the markets end that have a time for it: their tokens, in the order of the markets.
    pub(super) fn ends(&self) -> Vec<(Duration, Vec<String>)> {
        let events = self.events();
        let markets = events.iter().flat_map(|event| &event.markets);
        let end = |market: &ListedMarket| Some((market.until?, market.tokens.clone()));
        markets.filter_map(end).collect()
    }

    /// An event has one more market; where there is no such event, it is made.
    pub(super) fn list(&self, event: &str, market: ListedMarket) {
        let mut events = self.events();
        if let Some(known) = events.iter_mut().find(|known| known.slug == event) {
            known.markets.push(market);
        } else {
            events.push(ListedEvent::new(event, vec![market]));
        }
    }

    /// The market of these tokens has ended.
    pub(super) fn end(&self, tokens: &[String], at: Duration) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        for token in tokens {
            ended.entry(token.clone()).or_insert(at);
        }
    }

    fn events(&self) -> MutexGuard<'_, Vec<ListedEvent>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it says at that moment of what is asked for; `None` where that is nothing.
    fn tell(&self, path: &str, at: Duration) -> Option<String> {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let is_ended = |token: &str| {
            ended
                .get(token)
                .is_some_and(|end| end.saturating_add(self.behind) <= at)
        };
        let events = self.events();
        if let Some(slug) = path.strip_prefix("/events/slug/") {
            let event = events.iter().find(|event| event.slug == slug)?;
            return Some(event.json(at, is_ended).to_string());
        }
        let slug = path.strip_prefix("/markets/slug/")?;
        let mut markets = events.iter().flat_map(|event| &event.markets);
        let market = markets.find(|market| market.slug == slug && market.from <= at)?;
        Some(market.json(is_ended).to_string())
    }

    fn answer(&self, venue: &Venue, path: &str) -> Answer {
        let at = venue.log.elapsed();
        let number = self.requests.fetch_add(1, Relaxed) + 1;
        let told = self.tell(path, at);
        let note = |status| {
            let path = path.chars().take(PATH_LENGTH).collect();
            venue.log.note(0, What::Asked { path, status });
        };
        let (status, headers, body) = match self.script.fault(number, at) {
            Fault::Hang => {
                note(None);
                return None;
            }
            Fault::Cut { .. } => {
                note(None);
                return Some(half(&told.unwrap_or_default()));
            }
            Fault::Status { code, headers, body } => (code, headers, body),
            Fault::RetryAfter { code, seconds, form } => (code, retry_after(seconds, form), String::new()),
            _ => match told {
                Some(told) => (200, BTreeMap::new(), told),
                None => (
                    404,
                    BTreeMap::new(),
                    r#"{"type":"not found error","error":"slug not found"}"#.to_owned(),
                ),
            },
        };
        note(Some(status));
        let mut response = Response::new(Either::Left(Full::from(body)));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
        let mut all = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        for (name, value) in headers {
            // A script with others was refused.
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                all.insert(name, value);
            }
        }
        *response.headers_mut() = all;
        Some(response)
    }
}

/// An answer that breaks off in the middle.
fn half(told: &str) -> Response<Body> {
    let (half, _) = told.as_bytes().split_at(told.len() / 2);
    let frames = [
        Ok(Frame::data(Bytes::copy_from_slice(half))),
        Err(io::Error::other("cut")),
    ];
    let mut response = Response::new(Either::Right(StreamBody::new(stream::iter(frames)).boxed_unsync()));
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(told.len().max(1)));
    response
}
