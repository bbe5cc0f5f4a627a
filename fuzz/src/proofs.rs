//! What a verifier reads: proofs that somebody has changed. Whoever makes them has what the honest
//! nodes have signed and none of their keys, so that what verifies has to be true of the scene.

#![allow(clippy::unwrap_used, reason = "a broken rule has to end the run")]

use bytes::Bytes;
use counterfoil_ledger::checkpoint::Checkpoint;
use counterfoil_ledger::checkpoint::Cosigners;
use counterfoil_ledger::checkpoint::Note;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::id::InstructionId;
use counterfoil_ledger::outcome::effects_hash;
use counterfoil_ledger::proof::Proof;
use counterfoil_ledger::prove;
use counterfoil_ledger::registry::Registry;
use counterfoil_ledger::verify;
use counterfoil_ledger::verify::Finality;
use counterfoil_ledger::verify::Standing;
use counterfoil_ledger::verify::Trust;
use counterfoil_ledger::verify::VerifiedAccount;
use counterfoil_ledger::verify::VerifiedReceipt;
use counterfoil_proto::v1;
use prost::Message;

use crate::frames;
use crate::scene::account;
use crate::scene::scene;
use crate::support::NOON_MS;
use crate::support::build::id_of;
use crate::support::consortium::bic_of;

/// The last height of the scene.
const TIP: u64 = 6;

fn read<M: Proof>(bytes: &[u8]) -> Option<M> {
    verify::read(&Bytes::copy_from_slice(bytes)).ok()
}

fn encoded(message: &impl Message) -> Vec<u8> {
    message.encode_to_vec()
}

/// A header that a quorum has signed is one of the scene's.
fn is_ours(header: &Header) {
    assert!(header.height <= TIP, "nobody has signed height {}", header.height);
    assert_eq!(header, scene().archive.header(header.height));
}

fn is_certain(finality: &Finality) -> bool {
    match finality {
        Finality::Ordered => false,
        Finality::Final { certified_height, signers } => {
            assert!(*certified_height <= TIP && signers.len() >= 3);
            true
        }
    }
}

fn is_true_receipt(verdict: &VerifiedReceipt) {
    let scene = scene();
    assert!(scene.signed.contains(&verdict.instruction_hash), "nobody has signed this");
    if !is_certain(&verdict.finality) {
        // Nobody vouches for the rest.
        return;
    }
    is_ours(&verdict.header);
    let stored = scene.archive.stored(verdict.header.height);
    let place = usize::try_from(verdict.leaf).unwrap();
    let record = &stored.leaves[place];
    assert_eq!(verdict.outcome, record.outcome);
    assert_eq!(verdict.effects_hash, effects_hash(&record.effects));
    assert_eq!(verdict.item.as_ref().map_or(0, |item| item.number), record.item);
    let (_, signed) = stored.instruction(verdict.leaf).unwrap();
    assert_eq!(Hash::of(&signed.instruction), verdict.instruction_hash);
    if let Some(item) = &verdict.item {
        assert_eq!(item.bytes, signed.items[usize::try_from(item.number).unwrap() - 1]);
    }
}

/// Receipts.
pub fn receipt(bytes: &[u8]) {
    let Some(receipt) = read::<v1::Receipt>(bytes) else { return };
    if let Ok(verdict) = verify::receipt(&scene().trust, &receipt) {
        let _ = verdict.summary();
        is_true_receipt(&verdict);
    }
}

/// Of every leaf: ordered, certified by its own header, and by the last one.
pub fn receipt_seeds() -> Vec<Vec<u8>> {
    let archive = &scene().archive;
    let mut seeds = Vec::new();
    for height in 1..=TIP {
        for leaf in (0..).take(archive.stored(height).leaves.len()) {
            for certified in [None, Some(height), Some(TIP)] {
                seeds.push(encoded(&archive.receipt(height, leaf, certified)));
            }
        }
    }
    seeds
}

/// What a node says of a whole batch: receipt, proof and items.
pub fn batch(bytes: &[u8]) {
    let parts = frames::parts(bytes);
    let Some(receipt) = read::<v1::Receipt>(&frames::part(&parts, 0)) else { return };
    let Some(proof) = read::<v1::BatchProof>(&frames::part(&parts, 1)) else { return };
    let items = parts.get(2..).unwrap_or_default();
    let Ok(found) = verify::batch(&scene().trust, &receipt, items, &proof) else { return };
    is_true_receipt(&found.instruction);
    for number in 1..=u32::try_from(items.len()).unwrap() {
        let own = found.item_receipt(number).unwrap();
        let alone = verify::receipt(&scene().trust, &own).unwrap();
        assert_eq!(Some(alone.outcome), found.outcome(number));
        is_true_receipt(&alone);
    }
}

/// The batches of the scene.
pub fn batch_seeds() -> Vec<Vec<u8>> {
    let archive = &scene().archive;
    let mut seeds = Vec::new();
    for height in 1..=TIP {
        let stored = archive.stored(height);
        for leaf in (0..).take(stored.leaves.len()) {
            let Some(proof) = prove::batch(stored, leaf) else { continue };
            let receipt = encoded(&archive.receipt(height, leaf, Some(TIP)));
            let (_, signed) = stored.instruction(leaf).unwrap();
            let proof = encoded(&proof);
            let parts = [&receipt[..], &proof[..]].into_iter();
            seeds.push(frames::joined(parts.chain(signed.items.iter().map(|it| &it[..]))));
        }
    }
    seeds
}

fn is_true_account(verdict: &VerifiedAccount) {
    if !is_certain(&verdict.finality) {
        return;
    }
    is_ours(&verdict.header);
    let archive = &scene().archive;
    let holds = |standing: &Standing| {
        let accounts = &archive.balances[usize::try_from(standing.height).unwrap()];
        let found = accounts.iter().find(|account| account.id == verdict.id);
        let found = found.map_or((0, 0), |it| (it.balance, it.posting_count));
        assert_eq!(found, (standing.balance, standing.posting_count));
    };
    holds(&verdict.opening);
    holds(&verdict.closing);
    let (from, to) = (verdict.opening.height, verdict.closing.height);
    let movements = archive.chain.history.movements(verdict.ordinal).iter();
    let between = movements.filter(|it| from < it.position.height && it.position.height <= to);
    let expected = between.map(|it| (it.position.height, it.side, it.amount, it.date));
    let found = verdict.postings.iter();
    let found = found.map(|it| (it.height, it.posting.side, it.posting.amount, it.posting.date));
    assert!(found.eq(expected), "{verdict:?}");
}

/// Proofs of accounts.
pub fn account_proof(bytes: &[u8]) {
    let Some(proof) = read::<v1::AccountProof>(bytes) else { return };
    if let Ok(verdict) = verify::account(&scene().trust, &proof) {
        is_true_account(&verdict);
    }
}

/// Every account between several heights.
pub fn account_seeds() -> Vec<Vec<u8>> {
    let archive = &scene().archive;
    let mut seeds = Vec::new();
    for bank in ["Central", "Alpha", "Beta"] {
        let ordinal = archive.chain.state.account(&account(bank)).unwrap().ordinal;
        for (from, to, at) in [(0, 6, 6), (2, 5, 6), (3, 3, 3), (1, 2, 5)] {
            for certified in [Some(TIP), Some(at), None] {
                let proof = archive.account_proof(ordinal, (from, to), at, certified);
                seeds.push(encoded(&proof));
            }
        }
    }
    seeds
}

/// Proofs of history, and a verifier that advances by them.
pub fn history(bytes: &[u8]) {
    let Some(proof) = read::<v1::HistoryProof>(bytes) else { return };
    let mut trust = scene().trust.clone();
    if let Ok(verdict) = verify::history(&trust, &proof) {
        is_ours(&verdict.header);
        is_ours(&verdict.certified);
    }
    if trust.advance(&proof).is_ok() {
        is_ours(trust.newest().unwrap());
    }
}

/// Between several heights.
pub fn history_seeds() -> Vec<Vec<u8>> {
    let archive = &scene().archive;
    let pairs = [(0, 6), (1, 1), (2, 5), (3, 4), (0, 1), (6, 6), (5, 6)];
    pairs.map(|(from, to)| encoded(&archive.history_proof(from, to))).to_vec()
}

fn instruction_id() -> InstructionId {
    id_of("never sent", NOON_MS)
}

/// What a quorum or a node states: absences and promises.
pub fn statement(bytes: &[u8]) {
    let trust = &scene().trust;
    if let Some(Ok(found)) = read::<v1::Absence>(bytes).map(|it| verify::absence(trust, &it)) {
        assert_eq!((found.institution, found.id), (bic_of("Alpha"), instruction_id()));
        is_ours(&found.header);
    }
    if let Some(Ok(found)) = read::<v1::Promise>(bytes).map(|it| verify::promise(trust, &it)) {
        assert_eq!((found.node, found.deadline_ms), (2, NOON_MS + 60_000));
        assert_eq!(found.instruction_hash, Hash::of(b"promised"));
    }
}

/// Two absences and a promise.
pub fn statement_seeds() -> Vec<Vec<u8>> {
    let archive = &scene().archive;
    let absence = |height| encoded(&archive.absence(&bic_of("Alpha"), &instruction_id(), height));
    vec![absence(2), absence(TIP), encoded(&archive.promise(2, b"promised", NOON_MS + 60_000))]
}

/// Evidence against nodes of another world, whose nodes do lie.
pub fn evidence(bytes: &[u8]) {
    let Some(evidence) = read::<v1::Evidence>(bytes) else { return };
    let Ok(found) = verify::evidence(&scene().trust, &evidence) else { return };
    // Nodes 1 to 3 have signed twice in the seeds, and the quorum of the lie's certificate, 2 to 4.
    assert!(found.nodes.iter().all(|(node, _)| (1..=4).contains(node)));
    assert_eq!(found.nodes.is_empty(), found.open.is_some());
    if let Some(open) = &found.open {
        assert_eq!(open.attested.place(), open.certified.place());
        let height = open.certified.height;
        assert!(height <= TIP);
        let replayed = scene().archive.header(height);
        let _ = found.clone().with_replayed(replayed);
    }
}

/// One of each kind.
pub fn evidence_seeds() -> Vec<Vec<u8>> {
    use crate::support::misdeeds;
    use v1::evidence::Kind;
    let archive = &scene().archive;
    let kinds = [
        Kind::DoubleAttestation(misdeeds::double(archive, 3)),
        Kind::DoubleAttestation(misdeeds::double(archive, 6)),
        Kind::ConflictingCertificates(misdeeds::conflicting(archive)),
        Kind::DoubleProposal(misdeeds::two_proposals(archive)),
        Kind::WrongExecution(misdeeds::wrong(archive)),
        Kind::FalseSnapshot(misdeeds::false_snapshot(archive)),
    ];
    kinds.map(|kind| encoded(&v1::Evidence { kind: Some(kind) })).to_vec()
}

/// What a verifier has kept, and the certificate in it.
pub fn trusted_state(bytes: &[u8]) {
    let genesis = scene().archive.chain.consortium.genesis.clone();
    let bytes = Bytes::copy_from_slice(bytes);
    let Ok(trust) = Trust::restore(genesis, &bytes) else { return };
    assert_eq!(trust.epoch(), 0, "nobody has changed the signers");
    if let Some(newest) = trust.newest() {
        is_ours(newest);
    }
    let again = encoded(&trust.to_message()).into();
    let again = Trust::restore(trust.genesis().clone(), &again).unwrap();
    assert_eq!(again.newest(), trust.newest());
}

/// With and without a certificate.
pub fn trusted_state_seeds() -> Vec<Vec<u8>> {
    let mut trust = scene().trust.clone();
    let mut seeds = vec![encoded(&trust.to_message())];
    for (from, to) in [(2, 2), (2, TIP)] {
        trust.advance(&scene().archive.history_proof(from, to)).unwrap();
        seeds.push(encoded(&trust.to_message()));
    }
    seeds
}

fn cosigners() -> Cosigners {
    let genesis = &scene().archive.chain.consortium.genesis;
    Cosigners::of("test.counterfoil", &genesis.chain_id(), &Registry::of(genesis))
}

fn checkpoint() -> Checkpoint {
    let root = scene().archive.header(TIP).history_root;
    Checkpoint { origin: cosigners().origin().to_owned(), size: TIP, root }
}

/// Signed notes.
pub fn note(bytes: &[u8]) {
    let Ok(note) = Note::parse(bytes) else { return };
    assert_eq!(note.to_string().as_bytes(), bytes);
    if let Ok(checkpoint) = Checkpoint::parse(&note.text) {
        assert_eq!(checkpoint.text(), note.text);
    }
    if let Ok(found) = cosigners().verify(&note) {
        assert_eq!(found.checkpoint, checkpoint());
        assert!(!found.quorum || found.cosigned.len() >= 3);
    }
}

/// A note of one node and of all.
pub fn note_seeds() -> Vec<Vec<u8>> {
    let (cosigners, checkpoint) = (cosigners(), checkpoint());
    let nodes = &scene().archive.chain.consortium.nodes;
    let mut signatures = Vec::new();
    let mut seeds = Vec::new();
    for (node, signer) in nodes {
        signatures.extend(cosigners.sign(*node, signer, &checkpoint).unwrap());
        let time_s = NOON_MS / 1_000 + node;
        signatures.extend(cosigners.cosign(*node, signer, &checkpoint, time_s).unwrap());
        let note = Note { text: checkpoint.text(), signatures: signatures.clone() };
        seeds.push(note.to_string().into_bytes());
    }
    seeds
}
