//! What a host is like for a while, and what a connection meets that gets through to it.

use super::chance::{millis, pick};
use fastrand::Rng;
use std::time::Duration;

/// What a host is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    /// Most connections meet nothing; the others see [`Encounter`].
    Fine,
    /// Nothing listens; who was connected is reset.
    Down,
    /// The power is off: nothing answers, and nobody is told.
    Gone,
    /// No packet gets through, in either direction.
    Parted,
    /// The name does not resolve.
    NoName,
    /// The resolver does not answer.
    MuteResolver,
    /// There is no route.
    NoRoute,
    /// This side has no file descriptor left.
    NoDescriptors,
    /// A connection is accepted after seconds.
    SlowAccept,
    /// Each chunk takes up to seconds.
    Laggy,
    /// Alive, answers everything, and sends no data.
    Silent,
    /// Every upgrade is answered with a status.
    Status { code: u16, retry_after: Option<u64> },
    /// No upgrade is answered.
    Hangs,
    /// What answers is no WebSocket server.
    Garbage,
    /// No subscription is answered.
    NoAnswer,
    /// Every subscription is refused.
    Rejects,
    /// Every connection ends within seconds.
    Flaps,
}

impl Weather {
    const BAD: [Self; 15] = [
        Self::Down,
        Self::Gone,
        Self::Parted,
        Self::NoName,
        Self::MuteResolver,
        Self::NoRoute,
        Self::NoDescriptors,
        Self::SlowAccept,
        Self::Laggy,
        Self::Silent,
        Self::Hangs,
        Self::Garbage,
        Self::NoAnswer,
        Self::Rejects,
        Self::Flaps,
    ];
    /// 40 seconds are more than the streams wait for without tripping.
    const STATUSES: [(u16, Option<u64>); 9] = [
        (429, Some(3)),
        (429, Some(15)),
        (429, Some(40)),
        (429, None),
        (503, Some(7)),
        (500, None),
        (401, None),
        (403, None),
        (302, None),
    ];

    fn bad(rng: &mut Rng) -> Self {
        if rng.u32(0..4) == 0 {
            let (code, retry_after) = pick(rng, &Self::STATUSES);
            return Self::Status { code, retry_after };
        }
        pick(rng, &Self::BAD)
    }
}

/// The weather over a host from its beginning to `until`: what begins when.
pub(crate) fn forecast(rng: &mut Rng, until: Duration) -> Vec<(Duration, Weather)> {
    let mut forecast = Vec::new();
    let mut at = Duration::ZERO;
    // Some hosts are away at the start.
    let mut fine = rng.u32(0..4) > 0;
    while at < until {
        let (weather, lasts) = if fine {
            (Weather::Fine, millis(rng, 3_000..60_000))
        } else if rng.u32(0..12) == 0 {
            // Longer than a root of a trace is kept open.
            (Weather::bad(rng), millis(rng, 330_000..400_000))
        } else {
            (Weather::bad(rng), millis(rng, 500..70_000))
        };
        forecast.push((at, weather));
        at += lasts;
        fine = !fine;
    }
    forecast
}

/// How a connection that gets through begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Greeting {
    Well,
    Hangs,
    Status { code: u16, retry_after: Option<u64> },
    Garbage,
    NoAnswer,
    Rejects,
}

/// How it ends, if the venue ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With a close frame.
    Close(Option<u16>),
    Reset,
    /// Without a close frame.
    Cut,
    /// It stays open, and nothing is answered any more.
    Mute,
}

/// What a connection meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Encounter {
    pub(crate) greeting: Greeting,
    /// After so long.
    pub(crate) end: Option<(Duration, End)>,
}

impl Encounter {
    pub(crate) const NOTHING: Self = Self {
        greeting: Greeting::Well,
        end: None,
    };

    pub(crate) fn draw(rng: &mut Rng, weather: Weather) -> Self {
        let only = |greeting| Self { greeting, end: None };
        match weather {
            Weather::Status { code, retry_after } => only(Greeting::Status { code, retry_after }),
            Weather::Hangs => only(Greeting::Hangs),
            Weather::Garbage => only(Greeting::Garbage),
            Weather::NoAnswer => only(Greeting::NoAnswer),
            Weather::Rejects => only(Greeting::Rejects),
            Weather::Flaps => Self {
                greeting: Greeting::Well,
                end: Some((millis(rng, 0..6_000), any_end(rng))),
            },
            _ if rng.u32(0..3) == 0 => Self {
                greeting: Greeting::Well,
                end: Some((millis(rng, 0..90_000), any_end(rng))),
            },
            _ => Self::NOTHING,
        }
    }
}

fn any_end(rng: &mut Rng) -> End {
    const CODES: [Option<u16>; 8] = [
        Some(1000),
        Some(1001),
        Some(1008),
        Some(1011),
        Some(1012),
        Some(1013),
        Some(4000),
        None,
    ];
    match rng.u32(0..7) {
        0 => End::Reset,
        1 => End::Cut,
        2 => End::Mute,
        _ => End::Close(pick(rng, &CODES)),
    }
}
