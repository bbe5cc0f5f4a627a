//! Finding ids, transfers and movements, in the tail and in the runs.

use std::ops::ControlFlow;

use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::block::IdRecord;
use counterfoil_ledger::block::Movement;
use counterfoil_ledger::block::Position;
use counterfoil_ledger::id::InstructionId;
use counterfoil_ledger::uetr::Uetr;
use rocksdb::Direction;

use super::super::runs::Index;
use super::super::runs::RowRange;
use super::super::runs::RunView;
use super::RECORDS;
use super::StateStore;
use super::StorageError;
use super::rows;
use super::tail::Tail;

/// The first place of the ledger.
const FIRST: Position = Position { height: 0, leaf: 0 };

impl StateStore {
    /// What an institution's id was decided as, however long ago.
    pub fn find_id(
        &self,
        institution: &Bic,
        id: &InstructionId,
    ) -> Result<Option<IdRecord>, StorageError> {
        let (in_tail, runs) =
            self.inner.cut(|memory| memory.tails().find_map(|tail| tail.id(institution, id)));
        if in_tail.is_some() {
            return Ok(in_tail);
        }
        let mut found = None;
        let key = rows::id_key(institution, id);
        let _ = runs.visit_key(Index::Id, &key, |row| {
            found = Some(rows::read_id(row));
            ControlFlow::Break(())
        })?;
        found.map(|record| record.ok_or_else(|| damaged(Index::Id))).transpose()
    }

    /// A reconciliation record of the archive, by its key. It is there as soon as the state shows that
    /// what it holds has closed, and never changes.
    pub fn archived(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        let in_tail = {
            let memory = self.inner.memory();
            memory.tails().find_map(|tail| tail.archived(key)).map(<[u8]>::to_vec)
        };
        match in_tail {
            Some(value) => Ok(Some(value)),
            // What was in no tail is on disk, or is not.
            None => Ok(self.inner.database.get(RECORDS, key)?.map(|value| value.to_vec())),
        }
    }

    /// The ids that were made at or after a time (Unix ms, by their own clock), in ledger order.
    pub fn recent_ids(&self, since_ms: u64) -> Result<Vec<IdRecord>, StorageError> {
        let is_recent = |record: &IdRecord| record.id.time_ms() >= since_ms;
        let (in_tail, runs) = self.inner.cut(|memory| {
            let ids = memory.tails().flat_map(|tail| tail.ids());
            ids.copied().filter(is_recent).collect::<Vec<_>>()
        });
        let mut range = RowRange::of_keys(&[0; 27], &[u8::MAX; 27]);
        range.zones = since_ms..=u64::MAX;
        let mut records = collect(&runs, Index::Id, &range, usize::MAX, rows::read_id, is_recent)?;
        records.extend(in_tail);
        records.sort_unstable_by_key(|record| record.position);
        Ok(records)
    }

    /// Settled transfers with a UETR, in ledger order.
    pub fn find_uetr(&self, uetr: &Uetr) -> Result<Vec<Position>, StorageError> {
        let found = self.find_uetrs(std::slice::from_ref(uetr))?;
        Ok(found.into_iter().next().unwrap_or_default())
    }

    /// `find_uetr` for several at once.
    pub(super) fn find_uetrs(&self, uetrs: &[Uetr]) -> Result<Vec<Vec<Position>>, StorageError> {
        let (in_tail, runs) = self.inner.cut(|memory| {
            let tails = |uetr| memory.tails().flat_map(move |tail| tail.uetr(uetr));
            uetrs.iter().map(|uetr| tails(uetr).collect()).collect::<Vec<Vec<_>>>()
        });
        let pairs = uetrs.iter().zip(in_tail);
        pairs
            .map(|(uetr, later)| {
                let range = RowRange::of_keys(uetr.as_bytes(), uetr.as_bytes());
                let read = rows::read_place;
                let mut found = collect(&runs, Index::Uetr, &range, usize::MAX, read, |_| true)?;
                found.extend(later);
                Ok(found)
            })
            .collect()
    }

    /// Movements of an account behind a position (from the first one without it) up to a height,
    /// in ledger order.
    pub fn movements(
        &self,
        account: u32,
        after: Option<Position>,
        up_to_height: u64,
        limit: usize,
    ) -> Result<Vec<Movement>, StorageError> {
        let Some(from) = after.map_or(Some(FIRST), next) else { return Ok(Vec::new()) };
        let to = Position { height: up_to_height, leaf: u32::MAX };
        if from > to {
            return Ok(Vec::new());
        }
        let (in_tail, runs) = self.inner.cut(|memory| {
            let movements =
                memory.tails().flat_map(|tail| between(tail.movements(account), from, to));
            movements.take(limit).copied().collect::<Vec<_>>()
        });
        let (least, greatest) =
            (rows::movement_key(account, from), rows::movement_key(account, to));
        let mut range = RowRange::of_keys(&least, &greatest);
        range.heights = from.height..=to.height;
        let mut movements =
            collect(&runs, Index::Movement, &range, limit, rows::read_movement, |_| true)?;
        let room = limit - movements.len();
        movements.extend(in_tail.into_iter().take(room));
        Ok(movements)
    }

    /// The last movement of an account at or before a height: its balance is the account's then.
    /// None if there was none.
    pub fn balance_at(&self, account: u32, height: u64) -> Result<Option<Movement>, StorageError> {
        let to = Position { height, leaf: u32::MAX };
        let (in_tail, runs) = self.inner.cut(|memory| {
            let last_of = |tail: &Tail| between(tail.movements(account), FIRST, to).last().copied();
            memory.tails().rev().find_map(last_of)
        });
        if in_tail.is_some() {
            return Ok(in_tail);
        }
        let (least, greatest) =
            (rows::movement_key(account, FIRST), rows::movement_key(account, to));
        let mut range = RowRange::of_keys(&least, &greatest);
        range.heights = 0..=height;
        let mut found = None;
        let _ = runs.visit(Index::Movement, &range, Direction::Reverse, |row| {
            found = Some(rows::read_movement(row));
            ControlFlow::Break(())
        })?;
        found.map(|movement| movement.ok_or_else(|| damaged(Index::Movement))).transpose()
    }
}

/// What is read from the rows in a range and wanted, in ledger order, up to the limit.
fn collect<T>(
    runs: &RunView,
    index: Index,
    range: &RowRange<'_>,
    limit: usize,
    read: impl Fn(&[u8]) -> Option<T>,
    is_wanted: impl Fn(&T) -> bool,
) -> Result<Vec<T>, StorageError> {
    let mut found = Vec::new();
    let mut all_right = true;
    let _ = runs.visit(index, range, Direction::Forward, |row| {
        if found.len() >= limit {
            return ControlFlow::Break(());
        }
        match read(row) {
            Some(item) if is_wanted(&item) => found.push(item),
            Some(_) => {}
            None => {
                all_right = false;
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    if all_right { Ok(found) } else { Err(damaged(index)) }
}

/// The movements from one place to another, both included.
fn between(movements: &[Movement], from: Position, to: Position) -> &[Movement] {
    let first = movements.partition_point(|movement| movement.position < from);
    let end = movements.partition_point(|movement| movement.position <= to);
    movements.get(first..end).unwrap_or_default()
}

/// The place after this one.
fn next(position: Position) -> Option<Position> {
    match position.leaf.checked_add(1) {
        Some(leaf) => Some(Position { leaf, ..position }),
        None => Some(Position { height: position.height.checked_add(1)?, leaf: 0 }),
    }
}

fn damaged(index: Index) -> StorageError {
    StorageError::corrupt("an index", format!("a row of {index:?} cannot be read"))
}
