//! What a node of a test answers about reconciliation.

use counterfoil_client::v1;
use counterfoil_client::v1::reconciliation_service_server::ReconciliationService;
use tonic::{Request, Status};

use crate::node::{Answer, Service, Stream, order};

fn as_of() -> Option<v1::AsOf> {
    Some(v1::AsOf { height: 9, ..v1::AsOf::default() })
}

/// A page of a list: its items and the token of the next page.
fn paged<T: Clone>(all: &[T], token: &str, size: u32) -> (Vec<T>, String) {
    let first: usize = token.parse().unwrap_or(0);
    let last = (first + size as usize).min(all.len());
    let next = if last < all.len() { last.to_string() } else { String::new() };
    (all[first..last].to_vec(), next)
}

#[tonic::async_trait]
impl ReconciliationService for Service {
    type WatchReconciliationStream = Stream<v1::WatchReconciliationResponse>;

    async fn list_matches(
        &self,
        request: Request<v1::ListMatchesRequest>,
    ) -> Answer<v1::ListMatchesResponse> {
        let asked = request.into_inner();
        let mut all = self.ledger().found.matches.clone();
        all.retain(|one| asked.comparison == 0 || one.comparison == asked.comparison);
        all.retain(|one| asked.include_undone || one.undone_at.is_none());
        let (matches, next_page_token) = paged(&all, &asked.page_token, asked.page_size);
        Ok(v1::ListMatchesResponse { matches, next_page_token, as_of: as_of() }.into())
    }

    async fn list_proposals(
        &self,
        request: Request<v1::ListProposalsRequest>,
    ) -> Answer<v1::ListProposalsResponse> {
        let asked = request.into_inner();
        let mut all = self.ledger().found.proposals.clone();
        all.retain(|one| asked.include_closed || one.closed_at.is_none());
        let (proposals, next_page_token) = paged(&all, &asked.page_token, asked.page_size);
        Ok(v1::ListProposalsResponse { proposals, next_page_token, as_of: as_of() }.into())
    }

    async fn list_breaks(
        &self,
        request: Request<v1::ListBreaksRequest>,
    ) -> Answer<v1::ListBreaksResponse> {
        let asked = request.into_inner();
        let mut all = self.ledger().found.breaks.clone();
        all.retain(|one| asked.include_ended || one.ended_at.is_none());
        let (breaks, next_page_token) = paged(&all, &asked.page_token, asked.page_size);
        Ok(v1::ListBreaksResponse { breaks, next_page_token, as_of: as_of() }.into())
    }

    async fn get_break(
        &self,
        request: Request<v1::GetBreakRequest>,
    ) -> Answer<v1::GetBreakResponse> {
        let number = request.into_inner().number;
        let ledger = self.ledger();
        // The last one stands for those that are not there: a node that lies.
        let found = ledger.found.breaks.iter().find(|one| one.number == number);
        let found = found.or(ledger.found.breaks.last()).cloned();
        let steps = ledger.found.steps.clone();
        Ok(v1::GetBreakResponse { found, steps, as_of: as_of() }.into())
    }

    async fn list_positions(
        &self,
        request: Request<v1::ListPositionsRequest>,
    ) -> Answer<v1::ListPositionsResponse> {
        let asked = request.into_inner();
        let last = if asked.to_date == 0 { u32::MAX } else { asked.to_date };
        let mut all = self.ledger().found.positions.clone();
        all.retain(|day| (asked.from_date..=last).contains(&day.date));
        let (positions, next_page_token) = paged(&all, &asked.page_token, asked.page_size);
        Ok(v1::ListPositionsResponse { positions, next_page_token, as_of: as_of() }.into())
    }

    async fn get_position(
        &self,
        request: Request<v1::GetPositionRequest>,
    ) -> Answer<v1::GetPositionResponse> {
        let date = request.into_inner().date;
        let ledger = self.ledger();
        let found = ledger.found.positions.iter().find(|day| day.date == date);
        let day = found.or(ledger.found.positions.last()).cloned();
        Ok(v1::GetPositionResponse { day, as_of: as_of() }.into())
    }

    async fn explain_item(
        &self,
        _: Request<v1::ExplainItemRequest>,
    ) -> Answer<v1::ExplainItemResponse> {
        let explanation = self.ledger().found.explanation.clone();
        Ok(v1::ExplainItemResponse { as_of: as_of(), ..explanation }.into())
    }

    async fn watch_reconciliation(
        &self,
        request: Request<v1::WatchReconciliationRequest>,
    ) -> Answer<Self::WatchReconciliationStream> {
        let start = self.started(request.into_inner().start_after);
        let mut messages = self.ledger().findings.clone();
        messages.retain(|message| message.at.is_none() || order(&message.at) > start);
        Ok(self.stream(messages, true).into())
    }

    async fn get_report(&self, _: Request<v1::GetReportRequest>) -> Answer<v1::GetReportResponse> {
        let report = self.ledger().found.report.clone();
        Ok(v1::GetReportResponse { as_of: as_of(), ..report }.into())
    }

    async fn try_terms(
        &self,
        request: Request<v1::TryTermsRequest>,
    ) -> Answer<v1::TryTermsResponse> {
        let found = &mut self.ledger().found;
        found.terms = request.into_inner().terms;
        Ok(v1::TryTermsResponse { tried: found.tried.clone(), as_of: as_of() }.into())
    }

    async fn list_agreements(
        &self,
        _: Request<v1::ListAgreementsRequest>,
    ) -> Answer<v1::ListAgreementsResponse> {
        let agreement = self.ledger().agreement.clone();
        let agreements = agreement.into_iter().filter_map(|it| it.summary).collect();
        let next_page_token = String::new();
        Ok(v1::ListAgreementsResponse { agreements, next_page_token, as_of: as_of() }.into())
    }

    async fn get_agreement(
        &self,
        _: Request<v1::GetAgreementRequest>,
    ) -> Answer<v1::GetAgreementResponse> {
        let found = self.ledger().agreement.clone();
        found.map(Into::into).ok_or_else(|| Status::not_found("no such agreement"))
    }

    async fn list_statements(
        &self,
        request: Request<v1::ListStatementsRequest>,
    ) -> Answer<v1::ListStatementsResponse> {
        let asked = request.into_inner();
        let all = self.ledger().found.statements.clone();
        let (statements, next_page_token) = paged(&all, &asked.page_token, asked.page_size);
        Ok(v1::ListStatementsResponse { statements, next_page_token, as_of: as_of() }.into())
    }

    async fn put_original(
        &self,
        request: Request<v1::PutOriginalRequest>,
    ) -> Answer<v1::PutOriginalResponse> {
        let asked = request.into_inner();
        let found = &mut self.ledger().found;
        if asked.offset == found.original.len() as u64 && !found.takes_no_part {
            found.original.extend_from_slice(&asked.part);
        }
        let received = found.original.len() as u64;
        let whole = received == asked.sealed_length;
        let held_by = if whole { vec!["BANKCHZZXXX".to_owned()] } else { Vec::new() };
        Ok(v1::PutOriginalResponse { received, whole, held_by, ..Default::default() }.into())
    }

    async fn get_original(
        &self,
        request: Request<v1::GetOriginalRequest>,
    ) -> Answer<v1::GetOriginalResponse> {
        let offset = usize::try_from(request.into_inner().offset).unwrap();
        let found = &self.ledger().found;
        let end = (offset + (1 << 20)).min(found.original.len());
        let hash = if found.changes { offset.to_be_bytes().to_vec() } else { vec![1; 32] };
        Ok(v1::GetOriginalResponse {
            sealed_length: found.original.len() as u64,
            sealed_hash: hash.into(),
            part: found.original[offset..end].to_vec().into(),
        }
        .into())
    }

    async fn delete_original(
        &self,
        _: Request<v1::DeleteOriginalRequest>,
    ) -> Answer<v1::DeleteOriginalResponse> {
        self.ledger().found.original.clear();
        let deleted_at = vec!["BANKCHZZXXX".to_owned()];
        Ok(v1::DeleteOriginalResponse { deleted_at, kept_at: Vec::new() }.into())
    }
}
