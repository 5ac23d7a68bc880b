//! What the library promises to programs that embed it: pages with examples, and types that travel between tasks and can be shown.
//!
//! The items themselves are listed in `docs/api.txt`, which `.ci/run` compares with what there is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may fail"
)]

use feedwatch::market::{
    Book, BookError, Cause, DecodeError, Failure, Frame, Instrument, InvalidName, MarketEvent, OrderBook, Subscribed,
    ValueError,
};
use feedwatch::metrics::{StreamCells, StreamCollector, StreamSnapshot, Streams, VenueCells};
use feedwatch::observe::{ConnectionObserver, StreamObserver};
use feedwatch::stream::{
    DialGate, Endpoint, Fact, HandOff, InvalidEndpoint, ManyConnections, MarketDataStream, NoObserver, Observer,
    ReconnectingDataStream, StreamControl, StreamHandle, TcpDialler, TlsTrust, TransportOptions, WebSocketStream,
};
use feedwatch::supervise::{HostGate, Notice, Policy, PolicyError, Supervisor};
use feedwatch::venue::Polymarket;
use std::error::Error;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

type Stream = ReconnectingDataStream<WebSocketStream, Arc<StreamObserver>>;
type Many = ManyConnections<WebSocketStream, Arc<StreamObserver>, fn(u32) -> Stream>;

/// Compiles where each type has all that is asked of it.
macro_rules! each {
    ($bounds:ident: $($Type:ty),* $(,)?) => { $($bounds::<$Type>();)* };
}

const fn travels<T: Send + Debug + 'static>() {}
const fn is_shared<T: Send + Sync + Debug + 'static>() {}
const fn is_copied_and_compared<T: Clone + PartialEq + Send + Sync + Debug + 'static>() {}
const fn is_an_error<T: Error + Clone + PartialEq + Send + Sync + 'static>() {}

#[test]
fn what_a_program_holds_travels_between_its_tasks_and_can_be_shown() {
    each!(travels: Stream, Many, WebSocketStream, StreamHandle, Supervisor);
    each!(is_shared: StreamControl, DialGate, TlsTrust, TcpDialler, NoObserver, StreamObserver, ConnectionObserver);
    each!(is_shared: StreamCells, VenueCells, Streams, StreamCollector, StreamSnapshot, HostGate, Polymarket);
    each!(is_copied_and_compared: MarketEvent, Frame, Subscribed, Instrument, Cause, Fact, Notice, OrderBook);
    each!(is_copied_and_compared: Policy, TransportOptions, HandOff, Endpoint, Book<'static>);
    each!(is_an_error: Failure, InvalidEndpoint, InvalidName, BookError, DecodeError, ValueError, PolicyError);
}

#[cfg(feature = "service")]
#[test]
fn what_a_tool_holds_travels_as_well() {
    use feedwatch::config::{Config, ConfigErrors, NeedsRestart};
    use feedwatch::exporter::{Exporter, ExporterState};
    use feedwatch::sim::{Expectation, Script, ScriptError, SimLog, SimOptions, SimulatedVenue};
    each!(is_shared: Config, Exporter, ExporterState, SimulatedVenue, SimLog, SimOptions);
    each!(is_copied_and_compared: Script, Expectation);
    each!(is_an_error: ConfigErrors, NeedsRestart, ScriptError);
}

/// Compiles where what waits can be spawned, for any stream and any observer.
#[test]
fn every_wait_of_a_stream_can_be_spawned() {
    const fn is_sent<T: Send>(_: &T) {}
    fn check<S: MarketDataStream + 'static, O: Observer + 'static>(stream: &mut ReconnectingDataStream<S, O>) {
        is_sent(&stream.next_event());
        is_sent(&stream.subscribe(&[]));
        is_sent(&stream.unsubscribe(&[]));
        is_sent(&stream.close());
        is_sent(&stream.retire());
    }
    let _ = check::<WebSocketStream, Arc<StreamObserver>>;
}

#[test]
fn what_is_shown_of_a_stream_holds_no_secret() {
    let endpoint = Endpoint::parse("wss://venue.example/hidden?key=secret").unwrap();
    let info = feedwatch::metrics::StreamInfo::new(
        feedwatch::market::StreamName::new("bot").unwrap(),
        endpoint.host(),
        endpoint.scheme(),
    );
    let now = feedwatch::clock::Moment::now();
    let cells = Arc::new(StreamCells::new(info, Streams::new().venue("polymarket"), now.mono));
    let observer = Arc::new(StreamObserver::new(cells.clone(), &Policy::default()));
    let trust = TlsTrust::only([]).unwrap();
    let socket = WebSocketStream::new(
        &Polymarket,
        endpoint,
        TransportOptions::default(),
        trust.clone(),
        cells,
        observer.clone(),
    );
    let mut shown = vec![format!("{socket:?}"), format!("{trust:?}"), format!("{observer:?}")];
    let stream = ReconnectingDataStream::with_observer(socket, Policy::default(), 7, observer);
    shown.push(format!("{stream:?}"));
    let shown = shown.join(" ");
    for word in ["WebSocketStream", "polymarket", "Idle", "Closed", "bot"] {
        assert!(shown.contains(word), "{word} is not in {shown}");
    }
    for secret in ["secret", "hidden"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

/// The files below a folder of the sources.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The names of the public modules that a file declares, those that are hidden from the documentation left out.
fn public_modules(text: &str) -> Vec<&str> {
    let mut hidden = false;
    let mut names = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';')) {
            if !hidden {
                names.push(name);
            }
            hidden = false;
        } else if line.starts_with("#[") {
            hidden |= line.starts_with("#[doc(hidden)]");
        } else {
            hidden = false;
        }
    }
    names
}

/// Where the module is that a file declares.
fn file_of(declared_in: &Path, module: &str) -> PathBuf {
    let stem = declared_in.file_stem().unwrap();
    let mut directory = declared_in.parent().unwrap().to_owned();
    if stem != "mod" && stem != "lib" {
        directory.push(stem);
    }
    let one = directory.join(format!("{module}.rs"));
    if one.is_file() {
        one
    } else {
        directory.join(module).join("mod.rs")
    }
}

#[test]
fn the_page_of_every_public_module_has_an_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut pages = vec![root.join("lib.rs")];
    for file in sources(&root) {
        let text = fs::read_to_string(&file).unwrap();
        pages.extend(public_modules(&text).into_iter().map(|module| file_of(&file, module)));
    }
    assert!(pages.len() > 12, "{pages:?}");
    for page in pages {
        let text = fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        let lines = || text.lines().take_while(|line| line.starts_with("//!"));
        // A block that is neither marked as text nor as another language is compiled and run.
        assert!(
            lines().any(|line| line == "//! ```"),
            "{} has no example",
            page.display()
        );
        let skipped = |line: &&str| {
            ["no_run", "ignore", "compile_fail"]
                .iter()
                .any(|word| line.contains(word))
        };
        let skipped: Vec<_> = lines()
            .filter(|line| line.starts_with("//! ```"))
            .filter(skipped)
            .collect();
        assert!(skipped.is_empty(), "{}: {skipped:?}", page.display());
    }
}
