//! What several tests share: exposition text read back, and where the recorded frames are.

#![allow(dead_code, reason = "not every test uses everything")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may fail"
)]

use std::path::PathBuf;

/// A scrape, read back.
pub(crate) struct Scrape(Vec<(String, Vec<(String, String)>, f64)>);

impl Scrape {
    /// Reads text of the exposition format 0.0.4.
    pub(crate) fn read(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        Self(
            samples
                .map(|line| sample(line).unwrap_or_else(|| panic!("not a sample: {line}")))
                .collect(),
        )
    }

    /// The sum of the series of a metric that have all these labels. Panics where there is none.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |sample: &&(String, Vec<(String, String)>, f64)| {
            sample.0 == name
                && labels
                    .iter()
                    .all(|(k, v)| sample.1.iter().any(|(key, value)| key == k && value == v))
        };
        let values: Vec<f64> = self.0.iter().filter(fits).map(|sample| sample.2).collect();
        assert!(!values.is_empty(), "no series {name}{labels:?}");
        values.iter().sum()
    }

    /// The values of `label` in the series of a metric that are not 0.
    pub(crate) fn nonzero(&self, name: &str, label: &str) -> Vec<String> {
        let of_metric = self.0.iter().filter(|sample| sample.0 == name && sample.2 != 0.0);
        of_metric
            .flat_map(|sample| {
                sample
                    .1
                    .iter()
                    .filter(|(key, _)| key == label)
                    .map(|(_, value)| value.clone())
            })
            .collect()
    }
}

fn sample(line: &str) -> Option<(String, Vec<(String, String)>, f64)> {
    let (series, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let Some((name, labels)) = series.split_once('{') else {
        return Some((series.into(), Vec::new(), value));
    };
    // No label value of these tests holds a comma or a quote.
    let labels = labels.strip_suffix('}')?.split(',').map(|pair| {
        let (key, value) = pair.split_once('=')?;
        Some((key.to_owned(), value.trim_matches('"').to_owned()))
    });
    Some((name.into(), labels.collect::<Option<_>>()?, value))
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
