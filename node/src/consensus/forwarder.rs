//! Instructions on their way to the leader, many in one message: while one message is on its way the
//! next fills. A message is answered when all of it is decided, so each institution has messages of its
//! own and waits for nobody else's instructions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use bytes::Bytes;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::reason::Reason;
use counterfoil_proto::peer::v1;
use counterfoil_proto::peer::v1::forwarded::Result as Answer;
use counterfoil_proto::peer::v1::forwarded::Unavailable as Why;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Raft;
use super::admission::Full;
use super::admission::Room;
use super::network::Peers;
use super::replica::Submitted;
use super::replica::Unavailable;
use crate::limits;
use crate::telemetry::excess::Bound;
use crate::telemetry::metrics;

/// One instruction for the leader.
pub struct Forward {
    /// SignedInstruction, verbatim.
    pub bytes: Bytes,
    /// Told what the leader says.
    pub reply: oneshot::Sender<Submitted>,
    /// Held until it is in a message.
    pub room: Room,
}

/// Sends instructions to whoever leads.
pub struct Forwarder {
    raft: Raft,
    peers: Peers,
    stop: CancellationToken,
    lanes: Mutex<BTreeMap<Bic, mpsc::Sender<Forward>>>,
}

impl Forwarder {
    /// Sends until the token is cancelled.
    pub fn new(raft: Raft, peers: Peers, stop: CancellationToken) -> Forwarder {
        Forwarder { raft, peers, stop, lanes: Mutex::default() }
    }

    /// Sends an instruction of an institution. False if too many of it wait.
    pub fn send(&self, institution: Bic, forward: Forward) -> bool {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        // Institutions are those of the registry: lanes are not made without end.
        let lane = lanes.entry(institution).or_insert_with(|| {
            let (lane, queue) = mpsc::channel(limits::ADMISSION.most[0]);
            let running = run(institution, queue, self.raft.clone(), self.peers.clone());
            tokio::spawn(self.stop.clone().run_until_cancelled_owned(running));
            lane
        });
        lane.try_send(forward).is_ok()
    }
}

/// Sends what is in one institution's queue, until the queue is closed.
async fn run(institution: Bic, mut queue: mpsc::Receiver<Forward>, raft: Raft, peers: Peers) {
    let room = Arc::new(Semaphore::new(limits::FORWARDS_UNDERWAY_MAX));
    while let Some(first) = queue.recv().await {
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        let forwards = gather(first, &mut queue);
        let leader = raft.metrics().borrow().current_leader;
        let (peers, raft) = (peers.clone(), raft.clone());
        tokio::spawn(async move {
            send(institution, forwards, leader, &peers, &raft).await;
            drop(permit);
        });
    }
}

/// Takes what else is waiting, up to the bounds of a message.
fn gather(first: Forward, queue: &mut mpsc::Receiver<Forward>) -> Vec<Forward> {
    let mut bytes = first.bytes.len();
    let mut forwards = vec![first];
    // An instruction is smaller than what is left below the bound, so the bound holds with it.
    while bytes < limits::BLOCK_BYTES_TARGET && forwards.len() < limits::FORWARD_INSTRUCTIONS_MAX {
        let Ok(next) = queue.try_recv() else { break };
        bytes += next.bytes.len();
        forwards.push(next);
    }
    forwards
}

async fn send(
    institution: Bic,
    forwards: Vec<Forward>,
    leader: Option<u64>,
    peers: &Peers,
    raft: &Raft,
) {
    let (instructions, replies): (Vec<_>, Vec<_>) =
        forwards.into_iter().map(|forward| (forward.bytes, forward.reply)).unzip();
    let client = leader.and_then(|leader| Some((leader, peers.client(leader)?)));
    let Some((leader, mut client)) = client else {
        return tell_all(replies, Unavailable::NoLeader);
    };
    let mut request =
        tonic::Request::new(v1::ForwardInstructionsRequest { signed_instructions: instructions });
    request.set_timeout(limits::SUBMIT_TIMEOUT);
    let mut lead = raft.server_metrics();
    let answer = tokio::select! {
        answer = client.forward_instructions(request) => answer,
        // A leader that is cut off must not hold up what is meant for the next.
        _ = lead.wait_for(|metrics| metrics.current_leader != Some(leader)) => {
            return tell_all(replies, Unavailable::Unknown);
        }
    };
    match answer {
        Ok(response) => {
            let mut results = response.into_inner().results.into_iter();
            for reply in replies {
                let submitted =
                    results.next().map_or(unknown(), |it| submitted_of(institution, it));
                // A submitter that has gone away asks again with its id.
                let _ = reply.send(submitted);
            }
        }
        // The request may have arrived.
        Err(_) => {
            metrics::PEER_FAILURES.increment(&[("peer", &leader.to_string())]);
            tell_all(replies, Unavailable::Unknown);
        }
    }
}

fn tell_all(replies: Vec<oneshot::Sender<Submitted>>, unavailable: Unavailable) {
    for reply in replies {
        let _ = reply.send(Submitted::Unavailable(unavailable.clone()));
    }
}

fn unknown() -> Submitted {
    Submitted::Unavailable(Unavailable::Unknown)
}

fn submitted_of(institution: Bic, forwarded: v1::Forwarded) -> Submitted {
    match forwarded.result {
        Some(Answer::Decided(result)) => Submitted::Decided(Box::new(result)),
        Some(Answer::Refused(code)) => u16::try_from(code)
            .ok()
            .and_then(Reason::from_code)
            .map_or(unknown(), Submitted::Refused),
        Some(Answer::Unavailable(why)) => Submitted::Unavailable(match Why::try_from(why) {
            Ok(Why::NotLeader) => Unavailable::NoLeader,
            Ok(Why::Overloaded) => Full { institution, bound: Bound::Queue }.into(),
            Ok(Why::CertificatesLag) => Unavailable::CertificatesLag(
                forwarded
                    .missing_institutions
                    .iter()
                    .take(limits::MISSING_INSTITUTIONS_MAX)
                    .filter_map(|bic| Bic::parse_canonical(bic).ok())
                    .collect(),
            ),
            _ => Unavailable::Unknown,
        }),
        None => unknown(),
    }
}

/// What a follower is told of a submission that it has forwarded.
pub fn forwarded_of(submitted: Submitted) -> v1::Forwarded {
    let mut missing_institutions = Vec::new();
    let result = match submitted {
        Submitted::Decided(result) => Answer::Decided(*result),
        Submitted::Refused(reason) => Answer::Refused(u32::from(reason.code())),
        Submitted::Unavailable(unavailable) => Answer::Unavailable(i32::from(match unavailable {
            // A leader that is short of space lets another one lead.
            Unavailable::NoLeader | Unavailable::DiskShort { .. } => Why::NotLeader,
            Unavailable::Full(_) | Unavailable::Overloaded => Why::Overloaded,
            Unavailable::CertificatesLag(missing) => {
                missing_institutions = missing.iter().map(Bic::to_string).collect();
                Why::CertificatesLag
            }
            Unavailable::Unknown | Unavailable::Stopping | Unavailable::NotFinal => Why::Unknown,
        })),
    };
    v1::Forwarded { missing_institutions, result: Some(result) }
}
