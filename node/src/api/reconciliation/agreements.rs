//! Agreements as they were at a height, for who may see them.

use bytes::Bytes;
use counterfoil_ledger::agreement::Agreement;
use counterfoil_ledger::agreement::AgreementId;
use counterfoil_ledger::agreement::AgreementState;
use counterfoil_ledger::agreement::Step;
use counterfoil_proto::v1;
use tonic::Status;

use crate::api::page::Page;
use crate::api::reading::View;
use crate::api::render;
use crate::api::status;
use crate::api::visibility::Scope;

/// A page of what a scope sees, in the order of the offers.
pub(super) fn list(view: &View, scope: &Scope, page: &Page) -> v1::ListAgreementsResponse {
    let after = page.after.map_or(0, |(number, _)| number);
    let mut found: Vec<(u64, v1::AgreementSummary)> = {
        let state = view.replica.state();
        let all = state.agreements();
        let seen: Box<dyn Iterator<Item = &Agreement>> = if scope.consortium {
            let skipped = usize::try_from(after).unwrap_or(usize::MAX);
            Box::new(all.all().iter().skip(skipped))
        } else {
            Box::new(all.of(&scope.institution, after))
        };
        // What was offered later than the page is of has a higher number than all that it shows.
        seen.map_while(|it| Some((it.number, summary(view, it)?))).take(page.size + 1).collect()
    };
    let more = found.len() > page.size;
    found.truncate(page.size);
    let last = found.last().filter(|_| more).map(|(number, _)| *number);
    v1::ListAgreementsResponse {
        agreements: found.into_iter().map(|(_, summary)| summary).collect(),
        next_page_token: last.map_or(String::new(), |number| page.token((number, 0))),
        as_of: Some(view.as_of()),
    }
}

/// One agreement. What is not there, or not the caller's, is told apart by nobody.
pub(super) fn get(
    view: &View,
    scope: &Scope,
    id: &AgreementId,
) -> Result<v1::GetAgreementResponse, Status> {
    let found = view.replica.state().agreements().get(id).cloned();
    let found = found.filter(|it| scope.sees_agreement(it));
    let found = found.and_then(|it| Some((summary(view, &it)?, it.terms.message())));
    let (summary, terms) = found.ok_or_else(|| status::not_found("agreement"))?;
    let (summary, terms) = (Some(summary), Some(terms));
    Ok(v1::GetAgreementResponse { summary, terms, as_of: Some(view.as_of()) })
}

/// An agreement as it was; none if it was offered later.
fn summary(view: &View, it: &Agreement) -> Option<v1::AgreementSummary> {
    let height = view.height();
    let state = match it.state_at(height, view.header.block_time_ms)? {
        AgreementState::Proposed => v1::AgreementState::Proposed,
        AgreementState::Active => v1::AgreementState::Active,
        AgreementState::Rejected => v1::AgreementState::Rejected,
        AgreementState::Withdrawn => v1::AgreementState::Withdrawn,
        AgreementState::Expired => v1::AgreementState::Expired,
        AgreementState::Superseded => v1::AgreementState::Superseded,
    };
    let answered = it.answered.filter(|(_, step)| step.position.height <= height);
    let superseded = it.superseded.filter(|next| next.accepted_at.height <= height);
    Some(v1::AgreementSummary {
        id: Bytes::copy_from_slice(it.id.as_bytes()),
        state: state.into(),
        servicer: it.terms.servicer.to_string(),
        owner: it.terms.owner.to_string(),
        account_count: u32::try_from(it.terms.accounts.len()).unwrap_or(u32::MAX),
        effective_from: it.terms.effective_from.yyyymmdd(),
        accept_until_ms: it.accept_until_ms,
        proposed: Some(step(&it.proposed)),
        answered: answered.map(|(_, it)| step(&it)),
        superseded_by: superseded
            .map_or(Bytes::new(), |next| Bytes::copy_from_slice(next.id.as_bytes())),
    })
}

fn step(step: &Step) -> v1::AgreementStep {
    v1::AgreementStep {
        by: step.by.message().into(),
        instruction_id: Bytes::copy_from_slice(step.instruction.as_bytes()),
        position: Some(render::position(step.position)),
        block_time_ms: step.time_ms,
    }
}
