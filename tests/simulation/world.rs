//! A world: hosts with their weather, streams with their consumers, and the one who looks at all of it.

use super::chance::{self, millis};
use super::consumer::{Consumer, Looks, virtual_moment};
use super::journal::Journal;
use super::ledger::Ledger;
use super::network::Host;
use super::promise::Promise;
use super::scrape::Scrape;
use super::stream::{self, build};
use super::traces::{self, Ids};
use super::weather::{self, Weather};
use feedwatch::metrics::{StreamCells, Streams};
use feedwatch::supervise::State;
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

const HOSTS: u8 = 4;
const STREAMS: usize = 24;
/// So long anything may happen, and in every twentieth world: long enough for an outage that outlasts a root of a trace.
const STORM: Duration = Duration::from_secs(180);
const LONG_STORM: Duration = Duration::from_secs(600);
/// The longest that a stream may need to come back: the longest cooldown with its jitter, a dial and a subscription that run
/// into their limits, a connection that has to be found dead; and a consumer that looks elsewhere when it clears up.
const RETURN: Duration = Duration::from_secs(90);
/// Then everything is stable after so long.
const SETTLE: Duration = Duration::from_secs(20);
/// The venue has let go of everything after so long.
const FAREWELL: Duration = Duration::from_secs(30);

/// What all seeds together must have brought about, or the weather is too kind.
pub(crate) const TO_BE_MET: &[&str] = &[
    "dns",
    "dns_timeout",
    "tcp_refused",
    "tcp_timeout",
    "tcp_reset",
    "tcp_unreachable",
    "http_status",
    "unauthorized",
    "rate_limited",
    "upgrade",
    "upgrade_timeout",
    "subscribe_rejected",
    "subscribe_timeout",
    "eof",
    "close_normal",
    "close_going_away",
    "close_policy",
    "close_server_error",
    "close_service_restart",
    "close_try_again",
    "close_other",
    "pong_timeout",
    "stale",
    "planned",
    "forced",
    "shutdown",
    "resource_limit",
    "idle",
    "probe",
    "forced attempt",
    "planned attempt",
    "renewed",
    "renewed, another one missing",
    "renewal failed",
    "renewal given up",
    "dial of a successor taken over",
    "several live connections",
    "trip by failures",
    "trip by a fatal error",
    "cooldown over",
    "reopening",
    "recovery",
    "reset by hand",
    "waited at the gate",
    "another endpoint",
    "outage of several roots",
    "root that was continued",
];

/// What became of a seed.
pub(crate) struct Account {
    pub(crate) seed: u64,
    pub(crate) history: Vec<String>,
    pub(crate) broken: Vec<String>,
    pub(crate) checked: Vec<u64>,
    pub(crate) met: BTreeMap<&'static str, u64>,
}

impl Account {
    /// What was broken, so many lines before it was, and how to see the rest.
    pub(crate) fn verdict(&self, tail: usize) -> String {
        let breach = self.broken.first().map_or("", String::as_str);
        let at = self.history.iter().position(|line| line == breach).unwrap_or(0);
        let before = self.history[at.saturating_sub(tail)..at].join("\n");
        format!(
            "{before}\n\nseed {}:\n{}\n\nAll of it: FEEDWATCH_SEED={} cargo test --test simulation -- --nocapture",
            self.seed,
            self.broken.join("\n"),
            self.seed
        )
    }
}

/// Lives through the world of a seed.
pub(crate) fn run(seed: u64) -> Account {
    // No I/O driver: a real socket would panic.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let journal = runtime.block_on(async {
        let journal = Arc::new(Journal::new());
        World::new(seed, journal.clone()).live().await;
        journal
    });
    let pages = journal.close();
    Account {
        seed,
        history: pages.history,
        broken: pages.broken,
        checked: pages.checked,
        met: pages.met,
    }
}

/// What the world keeps of a stream.
struct Resident {
    who: String,
    is_spread: bool,
    /// Where it has its endpoints.
    hosts: Vec<Arc<Host>>,
    cells: Arc<StreamCells>,
    ledger: Arc<Mutex<Ledger>>,
    wishes: Arc<Mutex<BTreeSet<String>>>,
    open: Arc<AtomicUsize>,
    life: JoinHandle<()>,
}

struct World {
    seed: u64,
    journal: Arc<Journal>,
    hosts: Vec<Arc<Host>>,
    skies: Vec<JoinHandle<()>>,
    shown: Streams,
    residents: Vec<Resident>,
    stop: CancellationToken,
    spans: InMemorySpanExporter,
    ids: Ids,
    _provider: SdkTracerProvider,
}

impl World {
    fn new(seed: u64, journal: Arc<Journal>) -> Self {
        let spans = InMemorySpanExporter::default();
        let ids = Ids::default();
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::AlwaysOn)
            .with_id_generator(ids.clone())
            .with_simple_exporter(spans.clone())
            .build();
        let tracer = Arc::new(BoxedTracer::new(Box::new(provider.tracer("feedwatch"))));
        let hosts: Vec<_> = (1..=HOSTS)
            .map(|number| Arc::new(Host::new(seed, number, journal.clone())))
            .collect();
        let mut world = Self {
            seed,
            skies: hosts
                .iter()
                .map(|host| tokio::spawn(pass(seed, host.clone())))
                .collect(),
            hosts,
            journal,
            shown: Streams::new(),
            residents: Vec::new(),
            stop: CancellationToken::new(),
            spans,
            ids,
            _provider: provider,
        };
        for number in 0..STREAMS {
            let resident = world.settle(number, &tracer);
            world.residents.push(resident);
        }
        world
    }

    /// A stream and its consumer.
    fn settle(&self, number: usize, tracer: &Arc<BoxedTracer>) -> Resident {
        let who = stream::name(number);
        let mut rng = chance::of(self.seed, &who);
        let hosts = self.hosts_of(number);
        let built = build(number, rng.u64(..), &hosts, &self.shown, tracer, &self.journal);
        let wishes = Arc::new(Mutex::default());
        let consumer = Consumer {
            number,
            who: who.clone(),
            stream: built.stream,
            cells: built.cells.clone(),
            ledger: built.ledger.clone(),
            hosts: hosts.clone(),
            journal: self.journal.clone(),
            rng,
            wishes: Arc::clone(&wishes),
            gap: false,
            last_frame: None,
            last_frames: BTreeMap::new(),
            replaced: Vec::new(),
            down: BTreeSet::new(),
            losses_told: BTreeMap::new(),
            compared: (0, 0),
            looks: Looks::default(),
        };
        let calm = self.journal.begun() + storm(self.seed);
        let is_spread = consumer.stream.is_spread();
        Resident {
            who,
            is_spread,
            hosts,
            cells: built.cells,
            ledger: built.ledger,
            wishes,
            open: built.open,
            life: tokio::spawn(consumer.run(calm, self.stop.clone())),
        }
    }

    /// Every second stream of the hosts that have gates has an alternative: the next of these hosts.
    fn hosts_of(&self, number: usize) -> Vec<Arc<Host>> {
        let first = number % self.hosts.len();
        let mut hosts = vec![self.hosts[first].clone()];
        let gated: Vec<_> = self.hosts.iter().filter(|host| host.gate.is_some()).collect();
        if first < gated.len() && (number / self.hosts.len()) % 2 == 1 {
            hosts.push(gated[(first + 1) % gated.len()].clone());
        }
        hosts
    }

    async fn live(mut self) {
        let mut rng = chance::of(self.seed, "scraper");
        let calm = self.journal.begun() + storm(self.seed);
        loop {
            let next = Instant::now() + millis(&mut rng, 10_000..60_000);
            if next >= calm {
                break;
            }
            sleep_until(next).await;
            self.scrape();
        }
        sleep_until(calm).await;
        for sky in self.skies.drain(..) {
            sky.await.unwrap();
        }
        for host in &self.hosts {
            host.calm_down();
        }
        sleep(RETURN + SETTLE).await;
        self.look_at_the_calm();
        self.scrape();

        self.stop.cancel();
        for resident in &mut self.residents {
            (&mut resident.life).await.unwrap();
        }
        sleep(FAREWELL).await;
        self.scrape();
        self.look_at_the_end();
    }

    fn scrape(&self) {
        let now = virtual_moment(self.journal.begun());
        let scrape = Scrape::take(&self.shown, now);
        for resident in &self.residents {
            let mut ledger = resident.ledger.lock().unwrap();
            ledger.settle(now.mono);
            scrape.compare(&self.journal, &resident.who, &ledger, self.journal.elapsed());
        }
    }

    /// It has been fine for long enough.
    fn look_at_the_calm(&self) {
        for (number, resident) in self.residents.iter().enumerate() {
            let ledger = resident.ledger.lock().unwrap();
            let wishes = resident.wishes.lock().unwrap();
            let sessions = |host: &Arc<Host>| -> Vec<_> { host.sessions.lock().unwrap().values().cloned().collect() };
            let mut of_stream: Vec<_> = resident.hosts.iter().flat_map(sessions).collect();
            of_stream.retain(|(stream, _)| *stream == number);
            // No two connections carry the same.
            let carried: usize = of_stream.iter().map(|(_, subscribed)| subscribed.len()).sum();
            let all: BTreeSet<_> = of_stream
                .iter()
                .flat_map(|(_, subscribed)| subscribed.clone())
                .collect();
            let state = if wishes.is_empty() { State::Idle } else { State::Live };
            let is_restored = all == *wishes
                && carried == wishes.len()
                && of_stream.len() == ledger.live()
                && ledger.state() == state
                && ledger.active() == wishes.len();
            self.journal.expect(Promise::Restored, is_restored, &resident.who, || {
                format!(
                    "it wants {wishes:?}, the venue has {of_stream:?}; {:?}, {} of {} active",
                    ledger.state(),
                    ledger.active(),
                    ledger.desired()
                )
            });
            // Of a stream that wants nothing nobody knows whether the venue is well.
            let is_well = ledger.state() == State::Idle || (ledger.breaker() == "closed" && ledger.failures() == 0);
            self.journal.expect(Promise::Recovered, is_well, &resident.who, || {
                format!(
                    "the breaker is {} after {} failures",
                    ledger.breaker(),
                    ledger.failures()
                )
            });
        }
    }

    /// All streams are closed.
    fn look_at_the_end(mut self) {
        let names: Vec<_> = self.residents.iter().map(|resident| resident.who.clone()).collect();
        let spans = self.spans.get_finished_spans().unwrap();
        let ledgers: Vec<_> = self
            .residents
            .iter()
            .map(|resident| resident.ledger.lock().unwrap())
            .collect();
        let books: Vec<&Ledger> = ledgers.iter().map(|ledger| &**ledger).collect();
        let scrape = Scrape::take(&self.shown, virtual_moment(self.journal.begun()));
        scrape.compare_outages(&self.journal, &books, &names);
        for (resident, ledger) in self.residents.iter().zip(&books) {
            let of_stream = traces::of_stream(&spans, &resident.who);
            traces::compare(&self.journal, &resident.who, &of_stream, ledger, resident.is_spread);
        }
        drop(ledgers);

        let begun = self.ids.spans();
        let left = |holds: bool, why: &dyn Fn() -> String| {
            self.journal.expect(Promise::NothingLeft, holds, "all", why);
        };
        left(begun == spans.len() as u64, &|| {
            format!("{begun} spans were begun, {} have ended", spans.len())
        });
        for host in &self.hosts {
            let (sockets, sessions) = (host.sockets.load(Relaxed), host.sessions.lock().unwrap().len());
            left((sockets, sessions) == (0, 0), &|| {
                format!("{} has {sockets} sockets and {sessions} sessions", host.name)
            });
        }
        let open: usize = self.residents.iter().map(|resident| resident.open.load(Relaxed)).sum();
        left(open == 0, &|| format!("the streams have {open} dials or sockets"));
        let tasks = Handle::current().metrics().num_alive_tasks();
        left(tasks == 0, &|| format!("{tasks} tasks are alive"));
        let held: Vec<_> = self
            .residents
            .drain(..)
            .map(|resident| Arc::downgrade(&resident.cells))
            .collect();
        let held = held.iter().filter(|cells| cells.strong_count() > 0).count();
        left(held == 0, &|| format!("{held} streams' figures are still held"));
        let after = Scrape::take(&self.shown, virtual_moment(self.journal.begun()));
        left(after.is_empty(), &|| "there are still series".into());
    }
}

const fn storm(seed: u64) -> Duration {
    if seed % 20 == 19 { LONG_STORM } else { STORM }
}

/// The weather passes over a host.
async fn pass(seed: u64, host: Arc<Host>) {
    let mut rng = chance::of(seed, &format!("weather of {}", host.name));
    for (at, weather) in weather::forecast(&mut rng, storm(seed)) {
        sleep_until(host.journal.begun() + at).await;
        if weather != Weather::Fine || host.now() != Weather::Fine {
            host.turn(weather);
        }
    }
}
