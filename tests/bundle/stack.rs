//! The shipped configuration, run by the real Prometheus and Alertmanager, with a pager that is read.

use crate::harness::{Program, TempFolder, command, free_address, json};
use crate::prometheus::{Prometheus, fetch};
use crate::repository::root;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// No notification takes so long once the configuration is made faster.
const LIMIT: Duration = Duration::from_secs(90);

/// Prometheus, Alertmanager and the pager, each with what is shipped, but for addresses and durations.
pub(crate) struct Stack {
    alertmanager: SocketAddr,
    pager: Program,
    _alertmanager: Program,
    /// Dropped last: it has the folder of all.
    pub(crate) prometheus: Prometheus,
}

/// What came to a receiver.
#[derive(Clone, Debug)]
pub(crate) struct Notified {
    /// The receiver: `page`, `chat` or `watchdog`.
    pub(crate) to: String,
    /// Which group of alerts it is about.
    pub(crate) group: String,
    /// Whether it says that all is over.
    pub(crate) is_resolved: bool,
    pub(crate) alerts: Vec<Alert>,
}

/// An alert of a notification.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Alert {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Alert {
    pub(crate) fn name(&self) -> &str {
        &self.labels["alertname"]
    }
}

impl Stack {
    /// Watches the service at `target`. Every duration of rules, routes and scrapes is `speed` times as short as it is shipped.
    pub(crate) async fn watching(target: SocketAddr, speed: u32) -> Self {
        let mut command = command(&["pager", "--listen", "127.0.0.1:0", "--format", "json"]);
        let mut pager = Program::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        let address = |line: &str| line.strip_prefix("pager at http://").map(str::to_owned);
        let receiver = pager.err.find("the pager's address", address).await;

        let (prometheus, alertmanager) = (free_address(), free_address());
        let addresses = [
            ("127.0.0.1:9885", target.to_string()),
            ("127.0.0.1:9887", receiver),
            ("127.0.0.1:9090", prometheus.to_string()),
            ("127.0.0.1:9093", alertmanager.to_string()),
        ];
        // Laid out like the repository: the files name each other.
        let folder = TempFolder::new();
        let copy = |name: &str, change: &dyn Fn(&str) -> String| {
            let shipped = std::fs::read_to_string(root().join(name)).unwrap();
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, change(&shipped)).unwrap();
        };
        for name in [
            "prometheus.yml",
            "deploy/rules/recording.yml",
            "deploy/rules/alerts.yml",
            "deploy/alertmanager.yml",
        ] {
            copy(name, &|shipped| {
                let text = faster(shipped, speed);
                addresses.iter().fold(text, |text, (from, to)| text.replace(from, to))
            });
        }
        copy("deploy/templates/feedwatch.tmpl", &str::to_owned);
        let running = start_alertmanager(alertmanager, &folder.path().join("deploy")).await;
        Self {
            alertmanager,
            pager,
            _alertmanager: running,
            prometheus: Prometheus::start(prometheus, folder).await,
        }
    }

    /// What has come up to now, heartbeats left out.
    pub(crate) fn notified(&self) -> Vec<Notified> {
        let lines = self.pager.out.so_far();
        let all = lines.iter().map(|line| notified(line));
        all.filter(|notified| notified.to != "watchdog").collect()
    }

    /// What has come up to now to the pager.
    pub(crate) fn pages(&self) -> Vec<Notified> {
        let all = self.notified().into_iter();
        all.filter(|notified| notified.to == "page").collect()
    }

    /// Waits for the first notification that is wanted.
    pub(crate) async fn until(&mut self, what: &str, wanted: impl Fn(&Notified) -> bool) -> Notified {
        let pick = |line: &str| Some(notified(line)).filter(&wanted);
        self.pager.out.find_within(LIMIT, what, pick).await
    }

    /// The alerts that Alertmanager holds, each with whether another one keeps it quiet.
    pub(crate) async fn alerts(&self) -> Vec<(Alert, bool)> {
        let alerts = fetch(&format!("http://{}/api/v2/alerts", self.alertmanager), &[]).await;
        let read = |alert: &Value| {
            let is_inhibited = !alert["status"]["inhibitedBy"].as_array().unwrap().is_empty();
            let alert = Alert {
                labels: serde_json::from_value(alert["labels"].clone()).unwrap(),
                annotations: serde_json::from_value(alert["annotations"].clone()).unwrap(),
            };
            (alert, is_inhibited)
        };
        alerts.as_array().unwrap().iter().map(read).collect()
    }
}

fn notified(line: &str) -> Notified {
    let line = json(line);
    let notification = &line["notification"];
    Notified {
        to: line["path"].as_str().unwrap().trim_start_matches('/').to_owned(),
        group: notification["groupKey"].as_str().unwrap().to_owned(),
        is_resolved: notification["status"] == "resolved",
        alerts: serde_json::from_value(notification["alerts"].clone()).unwrap(),
    }
}

async fn start_alertmanager(address: SocketAddr, folder: &Path) -> Program {
    // Debian's name; elsewhere it is called `alertmanager`.
    let mut command = Command::new("prometheus-alertmanager");
    command
        .arg(format!("--config.file={}", folder.join("alertmanager.yml").display()))
        .arg(format!("--storage.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--cluster.listen-address=")
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut program = Program::spawn(&mut command);
    let listens = |line: &str| line.contains("Listening on").then_some(());
    program.err.find("word that it listens", listens).await;
    program
}

/// The text with every duration of its settings and ranges so many times as short.
fn faster(text: &str, speed: u32) -> String {
    let mut lines: Vec<_> = text.lines().map(|line| ranges(line, speed)).collect();
    for line in &mut lines {
        let Some((key, value)) = line.trim_start().trim_start_matches("- ").split_once(": ") else {
            continue;
        };
        let is_setting = ["interval", "_wait", "for", "timeout"]
            .iter()
            .any(|end| key.ends_with(end));
        if let (true, Some(short)) = (is_setting, shorter(value, speed)) {
            let from = line.len() - value.len();
            line.replace_range(from.., &short);
        }
    }
    lines.join("\n") + "\n"
}

/// `[5m]` made shorter, wherever it stands.
fn ranges(line: &str, speed: u32) -> String {
    let mut parts = line.split('[');
    let mut made = parts.next().unwrap().to_owned();
    for part in parts {
        made.push('[');
        match part
            .split_once(']')
            .and_then(|(range, rest)| Some((shorter(range, speed)?, rest)))
        {
            Some((short, rest)) => made += &(short + "]" + rest),
            None => made += part,
        }
    }
    made
}

/// A duration of one number and one unit.
fn shorter(duration: &str, speed: u32) -> Option<String> {
    let (number, unit) = duration.split_at(duration.len().checked_sub(1)?);
    let millis = match unit {
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(format!("{}ms", number.parse::<u32>().ok()? * millis / speed))
}

#[test]
fn durations_are_made_shorter_and_nothing_else_is() {
    let shipped = "  scrape_interval: 15s\n  - interval: 1m\n    expr: a[5m] > 7 * 86400 and b{c=\"[x]\"}[3d:1h]\n    for: 2m\n\
                   runbook_url: 5m\n      group_wait: 0s\n";
    let faster = faster(shipped, 30);
    assert_eq!(
        faster,
        "  scrape_interval: 500ms\n  - interval: 2000ms\n    expr: a[10000ms] > 7 * 86400 and b{c=\"[x]\"}[3d:1h]\n    \
         for: 4000ms\nrunbook_url: 5m\n      group_wait: 0ms\n"
    );
}
