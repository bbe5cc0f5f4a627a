//! What must be true after every block, computed from scratch with nothing but SHA-256.

use std::collections::BTreeMap;

use counterfoil_ledger::{
    block::{Block, Side},
    hash::Hash,
    merkle::leaf_hash,
    outcome::State as OutcomeState,
    signature::PublicKey,
    state::State,
};
use counterfoil_proto::v1::{self, instruction::Body};
use prost::Message;

use super::{
    naive::Naive,
    support::{Chain, chain::root_by_definition},
};

/// Roots, heads, numbers and times of a block.
pub fn block(chain: &Chain, block: &Block) {
    let header = &block.header;
    let before = &chain.blocks[chain.blocks.len() - 2];
    assert_eq!(header.height, before.header.height + 1);
    assert_eq!(header.previous, before.hash);
    assert_eq!(header.previous, Hash::of(&before.header.encode()));
    assert!(header.block_time_ms > before.header.block_time_ms);
    let earlier = &chain.blocks[..chain.blocks.len() - 1];
    let hashes: Vec<Hash> = earlier.iter().map(|it| leaf_hash(it.hash.as_bytes())).collect();
    assert_eq!(header.history_root, root_by_definition(&hashes));
    let leaves = leaf_hashes(chain, block);
    assert_eq!(header.tx_root, root_by_definition(&leaves));
    assert_eq!(usize::try_from(header.leaf_count).unwrap(), leaves.len());
    let accounts = chain.state.accounts();
    assert_eq!(usize::try_from(header.account_count).unwrap(), accounts.len());
    let quiet = leaves.len() <= 64;
    let flagged = earlier.iter().rev().find(|it| it.header.accounts_root.is_some()).unwrap();
    let due = header.block_time_ms >= flagged.header.block_time_ms + 1_000;
    assert_eq!(header.accounts_root.is_some(), quiet || due);
    assert_eq!(chain.state.wants_flagged_block(), header.accounts_root.is_none());
    if let Some(root) = header.accounts_root {
        let leaves: Vec<Hash> = accounts.iter().map(|account| leaf_hash(&account.leaf())).collect();
        assert_eq!(root, root_by_definition(&leaves));
    }
    heads(chain, block, &leaves);
}

/// 00 ‖ instruction hash ‖ item u32 ‖ item hash ‖ outcome ‖ effects hash, each leaf hashed.
fn leaf_hashes(chain: &Chain, block: &Block) -> Vec<Hash> {
    let Some(crate::support::Entry::Block { proposal, .. }) = chain.entries.last() else {
        panic!("the last entry is this block")
    };
    let proposal = counterfoil_ledger::proposal::Proposal::decode(proposal).unwrap();
    let hash = |leaf: &counterfoil_ledger::block::LeafRecord| {
        if leaf.instruction == counterfoil_ledger::block::NO_INSTRUCTION {
            let mut data = vec![0; 32 + 4 + 32];
            data.extend(leaf.outcome.encode());
            data.extend(Hash::of(&leaf.effects).0);
            return leaf_hash(&data);
        }
        let bytes = &proposal.instructions[usize::try_from(leaf.instruction).unwrap()];
        let signed = v1::SignedInstruction::decode(bytes.clone()).unwrap();
        let mut data = Hash::of(&signed.instruction).0.to_vec();
        data.extend(leaf.item.to_be_bytes());
        match leaf.item {
            0 => data.extend([0; 32]),
            item => {
                let item = &signed.items[usize::try_from(item).unwrap() - 1];
                data.extend(leaf_hash(item).0);
            }
        }
        data.extend(leaf.outcome.encode());
        data.extend(if leaf.effects.is_empty() { [0; 32] } else { Hash::of(&leaf.effects).0 });
        assert_eq!(data.len(), 116);
        leaf_hash(&data)
    };
    block.leaves.iter().map(hash).collect()
}

/// The head of every account is the chain over its postings, block by block.
fn heads(chain: &Chain, block: &Block, leaves: &[Hash]) {
    let mut postings: BTreeMap<u32, Vec<Hash>> = BTreeMap::new();
    let earlier = &chain.blocks[..chain.blocks.len() - 1];
    let first = 1 + earlier.iter().map(|it| it.movements.len() as u64).sum::<u64>();
    for (number, movement) in (first..).zip(&block.movements) {
        let mut data = number.to_be_bytes().to_vec();
        data.push(if movement.side == Side::Debit { 1 } else { 2 });
        data.extend(movement.amount.to_be_bytes());
        data.extend(movement.date.yyyymmdd().to_be_bytes());
        data.extend(leaves[usize::try_from(movement.position.leaf).unwrap()].0);
        postings.entry(movement.account).or_default().push(leaf_hash(&data));
    }
    for account in chain.state.accounts() {
        let stored = chain.accounts.get(&account.ordinal);
        assert_eq!(stored, Some(&account.encode()), "a change that storage was not told of");
        let Some(postings) = postings.get(&account.ordinal) else { continue };
        let previous = chain.heads_before.get(&account.ordinal).copied().unwrap_or(Hash::ZERO);
        let root = root_by_definition(postings);
        let height = block.header.height.to_be_bytes();
        let head = Hash::of(&[&previous.0[..], &height, &root.0].concat());
        assert_eq!(account.head, head);
    }
}

/// Promise 1, and every balance is the model's.
pub fn money(state: &State, naive: &Naive) {
    let mut sums: BTreeMap<_, i128> = BTreeMap::new();
    for account in state.accounts() {
        *sums.entry((account.servicer, account.asset.clone())).or_default() += account.balance;
        assert!(account.balance >= 0 || account.is_issuance());
        let expected = &naive.accounts[account.id.as_bytes()];
        assert_eq!(account.balance, expected.balance);
        let postings = naive.postings.get(account.id.as_bytes()).copied().unwrap_or(0);
        assert_eq!(account.posting_count, postings);
    }
    assert!(sums.values().all(|sum| *sum == 0), "{sums:?}");
    assert_eq!(state.accounts().len(), naive.accounts.len());
}

/// Promise 4: what was debited was signed for with a key of the account's owner.
pub fn signed_by_owners(chain: &Chain, block: &Block) {
    let Some(crate::support::Entry::Block { proposal, .. }) = chain.entries.last() else {
        panic!("the last entry is this block")
    };
    let proposal = counterfoil_ledger::proposal::Proposal::decode(proposal).unwrap();
    let mut settled = 0;
    for leaf in block.leaves.iter().filter(|leaf| leaf.outcome.state == OutcomeState::Settled) {
        let bytes = &proposal.instructions[usize::try_from(leaf.instruction).unwrap()];
        let signed = v1::SignedInstruction::decode(bytes.clone()).unwrap();
        let message = v1::Instruction::decode(signed.instruction.clone()).unwrap();
        let transfer = match message.body.unwrap() {
            Body::Transfer(transfer) => transfer,
            Body::Transfers(_) => {
                let item = &signed.items[usize::try_from(leaf.item).unwrap() - 1];
                v1::Transfer::decode(item.clone()).unwrap()
            }
            Body::WorkBreak(step) => match step.action.unwrap() {
                v1::work_break::Action::Agree(agree) => agree.transfer.unwrap(),
                other => panic!("{other:?} moved money"),
            },
            other => panic!("{other:?} moved money"),
        };
        let id =
            counterfoil_ledger::account::AccountId::from_bytes(&transfer.debit_account).unwrap();
        let account = chain.state.account(&id).unwrap();
        assert_eq!(account.owner.as_str(), message.institution);
        let spki = spki_of(chain, &account.owner.to_string(), &signed.signatures[0].key_id);
        let mut preimage = b"counterfoil\0instruction/1\0".to_vec();
        preimage.extend(chain.consortium.chain_id().0);
        preimage.extend((signed.instruction.len() as u64).to_be_bytes());
        preimage.extend_from_slice(&signed.instruction);
        let signature = signed.signatures[0].value[..].try_into().unwrap();
        assert!(PublicKey::from_spki(&spki).unwrap().verify(&preimage, &signature));
        settled += 1;
    }
    assert_eq!(block.movements.len(), 2 * settled, "every movement is of a settled transfer");
    assert_eq!(block.transfers.len(), settled);
}

/// The key, if the genesis file enrols it for the institution's instructions.
fn spki_of(chain: &Chain, institution: &str, key_id: &[u8]) -> Vec<u8> {
    let genesis = chain.consortium.genesis.message();
    let member = genesis.institutions.iter().find(|it| it.bic == institution).unwrap();
    let key = member.keys.iter().find(|key| Hash::of(&key.public_key).0[..] == *key_id).unwrap();
    assert_eq!(key.purpose, i32::from(v1::KeyPurpose::Instruction));
    key.public_key.to_vec()
}
