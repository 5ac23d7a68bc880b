//! What of a transport can be set.

use std::time::Duration;

/// The figures of a transport.
///
/// Fields may be added in a minor release: begin with [`TransportOptions::default`].
///
/// ```
/// use feedwatch::stream::TransportOptions;
/// use std::time::Duration;
///
/// let patient = TransportOptions { pong_timeout: Duration::from_secs(60), ..TransportOptions::default() };
/// assert_eq!(patient.ping_interval, None, "as the venue wants it");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportOptions {
    /// The time between two pings; `None` = the venue's own rule.
    pub ping_interval: Option<Duration>,
    /// Of several addresses of a host, each has so much of a head start over the next (RFC 8305, section 5).
    pub connect_attempt_delay: Duration,
    /// The connection is lost when so long after a ping nothing at all has come: pongs queue behind data.
    pub pong_timeout: Duration,
    /// How long an answer to a change of subscriptions is awaited. The first subscription has the supervisor's deadline.
    pub subscribe_timeout: Duration,
    /// How long a frame may take to leave.
    pub send_timeout: Duration,
    /// How long the peer may take to answer a close frame.
    pub close_timeout: Duration,
    /// The largest message that is received.
    pub max_message_bytes: usize,
    /// The read buffer of a connection. It has one only while there is something to read.
    pub read_buffer_bytes: usize,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            ping_interval: None,
            connect_attempt_delay: Duration::from_millis(250),
            pong_timeout: Duration::from_secs(20),
            subscribe_timeout: Duration::from_secs(10),
            send_timeout: Duration::from_secs(5),
            close_timeout: Duration::from_secs(2),
            max_message_bytes: 16 * 1024 * 1024,
            read_buffer_bytes: 64 * 1024,
        }
    }
}
