//! The repository that is tested, and the programs that judge its files.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The top of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of a folder, in the order of their names.
pub(crate) fn files(directory: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(directory)).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{directory} is empty");
    files
}

/// Runs a program on files of the bundle; it has to be content. Returns what it printed.
pub(crate) fn accepts(program: &str, arguments: &[&str], files: &[PathBuf]) -> String {
    let output = Command::new(program)
        .current_dir(root())
        .args(arguments)
        .args(files)
        .output();
    let output = output.unwrap_or_else(|error| panic!("{program} is installed: {error}"));
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {told}");
    told
}
