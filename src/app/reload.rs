//! The configuration's file, read again: when a signal asks for it, and when the file has changed.

use super::service::{RefusedReload, Service};
use crate::config::{Config, ConfigErrors};
use crate::metrics::OwnMetrics;
use crate::telemetry::LogLevel;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::sleep;
use tracing::{Instrument, error, info_span};

/// What the file holds, or why nobody can tell.
type Text = Result<String, ConfigErrors>;

/// Where the configuration comes from.
pub struct ConfigSource {
    path: PathBuf,
    listen: Option<SocketAddr>,
    is_watchable: bool,
    watch: FileWatch,
}

/// What was read again.
pub(super) struct Reading {
    text: Text,
    config: Result<Config, ConfigErrors>,
}

/// Why a configuration was not taken over.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{0}")]
    Invalid(#[from] ConfigErrors),
    #[error(transparent)]
    Reload(#[from] RefusedReload),
    #[error("it cannot be read: {0}")]
    Reader(#[from] JoinError),
}

impl ConfigSource {
    /// Reads the file for the first time. `listen` wins over what it says.
    pub fn open(path: &Path, listen: Option<SocketAddr>) -> Result<(Self, Config), ConfigErrors> {
        let Reading { text, config } = read(path, listen, Config::read_text);
        let source = Self {
            path: path.to_owned(),
            listen,
            // What a pipe held cannot be looked at again.
            is_watchable: fs::metadata(path).is_ok_and(|kind| kind.is_file()),
            watch: FileWatch::new(text),
        };
        Ok((source, config?))
    }

    /// Resolves when the file has changed, and has not changed any more between two looks; never without an interval, and never
    /// if it was no file when it was read for the first time.
    ///
    /// Cancel-safe: what the looks have seen stays here.
    pub(super) async fn changed(&mut self, every: Option<Duration>) {
        let Some(every) = every.filter(|_| self.is_watchable) else {
            return std::future::pending().await;
        };
        loop {
            sleep(every).await;
            let path = self.path.clone();
            let seen = spawn_blocking(move || Config::read_text_again(&path)).await;
            // A panic has been told already; the next look may be luckier.
            if seen.is_ok_and(|seen| self.watch.look(seen)) {
                return;
            }
        }
    }

    /// Reads the file again, on a thread that may block.
    pub(super) async fn read(&self) -> Result<Reading, JoinError> {
        let (path, listen) = (self.path.clone(), self.listen);
        spawn_blocking(move || read(&path, listen, Config::read_text_again)).await
    }

    /// Has the service follow what was read, whole or not at all, and tells which.
    pub(super) async fn take_over(
        &mut self,
        reading: Result<Reading, JoinError>,
        service: &mut Service,
        own: &OwnMetrics,
        level: &LogLevel,
    ) -> bool {
        let span = info_span!("service.reload");
        let taken = self.follow(reading, service).instrument(span).await;
        match &taken {
            Ok(()) => level.set(service.config().log.level),
            Err(refused) => {
                own.config_refused();
                tell(refused);
            }
        }
        taken.is_ok()
    }

    async fn follow(&mut self, reading: Result<Reading, JoinError>, service: &mut Service) -> Result<(), Refused> {
        let Reading { text, config } = reading?;
        self.watch.known(text);
        Ok(service.reload(config?).await?)
    }
}

fn read(path: &Path, listen: Option<SocketAddr>, text: impl FnOnce(&Path) -> Text) -> Reading {
    let text = text(path);
    let parse = |text: &String| Config::parse(&path.display().to_string(), text, std::env::vars_os());
    let config = text.as_ref().map_err(Clone::clone).and_then(parse);
    Reading {
        config: config.map(|mut config| {
            config.exporter.listen = listen.unwrap_or(config.exporter.listen);
            config
        }),
        text,
    }
}

/// A line for each error, as `feedwatch check` would tell them.
fn tell(refused: &Refused) {
    match refused {
        Refused::Invalid(errors) => {
            for problem in errors.errors() {
                error!(%problem, "wrong configuration");
            }
            let problems = errors.errors().len() + errors.untold();
            error!(problems, "configuration refused: the one before it stays in force");
        }
        other => error!(problem = %other, "configuration refused: the one before it stays in force"),
    }
}

/// Judges looks at a file. It goes by what the file holds, and not by its times: those of a mounted `ConfigMap`, which is a
/// link to a folder that is exchanged, say little. A file that cannot be read holds its error.
struct FileWatch {
    /// What was read last, whether it was taken over or not.
    known: Text,
    /// Something else, which was seen once: it may be half written.
    news: Option<Text>,
}

impl FileWatch {
    const fn new(known: Text) -> Self {
        Self { known, news: None }
    }

    /// What is seen here is known from now on.
    fn known(&mut self, text: Text) {
        self.known = text;
        self.news = None;
    }

    /// Whether it is time to read the file again.
    fn look(&mut self, seen: Text) -> bool {
        if seen == self.known {
            self.news = None;
            return false;
        }
        let is_settled = self.news.as_ref() == Some(&seen);
        self.news = Some(seen);
        is_settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a file that is not there holds.
    fn missing() -> Text {
        Config::read_text(Path::new("no-such-folder/feeds.toml"))
    }

    /// Of a file that was read when it held `a`.
    fn watch() -> FileWatch {
        FileWatch::new(Ok("a".to_owned()))
    }

    fn look(watch: &mut FileWatch, seen: &str) -> bool {
        watch.look(Ok(seen.to_owned()))
    }

    #[test]
    fn what_changes_is_read_when_two_looks_see_the_same() {
        let mut watch = watch();
        assert!(!look(&mut watch, "a"));
        assert!(!look(&mut watch, "b, half"));
        assert!(!look(&mut watch, "b, half of it"));
        assert!(!look(&mut watch, "b, whole"));
        assert!(look(&mut watch, "b, whole"));
        watch.known(Ok("b, whole".to_owned()));
        assert!(!look(&mut watch, "b, whole"));
        assert!(!look(&mut watch, "b, whole"));
    }

    #[test]
    fn what_is_changed_back_in_between_is_not_read() {
        let mut watch = watch();
        assert!(!look(&mut watch, "b"));
        assert!(!look(&mut watch, "a"));
        assert!(!look(&mut watch, "b"));
        assert!(look(&mut watch, "b"));
    }

    #[test]
    fn a_file_that_vanishes_for_a_moment_is_nothing_and_one_that_stays_away_is_told_once() {
        assert!(missing().is_err());
        let mut watch = watch();
        assert!(!watch.look(missing()));
        assert!(!look(&mut watch, "a"));
        assert!(!watch.look(missing()));
        assert!(watch.look(missing()));
        watch.known(missing());
        assert!(!watch.look(missing()));
        assert!(!watch.look(missing()));
        assert!(!look(&mut watch, "a"));
        assert!(look(&mut watch, "a"));
    }
}
