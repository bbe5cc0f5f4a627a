//! ReconciliationService: books against the ledger.

use std::ops::RangeInclusive;
use std::sync::Arc;

use counterfoil_ledger::account::Account;
use counterfoil_ledger::agreement::AgreementId;
use counterfoil_ledger::block::Position;
use counterfoil_ledger::reconciliation::Book;
use counterfoil_proto::v1;
use counterfoil_proto::v1::reconciliation_service_server::ReconciliationService;
use counterfoil_proto::v1::watch_reconciliation_response::Event;
use tokio::sync::watch::Receiver;
use tokio::time::Instant;
use tonic::Request;
use tonic::Response;
use tonic::Status;

use super::Shared;
use super::agreements;
use super::books;
use super::books::FoundBreak;
use super::books::FoundMatch;
use super::certainty;
use super::page::Budget;
use super::page::Page;
use super::page::Question;
use super::reading;
use super::reading::View;
use super::report;
use super::status;
use super::transfers::TransferReader;
use super::watch;
use super::watch::Heartbeat;
use super::watch::Kind;
use super::watch::Outlet;
use crate::consensus::replica::Replica;
use crate::limits;

/// Serves ReconciliationService.
pub(super) struct Reconciling(pub(super) Arc<Shared>);

#[tonic::async_trait]
impl ReconciliationService for Reconciling {
    type WatchReconciliationStream = watch::Stream<v1::WatchReconciliationResponse>;

    async fn list_matches(
        &self,
        request: Request<v1::ListMatchesRequest>,
    ) -> Result<Response<v1::ListMatchesResponse>, Status> {
        let scope = self.0.scope(&request)?;
        let request = request.into_inner();
        let book = required_book(request.book)?;
        let asked = v1::ListMatchesRequest {
            account: request.account.clone(),
            book: request.book,
            ..Default::default()
        };
        let question = Question::new("ListMatches", &scope, &asked);
        let replica = self.0.replica.clone();
        let (size, token) = (request.page_size, &request.page_token);
        let page = Page::open(&replica, question, size, token, request.read_mode).await?;
        let response = reading::off_thread(move || {
            let view = View::at(&replica, page.height)?;
            let account = view.account(&request.account, &scope)?;
            matches(&view, &account, book, &page)
        })
        .await?;
        Ok(Response::new(response))
    }

    async fn list_breaks(
        &self,
        request: Request<v1::ListBreaksRequest>,
    ) -> Result<Response<v1::ListBreaksResponse>, Status> {
        let scope = self.0.scope(&request)?;
        let request = request.into_inner();
        let wanted = Wanted { book: book(request.book)?, include_healed: request.include_healed };
        let asked = v1::ListBreaksRequest {
            account: request.account.clone(),
            book: request.book,
            include_healed: request.include_healed,
            ..Default::default()
        };
        let question = Question::new("ListBreaks", &scope, &asked);
        let replica = self.0.replica.clone();
        let (size, token) = (request.page_size, &request.page_token);
        let page = Page::open(&replica, question, size, token, request.read_mode).await?;
        let response = reading::off_thread(move || {
            let view = View::at(&replica, page.height)?;
            let account = view.account(&request.account, &scope)?;
            breaks(&view, &account, &wanted, &page)
        })
        .await?;
        Ok(Response::new(response))
    }

    async fn watch_reconciliation(
        &self,
        request: Request<v1::WatchReconciliationRequest>,
    ) -> Result<Response<Self::WatchReconciliationStream>, Status> {
        let caller = self.0.caller(&request)?.clone();
        let scope = self.0.scope(&request)?;
        let request = request.into_inner();
        let replica = self.0.replica.clone();
        let start = watch::start(request.start_after);
        let heights = certainty::heights(&replica, certainty::wanted(request.wait_for)?);
        let account = {
            let replica = replica.clone();
            // Behind a barrier: an account that any node has shown is found here, too.
            let height = reading::newest(&replica, v1::ReadMode::Ordered.into()).await?;
            let account = move || View::at(&replica, height)?.account(&request.account, &scope);
            reading::off_thread(account).await?
        };
        let stream = self.0.watches.open(&caller, Kind::Events, |outlet| {
            follow(replica, account, start, heights, outlet)
        })?;
        Ok(Response::new(stream))
    }

    async fn get_report(
        &self,
        request: Request<v1::GetReportRequest>,
    ) -> Result<Response<v1::GetReportResponse>, Status> {
        let scope = self.0.scope(&request)?;
        let request = request.into_inner();
        let book = required_book(request.book)?;
        let range = report::range(&request)?;
        let replica = self.0.replica.clone();
        let height = reading::newest(&replica, request.read_mode).await?;
        let reader = replica.clone();
        let mut response = reading::off_thread(move || {
            let account = View::at(&reader, height)?.account(&request.account, &scope)?;
            report::report(&reader, &account, book, range)
        })
        .await?;
        // It is of a later moment than the one that was waited for: its figures are those of the state.
        if let Some(as_of) = &mut response.as_of {
            reading::reach_as(&replica, as_of.height, request.read_mode).await?;
            as_of.finality = certainty::of(&replica, as_of.height).into();
        }
        Ok(Response::new(response))
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
}

fn book(number: i32) -> Result<Option<Book>, Status> {
    match v1::Book::try_from(number) {
        Ok(v1::Book::Unspecified) => Ok(None),
        Ok(v1::Book::Owner) => Ok(Some(Book::Owner)),
        Ok(v1::Book::Servicer) => Ok(Some(Book::Servicer)),
        Err(_) => Err(status::field("book", "OWNER or SERVICER")),
    }
}

fn required_book(number: i32) -> Result<Book, Status> {
    book(number)?.ok_or_else(|| status::field("book", "OWNER or SERVICER; it is required"))
}

/// Which breaks.
struct Wanted {
    book: Option<Book>,
    include_healed: bool,
}

fn matches(
    view: &View,
    account: &Account,
    book: Book,
    page: &Page,
) -> Result<v1::ListMatchesResponse, Status> {
    let after = page.after.map_or(0, |(number, _)| number);
    let found: Vec<FoundMatch> = {
        let state = view.replica.state();
        let entries = state
            .reconciliation()
            .book(account.ordinal, book)
            .map_or(&[][..], |book| book.entries());
        entries
            .iter()
            .skip(usize::try_from(after).unwrap_or(usize::MAX))
            .filter_map(|entry| FoundMatch::of(entry, view.height()))
            .take(page.size + 1)
            .collect()
    };
    let numbers: Vec<u64> = found.iter().map(FoundMatch::number).collect();
    let (matches, next_page_token) =
        rendered(view, page, &found, &numbers, |reader, found| found.render(reader, account))?;
    Ok(v1::ListMatchesResponse { matches, next_page_token, as_of: Some(view.as_of()) })
}

fn breaks(
    view: &View,
    account: &Account,
    wanted: &Wanted,
    page: &Page,
) -> Result<v1::ListBreaksResponse, Status> {
    let after = page.after.map_or(0, |(number, _)| number);
    let found: Vec<FoundBreak> = {
        let state = view.replica.state();
        let reconciliation = state.reconciliation();
        let (ordinal, height) = (account.ordinal, view.height());
        reconciliation
            .breaks(ordinal)
            .iter()
            .skip(usize::try_from(after).unwrap_or(usize::MAX))
            .filter(|found| wanted.book.is_none_or(|book| found.book == book))
            .filter_map(|found| FoundBreak::of(reconciliation, ordinal, found, height))
            .filter(|found| wanted.include_healed || !found.is_healed())
            .take(page.size + 1)
            .collect()
    };
    let numbers: Vec<u64> = found.iter().map(FoundBreak::number).collect();
    let (breaks, next_page_token) =
        rendered(view, page, &found, &numbers, |reader, found| found.render(reader, account))?;
    Ok(v1::ListBreaksResponse { breaks, next_page_token, as_of: Some(view.as_of()) })
}

/// The entries of a page with the token of the next. `found` has one more than the page takes, if
/// there are as many.
fn rendered<F, T>(
    view: &View,
    page: &Page,
    found: &[F],
    numbers: &[u64],
    render: impl Fn(&mut TransferReader<'_>, &F) -> Result<T, Status>,
) -> Result<(Vec<T>, String), Status> {
    let mut reader = TransferReader::new(&view.replica);
    let budget = Budget::new();
    let mut items = Vec::with_capacity(found.len());
    let mut last = None;
    for (found, number) in found.iter().zip(numbers) {
        let is_full = items.len() == page.size || budget.is_spent();
        if let Some(last) = last.filter(|_| is_full) {
            return Ok((items, page.token((last, 0))));
        }
        items.push(render(&mut reader, found)?);
        last = Some(*number);
    }
    Ok((items, String::new()))
}

/// Sends what happens to an account's books from a position on, for ever.
async fn follow(
    replica: Arc<Replica>,
    account: Account,
    start: Option<Position>,
    mut heights: Receiver<u64>,
    outlet: Outlet<v1::WatchReconciliationResponse>,
) -> Result<(), Status> {
    let account = Arc::new(account);
    let mut heartbeat = Heartbeat::new();
    let mut next_height = first_height(&replica, &account, start);
    let send = async |event| {
        let event = Ok(v1::WatchReconciliationResponse { event: Some(event) });
        outlet.send(event).await.map_err(|_| status::stopping())
    };
    loop {
        let height = *heights.borrow_and_update();
        loop {
            let (replica, account) = (replica.clone(), account.clone());
            let read = move || Run::read(&replica, &account, next_height..=height, start);
            let run = reading::off_thread(read).await?;
            for event in run.events {
                send(event).await?;
            }
            if heartbeat.is_due(run.end.height, Instant::now()) {
                send(Event::Heartbeat(run.end)).await?;
            }
            next_height = run.next_height;
            if next_height > height {
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

/// The first block in which anything can have happened to an account's books behind a position.
fn first_height(replica: &Replica, account: &Account, start: Option<Position>) -> u64 {
    let state = replica.state();
    let books = Book::ALL.map(|book| state.reconciliation().book(account.ordinal, book));
    let first = books
        .into_iter()
        .flatten()
        .flat_map(|book| {
            let entry = book.entries().first().map(|entry| entry.position.height);
            let statement = book.statements().first().map(|statement| statement.position.height);
            entry.into_iter().chain(statement)
        })
        .min();
    // A book that has nothing yet gets its first in a block to come.
    first.unwrap_or(state.height() + 1).max(start.map_or(0, |start| start.height))
}

/// What happened in some blocks in a row.
struct Run {
    events: Vec<Event>,
    /// Everything to here is in the events.
    end: v1::Position,
    /// The block behind.
    next_height: u64,
}

impl Run {
    /// Reads from the first of the heights on, until there is enough to send.
    fn read(
        replica: &Arc<Replica>,
        account: &Account,
        heights: RangeInclusive<u64>,
        start: Option<Position>,
    ) -> Result<Run, Status> {
        let mut budget = Budget::new();
        let mut reader = TransferReader::new(replica);
        let mut events = Vec::new();
        let mut next_height = *heights.start();
        let last = *heights.end();
        while next_height <= last && events.len() < limits::WATCH_BATCH && !budget.is_spent() {
            let happened = books::happened(replica, account, next_height, start, &mut budget)?;
            for happened in happened {
                events.push(happened.render(&mut reader, account)?);
            }
            next_height += 1;
        }
        // Without a block to read, everything to the last one was sent before.
        let view = View::at(replica, (next_height - 1).min(last))?;
        Ok(Run { events, end: watch::end_of(&view, start), next_height })
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn books_are_named() {
        assert_eq!(book(0).unwrap(), None);
        assert_eq!(required_book(1).unwrap(), Book::Owner);
        assert_eq!(required_book(2).unwrap(), Book::Servicer);
        for number in [-1, 3] {
            assert_eq!(book(number).unwrap_err().code(), Code::InvalidArgument);
        }
        assert_eq!(required_book(0).unwrap_err().code(), Code::InvalidArgument);
    }
}
