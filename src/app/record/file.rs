//! A file of a recording: it grows by whole lines, and what was added is on the disk and can be read by itself.

use super::RecordError;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Only its owner reads it: it may have what was sent to log in.
const MODE: u32 = 0o600;

#[derive(Debug)]
pub(super) struct RecordingFile {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl RecordingFile {
    /// A new file with these lines. One that is there already is never touched; where the lines cannot be written, there is none.
    pub(super) fn begin(path: PathBuf, lines: &[u8]) -> Result<Self, RecordError> {
        let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&path);
        let mut new = match file {
            Ok(file) => Self { path, file, bytes: 0 },
            Err(error) => return Err(RecordError::Write { path, error }),
        };
        if let Err(error) = new.add(lines) {
            // An empty one would be a part in which there is nothing.
            let _ = fs::remove_file(&new.path);
            return Err(error);
        }
        Ok(new)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds whole lines, or a whole zstd frame of them. Where that fails, the file ends before them.
    pub(super) fn add(&mut self, lines: &[u8]) -> Result<(), RecordError> {
        if let Err(error) = self.write(lines) {
            // A part of them is worse than none. If it cannot be taken back, the file has a torn end, which is read over.
            let _ = self.file.set_len(self.bytes);
            let path = self.path.clone();
            return Err(RecordError::Write { path, error });
        }
        self.bytes += lines.len() as u64;
        Ok(())
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file.write_all(lines)?;
        // So that the machine may fail as well.
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("feedwatch-{}-{name}", std::process::id()))
    }

    #[test]
    fn it_is_its_owners_alone_and_nobody_elses_file_is_touched() {
        let path = path("own.jsonl");
        let mut file = RecordingFile::begin(path.clone(), b"one\n").unwrap();
        file.add(b"two\n").unwrap();
        assert_eq!((file.bytes(), file.path()), (8, path.as_path()));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let error = RecordingFile::begin(path.clone(), b"other\n").unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("cannot write {}: ", path.display())),
            "{error}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"one\ntwo\n");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_disk_that_is_full_is_an_error_that_names_the_file() {
        let full = Path::new("/dev/full");
        let mut file = RecordingFile {
            path: full.into(),
            file: OpenOptions::new().write(true).open(full).unwrap(),
            bytes: 0,
        };
        let error = file.add(b"one\n").unwrap_err().to_string();
        assert!(
            error.starts_with("cannot write /dev/full: No space left on device"),
            "{error}"
        );
        assert_eq!(file.bytes(), 0);
    }
}
