//! What happens to an account's reconciliation, told from the effects of the ledger's leaves, those of
//! work that was due included. The state knows how findings stand now; what they were follows from the
//! effect, from the positions that they carry and from the steps of the work on them.

use std::collections::VecDeque;
use std::sync::Arc;

use counterfoil_ledger::account::Account;
use counterfoil_ledger::block::Position;
use counterfoil_ledger::matching::pair::Category;
use counterfoil_ledger::reconciliation::effect;
use counterfoil_ledger::reconciliation::effect::Effect;
use counterfoil_ledger::reconciliation::effect::Kind;
use counterfoil_ledger::reconciliation::finding::Class;
use counterfoil_ledger::reconciliation::finding::Says;
use counterfoil_ledger::reconciliation::pass::Pass;
use counterfoil_ledger::reconciliation::work::WorkState;
use counterfoil_proto::v1;
use counterfoil_proto::v1::watch_reconciliation_response::Event;
use tokio::sync::watch::Receiver;
use tokio::time::Instant;
use tonic::Status;

use super::breaks;
use super::closed::Closed;
use super::findings::Found;
use super::findings::Telling;
use super::findings::time_ms;
use crate::api::page::Budget;
use crate::api::reading;
use crate::api::reading::View;
use crate::api::render;
use crate::api::status;
use crate::api::transfers::TransferReader;
use crate::api::watch;
use crate::api::watch::Heartbeat;
use crate::api::watch::Outlet;
use crate::consensus::replica::Replica;
use crate::limits;

/// Sends what happens to an account from a position on, for ever.
pub(super) async fn follow(
    replica: Arc<Replica>,
    account: Account,
    start: Option<Position>,
    mut heights: Receiver<u64>,
    outlet: Outlet<v1::WatchReconciliationResponse>,
) -> Result<(), Status> {
    let account = Arc::new(account);
    let mut heartbeat = Heartbeat::new();
    let mut place = Place::first(&replica, &account, start);
    loop {
        let height = *heights.borrow_and_update();
        loop {
            let (reader, owned) = (replica.clone(), account.clone());
            let read = move || Run::read(&reader, &owned, place, height, start);
            let run = reading::off_thread(read).await?;
            for event in run.events {
                outlet.send(Ok(event)).await.map_err(|_| status::stopping())?;
            }
            place = run.next;
            if let Some(end) = run.end
                && heartbeat.is_due(end.height, Instant::now())
            {
                let event = Some(Event::Heartbeat(end));
                let beat = v1::WatchReconciliationResponse { event, at: None };
                outlet.send(Ok(beat)).await.map_err(|_| status::stopping())?;
            }
            if place.is_behind(height) {
                break;
            }
        }
        let next = heartbeat.next(height).unwrap_or_else(Instant::now);
        tokio::select! {
            changed = heights.changed() => changed.map_err(|_| status::stopping())?,
            () = tokio::time::sleep_until(next) => {}
        }
    }
}

/// How far a watch has read.
struct Place {
    /// The first block that was not read.
    height: u64,
    /// What was read and is not told yet.
    pending: VecDeque<(Position, Effect)>,
}

impl Place {
    /// Before the first block in which anything can have happened to an account behind a position.
    fn first(replica: &Replica, account: &Account, start: Option<Position>) -> Place {
        let state = replica.state();
        let sheet = state.reconciliation().sheet(account.ordinal);
        let first = sheet.and_then(|sheet| sheet.first_position()).map(|it| it.height);
        // A sheet that has nothing yet gets its first in a block to come.
        let first = first.unwrap_or(state.height() + 1);
        let height = first.max(start.map_or(0, |start| start.height));
        Place { height, pending: VecDeque::new() }
    }

    fn is_behind(&self, height: u64) -> bool {
        self.pending.is_empty() && self.height > height
    }
}

/// What happened, as much of it as is sent at once.
struct Run {
    events: Vec<v1::WatchReconciliationResponse>,
    /// Everything to here was told with these events; none in the middle of a block.
    end: Option<v1::Position>,
    next: Place,
}

impl Run {
    /// Goes on from a place, up to a height, until there is enough to send.
    fn read(
        replica: &Arc<Replica>,
        account: &Account,
        mut next: Place,
        last: u64,
        start: Option<Position>,
    ) -> Result<Run, Status> {
        let mut budget = Budget::new();
        let mut events = Vec::new();
        let mut reader = TransferReader::new(replica);
        loop {
            let count = next.pending.len().min(limits::WATCH_BATCH - events.len());
            let batch: Vec<(Position, Effect)> = next.pending.drain(..count).collect();
            budget.spend(batch.len());
            tell(replica, account, batch, &mut reader, &mut events)?;
            let is_full = events.len() >= limits::WATCH_BATCH || budget.is_spent();
            if is_full || !next.pending.is_empty() || next.height > last {
                break;
            }
            next.pending = happened(replica, account, next.height, start, &mut budget)?;
            next.height += 1;
        }
        let end = match next.pending.is_empty() {
            // Without a block to read, everything to the last one was sent before.
            true => {
                let view = View::at(replica, next.height.saturating_sub(1).min(last))?;
                Some(watch::end_of(&view, start))
            }
            false => None,
        };
        Ok(Run { events, end, next })
    }
}

/// What a block did to an account behind a position, in ledger order: as much as is told.
fn happened(
    replica: &Replica,
    account: &Account,
    height: u64,
    after: Option<Position>,
    budget: &mut Budget,
) -> Result<VecDeque<(Position, Effect)>, Status> {
    let leaves = replica.store().leaves(height).map_err(|error| status::storage(&error))?;
    let leaves = leaves.ok_or_else(|| status::inconsistent("the leaves of a block"))?;
    budget.spend(leaves.len() + 1);
    let mut happened = VecDeque::new();
    for (leaf, record) in (0..).zip(&leaves) {
        let position = Position { height, leaf };
        if record.effects.is_empty() || after.is_some_and(|after| position <= after) {
            continue;
        }
        let all = effect::decode(&record.effects);
        for (id, effects) in all.ok_or_else(|| status::inconsistent("an effect"))? {
            if id == account.id {
                let told = effects.into_iter().filter(is_told);
                happened.extend(told.map(|effect| (position, effect)));
            }
        }
    }
    Ok(happened)
}

/// What only says what somebody ordered, how far a run is, or that days have closed, is not told; nor is
/// that a posting joins the break that it corrects, which happens in the step that ends it, and that is
/// told.
fn is_told(effect: &Effect) -> bool {
    match effect.kind {
        Kind::Recorded | Kind::RunGoesOn | Kind::TooMany | Kind::DaysClosed => false,
        Kind::BreakWorked => effect.items.iter().all(Vec::is_empty),
        _ => true,
    }
}

/// The class of the finding that an effect is about.
fn class(kind: Kind) -> Option<Class> {
    match kind {
        Kind::Matched | Kind::Unmatched => Some(Class::Match),
        Kind::Proposed | Kind::ProposalClosed => Some(Class::Proposal),
        Kind::BreakOpened | Kind::BreakChanged | Kind::BreakHealed | Kind::BreakWorked => {
            Some(Class::Break)
        }
        _ => None,
    }
}

fn tell(
    replica: &Replica,
    account: &Account,
    batch: Vec<(Position, Effect)>,
    reader: &mut TransferReader<'_>,
    events: &mut Vec<v1::WatchReconciliationResponse>,
) -> Result<(), Status> {
    if batch.is_empty() {
        return Ok(());
    }
    let found = {
        let state = replica.state();
        let sheet = state.reconciliation().sheet(account.ordinal);
        let of = |effect: &Effect| {
            let (sheet, class) = (sheet?, class(effect.kind)?);
            let finding = sheet.finding(class, effect.number)?;
            Some(Found::of(&state, account, sheet, finding))
        };
        batch.iter().map(|(_, effect)| of(effect)).collect::<Vec<Option<Found>>>()
    };
    let closed = Closed::of(replica, account);
    for ((at, effect), found) in batch.into_iter().zip(found) {
        // What happened to it was told once, so a finding that is not there any more has closed.
        let found = match (found, class(effect.kind)) {
            (Some(found), _) => Some(found.whole(&closed)?),
            (None, Some(class)) => Some(closed.found(class, effect.number)?),
            (None, None) => None,
        };
        let now_ms = time_ms(replica, at.height)?;
        let telling = Telling { replica, account, now_ms };
        let event = match found {
            Some(found) => told(&telling, reader, found, &effect, at)?,
            None => Event::Position(position_event(&effect)?),
        };
        let at = Some(render::position(at));
        events.push(v1::WatchReconciliationResponse { event: Some(event), at });
    }
    Ok(())
}

/// A finding as it stood behind an effect.
fn told(
    telling: &Telling<'_>,
    reader: &mut TransferReader<'_>,
    mut found: Found,
    effect: &Effect,
    at: Position,
) -> Result<Event, Status> {
    let is_end = matches!(effect.kind, Kind::Unmatched | Kind::ProposalClosed | Kind::BreakHealed);
    found.finding.closed_at = is_end.then_some(at);
    match effect.kind {
        Kind::Matched => Ok(Event::Matched(telling.matched(&found)?)),
        Kind::Unmatched => Ok(Event::Undone(telling.matched(&found)?)),
        Kind::Proposed => {
            made(&mut found, effect)?;
            Ok(Event::Proposed(telling.proposal(&found)?))
        }
        Kind::ProposalClosed => Ok(Event::Closed(telling.proposal(&found)?)),
        _ => {
            rewind(&mut found, telling.account, reader, effect, at)?;
            let told = telling.broken(&found)?;
            Ok(match effect.kind {
                Kind::BreakOpened => Event::Opened(told),
                Kind::BreakHealed => Event::Healed(told),
                _ => Event::Changed(told),
            })
        }
    }
}

/// Puts a break and the work on it back to what they were behind an effect.
fn rewind(
    found: &mut Found,
    account: &Account,
    reader: &mut TransferReader<'_>,
    effect: &Effect,
    at: Position,
) -> Result<(), Status> {
    let work = found.work.take().ok_or_else(|| status::inconsistent("the work on a break"))?;
    let mut then = breaks::work_at(work, account, reader, at)?;
    match effect.kind {
        Kind::BreakWorked => {
            let state = WorkState::from_number(effect.code);
            then.state = state.ok_or_else(|| status::inconsistent("the state of a break"))?;
            found.finding.closed_at = then.state.is_ended().then_some(at);
        }
        Kind::BreakHealed => then.heal(),
        _ => {
            let category = Category::from_number(effect.code);
            let category = category.ok_or_else(|| status::inconsistent("a category"))?;
            found.finding.says = Says::Break { category };
            found.keep_elsewhere(category);
        }
    }
    found.work = Some(then);
    Ok(())
}

/// What a proposal said when it was made: who has confirmed it since is told by what it led to.
fn made(found: &mut Found, effect: &Effect) -> Result<(), Status> {
    let Says::Proposal { pass, confirmed_by } = &mut found.finding.says else {
        return Err(status::inconsistent("a proposal"));
    };
    *pass = Pass::from_number(effect.code).ok_or_else(|| status::inconsistent("a pass"))?;
    if *pass != Pass::Confirmed {
        *confirmed_by = 0;
    }
    Ok(())
}

fn position_event(effect: &Effect) -> Result<v1::PositionEvent, Status> {
    let change = match effect.kind {
        Kind::PositionSigned => v1::PositionChange::Signed,
        Kind::PositionAgreed => v1::PositionChange::Agreed,
        Kind::PositionOutdated => v1::PositionChange::Outdated,
        _ => return Err(status::inconsistent("what happened to a position")),
    };
    Ok(v1::PositionEvent {
        date: u32::try_from(effect.number).map_err(|_| status::inconsistent("a date"))?,
        change: change.into(),
        party: i32::from(effect.code),
    })
}
