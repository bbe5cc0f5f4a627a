//! Changes of bytes that were good: blind ones, and such as keep a message's frame, so that what is
//! changed lies deep within it and is still found.

use crate::protobuf;
use crate::random::Random;

/// Longest input that is made.
const LENGTH_MAX: usize = 64 << 10;

/// Numbers at which code changes its mind.
const EDGES: [u64; 14] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 40,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// One of the seeds with one to four changes.
pub fn mutated(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = random.one_of(seeds).clone();
    for _ in 0..=random.below(4) {
        let other = random.one_of(seeds).clone();
        let framed = random.below(3) > 0;
        let changed = if framed { protobuf::changed(random, &bytes, &other) } else { None };
        bytes = changed.unwrap_or_else(|| blind(random, bytes, &other));
        bytes.truncate(LENGTH_MAX);
    }
    bytes
}

/// Changes bytes without regard to what they mean.
pub fn blind(random: &mut Random, mut bytes: Vec<u8>, other: &[u8]) -> Vec<u8> {
    let at = random.below(bytes.len());
    let end = at + random.below((bytes.len() - at).min(64) + 1);
    match random.below(9) {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
        1 if !bytes.is_empty() => bytes[at] = random.byte(),
        2 => drop(bytes.drain(at..end)),
        3 => {
            let again = bytes[at..end].to_vec();
            drop(bytes.splice(at..at, again));
        }
        4 => {
            let noise: Vec<u8> = (0..random.below(24)).map(|_| random.byte()).collect();
            drop(bytes.splice(at..at, noise));
        }
        5 => bytes.truncate(at),
        6 => overwrite(random, &mut bytes[at..]),
        7 => {
            let from = random.below(other.len());
            let to = from + random.below(other.len() - from + 1);
            drop(bytes.splice(at..end, other[from..to].iter().copied()));
        }
        _ => {
            // Text survives this: a digit or a letter becomes another one.
            let place = bytes.iter().skip(at).position(u8::is_ascii_alphanumeric);
            if let Some(place) = place {
                bytes[at + place] = *random.one_of(b"0123456789AZaz-+. ");
            }
        }
    }
    bytes
}

/// Writes an edge of the numbers in one of its widths over the first bytes.
fn overwrite(random: &mut Random, bytes: &mut [u8]) {
    let number = edge(random).to_be_bytes();
    let width = *random.one_of(&[1, 2, 4, 8, 16]);
    for (place, byte) in bytes.iter_mut().take(width).enumerate() {
        *byte = number[8_usize.saturating_sub(width) + place % 8];
    }
}

/// A number at an edge, or beside it.
pub fn edge(random: &mut Random) -> u64 {
    let edge = *random.one_of(&EDGES);
    match random.below(4) {
        0 => edge.wrapping_sub(1),
        1 => edge.wrapping_add(1),
        _ => edge,
    }
}
