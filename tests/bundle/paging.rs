//! Who is woken, how often, and with what words: the service, the simulated venue and the shipped configuration, with the real
//! Prometheus and Alertmanager.

use crate::dashboards::{Dashboard, dashboards};
use crate::harness::{Service, busy, closed_venue, config, eventually, venue};
use crate::prometheus::Prometheus;
use crate::repository::root;
use crate::stack::{Alert, Notified, Stack};
use feedwatch::exporter::rfc3339;
use feedwatch::sim::{Fault, Rule, SimOptions, SimulatedVenue, Traffic};
use std::collections::BTreeSet;
use std::time::Duration;

/// A scrape every half second, a page after one, five minutes in ten seconds.
const SPEED: u32 = 30;

/// A dial every now and then, and never a trip.
const PATIENT: &str = "initial_delay_ms = 300, max_delay_ms = 300, max_consecutive_failures = 1000";

fn is_page(notified: &Notified) -> bool {
    notified.to == "page"
}

fn has(notified: &Notified, name: &str) -> bool {
    notified.alerts.iter().any(|alert| alert.name() == name)
}

/// Every alert of the wanted name has the links that it should have: to a dashboard and a runbook that are shipped.
fn assert_links_lead_somewhere(alert: &Alert) {
    let dashboards = dashboards();
    let uids: BTreeSet<_> = dashboards.iter().map(Dashboard::uid).collect();
    let dashboard = &alert.annotations["dashboard_url"];
    let path = dashboard.strip_prefix("http://127.0.0.1:3000/d/").unwrap();
    let (uid, variables) = path.split_once('?').unwrap();
    assert!(uids.contains(uid), "{dashboard} is none of {uids:?}");
    let variables: BTreeSet<_> = variables.split('&').collect();
    for (name, value) in &alert.labels {
        if ["job", "venue", "stream"].contains(&name.as_str()) {
            assert!(
                variables.contains(&*format!("var-{name}={value}")),
                "{dashboard}: {name}"
            );
        }
    }
    let (_, runbook) = alert.annotations["runbook_url"].rsplit_once('/').unwrap();
    assert_eq!(runbook, format!("{}.md", alert.name()));
    assert!(
        root().join("docs/runbooks").join(runbook).is_file(),
        "there is no {runbook}"
    );
}

/// When the breaker would let a probe through, by what was scraped: to the second, in UTC.
async fn probes(stack: &Stack) -> BTreeSet<String> {
    let series = stack
        .prometheus
        .query("feedwatch_breaker_open_until_timestamp_seconds[1m]")
        .await;
    let values = series[0]["values"].as_array().unwrap().iter();
    let seconds = values.map(|value| value[1].as_str().unwrap().parse::<f64>().unwrap().floor());
    seconds
        .filter(|seconds| *seconds > 0.0)
        .map(|seconds| rfc3339(seconds).replace('T', " ")[.."2026-01-01 00:00:00".len()].to_owned())
        .collect()
}

#[tokio::test]
#[ignore = "needs prometheus, prometheus-alertmanager and curl"]
async fn a_trip_is_one_page_and_one_word_that_it_is_over() {
    // Two redials and two probes fail; the third probe finds the venue back. All that once Prometheus scrapes.
    let lost = Fault::Cut {
        after: Duration::from_secs(8),
    };
    let venue = venue(vec![Rule::connections(1, 1, lost), Rule::connections(2, 5, busy())]);
    let policy = "initial_delay_ms = 100, max_consecutive_failures = 3, circuit_breaker_cooldown_ms = 3000, \
                  stable_after_ms = 1000";
    let service = Service::run(&config("", &[("elections", &venue.url(), policy)])).await;
    let mut stack = Stack::watching(service.address, SPEED).await;

    let page = stack.until("page", is_page).await;
    let [alert] = page.alerts.as_slice() else {
        panic!("{page:?}");
    };
    let target = service.address.to_string();
    let expected = [
        ("alertname", "FeedwatchBreakerOpen"),
        ("instance", &*target),
        ("job", "feedwatch"),
        ("page", "true"),
        ("severity", "critical"),
        ("stream", "elections"),
        ("venue", "polymarket"),
    ];
    let labels: Vec<_> = alert.labels.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(labels, expected);
    assert_links_lead_somewhere(alert);
    let description = &alert.annotations["description"];
    let probe = description
        .split_once("The next probe goes out at ")
        .expect(description)
        .1;
    let due = probes(&stack).await;
    assert!(
        due.contains(&probe[.."2026-01-01 00:00:00".len()]),
        "{probe} is none of {due:?}"
    );
    assert!(description.contains("failed with http_status"), "{description}");

    let over = stack
        .until("word that it is over", |notified| {
            is_page(notified) && notified.is_resolved
        })
        .await;
    assert_eq!(over.group, page.group);
    eventually("nothing is left to tell", async || {
        let alerts = stack.alerts().await;
        alerts.iter().all(|(alert, _)| !alert.labels.contains_key("page"))
    })
    .await;
    let pages = stack.pages();
    assert_eq!(pages.len(), 2, "one page, and one word that it is over: {pages:#?}");
    let scrape = service.scrape().await;
    let failed_probes = [("from", "half_open"), ("to", "open")];
    assert_eq!(scrape.value("feedwatch_breaker_transitions_total", &failed_probes), 2.0);
    assert_eq!(scrape.sum("feedwatch_breaker_trips_total", &[]), 1.0);
}

#[tokio::test]
#[ignore = "needs prometheus, prometheus-alertmanager and curl"]
async fn fifty_streams_of_a_venue_that_trip_are_one_page() {
    let venue = closed_venue();
    let url = venue.url();
    let names: Vec<_> = (0..50).map(|number| format!("s{number}")).collect();
    let policy = "initial_delay_ms = 200, jitter = 0.0, max_consecutive_failures = 3";
    let streams: Vec<_> = names.iter().map(|name| (&**name, &*url, policy)).collect();
    let service = Service::run(&config("", &streams)).await;
    let mut stack = Stack::watching(service.address, SPEED).await;

    let all = |notified: &Notified| notified.alerts.len() == names.len();
    let page = stack
        .until("page of all", |notified| is_page(notified) && all(notified))
        .await;
    assert!(page.alerts.iter().all(|alert| alert.name() == "FeedwatchBreakerOpen"));
    let groups: BTreeSet<_> = stack.pages().into_iter().map(|page| page.group).collect();
    assert_eq!(groups, BTreeSet::from([page.group]), "one page is one group");

    // The venue is told to the chat, and what its state explains is told to nobody.
    stack
        .until("venue", |notified| {
            notified.to == "chat" && has(notified, "FeedwatchVenueDown")
        })
        .await;
    let explained = |alert: &Alert| alert.name() == "FeedwatchStreamDisconnected";
    eventually("every stream is disconnected for long enough", async || {
        let alerts = stack.alerts().await;
        alerts.iter().filter(|(alert, _)| explained(alert)).count() == names.len()
    })
    .await;
    for (alert, is_inhibited) in stack.alerts().await {
        assert_eq!(
            is_inhibited,
            explained(&alert) || alert.name() == "FeedwatchBreakerNearTrip",
            "{alert:?}"
        );
    }
    assert!(
        !stack
            .notified()
            .iter()
            .any(|notified| notified.alerts.iter().any(explained))
    );
}

#[tokio::test]
#[ignore = "needs prometheus, prometheus-alertmanager and curl"]
async fn a_stream_that_is_merely_disconnected_wakes_nobody() {
    let away = closed_venue();
    let service = Service::run(&config("", &[("lost", &away.url(), PATIENT)])).await;
    let mut stack = Stack::watching(service.address, SPEED).await;
    let lost = |notified: &Notified| has(notified, "FeedwatchStreamDisconnected");
    let told = stack.until("word to the chat", lost).await;
    assert_eq!(told.to, "chat");
    for alert in &told.alerts {
        assert_links_lead_somewhere(alert);
    }
    // Chat and pager wait equally long, so that a page would be here by now.
    let over = stack.alerts().await;
    assert!(
        over.iter().all(|(alert, _)| !alert.labels.contains_key("page")),
        "{over:#?}"
    );
    assert!(stack.pages().is_empty(), "{:#?}", stack.pages());
}

#[tokio::test]
#[ignore = "needs prometheus, prometheus-alertmanager and curl"]
async fn a_venue_that_is_away_is_told_once_for_all_its_streams() {
    let away = closed_venue();
    let url = away.url();
    let service = Service::run(&config("", &[("a", &url, PATIENT), ("b", &url, PATIENT)])).await;
    let mut stack = Stack::watching(service.address, SPEED).await;
    let told = stack
        .until("word to the chat", |notified| has(notified, "FeedwatchVenueDown"))
        .await;
    assert_eq!((&*told.to, told.alerts.len()), ("chat", 1));
    assert_links_lead_somewhere(&told.alerts[0]);
    let disconnected = async || {
        let alerts = stack.alerts().await.into_iter();
        alerts
            .filter(|(alert, _)| alert.name() == "FeedwatchStreamDisconnected")
            .map(|(_, is_inhibited)| is_inhibited)
            .collect::<Vec<_>>()
    };
    eventually("both streams are disconnected for long enough", async || {
        disconnected().await.len() == 2
    })
    .await;
    assert_eq!(disconnected().await, [true, true]);
    assert!(
        !stack
            .notified()
            .iter()
            .any(|notified| has(notified, "FeedwatchStreamDisconnected"))
    );
    assert!(stack.pages().is_empty(), "{:#?}", stack.pages());
}

#[tokio::test]
#[ignore = "needs prometheus, prometheus-alertmanager and curl"]
async fn a_trip_that_is_over_before_the_next_scrape_pages() {
    let policy = "initial_delay_ms = 10, max_consecutive_failures = 2, circuit_breaker_cooldown_ms = 50, \
                  stable_after_ms = 1";
    let first = venue(Vec::new());
    let (url, listen) = (first.url(), first.address());
    let service = Service::run(&config("", &[("elections", &url, policy)])).await;
    // Slower than the others: a scrape every three seconds leaves room between two.
    let mut stack = Stack::watching(service.address, 5).await;
    let scraped = async |prometheus: &Prometheus| {
        let at = prometheus.query("timestamp(feedwatch_stream_connected == 1)").await;
        at.first().map(|at| at["value"][1].clone())
    };
    eventually("live at a scrape", async || scraped(&stack.prometheus).await.is_some()).await;
    let before = scraped(&stack.prometheus).await;
    eventually("the scrape after it", async || {
        scraped(&stack.prometheus).await != before
    })
    .await;

    first.shutdown().await;
    eventually("tripped", async || {
        service.scrape().await.sum("feedwatch_breaker_trips_total", &[]) == 1.0
    })
    .await;
    let again = SimulatedVenue::start(SimOptions {
        listen,
        traffic: Traffic::Silent,
        ..SimOptions::default()
    })
    .unwrap();
    let closed = [("state", "closed")];
    eventually("closed again", async || {
        service.scrape().await.value("feedwatch_breaker_state", &closed) == 1.0
    })
    .await;

    let page = stack.until("page", is_page).await;
    assert!(has(&page, "FeedwatchBreakerOpen"));
    assert!(page.alerts[0].annotations["description"].contains("The probe has been made"));
    let seen = stack
        .prometheus
        .query("min_over_time(feedwatch_breaker_state{state='closed'}[1m])")
        .await;
    assert_eq!(
        seen[0]["value"][1], "1",
        "no scrape has seen the breaker open: {seen:?}"
    );
    again.shutdown().await;
}

#[tokio::test]
#[ignore = "needs prometheus, prometheus-alertmanager and curl"]
async fn a_stale_stream_pages_where_that_was_asked_for() {
    let silent = || venue(vec![Rule::always(Fault::HeartbeatsOnly { after: Duration::ZERO })]);
    let (asked, not_asked) = (silent(), silent());
    let service = Service::run(&config(
        "",
        &[
            ("asked", &asked.url(), "stale_after_ms = 500, page_on_stale = true"),
            ("not-asked", &not_asked.url(), "stale_after_ms = 500"),
        ],
    ))
    .await;
    let mut stack = Stack::watching(service.address, SPEED).await;
    for stream in ["asked", "not-asked"] {
        let stale = |notified: &Notified| {
            let mut alerts = notified.alerts.iter();
            alerts.any(|alert| alert.name() == "FeedwatchStreamStale" && alert.labels["stream"] == stream)
        };
        assert_eq!(stack.until(stream, stale).await.to, "chat");
    }
    assert!(stack.pages().is_empty(), "{:#?}", stack.pages());
    let page = stack.until("page", is_page).await;
    let paged: Vec<_> = page
        .alerts
        .iter()
        .map(|alert| (alert.name(), &*alert.labels["stream"]))
        .collect();
    assert_eq!(paged, [("FeedwatchStreamStalePage", "asked")]);
    assert_links_lead_somewhere(&page.alerts[0]);
}

#[tokio::test]
#[ignore = "needs prometheus, prometheus-alertmanager and curl"]
async fn a_service_that_is_gone_is_a_page_and_silences_what_it_said() {
    let away = closed_venue();
    let policy = "initial_delay_ms = 50, max_consecutive_failures = 2";
    let service = Service::run(&config("", &[("elections", &away.url(), policy)])).await;
    let mut stack = Stack::watching(service.address, SPEED).await;
    stack
        .until("page of the breaker", |notified| has(notified, "FeedwatchBreakerOpen"))
        .await;

    service.stop("KILL").await;
    let down = |notified: &Notified| is_page(notified) && has(notified, "FeedwatchDown");
    let page = stack.until("page of the service", down).await;
    let [alert] = page.alerts.as_slice() else {
        panic!("{page:?}");
    };
    assert_links_lead_somewhere(alert);
    // Its last words are still held, and silenced.
    for (alert, is_inhibited) in stack.alerts().await {
        assert_eq!(
            is_inhibited,
            alert.name().starts_with("Feedwatch") && alert.name() != "FeedwatchDown",
            "{alert:?}"
        );
    }
}
