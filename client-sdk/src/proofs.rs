//! What proves an answer to somebody who trusts no node. Everything here is verified against the
//! trusted state before it is returned, with the proof itself to be kept or handed on.

use bytes::Bytes;
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::id::InstructionId;
use counterfoil_ledger::proof::Proof;
use counterfoil_ledger::verify::{
    self, AbsenceVerdict, VerifiedAccount, VerifiedHistory, VerifiedPromise, VerifiedReceipt,
};
use counterfoil_proto::v1;
use counterfoil_proto::v1::account_service_client::AccountServiceClient;
use counterfoil_proto::v1::audit_service_client::AuditServiceClient;
use counterfoil_proto::v1::get_receipt_request::{OwnInstruction, Subject};
use futures::StreamExt;
use prost::Message;
use tonic::transport::Channel;

use crate::belief::{certain, enough, unproven};
use crate::client::{ANSWER_MAX, Client, settlement};
use crate::error::{Error, Failure};
use crate::instructions::Signed;
use crate::watch::Position;

/// What a proof shows, and the proof: its encoding is a file that anybody can verify offline.
#[derive(Clone, Debug, PartialEq)]
pub struct Proved<V, P> {
    /// What it shows.
    pub verified: V,
    /// The proof.
    pub proof: P,
}

impl<V, P: Message> Proved<V, P> {
    /// The bytes of the proof.
    pub fn bytes(&self) -> Bytes {
        self.proof.encode_to_vec().into()
    }
}

impl Client {
    /// What became of an instruction of the own institution, or of an item of it (from 1; 0 is the
    /// instruction itself), with what proves it.
    pub async fn receipt(
        &self,
        id: InstructionId,
        item: u32,
    ) -> Result<Proved<VerifiedReceipt, v1::Receipt>, Error> {
        let own = OwnInstruction { id: Bytes::copy_from_slice(id.as_bytes()), item_number: item };
        let institution = self.institution();
        self.receipt_of(Subject::Instruction(own), |verified| {
            let number = verified.item.as_ref().map_or(0, |item| item.number);
            (verified.institution, verified.id, number) == (institution, id, item)
        })
        .await
    }

    /// What became of an instruction or item that the own institution is party to, by its place, as
    /// movements and transfers name it.
    pub async fn receipt_at(
        &self,
        position: Position,
    ) -> Result<Proved<VerifiedReceipt, v1::Receipt>, Error> {
        self.receipt_of(Subject::Position(position.into()), |verified| {
            (verified.header.height, verified.leaf) == (position.height, position.leaf)
        })
        .await
    }

    async fn receipt_of(
        &self,
        subject: Subject,
        is_meant: impl Fn(&VerifiedReceipt) -> bool,
    ) -> Result<Proved<VerifiedReceipt, v1::Receipt>, Error> {
        let wait_for = self.finality;
        let request = v1::GetReceiptRequest { subject: Some(subject), wait_for: wait_for.into() };
        let trusted = &self.inner.trusted;
        let read = |trust: &verify::Trust, response: &v1::GetReceiptResponse| {
            let receipt = response.receipt.as_ref().ok_or(unproven("receipt", "there is none"))?;
            let verified = verify::receipt(trust, receipt)?;
            if !is_meant(&verified) {
                return Err(unproven("receipt", "it is another instruction's or item's"));
            }
            certain(trusted, trust, &verified, receipt, wait_for)?;
            Ok(Proved { verified, proof: receipt.clone() })
        };
        let rpc = |channel, request| async move { settlement(channel).get_receipt(request).await };
        Ok(self.proved(request, read, rpc).await?)
    }

    /// The balances of an account after two blocks and every posting between them, none left out;
    /// without a later height, up to the newest that is final.
    pub async fn account_proof(
        &self,
        account: AccountId,
        from_height: u64,
        to_height: Option<u64>,
    ) -> Result<Proved<VerifiedAccount, v1::AccountProof>, Error> {
        let request = v1::ProveAccountRequest {
            account: Bytes::copy_from_slice(account.as_bytes()),
            from_height,
            to_height: to_height.unwrap_or_default(),
        };
        let trusted = &self.inner.trusted;
        let wanted = self.finality;
        let read = |trust: &verify::Trust, proof: &v1::AccountProof| {
            let verified = verify::account(trust, proof)?;
            if verified.id != account {
                return Err(unproven("account", "it is another account"));
            }
            let asked = to_height.is_none_or(|height| height == verified.closing.height);
            if verified.opening.height != from_height || !asked {
                return Err(unproven("to_height", "it is of other heights than those asked for"));
            }
            enough(&verified.finality, wanted)?;
            let certificate = proof.certificate.as_ref();
            trusted.no_fork(trust, &verified.header, &proof.history_path, certificate)?;
            Ok(Proved { verified, proof: proof.clone() })
        };
        // A long statement takes longer than an answer: it has the whole deadline.
        let patient = Client { attempt: self.deadline, ..self.clone() };
        let rpc = |channel, request| async move {
            let parts = accounts(channel).prove_account(request).await?.into_inner();
            assemble(parts).await
        };
        Ok(patient.proved_by(request, read, rpc).await?)
    }

    /// That the header at a height is in the history of a certified one, which is at a later height
    /// or (without one) the newest that is final.
    pub async fn history_proof(
        &self,
        height: u64,
        to_height: Option<u64>,
    ) -> Result<Proved<VerifiedHistory, v1::HistoryProof>, Error> {
        let to_height = to_height.unwrap_or_default();
        let request = v1::GetHistoryProofRequest { height, to_height };
        let trusted = &self.inner.trusted;
        let read = |trust: &verify::Trust, response: &v1::GetHistoryProofResponse| {
            let proof = response.proof.as_ref().ok_or(unproven("proof", "there is none"))?;
            let verified = verify::history(trust, proof)?;
            if verified.header.height != height || verified.certified.height < to_height {
                return Err(unproven("header", "it is of another height than asked for"));
            }
            let certificate = proof.certificate.as_ref();
            trusted.no_fork(trust, &verified.header, &proof.history_path, certificate)?;
            Ok(Proved { verified, proof: proof.clone() })
        };
        let rpc = |channel, request| async move { audit(channel).get_history_proof(request).await };
        Ok(self.proved(request, read, rpc).await?)
    }

    /// Takes the newest certificate into the trusted state, and returns the height that is known then.
    /// It has the one that was known in its history; a certificate that has not is [`Error::Fork`].
    pub async fn update_trust(&self) -> Result<u64, Error> {
        // Another process that shares the file may have come further meanwhile: then once more.
        let mut left = 3;
        loop {
            let known = self.inner.trusted.current();
            let height = known.newest().map_or(0, |header| header.height);
            let proof = self.history_proof(height, None).await?;
            let inner = std::sync::Arc::clone(&self.inner);
            let certified = proof.verified.certified.height;
            let taken =
                tokio::task::spawn_blocking(move || inner.trusted.advance(&proof.proof)).await;
            taken
                .map_err(|error| Error::Configuration(error.to_string()))?
                .map_err(|failure| failure.of("the node"))?;
            let newest = self.trust().newest().map_or(0, |header| header.height);
            left -= 1;
            if newest >= certified || left == 0 {
                return Ok(newest);
            }
        }
    }

    /// What is known for certain: the genesis file, who signs when, and the newest certificate.
    pub fn trust(&self) -> std::sync::Arc<verify::Trust> {
        self.inner.trusted.current()
    }

    /// That an id of the own institution was decided by no block up to one that is at or past
    /// `valid_until_ms`, by the word of a quorum. Whether none to come can decide it depends on what was
    /// signed: none can if `valid_until_ms` is at or past the end of validity of everything that was
    /// signed under this id, which is [`Signed::valid_until_ms`], or 24 hours after the id's own time
    /// where that is not known.
    pub async fn absence(
        &self,
        id: InstructionId,
        valid_until_ms: u64,
    ) -> Result<Proved<AbsenceVerdict, v1::Absence>, Error> {
        let id_bytes = Bytes::copy_from_slice(id.as_bytes());
        let request = v1::ProveAbsenceRequest { id: id_bytes, valid_until_ms };
        let institution = self.institution();
        let trusted = &self.inner.trusted;
        let read = |trust: &verify::Trust, response: &v1::ProveAbsenceResponse| {
            let proof = response.absence.as_ref().ok_or(unproven("absence", "there is none"))?;
            let verified = verify::absence(trust, proof)?;
            if (verified.institution, verified.id) != (institution, id) {
                return Err(unproven("absence", "it is of another id"));
            }
            if !verified.is_final_for(valid_until_ms) {
                return Err(unproven("header", "a later block may still decide the id"));
            }
            trusted.no_forked_absence(trust, &verified.header, proof)?;
            Ok(Proved { verified, proof: proof.clone() })
        };
        let rpc =
            |channel, request| async move { settlement(channel).prove_absence(request).await };
        Ok(self.proved(request, read, rpc).await?)
    }

    /// Asks a node to see to it that an instruction comes into a block. Its promise is signed: with
    /// [`Client::absence`] past the deadline it shows that the promise was broken.
    pub async fn request_inclusion(
        &self,
        signed: &Signed,
    ) -> Result<Proved<VerifiedPromise, v1::Promise>, Error> {
        let signed_instruction = Some(signed.message.clone());
        let request = v1::RequestInclusionRequest { signed_instruction };
        let read = |trust: &verify::Trust, response: &v1::RequestInclusionResponse| {
            let proof = response.promise.as_ref().ok_or(unproven("promise", "there is none"))?;
            let verified = verify::promise(trust, proof)?;
            if verified.instruction_hash != signed.instruction_hash {
                return Err(unproven("promise", "it is about another instruction"));
            }
            Ok(Proved { verified, proof: proof.clone() })
        };
        let rpc =
            |channel, request| async move { settlement(channel).request_inclusion(request).await };
        Ok(self.proved(request, read, rpc).await?)
    }
}

/// Merges the parts of an account proof, as many as a proof may have.
async fn assemble(
    mut parts: tonic::Streaming<v1::ProveAccountResponse>,
) -> Result<v1::AccountProof, Failure> {
    let mut proof = v1::AccountProof::default();
    let mut left = v1::AccountProof::BYTES_MAX;
    let mut first = true;
    while let Some(part) = parts.next().await {
        let mut part = part?.part.ok_or(unproven("part", "there is none"))?;
        left = left
            .checked_sub(part.encoded_len())
            .ok_or(unproven("part", "the proof is larger than any"))?;
        if first {
            (proof, first) = (part, false);
            continue;
        }
        proof.blocks.append(&mut part.blocks);
        if part != v1::AccountProof::default() {
            return Err(unproven("part", "a later part has more than blocks"));
        }
    }
    if first { Err(unproven("part", "there is none")) } else { Ok(proof) }
}

fn accounts(channel: Channel) -> AccountServiceClient<Channel> {
    AccountServiceClient::new(channel).max_decoding_message_size(ANSWER_MAX)
}

pub(crate) fn audit(channel: Channel) -> AuditServiceClient<Channel> {
    AuditServiceClient::new(channel).max_decoding_message_size(ANSWER_MAX)
}
