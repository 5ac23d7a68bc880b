//! A venue's own words, in whatever it has words for: they are shown, and that is all they do.

use crate::harness::{LIMIT, Program, Service, TempFile, command, config, run_to_end};
use crate::support::numbered::Server;
use serde_json::{Value, json};
use std::process::Stdio;

/// A megabyte that colours a terminal, turns text around and looks like a line of the log.
fn evil() -> String {
    format!(
        "\u{1b}[31m\u{202e}EVIL\r\nERROR breaker tripped stream=\"o\"{}",
        "w".repeat(1_000_000)
    )
}

/// An OKX without ETH, which announces the end of its first connection once it has answered.
async fn okx() -> Server {
    Server::start(|connection, text| {
        let Ok(request) = serde_json::from_str::<Value>(text) else {
            return Vec::new();
        };
        let mut said = Vec::new();
        for arg in request["args"].as_array().unwrap() {
            said.push(if arg["instId"] == "BTC-USDT" {
                json!({"event": "subscribe", "arg": arg})
            } else {
                json!({"event": "error", "arg": arg, "code": "60018", "msg": evil()})
            });
        }
        if connection == 0 {
            said.push(json!({"event": "notice", "code": "64008", "msg": evil()}));
        }
        said.iter().map(Value::to_string).collect()
    })
    .await
}

fn watching(server: &Server, streams: &[(&str, &str)]) -> String {
    streams.iter().fold(config("", &[]), |text, (name, instruments)| {
        format!(
            "{text}[[streams]]\nname = \"{name}\"\nvenue = \"okx\"\nurl = \"{}\"\ninstruments = {instruments}\n",
            server.url()
        )
    })
}

fn assert_fit(words: &str) {
    assert!(words.starts_with(" [31m EVIL  ERROR"), "{words:?}");
    assert!(
        words.chars().count() <= 200 && !words.contains(['\u{1b}', '\u{202e}', '\n', '\r']),
        "{words:?}"
    );
}

#[tokio::test]
async fn the_words_of_a_venue_are_short_and_plain_in_the_log_and_the_api() {
    let server = okx().await;
    let text = watching(&server, &[("o", r#"["BTC-USDT", "ETH-USDT"]"#)]);
    let mut service = Service::run(&text).await;
    let refused = service.logged("o", "instruments not subscribed").await;
    assert_eq!(
        (&refused["level"], &refused["reason"], &refused["names"]),
        (&"WARN".into(), &"rejected".into(), &"ETH-USDT".into())
    );
    assert_fit(refused["detail"].as_str().unwrap());
    let leaving = "the venue will end the connection: another one is made first";
    assert_fit(service.logged("o", leaving).await["detail"].as_str().unwrap());

    // All that it asks for is refused.
    let alone = okx().await;
    let text = watching(&alone, &[("r", r#"["ETH-USDT"]"#)]);
    service.reload(&text).await;
    assert_fit(service.logged("r", "attempt failed").await["detail"].as_str().unwrap());
    for path in ["/api/v1/streams/r", "/api/v1/events"] {
        let body = service.get(path).await.body;
        let told: Value = serde_json::from_str(&body).unwrap();
        let events = told["events"].as_array().or(told["history"].as_array()).unwrap().iter();
        let details: Vec<_> = events.filter_map(|event| event["detail"].as_str()).collect();
        let of_venue: Vec<_> = details.iter().filter(|detail| detail.contains("EVIL")).collect();
        assert!(!of_venue.is_empty(), "{body}");
        for detail in of_venue {
            assert_fit(detail);
        }
        assert!(body.len() < 100_000, "{path}: {}", body.len());
    }
    for line in service.stop("TERM").await.err {
        assert!(line.len() < 1500, "{line}");
    }
    server.stop().await;
    alone.stop().await;
}

#[tokio::test]
async fn the_words_of_a_venue_write_no_line_of_the_log_for_people_and_none_of_a_probe() {
    let server = okx().await;
    let text = watching(&server, &[("o", r#"["BTC-USDT", "ETH-USDT"]"#)]).replace("\"json\"", "\"human\"");
    let file = TempFile::new("toml", &text);
    let mut run = command(&["run", "--config", file.name(), "--table", "never"]);
    let mut program = Program::spawn(run.stdout(Stdio::null()).stderr(Stdio::piped()));
    for message in ["the venue will end the connection", "instruments not subscribed"] {
        let wanted = |line: &str| line.contains(message).then(|| line.to_owned());
        let line = program.err.find_within(LIMIT, message, wanted).await;
        assert!(
            line.contains(r#"detail=" [31m EVIL  ERROR breaker tripped"#),
            "{line:?}"
        );
        assert!(line.len() < 1000 && !line.contains(['\u{1b}', '\u{202e}']), "{line:?}");
    }
    program.signal("TERM");
    let ended = program.end().await;
    assert!(!ended.err.iter().any(|line| line.starts_with("ERROR")), "{ended:#?}");

    let url = server.url().to_owned();
    for more in [&[] as &[&str], &["--format", "json"]] {
        let probe = ["probe", "okx", "--url", &url, "--instrument", "ETH-USDT", "--for", "2s"];
        let told = run_to_end(&[&probe, more].concat()).await.stdout();
        assert!(told.contains(" [31m EVIL  ERROR breaker tripped"), "{told}");
        assert!(
            told.len() < 5000 && !told.contains(['\u{1b}', '\u{202e}', '\r']),
            "{told:?}"
        );
    }
    server.stop().await;
}
