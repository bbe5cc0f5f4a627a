//! What an institution orders, before and after it is signed.
//!
//! The makers here fill in what must be random ([`salt`], [`new_uetr`]); the rest of a message is
//! set by name:
//!
//! ```
//! # use counterfoil_client::{instructions, v1, AccountId, Bic};
//! # let agent = Bic::parse("AGNTCHZZ")?;
//! # let payer = AccountId::of(&agent, &Bic::parse("BANKCHZZ")?, "CHF", "settlement");
//! # let payee = AccountId::of(&agent, &Bic::parse("BANKDEFF")?, "CHF", "settlement");
//! let transfer = v1::Transfer {
//!     end_to_end_id: "INVOICE 4711".to_owned(),
//!     ..instructions::transfer(payer, payee, 125_000)
//! };
//! assert_eq!(transfer.salt.len(), 16);
//! # Ok::<(), counterfoil_ledger::bic::BicError>(())
//! ```

use std::time::Duration;

use bytes::Bytes;
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::agreement::{AgreementId, RULE_SET};
use counterfoil_ledger::asset::AssetCode;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::block::Side;
use counterfoil_ledger::date::Date;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::id::InstructionId;
use counterfoil_ledger::instruction::{Body, Draft, Instruction};
use counterfoil_ledger::uetr::Uetr;
use counterfoil_proto::v1;
use counterfoil_proto::v1::instruction::Body as Ordered;
use prost::Message;

use crate::error::Error;
use crate::{clock, random};

/// How long an order may wait to be decided, unless it says otherwise.
pub const VALID_FOR_DEFAULT: Duration = Duration::from_secs(15 * 60);

/// A new instruction id of this moment: UUIDv7.
pub fn new_id() -> InstructionId {
    InstructionId::new(clock::now_ms(), random::bytes())
}

/// A new random UETR: UUIDv4.
pub fn new_uetr() -> Uetr {
    Uetr::from_random(random::bytes())
}

/// 16 random bytes.
pub fn salt() -> Bytes {
    Bytes::copy_from_slice(&random::bytes::<16>())
}

/// A transfer of minor units with a new UETR and salt, without reference, settling on the day of
/// its block.
pub fn transfer(debit: AccountId, credit: AccountId, amount: u64) -> v1::Transfer {
    v1::Transfer {
        debit_account: Bytes::copy_from_slice(debit.as_bytes()),
        credit_account: Bytes::copy_from_slice(credit.as_bytes()),
        amount,
        uetr: Bytes::copy_from_slice(new_uetr().as_bytes()),
        salt: salt(),
        ..v1::Transfer::default()
    }
}

/// An entry of minor units in the signer's book, with a new salt, without references, of value on
/// its booking date. The side is the account's, not the book's.
pub fn book_entry(
    account: AccountId,
    side: Side,
    amount: u64,
    booking_date: Date,
) -> v1::BookEntry {
    let side = match side {
        Side::Debit => v1::Side::Debit,
        Side::Credit => v1::Side::Credit,
    };
    v1::BookEntry {
        account: Bytes::copy_from_slice(account.as_bytes()),
        side: side.into(),
        amount,
        booking_date: booking_date.yyyymmdd(),
        salt: salt(),
        ..v1::BookEntry::default()
    }
}

/// A statement with a new salt: the signer's book of the account is complete for these dates and
/// opens and closes at these balances in minor units, positive = credit.
pub fn statement(
    account: AccountId,
    statement_id: &str,
    dates: (Date, Date),
    opening_balance: i64,
    closing_balance: i64,
) -> v1::Statement {
    v1::Statement {
        account: Bytes::copy_from_slice(account.as_bytes()),
        statement_id: statement_id.to_owned(),
        from_date: dates.0.yyyymmdd(),
        to_date: dates.1.yyyymmdd(),
        opening_balance,
        closing_balance,
        salt: salt(),
        ..v1::Statement::default()
    }
}

/// Terms of reconciliation over accounts of two institutions, with a new salt: all three sources by
/// rules 1, without tolerances or duties, Saturday and Sunday without business; an item is missing at
/// the end of the business day after its value date (UTC).
pub fn agreement_terms(
    servicer: &Bic,
    owner: &Bic,
    accounts: &[AccountId],
    effective_from: Date,
) -> v1::AgreementTerms {
    let account =
        |id: &AccountId| v1::AgreementAccount { account: Bytes::copy_from_slice(id.as_bytes()) };
    v1::AgreementTerms {
        servicer: servicer.as_str().to_owned(),
        owner: owner.as_str().to_owned(),
        accounts: accounts.iter().map(account).collect(),
        ledger: true,
        owner_book: true,
        servicer_book: true,
        rule_set: RULE_SET,
        effective_from: effective_from.yyyymmdd(),
        missing_after_days: 1,
        missing_at_minute: 1_440,
        calendar: Some(v1::Calendar { weekend: 0b110_0000, ..v1::Calendar::default() }),
        salt: salt(),
        ..v1::AgreementTerms::default()
    }
}

/// Something to be ordered by the client's institution.
#[derive(Clone, Debug)]
pub struct Order {
    id: InstructionId,
    valid_for: Duration,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Single(Box<Ordered>),
    Transfers { transfers: Vec<v1::Transfer>, all_or_nothing: bool },
    BookEntries(Vec<v1::BookEntry>),
}

impl Order {
    /// Opens an account; signed by its servicer.
    pub fn open_account(servicer: &Bic, owner: &Bic, asset: &AssetCode, name: &str) -> Order {
        Order::single(Ordered::OpenAccount(v1::OpenAccount {
            servicer: servicer.as_str().to_owned(),
            owner: owner.as_str().to_owned(),
            asset: asset.as_str().to_owned(),
            name: name.to_owned(),
        }))
    }

    /// Moves money once; signed by the owner of the debited account.
    pub fn transfer(transfer: v1::Transfer) -> Order {
        Order::single(Ordered::Transfer(transfer))
    }

    /// Moves money up to 8,192 times under one signature, each transfer with a verdict of its own;
    /// with `all_or_nothing` one that is rejected rejects them all.
    pub fn transfers(transfers: Vec<v1::Transfer>, all_or_nothing: bool) -> Order {
        Order::of(Content::Transfers { transfers, all_or_nothing })
    }

    /// Records up to 8,192 entries of the signer's book of one account.
    pub fn book_entries(entries: Vec<v1::BookEntry>) -> Order {
        Order::of(Content::BookEntries(entries))
    }

    /// Declares the signer's book of an account complete for a range of dates.
    pub fn statement(statement: v1::Statement) -> Order {
        Order::single(Ordered::Statement(statement))
    }

    /// Offers terms to their other party, which can answer until a block time in Unix milliseconds, at
    /// most 90 days ahead. [`AgreementId::of`] is the id under which it does.
    pub fn propose_agreement(terms: v1::AgreementTerms, accept_until_ms: u64) -> Order {
        let terms = Some(terms);
        Order::single(Ordered::ProposeAgreement(Box::new(v1::ProposeAgreement {
            terms,
            accept_until_ms,
        })))
    }

    /// Answers an offer: the other party accepts or rejects, who made it withdraws.
    pub fn answer_agreement(agreement: AgreementId, answer: v1::AgreementAnswer) -> Order {
        Order::single(Ordered::AnswerAgreement(v1::AnswerAgreement {
            agreement: Bytes::copy_from_slice(agreement.as_bytes()),
            answer: answer.into(),
            salt: salt(),
        }))
    }

    /// With an id made elsewhere, at most a day ago.
    pub fn with_id(self, id: InstructionId) -> Order {
        Order { id, ..self }
    }

    /// To be void if it is not decided within this time from the signature on; at most 24 hours
    /// after the id's own time.
    pub fn valid_for(self, valid_for: Duration) -> Order {
        Order { valid_for, ..self }
    }

    /// The id that it will have.
    pub fn id(&self) -> InstructionId {
        self.id
    }

    pub(crate) fn single(body: Ordered) -> Order {
        Order::of(Content::Single(Box::new(body)))
    }

    fn of(content: Content) -> Order {
        Order { id: new_id(), valid_for: VALID_FOR_DEFAULT, content }
    }

    /// What is to be signed.
    pub fn draft(self, institution: &Bic) -> Draft {
        let valid_for_ms = u64::try_from(self.valid_for.as_millis()).unwrap_or(u64::MAX);
        let valid_until_ms = clock::now_ms().saturating_add(valid_for_ms);
        match self.content {
            Content::Single(body) => Draft::new(self.id, institution, valid_until_ms, *body),
            Content::Transfers { transfers, all_or_nothing } => {
                Draft::transfers(self.id, institution, valid_until_ms, &transfers, all_or_nothing)
            }
            Content::BookEntries(entries) => {
                Draft::book_entries(self.id, institution, valid_until_ms, &entries)
            }
        }
    }
}

/// A signed instruction whose shape holds: bytes that can be sent, now or later, once or often.
#[derive(Clone, Debug)]
pub struct Signed {
    /// Its id.
    pub id: InstructionId,
    /// Who signed it.
    pub institution: Bic,
    /// SHA-256 of the bytes that were signed.
    pub instruction_hash: Hash,
    /// Items of a batch; 0 when it is none.
    pub item_count: usize,
    /// Unix milliseconds of block time after which it is void.
    pub valid_until_ms: u64,
    pub(crate) message: v1::SignedInstruction,
    pub(crate) bytes: Bytes,
}

impl Signed {
    /// Reads the bytes of a `SignedInstruction`.
    pub fn from_bytes(bytes: Bytes) -> Result<Signed, Error> {
        let instruction = Instruction::decode(bytes.clone()).map_err(Error::refused)?;
        let message = v1::SignedInstruction::decode(bytes.clone())
            .expect("Instruction::decode has decoded the same bytes");
        let item_count = match &instruction.body {
            Body::Transfers { items, .. } => items.len(),
            Body::BookEntries { items, .. } => items.len(),
            Body::OpenAccount(_)
            | Body::Transfer(_)
            | Body::Statement(_)
            | Body::ProposeAgreement(_)
            | Body::AnswerAgreement(_)
            | Body::RunMatching { .. }
            | Body::DecideMatch(_)
            | Body::WorkBreak(_)
            | Body::SignPosition(_) => 0,
        };
        Ok(Signed {
            id: instruction.id,
            institution: instruction.institution,
            instruction_hash: instruction.hash,
            item_count,
            valid_until_ms: instruction.valid_until_ms,
            message,
            bytes,
        })
    }

    /// The bytes of the `SignedInstruction`.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}
