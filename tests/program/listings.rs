//! Names at every venue that has some: the look-up against the lists of the simulated venue, which come in pages, change and fail.

use crate::harness::{Program, Service, TempFile, config, eventually, json};
use feedwatch::sim::{
    Fault, ListedInstruments, RestOptions, RetryForm, Rule, Script, SimOptions, SimulatedVenue, Traffic, What,
};
use feedwatch::venue;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A venue, a name to watch there, the three instruments that it stands for, one that comes in later, another one of the venue, and
/// how many pages of two rows the four have.
type Row = (&'static str, &'static str, [&'static str; 5], u64);

/// At venues that write symbols alike.
const OF_A: [&str; 5] = ["AAAUSDT", "AAABTC", "AAAEUR", "AAAETH", "BBBUSDT"];
const FOR_DOLLARS: [&str; 5] = ["AAA-USD", "BBB-USD", "CCC-USD", "DDD-USD", "AAA-EUR"];

const ROWS: [Row; 20] = [
    ("binance", "AAA*", OF_A, 1),
    (
        "binance_usdm",
        "*USDT",
        ["AAAUSDT", "BBBUSDT", "CCCUSDT", "DDDUSDT", "AAAUSDC"],
        1,
    ),
    (
        "binance_coinm",
        "AAA*",
        [
            "AAAUSD_PERP",
            "AAAUSD_300927",
            "AAAUSD_301227",
            "AAAUSD_310328",
            "BBBUSD_PERP",
        ],
        1,
    ),
    (
        "kraken",
        "BTC/*",
        ["BTC/USD", "BTC/EUR", "BTC/USDT", "BTC/GBP", "ETH/USD"],
        1,
    ),
    ("coinbase", "*-USD", FOR_DOLLARS, 1),
    ("coinbase_exchange", "*-USD", FOR_DOLLARS, 1),
    (
        "okx",
        "SWAP:*-USDT-*",
        [
            "AAA-USDT-SWAP",
            "BBB-USDT-SWAP",
            "CCC-USDT-SWAP",
            "DDD-USDT-SWAP",
            "AAA-USDT",
        ],
        1,
    ),
    ("bybit_spot", "AAA*", OF_A, 1),
    (
        "bybit_linear",
        "AAA*",
        ["AAAUSDT", "AAAPERP", "AAAUSDC", "AAAEUR", "BBBUSDT"],
        2,
    ),
    (
        "bybit_inverse",
        "*USD",
        ["AAAUSD", "BBBUSD", "CCCUSD", "DDDUSD", "AAAUSDH30"],
        2,
    ),
    (
        "bybit_option",
        "BTC-*-C-USDT",
        [
            "BTC-27SEP30-1-C-USDT",
            "BTC-27SEP30-2-C-USDT",
            "BTC-27SEP30-3-C-USDT",
            "BTC-27SEP30-4-C-USDT",
            "BTC-27SEP30-1-P-USDT",
        ],
        2,
    ),
    (
        "kalshi",
        "series:KXRAIN",
        [
            "KXRAIN-30-A",
            "KXRAIN-30-B",
            "KXRAIN-31-A",
            "KXRAIN-31-B",
            "KXSNOW-30-A",
        ],
        2,
    ),
    (
        "kraken_futures",
        "PF_*",
        ["PF_AAAUSD", "PF_BBBUSD", "PF_CCCUSD", "PF_DDDUSD", "FI_AAAUSD_300927"],
        1,
    ),
    (
        "bitfinex",
        "tAAA*",
        ["tAAAUSD", "tAAAUST", "tAAAF0:USTF0", "tAAAEUR", "tBBBUSD"],
        1,
    ),
    (
        "deribit",
        "future:AAA-*",
        [
            "AAA-PERPETUAL",
            "AAA-27SEP30",
            "AAA-27DEC30",
            "AAA-28MAR31",
            "AAA-27SEP30-1-C",
        ],
        1,
    ),
    (
        "hyperliquid",
        "xyz:*",
        ["xyz:AAA", "xyz:BBB", "xyz:CCC", "xyz:DDD", "AAA"],
        1,
    ),
    (
        "dydx",
        "AAA*",
        ["AAA-USD", "AAAB-USD", "AAAC-USD", "AAAD-USD", "BBB-USD"],
        1,
    ),
    (
        "bitmex",
        "AAA*",
        ["AAAUSD", "AAA_USDT", "AAAU30", "AAAZ30", "BBBUSD"],
        1,
    ),
    (
        "bitstamp",
        "*usd",
        ["aaausd", "bbbusd", "cccusd", "dddusd", "aaaeur"],
        1,
    ),
    ("gemini", "*USD", ["AAAUSD", "BBBUSD", "CCCUSD", "DDDUSD", "AAAEUR"], 1),
];

/// It fails twice after the first round, and is asked for nothing but lists: over WebSockets nobody is answered.
fn venue_of(row: &Row) -> SimulatedVenue {
    let (name, _, [a, b, c, _, other], pages) = *row;
    let down = Fault::Status {
        code: 503,
        headers: BTreeMap::new(),
        body: "busy".into(),
    };
    let busy = Fault::RetryAfter {
        code: 429,
        seconds: 1,
        form: RetryForm::Seconds,
    };
    let rules = vec![
        Rule::connections(pages + 1, pages + 1, down),
        Rule::connections(pages + 2, pages + 2, busy),
    ];
    simulated(RestOptions {
        instruments: vec![ListedInstruments::new(name, &[a, other, b, c])],
        page_size: 2,
        script: Script { rules },
        ..RestOptions::default()
    })
}

fn simulated(rest: RestOptions) -> SimulatedVenue {
    SimulatedVenue::start(SimOptions {
        traffic: Traffic::Silent,
        script: Script {
            rules: vec![Rule::always(Fault::Hang)],
        },
        rest: Some(rest),
        ..SimOptions::default()
    })
    .unwrap()
}

fn watching(row: &Row, url: &str, rest: &str) -> String {
    let (venue, name, ..) = row;
    let mut stream = format!(
        "[[streams]]\nname = \"{venue}\"\nvenue = \"{venue}\"\nurl = \"{url}\"\nwatch = [\"{name}\"]\nrest_url = \"{rest}\"\n"
    );
    if *venue == "kalshi" {
        let key = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/kalshi/key.pem");
        writeln!(stream, "api_key_id = \"6f1c\"\napi_key_file = \"{key}\"").unwrap();
    }
    stream
}

const HEAD: &str = "names.refresh_interval_ms = 1000\nreconnection.initial_delay_ms = 60000";

#[tokio::test]
async fn every_venue_lists_in_pages_fails_recovers_and_changes_and_nothing_is_lost() {
    let with_names = venue::ALL.iter().filter(|venue| venue.directory().is_some());
    let mut names: Vec<_> = with_names.map(|venue| venue.name()).collect();
    names.retain(|name| *name != "polymarket" && !ROWS.iter().any(|row| row.0 == *name));
    assert_eq!(names, [""; 0], "these are not tried");

    let venues: Vec<_> = ROWS.iter().map(venue_of).collect();
    let streams = ROWS
        .iter()
        .zip(&venues)
        .map(|(row, venue)| watching(row, &venue.url(), &venue.rest_url().unwrap()));
    let service = Service::run(&(config(HEAD, &[]) + &streams.collect::<String>())).await;
    let all_have = async |count: f64, unresolved: f64| {
        let scrape = service.scrape().await;
        ROWS.iter().all(|(name, ..)| {
            let of = |metric| scrape.value(metric, &[("stream", name)]);
            of("feedwatch_subscriptions_desired") == count && of("feedwatch_names_unresolved") == unresolved
        })
    };
    eventually("each fails in both ways", async || {
        let scrape = service.scrape().await;
        ["http_status", "rate_limited"]
            .iter()
            .all(|result| scrape.value("feedwatch_name_lookups_total", &[("result", result)]) == ROWS.len() as f64)
    })
    .await;
    eventually("each has recovered", async || all_have(3.0, 0.0).await).await;
    let lines = |message: &str| {
        let lines = service.program.err.so_far().into_iter().map(|line| json(&line));
        lines.filter(|line| line["message"] == message).count()
    };
    assert_eq!(
        (lines("instruments left"), lines("instruments came in")),
        (0, 0),
        "what was known stayed"
    );

    for ((name, _, [.., later, _], _), venue) in ROWS.iter().zip(&venues) {
        venue.list_instruments(ListedInstruments::new(name, &[later]));
    }
    eventually("one has come in", async || all_have(4.0, 0.0).await).await;
    for ((name, _, [first, ..], _), venue) in ROWS.iter().zip(&venues) {
        venue.end_instruments(name, &[first]);
    }
    eventually("one has left", async || all_have(3.0, 0.0).await).await;
    assert_eq!(
        (lines("instruments left"), lines("instruments came in")),
        (ROWS.len(), ROWS.len())
    );
    for ((name, .., pages), venue) in ROWS.iter().zip(&venues) {
        let entries = venue.log().entries().into_iter();
        let asked: Vec<_> = entries
            .filter_map(|entry| match entry.what {
                What::Asked { status, .. } => Some(status),
                _ => None,
            })
            .collect();
        let first = usize::try_from(*pages).unwrap();
        assert_eq!(asked[first..first + 3], [Some(503), Some(429), Some(200)], "{name}");
    }
    assert_eq!(service.stop("TERM").await.code, Some(0));
}

#[tokio::test]
async fn what_cannot_be_subscribed_to_takes_nothing_else_along() {
    let row = &ROWS[0];
    let (name, _, [first, ..], _) = *row;
    let venue = simulated(RestOptions {
        instruments: vec![ListedInstruments::new(name, &[first])],
        ..RestOptions::default()
    });
    venue.list_instruments(ListedInstruments::new(name, &["AAA-USDT"]));
    let stream = watching(row, &venue.url(), &venue.rest_url().unwrap());
    let mut service = Service::run(&(config(HEAD, &[]) + &stream)).await;
    let told = "some of what the venue lists cannot be subscribed to: it is left out";
    assert_eq!(service.logged(name, told).await["impossible"], 1);
    let figures = async |service: &Service| {
        let scrape = service.scrape().await;
        ["feedwatch_subscriptions_desired", "feedwatch_names_unresolved"]
            .map(|metric| scrape.value(metric, &[("stream", name)]))
    };
    eventually("the other one", async || figures(&service).await == [1.0, 0.0]).await;

    venue.end_instruments(name, &[first]);
    let line = service
        .logged(name, "name not resolved: what is subscribed stays")
        .await;
    let error = line["error"].as_str().unwrap();
    assert!(error.ends_with("holds nothing but impossible instruments"), "{error}");
    assert_eq!(figures(&service).await[0], 1.0);
    assert_eq!(service.stop("TERM").await.code, Some(0));
}

/// Where its WebSockets are, and where its names are.
async fn addresses(program: &mut Program) -> [String; 2] {
    let mut found = Vec::new();
    for begin in ["simulated venue at ", "names at "] {
        found.push(
            program
                .err
                .find(begin, |line| Some(line.strip_prefix(begin)?.to_owned()))
                .await,
        );
    }
    found.try_into().unwrap()
}

#[tokio::test]
async fn the_program_lists_every_venue_and_a_script_says_what() {
    let mut program = Program::start(&["simulate", "--listen", "127.0.0.1:0"]);
    addresses(&mut program).await;
    for venue in venue::ALL.iter().filter(|venue| venue.directory().is_some()) {
        let begin = format!("  {}: ", venue.name());
        program
            .err
            .find(&begin, |line| line.strip_prefix(&begin).map(drop))
            .await;
    }
    program.signal("TERM");
    assert_eq!(program.end().await.code, Some(0));

    let script = "page_size = 1\n[[instruments]]\nvenue = \"bybit_linear\"\nids = [\"AAAUSDT\", \"BBBUSDT\"]\n\
        [[instruments]]\nvenue = \"bybit_linear\"\nids = [\"AAAPERP\"]\nuntil_ms = 100\n";
    let script = TempFile::new("toml", script);
    let mut program = Program::start(&["simulate", "--listen", "127.0.0.1:0", "--script", script.name()]);
    let [url, rest] = addresses(&mut program).await;
    let listed = "  bybit_linear: AAAUSDT, BBBUSDT, AAAPERP";
    program.err.find(listed, |line| (line == listed).then_some(())).await;
    let row = ROWS.iter().find(|row| row.0 == "bybit_linear").unwrap();
    let service = Service::run(&(config(HEAD, &[]) + &watching(row, &url, &rest))).await;
    eventually("the one that is left", async || {
        service
            .scrape()
            .await
            .value("feedwatch_subscriptions_desired", &[("stream", "bybit_linear")])
            == 1.0
    })
    .await;
}

#[tokio::test]
async fn a_body_is_read_if_it_is_posted_and_not_too_long() {
    let venue = SimulatedVenue::start(SimOptions {
        rest: Some(RestOptions::default()),
        ..SimOptions::default()
    })
    .unwrap();
    let url = venue.rest_url().unwrap();
    let address = url.strip_prefix("http://").unwrap();
    for (method, length, status) in [
        ("POST", 100, "200"),
        ("POST", 16 * 1024, "200"),
        ("POST", 16 * 1024 + 1, "422"),
        ("POST", 0, "422"),
        ("GET", 100, "422"),
    ] {
        let asked = if length == 0 { "" } else { r#"{"type": "meta"}"# };
        let request = format!(
            "{method} /info HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{asked:length$}"
        );
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A body that was not read to its end may end in a reset.
        let _ = socket.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        let told = answer.split(' ').nth(1);
        assert_eq!(told, Some(status), "{method} {length}: {answer}");
    }
}

#[tokio::test]
async fn what_is_listed_nowhere_is_refused() {
    for (text, told) in [
        (
            "[[instruments]]\nvenue = \"polymarket\"\nids = []\n",
            "instruments: no list is looked up at \"polymarket\"; must be one of binance, ",
        ),
        (
            "[[instruments]]\nvenue = \"okx\"\nids = [\"BTC USDT\"]\n",
            "instruments of okx: \"BTC USDT\": ",
        ),
        ("page_size = 0\n", "page_size: must be 1 or more"),
    ] {
        let script = TempFile::new("toml", text);
        let ended = Program::start(&["simulate", "--listen", "127.0.0.1:0", "--script", script.name()])
            .end()
            .await;
        assert_eq!(ended.code, Some(2), "{ended:#?}");
        assert!(ended.stderr().starts_with(told), "{ended:#?}");
    }
}
