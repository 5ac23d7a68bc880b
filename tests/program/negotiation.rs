//! Which format a scrape is served in.

use crate::exposition::{Exposition, Series};
use crate::harness::{Service, closed_venue, config, venue};
use crate::openmetrics::OpenMetrics;
use crate::prometheus_client;
use feedwatch::sim::SimulatedVenue;
use std::collections::BTreeMap;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0";
/// What Prometheus 2.42 sends.
const PROMETHEUS: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// The service with a stream that is live and one that has failed.
async fn service() -> (Service, [SimulatedVenue; 2]) {
    let venues = [venue(Vec::new()), closed_venue()];
    let [up, down] = venues.each_ref().map(SimulatedVenue::url);
    let patient = "initial_delay_ms = 60000";
    let mut service = Service::run(&config("", &[("up", &up, ""), ("down", &down, patient)])).await;
    service.logged("down", "backing off").await;
    (service, venues)
}

async fn openmetrics(service: &Service, accept: &str) -> (String, OpenMetrics) {
    let response = service.get_accepting("/metrics", accept).await;
    assert_eq!(response.status, 200);
    assert_eq!(
        response.headers["content-type"],
        format!("{OPENMETRICS}; charset=utf-8")
    );
    assert_eq!(response.headers["vary"], "accept, accept-encoding");
    let read = OpenMetrics::parse(&response.body).unwrap();
    (response.body, read)
}

/// Everything but the values, which go on changing.
fn shape(exposition: &Exposition) -> BTreeMap<&str, (&str, &str, Vec<&Series>)> {
    let families = exposition.families.iter();
    families
        .map(|(name, family)| {
            let series = family.samples.keys().collect();
            (name.as_str(), (family.kind.as_str(), family.help.as_str(), series))
        })
        .collect()
}

#[tokio::test]
async fn prometheus_gets_openmetrics_with_the_series_that_others_get_as_text() {
    let (service, _venues) = service().await;
    let (_, read) = openmetrics(&service, PROMETHEUS).await;
    assert_eq!(read.units["process_cpu_seconds"], "seconds");
    assert_eq!(read.units["process_resident_memory_bytes"], "bytes");

    for accept in ["*/*", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"] {
        let response = service.get_accepting("/metrics", accept).await;
        assert_eq!(
            (response.status, response.headers["content-type"].as_str()),
            (200, TEXT)
        );
        assert_eq!(response.headers["vary"], "accept, accept-encoding");
        let text = Exposition::parse(&response.body).unwrap();
        assert_eq!(shape(&text), shape(&read.as_text()), "{accept}");
    }
    service.stop("TERM").await;
}

#[tokio::test]
#[ignore = "needs the Python package prometheus-client"]
async fn prometheus_client_reads_what_a_scrape_for_openmetrics_shows() {
    let (service, _venues) = service().await;
    let (text, read) = openmetrics(&service, OPENMETRICS).await;
    prometheus_client::assert_reads_the_same(&text, &read);
    let families = read.exposition.families.keys();
    assert!(families.clone().any(|name| name == "feedwatch_connect_attempts"));
    assert!(
        families.clone().any(|name| name == "process_cpu_seconds"),
        "of the process as well"
    );
    service.stop("TERM").await;
}
