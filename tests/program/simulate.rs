//! `feedwatch simulate`.

use crate::harness::{LIMIT, Program, Service, TempFile, config, json, run_to_end};
use feedwatch::sim::Capture;
use futures_util::{SinkExt, StreamExt};
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

const SUBSCRIBE: &str = r#"{"assets_ids":["11","22"],"type":"market"}"#;

fn simulate(arguments: &[&str]) -> Program {
    Program::start(&[&["simulate", "--listen", "127.0.0.1:0"], arguments].concat())
}

/// The URL that the program prints.
async fn url(program: &mut Program) -> String {
    let url = |line: &str| Some(line.strip_prefix("simulated venue at ")?.to_owned());
    program.err.find("URL", url).await
}

/// Connects to the URL that the program prints.
async fn client(program: &mut Program) -> WebSocketStream<TcpStream> {
    let url = url(program).await;
    let address: SocketAddr = url
        .strip_prefix("ws://")
        .and_then(|rest| rest.strip_suffix("/ws/market"))
        .unwrap_or_else(|| panic!("{url}"))
        .parse()
        .unwrap();
    let dial = async { tokio_tungstenite::client_async(&url, TcpStream::connect(address).await.unwrap()).await };
    let (mut socket, _) = timeout(LIMIT, dial).await.unwrap().unwrap();
    socket.send(Message::text(SUBSCRIBE)).await.unwrap();
    socket
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> Message {
    timeout(LIMIT, socket.next())
        .await
        .expect("in time")
        .expect("open")
        .unwrap()
}

#[tokio::test]
async fn a_client_is_served_and_the_log_is_json_on_stdout() {
    let mut program = simulate(&["--unknown", "33", "--rate", "200"]);
    let mut socket = client(&mut program).await;
    let books: serde_json::Value = serde_json::from_str(next(&mut socket).await.to_text().unwrap()).unwrap();
    let tokens: Vec<_> = books
        .as_array()
        .unwrap()
        .iter()
        .map(|book| book["asset_id"].as_str().unwrap())
        .collect();
    assert_eq!(tokens, ["11", "22"]);
    for _ in 0..10 {
        assert!(
            next(&mut socket).await.to_text().unwrap().contains("event_type"),
            "events follow"
        );
    }
    socket
        .send(Message::text(r#"{"assets_ids":["33"],"operation":"subscribe"}"#))
        .await
        .unwrap();
    program
        .out
        .find("a refused token", |line| (json(line)["refused"] == 1).then_some(()))
        .await;
    socket.close(None).await.unwrap();
    program
        .out
        .find("the end", |line| (json(line)["what"] == "ended").then_some(()))
        .await;

    program.signal("HUP");
    let ended = program.end().await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(
        ended.err[1],
        "  speaks Polymarket's market channel, and generates events"
    );
    let entries: Vec<_> = ended.out.iter().map(|line| json(line)).collect();
    assert!(
        entries
            .iter()
            .all(|entry| entry["connection"] == 1 && entry["elapsed_seconds"].is_number())
    );
    let story: Vec<_> = entries.iter().map(|entry| entry["what"].as_str().unwrap()).collect();
    let expected = [
        "accepted",
        "upgraded",
        "subscribed",
        "fed",
        "subscription_changed",
        "closed_by_client",
        "ended",
    ];
    assert_eq!(story, expected);
}

#[tokio::test]
async fn a_capture_is_played_byte_for_byte() {
    let file = "tests/fixtures/polymarket/market__session.jsonl";
    let mut program = simulate(&["--capture", file, "--speed", "max"]);
    let mut socket = client(&mut program).await;
    assert!(
        next(&mut socket).await.to_text().unwrap().starts_with('['),
        "the answer comes first"
    );
    for frame in Capture::read(file).unwrap().frames() {
        assert_eq!(next(&mut socket).await.into_data(), frame.payload());
    }
}

#[tokio::test]
async fn a_script_decides_what_a_client_meets_and_the_end_is_logged() {
    let script = TempFile::new("toml", "[[rules]]\nfault = { close = { code = 1012, after_ms = 0 } }\n");
    let mut program = simulate(&["--script", script.name()]);
    let mut first = client(&mut program).await;
    let closed = loop {
        if let Message::Close(frame) = next(&mut first).await {
            break frame.unwrap();
        }
    };
    assert_eq!(u16::from(closed.code), 1012);
    let entry = program
        .out
        .find("close", |line| {
            Some(json(line)).filter(|line| line["what"] == "closed_by_venue")
        })
        .await;
    assert_eq!(entry["code"], 1012);
}

#[tokio::test]
async fn the_end_of_open_connections_is_logged() {
    let mut program = simulate(&[]);
    let mut socket = client(&mut program).await;
    next(&mut socket).await;
    program.signal("INT");
    let closed = loop {
        if let Message::Close(frame) = next(&mut socket).await {
            break frame.unwrap();
        }
    };
    assert_eq!(u16::from(closed.code), 1001);
    let _ = timeout(LIMIT, socket.next()).await.expect("in time");
    let ended = program.end().await;
    assert_eq!(ended.code, Some(0));
    let story: Vec<_> = ended
        .out
        .iter()
        .map(|line| json(line)["what"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(story[story.len() - 2..], ["closed_by_venue", "ended"], "{story:?}");
}

#[tokio::test]
async fn a_client_that_is_told_of_the_authority_is_served_over_tls() {
    let authority = TempFile::unused("pem");
    let mut program = simulate(&["--tls", "--tls-authority", authority.name()]);
    let url = url(&mut program).await;
    assert!(url.starts_with("wss://127.0.0.1:"), "{url}");
    let config = config("", &[("a", &url, "")]);
    let mut service = Service::run_with(&config, &[], &[("SSL_CERT_FILE", authority.name())]).await;
    service.logged("a", "live").await;
    program
        .out
        .find("a subscription", |line| {
            (json(line)["what"] == "subscribed").then_some(())
        })
        .await;
    let certificate = std::fs::read_to_string(authority.name()).unwrap();
    assert!(!certificate.contains("KEY"), "{certificate}");
}

#[tokio::test]
async fn what_is_missing_for_tls_is_told() {
    let script = TempFile::new("toml", "[[rules]]\nfault.tls = \"expired\"\n");
    let ended = run_to_end(&["simulate", "--script", script.name()]).await;
    assert_eq!(
        (ended.code, ended.stderr().trim()),
        (Some(2), "rule 1: fault.tls: the venue must serve TLS: add --tls")
    );
    let ended = run_to_end(&["simulate", "--tls-authority", "ca.pem"]).await;
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    let nowhere = "/nonexistent/ca.pem";
    let ended = run_to_end(&[
        "simulate",
        "--listen",
        "127.0.0.1:0",
        "--tls",
        "--tls-authority",
        nowhere,
    ])
    .await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(
        ended.stderr().starts_with(&format!("cannot write {nowhere}: ")),
        "{ended:#?}"
    );
}

#[tokio::test]
async fn bad_files_are_refused_with_the_place() {
    let script = TempFile::new(
        "toml",
        "[[rules]]\nfault = \"hang\"\n\n[[rules]]\nfault = \"explode\"\n",
    );
    let window = TempFile::new("toml", "rules = [\n  { fault = \"refuse\" },\n]\n");
    let capture = TempFile::new("jsonl", "{\"t\":1,\"frame\":\"PONG\"}\n{\"t\":2}\n");
    for (option, file, place) in [
        ("--script", &script, ":5:9: "),
        ("--script", &window, ":2:3: "),
        ("--capture", &capture, ":2: "),
    ] {
        let ended = run_to_end(&["simulate", option, file.name()]).await;
        assert_eq!((ended.code, ended.out.len()), (Some(2), 0), "{ended:#?}");
        assert!(
            ended.stderr().starts_with(&format!("{}{place}", file.name())),
            "{ended:#?}"
        );
    }
}

#[tokio::test]
async fn a_stream_finds_a_scripted_event_by_its_slug() {
    let script = TempFile::new(
        "toml",
        "[[events]]\nslug = \"cup\"\nmarkets = [{ slug = \"will-ayton-win\", tokens = [\"71\", \"72\"] }]\n",
    );
    let mut program = simulate(&["--script", script.name()]);
    let url = url(&mut program).await;
    let rest = |line: &str| Some(line.strip_prefix("names at ")?.to_owned());
    let rest = program.err.find("where names are", rest).await;
    let listed = |line: &str| (line == "  polymarket: event:cup").then_some(());
    program.err.find("the event", listed).await;
    let config = config("", &[("cup", &url, "")]);
    let watching = config.replace(
        "instruments = [\"11\", \"22\"]",
        &format!("watch = [\"event:cup\"]\nrest_url = \"{rest}\""),
    );
    let mut service = Service::run(&watching).await;
    let resolved = service.logged("cup", "name resolved").await;
    assert_eq!(resolved["titles"], "Will ayton win?: Yes; Will ayton win?: No");
    service.logged("cup", "live").await;
    service.stop("TERM").await.assert_orderly();
    program.signal("TERM");
    assert_eq!(program.end().await.code, Some(0));
}

#[tokio::test]
async fn what_the_rest_part_cannot_serve_is_refused() {
    for (text, told) in [
        (
            "[[events]]\nslug = \"a b\"\n",
            "\"event:a b\": a name at Polymarket is event:SLUG, market:SLUG, or the address of an event or a market, as in \
             https://polymarket.com/event/SLUG; a slug has the characters A-Z a-z 0-9 _ - .",
        ),
        (
            "[[events]]\nslug = \"a\"\nmarkets = [{ slug = \"b\", tokens = [\"x\"] }]\n",
            "market \"b\": a Polymarket token id is a decimal number of at most 78 digits",
        ),
        (
            "[[rest]]\nfault = \"flap\"\n",
            "rest: rule 1: of a request only none, hang, status, retry_after and cut make sense",
        ),
    ] {
        let script = TempFile::new("toml", text);
        let ended = run_to_end(&["simulate", "--listen", "127.0.0.1:0", "--script", script.name()]).await;
        assert_eq!((ended.code, ended.stderr().as_str()), (Some(2), told));
    }
}
