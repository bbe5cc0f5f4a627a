use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::block::IdRecord;
use counterfoil_ledger::block::LeafRecord;
use counterfoil_ledger::block::Movement;
use counterfoil_ledger::block::Position;
use counterfoil_ledger::block::SettledTransfer;
use counterfoil_ledger::block::Side;
use counterfoil_ledger::block::Wants;
use counterfoil_ledger::block::encode_leaves;
use counterfoil_ledger::date::Date;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::history::History;
use counterfoil_ledger::history::StoredBlock;
use counterfoil_ledger::id::InstructionId;
use counterfoil_ledger::merkle;
use counterfoil_ledger::merkle::Frontier;
use counterfoil_ledger::outcome::Event;
use counterfoil_ledger::outcome::Outcome;
use counterfoil_ledger::outcome::State;
use counterfoil_ledger::proposal::Proposal;
use counterfoil_ledger::proposal::ProposalHeader;
use counterfoil_ledger::prove;
use counterfoil_ledger::reason::Reason;
use counterfoil_ledger::uetr::Uetr;
use counterfoil_proto::v1;
use prost::Message;

use super::super::log::LogEntry;
use super::super::log::LogPayload;
use super::*;

mod certificates;
mod heads;
mod history;
mod scrub;

const CHAIN: Hash = Hash([7; 32]);
const START_MS: u64 = 1_795_400_000_000;
const ACCOUNTS_COUNT: u32 = 12;

/// A small generator, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ self.0 >> 29
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 17) % bound
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| u8::try_from(self.below(256)).unwrap())
    }
}

/// Makes blocks that look as apply's do, and knows by simpler means what they hold.
struct Chain {
    random: Random,
    /// UETRs are drawn from few, so that they repeat.
    uetrs: u64,
    height: u64,
    history: History,
    headers: Frontier,
    blocks: Vec<Arc<Block>>,
    ids: Vec<IdRecord>,
    movements: BTreeMap<u32, Vec<Movement>>,
    records: BTreeMap<Vec<u8>, Vec<u8>>,
}

fn bic(number: u64) -> Bic {
    Bic::parse(&format!("BNK{}CHZZ", char::from(b'A' + u8::try_from(number).unwrap()))).unwrap()
}

fn account_id(ordinal: u32) -> AccountId {
    AccountId::of(&bic(0), &bic(1), "EUR", &ordinal.to_string())
}

fn account(ordinal: u32, height: u64) -> (u32, Vec<u8>) {
    (ordinal, format!("account {ordinal} at {height}").into_bytes())
}

fn uetr(number: u64) -> Uetr {
    Uetr::from_random(Hash::of(&number.to_be_bytes()).0[..16].try_into().unwrap())
}

fn reference(number: u64) -> String {
    if number == 0 { String::new() } else { format!("E2E-{number}") }
}

impl Chain {
    fn new(uetrs: u64) -> Chain {
        Chain {
            random: Random(11),
            uetrs,
            height: 0,
            history: History::default(),
            headers: Frontier::default(),
            blocks: Vec::new(),
            ids: Vec::new(),
            movements: BTreeMap::new(),
            records: BTreeMap::new(),
        }
    }

    fn transfer(&mut self) -> (v1::Transfer, u32, u32) {
        let debit = u32::try_from(self.random.below(u64::from(ACCOUNTS_COUNT))).unwrap();
        let credit = (debit + 1) % ACCOUNTS_COUNT;
        let date = if self.random.below(3) == 0 { 20_261_201 } else { 0 };
        let message = v1::Transfer {
            debit_account: Bytes::copy_from_slice(account_id(debit).as_bytes()),
            credit_account: Bytes::copy_from_slice(account_id(credit).as_bytes()),
            amount: 1 + self.random.below(1000),
            uetr: Bytes::copy_from_slice(uetr(self.random.below(self.uetrs)).as_bytes()),
            end_to_end_id: reference(self.random.below(20)),
            settlement_date: date,
            commitment: Bytes::new(),
            salt: Bytes::copy_from_slice(&self.random.bytes::<16>()),
        };
        (message, debit, credit)
    }

    /// The next block and its log entry; the genesis block has none.
    fn next(&mut self, transfers: u64) -> (Option<LogEntry>, Arc<Block>) {
        let height = self.height;
        self.height += 1;
        let time = START_MS + height * 1_000_000;
        let (mut instructions, mut block) = (Vec::new(), empty_block(height, time));
        let mut left = if height == 0 { 0 } else { transfers };
        while left > 0 {
            let items = if self.random.below(2) == 0 { 0 } else { 1 + self.random.below(left) };
            left -= items.max(1);
            let bytes =
                self.instruction(items, u32::try_from(instructions.len()).unwrap(), &mut block);
            instructions.push(bytes);
        }
        for _ in 0..self.random.below(4) {
            let key = vec![u8::try_from(self.random.below(10)).unwrap()];
            let value = if self.random.below(3) == 0 { Vec::new() } else { vec![1, 2, 3] };
            self.records.insert(key.clone(), value.clone());
            block.records.push((key, value));
        }
        let proposal = proposal(height, instructions);
        block.header.previous = self.blocks.last().map_or(Hash::ZERO, |block| block.hash);
        let stored = StoredBlock {
            header: block.header.clone(),
            proposal: proposal.clone(),
            leaves: block.leaves.clone(),
        };
        block.header.tx_root = merkle::root_of(prove::leaf_hashes(&stored).unwrap());
        block.header.leaf_count = u32::try_from(block.leaves.len()).unwrap();
        block.header.history_root = self.headers.root();
        block.header.proposal_hash = if height == 0 { CHAIN } else { proposal.header.hash() };
        block.hash = block.header.hash();
        self.headers.push(merkle::leaf_hash(block.hash.as_bytes()));
        self.history.push(&block, &proposal);
        self.ids.extend(&block.ids);
        for movement in &block.movements {
            self.movements.entry(movement.account).or_default().push(*movement);
        }
        let block = Arc::new(block);
        self.blocks.push(Arc::clone(&block));
        let payload = LogPayload::Proposal(proposal.encode());
        let entry = LogEntry { index: height, term: 3, node: 1, payload };
        ((height > 0).then_some(entry), block)
    }

    /// A single transfer, or with items a batch of them, into the block.
    fn instruction(&mut self, items: u64, place: u32, block: &mut Block) -> Bytes {
        let time = block.header.block_time_ms - self.random.below(50_000_000);
        let id = InstructionId::new(time, self.random.bytes());
        let institution = bic(self.random.below(4));
        let mut message = v1::Instruction {
            id: Bytes::copy_from_slice(id.as_bytes()),
            institution: institution.to_string(),
            ..v1::Instruction::default()
        };
        let mut signed = v1::SignedInstruction::default();
        let leaf = u32::try_from(block.leaves.len()).unwrap();
        if items == 0 {
            let (transfer, debit, credit) = self.transfer();
            self.settle(&transfer, (debit, credit), (place, 0), block);
            message.body = Some(v1::instruction::Body::Transfer(transfer));
        } else {
            let outcome = Outcome::of_event(State::Itemised, Event::BatchTaken);
            block.leaves.push(LeafRecord { instruction: place, item: 0, outcome, effects: vec![] });
            message.body = Some(v1::instruction::Body::Transfers(v1::Batch::default()));
            for item in 1..=u32::try_from(items).unwrap() {
                let (transfer, debit, credit) = self.transfer();
                self.settle(&transfer, (debit, credit), (place, item), block);
                signed.items.push(transfer.encode_to_vec().into());
            }
        }
        signed.instruction = message.encode_to_vec().into();
        block.ids.push(IdRecord {
            institution,
            id,
            instruction_hash: Hash::of(&signed.instruction),
            position: Position { height: block.header.height, leaf },
        });
        signed.encode_to_vec().into()
    }

    fn settle(
        &mut self,
        transfer: &v1::Transfer,
        (debit, credit): (u32, u32),
        (instruction, item): (u32, u32),
        block: &mut Block,
    ) {
        let leaf = u32::try_from(block.leaves.len()).unwrap();
        let position = Position { height: block.header.height, leaf };
        let effects = if leaf % 7 == 0 { vec![9; 5] } else { Vec::new() };
        if self.random.below(6) == 0 {
            let outcome = Outcome::rejected(Reason::from_code(501).unwrap());
            block.leaves.push(LeafRecord { instruction, item, outcome, effects });
            return;
        }
        let outcome = Outcome::of_event(State::Settled, Event::TransferPosted);
        block.leaves.push(LeafRecord { instruction, item, outcome, effects });
        block.transfers.push(SettledTransfer {
            leaf,
            debit,
            credit,
            uetr: Uetr::from_bytes(&transfer.uetr).unwrap(),
        });
        let date = match transfer.settlement_date {
            0 => Date::from_unix_ms(block.header.block_time_ms),
            date => Date::from_yyyymmdd(date).unwrap(),
        };
        for (account, side) in [(debit, Side::Debit), (credit, Side::Credit)] {
            let in_block = block.movements.iter().rev().find(|it| it.account == account);
            let before = in_block.or(self.movements.get(&account).and_then(|all| all.last()));
            let (sequence, balance) = before.map_or((0, 0), |it| (it.sequence, it.balance));
            block.movements.push(Movement {
                account,
                position,
                sequence: sequence + 1,
                side,
                amount: transfer.amount,
                date,
                balance: balance + side.signed(transfer.amount),
            });
        }
    }

    /// Compares all answers with the model's.
    fn check(&mut self, store: &StateStore) {
        assert_eq!(store.last_height(), Some(self.height - 1));
        let wants = self.wants();
        let (facts, model) = (store.facts(&wants).unwrap(), self.history.facts(&wants));
        assert_eq!(facts.uetrs, model.uetrs);
        assert_eq!(facts.headers, model.headers);
        self.check_blocks(store);
        self.check_movements(store);
        for _ in 0..20 {
            let Some(count) = u64::try_from(self.ids.len()).ok().filter(|count| *count > 0) else {
                break;
            };
            let record = self.ids[usize::try_from(self.random.below(count)).unwrap()];
            let found = store.find_id(&record.institution, &record.id).unwrap();
            assert_eq!(found, Some(record));
            let stranger = InstructionId::new(START_MS, self.random.bytes());
            assert_eq!(store.find_id(&record.institution, &stranger).unwrap(), None);
        }
        let since = START_MS + self.random.below(self.height * 1_000_000);
        let mut recent = self.ids.clone();
        recent.retain(|record| record.id.time_ms() >= since);
        assert_eq!(store.recent_ids(since).unwrap(), recent);
    }

    fn wants(&mut self) -> Wants {
        let mut wants = Wants::default();
        for _ in 0..30 {
            wants.uetrs.push(uetr(self.random.below(self.uetrs + 5)));
            wants.headers.push(self.random.below(self.height + 3));
        }
        wants
    }

    fn check_blocks(&mut self, store: &StateStore) {
        for _ in 0..10 {
            let height = self.random.below(self.height);
            let expected = &self.blocks[usize::try_from(height).unwrap()];
            assert_eq!(store.header(height).unwrap().unwrap(), expected.header);
            assert_eq!(store.leaves(height).unwrap().unwrap(), expected.leaves);
            let block = store.block(height).unwrap().unwrap();
            assert_eq!(block.header, expected.header);
            assert_eq!(block.leaves, expected.leaves);
            assert_eq!(block.proposal.header.sequence, height);
            for transfer in &expected.transfers {
                assert_eq!(block.settled(transfer.leaf).unwrap().uetr, transfer.uetr);
            }
        }
        assert_eq!(store.header(self.height).unwrap(), None);
        assert!(store.block(self.height).unwrap().is_none());
        let from = self.random.below(self.height);
        let headers = store.header_range(from..from + 9).unwrap();
        let expected = self.blocks[usize::try_from(from).unwrap()..].iter().take(9);
        assert!(headers.iter().eq(expected.map(|block| &block.header)));
    }

    fn check_movements(&mut self, store: &StateStore) {
        for account in 0..ACCOUNTS_COUNT + 1 {
            let all = self.movements.get(&account).map_or(&[][..], Vec::as_slice);
            assert_eq!(store.movements(account, None, u64::MAX, usize::MAX).unwrap(), all);
            let height = self.random.below(self.height + 1);
            let mut pages = Vec::new();
            let limit = usize::try_from(1 + self.random.below(50)).unwrap();
            loop {
                let after = pages.last().map(|movement: &Movement| movement.position);
                let page = store.movements(account, after, height, limit).unwrap();
                assert!(page.len() <= limit);
                if page.is_empty() {
                    break;
                }
                pages.extend(page);
            }
            let mut expected = all.iter().filter(|movement| movement.position.height <= height);
            assert!(pages.iter().eq(expected.clone()));
            assert_eq!(store.balance_at(account, height).unwrap().as_ref(), expected.next_back());
        }
    }
}

fn empty_block(height: u64, block_time_ms: u64) -> Block {
    let header = Header {
        chain_id: CHAIN,
        incarnation: 0,
        epoch: 0,
        rule_version: 1,
        height,
        previous: Hash::ZERO,
        raft_term: 3,
        raft_index: height,
        proposer: 1,
        proposal_hash: Hash::ZERO,
        block_time_ms,
        leaf_count: 0,
        account_count: ACCOUNTS_COUNT,
        registry_count: 0,
        tx_root: Hash::ZERO,
        history_root: Hash::ZERO,
        accounts_root: None,
        registry_root: Hash::ZERO,
    };
    Block {
        header,
        hash: Hash::ZERO,
        leaves: Vec::new(),
        ids: Vec::new(),
        transfers: Vec::new(),
        movements: Vec::new(),
        touched: Vec::new(),
        heads: Vec::new(),
        records: Vec::new(),
    }
}

fn proposal(height: u64, instructions: Vec<Bytes>) -> Proposal {
    let header = ProposalHeader {
        incarnation: 0,
        epoch: 0,
        proposer: 1,
        term: 3,
        sequence: height,
        previous: Hash::ZERO,
        stamp_ms: 0,
        count: u32::try_from(instructions.len()).unwrap(),
        instructions_root: Proposal::instructions_root(&instructions),
    };
    Proposal { header, key_id: Hash::ZERO, signature: [0; 64], instructions }
}

fn open(path: &Path) -> Result<(LogStore, StateStore), StorageError> {
    let directory = DataDirectory::open(path, 1, &CHAIN).unwrap();
    let log = LogStore::open(&directory)?;
    let store = StateStore::open(&directory, log.clone())?;
    Ok((log, store))
}

fn create(path: &Path) -> (LogStore, StateStore) {
    drop(DataDirectory::init(path, 1, &CHAIN).unwrap());
    open(path).unwrap()
}

fn extend(chain: &mut Chain, log: &LogStore, store: &StateStore, transfers: u64) {
    let (entry, block) = chain.next(transfers);
    log.append(entry.as_slice()).unwrap();
    store.append(block).unwrap();
}

fn flush(chain: &Chain, store: &StateStore) {
    let height = chain.height;
    let accounts = (0..ACCOUNTS_COUNT).map(|ordinal| account(ordinal, height));
    store.flush(vec![1], format!("at {height}").into_bytes(), accounts).unwrap();
}

#[test]
fn answers_are_those_of_a_naive_model() {
    let path = tempfile::tempdir().unwrap();
    let (mut log, mut store) = create(path.path());
    let mut chain = Chain::new(400);
    for round in 0..120 {
        extend(&mut chain, &log, &store, 30);
        if round % 3 == 0 {
            flush(&chain, &store);
        }
        if round % 10 == 0 {
            chain.check(&store);
        }
        if round % 40 == 39 {
            flush(&chain, &store);
            drop((log, store));
            (log, store) = open(path.path()).unwrap();
            chain.check(&store);
        }
    }
}

#[test]
fn a_tail_can_be_read_while_it_is_flushed_and_after() {
    let path = tempfile::tempdir().unwrap();
    let (log, store) = create(path.path());
    let mut chain = Chain::new(50);
    for _ in 0..20 {
        extend(&mut chain, &log, &store, 20);
    }
    let flush = store.begin_flush(b"core", b"consensus", std::iter::empty()).unwrap();
    assert!(store.begin_flush(b"core", b"consensus", std::iter::empty()).is_none());
    for _ in 0..20 {
        extend(&mut chain, &log, &store, 20);
    }
    chain.check(&store);
    let writing = std::thread::spawn(|| flush.write().unwrap());
    chain.check(&store);
    store.flush(b"2".to_vec(), b"3".to_vec(), std::iter::empty()).unwrap();
    chain.check(&store);
    writing.join().unwrap();
    assert_eq!(store.restored().unwrap().unwrap().core, b"2");
    assert!(store.first_failure().is_none());
}

#[test]
fn what_has_closed_is_found_by_its_key_and_not_read_at_a_start() {
    let path = tempfile::tempdir().unwrap();
    let (log, store) = create(path.path());
    let mut chain = Chain::new(50);
    let (open, closed) = (vec![1; 14], [[129; 14].to_vec(), [139; 14].to_vec()]);
    let keep = |chain: &mut Chain, records: Vec<(Vec<u8>, Vec<u8>)>| {
        let (entry, block) = chain.next(3);
        let mut block = Arc::unwrap_or_clone(block);
        block.records = records;
        log.append(entry.as_slice()).unwrap();
        store.append(Arc::new(block)).unwrap();
    };
    keep(&mut chain, vec![(open.clone(), vec![1])]);
    flush(&chain, &store);
    keep(&mut chain, vec![(open.clone(), Vec::new()), (closed[0].clone(), vec![2])]);
    let found = |key: &[u8]| store.archived(key).unwrap();
    assert_eq!((found(&closed[0]), found(&closed[1])), (Some(vec![2]), None), "in the tail");
    flush(&chain, &store);
    keep(&mut chain, vec![(closed[1].clone(), vec![3])]);
    assert_eq!((found(&closed[0]), found(&closed[1])), (Some(vec![2]), Some(vec![3])));
    flush(&chain, &store);
    assert_eq!((found(&closed[0]), found(&closed[1])), (Some(vec![2]), Some(vec![3])));
    assert!(store.restored().unwrap().unwrap().records.is_empty());
    let in_snapshots: Vec<_> =
        store.view().records().map(|pair| pair.unwrap().0.into_vec()).collect();
    assert_eq!(in_snapshots, closed);
}

#[test]
fn a_killed_node_replays_from_its_log() {
    let path = tempfile::tempdir().unwrap();
    let (log, store) = create(&path.path().join("alive"));
    let mut chain = Chain::new(50);
    assert!(store.restored().unwrap().is_none());
    assert_eq!(store.last_height(), None);
    for _ in 0..10 {
        extend(&mut chain, &log, &store, 20);
    }
    flush(&chain, &store);
    let records = chain.records.clone();
    for _ in 0..5 {
        extend(&mut chain, &log, &store, 20);
    }

    // What the disk holds at this moment, with nothing closed, is what a kill leaves.
    let copy = path.path().join("copy");
    copy_directory(&path.path().join("alive"), &copy);
    let (copied_log, copied) = open(&copy).unwrap();
    assert_eq!(copied_log.last().unwrap().index, 14);
    assert_eq!(copied.last_height(), Some(9));
    let restored = copied.restored().unwrap().unwrap();
    assert_eq!((restored.core, restored.consensus), (vec![1], b"at 10".to_vec()));
    let accounts: Vec<_> = (0..ACCOUNTS_COUNT).map(|ordinal| account(ordinal, 10).1).collect();
    assert_eq!(restored.accounts, accounts);
    let kept = records.into_iter().filter(|(_, value)| !value.is_empty());
    assert!(restored.records.into_iter().eq(kept));
    for block in &chain.blocks[10..] {
        copied.append(Arc::clone(block)).unwrap();
    }
    chain.check(&copied);
}

fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for file in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            copy_directory(&file.path(), &to);
        } else {
            fs::copy(file.path(), to).unwrap();
        }
    }
}

#[test]
fn a_log_that_lost_what_was_applied_is_refused() {
    let path = tempfile::tempdir().unwrap();
    let (log, store) = create(path.path());
    let mut chain = Chain::new(50);
    for _ in 0..10 {
        extend(&mut chain, &log, &store, 20);
    }
    flush(&chain, &store);
    log.truncate_from(9).unwrap();
    drop((log, store));
    let refused = open(path.path()).err().unwrap().to_string();
    assert!(refused.contains("entry 9, which was applied, is missing"), "{refused}");
}

#[test]
fn blocks_come_one_after_the_other() {
    let path = tempfile::tempdir().unwrap();
    let (log, store) = create(path.path());
    let mut chain = Chain::new(50);
    let (_, genesis) = chain.next(0);
    let (_, second) = chain.next(5);
    assert!(store.append(second).is_err());
    store.append(Arc::clone(&genesis)).unwrap();
    assert!(store.append(genesis).is_err());
    assert_eq!(log.last(), None);
    assert!(encode_leaves(&store.leaves(0).unwrap().unwrap()).is_empty());
}

#[test]
fn a_flush_that_is_given_up_stops_the_store() {
    let path = tempfile::tempdir().unwrap();
    let (log, store) = create(path.path());
    let mut chain = Chain::new(50);
    extend(&mut chain, &log, &store, 0);
    drop(store.begin_flush(b"", b"", std::iter::empty()).unwrap());
    let (_, block) = chain.next(3);
    assert!(matches!(store.append(block), Err(StorageError::Stopped { .. })));
    assert!(store.flush(vec![], vec![], std::iter::empty()).is_err());
    assert!(store.first_failure().is_some());
    assert!(store.header(0).unwrap().is_some());
}
