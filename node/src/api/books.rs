//! Matches and breaks as the API tells them. The state knows how they stand now; what they were at
//! a height follows from the positions that they carry, for a match is never undone and a break
//! opens and heals once.

use std::sync::Arc;

use counterfoil_ledger::account::Account;
use counterfoil_ledger::block::Position;
use counterfoil_ledger::reconciliation::Book;
use counterfoil_ledger::reconciliation::Break;
use counterfoil_ledger::reconciliation::EFFECT_LENGTH;
use counterfoil_ledger::reconciliation::Effect;
use counterfoil_ledger::reconciliation::Entry;
use counterfoil_ledger::reconciliation::LedgerItem;
use counterfoil_ledger::reconciliation::Reconciliation;
use counterfoil_ledger::reconciliation::Status as EntryStatus;
use counterfoil_proto::v1;
use counterfoil_proto::v1::watch_reconciliation_response::Event;
use tonic::Status;

use super::page::Budget;
use super::render;
use super::status;
use super::transfers::TransferReader;
use crate::consensus::replica::Replica;

/// A match, taken out of the state.
pub(super) struct FoundMatch {
    entry: Entry,
    item: LedgerItem,
    at: Position,
}

/// A break, taken out of the state, with its book's entry.
pub(super) struct FoundBreak {
    found: Break,
    entry: Option<Entry>,
}

/// Something that happened to an account's books.
pub(super) enum Happened {
    Matched(FoundMatch),
    Opened(FoundBreak),
    Healed(FoundBreak),
}

impl FoundMatch {
    /// The match of an entry, if it was matched at a height.
    pub(super) fn of(entry: &Entry, height: u64) -> Option<FoundMatch> {
        match entry.status {
            EntryStatus::Matched(item, at) if at.height <= height => {
                Some(FoundMatch { entry: entry.clone(), item, at })
            }
            _ => None,
        }
    }

    /// Number of its entry.
    pub(super) fn number(&self) -> u64 {
        self.entry.number
    }

    /// As the API has it.
    pub(super) fn render(
        &self,
        reader: &mut TransferReader<'_>,
        account: &Account,
    ) -> Result<v1::Match, Status> {
        Ok(v1::Match {
            ledger: Some(ledger_side(reader, account, &self.item)?),
            book: Some(render::book_side(&account.asset, &self.entry)?),
            matched_at: Some(render::position(self.at)),
        })
    }
}

impl FoundBreak {
    /// A break as it was at a height; none if it was not open yet.
    pub(super) fn of(
        reconciliation: &Reconciliation,
        account: u32,
        found: &Break,
        height: u64,
    ) -> Option<FoundBreak> {
        if found.opened_at.height > height {
            return None;
        }
        let mut found = found.clone();
        found.healed_at = found.healed_at.filter(|at| at.height <= height);
        let entry =
            found.entry.and_then(|number| entry(reconciliation, account, found.book, number));
        Some(FoundBreak { found, entry: entry.cloned() })
    }

    /// Its number.
    pub(super) fn number(&self) -> u64 {
        self.found.number
    }

    /// Whether it was healed.
    pub(super) fn is_healed(&self) -> bool {
        self.found.healed_at.is_some()
    }

    /// As the API has it.
    pub(super) fn render(
        &self,
        reader: &mut TransferReader<'_>,
        account: &Account,
    ) -> Result<v1::Break, Status> {
        let state = match self.found.healed_at {
            Some(_) => v1::BreakState::Healed,
            None => v1::BreakState::Open,
        };
        let ledger = self.found.ledger.as_ref();
        let entry = self.entry.as_ref();
        Ok(v1::Break {
            number: self.found.number,
            book: render::book(self.found.book),
            kind: render::break_kind(self.found.kind),
            state: i32::from(state),
            ledger: ledger.map(|item| ledger_side(reader, account, item)).transpose()?,
            entry: entry.map(|entry| render::book_side(&account.asset, entry)).transpose()?,
            opened_at: Some(render::position(self.found.opened_at)),
            healed_at: self.found.healed_at.map(render::position),
        })
    }
}

impl Happened {
    /// As the API has it.
    pub(super) fn render(
        &self,
        reader: &mut TransferReader<'_>,
        account: &Account,
    ) -> Result<Event, Status> {
        Ok(match self {
            Happened::Matched(found) => Event::Matched(found.render(reader, account)?),
            Happened::Opened(found) => Event::Opened(found.render(reader, account)?),
            Happened::Healed(found) => Event::Healed(found.render(reader, account)?),
        })
    }

    /// What an effect says, looked up in the state.
    fn of(
        reconciliation: &Reconciliation,
        account: u32,
        effect: Effect,
        at: Position,
    ) -> Option<Happened> {
        let numbered = |number: u64| {
            let place = usize::try_from(number.checked_sub(1)?).ok()?;
            reconciliation.breaks(account).get(place)
        };
        let snapshot = |found: &Break| FoundBreak::of(reconciliation, account, found, at.height);
        Some(match effect {
            Effect::Matched { book, entry: number, .. } => {
                let entry = entry(reconciliation, account, book, number)?;
                let EntryStatus::Matched(item, _) = entry.status else { return None };
                Happened::Matched(FoundMatch { entry: entry.clone(), item, at })
            }
            Effect::Opened { number, .. } => {
                // It may have been healed in the same block; then that is told next.
                let mut opened = snapshot(numbered(number)?)?;
                opened.found.healed_at = None;
                Happened::Opened(opened)
            }
            Effect::Healed { number, .. } => Happened::Healed(snapshot(numbered(number)?)?),
        })
    }
}

/// What happened to an account's books in a block, behind a position, in ledger order.
pub(super) fn happened(
    replica: &Arc<Replica>,
    account: &Account,
    height: u64,
    after: Option<Position>,
    budget: &mut Budget,
) -> Result<Vec<Happened>, Status> {
    let leaves = replica
        .store()
        .leaves(height)
        .map_err(|error| status::storage(&error))?
        .ok_or_else(|| status::inconsistent("the leaves of a block"))?;
    budget.spend(leaves.len() + 1);
    let mut effects = Vec::new();
    for (leaf, record) in (0..).zip(&leaves) {
        let position = Position { height, leaf };
        if record.effects.is_empty() || after.is_some_and(|after| position <= after) {
            continue;
        }
        for bytes in record.effects.chunks(EFFECT_LENGTH) {
            let (id, effect) =
                Effect::decode(bytes).ok_or_else(|| status::inconsistent("an effect"))?;
            if id == account.id {
                effects.push((position, effect));
            }
        }
    }
    if effects.is_empty() {
        return Ok(Vec::new());
    }
    let state = replica.state();
    effects
        .into_iter()
        .map(|(at, effect)| {
            Happened::of(state.reconciliation(), account.ordinal, effect, at)
                .ok_or_else(|| status::inconsistent("what an effect names"))
        })
        .collect()
}

fn entry(reconciliation: &Reconciliation, account: u32, book: Book, number: u64) -> Option<&Entry> {
    let place = usize::try_from(number.checked_sub(1)?).ok()?;
    reconciliation.book(account, book)?.entries().get(place)
}

fn ledger_side(
    reader: &mut TransferReader<'_>,
    account: &Account,
    item: &LedgerItem,
) -> Result<v1::LedgerSide, Status> {
    let found = reader.settled(item.position)?;
    Ok(v1::LedgerSide {
        position: Some(render::position(item.position)),
        side: render::side(item.side),
        amount: Some(render::money(&account.asset, i128::from(item.amount))?),
        date: item.date.yyyymmdd(),
        uetr: found.transfer.uetr,
        end_to_end_id: found.transfer.end_to_end_id,
    })
}
