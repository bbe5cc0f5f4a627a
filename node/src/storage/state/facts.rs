//! What apply asks for before it decides.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use counterfoil_ledger::block::Facts;
use counterfoil_ledger::block::Position;
use counterfoil_ledger::block::TransferFact;
use counterfoil_ledger::block::Wants;
use counterfoil_ledger::date::Date;
use counterfoil_ledger::history;
use counterfoil_ledger::history::StoredBlock;
use counterfoil_ledger::instruction::Transfer;
use counterfoil_ledger::outcome::State;
use counterfoil_proto::v1;
use counterfoil_proto::v1::instruction::Body;
use prost::Message;

use super::StateStore;
use super::StorageError;

/// Transfers that were read, by place.
type Transfers = BTreeMap<Position, TransferFact>;

impl StateStore {
    /// Answers complete to the last block that was appended. What is nowhere costs a question to
    /// the tail and to the filter of each run.
    pub fn facts(&self, wants: &Wants) -> Result<Facts, StorageError> {
        let mut facts = Facts::default();
        let mut transfers = Transfers::new();

        let by_uetr = self.find_uetrs(&wants.uetrs)?;
        self.read_transfers(by_uetr.iter().flatten(), &mut transfers)?;

        for (uetr, places) in wants.uetrs.iter().zip(&by_uetr).filter(|found| !found.1.is_empty()) {
            facts.uetrs.insert(*uetr, at_places(&transfers, places).cloned().collect());
        }
        for height in &wants.headers {
            if let Some(header) = self.header(*height)? {
                facts.headers.insert(*height, (header.hash(), header.block_time_ms));
            }
        }
        Ok(facts)
    }

    /// Reads the transfers at these places that are not read yet, block by block: a batch of
    /// thousands of items is decoded once.
    fn read_transfers<'a>(
        &self,
        places: impl Iterator<Item = &'a Position>,
        transfers: &mut Transfers,
    ) -> Result<(), StorageError> {
        let places: BTreeSet<Position> =
            places.filter(|place| !transfers.contains_key(place)).copied().collect();
        let places: Vec<Position> = places.into_iter().collect();
        for of_block in places.chunk_by(|left, right| left.height == right.height) {
            let block = self.block(of_block[0].height)?;
            let Some(block) = block else { return Err(astray(of_block[0])) };
            let mut opened = None;
            for place in of_block {
                let fact = read_transfer(&block, *place, &mut opened);
                transfers.insert(*place, fact.ok_or_else(|| astray(*place))?);
            }
        }
        Ok(())
    }
}

/// An instruction of a block, decoded: its place in the proposal, its items, and what it orders.
type Opened = (u32, v1::SignedInstruction, Body);

/// The settled transfer at a place. `opened` keeps the instruction for the next place.
fn read_transfer(
    block: &StoredBlock,
    place: Position,
    opened: &mut Option<Opened>,
) -> Option<TransferFact> {
    let record = block.leaves.get(usize::try_from(place.leaf).ok()?)?;
    if record.outcome.state != State::Settled {
        return None;
    }
    if opened.as_ref().is_none_or(|(instruction, ..)| *instruction != record.instruction) {
        let bytes = block.proposal.instructions.get(usize::try_from(record.instruction).ok()?)?;
        let signed = v1::SignedInstruction::decode(bytes.clone()).ok()?;
        let body = v1::Instruction::decode(signed.instruction.clone()).ok()?.body?;
        *opened = Some((record.instruction, signed, body));
    }
    let (_, signed, body) = opened.as_ref()?;
    let message = match (body, record.item) {
        (Body::Transfer(transfer), 0) => transfer.clone(),
        (Body::WorkBreak(step), 0) => history::paid_by(step)?,
        (Body::Transfers(_), item) => {
            let item = usize::try_from(item.checked_sub(1)?).ok()?;
            v1::Transfer::decode(signed.items.get(item)?.clone()).ok()?
        }
        _ => return None,
    };
    let transfer = Transfer::of(message).ok()?;
    let posted = Date::from_unix_ms(block.header.block_time_ms);
    Some(TransferFact {
        position: place,
        debit: transfer.debit,
        credit: transfer.credit,
        amount: transfer.amount,
        date: transfer.settlement_date.unwrap_or(posted),
        uetr: transfer.uetr,
        end_to_end_id: transfer.end_to_end_id,
    })
}

fn at_places<'a>(
    transfers: &'a Transfers,
    places: &'a [Position],
) -> impl Iterator<Item = &'a TransferFact> {
    places.iter().filter_map(|place| transfers.get(place))
}

fn astray(place: Position) -> StorageError {
    let Position { height, leaf } = place;
    StorageError::corrupt("an index", format!("no transfer settled at {height}.{leaf}"))
}
