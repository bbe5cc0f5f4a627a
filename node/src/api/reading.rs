//! Reading at a height: whatever one answer says was true at one moment, the one that its `as_of`
//! names.

use std::sync::Arc;

use bytes::Bytes;
use counterfoil_ledger::account::Account;
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::date::Date;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::header::Header;
use counterfoil_proto::v1;
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;

use super::certainty;
use super::status;
use super::turns;
use super::visibility::Scope;
use crate::consensus::replica::Replica;
use crate::limits;

/// The newest height that an answer of a read mode may describe. FINAL: everything that any node has
/// called final was ordered before, so it is at or below what is executed after the barrier.
pub(super) async fn newest(replica: &Replica, read_mode: i32) -> Result<u64, Status> {
    let mode = certainty::read_mode(read_mode)?;
    if mode != v1::ReadMode::Stale {
        replica.barrier().await.map_err(status::unavailable)?;
    }
    let height = *replica.height().borrow();
    if mode == v1::ReadMode::Final {
        certainty::reach_final(replica, height).await?;
    }
    Ok(height)
}

/// The account of a watch. Behind a barrier: one that any node has shown is found here, too.
pub(super) async fn watched(
    replica: &Arc<Replica>,
    scope: &Scope,
    account: Bytes,
) -> Result<Account, Status> {
    let height = newest(replica, v1::ReadMode::Ordered.into()).await?;
    let (replica, scope) = (replica.clone(), *scope);
    off_thread(move || View::at(&replica, height)?.account(&account, &scope)).await
}

/// Waits, a bounded time, until this node has executed a height.
pub(super) async fn reach(replica: &Replica, height: u64) -> Result<(), Status> {
    let mut reached = replica.height();
    let waiting = reached.wait_for(|reached| *reached >= height);
    match tokio::time::timeout(limits::HEIGHT_TIMEOUT, waiting).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => Err(status::stopping()),
        Err(_) => Err(status::not_reached(height, *replica.height().borrow())),
    }
}

/// `reach`, and where the read mode is FINAL until the height is final, too.
pub(super) async fn reach_as(replica: &Replica, height: u64, read_mode: i32) -> Result<(), Status> {
    let mode = certainty::read_mode(read_mode)?;
    reach(replica, height).await?;
    if mode == v1::ReadMode::Final {
        certainty::reach_final(replica, height).await?;
    }
    Ok(())
}

/// The height that a request names, once it is reached; the newest where it names none.
pub(super) async fn height_of(
    replica: &Replica,
    asked: u64,
    read_mode: i32,
) -> Result<u64, Status> {
    if asked == 0 {
        return newest(replica, read_mode).await;
    }
    reach_as(replica, asked, read_mode).await?;
    Ok(asked)
}

/// Reads where waiting for the disk holds nobody up, when it is this institution's turn.
pub(super) async fn off_thread<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, Status> + Send + 'static,
) -> Result<T, Status> {
    in_turn(turns::next().await, read).await
}

/// The same, in a turn that has come already.
pub(super) async fn in_turn<T: Send + 'static>(
    turn: Option<OwnedSemaphorePermit>,
    read: impl FnOnce() -> Result<T, Status> + Send + 'static,
) -> Result<T, Status> {
    // Whoever gives up does not end the read, so the turn lasts as long as that.
    let reading = tokio::task::spawn_blocking(move || {
        let answer = read();
        drop(turn);
        answer
    });
    reading.await.unwrap_or_else(|_| Err(status::inconsistent("a read")))
}

/// The ledger at a height.
pub(super) struct View {
    /// Where it is read.
    pub(super) replica: Arc<Replica>,
    /// The header at that height.
    pub(super) header: Header,
    hash: Hash,
}

impl View {
    /// The ledger at a height that this node has executed.
    pub(super) fn at(replica: &Arc<Replica>, height: u64) -> Result<View, Status> {
        let header = replica
            .store()
            .header(height)
            .map_err(|error| status::storage(&error))?
            .ok_or_else(|| status::inconsistent("a header"))?;
        let hash = header.hash();
        Ok(View { replica: replica.clone(), header, hash })
    }

    /// The height.
    pub(super) fn height(&self) -> u64 {
        self.header.height
    }

    /// The moment that it describes.
    pub(super) fn as_of(&self) -> v1::AsOf {
        v1::AsOf {
            height: self.header.height,
            header_hash: Bytes::copy_from_slice(self.hash.as_bytes()),
            block_time_ms: self.header.block_time_ms,
            finality: certainty::of(&self.replica, self.header.height).into(),
        }
    }

    /// Whether an account was open.
    pub(super) fn has(&self, account: &Account) -> bool {
        account.ordinal < self.header.account_count
    }

    /// An account as it was, if the scope sees it. What a field names and what is not there, or not
    /// the caller's, is told apart by nobody.
    pub(super) fn account(&self, id: &[u8], scope: &Scope) -> Result<Account, Status> {
        let id = AccountId::from_bytes(id)
            .ok_or_else(|| status::field("account", "an account id of 16 bytes"))?;
        let (account, height) = {
            let state = self.replica.state();
            (state.account(&id).cloned(), state.height())
        };
        let account = account
            .filter(|account| self.has(account) && scope.sees_account(account))
            .ok_or_else(|| status::not_found("account"))?;
        self.rewind(account, height)
    }

    /// An account as it was, from what it was at another height. The head of its postings is not
    /// rewound: no answer has it.
    pub(super) fn rewind(&self, account: Account, height: u64) -> Result<Account, Status> {
        if height == self.height() {
            return Ok(account);
        }
        let last = self
            .replica
            .store()
            .balance_at(account.ordinal, self.height())
            .map_err(|error| status::storage(&error))?;
        let (balance, posting_count) = last.map_or((0, 0), |last| (last.balance, last.sequence));
        Ok(Account { balance, posting_count, ..account })
    }
}

/// A date that a field gives; none for 0.
pub(super) fn date(name: &'static str, yyyymmdd: u32) -> Result<Option<Date>, Status> {
    match yyyymmdd {
        0 => Ok(None),
        _ => Date::from_yyyymmdd(yyyymmdd)
            .map(Some)
            .map_err(|_| status::field(name, "a day that exists, yyyymmdd, or 0")),
    }
}
