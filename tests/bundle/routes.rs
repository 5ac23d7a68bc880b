//! Where Alertmanager sends what, and how that reads, by its own tool.

use crate::harness::TempFile;
use crate::repository::{accepts, root};
use crate::rules::alerts;

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

/// What a template of the receivers makes of so many alerts that fire, and so many that are resolved.
fn rendered(template: &str, firing: usize, resolved: usize) -> String {
    let alert = |status: &str| {
        serde_json::json!({
            "status": status,
            "labels": { "alertname": "FeedwatchBreakerOpen", "venue": "polymarket" },
            "annotations": {
                "summary": "It has tripped", "description": "It waits.",
                "runbook_url": "https://runbooks/It.md", "dashboard_url": "https://grafana/d/it",
            },
        })
    };
    let alerts: Vec<_> = vec![alert("firing"); firing]
        .into_iter()
        .chain(vec![alert("resolved"); resolved])
        .collect();
    let data = serde_json::json!({
        "status": if firing > 0 { "firing" } else { "resolved" },
        "alerts": alerts,
        "groupLabels": { "venue": "polymarket" },
        "commonLabels": { "alertname": "FeedwatchBreakerOpen", "venue": "polymarket" },
        "commonAnnotations": {},
    });
    let file = TempFile::new("json", &data.to_string());
    let text = format!("{{{{ template \"feedwatch.{template}\" . }}}}");
    let arguments = [
        "template",
        "render",
        "--template.glob=deploy/templates/*.tmpl",
        "--template.text",
        &text,
    ];
    accepts(
        "amtool",
        &[&arguments[..], &["--template.data", file.name()]].concat(),
        &[],
    )
    .trim()
    .to_owned()
}

#[test]
#[ignore = "needs amtool"]
fn a_notification_says_what_happened_in_its_title_and_where_to_look_in_its_text() {
    assert_eq!(rendered("title", 1, 0), "It has tripped");
    assert_eq!(rendered("title", 1, 2), "It has tripped");
    assert_eq!(rendered("title", 3, 1), "3 × FeedwatchBreakerOpen of polymarket");
    assert_eq!(rendered("title", 0, 1), "Resolved: It has tripped");
    assert_eq!(
        rendered("title", 0, 2),
        "Resolved: 2 × FeedwatchBreakerOpen of polymarket"
    );
    let paragraph = "It has tripped\nIt waits.\nRunbook: https://runbooks/It.md\nDashboard: https://grafana/d/it";
    assert_eq!(rendered("text", 1, 1), format!("{paragraph}\n\nResolved: {paragraph}"));
    let many = rendered("text", 50, 0);
    assert_eq!(many.matches("It waits.").count(), 20);
    assert!(many.ends_with("There are 50 in all."), "{many}");
    assert_eq!(rendered("runbook", 2, 0), "https://runbooks/It.md");
    assert_eq!(rendered("dashboard", 2, 0), "https://grafana/d/it");
}
