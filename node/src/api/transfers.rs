//! Transfers as they were instructed, read from stored blocks. What was opened last stays open:
//! neighbours in a list come from one block, and often from one batch.

use std::sync::Arc;

use bytes::Bytes;
use counterfoil_ledger::account::Account;
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::block::LeafRecord;
use counterfoil_ledger::block::NO_INSTRUCTION;
use counterfoil_ledger::block::Position;
use counterfoil_ledger::date::Date;
use counterfoil_ledger::history;
use counterfoil_ledger::history::StoredBlock;
use counterfoil_ledger::outcome::State;
use counterfoil_proto::v1;
use prost::Message;
use prost::encoding::WireType;
use prost::encoding::decode_key;
use prost::encoding::decode_varint;
use tonic::Status;

use super::render;
use super::status;
use super::visibility::Scope;
use crate::consensus::answer;
use crate::consensus::replica::Replica;

/// Reads transfers.
pub(super) struct TransferReader<'a> {
    replica: &'a Replica,
    block: Option<Arc<StoredBlock>>,
    opened: Option<Opened>,
}

/// One instruction of the open block.
struct Opened {
    /// Its place in the proposal.
    number: u32,
    /// A SignedInstruction.
    signed: Bytes,
    instruction: v1::Instruction,
    items: Items,
}

/// The items of a batch. A page of an account often has one of each batch, and a batch has thousands:
/// the first is found among them, and only who asks for a second one has all of them decoded.
enum Items {
    Unread,
    Searched,
    Read(Vec<Bytes>),
}

/// Field of SignedInstruction: the instruction.
const INSTRUCTION: u32 = 1;

/// Field of SignedInstruction: an item.
const ITEM: u32 = 2;

/// The value of a field of a message of bytes alone, by the place among those of its number.
fn field(message: &Bytes, number: u32, place: usize) -> Option<Bytes> {
    let mut rest = &message[..];
    let mut before = place;
    while !rest.is_empty() {
        let (found, WireType::LengthDelimited) = decode_key(&mut rest).ok()? else { return None };
        let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
        let (value, after) = rest.split_at_checked(length)?;
        if found == number {
            let Some(fewer) = before.checked_sub(1) else { return Some(message.slice_ref(value)) };
            before = fewer;
        }
        rest = after;
    }
    None
}

/// A transfer, settled or refused.
pub(super) struct Found {
    /// As it was signed.
    pub(super) transfer: v1::Transfer,
    position: Position,
    instruction_id: Bytes,
    sender: Bic,
    leaf: LeafRecord,
    block_time_ms: u64,
}

impl<'a> TransferReader<'a> {
    /// Reads from a node's store.
    pub(super) fn new(replica: &'a Replica) -> TransferReader<'a> {
        TransferReader { replica, block: None, opened: None }
    }

    /// The block at a height.
    pub(super) fn block(&mut self, height: u64) -> Result<Arc<StoredBlock>, Status> {
        if let Some(block) = self.block.as_ref().filter(|block| block.header.height == height) {
            return Ok(block.clone());
        }
        let block = self
            .replica
            .store()
            .block(height)
            .map_err(|error| status::storage(&error))?
            .ok_or_else(|| status::inconsistent("a block"))?;
        self.block = Some(block.clone());
        self.opened = None;
        Ok(block)
    }

    /// The transfer of a leaf, if it is one.
    pub(super) fn find(&mut self, position: Position) -> Result<Option<Found>, Status> {
        let block = self.block(position.height)?;
        let leaf = usize::try_from(position.leaf).ok().and_then(|place| block.leaves.get(place));
        let leaf = leaf.ok_or_else(|| status::inconsistent("a leaf"))?;
        if leaf.instruction == NO_INSTRUCTION {
            return Ok(None);
        }
        let opened = self.open(&block, leaf.instruction)?;
        let Some(transfer) = opened.transfer(leaf.item) else { return Ok(None) };
        let sender = Bic::parse(&opened.instruction.institution)
            .map_err(|_| status::inconsistent("a sender"))?;
        Ok(Some(Found {
            transfer,
            position,
            instruction_id: opened.instruction.id.clone(),
            sender,
            leaf: leaf.clone(),
            block_time_ms: block.header.block_time_ms,
        }))
    }

    /// The transfer of a leaf that an index names.
    pub(super) fn settled(&mut self, position: Position) -> Result<Found, Status> {
        self.find(position)?
            .filter(Found::is_settled)
            .ok_or_else(|| status::inconsistent("a settled transfer"))
    }

    /// The instruction of a leaf, and the time of its block in Unix milliseconds.
    pub(super) fn instruction(
        &mut self,
        position: Position,
    ) -> Result<(&v1::Instruction, u64), Status> {
        let block = self.block(position.height)?;
        let leaf = usize::try_from(position.leaf).ok().and_then(|place| block.leaves.get(place));
        let leaf = leaf.ok_or_else(|| status::inconsistent("a leaf"))?;
        let opened = self.open(&block, leaf.instruction)?;
        Ok((&opened.instruction, block.header.block_time_ms))
    }

    fn open(&mut self, block: &StoredBlock, number: u32) -> Result<&mut Opened, Status> {
        let is_open = self.opened.as_ref().is_some_and(|opened| opened.number == number);
        if !is_open {
            let opened = usize::try_from(number)
                .ok()
                .and_then(|place| block.proposal.instructions.get(place))
                .and_then(|signed| {
                    let instruction = field(signed, INSTRUCTION, 0)?;
                    let instruction = v1::Instruction::decode(instruction).ok()?;
                    let (signed, items) = (signed.clone(), Items::Unread);
                    Some(Opened { number, signed, instruction, items })
                })
                .ok_or_else(|| status::inconsistent("an instruction"))?;
            self.opened = Some(opened);
        }
        Ok(self.opened.as_mut().expect("it was opened above"))
    }
}

impl Opened {
    fn transfer(&mut self, item: u32) -> Option<v1::Transfer> {
        match (self.instruction.body.as_ref()?, item) {
            (v1::instruction::Body::Transfer(transfer), 0) => Some(transfer.clone()),
            (v1::instruction::Body::WorkBreak(step), 0) => history::paid_by(step),
            (v1::instruction::Body::Transfers(_), 1..) => {
                let item = self.item(usize::try_from(item - 1).ok()?)?;
                v1::Transfer::decode(item).ok()
            }
            _ => None,
        }
    }

    fn item(&mut self, place: usize) -> Option<Bytes> {
        match &self.items {
            Items::Unread => {
                self.items = Items::Searched;
                field(&self.signed, ITEM, place)
            }
            Items::Searched => {
                let items = v1::SignedInstruction::decode(self.signed.clone()).ok()?.items;
                let item = items.get(place).cloned();
                self.items = Items::Read(items);
                item
            }
            Items::Read(items) => items.get(place).cloned(),
        }
    }
}

impl Found {
    /// Whether it settled.
    pub(super) fn is_settled(&self) -> bool {
        self.leaf.outcome.state == State::Settled
    }

    /// Time of its block, Unix milliseconds.
    pub(super) fn block_time_ms(&self) -> u64 {
        self.block_time_ms
    }

    /// Its record, if the scope sees it.
    pub(super) fn record(
        self,
        replica: &Replica,
        scope: &Scope,
        filter: &Filter,
    ) -> Result<Option<v1::TransferRecord>, Status> {
        let settled = self.is_settled();
        let [debit, credit] = {
            let state = replica.state();
            let account = |id: &[u8]| state.account(&AccountId::from_bytes(id)?).cloned();
            [account(&self.transfer.debit_account), account(&self.transfer.credit_account)]
        };
        if !scope.sees_transfer(&self.sender, settled, [debit.as_ref(), credit.as_ref()]) {
            return Ok(None);
        }
        // A refused transfer may name accounts that are not its sender's to know.
        let known = |account: Option<Account>| {
            account.filter(|account| settled || scope.sees_account(account))
        };
        let (debit, credit) = (known(debit), known(credit));
        if !filter.admits(&self.sender, [debit.as_ref(), credit.as_ref()]) {
            return Ok(None);
        }
        let asset = debit.as_ref().or(credit.as_ref()).map(|account| account.asset.clone());
        let amount = i128::from(self.transfer.amount);
        let owner = |account: Option<Account>| {
            account.map_or_else(String::new, |account| account.owner.to_string())
        };
        let is_sender = scope.is(&self.sender);
        Ok(Some(v1::TransferRecord {
            institution: self.sender.to_string(),
            instruction_id: if is_sender { self.instruction_id } else { Bytes::new() },
            verdict: Some(answer::verdict(self.position, &self.leaf)),
            amount: asset.map(|asset| render::money(&asset, amount)).transpose()?,
            debtor: owner(debit),
            creditor: owner(credit),
            settlement_date: match (settled, self.transfer.settlement_date) {
                (false, _) => 0,
                (true, 0) => Date::from_unix_ms(self.block_time_ms).yyyymmdd(),
                (true, date) => date,
            },
            block_time_ms: self.block_time_ms,
            transfer: Some(self.transfer),
        }))
    }
}

/// Which transfers are asked for.
#[derive(Default)]
pub(super) struct Filter {
    /// Only those that it sends or receives.
    pub(super) institution: Option<Bic>,
    /// Only in this asset.
    pub(super) asset: String,
}

impl Filter {
    fn admits(&self, sender: &Bic, accounts: [Option<&Account>; 2]) -> bool {
        let accounts = || accounts.into_iter().flatten();
        let institution = self
            .institution
            .is_none_or(|asked| asked == *sender || accounts().any(|it| it.owner == asked));
        institution
            && (self.asset.is_empty() || accounts().any(|it| it.asset.as_str() == self.asset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_found_among_the_others() {
        let items: Vec<Bytes> = (0..300u16).map(|it| vec![7; usize::from(it)].into()).collect();
        let signed = v1::SignedInstruction {
            instruction: Bytes::from_static(b"what is signed"),
            items: items.clone(),
            signatures: vec![v1::Signature::default()],
        };
        let bytes = Bytes::from(signed.encode_to_vec());
        assert_eq!(field(&bytes, INSTRUCTION, 0), Some(signed.instruction));
        assert_eq!(field(&bytes, INSTRUCTION, 1), None);
        for (place, item) in items.iter().enumerate() {
            assert_eq!(field(&bytes, ITEM, place).as_ref(), Some(item));
        }
        assert_eq!(field(&bytes, ITEM, items.len()), None);
        assert_eq!(field(&bytes.slice(..bytes.len() - 1), ITEM, items.len()), None);
        let opened = || Opened {
            number: 0,
            signed: bytes.clone(),
            instruction: v1::Instruction::default(),
            items: Items::Unread,
        };
        for first in [0, 7, 299] {
            let mut opened = opened();
            for place in [first, 1, 299, 0] {
                assert_eq!(opened.item(place).as_ref(), items.get(place));
            }
            assert_eq!(opened.item(300), None);
        }
    }
}
