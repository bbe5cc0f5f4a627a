//! `counterfoil verify`, offline: every kind of file, every verdict, every exit code, on files that
//! are made of a real ledger.

#![allow(clippy::unwrap_used)]

#[allow(dead_code, missing_docs)]
#[path = "../../client-sdk/tests/client/chain.rs"]
mod chain;
#[path = "offline/scene.rs"]
mod scene;

use std::fs;

use counterfoil_client::v1;
use counterfoil_ledger::checkpoint::{Checkpoint, Cosigners, Note};
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::registry::Registry;
use counterfoil_ledger::signature::{Label, absence_payload, promise_payload};
use prost::Message;

use scene::Scene;

#[test]
fn receipts() {
    let scene = Scene::new();
    let receipt = scene.chain.receipt(4, 0, 6);
    scene.save("payment.receipt", &receipt);
    let told = scene.ask("verify receipt payment.receipt", 0);
    assert_eq!((&told["verdict"], &told["state"]), (&"FINAL".into(), &"SETTLED".into()));
    assert_eq!((&told["certifiedHeight"], &told["position"]["height"]), (&"6".into(), &"4".into()));
    assert_eq!(told["signers"].as_array().unwrap().len(), 4);
    assert_eq!(told["signers"][0]["institution"], scene.bics()[0].as_str());
    assert_eq!(told["transfer"]["minorUnits"], "125050");
    let table = scene.text("verify receipt payment.receipt", 0);
    let headline = "FINAL: SETTLED  by the certificate of height 6, signed by ";
    assert!(table.starts_with(headline), "{table}");
    scene.ask("verify receipt payment.receipt --expect settled", 0);
    assert_eq!(
        scene.ends("verify receipt payment.receipt --expect rejected", 8).1,
        "STATE_DIFFERS"
    );
    assert_eq!(scene.piped("verify receipt -", &receipt.encode_to_vec())["verdict"], "FINAL");

    // A rejection is proved like everything else, and so is an item of a batch.
    scene.save("rejected.receipt", &scene.chain.receipt(5, 2, 5));
    let told = scene.ask("verify receipt rejected.receipt", 0);
    assert_eq!((&told["state"], &told["itemNumber"]), (&"REJECTED".into(), &2.into()));
    assert_eq!(told["reason"]["name"], "INSUFFICIENT_FUNDS");
    let table = scene.text("verify receipt rejected.receipt", 0);
    assert!(table.starts_with("FINAL: REJECTED 501 INSUFFICIENT_FUNDS  by the "), "{table}");
    let (told, failure) = scene.ends("verify receipt rejected.receipt --expect settled", 8);
    assert_eq!(
        (told.unwrap()["state"].clone(), failure.as_str()),
        ("REJECTED".into(), "STATE_DIFFERS")
    );

    scene.save("ordered.receipt", &scene.chain.ordered_receipt(4, 0));
    let (told, failure) = scene.ends("verify receipt ordered.receipt", 7);
    assert_eq!(told.unwrap()["verdict"], "ORDERED_NOT_FINAL");
    assert_eq!(failure, "ORDERED_NOT_FINAL");
    let (_, failure) = scene.ends("verify receipt ordered.receipt --expect rejected", 7);
    assert_eq!(failure, "ORDERED_NOT_FINAL");
    let told = scene.ask("verify receipt ordered.receipt --accept-ordered", 0);
    assert_eq!(told["verdict"], "ORDERED_NOT_FINAL");

    // One byte of it, any byte.
    let bytes = receipt.encode_to_vec();
    for at in (0..bytes.len()).step_by(bytes.len() / 24) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        fs::write(scene.path("changed.receipt"), changed).unwrap();
        assert_eq!(scene.refusal("verify receipt changed.receipt"), "REFUSED", "byte {at}");
    }
    let mut few = receipt;
    few.certificate.as_mut().unwrap().signatures.truncate(2);
    scene.save("few.receipt", &few);
    let told = scene.text("verify receipt few.receipt", 7);
    assert!(
        told.contains("REFUSED: signatures: fewer institutions signed than a quorum"),
        "{told}"
    );
}

#[test]
fn accounts() {
    let scene = Scene::new();
    let proof = scene.chain.account_proof(scene.account(1), 3, 5);
    scene.save("account.proof", &proof);
    let balance = scene.ask("verify balance account.proof", 0);
    assert_eq!(balance["verdict"], "FINAL");
    assert_eq!(balance["closing"]["balance"]["amount"], "8699.50");
    assert!(balance.get("postings").is_none());
    let statement = scene.ask("verify statement account.proof", 0);
    assert_eq!(statement["opening"]["balance"]["amount"], "10000.00");
    let postings = statement["postings"].as_array().unwrap();
    assert_eq!(postings.len(), 2);
    assert_eq!(postings[1]["balance"]["amount"], "8699.50");
    let text = scene.text("verify statement account.proof", 0);
    assert!(text.contains("opening balance after height 3: 10000.00 CHF"), "{text}");

    let mut gap = proof.clone();
    gap.blocks.remove(0);
    scene.save("gap.proof", &gap);
    assert_eq!(scene.refusal("verify statement gap.proof"), "REFUSED");
    scene.save("ordered.proof", &v1::AccountProof { certificate: None, ..proof });
    assert_eq!(scene.ends("verify balance ordered.proof", 7).1, "ORDERED_NOT_FINAL");
    scene.ask("verify balance ordered.proof --accept-ordered", 0);
}

#[test]
fn chains() {
    let scene = Scene::new();
    scene.export("day.ledger");
    let last = scene.chain.height();
    scene.save("last.proof", &scene.chain.history_proof(last, last));
    scene.save("early.proof", &scene.chain.history_proof(2, 4));
    let told = scene.ask("verify history early.proof", 0);
    assert_eq!((&told["height"], &told["certifiedHeight"]), (&"2".into(), &"4".into()));

    let told = scene.ask("verify chain day.ledger --proof last.proof --accounts", 0);
    assert_eq!((&told["verdict"], &told["valid"]), (&"FINAL".into(), &true.into()));
    assert_eq!((&told["finalHeight"], &told["height"]), (&"6".into(), &"6".into()));
    let (told, failure) = scene.ends("verify chain day.ledger --proof early.proof", 7);
    assert_eq!(told.unwrap()["finalHeight"], "4");
    assert_eq!(failure, "ORDERED_NOT_FINAL");
    scene.ask("verify chain day.ledger --proof early.proof --accept-ordered", 0);
    let (told, _) = scene.ends("verify chain day.ledger", 7);
    assert_eq!(told.unwrap()["verdict"], "ORDERED_NOT_FINAL");
    // The older name checks no certificate, and says so.
    let told = scene.ask("ledger verify --file day.ledger", 0);
    assert_eq!((&told["verdict"], &told["valid"]), (&"ORDERED_NOT_FINAL".into(), &true.into()));
    let text = scene.text("ledger verify --file day.ledger", 0);
    assert!(text.starts_with("ORDERED, NOT FINAL  no certificate was checked"), "{text}");
    assert!(text.contains("verify chain day.ledger --proof PROOF"), "{text}");

    // A trusted state is a certificate that was checked before.
    let trusted = v1::TrustedState {
        chain_id: scene.chain.genesis.chain_id().to_bytes(),
        epochs: Some(v1::EpochChain::default()),
        newest: Some(scene.chain.certificate(last)),
    };
    scene.save("trusted.bin", &trusted);
    scene.ask("verify chain day.ledger --trusted trusted.bin", 0);

    let other = Scene::with_amount(7);
    scene.save("other.proof", &other.chain.history_proof(5, 5));
    assert_eq!(
        scene.refusal("verify chain day.ledger --proof other.proof"),
        "CERTIFIED_HEADER_DIFFERS"
    );
    let mut bytes = fs::read(scene.path("day.ledger")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(scene.path("changed.ledger"), bytes).unwrap();
    let code = scene.refusal("verify chain changed.ledger --proof last.proof");
    assert!(["LEDGER_INVALID", "LEDGER_FILE_BROKEN"].contains(&code.as_str()), "{code}");
}

#[test]
fn what_contradicts_the_trusted_state_is_refused() {
    let (scene, other) = (Scene::new(), Scene::with_amount(7));
    let trusted = v1::TrustedState {
        chain_id: scene.chain.genesis.chain_id().to_bytes(),
        epochs: Some(v1::EpochChain::default()),
        newest: Some(scene.chain.certificate(5)),
    };
    scene.save("trusted.bin", &trusted);
    let unsent = other.unsent();
    let mut earlier = other.chain.absence(&unsent.institution, &unsent.id);
    let header = &other.chain.headers[5];
    let payload = absence_payload(&unsent.institution, &unsent.id, &header.hash());
    earlier.header = header.encode().to_vec().into();
    earlier.signatures =
        (1..=4).map(|node| other.chain.sign(node, Label::Absence, &payload)).collect();
    scene.save("an.absence", &earlier);
    // The header itself, or the certified one that proves it.
    scene.save("itself.receipt", &other.chain.receipt(5, 0, 6));
    scene.save("below.receipt", &other.chain.receipt(4, 0, 5));
    scene.save("ordered.receipt", &other.chain.ordered_receipt(5, 0));
    scene.save("a.history", &other.chain.history_proof(2, 5));
    scene.export("day.ledger");
    for command in [
        "verify receipt itself.receipt",
        "verify receipt below.receipt",
        "verify receipt ordered.receipt --accept-ordered",
        "verify history a.history",
        "verify absence an.absence",
        "verify chain day.ledger --proof a.history",
    ] {
        let refusal = scene.refusal(&format!("{command} --trusted trusted.bin"));
        assert_eq!(refusal, "FORK", "{command}");
    }
    scene.save("own.receipt", &scene.chain.receipt(4, 0, 5));
    scene.ask("verify receipt own.receipt --trusted trusted.bin", 0);
}

#[test]
fn what_is_missing_is_named() {
    let scene = Scene::new();
    fs::write(scene.path("empty.receipt"), "").unwrap();
    let text = scene.text("verify receipt empty.receipt", 2);
    assert!(text.contains("empty.receipt is empty, not a receipt  [FILE_EMPTY]"), "{text}");
    assert_eq!(scene.ends("verify receipt - --trusted -", 2).1, "STDIN_TWICE");
    fs::write(scene.path("nonsense"), "nonsense").unwrap();
    let text = scene.text("verify receipt nonsense", 7);
    assert!(text.contains("  fix: do not rely on it"), "{text}");
}

#[test]
fn evidence() {
    let (scene, other) = (Scene::new(), Scene::with_amount(7));
    let conflict = v1::ConflictingCertificates {
        first: Some(scene.chain.certificate(4)),
        second: Some(other.chain.certificate(4)),
        other: bytes::Bytes::new(),
        history_path: Vec::new(),
    };
    let kind = v1::evidence::Kind::ConflictingCertificates(conflict);
    scene.save("fork.evidence", &v1::Evidence { kind: Some(kind) });
    let told = scene.ask("verify evidence fork.evidence", 0);
    assert_eq!(
        (&told["verdict"], &told["kind"]),
        (&"CONVICTED".into(), &"CONFLICTING_CERTIFICATES".into())
    );
    assert_eq!(told["nodes"].as_array().unwrap().len(), 4);

    // Node 2 signed another result of block 4; the ledger says that it was wrong.
    let mut wrong = scene.chain.headers[4].clone();
    wrong.tx_root = Hash::of(b"something else");
    let wrong = v1::WrongExecution {
        attestation: Some(scene.chain.attestation(2, &wrong)),
        certificate: Some(scene.chain.certificate(4)),
    };
    let kind = v1::evidence::Kind::WrongExecution(wrong);
    scene.save("wrong.evidence", &v1::Evidence { kind: Some(kind) });
    let (told, failure) = scene.ends("verify evidence wrong.evidence", 7);
    assert_eq!((told.unwrap()["verdict"].clone(), failure.as_str()), ("OPEN".into(), "OPEN"));
    scene.export("day.ledger");
    let told = scene.ask("verify evidence wrong.evidence --ledger day.ledger", 0);
    assert_eq!(told["verdict"], "CONVICTED");
    assert_eq!(told["nodes"][0]["node"], "2");
    assert_eq!(told["nodes"].as_array().unwrap().len(), 1);

    let same = v1::ConflictingCertificates {
        first: Some(scene.chain.certificate(4)),
        second: Some(scene.chain.certificate(4)),
        other: bytes::Bytes::new(),
        history_path: Vec::new(),
    };
    let kind = v1::evidence::Kind::ConflictingCertificates(same);
    scene.save("none.evidence", &v1::Evidence { kind: Some(kind) });
    assert_eq!(scene.refusal("verify evidence none.evidence"), "REFUSED");
}

#[test]
fn absences_and_promises() {
    let mut scene = Scene::new();
    let signed = scene.unsent();
    fs::write(scene.path("unsent.signed"), signed.bytes()).unwrap();
    scene.save("early.absence", &scene.chain.absence(&signed.institution, &signed.id));
    assert_eq!(scene.ask("verify absence early.absence", 0)["verdict"], "ABSENT");
    let early = "verify absence early.absence --instruction unsent.signed";
    let (told, failure) = scene.ends(early, 7);
    assert_eq!(
        (told.unwrap()["verdict"].clone(), failure.as_str()),
        ("ABSENT_SO_FAR".into(), "ABSENT_SO_FAR")
    );

    let message = v1::SignedInstruction::decode(signed.bytes().clone()).unwrap();
    let hash = Hash::of(&message.instruction);
    let deadline_ms = signed.valid_until_ms - 1_000;
    let payload = promise_payload(&hash, deadline_ms);
    let promise = v1::Promise {
        instruction_hash: hash.to_bytes(),
        deadline_ms,
        signature: Some(scene.chain.sign(3, Label::Promise, &payload)),
    };
    scene.save("unsent.promise", &promise);
    let told = scene.ask("verify promise unsent.promise", 0);
    assert_eq!((&told["verdict"], &told["node"]), (&"PROMISED".into(), &"3".into()));
    let with = |absence: &str| {
        format!("verify promise unsent.promise --instruction unsent.signed --absence {absence}")
    };
    assert_eq!(scene.ends(&with("early.absence"), 7).1, "NOT_BROKEN");

    // By its id alone it could have been valid for a day.
    scene.chain.block(signed.valid_until_ms + 1, Vec::new());
    let absence = scene.chain.absence(&signed.institution, &signed.id);
    scene.save("late.absence", &absence);
    let late = "verify absence late.absence --instruction unsent.signed";
    assert_eq!(scene.ask(late, 0)["verdict"], "ABSENT_FOR_EVER");
    assert_eq!(scene.ask(&with("late.absence"), 0)["verdict"], "BROKEN");

    let soon = scene.ask("verify absence late.absence", 0)["verdict"].clone();
    scene.chain.block(signed.id.time_ms() + 24 * 3_600_000, Vec::new());
    scene.save("day.absence", &scene.chain.absence(&signed.institution, &signed.id));
    let day = scene.ask("verify absence day.absence", 0)["verdict"].clone();
    assert_eq!((soon, day), ("ABSENT".into(), "ABSENT_FOR_EVER".into()));

    let other = scene.unsent();
    fs::write(scene.path("other.signed"), other.bytes()).unwrap();
    let other = "verify absence late.absence --instruction other.signed";
    assert_eq!(scene.refusal(other), "REFUSED");
    let mut few = absence;
    few.signatures.truncate(2);
    scene.save("few.absence", &few);
    assert_eq!(scene.refusal("verify absence few.absence"), "REFUSED");
}

#[test]
fn checkpoints() {
    let scene = Scene::new();
    let genesis = &scene.chain.genesis;
    let consortium = &genesis.message().consortium;
    let cosigners = Cosigners::of(consortium, &genesis.chain_id(), &Registry::of(genesis));
    let root = scene.chain.headers[5].history_root;
    let checkpoint = Checkpoint { origin: cosigners.origin().to_owned(), size: 5, root };
    let cosign = |node: &u64| {
        let key = &scene.chain.nodes[node];
        cosigners.cosign(*node, key, &checkpoint, 1_795_400_000).unwrap().unwrap()
    };
    let note = |nodes: &[u64]| {
        let signatures = nodes.iter().map(cosign).collect();
        Note { text: checkpoint.text(), signatures }.to_string()
    };
    fs::write(scene.path("day.checkpoint"), note(&[1, 2, 4])).unwrap();
    let told = scene.ask("verify checkpoint day.checkpoint", 0);
    assert_eq!((&told["verdict"], &told["height"]), (&"FINAL".into(), &"5".into()));
    fs::write(scene.path("few.checkpoint"), note(&[1, 2])).unwrap();
    assert_eq!(scene.ends("verify checkpoint few.checkpoint", 7).1, "ORDERED_NOT_FINAL");
    fs::write(scene.path("bad.checkpoint"), note(&[1, 2, 4]).replace("\n5\n", "\n6\n")).unwrap();
    assert_eq!(scene.refusal("verify checkpoint bad.checkpoint"), "REFUSED");
}

#[test]
fn other_kinds_of_files_are_named() {
    let scene = Scene::new();
    scene.save("a.receipt", &scene.chain.receipt(4, 0, 4));
    scene.save("an.account", &scene.chain.account_proof(scene.account(1), 0, 5));
    scene.save("a.history", &scene.chain.history_proof(2, 4));
    let signed = scene.unsent();
    fs::write(scene.path("a.signed"), signed.bytes()).unwrap();
    scene.save("an.absence", &scene.chain.absence(&signed.institution, &signed.id));
    scene.export("a.ledger");
    fs::write(scene.path("a.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    for (command, file, found) in [
        ("receipt", "an.account", "an account proof, not a receipt"),
        ("receipt", "a.ledger", "an exported ledger"),
        ("receipt", "genesis.bin", "a genesis file"),
        ("receipt", "a.signed", "a signed instruction"),
        ("receipt", "a.pem", "a PEM file"),
        ("balance", "a.receipt", "a receipt, not an account proof"),
        ("absence", "a.history", "a history proof"),
        ("history", "an.absence", "an absence"),
        ("evidence", "a.receipt", "a receipt, not an evidence"),
        ("checkpoint", "a.receipt", "a receipt"),
    ] {
        let command = format!("verify {command} {file}");
        let text = scene.text(&command, 2);
        assert!(text.contains("WRONG_KIND") && text.contains(found), "{command}: {text}");
    }
    fs::write(scene.path("nonsense"), "nonsense").unwrap();
    assert_eq!(scene.refusal("verify receipt nonsense"), "REFUSED");
    assert_eq!(scene.ends("verify receipt missing", 3).1, "FILE_NOT_FOUND");
    assert_eq!(
        scene.ends("verify receipt a.receipt --genesis a.receipt", 2).1,
        "GENESIS_MALFORMED"
    );
    assert_eq!(scene.ends("verify receipt a.receipt --trusted a.receipt", 2).1, "WRONG_KIND");
    let foreign = Scene::named("other.example");
    fs::write(scene.path("other.bin"), foreign.chain.genesis.bytes()).unwrap();
    assert_eq!(scene.ends("verify receipt a.receipt --genesis other.bin", 7).1, "REFUSED");
}
