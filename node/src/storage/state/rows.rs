//! The rows of the indices, and what is read from them. Their layout is drawn at
//! [`Index`](super::super::runs::Index).

use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::block::IdRecord;
use counterfoil_ledger::block::Movement;
use counterfoil_ledger::block::Position;
use counterfoil_ledger::block::Side;
use counterfoil_ledger::date::Date;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::id::InstructionId;

/// The key of an instruction id.
pub(super) fn id_key(institution: &Bic, id: &InstructionId) -> [u8; 27] {
    let mut key = [0; 27];
    key[..11].copy_from_slice(institution.as_str().as_bytes());
    key[11..].copy_from_slice(id.as_bytes());
    key
}

/// Appends the row of an id.
pub(super) fn push_id(rows: &mut Vec<u8>, record: &IdRecord) {
    rows.extend(id_key(&record.institution, &record.id));
    rows.extend(record.instruction_hash.as_bytes());
    push_position(rows, record.position);
}

/// Reads the row of an id; none if it is damaged.
pub(super) fn read_id(row: &[u8]) -> Option<IdRecord> {
    let (institution, rest) = row.split_at_checked(11)?;
    let (id, rest) = rest.split_at_checked(16)?;
    let (hash, position) = rest.split_at_checked(32)?;
    Some(IdRecord {
        institution: Bic::parse(std::str::from_utf8(institution).ok()?).ok()?,
        id: InstructionId::from_bytes(id).ok()?,
        instruction_hash: Hash::from_slice(hash)?,
        position: read_position(position)?,
    })
}

/// Appends the row of a UETR or of a reference key.
pub(super) fn push_place(rows: &mut Vec<u8>, key: &[u8], position: Position) {
    rows.extend(key);
    push_position(rows, position);
}

/// Reads where the row of a UETR or of a reference key points to; none if it is damaged.
pub(super) fn read_place(row: &[u8]) -> Option<Position> {
    read_position(&row[row.len().checked_sub(12)?..])
}

/// The key of a movement.
pub(super) fn movement_key(account: u32, position: Position) -> [u8; 16] {
    let mut key = [0; 16];
    key[..4].copy_from_slice(&account.to_be_bytes());
    key[4..12].copy_from_slice(&position.height.to_be_bytes());
    key[12..].copy_from_slice(&position.leaf.to_be_bytes());
    key
}

/// Appends the row of a movement.
pub(super) fn push_movement(rows: &mut Vec<u8>, movement: &Movement) {
    rows.extend(movement_key(movement.account, movement.position));
    rows.extend(movement.sequence.to_be_bytes());
    rows.push(movement.side as u8);
    rows.extend(movement.amount.to_be_bytes());
    rows.extend(movement.date.yyyymmdd().to_be_bytes());
    rows.extend(movement.balance.to_be_bytes());
}

/// Reads the row of a movement; none if it is damaged.
pub(super) fn read_movement(row: &[u8]) -> Option<Movement> {
    let (account, rest) = row.split_first_chunk()?;
    let (position, rest) = rest.split_at_checked(12)?;
    let (sequence, rest) = rest.split_first_chunk()?;
    let ([side], rest) = rest.split_first_chunk()?;
    let (amount, rest) = rest.split_first_chunk()?;
    let (date, balance) = rest.split_first_chunk()?;
    Some(Movement {
        account: u32::from_be_bytes(*account),
        position: read_position(position)?,
        sequence: u64::from_be_bytes(*sequence),
        side: Side::from_number(*side)?,
        amount: u64::from_be_bytes(*amount),
        date: Date::from_yyyymmdd(u32::from_be_bytes(*date)).ok()?,
        balance: i128::from_be_bytes(balance.try_into().ok()?),
    })
}

fn push_position(rows: &mut Vec<u8>, position: Position) {
    rows.extend(position.height.to_be_bytes());
    rows.extend(position.leaf.to_be_bytes());
}

fn read_position(bytes: &[u8]) -> Option<Position> {
    let (height, leaf) = bytes.split_first_chunk()?;
    let leaf = u32::from_be_bytes(leaf.try_into().ok()?);
    Some(Position { height: u64::from_be_bytes(*height), leaf })
}
