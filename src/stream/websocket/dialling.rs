//! A dial, from the look-up of the host's name to the upgrade.

use super::WebSocketStream;
use crate::clock::Moment;
use crate::market::{Cause, DialPhase, Failure};
use crate::stream::connection::Connection;
use crate::stream::dial::Dialler;
use crate::stream::tap::Tap;
use crate::stream::tls::{self, MaybeTls};
use crate::stream::wire::Wire;
use crate::stream::{Fact, Observer, TransportFact, candidates, failure};
use std::sync::Arc;
use std::time::Instant;
use tokio_tungstenite::WebSocketStream as Socket;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// What may wait to leave. The largest thing that is sent is a subscription, of 500 Polymarket tokens 40 KB.
const WRITE_LIMIT: usize = 1024 * 1024;

/// The read buffer of tungstenite, which reads little: see [`Wire`].
const OTHER_BUFFER: usize = 512;

impl<D: Dialler> WebSocketStream<D> {
    pub(super) async fn dial(&mut self) -> Result<Connection<D::Io>, Failure> {
        let (endpoint, access) = (self.endpoint.clone(), self.access.borrow().clone());
        let peer = access.peer(&endpoint);
        let phase = self.enter(DialPhase::Resolve);
        let resolved = self.dialler.resolve(peer.host, peer.port).await;
        drop(phase);
        let addresses = resolved.map_err(|error| peer.failed(failure::of_resolve(&error)))?;

        let phase = self.enter(DialPhase::Connect);
        let head_start = self.options.borrow().connect_attempt_delay;
        let connected = candidates::connect(&*self.dialler, addresses, head_start).await;
        if let Ok((_, address)) = &connected {
            self.tell(TransportFact::Peer(*address));
        }
        drop(phase);
        let (mut io, _) = connected.map_err(|failure| peer.failed(failure))?;

        if let Some(proxy) = peer.proxy {
            let phase = self.enter(DialPhase::Proxy);
            let opened = proxy.tunnel(io, endpoint.host(), endpoint.port()).await;
            drop(phase);
            io = opened?;
        }

        let io = if self.endpoint.is_tls() {
            let phase = self.enter(DialPhase::Tls);
            let secured = access.trust.handshake(self.endpoint.host(), io).await;
            drop(phase);
            let secured = secured.map_err(|error| failure::of_tls(&error))?;
            if let Some(not_after) = tls::certificate_end(&secured) {
                self.tell(TransportFact::Certificate { not_after });
            }
            MaybeTls::secured(secured)
        } else {
            MaybeTls::plain(io)
        };

        let phase = self.enter(DialPhase::Upgrade);
        let options = self.options.borrow_and_update().clone();
        let config = WebSocketConfig::default()
            .read_buffer_size(OTHER_BUFFER)
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_LIMIT)
            .max_message_size(Some(options.max_message_bytes))
            .max_frame_size(Some(options.max_message_bytes));
        let io = Wire::new(io, options.read_buffer_bytes, options.max_message_bytes);
        let upgraded = match self.endpoint.uri().clone().into_client_request() {
            Ok(mut request) => {
                access.add_headers(&*self.venue, &endpoint, Moment::now(), request.headers_mut())?;
                client_async_with_config(request, io, Some(config)).await
            }
            Err(error) => Err(error),
        };
        drop(phase);
        let upgraded = upgraded.map_err(|error| failure::of_upgrade(error, Moment::now().wall));
        let status = match &upgraded {
            Ok((_, response)) => Some(response.status().as_u16()),
            Err(failure) => failure.status,
        };
        if let Some(status) = status {
            self.tell(TransportFact::Answered { status });
        }
        let (socket, response) = upgraded?;
        if response.headers().contains_key("sec-websocket-extensions") {
            // RFC 6455, section 4.1: none was asked for, so its frames could not be read.
            let detail = "the venue insists on an extension that was not asked for";
            return Err(Failure::new(Cause::Upgrade).with_detail(detail));
        }
        let socket = if socket.get_ref().is_between_frames() {
            // The handshake leaves its own buffer of 4 KiB behind, which the connection would keep for as long as it lives.
            Socket::from_raw_socket(socket.into_inner(), Role::Client, Some(config)).await
        } else {
            socket
        };
        Ok(Connection::new(
            socket,
            (self.venue.clone(), Arc::clone(&self.feed)),
            &options,
            self.options.clone(),
            self.cells.clone(),
            self.instruments.of_socket(),
            self.observer.clone(),
        )
        .with_tap(self.tap.as_ref().map(Tap::connection)))
    }

    fn tell(&self, fact: TransportFact) {
        self.observer.observe(Moment::now(), &Fact::Transport(fact));
    }

    fn enter(&mut self, phase: DialPhase) -> PhaseTimer {
        self.phase = phase;
        let now = Moment::now();
        let fact = Fact::Transport(TransportFact::PhaseBegan(phase));
        self.observer.observe(now, &fact);
        PhaseTimer {
            phase,
            begun: now.mono,
            observer: self.observer.clone(),
        }
    }
}

/// Tells how long a phase took, when it is over or cut off by the deadline of the dial.
struct PhaseTimer {
    phase: DialPhase,
    begun: Instant,
    observer: Arc<dyn Observer>,
}

impl Drop for PhaseTimer {
    fn drop(&mut self) {
        let now = Moment::now();
        let took = now.mono.saturating_duration_since(self.begun);
        self.observer.observe(
            now,
            &Fact::Transport(TransportFact::PhaseEnded {
                phase: self.phase,
                took,
            }),
        );
    }
}
