//! RFC 6962 Merkle trees: leaf SHA-256(00 ‖ data), node SHA-256(01 ‖ left ‖ right), split at the
//! largest power of two below n; the empty tree is SHA-256 of nothing.

pub mod path;

use std::{convert::Infallible, ops::Range};

use crate::hash::Hash;

/// Hash of a leaf.
pub fn leaf_hash(data: &[u8]) -> Hash {
    Hash::of_parts(&[&[0], data])
}

/// Hash of an inner node.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut data = [1; 65];
    data[1..33].copy_from_slice(left.as_bytes());
    data[33..].copy_from_slice(right.as_bytes());
    Hash::of(&data)
}

/// The root over leaf hashes.
pub fn root_of(leaves: impl IntoIterator<Item = Hash>) -> Hash {
    let mut frontier = Frontier::default();
    leaves.into_iter().for_each(|leaf| frontier.push(leaf));
    frontier.root()
}

/// The right edge of a growing tree: one hash for each complete subtree, the largest first. Enough
/// to append and to know the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Rebuilds a frontier from its size and peaks.
    pub fn from_peaks(size: u64, peaks: Vec<Hash>) -> Option<Frontier> {
        (usize::try_from(size.count_ones()).ok()? == peaks.len())
            .then_some(Frontier { size, peaks })
    }

    /// How many leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The complete subtrees' roots, the largest first.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Appends a leaf by its hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.peaks.pop().expect("one peak for each bit of the size");
            node = node_hash(&left, &node);
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// The root.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return Hash::of(&[]) };
        peaks.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// A tree whose leaves can change, all of it in memory: an odd node at the end of a level stands
/// for itself one level up, which gives the same tree as the split of RFC 6962.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Level 0 are the leaf hashes.
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// How many leaves.
    pub fn len(&self) -> usize {
        self.levels.first().map_or(0, Vec::len)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sets leaves by index, in ascending order and without gaps beyond the end, and mends their
    /// paths. Returns how many hashes it computed, at most leaves × (log2 n + 1) beyond the leaves'
    /// own.
    pub fn set(&mut self, leaves: impl IntoIterator<Item = (usize, Hash)>) -> u64 {
        let mut changed = Vec::new();
        if self.levels.is_empty() {
            self.levels.push(Vec::new());
        }
        for (index, leaf) in leaves {
            place(&mut self.levels[0], index, leaf);
            changed.push(index);
        }
        let mut computed = 0;
        let mut level = 0;
        while self.levels[level].len() > 1 {
            if self.levels.len() == level + 1 {
                self.levels.push(Vec::new());
            }
            let (below, above) = self.levels.split_at_mut(level + 1);
            let (below, above) = (&below[level], &mut above[0]);
            for index in &mut changed {
                *index /= 2;
            }
            changed.dedup();
            for index in &changed {
                let node = match below.get(index * 2 + 1) {
                    Some(right) => {
                        computed += 1;
                        node_hash(&below[index * 2], right)
                    }
                    None => below[index * 2],
                };
                place(above, *index, node);
            }
            level += 1;
        }
        computed
    }

    /// The path of a leaf; none if there is no such leaf.
    pub fn path(&self, index: usize) -> Option<Vec<Hash>> {
        let size = u64::try_from(self.len()).ok()?;
        let index = u64::try_from(index).ok().filter(|index| *index < size)?;
        let Ok(path) = path::path(index, size, &mut self.nodes());
        Some(path)
    }

    /// The largest subtrees that hold none of a row of leaves; none if there is no such row.
    pub fn range_path(&self, range: &Range<usize>) -> Option<Vec<Hash>> {
        if range.is_empty() || range.end > self.len() {
            return None;
        }
        let size = u64::try_from(self.len()).ok()?;
        let range = u64::try_from(range.start).ok()?..u64::try_from(range.end).ok()?;
        let Ok(path) = path::range_path(&range, size, &mut self.nodes());
        Some(path)
    }

    /// Complete subtrees by level and index.
    fn nodes(&self) -> impl FnMut(u32, u64) -> Result<Hash, Infallible> {
        |level, index| {
            let place = |number| usize::try_from(number).expect("a tree in memory");
            Ok(self.levels[place(u64::from(level))][place(index)])
        }
    }

    /// The root.
    pub fn root(&self) -> Hash {
        self.levels.last().and_then(|level| level.first()).copied().unwrap_or(Hash::of(&[]))
    }
}

fn place(level: &mut Vec<Hash>, index: usize, node: Hash) {
    if index == level.len() {
        level.push(node);
    } else {
        level[index] = node;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6962, 2.1, word for word.
    fn specification(leaves: &[Hash]) -> Hash {
        match leaves.len() {
            0 => Hash::of(&[]),
            1 => leaves[0],
            n => {
                let split = 1 << (usize::BITS - 1 - (n - 1).leading_zeros());
                node_hash(&specification(&leaves[..split]), &specification(&leaves[split..]))
            }
        }
    }

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
    }

    #[test]
    fn frontier_and_tree_agree_with_the_specification() {
        for count in 0..70 {
            let leaves = leaves(count);
            let root = specification(&leaves);
            assert_eq!(root_of(leaves.iter().copied()), root);
            let mut tree = Tree::default();
            tree.set(leaves.iter().copied().enumerate());
            assert_eq!(tree.root(), root, "{count} leaves");
        }
    }

    #[test]
    fn leaves_change_and_grow_at_the_price_of_their_paths() {
        let mut now = Vec::new();
        let mut tree = Tree::default();
        let mut random = 1u64;
        for round in 0..200usize {
            let mut next = || {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                usize::try_from(random >> 40).unwrap()
            };
            let mut changes = std::collections::BTreeMap::new();
            for _ in 0..next() % 4 {
                if !now.is_empty() {
                    changes
                        .insert(next() % now.len(), leaf_hash(&[1, u8::try_from(round).unwrap()]));
                }
            }
            for _ in 0..next() % 5 {
                changes.insert(now.len(), leaf_hash(&now.len().to_be_bytes()));
                now.push(Hash::ZERO);
            }
            changes.iter().for_each(|(index, leaf)| now[*index] = *leaf);
            let touched = u64::try_from(changes.len()).unwrap();
            let computed = tree.set(changes);
            assert_eq!(tree.root(), specification(&now));
            let bound = touched * u64::from(usize::BITS - now.len().leading_zeros() + 1);
            assert!(computed <= bound, "{computed} hashes for {touched} leaves of {}", now.len());
        }
    }

    /// Root of the seven test leaves of the Certificate Transparency reference implementation.
    #[test]
    fn known_root() {
        let leaves: [&[u8]; 4] = [b"", b"\x00", b"\x10", b"\x20\x21"];
        assert_eq!(
            root_of(leaves.iter().map(|leaf| leaf_hash(leaf))).to_string(),
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"
        );
    }
}
