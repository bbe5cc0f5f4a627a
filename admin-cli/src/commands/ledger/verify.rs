//! `ledger verify`: executes an exported ledger again and compares every byte.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use bytes::Bytes;
use counterfoil_ledger::block::decode_leaves;
use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::outcome::State as OutcomeState;
use counterfoil_ledger::replay::{Replay, ReplayError};
use counterfoil_proto::v1;
use serde_json::{Value, json};

use crate::commands::genesis;
use crate::error::Failure;
use crate::exit::Exit;
use crate::files;
use crate::ledger_file::{LedgerFileError, LedgerReader};
use crate::moment;
use crate::output::{Answer, Table, amount, amount_json, extend};

/// A header that must be in a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    height: u64,
    hash: String,
}

impl Known {
    /// Reads HEIGHT:HASH.
    pub fn parse(text: &str) -> Result<Known, String> {
        let (height, hash) = text.split_once(':').ok_or("write HEIGHT:HASH")?;
        let height = height.parse().map_err(|_| "the height is not a number")?;
        let hash = hash.to_lowercase();
        if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("the hash is not 64 hexadecimal digits".to_owned());
        }
        Ok(Known { height, hash })
    }
}

/// What was counted on the way.
#[derive(Default)]
pub struct Counts {
    settled: u64,
    rejected: u64,
    recorded: u64,
    void_proposals: u64,
}

/// Verifies it.
pub fn run(
    genesis_file: &Path,
    file: &Path,
    known: &[Known],
    accounts: bool,
) -> Result<Answer, Failure> {
    let genesis = genesis::load(genesis_file)?;
    let (replay, counts) = replayed(genesis, file, |replay, _| check_known(replay, known))?;
    missing_known(&replay, known)?;
    // Whoever orders blocks can make a ledger that the rules allow, and show others another one.
    let more = json!({ "verdict": "ORDERED_NOT_FINAL" });
    let lines = [
        "ORDERED, NOT FINAL  no certificate was checked: nobody vouches for this history"
            .to_owned(),
        format!(
            "up to where it is final: counterfoil verify chain {} --proof PROOF",
            file.display()
        ),
    ];
    Ok(report(&replay, &counts, accounts, more, &lines))
}

/// Executes an exported ledger again and compares every byte. What is asked of each block is asked
/// when it was executed, of the genesis block too.
pub fn replayed(
    genesis: Genesis,
    file: &Path,
    mut each: impl FnMut(&Replay, &v1::ExportBlocksResponse) -> Result<(), Failure>,
) -> Result<(Replay, Counts), Failure> {
    let opened = File::open(file).map_err(|error| files::cannot("read", file, &error))?;
    let mut reader = LedgerReader::new(BufReader::with_capacity(1 << 20, opened))
        .map_err(|error| unreadable(file, &error))?;
    same_genesis(&genesis, reader.genesis(), file)?;
    let mut replay = Replay::new(genesis);
    let mut counts = Counts::default();
    each(&replay, &v1::ExportBlocksResponse::default())?;
    while let Some(block) = reader.block().map_err(|error| unreadable(file, &error))? {
        execute(&mut replay, &block, &mut counts).map_err(|error| {
            broken("LEDGER_INVALID", "the ledger does not hold").fact(error.to_string())
        })?;
        each(&replay, &block)?;
    }
    Ok((replay, counts))
}

/// Whether the ledger is long enough for what must be in it.
pub fn missing_known(replay: &Replay, known: &[Known]) -> Result<(), Failure> {
    let last = replay.state().height();
    match known.iter().find(|known| known.height > last) {
        None => Ok(()),
        Some(missing) => {
            Err(broken("HEADER_MISSING", "the ledger ends before a header that it must have")
                .fact(format!("it must have height {}", missing.height))
                .fact(format!("it ends at height {last}")))
        }
    }
}

/// The genesis file is the root of all trust: the one in the ledger's file counts for nothing.
fn same_genesis(trusted: &Genesis, found: &Bytes, file: &Path) -> Result<(), Failure> {
    if trusted.bytes() == found {
        return Ok(());
    }
    let message = format!("{} is the ledger of another consortium", file.display());
    Err(broken("CHAIN_DIFFERS", message)
        .fact(format!("chain id of the genesis file {}", trusted.chain_id()))
        .fact(format!("chain id of the ledger       {}", Hash::of(found))))
}

fn execute(
    replay: &mut Replay,
    block: &v1::ExportBlocksResponse,
    counts: &mut Counts,
) -> Result<(), ReplayError> {
    for proposal in &block.void_proposals {
        replay.void(proposal)?;
        counts.void_proposals += 1;
    }
    replay.block(&block.header, &block.proposal, &block.outcomes)?;
    let leaves = decode_leaves(&block.outcomes).expect("replay has compared them with its own");
    for leaf in leaves {
        match leaf.outcome.state {
            OutcomeState::Settled => counts.settled += 1,
            OutcomeState::Rejected => counts.rejected += 1,
            OutcomeState::Recorded => counts.recorded += 1,
            // Its items are counted.
            OutcomeState::Itemised => {}
        }
    }
    Ok(())
}

/// Whether the block that was executed last is one that must be there.
pub fn check_known(replay: &Replay, known: &[Known]) -> Result<(), Failure> {
    let state = replay.state();
    let hash = state.header_hash().to_string();
    match known.iter().find(|known| known.height == state.height() && known.hash != hash) {
        None => Ok(()),
        Some(other) => {
            let message = format!("the header at height {} is another one", other.height);
            Err(broken("HISTORY_CHANGED", message)
                .fact(format!("known {}", other.hash))
                .fact(format!("found {hash}"))
                .fix("keep both files: one of the two histories is forged"))
        }
    }
}

/// What was found; an answer may say more before it.
pub fn report(
    replay: &Replay,
    counts: &Counts,
    accounts: bool,
    mut json: Value,
    lines: &[String],
) -> Answer {
    let state = replay.state();
    let (table, list) = balances(replay);
    let found = json!({
        "valid": true,
        "chainId": state.chain_id().to_string(),
        "height": state.height().to_string(),
        "headerHash": state.header_hash().to_string(),
        "blockTime": moment::utc_ms(state.block_time_ms()),
        "settled": counts.settled.to_string(),
        "rejected": counts.rejected.to_string(),
        "recorded": counts.recorded.to_string(),
        "voidProposals": counts.void_proposals.to_string(),
        "accountCount": state.accounts().len(),
        "accounts": accounts.then_some(list),
    });
    extend(&mut json, found);
    let answer = lines.iter().fold(Answer::new(json), |answer, line| answer.line(line));
    let answer = answer
        .line("VALID: every block was executed again and gave the same bytes.")
        .table(Table::facts([
            ("chain id", state.chain_id().to_string()),
            ("height", state.height().to_string()),
            ("header", state.header_hash().to_string()),
            ("block time", moment::utc_ms(state.block_time_ms())),
            ("settled", counts.settled.to_string()),
            ("rejected", counts.rejected.to_string()),
            ("recorded", counts.recorded.to_string()),
            ("void proposals", counts.void_proposals.to_string()),
            ("accounts", state.accounts().len().to_string()),
        ]))
        .line(format!(
            "note this header for the next time: --known {}:{}",
            state.height(),
            state.header_hash()
        ));
    if accounts { answer.line("").table(table) } else { answer }
}

fn balances(replay: &Replay) -> (Table, Vec<Value>) {
    let mut table = Table::new(&["SERVICER", "OWNER", "NAME", ">BALANCE", ">POSTINGS"]);
    let mut list = Vec::new();
    for account in replay.state().accounts() {
        let asset = account.asset.as_str();
        let exponent =
            replay.state().registry().asset(asset).map_or(0, |registered| registered.exponent);
        table.row([
            account.servicer.to_string(),
            account.owner.to_string(),
            account.name.clone(),
            amount(account.balance, exponent, asset),
            account.posting_count.to_string(),
        ]);
        list.push(json!({
            "id": account.id.to_string(),
            "servicer": account.servicer.as_str(),
            "owner": account.owner.as_str(),
            "name": account.name,
            "balance": amount_json(account.balance, exponent, asset),
            "postingCount": account.posting_count.to_string(),
        }));
    }
    (table, list)
}

fn unreadable(file: &Path, error: &LedgerFileError) -> Failure {
    match error {
        LedgerFileError::Io(error) => files::cannot("read", file, error),
        LedgerFileError::Broken(rule) => {
            broken("LEDGER_FILE_BROKEN", format!("{} is not whole", file.display()))
                .fact(*rule)
                .fix("export the ledger again")
        }
    }
}

fn broken(code: &str, message: impl Into<String>) -> Failure {
    Failure::new(Exit::Verification, code, message)
}

#[cfg(test)]
pub mod tests {
    use std::fs;

    use counterfoil_ledger::account::AccountId;
    use counterfoil_ledger::apply::{self, Applied, LogPosition, Prepared};
    use counterfoil_ledger::bic::Bic;
    use counterfoil_ledger::block::encode_leaves;
    use counterfoil_ledger::history::History;
    use counterfoil_ledger::id::InstructionId;
    use counterfoil_ledger::instruction::Draft;
    use counterfoil_ledger::proposal::{Proposal, ProposalHeader};
    use counterfoil_ledger::signature::{Label, Signer, SoftwareSigner, key_id, preimage};
    use counterfoil_ledger::state::State;
    use counterfoil_proto::v1::instruction::Body;
    use prost::Message;

    use super::*;
    use crate::ledger_file::LedgerWriter;
    use crate::output::Format;

    const FOUNDED_MS: u64 = 1_795_400_000_000;

    /// One institution with one node: the shortest ledger that is one.
    struct Chain {
        genesis: Genesis,
        orders: SoftwareSigner,
        attestation: SoftwareSigner,
        state: State,
        blocks: Vec<v1::ExportBlocksResponse>,
    }

    /// A genesis file with one institution, one node and one asset, CHF.
    pub fn genesis() -> Genesis {
        Chain::found(1).genesis
    }

    fn bic() -> Bic {
        Bic::parse("SNBZCHZZ").unwrap()
    }

    impl Chain {
        fn found(seed: u8) -> Chain {
            let orders = SoftwareSigner::from_ed25519_seed(&[seed; 32]);
            let attestation = SoftwareSigner::from_ed25519_seed(&[seed + 100; 32]);
            let key = |signer: &SoftwareSigner, purpose: v1::KeyPurpose| v1::Key {
                public_key: signer.spki().to_vec().into(),
                purpose: purpose.into(),
                name: "key".to_owned(),
            };
            let mut keys = vec![
                key(&orders, v1::KeyPurpose::Instruction),
                key(&attestation, v1::KeyPurpose::Attestation),
            ];
            keys.sort_by_key(|key| key_id(&key.public_key));
            let genesis = Genesis::create(v1::Genesis {
                format: 1,
                consortium: "demo.example".to_owned(),
                created_ms: FOUNDED_MS,
                rule_version: 1,
                institutions: vec![v1::Institution {
                    bic: bic().to_string(),
                    name: "Settlement agent".to_owned(),
                    trust_anchor: Bytes::from_static(b"anchor"),
                    keys,
                    audit_scope: v1::AuditScope::Consortium.into(),
                }],
                nodes: vec![v1::Node {
                    id: 1,
                    institution: bic().to_string(),
                    name: "node-1".to_owned(),
                    attestation_key_id: attestation.key_id().as_bytes().to_vec().into(),
                    peer_address: "127.0.0.1:1".to_owned(),
                    client_address: "127.0.0.1:2".to_owned(),
                    role: 0,
                }],
                assets: vec![v1::Asset { code: "CHF".to_owned(), exponent: 2 }],
                policy: None,
            });
            let genesis = genesis.unwrap();
            let (state, _) = State::genesis(genesis.clone());
            Chain { genesis, orders, attestation, state, blocks: Vec::new() }
        }

        /// One block with one instruction.
        fn order(&mut self, body: Body) {
            let height = self.state.height() + 1;
            let stamp_ms = FOUNDED_MS + height * 1_000;
            let id = InstructionId::new(stamp_ms, [7; 10]);
            let signed = Draft::new(id, &bic(), stamp_ms + 60_000, body)
                .sign(&self.orders, &self.genesis.chain_id())
                .unwrap();
            let instructions = vec![Bytes::from(signed.encode_to_vec())];
            let (previous, sequence) = self.state.last_proposal();
            let header = ProposalHeader {
                incarnation: 0,
                epoch: 0,
                proposer: 1,
                term: 1,
                sequence: sequence + 1,
                previous,
                stamp_ms,
                count: 1,
                instructions_root: Proposal::instructions_root(&instructions),
            };
            let chain_id = self.genesis.chain_id();
            let signature = self
                .attestation
                .sign(&preimage(Label::Proposal, &chain_id, header.hash().as_bytes()))
                .unwrap();
            let key_id = self.attestation.key_id();
            let proposal = Proposal { header, key_id, signature, instructions };
            let prepared: Vec<_> = proposal
                .instructions
                .iter()
                .map(|bytes| Prepared::new(bytes.clone(), self.state.registry(), &chain_id))
                .collect();
            let facts = History::default().facts(&apply::wants(&prepared));
            let log = LogPosition { term: 1, node: 1, index: height };
            let applied = self.state.commit(&proposal.header, true, &prepared, &facts, log);
            let Applied::Block(block, _) = applied else { panic!("the proposal fits") };
            self.blocks.push(v1::ExportBlocksResponse {
                header: block.header.encode().to_vec().into(),
                proposal: proposal.encode(),
                outcomes: encode_leaves(&block.leaves).into(),
                void_proposals: Vec::new(),
            });
        }

        /// Two accounts and a payment between them.
        fn with_history(seed: u8) -> Chain {
            let mut chain = Chain::found(seed);
            for name in ["A", "B"] {
                chain.order(Body::OpenAccount(v1::OpenAccount {
                    servicer: bic().to_string(),
                    owner: bic().to_string(),
                    asset: "CHF".to_owned(),
                    name: name.to_owned(),
                }));
            }
            let id = |name| AccountId::of(&bic(), &bic(), "CHF", name).as_bytes().to_vec().into();
            chain.order(Body::Transfer(v1::Transfer {
                debit_account: id("A"),
                credit_account: id("B"),
                amount: 125_050,
                uetr: vec![0x44, 0, 0, 0, 0, 0, 0x44, 0, 0x88, 0, 0, 0, 0, 0, 0, 0].into(),
                salt: vec![1; 16].into(),
                ..v1::Transfer::default()
            }));
            chain
        }

        /// Writes both files and verifies them.
        fn verify(&self, known: &[Known]) -> Result<String, Failure> {
            let directory = tempfile::tempdir().unwrap();
            let (genesis, ledger) =
                (directory.path().join("genesis.bin"), directory.path().join("ledger"));
            fs::write(&genesis, self.genesis.bytes()).unwrap();
            let mut writer = LedgerWriter::new(Vec::new(), self.genesis.bytes()).unwrap();
            self.blocks.iter().for_each(|block| writer.block(block).unwrap());
            fs::write(&ledger, writer.finish().unwrap()).unwrap();
            run(&genesis, &ledger, known, true).map(|answer| answer.render(Format::Table))
        }
    }

    #[test]
    fn an_honest_ledger_holds() {
        let chain = Chain::with_history(1);
        let head = Known { height: 3, hash: chain.state.header_hash().to_string() };
        let report = chain.verify(&[head]).unwrap();
        assert!(report.contains("VALID") && report.contains("-1250.50 CHF"), "{report}");
    }

    #[test]
    fn every_kind_of_forgery_is_found() {
        // Not in the last block: only the next one binds its Raft index.
        let honest = Chain::with_history(1);
        let forge = |change: &dyn Fn(&mut v1::ExportBlocksResponse)| {
            let mut forged = Chain::with_history(1);
            change(&mut forged.blocks[1]);
            let failure = forged.verify(&[]).unwrap_err();
            assert_eq!(
                (failure.code.as_str(), failure.exit),
                ("LEDGER_INVALID", Exit::Verification)
            );
        };
        let flipped = |bytes: &Bytes, at: usize| {
            let mut bytes = bytes.to_vec();
            bytes[at] ^= 1;
            Bytes::from(bytes)
        };
        for at in 0..honest.blocks[1].header.len() {
            forge(&|block| block.header = flipped(&block.header, at));
        }
        for at in 0..honest.blocks[1].outcomes.len() {
            forge(&|block| block.outcomes = flipped(&block.outcomes, at));
        }
        for at in 0..honest.blocks[1].proposal.len() {
            forge(&|block| block.proposal = flipped(&block.proposal, at));
        }
        let mut cut = Chain::with_history(1);
        cut.blocks.remove(1);
        assert_eq!(cut.verify(&[]).unwrap_err().code, "LEDGER_INVALID");
    }

    #[test]
    fn another_history_and_a_shorter_one_are_found() {
        let chain = Chain::with_history(1);
        let other = Known { height: 2, hash: "0".repeat(64) };
        assert_eq!(chain.verify(&[other]).unwrap_err().code, "HISTORY_CHANGED");
        let later = Known { height: 4, hash: "0".repeat(64) };
        assert_eq!(chain.verify(&[later]).unwrap_err().code, "HEADER_MISSING");
        let mut foreign = Chain::with_history(2);
        foreign.genesis = chain.genesis.clone();
        assert_eq!(foreign.verify(&[]).unwrap_err().code, "LEDGER_INVALID");
        assert!(Known::parse("1:zz").is_err() && Known::parse("x:00").is_err());
    }
}
