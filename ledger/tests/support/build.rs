//! Instructions from parts, with everything that need not be chosen derived from a label.

use bytes::Bytes;
use counterfoil_ledger::{
    account::AccountId, agreement::AgreementId, bic::Bic, hash::Hash, id::InstructionId,
    instruction::Draft, signature::Signer, uetr::Uetr,
};
use counterfoil_proto::v1::{self, instruction::Body};
use prost::Message;

use super::Consortium;

pub const HOUR_MS: u64 = 3_600_000;

/// 16 bytes that depend on a label alone.
pub fn bytes_of(label: &str) -> [u8; 16] {
    Hash::of(label.as_bytes()).0[..16].try_into().unwrap()
}

pub fn id_of(label: &str, time_ms: u64) -> InstructionId {
    InstructionId::new(time_ms, bytes_of(label)[..10].try_into().unwrap())
}

pub fn uetr_of(label: &str) -> Uetr {
    Uetr::from_random(bytes_of(label))
}

pub fn open(servicer: &Bic, owner: &Bic, asset: &str, name: &str) -> Body {
    Body::OpenAccount(v1::OpenAccount {
        servicer: servicer.to_string(),
        owner: owner.to_string(),
        asset: asset.to_owned(),
        name: name.to_owned(),
    })
}

/// A transfer whose UETR and salt follow from its label.
pub fn transfer(label: &str, debit: &AccountId, credit: &AccountId, amount: u64) -> v1::Transfer {
    v1::Transfer {
        debit_account: Bytes::copy_from_slice(debit.as_bytes()),
        credit_account: Bytes::copy_from_slice(credit.as_bytes()),
        amount,
        uetr: Bytes::copy_from_slice(uetr_of(label).as_bytes()),
        end_to_end_id: String::new(),
        settlement_date: 0,
        commitment: Bytes::new(),
        salt: Bytes::copy_from_slice(&bytes_of(&format!("salt of {label}"))),
    }
}

pub fn book_entry(
    label: &str,
    account: &AccountId,
    side: v1::Side,
    amount: u64,
    date: u32,
) -> v1::BookEntry {
    v1::BookEntry {
        account: Bytes::copy_from_slice(account.as_bytes()),
        side: side.into(),
        amount,
        booking_date: date,
        value_date: 0,
        entry_reference: String::new(),
        uetr: Bytes::new(),
        end_to_end_id: String::new(),
        commitment: Bytes::new(),
        salt: Bytes::copy_from_slice(&bytes_of(&format!("salt of {label}"))),
        ..v1::BookEntry::default()
    }
}

pub fn statement(label: &str, account: &AccountId, from: u32, to: u32) -> v1::Statement {
    v1::Statement {
        account: Bytes::copy_from_slice(account.as_bytes()),
        statement_id: label.to_owned(),
        from_date: from,
        to_date: to,
        opening_balance: 0,
        closing_balance: 0,
        salt: Bytes::copy_from_slice(&bytes_of(&format!("salt of {label}"))),
        ..v1::Statement::default()
    }
}

/// Terms over accounts of two institutions, from a date on: all three sources, Saturday and Sunday
/// without business, everything else as small as it may be.
pub fn terms(
    label: &str,
    (servicer, owner): (&Bic, &Bic),
    accounts: &[AccountId],
    from: u32,
) -> v1::AgreementTerms {
    let account =
        |id: &AccountId| v1::AgreementAccount { account: Bytes::copy_from_slice(id.as_bytes()) };
    v1::AgreementTerms {
        servicer: servicer.to_string(),
        owner: owner.to_string(),
        accounts: accounts.iter().map(account).collect(),
        ledger: true,
        owner_book: true,
        servicer_book: true,
        rule_set: 1,
        effective_from: from,
        missing_at_minute: 1_440,
        calendar: Some(v1::Calendar { weekend: 0b110_0000, ..v1::Calendar::default() }),
        salt: Bytes::copy_from_slice(&bytes_of(&format!("salt of {label}"))),
        ..v1::AgreementTerms::default()
    }
}

pub fn offer(terms: v1::AgreementTerms, accept_until_ms: u64) -> Body {
    Body::ProposeAgreement(Box::new(v1::ProposeAgreement { terms: Some(terms), accept_until_ms }))
}

pub fn answer(label: &str, agreement: &AgreementId, answer: v1::AgreementAnswer) -> Body {
    Body::AnswerAgreement(v1::AnswerAgreement {
        agreement: Bytes::copy_from_slice(agreement.as_bytes()),
        answer: answer.into(),
        salt: Bytes::copy_from_slice(&bytes_of(&format!("salt of {label}"))),
    })
}

impl Consortium {
    /// Signs a draft as an institution: the bytes that are submitted.
    pub fn sign(&self, institution: &Bic, draft: Draft) -> Bytes {
        sign_with(&self.signers[institution], &self.chain_id(), draft)
    }

    /// The same with the institution's second key.
    pub fn sign_with_second_key(&self, institution: &Bic, draft: Draft) -> Bytes {
        sign_with(&self.second_signers[institution], &self.chain_id(), draft)
    }
}

pub fn sign_with(signer: &dyn Signer, chain_id: &Hash, draft: Draft) -> Bytes {
    draft.sign(signer, chain_id).unwrap().encode_to_vec().into()
}
