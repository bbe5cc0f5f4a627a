//! Who may call what: one table. What does not stand in it is refused.
//!
//! The role says which methods a caller may use; what it then sees of the ledger is for
//! [`visibility`](super::visibility) to say.

use tonic::Status;

use super::status;
use crate::identity::Role;
use crate::identity::caller::Caller;
use crate::identity::caller::check_live;

use Role::Auditor;
use Role::Client;
use Role::Operator;

/// One method and the roles that may call it.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// Its path, as gRPC sends it.
    pub path: &'static str,
    /// Who may call it. Never a node: nodes have a listener of their own.
    pub roles: &'static [Role],
}

const fn method(path: &'static str, roles: &'static [Role]) -> Method {
    Method { path, roles }
}

/// Every method of the listener for clients.
pub const METHODS: &[Method] = &[
    method("/counterfoil.v1.SettlementService/SubmitInstruction", &[Client]),
    method("/counterfoil.v1.SettlementService/GetInstruction", &[Client, Auditor]),
    method("/counterfoil.v1.SettlementService/GetReceipt", &[Client, Auditor]),
    method("/counterfoil.v1.SettlementService/ProveAbsence", &[Client]),
    method("/counterfoil.v1.SettlementService/RequestInclusion", &[Client]),
    method("/counterfoil.v1.SettlementService/ListTransfersByUetr", &[Client, Auditor]),
    method("/counterfoil.v1.AccountService/ListAccounts", &[Client, Operator, Auditor]),
    method("/counterfoil.v1.AccountService/GetBalance", &[Client, Operator, Auditor]),
    method("/counterfoil.v1.AccountService/ListMovements", &[Client, Operator, Auditor]),
    method("/counterfoil.v1.AccountService/ProveAccount", &[Client, Operator, Auditor]),
    method("/counterfoil.v1.AccountService/WatchMovements", &[Client, Operator, Auditor]),
    method("/counterfoil.v1.ReconciliationService/ListMatches", &[Client, Auditor]),
    method("/counterfoil.v1.ReconciliationService/ListProposals", &[Client, Auditor]),
    method("/counterfoil.v1.ReconciliationService/ListBreaks", &[Client, Auditor]),
    method("/counterfoil.v1.ReconciliationService/GetBreak", &[Client, Auditor]),
    method("/counterfoil.v1.ReconciliationService/ListPositions", &[Client, Auditor]),
    method("/counterfoil.v1.ReconciliationService/GetPosition", &[Client, Auditor]),
    method("/counterfoil.v1.ReconciliationService/ExplainItem", &[Client, Auditor]),
    method("/counterfoil.v1.ReconciliationService/WatchReconciliation", &[Client, Auditor]),
    method("/counterfoil.v1.ReconciliationService/GetReport", &[Client, Auditor]),
    method("/counterfoil.v1.ReconciliationService/TryTerms", &[Client, Auditor]),
    method("/counterfoil.v1.ReconciliationService/ListAgreements", &[Client, Auditor]),
    method("/counterfoil.v1.ReconciliationService/GetAgreement", &[Client, Auditor]),
    method("/counterfoil.v1.ReconciliationService/ListStatements", &[Client, Auditor]),
    method("/counterfoil.v1.ReconciliationService/PutOriginal", &[Client]),
    method("/counterfoil.v1.ReconciliationService/GetOriginal", &[Client]),
    method("/counterfoil.v1.ReconciliationService/DeleteOriginal", &[Client]),
    method("/counterfoil.v1.AuditService/GetGenesis", &[Client, Operator, Auditor]),
    method("/counterfoil.v1.AuditService/ListBlocks", &[Client, Operator, Auditor]),
    method("/counterfoil.v1.AuditService/ExportBlocks", &[Auditor]),
    method("/counterfoil.v1.AuditService/GetHistoryProof", &[Client, Operator, Auditor]),
    method("/counterfoil.v1.AuditService/GetEpochChain", &[Client, Operator, Auditor]),
    method("/counterfoil.v1.AuditService/GetCheckpoint", &[Client, Operator, Auditor]),
    method("/counterfoil.v1.AuditService/ListHistory", &[Client, Auditor]),
    method("/counterfoil.v1.NodeService/GetNodeStatus", &[Client, Operator, Auditor]),
    method("/counterfoil.v1.NodeService/GetClusterStatus", &[Client, Operator, Auditor]),
    method("/grpc.health.v1.Health/Check", &[Client, Operator, Auditor]),
    method("/grpc.health.v1.Health/Watch", &[Client, Operator, Auditor]),
    method(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        &[Client, Operator, Auditor],
    ),
];

/// A caller that may call a method, or why not.
pub(super) fn authorise<'a>(
    path: &str,
    caller: Option<&'a Caller>,
    now_ms: u64,
) -> Result<(&'static Method, &'a Caller), Status> {
    let caller = caller.ok_or_else(status::nobody)?;
    check_live(caller, now_ms).map_err(status::expired)?;
    let method =
        METHODS.iter().find(|method| method.path == path).ok_or_else(status::no_such_method)?;
    let role = caller.identity.role;
    if method.roles.contains(&role) {
        Ok((method, caller))
    } else {
        Err(status::role_denied(role, method.roles))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use counterfoil_ledger::bic::Bic;
    use counterfoil_ledger::hash::Hash;
    use prost::Message;
    use prost_types::FileDescriptorSet;
    use tonic::Code;

    use super::*;
    use crate::identity::Identity;

    fn caller(role: Role) -> Caller {
        let identity = Identity {
            institution: Bic::parse("BANKAAAAXXX").unwrap(),
            role,
            name: "one".to_owned(),
            not_after_s: 1_000,
            key_fingerprint: Hash::ZERO,
        };
        let address = "127.0.0.1:1".parse().unwrap();
        Caller::new(identity, None, address)
    }

    fn methods_of(descriptors: &[u8], package: &str) -> BTreeSet<String> {
        let files = FileDescriptorSet::decode(descriptors).unwrap().file;
        let mut paths = BTreeSet::new();
        for file in files.iter().filter(|file| file.package() == package) {
            for service in &file.service {
                for method in &service.method {
                    paths.insert(format!("/{package}.{}/{}", service.name(), method.name()));
                }
            }
        }
        paths
    }

    #[test]
    fn the_table_is_exactly_what_is_served() {
        let mut served = methods_of(counterfoil_proto::DESCRIPTORS, "counterfoil.v1");
        assert!(served.len() > 10);
        served.extend(methods_of(tonic_health::pb::FILE_DESCRIPTOR_SET, "grpc.health.v1"));
        let reflection = tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET;
        served.extend(methods_of(reflection, "grpc.reflection.v1"));
        let table: BTreeSet<String> = METHODS.iter().map(|it| it.path.to_owned()).collect();
        assert_eq!(table, served);
        assert_eq!(table.len(), METHODS.len(), "each method once");
    }

    #[test]
    fn every_role_gets_what_the_table_says_and_nothing_else() {
        for method in METHODS {
            assert!(!method.roles.contains(&Role::Node), "{}", method.path);
            for role in Role::ALL {
                let caller = caller(role);
                let answer = authorise(method.path, Some(&caller), 0);
                match answer {
                    Ok(_) => assert!(method.roles.contains(&role), "{} {role}", method.path),
                    Err(status) => {
                        assert!(!method.roles.contains(&role), "{} {role}", method.path);
                        assert_eq!(status.code(), Code::PermissionDenied);
                    }
                }
            }
        }
    }

    #[test]
    fn without_a_live_certificate_nothing_is_answered() {
        for method in METHODS {
            let status = authorise(method.path, None, 0).unwrap_err();
            assert_eq!(status.code(), Code::Unauthenticated);
            let caller = caller(method.roles[0]);
            let status = authorise(method.path, Some(&caller), 1_001_000).unwrap_err();
            assert_eq!(status.code(), Code::Unauthenticated);
        }
    }

    #[test]
    fn what_is_not_in_the_table_is_refused() {
        for path in [
            "/counterfoil.peer.v1.PeerService/AppendEntries",
            "/counterfoil.v1.SettlementService/SubmitInstruction/",
            "/counterfoil.v1.SettlementService/",
            "/",
            "",
        ] {
            for role in Role::ALL {
                let status = authorise(path, Some(&caller(role)), 0).unwrap_err();
                assert_eq!(status.code(), Code::Unimplemented, "{path}");
            }
        }
    }
}
