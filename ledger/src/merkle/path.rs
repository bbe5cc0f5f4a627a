//! Proofs about RFC 6962 trees. Making one asks for complete subtrees by (level, index): the node at
//! level l and index i covers the leaves i·2^l to (i + 1)·2^l − 1. Checking one needs no tree.

use std::{collections::BTreeMap, ops::Range};

use super::node_hash;
use crate::hash::Hash;

/// The longest path in a tree whose leaves are counted in 64 bits.
pub const PATH_MAX: usize = 64;

/// The root that a leaf at an index of a tree of some size has by its path; none if the path cannot
/// be one of such a leaf (RFC 9162, 2.1.3.2).
pub fn root_of_path(leaf: Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    let mut last = size.checked_sub(1).filter(|last| index <= *last)?;
    let (mut place, mut node) = (index, leaf);
    for sibling in path {
        if last == 0 {
            return None;
        }
        if place & 1 == 1 || place == last {
            node = node_hash(sibling, &node);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            node = node_hash(&node, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(node)
}

/// Whether the tree of the first `from` leaves, with one root, is the beginning of the tree of the
/// first `to` leaves, with another (RFC 9162, 2.1.4.2). Every tree begins with the empty one.
pub fn is_consistent(
    (from, from_root): (u64, Hash),
    (to, to_root): (u64, Hash),
    path: &[Hash],
) -> bool {
    if from > to {
        return false;
    }
    if from == 0 || from == to {
        let same = if from == 0 { from_root == Hash::of(&[]) } else { from_root == to_root };
        return path.is_empty() && same;
    }
    // The subtree that both share stands for itself where it is complete.
    let shared = from.is_power_of_two().then_some(from_root);
    let mut path = shared.iter().chain(path);
    let (mut place, mut last) = (from - 1, to - 1);
    while place & 1 == 1 {
        place >>= 1;
        last >>= 1;
    }
    let Some(first) = path.next() else { return false };
    let (mut old, mut new) = (*first, *first);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            old = node_hash(sibling, &old);
            new = node_hash(sibling, &new);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            new = node_hash(&new, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    last == 0 && old == from_root && new == to_root
}

/// What is known of a tree of which a row of leaves is given, and the largest subtrees without any
/// of them.
#[derive(Clone, Debug)]
pub struct RangeTree {
    size: u64,
    row: Range<u64>,
    root: Hash,
    /// Subtrees by the leaves that they cover: first, and the one after the last.
    nodes: BTreeMap<(u64, u64), Hash>,
}

impl RangeTree {
    /// The tree of some size that has these leaves in a row from an index on; the path holds the other
    /// subtrees, from left to right. None if it has too few or too many.
    pub fn new(leaves: &[Hash], start: u64, size: u64, path: &[Hash]) -> Option<RangeTree> {
        let end = start.checked_add(u64::try_from(leaves.len()).ok()?)?;
        if leaves.is_empty() || end > size {
            return None;
        }
        let mut tree =
            RangeTree { size, row: start..end, root: Hash::ZERO, nodes: BTreeMap::new() };
        let mut path = path.iter();
        tree.root = tree.grow(0..size, leaves, &mut path)?;
        path.next().is_none().then_some(tree)
    }

    fn grow(
        &mut self,
        covered: Range<u64>,
        leaves: &[Hash],
        path: &mut std::slice::Iter<'_, Hash>,
    ) -> Option<Hash> {
        let node = if covered.end <= self.row.start || self.row.end <= covered.start {
            *path.next()?
        } else if covered.end - covered.start == 1 {
            *leaves.get(usize::try_from(covered.start - self.row.start).ok()?)?
        } else {
            let split = split(&covered);
            let left = self.grow(covered.start..split, leaves, path)?;
            let right = self.grow(split..covered.end, leaves, path)?;
            node_hash(&left, &right)
        };
        self.nodes.insert((covered.start, covered.end), node);
        Some(node)
    }

    /// The root.
    pub fn root(&self) -> Hash {
        self.root
    }

    /// The path of a leaf of the row.
    pub fn path(&self, index: u64) -> Option<Vec<Hash>> {
        if !self.row.contains(&index) {
            return None;
        }
        let mut path = Vec::new();
        let mut covered = 0..self.size;
        while covered.end - covered.start > 1 {
            let sibling = go_down(&mut covered, index);
            path.push(*self.nodes.get(&(sibling.start, sibling.end))?);
        }
        path.reverse();
        Some(path)
    }
}

/// Goes one level down towards a leaf; returns what lies beside.
fn go_down(covered: &mut Range<u64>, index: u64) -> Range<u64> {
    let split = split(covered);
    if index < split {
        split..std::mem::replace(&mut covered.end, split)
    } else {
        std::mem::replace(&mut covered.start, split)..split
    }
}

/// Where RFC 6962 splits a tree of at least two leaves.
fn split(covered: &Range<u64>) -> u64 {
    let largest = (covered.end - covered.start - 1).ilog2();
    covered.start + (1 << largest)
}

/// The root over a range of leaves.
pub fn subtree<E>(
    covered: Range<u64>,
    node: &mut impl FnMut(u32, u64) -> Result<Hash, E>,
) -> Result<Hash, E> {
    let size = covered.end - covered.start;
    if size.is_power_of_two() && covered.start.is_multiple_of(size) {
        let level = size.trailing_zeros();
        return node(level, covered.start >> level);
    }
    if size == 0 {
        return Ok(Hash::of(&[]));
    }
    let split = split(&covered);
    let left = subtree(covered.start..split, node)?;
    let right = subtree(split..covered.end, node)?;
    Ok(node_hash(&left, &right))
}

/// The path of a leaf, which is in the tree.
pub fn path<E>(
    index: u64,
    size: u64,
    node: &mut impl FnMut(u32, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    let mut path = Vec::new();
    let mut covered = 0..size;
    while covered.end - covered.start > 1 {
        path.push(subtree(go_down(&mut covered, index), node)?);
    }
    path.reverse();
    Ok(path)
}

/// The proof that a tree begins with a smaller one.
pub fn consistency<E>(
    from: u64,
    to: u64,
    node: &mut impl FnMut(u32, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    if from == 0 || from >= to {
        return Ok(Vec::new());
    }
    let mut path = Vec::new();
    let mut covered = 0..to;
    while covered.end != from {
        path.push(subtree(go_down(&mut covered, from - 1), node)?);
    }
    // The smaller tree itself is known to whoever asks.
    if covered.start != 0 {
        path.push(subtree(covered, node)?);
    }
    path.reverse();
    Ok(path)
}

/// The largest subtrees that hold none of a range of leaves, from left to right.
pub fn range_path<E>(
    range: &Range<u64>,
    size: u64,
    node: &mut impl FnMut(u32, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    let mut path = Vec::new();
    outside(0..size, range, node, &mut path)?;
    Ok(path)
}

fn outside<E>(
    covered: Range<u64>,
    range: &Range<u64>,
    node: &mut impl FnMut(u32, u64) -> Result<Hash, E>,
    path: &mut Vec<Hash>,
) -> Result<(), E> {
    if covered.end <= range.start || range.end <= covered.start {
        path.push(subtree(covered, node)?);
    } else if covered.start < range.start || range.end < covered.end {
        let split = split(&covered);
        outside(covered.start..split, range, node, path)?;
        outside(split..covered.end, range, node, path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::super::{Tree, leaf_hash, root_of};
    use super::*;

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
    }

    fn nodes(leaves: &[Hash]) -> impl FnMut(u32, u64) -> Result<Hash, Infallible> {
        move |level, index| {
            let part = leaves.iter().skip(usize::try_from(index << level).unwrap());
            Ok(root_of(part.take(1 << level).copied()))
        }
    }

    fn root(leaves: &[Hash], count: u64) -> Hash {
        root_of(leaves.iter().take(usize::try_from(count).unwrap()).copied())
    }

    #[test]
    fn every_leaf_has_a_path_and_no_other_one() {
        for size in 1..40 {
            let leaves = leaves(size);
            let root = root(&leaves, size);
            for (index, leaf) in (0..).zip(&leaves) {
                let Ok(path) = path(index, size, &mut nodes(&leaves));
                assert_eq!(root_of_path(*leaf, index, size, &path), Some(root));
                for other in (0..size + 2).filter(|other| *other != index) {
                    assert_ne!(root_of_path(*leaf, other, size, &path), Some(root));
                }
                let longer = [&path[..], &[root]].concat();
                assert_eq!(root_of_path(*leaf, index, size, &longer), None);
                if let Some((_, shorter)) = path.split_last() {
                    assert_ne!(root_of_path(*leaf, index, size, shorter), Some(root));
                }
            }
            assert_eq!(root_of_path(leaves[0], 0, 0, &[]), None);
        }
    }

    #[test]
    fn every_tree_begins_with_the_smaller_ones() {
        let leaves = leaves(40);
        for to in 0..40 {
            for from in 0..=to {
                let Ok(path) = consistency(from, to, &mut nodes(&leaves));
                let (old, new) = ((from, root(&leaves, from)), (to, root(&leaves, to)));
                assert!(is_consistent(old, new, &path), "{from} {to}");
                assert!(!is_consistent(new, old, &path) || from == to);
                for place in 0..path.len() {
                    let mut changed = path.clone();
                    changed[place] = Hash::ZERO;
                    assert!(!is_consistent(old, new, &changed), "{from} {to} {place}");
                }
                let other = (from, Hash::ZERO);
                assert!(!is_consistent(other, new, &path), "{from} {to}");
                let longer = [&path[..], &[Hash::ZERO]].concat();
                assert!(!is_consistent(old, new, &longer), "{from} {to}");
            }
        }
    }

    #[test]
    fn a_row_of_leaves_has_one_path() {
        for size in 1..20 {
            let leaves = leaves(size);
            let root = root(&leaves, size);
            for start in 0..size {
                for end in start + 1..=size {
                    let Ok(path) = range_path(&(start..end), size, &mut nodes(&leaves));
                    let row =
                        &leaves[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()];
                    let root_of = |row: &[Hash], start, path: &[Hash]| {
                        RangeTree::new(row, start, size, path).map(|tree| tree.root())
                    };
                    assert_eq!(root_of(row, start, &path), Some(root));
                    assert_ne!(root_of(row, start + 1, &path), Some(root));
                    let longer = [&path[..], &[root]].concat();
                    assert_eq!(root_of(row, start, &longer), None);
                    assert_ne!(root_of(&row[1..], start, &path), Some(root));
                    let tree = RangeTree::new(row, start, size, &path).unwrap();
                    for index in 0..size {
                        let Ok(expected) = super::path(index, size, &mut nodes(&leaves));
                        let expected = (start..end).contains(&index).then_some(expected);
                        assert_eq!(tree.path(index), expected);
                    }
                }
            }
        }
    }

    #[test]
    fn a_tree_in_memory_gives_the_same_paths() {
        for size in 1..20 {
            let leaves = leaves(size);
            let mut tree = Tree::default();
            tree.set(leaves.iter().copied().enumerate());
            for index in 0..size {
                let Ok(expected) = path(index, size, &mut nodes(&leaves));
                assert_eq!(tree.path(usize::try_from(index).unwrap()), Some(expected));
            }
            assert_eq!(tree.path(usize::try_from(size).unwrap()), None);
        }
    }
}
