//! A chain in memory, and receipts of everything in it.

use std::collections::BTreeSet;

use bytes::Bytes;
use counterfoil_ledger::{
    account::AccountId,
    agreement::AgreementId,
    genesis::Genesis,
    hash::Hash,
    header::Header,
    history::StoredBlock,
    instruction::Draft,
    merkle::{self, Tree},
    proposal::Proposal,
    prove::Prover,
    signature::{Label, Signer, key_id, preimage},
};
use counterfoil_proto::v1::{self, instruction::Body};

use crate::support::{
    Chain, Consortium, Entry, NOON_MS,
    build::{HOUR_MS, answer, book_entry, id_of, offer, open, statement, terms, transfer, uetr_of},
    consortium::{bic_of, p256},
};

/// The date of [`NOON_MS`].
const DAY: u32 = 20_261_123;

pub struct World {
    pub chain: Chain,
    pub names: Vec<&'static str>,
    /// Hashes of the headers, as leaves of `history_root`.
    history: Vec<Hash>,
    now_ms: u64,
}

impl World {
    /// A consortium of these banks, the first of which services all accounts; some of its nodes sign
    /// with P-256. A few blocks of everything that a block can hold.
    pub fn new(names: &[&'static str], quorum: u32, p256_nodes: &[u64], days: u32) -> World {
        let assets = [("CHF", 2)];
        let consortium = with_p256_nodes(Consortium::new(names, &assets), quorum, p256_nodes);
        let mut world = World {
            chain: Chain::new(consortium),
            names: names.to_vec(),
            history: Vec::new(),
            now_ms: NOON_MS,
        };
        world.found();
        world.agree();
        (0..days).for_each(|day| world.business(day));
        let hashes = world.chain.blocks.iter().map(|block| block.hash);
        world.history = hashes.map(|hash| merkle::leaf_hash(hash.as_bytes())).collect();
        world
    }

    pub fn genesis(&self) -> &Genesis {
        &self.chain.consortium.genesis
    }

    /// Signs something as a node.
    pub fn attest(&self, node: u64, label: Label, payload: &[u8]) -> v1::NodeSignature {
        let signer = &self.chain.consortium.nodes[&node];
        let bytes = preimage(label, &self.chain.consortium.chain_id(), payload);
        v1::NodeSignature { node, value: signer.sign(&bytes).unwrap().to_vec().into() }
    }

    /// A certificate of a header by some nodes.
    pub fn certify(&self, header: &[u8], nodes: &[u64]) -> v1::Certificate {
        let hash = Hash::of(header);
        let sign = |node: &u64| self.attest(*node, Label::Header, hash.as_bytes());
        v1::Certificate {
            header: Bytes::copy_from_slice(header),
            signatures: nodes.iter().map(sign).collect(),
        }
    }

    /// The certificate of a block by as many nodes as a quorum is, from one on.
    pub fn certificate(&self, height: usize, skipped: u64) -> v1::Certificate {
        let quorum = self.chain.state.registry().policy().finality_quorum;
        let nodes = self.chain.consortium.nodes.keys().copied();
        let mut nodes: Vec<u64> = nodes.filter(|node| *node != skipped).collect();
        nodes.truncate(quorum.max(nodes.len() - usize::try_from(skipped % 2).unwrap()));
        self.certify(&self.chain.blocks[height].header.encode(), &nodes)
    }

    /// What `header` needs to stand in the history of a later one.
    pub fn history_path(&self, height: usize, certified: usize) -> Vec<Bytes> {
        if height == certified {
            return Vec::new();
        }
        let mut tree = Tree::default();
        tree.set(self.history[..certified].iter().copied().enumerate());
        to_bytes(&tree.path(height).unwrap())
    }

    /// The same among some of the chain's headers and one that follows them.
    pub fn path_with(&self, height: usize, leaves: usize, next: &Header) -> Vec<Bytes> {
        let next = merkle::leaf_hash(next.hash().as_bytes());
        let history = self.history.iter().copied().chain([next]);
        let mut tree = Tree::default();
        tree.set(history.take(leaves).enumerate());
        to_bytes(&tree.path(height).unwrap_or_default())
    }

    /// The root over the headers before a height, with others after the chain's own.
    pub fn history_root(&self, others: &[Header]) -> Hash {
        let others = others.iter().map(|header| merkle::leaf_hash(header.hash().as_bytes()));
        merkle::root_of(self.history.iter().copied().chain(others))
    }

    /// The receipts of all leaves of a block, ordered: as a node makes them.
    pub fn receipts(&self, height: usize) -> Vec<v1::Receipt> {
        let block = &self.chain.blocks[height];
        let mut entries = self.chain.entries.iter();
        let proposal = entries.find_map(|entry| match entry {
            Entry::Block { header, proposal, .. } if header[..] == block.header.encode() => {
                Proposal::decode(proposal)
            }
            _ => None,
        });
        let (header, leaves) = (block.header.clone(), block.leaves.clone());
        let block = StoredBlock { header, proposal: proposal.unwrap(), leaves };
        let prover = Prover::of(block).unwrap();
        let leaves = 0..u32::try_from(prover.leaves().len()).unwrap();
        let registry = self.chain.state.registry();
        leaves.map(|leaf| prover.receipt(leaf, registry).unwrap()).collect()
    }

    /// A receipt made final by the certificate of its own block or of a later one.
    pub fn finalise(&self, receipt: &v1::Receipt, certified: usize, skipped: u64) -> v1::Receipt {
        let height = Header::decode(&receipt.header).unwrap().height;
        v1::Receipt {
            history_path: self.history_path(usize::try_from(height).unwrap(), certified),
            certificate: Some(self.certificate(certified, skipped)),
            ..receipt.clone()
        }
    }

    fn block(&mut self, instructions: Vec<Bytes>) {
        self.now_ms += 400;
        self.chain.execute(self.now_ms, instructions);
    }

    fn account(&self, owner: &str) -> AccountId {
        AccountId::of(&bic_of(self.names[0]), &bic_of(owner), "CHF", "main")
    }

    fn payment(&self, label: &str, from: &str, to: &str, amount: u64) -> v1::Transfer {
        let mut transfer = transfer(label, &self.account(from), &self.account(to), amount);
        transfer.end_to_end_id = format!("E2E-{label}");
        transfer
    }

    fn plain(&self, label: &str, signer: &str, body: Body) -> Bytes {
        let bic = bic_of(signer);
        let draft = Draft::new(id_of(label, NOON_MS), &bic, NOON_MS + HOUR_MS, body);
        self.chain.consortium.sign(&bic, draft)
    }

    fn found(&mut self) {
        let central = self.names[0];
        let opening = self.names.iter().map(|bank| {
            let body = open(&bic_of(central), &bic_of(bank), "CHF", "main");
            self.plain(&format!("open {bank}"), central, body)
        });
        let opening = opening.collect();
        self.block(opening);
        let funding = self.names[1..].iter().map(|bank| {
            let label = format!("fund {bank}");
            let body = Body::Transfer(self.payment(&label, central, bank, 10_000));
            self.plain(&label, central, body)
        });
        let funding = funding.collect();
        self.block(funding);
        // A block without leaves has a height of its own.
        self.block(Vec::new());
    }

    /// A block of single transfers, one of batches, one of books and statements.
    fn business(&mut self, day: u32) {
        let banks: Vec<&'static str> = self.names[1..].to_vec();
        let next = |place: usize| banks[(place + 1) % banks.len()];
        let until = NOON_MS + HOUR_MS;
        let singles = banks.iter().enumerate().map(|(place, bank)| {
            let label = format!("single {day} {bank}");
            let amount = if place == 1 { 1_000_000 } else { 10 + u64::from(day) };
            let payment = self.payment(&label, bank, next(place), amount);
            self.plain(&label, bank, Body::Transfer(payment))
        });
        let singles = singles.collect();
        self.block(singles);
        let batches = banks.iter().enumerate().map(|(place, bank)| {
            let item = |item: u64| {
                let amount = if item % 5 == 3 { 1_000_000 } else { item + 1 };
                self.payment(&format!("item {day} {bank} {item}"), bank, next(place), amount)
            };
            let items: Vec<v1::Transfer> =
                (0..7 + u64::from(day) + place as u64).map(item).collect();
            let id = id_of(&format!("batch {day} {bank}"), NOON_MS);
            let draft = Draft::transfers(id, &bic_of(bank), until, &items, place == 1);
            self.chain.consortium.sign(&bic_of(bank), draft)
        });
        let batches = batches.collect();
        self.block(batches);
        let books = banks.iter().enumerate().flat_map(|(place, bank)| {
            let account = self.account(bank);
            let entry = |item: u64| {
                let label = format!("entry {day} {bank} {item}");
                let amount = item + 1 + u64::from(item % 4 == 2);
                let mut entry = book_entry(&label, &account, v1::Side::Debit, amount, DAY);
                if item % 3 != 1 {
                    let uetr = uetr_of(&format!("item {day} {bank} {item}"));
                    entry.uetr = Bytes::copy_from_slice(uetr.as_bytes());
                }
                entry
            };
            let items: Vec<v1::BookEntry> = (0..6 + place as u64).map(entry).collect();
            let id = id_of(&format!("book {day} {bank}"), NOON_MS);
            let draft = Draft::book_entries(id, &bic_of(bank), until, &items);
            let book = self.chain.consortium.sign(&bic_of(bank), draft);
            let label = format!("STMT-{}", day / 2);
            let day_of = statement(&label, &account, DAY, DAY);
            let statement =
                self.plain(&format!("{label} {day} {bank}"), bank, Body::Statement(day_of));
            [book, statement]
        });
        let books = books.collect();
        self.block(books);
    }

    /// Each bank offers an agreement on its account, and the servicer accepts.
    fn agree(&mut self) {
        let central = self.names[0];
        let mut orders = Vec::new();
        for bank in &self.names[1..] {
            let parties = (&bic_of(central), &bic_of(bank));
            let mut terms = terms(bank, parties, &[self.account(bank)], DAY);
            let calendar = terms.calendar.get_or_insert_default();
            calendar.utc_offset_minutes = -60;
            calendar.holidays = vec![v1::Holiday { date: DAY }];
            terms.tolerances =
                vec![v1::Tolerance { asset: "CHF".to_owned(), ..Default::default() }];
            terms.run_times = vec![v1::RunTime::default()];
            let id = AgreementId::of(&terms);
            let offer = offer(terms, NOON_MS + HOUR_MS);
            orders.push(self.plain(&format!("offer {bank}"), bank, offer.clone()));
            orders.push(self.plain(&format!("offer {bank} again"), bank, offer));
            let accept = answer(bank, &id, v1::AgreementAnswer::Accept);
            orders.push(self.plain(&format!("accept {bank}"), central, accept));
        }
        self.block(orders);
    }
}

pub fn to_bytes(path: &[Hash]) -> Vec<Bytes> {
    path.iter().map(Hash::to_bytes).collect()
}

/// Gives some nodes P-256 keys, and the consortium a quorum (0: that of no policy).
fn with_p256_nodes(consortium: Consortium, quorum: u32, places: &[u64]) -> Consortium {
    let mut genesis = consortium.genesis.message().clone();
    let mut nodes = consortium.nodes;
    for node in &mut genesis.nodes {
        if !places.contains(&node.id) {
            continue;
        }
        let signer = p256(&format!("attestation of {}", node.institution));
        let mut members = genesis.institutions.iter_mut();
        let member = members.find(|member| member.bic == node.institution).unwrap();
        for key in &mut member.keys {
            if key.purpose() == v1::KeyPurpose::Attestation {
                key.public_key = Bytes::copy_from_slice(signer.spki());
            }
        }
        member.keys.sort_by_key(|key| key_id(&key.public_key));
        node.attestation_key_id = Bytes::copy_from_slice(signer.key_id().as_bytes());
        nodes.insert(node.id, signer);
    }
    genesis.policy =
        (quorum != 0).then(|| v1::Policy { finality_quorum: quorum, ..v1::Policy::default() });
    let genesis = Genesis::create(genesis).unwrap();
    assert_eq!(nodes.keys().collect::<BTreeSet<_>>().len(), genesis.message().nodes.len());
    let Consortium { signers, second_signers, .. } = consortium;
    Consortium { genesis, signers, second_signers, nodes }
}
