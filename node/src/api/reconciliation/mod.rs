//! ReconciliationService: what two institutions have agreed to compare of the accounts between them.
//!
//! Findings, days and figures are read from the state as it stands, and an answer names the moment
//! that it describes. The state's lock is held only while copying out; what has closed is read from
//! storage afterwards. What is told of an item that
//! stands in no finding is for whoever keeps its book.

mod agreements;
mod breaks;
mod closed;
mod explain;
mod findings;
mod lists;
mod originals;
mod positions;
mod report;
mod statements;
mod trial;
mod watch;

use std::sync::Arc;

use bytes::Bytes;
use counterfoil_ledger::account::Account;
use counterfoil_ledger::agreement::AgreementId;
use counterfoil_ledger::matching::item::Comparison;
use counterfoil_ledger::state::State;
use counterfoil_proto::v1;
use counterfoil_proto::v1::reconciliation_service_server::ReconciliationService;
use tonic::Request;
use tonic::Response;
use tonic::Status;

use self::lists::Wanted;
use super::Shared;
use super::certainty;
use super::page::Page;
use super::page::Question;
use super::reading;
use super::reading::View;
use super::status;
use super::visibility::Scope;
use super::watch::Kind;
use super::watch::Stream;
use super::watch::start;
use crate::consensus::replica::Replica;

/// Serves ReconciliationService.
pub(super) struct Reconciling(pub(super) Arc<Shared>);

/// The moment of a state. Its finality is for [`Reconciling::answer`] to say.
fn as_of(state: &State) -> v1::AsOf {
    v1::AsOf {
        height: state.height(),
        header_hash: Bytes::copy_from_slice(state.header_hash().as_bytes()),
        block_time_ms: state.block_time_ms(),
        finality: v1::Finality::Ordered.into(),
    }
}

/// An answer that describes the state as it stood.
trait Dated {
    fn as_of(&mut self) -> Option<&mut v1::AsOf>;
}

macro_rules! dated {
    ($($response:ident)*) => {
        $(impl Dated for v1::$response {
            fn as_of(&mut self) -> Option<&mut v1::AsOf> {
                self.as_of.as_mut()
            }
        })*
    };
}

dated! {
    ListMatchesResponse ListProposalsResponse ListBreaksResponse GetBreakResponse
    ListPositionsResponse GetPositionResponse ExplainItemResponse GetReportResponse TryTermsResponse
    ListStatementsResponse
}

/// Whose account is read, and how fresh.
struct Asked {
    scope: Scope,
    account: Bytes,
    /// The account must be there at this height.
    height: u64,
    read_mode: i32,
}

impl Reconciling {
    /// Reads the state of an account that the caller sees. It is of a later moment than the one that was
    /// waited for, and waits until that moment is as certain as was asked.
    async fn answer<T: Dated + Send + 'static>(
        &self,
        asked: Asked,
        read: impl FnOnce(&Arc<Replica>, &Account) -> Result<T, Status> + Send + 'static,
    ) -> Result<Response<T>, Status> {
        let Asked { scope, account, height, read_mode } = asked;
        let replica = self.0.replica.clone();
        let reader = replica.clone();
        let mut response = reading::off_thread(move || {
            let account = View::at(&reader, height)?.account(&account, &scope)?;
            read(&reader, &account)
        })
        .await?;
        if let Some(as_of) = response.as_of() {
            reading::reach_as(&replica, as_of.height, read_mode).await?;
            as_of.finality = certainty::of(&replica, as_of.height).into();
        }
        Ok(Response::new(response))
    }

    /// The newest state.
    async fn newest(&self, scope: Scope, account: Bytes, read_mode: i32) -> Result<Asked, Status> {
        let height = reading::newest(&self.0.replica, read_mode).await?;
        Ok(Asked { scope, account, height, read_mode })
    }
}

#[tonic::async_trait]
impl ReconciliationService for Reconciling {
    type WatchReconciliationStream = Stream<v1::WatchReconciliationResponse>;

    async fn list_matches(
        &self,
        request: Request<v1::ListMatchesRequest>,
    ) -> Result<Response<v1::ListMatchesResponse>, Status> {
        let scope = self.0.scope(&request)?;
        let v1::ListMatchesRequest {
            account,
            comparison,
            include_undone,
            page_size,
            page_token,
            read_mode,
        } = request.into_inner();
        let wanted =
            Wanted { comparison: comparison_or_any(comparison)?, include_closed: include_undone };
        let about = v1::ListMatchesRequest {
            account: account.clone(),
            comparison,
            include_undone,
            ..Default::default()
        };
        let question = Question::new("ListMatches", &scope, &about);
        let replica = &self.0.replica;
        let page = Page::open(replica, question, page_size, &page_token, read_mode).await?;
        let asked = Asked { scope, account, height: page.height, read_mode };
        self.answer(asked, move |replica, account| lists::matches(replica, account, &wanted, &page))
            .await
    }

    async fn list_proposals(
        &self,
        request: Request<v1::ListProposalsRequest>,
    ) -> Result<Response<v1::ListProposalsResponse>, Status> {
        let scope = self.0.scope(&request)?;
        let v1::ListProposalsRequest {
            account,
            comparison,
            include_closed,
            page_size,
            page_token,
            read_mode,
        } = request.into_inner();
        let wanted = Wanted { comparison: comparison_or_any(comparison)?, include_closed };
        let about = v1::ListProposalsRequest {
            account: account.clone(),
            comparison,
            include_closed,
            ..Default::default()
        };
        let question = Question::new("ListProposals", &scope, &about);
        let replica = &self.0.replica;
        let page = Page::open(replica, question, page_size, &page_token, read_mode).await?;
        let asked = Asked { scope, account, height: page.height, read_mode };
        self.answer(asked, move |replica, account| {
            lists::proposals(replica, account, &wanted, &page)
        })
        .await
    }

    async fn list_breaks(
        &self,
        request: Request<v1::ListBreaksRequest>,
    ) -> Result<Response<v1::ListBreaksResponse>, Status> {
        let scope = self.0.scope(&request)?;
        let v1::ListBreaksRequest {
            account,
            comparison,
            include_ended,
            page_size,
            page_token,
            read_mode,
        } = request.into_inner();
        let wanted =
            Wanted { comparison: comparison_or_any(comparison)?, include_closed: include_ended };
        let about = v1::ListBreaksRequest {
            account: account.clone(),
            comparison,
            include_ended,
            ..Default::default()
        };
        let question = Question::new("ListBreaks", &scope, &about);
        let replica = &self.0.replica;
        let page = Page::open(replica, question, page_size, &page_token, read_mode).await?;
        let asked = Asked { scope, account, height: page.height, read_mode };
        self.answer(asked, move |replica, account| lists::breaks(replica, account, &wanted, &page))
            .await
    }

    async fn get_break(
        &self,
        request: Request<v1::GetBreakRequest>,
    ) -> Result<Response<v1::GetBreakResponse>, Status> {
        let scope = self.0.scope(&request)?;
        let v1::GetBreakRequest { account, number, read_mode } = request.into_inner();
        let asked = self.newest(scope, account, read_mode).await?;
        self.answer(asked, move |replica, account| breaks::get(replica, account, number)).await
    }

    async fn list_positions(
        &self,
        request: Request<v1::ListPositionsRequest>,
    ) -> Result<Response<v1::ListPositionsResponse>, Status> {
        let scope = self.0.scope(&request)?;
        let v1::ListPositionsRequest {
            account,
            from_date,
            to_date,
            page_size,
            page_token,
            read_mode,
        } = request.into_inner();
        let dates = positions::range(from_date, to_date)?;
        let about = v1::ListPositionsRequest {
            account: account.clone(),
            from_date,
            to_date,
            ..Default::default()
        };
        let question = Question::new("ListPositions", &scope, &about);
        let replica = &self.0.replica;
        let page = Page::open(replica, question, page_size, &page_token, read_mode).await?;
        let asked = Asked { scope, account, height: page.height, read_mode };
        self.answer(asked, move |replica, account| positions::list(replica, account, &dates, &page))
            .await
    }

    async fn get_position(
        &self,
        request: Request<v1::GetPositionRequest>,
    ) -> Result<Response<v1::GetPositionResponse>, Status> {
        let scope = self.0.scope(&request)?;
        let v1::GetPositionRequest { account, date, read_mode } = request.into_inner();
        let date = reading::date("date", date)?;
        let now_ms = self.0.clock.now_ms();
        let asked = self.newest(scope, account, read_mode).await?;
        self.answer(asked, move |replica, account| positions::get(replica, account, date, now_ms))
            .await
    }

    async fn explain_item(
        &self,
        request: Request<v1::ExplainItemRequest>,
    ) -> Result<Response<v1::ExplainItemResponse>, Status> {
        let scope = self.0.scope(&request)?;
        let request = request.into_inner();
        let wanted = explain::Wanted::of(&request)?;
        let asked = self.newest(scope, request.account, request.read_mode).await?;
        self.answer(asked, move |replica, account| explain::item(replica, account, &scope, &wanted))
            .await
    }

    async fn watch_reconciliation(
        &self,
        request: Request<v1::WatchReconciliationRequest>,
    ) -> Result<Response<Self::WatchReconciliationStream>, Status> {
        let caller = self.0.caller(&request)?.clone();
        let scope = self.0.scope(&request)?;
        let request = request.into_inner();
        let replica = self.0.replica.clone();
        let start = start(request.start_after);
        let heights = certainty::heights(&replica, certainty::wanted(request.wait_for)?);
        let account = reading::watched(&replica, &scope, request.account).await?;
        let stream = self.0.watches.open(&caller, Kind::Events, |outlet| {
            watch::follow(replica, account, start, heights, outlet)
        })?;
        Ok(Response::new(stream))
    }

    async fn get_report(
        &self,
        request: Request<v1::GetReportRequest>,
    ) -> Result<Response<v1::GetReportResponse>, Status> {
        let scope = self.0.scope(&request)?;
        let request = request.into_inner();
        let compared = comparison(request.comparison)?;
        let dates = report::range(&request)?;
        let asked = self.newest(scope, request.account, request.read_mode).await?;
        self.answer(asked, move |replica, account| {
            report::report(replica, account, compared, dates)
        })
        .await
    }

    async fn try_terms(
        &self,
        request: Request<v1::TryTermsRequest>,
    ) -> Result<Response<v1::TryTermsResponse>, Status> {
        let scope = self.0.scope(&request)?;
        let v1::TryTermsRequest { account, terms, read_mode } = request.into_inner();
        let terms = trial::terms(terms)?;
        let asked = self.newest(scope, account, read_mode).await?;
        self.answer(asked, move |replica, account| trial::tried(replica, account, &scope, &terms))
            .await
    }

    async fn list_agreements(
        &self,
        request: Request<v1::ListAgreementsRequest>,
    ) -> Result<Response<v1::ListAgreementsResponse>, Status> {
        let scope = self.0.scope(&request)?;
        let request = request.into_inner();
        let asked = v1::ListAgreementsRequest::default();
        let question = Question::new("ListAgreements", &scope, &asked);
        let replica = self.0.replica.clone();
        let (size, token) = (request.page_size, &request.page_token);
        let page = Page::open(&replica, question, size, token, request.read_mode).await?;
        let response = reading::off_thread(move || {
            let view = View::at(&replica, page.height)?;
            Ok(agreements::list(&view, &scope, &page))
        })
        .await?;
        Ok(Response::new(response))
    }

    async fn get_agreement(
        &self,
        request: Request<v1::GetAgreementRequest>,
    ) -> Result<Response<v1::GetAgreementResponse>, Status> {
        let scope = self.0.scope(&request)?;
        let request = request.into_inner();
        let id = AgreementId::from_bytes(&request.id)
            .ok_or_else(|| status::field("id", "an agreement's id of 16 bytes"))?;
        let replica = self.0.replica.clone();
        let height = reading::newest(&replica, request.read_mode).await?;
        let response =
            reading::off_thread(move || agreements::get(&View::at(&replica, height)?, &scope, &id))
                .await?;
        Ok(Response::new(response))
    }

    async fn list_statements(
        &self,
        request: Request<v1::ListStatementsRequest>,
    ) -> Result<Response<v1::ListStatementsResponse>, Status> {
        let scope = self.0.scope(&request)?;
        let request = request.into_inner();
        let v1::ListStatementsRequest { account, source, page_size, page_token, read_mode } =
            request;
        let book = statements::book(source)?;
        let about =
            v1::ListStatementsRequest { account: account.clone(), source, ..Default::default() };
        let question = Question::new("ListStatements", &scope, &about);
        let replica = &self.0.replica;
        let page = Page::open(replica, question, page_size, &page_token, read_mode).await?;
        let asked = Asked { scope, account, height: page.height, read_mode };
        self.answer(asked, move |replica, account| {
            Ok(statements::list(replica, account, &scope, book, &page))
        })
        .await
    }

    async fn put_original(
        &self,
        request: Request<v1::PutOriginalRequest>,
    ) -> Result<Response<v1::PutOriginalResponse>, Status> {
        originals::put(&self.0, request).await
    }

    async fn get_original(
        &self,
        request: Request<v1::GetOriginalRequest>,
    ) -> Result<Response<v1::GetOriginalResponse>, Status> {
        originals::get(&self.0, request).await
    }

    async fn delete_original(
        &self,
        request: Request<v1::DeleteOriginalRequest>,
    ) -> Result<Response<v1::DeleteOriginalResponse>, Status> {
        originals::delete(&self.0, request).await
    }
}

/// The sources that a request names; none = any.
fn comparison_or_any(number: i32) -> Result<Option<Comparison>, Status> {
    match v1::Comparison::try_from(number) {
        Ok(v1::Comparison::Unspecified) => Ok(None),
        Ok(named) => Ok(u8::try_from(i32::from(named)).ok().and_then(Comparison::from_number)),
        Err(_) => {
            let rule = "LEDGER_OWNER, LEDGER_SERVICER, OWNER_SERVICER, or none for all";
            Err(status::field("comparison", rule))
        }
    }
}

/// The same where one has to be named.
fn comparison(number: i32) -> Result<Comparison, Status> {
    let rule = "LEDGER_OWNER, LEDGER_SERVICER or OWNER_SERVICER; it is required";
    comparison_or_any(number)?.ok_or_else(|| status::field("comparison", rule))
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn comparisons_are_named() {
        assert_eq!(comparison_or_any(0).unwrap(), None);
        for named in Comparison::ALL {
            assert_eq!(comparison(i32::from(named as u8)).unwrap(), named);
            assert_eq!(comparison_or_any(i32::from(named as u8)).unwrap(), Some(named));
        }
        for number in [-1, 4] {
            assert_eq!(comparison_or_any(number).unwrap_err().code(), Code::InvalidArgument);
        }
        assert_eq!(comparison(0).unwrap_err().code(), Code::InvalidArgument);
    }
}
