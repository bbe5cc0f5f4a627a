//! One break, with everything that was said of it. The ledger knows where the steps stand; what they
//! say is in the instructions.

use std::sync::Arc;

use counterfoil_ledger::account::Account;
use counterfoil_ledger::agreement::Party;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::block::Position;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::reason::Reason;
use counterfoil_ledger::reconciliation::finding::Class;
use counterfoil_ledger::reconciliation::orders::Action;
use counterfoil_ledger::reconciliation::orders::WorkBreak;
use counterfoil_ledger::reconciliation::work::Agreed;
use counterfoil_ledger::reconciliation::work::Hand;
use counterfoil_ledger::reconciliation::work::Work;
use counterfoil_ledger::reconciliation::work::WorkState;
use counterfoil_proto::v1;
use tonic::Status;

use super::as_of;
use super::closed::Closed;
use super::findings::Found;
use super::findings::Telling;
use crate::api::render;
use crate::api::status;
use crate::api::transfers::TransferReader;
use crate::consensus::replica::Replica;

/// A break as it stands, and the steps of the work on it.
pub(super) fn get(
    replica: &Arc<Replica>,
    account: &Account,
    number: u64,
) -> Result<v1::GetBreakResponse, Status> {
    let nothing = || status::not_found("break");
    let (as_of, found) = {
        let state = replica.state();
        let sheet = state.reconciliation().sheet(account.ordinal).ok_or_else(nothing)?;
        let found = sheet.finding(Class::Break, number);
        if found.is_none() && !sheet.is_closed_finding(Class::Break, number) {
            return Err(nothing());
        }
        (as_of(&state), found.map(|finding| Found::of(&state, account, sheet, finding)))
    };
    let closed = Closed::of(replica, account);
    let found = match found {
        Some(found) => found.whole(&closed)?,
        None => closed.found(Class::Break, number)?,
    };
    let mut reader = TransferReader::new(replica);
    let steps = found.work.iter().flat_map(|work| &work.steps);
    let steps = steps.map(|at| step(&mut reader, account, *at)).collect::<Result<_, _>>()?;
    let telling = Telling { replica, account, now_ms: as_of.block_time_ms };
    let told = telling.broken(&found)?;
    Ok(v1::GetBreakResponse { found: Some(told), steps, as_of: Some(as_of) })
}

/// The step at a position.
fn step(
    reader: &mut TransferReader<'_>,
    account: &Account,
    position: Position,
) -> Result<v1::BreakStep, Status> {
    let (instruction, block_time_ms) = reader.instruction(position)?;
    let Some(v1::instruction::Body::WorkBreak(step)) = &instruction.body else {
        return Err(status::inconsistent("a step of the work on a break"));
    };
    let by = Bic::parse(&instruction.institution).ok().and_then(|it| party(account, &it));
    Ok(v1::BreakStep {
        by: by.map_or(0, |party| party.message().into()),
        instruction_id: instruction.id.clone(),
        position: Some(render::position(position)),
        block_time_ms,
        step: Some(step.as_ref().clone()),
    })
}

/// Which party of what is agreed about an account an institution is.
pub(super) fn party(account: &Account, institution: &Bic) -> Option<Party> {
    if account.servicer == *institution {
        Some(Party::Servicer)
    } else if account.owner == *institution {
        Some(Party::Owner)
    } else {
        None
    }
}

/// The work on a break as it was behind a position: its steps until then, done again where there were
/// later ones.
pub(super) fn work_at(
    work: Work,
    account: &Account,
    reader: &mut TransferReader<'_>,
    at: Position,
) -> Result<Work, Status> {
    let is_past = work.steps.last().is_none_or(|last| *last <= at);
    if is_past && work.state != WorkState::Healed {
        return Ok(work);
    }
    let mut then = Work::default();
    for position in work.steps.iter().take_while(|position| **position <= at) {
        let (instruction, _) = reader.instruction(*position)?;
        do_again(&mut then, account, instruction)
            .map_err(|_| status::inconsistent("a step of the work on a break"))?;
        then.steps.push(*position);
    }
    Ok(then)
}

fn do_again(
    work: &mut Work,
    account: &Account,
    instruction: &v1::Instruction,
) -> Result<(), Reason> {
    let Some(v1::instruction::Body::WorkBreak(step)) = &instruction.body else {
        return Err(Reason::BodyMissing);
    };
    let institution = Bic::parse(&instruction.institution).map_err(|_| Reason::BicMalformed)?;
    let party = party(account, &institution).ok_or(Reason::PartyMissing)?;
    match WorkBreak::of(step.as_ref().clone())?.action {
        Action::Assign(to) => work.assign(to),
        Action::Say => work.say(party),
        // With which key does not matter any more.
        Action::Propose(offer) => work.propose(Hand { party, key_id: Hash::ZERO }, offer),
        Action::Agree(offer, transfer) => {
            let pays_later = offer.transfer.is_some() && transfer.is_none();
            work.agree(if pays_later { Agreed::PayerIsNext } else { Agreed::Ended });
            Ok(())
        }
        Action::Decline => work.decline(party),
        Action::Reopen => work.reopen(party),
    }
}
