//! How certain an answer is, and how certain it has to be: ordered, or signed by a quorum.

use std::time::Instant;

use counterfoil_proto::v1;
use tokio::sync::watch;
use tonic::Status;

use super::status;
use crate::consensus::replica::Replica;
use crate::consensus::replica::Unavailable;
use crate::defect;
use crate::defect::Defect;
use crate::limits;

/// What a request wants to wait for: FINAL unless it says ORDERED.
pub(super) fn wanted(wait_for: i32) -> Result<v1::Finality, Status> {
    match v1::Finality::try_from(wait_for) {
        Ok(v1::Finality::Unspecified | v1::Finality::Final) => Ok(v1::Finality::Final),
        Ok(v1::Finality::Ordered) => Ok(v1::Finality::Ordered),
        Err(_) => Err(status::field("wait_for", "FINAL or ORDERED")),
    }
}

/// The read mode of a request: FINAL unless it says another.
pub(super) fn read_mode(number: i32) -> Result<v1::ReadMode, Status> {
    match v1::ReadMode::try_from(number) {
        Ok(v1::ReadMode::Unspecified) => Ok(v1::ReadMode::Final),
        Ok(mode) => Ok(mode),
        Err(_) => Err(status::field("read_mode", "FINAL, ORDERED or STALE")),
    }
}

/// How certain a height is, to the knowledge of this node.
pub(super) fn of(replica: &Replica, height: u64) -> v1::Finality {
    if *replica.finality().certified().borrow() >= height {
        v1::Finality::Final
    } else {
        v1::Finality::Ordered
    }
}

/// Waits, a bounded time, until a height is final.
pub(super) async fn reach_final(replica: &Replica, height: u64) -> Result<(), Status> {
    if defect::is(Defect::FinalReadOrdered) {
        return Ok(());
    }
    let deadline = Instant::now() + limits::FINAL_TIMEOUT;
    replica.finality().wait_final(height, deadline).await.map_err(|cause| match cause {
        Unavailable::NotFinal => status::not_final(height, &replica.finality().standing()),
        cause => status::unavailable(cause),
    })
}

/// The height up to which a watch may send, as it grows.
pub(super) fn heights(replica: &Replica, wait_for: v1::Finality) -> watch::Receiver<u64> {
    match wait_for {
        v1::Finality::Ordered => replica.height(),
        v1::Finality::Final | v1::Finality::Unspecified => replica.finality().certified(),
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn final_is_what_is_meant_unless_something_else_is_said() {
        assert_eq!(wanted(0).unwrap(), v1::Finality::Final);
        assert_eq!(wanted(v1::Finality::Final.into()).unwrap(), v1::Finality::Final);
        assert_eq!(wanted(v1::Finality::Ordered.into()).unwrap(), v1::Finality::Ordered);
        assert_eq!(read_mode(0).unwrap(), v1::ReadMode::Final);
        for mode in [v1::ReadMode::Final, v1::ReadMode::Ordered, v1::ReadMode::Stale] {
            assert_eq!(read_mode(mode.into()).unwrap(), mode);
        }
        for number in [-1, 3] {
            assert_eq!(wanted(number).unwrap_err().code(), Code::InvalidArgument);
        }
        assert_eq!(read_mode(4).unwrap_err().code(), Code::InvalidArgument);
    }
}
