//! How a simulated venue is to be.

use super::{RestOptions, Script, Traffic};
use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};

/// How a simulated venue is to be.
#[derive(Clone, Debug)]
pub struct SimOptions {
    /// Where it listens; port 0 = any free one.
    pub listen: SocketAddr,
    /// Whether it serves `wss`, with certificates that an authority of its own has signed: [`SimulatedVenue::authority`](super::SimulatedVenue::authority).
    pub tls: bool,
    /// Whether it wants a certificate from each client, as [`SimulatedVenue::client`](super::SimulatedVenue::client) is one; with TLS only.
    pub client_certificates: bool,
    /// A header that each client has to send, name and value; others are answered with 401.
    pub required_header: Option<(String, String)>,
    /// What it sends.
    pub traffic: Traffic,
    /// Whether what it sends is all that it says, in whatever protocol that was recorded: whatever a client says first, at
    /// whatever path, begins the recording, which brings the answers along. Nothing else is answered.
    pub as_recorded: bool,
    /// Which connection meets which fault.
    pub script: Script,
    /// Decides the generated markets and their walk.
    pub seed: u64,
    /// Tokens that it leaves out: never known, or ended. All others that can be token ids are known.
    pub unknown: HashSet<String>,
    /// Its REST part, at which names are looked up; `None` = it has none.
    pub rest: Option<RestOptions>,
}

impl Default for SimOptions {
    /// Any free port on loopback without TLS, ten events a second, no faults.
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            tls: false,
            client_certificates: false,
            required_header: None,
            traffic: Traffic::Generated {
                events_per_second: 10.0,
            },
            as_recorded: false,
            script: Script::default(),
            seed: 0,
            unknown: HashSet::new(),
            rest: None,
        }
    }
}

impl SimOptions {
    /// What makes no sense about them.
    pub fn problem(&self) -> Option<String> {
        let needs_tls = || {
            let rule = self.script.needs_tls().filter(|_| !self.tls)? + 1;
            Some(format!("rule {rule}: fault.tls: the venue must serve TLS"))
        };
        let plain = || {
            let is_wanted = self.client_certificates && !self.tls;
            is_wanted.then(|| "client certificates: the venue must serve TLS".to_owned())
        };
        let recorded = || {
            let is_recorded = matches!(self.traffic, Traffic::Replay { .. });
            (self.as_recorded && !is_recorded).then(|| "as recorded: there is no recording".to_owned())
        };
        let of_rest = || self.rest.as_ref().and_then(RestOptions::problem);
        self.script
            .problem()
            .or_else(recorded)
            .or_else(of_rest)
            .or_else(|| self.traffic.problem())
            .or_else(needs_tls)
            .or_else(plain)
    }
}
