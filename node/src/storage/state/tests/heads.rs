use counterfoil_ledger::account::Account;
use counterfoil_ledger::asset::AssetCode;
use counterfoil_ledger::block::HEAD_INTERVAL;
use counterfoil_ledger::block::HeadRecord;
use counterfoil_ledger::prove;

use super::*;

fn account(ordinal: u32) -> Account {
    Account {
        ordinal,
        id: account_id(ordinal),
        servicer: bic(0),
        owner: bic(1),
        asset: AssetCode::parse("EUR").unwrap(),
        name: ordinal.to_string(),
        balance: 0,
        posting_count: 0,
        head: Hash::ZERO,
    }
}

/// The heads of all accounts, computed from the first block on.
#[derive(Default)]
struct Heads(BTreeMap<u32, Vec<HeadRecord>>);

impl Heads {
    /// Extends the chain by a block that has the heads that apply would give it.
    fn extend(&mut self, chain: &mut Chain, log: &LogStore, store: &StateStore, transfers: u64) {
        let (entry, block) = chain.next(transfers);
        let mut block = Block::clone(&block);
        let proposal = match entry.as_ref().map(|entry| &entry.payload) {
            Some(LogPayload::Proposal(bytes)) => Proposal::decode(bytes).unwrap(),
            _ => proposal(0, Vec::new()),
        };
        let (header, leaves) = (block.header.clone(), block.leaves.clone());
        let stored = StoredBlock { header, proposal, leaves };
        for ordinal in 0..ACCOUNTS_COUNT {
            let mut of_account = block.movements.iter().filter(|it| it.account == ordinal);
            let Some(last) = of_account.next_back() else { continue };
            let all = 0..block.header.leaf_count;
            let postings = prove::postings(&stored, &account_id(ordinal), all).unwrap();
            let heads = self.0.entry(ordinal).or_default();
            let head = HeadRecord {
                account: ordinal,
                height: block.header.height,
                posting_count: last.sequence,
                before: heads.last().map_or(Hash::ZERO, |head| head.head()),
                root: merkle::root_of(postings.iter().map(|posting| merkle::leaf_hash(posting))),
            };
            let before = heads.last().map_or(0, |head| head.posting_count);
            if before / HEAD_INTERVAL != last.sequence / HEAD_INTERVAL {
                block.heads.push(head);
            }
            heads.push(head);
        }
        log.append(entry.as_slice()).unwrap();
        store.append(Arc::new(block)).unwrap();
    }

    fn check(&self, chain: &mut Chain, store: &StateStore) {
        for _ in 0..10 {
            let ordinal = u32::try_from(chain.random.below(u64::from(ACCOUNTS_COUNT) + 1)).unwrap();
            let height = chain.random.below(chain.height + 2);
            let heads = self.0.get(&ordinal).map_or(&[][..], Vec::as_slice);
            let expected = heads.iter().rev().find(|head| head.height <= height).copied();
            assert_eq!(store.head_at(&account(ordinal), height).unwrap(), expected);
        }
    }
}

#[test]
fn heads_are_those_of_a_naive_chain_across_flushes_and_restarts() {
    let path = tempfile::tempdir().unwrap();
    let (mut log, mut store) = create(path.path());
    let mut chain = Chain::new(400);
    let mut heads = Heads::default();
    for round in 0..120 {
        heads.extend(&mut chain, &log, &store, if round % 10 == 0 { 600 } else { 30 });
        if round % 4 == 0 {
            heads.check(&mut chain, &store);
        }
        if round % 9 == 0 {
            let flush = store.begin_flush(b"", b"", std::iter::empty()).unwrap();
            heads.check(&mut chain, &store);
            flush.write().unwrap();
            heads.check(&mut chain, &store);
        }
        if round % 40 == 39 {
            flush(&chain, &store);
            drop((log, store));
            (log, store) = open(path.path()).unwrap();
            heads.check(&mut chain, &store);
        }
    }
}
