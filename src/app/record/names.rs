//! What the files of a recording are called.
//!
//! `book.jsonl.zst` has what the first connection received, `book.2.jsonl.zst` what the second one did, and `book.2.3.jsonl.zst` is
//! the third part of that. Beside each, `book.2.3.sent.jsonl` has what was sent meanwhile.

use super::RecordError;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The part of a connection that a file has; both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) connection: u64,
    pub(super) part: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Names {
    folder: PathBuf,
    stem: String,
    is_compressed: bool,
}

const SENT: &str = ".sent.jsonl";
const PLAIN: &str = ".jsonl";
const COMPRESSED: &str = ".jsonl.zst";

impl Names {
    /// Of the recording whose first file is `first`.
    pub(super) fn new(first: &Path) -> Result<Self, RecordError> {
        let bad = || RecordError::BadName(first.into());
        let name = first.file_name().and_then(|name| name.to_str()).ok_or_else(bad)?;
        let compressed = name.strip_suffix(COMPRESSED);
        let stem = compressed.or_else(|| name.strip_suffix(PLAIN)).ok_or_else(bad)?;
        // The other file of a recording would have this name.
        if stem.is_empty() || name.ends_with(SENT) {
            return Err(bad());
        }
        Ok(Self {
            folder: first.parent().map(Path::to_owned).unwrap_or_default(),
            stem: stem.into(),
            is_compressed: compressed.is_some(),
        })
    }

    /// Whether what is received is compressed. What is sent never is: it is little.
    pub(super) const fn is_compressed(&self) -> bool {
        self.is_compressed
    }

    pub(super) fn received(&self, place: Place) -> PathBuf {
        self.path(place, if self.is_compressed { COMPRESSED } else { PLAIN })
    }

    pub(super) fn sent(&self, place: Place) -> PathBuf {
        self.path(place, SENT)
    }

    fn path(&self, Place { connection, part }: Place, suffix: &str) -> PathBuf {
        let stem = &self.stem;
        self.folder.join(match (connection, part) {
            (1, 1) => format!("{stem}{suffix}"),
            (_, 1) => format!("{stem}.{connection}{suffix}"),
            _ => format!("{stem}.{connection}.{part}{suffix}"),
        })
    }

    /// What is there under these names, the oldest first: the files with their sizes. A folder or a link takes a place and is none.
    pub(super) fn existing(&self) -> io::Result<BTreeMap<Place, Vec<(PathBuf, u64)>>> {
        let folder = if self.folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            &self.folder
        };
        let mut found = BTreeMap::<_, Vec<_>>::new();
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name();
            let Some((place, path)) = name.to_str().and_then(|name| self.place(name)) else {
                continue;
            };
            let what = fs::symlink_metadata(&path)?;
            let files = found.entry(place).or_default();
            if what.is_file() {
                files.push((path, what.len()));
            }
        }
        Ok(found)
    }

    /// The place that a name stands for, where it is one of these.
    fn place(&self, name: &str) -> Option<(Place, PathBuf)> {
        let rest = name.strip_prefix(&self.stem)?;
        let suffixes = [SENT, COMPRESSED, PLAIN];
        let numbers = suffixes.iter().find_map(|suffix| rest.strip_suffix(suffix))?;
        let mut numbers = numbers.split('.');
        if numbers.next() != Some("") {
            return None;
        }
        let mut number = || numbers.next().map_or(Some(1), |number| number.parse().ok());
        let place = Place {
            connection: number()?,
            part: number()?,
        };
        // As these are written: not with zeros before it, and not compressed where the others are not.
        let path = self.folder.join(name);
        let is_one = path == self.received(place) || path == self.sent(place);
        is_one.then_some((place, path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_recording_are_found() {
        let folder = std::env::temp_dir().join(format!("feedwatch-{}-names", std::process::id()));
        fs::create_dir_all(folder.join("a.3.jsonl")).unwrap();
        for name in [
            "a.jsonl",
            "a.sent.jsonl",
            "a.2.jsonl",
            "a.2.2.jsonl",
            "ab.jsonl",
            "a.jsonl.zst",
        ] {
            fs::write(folder.join(name), name).unwrap();
        }
        std::os::unix::fs::symlink(folder.join("ab.jsonl"), folder.join("a.4.jsonl")).unwrap();
        let mut found = Names::new(&folder.join("a.jsonl")).unwrap().existing().unwrap();
        for files in found.values_mut() {
            files.sort();
        }
        let file = |name: &str| (folder.join(name), name.len() as u64);
        let expected = [
            (place(1, 1), vec![file("a.jsonl"), file("a.sent.jsonl")]),
            (place(2, 1), vec![file("a.2.jsonl")]),
            (place(2, 2), vec![file("a.2.2.jsonl")]),
            (place(3, 1), Vec::new()),
            (place(4, 1), Vec::new()),
        ];
        assert_eq!(found, BTreeMap::from(expected));
        fs::remove_dir_all(folder).unwrap();
    }

    const fn place(connection: u64, part: u64) -> Place {
        Place { connection, part }
    }

    #[test]
    fn each_part_of_each_connection_has_a_name_of_its_own() {
        let names = Names::new(Path::new("a/book.x.jsonl.zst")).unwrap();
        assert!(names.is_compressed());
        for (place, received, sent) in [
            (place(1, 1), "a/book.x.jsonl.zst", "a/book.x.sent.jsonl"),
            (place(2, 1), "a/book.x.2.jsonl.zst", "a/book.x.2.sent.jsonl"),
            (place(1, 3), "a/book.x.1.3.jsonl.zst", "a/book.x.1.3.sent.jsonl"),
        ] {
            assert_eq!(names.received(place), Path::new(received));
            assert_eq!(names.sent(place), Path::new(sent));
            for name in [received, sent] {
                let name = name.strip_prefix("a/").unwrap();
                assert_eq!(names.place(name), Some((place, Path::new("a").join(name))));
            }
        }
        for other in [
            "book.jsonl.zst",
            "book.x.jsonl",
            "book.x.02.jsonl.zst",
            "book.x.1.1.jsonl.zst",
            "book.x.1.2.3.jsonl.zst",
            "book.x.y.jsonl.zst",
            "book.xy.jsonl.zst",
            "book.x.-1.jsonl.zst",
            "book.x.2.sent.jsonl.zst",
            "book.x.2.jsonl.zst.bak",
        ] {
            assert_eq!(names.place(other), None, "{other}");
        }
    }

    #[test]
    fn a_recording_has_the_ending_of_one() {
        assert!(!Names::new(Path::new("book.jsonl")).unwrap().is_compressed());
        for bad in [
            "book",
            "book.zst",
            "book.json",
            ".jsonl",
            ".jsonl.zst",
            "book.sent.jsonl",
            "a/",
            "/",
            "",
        ] {
            let error = Names::new(Path::new(bad)).unwrap_err().to_string();
            assert!(error.contains("must end in .jsonl or .jsonl.zst"), "{error}");
        }
    }
}
