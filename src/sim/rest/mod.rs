//! The venue's REST part, on a port of its own: what Polymarket's Gamma API says of events and markets, and what other venues list.
//! Their paths differ, so that all are served side by side.

mod instruments;
mod listing;
mod query;
mod serve;
mod shapes;

pub use instruments::ListedInstruments;
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
use instruments::Instrument;
use query::Query;
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So much of a path is kept in the log.
const PATH_LENGTH: usize = 200;
/// So many events are served, and so many markets of each; and so many instruments.
const MOST: usize = 10_000;
/// So many rows have the longest pages that venues have.
const PAGE: usize = 1000;
/// Polymarket's answer to what it does not know.
const UNKNOWN: &str = r#"{"type":"not found error","error":"slug not found"}"#;

/// What the REST part serves.
#[derive(Clone, Debug)]
pub struct RestOptions {
    /// Where it listens; port 0 = any free one.
    pub listen: SocketAddr,
    /// What it knows of Polymarket.
    pub events: Vec<ListedEvent>,
    /// What it knows of other venues.
    pub instruments: Vec<ListedInstruments>,
    /// Where a venue lists in pages, a page has no more rows, whatever is asked for.
    pub page_size: usize,
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
            instruments: Vec::new(),
            page_size: PAGE,
            script: Script::default(),
            behind: Duration::ZERO,
        }
    }
}

impl RestOptions {
    /// Reads `[[events]]`, `[[instruments]]`, `page_size` and `[[rest]]` of a script. The format is on the page of [`crate::sim`].
    pub fn from_toml(text: &str) -> Result<Self, ScriptError> {
        let document = parse(text)?;
        let Document { rest, events, .. } = document;
        Ok(Self {
            events,
            instruments: document.instruments,
            page_size: document.page_size.unwrap_or(PAGE),
            script: Script {
                rules: rest.into_iter().map(toml::Spanned::into_inner).collect(),
            },
            ..Self::default()
        })
    }

    /// The same with something of each venue, where it knows nothing.
    #[doc(hidden)] // what `feedwatch simulate` serves where nobody says otherwise
    #[must_use]
    pub fn or_examples(mut self) -> Self {
        if self.events.is_empty() && self.instruments.is_empty() {
            self.events = vec![ListedEvent::example()];
            self.instruments = ListedInstruments::examples();
        }
        self
    }

    /// What makes no sense about them.
    pub(super) fn problem(&self) -> Option<String> {
        let is_too_many = self.events.len() > MOST || self.events.iter().any(|event| event.markets.len() > MOST);
        let too_many = || Some(format!("events: at most {MOST}, with as many markets"));
        let of_instruments = || {
            if self.instruments.iter().map(|listed| listed.ids.len()).sum::<usize>() > MOST {
                return Some(format!("instruments: at most {MOST}"));
            }
            self.instruments.iter().find_map(ListedInstruments::problem)
        };
        let of_page = || (self.page_size == 0).then(|| "page_size: must be 1 or more".to_owned());
        let of_event = || self.events.iter().find_map(ListedEvent::problem);
        let of_rule = || {
            let no_request = self.script.rules.iter().position(|rule| !suits(&rule.fault))?;
            Some(format!(
                "rule {}: of a request only none, hang, status, retry_after and cut make sense",
                no_request + 1
            ))
        };
        let of_script = || self.script.problem().or_else(of_rule);
        if is_too_many { too_many() } else { of_event() }
            .or_else(of_instruments)
            .or_else(of_page)
            .or_else(|| Some(format!("rest: {}", of_script()?)))
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
    page_size: usize,
    requests: AtomicU64,
    known: Mutex<Known>,
}

/// What is known of venues, at all times: when something comes and goes stands beside it.
#[derive(Debug)]
struct Known {
    events: Vec<ListedEvent>,
    instruments: Vec<Instrument>,
}

/// An answer; `None` = none ever.
type Answer = Option<Response<Body>>;
type Body = Either<Full<Bytes>, UnsyncBoxBody<Bytes, io::Error>>;

impl Rest {
    /// Takes the port; nothing is served before [`serve()`].
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
            page_size: options.page_size,
            requests: AtomicU64::new(0),
            known: Mutex::new(Known {
                events: options.events,
                instruments: options
                    .instruments
                    .into_iter()
                    .flat_map(ListedInstruments::each)
                    .collect(),
            }),
        };
        Ok((rest, listener))
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// When the markets end that have a time for it: their tokens, in the order of the markets.
    pub(super) fn ends(&self) -> Vec<(Duration, Vec<String>)> {
        let known = self.known();
        let markets = known.events.iter().flat_map(|event| &event.markets);
        let end = |market: &ListedMarket| Some((market.until?, market.tokens.clone()));
        markets.filter_map(end).collect()
    }

    /// An event has one more market; where there is no such event, it is made.
    pub(super) fn list(&self, event: &str, market: ListedMarket) {
        let events = &mut self.known().events;
        if let Some(known) = events.iter_mut().find(|known| known.slug == event) {
            known.markets.push(market);
        } else {
            events.push(ListedEvent::new(event, vec![market]));
        }
    }

    /// The market of these tokens has ended.
    pub(super) fn end(&self, tokens: &[String], at: Duration) {
        let mut known = self.known();
        let markets = known.events.iter_mut().flat_map(|event| &mut event.markets);
        for market in markets.filter(|market| market.tokens.iter().any(|token| tokens.contains(token))) {
            end_at(&mut market.until, at);
        }
    }

    /// A venue lists these as well.
    pub(super) fn list_instruments(&self, listed: ListedInstruments) {
        self.known().instruments.extend(listed.each());
    }

    /// A venue trades these no more.
    pub(super) fn end_instruments(&self, venue: &str, ids: &[&str], at: Duration) {
        for instrument in &mut self.known().instruments {
            if instrument.venue == venue && ids.contains(&instrument.id.as_str()) {
                end_at(&mut instrument.until, at);
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The status and the body of the answer at that moment.
    fn tell(&self, path: &str, query: &Query, at: Duration) -> (u16, String) {
        let known = self.known();
        let of_polymarket = || {
            if let Some(slug) = path.strip_prefix("/events/slug/") {
                let event = known.events.iter().find(|event| event.slug == slug)?;
                return Some(event.json(at, self.behind).to_string());
            }
            let slug = path.strip_prefix("/markets/slug/")?;
            let mut markets = known.events.iter().flat_map(|event| &event.markets);
            let market = markets.find(|market| market.slug == slug && market.from <= at)?;
            Some(market.json(at, self.behind).to_string())
        };
        let of_another = || shapes::answer(path, query, &known.instruments, (at, self.page_size));
        of_polymarket()
            .map(|told| (200, told))
            .or_else(of_another)
            .unwrap_or_else(|| (404, UNKNOWN.to_owned()))
    }

    fn answer(&self, venue: &Venue, path: &str, query: &Query) -> Answer {
        let at = venue.log.elapsed();
        let number = self.requests.fetch_add(1, Relaxed) + 1;
        let (status, told) = self.tell(path, query, at);
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
                return Some(half(&told));
            }
            Fault::Status { code, headers, body } => (code, headers, body),
            Fault::RetryAfter { code, seconds, form } => (code, retry_after(seconds, form), String::new()),
            _ => (status, BTreeMap::new(), told),
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

/// It ends then, unless it has an earlier end.
fn end_at(until: &mut Option<Duration>, at: Duration) {
    *until = Some(until.map_or(at, |until| until.min(at)));
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
