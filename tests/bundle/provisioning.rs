//! What Grafana reads at its start agrees with the dashboards and with the rest of the bundle.

use crate::repository::root;
use serde_json::Value;

fn yaml(name: &str) -> Value {
    serde_saphyr::from_str(&std::fs::read_to_string(root().join(name)).unwrap()).unwrap()
}

#[test]
fn an_exemplar_leads_from_prometheus_to_the_traces() {
    let provisioned = yaml("grafana/provisioning/datasources/feedwatch.yml");
    let sources = provisioned["datasources"].as_array().unwrap();
    let of = |kind: &str| sources.iter().find(|source| source["type"] == kind).unwrap();
    let exemplars = &of("prometheus")["jsonData"]["exemplarTraceIdDestinations"][0];
    // The label of an exemplar, as the service exposes it.
    assert_eq!(exemplars["name"], "trace_id");
    assert_eq!(exemplars["datasourceUid"], of("jaeger")["uid"]);
    assert_eq!(of("prometheus")["isDefault"], true);
    let scrape = yaml("prometheus.yml")["global"]["scrape_interval"].clone();
    assert_eq!(
        of("prometheus")["jsonData"]["timeInterval"],
        scrape,
        "$__rate_interval is made of it"
    );
    let alertmanager = &yaml("prometheus.yml")["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"][0];
    let url = of("alertmanager")["url"].as_str().unwrap();
    assert_eq!(url.strip_prefix("http://"), alertmanager.as_str());
}

#[test]
fn the_dashboards_are_provisioned_and_not_editable() {
    let provisioned = yaml("grafana/provisioning/dashboards/feedwatch.yml");
    let provider = &provisioned["providers"][0];
    assert_eq!(provider["type"], "file");
    assert_eq!(provider["allowUiUpdates"], false);
    assert_eq!(provider["options"]["path"], "${FEEDWATCH_DASHBOARDS}");
}
