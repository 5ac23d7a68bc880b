//! A probe: one look at a venue, with all that can be measured of one connection, and in words what is wrong.
//!
//! It connects once, through the gate of the host where there is one, subscribes, receives until it has seen enough or its time
//! is over, and closes. Nothing is redialled, and nothing is counted among the streams.
//!
//! ```
//! use feedwatch::market::Instrument;
//! use feedwatch::probe::{Advice, Probe, Verdict};
//! use feedwatch::sim::{SimOptions, SimulatedVenue};
//! use feedwatch::stream::{Access, Endpoint, TcpDialler, TlsTrust, TransportOptions};
//! use feedwatch::venue::{Feed, Polymarket};
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let venue = SimulatedVenue::start(SimOptions::default()).unwrap();
//! let probe = Probe {
//!     venue: (&Polymarket).into(),
//!     endpoint: Endpoint::parse(&venue.url()).unwrap(),
//!     instruments: vec![Instrument::new("71")],
//!     feed: Feed::default(),
//!     access: Access::new(TlsTrust::only([]).unwrap()),
//!     gate: None,
//!     time: Duration::from_secs(10),
//!     frames: 1,
//!     transport: TransportOptions::default(),
//! };
//! let report = probe.run(TcpDialler::default()).await;
//! assert_eq!(report.verdict, Verdict::Well);
//! assert_eq!(report.status, Some(101));
//! assert!(report.round_trip.is_some() && Advice::on(&report).is_none());
//! # }
//! ```

mod advice;
mod facts;
pub mod metrics;
mod report;
mod run;

pub use advice::Advice;
pub use report::{LookUp, ProbeReport, SeenEvent, SeenFrame, Verdict};
pub use run::Probe;
