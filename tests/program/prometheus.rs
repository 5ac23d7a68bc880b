//! The real Prometheus scrapes the program, and leads from a metric to the trace.

use crate::harness::{Program, Service, busy, config, eventually, venue};
use crate::receiver::{Mood, Receiver};
use feedwatch::market::TraceId;
use feedwatch::sim::{Fault, Rule};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// Prometheus with a folder of its own, which goes with it.
struct Prometheus {
    address: SocketAddr,
    folder: PathBuf,
    _program: Program,
}

impl Prometheus {
    async fn scraping(target: SocketAddr) -> Self {
        let address = ([127, 0, 0, 1], Receiver::away().port()).into();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("prometheus-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("prometheus.yml");
        let scrape = format!(
            "global: {{ scrape_interval: 1s }}\nscrape_configs:\n\
             - job_name: feedwatch\n  static_configs:\n  - targets: ['{target}']\n"
        );
        std::fs::write(&file, scrape).unwrap();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--enable-feature=exemplar-storage")
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut program = Program::spawn(&mut command);
        let is_ready = |line: &str| line.contains("Server is ready").then_some(());
        program.err.find("word that it is ready", is_ready).await;
        Self {
            address,
            folder,
            _program: program,
        }
    }

    /// The data of an answer of its API.
    async fn ask(&self, path: &str, query: &str) -> Value {
        let url = format!("http://{}/api/v1/{path}", self.address);
        let asked = Command::new("curl")
            .args(["--silent", "--get", &url, "--data-urlencode", query])
            .output()
            .await;
        let answer: Value = serde_json::from_slice(&asked.expect("curl can be started").stdout).unwrap();
        assert_eq!(answer["status"], "success", "{answer}");
        answer["data"].clone()
    }

    /// The trace ids of the exemplars of a metric.
    async fn exemplars(&self, metric: &str) -> BTreeSet<String> {
        let data = self.ask("query_exemplars", &format!("query={metric}")).await;
        let series = data.as_array().unwrap().iter();
        let exemplars = series.flat_map(|series| series["exemplars"].as_array().unwrap());
        exemplars
            .map(|exemplar| exemplar["labels"]["trace_id"].as_str().unwrap().to_owned())
            .collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

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
    let prometheus = Prometheus::scraping(service.address).await;

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
        .ask(
            "query",
            "query=feedwatch_breaker_trips_total{trigger='consecutive_failures'}",
        )
        .await;
    assert_eq!(trips["result"][0]["value"][1], "1", "{trips}");
    assert_eq!(service.stop("TERM").await.code, Some(0));
}
