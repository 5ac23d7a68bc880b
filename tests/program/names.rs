//! Names that people know: looked up at the start, again and again, and when the configuration is read again. What fails takes
//! nothing away.

use crate::harness::{Service, config, eventually, json};
use feedwatch::sim::{
    Fault, ListedEvent, ListedInstruments, ListedMarket, RestOptions, RetryForm, Rule, Script, SimOptions,
    SimulatedVenue, What,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

const STREAM: [(&str, &str); 1] = [("stream", "named")];

fn cup() -> ListedEvent {
    let markets = vec![
        ListedMarket::new("will-ayton-win", &["11", "12"]),
        ListedMarket::new("will-beeham-win", &["21", "22"]),
    ];
    ListedEvent::new("who-wins", markets)
}

fn venue_with(rest: RestOptions) -> SimulatedVenue {
    let options = SimOptions {
        rest: Some(RestOptions {
            events: vec![cup()],
            ..rest
        }),
        ..SimOptions::default()
    };
    SimulatedVenue::start(options).unwrap()
}

/// Which meets these, request by request.
fn venue(rules: Vec<Rule>) -> SimulatedVenue {
    venue_with(RestOptions {
        script: Script { rules },
        ..RestOptions::default()
    })
}

fn status(code: u16, body: &str) -> Fault {
    Fault::Status {
        code,
        headers: BTreeMap::new(),
        body: body.to_owned(),
    }
}

/// A stream that watches these names, and has these instruments besides.
fn watching(venue: &SimulatedVenue, names: &[&str], instruments: &[&str], more: &str) -> String {
    let mut text = format!(
        "{}names.refresh_interval_ms = 1000\nnames.timeout_ms = 500\n{more}\n",
        config("", &[])
    );
    let rest = venue.rest_url().unwrap();
    let url = venue.url();
    write!(
        text,
        "[[streams]]\nname = \"named\"\nvenue = \"polymarket\"\nurl = \"{url}\"\nwatch = {names:?}\nrest_url = \"{rest}\"\n\
         instruments = {instruments:?}\nreconnection = {{ initial_delay_ms = 10 }}\n"
    )
    .unwrap();
    text
}

/// The figures of the stream: instruments that are asked for, names, and names that are not resolved.
async fn figures(service: &Service) -> [f64; 3] {
    let scrape = service.scrape().await;
    [
        "feedwatch_subscriptions_desired",
        "feedwatch_names_watched",
        "feedwatch_names_unresolved",
    ]
    .map(|name| scrape.value(name, &STREAM))
}

async fn becomes(service: &Service, expected: [f64; 3]) {
    eventually(&format!("{expected:?}"), async || figures(service).await == expected).await;
}

async fn lookups(service: &Service, result: &str) -> f64 {
    service
        .scrape()
        .await
        .value("feedwatch_name_lookups_total", &[("result", result)])
}

/// The lines of this message.
fn told(service: &Service, message: &str) -> Vec<Value> {
    let lines = service.program.err.so_far().into_iter().map(|line| json(&line));
    lines.filter(|line| line["message"] == message).collect()
}

fn asked(venue: &SimulatedVenue) -> Vec<(String, Option<u16>)> {
    let entries = venue.log().entries().into_iter();
    let asked = |what| match what {
        What::Asked { path, status } => Some((path, status)),
        _ => None,
    };
    entries.filter_map(|entry| asked(entry.what)).collect()
}

fn dials(venue: &SimulatedVenue) -> usize {
    let entries = venue.log().entries();
    entries.iter().filter(|entry| entry.what == What::Accepted).count()
}

#[tokio::test]
async fn a_slug_is_subscribed_to_its_markets_come_and_go_and_the_connection_stays() {
    let venue = venue(Vec::new());
    let mut service = Service::run(&watching(&venue, &["event:who-wins"], &["71"], "")).await;
    service.logged("named", "live").await;
    becomes(&service, [5.0, 1.0, 0.0]).await;
    let line = service.logged("named", "name resolved").await;
    assert_eq!(
        line["titles"],
        "Will ayton win?: Yes; Will ayton win?: No; Will beeham win?: Yes; Will beeham win?: No"
    );

    // One comes in, one is resolved; what the configuration lists stays.
    venue.list_market("who-wins", ListedMarket::new("will-celby-win", &["31", "32"]));
    becomes(&service, [7.0, 1.0, 0.0]).await;
    venue.resolve(&["11", "12"]);
    becomes(&service, [5.0, 1.0, 0.0]).await;
    let scrape = service.scrape().await;
    assert!(scrape.value("feedwatch_name_lookup_last_success_timestamp_seconds", &STREAM) > 1.0);
    eventually("each is in effect", async || {
        service.scrape().await.value("feedwatch_subscriptions_active", &STREAM) == 5.0
    })
    .await;
    assert_eq!(dials(&venue), 1, "nothing of that is worth a new connection");

    let names = async || json(&service.get("/api/v1/streams/named").await.body)["names"].clone();
    eventually("the API tells of two markets", async || {
        names().await[0]["instruments"] == 4
    })
    .await;
    let name = &names().await[0];
    assert_eq!(
        (&name["name"], &name["error"]),
        (&"event:who-wins".into(), &Value::Null),
        "{name}"
    );
    assert!(name["resolved_unix"].as_f64().unwrap() > 1.0, "{name}");
    service.stop("TERM").await.assert_orderly();
}

#[tokio::test]
async fn an_api_that_is_down_at_the_start_is_asked_again_and_listed_instruments_wait_for_nothing() {
    let faults = [status(500, ""), Fault::Hang];
    let rules = (1..)
        .zip(faults)
        .map(|(number, fault)| Rule::connections(number, number, fault))
        .collect();
    let venue = venue(rules);
    let mut service = Service::run(&watching(&venue, &["event:who-wins"], &["71"], "")).await;
    service.logged("named", "live").await;
    let warning = service
        .logged("named", "name not resolved: what is subscribed stays")
        .await;
    let error = warning["error"].as_str().unwrap();
    assert!(error.ends_with("answered 500 Internal Server Error"), "{error}");
    becomes(&service, [5.0, 1.0, 0.0]).await;
    let counts = [
        lookups(&service, "http_status").await,
        lookups(&service, "timeout").await,
    ];
    assert_eq!(counts, [1.0, 1.0]);
    assert_eq!(
        told(&service, "name not resolved: what is subscribed stays").len(),
        1,
        "once an episode"
    );
    assert_eq!(told(&service, "name resolved").len(), 1);
}

#[tokio::test]
async fn nothing_that_an_api_answers_amiss_takes_anything_away() {
    let busy = Fault::RetryAfter {
        code: 429,
        seconds: 2,
        form: RetryForm::Seconds,
    };
    let after = Duration::ZERO;
    let faults = [
        status(200, "<html>"),
        status(200, "[]"),
        status(404, "{}"),
        Fault::Cut { after },
        status(302, ""),
        busy,
    ];
    let last = faults.len() as u64 + 1;
    let rules = (2..)
        .zip(faults)
        .map(|(number, fault)| Rule::connections(number, number, fault))
        .collect();
    let venue = venue(rules);
    let mut service = Service::run(&watching(&venue, &["event:who-wins"], &[], "")).await;
    service.logged("named", "live").await;
    becomes(&service, [4.0, 1.0, 0.0]).await;
    becomes(&service, [4.0, 1.0, 1.0]).await;
    eventually("it is asked once more", async || asked(&venue).len() as u64 > last).await;
    becomes(&service, [4.0, 1.0, 0.0]).await;
    assert_eq!(dials(&venue), 1);
    let removed = venue
        .log()
        .entries()
        .into_iter()
        .any(|entry| matches!(entry.what, What::SubscriptionChanged { removed, .. } if removed > 0));
    assert!(!removed, "nothing was unsubscribed");
    let mut counts = Vec::new();
    for result in ["answer", "unknown", "http_status", "rate_limited"] {
        counts.push(lookups(&service, result).await);
    }
    assert_eq!(counts, [3.0, 1.0, 1.0, 1.0]);
    // It was left alone for as long as it wanted to be.
    let log = venue.log().entries();
    let mut times = log
        .iter()
        .filter(|entry| matches!(entry.what, What::Asked { .. }))
        .map(|entry| entry.at);
    let (busy, next) = (times.nth(6).unwrap(), times.next().unwrap());
    assert!(next >= busy + Duration::from_secs(2), "{busy:?} {next:?}");
    assert_eq!(told(&service, "name resolved").len(), 2, "at first, and again");
}

#[tokio::test]
async fn what_the_venue_said_has_ended_is_not_subscribed_again_by_an_answer_that_is_older() {
    let venue = venue_with(RestOptions {
        behind: Duration::from_secs(3600),
        ..RestOptions::default()
    });
    let mut service = Service::run(&watching(
        &venue,
        &["market:will-ayton-win", "market:will-beeham-win"],
        &[],
        "",
    ))
    .await;
    service.logged("named", "live").await;
    becomes(&service, [4.0, 2.0, 0.0]).await;
    eventually("each is in effect", async || {
        service.scrape().await.value("feedwatch_subscriptions_active", &STREAM) == 4.0
    })
    .await;
    venue.resolve(&["11", "12"]);
    becomes(&service, [2.0, 2.0, 0.0]).await;
    let before = asked(&venue).len();
    eventually("both are asked for again", async || asked(&venue).len() >= before + 3).await;
    assert_eq!(figures(&service).await, [2.0, 2.0, 0.0]);
    let log = venue.log().entries();
    let refused = |what: &What| matches!(what, What::SubscriptionChanged { refused, .. } if *refused > 0);
    assert!(
        !log.iter().any(|entry| refused(&entry.what)),
        "they are not even asked for"
    );
}

#[tokio::test]
async fn what_is_listed_no_more_is_unsubscribed() {
    let left =
        r#"{"slug": "who-wins", "markets": [{"question": "Will Beeham win?", "clobTokenIds": "[\"21\", \"22\"]"}]}"#;
    let none = r#"{"slug": "who-wins", "closed": true, "markets": []}"#;
    let venue = venue(vec![
        Rule::connections(2, 3, status(200, left)),
        Rule::connections(4, 1000, status(200, none)),
    ]);
    let mut service = Service::run(&watching(&venue, &["event:who-wins"], &[], "")).await;
    service.logged("named", "live").await;
    becomes(&service, [4.0, 1.0, 0.0]).await;
    becomes(&service, [2.0, 1.0, 0.0]).await;
    becomes(&service, [0.0, 1.0, 0.0]).await;
    eventually("it idles", async || {
        let state = [("stream", "named"), ("state", "idle")];
        service.scrape().await.value("feedwatch_stream_state", &state) == 1.0
    })
    .await;
    service.stop("TERM").await.assert_orderly();
}

#[tokio::test]
async fn a_reload_adds_names_takes_names_back_and_looks_up_at_once() {
    let venue = venue(Vec::new());
    let slow = "names.refresh_interval_ms = 600000";
    let with = |names: &[&str], instruments: &[&str]| {
        watching(&venue, names, instruments, "").replace("names.refresh_interval_ms = 1000", slow)
    };
    let mut service = Service::run(&with(&["market:will-ayton-win"], &[])).await;
    service.logged("named", "live").await;
    becomes(&service, [2.0, 1.0, 0.0]).await;

    let page = "https://polymarket.com/event/who-wins/will-beeham-win";
    service.reload(&with(&["market:will-ayton-win", page], &["11"])).await;
    becomes(&service, [4.0, 2.0, 0.0]).await;
    // A name that nobody has heard of is told, and takes nothing away.
    service.reload(&with(&[page, "event:who-looses"], &["11"])).await;
    becomes(&service, [3.0, 2.0, 1.0]).await;
    let warning = service
        .logged("named", "name not resolved: what is subscribed stays")
        .await;
    assert_eq!(warning["name"], "event:who-looses");

    venue.list_market("who-looses", ListedMarket::new("will-deeford-loose", &["41", "42"]));
    service.reload(&with(&[page, "event:who-looses"], &["11"])).await;
    becomes(&service, [5.0, 2.0, 0.0]).await;
    service
        .reload(&with(&[], &["11"]).replace("rest_url", "# rest_url"))
        .await;
    becomes(&service, [1.0, 0.0, 0.0]).await;
    assert_eq!(dials(&venue), 1);
}

#[tokio::test]
async fn a_stream_that_moves_takes_its_names_along_while_the_api_is_down() {
    let venue = venue(vec![Rule {
        first_connection: 2,
        ..Rule::always(status(503, ""))
    }]);
    let mut service = Service::run(&watching(&venue, &["event:who-wins"], &[], "")).await;
    service.logged("named", "live").await;
    becomes(&service, [4.0, 1.0, 0.0]).await;
    let moved = watching(&venue, &["event:who-wins"], &[], "").replace("/ws/market", "/ws/market?moved");
    service.reload(&moved).await;
    becomes(&service, [4.0, 1.0, 1.0]).await;
    eventually("it connects there", async || dials(&venue) == 2).await;
}

#[tokio::test]
async fn patterns_are_held_against_one_list_of_the_venue_and_told_apart_from_those_that_fit_nothing() {
    let list = r#"{"symbols": [
        {"symbol": "AAABBB", "status": "TRADING", "baseAsset": "AAA", "quoteAsset": "BBB"},
        {"symbol": "AAACCC", "status": "TRADING", "baseAsset": "AAA", "quoteAsset": "CCC"},
        {"symbol": "DDDBBB", "status": "BREAK", "baseAsset": "DDD", "quoteAsset": "BBB"},
        {"symbol": "EEEBBB", "status": "TRADING", "baseAsset": "EEE", "quoteAsset": "BBB"}
    ]}"#;
    let venue = venue(vec![Rule::always(status(200, list))]);
    let watching = watching(&venue, &["AAA*", "*BBB", "DDD*"], &[], "").replace("polymarket", "binance");
    let watching = watching.replace("names.refresh_interval_ms = 1000", "names.refresh_interval_ms = 600000");
    let mut service = Service::run(&watching).await;
    becomes(&service, [3.0, 3.0, 1.0]).await;
    let warning = service
        .logged("named", "name not resolved: what is subscribed stays")
        .await;
    assert_eq!(warning["name"], "DDD*");
    assert!(
        warning["error"].as_str().unwrap().ends_with("lists nothing that fits"),
        "{warning}"
    );
    assert_eq!(asked(&venue), [("/api/v3/exchangeInfo".to_owned(), Some(200))]);
}

#[tokio::test]
async fn an_api_that_wants_a_long_rest_is_told_and_a_reload_tells_it_again() {
    let busy = Fault::RetryAfter {
        code: 429,
        seconds: 7200,
        form: RetryForm::Seconds,
    };
    let venue = venue(vec![Rule::always(busy)]);
    let text = watching(&venue, &["event:who-wins"], &["71"], "");
    // Another stream of the host, which is never answered itself.
    let (head, stream) = text.split_at(text.find("[[streams]]").unwrap());
    let other = stream.replace("\"named\"", "\"other\"");
    let both = format!("{head}{stream}{other}");
    let mut service = Service::run(&text).await;
    let message = "name not resolved: what is subscribed stays";
    let warning = service.logged("named", message).await;
    let error = warning["error"].as_str().unwrap();
    assert!(
        error.ends_with("(429 Too Many Requests); it wants to be left alone for 7200 s, and is for 900 s"),
        "{error}"
    );
    service.reload(&both).await;
    for stream in ["named", "other"] {
        let is_told = |line: &Value| {
            let error = line["error"].as_str().unwrap();
            line["stream"] == stream && error.contains("is not asked: it wants to be left alone for another ")
        };
        eventually("it is told in the log", async || {
            told(&service, message).iter().any(is_told)
        })
        .await;
        eventually("the API tells it", async || {
            let shown = json(&service.get(&format!("/api/v1/streams/{stream}")).await.body);
            let error = shown["names"][0]["error"].as_str().unwrap_or_default();
            error.contains("wants to be left alone for another ")
        })
        .await;
    }
    assert_eq!(asked(&venue).len(), 1, "it is left alone");
    service.stop("TERM").await;
}

#[tokio::test]
async fn lists_that_only_the_body_of_a_request_tells_apart_are_not_taken_for_one_another() {
    let perpetuals = r#"{"universe": [{"name": "AAA"}, {"name": "BBB", "isDelisted": true}, {"name": "kAAA"}]}"#;
    let spot = r#"{
        "tokens": [{"name": "USDC", "index": 0}, {"name": "AAA", "index": 1}],
        "universe": [{"name": "@1", "tokens": [1, 0]}]
    }"#;
    let venue = venue(vec![
        Rule::connections(1, 1, status(200, perpetuals)),
        Rule::connections(2, 2, status(200, spot)),
    ]);
    // The second is held against the list of the first.
    let watching = watching(&venue, &["AAA*", "k*", "AAA/*"], &[], "").replace("polymarket", "hyperliquid");
    let watching = watching.replace("names.refresh_interval_ms = 1000", "names.refresh_interval_ms = 600000");
    let service = Service::run(&watching).await;
    becomes(&service, [3.0, 3.0, 0.0]).await;
    let info = ("/info".to_owned(), Some(200));
    assert_eq!(asked(&venue), [info.clone(), info]);
}

/// How it is told that a name fails.
const NOT_RESOLVED: &str = "name not resolved: what is subscribed stays";

#[tokio::test]
async fn what_is_listed_many_times_takes_the_place_of_nothing_else() {
    let list = format!("[{}\"bbbusd\"]", "\"aaausd\", ".repeat(1000));
    let venue = venue(vec![Rule::always(status(200, &list))]);
    let bound = "names.max_instruments = 2";
    let watching = watching(&venue, &["*"], &[], bound).replace("polymarket", "gemini");
    let mut service = Service::run(&watching).await;
    becomes(&service, [2.0, 1.0, 0.0]).await;
    let line = service.logged("named", "name resolved").await;
    assert_eq!(
        (&line["came"], &line["titles"]),
        (&2.into(), &"AAAUSD; BBBUSD".into()),
        "{line}"
    );
}

#[tokio::test]
async fn pages_that_come_round_again_take_nothing_away() {
    let page = |symbols: &[&str], next: &str| {
        let row = |symbol: &&str| {
            format!(r#"{{"symbol": "{symbol}", "status": "Trading", "baseCoin": "A", "quoteCoin": "B"}}"#)
        };
        let rows: Vec<_> = symbols.iter().map(row).collect();
        let rows = rows.join(", ");
        let body = format!(r#"{{"retCode": 0, "result": {{"list": [{rows}], "nextPageCursor": "{next}"}}}}"#);
        status(200, &body)
    };
    let venue = venue(vec![
        Rule::connections(1, 1, page(&["AAAUSDT", "BBBUSDT"], "")),
        Rule::always(page(&["AAAUSDT"], "again")),
    ]);
    let watching = watching(&venue, &["*"], &[], "").replace("polymarket", "bybit_linear");
    let mut service = Service::run(&watching).await;
    becomes(&service, [2.0, 1.0, 0.0]).await;
    let line = service.logged("named", NOT_RESOLVED).await;
    let error = line["error"].as_str().unwrap();
    assert!(error.ends_with("names a next page that was there before"), "{error}");
    assert_eq!(figures(&service).await, [2.0, 1.0, 1.0]);
}

#[tokio::test]
async fn the_pages_of_a_name_have_an_end_in_time() {
    let symbols: Vec<_> = (10..70).map(|number| format!("S{number}USDT")).collect();
    let symbols: Vec<_> = symbols.iter().map(String::as_str).collect();
    let venue = venue_with(RestOptions {
        instruments: vec![ListedInstruments::new("bybit_linear", &symbols)],
        page_size: 1,
        ..RestOptions::default()
    });
    let watching = watching(&venue, &["*"], &[], "").replace("polymarket", "bybit_linear");
    // Between two requests is a tenth of a second: in two there is no time for sixty.
    let watching = watching.replace("names.timeout_ms = 500", "names.timeout_ms = 200");
    let service = Service::run(&watching).await;
    eventually("it is told", async || {
        let stream = json(&service.get("/api/v1/streams/named").await.body);
        let error = stream["names"][0]["error"].as_str().unwrap_or_default();
        error.ends_with(" did not list all pages within 2000 ms")
    })
    .await;
    assert_eq!(figures(&service).await, [0.0, 1.0, 1.0]);
}

#[tokio::test]
async fn an_api_that_wants_no_rest_is_not_said_to_want_one() {
    for form in [RetryForm::Seconds, RetryForm::Date] {
        let busy = Fault::RetryAfter {
            code: 429,
            seconds: 0,
            form,
        };
        let venue = venue(vec![Rule::always(busy)]);
        let mut service = Service::run(&watching(&venue, &["event:who-wins"], &["71"], "")).await;
        let line = service.logged("named", NOT_RESOLVED).await;
        let error = line["error"].as_str().unwrap();
        assert!(
            error.ends_with("was asked too often (429 Too Many Requests)"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn what_is_beyond_the_bound_is_left_out_and_told() {
    let venue = venue(Vec::new());
    let bound = "names.max_instruments = 3";
    let mut service = Service::run(&watching(&venue, &["event:who-wins"], &["71"], bound)).await;
    becomes(&service, [4.0, 1.0, 0.0]).await;
    let line = service
        .logged(
            "named",
            "more instruments than names.max_instruments: the last ones are left out",
        )
        .await;
    assert_eq!((&line["most"], &line["beyond"]), (&3.into(), &1.into()));
}

#[tokio::test]
async fn a_name_that_stands_for_nothing_from_the_beginning_is_not_resolved() {
    let none = r#"{"slug": "who-looses", "markets": []}"#;
    let venue = venue(vec![Rule::always(status(200, none))]);
    let text = watching(&venue, &["event:who-looses"], &["71"], "");
    let mut service = Service::run(&text).await;
    becomes(&service, [1.0, 1.0, 1.0]).await;
    let message = "name not resolved: what is subscribed stays";
    let warning = service.logged("named", message).await;
    assert_eq!(warning["level"], "WARN");
    assert_eq!(
        warning["error"],
        "the venue lists nothing under it: it is misspelt, has ended, or is not open yet"
    );
    eventually("it is asked again", async || asked(&venue).len() >= 3).await;
    assert!(lookups(&service, "unknown").await >= 2.0);
    assert_eq!(told(&service, message).len(), 1, "once");
    service.reload(&text).await;
    eventually("it is told once more", async || told(&service, message).len() == 2).await;
    assert!(told(&service, "name resolved").is_empty());
    let shown = json(&service.get("/api/v1/streams/named").await.body);
    assert_eq!(shown["names"][0]["error"], warning["error"], "{shown}");
}

#[tokio::test]
async fn names_get_no_more_than_the_venue_takes_from_one_address() {
    let coins: Vec<_> = (0..600).map(|n| format!(r#"{{"name": "C{n}"}}"#)).collect();
    let list = format!(r#"{{"universe": [{}]}}"#, coins.join(", "));
    let venue = venue(vec![Rule::always(status(200, &list))]);
    let text = watching(&venue, &["C*"], &[], "").replace("polymarket", "hyperliquid");
    let mut service = Service::run(&text).await;
    becomes(&service, [500.0, 1.0, 0.0]).await;
    let message = "more instruments than the venue takes from one address: the last ones are left out";
    let line = service.logged("named", message).await;
    assert_eq!((&line["most"], &line["beyond"]), (&500.into(), &100.into()));
    let scrape = service.scrape().await;
    assert_eq!(scrape.value("feedwatch_connections_desired", &STREAM), 5.0);
}
