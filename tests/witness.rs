//! A witness that knows nothing of consortia follows one: it cosigns every checkpoint that goes on
//! from the one before, and none of a history that was rewritten, whoever signs it.

#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::time::Duration;

use base64ct::{Base64, Encoding};
use counterfoil_client::Client;
use counterfoil_client::checkpoint::CosignedCheckpoint;
use counterfoil_client::instructions::{self, Order};
use counterfoil_client::signer;
use counterfoil_ledger::checkpoint::{Checkpoint, Note};
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::merkle::{leaf_hash, path, root_of};
use counterfoil_ledger::signature::PublicKey;
use counterfoil_proto::peer::v1 as peer;
use counterfoil_tests::banking::{accepted, account, open_and_fund};
use counterfoil_tests::consortium::{AGENT, BANKS, Consortium};
use counterfoil_tests::wire::{self, Told};
use counterfoil_tests::witness::{Witness, vkey};
use prost::Message;
use tonic::Code;

const SIGN_CHECKPOINT: &str = "/counterfoil.peer.v1.PeerService/SignCheckpoint";

/// The witness's own.
const NAME: &str = "witness.example/w1";

/// What the witness is told of the consortium: the origin with each node's key.
fn vkeys(client: &Client) -> Vec<String> {
    let origin = format!("{}/{}", client.genesis().message().consortium, client.chain_id());
    let registry = client.registry();
    let key_of = |id| match &registry.key(id).unwrap().public_key {
        PublicKey::Ed25519(key) => *key.as_bytes(),
        PublicKey::P256(_) => panic!("the nodes here have Ed25519 keys"),
    };
    registry.nodes().map(|node| vkey(&origin, &key_of(&node.attestation_key_id))).collect()
}

/// The leaves of the history: the hashes of the headers below a height.
async fn leaves(client: &Client, size: u64) -> Vec<Hash> {
    let mut leaves = Vec::new();
    let mut pages = client.blocks(0);
    while let Some(page) = pages.next().await.unwrap() {
        leaves.extend(page.items.iter().map(|header| leaf_hash(header.hash().as_bytes())));
    }
    leaves.truncate(usize::try_from(size).unwrap());
    leaves
}

/// The RFC 6962 proof that the tree of these leaves begins with that of the first few.
fn consistency(leaves: &[Hash], from: u64) -> Vec<Hash> {
    let mut node = |level: u32, index: u64| {
        let place = |index: u64| usize::try_from(index << level).unwrap();
        let covered = &leaves[place(index)..place(index + 1)];
        Ok::<_, Infallible>(root_of(covered.iter().copied()))
    };
    let Ok(path) = path::consistency(from, u64::try_from(leaves.len()).unwrap(), &mut node);
    path
}

fn request(old: u64, proof: &[Hash], note: &Note) -> String {
    let proof = proof.iter().map(|hash| format!("{}\n", Base64::encode_string(hash.as_bytes())));
    format!("old {old}\n{}\n{note}", proof.collect::<String>())
}

/// A checkpoint of more than a height, once a node gives one out.
async fn checkpoint_above(client: &Client, size: u64) -> CosignedCheckpoint {
    for _ in 0..100 {
        let cosigned = client.checkpoint().await.unwrap();
        if cosigned.signed.checkpoint.size > size {
            return cosigned;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no checkpoint above {size}");
}

/// Any checkpoint, signed and cosigned with the keys of all nodes: what they could sign if all of
/// them conspired.
fn conspire(consortium: &Consortium, client: &Client, size: u64, leaves: &[Hash]) -> Note {
    let cosigners = client.cosigners();
    let root = root_of(leaves.iter().copied());
    let checkpoint = Checkpoint { origin: cosigners.origin().to_owned(), size, root };
    let mut signatures = Vec::new();
    for node in 0..consortium.node_count() {
        let key = consortium.home(consortium.institution(node)).join("attestation.pem");
        let signer = signer::from_file(key).unwrap();
        let id = u64::try_from(node).unwrap() + 1;
        signatures.extend(cosigners.sign(id, &*signer, &checkpoint).unwrap());
        signatures.extend(cosigners.cosign(id, &*signer, &checkpoint, 1_800_000_000).unwrap());
    }
    let note = Note { text: checkpoint.text(), signatures };
    assert!(cosigners.verify(&note).unwrap().quorum);
    note
}

/// An auditor who asks one node alone: another may be further, and its proofs longer.
fn auditor_at(consortium: &Consortium, node: usize) -> Client {
    let home = consortium.home(AGENT).join("auditor");
    Client::builder()
        .genesis_file(consortium.path().join("genesis.bin"))
        .endpoints([consortium.client_address(node)])
        .identity(home.join("certificate.pem"), home.join("key.pem"))
        .build()
        .unwrap()
}

/// The proof that the node gives for a checkpoint of its own.
async fn proved(client: &Client, from: u64, to: u64) -> Vec<Hash> {
    if from == 0 {
        return Vec::new();
    }
    let proved = client.history_proof(from, Some(to)).await.unwrap();
    assert_eq!(proved.verified.certified.height, to);
    let path = proved.proof.consistency_path.iter();
    path.map(|hash| Hash::from_slice(hash).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_follows_and_is_not_led_back() {
    let consortium = Consortium::start();
    let auditor = auditor_at(&consortium, 1);
    let alps = consortium.client(BANKS[0]);
    let directory = tempfile::tempdir().unwrap();
    let open = || Witness::open(NAME, &[7; 32], &vkeys(&auditor), directory.path());
    let witness = open();
    open_and_fund(&consortium, "CHF", 1_000_000).await;

    let mut size = 0;
    let mut last = None;
    for amount in 1..=4 {
        let pay =
            instructions::transfer(account(BANKS[0], "CHF"), account(BANKS[1], "CHF"), amount);
        accepted(&alps, Order::transfer(pay)).await;
        let cosigned = checkpoint_above(&auditor, size).await;
        let checkpoint = cosigned.signed.checkpoint.clone();
        assert!(cosigned.signed.quorum && !cosigned.signed.signed.is_empty());
        let leaves = leaves(&auditor, checkpoint.size).await;
        assert_eq!(root_of(leaves.iter().copied()), checkpoint.root);

        let proof = proved(&auditor, size, checkpoint.size).await;
        assert_eq!(proof, consistency(&leaves, size));
        let (status, lines) = witness.add_checkpoint(&request(size, &proof, &cosigned.note));
        assert_eq!(status, 200, "{lines}");
        // Whoever reads the checkpoint with the witness's line in it finds the nodes' as before.
        let note = Note::parse(format!("{}{lines}", cosigned.note).as_bytes()).unwrap();
        assert_eq!(note.signatures.last().unwrap().name, NAME);
        assert_eq!(auditor.cosigners().verify(&note).unwrap(), cosigned.signed);
        size = checkpoint.size;
        last = Some((cosigned, leaves));
    }
    let (cosigned, leaves) = last.unwrap();
    is_not_led_back(&consortium, &auditor, &witness, &cosigned, &leaves);
    // It remembers when it is started again.
    drop(witness);
    is_not_led_back(&consortium, &auditor, &open(), &cosigned, &leaves);
    no_node_goes_back_either(&consortium, &leaves, size).await;
    the_command_line_writes_the_same(&consortium, size, &vkeys(&auditor));
}

/// What the witness answers to other histories, all nodes' keys conspiring.
fn is_not_led_back(
    consortium: &Consortium,
    client: &Client,
    witness: &Witness,
    cosigned: &CosignedCheckpoint,
    leaves: &[Hash],
) {
    let size = cosigned.signed.checkpoint.size;
    let ask = |old, proof: &[Hash], note: &Note| witness.add_checkpoint(&request(old, proof, note));
    let conflict = (409, format!("{size}\n"));
    // The same once more is no harm.
    assert_eq!(ask(size, &[], &cosigned.note).0, 200);

    let mut rewritten = leaves.to_vec();
    rewritten[2] = leaf_hash(b"another block");
    let same_size = conspire(consortium, client, size, &rewritten);
    assert_eq!(ask(size, &[], &same_size), conflict);
    // Longer, with the proof that fits the rewritten history, and with one that does not.
    rewritten.extend([leaf_hash(b"one more"), leaf_hash(b"and one")]);
    let longer = conspire(consortium, client, size + 2, &rewritten);
    assert_eq!(ask(size, &consistency(&rewritten, size), &longer).0, 422);
    assert_eq!(ask(size, &[], &longer).0, 422);
    assert_eq!(ask(0, &[], &longer), conflict);
    // Shorter, rewritten or not.
    let shorter = conspire(consortium, client, size - 1, &leaves[..leaves.len() - 1]);
    assert_eq!(ask(size, &[], &shorter).0, 400);
    assert_eq!(ask(size - 1, &[], &shorter), conflict);
    assert_eq!(ask(0, &[], &shorter), conflict);
    // Of another log, and by nobody that it knows.
    let mut foreign = cosigned.note.clone();
    foreign.text = foreign.text.replacen('/', ".other/", 1);
    assert_eq!(ask(size, &[], &foreign).0, 404);
    let mut unsigned = cosigned.note.clone();
    unsigned.signatures.retain(|it| it.name != cosigned.signed.checkpoint.origin);
    assert_eq!(ask(size, &[], &unsigned).0, 403);
    let mut forged = cosigned.note.clone();
    forged.signatures[0].value[9] ^= 1;
    assert_eq!(ask(size, &[], &forged).0, 403);
    // None of this has moved it.
    assert_eq!(ask(size, &[], &cosigned.note).0, 200);
}

/// A cosignature says that its node has seen nothing newer; asked for an older height, a node that has
/// cosigned a newer one does not say so.
async fn no_node_goes_back_either(consortium: &Consortium, leaves: &[Hash], size: u64) {
    let credential = consortium.credential(BANKS[0], "node");
    let mut refused = 0;
    for node in 0..consortium.node_count() {
        let address = consortium.peer_address(node);
        let channel = wire::connect(address, Some(&credential)).await.unwrap();
        let ask = async |height: u64| {
            let below = &leaves[..usize::try_from(height).unwrap()];
            let history_root = root_of(below.iter().copied()).to_bytes();
            let request = peer::SignCheckpointRequest { height, history_root };
            wire::call(&channel, SIGN_CHECKPOINT, request.encode_to_vec()).await
        };
        let answer = ask(size).await.unwrap().unwrap();
        let answer = peer::SignCheckpointResponse::decode(answer).unwrap();
        assert_eq!(answer.cosignature.len(), 72);
        let told = Told::of(&ask(size - 1).await.unwrap_err());
        assert_eq!(told.code, Code::Unavailable as i32, "{told:?}");
        refused += u32::from(told.message.contains("cosigned a greater height"));
    }
    assert_eq!(refused, 4);
}

fn the_command_line_writes_the_same(consortium: &Consortium, size: u64, vkeys: &[String]) {
    let file = consortium.path().join("checkpoint.txt");
    let run = || {
        let mut command = consortium.command_line(BANKS[0], "operator");
        command.args(["ledger", "checkpoint", "--out"]).arg(&file);
        command.args(["--output", "json"]).output().unwrap()
    };
    let output = run();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let note = Note::parse(&std::fs::read(&file).unwrap()).unwrap();
    let checkpoint = Checkpoint::parse(&note.text).unwrap();
    assert!(checkpoint.size >= size);
    assert_eq!(answer["height"], checkpoint.size.to_string());
    assert_eq!(answer["origin"], checkpoint.origin);
    assert!(answer["cosignedBy"].as_array().unwrap().len() >= 3);
    assert_eq!(answer["verifierKeys"], serde_json::json!(vkeys));
    // What is there is not written over.
    assert!(!run().status.success());
}
