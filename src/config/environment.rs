//! The variables that say something: `FEEDWATCH__SECTION__KEY` overrides a key of the file, and OpenTelemetry's standard ones
//! stand in for keys that are left out.

use super::error::{Place, Problems};
use super::keys::{KEYS, PREFIX, instead_of};
use std::collections::BTreeMap;
use std::ffi::OsStr;

/// What every standard variable of OpenTelemetry begins with.
const STANDARD: &str = "OTEL_";

/// What the environment says. Not to be shown: values may be secrets.
#[derive(Default)]
pub(super) struct Environment {
    /// By the path of the key that is overridden.
    overrides: BTreeMap<&'static str, Variable>,
    /// By name.
    standard: BTreeMap<String, Variable>,
}

/// One variable.
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: String,
}

impl Environment {
    /// Picks the variables with the prefixes; one of ours that overrides nothing is an error, one of the standard's that
    /// nobody here reads is none.
    pub(super) fn read<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        environment: impl IntoIterator<Item = (K, V)>,
        problems: &mut Problems,
    ) -> Self {
        let known: Vec<_> = KEYS
            .iter()
            .filter_map(|key| Some((key.variable()?, key.path)))
            .collect();
        let mut read = Self::default();
        for (name, value) in environment {
            // Lossy is enough: every known name is ASCII.
            let name = name.as_ref().to_string_lossy();
            if name.starts_with(STANDARD) {
                let (name, value) = (name.into_owned(), value.as_ref().to_string_lossy().into_owned());
                read.standard.insert(name.clone(), Variable { name, value });
                continue;
            }
            if !name.starts_with(PREFIX) {
                continue;
            }
            let variable: String = name.chars().flat_map(char::escape_debug).take(200).collect();
            let found = known.iter().find(|(known, _)| *known == name).map(|(_, path)| *path);
            match (found, value.as_ref().to_str()) {
                (Some(path), Some(value)) => {
                    let value = value.to_owned();
                    read.overrides.insert(path, Variable { name: variable, value });
                }
                (Some(path), None) => problems.add(Place::Variable(variable), path, "is not UTF-8"),
                (None, _) => {
                    let problem = unknown(&variable, &known);
                    problems.add(Place::Variable(variable), "", problem);
                }
            }
        }
        read
    }

    /// What overrides the key at `path`.
    pub(super) fn overriding(&self, path: &str) -> Option<&Variable> {
        self.overrides.get(path)
    }

    /// The standard variable of that name. An empty one counts as not set.
    pub(super) fn standard(&self, name: &str) -> Option<&Variable> {
        self.standard
            .get(name)
            .filter(|variable| !variable.value.trim().is_empty())
    }

    /// Those that override a key, in the order of the keys' paths.
    pub(super) fn overrides(&self) -> impl Iterator<Item = &Variable> {
        self.overrides.values()
    }
}

fn unknown(variable: &str, known: &[(String, &'static str)]) -> String {
    if variable.starts_with("FEEDWATCH__STREAMS") {
        return "streams cannot be set from the environment; write them in the file, as [[streams]]".to_owned();
    }
    let names: Vec<_> = known.iter().map(|(name, _)| name.as_str()).collect();
    format!("overrides no key; {}", instead_of(variable, &names))
}
