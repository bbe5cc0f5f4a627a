//! A consortium of four with a short history, in a directory, and the program.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use counterfoil_client::instructions::{self, Signed};
use counterfoil_client::v1::{self, instruction::Body};
use counterfoil_client::{AccountId, Bic};
use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::id::InstructionId;
use counterfoil_ledger::instruction::Draft;
use counterfoil_ledger::signature::{Signer, SoftwareSigner, key_id};
use prost::Message;
use serde_json::Value;

use crate::chain::Chain;

const FOUNDED_MS: u64 = 1_795_400_000_000;
const BICS: [&str; 4] = ["AGNTCHZZXXX", "BANKCHZZXXX", "BANKDEFFXXX", "BANKFRPPXXX"];

/// The first institution services everybody's account. Heights: 1 the accounts, 2 nothing, 3 the second
/// gets 10,000.00, 4 it pays 1,250.50 to the third, 5 a batch of 50.00 and of more than it has, 6 nothing.
pub struct Scene {
    pub chain: Chain,
    orders: Vec<SoftwareSigner>,
    files: tempfile::TempDir,
    number: std::cell::Cell<u8>,
}

fn key(signer: &SoftwareSigner, purpose: v1::KeyPurpose) -> v1::Key {
    v1::Key {
        public_key: signer.spki().to_vec().into(),
        purpose: purpose.into(),
        name: "key".to_owned(),
    }
}

impl Scene {
    pub fn new() -> Scene {
        Scene::found("demo.example", 125_050)
    }

    pub fn named(consortium: &str) -> Scene {
        Scene::found(consortium, 125_050)
    }

    /// The same genesis file, and another history from height 4 on.
    pub fn with_amount(amount: u64) -> Scene {
        Scene::found("demo.example", amount)
    }

    fn found(consortium: &str, amount: u64) -> Scene {
        let signer = |seed: u8| SoftwareSigner::from_ed25519_seed(&[seed; 32]);
        let orders: Vec<_> = (1..=4).map(signer).collect();
        let nodes: Vec<_> = (11..=14).map(signer).collect();
        let institution = |at: usize| {
            let mut keys = vec![
                key(&orders[at], v1::KeyPurpose::Instruction),
                key(&nodes[at], v1::KeyPurpose::Attestation),
            ];
            keys.sort_by_key(|key| key_id(&key.public_key));
            v1::Institution {
                bic: BICS[at].to_owned(),
                name: BICS[at].to_owned(),
                trust_anchor: vec![at as u8; 8].into(),
                keys,
                audit_scope: v1::AuditScope::Institution.into(),
            }
        };
        let node = |at: usize| v1::Node {
            id: at as u64 + 1,
            institution: BICS[at].to_owned(),
            name: format!("node-{at}"),
            attestation_key_id: nodes[at].key_id().as_bytes().to_vec().into(),
            peer_address: format!("127.0.0.1:{}", 7_000 + at),
            client_address: format!("127.0.0.1:{}", 8_000 + at),
            role: 0,
        };
        let genesis = Genesis::create(v1::Genesis {
            format: 1,
            consortium: consortium.to_owned(),
            created_ms: FOUNDED_MS,
            rule_version: 1,
            institutions: (0..4).map(institution).collect(),
            nodes: (0..4).map(node).collect(),
            assets: vec![v1::Asset { code: "CHF".to_owned(), exponent: 2 }],
            policy: None,
        });
        let genesis = genesis.unwrap();
        let files = tempfile::tempdir().unwrap();
        fs::write(files.path().join("genesis.bin"), genesis.bytes()).unwrap();
        let chain = Chain::found(genesis, (1..).zip(nodes).collect());
        let mut scene = Scene { chain, orders, files, number: 0.into() };
        scene.live(amount);
        scene
    }

    fn live(&mut self, amount: u64) {
        let open = |owner: &str| {
            Body::OpenAccount(v1::OpenAccount {
                servicer: BICS[0].to_owned(),
                owner: owner.to_owned(),
                asset: "CHF".to_owned(),
                name: "SETTLEMENT".to_owned(),
            })
        };
        let opened = BICS[..3].iter().map(|owner| self.sign(0, open(owner)).bytes().clone());
        let opened = opened.collect();
        self.chain.block(FOUNDED_MS + 1_000, opened);
        self.chain.block(FOUNDED_MS + 2_000, Vec::new());
        let issued = self.sign(0, Body::Transfer(self.transfer(0, 1, 1_000_000)));
        self.chain.block(FOUNDED_MS + 3_000, vec![issued.bytes().clone()]);
        let paid = self.sign(1, Body::Transfer(self.transfer(1, 2, amount)));
        self.chain.block(FOUNDED_MS + 4_000, vec![paid.bytes().clone()]);
        let items = [self.transfer(1, 2, 5_000), self.transfer(1, 2, 9_000_000)];
        let (bic, id) = (self.bics()[1], self.id());
        let batch = Draft::transfers(id, &bic, FOUNDED_MS + 600_000, &items, false)
            .sign(&self.orders[1], &self.chain.genesis.chain_id())
            .unwrap();
        self.chain.block(FOUNDED_MS + 5_000, vec![batch.encode_to_vec().into()]);
        self.chain.block(FOUNDED_MS + 6_000, Vec::new());
    }

    pub fn bics(&self) -> [Bic; 4] {
        BICS.map(|bic| Bic::parse(bic).unwrap())
    }

    pub fn account(&self, owner: usize) -> AccountId {
        AccountId::of(&self.bics()[0], &self.bics()[owner], "CHF", "SETTLEMENT")
    }

    fn transfer(&self, from: usize, to: usize, amount: u64) -> v1::Transfer {
        instructions::transfer(self.account(from), self.account(to), amount)
    }

    fn id(&self) -> InstructionId {
        self.number.set(self.number.get() + 1);
        InstructionId::new(FOUNDED_MS + 500, [self.number.get(); 10])
    }

    fn sign(&self, institution: usize, body: Body) -> Signed {
        let bic = self.bics()[institution];
        let signed = Draft::new(self.id(), &bic, FOUNDED_MS + 600_000, body)
            .sign(&self.orders[institution], &self.chain.genesis.chain_id())
            .unwrap();
        Signed::from_bytes(signed.encode_to_vec().into()).unwrap()
    }

    /// An instruction that no block has.
    pub fn unsent(&self) -> Signed {
        self.sign(1, Body::Transfer(self.transfer(1, 2, 1)))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    pub fn save(&self, name: &str, proof: &impl Message) {
        fs::write(self.path(name), proof.encode_to_vec()).unwrap();
    }

    /// Writes the ledger as `ledger export` does; see docs/reference/ledger-file.md.
    pub fn export(&self, name: &str) {
        let mut bytes = b"counterfoil ledger 1\n\0".to_vec();
        let mut record = |kind: u8, payload: &[u8]| {
            bytes.push(kind);
            bytes.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
            bytes.extend(payload);
            bytes.clone()
        };
        let mut written = record(1, self.chain.genesis.bytes());
        let blocks = self.chain.exported();
        for block in &blocks {
            written = record(2, &block.encode_to_vec());
        }
        let digest = counterfoil_ledger::hash::Hash::of(&written);
        let count = (blocks.len() as u64).to_be_bytes();
        let whole = record(3, &[&count[..], digest.as_bytes()].concat());
        fs::write(self.path(name), whole).unwrap();
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_counterfoil"));
        let genesis = if arguments.contains("--genesis") { "" } else { " --genesis genesis.bin" };
        command
            .args(format!("{arguments}{genesis}").split_whitespace())
            .env_clear()
            .current_dir(self.files.path());
        command
    }

    fn output(&self, arguments: &str, code: i32) -> Output {
        let output = self.command(arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {stderr}");
        output
    }

    /// The answer of a command that ends so.
    pub fn ask(&self, arguments: &str, code: i32) -> Value {
        self.ends(arguments, code).0.unwrap()
    }

    /// The answer, if there is one, and the code of the failure.
    pub fn ends(&self, arguments: &str, code: i32) -> (Option<Value>, String) {
        let output = self.output(&format!("{arguments} -o json"), code);
        let stderr = String::from_utf8(output.stderr).unwrap();
        let failure = stderr.lines().last().and_then(|line| serde_json::from_str(line).ok());
        let failure = failure.map_or(Value::Null, |failure: Value| failure["code"].clone());
        let told = serde_json::from_slice(&output.stdout).ok();
        (told, failure.as_str().unwrap_or_default().to_owned())
    }

    /// The code of a failure of verification that leaves stdout empty.
    pub fn refusal(&self, arguments: &str) -> String {
        let (told, failure) = self.ends(arguments, 7);
        assert_eq!(told, None, "{arguments}");
        failure
    }

    /// What a person sees.
    pub fn text(&self, arguments: &str, code: i32) -> String {
        let output = self.output(arguments, code);
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8(text).unwrap()
    }

    /// The answer to what is given on stdin.
    pub fn piped(&self, arguments: &str, input: &[u8]) -> Value {
        let mut running = self
            .command(&format!("{arguments} -o json"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        running.stdin.take().unwrap().write_all(input).unwrap();
        serde_json::from_slice(&running.wait_with_output().unwrap().stdout).unwrap()
    }
}
