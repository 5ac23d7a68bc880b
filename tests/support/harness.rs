//! Starts the program, reads what it prints, signals it, and asks its HTTP server. Every wait is bounded.

#![allow(dead_code, reason = "not every test uses everything")]

#[path = "files.rs"]
mod files;
#[path = "http.rs"]
mod http;

pub(crate) use files::TempFile;
#[allow(unused_imports, reason = "not every test asks for itself")]
pub(crate) use http::read as read_answer;

use super::exposition::Exposition;
use feedwatch::sim::{Fault, Rule, Script, SimOptions, SimulatedVenue, Traffic};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

/// Nothing here takes so long, even on a busy machine; what does has failed.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
/// How often something is looked at that cannot be waited for.
const LOOK: Duration = Duration::from_millis(10);

/// The program with these arguments, and without the tester's own variables.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_feedwatch"));
    for (name, _) in std::env::vars_os() {
        if ["FEEDWATCH__", "OTEL_", "NOTIFY_", "WATCHDOG_"]
            .iter()
            .any(|own| name.to_string_lossy().starts_with(own))
        {
            command.env_remove(name);
        }
    }
    command.args(arguments);
    command
}

/// An address on loopback at which nobody listens. Somebody else may take it before it is used.
pub(crate) fn free_address() -> SocketAddr {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.local_addr().unwrap()
}

/// Runs the program to its end.
pub(crate) async fn run_to_end(arguments: &[&str]) -> Ended {
    Program::start(arguments).end().await
}

/// A process that runs. Dropping it kills it.
pub(crate) struct Program {
    child: Child,
    pub(crate) out: Lines,
    pub(crate) err: Lines,
}

/// A process that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; `None` after a signal that it did not handle.
    pub(crate) code: Option<i32>,
    /// The lines of stdout.
    pub(crate) out: Vec<String>,
    /// The lines of stderr.
    pub(crate) err: Vec<String>,
}

impl Program {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    /// What of its output is not piped counts as empty.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        Self {
            out: Lines::of(child.stdout.take()),
            err: Lines::of(child.stderr.take()),
            child,
        }
    }

    /// The id: it is this process's until [`Program::end`] has waited for it.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("nobody has waited for it")
    }

    /// Sends `TERM`, `INT`, ...
    pub(crate) fn signal(&self, name: &str) {
        let sent = std::process::Command::new("kill")
            .args(["-s", name, &self.id().to_string()])
            .status();
        assert!(sent.unwrap().success(), "kill -s {name}");
    }

    /// Waits for its end.
    pub(crate) async fn end(mut self) -> Ended {
        let Ok(status) = timeout(LIMIT, self.child.wait()).await else {
            panic!("it does not end; it printed {:#?} and {:#?}", self.out, self.err);
        };
        Ended {
            code: status.unwrap().code(),
            out: self.out.rest().await,
            err: self.err.rest().await,
        }
    }
}

impl Ended {
    /// Stdout, as it was if it ended with a newline.
    pub(crate) fn stdout(&self) -> String {
        self.out.iter().fold(String::new(), |text, line| text + line + "\n")
    }

    /// Stderr as one text.
    pub(crate) fn stderr(&self) -> String {
        self.err.join("\n")
    }

    /// It ended as asked, and had nothing to complain about.
    pub(crate) fn assert_orderly(&self) {
        assert_eq!(self.code, Some(0), "{self:#?}");
        for line in &self.err {
            let level = json(line)["level"].as_str().unwrap().to_owned();
            assert!(level != "ERROR" && level != "WARN", "{line}");
        }
    }
}

/// What a process prints, line by line.
pub(crate) struct Lines {
    lines: watch::Receiver<Vec<String>>,
    reader: Option<AbortHandle>,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.lines.borrow().iter()).finish()
    }
}

impl Lines {
    fn of(pipe: Option<impl AsyncRead + Unpin + Send + 'static>) -> Self {
        let (sender, lines) = watch::channel(Vec::new());
        let reader = pipe.map(|pipe| {
            let read = async move {
                let mut read = BufReader::new(pipe).lines();
                while let Ok(Some(line)) = read.next_line().await {
                    sender.send_modify(|lines| lines.push(line));
                }
            };
            tokio::spawn(read).abort_handle()
        });
        Self { lines, reader }
    }

    /// What was printed up to now.
    pub(crate) fn so_far(&self) -> Vec<String> {
        self.lines.borrow().clone()
    }

    /// The first line, from the beginning, of which `pick` makes something.
    pub(crate) async fn find<T>(&mut self, what: &str, pick: impl Fn(&str) -> Option<T>) -> T {
        self.find_within(LIMIT, what, pick).await
    }

    /// The same, of what takes its time.
    pub(crate) async fn find_within<T>(&mut self, limit: Duration, what: &str, pick: impl Fn(&str) -> Option<T>) -> T {
        let found = |lines: &[String]| lines.iter().find_map(|line| pick(line));
        let waited = timeout(limit, self.lines.wait_for(|lines| found(lines).is_some())).await;
        if let Ok(Ok(lines)) = waited {
            return found(&lines).expect("waited for");
        }
        let how = if waited.is_err() { "in time" } else { "to the end" };
        drop(waited);
        panic!("no {what} {how}: {:#?}", self.so_far());
    }

    /// Closes the pipe on this side.
    pub(crate) async fn stop_reading(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.abort();
        }
        self.end().await;
    }

    async fn rest(mut self) -> Vec<String> {
        self.end().await;
        self.so_far()
    }

    async fn end(&mut self) {
        let end = async { while self.lines.changed().await.is_ok() {} };
        assert!(timeout(LIMIT, end).await.is_ok(), "somebody else holds the pipe open");
    }
}

/// `feedwatch run`, which is ready.
pub(crate) struct Service {
    pub(crate) program: Program,
    pub(crate) address: SocketAddr,
    config: TempFile,
}

impl Service {
    pub(crate) async fn run(config: &str) -> Self {
        Self::run_with(config, &[], &[]).await
    }

    /// With further arguments and variables.
    pub(crate) async fn run_with(config: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let config = TempFile::new("toml", config);
        let mut command = command(&["run", "--config", config.name()]);
        command.args(arguments).envs(variables.iter().copied());
        let mut program = Program::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        let address = |line: &str| {
            let line = serde_json::from_str::<Value>(line).ok()?;
            (line["message"] == "ready").then(|| line["address"].as_str().unwrap().parse().unwrap())
        };
        Self {
            address: program.err.find("`ready` with an address", address).await,
            program,
            config,
        }
    }

    /// Where its configuration stands.
    pub(crate) fn config(&self) -> &Path {
        Path::new(self.config.name())
    }

    /// Has it read this configuration. Returns the line that says what came of it.
    pub(crate) async fn reload(&self, config: &str) -> Value {
        let before = self.verdicts().len();
        std::fs::write(self.config(), config).unwrap();
        self.program.signal("HUP");
        self.verdict(before).await
    }

    /// The lines up to now that say what came of a reload.
    pub(crate) fn verdicts(&self) -> Vec<Value> {
        let lines = self.program.err.so_far().into_iter().map(|line| json(&line));
        let is_verdict = |line: &Value| {
            let message = line["message"].as_str().unwrap();
            message == "configuration taken over" || message.starts_with("configuration refused")
        };
        lines.filter(is_verdict).collect()
    }

    /// The line after so many.
    pub(crate) async fn verdict(&self, before: usize) -> Value {
        eventually("what came of a reload", async || self.verdicts().len() > before).await;
        self.verdicts().remove(before)
    }

    /// The first log line of `stream` with this message.
    pub(crate) async fn logged(&mut self, stream: &str, message: &str) -> Value {
        let wanted =
            |line: &str| Some(json(line)).filter(|line| line["message"] == message && line["stream"] == stream);
        self.program.err.find(&format!("`{message}` of {stream}"), wanted).await
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        get(self.address, path).await
    }

    /// With an `Accept` header of this value.
    pub(crate) async fn get_accepting(&self, path: &str, accept: &str) -> Response {
        get_with(self.address, path, &format!("Accept: {accept}\r\n")).await
    }

    pub(crate) async fn scrape(&self) -> Exposition {
        let response = self.get("/metrics").await;
        assert_eq!(response.status, 200, "{}", response.body);
        Exposition::parse(&response.body).unwrap()
    }

    /// Ends it with a signal.
    pub(crate) async fn stop(self, signal: &str) -> Ended {
        self.program.signal(signal);
        self.program.end().await
    }
}

/// A configuration: any free port, JSON logs, venues that may be dialled at any rate, `head` of dotted keys, and streams of a name, a URL and its `reconnection`.
pub(crate) fn config(head: &str, streams: &[(&str, &str, &str)]) -> String {
    let mut text = format!(
        "exporter.listen = \"127.0.0.1:0\"\nlog.format = \"json\"\ndial = {{ per_second = 1000, burst = 1000 }}\n{head}\n"
    );
    for (name, url, reconnection) in streams {
        write!(
            text,
            "[[streams]]\nname = \"{name}\"\nvenue = \"polymarket\"\nurl = \"{url}\"\ninstruments = [\"11\", \"22\"]\n\
             reconnection = {{ {reconnection} }}\n"
        )
        .unwrap();
    }
    text
}

/// A venue without traffic of its own that follows these rules.
pub(crate) fn venue(rules: Vec<Rule>) -> SimulatedVenue {
    SimulatedVenue::start(SimOptions {
        traffic: Traffic::Silent,
        script: Script { rules },
        ..SimOptions::default()
    })
    .unwrap()
}

/// The upgrade is answered with 503.
pub(crate) fn busy() -> Fault {
    Fault::Status {
        code: 503,
        headers: BTreeMap::new(),
        body: "busy".into(),
    }
}

/// A venue whose port is closed, and nobody else's.
pub(crate) fn closed_venue() -> SimulatedVenue {
    venue(vec![Rule::during(Duration::ZERO, 100 * LIMIT, Fault::Refuse)])
}

/// A JSON object from a line.
pub(crate) fn json(line: &str) -> Value {
    let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert!(value.is_object(), "{line}");
    value
}

/// Waits until a condition holds of which there is no news.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let give_up = Instant::now() + LIMIT;
    while !holds().await {
        assert!(Instant::now() < give_up, "not in time: {what}");
        sleep(LOOK).await;
    }
}

/// A folder of its own, removed at the end.
pub(crate) struct TempFolder(PathBuf);

impl TempFolder {
    pub(crate) fn new() -> Self {
        let folder = Path::new(TempFile::unused("d").name()).to_owned();
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An HTTP answer.
pub(crate) struct Response {
    pub(crate) status: u16,
    /// By their names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Response {
    get_with(address, path, "").await
}

/// With further headers, each a line that ends.
pub(crate) async fn get_with(address: SocketAddr, path: &str, headers: &str) -> Response {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        http::read(&mut stream).await
    };
    let answer = timeout(LIMIT, exchange)
        .await
        .unwrap_or_else(|_| panic!("no answer in time: {path}"))
        .unwrap_or_else(|error| panic!("{path}: {error}"));
    Response {
        status: answer.status,
        headers: answer.headers,
        body: String::from_utf8(answer.body).unwrap(),
    }
}
