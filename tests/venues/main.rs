//! Every venue that is built in, by its fixtures: the files in `tests/fixtures/<venue>`.
//!
//! - `frames.jsonl`, a line a frame: `{"frame": text, "events": [...], "values": [...], "error": reason}`. An event is
//!   `kind instrument time sequence`, with `-` for what there is none of; a value is what [`value::told`] makes of it.
//! - `numbered.jsonl`, of a venue that numbers its events: frames among which none is missing; see [`numbered`].
//! - `limits.json`: what the venue allows, and how it is asked; see [`limits`].
//! - `dialogue.json`: what the client says, and what the venue says to it, by scenario; see [`fixture::Dialogue`].
//!
//! A venue without one of these does not pass. Of venues that `config/venues` describes there is `documented.json` alone: what they
//! allow. Recordings are in `recordings.toml`, with an independent reader in `read.py`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod dialogue;
mod fixture;
mod frames;
mod limits;
mod numbered;
mod play;
mod replay;
mod server;
mod signed;
mod sockets;
mod value;
