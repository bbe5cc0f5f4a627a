//! The Bloom filter of a run: says of most keys that are not there that they are not.
//!
//! It is the split block Bloom filter that Apache Parquet specifies: eight bits for a key, one in
//! each word of one block of 32 bytes, so that a question costs one cache line. It is written out
//! here, and not taken from a crate, because it is stored: a crate that changed its hash would make
//! filters deny keys that are there. The hash is XXH3, whose values are fixed, seeded with a random
//! number of this node, so that nobody can choose keys that all filters mistake.

use twox_hash::XxHash3_64;

/// From the Parquet format specification.
const SALT: [u32; 8] = [
    0x47b6_137b,
    0x4497_4d91,
    0x8824_ad5b,
    0xa2b7_289d,
    0x7054_95c7,
    0x2df1_424b,
    0x9efc_4947,
    0x5c6b_fb31,
];

/// Keys up to which a filter gets the more generous share of bits.
const SMALL_KEYS: u64 = 4_000_000;

/// The hash by which filters know a key.
pub(super) fn hash(seed: u64, key: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(seed, key)
}

/// A filter over the hashes of keys.
pub(super) struct Filter {
    blocks: Vec<[u32; 8]>,
}

impl Filter {
    /// A filter for about this many keys. Small runs, of which there are many and which cost little
    /// memory, get 16 bits a key (one false answer in a thousand); large ones 10 (one in fifty).
    pub(super) fn with_capacity(keys: u64) -> Filter {
        let bits_per_key = if keys <= SMALL_KEYS { 16 } else { 10 };
        let blocks = (keys * bits_per_key).div_ceil(256).max(1);
        let blocks = usize::try_from(blocks).expect("runs are bounded");
        Filter { blocks: vec![[0; 8]; blocks] }
    }

    /// Takes a key.
    pub(super) fn insert(&mut self, hash: u64) {
        let place = self.block_of(hash);
        let block = &mut self.blocks[place];
        for (word, bit) in block.iter_mut().zip(mask(hash)) {
            *word |= bit;
        }
    }

    /// False only of keys that it did not take.
    pub(super) fn may_contain(&self, hash: u64) -> bool {
        let block = &self.blocks[self.block_of(hash)];
        block.iter().zip(mask(hash)).all(|(word, bit)| word & bit != 0)
    }

    /// Appends its words, little-endian as in Parquet.
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.reserve(self.blocks.len() * 32);
        for word in self.blocks.as_flattened() {
            bytes.extend(word.to_le_bytes());
        }
    }

    /// Reads what `encode` wrote; nothing else.
    pub(super) fn decode(bytes: &[u8]) -> Option<Filter> {
        let (blocks, rest) = bytes.as_chunks::<32>();
        if blocks.is_empty() || !rest.is_empty() {
            return None;
        }
        let block = |bytes: &[u8; 32]| {
            let mut words = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
            std::array::from_fn(|_| words.next().expect("32 bytes are eight words"))
        };
        Some(Filter { blocks: blocks.iter().map(block).collect() })
    }

    /// The upper half of the hash scaled to the number of blocks.
    fn block_of(&self, hash: u64) -> usize {
        let blocks = u64::try_from(self.blocks.len()).expect("usize has at most 64 bits");
        usize::try_from(((hash >> 32) * blocks) >> 32).expect("it is below the number of blocks")
    }
}

/// One bit for each word of the block, from the lower half of the hash.
fn mask(hash: u64) -> [u32; 8] {
    let low = u32::try_from(hash & 0xffff_ffff).expect("it was masked");
    SALT.map(|salt| 1 << (low.wrapping_mul(salt) >> 27))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denies_nothing_that_it_took_and_most_of_the_rest() {
        let key = |number: u64| hash(42, &number.to_be_bytes());
        let mut filter = Filter::with_capacity(50_000);
        (0..50_000).for_each(|number| filter.insert(key(number)));
        let mut bytes = Vec::new();
        filter.encode(&mut bytes);
        assert_eq!(bytes.len(), 50_000 * 2);
        for filter in [filter, Filter::decode(&bytes).unwrap()] {
            assert!((0..50_000).all(|number| filter.may_contain(key(number))));
            let mistakes = (50_000..250_000).filter(|number| filter.may_contain(key(*number)));
            assert!(mistakes.count() < 600);
        }
        assert!(Filter::decode(&bytes[1..]).is_none());
        assert!(Filter::decode(&[]).is_none());
        assert!(!Filter::with_capacity(0).may_contain(key(1)));
    }

    #[test]
    fn the_hash_is_the_one_that_is_on_disk() {
        assert_eq!(hash(0, b""), 0x2d06_8005_38d3_94c2);
    }
}
