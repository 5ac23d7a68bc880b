//! A scrape of this program's own HTTP server, as Prometheus would do it.

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

type Error = Box<dyn std::error::Error + Send + Sync>;

const MAX_BYTES: usize = 64 * 1024 * 1024;

/// The body that is served at `path`; an error after `patience`.
pub(super) async fn get(address: SocketAddr, path: &str, patience: Duration) -> Result<String, Error> {
    let exchange = async {
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::get(path)
            .header(header::HOST, address.to_string())
            .body(Empty::<Bytes>::new())?;
        let answer = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_BYTES)
                .collect()
                .await?
                .to_bytes();
            if status == StatusCode::OK {
                Ok(String::from_utf8(body.to_vec())?)
            } else {
                Err(format!("{path} is answered with {status}").into())
            }
        };
        tokio::pin!(connection, answer);
        // The connection does the work; it may end as soon as the answer is whole.
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            ended = &mut connection => {
                ended?;
                answer.await
            }
        }
    };
    let answered = tokio::time::timeout(patience, exchange).await;
    answered.map_err(|_| format!("no answer within {patience:?}"))?
}
