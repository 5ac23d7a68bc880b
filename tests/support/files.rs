//! Files of a test's own.

#![allow(dead_code, reason = "not every test uses everything")]
#![allow(clippy::unwrap_used, reason = "tests may fail")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A file of its own, removed at the end.
pub(crate) struct TempFile(PathBuf);

impl TempFile {
    pub(crate) fn new(extension: &str, text: &str) -> Self {
        let file = Self::unused(extension);
        file.write(text);
        file
    }

    /// A name for a file that is not there yet.
    pub(crate) fn unused(extension: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Relaxed));
        let name = format!("test-{process}-{number}.{extension}");
        Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name))
    }

    /// It holds something else from now on.
    pub(crate) fn write(&self, text: &str) {
        std::fs::write(&self.0, text).unwrap();
    }

    pub(crate) fn name(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
