//! A node that lies to its clients: none of it has a proof, and whoever asks for one is not deceived.

use bytes::Bytes;
use counterfoil_client::instructions::{self, Order};
use counterfoil_client::v1;
use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::outcome::State;
use counterfoil_ledger::verify::{self, Finality, Trust};
use counterfoil_tests::banking::{account, open_and_fund};
use counterfoil_tests::consortium::BANKS;
use counterfoil_tests::wire;
use prost::Message;

use crate::{FUNDED, Trial};

/// Asks one node; all parts of its answer.
async fn ask<A: Message + Default>(
    trial: &Trial,
    node: usize,
    path: &str,
    question: Vec<u8>,
) -> Vec<A> {
    let credential = trial.consortium.credential(BANKS[0], "client");
    let address = trial.consortium.client_address(node);
    let channel = wire::connect(address, Some(&credential)).await.unwrap();
    let path = format!("/counterfoil.v1.{path}");
    let mut answer = wire::open(&channel, &path, question).await.unwrap();
    let mut parts = Vec::new();
    while let Some(part) = answer.message().await.unwrap() {
        parts.push(A::decode(part).unwrap());
    }
    parts
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_to_clients_have_no_proof() {
    let trial = Trial::with_follower("lie-to-clients");
    open_and_fund(&trial.consortium, "CHF", FUNDED).await;
    let genesis = std::fs::read(trial.consortium.path().join("genesis.bin")).unwrap();
    let trust = Trust::new(Genesis::decode(&genesis).unwrap());
    let own = account(BANKS[0], "CHF");
    let id = Bytes::copy_from_slice(own.as_bytes());

    // A balance without a proof is as good as the node that tells it; with one it is as it is.
    let prove = v1::ProveAccountRequest { account: id, ..Default::default() };
    for node in [0, trial.liar] {
        let path = "AccountService/ProveAccount";
        let mut proof = v1::AccountProof::default();
        for part in ask::<v1::ProveAccountResponse>(&trial, node, path, prove.encode_to_vec()).await
        {
            // The first part has everything but most of the blocks.
            proof.merge(part.part.unwrap().encode_to_vec().as_slice()).unwrap();
        }
        let verified = verify::account(&trust, &proof);
        if node == trial.liar {
            let unproven = verified.unwrap_err();
            println!("refused: {unproven}");
        } else {
            let verified = verified.unwrap();
            assert_eq!(verified.closing.balance, i128::from(FUNDED));
            assert!(matches!(verified.finality, Finality::Final { .. }));
        }
    }

    // A payment that was refused; the liar says that it has settled.
    let client = trial.consortium.client_at(BANKS[0], &[0]);
    let pay = instructions::transfer(own, account(BANKS[1], "CHF"), FUNDED + 1);
    let outcome = client.submit(Order::transfer(pay)).await.unwrap();
    assert!(!outcome.is_accepted());
    let id = Bytes::copy_from_slice(outcome.id.as_bytes());
    let instruction = v1::get_receipt_request::OwnInstruction { id, item_number: 0 };
    let subject = Some(v1::get_receipt_request::Subject::Instruction(instruction));
    let question = v1::GetReceiptRequest { subject, ..Default::default() };
    for node in [0, trial.liar] {
        let path = "SettlementService/GetReceipt";
        let mut answers: Vec<v1::GetReceiptResponse> =
            ask(&trial, node, path, question.encode_to_vec()).await;
        let verified = verify::receipt(&trust, &answers.remove(0).receipt.unwrap());
        if node == trial.liar {
            let unproven = verified.unwrap_err();
            println!("refused: {unproven}");
        } else {
            assert_eq!(verified.unwrap().outcome.state, State::Rejected);
        }
    }
    trial.everybody_runs();
}
