//! Upgrades that are signed with the key of an account, over a real socket.

use super::fixture;
use super::sockets::stream;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use feedwatch::stream::{MarketDataStream, NoObserver, TransportOptions};
use feedwatch::venue::{ApiKey, Feed};
use ring::signature::{RSA_PSS_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderMap;

/// Made for tests, and of no account.
const KEY: &str = include_str!("../fixtures/kalshi/key.pem");

fn public() -> UnparsedPublicKey<Vec<u8>> {
    let lines: String = KEY.lines().filter(|line| !line.starts_with('-')).collect();
    let pair = RsaKeyPair::from_pkcs8(&STANDARD.decode(lines).unwrap()).unwrap();
    UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, pair.public().as_ref().to_vec())
}

/// Accepts an upgrade, and returns what came with it.
async fn accepted(listener: &TcpListener) -> HeaderMap {
    let (socket, _): (TcpStream, _) = listener.accept().await.unwrap();
    let mut headers = HeaderMap::new();
    #[allow(clippy::result_large_err, reason = "the callback's type is given")]
    let keep = |request: &Request, response: Response| {
        headers.clone_from(request.headers());
        Ok(response)
    };
    accept_hdr_async(socket, keep).await.unwrap();
    headers
}

fn header(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).unwrap_or_else(|| panic!("no {name}"));
    value.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn each_dial_is_signed_anew() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let kalshi = fixture::venue("kalshi");
    let options = TransportOptions::default();
    let (stream, _) = stream(kalshi, address, Feed::default(), options, |_| Arc::new(NoObserver));
    let mut stream = stream.with_key(ApiKey::from_pem("6f1c-77", KEY.as_bytes()).unwrap());
    let mut signatures = Vec::new();
    for _ in 0..2 {
        let (connected, headers) = tokio::join!(stream.connect(), accepted(&listener));
        connected.unwrap();
        assert_eq!(header(&headers, "KALSHI-ACCESS-KEY"), "6f1c-77");
        let signature = header(&headers, "KALSHI-ACCESS-SIGNATURE");
        let message = format!("{}GET/", header(&headers, "KALSHI-ACCESS-TIMESTAMP"));
        let bytes = STANDARD.decode(&signature).unwrap();
        public().verify(message.as_bytes(), &bytes).unwrap();
        signatures.push(signature);
    }
    assert_ne!(signatures[0], signatures[1]);
}

/// A key is shown to nobody who does not ask for one.
#[tokio::test]
async fn a_venue_that_asks_for_no_key_is_shown_none() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let options = TransportOptions::default();
    let observe = |_: &_| -> Arc<dyn feedwatch::stream::Observer> { Arc::new(NoObserver) };
    let (stream, _) = stream(fixture::venue("deribit"), address, Feed::default(), options, observe);
    let mut stream = stream.with_key(ApiKey::from_pem("6f1c-77", KEY.as_bytes()).unwrap());
    let (connected, headers) = tokio::join!(stream.connect(), accepted(&listener));
    connected.unwrap();
    assert!(!format!("{headers:?}").contains("6f1c-77"), "{headers:?}");
}
