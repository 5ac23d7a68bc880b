//! `feedwatch probe`, `feedwatch venues`, and `/probe` of a service.

use crate::exposition::Exposition;
use crate::harness::{
    LIMIT, Program, Service, TempFile, busy, closed_venue, command, config, get_with, json, run_to_end, venue,
};
use crate::openmetrics::OpenMetrics;
use feedwatch::sim::{
    Fault, ListedEvent, ListedMarket, RestOptions, RetryForm, Rule, Script, SimOptions, SimulatedVenue, TlsFault,
    Traffic, What,
};
use serde_json::Value;
use std::fs;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

fn lively() -> SimulatedVenue {
    SimulatedVenue::start(SimOptions {
        traffic: Traffic::Generated {
            events_per_second: 200.0,
        },
        ..SimOptions::default()
    })
    .unwrap()
}

fn report(stdout: &str) -> Value {
    serde_json::from_str(stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
}

#[tokio::test]
async fn a_venue_that_is_well_ends_with_0_and_says_so() {
    let sim = lively();
    let url = sim.url();
    let arguments = [
        "probe",
        "polymarket",
        "--url",
        &url,
        "--instrument",
        "11",
        "--frames",
        "2",
    ];
    let ended = run_to_end(&arguments).await;
    assert_eq!((ended.code, ended.err.len()), (Some(0), 0), "{ended:#?}");
    let told = ended.stdout();
    for part in [
        "TCP connect",
        "HTTP 101",
        "1 of 1 in effect",
        "round trip",
        "book_snapshot 11",
        "All well: live, and data came.",
    ] {
        assert!(told.contains(part), "{part} is missing: {told}");
    }
    let ended = run_to_end(&[&arguments[..], &["--format", "json"]].concat()).await;
    let report = report(&ended.stdout());
    assert_eq!(
        (ended.code, &report["well"], &report["verdict"]),
        (Some(0), &true.into(), &"well".into())
    );
    assert_eq!(report["subscriptions"]["accepted"], serde_json::json!(["11"]));
    assert!(report["phases"]["upgrade"].as_f64().unwrap() > 0.0);
    assert!(report["round_trip_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(report["first_frames"][0]["events"][0]["kind"], "book_snapshot");
}

#[tokio::test]
async fn without_an_instrument_it_says_that_it_only_connects() {
    let sim = lively();
    let ended = run_to_end(&["probe", "polymarket", "--url", &sim.url()]).await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stdout().contains("name one with --instrument"), "{ended:#?}");
}

#[tokio::test]
async fn what_is_wrong_ends_with_1_and_is_told_in_words() {
    for (sim, cause, words) in [
        (closed_venue(), "tcp_refused", "nothing listens on this port"),
        (venue(vec![Rule::always(busy())]), "http_status", "overloaded"),
        (
            venue(vec![Rule::always(Fault::Hang)]),
            "upgrade_timeout",
            "not answered in time",
        ),
    ] {
        let url = sim.url();
        let arguments = [
            "probe",
            "polymarket",
            "--url",
            &url,
            "--instrument",
            "11",
            "--for",
            "1s",
        ];
        let ended = run_to_end(&arguments).await;
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        let told = ended.stdout();
        assert!(told.contains(&format!("Wrong: {cause}")), "{told}");
        assert!(told.contains(words) && told.contains("What to do:"), "{told}");
        let ended = run_to_end(&[&arguments[..], &["--format", "json"]].concat()).await;
        let report = report(&ended.stdout());
        assert_eq!((ended.code, &report["failure"]["cause"]), (Some(1), &cause.into()));
        assert!(report["advice"]["meaning"].as_str().unwrap().contains(words));
    }
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_told() {
    let sim = SimulatedVenue::start(SimOptions {
        tls: true,
        script: feedwatch::sim::Script {
            rules: vec![Rule::connections(2, 2, Fault::Tls(TlsFault::Expired))],
        },
        ..SimOptions::default()
    })
    .unwrap();
    let authority = TempFile::new("pem", sim.authority().unwrap().pem());
    let url = sim.url();
    for (code, words) in [(0, "certificate good for"), (1, "Wrong: tls_certificate")] {
        let mut command = command(&[
            "probe",
            "polymarket",
            "--url",
            &url,
            "--instrument",
            "11",
            "--frames",
            "1",
        ]);
        command
            .env("SSL_CERT_FILE", authority.name())
            .env_remove("SSL_CERT_DIR");
        let ended = Program::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
            .end()
            .await;
        assert_eq!(ended.code, Some(code), "{ended:#?}");
        assert!(ended.stdout().contains(words), "{ended:#?}");
    }
}

#[tokio::test]
async fn a_wrong_command_line_ends_with_2_and_says_what_would_be_right() {
    for (arguments, told) in [
        (&["probe"] as &[&str], "VENUE"),
        (&["probe", "polymarkt"], "there are: polymarket"),
        (&["probe", "polymarket", "--url", "http://a"], "ws:// or wss://"),
        (&["probe", "polymarket", "--instrument", "0x"], "decimal number"),
        (
            &["probe", "polymarket", "--channel", "x"],
            "--channel \"x\" is impossible",
        ),
        (&["probe", "polymarket", "--for", "1"], "500ms"),
        (&["probe", "polymarket", "--for", "1ms"], "from 100ms to 1h"),
        (&["probe", "--stream", "a"], "--config"),
        (&["probe", "--config", "config/feedwatch.toml"], "VENUE"),
        (
            &["probe", "bitgot", "--config", "config/venues/bitget.toml"],
            "kalshi, bitget",
        ),
        (
            &["probe", "--config", "config/feedwatch.toml", "--stream", "x"],
            "there are: elections",
        ),
    ] {
        let ended = run_to_end(arguments).await;
        assert_eq!((ended.code, ended.out.len()), (Some(2), 0), "{ended:#?}");
        assert!(ended.stderr().contains(told), "{told}: {ended:#?}");
    }
}

#[tokio::test]
async fn a_configured_stream_is_probed_as_it_is() {
    let sim = SimulatedVenue::start(SimOptions {
        required_header: Some(("x-key".into(), "of-a-test".into())),
        ..SimOptions::default()
    })
    .unwrap();
    let text = config("", &[("one", &sim.url(), "")]) + "headers = { x-key = \"of-a-test\" }\n";
    let file = TempFile::new("toml", &text);
    let ended = run_to_end(&["probe", "--config", file.name(), "--stream", "one", "--frames", "1"]).await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stdout().contains("2 of 2 in effect"), "{ended:#?}");
    assert!(!ended.stdout().contains("of-a-test"));
}

/// A venue that asks for a header, the description of it, and a stream that does nothing.
fn described() -> (SimulatedVenue, String) {
    let sim = SimulatedVenue::start(SimOptions {
        required_header: Some(("x-key".into(), "of-a-test".into())),
        ..SimOptions::default()
    })
    .unwrap();
    let text = format!(
        "{}[[venues]]\nname = \"ticks\"\nurl = \"{}\"\nheaders = {{ x-key = \"of-a-test\" }}\n\
         subscribe = '{{\"assets_ids\":[{{instruments}}],\"type\":\"market\"}}'\n\
         [[venues.events]]\nkind = \"book_snapshot\"\nwhen = {{ \"/0/event_type\" = \"book\" }}\ninstrument = \"/0/asset_id\"\n\
         [[streams]]\nname = \"idle\"\nvenue = \"polymarket\"\nurl = \"ws://127.0.0.1:1\"\n",
        config("", &[]),
        sim.url()
    );
    (sim, text)
}

#[tokio::test]
async fn a_venue_that_is_described_is_probed_by_its_name() {
    let (_sim, text) = described();
    let file = TempFile::new("toml", &text);
    let arguments = ["probe", "ticks", "--config", file.name()];
    let ended = run_to_end(&arguments).await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let ended = run_to_end(&[&arguments[..], &["--instrument", "11", "--frames", "1"]].concat()).await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stdout().contains("book_snapshot 11"), "{ended:#?}");

    let service = Service::run(&text).await;
    let answer = service.get("/probe?target=ticks").await;
    assert_eq!(figure(&answer.body, "probe_success"), Some(1.0), "{}", answer.body);
    let unknown = service.get("/probe?target=tocks").await;
    assert_eq!(unknown.status, 400);
    assert!(
        unknown.body.contains("\"tocks\"; there are: polymarket, ") && unknown.body.ends_with(", ticks\n"),
        "{}",
        unknown.body
    );
    // By the configuration in force.
    service.reload(&text.replace("\"ticks\"", "\"tocks\"")).await;
    assert_eq!(service.get("/probe?target=ticks").await.status, 400);
    let answer = service.get("/probe?target=tocks").await;
    assert_eq!(figure(&answer.body, "probe_success"), Some(1.0), "{}", answer.body);
    service.stop("TERM").await;
}

/// A venue that meets these when it is asked for names, and the configuration of a stream that watches some.
fn watching(rules: Vec<Rule>, names: &[&str], instruments: &[&str]) -> (SimulatedVenue, TempFile) {
    let markets = vec![ListedMarket::new("will-ayton-win", &["11", "12"])];
    let sim = SimulatedVenue::start(SimOptions {
        rest: Some(RestOptions {
            events: vec![ListedEvent::new("who-wins", markets)],
            script: Script { rules },
            ..RestOptions::default()
        }),
        ..SimOptions::default()
    })
    .unwrap();
    let text = format!(
        "{}[[streams]]\nname = \"one\"\nvenue = \"polymarket\"\nurl = \"{}\"\nrest_url = \"{}\"\nwatch = {names:?}\n\
         instruments = {instruments:?}\n",
        config("", &[]),
        sim.url(),
        sim.rest_url().unwrap()
    );
    (sim, TempFile::new("toml", &text))
}

fn dials(sim: &SimulatedVenue) -> usize {
    let entries = sim.log().entries();
    entries.iter().filter(|entry| entry.what == What::Accepted).count()
}

#[tokio::test]
async fn what_a_stream_watches_is_looked_up_and_probed() {
    for (names, instruments, code, told) in [
        (&["event:who-wins"] as &[&str], &[] as &[&str], 0, "2 of 2 in effect"),
        (&["event:who-wins"], &["11", "71"], 0, "3 of 3 in effect"),
        (
            &["event:who-wins", "event:who-looses"],
            &[],
            1,
            "Wrong: 1 of 2 names are not resolved, though all else is well.",
        ),
    ] {
        let (_sim, file) = watching(Vec::new(), names, instruments);
        let arguments = ["probe", "--config", file.name(), "--stream", "one", "--frames", "1"];
        let ended = run_to_end(&arguments).await;
        assert_eq!(ended.code, Some(code), "{ended:#?}");
        assert!(ended.stdout().contains(told), "{ended:#?}");
        let ended = run_to_end(&[&arguments[..], &["--format", "json"]].concat()).await;
        let report = report(&ended.stdout());
        assert_eq!(report["names"]["instruments"], 2, "{report}");
        assert_eq!(report["names"]["watched"][0]["instruments"], 2);
        assert_eq!(report["verdict"], if code == 0 { "well" } else { "unresolved" });
    }
    // Whoever names an instrument has nothing looked up.
    let (sim, file) = watching(Vec::new(), &["event:who-looses"], &[]);
    let ended = run_to_end(&[
        "probe",
        "--config",
        file.name(),
        "--stream",
        "one",
        "--instrument",
        "11",
    ])
    .await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(
        !sim.log()
            .entries()
            .iter()
            .any(|entry| matches!(entry.what, What::Asked { .. }))
    );
}

#[tokio::test]
async fn names_that_cannot_be_looked_up_are_told_and_nothing_is_dialled() {
    let busy = Fault::RetryAfter {
        code: 429,
        seconds: 7200,
        form: RetryForm::Seconds,
    };
    for (rules, told) in [
        (Vec::new(), "event:who-looses: http://"),
        (
            vec![Rule::always(busy)],
            "was asked too often (429 Too Many Requests); it wants to be left alone for 7200 s",
        ),
        (vec![Rule::always(Fault::Hang)], "the time of the probe was over"),
    ] {
        let (sim, file) = watching(rules, &["event:who-looses"], &[]);
        let begun = Instant::now();
        let ended = run_to_end(&["probe", "--config", file.name(), "--stream", "one", "--for", "1s"]).await;
        assert!(begun.elapsed() < LIMIT);
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        let stdout = ended.stdout();
        assert!(stdout.contains(told), "{told}: {stdout}");
        assert!(
            stdout.contains("Wrong: 1 of 1 names are not resolved, so nothing was dialled."),
            "{stdout}"
        );
        assert!(stdout.contains("rest_url"), "{stdout}");
        assert_eq!(dials(&sim), 0);
    }
    let (sim, file) = watching(Vec::new(), &["event:who-wins"], &[]);
    sim.resolve(&["11", "12"]);
    let ended = run_to_end(&["probe", "--config", file.name(), "--stream", "one"]).await;
    assert_eq!((ended.code, dials(&sim)), (Some(1), 0), "{ended:#?}");
    assert!(
        ended
            .stdout()
            .contains("Wrong: the names stand for no instrument, so nothing was dialled."),
        "{ended:#?}"
    );
    assert!(
        ended.stdout().contains("misspelt, have ended, or are not open yet"),
        "{ended:#?}"
    );
}

#[tokio::test]
async fn the_list_of_venues_is_the_page_in_docs() {
    let ended = run_to_end(&["venues", "--format", "markdown"]).await;
    assert_eq!((ended.code, ended.err.len()), (Some(0), 0));
    let path = "docs/venues.md";
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, ended.stdout()).unwrap();
    }
    let page = fs::read_to_string(path).unwrap();
    assert!(
        ended.stdout() == page,
        "feedwatch venues --format markdown > docs/venues.md"
    );

    let list: Value = serde_json::from_str(&run_to_end(&["venues", "--format", "json"]).await.stdout()).unwrap();
    let human = run_to_end(&["venues"]).await.stdout();
    for known in feedwatch::venue::ALL {
        let mut entries = list.as_array().unwrap().iter();
        let entry = entries.find(|entry| entry["name"] == known.name()).unwrap();
        assert_eq!(entry["url"], known.default_url());
        assert!(human.contains(known.default_url()) && page.contains(&format!("## {}", known.name())));
    }
}

/// A service that watches nothing, with these modules.
async fn service(modules: &str) -> Service {
    let idle = "[[streams]]\nname = \"idle\"\nvenue = \"polymarket\"\nurl = \"ws://127.0.0.1:1\"\n";
    Service::run(&format!("{}{modules}\n{idle}", config("", &[]))).await
}

fn module(name: &str, url: &str, more: &str) -> String {
    format!("[probe.modules.{name}]\nvenue = \"polymarket\"\nurl = \"{url}\"\ninstruments = [\"11\"]\n{more}\n")
}

fn figure(text: &str, series: &str) -> Option<f64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

#[tokio::test]
async fn a_probe_over_http_answers_with_its_metrics_in_both_formats() {
    let (sim, closed) = (lively(), closed_venue());
    let service = service(&(module("good", &sim.url(), "") + &module("bad", &closed.url(), ""))).await;
    let answer = service.get("/probe?module=good&target=polymarket").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.headers["content-type"].starts_with("text/plain; version=0.0.4"));
    let read = Exposition::parse(&answer.body).unwrap();
    assert!(
        read.families
            .keys()
            .all(|name| name.starts_with("probe_") || name.starts_with("feedwatch_probe_"))
    );
    assert_eq!(figure(&answer.body, "probe_success"), Some(1.0), "{}", answer.body);
    assert_eq!(
        figure(&answer.body, "feedwatch_probe_subscriptions{answer=\"accepted\"}"),
        Some(1.0)
    );

    let accept = "application/openmetrics-text;version=1.0.0";
    let answer = service.get_accepting("/probe?module=bad", accept).await;
    assert!(answer.headers["content-type"].starts_with("application/openmetrics-text"));
    OpenMetrics::parse(&answer.body).unwrap();
    assert_eq!(figure(&answer.body, "probe_success"), Some(0.0));
    assert_eq!(
        figure(&answer.body, "feedwatch_probe_failure{cause=\"tcp_refused\"}"),
        Some(1.0)
    );

    let scrape = service.get("/metrics").await.body;
    assert!(
        !scrape.contains("\nprobe_success") && !scrape.contains("feedwatch_probe_"),
        "no part of /metrics"
    );
    assert_eq!(
        figure(&scrape, "feedwatch_http_requests_total{code=\"200\",handler=\"probe\"}"),
        Some(2.0)
    );
    service.stop("TERM").await;
}

#[tokio::test]
async fn what_is_not_allowed_is_refused_and_dials_nothing() {
    let (sim, other) = (lively(), lively());
    let modules = module("good", &sim.url(), "") + &module("key", &sim.url(), "headers = { X-Key = \"a\" }");
    let service = service(&modules).await;
    let elsewhere = format!("/probe?module=good&target={}", other.url());
    for (path, told) in [
        ("/probe", "target or module is missing"),
        ("/probe?module=none", "there are: good, key"),
        ("/probe?target=polymarkt", "there are: polymarket"),
        ("/probe?target=ws://127.0.0.1:1", "needs a module"),
        ("/probe?module=good&target=ws://", "has no host"),
        ("/probe?module=good&timeout=1", "unknown parameter"),
        (elsewhere.as_str(), "allow_urls is false"),
    ] {
        let answer = service.get(path).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.body);
        assert!(answer.body.contains(told), "{path}: {}", answer.body);
        assert!(
            !answer.body.contains("127.0.0.1"),
            "an address is not repeated: {}",
            answer.body
        );
    }
    let own = service.get(&format!("/probe?module=good&target={}", sim.url())).await;
    assert_eq!(figure(&own.body, "probe_success"), Some(1.0), "{}", own.body);
    assert!(other.log().entries().is_empty());
    service.stop("TERM").await;
}

#[tokio::test]
async fn any_address_is_probed_where_that_is_allowed_but_never_with_the_secrets_of_another() {
    let (sim, other) = (lively(), lively());
    let modules = module("good", &sim.url(), "") + &module("key", &sim.url(), "headers = { X-Key = \"a\" }");
    let service = service(&format!("[probe]\nallow_urls = true\n{modules}")).await;
    let answer = service.get(&format!("/probe?module=key&target={}", other.url())).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("for its own address alone"), "{}", answer.body);
    assert!(other.log().entries().is_empty());
    let answer = service.get(&format!("/probe?module=good&target={}", other.url())).await;
    assert_eq!(figure(&answer.body, "probe_success"), Some(1.0), "{}", answer.body);
    assert!(!other.log().entries().is_empty());
    service.stop("TERM").await;
}

#[tokio::test]
async fn a_scraper_that_leaves_no_time_is_told_so_and_no_venue_is_blamed() {
    let sim = lively();
    let service = service(&module("m", &sim.url(), "")).await;
    let ask = async |limit: &str| {
        let limit = format!("X-Prometheus-Scrape-Timeout-Seconds: {limit}\r\n");
        get_with(service.address, "/probe?module=m", &limit).await
    };
    for limit in ["1e-9", "0.1", "0.19"] {
        let answer = ask(limit).await;
        let told = "x-prometheus-scrape-timeout-seconds leaves no time for a probe; it takes at least 0.2 seconds";
        assert!(
            answer.status == 400 && answer.body.contains(told),
            "{limit}: {}",
            answer.body
        );
    }
    assert!(sim.log().entries().is_empty(), "it was not dialled");
    for limit in ["0", "-1", "NaN", "inf", "soon"] {
        let answer = ask(limit).await;
        assert_eq!(
            (answer.status, figure(&answer.body, "probe_success")),
            (200, Some(1.0)),
            "{limit}"
        );
    }
    service.stop("TERM").await;
}

#[tokio::test]
async fn a_probe_is_over_before_the_scraper_gives_up() {
    let sim = venue(vec![Rule::always(Fault::Hang)]);
    let service = service(&module("hangs", &sim.url(), "timeout_ms = 600000")).await;
    let begun = Instant::now();
    let mut socket = TcpStream::connect(service.address).await.unwrap();
    let request = "GET /probe?module=hangs HTTP/1.1\r\nHost: a\r\nX-Prometheus-Scrape-Timeout-Seconds: 1.5\r\n\
                   Connection: close\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let answer = tokio::time::timeout(LIMIT, crate::harness::read_answer(&mut socket))
        .await
        .unwrap();
    let body = String::from_utf8(answer.unwrap().body).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(800));
    assert_eq!(
        figure(&body, "feedwatch_probe_failure{cause=\"upgrade_timeout\"}"),
        Some(1.0),
        "{body}"
    );
    let took = figure(&body, "probe_duration_seconds").unwrap();
    assert!((0.8..1.5).contains(&took), "{took}");
    service.stop("TERM").await;
}

#[tokio::test]
async fn one_probe_too_many_is_refused_and_the_place_comes_back() {
    let sim = venue(vec![Rule::connections(1, 1, Fault::Hang)]);
    let modules = module("slow", &sim.url(), "timeout_ms = 2000");
    let service = service(&format!("[probe]\nmax_concurrent = 1\n{modules}")).await;
    let (first, second) = tokio::join!(service.get("/probe?module=slow"), async {
        crate::harness::eventually("the first one is under way", async || {
            let entries = sim.log().entries();
            entries.iter().any(|entry| matches!(entry.what, What::Hung))
        })
        .await;
        service.get("/probe?module=slow").await
    });
    assert_eq!((first.status, second.status), (200, 503), "{}", second.body);
    assert_eq!(second.body, "too many probes at once\n");
    assert_eq!(second.headers["retry-after"], "1");
    let third = service.get("/probe?module=slow").await;
    assert_eq!(figure(&third.body, "probe_success"), Some(1.0), "{}", third.body);
    service.stop("TERM").await;
}

#[tokio::test]
async fn a_reload_brings_another_module() {
    let sim = lively();
    let service = service("").await;
    assert_eq!(service.get("/probe?module=new").await.status, 400);
    let before = fs::read_to_string(service.config()).unwrap();
    let line = service
        .reload(&format!("{before}\n{}", module("new", &sim.url(), "")))
        .await;
    assert_eq!(line["message"], "configuration taken over", "{line}");
    assert_eq!(line["keys"], "probe.modules");
    let answer = service.get("/probe?module=new").await;
    assert_eq!(figure(&answer.body, "probe_success"), Some(1.0), "{}", answer.body);
    let ended = service.stop("TERM").await;
    ended.err.iter().for_each(|line| drop(json(line)));
}
