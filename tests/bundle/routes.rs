//! Where Alertmanager sends what, by its own tool.

use crate::rules::{accepts, alerts, root};

const CONFIG: &str = "deploy/alertmanager.yml";

/// The receivers of an alert with these labels, `a,b`.
fn receivers(labels: &[String]) -> String {
    let told = accepts(
        "amtool",
        &[&["config", "routes", "test", "--config.file", CONFIG], &*strs(labels)].concat(),
        &[],
    );
    // What follows is a warning about its own configuration, where there is one.
    told.lines().next().unwrap().to_owned()
}

fn strs(labels: &[String]) -> Vec<&str> {
    labels.iter().map(String::as_str).collect()
}

#[test]
#[ignore = "needs amtool"]
fn amtool_accepts_the_configuration_and_its_templates() {
    let told = accepts("amtool", &["check-config"], &[root().join(CONFIG)]);
    assert!(told.contains("1 templates"), "{told}");
}

#[test]
#[ignore = "needs amtool"]
fn every_alert_goes_where_its_severity_says() {
    for alert in alerts() {
        let mut labels = vec![format!("alertname={}", alert.name), "venue=polymarket".to_owned()];
        labels.extend(alert.labels.iter().map(|(name, value)| format!("{name}={value}")));
        let expected = match (alert.name.as_str(), alert.labels["severity"].as_str()) {
            ("Watchdog", _) => "watchdog",
            (_, "info") => "nowhere",
            (_, "warning") => "chat",
            _ => "chat,pager",
        };
        assert_eq!(receivers(&labels), expected, "{}", alert.name);
    }
}

#[test]
#[ignore = "needs amtool"]
fn what_is_not_ours_is_not_lost() {
    for labels in [vec!["alertname=DiskFull"], vec!["alertname=DiskFull", "severity=page"]] {
        let labels: Vec<_> = labels.into_iter().map(str::to_owned).collect();
        assert_eq!(receivers(&labels), "chat", "{labels:?}");
    }
}
