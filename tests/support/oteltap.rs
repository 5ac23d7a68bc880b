//! oteltap, an OTLP receiver that is not ours: a Python package, which prints each span as a line of JSON.

use super::harness::{Program, free_address};
use std::process::Stdio;
use tokio::process::Command;

/// It listens, at an endpoint for OTLP over HTTP.
pub(crate) async fn start() -> (Program, String) {
    let address = free_address();
    let mut command = Command::new("oteltap");
    command
        .args(["--port", &address.port().to_string()])
        .env("PYTHONUNBUFFERED", "1");
    let mut tap = Program::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let is_ready = |line: &str| line.starts_with("Listening").then_some(());
    tap.out.find("word that it listens", is_ready).await;
    (tap, format!("http://{address}"))
}
