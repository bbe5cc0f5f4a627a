//! Who stands behind a connection, as handlers see it.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::budget::Budget;
use crate::identity::Identity;
use crate::limits;

/// The other end of an accepted connection. Handlers find it in the request's extensions:
/// `request.extensions().get::<Caller>()`.
#[derive(Clone, Debug)]
pub struct Caller {
    /// What its certificate says.
    pub identity: Arc<Identity>,
    /// Its node id, if the registry knows it as a node.
    pub node_id: Option<u64>,
    /// Where it calls from.
    pub address: SocketAddr,
    /// The connection that it calls on.
    pub line: Line,
}

/// A connection, as those know it who answer the requests on it.
#[derive(Clone, Debug)]
pub struct Line {
    /// Ends it.
    pub end: CancellationToken,
    /// The patience for what comes on it and does not hold.
    faults: Arc<Budget>,
}

impl Default for Line {
    fn default() -> Line {
        let faults = Budget::new(limits::FAULTS_OF_CONNECTION_BURST);
        Line { end: CancellationToken::new(), faults: Arc::new(faults) }
    }
}

impl Line {
    /// Something of this size came on it and did not hold. Ends it when there were too many.
    pub fn fault(&self, size: usize) {
        if !self.faults.spend(limits::fault_cost(size)).is_zero() {
            self.end.cancel();
        }
    }
}

impl Caller {
    /// Somebody on a connection that has just shaken hands.
    pub fn new(identity: Identity, node_id: Option<u64>, address: SocketAddr) -> Caller {
        Caller { identity: Arc::new(identity), node_id, address, line: Line::default() }
    }
}

/// The caller's certificate has expired since the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the certificate of this connection expired at {not_after_s} (Unix seconds); connect again with a new one"
)]
pub struct CertificateExpired {
    /// Unix seconds after which it held no longer.
    pub not_after_s: i64,
}

/// Checks on each request what the handshake checked once: connections outlive certificates.
pub fn check_live(caller: &Caller, now_ms: u64) -> Result<(), CertificateExpired> {
    let not_after_s = caller.identity.not_after_s;
    let now_s = i64::try_from(now_ms / 1_000).unwrap_or(i64::MAX);
    if now_s > not_after_s { Err(CertificateExpired { not_after_s }) } else { Ok(()) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::identity::Role;
    use crate::identity::certificate::identify;
    use crate::identity::fixture::{Authority, CONSORTIUM};

    #[test]
    fn lives_until_the_certificate_expires() {
        let leaf = Authority::new("BANKAAAAXXX").leaf(Role::Client, "one");
        let identity = identify(CONSORTIUM, leaf.certificate.as_ref()).unwrap();
        let not_after_s = identity.not_after_s;
        let end_ms = u64::try_from(not_after_s).unwrap() * 1_000;
        let caller = Caller::new(identity, None, "127.0.0.1:1".parse().unwrap());
        assert_eq!(check_live(&caller, end_ms + 999), Ok(()));
        assert_eq!(check_live(&caller, end_ms + 1_000), Err(CertificateExpired { not_after_s }));
        assert!(check_live(&caller, u64::MAX).is_err());
    }
}
