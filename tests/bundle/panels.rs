//! Every panel shows something: asked of the real Prometheus, which has scraped the demo for two minutes.

use crate::dashboards::{Dashboard, array, dashboards, label_values, substitute, text};
use crate::harness::{Program, command, eventually, free_address};
use crate::prometheus::Prometheus;
use crate::repository::root;
use feedwatch::clock::{Moment, unix_seconds};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;
use tokio::time::sleep;

const DEMO: Duration = Duration::from_secs(120);
/// The least that Grafana takes: four scrapes. Here one is a second.
const RATE_INTERVAL: Duration = Duration::from_secs(10);

/// Queries without an answer in the demo: where they stand, and why that is right.
const RIGHTLY_EMPTY: [(&str, &str); 9] = [
    (
        "feedwatch-exporter: annotation Configuration changes",
        "the demo runs one configuration",
    ),
    (
        "feedwatch-exporter: annotation Reloads",
        "the demo has nothing to read again",
    ),
    ("feedwatch-overview: Certificates", "the demo has no TLS"),
    (
        "feedwatch-stream: Identity",
        "the demo has no TLS, whose end it would tell",
    ),
    (
        "feedwatch-stream: Queue of the consumer",
        "the service reads its streams directly",
    ),
    (
        "feedwatch-stream: Frames that the consumer lost",
        "the service reads its streams directly",
    ),
    (
        "feedwatch-stream: Gaps",
        "the venue of the demo does not number its events",
    ),
    (
        "feedwatch-stream: Names last looked up, ago",
        "the demo watches no names",
    ),
    (
        "feedwatch-stream: Books that differ",
        "the venue of the demo sends no checksums that are compared",
    ),
];

#[tokio::test]
#[ignore = "needs prometheus, curl and two minutes"]
async fn every_panel_returns_data() {
    let address = free_address();
    let rules = ["recording.yml", "alerts.yml"].map(|name| root().join("deploy/rules").join(name));
    // Before the demo, so that it sees the first loss.
    let prometheus = Prometheus::scraping(address, &[&rules[0], &rules[1]]).await;
    eventually("a look for the target", async || {
        !prometheus.query("up == 0").await.is_empty()
    })
    .await;
    let mut demo = Program::spawn(
        command(&["demo", "--listen", &address.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null()),
    );
    let listens = |line: &str| line.starts_with("metrics").then_some(());
    demo.out.find("word that it listens", listens).await;
    let start = unix_seconds(Moment::now().wall);
    // What two minutes look like is what is to be seen.
    sleep(DEMO).await;

    let mut problems = Vec::new();
    for dashboard in dashboards() {
        let values = variables(&dashboard, &prometheus).await;
        // A stream that had an outage, of those to choose from.
        let mut chosen = all_of(&values);
        if dashboard.uid() == "feedwatch-stream" {
            assert!(values["stream"].contains(&"outage".to_owned()), "{values:?}");
            chosen.insert("stream", "outage".into());
        }
        for query in dashboard.queries() {
            let expr = substitute(&query.expr, &chosen, RATE_INTERVAL);
            if let Err(problem) = answered(&prometheus, &expr, start).await {
                problems.push(format!("{}: {problem}\n    {expr}", query.place));
            }
        }
    }
    let is_right = |problem: &&String| RIGHTLY_EMPTY.iter().any(|(place, _)| problem.starts_with(place));
    let wrong: Vec<_> = problems.iter().filter(|problem| !is_right(problem)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    for (place, why) in RIGHTLY_EMPTY {
        assert!(
            problems.iter().any(|problem| problem.starts_with(place)),
            "{place} has an answer, though {why}"
        );
    }
}

/// The values to choose from, of each variable, as the page would offer them.
async fn variables(dashboard: &Dashboard, prometheus: &Prometheus) -> BTreeMap<String, Vec<String>> {
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for variable in dashboard
        .variables()
        .iter()
        .filter(|variable| variable["type"] == "query")
    {
        let query = substitute(text(&variable["query"], "query"), &all_of(&values), RATE_INTERVAL);
        let (selector, label) = label_values(&query);
        let found = prometheus
            .ask(&format!("label/{label}/values"), &[&format!("match[]={selector}")])
            .await;
        let found: Vec<String> = serde_json::from_value(found).unwrap();
        assert!(!found.is_empty(), "{}: nothing to choose for {label}", dashboard.uid());
        values.insert(text(variable, "name").to_owned(), found);
    }
    values
}

/// Every value of each variable, as the page writes them into a query.
fn all_of(values: &BTreeMap<String, Vec<String>>) -> BTreeMap<&str, String> {
    let all = values.iter().map(|(name, values)| (&**name, values.join("|")));
    all.collect()
}

/// Whether there is a figure in the answer, for a panel that shows the demo from its start.
async fn answered(prometheus: &Prometheus, expr: &str, start: f64) -> Result<(), String> {
    let now = unix_seconds(Moment::now().wall);
    let expr = format!("query={expr}");
    // Also where a panel asks about one moment: what is empty while all is well, an outage for one, has an answer at some.
    let range = [&*expr, &format!("start={start}"), &format!("end={now}"), "step=1"];
    let data = prometheus.ask("query_range", &range).await;
    let series = array(&data, "result");
    if series.is_empty() {
        return Err("no answer".into());
    }
    let is_figure = |value: &Value| value[1] != "NaN";
    let figures =
        |series: &Value| array(series, "values").iter().any(is_figure) || series.get("value").is_some_and(is_figure);
    if series.iter().any(figures) {
        Ok(())
    } else {
        Err("nothing but NaN".into())
    }
}
