//! `feedwatch healthcheck`, as a container runs it.

use crate::harness::{Ended, Service, TempFile, config, run_to_end, venue};
use std::net::{Ipv4Addr, TcpListener};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn check(address: &str) -> Ended {
    run_to_end(&["healthcheck", "--address", address, "--timeout", "20s"]).await
}

/// It is ill, and this is why.
fn assert_ill(ended: &Ended, why: &str) {
    assert_eq!((ended.code, ended.out.len()), (Some(1), 0), "{ended:#?}");
    assert!(ended.stderr().starts_with(why), "not {why}: {}", ended.stderr());
}

#[tokio::test]
async fn a_service_that_answers_is_healthy() {
    let service = Service::run(&config("", &[("s", "ws://127.0.0.1:1/", "")])).await;
    let address = service.address.to_string();
    let ended = check(&address).await;
    assert_eq!((ended.code, ended.stderr()), (Some(0), String::new()));
    assert_eq!(ended.stdout(), format!("{address}: healthy\n"));
    // What the configuration calls every interface.
    let everywhere = format!("0.0.0.0:{}", service.address.port());
    assert_eq!(check(&everywhere).await.code, Some(0));
}

#[tokio::test]
async fn the_configuration_says_where_the_service_listens() {
    let service = Service::run(&config("", &[("s", "ws://127.0.0.1:1/", "")])).await;
    let written = |listen: &str| {
        let text = config("", &[("s", "ws://127.0.0.1:1/", "")]).replace("127.0.0.1:0", listen);
        TempFile::new("toml", &text)
    };
    let file = written(&format!("0.0.0.0:{}", service.address.port()));
    let ended = run_to_end(&["healthcheck", "--config", file.name()]).await;
    assert_eq!((ended.code, ended.stderr()), (Some(0), String::new()));

    let wrong = written("everywhere");
    let ended = run_to_end(&["healthcheck", "--config", wrong.name()]).await;
    assert_eq!((ended.code, ended.out.len()), (Some(2), 0), "{ended:#?}");
    let both = ["healthcheck", "--config", file.name(), "--address", "127.0.0.1:1"];
    assert_eq!(run_to_end(&both).await.code, Some(2));
}

#[tokio::test]
async fn what_does_not_answer_is_not_healthy_and_why_is_told() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let ended = run_to_end(&["healthcheck", "--address", &address, "--timeout", "200ms"]).await;
    assert_ill(&ended, &format!("{address}: no answer within 200ms"));
    drop(silent);
    assert_ill(&check(&address).await, &format!("{address}: Connection refused"));
}

#[tokio::test]
async fn what_is_not_feedwatch_is_not_healthy() {
    let venue = venue(Vec::new());
    let address = venue.address().to_string();
    let ended = check(&address).await;
    assert_ill(&ended, &format!("{address}: "));

    // Prometheus has the same path, and says something else there; so may anything.
    for (answer, why) in [
        (
            "200 OK\r\nContent-Length: 30\r\n\r\nPrometheus Server is Healthy.\n",
            "something else than feedwatch answers there",
        ),
        (
            "404 Not Found\r\nContent-Length: 0\r\n\r\n",
            "/-/healthy is answered with 404 Not Found",
        ),
    ] {
        let other = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = other.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            let (mut socket, _) = other.accept().await.unwrap();
            let asked = socket.read(&mut [0; 1024]).await.unwrap();
            assert!(asked > 0);
            socket.write_all(format!("HTTP/1.1 {answer}").as_bytes()).await.unwrap();
        });
        assert_ill(&check(&address).await, &format!("{address}: {why}"));
        server.await.unwrap();
    }
}
