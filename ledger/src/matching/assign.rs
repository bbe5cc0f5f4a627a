//! The assignment of two whole sets at once: what [`super::desk`] arrives at item by item. For a
//! first load, for a dry run of other terms, and as what the desk is checked against.

use super::{
    bucket::{self, Met, Pair, Refusals},
    duplicates,
    item::{Comparison, Id, Item, Key, Place, Source, Strength},
    terms::Terms,
};

/// What belongs together. Every item is in exactly one of the lists, but an ambiguous one may be
/// in several proposals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// Pairs that match, some with a difference that the terms allow.
    pub matches: Vec<Pair>,
    /// Pairs that share a key and differ by more.
    pub breaks: Vec<Pair>,
    /// Pairs between which a person has to choose.
    pub proposals: Vec<Pair>,
    /// What a book has twice, and the number of the original.
    pub duplicates: Vec<(Id, u64)>,
    /// Items without any of these.
    pub free: Vec<Id>,
}

/// An item that is still in the game.
struct Player<'a> {
    place: Place,
    item: &'a Item,
    in_game: bool,
}

/// Assigns two sets of items. Takes n·log n for n items in buckets of a few.
pub fn assign(
    comparison: Comparison,
    first: &[&Item],
    second: &[&Item],
    refused: &Refusals,
    terms: &Terms<'_>,
) -> Assignment {
    let mut assignment = Assignment::default();
    let mut players = Vec::with_capacity(first.len() + second.len());
    for (place, items) in [(Place::First, first), (Place::Second, second)] {
        let start = players.len();
        let all = items.iter().map(|item| Player { place, item, in_game: true });
        players.extend(all);
        if comparison.source(place) != Source::Ledger {
            for (duplicate, original) in duplicates::find(items) {
                players[start + duplicate].in_game = false;
                let id = Id { place, number: items[duplicate].number };
                assignment.duplicates.push((id, items[original].number));
            }
        }
    }
    let mut met = Met::default();
    for strength in Strength::ALL {
        one_key(strength, &mut players, refused, terms, &mut met);
    }
    for pair in met.taken {
        if pair.judgement.category.is_none() {
            assignment.matches.push(pair);
        } else {
            assignment.breaks.push(pair);
        }
    }
    assignment.proposals = met.ambiguous;
    let free = players.iter().filter(|player| player.in_game);
    assignment.free =
        free.map(|player| Id { place: player.place, number: player.item.number }).collect();
    assignment.matches.sort_unstable();
    assignment.breaks.sort_unstable();
    assignment.proposals.sort_unstable();
    assignment.duplicates.sort_unstable();
    assignment.free.sort_unstable();
    assignment
}

/// Lets all buckets of one key meet; who is settled leaves the game.
fn one_key(
    strength: Strength,
    players: &mut [Player<'_>],
    refused: &Refusals,
    terms: &Terms<'_>,
    met: &mut Met,
) {
    let in_game = players.iter().enumerate().filter(|(_, player)| player.in_game);
    let mut members: Vec<(Key, Id, usize)> = in_game
        .filter_map(|(index, Player { place, item, .. })| {
            Some((item.key(strength)?, Id { place: *place, number: item.number }, index))
        })
        .collect();
    members.sort_unstable();
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let mut gone = Vec::new();
    for bucket in members.chunk_by(|one, two| one.0 == two.0) {
        let split = bucket.partition_point(|(_, id, _)| id.place == Place::First);
        let counts = [split, bucket.len() - split];
        if counts.contains(&0) || counts.iter().any(|count| *count > terms.bounds.bucket) {
            continue;
        }
        first.clear();
        second.clear();
        first.extend(bucket[..split].iter().map(|(_, _, index)| players[*index].item));
        second.extend(bucket[split..].iter().map(|(_, _, index)| players[*index].item));
        let (taken, ambiguous) = (met.taken.len(), met.ambiguous.len());
        bucket::meet(strength, &mut first, &mut second, refused, terms, met);
        let settled = met.taken[taken..].iter().chain(&met.ambiguous[ambiguous..]);
        for pair in settled {
            for id in [
                Id { place: Place::First, number: pair.first },
                Id { place: Place::Second, number: pair.second },
            ] {
                if let Ok(member) = bucket.binary_search_by_key(&id, |(_, id, _)| *id) {
                    gone.push(bucket[member].2);
                }
            }
        }
    }
    for index in gone {
        players[index].in_game = false;
    }
}
