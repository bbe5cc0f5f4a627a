//! The state after a block: everything that the next block is decided from, but for the facts of
//! older history that apply asks for by name.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    account::{Account, AccountId},
    agreement::{self, Agreements},
    bic::Bic,
    block::{Block, IdRecord, Position},
    genesis::Genesis,
    hash::Hash,
    header::{Header, Reader},
    id::InstructionId,
    merkle::{self, Frontier, Tree},
    proposal::ProposalHeader,
    reconciliation::Reconciliation,
    registry::Registry,
};

/// Ids are remembered in memory for this long before the block time; older ones are refused as new
/// and answered from the index.
pub const ID_AGE_MAX_MS: u64 = 24 * 60 * 60 * 1_000;

/// How far an id's time may be ahead of the block time.
pub const ID_AHEAD_MAX_MS: u64 = 5 * 60 * 1_000;

/// The last block time that a leader may stamp: the end of the year 9999, in Unix milliseconds. One
/// absurd stamp must not leave the following blocks without a time of their own.
pub const TIME_MAX_MS: u64 = 253_402_300_799_999;

/// The ledger after some block.
#[derive(Clone, Debug)]
pub struct State {
    pub(crate) genesis: Genesis,
    pub(crate) chain_id: Hash,
    pub(crate) registry: Registry,
    pub(crate) height: u64,
    pub(crate) header_hash: Hash,
    pub(crate) block_time_ms: u64,
    /// The last proposal entry of the log, void or not: what the next one must name.
    pub(crate) proposal_hash: Hash,
    pub(crate) proposal_sequence: u64,
    /// Over the hashes of headers 0 to `height`.
    pub(crate) history: Frontier,
    pub(crate) accounts: Vec<Account>,
    pub(crate) ordinals: BTreeMap<AccountId, u32>,
    pub(crate) accounts_tree: Tree,
    /// Accounts whose leaf in the tree is older than they are.
    pub(crate) stale: BTreeSet<u32>,
    /// Block time of the last header that carried `accounts_root`.
    pub(crate) flagged_ms: u64,
    /// Its height, if the tree is that of then: not before the first one after a restart under load.
    pub(crate) flagged_height: Option<u64>,
    pub(crate) next_posting: u64,
    /// Ordered by the time inside the id, so that the oldest are forgotten first.
    pub(crate) ids: BTreeMap<(InstructionId, Bic), (Hash, Position)>,
    pub(crate) reconciliation: Reconciliation,
    pub(crate) agreements: Agreements,
}

/// What was stored cannot be the state of this ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored state does not decode: {0}")]
pub struct RestoreError(pub &'static str);

impl State {
    /// Founds the ledger: block 0 records the genesis file.
    pub fn genesis(genesis: Genesis) -> (State, Block) {
        let registry = Registry::of(&genesis);
        let chain_id = genesis.chain_id();
        let empty = Hash::of(&[]);
        let header = Header {
            chain_id,
            incarnation: 0,
            epoch: 0,
            rule_version: genesis.message().rule_version,
            height: 0,
            previous: Hash::ZERO,
            raft_term: 0,
            raft_index: 0,
            proposer: 0,
            proposal_hash: chain_id,
            block_time_ms: genesis.message().created_ms,
            leaf_count: 0,
            account_count: 0,
            registry_count: registry.count(),
            tx_root: empty,
            history_root: empty,
            accounts_root: Some(empty),
            registry_root: registry.root(),
        };
        let hash = header.hash();
        let mut history = Frontier::default();
        history.push(merkle::leaf_hash(hash.as_bytes()));
        let state = State {
            chain_id,
            registry,
            height: 0,
            header_hash: hash,
            block_time_ms: header.block_time_ms,
            proposal_hash: chain_id,
            proposal_sequence: 0,
            history,
            accounts: Vec::new(),
            ordinals: BTreeMap::new(),
            accounts_tree: Tree::default(),
            stale: BTreeSet::new(),
            flagged_ms: header.block_time_ms,
            flagged_height: Some(0),
            next_posting: 1,
            ids: BTreeMap::new(),
            reconciliation: Reconciliation::default(),
            agreements: Agreements::default(),
            genesis,
        };
        let block = Block {
            header,
            hash,
            leaves: Vec::new(),
            ids: Vec::new(),
            transfers: Vec::new(),
            movements: Vec::new(),
            touched: Vec::new(),
            heads: Vec::new(),
            records: Vec::new(),
        };
        (state, block)
    }

    /// The founding document.
    pub fn genesis_file(&self) -> &Genesis {
        &self.genesis
    }

    /// SHA-256 of the genesis file.
    pub fn chain_id(&self) -> Hash {
        self.chain_id
    }

    /// Members, keys, nodes, assets.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Height of the last block.
    pub fn height(&self) -> u64 {
        self.height
    }

    /// Hash of its header.
    pub fn header_hash(&self) -> Hash {
        self.header_hash
    }

    /// Its time, Unix milliseconds.
    pub fn block_time_ms(&self) -> u64 {
        self.block_time_ms
    }

    /// Hash of the last proposal entry that was executed or found void, and how many there were; the
    /// chain id and 0 before the first.
    pub fn last_proposal(&self) -> (Hash, u64) {
        (self.proposal_hash, self.proposal_sequence)
    }

    /// Takes a proposal entry, void or not, as the one that the next must name. It is counted
    /// whatever sequence it claims: a void one that claims the last number must not end the ledger.
    pub fn follow(&mut self, header: &ProposalHeader) {
        self.proposal_hash = header.hash();
        self.proposal_sequence += 1;
    }

    /// Whether the last header lacked `accounts_root`: a quiet ledger adds an empty block then.
    pub fn wants_flagged_block(&self) -> bool {
        self.flagged_ms != self.block_time_ms
    }

    /// The accounts' root, when the tree is as new as the accounts: after a block that carried it.
    pub fn accounts_root(&self) -> Option<Hash> {
        self.stale.is_empty().then(|| self.accounts_tree.root())
    }

    /// The path of an account's leaf to `accounts_root`, when the tree is as new as the accounts.
    pub fn account_path(&self, ordinal: u32) -> Option<Vec<Hash>> {
        let index = usize::try_from(ordinal).ok()?;
        self.stale.is_empty().then(|| self.accounts_tree.path(index)).flatten()
    }

    /// The path of an account's leaf to the `accounts_root` of the last header that carried one, and
    /// the height of that header; the leaf is as of then.
    pub fn flagged_path(&self, ordinal: u32) -> Option<(u64, Vec<Hash>)> {
        let index = usize::try_from(ordinal).ok()?;
        Some((self.flagged_height?, self.accounts_tree.path(index)?))
    }

    /// Accounts by ordinal.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// An account by its id.
    pub fn account(&self, id: &AccountId) -> Option<&Account> {
        self.ordinals.get(id).and_then(|ordinal| self.account_at(*ordinal))
    }

    /// An account by its ordinal.
    pub fn account_at(&self, ordinal: u32) -> Option<&Account> {
        self.accounts.get(usize::try_from(ordinal).ok()?)
    }

    /// What is known of the books.
    pub fn reconciliation(&self) -> &Reconciliation {
        &self.reconciliation
    }

    /// What institutions have agreed on.
    pub fn agreements(&self) -> &Agreements {
        &self.agreements
    }

    /// An id that was decided within the last day: its content's hash and its place.
    pub fn recent_id(&self, institution: &Bic, id: &InstructionId) -> Option<(Hash, Position)> {
        self.ids.get(&(*id, *institution)).copied()
    }

    /// Everything small that storage keeps beside accounts, ids and reconciliation records:
    /// version u8 = 1 · height u64 · header hash · block time u64 · proposal hash · proposal
    /// sequence u64 · flagged u64 · next posting u64 · history size u64 · history peaks.
    pub fn core(&self) -> Vec<u8> {
        let mut bytes = vec![1];
        bytes.extend(self.height.to_be_bytes());
        bytes.extend(self.header_hash.as_bytes());
        bytes.extend(self.block_time_ms.to_be_bytes());
        bytes.extend(self.proposal_hash.as_bytes());
        bytes.extend(self.proposal_sequence.to_be_bytes());
        bytes.extend(self.flagged_ms.to_be_bytes());
        bytes.extend(self.next_posting.to_be_bytes());
        bytes.extend(self.history.size().to_be_bytes());
        self.history.peaks().iter().for_each(|peak| bytes.extend(peak.as_bytes()));
        bytes
    }

    /// Rebuilds the state from what storage kept of it, but for the ids of the last day.
    pub fn restore(
        genesis: Genesis,
        core: &[u8],
        accounts: impl IntoIterator<Item = Vec<u8>>,
        records: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<State, RestoreError> {
        let (mut state, _) = State::genesis(genesis);
        state.read_core(core).ok_or(RestoreError("core"))?;
        for bytes in accounts {
            let account = Account::decode(&bytes).ok_or(RestoreError("account"))?;
            if usize::try_from(account.ordinal) != Ok(state.accounts.len()) {
                return Err(RestoreError("account ordinals have a gap"));
            }
            if account.posting_count >= state.next_posting {
                return Err(RestoreError("an account has more postings than the ledger"));
            }
            state.ordinals.insert(account.id, account.ordinal);
            state.stale.insert(account.ordinal);
            state.accounts.push(account);
        }
        state.adopt_reconciliation(records)?;
        // A tree that was carried by the last header is whole again; one that was not waits with
        // the leaves that were stale, and all the others, which gives the same root.
        state.flagged_height = None;
        if state.flagged_ms == state.block_time_ms {
            state.refresh_accounts_tree();
            state.flagged_height = Some(state.height);
        }
        // Storage may keep ids for longer than apply remembers them.
        state.forget_old_ids();
        Ok(state)
    }

    /// Gives a restored state the ids that were decided within the last day.
    pub fn remember_ids(&mut self, ids: impl IntoIterator<Item = IdRecord>) {
        for record in ids {
            let decided = (record.instruction_hash, record.position);
            self.ids.insert((record.id, record.institution), decided);
        }
        self.forget_old_ids();
    }

    /// Takes books and agreements from their records: what following blocks leaves out.
    pub fn adopt_reconciliation(
        &mut self,
        records: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<(), RestoreError> {
        let mut agreements = Vec::new();
        let books = records.into_iter().filter_map(|(key, value)| {
            if agreement::is_agreement(&key) {
                agreements.push((key, value));
                return None;
            }
            Some((key, value))
        });
        self.reconciliation = Reconciliation::restore(books, &self.accounts)
            .ok_or(RestoreError("reconciliation record"))?;
        self.agreements =
            Agreements::restore(agreements).ok_or(RestoreError("agreement record"))?;
        Ok(())
    }

    fn read_core(&mut self, core: &[u8]) -> Option<()> {
        let mut reader = Reader(core);
        let [1] = reader.take()? else { return None };
        self.height = u64::from_be_bytes(reader.take()?);
        self.header_hash = Hash(reader.take()?);
        self.block_time_ms = u64::from_be_bytes(reader.take()?);
        self.proposal_hash = Hash(reader.take()?);
        self.proposal_sequence = u64::from_be_bytes(reader.take()?);
        self.flagged_ms = u64::from_be_bytes(reader.take()?);
        self.next_posting = u64::from_be_bytes(reader.take()?);
        let size = u64::from_be_bytes(reader.take()?);
        let mut peaks = Vec::new();
        while !reader.0.is_empty() {
            peaks.push(Hash(reader.take()?));
        }
        self.history = Frontier::from_peaks(size, peaks)?;
        Some(())
    }

    /// Brings the tree up to the accounts. Returns how many leaves were stale and how many hashes
    /// it took, the leaves' own included.
    pub(crate) fn refresh_accounts_tree(&mut self) -> (u64, u64) {
        let stale = std::mem::take(&mut self.stale);
        let touched = u64::try_from(stale.len()).expect("accounts are counted in 32 bits");
        let leaves = stale.into_iter().map(|ordinal| {
            let index = usize::try_from(ordinal).expect("32 bits fit");
            (index, merkle::leaf_hash(&self.accounts[index].leaf()))
        });
        (touched, touched + self.accounts_tree.set(leaves))
    }

    pub(crate) fn forget_old_ids(&mut self) {
        let oldest = self.block_time_ms.saturating_sub(ID_AGE_MAX_MS);
        while let Some(entry) = self.ids.first_entry() {
            if entry.key().0.time_ms() >= oldest {
                break;
            }
            entry.remove();
        }
    }
}
