//! Attacks with instructions: such as do not hold, and too many that do.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use counterfoil_client::{instructions, signer, v1};
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::instruction::{BATCH_ITEMS_MAX, Draft, INSTRUCTION_SIZE_MAX};
use counterfoil_ledger::signature::Signer;
use prost::Message;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::{Scene, at_once};
use crate::banking::account;
use crate::consortium::BANKS;
use crate::wire;

const SUBMIT: &str = "/counterfoil.v1.SettlementService/SubmitInstruction";
const INCLUDE: &str = "/counterfoil.v1.SettlementService/RequestInclusion";

/// Connections that each attack has.
const CONNECTIONS: usize = 8;

/// Who signs.
struct Desk {
    institution: Bic,
    signer: Arc<dyn Signer>,
    chain: Hash,
}

impl Desk {
    fn of(scene: &Scene) -> Desk {
        let genesis = std::fs::read(&scene.genesis).expect("the consortium was founded");
        Desk {
            institution: Bic::parse(&scene.institution).expect("a BIC"),
            signer: signer::from_file(scene.home.join("signing.pem")).expect("the key loads"),
            chain: Genesis::decode(&genesis).expect("it was founded").chain_id(),
        }
    }

    fn transfer(&self) -> v1::Transfer {
        let own = account(self.institution.as_str(), "CHF");
        instructions::transfer(own, account(BANKS[2], "CHF"), 1)
    }

    fn single(&self) -> v1::SignedInstruction {
        let body = v1::instruction::Body::Transfer(self.transfer());
        let draft = Draft::new(instructions::new_id(), &self.institution, soon(), body);
        draft.sign(self.signer.as_ref(), &self.chain).expect("the key signs")
    }

    fn batch(&self) -> v1::SignedInstruction {
        let transfers: Vec<_> = (0..BATCH_ITEMS_MAX).map(|_| self.transfer()).collect();
        let id = instructions::new_id();
        let draft = Draft::transfers(id, &self.institution, soon(), &transfers, false);
        draft.sign(self.signer.as_ref(), &self.chain).expect("the key signs")
    }
}

fn soon() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from((since + Duration::from_secs(60)).as_millis()).unwrap_or(u64::MAX)
}

fn submission(signed: v1::SignedInstruction) -> Bytes {
    let request =
        v1::SubmitInstructionRequest { signed_instruction: Some(signed), ..Default::default() };
    request.encode_to_vec().into()
}

/// The same with a signature that does not hold.
fn spoilt(mut signed: v1::SignedInstruction) -> v1::SignedInstruction {
    if let Some(signature) = signed.signatures.first_mut() {
        let mut value = signature.value.to_vec();
        value[7] ^= 1;
        signature.value = value.into();
    }
    signed
}

/// Calls so many at once, each again and again with a new message. A connection that has ended is made
/// again.
async fn calls(
    scene: Arc<Scene>,
    at_once_each: usize,
    path: &'static str,
    message: impl Fn(&Desk) -> Bytes + Clone + Send + Sync + 'static,
) {
    let desk = Arc::new(Desk::of(&scene));
    at_once(CONNECTIONS, move |_| {
        let (scene, desk, message) = (scene.clone(), desk.clone(), message.clone());
        async move {
            loop {
                if let Ok(channel) = wire::connect(&scene.clients, Some(&scene.credential())).await
                {
                    at_once(at_once_each, |_| {
                        let (channel, desk, message) =
                            (channel.clone(), desk.clone(), message.clone());
                        async move { while goes_on(&channel, path, message(&desk)).await {} }
                    })
                    .await;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    })
    .await;
}

async fn goes_on(channel: &Channel, path: &str, message: Bytes) -> bool {
    let is_over = |status: &Status| {
        status.details().is_empty() && matches!(status.code(), Code::Unavailable | Code::Unknown)
    };
    let called = wire::call(channel, path, message).await;
    // Others on this thread have their turn, however fast the refusal came.
    tokio::task::yield_now().await;
    !called.is_err_and(|status| is_over(&status))
}

/// Small ones.
pub async fn bad_signatures(scene: Arc<Scene>) {
    calls(scene, 32, SUBMIT, |desk| submission(spoilt(desk.single()))).await;
}

/// The largest that are an instruction at all, always the same.
pub async fn large_messages(scene: Arc<Scene>) {
    let batch = submission(spoilt(Desk::of(&scene).batch()));
    calls(scene, 4, SUBMIT, move |_| batch.clone()).await;
}

/// Larger than a node takes.
pub async fn too_large(scene: Arc<Scene>) {
    let garbage = Bytes::from(vec![0x5a; INSTRUCTION_SIZE_MAX + (1 << 20)]);
    calls(scene, 4, SUBMIT, move |_| garbage.clone()).await;
}

/// What a bank may do, without end.
pub async fn transfers(scene: Arc<Scene>) {
    calls(scene, 128, SUBMIT, |desk| submission(desk.single())).await;
}

/// The same in batches.
pub async fn batches(scene: Arc<Scene>) {
    calls(scene, 1, SUBMIT, |desk| submission(desk.batch())).await;
}

/// Promises, which come before everything else.
pub async fn inclusion(scene: Arc<Scene>) {
    calls(scene, 32, INCLUDE, |desk| {
        let request = v1::RequestInclusionRequest { signed_instruction: Some(desk.single()) };
        request.encode_to_vec().into()
    })
    .await;
}
