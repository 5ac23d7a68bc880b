//! `feedwatch pager`: what Alertmanager posts is printed, and nothing else is taken.

use crate::harness::{Program, command, json};
use std::net::SocketAddr;
use std::process::Stdio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const NOTIFICATION: &str = r#"{"version":"4","status":"firing","groupKey":"g","alerts":[{"status":"firing",
    "labels":{"alertname":"A"},"annotations":{"summary":"tripped"}}]}"#;

async fn start(format: &str) -> (Program, SocketAddr) {
    let mut command = command(&["pager", "--listen", "127.0.0.1:0", "--format", format]);
    let mut pager = Program::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let address = |line: &str| line.strip_prefix("pager at http://")?.parse().ok();
    let address = pager.err.find("its address", address).await;
    (pager, address)
}

/// The status and the body of the answer.
async fn ask(address: SocketAddr, method: &str, body: &str, length: usize) -> (u16, String) {
    let answer = try_to_ask(address, method, body, length).await;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer: {answer:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Whatever is answered.
async fn try_to_ask(address: SocketAddr, method: &str, body: &str, length: usize) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = format!("{method} /page HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(body.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A body that was not read to its end may end in a reset.
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_notification_is_printed_for_programs_and_for_people() {
    let (mut pager, address) = start("json").await;
    assert_eq!(ask(address, "POST", NOTIFICATION, NOTIFICATION.len()).await.0, 200);
    let line = pager.out.find("a line", |line| Some(json(line))).await;
    assert_eq!(
        (&line["path"], &line["notification"]["groupKey"]),
        (&"/page".into(), &"g".into())
    );
    pager.signal("TERM");
    assert_eq!(pager.end().await.code, Some(0));

    let (mut pager, address) = start("human").await;
    assert_eq!(ask(address, "POST", NOTIFICATION, NOTIFICATION.len()).await.0, 200);
    pager
        .out
        .find("a head", |line| line.ends_with("/page: firing, 1 alert").then_some(()))
        .await;
    pager
        .out
        .find("a paragraph", |line| (line == "  firing    tripped").then_some(()))
        .await;
}

#[tokio::test]
async fn what_is_no_notification_is_refused_with_what_would_be_right() {
    let (pager, address) = start("json").await;
    let (status, told) = ask(address, "GET", "", 0).await;
    assert_eq!(
        (status, &*told),
        (405, "this is where Alertmanager posts notifications\n")
    );
    let (status, told) = ask(address, "POST", "{}", 2).await;
    assert_eq!(
        (status, &*told),
        (
            400,
            "no notification of Alertmanager: missing field `status` at line 1 column 2\n"
        )
    );
    let (status, told) = ask(address, "POST", "", 100_000_000).await;
    assert_eq!((status, &*told), (413, "a notification has at most 4194304 bytes\n"));
    assert!(pager.out.so_far().is_empty());
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_the_way_out() {
    let (_pager, address) = start("json").await;
    let ended = Program::start(&["pager", "--listen", &address.to_string()]).end().await;
    assert_eq!(ended.code, Some(1));
    let told = ended.stderr();
    assert!(
        told.starts_with(&format!("cannot listen on {address}: ")) && told.contains("--listen"),
        "{told}"
    );
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_it_in_good_order() {
    let (mut pager, address) = start("json").await;
    pager.out.stop_reading().await;
    // It may end before it has answered.
    try_to_ask(address, "POST", NOTIFICATION, NOTIFICATION.len()).await;
    assert_eq!(pager.end().await.code, Some(0));
}
