//! Instructions: from bytes to something whose shape holds, and back to bytes for those who sign.

use bytes::Bytes;
use counterfoil_proto::v1;
use prost::Message;

use crate::{
    account::AccountId,
    agreement::{AnswerAgreement, ProposeAgreement},
    asset::AssetCode,
    bic::Bic,
    block::Side,
    canonical::{self, NotCanonical},
    date::Date,
    hash::Hash,
    id::InstructionId,
    merkle,
    purpose::Purpose,
    reason::Reason,
    reconciliation::orders::{DecideMatch, SignPosition, WorkBreak},
    registry::{Key, Registry},
    signature::{self, Label, Signer, SignerError},
    text,
    uetr::Uetr,
};

/// Largest SignedInstruction in bytes.
pub const INSTRUCTION_SIZE_MAX: usize = 3 * 1024 * 1024;

/// Most items of a batch.
pub const BATCH_ITEMS_MAX: usize = 8_192;

/// Largest amount: what the API's int64 holds.
pub const AMOUNT_MAX: u64 = u64::MAX >> 1;

/// Longest span of a statement in days, leap years included.
const STATEMENT_DAYS_MAX: usize = 366;

/// A SignedInstruction whose shape holds. Whether it is authorised, in time and executable is
/// judged against the registry, the block time and the state.
#[derive(Clone, Debug)]
pub struct Instruction {
    /// The bytes of the SignedInstruction.
    pub bytes: Bytes,
    /// The bytes that are signed.
    pub signed_bytes: Bytes,
    /// SHA-256 of the bytes that are signed.
    pub hash: Hash,
    /// Unique per institution.
    pub id: InstructionId,
    /// Who signs.
    pub institution: Bic,
    /// Block time after which it is void, Unix milliseconds.
    pub valid_until_ms: u64,
    /// A header that must be in this history: its height and hash.
    pub anchor: Option<(u64, Hash)>,
    /// Key id and signature, if there is exactly one.
    pub signature: Option<(Hash, [u8; 64])>,
    /// What is ordered.
    pub body: Body,
}

/// What is ordered.
#[derive(Clone, Debug)]
pub enum Body {
    /// Opens an account.
    OpenAccount(OpenAccount),
    /// Moves money.
    Transfer(Transfer),
    /// Moves money many times.
    Transfers {
        /// Each with the RFC 6962 leaf hash of its bytes.
        items: Vec<(Hash, Transfer)>,
        /// One refused item refuses them all.
        all_or_nothing: bool,
    },
    /// Entries of the signer's book, all for one account.
    BookEntries {
        /// The account.
        account: AccountId,
        /// Each with the RFC 6962 leaf hash of its bytes.
        items: Vec<(Hash, BookEntry)>,
    },
    /// The signer's book is complete for a range of dates.
    Statement(Statement),
    /// Offers terms of reconciliation.
    ProposeAgreement(Box<ProposeAgreement>),
    /// Answers an offer.
    AnswerAgreement(AnswerAgreement),
    /// The passes over all open items of an account run.
    RunMatching {
        /// The account.
        account: AccountId,
        /// Random, of the signer.
        salt: [u8; 16],
    },
    /// A person's decision on what belongs together.
    DecideMatch(DecideMatch),
    /// A step of the work on a break.
    WorkBreak(WorkBreak),
    /// A bank's view of a day.
    SignPosition(SignPosition),
}

/// See the .proto file.
#[derive(Clone, Debug)]
pub struct OpenAccount {
    /// Who keeps it.
    pub servicer: Bic,
    /// Whose money it is.
    pub owner: Bic,
    /// In what.
    pub asset: AssetCode,
    /// Its name.
    pub name: String,
}

/// See the .proto file.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// Account to debit.
    pub debit: AccountId,
    /// Account to credit.
    pub credit: AccountId,
    /// Minor units, 1 to 2^63 − 1.
    pub amount: u64,
    /// Settles once per debited account.
    pub uetr: Uetr,
    /// May be empty.
    pub end_to_end_id: String,
    /// None = the UTC date of the block.
    pub settlement_date: Option<Date>,
    /// Random, of the signer.
    pub salt: [u8; 16],
}

/// See the .proto file.
#[derive(Clone, Debug)]
pub struct BookEntry {
    /// As the account sees it.
    pub side: Side,
    /// Minor units, 1 to 2^63 − 1.
    pub amount: u64,
    /// When it was booked.
    pub booking_date: Date,
    /// Value date, or else the booking date.
    pub date: Date,
    /// The book's own reference.
    pub entry_reference: String,
    /// If the book knows it.
    pub uetr: Option<Uetr>,
    /// May be empty.
    pub end_to_end_id: String,
    /// May be empty.
    pub transaction_id: String,
    /// May be empty.
    pub instruction_id: String,
    /// May be empty.
    pub group_id: String,
    /// The other side's agent, if the book knows it.
    pub counterparty: Option<Bic>,
    /// It takes back an earlier entry.
    pub reversal: bool,
    /// It returns an earlier payment.
    pub returned: bool,
    /// Minor units that were taken out of the amount or added to it.
    pub charges: u64,
    /// The amount was exchanged.
    pub exchanged: bool,
    /// Its asset where that is not the account's.
    pub asset: Option<AssetCode>,
    /// Not booked yet.
    pub expected: bool,
    /// What it is for, where the book says so.
    pub purpose: Option<Purpose>,
    /// Random, of the signer.
    pub salt: [u8; 16],
}

/// See the .proto file.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The account.
    pub account: AccountId,
    /// The statement's own identification.
    pub id: String,
    /// First date.
    pub from: Date,
    /// Last date.
    pub to: Date,
    /// Booked balance before the first date, minor units.
    pub opening: i64,
    /// Booked balance after the last date.
    pub closing: i64,
    /// Its number in the servicer's sequence; 0 = none.
    pub sequence: u64,
    /// SHA-256 of the file; zeros = not named.
    pub original: Hash,
    /// Random, of the signer.
    pub salt: [u8; 16],
}

impl Instruction {
    /// Reads a SignedInstruction and checks its shape: reasons 1xx, the lowest first where several
    /// apply to one part.
    pub fn decode(bytes: Bytes) -> Result<Instruction, Reason> {
        if bytes.len() > INSTRUCTION_SIZE_MAX {
            return Err(Reason::TooLarge);
        }
        let signed: v1::SignedInstruction = decode(&bytes)?;
        let message: v1::Instruction = decode(&signed.instruction)?;
        let body = message.body.ok_or(Reason::BodyMissing)?;
        let id = InstructionId::from_bytes(&message.id).map_err(|_| Reason::IdMalformed)?;
        let institution = bic(&message.institution)?;
        if message.valid_until_ms == 0 {
            return Err(Reason::ValidUntilMissing);
        }
        let anchor = match (message.anchor.len(), message.anchor_height) {
            (0, 0) => None,
            (32, height) => Hash::from_slice(&message.anchor).map(|hash| (height, hash)),
            _ => return Err(Reason::AnchorMalformed),
        };
        let is_batch = matches!(
            body,
            v1::instruction::Body::Transfers(_) | v1::instruction::Body::BookEntries(_)
        );
        if !is_batch && !signed.items.is_empty() {
            return Err(Reason::ItemsUnexpected);
        }
        Ok(Instruction {
            hash: Hash::of(&signed.instruction),
            signature: only_signature(&signed.signatures),
            body: Body::decode(body, &signed.items)?,
            signed_bytes: signed.instruction,
            bytes,
            id,
            institution,
            valid_until_ms: message.valid_until_ms,
            anchor,
        })
    }

    /// Who may sign this, and whether the named key is one of theirs: reasons 2xx but for the
    /// signature itself.
    pub fn authorise<'a>(&self, registry: &'a Registry) -> Result<&'a Key, Reason> {
        let (key_id, _) = self.signature.as_ref().ok_or(Reason::SignatureMissing)?;
        registry.institution(&self.institution).ok_or(Reason::InstitutionUnknown)?;
        let key = registry
            .key(key_id)
            .filter(|key| key.institution == self.institution)
            .ok_or(Reason::KeyUnknown)?;
        if key.purpose != v1::KeyPurpose::Instruction {
            return Err(Reason::KeyPurposeWrong);
        }
        match &self.body {
            Body::OpenAccount(open) if open.servicer != self.institution => {
                Err(Reason::SignerNotServicer)
            }
            _ => Ok(key),
        }
    }

    /// Whether the signature is by the key. Costly, and a function of the bytes, the key and the
    /// chain alone: worth doing once a node.
    pub fn signature_valid(&self, key: &Key, chain_id: &Hash) -> bool {
        let preimage = signature::preimage(Label::Instruction, chain_id, &self.signed_bytes);
        self.signature.is_some_and(|(_, value)| key.public_key.verify(&preimage, &value))
    }

    /// How many leaves it makes if it is executed.
    pub fn leaf_count(&self) -> usize {
        match &self.body {
            Body::Transfers { items, .. } => 1 + items.len(),
            Body::BookEntries { items, .. } => 1 + items.len(),
            _ => 1,
        }
    }
}

fn decode<M: Message + Default>(bytes: &Bytes) -> Result<M, Reason> {
    canonical::decode(bytes).map_err(|error| match error {
        NotCanonical::Malformed => Reason::Malformed,
        NotCanonical::OtherBytes => Reason::NotCanonical,
    })
}

fn only_signature(signatures: &[v1::Signature]) -> Option<(Hash, [u8; 64])> {
    let [signature] = signatures else { return None };
    Some((Hash::from_slice(&signature.key_id)?, signature.value.as_ref().try_into().ok()?))
}

impl Body {
    fn decode(body: v1::instruction::Body, items: &[Bytes]) -> Result<Body, Reason> {
        match body {
            v1::instruction::Body::OpenAccount(open) => {
                Ok(Body::OpenAccount(OpenAccount::of(open)?))
            }
            v1::instruction::Body::Transfer(transfer) => {
                Ok(Body::Transfer(Transfer::of(transfer)?))
            }
            v1::instruction::Body::Transfers(batch) => {
                let items = checked_items(&batch, items, Transfer::of)?;
                Ok(Body::Transfers { items, all_or_nothing: batch.all_or_nothing })
            }
            v1::instruction::Body::BookEntries(batch) => {
                let items = checked_items(&batch, items, |entry: v1::BookEntry| {
                    let account = account(&entry.account)?;
                    Ok((account, BookEntry::of(entry)?))
                })?;
                let account = items[0].1.0;
                if items.iter().any(|(_, (other, _))| *other != account) {
                    return Err(Reason::ItemsMixed);
                }
                if batch.all_or_nothing {
                    return Err(Reason::AllOrNothingUnsupported);
                }
                let items = items.into_iter().map(|(hash, (_, entry))| (hash, entry)).collect();
                Ok(Body::BookEntries { account, items })
            }
            v1::instruction::Body::Statement(statement) => {
                Ok(Body::Statement(Statement::of(statement)?))
            }
            v1::instruction::Body::ProposeAgreement(offer) => {
                Ok(Body::ProposeAgreement(Box::new(ProposeAgreement::of(&offer)?)))
            }
            v1::instruction::Body::AnswerAgreement(answer) => {
                Ok(Body::AnswerAgreement(AnswerAgreement::of(&answer)?))
            }
            v1::instruction::Body::RunMatching(run) => {
                Ok(Body::RunMatching { account: account(&run.account)?, salt: salt(&run.salt)? })
            }
            v1::instruction::Body::DecideMatch(decision) => {
                Ok(Body::DecideMatch(DecideMatch::of(decision)?))
            }
            v1::instruction::Body::WorkBreak(step) => Ok(Body::WorkBreak(WorkBreak::of(*step)?)),
            v1::instruction::Body::SignPosition(view) => {
                Ok(Body::SignPosition(SignPosition::of(view)?))
            }
        }
    }
}

/// The items of a batch in number, root and shape; never none.
fn checked_items<M: Message + Default, T>(
    batch: &v1::Batch,
    items: &[Bytes],
    shape: impl Fn(M) -> Result<T, Reason>,
) -> Result<Vec<(Hash, T)>, Reason> {
    let count_holds = usize::try_from(batch.count) == Ok(items.len());
    if items.is_empty() || items.len() > BATCH_ITEMS_MAX || !count_holds {
        return Err(Reason::BatchCountWrong);
    }
    let hashes: Vec<Hash> = items.iter().map(|item| merkle::leaf_hash(item)).collect();
    if merkle::root_of(hashes.iter().copied()).as_bytes()[..] != batch.items_root[..] {
        return Err(Reason::BatchRootWrong);
    }
    hashes.into_iter().zip(items).map(|(hash, item)| Ok((hash, shape(decode(item)?)?))).collect()
}

fn bic(text: &str) -> Result<Bic, Reason> {
    Bic::parse_canonical(text).map_err(|_| Reason::BicMalformed)
}

pub(crate) fn account(bytes: &Bytes) -> Result<AccountId, Reason> {
    AccountId::from_bytes(bytes).ok_or(Reason::AccountIdMalformed)
}

pub(crate) fn amount(units: u64) -> Result<u64, Reason> {
    match units {
        0 => Err(Reason::AmountZero),
        1..=AMOUNT_MAX => Ok(units),
        _ => Err(Reason::AmountTooLarge),
    }
}

pub(crate) fn date(yyyymmdd: u32) -> Result<Date, Reason> {
    Date::from_yyyymmdd(yyyymmdd).map_err(|_| Reason::DateMalformed)
}

fn reference(text: String) -> Result<String, Reason> {
    if text::is_max35(&text) { Ok(text) } else { Err(Reason::ReferenceMalformed) }
}

/// What a text names, if it is not empty.
fn named<T>(text: &str, of: impl Fn(&str) -> Result<T, Reason>) -> Result<Option<T>, Reason> {
    if text.is_empty() { Ok(None) } else { of(text).map(Some) }
}

pub(crate) fn commitment(bytes: &Bytes) -> Result<(), Reason> {
    if matches!(bytes.len(), 0 | 32) { Ok(()) } else { Err(Reason::CommitmentMalformed) }
}

pub(crate) fn salt(bytes: &Bytes) -> Result<[u8; 16], Reason> {
    bytes[..].try_into().map_err(|_| Reason::SaltMissing)
}

impl OpenAccount {
    /// Checks the shape of an account's names.
    pub fn of(message: v1::OpenAccount) -> Result<OpenAccount, Reason> {
        let servicer = bic(&message.servicer)?;
        let owner = bic(&message.owner)?;
        if message.name.is_empty() || !text::is_max35(&message.name) {
            return Err(Reason::NameMalformed);
        }
        let asset = AssetCode::parse(&message.asset).map_err(|_| Reason::AssetMalformed)?;
        Ok(OpenAccount { servicer, owner, asset, name: message.name })
    }
}

impl Transfer {
    /// Checks a transfer's shape.
    pub fn of(message: v1::Transfer) -> Result<Transfer, Reason> {
        let debit = account(&message.debit_account)?;
        let credit = account(&message.credit_account)?;
        if debit == credit {
            return Err(Reason::SameAccount);
        }
        let amount = amount(message.amount)?;
        let uetr = Uetr::from_bytes(&message.uetr).map_err(|_| Reason::UetrMalformed)?;
        let settlement_date = match message.settlement_date {
            0 => None,
            yyyymmdd => Some(date(yyyymmdd)?),
        };
        let end_to_end_id = reference(message.end_to_end_id)?;
        commitment(&message.commitment)?;
        let salt = salt(&message.salt)?;
        Ok(Transfer { debit, credit, amount, uetr, end_to_end_id, settlement_date, salt })
    }
}

impl BookEntry {
    fn of(message: v1::BookEntry) -> Result<BookEntry, Reason> {
        let amount = amount(message.amount)?;
        let uetr = match message.uetr.len() {
            0 => None,
            _ => Some(Uetr::from_bytes(&message.uetr).map_err(|_| Reason::UetrMalformed)?),
        };
        let booking_date = date(message.booking_date)?;
        let date = match message.value_date {
            0 => booking_date,
            yyyymmdd => date(yyyymmdd)?,
        };
        let side = message.side();
        let entry_reference = reference(message.entry_reference)?;
        let end_to_end_id = reference(message.end_to_end_id)?;
        commitment(&message.commitment)?;
        let salt = salt(&message.salt)?;
        let transaction_id = reference(message.transaction_id)?;
        let instruction_id = reference(message.instruction_id)?;
        let group_id = reference(message.group_id)?;
        let counterparty = named(&message.counterparty, bic)?;
        let asset = named(&message.asset, |text| {
            AssetCode::parse(text).map_err(|_| Reason::AssetMalformed)
        })?;
        let charges = match message.charges {
            0..=AMOUNT_MAX => message.charges,
            _ => return Err(Reason::AmountTooLarge),
        };
        let side = match side {
            v1::Side::Debit => Side::Debit,
            v1::Side::Credit => Side::Credit,
            v1::Side::Unspecified => return Err(Reason::SideMissing),
        };
        Ok(BookEntry {
            side,
            amount,
            booking_date,
            date,
            entry_reference,
            uetr,
            end_to_end_id,
            transaction_id,
            instruction_id,
            group_id,
            counterparty,
            reversal: message.reversal,
            returned: message.returned,
            charges,
            exchanged: message.exchanged,
            asset,
            expected: message.expected,
            purpose: Purpose::of(message.purpose)?,
            salt,
        })
    }
}

impl Statement {
    fn of(message: v1::Statement) -> Result<Statement, Reason> {
        let account = account(&message.account)?;
        let (from, to) = (date(message.from_date)?, date(message.to_date)?);
        let id = reference(message.statement_id)?;
        let salt = salt(&message.salt)?;
        commitment(&message.original)?;
        let original = Hash::from_slice(&message.original).unwrap_or(Hash::ZERO);
        let mut last = from;
        let mut days = 1;
        while last < to && days <= STATEMENT_DAYS_MAX {
            last = last.next();
            days += 1;
        }
        if from > to || days > STATEMENT_DAYS_MAX {
            return Err(Reason::DatesReversed);
        }
        if id.is_empty() {
            return Err(Reason::StatementIdMissing);
        }
        let (opening, closing) = (message.opening_balance, message.closing_balance);
        let sequence = message.sequence;
        Ok(Statement { account, id, from, to, opening, closing, sequence, original, salt })
    }
}

/// What is signed and sent, built from parts: the counterpart of [`Instruction::decode`].
#[derive(Clone, Debug)]
pub struct Draft {
    /// The instruction's bytes.
    pub instruction: Bytes,
    /// The items' bytes, when it is a batch.
    pub items: Vec<Bytes>,
}

impl Draft {
    /// An instruction whose body has no items.
    pub fn new(
        id: InstructionId,
        institution: &Bic,
        valid_until_ms: u64,
        body: v1::instruction::Body,
    ) -> Draft {
        let message = v1::Instruction {
            id: Bytes::copy_from_slice(id.as_bytes()),
            institution: institution.as_str().to_owned(),
            valid_until_ms,
            anchor_height: 0,
            anchor: Bytes::new(),
            body: Some(body),
        };
        Draft { instruction: message.encode_to_vec().into(), items: Vec::new() }
    }

    /// An instruction over a batch of transfers.
    pub fn transfers(
        id: InstructionId,
        institution: &Bic,
        valid_until_ms: u64,
        transfers: &[v1::Transfer],
        all_or_nothing: bool,
    ) -> Draft {
        let (batch, items) = batch(transfers, all_or_nothing);
        let body = v1::instruction::Body::Transfers(batch);
        Draft { items, ..Draft::new(id, institution, valid_until_ms, body) }
    }

    /// An instruction over a batch of book entries.
    pub fn book_entries(
        id: InstructionId,
        institution: &Bic,
        valid_until_ms: u64,
        entries: &[v1::BookEntry],
    ) -> Draft {
        let (batch, items) = batch(entries, false);
        let body = v1::instruction::Body::BookEntries(batch);
        Draft { items, ..Draft::new(id, institution, valid_until_ms, body) }
    }

    /// Signs it for a chain.
    pub fn sign(
        self,
        signer: &dyn Signer,
        chain_id: &Hash,
    ) -> Result<v1::SignedInstruction, SignerError> {
        let preimage = signature::preimage(Label::Instruction, chain_id, &self.instruction);
        let value = signer.sign(&preimage)?;
        let signature = v1::Signature {
            key_id: Bytes::copy_from_slice(signer.key_id().as_bytes()),
            value: Bytes::copy_from_slice(&value),
        };
        Ok(v1::SignedInstruction {
            instruction: self.instruction,
            items: self.items,
            signatures: vec![signature],
        })
    }
}

fn batch<M: Message>(messages: &[M], all_or_nothing: bool) -> (v1::Batch, Vec<Bytes>) {
    let items: Vec<Bytes> = messages.iter().map(|message| message.encode_to_vec().into()).collect();
    let root = merkle::root_of(items.iter().map(|item| merkle::leaf_hash(item)));
    let batch = v1::Batch {
        count: u32::try_from(items.len()).unwrap_or(u32::MAX),
        items_root: Bytes::copy_from_slice(root.as_bytes()),
        all_or_nothing,
    };
    (batch, items)
}
