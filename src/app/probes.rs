//! The probes that `/probe` is asked for: who may be probed, through which gate, and how many at once.

use super::running::Ways;
use super::trust::Trusts;
use crate::config::{self, AccessConfig, Config, NoBareModule, ProbeConfig, ProbeModule, TransportConfig, VenueConfig};
use crate::exporter::{NoProbe, Prober, Probing};
use crate::probe::{Probe, ProbeReport};
use crate::stream::{DialGate, Endpoint, TcpDialler, TransportOptions};
use crate::supervise::DialLimit;
use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::spawn_blocking;
use tracing::{error, info};

/// What is asked for is repeated up to so many characters.
const SHOWN: usize = 80;

/// Makes probes by the configuration in force.
#[derive(Default)]
pub(super) struct Probes {
    /// `None` until the service has started.
    table: Mutex<Option<Arc<Table>>>,
    under_way: Arc<AtomicUsize>,
}

/// What probes are made with.
struct Table {
    config: ProbeConfig,
    /// Those that are described, beside those that are built in.
    venues: Vec<VenueConfig>,
    /// How a venue is reached of which no module tells.
    access: AccessConfig,
    transport: TransportConfig,
    ways: Ways,
    trusts: Mutex<Trusts>,
    /// Of addresses that no stream and no module has: one for all of them, since nobody knows how many there will be.
    elsewhere: (TcpDialler, DialGate),
}

/// A probe that may be made.
struct Plan {
    module: ProbeModule,
    endpoint: Endpoint,
}

/// Where probes may lead without anybody naming an address, and how fast that host may be dialled.
pub(super) fn probed(config: &Config) -> Vec<(Endpoint, DialLimit)> {
    let modules = config.probe.modules.values();
    let modules = modules.map(|module| (module.endpoint.clone(), module.venue.limits().dial));
    let venues = config::venues(&config.venues).filter_map(|venue| {
        let own = Endpoint::parse(venue.default_url()).ok()?;
        Some((own, venue.limits().dial))
    });
    modules.chain(venues).collect()
}

impl Probes {
    /// Follows a configuration from now on.
    pub(super) fn follow(&self, config: &Config, ways: Ways, trusts: Trusts) {
        let slowest = DialLimit {
            per_second: 1.0,
            burst: 1,
        };
        let elsewhere = DialGate::new(slowest.or_set(config.dial.per_second, config.dial.burst));
        let table = Table {
            config: config.probe.clone(),
            venues: config.venues.clone(),
            access: config.access.clone(),
            transport: config.transport.clone(),
            elsewhere: (ways.elsewhere(), elsewhere),
            ways,
            trusts: Mutex::new(trusts),
        };
        *self.table.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(table));
    }

    fn place(&self, most: usize) -> Option<Place> {
        let one_more = |taken: usize| (taken < most).then(|| taken + 1);
        self.under_way.fetch_update(SeqCst, SeqCst, one_more).ok()?;
        Some(Place(Arc::clone(&self.under_way)))
    }
}

impl fmt::Debug for Probes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probes")
            .field("under_way", &self.under_way)
            .finish_non_exhaustive()
    }
}

impl Prober for Probes {
    fn probe(&self, target: Option<&str>, module: Option<&str>, limit: Option<Duration>) -> Result<Probing, NoProbe> {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let table = table.ok_or(NoProbe::Busy)?;
        let plan = table.plan(target, module).map_err(NoProbe::Refused)?;
        let place = self.place(table.config.max_concurrent).ok_or(NoProbe::Busy)?;
        let time = limit.map_or(plan.module.timeout, |limit| limit.min(plan.module.timeout));
        Ok(Box::pin(async move {
            // A task of its own: a scraper that goes away cuts no connection off.
            let probing = tokio::spawn(async move {
                let report = table.run(plan, time).await;
                drop(place);
                report
            });
            probing.await.ok().flatten()
        }))
    }
}

impl Table {
    /// What is asked for, or in words why not.
    fn plan(&self, target: Option<&str>, module: Option<&str>) -> Result<Plan, String> {
        let found = module.map(|name| self.module(name)).transpose()?;
        let url = target.filter(|target| target.contains("://"));
        let named = target.filter(|_| url.is_none());
        let named = named.map(|name| self.bare(name)).transpose()?;
        if let (Some(name), Some(module), Some(bare)) = (module, &found, &named)
            && bare.venue != module.venue
        {
            let (asked, its) = (bare.venue.name(), module.venue.name());
            return Err(format!("module {name} is of the venue {its}, and target of {asked}"));
        }
        let module = match (found, named) {
            (Some(module), _) => module.clone(),
            (None, Some(bare)) => bare,
            (None, None) if url.is_some() => {
                return Err(
                    "a target that is an address needs a module, which says whose protocol is spoken there".into(),
                );
            }
            (None, None) => return Err("target or module is missing: /probe?target=VENUE&module=NAME".into()),
        };
        let endpoint = match url {
            Some(url) => self.elsewhere(url, &module)?,
            None => module.endpoint.clone(),
        };
        Ok(Plan { module, endpoint })
    }

    fn bare(&self, venue: &str) -> Result<ProbeModule, String> {
        let told = |mut none: NoBareModule| {
            if let NoBareModule::Venue(unknown) = &mut none {
                unknown.name = unknown.name.chars().take(SHOWN).collect();
            }
            none.to_string()
        };
        ProbeModule::bare(venue, &self.venues, self.access.clone()).map_err(told)
    }

    fn module(&self, name: &str) -> Result<&ProbeModule, String> {
        let modules = &self.config.modules;
        modules.get(name).ok_or_else(|| {
            let names: Vec<_> = modules.keys().map(String::as_str).collect();
            let names = if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            };
            format!("no module is called {}; there are: {names}", shown(name))
        })
    }

    /// An address that was named. It is not repeated: it may hold a secret.
    fn elsewhere(&self, url: &str, module: &ProbeModule) -> Result<Endpoint, String> {
        let endpoint =
            Endpoint::parse(url).map_err(|error| format!("target {error}; an address is {}", Endpoint::FORM))?;
        if endpoint.is_same(&module.endpoint) {
            return Ok(endpoint);
        }
        if !self.config.allow_urls {
            return Err("target is not the address of that module, and [probe] allow_urls is false".into());
        }
        let access = &module.access;
        if !access.headers.is_empty() || access.key.is_some() || access.tls.identity.is_some() {
            return Err("that module has headers, a key or a certificate, which are for its own address alone".into());
        }
        Ok(endpoint)
    }

    async fn run(self: Arc<Self>, plan: Plan, time: Duration) -> Option<ProbeReport> {
        let Plan { module, endpoint } = plan;
        let known = self.ways.to(&endpoint);
        let is_known = known.is_some();
        let (dialler, gate) = known.unwrap_or_else(|| self.elsewhere.clone());
        let (table, of_tls, access) = (Arc::clone(&self), endpoint.is_tls(), module.access.clone());
        // The system's authorities are files, and many.
        let access = spawn_blocking(move || {
            let mut trusts = table.trusts.lock().unwrap_or_else(PoisonError::into_inner);
            trusts.access_of(&access, of_tls)
        });
        let access = match access.await.ok()? {
            Ok(access) => access,
            Err(error) => {
                error!(%error, "cannot set up TLS for a probe");
                return None;
            }
        };
        let probe = Probe {
            venue: module.venue,
            endpoint,
            instruments: module.instruments,
            feed: module.feed,
            access,
            gate: Some(gate.clone()),
            time,
            frames: module.frames,
            transport: options(&self.transport),
        };
        let report = Box::pin(probe.run(dialler)).await;
        // A venue that asks for rest means the streams of its host as well; of an address that somebody named, who knows.
        let asked = report.failure.as_ref().and_then(|failure| failure.retry_after);
        if let Some(asked) = asked.filter(|_| is_known) {
            let rest = gate.rest(asked);
            info!(
                address = report.endpoint.host(),
                rest_ms = rest.as_millis(),
                "a probe was asked for rest: the streams of its host wait"
            );
        }
        Some(report)
    }
}

/// The figures of the connection of a probe that is of no stream.
pub(super) fn options(transport: &TransportConfig) -> TransportOptions {
    TransportOptions {
        connect_attempt_delay: transport.connect_attempt_delay,
        send_timeout: transport.send_timeout,
        close_timeout: transport.close_timeout,
        max_message_bytes: transport.max_message_bytes,
        read_buffer_bytes: transport.read_buffer_bytes,
        ..TransportOptions::default()
    }
}

fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(SHOWN).collect::<String>())
}

/// One of the probes under way.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}
