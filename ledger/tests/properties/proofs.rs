//! Every proof that a random history gives verifies, and no change of one does as something else.

use counterfoil_ledger::{
    block::NO_INSTRUCTION,
    outcome::{Event, State as OutcomeState, effects_hash},
    prove,
    verify::{self, Finality, Trust, VerifiedAccount, VerifiedReceipt},
};
use counterfoil_proto::v1;
use prost::Message;

use crate::support::{Archive, Chain, changes};

/// A small generator of choices: the history decides everything else.
struct Choice(u64);

impl Choice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % bound.max(1)
    }

    /// Some places of a run of bytes.
    fn places(&mut self, length: usize) -> Vec<usize> {
        (0..24).map(|_| self.below(length)).collect()
    }
}

/// Checks proofs of a chain; returns how many receipts were tried.
pub fn check(chain: Chain, seed: u64) -> usize {
    let archive = Archive::of(chain);
    let trust = archive.trust();
    let mut choice = Choice(seed);
    let mut tried: Vec<v1::Receipt> = Vec::new();
    for height in 1..=archive.height() {
        tried.extend(receipts(&archive, &trust, height, &mut choice));
        batches(&archive, &trust, height, &mut choice);
    }
    for _ in 0..6 {
        account(&archive, &trust, &mut choice);
        history(&archive, &trust, &mut choice);
    }
    heads(&archive);
    tried.windows(2).for_each(|pair| swapped(&trust, &pair[0], &pair[1]));
    tried.len()
}

/// The height of a certificate that covers another height, or none.
fn certified(archive: &Archive, height: u64, choice: &mut Choice) -> Option<u64> {
    let later = usize::try_from(archive.height() - height).unwrap();
    let chosen = height + u64::try_from(choice.below(later + 1)).unwrap();
    (choice.below(6) > 0).then_some(chosen)
}

fn receipts(
    archive: &Archive,
    trust: &Trust,
    height: u64,
    choice: &mut Choice,
) -> Vec<v1::Receipt> {
    let mut tried = Vec::new();
    let stored = archive.stored(height);
    if stored.leaves.is_empty() {
        return tried;
    }
    let hashes = prove::leaf_hashes(stored).unwrap();
    assert_eq!(hashes.len(), stored.leaves.len());
    for _ in 0..2 {
        let place = choice.below(stored.leaves.len());
        let leaf = u32::try_from(place).unwrap();
        // Nobody ordered what was due, and nobody has a receipt of it.
        if stored.leaves[place].instruction == NO_INSTRUCTION {
            assert!(prove::receipt(stored, leaf, archive.chain.state.registry()).is_none());
            continue;
        }
        let certified = certified(archive, height, choice);
        let receipt = archive.receipt(height, leaf, certified);
        let verdict = verify::receipt(trust, &receipt).unwrap();
        assert_eq!(verdict.outcome, stored.leaves[place].outcome);
        let record = &stored.leaves[place];
        assert_eq!(verdict.effects_hash, effects_hash(&record.effects));
        // Of a transfer nobody reads what it did to the other's books.
        let is_transfer = record.outcome.event == Event::TransferPosted;
        let effects = if is_transfer { &[][..] } else { &record.effects };
        assert_eq!(verdict.effects, effects);
        assert_eq!(verdict.header, stored.header);
        assert_eq!(verdict.item.as_ref().map_or(0, |it| it.number), stored.leaves[place].item);
        let found = match &verdict.finality {
            Finality::Ordered => None,
            Finality::Final { certified_height, .. } => Some(*certified_height),
        };
        assert_eq!(found, certified);
        let bytes = changes::round_trip(&receipt);
        let places = choice.places(bytes.len());
        let others = changes::of_receipt(&receipt);
        for other in others.into_iter().chain(changes::flipped(&bytes, places)) {
            let Ok(found) = verify::receipt(trust, &other) else { continue };
            // Nobody vouches for the header of a receipt that is ordered only.
            let header = if certified.is_none() { &verdict.header } else { &found.header };
            let found = VerifiedReceipt { header: header.clone(), ..found };
            assert!(found == verdict, "{:?} is {:?}", other.header, found.summary());
        }
        tried.push(receipt);
    }
    tried
}

fn batches(archive: &Archive, trust: &Trust, height: u64, choice: &mut Choice) {
    let stored = archive.stored(height);
    for (leaf, record) in (0..).zip(&stored.leaves) {
        let proof = prove::batch(stored, leaf);
        let is_batch = record.outcome.state == OutcomeState::Itemised;
        assert_eq!(proof.is_some(), is_batch, "{record:?}");
        let Some(proof) = proof else { continue };
        let certified = certified(archive, height, choice);
        let receipt = archive.receipt(height, leaf, certified);
        let (_, signed) = stored.instruction(leaf).unwrap();
        let batch = verify::batch(trust, &receipt, &signed.items, &proof).unwrap();
        for item in [1, u32::try_from(signed.items.len()).unwrap()] {
            let own = batch.item_receipt(item).unwrap();
            assert_eq!(own, archive.receipt(height, leaf + item, certified));
            let alone = verify::receipt(trust, &own).unwrap();
            assert_eq!(Some(alone.outcome), batch.outcome(item));
        }
        assert_eq!(batch.outcome(0), None);
        assert_eq!(batch.item_receipt(0), None);
        let bytes = changes::round_trip(&proof);
        let places = choice.places(bytes.len());
        let others = changes::of_batch(&proof).into_iter();
        for other in others.chain(changes::flipped(&bytes, places)) {
            let found = verify::batch(trust, &receipt, &signed.items, &other);
            assert!(found.is_err(), "{other:?}");
        }
        for items in changes::of_list(&signed.items) {
            assert!(verify::batch(trust, &receipt, &items, &proof).is_err());
        }
    }
}

/// Whether a verdict on an account is what the ledger holds.
fn is_true(archive: &Archive, verdict: &VerifiedAccount) -> bool {
    let holds = |standing: &verify::Standing| {
        let accounts = &archive.balances[usize::try_from(standing.height).unwrap()];
        let found = accounts.iter().find(|account| account.id == verdict.id);
        let found = found.map_or((0, 0), |it| (it.balance, it.posting_count));
        found == (standing.balance, standing.posting_count)
    };
    let movements = archive.chain.history.movements(verdict.ordinal).iter();
    let (from, to) = (verdict.opening.height, verdict.closing.height);
    let between = movements.filter(|it| from < it.position.height && it.position.height <= to);
    let expected: Vec<_> = between
        .map(|it| {
            let hashes = prove::leaf_hashes(archive.stored(it.position.height)).unwrap();
            let leaf_hash = hashes[usize::try_from(it.position.leaf).unwrap()];
            (it.position.height, it.side, it.amount, it.date, leaf_hash)
        })
        .collect();
    let found = verdict.postings.iter().map(|it| {
        let posting = it.posting;
        (it.height, posting.side, posting.amount, posting.date, posting.leaf_hash)
    });
    holds(&verdict.opening) && holds(&verdict.closing) && found.eq(expected)
}

fn account(archive: &Archive, trust: &Trust, choice: &mut Choice) {
    let flagged = archive.flagged();
    if flagged.is_empty() {
        return;
    }
    let at = flagged[choice.below(flagged.len())];
    let accounts = &archive.balances[usize::try_from(at).unwrap()];
    let ordinal = accounts[choice.below(accounts.len())].ordinal;
    let height = |bound: u64, choice: &mut Choice| {
        u64::try_from(choice.below(usize::try_from(bound).unwrap() + 1)).unwrap()
    };
    let to = height(at, choice);
    let from = height(to, choice);
    let certified = certified(archive, at, choice);
    let proof = archive.account_proof(ordinal, (from, to), at, certified);
    let verdict = verify::account(trust, &proof).unwrap();
    assert_eq!((verdict.opening.height, verdict.closing.height), (from, to));
    assert!(is_true(archive, &verdict), "{verdict:?}");
    let bytes = changes::round_trip(&proof);
    let places = choice.places(bytes.len());
    let others = changes::of_account(&proof).into_iter();
    for other in others.chain(changes::flipped(&bytes, places)) {
        // Other heights between the same postings give another sentence, which has to be true.
        if let Ok(found) = verify::account(trust, &other) {
            assert!(is_true(archive, &found), "{found:?}");
            assert_eq!(found.finality, verdict.finality);
        }
    }
}

fn history(archive: &Archive, trust: &Trust, choice: &mut Choice) {
    let later = choice.below(usize::try_from(archive.height()).unwrap()) + 1;
    let earlier = u64::try_from(choice.below(later + 1)).unwrap();
    let proof = archive.history_proof(earlier, u64::try_from(later).unwrap());
    let verdict = verify::history(trust, &proof).unwrap();
    assert_eq!(verdict.header, *archive.header(earlier));
    let bytes = changes::round_trip(&proof);
    let places = choice.places(bytes.len());
    let others = changes::of_history(&proof).into_iter();
    for other in others.chain(changes::flipped(&bytes, places)) {
        assert!(verify::history(trust, &other).is_err());
    }
    let mut known = trust.clone();
    let first = archive.history_proof(earlier, earlier);
    known.advance(&first).unwrap();
    known.advance(&proof).unwrap();
    assert_eq!(known.newest(), Some(archive.header(later.try_into().unwrap())));
    let back = known.advance(&first);
    assert_eq!(back.is_ok(), earlier == u64::try_from(later).unwrap());
    let state = known.to_message().encode_to_vec().into();
    let restored = Trust::restore(trust.genesis().clone(), &state).unwrap();
    assert_eq!(restored.newest(), known.newest());
    assert_eq!(restored.to_message(), known.to_message());
}

/// Each stored head is the account's, and none lies further back than the interval.
fn heads(archive: &Archive) {
    for (height, block) in archive.chain.blocks.iter().enumerate() {
        for head in &block.heads {
            let account = &archive.balances[height][usize::try_from(head.account).unwrap()];
            assert_eq!(head.head(), account.head);
            assert_eq!(head.posting_count, account.posting_count);
            assert_eq!(head.height, block.header.height);
        }
        let before = height.checked_sub(1).map(|height| &archive.balances[height]);
        for (place, account) in archive.balances[height].iter().enumerate() {
            let before = before.and_then(|it| it.get(place)).map_or(0, |it| it.posting_count);
            let passed = before / 256 != account.posting_count / 256;
            let there = block.heads.iter().any(|head| head.account == account.ordinal);
            assert_eq!(passed, there);
        }
    }
}

/// A receipt of one leaf says nothing of another, whatever parts of the two are exchanged.
fn swapped(trust: &Trust, one: &v1::Receipt, two: &v1::Receipt) {
    let exchanged = [
        v1::Receipt { instruction: two.instruction.clone(), ..one.clone() },
        v1::Receipt { signatures: two.signatures.clone(), ..one.clone() },
        v1::Receipt { item: two.item.clone(), ..one.clone() },
        v1::Receipt { outcome: two.outcome.clone(), ..one.clone() },
        v1::Receipt { effects: two.effects.clone(), ..one.clone() },
        v1::Receipt { effects_hash: two.effects_hash.clone(), ..one.clone() },
        v1::Receipt { leaf_index: two.leaf_index, ..one.clone() },
        v1::Receipt { leaf_path: two.leaf_path.clone(), ..one.clone() },
        v1::Receipt { header: two.header.clone(), ..one.clone() },
        v1::Receipt { history_path: two.history_path.clone(), ..one.clone() },
        v1::Receipt { certificate: two.certificate.clone(), ..one.clone() },
        v1::Receipt { keys: two.keys.clone(), ..one.clone() },
    ];
    let verdict = verify::receipt(trust, one).unwrap();
    for other in exchanged.iter().filter(|other| *other != one) {
        if let Ok(found) = verify::receipt(trust, other) {
            let finality = verdict.finality.clone();
            assert!(VerifiedReceipt { finality, ..found } == verdict);
        }
    }
}
