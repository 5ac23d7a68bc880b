//! What must hold, in whatever weather.

macro_rules! promises {
    ($($(#[doc = $doc:literal])* $Promise:ident => $says:literal,)*) => {
        /// One thing that must hold.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Promise {
            $($(#[doc = $doc])* $Promise,)*
        }

        impl Promise {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$Promise,)*];

            pub(crate) const fn index(self) -> usize {
                self as usize
            }

            /// The sentence.
            pub(crate) const fn says(self) -> &'static str {
                match self { $(Self::$Promise => $says,)* }
            }
        }
    };
}

promises! {
    /// Looked at when the network sees a dial begin, against the breaker as it was told last.
    BreakerHoldsDials => "a stream never dials while its breaker is open",
    /// Looked at when the network sees a dial begin while the breaker is half-open.
    OneProbe => "a half-open breaker lets one probe through at a time",
    /// Looked at when the network sees a dial begin: no other dial of the connection is under way, and no socket is open, but for
    /// the one that a successor is dialled beside.
    OneSocket => "a connection has one dial or one socket at a time, and one more only to replace it",
    /// Looked at when the network sees a dial begin: its host, against the endpoint that was told last.
    EndpointTold => "a connection dials the endpoint that it told of",
    /// Looked at when the network sees a dial begin, against the dials to that host within the second before, of all streams.
    DialRate => "the streams of a host never dial it faster than its gate allows",
    /// Looked at after each step of the stream: enough failures in a row, by this side's own count.
    BreakerTrips => "as many failures in a row as the threshold open the breaker, for the cooldown at least",
    /// Looked at when the weather has been fine for a while, in what the venue was asked for on the connections that it has.
    Restored => "every subscription that is wanted is restored once the venue is back",
    /// Looked at in the same fine weather.
    Recovered => "in fine weather every breaker closes and every failure count is cleared",
    /// Looked at in the spans, when all have ended.
    OneChain => "an outage is one unbroken chain of linked roots, which links to the outage before",
    /// Looked at in the spans: a group of roots that belong together has the length of its outage.
    ChainIsAsLong => "the roots of an outage and the waits without one last as long as the outage",
    /// Looked at in the spans against the counters.
    SpansNameCauses => "each failed attempt has a span whose error.type is the cause that was counted",
    /// Looked at with each fact that changes what a stream is.
    InOrder => "facts are told in the order of their moments",
    /// Looked at in each scrape, against virtual time.
    UpAndDown => "the time up and the time down are the time observed, no more and no less",
    /// Looked at in the last scrape, over all streams: outages are timed by other code than the clocks.
    OutagesAreDown => "the time down is that of outages and of starts",
    /// Looked at after each step of a stream: state, breaker, next attempt, failures, outage, subscriptions.
    GaugesAgree => "gauges agree with the machine",
    /// Looked at in each scrape.
    Attempts => "attempts = connections made + attempts failed + the one in flight",
    /// Looked at in each scrape, cause for cause, against this side's own count.
    Counters => "what is exported is what happened",
    /// Looked at whenever a stream is live: the network has counted its dials.
    OneAttemptOneDial => "an attempt is one dial",
    /// Looked at with each event: a frame says of which connection it is, and its number there.
    NoGapHidden => "the consumer is told of each loss and of each return in turn, and between them misses no frame",
    /// Looked at when a stream has ended, of each connection that was replaced while the network was well: what the venue has sent
    /// on it is counted there.
    RenewalMissesNothing => "a connection that is replaced has delivered all that was sent on it",
    /// Looked at with each look at a stream: the looks at one instant are counted.
    NeverSpins => "a stream that waits does nothing",
    /// Looked at when a stream has ended: as many as were counted, for the same causes.
    EachLossTold => "the consumer is told of every loss that is counted",
    /// Looked at when all streams are closed.
    NothingLeft => "nothing is left behind: no task, no socket at the venue, no span that is open, no series",
}
