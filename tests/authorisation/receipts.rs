//! Receipts: whose they are, and that nobody else learns whether there is one.

use counterfoil_client::v1;
use counterfoil_client::v1::get_receipt_request;
use counterfoil_ledger::id::InstructionId;
use counterfoil_tests::consortium::{AGENT, BANKS, Consortium};
use counterfoil_tests::wire::{self, Told};
use prost::Message;
use tonic::Code;

use super::{Business, READERS, channel, refusal};

/// Asks for a receipt by the id of one's own instruction.
fn receipt_of(id: &InstructionId, item_number: u32) -> Vec<u8> {
    let id = id.as_bytes().to_vec().into();
    let own = get_receipt_request::OwnInstruction { id, item_number };
    let subject = Some(get_receipt_request::Subject::Instruction(own));
    v1::GetReceiptRequest { subject, wait_for: 0 }.encode_to_vec()
}

/// Asks for a receipt by a place in the ledger.
fn receipt_at(position: v1::Position) -> Vec<u8> {
    let subject = Some(get_receipt_request::Subject::Position(position));
    v1::GetReceiptRequest { subject, wait_for: 0 }.encode_to_vec()
}

/// Asks for them as everybody, by id and by place.
pub async fn are_their_parties(consortium: &Consortium, business: &Business) {
    let victim = BANKS[0];
    let path = "/counterfoil.v1.SettlementService/GetReceipt";
    // What others did not do by instruction, and what is theirs alone: the opening of an account, a
    // book, a statement.
    let all = || (1..business.refused_at.height + 3).map(|height| v1::Position { height, leaf: 0 });
    for (institution, role, paid, refused) in READERS {
        let channel = channel(consortium, institution, role).await;
        let who = format!("{institution} {role}");
        let nothing = v1::Position { height: u64::MAX, leaf: 0 };
        let none = refusal(&channel, path, receipt_at(nothing)).await;
        assert!(none.is(Code::NotFound, "NOT_FOUND"), "{who}: {none:?}");
        let no_leaf = v1::Position { leaf: u32::MAX, ..business.paid_at };
        assert_eq!(none, refusal(&channel, path, receipt_at(no_leaf)).await);
        for (position, sees) in [(business.paid_at, paid), (business.refused_at, refused)] {
            match wire::call(&channel, path, receipt_at(position)).await {
                Ok(answer) => assert!(sees && answer.is_some(), "{who}"),
                Err(status) => {
                    assert!(!sees, "{who}");
                    assert_eq!(Told::of(&status), none, "{who}");
                }
            }
        }
        for (id, item) in [(&business.paid, 0), (&business.paid, 1), (&business.refused, 0)] {
            let own = institution == victim && item == 0;
            match wire::call(&channel, path, receipt_of(id, item)).await {
                Ok(answer) => assert!(own && answer.is_some(), "{who}"),
                Err(status) => {
                    assert!(!own, "{who}");
                    assert_eq!(Told::of(&status), none, "{who}");
                }
            }
        }
        for position in all() {
            let Ok(answer) = wire::call(&channel, path, receipt_at(position)).await else {
                continue;
            };
            let answer = v1::GetReceiptResponse::decode(answer.unwrap()).unwrap();
            let receipt = answer.receipt.unwrap();
            let message = v1::Instruction::decode(receipt.instruction).unwrap();
            let is_party = match &message.body {
                Some(v1::instruction::Body::Transfer(_)) => true,
                Some(v1::instruction::Body::OpenAccount(opened)) => opened.owner == institution,
                _ => false,
            };
            let supervises = (institution, role) == (AGENT, "auditor");
            assert!(is_party || message.institution == institution || supervises, "{who}");
        }
    }
    let operator = channel(consortium, victim, "operator").await;
    let told = refusal(&operator, path, receipt_at(business.paid_at)).await;
    assert!(told.is(Code::PermissionDenied, "ROLE_NOT_ALLOWED"), "{told:?}");
}
