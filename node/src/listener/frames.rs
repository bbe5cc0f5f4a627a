//! What the bytes that a connection sends cost this node: a count of HTTP/2 frames, without a look at
//! what is in them. Small frames that ask for nothing cost more than their bytes.

use std::time::Duration;

use crate::limits;

/// The bytes with which every connection begins.
const PREFACE_BYTES: usize = 24;

/// The bytes before a frame's payload.
const HEAD_BYTES: usize = 9;

/// The type of a frame that begins a request.
const HEADERS: u8 = 1;

/// Where in its frames a connection is.
pub struct Frames {
    head: [u8; HEAD_BYTES],
    /// Bytes of the head that have come.
    come: usize,
    /// Bytes of the payload, or of the preface, that are still to come.
    rest: usize,
}

impl Default for Frames {
    fn default() -> Frames {
        Frames { head: [0; HEAD_BYTES], come: 0, rest: PREFACE_BYTES }
    }
}

impl Frames {
    /// What the next bytes cost.
    pub fn cost(&mut self, bytes: &[u8]) -> Duration {
        let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let mut cost = limits::BYTE_COST.saturating_mul(size);
        let mut left = bytes;
        while !left.is_empty() {
            let skipped = self.rest.min(left.len());
            self.rest -= skipped;
            left = &left[skipped..];
            let more = (HEAD_BYTES - self.come).min(left.len());
            self.head[self.come..self.come + more].copy_from_slice(&left[..more]);
            self.come += more;
            left = &left[more..];
            if self.come == HEAD_BYTES {
                self.come = 0;
                let [high, middle, low, kind, ..] = self.head;
                self.rest = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
                cost += if kind == HEADERS { limits::REQUEST_COST } else { limits::FRAME_COST };
            }
        }
        cost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).unwrap().to_be_bytes();
        [&length[1..], &[kind, 0, 0, 0, 0, 1], &vec![0; payload]].concat()
    }

    #[test]
    fn every_frame_counts_however_its_bytes_come() {
        let frames = [frame(4, 0), frame(1, 50), frame(0, 70_000), frame(6, 8), frame(1, 1)];
        let bytes = [vec![b'P'; PREFACE_BYTES], frames.concat()].concat();
        let expected = limits::REQUEST_COST * 2
            + limits::FRAME_COST * 3
            + limits::BYTE_COST * u32::try_from(bytes.len()).unwrap();
        for size in [1, 2, 7, 9, 24, 1_000, bytes.len()] {
            let mut counted = Frames::default();
            let cost: Duration = bytes.chunks(size).map(|part| counted.cost(part)).sum();
            assert_eq!(cost, expected, "{size}");
            assert_eq!((counted.come, counted.rest), (0, 0));
        }
    }
}
