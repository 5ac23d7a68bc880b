//! The real Prometheus, in a folder of its own.

#![allow(dead_code, reason = "not every test uses everything")]

use super::harness::{Program, TempFolder, free_address};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use tokio::process::Command;

/// The JSON at an address; `parameters` are pairs like `query=up`.
pub(crate) async fn fetch(url: &str, parameters: &[&str]) -> Value {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "20", "--get", url]);
    for parameter in parameters {
        command.args(["--data-urlencode", parameter]);
    }
    let asked = command.output().await.expect("curl can be started");
    let told = String::from_utf8_lossy(&asked.stderr);
    serde_json::from_slice(&asked.stdout).unwrap_or_else(|error| panic!("{url}: {error} {told}"))
}

/// Prometheus, ready. It ends with this, and its data goes.
pub(crate) struct Prometheus {
    pub(crate) address: SocketAddr,
    _program: Program,
    _folder: TempFolder,
}

impl Prometheus {
    /// It scrapes the target every second as the job `feedwatch`, and evaluates these rule files as often.
    pub(crate) async fn scraping(target: SocketAddr, rule_files: &[&Path]) -> Self {
        // JSON is YAML, too.
        let config = serde_json::json!({
            "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
            "rule_files": rule_files,
            "scrape_configs": [{ "job_name": "feedwatch", "static_configs": [{ "targets": [target.to_string()] }] }],
        });
        let folder = TempFolder::new();
        std::fs::write(folder.path().join("prometheus.yml"), config.to_string()).unwrap();
        Self::start(free_address(), folder).await
    }

    /// At this address, with the `prometheus.yml` of a folder.
    pub(crate) async fn start(address: SocketAddr, folder: TempFolder) -> Self {
        let file = folder.path().join("prometheus.yml");
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--enable-feature=exemplar-storage")
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut program = Program::spawn(&mut command);
        let is_ready = |line: &str| line.contains("Server is ready").then_some(());
        program.err.find("word that it is ready", is_ready).await;
        Self {
            address,
            _program: program,
            _folder: folder,
        }
    }

    /// The data of an answer of its API; `parameters` are pairs like `query=up`.
    pub(crate) async fn ask(&self, path: &str, parameters: &[&str]) -> Value {
        let answer = fetch(&format!("http://{}/api/v1/{path}", self.address), parameters).await;
        assert_eq!(answer["status"], "success", "{parameters:?}: {answer}");
        answer["data"].clone()
    }

    /// The series and values of an instant query.
    pub(crate) async fn query(&self, expression: &str) -> Vec<Value> {
        let data = self.ask("query", &[&format!("query={expression}")]).await;
        data["result"].as_array().unwrap().clone()
    }

    /// The trace ids of the exemplars of a metric.
    pub(crate) async fn exemplars(&self, metric: &str) -> BTreeSet<String> {
        let data = self.ask("query_exemplars", &[&format!("query={metric}")]).await;
        let series = data.as_array().unwrap().iter();
        let exemplars = series.flat_map(|series| series["exemplars"].as_array().unwrap());
        exemplars
            .map(|exemplar| exemplar["labels"]["trace_id"].as_str().unwrap().to_owned())
            .collect()
    }
}
