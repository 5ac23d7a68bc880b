//! The hosts, and the way to them.

use super::chance;
use super::journal::Journal;
use super::ledger::Ledger;
use super::promise::Promise;
use super::stream;
use super::venue::{self, Visit};
use super::weather::{Encounter, Weather};
use super::wire::{self, Latency, Link, Ticket, Wire};
use fastrand::Rng;
use feedwatch::stream::{DialGate, Dialler};
use feedwatch::supervise::DialLimit;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// How fast the first hosts may be dialled; the others have no gate.
const LIMITS: [DialLimit; 3] = [
    DialLimit {
        per_second: 2.0,
        burst: 1,
    },
    DialLimit {
        per_second: 1.0,
        burst: 4,
    },
    DialLimit {
        per_second: 10.0,
        burst: 10,
    },
];
/// `EMFILE`.
const OUT_OF_DESCRIPTORS: i32 = 24;

/// One machine with a venue on it.
pub(crate) struct Host {
    pub(crate) name: String,
    address: SocketAddr,
    /// Named first by the resolver, and of a family that leads nowhere.
    nowhere: SocketAddr,
    weather: Mutex<Weather>,
    /// Wakes in the order of waiting, which tokio's `watch` does not.
    changed: Notify,
    /// Nothing bad happens any more.
    calm: Mutex<bool>,
    latency: Arc<Latency>,
    usual_latency: u64,
    rng: Mutex<Rng>,
    links: Mutex<Vec<Link>>,
    servers: Mutex<Vec<AbortHandle>>,
    /// Sockets on the venue's side.
    pub(crate) sockets: Arc<AtomicUsize>,
    /// By connection: of which stream, and what it is subscribed to.
    pub(crate) sessions: Mutex<BTreeMap<u64, (usize, BTreeSet<String>)>>,
    arrivals: Mutex<u64>,
    /// What its streams share, if they do, and the most dials that may begin within a second.
    pub(crate) gate: Option<DialGate>,
    most_dials: usize,
    /// When each dial began, since the world did.
    dials: Mutex<Vec<Duration>>,
    /// When the weather turned last.
    turned: Mutex<Duration>,
    /// By connection that its client ended with a close frame: the frames that were sent on it.
    pub(crate) farewells: Mutex<BTreeMap<u64, u64>>,
    pub(crate) journal: Arc<Journal>,
}

impl Host {
    pub(crate) fn new(seed: u64, number: u8, journal: Arc<Journal>) -> Self {
        let name = format!("venue{number}.sim");
        let mut rng = chance::of(seed, &name);
        let usual_latency = rng.u64(1..80);
        let latency = Latency::default();
        latency.least.store(usual_latency, Relaxed);
        latency.spread.store(20, Relaxed);
        let limit = LIMITS.get(usize::from(number) - 1).copied();
        Self {
            name,
            address: ([192, 0, 2, number], 80).into(),
            nowhere: ([0x2001, 0xdb8, 0, 0, 0, 0, 0, number.into()], 80).into(),
            weather: Mutex::new(Weather::Fine),
            changed: Notify::new(),
            calm: Mutex::new(false),
            latency: Arc::new(latency),
            usual_latency,
            rng: Mutex::new(rng),
            links: Mutex::default(),
            servers: Mutex::default(),
            sockets: Arc::default(),
            sessions: Mutex::default(),
            // No two connections of any hosts have the same number.
            arrivals: Mutex::new(u64::from(number) * 1_000_000),
            gate: limit.map(DialGate::new),
            most_dials: limit.map_or(usize::MAX, most_in_a_second),
            dials: Mutex::default(),
            turned: Mutex::default(),
            farewells: Mutex::default(),
            journal,
        }
    }

    pub(crate) fn is_calm(&self) -> bool {
        *self.calm.lock().unwrap()
    }

    /// From now on the weather is fine, and no connection meets anything.
    pub(crate) fn calm_down(&self) {
        *self.calm.lock().unwrap() = true;
        self.turn(Weather::Fine);
    }

    /// The weather changes.
    pub(crate) fn turn(&self, weather: Weather) {
        self.journal.note(&self.name, format_args!("weather: {weather:?}"));
        let (least, spread) = if weather == Weather::Laggy {
            (self.usual_latency + 300, 2_500)
        } else {
            (self.usual_latency, 20)
        };
        self.latency.least.store(least, Relaxed);
        self.latency.spread.store(spread, Relaxed);
        let mut links = self.links.lock().unwrap();
        links.retain(Link::is_alive);
        for link in links.iter() {
            match weather {
                Weather::Down => link.reset(),
                Weather::Gone => link.lose(),
                _ => {}
            }
            link.block(weather == Weather::Parted);
        }
        drop(links);
        let mut servers = self.servers.lock().unwrap();
        servers.retain(|server| !server.is_finished());
        if weather == Weather::Gone {
            for server in servers.drain(..) {
                server.abort();
            }
        }
        drop(servers);
        *self.weather.lock().unwrap() = weather;
        *self.turned.lock().unwrap() = self.journal.elapsed();
        self.changed.notify_waiters();
    }

    /// What is the matter right now.
    pub(crate) fn now(&self) -> Weather {
        *self.weather.lock().unwrap()
    }

    /// Whether nothing has held up a packet for so long.
    pub(crate) fn is_fine_for(&self, time: Duration) -> bool {
        let since = *self.turned.lock().unwrap();
        self.now() == Weather::Fine && self.journal.elapsed().saturating_sub(since) >= time
    }

    async fn until_it_changes(&self) {
        self.changed.notified().await;
    }

    async fn one_way(&self) {
        let latency = self.latency.draw(&mut self.rng.lock().unwrap());
        sleep(latency).await;
    }

    /// Packets are lost, or a router says so.
    async fn lead_nowhere<T>(&self) -> io::Result<T> {
        self.one_way().await;
        let is_told = self.rng.lock().unwrap().bool();
        if is_told {
            return Err(io::ErrorKind::NetworkUnreachable.into());
        }
        std::future::pending().await
    }

    /// A dial begins. Returns how many have, within the second that ends with it.
    fn count_dial(&self) -> usize {
        let now = self.journal.elapsed();
        let mut dials = self.dials.lock().unwrap();
        dials.push(now);
        let is_recent = |at: &&Duration| now.saturating_sub(**at) < Duration::from_secs(1);
        dials.iter().rev().take_while(is_recent).count()
    }

    /// Lays a connection to a new session, and returns the near end.
    fn accept(self: &Arc<Self>, stream: usize, tickets: [Ticket; 2]) -> Wire {
        let mut rng = self.rng.lock().unwrap();
        let encounter = if self.is_calm() {
            Encounter::NOTHING
        } else {
            Encounter::draw(&mut rng, self.now())
        };
        let (near, far, link) = wire::lay(&self.latency, &mut rng, tickets, [Ticket::new(&self.sockets)]);
        let own = Rng::with_seed(rng.u64(..));
        drop(rng);
        self.links.lock().unwrap().push(link);
        let mut arrivals = self.arrivals.lock().unwrap();
        *arrivals += 1;
        let number = *arrivals;
        drop(arrivals);
        self.journal.note(
            &self.name,
            format_args!("connection {number}, of {}, meets {encounter:?}", stream::name(stream)),
        );
        let visit = Visit {
            host: self.clone(),
            stream,
            number,
            encounter,
            rng: own,
        };
        let server = tokio::spawn(venue::serve(visit, far));
        self.servers.lock().unwrap().push(server.abort_handle());
        near
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number")]
fn most_in_a_second(limit: DialLimit) -> usize {
    (limit.per_second.ceil() as usize).max(limit.burst as usize)
}

/// The way of one connection to its hosts, and of what takes over from it.
pub(crate) struct Way {
    /// Where it has its endpoints, in their order.
    pub(crate) hosts: Vec<Arc<Host>>,
    pub(crate) stream: usize,
    pub(crate) connection: u32,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    /// Its dials under way and its sockets.
    pub(crate) own: Arc<AtomicUsize>,
    /// Those of the stream.
    pub(crate) open: Arc<AtomicUsize>,
}

impl Way {
    fn begin(&self, host: &Host) {
        let journal = &host.journal;
        journal.note(&host.name, format_args!("{} dials", stream::name(self.stream)));
        let who = stream::name(self.stream);
        let (dials, most) = (host.count_dial(), host.most_dials);
        journal.expect(Promise::DialRate, dials <= most, &host.name, || {
            format!("{dials} dials within a second, and {most} are allowed")
        });
        let own = self.own.load(Relaxed);
        let mut ledger = self.ledger.lock().unwrap();
        ledger.dial_begins(self.connection, journal, &who, &host.name, own);
    }
}

impl Dialler for Way {
    type Io = Wire;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let host = self.hosts.iter().find(|one| one.name == host).unwrap();
        assert_eq!(port, host.address.port());
        self.begin(host);
        let _open = [&self.own, &self.open].map(Ticket::new);
        loop {
            match host.now() {
                Weather::NoName => return Err(io::Error::other("no such name")),
                Weather::NoDescriptors => return Err(io::Error::from_raw_os_error(OUT_OF_DESCRIPTORS)),
                Weather::MuteResolver => host.until_it_changes().await,
                _ => break,
            }
        }
        host.one_way().await;
        Ok(vec![host.nowhere, host.address])
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Wire> {
        let mut hosts = self.hosts.iter();
        let host = hosts
            .find(|host| [host.address, host.nowhere].contains(&address))
            .unwrap();
        let tickets = [&self.own, &self.open].map(Ticket::new);
        if address == host.nowhere {
            return host.lead_nowhere().await;
        }
        loop {
            host.one_way().await;
            match host.now() {
                Weather::Down => return Err(io::ErrorKind::ConnectionRefused.into()),
                Weather::NoRoute => return Err(io::ErrorKind::HostUnreachable.into()),
                // What was sent is lost, and sent again.
                Weather::Gone | Weather::Parted => host.until_it_changes().await,
                Weather::SlowAccept => {
                    let wait = chance::millis(&mut host.rng.lock().unwrap(), 500..9_000);
                    sleep(wait).await;
                    return Ok(host.accept(self.stream, tickets));
                }
                _ => return Ok(host.accept(self.stream, tickets)),
            }
        }
    }
}
