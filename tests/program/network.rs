//! The service behind proxies, with certificates and keys of its own; and what a reload makes of files that have changed.

use crate::harness::{Service, TempFile, config, eventually, json, run_to_end};
use crate::proxy::TestProxy;
use feedwatch::sim::{SimOptions, SimulatedVenue, What};
use feedwatch::stream::ProxyProtocol;
use serde_json::Value;
use std::path::Path;

const API_KEY: &str = "hunter1";
const PASSWORD: &str = "hunter2";

fn venue(options: SimOptions) -> SimulatedVenue {
    SimulatedVenue::start(options).unwrap()
}

fn guarded() -> SimulatedVenue {
    venue(SimOptions {
        tls: true,
        client_certificates: true,
        required_header: Some(("x-api-key".to_owned(), API_KEY.to_owned())),
        ..SimOptions::default()
    })
}

/// A venue that wants to see everything, behind a proxy that does; one behind another proxy; one that needs none.
struct Scene {
    guarded: SimulatedVenue,
    far: SimulatedVenue,
    near: SimulatedVenue,
    http: TestProxy,
    socks: TestProxy,
    authority: TempFile,
    certificate: TempFile,
    key: TempFile,
    password: TempFile,
    headers: TempFile,
}

impl Scene {
    async fn new() -> Self {
        let guarded = guarded();
        let (far, near) = (venue(SimOptions::default()), venue(SimOptions::default()));
        let credentials = Some(("somebody", PASSWORD));
        let client = guarded.client().unwrap();
        Self {
            http: TestProxy::asked_by(ProxyProtocol::Http, guarded.address(), credentials, &[]).await,
            socks: TestProxy::start(ProxyProtocol::Socks5, far.address(), &[]).await,
            authority: TempFile::new("pem", guarded.authority().unwrap().pem()),
            certificate: TempFile::new("pem", client.certificate()),
            key: TempFile::new("pem", client.key()),
            password: TempFile::new("password", PASSWORD),
            headers: TempFile::new("headers", &format!("X-Api-Key: {API_KEY}\n")),
            guarded,
            far,
            near,
        }
    }

    fn config(&self) -> String {
        let head = format!(
            "log.level = \"debug\"\n\
             tls = {{ ca_file = {:?}, client_certificate_file = {:?}, client_key_file = {:?} }}\n\
             proxy = {{ url = \"{}\", username = \"somebody\", password_file = {:?} }}",
            self.authority.name(),
            self.certificate.name(),
            self.key.name(),
            self.http.url(),
            self.password.name(),
        );
        let stream = |name: &str, url: &str, keys: &str| {
            format!(
                "[[streams]]\nname = \"{name}\"\nvenue = \"polymarket\"\nurl = \"{url}\"\ninstruments = [\"11\"]\n{keys}\n"
            )
        };
        let guarded = format!("wss://localhost:{}/ws/market", self.guarded.address().port());
        let socks = format!("proxy = {{ url = \"{}\" }}", self.socks.url());
        [
            config(&head, &[]),
            stream(
                "guarded",
                &guarded,
                &format!("headers_file = {:?}", self.headers.name()),
            ),
            stream("far", "ws://venue.invalid/ws/market", &socks),
            stream("near", &self.near.url(), "proxy = { url = \"\" }"),
        ]
        .concat()
    }

    fn venues(&self) -> [&SimulatedVenue; 3] {
        [&self.guarded, &self.far, &self.near]
    }

    fn dials(&self) -> [usize; 3] {
        self.venues().map(|venue| {
            let entries = venue.log().entries();
            entries.iter().filter(|entry| entry.what == What::Accepted).count()
        })
    }
}

/// What `feedwatch check` says of a configuration, and with which exit code.
async fn check(text: &str) -> (Option<i32>, String) {
    let file = TempFile::new("toml", text);
    let ended = run_to_end(&["check", "--config", file.name()]).await;
    (ended.code, ended.stdout() + &ended.stderr())
}

/// Everything that the service has told anybody.
async fn everything(service: &Service) -> String {
    let mut told = service.program.err.so_far().join("\n");
    for path in [
        "/metrics",
        "/api/v1/streams",
        "/api/v1/streams/guarded",
        "/api/v1/events",
        "/",
    ] {
        told += &service.get(path).await.body;
    }
    told
}

fn line(service: &Service, stream: &str, message: &str) -> Option<Value> {
    let lines = service.program.err.so_far().into_iter().map(|line| json(&line));
    let mut found = lines.filter(|line| line["message"] == message && line["stream"] == stream);
    found.next_back()
}

#[tokio::test]
async fn everything_between_a_stream_and_its_venue_at_once() {
    let scene = Scene::new().await;
    let text = scene.config();
    let (code, told) = check(&text).await;
    assert!(code == Some(0) && told.contains("valid, 3 streams"), "{told}");
    let mut service = Service::run(&text).await;
    for stream in ["guarded", "far", "near"] {
        service.logged(stream, "live").await;
    }
    assert_eq!(
        scene.http.asked(),
        [format!("localhost:{}", scene.guarded.address().port())]
    );
    assert_eq!(scene.socks.asked(), ["venue.invalid:80"]);
    assert_eq!(scene.dials(), [1, 1, 1]);
    let told = everything(&service).await;
    let key = std::fs::read_to_string(scene.key.name()).unwrap();
    let key = key.lines().nth(1).unwrap();
    for secret in [API_KEY, PASSWORD, "somebody", key] {
        assert!(!told.contains(secret), "{secret}: {told}");
    }

    // A file that is broken changes nothing, and the check finds it as well.
    let authority = std::fs::read_to_string(scene.authority.name()).unwrap();
    std::fs::write(scene.authority.name(), "no certificate").unwrap();
    let (code, told) = check(&text).await;
    let problem = format!(
        "tls.ca_file: {:?}: holds none; must be a file of certificates, in PEM",
        scene.authority.name()
    );
    assert!(code == Some(2) && told.contains(&problem), "{told}");
    let refused = service.reload(&text).await;
    assert_eq!(
        refused["message"],
        "configuration refused: the one before it stays in force"
    );
    // A file that holds what it held is no change.
    std::fs::write(scene.authority.name(), authority).unwrap();
    assert_eq!(service.reload(&text).await["unchanged"], 3);
    // Another content is one, for the stream that uses it. Connections stay.
    std::fs::write(scene.password.name(), "another").unwrap();
    let taken = service.reload(&text).await;
    assert_eq!(
        (&taken["changed"], &taken["unchanged"]),
        (&1.into(), &2.into()),
        "{taken}"
    );
    let changed = line(&service, "guarded", "changed: it keeps its connection").unwrap();
    assert_eq!(changed["keys"], "proxy.password_file");
    assert_eq!(scene.dials(), [1, 1, 1]);
    service.stop("TERM").await;
}

/// The stream has tripped with one content of the file, and is live with the other, long before the cooldown would be over.
async fn heals(text: &str, file: &Path, right: &str) {
    let mut service = Service::run(text).await;
    service.logged("a", "breaker tripped").await;
    std::fs::write(file, right).unwrap();
    let taken = service.reload(text).await;
    assert_eq!(taken["changed"], 1, "{taken}");
    eventually("live", async || line(&service, "a", "live").is_some()).await;
    service.stop("TERM").await;
}

#[tokio::test]
async fn what_is_mended_is_tried_at_once() {
    let venue = guarded();
    let client = venue.client().unwrap();
    let [certificate, key] = [client.certificate(), client.key()].map(|text| TempFile::new("pem", text));
    let authority = TempFile::new("pem", venue.authority().unwrap().pem());
    let headers = TempFile::new("headers", "X-Api-Key: wrong");
    let head = format!(
        "tls = {{ ca_file = {:?}, client_certificate_file = {:?}, client_key_file = {:?} }}",
        authority.name(),
        certificate.name(),
        key.name()
    );
    let text = config(&head, &[("a", &venue.url(), "")]) + &format!("headers_file = {:?}\n", headers.name());
    heals(&text, Path::new(headers.name()), &format!("X-Api-Key: {API_KEY}")).await;
    let right = std::fs::read_to_string(authority.name()).unwrap();
    std::fs::write(authority.name(), guarded().authority().unwrap().pem()).unwrap();
    heals(&text, Path::new(authority.name()), &right).await;
}

#[tokio::test]
async fn a_dial_that_waits_long_at_the_gate_is_told_in_the_log() {
    let venue = venue(SimOptions::default());
    let url = venue.url();
    let text = config("", &[("one", &url, ""), ("two", &url, "")]);
    let text = text.replace("per_second = 1000, burst = 1000", "per_second = 0.01, burst = 1");
    let service = Service::run(&text).await;
    let is_wait = |line: &Value| line["message"] == "a dial waits at the gate of the host";
    let waits = || {
        let lines = service.program.err.so_far().into_iter().map(|line| json(&line));
        lines.filter(is_wait).collect::<Vec<_>>()
    };
    eventually("one of them waits", async || !waits().is_empty()).await;
    let line = waits().remove(0);
    assert_eq!(
        (&line["level"], &line["reason"]),
        (&"INFO".into(), &"dial_rate".into()),
        "{line}"
    );
    let wait_ms: u64 = line["wait_ms"].as_str().unwrap().parse().unwrap();
    assert!(wait_ms > 100_000, "{line}");
}
