//! The handshakes in flight. Nobody waits for a place: where all are taken, the newest displaces the
//! oldest of the address that has the most. An honest handshake is over before its turn comes.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use tokio_util::sync::CancellationToken;

use crate::limits;
use crate::limits::ListenerLimits;

/// All of one listener.
pub struct Handshakes {
    max: usize,
    of_known: usize,
    places: Mutex<Places>,
}

#[derive(Default)]
struct Places {
    next: u64,
    count: usize,
    /// By address, the oldest first.
    taken: HashMap<IpAddr, BTreeMap<u64, CancellationToken>>,
    /// Addresses at which a member was lately, and the number of its handshake.
    known: HashMap<IpAddr, u64>,
}

/// One of them, over when dropped.
pub struct Handshake {
    of: Arc<Handshakes>,
    address: IpAddr,
    number: u64,
    /// Cancelled when another takes its place.
    pub displaced: CancellationToken,
}

impl Handshakes {
    /// None yet.
    pub fn new(limits: &ListenerLimits) -> Arc<Handshakes> {
        let (max, of_known) = (limits.handshakes, limits.handshakes_of_known);
        Arc::new(Handshakes { max, of_known, places: Mutex::default() })
    }

    /// Begins one with somebody at an address.
    pub fn begin(self: &Arc<Self>, address: IpAddr) -> Handshake {
        let address = network(address);
        let mut places = self.places();
        if places.count >= self.max {
            places.displace(self.of_known);
        }
        let (number, displaced) = (places.next, CancellationToken::new());
        places.next += 1;
        places.count += 1;
        places.taken.entry(address).or_default().insert(number, displaced.clone());
        drop(places);
        Handshake { of: Arc::clone(self), address, number, displaced }
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        // Nothing panics while it is held.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    /// Ends the oldest of the address with the most, of which those that are a known address's own do
    /// not count; of such addresses the one whose oldest is the oldest.
    fn displace(&mut self, of_known: usize) {
        let Places { taken, known, .. } = self;
        let weight = |address: &IpAddr, count: usize| {
            let own = if known.contains_key(address) { of_known } else { 0 };
            count.saturating_sub(own)
        };
        let oldest = |numbers: &BTreeMap<u64, _>| numbers.keys().next().copied();
        let heaviest = taken.iter().max_by_key(|(address, numbers)| {
            (weight(address, numbers.len()), std::cmp::Reverse(oldest(numbers)))
        });
        if let Some((address, number)) =
            heaviest.and_then(|(address, numbers)| Some((*address, oldest(numbers)?)))
            && let Some(displaced) = self.remove(&address, number)
        {
            displaced.cancel();
        }
    }

    fn remove(&mut self, address: &IpAddr, number: u64) -> Option<CancellationToken> {
        let numbers = self.taken.get_mut(address)?;
        let removed = numbers.remove(&number)?;
        if numbers.is_empty() {
            self.taken.remove(address);
        }
        self.count -= 1;
        Some(removed)
    }
}

impl Handshake {
    /// It was a member's: its address is known from now on.
    pub fn succeeded(self) {
        let mut places = self.of.places();
        places.known.insert(self.address, self.number);
        if places.known.len() > limits::KNOWN_ADDRESSES_MAX {
            let oldest = places.known.iter().min_by_key(|(_, number)| **number);
            if let Some(oldest) = oldest.map(|(address, _)| *address) {
                places.known.remove(&oldest);
            }
        }
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.of.places().remove(&self.address, self.number);
    }
}

/// Whoever has an address of version 6 has a network of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        version_4 => version_4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handshakes(max: usize) -> Arc<Handshakes> {
        let limits =
            ListenerLimits { handshakes: max, handshakes_of_known: 2, ..limits::CLIENT_LISTENER };
        Handshakes::new(&limits)
    }

    fn address(last: u8) -> IpAddr {
        [127, 0, 0, last].into()
    }

    #[test]
    fn the_address_with_the_most_makes_room() {
        let all = handshakes(4);
        let flood: Vec<_> = (0..3).map(|_| all.begin(address(2))).collect();
        let honest = all.begin(address(1));
        let more: Vec<_> = (0..100).map(|_| all.begin(address(2))).collect();
        assert!(!honest.displaced.is_cancelled());
        assert!(flood.iter().all(|it| it.displaced.is_cancelled()), "the oldest go");
        assert!(!more[99].displaced.is_cancelled());
        let other = all.begin(address(3));
        assert!(!other.displaced.is_cancelled() && !honest.displaced.is_cancelled());
        assert_eq!(all.places().count, 4);
        drop((flood, honest, more, other));
        let places = all.places();
        assert!(places.count == 0 && places.taken.is_empty());
    }

    #[test]
    fn many_addresses_displace_each_other_before_a_known_one() {
        let all = handshakes(4);
        all.begin(address(1)).succeeded();
        let known: Vec<_> = (0..2).map(|_| all.begin(address(1))).collect();
        let flood: Vec<_> = (2..200).map(|last| all.begin(address(last))).collect();
        assert!(!known.iter().any(|it| it.displaced.is_cancelled()));
        let stranger = all.begin(address(201));
        assert!(!stranger.displaced.is_cancelled());
        assert_eq!(flood.iter().filter(|it| !it.displaced.is_cancelled()).count(), 1);
        // Beyond its own a known address is as any other.
        let beyond: Vec<_> = (0..3).map(|_| all.begin(address(1))).collect();
        let is_displaced = |it: &&Handshake| it.displaced.is_cancelled();
        assert_eq!(known.iter().chain(&beyond).filter(is_displaced).count(), 2);
        assert_eq!(all.places().count, 4);
    }

    #[test]
    fn a_network_of_version_6_is_one_address() {
        let same: [IpAddr; 2] =
            ["2001:db8:1:2::1", "2001:db8:1:2:ffff::7"].map(|it| it.parse().unwrap());
        assert_eq!(network(same[0]), network(same[1]));
        assert_ne!(network(same[0]), network("2001:db8:1:3::1".parse().unwrap()));
        assert_eq!(network("::ffff:127.0.0.1".parse().unwrap()), address(1));
    }
}
