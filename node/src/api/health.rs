//! gRPC health, and reflection of what the listener for clients offers.

use std::sync::Arc;

use counterfoil_proto::v1::account_service_server::AccountServiceServer;
use counterfoil_proto::v1::audit_service_server::AuditServiceServer;
use counterfoil_proto::v1::node_service_server::NodeServiceServer;
use counterfoil_proto::v1::reconciliation_service_server::ReconciliationServiceServer;
use counterfoil_proto::v1::settlement_service_server::SettlementServiceServer;
use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::server::NamedService;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tonic_reflection::server::v1::ServerReflection;
use tonic_reflection::server::v1::ServerReflectionServer;

use super::accounts::Accounts;
use super::audit::Audit;
use super::nodes::Nodes;
use super::reconciliation::Reconciling;
use super::settlement::Settlement;
use crate::consensus::replica::Replica;
use crate::limits;
use crate::telemetry::health::Health;
use crate::telemetry::health::Readiness;

/// What takes instructions: it serves only where a leader is known.
const SETTLEMENT: &str = SettlementServiceServer::<Settlement>::NAME;

/// What answers without a leader, if the caller reads STALE. The empty name is the whole node.
const READING: [&str; 5] = [
    "",
    AccountServiceServer::<Accounts>::NAME,
    ReconciliationServiceServer::<Reconciling>::NAME,
    AuditServiceServer::<Audit>::NAME,
    NodeServiceServer::<Nodes>::NAME,
];

/// Tells health checks how the node stands, for ever.
pub(super) async fn report(reporter: HealthReporter, replica: Arc<Replica>, health: Health) {
    loop {
        let ready = health.get() == Readiness::Ready;
        let serving = |it| if it { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in READING {
            reporter.set_service_status(name, serving(ready)).await;
        }
        let leads = replica.leader().is_some();
        reporter.set_service_status(SETTLEMENT, serving(ready && leads)).await;
        tokio::time::sleep(limits::HEALTH_INTERVAL).await;
    }
}

/// Describes what clients may call; what nodes say to each other is not theirs to see.
pub(super) fn reflection() -> ServerReflectionServer<impl ServerReflection> {
    let mut descriptors = FileDescriptorSet::decode(counterfoil_proto::DESCRIPTORS)
        .expect("the build wrote the descriptors");
    descriptors.file.retain(|file| !file.package().starts_with("counterfoil.peer"));
    tonic_reflection::server::Builder::configure()
        .register_file_descriptor_set(descriptors)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .expect("the descriptors belong together")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_descriptors_stand_without_the_peers() {
        let _ = reflection();
    }

    #[test]
    fn services_have_their_names() {
        assert_eq!(SETTLEMENT, "counterfoil.v1.SettlementService");
        assert!(READING.contains(&"counterfoil.v1.AccountService"));
    }
}
