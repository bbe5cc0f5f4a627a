//! NodeService: the health of this node and of the consortium.

use std::sync::Arc;

use bytes::Bytes;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::registry::Node;
use counterfoil_proto::peer::v1 as peer;
use counterfoil_proto::v1;
use counterfoil_proto::v1::node_service_server::NodeService;
use futures::future::join_all;
use tonic::Request;
use tonic::Response;
use tonic::Status;

use super::Shared;
use super::reading;
use crate::limits;

/// Serves NodeService.
pub(super) struct Nodes(pub(super) Arc<Shared>);

#[tonic::async_trait]
impl NodeService for Nodes {
    async fn get_node_status(
        &self,
        _request: Request<v1::GetNodeStatusRequest>,
    ) -> Result<Response<v1::GetNodeStatusResponse>, Status> {
        let node = Some(self.own_status().await?);
        Ok(Response::new(v1::GetNodeStatusResponse { node, chain_id: self.chain_id() }))
    }

    async fn get_cluster_status(
        &self,
        _request: Request<v1::GetClusterStatusRequest>,
    ) -> Result<Response<v1::GetClusterStatusResponse>, Status> {
        let replica = &self.0.replica;
        let (consortium, nodes) = {
            let state = replica.state();
            let nodes: Vec<Node> = state.registry().nodes().cloned().collect();
            (state.genesis_file().message().consortium.clone(), nodes)
        };
        let voters = nodes.iter().filter(|node| !node.is_learner).count();
        let voter_count = u32::try_from(voters).unwrap_or(u32::MAX);
        let mut members = join_all(nodes.iter().map(|node| self.member(node))).await;
        let finality_quorum = replica.finality().quorum();
        let standing = replica.finality().standing();
        for (node, member) in nodes.iter().zip(&mut members) {
            member.attested_height = standing.attested.get(&node.id).copied().unwrap_or(0);
        }
        Ok(Response::new(v1::GetClusterStatusResponse {
            chain_id: self.chain_id(),
            consortium,
            leader: replica.leader().unwrap_or(0),
            voter_count,
            ordering_quorum: voter_count / 2 + 1,
            members,
            finality_quorum: u32::try_from(finality_quorum).unwrap_or(u32::MAX),
            below_two_thirds: finality_quorum <= voters * 2 / 3,
            admission_stopped: standing.admission_stopped,
            missing_institutions: standing.missing.iter().map(Bic::to_string).collect(),
        }))
    }
}

impl Nodes {
    fn chain_id(&self) -> Bytes {
        Bytes::copy_from_slice(self.0.replica.state().chain_id().as_bytes())
    }

    async fn own_status(&self) -> Result<v1::NodeStatus, Status> {
        let reporter = self.0.reporter.clone();
        reading::off_thread(move || Ok(reporter.report())).await
    }

    async fn member(&self, node: &Node) -> v1::ClusterMember {
        let asked = if node.id == self.0.replica.node() {
            self.own_status().await.map_err(|status| status.message().to_owned())
        } else {
            self.ask(node.id).await
        };
        let (status, problem) = match asked {
            Ok(status) => (status, String::new()),
            // Who it is is known without it.
            Err(problem) => (named(node), problem),
        };
        let reachable = problem.is_empty();
        v1::ClusterMember {
            status: Some(status),
            reachable,
            problem,
            voter: !node.is_learner,
            attested_height: 0,
        }
    }

    async fn ask(&self, node: u64) -> Result<v1::NodeStatus, String> {
        let mut client = self
            .0
            .replica
            .peers()
            .client(node)
            .ok_or_else(|| "this node has no connection to it".to_owned())?;
        let asking = client.get_peer_status(peer::GetPeerStatusRequest {});
        match tokio::time::timeout(limits::PEER_STATUS_TIMEOUT, asking).await {
            Ok(Ok(response)) => response
                .into_inner()
                .status
                .filter(|status| status.id == node)
                .ok_or_else(|| "it answered without its own status".to_owned()),
            Ok(Err(status)) => Err(format!("{:?}: {}", status.code(), status.message())),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }
}

/// What the registry says of a node that says nothing.
fn named(node: &Node) -> v1::NodeStatus {
    v1::NodeStatus {
        id: node.id,
        institution: node.institution.to_string(),
        name: node.name.clone(),
        ..Default::default()
    }
}
