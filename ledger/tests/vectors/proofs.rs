//! Proofs of the golden chain, for verifiers in other languages. Each verifies against the genesis
//! file of `genesis.hex`; those of `epochs.hex` with its epoch chain.

use counterfoil_ledger::{
    header::Header,
    prove,
    signature::Label,
    verify::{self, Trust},
};
use counterfoil_proto::v1::{self, evidence::Kind};
use prost::Message;

use crate::{
    Sections, golden,
    support::{
        Archive, Chain, NOON_MS,
        archive::certify,
        build::id_of,
        consortium::bic_of,
        epochs::{World, quorum, three_epochs},
        misdeeds,
    },
};

fn section(name: &str, message: &impl Message) -> (String, Vec<u8>) {
    (name.to_owned(), message.encode_to_vec())
}

/// Preimages of the labels that proofs use are in `signatures.hex`.
pub const LABELS: [Label; 4] = [Label::Header, Label::Absence, Label::Promise, Label::Snapshot];

pub fn proofs(chain: Chain) -> Sections {
    let archive = Archive::of(chain);
    let (trust, tip) = (archive.trust(), archive.height());
    let late = archive.receipt(9, 0, Some(tip));
    assert!(late.effects.is_empty() && late.effects_hash.len() == 32);
    let receipts = [
        ("receipt: ordered", archive.receipt(3, 0, None)),
        ("receipt: final, its own header certified", archive.receipt(3, 1, Some(3))),
        ("receipt: final, by P-256, in the history", archive.receipt(3, 1, Some(tip))),
        ("receipt: final, rejected", archive.receipt(3, 2, Some(tip))),
        ("receipt: final, an instruction of a batch", archive.receipt(4, 0, Some(tip))),
        ("receipt: final, item 2 of the batch", archive.receipt(4, 2, Some(tip))),
        ("receipt: final, a book entry with effects", archive.receipt(7, 1, Some(tip))),
        ("receipt: final, a statement", archive.receipt(8, 0, Some(tip))),
        ("receipt: final, a transfer with the hash of its effects", late),
    ];
    let mut sections = vec![section("certificate", &archive.certificate(tip))];
    for (name, receipt) in receipts {
        verify::receipt(&trust, &receipt).unwrap();
        sections.push(section(name, &receipt));
    }
    for (name, height) in [("transfers", 4), ("book entries", 7)] {
        let proof = prove::batch(archive.stored(height), 0).unwrap();
        let (_, signed) = archive.stored(height).instruction(0).unwrap();
        let receipt = archive.receipt(height, 0, Some(tip));
        verify::batch(&trust, &receipt, &signed.items, &proof).unwrap();
        sections.push((format!("batch of {name}: submitted"), signed.encode_to_vec()));
        sections.push((format!("batch of {name}: receipt"), receipt.encode_to_vec()));
        sections.push((format!("batch of {name}: proof"), proof.encode_to_vec()));
    }
    let accounts = [
        ("account: all of it", archive.account_proof(1, (0, tip), tip, Some(tip))),
        (
            "account: in between, under an earlier header",
            archive.account_proof(1, (2, 4), 5, Some(tip)),
        ),
        ("account: nothing posted yet", archive.account_proof(3, (0, 1), 2, Some(2))),
        ("account: ordered", archive.account_proof(2, (3, 4), 4, None)),
    ];
    for (name, proof) in accounts {
        verify::account(&trust, &proof).unwrap();
        sections.push(section(name, &proof));
    }
    for (name, from) in [("history: of an earlier header", 3), ("history: of itself", tip)] {
        let proof = archive.history_proof(from, tip);
        verify::history(&trust, &proof).unwrap();
        sections.push(section(name, &proof));
    }
    let absence = archive.absence(&bic_of("Alpha"), &id_of("never", NOON_MS), tip);
    verify::absence(&trust, &absence).unwrap();
    sections.push(section("absence", &absence));
    let (_, draft) = golden::drafts().swap_remove(1);
    let promise = archive.promise(2, &draft.instruction, NOON_MS + 10_000);
    verify::promise(&trust, &promise).unwrap();
    sections.push(section("promise", &promise));
    sections
}

pub fn evidence(chain: Chain) -> Sections {
    let archive = Archive::of(chain);
    let kinds = [
        ("double attestation, one height", Kind::DoubleAttestation(misdeeds::double(&archive, 3))),
        ("double attestation, two heights", Kind::DoubleAttestation(misdeeds::double(&archive, 6))),
        (
            "conflicting certificates",
            Kind::ConflictingCertificates(misdeeds::conflicting(&archive)),
        ),
        ("double proposal", Kind::DoubleProposal(misdeeds::two_proposals(&archive))),
        ("wrong execution", Kind::WrongExecution(misdeeds::wrong(&archive))),
        ("false snapshot", Kind::FalseSnapshot(misdeeds::false_snapshot(&archive))),
    ];
    let kinds = kinds.into_iter().map(|(name, kind)| {
        let evidence = v1::Evidence { kind: Some(kind) };
        verify::evidence(&archive.trust(), &evidence).unwrap();
        section(name, &evidence)
    });
    kinds.collect()
}

pub fn epochs() -> Sections {
    let world = three_epochs(golden::consortium());
    let mut trust = world.trust(2);
    let tip = world.headers.last().unwrap();
    let certificate = world.certificate(tip);
    let proof = v1::HistoryProof {
        header: certificate.header.clone(),
        certificate: Some(certificate.clone()),
        ..v1::HistoryProof::default()
    };
    trust.advance(&proof).unwrap();
    let change = Header::decode(&world.changes[0].before.as_ref().unwrap().header).unwrap();
    let beyond = Header { height: change.height + 1, ..change };
    let beyond = certify(&beyond, quorum(&World::new(golden::consortium()).nodes));
    assert!(trust.certified(&beyond).is_err() && world.trust(0).certified(&beyond).is_ok());
    let state = trust.to_message();
    let genesis = world.consortium.genesis.clone();
    assert!(Trust::restore(genesis, &state.encode_to_vec().into()).is_ok());
    vec![
        section("epoch change: from 0 to 1", &world.changes[0]),
        section("epoch change: from 1 to 2", &world.changes[1]),
        section("epoch chain", &world.chain()),
        section("certificate of epoch 2", &certificate),
        section("certificate of epoch 0 beyond its end", &beyond),
        section("trusted state", &state),
    ]
}
