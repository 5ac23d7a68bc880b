//! What several tests share: exposition text read back, and where the recorded frames are.

#![allow(dead_code, reason = "not every test uses everything")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "tests may fail, and counts are exact"
)]

pub(crate) mod aftermath;
pub(crate) mod metered;
pub(crate) mod numbered;
pub(crate) mod pipe;
pub(crate) mod rig;
pub(crate) mod rows;

use feedwatch::sim::{Capture, SimOptions, SimulatedVenue, Speed, Traffic};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A scrape, read back.
pub(crate) struct Scrape(Vec<Sample>);

struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Sample {
    fn read(line: &str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ')?;
        let value = value.parse().ok()?;
        let Some((name, labels)) = series.split_once('{') else {
            return Some(Self {
                name: series.to_owned(),
                labels: Vec::new(),
                value,
            });
        };
        // No label value of these tests holds a comma or a quote.
        let labels = labels.strip_suffix('}')?.split(',').map(|pair| {
            let (key, value) = pair.split_once('=')?;
            Some((key.to_owned(), value.trim_matches('"').to_owned()))
        });
        Some(Self {
            name: name.to_owned(),
            labels: labels.collect::<Option<_>>()?,
            value,
        })
    }

    fn label(&self, key: &str) -> Option<&str> {
        self.labels
            .iter()
            .find(|label| label.0 == key)
            .map(|label| label.1.as_str())
    }
}

impl Scrape {
    /// Reads text of the exposition format 0.0.4.
    pub(crate) fn read(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        Self(
            samples
                .map(|line| Sample::read(line).unwrap_or_else(|| panic!("not a sample: {line}")))
                .collect(),
        )
    }

    /// The sum of the series of a metric that have all these labels. Panics where there is none.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |sample: &&Sample| {
            sample.name == name && labels.iter().all(|(key, value)| sample.label(key) == Some(*value))
        };
        let values: Vec<f64> = self.0.iter().filter(fits).map(|sample| sample.value).collect();
        assert!(!values.is_empty(), "no series {name}{labels:?}");
        values.iter().sum()
    }

    /// The sum of all series of a metric.
    pub(crate) fn total(&self, name: &str) -> f64 {
        self.sum(name, &[])
    }

    /// The values of `label` in the series of a metric that are not 0.
    pub(crate) fn nonzero(&self, name: &str, label: &str) -> Vec<String> {
        let of_metric = self
            .0
            .iter()
            .filter(|sample| sample.name == name && sample.value != 0.0);
        of_metric
            .filter_map(|sample| sample.label(label).map(str::to_owned))
            .collect()
    }
}

/// The folder of recorded frames; a test that needs them fails where they are not.
pub(crate) fn captures() -> PathBuf {
    let folder = std::env::var_os("FEEDWATCH_CAPTURES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/captures"),
        PathBuf::from,
    );
    assert!(
        folder.is_dir(),
        "no recorded frames at {}: set FEEDWATCH_CAPTURES",
        folder.display()
    );
    folder
}

/// Every capture file in a folder and those below it, in the order of their names: what it holds, `__`, and what of it.
pub(crate) fn capture_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() {
            files.extend(capture_files(&path));
        } else if name.contains("__") && name.contains(".jsonl") && !name.contains(".sent.") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// A venue that plays these frames once to each connection, as fast as they are read.
pub(crate) fn replaying(frames: &Arc<Capture>) -> SimulatedVenue {
    let traffic = Traffic::Replay {
        recordings: vec![frames.clone()],
        speed: Speed::AsFastAsRead,
        repeat: false,
    };
    SimulatedVenue::start(SimOptions {
        traffic,
        ..SimOptions::default()
    })
    .unwrap()
}
