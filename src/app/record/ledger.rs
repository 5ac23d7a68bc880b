//! What a recording takes of the disk: the files that are complete, the oldest first.

use super::RecordError;
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::PathBuf;
use tracing::info;

/// The files of one part, and what they take.
pub(super) type Complete = Vec<(PathBuf, u64)>;

#[derive(Debug)]
pub(super) struct Ledger {
    complete: VecDeque<Complete>,
    /// Of those that are complete.
    bytes: u64,
    deleted: u64,
}

impl Ledger {
    /// With the files of this recording that are there already, the oldest first.
    pub(super) fn new(existing: impl IntoIterator<Item = Complete>) -> Self {
        let complete: VecDeque<_> = existing.into_iter().collect();
        Self {
            bytes: complete.iter().flatten().map(|(_, bytes)| bytes).sum(),
            complete,
            deleted: 0,
        }
    }

    /// What the complete files take.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many files were deleted.
    pub(super) const fn deleted(&self) -> u64 {
        self.deleted
    }

    pub(super) fn add(&mut self, files: Complete) {
        self.bytes += files.iter().map(|(_, bytes)| bytes).sum::<u64>();
        self.complete.push_back(files);
    }

    /// Deletes the files of the oldest part; `false` = there is none.
    pub(super) fn delete_oldest(&mut self) -> Result<bool, RecordError> {
        let Some(files) = self.complete.pop_front() else {
            return Ok(false);
        };
        for (path, bytes) in files {
            match fs::remove_file(&path) {
                Ok(()) => {
                    self.deleted += 1;
                    info!(file = %path.display(), bytes, "oldest file of the recording deleted, to stay within its size");
                }
                // Somebody has moved it away.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(RecordError::Delete { path, error }),
            }
            self.bytes = self.bytes.saturating_sub(bytes);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_deleted_first_and_only_files_that_were_told() {
        let path = |name: &str| std::env::temp_dir().join(format!("feedwatch-{}-ledger-{name}", std::process::id()));
        let names = ["first", "second", "third", "other"].map(path);
        for name in &names {
            fs::write(name, b"12345").unwrap();
        }
        let [first, second, third, other] = names;
        let mut ledger = Ledger::new([vec![(first.clone(), 5), (second.clone(), 5)]]);
        ledger.add(vec![(third.clone(), 5)]);
        assert_eq!(ledger.bytes(), 15);
        fs::remove_file(&second).unwrap();
        assert!(ledger.delete_oldest().unwrap());
        assert_eq!((first.exists(), third.exists(), ledger.bytes()), (false, true, 5));
        assert_eq!(ledger.deleted(), 1, "the other one was gone already");
        assert!(ledger.delete_oldest().unwrap());
        assert!(!ledger.delete_oldest().unwrap(), "nothing is left");
        assert_eq!((third.exists(), other.exists(), ledger.bytes()), (false, true, 0));
        fs::remove_file(other).unwrap();
    }
}
