//! The variables that override keys of the file: `FEEDWATCH__SECTION__KEY`.

use super::error::{Place, Problems};
use super::keys::{KEYS, PREFIX, instead_of};
use std::collections::BTreeMap;
use std::ffi::OsStr;

/// What the environment overrides, by the key's path.
#[derive(Debug, Default)]
pub(super) struct Overrides(BTreeMap<&'static str, Override>);

/// One variable that overrides a key.
#[derive(Debug)]
pub(super) struct Override {
    pub(super) variable: String,
    pub(super) value: String,
}

impl Overrides {
    /// Picks the variables with the prefix; one that overrides nothing is an error.
    pub(super) fn read<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        environment: impl IntoIterator<Item = (K, V)>,
        problems: &mut Problems,
    ) -> Self {
        let known: Vec<_> = KEYS
            .iter()
            .filter_map(|key| Some((key.variable()?, key.path)))
            .collect();
        let mut overrides = BTreeMap::new();
        for (name, value) in environment {
            // Lossy is enough: every known name is ASCII.
            let name = name.as_ref().to_string_lossy();
            if !name.starts_with(PREFIX) {
                continue;
            }
            let variable: String = name.chars().flat_map(char::escape_debug).take(200).collect();
            let found = known.iter().find(|(known, _)| *known == name).map(|(_, path)| *path);
            match (found, value.as_ref().to_str()) {
                (Some(path), Some(value)) => {
                    let value = value.to_owned();
                    overrides.insert(path, Override { variable, value });
                }
                (Some(path), None) => problems.add(Place::Variable(variable), path, "is not UTF-8"),
                (None, _) => {
                    let problem = unknown(&variable, &known);
                    problems.add(Place::Variable(variable), "", problem);
                }
            }
        }
        Self(overrides)
    }

    /// What overrides the key at `path`.
    pub(super) fn get(&self, path: &str) -> Option<&Override> {
        self.0.get(path)
    }

    /// All of them, in the order of the keys' paths.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Override> {
        self.0.values()
    }
}

fn unknown(variable: &str, known: &[(String, &'static str)]) -> String {
    if variable.starts_with("FEEDWATCH__STREAMS") {
        return "streams cannot be set from the environment; write them in the file, as [[streams]]".to_owned();
    }
    let names: Vec<_> = known.iter().map(|(name, _)| name.as_str()).collect();
    format!("overrides no key; {}", instead_of(variable, &names))
}
