//! The proof of an account: from the leaf that a certified header carries, back over all postings to
//! the height that is asked for.

use std::sync::Arc;

use bytes::Bytes;
use counterfoil_ledger::account::Account;
use counterfoil_ledger::block::HeadRecord;
use counterfoil_ledger::block::Movement;
use counterfoil_ledger::block::Position;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::merkle;
use counterfoil_ledger::merkle::path::root_of_path;
use counterfoil_ledger::prove;
use counterfoil_proto::v1;
use tonic::Status;

use super::Shared;
use super::certainty;
use super::reading;
use super::reading::View;
use super::receipts::Seal;
use super::status;
use super::visibility::Scope;
use super::watch::Outlet;
use crate::consensus::replica::Replica;
use crate::limits;

/// A proof whose blocks are not read yet.
pub(super) struct Proof {
    replica: Arc<Replica>,
    account: Account,
    first: v1::AccountProof,
    /// Height of the header that carries the account.
    height: u64,
}

/// An account under a header that carries it.
struct Carried {
    height: u64,
    path: Vec<Hash>,
}

/// Begins the proof that a request asks for, once there is a header for it and its certificate.
pub(super) async fn open(
    shared: &Shared,
    scope: &Scope,
    request: &v1::ProveAccountRequest,
) -> Result<Proof, Status> {
    let (from, to) = (request.from_height, request.to_height);
    if to != 0 && to < from {
        return Err(status::field("to_height", "not below from_height, or 0"));
    }
    let replica = &shared.replica;
    reading::reach(replica, from.max(to)).await?;
    // What anybody has called final was ordered before this.
    let newest = reading::newest(replica, v1::ReadMode::Ordered.into()).await?;
    let account = {
        let (replica, id, scope) = (replica.clone(), request.account.clone(), *scope);
        reading::off_thread(move || View::at(&replica, newest)?.account(&id, &scope)).await?
    };
    let least = if to == 0 { newest } else { to };
    let carried = carried(replica, account.ordinal, least).await?;
    certainty::reach_final(replica, carried.height).await?;
    let seal = shared.receipts.seal(carried.height).await?;
    let seal = seal.ok_or_else(|| status::inconsistent("a certificate"))?;
    let to = if to == 0 { carried.height } else { to };
    let replica = replica.clone();
    reading::off_thread(move || Proof::begin(replica, account, &carried, &seal, (from, to))).await
}

/// The newest header that carries an account, once it is at or above a height.
async fn carried(replica: &Replica, ordinal: u32, height: u64) -> Result<Carried, Status> {
    let mut heights = replica.height();
    let found = async {
        loop {
            heights.borrow_and_update();
            let found = replica.state().flagged_path(ordinal);
            if let Some((flagged, path)) = found.filter(|(flagged, _)| *flagged >= height) {
                return Ok(Carried { height: flagged, path });
            }
            // Under load one block in a second carries the accounts; a quiet ledger adds one.
            heights.changed().await.map_err(|_| status::stopping())?;
        }
    };
    let waited = tokio::time::timeout(limits::HEIGHT_TIMEOUT, found).await;
    waited.unwrap_or_else(|_| Err(status::not_final(height, &replica.finality().standing())))
}

impl Proof {
    fn begin(
        replica: Arc<Replica>,
        account: Account,
        carried: &Carried,
        seal: &Seal,
        (from_height, to_height): (u64, u64),
    ) -> Result<Proof, Status> {
        let height = carried.height;
        let head = head_at(&replica, &account, height)?;
        let opening = head_at(&replica, &account, from_height)?;
        let view = View::at(&replica, height)?;
        let header = &view.header;
        let balance = balance_at(&replica, &account, height)?;
        let account = Account {
            balance: balance.map_or(0, |last| last.balance),
            posting_count: balance.map_or(0, |last| last.sequence),
            head: head.map_or(Hash::ZERO, |head| head.head()),
            ..account
        };
        let leaf = account.leaf();
        // Whatever was wrong with what is stored would show here and not at the caller's.
        let place = (u64::from(account.ordinal), u64::from(header.account_count));
        let root = root_of_path(merkle::leaf_hash(&leaf), place.0, place.1, &carried.path);
        if root.is_none() || root != header.accounts_root {
            return Err(status::inconsistent("an account"));
        }
        let before = opening.map_or(0, |opening| opening.posting_count);
        if account.posting_count.saturating_sub(before) > limits::PROOF_POSTINGS_MAX {
            return Err(status::impossible(
                "RANGE_TOO_LARGE",
                "There are more postings since from_height than one proof takes.",
                "Ask from a later height; a second proof covers what comes before.",
            ));
        }
        let first = v1::AccountProof {
            account: Some(v1::OpenAccount {
                servicer: account.servicer.to_string(),
                owner: account.owner.to_string(),
                asset: account.asset.as_str().to_owned(),
                name: account.name.clone(),
            }),
            leaf: Bytes::copy_from_slice(&leaf),
            leaf_path: prove::bytes(&carried.path),
            header: Bytes::copy_from_slice(&header.encode()),
            history_path: seal.history_path.clone(),
            certificate: Some(seal.certificate.clone()),
            from_height,
            to_height,
            opening: opening
                .map_or_else(Bytes::new, |opening| Bytes::copy_from_slice(&opening.preimage())),
            blocks: Vec::new(),
        };
        #[cfg(feature = "misbehaviour")]
        let first = crate::misbehaviour::account_proof(first);
        Ok(Proof { replica, account, first, height })
    }

    /// Sends it, part by part.
    pub(super) async fn send(self, outlet: Outlet<v1::ProveAccountResponse>) -> Result<(), Status> {
        let send = async |part| {
            let part = Ok(v1::ProveAccountResponse { part: Some(part) });
            outlet.send(part).await.map_err(|_| status::stopping())
        };
        let from = Position { height: self.first.from_height, leaf: u32::MAX };
        send(self.first).await?;
        let mut rest = Rest {
            replica: self.replica,
            account: self.account,
            height: self.height,
            after: Some(from),
            held: Vec::new(),
        };
        while rest.after.is_some() {
            let (back, blocks) = reading::off_thread(move || rest.next()).await?;
            rest = back;
            if !blocks.is_empty() {
                send(v1::AccountProof { blocks, ..Default::default() }).await?;
            }
        }
        Ok(())
    }
}

/// The postings that are still to be sent.
struct Rest {
    replica: Arc<Replica>,
    account: Account,
    height: u64,
    /// The last movement that was read; none at the end.
    after: Option<Position>,
    /// Movements of a block that may have more.
    held: Vec<Movement>,
}

impl Rest {
    /// The next blocks, each of them whole.
    fn next(mut self) -> Result<(Rest, Vec<v1::PostedBlock>), Status> {
        let movements = self
            .replica
            .store()
            .movements(self.account.ordinal, self.after, self.height, limits::PROOF_BATCH)
            .map_err(|error| status::storage(&error))?;
        let is_last = movements.len() < limits::PROOF_BATCH;
        self.after = movements.last().map(|last| last.position).filter(|_| !is_last);
        let mut known = std::mem::take(&mut self.held);
        known.extend(movements);
        if !is_last {
            let last = known.last().map(|last| last.position.height);
            let whole = known.partition_point(|it| Some(it.position.height) < last);
            self.held = known.split_off(whole);
        }
        let of_blocks = known.chunk_by(|left, right| left.position.height == right.position.height);
        let blocks = of_blocks.map(|of_block| self.posted(of_block)).collect::<Result<_, _>>()?;
        Ok((self, blocks))
    }

    fn posted(&self, movements: &[Movement]) -> Result<v1::PostedBlock, Status> {
        let missing = || status::inconsistent("a posting");
        let height = movements.first().ok_or_else(missing)?.position.height;
        let block = self.replica.store().block(height).map_err(|error| status::storage(&error))?;
        let block = block.ok_or_else(missing)?;
        let leaves = movements.iter().map(|movement| movement.position.leaf);
        let postings = prove::postings(&block, &self.account.id, leaves)
            .filter(|postings| postings.len() == movements.len())
            .ok_or_else(missing)?;
        Ok(v1::PostedBlock { height, postings })
    }
}

fn head_at(
    replica: &Replica,
    account: &Account,
    height: u64,
) -> Result<Option<HeadRecord>, Status> {
    replica.store().head_at(account, height).map_err(|error| status::storage(&error))
}

fn balance_at(
    replica: &Replica,
    account: &Account,
    height: u64,
) -> Result<Option<Movement>, Status> {
    replica.store().balance_at(account.ordinal, height).map_err(|error| status::storage(&error))
}
