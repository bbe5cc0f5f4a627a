//! Why an item stands as it does, and why not with another one: values, which others put into
//! words.

use super::{
    RULE_SET,
    bucket::Refusals,
    desk::{Desk, Standing},
    item::{Id, Item, Place, Strength},
    pair::{self, Judgement},
    runs::Pass,
    terms::Terms,
};

/// Most other candidates of an explanation.
pub const OTHERS_MAX: usize = 16;

/// What matching says of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The rules.
    pub rule_set: u32,
    /// What settled it; none if nothing has.
    pub by: Option<By>,
    /// What has become of it; of a pair the score and the differences.
    pub standing: Standing,
    /// Of a duplicate, the original's number.
    pub original: Option<u64>,
    /// Other items that came into question, by number, and why they were not taken.
    pub others: Vec<Other>,
}

/// What settles an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// It is in its book twice.
    Duplicate,
    /// A key that it shares.
    Key(Strength),
    /// A pass over the open items.
    Run(Pass),
    /// People.
    Decision,
}

/// Another item, and why it was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Which.
    pub id: Id,
    /// Why.
    pub why: Why,
}

/// Why two items were not taken together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// A person said that they do not belong together.
    Refused,
    /// The other one is a duplicate.
    Duplicate,
    /// People decided on the other one.
    Decided,
    /// Both have this key, and it differs.
    Contradicts(Strength),
    /// They share no key.
    NothingShared,
    /// The item goes better with the one that it is paired with, or with those between which a person
    /// has to choose.
    Worse(Judgement),
    /// The other one goes better, or by a stronger key, with an item of this number.
    Taken {
        /// How the two would go together.
        judgement: Judgement,
        /// With whom the other one is paired.
        with: u64,
        /// How these two go together.
        better: Judgement,
    },
    /// It is one of several that are equally good: a person has to choose.
    Ambiguous(Judgement),
    /// The other one is a choice between others that are better.
    Undecided {
        /// How the two would go together.
        judgement: Judgement,
        /// Between whom.
        with: Vec<u64>,
    },
    /// More items share this key than are compared.
    TooMany(Strength),
}

/// Explains why an item does not go with another one of the other source, given what has become of
/// both. None if it does, and for an item that takes no part.
pub fn why_not(
    place: Place,
    item: (&Item, &Standing),
    other: (&Item, &Standing),
    refused: &Refusals,
    terms: &Terms<'_>,
) -> Option<Why> {
    let id = |place, item: &Item| Id { place, number: item.number };
    match item.1 {
        Standing::Duplicate | Standing::Pinned => return None,
        Standing::Paired { with, .. } if *with == other.0.number => return None,
        _ => {}
    }
    if refused.contains(id(place, item.0), id(place.opposite(), other.0)) {
        return Some(Why::Refused);
    }
    let Some(strength) = pair::strongest(item.0, other.0) else {
        return Some(
            pair::contradiction(item.0, other.0).map_or(Why::NothingShared, Why::Contradicts),
        );
    };
    let judgement = pair::judge(item.0, other.0, strength, terms);
    Some(match (item.1, other.1) {
        (_, Standing::Duplicate) => Why::Duplicate,
        (_, Standing::Pinned) => Why::Decided,
        (Standing::Proposed { with, .. }, _) if with.contains(&other.0.number) => {
            Why::Ambiguous(judgement)
        }
        (_, Standing::Paired { with, judgement: better })
            if better.score() <= judgement.score() =>
        {
            Why::Taken { judgement, with: *with, better: *better }
        }
        (Standing::Paired { .. } | Standing::Proposed { .. }, _) => Why::Worse(judgement),
        (_, Standing::Proposed { with, .. }) => Why::Undecided { judgement, with: with.clone() },
        _ => Why::TooMany(strength),
    })
}

impl Desk {
    /// Explains an item against those that share a bucket with it, at most [`OTHERS_MAX`]. `run` is
    /// the pass that found something about it, if one has. Those that a stronger key settled wait
    /// in no weaker bucket; whoever has an index of its own asks [`why_not`].
    pub fn explain(&self, id: Id, run: Option<Pass>, terms: &Terms<'_>) -> Option<Explanation> {
        let (item, standing) = (self.item(id)?, self.standing(id)?.clone());
        let by = match &standing {
            Standing::Duplicate => Some(By::Duplicate),
            Standing::Pinned => Some(By::Decision),
            Standing::Paired { judgement, .. } => Some(By::Key(judgement.strength)),
            Standing::Proposed { strength, .. } => Some(By::Key(*strength)),
            Standing::Free => run.map(By::Run),
        };
        let neighbours = self.neighbours(id, OTHERS_MAX + 1).into_iter();
        let others = neighbours.filter_map(|other| {
            let number = other.0.number;
            let why = why_not(id.place, (item, &standing), other, self.refused(), terms)?;
            Some(Other { id: Id { place: id.place.opposite(), number }, why })
        });
        let others = others.take(OTHERS_MAX).collect();
        let original = self.original(id).filter(|_| standing == Standing::Duplicate);
        Some(Explanation { rule_set: RULE_SET, by, standing, original, others })
    }
}
