//! That an id was decided nowhere: what an institution needs to know for certain before it instructs
//! the same thing under another id.

use std::sync::Arc;
use std::time::Duration;

use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::id::InstructionId;
use counterfoil_ledger::signature;
use counterfoil_ledger::signature::Label;
use counterfoil_ledger::signature::absence_payload;
use counterfoil_proto::peer::v1 as peer;
use counterfoil_proto::v1;
use tokio::time::Instant;

use super::Missing;
use super::NotGathered;
use super::NotStated;
use super::Statements;
use super::gathering::problem;
use crate::blocking;
use crate::consensus::replica::Unavailable;
use crate::limits;

impl Statements {
    /// That an id was decided by no block up to one whose time is past a moment, by a quorum.
    pub async fn absence(
        &self,
        institution: &Bic,
        id: &InstructionId,
        valid_until_ms: u64,
        deadline: std::time::Instant,
    ) -> Result<v1::Absence, NotGathered> {
        let deadline = Instant::from_std(deadline);
        // What is decided already is said at once, however far ahead the moment is.
        self.check_undecided(institution, id).await?;
        let reached = self.block_past(valid_until_ms, deadline);
        let height = match tokio::time::timeout_at(deadline, reached).await {
            Ok(height) => height?,
            Err(_) => return Err(NotGathered::NoBlock),
        };
        self.check_undecided(institution, id).await?;
        let asked = peer::StateAbsenceRequest {
            institution: institution.to_string(),
            id: id.as_bytes().to_vec().into(),
            height,
        };
        let needed = self.signers.quorum();
        let header = self.final_header(height, deadline - Instant::now()).await;
        let header = match header {
            Ok(header) => header,
            Err(NotStated::Unavailable(cause)) => return Err(cause.into()),
            Err(_) => return Err(self.not_final(needed)),
        };
        let payload = absence_payload(institution, id, &header.hash());
        let own = self.own_statement(&payload).await.map_err(|error| error.to_string());
        let signatures = self.gather(own, needed, deadline, async |node, mut client| {
            let answer = client.state_absence(asked.clone()).await.map_err(|it| problem(&it))?;
            let signature = answer.into_inner().signature.filter(|it| it.node == node);
            signature
                .filter(|signature| self.signers.signed(Label::Absence, &payload, signature))
                .ok_or_else(|| "its statement does not hold".to_owned())
        });
        let signatures = signatures.await?.into_values().collect();
        Ok(v1::Absence {
            institution: institution.to_string(),
            id: id.as_bytes().to_vec().into(),
            header: header.encode().to_vec().into(),
            signatures,
        })
    }

    /// This node's own word, at another node's request.
    pub async fn state_absence(
        &self,
        asked: peer::StateAbsenceRequest,
    ) -> Result<v1::NodeSignature, NotStated> {
        let institution = Bic::parse_canonical(&asked.institution)
            .map_err(|_| NotStated::Malformed("institution: a BIC of eleven characters"))?;
        let id = InstructionId::from_bytes(&asked.id)
            .map_err(|_| NotStated::Malformed("id: a UUIDv7 of 16 bytes"))?;
        let header = self.final_header(asked.height, limits::STATEMENT_WAIT).await?;
        // Everything up to the height is executed, so a decision in it is found. One above it is none
        // up to it; but nobody who asks honestly asks about an id that is decided.
        if self.is_decided(&institution, &id).await? {
            return Err(NotStated::Decided);
        }
        self.own_statement(&absence_payload(&institution, &id, &header.hash())).await
    }

    async fn own_statement(&self, payload: &[u8]) -> Result<v1::NodeSignature, NotStated> {
        let chain_id = self.replica.state().chain_id();
        let preimage = signature::preimage(Label::Absence, &chain_id, payload);
        let value = self.signed(move |signer| signer.sign(&preimage)).await?;
        Ok(v1::NodeSignature { node: self.replica.node(), value: value.to_vec().into() })
    }

    async fn is_decided(&self, institution: &Bic, id: &InstructionId) -> Result<bool, Unavailable> {
        let (replica, institution, id) = (Arc::clone(&self.replica), *institution, *id);
        let searching = blocking::aside(move || replica.find(&institution, &id));
        let found = searching.await.map_err(|_| Unavailable::Stopping)??;
        Ok(found.is_some())
    }

    async fn check_undecided(
        &self,
        institution: &Bic,
        id: &InstructionId,
    ) -> Result<(), NotGathered> {
        if self.is_decided(institution, id).await? { Err(NotGathered::Decided) } else { Ok(()) }
    }

    /// A height whose block time is not before a moment: the newest final one if it may be, or else the
    /// newest, which will be final in a moment. Where there is none, the leader is asked for one.
    async fn block_past(&self, moment_ms: u64, deadline: Instant) -> Result<u64, NotGathered> {
        let certified = *self.certified.borrow();
        if self.header(certified)?.block_time_ms >= moment_ms {
            return Ok(certified);
        }
        let mut height = self.replica.height();
        let mut asked = false;
        loop {
            let newest = *height.borrow_and_update();
            if self.header(newest)?.block_time_ms >= moment_ms {
                return Ok(newest);
            }
            let ahead_ms = moment_ms.saturating_sub(self.replica.clock.now_ms());
            if ahead_ms > 0 {
                return Err(NotGathered::NotPast { wait: Duration::from_millis(ahead_ms) });
            }
            self.replica.admits()?;
            if !asked {
                asked = self.ask_for_block(moment_ms, deadline).await;
            }
            let pause =
                if asked { limits::WANTED_BLOCK_INTERVAL } else { limits::LEADER_RETRY_INTERVAL };
            match tokio::time::timeout(pause, height.changed()).await {
                Ok(Err(_)) => return Err(Unavailable::Stopping.into()),
                Ok(Ok(())) => {}
                // The leader that was asked may be none any more.
                Err(_) => asked = false,
            }
        }
    }

    /// Whether the leader has heard that a block is wanted.
    async fn ask_for_block(&self, block_time_ms: u64, deadline: Instant) -> bool {
        let Some(leader) = self.replica.leader() else { return false };
        if leader == self.replica.node() {
            return self.want_block(block_time_ms).await.is_ok();
        }
        let Some(mut client) = self.replica.peers().client(leader) else { return false };
        let mut request = tonic::Request::new(peer::RequestBlockRequest { block_time_ms });
        let limit = limits::STATEMENTS_TIMEOUT.min(deadline - Instant::now());
        request.set_timeout(limit);
        let asking = client.request_block(request);
        matches!(tokio::time::timeout(limit, asking).await, Ok(Ok(_)))
    }

    fn header(&self, height: u64) -> Result<Header, Unavailable> {
        self.replica.store().header(height)?.ok_or(Unavailable::Stopping)
    }

    /// Nobody states anything of a height that is not final; why it is not is known.
    fn not_final(&self, needed: usize) -> NotGathered {
        let missing = self.replica.finality().standing().missing;
        if missing.is_empty() {
            return Unavailable::NotFinal.into();
        }
        let problem = "it has not signed the newest header";
        let missing = missing.into_iter();
        let missing =
            missing.map(|institution| Missing { institution, problem: problem.to_owned() });
        NotGathered::Missing { missing: missing.collect(), needed }
    }
}
