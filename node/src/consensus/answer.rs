//! What a submitter is told: the decision on an instruction, from the block that made it.

use bytes::Bytes;
use counterfoil_ledger::block::LeafRecord;
use counterfoil_ledger::block::Position;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::id::InstructionId;
use counterfoil_ledger::outcome::State;
use counterfoil_ledger::reason::Reason;
use counterfoil_proto::v1;

/// A reason as the API gives it.
pub fn reason(reason: Reason) -> v1::Reason {
    v1::Reason {
        code: u32::from(reason.code()),
        name: reason.name().to_owned(),
        iso_code: reason.iso_code().to_owned(),
        remedy: reason.remedy().to_owned(),
    }
}

/// The verdict on one leaf.
pub fn verdict(position: Position, leaf: &LeafRecord) -> v1::Verdict {
    let state = match leaf.outcome.state {
        State::Settled => v1::State::Settled,
        State::Rejected => v1::State::Rejected,
        State::Recorded => v1::State::Recorded,
        State::Itemised => v1::State::Itemised,
    };
    v1::Verdict {
        state: i32::from(state),
        reason: leaf.outcome.reason.map(reason),
        position: Some(v1::Position { height: position.height, leaf: position.leaf }),
        first_posting: leaf.outcome.first_posting,
        posting_count: u32::from(leaf.outcome.posting_count),
        item_number: leaf.item,
    }
}

/// The instruction whose result is asked for.
pub struct Subject<'a> {
    /// Its id.
    pub id: &'a InstructionId,
    /// Its signer's BIC11.
    pub institution: &'a str,
    /// SHA-256 of its bytes.
    pub hash: &'a Hash,
}

/// The result of an instruction whose own leaf is at a position; its items' leaves follow it.
pub fn result(
    subject: &Subject<'_>,
    header: &Header,
    leaves: &[LeafRecord],
    position: Position,
    replayed: bool,
) -> Option<v1::InstructionResult> {
    let first = usize::try_from(position.leaf).ok()?;
    let own = leaves.get(first)?;
    let items = leaves[first + 1..]
        .iter()
        .take_while(|leaf| leaf.instruction == own.instruction)
        .zip(position.leaf + 1..)
        .map(|(leaf, number)| verdict(Position { leaf: number, ..position }, leaf))
        .collect();
    Some(v1::InstructionResult {
        id: Bytes::copy_from_slice(subject.id.as_bytes()),
        institution: subject.institution.to_owned(),
        instruction_hash: Bytes::copy_from_slice(subject.hash.as_bytes()),
        verdict: Some(verdict(position, own)),
        items,
        block_time_ms: header.block_time_ms,
        replayed,
        finality: v1::Finality::Ordered.into(),
    })
}
