//! What lies between a stream and its venue, and what both show of each other: proxies, headers, certificates. Each fault has its
//! cause on the counter and on the span, the step that follows, and leaves nothing behind.

#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::float_cmp,
    reason = "tests: helpers may fail the test, too; counts are exact"
)]

#[path = "support/proxy.rs"]
mod proxy;
mod support;

use feedwatch::market::MarketEvent;
use feedwatch::sim::{Fault, Rule, SimOptions, SimulatedVenue};
use feedwatch::stream::{
    Access, Authorities, ClientIdentity, MarketDataStream, Proxy, ProxyProtocol, TcpDialler, TlsTrust, UpgradeHeaders,
};
use proxy::{Manner, TestProxy};
use rcgen::{CertificateParams, KeyPair};
use std::time::Duration;
use support::Scrape;
use support::aftermath::leaves_nothing_behind;
use support::metered::Metered;
use support::rig::Rig;
use support::rows::{self, fails_once_and_recovers, options, policy, trips_at_once};

const BOTH: [ProxyProtocol; 2] = [ProxyProtocol::Http, ProxyProtocol::Socks5];
const USER: (&str, &str) = ("somebody", "hunter2");
/// A path of Polymarket's.
const PATH: &str = "/ws/market";

fn plain_venue() -> SimulatedVenue {
    SimulatedVenue::start(SimOptions::default()).unwrap()
}

fn tls_venue(client_certificates: bool) -> SimulatedVenue {
    SimulatedVenue::start(SimOptions {
        tls: true,
        client_certificates,
        ..SimOptions::default()
    })
    .unwrap()
}

fn trusting(venue: &SimulatedVenue) -> TlsTrust {
    let authority = venue.authority().unwrap().pem();
    TlsTrust::authorities(&Authorities::from_pem(authority.as_bytes()).unwrap()).unwrap()
}

fn nobody() -> TlsTrust {
    TlsTrust::only([]).unwrap()
}

fn through(proxy: &TestProxy) -> Access {
    Access {
        proxy: Some(Proxy::parse(&proxy.url()).unwrap()),
        ..Access::new(nobody())
    }
}

async fn dial(url: &str, access: Access) -> Rig {
    Rig::bringing(url, policy(), options(), access, TcpDialler::default()).await
}

/// The value of an attribute of the first span of that name.
fn attribute(rig: &Rig, span: &str, key: &str) -> String {
    let spans = rig.spans(span);
    let pairs = spans
        .first()
        .unwrap_or_else(|| panic!("no span {span}"))
        .attributes
        .iter();
    let mut found = pairs.filter(|pair| pair.key.as_str() == key);
    found
        .next()
        .unwrap_or_else(|| panic!("no {key} of {span}"))
        .value
        .to_string()
}

/// Why the first attempt failed, in words: the status of its span.
fn detail(rig: &Rig) -> String {
    format!("{:?}", rig.spans("stream.connect")[0].status)
}

#[tokio::test]
async fn tls_runs_through_a_proxy_with_the_venues_name() {
    leaves_nothing_behind(async || {
        for protocol in BOTH {
            let venue = tls_venue(false);
            let proxy = TestProxy::start(protocol, venue.address(), &[]).await;
            let port = venue.address().port();
            let access = Access {
                trust: trusting(&venue),
                ..through(&proxy)
            };
            let mut rig = dial(&format!("wss://localhost:{port}{PATH}"), access).await;
            let scrape = rig.until_live().await;
            assert_eq!(proxy.asked(), [format!("localhost:{port}")]);
            for phase in ["resolve", "connect", "proxy", "tls", "upgrade", "subscribe"] {
                let count = scrape.sum("feedwatch_connect_duration_seconds_count", &[("phase", phase)]);
                assert_eq!(count, 1.0, "{protocol:?} {phase}");
            }
            let own = [("server_address", "localhost")];
            assert_eq!(scrape.sum("feedwatch_stream_info", &own), 1.0);
            // The server is the venue all along; the peer is whoever is at the other end of the socket.
            for span in ["proxy.connect", "tls.handshake", "GET"] {
                assert_eq!(
                    attribute(&rig, span, "server.address"),
                    "localhost",
                    "{protocol:?} {span}"
                );
                assert_eq!(
                    attribute(&rig, span, "server.port"),
                    port.to_string(),
                    "{protocol:?} {span}"
                );
                let peer = attribute(&rig, span, "network.peer.port");
                assert_eq!(peer, proxy.address().port().to_string(), "{protocol:?} {span}");
            }
            rig.stream.close().await;
            venue.shutdown().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_proxy_resolves_names_that_nobody_here_knows() {
    leaves_nothing_behind(async || {
        for protocol in BOTH {
            let venue = plain_venue();
            let proxy = TestProxy::start(protocol, venue.address(), &[]).await;
            for (host, asked) in [
                ("venue.invalid", "venue.invalid:80"),
                ("192.0.2.7:81", "192.0.2.7:81"),
                (
                    "[2001:db8::7]:82",
                    if protocol == ProxyProtocol::Http {
                        "[2001:db8::7]:82"
                    } else {
                        "2001:db8::7:82"
                    },
                ),
            ] {
                let mut rig = dial(&format!("ws://{host}{PATH}"), through(&proxy)).await;
                rig.until_live().await;
                assert_eq!(proxy.asked().pop().unwrap(), asked, "{protocol:?}");
                rig.stream.close().await;
            }
            venue.shutdown().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_proxy_that_behaves_badly_costs_an_attempt_with_its_own_cause() {
    leaves_nothing_behind(async || {
        for protocol in BOTH {
            for manner in Manner::BAD {
                let venue = plain_venue();
                let proxy = TestProxy::start(protocol, venue.address(), &[manner]).await;
                let mut rig = dial(&venue.url(), through(&proxy)).await;
                let what = format!("{protocol:?} {manner:?}");
                fails_once_and_recovers(&mut rig, "proxy", &what).await;
                let failed = &rig.spans("proxy.connect")[0];
                let told = failed.attributes.iter().find(|pair| pair.key.as_str() == "error.type");
                assert_eq!(told.unwrap().value.to_string(), "proxy", "{what}");
                let words = detail(&rig);
                let expected = match (protocol, manner) {
                    (_, Manner::Good) => unreachable!(),
                    (_, Manner::Hangs) => "not finished within its time limit",
                    (_, Manner::Cuts) => "the proxy ended the connection before it had answered",
                    (ProxyProtocol::Http, Manner::Refuses) => "the proxy answered 403 Forbidden",
                    (ProxyProtocol::Http, Manner::Unreachable) => "the proxy answered 502 Bad Gateway",
                    (ProxyProtocol::Http, Manner::Garbage) => "the proxy does not answer with HTTP",
                    (ProxyProtocol::Http, Manner::Floods) => "the proxy answered with more than 8192 bytes of headers",
                    (ProxyProtocol::Socks5, Manner::Refuses) => {
                        "the proxy has a rule that does not allow this connection"
                    }
                    (ProxyProtocol::Socks5, Manner::Unreachable) => "the proxy cannot reach the venue's host",
                    (ProxyProtocol::Socks5, _) => "the proxy does not answer as SOCKS5 does",
                };
                assert!(words.contains(expected), "{what}: {words}");
                rig.stream.close().await;
                venue.shutdown().await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn of_an_answer_without_end_no_more_is_read_than_is_allowed() {
    leaves_nothing_behind(async || {
        for protocol in BOTH {
            let venue = plain_venue();
            let proxy = TestProxy::start(protocol, venue.address(), &[Manner::Floods; 99]).await;
            let dialler = Metered::default();
            let mut rig = Rig::bringing(&venue.url(), policy(), options(), through(&proxy), dialler.clone()).await;
            let failed = |scrape: &Scrape| scrape.sum("feedwatch_connect_failures_total", &[("cause", "proxy")]) >= 1.0;
            let scrape = rig.until("a failed attempt", failed).await;
            let attempts = scrape.sum("feedwatch_connect_attempts_total", &[]);
            assert!(
                dialler.read() as f64 <= attempts * 8192.0,
                "{protocol:?}: {} bytes",
                dialler.read()
            );
            rig.stream.close().await;
            venue.shutdown().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_proxy_wants_to_know_who_asks() {
    leaves_nothing_behind(async || {
        for protocol in BOTH {
            let venue = plain_venue();
            let proxy = TestProxy::asked_by(protocol, venue.address(), Some(USER), &[]).await;
            let url = venue.url();
            let asking = |password: Option<&str>| {
                let address = Proxy::parse(&proxy.url()).unwrap();
                let asked = match password {
                    Some(password) => address.with_credentials(USER.0, password).unwrap(),
                    None => address,
                };
                dial(
                    &url,
                    Access {
                        proxy: Some(asked),
                        ..Access::new(nobody())
                    },
                )
            };
            let mut rig = asking(Some(USER.1)).await;
            rig.until_live().await;
            rig.stream.close().await;
            assert_eq!(proxy.asked(), [venue.address().to_string()]);

            for (password, told) in [
                (Some("s3cret"), "does not take this user name and password"),
                (None, "wants a user name and a password"),
            ] {
                let mut rig = asking(password).await;
                // Wrong ones do not heal by redialling; a proxy that has forgotten its users for a while does.
                let failed =
                    |scrape: &Scrape| scrape.sum("feedwatch_connect_failures_total", &[("cause", "proxy")]) >= 2.0;
                let scrape = rig.until("redialled", failed).await;
                assert_eq!(scrape.sum("feedwatch_breaker_trips_total", &[]), 0.0);
                assert_eq!(rig.error_types()[0], "proxy");
                let told_in_full = detail(&rig);
                assert!(told_in_full.contains(told), "{protocol:?}: {told_in_full}");
                let everything = format!("{:?}", rig.spans("stream.connect"));
                assert!(
                    !everything.contains("s3cret") && !everything.contains(USER.0),
                    "{everything}"
                );
                rig.stream.close().await;
            }
            venue.shutdown().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_told_from_a_venue_that_is_not() {
    leaves_nothing_behind(async || {
        let venue = plain_venue();
        let closed = rows::venue(vec![Rule::during(
            Duration::ZERO,
            Duration::from_secs(3600),
            Fault::Refuse,
        )]);
        for (proxy, cause, told) in [
            (
                format!("http://{}", closed.address()),
                "tcp_refused",
                "on the way to the proxy: Connection refused",
            ),
            (
                "socks5://proxy.invalid:1080".to_owned(),
                "dns",
                "on the way to the proxy: ",
            ),
        ] {
            let access = Access {
                proxy: Some(Proxy::parse(&proxy).unwrap()),
                ..Access::new(nobody())
            };
            let mut rig = dial(&venue.url(), access).await;
            let failed = |scrape: &Scrape| scrape.sum("feedwatch_connect_failures_total", &[("cause", cause)]) >= 1.0;
            rig.until(cause, failed).await;
            assert!(detail(&rig).contains(told), "{}", detail(&rig));
            assert_eq!(
                venue
                    .log()
                    .entries()
                    .iter()
                    .filter(|entry| entry.connection > 0)
                    .count(),
                0
            );
            rig.stream.close().await;
        }
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn a_connection_through_a_proxy_ends_with_it() {
    leaves_nothing_behind(async || {
        let venue = plain_venue();
        let proxy = TestProxy::start(ProxyProtocol::Http, venue.address(), &[]).await;
        let mut rig = dial(&venue.url(), through(&proxy)).await;
        rig.until_live().await;
        drop(proxy);
        let lost = |scrape: &Scrape| scrape.sum("feedwatch_disconnects_total", &[]) == 1.0;
        let scrape = rig.until("lost", lost).await;
        let cause = scrape.nonzero("feedwatch_disconnects_total", "cause");
        assert!(cause == ["eof"] || cause == ["tcp_reset"], "{cause:?}");
        assert!(
            rig.events
                .iter()
                .any(|event| matches!(event, MarketEvent::Disconnected { .. }))
        );
        rig.stream.close().await;
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn a_venue_that_wants_a_certificate_takes_its_own_clients_alone() {
    leaves_nothing_behind(async || {
        let venue = tls_venue(true);
        let client = venue.client().unwrap();
        let own = ClientIdentity::from_pem(client.certificate().as_bytes(), client.key().as_bytes()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::default().self_signed(&key).unwrap().pem();
        let stranger = ClientIdentity::from_pem(certificate.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        let mut rig = dial(&venue.url(), Access::new(trusting(&venue).with_identity(&own).unwrap())).await;
        rig.until_live().await;
        rig.stream.close().await;
        let nobody = trusting(&venue);
        let stranger = nobody.clone().with_identity(&stranger).unwrap();
        // In TLS 1.3 the refusal comes after the handshake. What this side has to mend is no cause for redials.
        for (what, trust) in [("none", nobody), ("a stranger's", stranger)] {
            // Whether the request has left by then is a race: each way is met by some of these.
            for _ in 0..10 {
                let mut rig = dial(&venue.url(), Access::new(trust.clone())).await;
                trips_at_once(&mut rig, "tls_certificate", what).await;
                let told = detail(&rig);
                assert!(
                    told.contains("the venue does not take this side's certificate, or wants one"),
                    "{told}"
                );
                rig.stream.close().await;
            }
        }
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn other_authorities_stand_instead_of_the_systems() {
    leaves_nothing_behind(async || {
        let (venue, stranger) = (tls_venue(false), tls_venue(false));
        let mut rig = dial(&venue.url(), Access::new(trusting(&venue))).await;
        rig.until_live().await;
        rig.stream.close().await;
        let mut rig = dial(&venue.url(), Access::new(trusting(&stranger))).await;
        trips_at_once(&mut rig, "tls_certificate", "another authority").await;
        rig.stream.close().await;
        venue.shutdown().await;
        stranger.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn headers_go_to_the_venue_with_the_upgrade() {
    leaves_nothing_behind(async || {
        let venue = SimulatedVenue::start(SimOptions {
            required_header: Some(("x-api-key".to_owned(), "hunter2".to_owned())),
            ..SimOptions::default()
        })
        .unwrap();
        let proxy = TestProxy::start(ProxyProtocol::Http, venue.address(), &[]).await;
        let with_key = |key| Access {
            headers: UpgradeHeaders::new([("X-Api-Key", key)]).unwrap(),
            ..through(&proxy)
        };
        let mut rig = dial(&venue.url(), with_key("hunter2")).await;
        rig.until_live().await;
        let everything: Vec<_> = ["stream.outage", "stream.connect", "GET"]
            .map(|name| rig.spans(name))
            .concat();
        assert!(!format!("{everything:?}").contains("hunter2"), "{everything:?}");
        rig.stream.close().await;
        let mut rig = dial(&venue.url(), with_key("another")).await;
        trips_at_once(&mut rig, "unauthorized", "another key").await;
        rig.stream.close().await;
        venue.shutdown().await;
    })
    .await;
}
