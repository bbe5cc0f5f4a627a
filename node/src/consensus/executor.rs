//! The ledger under execution: its state in memory, its blocks in storage.

use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::RwLockReadGuard;
use std::time::Instant;

use counterfoil_ledger::apply;
use counterfoil_ledger::apply::Applied;
use counterfoil_ledger::apply::LogPosition;
use counterfoil_ledger::apply::NotFollowed;
use counterfoil_ledger::block::LeafRecord;
use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::proposal::Proposal;
use counterfoil_ledger::proposal::ProposalHeader;
use counterfoil_ledger::state::ID_AGE_MAX_MS;
use counterfoil_ledger::state::State;
use tokio::sync::watch;

use super::Executed;
use super::ExecutedBlock;
use super::preparer::PreparedProposal;
use crate::clock::Clock;
use crate::defect;
use crate::defect::Defect;
use crate::limits;
use crate::storage::StorageError;
use crate::storage::state::Flush;
use crate::storage::state::StateStore;

/// Executes proposals in log order.
pub struct Executor {
    state: RwLock<State>,
    store: StateStore,
    height: watch::Sender<u64>,
}

/// Why a told block is not applied.
#[derive(Debug)]
pub enum NotApplied {
    /// It is not the certified one.
    Told(NotFollowed),
    /// This node's storage failed.
    Storage(StorageError),
}

impl From<NotFollowed> for NotApplied {
    fn from(error: NotFollowed) -> NotApplied {
        NotApplied::Told(error)
    }
}

impl From<StorageError> for NotApplied {
    fn from(error: StorageError) -> NotApplied {
        NotApplied::Storage(error)
    }
}

/// What execution has in memory and not yet in the state store; the log has it in any case.
pub struct Unflushed {
    touched: std::collections::BTreeSet<u32>,
    movements: usize,
    since: Option<Instant>,
}

impl Executor {
    /// Opens the ledger where the state store left it, or founds it. Also says what consensus had
    /// stored beside it.
    pub fn open(
        store: StateStore,
        genesis: Genesis,
    ) -> Result<(Executor, Option<Vec<u8>>), StorageError> {
        let restored = store.restored()?;
        let (state, consensus) = match restored {
            Some(restored) => {
                let mut state =
                    State::restore(genesis, &restored.core, restored.accounts, restored.records)
                        .map_err(|error| StorageError::corrupt("state", error.to_string()))?;
                check_accounts(&store, &state)?;
                let since = state.block_time_ms().saturating_sub(ID_AGE_MAX_MS);
                state.remember_ids(store.recent_ids(since)?);
                (state, Some(restored.consensus))
            }
            None => {
                let (state, block) = State::genesis(genesis);
                store.append(Arc::new(block))?;
                (state, None)
            }
        };
        let (height, _) = watch::channel(state.height());
        Ok((Executor { state: RwLock::new(state), store, height }, consensus))
    }

    /// The state after the last block.
    pub fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks and indices.
    pub fn store(&self) -> &StateStore {
        &self.store
    }

    /// The height of the last block, as it grows.
    pub fn height(&self) -> watch::Receiver<u64> {
        self.height.subscribe()
    }

    /// Fails if there is a block beyond the genesis.
    pub fn is_founding(&self) -> Result<(), StorageError> {
        match self.state().height() {
            0 => Ok(()),
            given => Err(StorageError::OutOfOrder { what: "snapshot height", given, expected: 0 }),
        }
    }

    /// Executes one proposal entry.
    pub fn execute(
        &self,
        prepared: &PreparedProposal,
        log: LogPosition,
        unflushed: &mut Unflushed,
    ) -> Result<Executed, StorageError> {
        let wants = apply::wants(&prepared.instructions);
        let mut facts = self.store.facts(&wants)?;
        if defect::is(Defect::ForgottenUetrs) {
            facts.uetrs.clear();
        }
        let clocked = defect::is(Defect::ClockInApply).then(|| ProposalHeader {
            stamp_ms: Clock::system().now_ms(),
            ..prepared.proposal.header.clone()
        });
        let header = clocked.as_ref().unwrap_or(&prepared.proposal.header);
        let unordered =
            defect::is(Defect::UnorderedApply).then(|| defect::unordered(&prepared.instructions));
        let instructions = unordered.as_ref().unwrap_or(&prepared.instructions);
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let applied = state.commit(header, prepared.holds, instructions, &facts, log);
        let Applied::Block(block, decisions) = applied else {
            return Ok(Executed(None));
        };
        let block = Arc::new(*block);
        // The store knows a block before the state is visible at its height.
        self.store.append(block.clone())?;
        drop(state);
        unflushed.add(&block);
        self.height.send_replace(block.header.height);
        Ok(Executed(Some(Arc::new(ExecutedBlock { block, decisions }))))
    }

    /// Applies a certified block by the outcomes that were told with it. After an error the state is at
    /// no block: it is of no more use.
    pub fn follow(
        &self,
        header: &Header,
        proposal: &Proposal,
        leaves: &[LeafRecord],
        unflushed: &mut Unflushed,
    ) -> Result<(), NotApplied> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let block = Arc::new(state.follow_block(header, proposal, leaves)?);
        self.store.append(block.clone())?;
        drop(state);
        unflushed.add(&block);
        self.height.send_replace(block.header.height);
        Ok(())
    }

    /// Takes note of a proposal that yielded no block.
    pub fn follow_void(&self, header: &ProposalHeader) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).follow(header);
    }

    /// Takes everything unflushed, with what consensus keeps beside it, into one batch that can be
    /// written while execution goes on.
    pub fn begin_flush(&self, unflushed: &mut Unflushed, consensus: &[u8]) -> Option<Flush> {
        let state = self.state();
        let accounts = unflushed.touched.iter().filter_map(|ordinal| {
            state.account_at(*ordinal).map(|account| (*ordinal, account.encode()))
        });
        let flush = self.store.begin_flush(&state.core(), consensus, accounts)?;
        *unflushed = Unflushed::none();
        Some(flush)
    }
}

/// The accounts that were stored give the root that the last header carried, if it carried one.
fn check_accounts(store: &StateStore, state: &State) -> Result<(), StorageError> {
    let header = store.header(state.height())?;
    let carried = header.and_then(|header| header.accounts_root);
    match (carried, state.accounts_root()) {
        (Some(carried), Some(computed)) if carried != computed => {
            let place = format!("their root at height {} is another one", state.height());
            Err(StorageError::corrupt("accounts", place))
        }
        _ => Ok(()),
    }
}

impl Unflushed {
    /// Nothing.
    pub fn none() -> Unflushed {
        Unflushed { touched: std::collections::BTreeSet::new(), movements: 0, since: None }
    }

    fn add(&mut self, block: &counterfoil_ledger::block::Block) {
        self.touched.extend(&block.touched);
        self.movements += block.movements.len();
        self.since.get_or_insert_with(Instant::now);
    }

    /// Whether it is time to write.
    pub fn is_due(&self) -> bool {
        self.movements >= limits::UNFLUSHED_MOVEMENTS_MAX
            || self.since.is_some_and(|since| since.elapsed() >= limits::UNFLUSHED_AGE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use counterfoil_ledger::account::AccountId;
    use counterfoil_ledger::bic::Bic;
    use counterfoil_ledger::hash::Hash;
    use counterfoil_ledger::id::InstructionId;
    use counterfoil_ledger::instruction::Draft;
    use counterfoil_ledger::outcome::Outcome;
    use counterfoil_ledger::proposal::Proposal;
    use counterfoil_ledger::reason::Reason;
    use counterfoil_ledger::registry::Registry;
    use counterfoil_ledger::signature::SoftwareSigner;
    use counterfoil_ledger::uetr::Uetr;
    use counterfoil_proto::v1;
    use counterfoil_proto::v1::instruction::Body;
    use prost::Message;

    use super::*;
    use crate::consensus::preparer::Preparer;
    use crate::consensus::suite;
    use crate::storage::directory::DataDirectory;
    use crate::storage::log::LogEntry;
    use crate::storage::log::LogPayload;
    use crate::storage::log::LogStore;

    const NOON_MS: u64 = 1_795_435_200_000;

    struct Ledger {
        executor: Executor,
        preparer: Preparer,
        log: LogStore,
        unflushed: Unflushed,
        _path: tempfile::TempDir,
    }

    impl Ledger {
        fn new() -> Ledger {
            let path = tempfile::tempdir().unwrap();
            let (genesis, data) = (suite::genesis(), path.path().join("data"));
            let chain_id = genesis.chain_id();
            let directory = DataDirectory::init(&data, 1, &chain_id).unwrap();
            let log = LogStore::open(&directory).unwrap();
            let store = StateStore::open(&directory, log.clone()).unwrap();
            let preparer = Preparer::new(Arc::new(Registry::of(&genesis)), chain_id);
            let (executor, _) = Executor::open(store, genesis).unwrap();
            Ledger { executor, preparer, log, unflushed: Unflushed::none(), _path: path }
        }

        /// Executes one instruction in a block of its own.
        fn execute(&mut self, body: Body) -> Outcome {
            let (previous, sequence) = self.executor.state().last_proposal();
            let index = sequence + 1;
            let id = InstructionId::new(NOON_MS, [u8::try_from(index).unwrap(); 10]);
            let draft = Draft::new(id, &bank(), NOON_MS + 60_000, body);
            let signer = SoftwareSigner::from_ed25519_seed(&[1; 32]);
            let signed = draft.sign(&signer, &self.executor.state().chain_id()).unwrap();
            let instructions: Vec<Bytes> = vec![signed.encode_to_vec().into()];
            let header = ProposalHeader {
                incarnation: 0,
                epoch: 0,
                proposer: 1,
                term: 1,
                sequence: index,
                previous,
                stamp_ms: NOON_MS + index,
                count: 1,
                instructions_root: Proposal::instructions_root(&instructions),
            };
            let prepared = self.preparer.instruction(instructions[0].clone());
            let (key_id, signature) = (Hash::ZERO, [0; 64]);
            let proposal = Proposal { header, key_id, signature, instructions };
            let payload = LogPayload::Proposal(proposal.encode());
            self.log.append(&[LogEntry { index, term: 1, node: 1, payload }]).unwrap();
            let prepared = PreparedProposal { proposal, holds: true, instructions: vec![prepared] };
            let log = LogPosition { term: 1, node: 1, index };
            let executed = self.executor.execute(&prepared, log, &mut self.unflushed).unwrap();
            executed.0.unwrap().block.leaves[0].outcome
        }
    }

    fn bank() -> Bic {
        Bic::parse("BANKCHZZXXX").unwrap()
    }

    #[test]
    fn a_uetr_settles_once_whichever_block_it_settled_in() {
        let mut ledger = Ledger::new();
        for name in ["one", "two"] {
            let open = v1::OpenAccount {
                servicer: bank().to_string(),
                owner: bank().to_string(),
                asset: "CHF".to_owned(),
                name: name.to_owned(),
            };
            assert_eq!(ledger.execute(Body::OpenAccount(open)).reason, None);
        }
        let account = |name| AccountId::of(&bank(), &bank(), "CHF", name).as_bytes().to_vec();
        let transfer = v1::Transfer {
            debit_account: account("one").into(),
            credit_account: account("two").into(),
            amount: 5,
            uetr: Bytes::copy_from_slice(Uetr::from_random([7; 16]).as_bytes()),
            salt: Bytes::from_static(&[9; 16]),
            ..v1::Transfer::default()
        };
        assert_eq!(ledger.execute(Body::Transfer(transfer.clone())).reason, None);
        let again = ledger.execute(Body::Transfer(transfer));
        assert_eq!(again.reason, Some(Reason::UetrSettled));
    }
}
