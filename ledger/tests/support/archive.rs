//! A chain as a node's storage has it, and the proofs that a node makes of it.

use std::{collections::BTreeMap, convert::Infallible};

use bytes::Bytes;
use counterfoil_ledger::{
    account::{Account, AccountId},
    bic::Bic,
    block::{HeadRecord, decode_leaves},
    hash::Hash,
    header::Header,
    history::StoredBlock,
    id::InstructionId,
    merkle::{leaf_hash, root_of},
    proposal::Proposal,
    prove,
    replay::Replay,
    signature::{Label, Signer, SoftwareSigner, absence_payload, preimage, promise_payload},
    verify::Trust,
};
use counterfoil_proto::v1;

use super::{Chain, Entry};

pub struct Archive {
    pub chain: Chain,
    /// By height, from 1.
    stored: Vec<StoredBlock>,
    /// Accounts with their paths at each height whose header carries them.
    accounts: BTreeMap<u64, Vec<(Account, Vec<Hash>)>>,
    /// Accounts at every height.
    pub balances: Vec<Vec<Account>>,
}

/// One node's signature over a payload.
pub fn sign(
    node: u64,
    signer: &SoftwareSigner,
    label: Label,
    chain_id: &Hash,
    payload: &[u8],
) -> v1::NodeSignature {
    let value = signer.sign(&preimage(label, chain_id, payload)).unwrap();
    v1::NodeSignature { node, value: Bytes::copy_from_slice(&value) }
}

/// Everybody's signature over a payload.
pub fn sign_all<'a>(
    nodes: impl IntoIterator<Item = (&'a u64, &'a SoftwareSigner)>,
    label: Label,
    chain_id: &Hash,
    payload: &[u8],
) -> Vec<v1::NodeSignature> {
    nodes.into_iter().map(|(id, signer)| sign(*id, signer, label, chain_id, payload)).collect()
}

pub fn certify<'a>(
    header: &Header,
    nodes: impl IntoIterator<Item = (&'a u64, &'a SoftwareSigner)>,
) -> v1::Certificate {
    let hash = header.hash();
    v1::Certificate {
        header: Bytes::copy_from_slice(&header.encode()),
        signatures: sign_all(nodes, Label::Header, &header.chain_id, hash.as_bytes()),
    }
}

/// Complete subtrees of the tree over some leaves.
pub fn subtrees(leaves: &[Hash]) -> impl FnMut(u32, u64) -> Result<Hash, Infallible> {
    move |level, index| {
        let first = usize::try_from(index << level).unwrap();
        Ok(root_of(leaves[first..first + (1 << level)].iter().copied()))
    }
}

impl Archive {
    pub fn of(chain: Chain) -> Archive {
        let mut stored = Vec::new();
        let mut replay = Replay::new(chain.consortium.genesis.clone());
        let mut accounts = BTreeMap::from([(0, Vec::new())]);
        let mut balances = vec![Vec::new()];
        for entry in &chain.entries {
            entry.replay(&mut replay).unwrap();
            let Entry::Block { header, proposal, outcomes } = entry else { continue };
            stored.push(StoredBlock {
                header: Header::decode(header).unwrap(),
                proposal: Proposal::decode(proposal).unwrap(),
                leaves: decode_leaves(outcomes).unwrap(),
            });
            let state = replay.state();
            balances.push(state.accounts().to_vec());
            if let Some(root) = stored.last().unwrap().header.accounts_root {
                assert_eq!(state.accounts_root(), Some(root));
                let path = |it: &Account| (it.clone(), state.account_path(it.ordinal).unwrap());
                accounts.insert(state.height(), state.accounts().iter().map(path).collect());
            } else {
                assert!(state.accounts_root().is_none() || state.height() > 0);
            }
        }
        Archive { chain, stored, accounts, balances }
    }

    pub fn trust(&self) -> Trust {
        Trust::new(self.chain.consortium.genesis.clone())
    }

    pub fn height(&self) -> u64 {
        self.chain.state.height()
    }

    pub fn header(&self, height: u64) -> &Header {
        &self.chain.blocks[usize::try_from(height).unwrap()].header
    }

    pub fn stored(&self, height: u64) -> &StoredBlock {
        &self.stored[usize::try_from(height - 1).unwrap()]
    }

    /// Heights whose headers carry accounts, from 1.
    pub fn flagged(&self) -> Vec<u64> {
        self.accounts.keys().copied().filter(|height| *height > 0).collect()
    }

    /// As many nodes as a quorum, the last ones.
    pub fn quorum(&self) -> impl Iterator<Item = (&u64, &SoftwareSigner)> {
        let nodes = &self.chain.consortium.nodes;
        nodes.iter().skip(nodes.len() - (nodes.len() * 2 / 3 + 1))
    }

    pub fn certificate(&self, height: u64) -> v1::Certificate {
        certify(self.header(height), self.quorum())
    }

    fn header_leaves(&self) -> Vec<Hash> {
        self.chain.blocks.iter().map(|block| prove::history_leaf(&block.header)).collect()
    }

    pub fn history_path(&self, height: u64, certified: u64) -> Vec<Bytes> {
        let leaves = self.header_leaves();
        let Ok(path) = prove::history_path(height, certified, &mut subtrees(&leaves));
        path
    }

    pub fn history_proof(&self, height: u64, certified: u64) -> v1::HistoryProof {
        let leaves = self.header_leaves();
        let Ok(consistency) = prove::consistency_path(height, certified, &mut subtrees(&leaves));
        v1::HistoryProof {
            header: Bytes::copy_from_slice(&self.header(height).encode()),
            history_path: self.history_path(height, certified),
            certificate: Some(self.certificate(certified)),
            consistency_path: consistency,
        }
    }

    /// The receipt of a leaf, final by the certificate of a height, or ordered.
    pub fn receipt(&self, height: u64, leaf: u32, certified: Option<u64>) -> v1::Receipt {
        let registry = self.chain.state.registry();
        let receipt = prove::receipt(self.stored(height), leaf, registry).unwrap();
        match certified {
            None => receipt,
            Some(certified) => v1::Receipt {
                history_path: self.history_path(height, certified),
                certificate: Some(self.certificate(certified)),
                ..receipt
            },
        }
    }

    /// The postings of a block to an account, both ways of asking for them.
    fn postings(&self, height: u64, account: &AccountId) -> Vec<Bytes> {
        let stored = self.stored(height);
        let all = prove::Prover::of(stored).unwrap().postings(account).unwrap();
        let ordinal = self.chain.state.account(account).unwrap().ordinal;
        let movements = &self.chain.blocks[usize::try_from(height).unwrap()].movements;
        let known = movements.iter().filter(|it| it.account == ordinal);
        let known = known.map(|it| it.position.leaf);
        assert_eq!(prove::postings(stored, account, known).unwrap(), all);
        all
    }

    /// The proof of an account between two heights, under the header of a third.
    pub fn account_proof(
        &self,
        ordinal: u32,
        (from, to): (u64, u64),
        at: u64,
        certified: Option<u64>,
    ) -> v1::AccountProof {
        let (account, path) = &self.accounts[&at][usize::try_from(ordinal).unwrap()];
        let (mut head, mut opening, mut blocks) = (Hash::ZERO, Bytes::new(), Vec::new());
        for height in 1..=at {
            let postings = self.postings(height, &account.id);
            if postings.is_empty() {
                continue;
            }
            let root = root_of(postings.iter().map(|it| leaf_hash(it)));
            let record =
                HeadRecord { account: ordinal, height, posting_count: 0, before: head, root };
            head = record.head();
            if height <= from {
                opening = Bytes::copy_from_slice(&record.preimage());
            } else {
                blocks.push(v1::PostedBlock { height, postings });
            }
        }
        assert_eq!(head, account.head);
        v1::AccountProof {
            account: Some(v1::OpenAccount {
                servicer: account.servicer.to_string(),
                owner: account.owner.to_string(),
                asset: account.asset.as_str().to_owned(),
                name: account.name.clone(),
            }),
            leaf: Bytes::copy_from_slice(&account.leaf()),
            leaf_path: prove::bytes(path),
            header: Bytes::copy_from_slice(&self.header(at).encode()),
            history_path: certified.map_or(Vec::new(), |it| self.history_path(at, it)),
            certificate: certified.map(|it| self.certificate(it)),
            from_height: from,
            to_height: to,
            opening,
            blocks,
        }
    }

    pub fn absence(&self, institution: &Bic, id: &InstructionId, height: u64) -> v1::Absence {
        let header = self.header(height);
        let payload = absence_payload(institution, id, &header.hash());
        v1::Absence {
            institution: institution.to_string(),
            id: Bytes::copy_from_slice(id.as_bytes()),
            header: Bytes::copy_from_slice(&header.encode()),
            signatures: sign_all(self.quorum(), Label::Absence, &header.chain_id, &payload),
        }
    }

    pub fn promise(&self, node: u64, instruction: &[u8], deadline_ms: u64) -> v1::Promise {
        let consortium = &self.chain.consortium;
        let instruction_hash = Hash::of(instruction);
        let payload = promise_payload(&instruction_hash, deadline_ms);
        let chain_id = consortium.chain_id();
        let signer = &consortium.nodes[&node];
        v1::Promise {
            instruction_hash: instruction_hash.to_bytes(),
            deadline_ms,
            signature: Some(sign(node, signer, Label::Promise, &chain_id, &payload)),
        }
    }

    pub fn attestation(&self, node: u64, header: &Header) -> v1::Attestation {
        let (signer, hash) = (&self.chain.consortium.nodes[&node], header.hash());
        v1::Attestation {
            header: Bytes::copy_from_slice(&header.encode()),
            signature: Some(sign(node, signer, Label::Header, &header.chain_id, hash.as_bytes())),
        }
    }
}
