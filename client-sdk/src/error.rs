//! What can go wrong, and what is then true of the instruction.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use counterfoil_ledger::id::InstructionId;
use counterfoil_ledger::reason::Reason;
use counterfoil_ledger::signature::SignerError;
use counterfoil_ledger::verify::Unproven;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::trusted::Fork;

/// The domain of the ledger's own error details.
pub(crate) const DOMAIN: &str = "counterfoil";

/// A call that did not succeed. A decision of the ledger, a rejection included, is no error: see
/// [`Outcome`](crate::outcome::Outcome).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The client was not given what it needs, or something that it cannot use.
    #[error("configuration: {0}")]
    Configuration(String),
    /// A file cannot be used.
    #[error("{}: {problem}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// The signer did not sign; nothing was sent.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The journal could not be read or written. Nothing of this call was sent.
    #[error("journal {}: {problem}", path.display())]
    Journal {
        /// Which file or directory.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// A no before anything was decided: the word of every node that answered, and of one node where
    /// there is one endpoint, or where nothing was submitted.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// No node took the call before its deadline, and none can have taken it unseen.
    #[error("no node could be reached, or none accepts work: {cause}")]
    Unavailable {
        /// What the last attempt met.
        cause: String,
    },
    /// The instruction may have been taken or not. Its bytes are in the journal:
    /// [`Client::resume`](crate::Client::resume) sends the same bytes again, which is always safe.
    #[error("the fate of instruction {id} is not known: {cause}; resume, or query it by its id")]
    Unknown {
        /// Its id.
        id: InstructionId,
        /// What the last attempt met.
        cause: String,
    },
    /// A server did not prove that it is a node of this consortium; nothing was sent to it.
    #[error("{endpoint} is not a node of this consortium: {problem}")]
    Untrusted {
        /// Its address.
        endpoint: String,
        /// What its certificate lacks.
        problem: String,
    },
    /// A node does not admit this client: its certificate is of the wrong institution, expired or
    /// revoked. Nothing was taken.
    #[error("{endpoint} does not admit this client: {problem}; check certificate and clock")]
    NotAdmitted {
        /// The node's address.
        endpoint: String,
        /// What the node says.
        problem: String,
    },
    /// A node's answer does not prove what it says. Nothing in it is to be relied on: the node lies,
    /// or is broken.
    #[error("what {endpoint} answered is not proved: {problem}")]
    Unproven {
        /// Its address.
        endpoint: String,
        /// Which part, and which rule it breaks.
        problem: String,
    },
    /// A quorum has signed another history than the one that is known. Rely on nothing that is only
    /// in one of them, and show the evidence to the members.
    #[error("there are two histories: {0}")]
    Fork(Box<Fork>),
    /// A node's answer breaks the protocol. Nothing in it is to be relied on.
    #[error("{endpoint} answered something that cannot be: {problem}")]
    BadAnswer {
        /// Its address.
        endpoint: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// What is true of an instruction whose submission ended in an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is not on the ledger: correct what is wrong and send a new one. Where nodes were asked this
    /// is the word of all that answered, and no attempt was left open; with a single endpoint it is
    /// that node's word alone, and a node that lies can still bring the bytes into a block.
    /// [`Client::absence`](crate::Client::absence) proves it, once the instruction has expired.
    NotTaken,
    /// It may be on the ledger or not: send the same bytes again, or query its id.
    Unknown,
    /// The ledger has decided on this id before, for ever: query it before sending anything.
    Final,
}

impl Error {
    /// What is true of the instruction.
    pub fn outcome(&self) -> Fate {
        match self {
            Error::Unknown { .. }
            | Error::BadAnswer { .. }
            | Error::Unproven { .. }
            | Error::Fork(_) => Fate::Unknown,
            Error::Refused(refusal) if refusal.known == Some(Reason::IdReused) => Fate::Final,
            _ => Fate::NotTaken,
        }
    }

    /// Whether the same call can succeed later without anything being corrected.
    pub fn is_retryable(&self) -> bool {
        match self {
            Error::Unavailable { .. } | Error::Unknown { .. } => true,
            Error::Refused(refusal) => {
                refusal.known == Some(Reason::IdInFuture) || refusal.reason == "HEIGHT_NOT_REACHED"
            }
            _ => false,
        }
    }

    /// The refusal, if it is one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Error::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    pub(crate) fn file(path: &Path, problem: impl Into<String>) -> Error {
        Error::File { path: path.to_owned(), problem: problem.into() }
    }

    /// An answer that cannot be, of whichever node gave it.
    pub(crate) fn bad_answer(problem: &str) -> Error {
        Error::BadAnswer { endpoint: "the node".to_owned(), problem: problem.to_owned() }
    }

    pub(crate) fn refused(reason: Reason) -> Error {
        Error::Refused(Box::new(Refusal::of(reason)))
    }
}

/// A definite no, with what helps to correct it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}: {message}{}", remedy.as_ref().map(|remedy| format!(" {remedy}")).unwrap_or_default())]
pub struct Refusal {
    /// The gRPC code that carried it.
    pub code: Code,
    /// For machines: UPPER_SNAKE_CASE, the name of a [`Reason`] where it is one.
    pub reason: String,
    /// The reason in the table that this program knows.
    pub known: Option<Reason>,
    /// For people, one sentence.
    pub message: String,
    /// The facts that led to it, by name.
    pub facts: BTreeMap<String, String>,
    /// What to do about it, one sentence.
    pub remedy: Option<String>,
}

impl Refusal {
    /// A refusal that this program pronounces itself, before it sends anything.
    fn of(reason: Reason) -> Refusal {
        Refusal {
            code: Code::InvalidArgument,
            reason: reason.name().to_owned(),
            known: Some(reason),
            message: reason.meaning().to_owned(),
            facts: BTreeMap::new(),
            remedy: Some(reason.remedy().to_owned()),
        }
    }

    fn from_status(status: &Status) -> Refusal {
        let info = status.get_error_details().error_info().cloned();
        let info = info.filter(|info| info.domain == DOMAIN);
        let (reason, facts) = match info {
            Some(info) => (info.reason, info.metadata.into_iter().collect()),
            None => (code_name(status.code()).to_owned(), BTreeMap::new()),
        };
        let known = Reason::ALL.iter().copied().find(|known| known.name() == reason);
        let mut facts: BTreeMap<String, String> = facts;
        facts.remove("fate");
        let remedy = facts.remove("remedy").or(known.map(|known| known.remedy().to_owned()));
        Refusal {
            code: status.code(),
            reason,
            known,
            message: status.message().to_owned(),
            facts,
            remedy,
        }
    }

    /// Whether it is about the shape of the bytes: what [`Signed`](crate::instructions::Signed) has
    /// checked before anything is sent.
    pub(crate) fn is_of_shape(&self) -> bool {
        self.known.is_some_and(|reason| reason.code() < 200)
    }

    /// Whether it says that the instruction was valid no longer.
    pub(crate) fn is_too_late(&self) -> bool {
        matches!(self.known, Some(Reason::Expired | Reason::IdTooOld))
    }
}

/// What an attempt on one endpoint met, when it was not an answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A definite no.
    Refused(Refusal),
    /// Not taken by this attempt; another may succeed, after a while if the node says so.
    NotTaken { cause: String, retry_after: Option<Duration> },
    /// Taken or not: not known.
    Lost { cause: String },
    /// The server is not who it should be.
    Untrusted { problem: String },
    /// The server does not take this client for who it should be.
    NotAdmitted { problem: String },
    /// The answer breaks the protocol.
    BadAnswer { problem: String },
    /// The answer does not prove what it says.
    Unproven(Unproven),
    /// The answer proves another history than the one that is known.
    Fork(Box<Fork>),
    /// This machine cannot keep what it has learnt.
    File { path: PathBuf, problem: String },
}

impl Failure {
    /// What it means to someone who only reads.
    pub(crate) fn of(self, endpoint: &str) -> Error {
        let endpoint = endpoint.to_owned();
        match self {
            Failure::Refused(refusal) => Error::Refused(Box::new(refusal)),
            Failure::NotTaken { cause, .. } | Failure::Lost { cause } => {
                Error::Unavailable { cause: format!("{endpoint}: {cause}") }
            }
            Failure::Untrusted { problem } => Error::Untrusted { endpoint, problem },
            Failure::NotAdmitted { problem } => Error::NotAdmitted { endpoint, problem },
            Failure::BadAnswer { problem } => Error::BadAnswer { endpoint, problem },
            Failure::Unproven(unproven) => {
                Error::Unproven { endpoint, problem: unproven.to_string() }
            }
            Failure::Fork(fork) => Error::Fork(fork),
            Failure::File { path, problem } => Error::File { path, problem },
        }
    }
}

impl From<Unproven> for Failure {
    fn from(unproven: Unproven) -> Failure {
        Failure::Unproven(unproven)
    }
}

impl From<String> for Failure {
    fn from(problem: String) -> Failure {
        Failure::BadAnswer { problem }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Failure {
        if let Some(failure) = connection_failure(&status) {
            return failure;
        }
        let details = status.get_error_details();
        let info = details.error_info().filter(|info| info.domain == DOMAIN);
        let cause = match info {
            Some(info) => format!("{}: {}", info.reason, status.message()),
            None => format!("{}: {}", code_name(status.code()), status.message()),
        };
        let says_not_taken = info
            .is_some_and(|info| info.metadata.get("fate").is_some_and(|fate| fate == "not_taken"));
        let retry_after = details.retry_info().and_then(|info| info.retry_delay);
        match status.code() {
            // Without the ledger's own details these may be this machine's words, on an answer too
            // large for it, say: then the call may well have been taken.
            Code::ResourceExhausted if info.is_some() => Failure::NotTaken { cause, retry_after },
            Code::OutOfRange if info.is_none() => Failure::Lost { cause },
            Code::Unavailable | Code::Aborted if says_not_taken => {
                Failure::NotTaken { cause, retry_after }
            }
            Code::Ok
            | Code::Unavailable
            | Code::Aborted
            | Code::ResourceExhausted
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Unknown
            | Code::Internal
            | Code::DataLoss => Failure::Lost { cause },
            Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Unauthenticated => Failure::Refused(Refusal::from_status(&status)),
        }
    }
}

/// A connection that was never made carried nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The network, or a handshake that failed for another reason than trust.
    #[error("{0}")]
    Failed(String),
    /// The server's certificate.
    #[error("{0}")]
    Untrusted(String),
    /// This client's certificate.
    #[error("{0}")]
    NotAdmitted(String),
}

fn connection_failure(status: &Status) -> Option<Failure> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(status);
    while let Some(error) = source {
        if let Some(connect) = error.downcast_ref::<ConnectError>() {
            return Some(match connect {
                ConnectError::Failed(cause) => {
                    Failure::NotTaken { cause: cause.clone(), retry_after: None }
                }
                ConnectError::Untrusted(problem) => Failure::Untrusted { problem: problem.clone() },
                ConnectError::NotAdmitted(problem) => {
                    Failure::NotAdmitted { problem: problem.clone() }
                }
            });
        }
        source = error.source();
    }
    None
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
