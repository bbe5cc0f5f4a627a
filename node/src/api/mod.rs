//! What institutions, operators and auditors call: the services of `counterfoil.v1`, gRPC health and
//! reflection, behind one [`gate`].
//!
//! A decision of the ledger, refusals included, is an answer. A gRPC error means that a call was not
//! taken or that its fate is not known; [`status`] says which. Every read describes one height,
//! which it names, and shows what [`visibility`] allows.
//!
//! A call comes through the gate, whose table is [`authorisation`], to its service; it waits for the
//! height that it wants to read at ([`reading`]), reads in pages ([`page`]) or follows the ledger
//! ([`watch`]).

mod account_proof;
mod accounts;
mod audit;
pub mod authorisation;
mod bodies;
mod certainty;
pub mod gate;
mod health;
mod history_proof;
mod nodes;
mod page;
mod rate;
mod reading;
mod receipts;
mod reconciliation;
mod render;
mod settlement;
pub mod status;
mod transfers;
mod turns;
mod visibility;
mod watch;

use std::io;
use std::sync::Arc;

use counterfoil_ledger::bic::Bic;
use counterfoil_proto::v1::account_service_server::AccountServiceServer;
use counterfoil_proto::v1::audit_service_server::AuditServiceServer;
use counterfoil_proto::v1::node_service_server::NodeServiceServer;
use counterfoil_proto::v1::reconciliation_service_server::ReconciliationServiceServer;
use counterfoil_proto::v1::settlement_service_server::SettlementServiceServer;
use futures::Stream;
use tokio_util::sync::CancellationToken;
use tonic::Request;
use tonic::Status;
use tonic::service::Routes;

use crate::clock::Clock;
use crate::consensus::inclusion::Inclusion;
use crate::consensus::originals::Originals;
use crate::consensus::replica::Replica;
use crate::consensus::statements::Statements;
use crate::identity::caller::Caller;
use crate::limits;
use crate::listener::Connection;
use crate::listener::server;
use crate::status::StatusReporter;
use crate::telemetry::health::Health;

use gate::GateLayer;
use rate::Rate;
use receipts::Receipts;
use turns::Turns;
use visibility::Scope;
use watch::Watches;

/// What the API works with.
pub struct Parts {
    /// This node's part in consensus.
    pub replica: Arc<Replica>,
    /// Sees to instructions.
    pub inclusion: Arc<Inclusion>,
    /// What it states over its signature.
    pub statements: Arc<Statements>,
    /// Sealed originals of statements.
    pub originals: Arc<Originals>,
    /// What the node says of itself.
    pub reporter: Arc<StatusReporter>,
    /// By which certificates are judged.
    pub clock: Clock,
    /// Whether the node serves.
    pub health: Health,
}

/// What all services share.
struct Shared {
    clock: Clock,
    replica: Arc<Replica>,
    inclusion: Arc<Inclusion>,
    statements: Arc<Statements>,
    originals: Arc<Originals>,
    /// Their own, since a file that is passed on waits for other nodes: reads do not wait for that.
    originals_turns: Turns,
    reporter: Arc<StatusReporter>,
    watches: Watches,
    receipts: Receipts,
    /// Proofs of absence cost every node a search and a signature.
    absences: Rate<Bic>,
}

impl Shared {
    /// Who asks. The gate lets nobody through without.
    fn caller<'a, T>(&self, request: &'a Request<T>) -> Result<&'a Caller, Status> {
        request.extensions().get::<Caller>().ok_or_else(status::nobody)
    }

    /// What the one who asks may see.
    fn scope<T>(&self, request: &Request<T>) -> Result<Scope, Status> {
        let caller = self.caller(request)?;
        Ok(Scope::of(&caller.identity, self.replica.state().registry()))
    }
}

/// Serves connections until the shutdown, then what is still being answered.
pub async fn serve(
    parts: Parts,
    connections: impl Stream<Item = io::Result<Connection>>,
    shutdown: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let Parts { replica, inclusion, statements, originals, reporter, clock, health } = parts;
    let (health_reporter, health_service) = tonic_health::server::health_reporter();
    let reporting = health::report(health_reporter, replica.clone(), health);
    let watches = Watches::new(clock.clone(), shutdown.clone());
    let receipts = Receipts::of(replica.clone());
    let absences = Rate::new(limits::ABSENCES_PER_INTERVAL_MAX, limits::ABSENCE_INTERVAL);
    let shared = Shared {
        clock: clock.clone(),
        replica,
        inclusion,
        statements,
        originals,
        originals_turns: Turns::default(),
        reporter,
        watches,
        receipts,
        absences,
    };
    let routes =
        routes(Arc::new(shared)).add_service(health_service).add_service(health::reflection());
    let serving = server::server(limits::CLIENT_WINDOW_BYTES)
        .layer(GateLayer::new(clock))
        .add_routes(routes)
        .serve_with_incoming_shutdown(connections, shutdown.cancelled_owned());
    tokio::select! {
        served = serving => served,
        () = reporting => Ok(()),
    }
}

fn routes(shared: Arc<Shared>) -> Routes {
    macro_rules! bounded {
        ($server:expr) => {
            $server
                .max_decoding_message_size(limits::CLIENT_REQUEST_BYTES_MAX)
                .max_encoding_message_size(limits::CLIENT_REPLY_BYTES_MAX)
        };
    }
    let settlement = settlement::Settlement(shared.clone());
    let accounts = accounts::Accounts(shared.clone());
    let reconciling = reconciliation::Reconciling(shared.clone());
    let audit = audit::Audit(shared.clone());
    let nodes = nodes::Nodes(shared);
    Routes::new(bounded!(SettlementServiceServer::new(settlement)))
        .add_service(bounded!(AccountServiceServer::new(accounts)))
        .add_service(bounded!(ReconciliationServiceServer::new(reconciling)))
        .add_service(bounded!(AuditServiceServer::new(audit)))
        .add_service(bounded!(NodeServiceServer::new(nodes)))
}
