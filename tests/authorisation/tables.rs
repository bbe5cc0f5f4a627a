//! Who may call what: one row for each method of both listeners. What is expected stands here, not in
//! the node.

use tonic::Code;

/// Every role, in the order of the tables' columns.
pub const ROLES: [&str; 4] = ["client", "operator", "auditor", "node"];

/// What a role gets that sends an empty message: `Y` an answer of the method itself, `-` a refusal.
/// Then the method's own answer to it: the code, and the reason where there is one.
pub type Row = (&'static str, &'static str, (Code, &'static str));

const INVALID: (Code, &str) = (Code::InvalidArgument, "FIELD_INVALID");
const FINE: (Code, &str) = (Code::Ok, "");

/// The listener for clients.
pub const CLIENTS: &[Row] = &[
    ("/counterfoil.v1.SettlementService/SubmitInstruction", "Y---", INVALID),
    ("/counterfoil.v1.SettlementService/GetInstruction", "Y-Y-", INVALID),
    ("/counterfoil.v1.SettlementService/GetReceipt", "Y-Y-", INVALID),
    ("/counterfoil.v1.SettlementService/RequestInclusion", "Y---", INVALID),
    ("/counterfoil.v1.SettlementService/ProveAbsence", "Y---", INVALID),
    ("/counterfoil.v1.SettlementService/ListTransfersByUetr", "Y-Y-", INVALID),
    ("/counterfoil.v1.AccountService/ListAccounts", "YYY-", FINE),
    ("/counterfoil.v1.AccountService/GetBalance", "YYY-", INVALID),
    ("/counterfoil.v1.AccountService/ListMovements", "YYY-", INVALID),
    ("/counterfoil.v1.AccountService/ProveAccount", "YYY-", INVALID),
    ("/counterfoil.v1.AccountService/WatchMovements", "YYY-", INVALID),
    ("/counterfoil.v1.ReconciliationService/ListMatches", "Y-Y-", INVALID),
    ("/counterfoil.v1.ReconciliationService/ListProposals", "Y-Y-", INVALID),
    ("/counterfoil.v1.ReconciliationService/ListBreaks", "Y-Y-", INVALID),
    ("/counterfoil.v1.ReconciliationService/GetBreak", "Y-Y-", INVALID),
    ("/counterfoil.v1.ReconciliationService/ListPositions", "Y-Y-", INVALID),
    ("/counterfoil.v1.ReconciliationService/GetPosition", "Y-Y-", INVALID),
    ("/counterfoil.v1.ReconciliationService/ExplainItem", "Y-Y-", INVALID),
    ("/counterfoil.v1.ReconciliationService/WatchReconciliation", "Y-Y-", INVALID),
    ("/counterfoil.v1.ReconciliationService/GetReport", "Y-Y-", INVALID),
    ("/counterfoil.v1.ReconciliationService/TryTerms", "Y-Y-", INVALID),
    ("/counterfoil.v1.ReconciliationService/ListAgreements", "Y-Y-", FINE),
    ("/counterfoil.v1.ReconciliationService/GetAgreement", "Y-Y-", INVALID),
    ("/counterfoil.v1.ReconciliationService/ListStatements", "Y-Y-", INVALID),
    ("/counterfoil.v1.ReconciliationService/PutOriginal", "Y---", INVALID),
    ("/counterfoil.v1.ReconciliationService/GetOriginal", "Y---", INVALID),
    ("/counterfoil.v1.ReconciliationService/DeleteOriginal", "Y---", INVALID),
    ("/counterfoil.v1.AuditService/GetGenesis", "YYY-", FINE),
    ("/counterfoil.v1.AuditService/ListBlocks", "YYY-", FINE),
    // A bank's auditor sees what the bank is party to; whole blocks are more than that.
    (
        "/counterfoil.v1.AuditService/ExportBlocks",
        "--Y-",
        (Code::PermissionDenied, "SCOPE_NOT_ALLOWED"),
    ),
    ("/counterfoil.v1.AuditService/GetHistoryProof", "YYY-", FINE),
    ("/counterfoil.v1.AuditService/GetEpochChain", "YYY-", FINE),
    ("/counterfoil.v1.AuditService/GetCheckpoint", "YYY-", FINE),
    ("/counterfoil.v1.AuditService/ListHistory", "Y-Y-", FINE),
    ("/counterfoil.v1.NodeService/GetNodeStatus", "YYY-", FINE),
    ("/counterfoil.v1.NodeService/GetClusterStatus", "YYY-", FINE),
    ("/grpc.health.v1.Health/Check", "YYY-", FINE),
    ("/grpc.health.v1.Health/Watch", "YYY-", FINE),
    (
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "YYY-",
        (Code::InvalidArgument, ""),
    ),
];

/// The listener for nodes. Whoever is no node does not get as far as a method.
pub const PEERS: &[Row] = &[
    ("/counterfoil.peer.v1.PeerService/AppendEntries", "---Y", (Code::PermissionDenied, "")),
    ("/counterfoil.peer.v1.PeerService/RequestVote", "---Y", (Code::PermissionDenied, "")),
    ("/counterfoil.peer.v1.PeerService/ForwardInstructions", "---Y", FINE),
    ("/counterfoil.peer.v1.PeerService/GetReadIndex", "---Y", FINE),
    ("/counterfoil.peer.v1.PeerService/ShareInstruction", "---Y", (Code::PermissionDenied, "")),
    ("/counterfoil.peer.v1.PeerService/ReportLeader", "---Y", (Code::PermissionDenied, "")),
    ("/counterfoil.peer.v1.PeerService/GetPeerStatus", "---Y", FINE),
    ("/counterfoil.peer.v1.PeerService/Attest", "---Y", (Code::PermissionDenied, "")),
    ("/counterfoil.peer.v1.PeerService/GetLastAttestation", "---Y", FINE),
    ("/counterfoil.peer.v1.PeerService/GetSignedProposal", "---Y", FINE),
    ("/counterfoil.peer.v1.PeerService/SignCheckpoint", "---Y", (Code::InvalidArgument, "")),
    ("/counterfoil.peer.v1.PeerService/StateAbsence", "---Y", (Code::InvalidArgument, "")),
    ("/counterfoil.peer.v1.PeerService/RequestBlock", "---Y", FINE),
    ("/counterfoil.peer.v1.PeerService/AttestSnapshot", "---Y", (Code::PermissionDenied, "")),
    ("/counterfoil.peer.v1.PeerService/GetSnapshot", "---Y", FINE),
    ("/counterfoil.peer.v1.PeerService/ReadSnapshot", "---Y", (Code::NotFound, "")),
    ("/counterfoil.peer.v1.PeerService/RegisterStart", "---Y", (Code::PermissionDenied, "")),
    ("/counterfoil.peer.v1.PeerService/JoinGroup", "---Y", (Code::PermissionDenied, "")),
    ("/counterfoil.peer.v1.PeerService/ReadBlocks", "---Y", (Code::PermissionDenied, "")),
    ("/counterfoil.peer.v1.PeerService/OfferSnapshot", "---Y", (Code::PermissionDenied, "")),
    ("/counterfoil.peer.v1.PeerService/KeepOriginal", "---Y", (Code::InvalidArgument, "")),
    ("/counterfoil.peer.v1.PeerService/ReadOriginal", "---Y", (Code::InvalidArgument, "")),
    ("/counterfoil.peer.v1.PeerService/RemoveOriginal", "---Y", (Code::InvalidArgument, "")),
];
