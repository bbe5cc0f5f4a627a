//! AccountService: accounts, balances and movements, for their owners and servicers.

use std::sync::Arc;

use bytes::Bytes;
use counterfoil_ledger::account::Account;
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::block::Movement;
use counterfoil_ledger::block::Position;
use counterfoil_ledger::block::Side;
use counterfoil_ledger::date::Date;
use counterfoil_proto::v1;
use counterfoil_proto::v1::account_service_server::AccountService;
use counterfoil_proto::v1::watch_movements_response::Event;
use tokio::sync::watch::Receiver;
use tokio::time::Instant;
use tonic::Request;
use tonic::Response;
use tonic::Status;

use super::Shared;
use super::account_proof;
use super::certainty;
use super::page::Budget;
use super::page::Page;
use super::page::Question;
use super::reading;
use super::reading::View;
use super::render;
use super::status;
use super::transfers::TransferReader;
use super::visibility::Scope;
use super::watch;
use super::watch::Heartbeat;
use super::watch::Kind;
use super::watch::Outlet;
use crate::consensus::replica::Replica;
use crate::limits;

/// Serves AccountService.
pub(super) struct Accounts(pub(super) Arc<Shared>);

#[tonic::async_trait]
impl AccountService for Accounts {
    type ProveAccountStream = watch::Stream<v1::ProveAccountResponse>;
    type WatchMovementsStream = watch::Stream<v1::WatchMovementsResponse>;

    async fn list_accounts(
        &self,
        request: Request<v1::ListAccountsRequest>,
    ) -> Result<Response<v1::ListAccountsResponse>, Status> {
        let scope = self.0.scope(&request)?;
        let request = request.into_inner();
        let asked = v1::ListAccountsRequest { asset: request.asset.clone(), ..Default::default() };
        let question = Question::new("ListAccounts", &scope, &asked);
        let replica = self.0.replica.clone();
        let (size, token) = (request.page_size, &request.page_token);
        let page = Page::open(&replica, question, size, token, request.read_mode).await?;
        let response =
            reading::off_thread(move || list(&replica, &scope, &page, &request.asset)).await?;
        Ok(Response::new(response))
    }

    async fn get_balance(
        &self,
        request: Request<v1::GetBalanceRequest>,
    ) -> Result<Response<v1::GetBalanceResponse>, Status> {
        let scope = self.0.scope(&request)?;
        let request = request.into_inner();
        let replica = self.0.replica.clone();
        let height = reading::height_of(&replica, request.at_height, request.read_mode).await?;
        let response = reading::off_thread(move || {
            let view = View::at(&replica, height)?;
            let account = view.account(&request.account, &scope)?;
            let account = render::account(replica.state().registry(), &account)?;
            #[cfg(feature = "misbehaviour")]
            let account = crate::misbehaviour::account(account);
            Ok(v1::GetBalanceResponse { account: Some(account), as_of: Some(view.as_of()) })
        })
        .await?;
        Ok(Response::new(response))
    }

    async fn list_movements(
        &self,
        request: Request<v1::ListMovementsRequest>,
    ) -> Result<Response<v1::ListMovementsResponse>, Status> {
        let scope = self.0.scope(&request)?;
        let request = request.into_inner();
        let dates = Dates::of(&request)?;
        let asked = v1::ListMovementsRequest {
            account: request.account.clone(),
            from_date: request.from_date,
            to_date: request.to_date,
            ..Default::default()
        };
        let question = Question::new("ListMovements", &scope, &asked);
        let replica = self.0.replica.clone();
        let (size, token) = (request.page_size, &request.page_token);
        let page = Page::open(&replica, question, size, token, request.read_mode).await?;
        let response = reading::off_thread(move || {
            let view = View::at(&replica, page.height)?;
            let account = view.account(&request.account, &scope)?;
            movements(&view, &account, &page, &dates)
        })
        .await?;
        Ok(Response::new(response))
    }

    async fn prove_account(
        &self,
        request: Request<v1::ProveAccountRequest>,
    ) -> Result<Response<Self::ProveAccountStream>, Status> {
        let caller = self.0.caller(&request)?.clone();
        let scope = self.0.scope(&request)?;
        let proof = account_proof::open(&self.0, &scope, &request.into_inner()).await?;
        Ok(Response::new(self.0.watches.open(&caller, Kind::Blocks, |outlet| proof.send(outlet))?))
    }

    async fn watch_movements(
        &self,
        request: Request<v1::WatchMovementsRequest>,
    ) -> Result<Response<Self::WatchMovementsStream>, Status> {
        let caller = self.0.caller(&request)?.clone();
        let scope = self.0.scope(&request)?;
        let request = request.into_inner();
        let replica = self.0.replica.clone();
        let start = watch::start(request.start_after);
        let heights = certainty::heights(&replica, certainty::wanted(request.wait_for)?);
        let account = reading::watched(&replica, &scope, request.account).await?;
        let stream = self.0.watches.open(&caller, Kind::Events, |outlet| {
            follow(replica, account, start, heights, outlet)
        })?;
        Ok(Response::new(stream))
    }
}

/// Settlement dates that are asked for, both included.
struct Dates {
    from: Option<Date>,
    to: Option<Date>,
}

impl Dates {
    fn of(request: &v1::ListMovementsRequest) -> Result<Dates, Status> {
        let from = reading::date("from_date", request.from_date)?;
        let to = reading::date("to_date", request.to_date)?;
        match (from, to) {
            (Some(from), Some(to)) if to < from => {
                Err(status::field("to_date", "not before from_date"))
            }
            _ => Ok(Dates { from, to }),
        }
    }

    fn include(&self, date: Date) -> bool {
        self.from.is_none_or(|from| from <= date) && self.to.is_none_or(|to| date <= to)
    }
}

fn list(
    replica: &Arc<Replica>,
    scope: &Scope,
    page: &Page,
    asset: &str,
) -> Result<v1::ListAccountsResponse, Status> {
    let view = View::at(replica, page.height)?;
    // A token may be forged: what it says is no ordinal of ours, perhaps.
    let first = page.after.map_or(0, |(ordinal, _)| ordinal.saturating_add(1));
    let (mut found, height) = {
        let state = replica.state();
        let matches = |account: &&Account| {
            scope.sees_account(account) && (asset.is_empty() || account.asset.as_str() == asset)
        };
        let from = usize::try_from(first).unwrap_or(usize::MAX).min(state.accounts().len());
        let candidates = state.accounts()[from..].iter().take_while(|account| view.has(account));
        let found: Vec<Account> = candidates.filter(matches).take(page.size + 1).cloned().collect();
        (found, state.height())
    };
    let has_more = found.len() > page.size;
    found.truncate(page.size);
    let next_page_token = match found.last() {
        Some(last) if has_more => page.token((u64::from(last.ordinal), 0)),
        _ => String::new(),
    };
    let mut accounts = Vec::with_capacity(found.len());
    for account in found {
        let account = view.rewind(account, height)?;
        accounts.push(render::account(replica.state().registry(), &account)?);
    }
    Ok(v1::ListAccountsResponse { accounts, next_page_token, as_of: Some(view.as_of()) })
}

fn movements(
    view: &View,
    account: &Account,
    page: &Page,
    dates: &Dates,
) -> Result<v1::ListMovementsResponse, Status> {
    let mut reader = TransferReader::new(&view.replica);
    let mut budget = Budget::new();
    let mut after = page.after.map(|(height, leaf)| Position { height, leaf });
    let mut movements = Vec::new();
    let mut next_page_token = String::new();
    'page: loop {
        let batch = batch(&view.replica, account, after, view.height(), limits::PAGE_SIZE_MAX)?;
        let is_last = batch.len() < limits::PAGE_SIZE_MAX;
        for movement in batch {
            let is_full = movements.len() == page.size || budget.is_spent();
            if let Some(last) = after.filter(|_| is_full) {
                next_page_token = page.token((last.height, last.leaf));
                break 'page;
            }
            budget.spend(1);
            after = Some(movement.position);
            if dates.include(movement.date) {
                movements.push(describe(&mut reader, &view.replica, account, &movement)?);
            }
        }
        if is_last {
            break;
        }
    }
    Ok(v1::ListMovementsResponse { movements, next_page_token, as_of: Some(view.as_of()) })
}

fn batch(
    replica: &Replica,
    account: &Account,
    after: Option<Position>,
    height: u64,
    limit: usize,
) -> Result<Vec<Movement>, Status> {
    replica
        .store()
        .movements(account.ordinal, after, height, limit)
        .map_err(|error| status::storage(&error))
}

/// A posting with what its transfer says.
fn describe(
    reader: &mut TransferReader<'_>,
    replica: &Replica,
    account: &Account,
    movement: &Movement,
) -> Result<v1::Movement, Status> {
    let found = reader.settled(movement.position)?;
    let other = match movement.side {
        Side::Debit => &found.transfer.credit_account,
        Side::Credit => &found.transfer.debit_account,
    };
    let counterparty = AccountId::from_bytes(other)
        .and_then(|id| replica.state().account(&id).map(|account| account.owner.to_string()))
        .ok_or_else(|| status::inconsistent("an account"))?;
    Ok(v1::Movement {
        position: Some(render::position(movement.position)),
        sequence: movement.sequence,
        side: render::side(movement.side),
        amount: Some(render::money(&account.asset, i128::from(movement.amount))?),
        balance: Some(render::money(&account.asset, movement.balance)?),
        settlement_date: movement.date.yyyymmdd(),
        counterparty,
        counterparty_account: Bytes::clone(other),
        block_time_ms: found.block_time_ms(),
        uetr: found.transfer.uetr,
        end_to_end_id: found.transfer.end_to_end_id,
    })
}

/// Sends the postings of an account from a position on, for ever.
async fn follow(
    replica: Arc<Replica>,
    account: Account,
    start: Option<Position>,
    mut heights: Receiver<u64>,
    outlet: Outlet<v1::WatchMovementsResponse>,
) -> Result<(), Status> {
    let account = Arc::new(account);
    let mut cursor = start;
    let mut heartbeat = Heartbeat::new();
    let send = async |event| {
        let event = Ok(v1::WatchMovementsResponse { event: Some(event) });
        outlet.send(event).await.map_err(|_| status::stopping())
    };
    loop {
        let height = *heights.borrow_and_update();
        loop {
            let (replica, account) = (replica.clone(), account.clone());
            let read = move || described(&replica, &account, cursor, height);
            let movements = reading::off_thread(read).await?;
            let Some((last, _)) = movements.last() else { break };
            cursor = Some(*last);
            for (_, movement) in movements {
                send(Event::Movement(movement)).await?;
            }
        }
        if heartbeat.is_due(height, Instant::now()) {
            let replica = replica.clone();
            let end = move || Ok(watch::end_of(&View::at(&replica, height)?, cursor));
            send(Event::Heartbeat(reading::off_thread(end).await?)).await?;
        }
        let next = heartbeat.next(height).unwrap_or_else(Instant::now);
        tokio::select! {
            changed = heights.changed() => changed.map_err(|_| status::stopping())?,
            () = tokio::time::sleep_until(next) => {}
        }
    }
}

/// The next postings, each with its position.
fn described(
    replica: &Replica,
    account: &Account,
    after: Option<Position>,
    height: u64,
) -> Result<Vec<(Position, v1::Movement)>, Status> {
    let mut reader = TransferReader::new(replica);
    let movements = batch(replica, account, after, height, limits::WATCH_BATCH)?;
    movements
        .iter()
        .map(|it| Ok((it.position, describe(&mut reader, replica, account, it)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn dates_are_days_that_exist_in_order() {
        let of = |from_date, to_date| {
            Dates::of(&v1::ListMovementsRequest { from_date, to_date, ..Default::default() })
        };
        let day = |yyyymmdd| Date::from_yyyymmdd(yyyymmdd).unwrap();
        assert!(of(0, 0).unwrap().include(day(19_930_101)));
        let range = of(20_260_101, 20_260_131).unwrap();
        assert!(range.include(day(20_260_101)) && range.include(day(20_260_131)));
        assert!(!range.include(day(20_251_231)) && !range.include(day(20_260_201)));
        for (from, to) in [(20_260_132, 0), (0, 1), (20_260_102, 20_260_101)] {
            assert_eq!(of(from, to).err().unwrap().code(), Code::InvalidArgument);
        }
    }
}
