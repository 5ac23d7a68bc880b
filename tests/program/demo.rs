//! `feedwatch demo`.

use crate::harness::{Program, get, run_to_end};
use std::net::SocketAddr;
use std::process::Stdio;

const ANYWHERE: [&str; 3] = ["demo", "--listen", "127.0.0.1:0"];

fn demo(arguments: &[&str]) -> Program {
    Program::start(&[&ANYWHERE, arguments].concat())
}

/// Where the demo says that its landing page is.
async fn address(program: &mut Program) -> SocketAddr {
    let address = |line: &str| {
        Some(
            line.strip_prefix("open     http://")?
                .strip_suffix('/')?
                .parse()
                .unwrap(),
        )
    };
    program.out.find("address", address).await
}

#[tokio::test]
async fn scenarios_are_listed_and_another_name_is_an_error_that_lists_them() {
    let listed = run_to_end(&["demo", "--list-scenarios"]).await;
    assert_eq!(listed.code, Some(0));
    let names: Vec<_> = listed.out.iter().map(|line| line.split_once(' ').unwrap().0).collect();
    assert!(names.starts_with(&["all"]) && names.contains(&"drop"), "{names:?}");
    let refused = run_to_end(&["demo", "--scenario", "nonsense"]).await;
    assert_eq!((refused.code, refused.out.len()), (Some(2), 0));
    assert!(refused.stderr().contains(&names.join(", ")), "{refused:#?}");
}

#[tokio::test]
async fn it_says_at_once_what_it_is_and_ends_by_itself() {
    // Both outputs through one pipe, as in a terminal: what comes first is seen.
    let mut shell = tokio::process::Command::new("sh");
    let together = "exec \"$0\" \"$@\" 2>&1";
    shell
        .args(["-c", together, env!("CARGO_BIN_EXE_feedwatch")])
        .args(ANYWHERE)
        .args(["--for", "2s"]);
    let ended = Program::spawn(shell.stdout(Stdio::piped())).end().await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(
        ended.out[0].starts_with("feedwatch demo, scenario `all`: "),
        "{ended:#?}"
    );
    for start in [
        "open     http://127.0.0.1:",
        "metrics  http://127.0.0.1:",
        "streams  http://127.0.0.1:",
    ] {
        assert!(
            ended.out.iter().any(|line| line.starts_with(start)),
            "{start}: {ended:#?}"
        );
    }
    let events = ended.out.iter().filter(|line| line.contains(" live stream=\"")).count();
    assert!(events >= 4, "what happens follows: {ended:#?}");
}

#[tokio::test]
async fn a_signal_ends_it() {
    for signal in ["INT", "TERM", "HUP"] {
        let mut program = demo(&["--scenario", "steady"]);
        address(&mut program).await;
        program.signal(signal);
        let ended = program.end().await;
        assert_eq!(ended.code, Some(0), "{ended:#?}");
    }
}

#[tokio::test]
async fn what_the_venue_did_is_what_the_metrics_say() {
    let mut program = demo(&["--scenario", "drop", "--for", "9s", "--verify"]);
    let address = address(&mut program).await;
    for path in ["/", "/metrics", "/api/v1/streams"] {
        assert_eq!(get(address, path).await.status, 200, "{path}");
    }
    let ended = program.end().await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(ended.out.last().unwrap(), "verified: 9 figures, 0 different");
    let figure = |name: &str| {
        let line = ended
            .out
            .iter()
            .find(|line| line.starts_with("drop ") && line.contains(name))
            .unwrap();
        let words: Vec<_> = line.split_whitespace().collect();
        words[words.len() - 2].parse::<f64>().unwrap()
    };
    assert_eq!(
        (figure(" attempts "), figure(" losses "), figure(" outages ")),
        (2.0, 1.0, 1.0)
    );
    assert!(figure(" frames received ") > 10.0);
}

/// Somebody else's connection is in the venue's log, and not in the metrics.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_difference_is_told_and_exits_with_1() {
    let mut program = demo(&["--scenario", "steady", "--verify"]);
    let address = address(&mut program).await;
    let venue = listening(program.id())
        .into_iter()
        .find(|port| *port != address.port())
        .expect("the venue listens");
    let (guest, _) = tokio_tungstenite::client_async(
        format!("ws://127.0.0.1:{venue}/ws/market"),
        tokio::net::TcpStream::connect(("127.0.0.1", venue)).await.unwrap(),
    )
    .await
    .unwrap();
    program.signal("INT");
    let ended = program.end().await;
    drop(guest);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let attempts = ended
        .out
        .iter()
        .find(|line| line.starts_with("steady     attempts "))
        .unwrap();
    assert!(
        attempts.contains("venue        2  metrics        1  DIFFERENT"),
        "{attempts}"
    );
    assert!(
        ended.out.last().unwrap().starts_with("verified: 9 figures, "),
        "{ended:#?}"
    );
}

/// The ports that a process listens on, from `/proc`.
#[cfg(target_os = "linux")]
fn listening(process: u32) -> Vec<u16> {
    const LISTEN: &str = "0A";
    let sockets: Vec<_> = std::fs::read_dir(format!("/proc/{process}/fd"))
        .unwrap()
        .filter_map(|entry| {
            std::fs::read_link(entry.ok()?.path())
                .ok()?
                .into_os_string()
                .into_string()
                .ok()
        })
        .collect();
    let table = std::fs::read_to_string(format!("/proc/{process}/net/tcp")).unwrap();
    table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields[3] == LISTEN && sockets.contains(&format!("socket:[{}]", fields[9])))
        .map(|fields| u16::from_str_radix(fields[1].split_once(':').unwrap().1, 16).unwrap())
        .collect()
}
