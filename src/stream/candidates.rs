//! Several addresses of one host, raced for the one that answers first: "Happy Eyeballs", RFC 8305, sections 4 and 5.
//!
//! Both families come from one look-up, which is over when this begins, so section 3 has no counterpart here.

use super::dial::Dialler;
use super::failure;
use crate::market::{Cause, Failure};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// A name with more addresses is served by the first of them.
const ADDRESSES: usize = 16;
/// Sockets of one dial at once. Who is beyond them waits until one of them has failed.
const AT_ONCE: usize = 8;

/// Connects to the address that answers first. The families take turns, beginning with that of the first address; within a
/// family the order is the resolver's. Each attempt has a head start over the one after it, but for one that fails: then the
/// next begins at once. Those that have lost are dropped.
///
/// Of several failures that of the first address counts, but for one that says nothing of the venue: a family of addresses that
/// this host cannot reach.
pub(super) async fn connect<D: Dialler>(
    dialler: &D,
    addresses: Vec<SocketAddr>,
    head_start: Duration,
) -> Result<(D::Io, SocketAddr), Failure> {
    let mut candidates = interleaved(addresses).into_iter().enumerate().peekable();
    let mut attempts = FuturesUnordered::new();
    let mut said_most: Option<((bool, usize), Failure)> = None;
    let mut next_due = Instant::now();
    loop {
        let may_begin = candidates.peek().is_some() && attempts.len() < AT_ONCE;
        tokio::select! {
            biased; // what has answered already must not be joined by one more
            Some((place, address, result)) = attempts.next(), if !attempts.is_empty() => match result {
                Ok(io) => return Ok((io, address)),
                Err(error) => {
                    let failure = failure::of_connect(&error, address);
                    let weight = (failure.cause == Cause::TcpUnreachable, place);
                    if said_most.as_ref().is_none_or(|(most, _)| weight < *most) {
                        said_most = Some((weight, failure));
                    }
                    next_due = Instant::now();
                }
            },
            () = sleep_until(next_due), if may_begin => {
                if let Some((place, address)) = candidates.next() {
                    attempts.push(async move { (place, address, dialler.connect(address).await) });
                }
                next_due = Instant::now() + head_start;
            }
            else => break,
        }
    }
    let failure = said_most.map(|(_, failure)| failure);
    Err(failure.unwrap_or(Failure::new(Cause::Dns).with_detail("the name has no address")))
}

/// The addresses in the order in which they are tried, each once.
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut order = Vec::new();
    while order.len() < ADDRESSES {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            break;
        }
        for address in pair.into_iter().flatten() {
            if !order.contains(&address) {
                order.push(address);
            }
        }
    }
    order.truncate(ADDRESSES);
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};
    use std::io;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use tokio::time::timeout;

    const HEAD_START: Duration = Duration::from_millis(250);

    fn v4(last: u8) -> SocketAddr {
        ([192, 0, 2, last], 443).into()
    }

    fn v6(last: u16) -> SocketAddr {
        ([0x2001, 0xdb8, 0, 0, 0, 0, 0, last], 443).into()
    }

    /// What an address does, so many milliseconds after it was dialled.
    #[derive(Clone, Copy)]
    enum Fate {
        Answers(u64),
        Fails(u64, i32),
        Hangs,
    }

    const REFUSED: i32 = 111;
    const NO_ROUTE: i32 = 101;

    /// Dials addresses that have their fates; one that is not among them hangs.
    struct Fake {
        fates: BTreeMap<SocketAddr, Fate>,
        begun: Instant,
        /// When each was dialled, in milliseconds.
        dialled: Mutex<Vec<(SocketAddr, u128)>>,
        open: AtomicUsize,
        most: AtomicUsize,
    }

    struct Open<'f>(&'f Fake);

    impl<'f> Open<'f> {
        fn new(fake: &'f Fake) -> Self {
            let open = fake.open.fetch_add(1, Relaxed) + 1;
            fake.most.fetch_max(open, Relaxed);
            Self(fake)
        }
    }

    impl Drop for Open<'_> {
        fn drop(&mut self) {
            self.0.open.fetch_sub(1, Relaxed);
        }
    }

    impl Fake {
        fn new(fates: &[(SocketAddr, Fate)]) -> Self {
            Self {
                fates: fates.iter().copied().collect(),
                begun: Instant::now(),
                dialled: Mutex::default(),
                open: AtomicUsize::new(0),
                most: AtomicUsize::new(0),
            }
        }

        fn dialled(&self) -> Vec<(SocketAddr, u128)> {
            self.dialled.lock().unwrap().clone()
        }

        async fn race(&self, addresses: &[SocketAddr]) -> Result<SocketAddr, Cause> {
            let result = connect(self, addresses.to_vec(), HEAD_START).await;
            assert_eq!(self.open.load(Relaxed), 0, "losers are dropped");
            result.map(|(_, address)| address).map_err(|failure| failure.cause)
        }

        fn elapsed(&self) -> u128 {
            self.begun.elapsed().as_millis()
        }
    }

    impl Dialler for Fake {
        type Io = tokio::io::DuplexStream;

        async fn resolve(&self, _host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
            Ok(self.fates.keys().copied().collect())
        }

        async fn connect(&self, address: SocketAddr) -> io::Result<Self::Io> {
            self.dialled.lock().unwrap().push((address, self.elapsed()));
            let _open = Open::new(self);
            let wait = |millis| tokio::time::sleep(Duration::from_millis(millis));
            match self.fates.get(&address).copied().unwrap_or(Fate::Hangs) {
                Fate::Answers(after) => {
                    wait(after).await;
                    Ok(tokio::io::duplex(1).0)
                }
                Fate::Fails(after, error) => {
                    wait(after).await;
                    Err(io::Error::from_raw_os_error(error))
                }
                Fate::Hangs => std::future::pending().await,
            }
        }
    }

    #[test]
    fn the_families_take_turns_and_keep_their_order() {
        let given = vec![v6(1), v6(2), v6(3), v4(1), v4(2)];
        assert_eq!(interleaved(given), [v6(1), v4(1), v6(2), v4(2), v6(3)]);
        let given = vec![v4(2), v4(1), v6(1), v4(2)];
        assert_eq!(interleaved(given), [v4(2), v6(1), v4(1)]);
        assert_eq!(interleaved(Vec::new()), []);
    }

    proptest! {
        #[test]
        fn every_order_is_a_part_of_what_was_given(given in prop::collection::vec((any::<bool>(), 0..30_u8), 0..40)) {
            let given: Vec<_> = given.into_iter().map(|(is_v6, n)| if is_v6 { v6(n.into()) } else { v4(n) }).collect();
            let order = interleaved(given.clone());
            let (all, kept): (BTreeSet<_>, BTreeSet<_>) = (given.iter().collect(), order.iter().collect());
            prop_assert!(kept.is_subset(&all));
            prop_assert_eq!(kept.len(), order.len());
            prop_assert_eq!(order.len(), all.len().min(ADDRESSES));
            prop_assert_eq!(order.first(), given.first());
            for is_v6 in [false, true] {
                let places: Vec<_> = order
                    .iter()
                    .filter(|address| address.is_ipv6() == is_v6)
                    .map(|address| given.iter().position(|one| one == address))
                    .collect();
                prop_assert!(places.is_sorted());
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_hangs_costs_its_head_start_and_no_more() {
        let fake = Fake::new(&[(v6(1), Fate::Hangs), (v4(1), Fate::Answers(10))]);
        assert_eq!(fake.race(&[v6(1), v4(1)]).await, Ok(v4(1)));
        assert_eq!(fake.elapsed(), 260);
        assert_eq!(fake.dialled(), [(v6(1), 0), (v4(1), 250)]);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_the_next_address_is_dialled_at_once() {
        let fake = Fake::new(&[(v6(1), Fate::Fails(3, REFUSED)), (v4(1), Fate::Answers(10))]);
        assert_eq!(fake.race(&[v6(1), v4(1)]).await, Ok(v4(1)));
        assert_eq!(fake.dialled(), [(v6(1), 0), (v4(1), 3)]);
        // The one after it has a head start to wait for again.
        let fates = [(v6(1), Fate::Fails(3, REFUSED)), (v6(2), Fate::Answers(0))];
        let fake = Fake::new(&fates);
        assert_eq!(fake.race(&[v6(1), v4(1), v6(2)]).await, Ok(v6(2)));
        assert_eq!(fake.dialled(), [(v6(1), 0), (v4(1), 3), (v6(2), 253)]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_answers_within_its_head_start_is_the_only_one_dialled() {
        let fake = Fake::new(&[(v6(1), Fate::Answers(249)), (v4(1), Fate::Answers(0))]);
        assert_eq!(fake.race(&[v6(1), v4(1)]).await, Ok(v6(1)));
        assert_eq!(fake.dialled(), [(v6(1), 0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_answer_wins_whoever_was_dialled_first() {
        let slow = [(v6(1), Fate::Answers(400)), (v4(1), Fate::Answers(100))];
        assert_eq!(Fake::new(&slow).race(&[v6(1), v4(1)]).await, Ok(v4(1)));
        let fast = [(v6(1), Fate::Answers(300)), (v4(1), Fate::Answers(100))];
        assert_eq!(Fake::new(&fast).race(&[v6(1), v4(1)]).await, Ok(v6(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn of_failures_that_of_the_first_address_counts_if_it_says_something_of_the_venue() {
        let reset = 104;
        for (fates, cause) in [
            ([Fate::Fails(900, REFUSED), Fate::Fails(1, reset)], Cause::TcpRefused),
            ([Fate::Fails(1, NO_ROUTE), Fate::Fails(1, REFUSED)], Cause::TcpRefused),
            ([Fate::Fails(1, REFUSED), Fate::Fails(1, NO_ROUTE)], Cause::TcpRefused),
            (
                [Fate::Fails(1, NO_ROUTE), Fate::Fails(1, NO_ROUTE)],
                Cause::TcpUnreachable,
            ),
        ] {
            let fake = Fake::new(&[(v6(1), fates[0]), (v4(1), fates[1])]);
            assert_eq!(fake.race(&[v6(1), v4(1)]).await, Err(cause));
        }
        assert_eq!(Fake::new(&[]).race(&[]).await, Err(Cause::Dns));
    }

    #[tokio::test(start_paused = true)]
    async fn sockets_and_addresses_are_bounded() {
        let many: Vec<_> = (1..=40).map(v4).collect();
        let fake = Fake::new(&[]);
        assert!(timeout(Duration::from_secs(60), fake.race(&many)).await.is_err());
        assert_eq!((fake.dialled().len(), fake.most.load(Relaxed)), (AT_ONCE, AT_ONCE));
        assert_eq!(fake.open.load(Relaxed), 0, "a dial that is given up leaves nothing");

        let fates: Vec<_> = many.iter().map(|one| (*one, Fate::Fails(10_000, REFUSED))).collect();
        let fake = Fake::new(&fates);
        assert_eq!(fake.race(&many).await, Err(Cause::TcpRefused));
        assert_eq!((fake.dialled().len(), fake.most.load(Relaxed)), (ADDRESSES, AT_ONCE));
    }
}
