//! What Prometheus' client for Python reads in an OpenMetrics text. It fails where Python or its package `prometheus-client` is
//! missing.

use super::exposition::Labels;
use super::openmetrics::{Exemplar, OpenMetrics};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

/// Prints all samples: name, labels, value, and the exemplar or null, whose numbers are texts since JSON has no infinity.
const READ: &str = "
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
def exemplar(told):
    return told and [told.labels, repr(float(told.value)), repr(float(told.timestamp))]
families = text_string_to_metric_families(sys.stdin.read())
samples = [s for family in families for s in family.samples]
json.dump([[s.name, s.labels, repr(float(s.value)), exemplar(s.exemplar)] for s in samples], sys.stdout)
";

type Told = (String, Labels, String, Option<(Labels, String, String)>);
type Samples = BTreeMap<(String, Labels), (f64, Option<Exemplar>)>;

/// Fails where the client refuses the text, or reads something else in it than what `ours` has read.
pub(crate) fn assert_reads_the_same(text: &str, ours: &OpenMetrics) {
    let theirs: Vec<Told> = serde_json::from_slice(&run(text)).unwrap();
    let float = |text: String| text.parse::<f64>().unwrap();
    let theirs: Samples = theirs
        .into_iter()
        .map(|(name, mut labels, value, exemplar)| {
            if let Some(bound) = labels.get_mut("le") {
                *bound = bound.parse::<f64>().unwrap().to_string();
            }
            let exemplar = exemplar.map(|(labels, value, at)| Exemplar {
                labels,
                value: float(value),
                at: Some(float(at)),
            });
            ((name, labels), (float(value), exemplar))
        })
        .collect();
    assert!(!theirs.is_empty());
    assert_eq!(theirs, samples(ours));
}

fn samples(read: &OpenMetrics) -> Samples {
    let families = read.exposition.families.iter();
    families
        .flat_map(|(name, family)| family.samples.iter().map(move |sample| (name, sample)))
        .map(|(name, (series, value))| {
            let exemplar = read.exemplars.get(&(name.clone(), series.clone())).cloned();
            let (suffix, labels) = series.clone();
            ((format!("{name}{suffix}"), labels), (*value, exemplar))
        })
        .collect()
}

fn run(text: &str) -> Vec<u8> {
    let mut python = Command::new("python3")
        .args(["-c", READ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Python is installed");
    let mut stdin = python.stdin.take().unwrap();
    // It reads all before it prints anything. Where it has ended instead, what it says tells why.
    let _ = stdin.write_all(text.as_bytes());
    drop(stdin);
    let output = python.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{text}");
    output.stdout
}
