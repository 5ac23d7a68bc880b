use super::*;
use crate::clock::Moment;
use crate::market::{Cause, StreamName};
use crate::metrics::{Format, StreamCells, StreamInfo};
use crate::supervise::{BreakerState, State, Transition, Trigger};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use std::collections::HashMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{Mutex, mpsc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

/// Long enough for a busy machine, and only ever waited out by a test that fails.
const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    address: SocketAddr,
    state: ExporterState,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    cells: Vec<Arc<StreamCells>>,
}

struct Reply {
    status: u16,
    headers: HashMap<String, String>,
    body: String,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        let build = BuildInfo {
            version: "1.2.3".into(),
            revision: "<abc>".into(),
            rustversion: "1.95".into(),
        };
        let state = ExporterState {
            streams: Arc::new(Streams::new()),
            own: Arc::new(OwnMetrics::new(&build).unwrap()),
            readiness: Arc::new(Readiness::new()),
            build,
        };
        let any = "127.0.0.1:0".parse().unwrap();
        let exporter = Exporter::bind(any, state.clone(), limits).await.unwrap();
        let (address, stop) = (exporter.local_addr(), CancellationToken::new());
        let serving = tokio::spawn(exporter.serve(stop.clone()));
        Self {
            address,
            state,
            stop,
            serving,
            cells: Vec::new(),
        }
    }

    fn add_stream(&mut self, name: &str) -> Arc<StreamCells> {
        let info = StreamInfo {
            stream: StreamName::new(name).unwrap(),
            server_address: "localhost".into(),
            transport: "ws".into(),
            page_on_stale: false,
        };
        let venue = self.state.streams.venue("polymarket");
        let cells = Arc::new(StreamCells::new(info, venue, Moment::now().mono));
        self.state.streams.add(&cells);
        self.cells.push(Arc::clone(&cells));
        cells
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn ask(&self, request: &str) -> Reply {
        let mut socket = self.connect().await;
        socket.write_all(request.as_bytes()).await.unwrap();
        read_reply(&mut socket).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
            .await
    }
}

/// Everything up to the end of the connection.
async fn read_reply(socket: &mut TcpStream) -> Reply {
    let mut raw = Vec::new();
    timeout(PATIENCE, socket.read_to_end(&mut raw))
        .await
        .expect("an answer in time")
        .unwrap();
    let raw = String::from_utf8(raw).unwrap();
    let (head, body) = raw.split_once("\r\n\r\n").expect("an answer");
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header = |line: &str| {
        line.split_once(": ")
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .unwrap()
    };
    Reply {
        status,
        headers: lines.map(header).collect(),
        body: body.to_owned(),
    }
}

/// A collector that does what a test wants in the middle of a scrape.
struct Hook<F: Fn() + Send + Sync> {
    desc: Desc,
    act: F,
}

impl<F: Fn() + Send + Sync> Hook<F> {
    fn boxed(act: F) -> Box<Self> {
        let desc = Desc::new("test_hook".into(), "a hook".into(), Vec::new(), HashMap::new()).unwrap();
        Box::new(Self { desc, act })
    }
}

impl<F: Fn() + Send + Sync> Collector for Hook<F> {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        (self.act)();
        Vec::new()
    }
}

/// Scrapes of this server say when they begin, and wait for a word (or the end of the test).
fn hold_scrapes(server: &Server) -> (tokio::sync::mpsc::UnboundedReceiver<()>, mpsc::Sender<()>) {
    let (began, begins) = tokio::sync::mpsc::unbounded_channel();
    let (go, gate) = mpsc::channel();
    let gate = Mutex::new(gate);
    let hook = Hook::boxed(move || {
        let _ = began.send(());
        let _ = gate.lock().unwrap().recv();
    });
    server.state.own.registry().register(hook).unwrap();
    (begins, go)
}

#[tokio::test]
async fn each_path_answers_with_its_type() {
    let mut server = Server::start(Limits::default()).await;
    server.add_stream("a");
    for (path, content_type, part) in [
        (
            "/metrics",
            text_type(),
            "feedwatch_stream_state{venue=\"polymarket\",stream=\"a\",state=\"idle\"} 1\n",
        ),
        ("/metrics", text_type(), "feedwatch_streams 1\n"),
        ("/metrics", text_type(), "process_threads "),
        ("/-/healthy", "text/plain; charset=utf-8", "healthy\n"),
        ("/", "text/html; charset=utf-8", "version 1.2.3, revision &lt;abc&gt;"),
        ("/", "text/html; charset=utf-8", "href=\"/api/v1/events\""),
        ("/api/v1/streams", "application/json", "\"state\":\"idle\""),
        ("/api/v1/streams?x=1", "application/json", "\"state\":\"idle\""),
    ] {
        let reply = server.get(path).await;
        assert_eq!(
            (reply.status, reply.headers["content-type"].as_str()),
            (200, content_type),
            "{path}"
        );
        assert!(reply.body.contains(part), "{path}: {}", reply.body);
        assert_eq!(reply.headers["x-content-type-options"], "nosniff", "{path}");
        let is_api = path.starts_with("/api");
        assert_eq!(
            reply
                .headers
                .get("cache-control")
                .is_some_and(|value| value == "no-store"),
            is_api,
            "{path}"
        );
    }
}

fn text_type() -> &'static str {
    Format::Text.content_type()
}

#[tokio::test]
async fn the_format_of_a_scrape_is_negotiated_and_that_of_nothing_else() {
    let mut server = Server::start(Limits::default()).await;
    server.add_stream("a");
    let openmetrics = "Accept: text/plain;q=0.1\r\nAccept: application/openmetrics-text;version=";
    for (accept, format) in [
        (String::new(), Format::Text),
        ("Accept: */*\r\n".to_owned(), Format::Text),
        (format!("{openmetrics}1.0.0\r\n"), Format::OpenMetrics),
        (format!("{openmetrics}0.0.1\r\n"), Format::OpenMetricsDraft),
    ] {
        for method in ["GET", "HEAD"] {
            let head = |path: &str| format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{accept}Connection: close\r\n\r\n");
            let reply = server.ask(&head("/metrics")).await;
            assert_eq!(
                reply.headers["content-type"],
                format.content_type(),
                "{method} {accept}"
            );
            assert_eq!(reply.headers["vary"], "accept, accept-encoding");
            let ends = reply.body.ends_with("\n# EOF\n");
            assert_eq!(ends, format != Format::Text && method == "GET", "{method} {accept}");
            let reply = server.ask(&head("/-/healthy")).await;
            assert_eq!(reply.headers["content-type"], "text/plain; charset=utf-8");
            assert!(!reply.headers.contains_key("vary"));
        }
    }
}

#[tokio::test]
async fn head_tells_the_length_and_sends_no_body() {
    let server = Server::start(Limits::default()).await;
    for path in ["/metrics", "/-/healthy", "/", "/api/v1/streams"] {
        let reply = server
            .ask(&format!("HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
            .await;
        assert_eq!((reply.status, reply.body.as_str()), (200, ""), "{path}");
        assert!(reply.headers["content-length"].parse::<usize>().unwrap() > 0, "{path}");
    }
}

#[tokio::test]
async fn readiness_is_the_programs_own() {
    let server = Server::start(Limits::default()).await;
    let ready = async || {
        let reply = server.get("/-/ready").await;
        (reply.status, reply.body)
    };
    assert_eq!(ready().await, (503, "starting\n".into()));
    server.state.readiness.set_ready();
    assert_eq!(ready().await, (200, "ready\n".into()));
    server.state.readiness.set_draining();
    assert_eq!(ready().await, (503, "draining\n".into()));
    assert_eq!(server.get("/-/healthy").await.status, 200);
}

#[tokio::test]
async fn what_is_not_there_or_not_allowed_says_what_is() {
    let server = Server::start(Limits::default()).await;
    let reply = server.get("/metric").await;
    assert_eq!(reply.status, 404);
    assert!(
        reply.body.contains("/metrics /-/healthy /-/ready /api/v1/streams"),
        "{}",
        reply.body
    );
    let reply = server.get("/api/v2").await;
    assert_eq!(
        (reply.status, reply.headers["content-type"].as_str()),
        (404, "application/json")
    );
    let error: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    assert!(error["error"].as_str().unwrap().starts_with("no such path"));
    let reply = server
        .ask("DELETE /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!((reply.status, reply.headers["allow"].as_str()), (405, "GET, HEAD"));
    let scraped = server.get("/metrics").await.body;
    for series in [
        "{code=\"404\",handler=\"other\"} 2\n",
        "{code=\"405\",handler=\"metrics\"} 1\n",
    ] {
        assert!(
            scraped.contains(&format!("feedwatch_http_requests_total{series}")),
            "{series}"
        );
    }
}

#[tokio::test]
async fn the_api_tells_a_stream_as_it_is() {
    let mut server = Server::start(Limits::default()).await;
    let cells = server.add_stream("down");
    server.add_stream("idle");
    let now = Moment::now().mono;
    let until = now + Duration::from_secs(300);
    cells.data(now);
    cells.update(now, |w| {
        w.attempt(None);
        w.attempt_failed(Cause::TcpRefused);
        w.outage_began(now);
        let trip = Transition {
            from: BreakerState::Closed,
            to: BreakerState::Open { until },
            trigger: Trigger::ConsecutiveFailures,
            failures: 3,
        };
        w.breaker_moved(&trip, Moment::now(), None);
        w.set_state(State::CoolingDown);
        w.set_wait(Some((Duration::from_secs(300), until)));
        w.threshold(3);
        w.subscriptions(2, 0);
    });
    let reply = server.get("/api/v1/streams").await;
    let answer: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    let [down, idle] = answer["streams"].as_array().unwrap().as_slice() else {
        panic!("{answer}")
    };
    assert_eq!((&down["name"], &down["venue"]), (&"down".into(), &"polymarket".into()));
    assert_eq!(
        (&down["state"], &down["connected"]),
        (&"cooling_down".into(), &false.into())
    );
    assert_eq!(
        (&down["last_cause"], &down["breaker"]["state"]),
        (&"tcp_refused".into(), &"open".into())
    );
    assert_eq!(
        (&down["breaker"]["failures"], &down["breaker"]["threshold"]),
        (&3.into(), &3.into())
    );
    assert_eq!(
        (&down["subscriptions"]["desired"], &down["subscriptions"]["active"]),
        (&2.into(), &0.into())
    );
    assert_eq!(down["next_attempt"], down["breaker"]["open_until"]);
    let wait = down["next_attempt_unix"].as_f64().unwrap() - down["outage_since_unix"].as_f64().unwrap();
    assert!((wait - 300.0).abs() < 0.01, "{wait}");
    assert!(down["data_age_seconds"].as_f64().unwrap() >= 0.0);
    for time in ["since", "last_cause_at", "outage_since", "next_attempt", "last_data"] {
        let unix = down[format!("{time}_unix")].as_f64().unwrap();
        assert_eq!(down[time], rfc3339(unix), "{time}");
    }
    for none in [
        "last_cause",
        "outage_since",
        "next_attempt",
        "last_data",
        "data_age_seconds",
    ] {
        assert!(idle[none].is_null(), "{none}");
    }
    assert!(idle["breaker"]["open_until"].is_null());
}

#[tokio::test]
async fn slow_headers_and_idle_connections_are_cut_off() {
    let limits = Limits {
        header_time: Duration::from_millis(200),
        connections: 2,
        ..Limits::default()
    };
    let server = Server::start(limits).await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET /metrics HTTP/1.1\r\nX-Slow:").await.unwrap();
    let mut idle = server.connect().await;
    idle.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(
        read_reply(&mut idle).await.status,
        200,
        "kept open after its answer, and then cut off"
    );
    let mut rest = Vec::new();
    timeout(PATIENCE, slow.read_to_end(&mut rest))
        .await
        .expect("cut off")
        .unwrap();
    assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_a_freed_slot_is_used_again() {
    let limits = Limits {
        connections: 1,
        ..Limits::default()
    };
    let server = Server::start(limits).await;
    let mut first = server.connect().await;
    first
        .write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut begin = [0; 12];
    first.read_exact(&mut begin).await.unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200");
    let mut second = server.connect().await;
    let closed = timeout(PATIENCE, second.read(&mut [0; 1])).await.expect("closed");
    assert!(!matches!(closed, Ok(1..)), "{closed:?}");
    drop(first);
    let answered = async {
        loop {
            let mut socket = server.connect().await;
            let request = b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            let mut reply = Vec::new();
            if socket.write_all(request).await.is_ok() && socket.read_to_end(&mut reply).await.is_ok_and(|n| n > 0) {
                break reply;
            }
            tokio::task::yield_now().await;
        }
    };
    let reply = timeout(PATIENCE, answered).await.expect("the slot is free again");
    assert!(reply.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn headers_that_are_too_large_are_refused() {
    let server = Server::start(Limits::default()).await;
    let filler = "x".repeat(20 * 1024);
    let reply = server
        .ask(&format!(
            "GET /metrics HTTP/1.1\r\nHost: x\r\nX-Filler: {filler}\r\n\r\n"
        ))
        .await;
    assert_eq!(reply.status, 431);
}

#[tokio::test]
async fn a_body_is_not_read_and_ends_the_connection_with_the_answer() {
    let server = Server::start(Limits::default()).await;
    let gibibyte = 1_u64 << 30;
    for (method, status) in [("GET", 200), ("POST", 405)] {
        let mut socket = server.connect().await;
        let head = format!("{method} /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: {gibibyte}\r\n\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(&vec![b'x'; 100_000]).await.unwrap();
        let reply = read_reply(&mut socket).await;
        assert_eq!((reply.status, reply.headers["connection"].as_str()), (status, "close"));
    }
}

#[tokio::test]
async fn one_scrape_too_many_is_told_to_come_back() {
    let limits = Limits {
        scrapes: 1,
        ..Limits::default()
    };
    let server = Arc::new(Server::start(limits).await);
    let (mut begins, go) = hold_scrapes(&server);
    let first = tokio::spawn({
        let server = Arc::clone(&server);
        async move { server.get("/metrics").await }
    });
    begins.recv().await.unwrap();
    let second = server.get("/metrics").await;
    assert_eq!((second.status, second.headers["retry-after"].as_str()), (503, "1"));
    assert_eq!(server.get("/-/healthy").await.status, 200, "all else goes on");
    drop(go);
    let first = first.await.unwrap();
    assert_eq!(first.status, 200);
    assert!(
        server
            .get("/metrics")
            .await
            .body
            .contains("feedwatch_scrapes_in_flight 1\n"),
        "only its own"
    );
}

#[tokio::test]
async fn the_scrapers_own_timeout_is_honoured() {
    let server = Server::start(Limits::default()).await;
    let (_begins, _go) = hold_scrapes(&server);
    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                   X-Prometheus-Scrape-Timeout-Seconds: 0.2\r\n\r\n";
    let reply = server.ask(request).await;
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (503, "the time for the scrape is over\n")
    );
}

#[tokio::test]
async fn a_scraper_that_does_not_read_is_cut_off() {
    let limits = Limits {
        write_time: Duration::from_millis(300),
        ..Limits::default()
    };
    let mut server = Server::start(limits).await;
    for stream in 0..1500 {
        // More than the buffers of the sockets hold.
        server.add_stream(&format!("a-rather-long-name-of-a-stream-{stream}"));
    }
    let mut socket = server.connect().await;
    socket
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut begin = [0; 12];
    socket.read_exact(&mut begin).await.unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200");
    let in_flight = server.state.own.scrapes_in_flight();
    assert_eq!(in_flight.get(), 1, "it is being sent");
    let freed = async {
        while in_flight.get() > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, freed).await.expect("its place is free again");
}

#[test]
fn a_senseless_timeout_is_none() {
    for (value, limit) in [
        ("10", Some(9)),
        ("0", None),
        ("-1", None),
        ("NaN", None),
        ("inf", None),
        ("x", None),
    ] {
        let mut headers = hyper::HeaderMap::new();
        headers.insert("x-prometheus-scrape-timeout-seconds", value.parse().unwrap());
        assert_eq!(routes::asked_for(&headers), limit.map(Duration::from_secs), "{value}");
    }
}

#[tokio::test]
async fn a_panic_in_a_scrape_is_one_answer_and_no_more() {
    let server = Server::start(Limits {
        scrapes: 1,
        ..Limits::default()
    })
    .await;
    let hook = Hook::boxed(|| panic!("a defect"));
    server.state.own.registry().register(hook).unwrap();
    for _ in 0..3 {
        assert_eq!(server.get("/metrics").await.status, 500, "its place is free again");
    }
    assert_eq!(server.get("/-/healthy").await.status, 200);
}

#[tokio::test]
async fn an_answer_under_way_is_finished_when_the_server_stops() {
    let server = Server::start(Limits::default()).await;
    let (mut begins, go) = hold_scrapes(&server);
    let mut idle = server.connect().await;
    let mut socket = server.connect().await;
    socket
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    begins.recv().await.unwrap();
    server.stop.cancel();
    assert_eq!(
        timeout(PATIENCE, idle.read(&mut [0; 1]))
            .await
            .expect("idle ones end")
            .unwrap_or(0),
        0
    );
    assert!(!server.serving.is_finished(), "waits for the answer");
    drop(go);
    let reply = read_reply(&mut socket).await;
    assert_eq!(reply.status, 200);
    drop((socket, idle));
    timeout(PATIENCE, server.serving).await.expect("ends").unwrap();
    assert!(TcpStream::connect(server.address).await.is_err(), "listens no more");
}

#[tokio::test]
async fn an_answer_that_is_never_taken_does_not_hold_up_the_end() {
    let limits = Limits {
        drain_time: Duration::from_millis(100),
        ..Limits::default()
    };
    let server = Server::start(limits).await;
    let (mut begins, _go) = hold_scrapes(&server);
    let mut socket = server.connect().await;
    socket
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    begins.recv().await.unwrap();
    server.stop.cancel();
    timeout(PATIENCE, server.serving).await.expect("ends").unwrap();
    assert_eq!(socket.read(&mut [0; 1]).await.unwrap_or(0), 0, "and cuts it off");
}

#[tokio::test]
#[ignore = "needs promtool"]
async fn promtool_accepts_a_scrape() {
    let mut server = Server::start(Limits::default()).await;
    server.add_stream("a");
    let cells = server.add_stream("b");
    let now = Moment::now();
    cells.update(now.mono, |w| w.attempt(None));
    cells.frame_received(100, now.mono);
    cells.latency(now.unix_millis() - 20, now);
    let scraped = server.get("/metrics").await.body;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed");
    promtool.stdin.take().unwrap().write_all(scraped.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.is_empty(), "{said}");
}
