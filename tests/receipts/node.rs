//! A node, asked on the wire.

use std::time::{Duration, Instant};

use bytes::Bytes;
use counterfoil_client::instructions::Signed;
use counterfoil_client::v1;
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::id::InstructionId;
use counterfoil_tests::consortium::Consortium;
use counterfoil_tests::wire::{self, Told};
use prost::Message;
use tonic::transport::Channel;

/// A connection of an institution's client.
pub struct Node(Channel);

impl Node {
    pub async fn connect(consortium: &Consortium, node: usize, institution: &str) -> Node {
        let credential = consortium.credential(institution, "client");
        let address = consortium.client_address(node);
        Node(wire::connect(address, Some(&credential)).await.unwrap())
    }

    async fn call<A: Message + Default>(
        &self,
        method: &str,
        request: &impl Message,
    ) -> Result<A, Told> {
        let path = format!("/counterfoil.v1.{method}");
        let answer = wire::call(&self.0, &path, request.encode_to_vec()).await;
        let answer = answer.map_err(|status| Told::of(&status))?.unwrap();
        Ok(A::decode(answer).unwrap())
    }

    pub async fn submit(
        &self,
        signed: &Signed,
        wait_for: v1::Finality,
    ) -> Result<v1::SubmitInstructionResponse, Told> {
        let message = v1::SignedInstruction::decode(signed.bytes().clone()).unwrap();
        let request = v1::SubmitInstructionRequest {
            signed_instruction: Some(message),
            wait_for: wait_for.into(),
        };
        self.call("SettlementService/SubmitInstruction", &request).await
    }

    /// Waits for a certificate, this long.
    pub async fn submit_within(
        &self,
        signed: &Signed,
        time: Duration,
    ) -> Result<v1::SubmitInstructionResponse, Told> {
        let message = v1::SignedInstruction::decode(signed.bytes().clone()).unwrap();
        let request =
            v1::SubmitInstructionRequest { signed_instruction: Some(message), wait_for: 0 };
        let path = "/counterfoil.v1.SettlementService/SubmitInstruction";
        let told = |status| Told::of(&status);
        let opened = wire::open_within(&self.0, path, request.encode_to_vec(), time).await;
        let answer = opened.map_err(told)?.message().await.map_err(told)?.unwrap();
        Ok(v1::SubmitInstructionResponse::decode(answer).unwrap())
    }

    pub async fn instruction(&self, id: &InstructionId) -> v1::GetInstructionResponse {
        let id = Bytes::copy_from_slice(id.as_bytes());
        let request = v1::GetInstructionRequest { id, read_mode: 0 };
        self.call("SettlementService/GetInstruction", &request).await.unwrap()
    }

    async fn receipt(
        &self,
        subject: v1::get_receipt_request::Subject,
        wait_for: v1::Finality,
    ) -> Result<v1::Receipt, Told> {
        let wait_for = wait_for.into();
        let request = v1::GetReceiptRequest { subject: Some(subject), wait_for };
        let answer: v1::GetReceiptResponse =
            self.call("SettlementService/GetReceipt", &request).await?;
        Ok(answer.receipt.unwrap())
    }

    pub async fn receipt_of(
        &self,
        id: &InstructionId,
        item_number: u32,
    ) -> Result<v1::Receipt, Told> {
        let id = Bytes::copy_from_slice(id.as_bytes());
        let own = v1::get_receipt_request::OwnInstruction { id, item_number };
        let subject = v1::get_receipt_request::Subject::Instruction(own);
        self.receipt(subject, v1::Finality::Unspecified).await
    }

    pub async fn receipt_at(&self, height: u64, leaf: u32) -> Result<v1::Receipt, Told> {
        let position = v1::Position { height, leaf };
        let subject = v1::get_receipt_request::Subject::Position(position);
        self.receipt(subject, v1::Finality::Final).await
    }

    pub async fn ordered_receipt_at(&self, height: u64, leaf: u32) -> Result<v1::Receipt, Told> {
        let position = v1::Position { height, leaf };
        let subject = v1::get_receipt_request::Subject::Position(position);
        self.receipt(subject, v1::Finality::Ordered).await
    }

    /// The movements that a watch tells within some time.
    pub async fn watch(
        &self,
        account: &AccountId,
        wait_for: v1::Finality,
        time: Duration,
    ) -> Vec<v1::Movement> {
        let account = Bytes::copy_from_slice(account.as_bytes());
        let request =
            v1::WatchMovementsRequest { account, start_after: None, wait_for: wait_for.into() };
        let path = "/counterfoil.v1.AccountService/WatchMovements";
        let mut stream = wire::open(&self.0, path, request.encode_to_vec()).await.unwrap();
        let mut movements = Vec::new();
        let end = Instant::now() + time;
        while let Ok(message) = tokio::time::timeout_at(end.into(), stream.message()).await {
            let event =
                v1::WatchMovementsResponse::decode(message.unwrap().unwrap()).unwrap().event;
            if let Some(v1::watch_movements_response::Event::Movement(movement)) = event {
                movements.push(movement);
            }
        }
        movements
    }

    pub async fn balance(
        &self,
        account: &AccountId,
        at_height: u64,
        read_mode: v1::ReadMode,
    ) -> Result<v1::GetBalanceResponse, Told> {
        let account = Bytes::copy_from_slice(account.as_bytes());
        let request = v1::GetBalanceRequest { account, at_height, read_mode: read_mode.into() };
        self.call("AccountService/GetBalance", &request).await
    }

    pub async fn movements(&self, account: &AccountId) -> Vec<v1::Movement> {
        let account = Bytes::copy_from_slice(account.as_bytes());
        let mut request = v1::ListMovementsRequest { account, ..Default::default() };
        let mut movements = Vec::new();
        loop {
            let page: v1::ListMovementsResponse =
                self.call("AccountService/ListMovements", &request).await.unwrap();
            assert_eq!(page.as_of.unwrap().finality(), v1::Finality::Final);
            movements.extend(page.movements);
            if page.next_page_token.is_empty() {
                return movements;
            }
            request.page_token = page.next_page_token;
        }
    }

    /// What the ledger and the account owner's book agree on, as much as is on one page.
    pub async fn matches(&self, account: &AccountId) -> Vec<v1::Match> {
        let account = Bytes::copy_from_slice(account.as_bytes());
        let comparison = v1::Comparison::LedgerOwner.into();
        let request = v1::ListMatchesRequest { account, comparison, ..Default::default() };
        let page: v1::ListMatchesResponse =
            self.call("ReconciliationService/ListMatches", &request).await.unwrap();
        page.matches
    }

    /// All parts, merged as their bytes are.
    pub async fn prove_account(
        &self,
        account: &AccountId,
        from_height: u64,
        to_height: u64,
    ) -> Result<v1::AccountProof, Told> {
        let account = Bytes::copy_from_slice(account.as_bytes());
        let request = v1::ProveAccountRequest { account, from_height, to_height };
        let path = "/counterfoil.v1.AccountService/ProveAccount";
        let told = |status| Told::of(&status);
        let mut stream = wire::open(&self.0, path, request.encode_to_vec()).await.map_err(told)?;
        let mut proof = v1::AccountProof::default();
        while let Some(part) = stream.message().await.map_err(told)? {
            let part = v1::ProveAccountResponse::decode(part).unwrap().part.unwrap();
            proof.merge(&*part.encode_to_vec()).unwrap();
        }
        Ok(proof)
    }

    pub async fn history_proof(
        &self,
        height: u64,
        to_height: u64,
    ) -> Result<v1::HistoryProof, Told> {
        let request = v1::GetHistoryProofRequest { height, to_height };
        let answer: v1::GetHistoryProofResponse =
            self.call("AuditService/GetHistoryProof", &request).await?;
        Ok(answer.proof.unwrap())
    }

    pub async fn epochs(&self) -> v1::EpochChain {
        let request = v1::GetEpochChainRequest {};
        let answer: v1::GetEpochChainResponse =
            self.call("AuditService/GetEpochChain", &request).await.unwrap();
        answer.epochs.unwrap()
    }
}
