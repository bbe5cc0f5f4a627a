//! Somebody with an institution's keys and connection, who signs and sends whatever it likes.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use counterfoil_client::v1;
use counterfoil_client::v1::instruction::Body;
use counterfoil_client::{instructions, signer};
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::instruction::Draft;
use counterfoil_ledger::signature::Signer;
use counterfoil_tests::banking::account;
use counterfoil_tests::consortium::Consortium;
use counterfoil_tests::wire::{self, Told};
use prost::Message;
use tonic::transport::Channel;

pub const SUBMIT: &str = "/counterfoil.v1.SettlementService/SubmitInstruction";

pub struct Forger {
    pub institution: Bic,
    pub signer: Arc<dyn Signer>,
    pub chain: Hash,
    pub channel: Channel,
}

/// Unix milliseconds.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

pub fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap()
}

impl Forger {
    pub async fn of(consortium: &Consortium, institution: &str) -> Forger {
        let credential = consortium.credential(institution, "client");
        let genesis = std::fs::read(consortium.path().join("genesis.bin")).unwrap();
        Forger {
            institution: Bic::parse(institution).unwrap(),
            signer: signer::from_file(consortium.home(institution).join("signing.pem")).unwrap(),
            chain: Genesis::decode(&genesis).unwrap().chain_id(),
            channel: wire::connect(consortium.client_address(0), Some(&credential)).await.unwrap(),
        }
    }

    /// A transfer of one unit to another bank: good in every way.
    pub fn transfer(&self, payee: &str) -> v1::Transfer {
        instructions::transfer(account(self.institution.as_str(), "CHF"), account(payee, "CHF"), 1)
    }

    /// An instruction that is good in every way but for its body, perhaps.
    pub fn instruction(&self, body: impl Into<Option<Body>>) -> v1::Instruction {
        v1::Instruction {
            id: instructions::new_id().as_bytes().to_vec().into(),
            institution: self.institution.as_str().to_owned(),
            valid_until_ms: now_ms() + 60_000,
            anchor_height: 0,
            anchor: Bytes::new(),
            body: body.into(),
        }
    }

    pub fn sign(&self, instruction: &v1::Instruction) -> v1::SignedInstruction {
        self.sign_bytes(instruction.encode_to_vec(), Vec::new())
    }

    pub fn sign_bytes(
        &self,
        instruction: impl Into<Bytes>,
        items: Vec<Bytes>,
    ) -> v1::SignedInstruction {
        let draft = Draft { instruction: instruction.into(), items };
        draft.sign(self.signer.as_ref(), &self.chain).unwrap()
    }

    pub async fn submit(
        &self,
        signed: &v1::SignedInstruction,
    ) -> Result<v1::InstructionResult, Told> {
        let request = v1::SubmitInstructionRequest {
            signed_instruction: Some(signed.clone()),
            ..Default::default()
        };
        self.submit_bytes(request.encode_to_vec()).await
    }

    pub async fn submit_bytes(&self, request: Vec<u8>) -> Result<v1::InstructionResult, Told> {
        let answer = wire::call(&self.channel, SUBMIT, request).await;
        let answer = answer.map_err(|status| Told::of(&status))?.unwrap();
        Ok(v1::SubmitInstructionResponse::decode(answer).unwrap().result.unwrap())
    }
}
