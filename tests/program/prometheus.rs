//! The real Prometheus scrapes the program, and leads from a metric to the trace.

use crate::harness::{Service, busy, config, eventually, venue};
use crate::prometheus_server::Prometheus;
use crate::receiver::{Mood, Receiver};
use feedwatch::market::TraceId;
use feedwatch::sim::{Fault, Rule};
use std::collections::BTreeSet;
use std::time::Duration;

#[tokio::test]
#[ignore = "needs prometheus and curl"]
async fn the_exemplars_that_prometheus_stores_name_traces_that_the_backend_has() {
    let cut = Fault::Cut {
        after: Duration::from_millis(50),
    };
    let venue = venue(vec![Rule::connections(1, 1, cut), Rule::connections(2, 2, busy())]);
    let receiver = Receiver::start(Mood::Take);
    let policy = "initial_delay_ms = 20, max_consecutive_failures = 2, circuit_breaker_cooldown_ms = 50";
    let endpoint = receiver.endpoint();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
    ];
    let service = Service::run_with(&config("", &[("s", &venue.url(), policy)]), &[], &variables).await;
    let prometheus = Prometheus::scraping(service.address, &[]).await;

    for metric in [
        "feedwatch_breaker_trips_total",
        "feedwatch_reconnect_delay_seconds_bucket",
        "feedwatch_outage_duration_seconds_bucket",
    ] {
        eventually(metric, async || !prometheus.exemplars(metric).await.is_empty()).await;
        let traces: BTreeSet<_> = receiver
            .spans()
            .iter()
            .map(|received| {
                TraceId::from_bytes(received.span.trace_id.clone().try_into().unwrap())
                    .unwrap()
                    .to_string()
            })
            .collect();
        for named in prometheus.exemplars(metric).await {
            assert!(traces.contains(&named), "{metric}: {named} is none of {traces:?}");
        }
    }
    let trips = prometheus
        .query("feedwatch_breaker_trips_total{trigger='consecutive_failures'}")
        .await;
    assert_eq!(trips[0]["value"][1], "1", "{trips:?}");
    assert_eq!(service.stop("TERM").await.code, Some(0));
}
