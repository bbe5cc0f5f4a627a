//! Proofs: what verifies, what does not, how large a receipt is, and how long the verifier.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "proofs/epochs.rs"]
mod epochs;
#[path = "proofs/evidence.rs"]
mod evidence;
#[path = "vectors/golden.rs"]
mod golden;
mod support;

use std::{fs, path::Path};

use bytes::Bytes;
use counterfoil_ledger::{
    hash::Hash,
    header::Header,
    id::InstructionId,
    instruction::Draft,
    outcome::State as OutcomeState,
    proof::Proof,
    prove,
    verify::{self, Finality, Trust, Unproven, read},
};
use counterfoil_proto::v1;
use golden::golden_chain;
use prost::Message;
use support::{
    Archive, Chain, Consortium, NOON_MS,
    archive::certify,
    build::{HOUR_MS, book_entry, id_of, transfer},
    changes,
    consortium::bic_of,
};

fn archive() -> Archive {
    Archive::of(golden_chain())
}

/// Flips a bit of every byte, and cuts and lengthens: nothing of it may verify, unless it says what
/// the proof itself says.
fn only_itself<M: Proof + PartialEq, T: PartialEq>(
    proof: &M,
    check: impl Fn(&M) -> Result<T, Unproven>,
    allowed: impl Fn(&T, &T) -> bool,
) {
    let bytes = changes::round_trip(proof);
    let verdict = check(proof).unwrap();
    for other in changes::flipped::<M>(&bytes, 0..bytes.len()) {
        if let Ok(found) = check(&other) {
            assert!(allowed(&verdict, &found), "{} says something else", M::NAME);
        }
    }
    for length in 0..bytes.len() {
        if let Ok(cut) = read::<M>(&bytes.slice(..length)) {
            assert!(check(&cut).map_or(true, |found| allowed(&verdict, &found)), "{length}");
        }
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(read::<M>(&longer.into()).is_err());
}

#[test]
fn no_byte_of_a_proof_can_change() {
    let archive = archive();
    let (trust, tip) = (archive.trust(), archive.height());
    let same = |one: &verify::VerifiedReceipt, two: &verify::VerifiedReceipt| one == two;
    let settled = archive.receipt(3, 0, Some(tip));
    only_itself(&settled, |it| verify::receipt(&trust, it), same);
    let item = archive.receipt(4, 2, Some(4));
    only_itself(
        &item,
        |it| verify::receipt(&trust, it),
        // Without its certificate it is ordered, and says so.
        |one, two| two.finality == Finality::Ordered || one == two,
    );
    let account = archive.account_proof(1, (2, 4), 5, Some(tip));
    only_itself(
        &account,
        |it| verify::account(&trust, it),
        // Other heights with the same postings between them.
        |one, two| one.opening.balance == two.opening.balance && one.header == two.header,
    );
    only_itself(&archive.history_proof(3, tip), |it| verify::history(&trust, it), |_, _| false);
    let absence = archive.absence(&bic_of("Alpha"), &id_of("never", NOON_MS), tip);
    only_itself(&absence, |it| verify::absence(&trust, it), |_, _| false);
    let promise = archive.promise(2, b"instruction", NOON_MS);
    only_itself(&promise, |it| verify::promise(&trust, it), |_, _| false);
    let batch_leaf = (0..).zip(&archive.stored(4).leaves);
    let mut batch_leaf = batch_leaf.filter(|(_, it)| it.outcome.state == OutcomeState::Itemised);
    let (leaf, _) = batch_leaf.next().unwrap();
    let proof = prove::batch(archive.stored(4), leaf).unwrap();
    let receipt = archive.receipt(4, leaf, Some(tip));
    let (_, signed) = archive.stored(4).instruction(leaf).unwrap();
    let check = |it: &v1::BatchProof| {
        verify::batch(&trust, &receipt, &signed.items, it).map(|batch| batch.outcomes)
    };
    only_itself(&proof, check, |_, _| false);
}

#[test]
fn lists_of_absences_are_what_they_are() {
    let archive = archive();
    let trust = archive.trust();
    let (alpha, id) = (bic_of("Alpha"), id_of("never", NOON_MS));
    let absence = archive.absence(&alpha, &id, 5);
    let verdict = verify::absence(&trust, &absence).unwrap();
    assert_eq!((verdict.institution, verdict.id, verdict.signers.len()), (alpha, id, 3));
    let time = archive.header(5).block_time_ms;
    assert!(verdict.is_final_for(time) && !verdict.is_final_for(time + 1));
    for other in changes::of_absence(&absence) {
        assert!(verify::absence(&trust, &other).is_err());
    }
    let other_id = Bytes::copy_from_slice(id_of("other", NOON_MS).as_bytes());
    for other in [
        v1::Absence { institution: bic_of("Beta").to_string(), ..absence.clone() },
        v1::Absence { id: other_id, ..absence.clone() },
        v1::Absence { id: Bytes::from_static(&[0; 16]), ..absence.clone() },
        v1::Absence { header: Bytes::copy_from_slice(&archive.header(4).encode()), ..absence },
    ] {
        assert!(verify::absence(&trust, &other).is_err());
    }
}

#[test]
fn a_promise_is_broken_by_absence_past_its_deadline() {
    let archive = archive();
    let trust = archive.trust();
    let (_, draft) = golden::drafts().swap_remove(1);
    let message = v1::Instruction::decode(draft.instruction.clone()).unwrap();
    let (id, alpha) = (InstructionId::from_bytes(&message.id).unwrap(), bic_of("Alpha"));
    let time = archive.header(6).block_time_ms;
    let absence = verify::absence(&trust, &archive.absence(&alpha, &id, 6)).unwrap();
    let promise = |deadline| {
        verify::promise(&trust, &archive.promise(3, &draft.instruction, deadline)).unwrap()
    };
    assert_eq!(promise(time).node, 3);
    assert!(promise(time - 1).is_broken(&draft.instruction, &absence));
    assert!(!promise(time).is_broken(&draft.instruction, &absence), "not past it");
    let (_, other) = golden::drafts().swap_remove(0);
    assert!(!promise(time - 1).is_broken(&other.instruction, &absence));
    let elsewhere = archive.absence(&bic_of("Beta"), &id, 6);
    let elsewhere = verify::absence(&trust, &elsewhere).unwrap();
    assert!(!promise(time - 1).is_broken(&draft.instruction, &elsewhere));
    let stranger = v1::Promise {
        signature: Some(v1::NodeSignature { node: 9, value: Bytes::from_static(&[0; 64]) }),
        ..archive.promise(3, &draft.instruction, time)
    };
    assert!(verify::promise(&trust, &stranger).is_err());
}

#[test]
fn another_genesis_file_proves_nothing() {
    let archive = archive();
    let other = Consortium::new(&["Central", "Alpha", "Beta", "Gamma"], &[("CHF", 2)]);
    let trust = Trust::new(other.genesis);
    assert!(verify::receipt(&trust, &archive.receipt(3, 0, Some(3))).is_err());
    assert!(verify::receipt(&trust, &archive.receipt(3, 0, None)).is_err());
    assert!(verify::account(&trust, &archive.account_proof(1, (2, 4), 5, None)).is_err());
    assert!(verify::history(&trust, &archive.history_proof(3, 4)).is_err());
    let state = archive.trust().to_message().encode_to_vec();
    assert!(Trust::restore(trust.genesis().clone(), &state.into()).is_err());
}

/// Postings that are left out, and an opening that lies too far back, in every way that a node
/// could try.
#[test]
fn no_posting_can_be_left_out() {
    let archive = archive();
    let (trust, tip) = (archive.trust(), archive.height());
    let at = *archive.flagged().last().unwrap();
    let proof = archive.account_proof(1, (2, at), at, Some(tip));
    verify::account(&trust, &proof).unwrap();
    let early = archive.account_proof(1, (0, at), at, Some(tip));
    let first = early.blocks.len() - proof.blocks.len();
    assert!(first > 0);
    let shifted = [
        // The opening of another height, and none at all.
        v1::AccountProof { opening: Bytes::new(), ..proof.clone() },
        v1::AccountProof { opening: Bytes::from_static(&[0; 72]), ..proof.clone() },
        v1::AccountProof { from_height: 0, ..proof.clone() },
        v1::AccountProof { from_height: at + 1, to_height: at + 1, ..proof.clone() },
        v1::AccountProof { to_height: at + 1, ..proof.clone() },
        // All blocks, but as if some lay before the opening.
        v1::AccountProof { from_height: 2, ..early.clone() },
        v1::AccountProof { blocks: early.blocks.clone(), ..proof.clone() },
        v1::AccountProof { leaf: early.leaf.slice(..75), ..early.clone() },
        v1::AccountProof { account: None, ..early.clone() },
    ];
    for other in &shifted {
        assert!(verify::account(&trust, other).is_err());
    }
    let long = v1::OpenAccount { name: "n".repeat(300), ..early.account.clone().unwrap() };
    let long = v1::AccountProof { account: Some(long), ..early };
    assert!(verify::account(&trust, &long).is_err(), "a name of any length is read");
}

/// An account's head is kept whenever its postings reach or pass another 256.
#[test]
fn heads_are_kept_now_and_then() {
    let mut chain = golden_chain();
    let (alpha, beta) = (golden::account("Alpha", "main"), golden::account("Beta", "main"));
    let count = |chain: &Chain| chain.state.account(&alpha).unwrap().posting_count;
    let ordinal = chain.state.account(&alpha).unwrap().ordinal;
    let mut kept = Vec::new();
    for round in 0..10 {
        let before = count(&chain);
        let items: Vec<v1::Transfer> = (0..60 + round * 17)
            .map(|item| transfer(&format!("head {round} {item}"), &alpha, &beta, 1))
            .collect();
        let id = id_of(&format!("heads {round}"), NOON_MS);
        let draft = Draft::transfers(id, &bic_of("Alpha"), NOON_MS + HOUR_MS, &items, false);
        let batch = chain.consortium.sign(&bic_of("Alpha"), draft);
        let (block, _) = chain.execute(NOON_MS + 60_000 + round * 10, vec![batch]);
        let head = block.heads.iter().find(|head| head.account == ordinal);
        assert_eq!(head.is_some(), before / 256 != count(&chain) / 256);
        let account = chain.state.account(&alpha).unwrap();
        assert!(head.is_none_or(|head| head.head() == account.head));
        kept.extend(head.map(|head| head.posting_count));
    }
    assert!(kept.len() >= 4 && kept.windows(2).all(|pair| pair[1] - pair[0] < 512), "{kept:?}");
}

/// A chain whose last block has a batch of two transfers: the first was awaited by the book of its
/// payer, the second by none.
fn with_an_awaited_batch() -> Archive {
    let mut chain = golden_chain();
    let until = NOON_MS + HOUR_MS;
    let (alpha, beta) = (golden::account("Alpha", "main"), golden::account("Beta", "main"));
    let mut items = ["awaited", "not awaited"].map(|label| transfer(label, &alpha, &beta, 5));
    // No statement covers it: nothing is missing.
    items[1].settlement_date = 20_261_125;
    let entry = book_entry("awaited", &alpha, v1::Side::Debit, 5, 20_261_123);
    let entry = v1::BookEntry { uetr: items[0].uetr.clone(), ..entry };
    let id = id_of("book of Alpha", NOON_MS);
    let draft = Draft::book_entries(id, &bic_of("Alpha"), until, &[entry]);
    let book = chain.consortium.sign(&bic_of("Alpha"), draft);
    chain.execute(NOON_MS + 60_000, vec![book]);
    let id = id_of("awaited", NOON_MS);
    let draft = Draft::transfers(id, &bic_of("Alpha"), until, &items, false);
    let batch = chain.consortium.sign(&bic_of("Alpha"), draft);
    chain.execute(NOON_MS + 61_000, vec![batch]);
    Archive::of(chain)
}

/// Each of two banks may have the receipt of a transfer between them, and neither may read what it did
/// to the other's books. Whoever has the effects can put them in place of their hash.
#[test]
fn effects_of_transfers_are_in_receipts_as_hashes() {
    let archive = with_an_awaited_batch();
    let (trust, tip) = (archive.trust(), archive.height());
    let stored = archive.stored(tip);
    let effects = Bytes::copy_from_slice(&stored.leaves[1].effects);
    // Alpha's break healed, and a match of one posting and one entry.
    let effects_of_alpha = 37 + 15 + (15 + 2 * 8);
    assert_eq!((effects.len(), stored.leaves[2].effects.len()), (effects_of_alpha, 0));
    let hash = Hash::of(&effects).to_bytes();

    let receipt = archive.receipt(tip, 1, Some(tip));
    assert_eq!((&receipt.effects[..], &receipt.effects_hash), (&[][..], &hash));
    assert_eq!(archive.receipt(tip, 2, None).effects_hash, Bytes::new());
    let verdict = verify::receipt(&trust, &receipt).unwrap();
    assert_eq!((&verdict.effects[..], verdict.effects_hash), (&[][..], Hash::of(&effects)));
    let with = |effects: &Bytes, effects_hash: &[u8]| v1::Receipt {
        effects: effects.clone(),
        effects_hash: Bytes::copy_from_slice(effects_hash),
        ..receipt.clone()
    };
    let shown = verify::receipt(&trust, &with(&effects, &[])).unwrap();
    assert_eq!((&shown.effects, shown.effects_hash), (&effects, verdict.effects_hash));
    let part = |receipt| verify::receipt(&trust, &receipt).unwrap_err().part;
    assert_eq!(part(with(&effects, &hash)), "effects");
    assert_eq!(part(with(&Bytes::new(), &hash[..31])), "effects_hash");
    assert_eq!(part(with(&Bytes::new(), &[0; 32])), "effects_hash");
    assert_eq!(part(with(&Bytes::new(), &[])), "leaf_path");
    let unmarked = v1::Receipt {
        effects_hash: Bytes::from_static(&[0; 32]),
        ..archive.receipt(tip, 2, Some(tip))
    };
    assert_eq!(part(unmarked), "effects_hash");

    let whole = archive.receipt(tip, 0, Some(tip));
    let (_, signed) = stored.instruction(0).unwrap();
    let check = |proof: &v1::BatchProof| verify::batch(&trust, &whole, &signed.items, proof);
    let hashed = prove::batch(stored, 0).unwrap();
    assert_eq!(hashed.effects_hashes, [&hash[..], &[0; 32]].concat());
    assert!(hashed.effects.is_empty());
    let batch = check(&hashed).unwrap();
    assert_eq!(batch.item_receipt(1).unwrap(), receipt);
    assert_eq!(batch.item_receipt(2).unwrap(), archive.receipt(tip, 2, Some(tip)));
    let shown = v1::BatchProof {
        effects: vec![effects.clone(), Bytes::new()],
        effects_hashes: Bytes::new(),
        ..hashed.clone()
    };
    assert_eq!(check(&shown).unwrap().item_receipt(1), Some(with(&effects, &[])));
    let both = v1::BatchProof { effects_hashes: hashed.effects_hashes.clone(), ..shown.clone() };
    assert_eq!(check(&both).unwrap_err().part, "effects");
    for proof in [hashed, shown] {
        for other in changes::of_batch(&proof) {
            assert!(check(&other).is_err(), "{other:?}");
        }
    }
}

/// The worst receipt: an item of the largest batch in the largest block, certified by seven, late in
/// the history of a billion blocks.
#[test]
fn a_receipt_has_at_most_4_096_bytes() {
    let names = ["Central", "Alpha", "Beta", "Gamma", "Delta", "Epsi", "Zeta"];
    let mut chain = Chain::new(Consortium::new(&names, &[("CHF", 2)]));
    let account = |name: &str| {
        counterfoil_ledger::account::AccountId::of(&bic_of("Central"), &bic_of(name), "CHF", "main")
    };
    let alpha = bic_of("Alpha");
    let batch = |label: &str, count: usize| {
        let items: Vec<v1::Transfer> = (0..count)
            .map(|item| v1::Transfer {
                end_to_end_id: "E".repeat(35),
                settlement_date: 20_261_123,
                commitment: Bytes::from_static(&[7; 32]),
                ..transfer(
                    &format!("{label}-{item}"),
                    &account("Alpha"),
                    &account("Beta"),
                    u64::MAX >> 1,
                )
            })
            .collect();
        let id = id_of(label, NOON_MS);
        Draft::transfers(id, &alpha, NOON_MS + HOUR_MS, &items, false)
    };
    let drafts = [batch("one", 8_192), batch("two", 8_190)];
    let signed = drafts.map(|draft| chain.consortium.sign(&alpha, draft)).to_vec();
    chain.execute(NOON_MS + 1_000, signed);
    let archive = Archive::of(chain);
    assert_eq!(archive.stored(1).leaves.len(), 16_384);
    let prover = prove::Prover::of(archive.stored(1)).unwrap();
    let registry = archive.chain.state.registry();
    let nodes = &archive.chain.consortium.nodes;
    let certified = Header {
        height: 1_000_000_000,
        history_root: Hash::of(b"a tree of a billion headers"),
        ..archive.header(1).clone()
    };
    let most = (1..=8_192).step_by(911).map(|leaf| {
        let receipt = prover.receipt(leaf, registry).unwrap();
        assert!(verify::receipt(&archive.trust(), &receipt).is_ok());
        let receipt = v1::Receipt {
            // As long as it is for the first of a billion.
            history_path: vec![Hash::ZERO.to_bytes(); 30],
            certificate: Some(certify(&certified, nodes)),
            ..receipt
        };
        receipt.encoded_len()
    });
    let most = most.max().unwrap();
    println!("{most} bytes");
    assert!(most <= 4_096, "{most} bytes");
    let receipt = prover.receipt(0, registry).unwrap();
    let items = &archive.stored(1).instruction(0).unwrap().1.items;
    let batch =
        verify::batch(&archive.trust(), &receipt, items, &prover.batch(0).unwrap()).unwrap();
    for item in [1, 2, 4_096, 8_191, 8_192] {
        assert_eq!(batch.item_receipt(item), prover.receipt(item, registry));
    }
    assert_eq!(batch.item_receipt(8_193), None);
}

#[test]
fn the_verifier_has_at_most_1_000_lines() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/verify");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let code = |text: String| {
        let lines = text.lines().map(str::trim);
        lines.filter(|line| !line.is_empty() && !line.starts_with("//")).count()
    };
    let lines: usize = files.map(|path| code(fs::read_to_string(path).unwrap())).sum();
    assert!(lines <= 1_000, "{lines} lines that are neither empty nor comments");
}
