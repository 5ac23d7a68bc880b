//! What a venue allows and expects, as data.

use crate::supervise::DialLimit;
use std::borrow::Cow;
use std::time::Duration;

/// What a venue allows.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// Subscriptions that one connection carries: instruments, times the channels of each.
    pub subscriptions_per_connection: usize,
    /// How fast it may be dialled, from one address.
    pub dial: DialLimit,
    /// How fast it may be sent requests, on one connection; `None` = nothing is known.
    pub requests: Option<DialLimit>,
    /// After so long it ends a connection, or that is a good time to go before it does; `None` = it does not.
    pub max_connection_age: Option<Duration>,
    /// Connections from one address that may be open at a time; `None` = nothing is known.
    pub connections_per_address: Option<usize>,
    /// Subscriptions of all connections from one address together; `None` = nothing is known.
    pub subscriptions_per_address: Option<usize>,
}

impl Limits {
    /// These, and nothing else is known.
    pub const fn new(subscriptions_per_connection: usize, dial: DialLimit) -> Self {
        Self {
            subscriptions_per_connection,
            dial,
            requests: None,
            max_connection_age: None,
            connections_per_address: None,
            subscriptions_per_address: None,
        }
    }

    /// The same, with a limit for requests.
    #[must_use]
    pub const fn with_requests(mut self, per_second: f64, burst: u32) -> Self {
        self.requests = Some(DialLimit { per_second, burst });
        self
    }

    /// The same of a venue that ends connections: they are replaced at this age.
    #[must_use]
    pub const fn with_max_connection_age(mut self, age: Duration) -> Self {
        self.max_connection_age = Some(age);
        self
    }

    /// The same of a venue that counts the open connections of an address.
    #[must_use]
    pub const fn with_connections_per_address(mut self, most: usize) -> Self {
        self.connections_per_address = Some(most);
        self
    }

    /// The same of a venue that counts the subscriptions of an address.
    #[must_use]
    pub const fn with_subscriptions_per_address(mut self, most: usize) -> Self {
        self.subscriptions_per_address = Some(most);
        self
    }

    /// Says so where one instrument with so many channels is more than a connection carries.
    pub(crate) fn check_channels(&self, channels: usize) -> Result<(), String> {
        let most = self.subscriptions_per_connection;
        if channels <= most {
            return Ok(());
        }
        Err(format!(
            "{channels} channels of each instrument are more than the {most} subscriptions that a connection carries"
        ))
    }

    /// How many instruments one connection carries, with so many channels each; at least one.
    pub fn instruments_per_connection(&self, channels: usize) -> usize {
        (self.subscriptions_per_connection / channels.max(1)).max(1)
    }
}

/// How the client keeps a connection alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// The time between two pings.
    pub interval: Duration,
    /// What is sent.
    pub ping: Ping,
}

/// A ping as a venue wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ping {
    /// A text message of the venue's own protocol.
    Text(Cow<'static, str>),
    /// A WebSocket ping frame.
    Frame,
}

impl Ping {
    /// A text message of the venue's own protocol.
    pub const fn text(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

/// What makes the data whole again after something of it is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resync {
    /// The consumer does it: it fetches a whole book elsewhere, by REST mostly.
    Consumer,
    /// The instrument is subscribed to anew: a whole book follows. A gap that is not an instrument's ends the connection.
    Resubscribe,
    /// Another connection: the cause of the loss is `sequence_gap`.
    Reconnect,
}
