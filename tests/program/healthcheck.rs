//! `feedwatch healthcheck`, as a container runs it.

use crate::harness::{Service, config, run_to_end};
use std::net::{Ipv4Addr, TcpListener};

#[tokio::test]
async fn a_service_that_answers_is_healthy() {
    let service = Service::run(&config("", &[("s", "ws://127.0.0.1:1/", "")])).await;
    let ended = run_to_end(&["healthcheck", "--address", &service.address.to_string()]).await;
    assert_eq!((ended.code, ended.stderr()), (Some(0), String::new()));
    assert_eq!(ended.stdout(), format!("{}: healthy\n", service.address));
    // What the configuration calls every interface.
    let everywhere = format!("0.0.0.0:{}", service.address.port());
    assert_eq!(
        run_to_end(&["healthcheck", "--address", &everywhere]).await.code,
        Some(0)
    );
}

#[tokio::test]
async fn what_does_not_answer_is_not_healthy_and_why_is_told() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let ended = run_to_end(&["healthcheck", "--address", &address, "--timeout", "200ms"]).await;
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.stderr(), format!("{address}: no answer within 200ms"));
    drop(silent);
    let ended = run_to_end(&["healthcheck", "--address", &address]).await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr().starts_with(&format!("{address}: Connection refused")),
        "{}",
        ended.stderr()
    );
}

#[tokio::test]
async fn what_is_not_feedwatch_is_not_healthy() {
    let venue = crate::harness::venue(Vec::new());
    let ended = run_to_end(&["healthcheck", "--address", &venue.address().to_string()]).await;
    assert_eq!(ended.code, Some(1));
    assert!(!ended.stderr().is_empty());
}
