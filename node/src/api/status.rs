//! Errors as gRPC carries them: the one place where a reason, a failure or a bad field becomes a
//! `tonic::Status`. Whatever the ledger has decided, refusals included, is no error and does not
//! come here.
//!
//! Every status has an ErrorInfo of domain `counterfoil`. Its metadata `fate` says, where it is
//! known, that the call was `not_taken` and left nothing, that it was `ordered`, or that it is `unknown`.

use std::collections::HashMap;
use std::time::Duration;

use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::reason::Reason;
use tonic::Code;
use tonic::Status;
use tonic_types::ErrorDetails;
use tonic_types::StatusExt;

use crate::consensus;
use crate::consensus::admission::Full;
use crate::consensus::finality::Standing;
use crate::consensus::originals::NotDone;
use crate::consensus::replica::Unavailable;
use crate::consensus::statements::NotGathered;
use crate::identity::Role;
use crate::identity::caller::CertificateExpired;
use crate::limits;
use crate::storage::StorageError;
use crate::telemetry::excess::Bound;

/// The domain of every ErrorInfo.
pub const DOMAIN: &str = "counterfoil";

/// What an error says beside its code and message.
struct Info<'a> {
    /// UPPER_SNAKE_CASE.
    reason: &'a str,
    metadata: Vec<(&'static str, String)>,
    retry: Option<Duration>,
    field: Option<&'static str>,
}

impl<'a> Info<'a> {
    fn new(reason: &'a str) -> Info<'a> {
        Info { reason, metadata: Vec::new(), retry: None, field: None }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Info<'a> {
        self.metadata.push((name, value.into()));
        self
    }

    /// The call left nothing: it may be repeated without another thought.
    fn not_taken(self) -> Info<'a> {
        self.with("fate", "not_taken")
    }

    fn retry(self, after: Duration) -> Info<'a> {
        Info { retry: Some(after), ..self }
    }

    fn status(self, code: Code, message: impl Into<String>) -> Status {
        let message = message.into();
        let metadata: HashMap<String, String> =
            self.metadata.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let mut details = ErrorDetails::with_error_info(self.reason, DOMAIN, metadata);
        if let Some(field) = self.field {
            details.add_bad_request_violation(field, message.clone());
        }
        if let Some(delay) = self.retry {
            details.set_retry_info(Some(delay));
        }
        Status::with_error_details(code, message, details)
    }
}

/// An instruction was not taken: reasons 1xx to 3xx.
pub(super) fn refused(reason: Reason) -> Status {
    let code = match reason.code() {
        100..=199 => Code::InvalidArgument,
        200..=299 => Code::PermissionDenied,
        _ if reason == Reason::IdReused => Code::AlreadyExists,
        _ => Code::FailedPrecondition,
    };
    Info::new(reason.name())
        .with("code", reason.code().to_string())
        .with("iso_code", reason.iso_code())
        .with("remedy", reason.remedy())
        .not_taken()
        .status(code, reason.meaning())
}

/// Nothing can be said.
pub(super) fn unavailable(cause: Unavailable) -> Status {
    match cause {
        Unavailable::NoLeader => Info::new("UNAVAILABLE_NO_LEADER")
            .with("remedy", "Ask again, here or at another node; a read of mode STALE needs no leader.")
            .not_taken()
            .retry(limits::RETRY_DELAY)
            .status(Code::Unavailable, "No leader could be reached in time; nothing was ordered."),
        Unavailable::Full(Full { institution, bound }) => full(institution, bound),
        Unavailable::Overloaded => overloaded("Too many wait for the same."),
        Unavailable::CertificatesLag(missing) => {
            let names: Vec<&str> = missing.iter().map(Bic::as_str).collect();
            let names = names.join(",");
            let message = format!(
                "Blocks wait too long for their certificate; nothing new is taken. The signatures of these institutions are missing: {names}."
            );
            Info::new("CERTIFICATES_LAG")
                .with("missing_institutions", names)
                .with("remedy", "Ask again after the delay; the institutions named must bring their nodes back.")
                .not_taken()
                .retry(limits::RETRY_DELAY)
                .status(Code::Unavailable, message)
        }
        Unavailable::DiskShort { free, missing } => Info::new("DISK_SHORT")
            .with("free_bytes", free.to_string())
            .with("missing_bytes", missing.to_string())
            .with("remedy", "Ask another node; this one takes instructions again when its operator has freed the missing bytes.")
            .not_taken()
            .retry(limits::RETRY_DELAY)
            .status(
                Code::ResourceExhausted,
                format!("This node is short of disk space: {free} bytes are free, {missing} more are needed. Nothing was taken."),
            ),
        Unavailable::NotFinal => Info::new("NOT_FINAL")
            .with("remedy", "Ask again after the delay, or for what is ordered.")
            .retry(limits::RETRY_DELAY)
            .status(Code::Unavailable, "It is ordered and not final yet: its certificate has not come in time."),
        Unavailable::Unknown => Info::new("FATE_UNKNOWN")
            .with("fate", "unknown")
            .with("remedy", "Submit the same bytes with the same id again: the answer is the original one.")
            .retry(limits::RETRY_DELAY)
            .status(
                Code::DeadlineExceeded,
                "Whether the instruction was ordered is not known; submitting the same id again tells.",
            ),
        Unavailable::Stopping => Info::new("UNAVAILABLE_STOPPING")
            .with("remedy", "Ask another node; submit the same id again.")
            .retry(limits::RETRY_DELAY)
            .status(Code::Unavailable, "This node is stopping."),
    }
}

/// A height has no certificate within the time that a read waits for it.
pub(super) fn not_final(height: u64, standing: &Standing) -> Status {
    lacking("NOT_FINAL", height, standing)
        .with(
            "remedy",
            "Ask again after the delay; a read of mode ORDERED does not wait for signatures.",
        )
        .status(Code::Unavailable, format!("Height {height} is ordered and not final yet."))
}

/// An instruction is decided, and its block has no certificate within the time that its submitter
/// waits for it.
pub(super) fn not_final_yet(height: u64, standing: &Standing) -> Status {
    lacking("NOT_FINAL_YET", height, standing)
        .with("fate", "ordered")
        .with(
            "remedy",
            "Submit the same bytes with the same id again: the answer is the original one.",
        )
        .status(
            Code::Unavailable,
            format!("The instruction is ordered at height {height}, which is not final yet."),
        )
}

fn lacking<'a>(reason: &'a str, height: u64, standing: &Standing) -> Info<'a> {
    let missing: Vec<&str> = standing.missing.iter().map(Bic::as_str).collect();
    Info::new(reason)
        .with("height", height.to_string())
        .with("certified_height", standing.certified_height.to_string())
        .with("missing_institutions", missing.join(","))
        .retry(limits::RETRY_DELAY)
}

/// Statements of a quorum could not be had, or may not be.
pub(super) fn not_gathered(cause: NotGathered) -> Status {
    match cause {
        NotGathered::Decided => impossible(
            "ID_DECIDED",
            "The ledger has decided this id: it is not absent.",
            "Ask GetInstruction what became of it.",
        ),
        NotGathered::NotPast { wait } => Info::new("NOT_EXPIRED")
            .with("wait_ms", wait.as_millis().to_string())
            .with(
                "remedy",
                "Ask again when valid_until_ms is past; until then it may still be decided.",
            )
            .not_taken()
            .retry(wait)
            .status(
                Code::FailedPrecondition,
                format!("valid_until_ms is {} ms ahead.", wait.as_millis()),
            ),
        NotGathered::Missing { missing, needed } => {
            let institutions: Vec<&str> =
                missing.iter().map(|it| it.institution.as_str()).collect();
            let problems: Vec<String> = missing.iter().map(ToString::to_string).collect();
            Info::new("QUORUM_NOT_REACHED")
                .with("missing_institutions", institutions.join(","))
                .with("needed", needed.to_string())
                .with("remedy", "Ask again; if it lasts, the institutions that are named have to mend their nodes.")
                .not_taken()
                .retry(limits::RETRY_DELAY)
                .status(
                    Code::Unavailable,
                    format!("Fewer nodes signed than a quorum of {needed}; missing: {}.", problems.join("; ")),
                )
        }
        NotGathered::NoBlock => Info::new("BLOCK_TIME_NOT_REACHED")
            .with("remedy", "Ask again, here or at another node.")
            .not_taken()
            .retry(limits::RETRY_DELAY)
            .status(Code::Unavailable, "No block past valid_until_ms came in time."),
        NotGathered::Unavailable(cause) => unavailable(cause),
    }
}

/// A bound was reached; nothing was taken.
pub(super) fn overloaded(message: &'static str) -> Status {
    Info::new("OVERLOADED")
        .with("remedy", "Ask again after the delay; submit more in one batch.")
        .not_taken()
        .retry(limits::RETRY_DELAY)
        .status(Code::ResourceExhausted, message)
}

/// An institution has all of its share; nothing was taken. The others are served.
pub(super) fn full(institution: Bic, bound: Bound) -> Status {
    let (what, remedy) = match bound {
        Bound::Queue => (
            "the room for instructions that wait",
            "Ask again after the delay; submit more in one batch.",
        ),
        Bound::Promises => {
            ("the room for promised instructions", "Ask again when some of them are decided.")
        }
        Bound::Signatures => (
            "the patience for signatures that do not hold",
            "Find the client that signs wrongly; ask again after the delay.",
        ),
        Bound::AnswerBytes => (
            "the room for answers that are not read yet",
            "Read what was asked for, or ask for smaller pages.",
        ),
        Bound::RequestBytes => (
            "the room for requests that are being received",
            "Ask again after the delay; send fewer at once.",
        ),
        Bound::Watches => ("the watches that may be open", "End those that are not needed."),
        Bound::Requests | Bound::Connections | Bound::Pace | Bound::Reading => {
            ("the requests that may be open", "Ask again after the delay; send fewer at once.")
        }
    };
    Info::new("OVERLOADED")
        .with("institution", institution.as_str())
        .with("bound", bound.name())
        .with("remedy", remedy)
        .not_taken()
        .retry(limits::RETRY_DELAY)
        .status(Code::ResourceExhausted, format!("{institution} has all of its share: {what}."))
}

/// A node that only follows was asked for its signature.
pub(super) fn learner() -> Status {
    Info::new("LEARNER")
        .with("remedy", "Ask a node that votes; this one takes everything else.")
        .not_taken()
        .retry(limits::RETRY_DELAY)
        .status(Code::Unavailable, "This node only follows: its signature counts nowhere.")
}

/// The node goes down in good order; a watch is resumed at another one.
pub(super) fn stopping() -> Status {
    unavailable(Unavailable::Stopping)
}

/// Storage failed under a read. The node stops; a reader is never told less than the truth.
pub(super) fn storage(error: &StorageError) -> Status {
    consensus::read_failed(error);
    stopping()
}

/// What an index names is not there.
pub(super) fn inconsistent(what: &'static str) -> Status {
    tracing::error!(what, "the store lacks what its index names");
    stopping()
}

/// A field of the request breaks its rule.
pub(super) fn field(name: &'static str, rule: &str) -> Status {
    let message = format!("{name}: {rule}");
    let mut info = Info::new("FIELD_INVALID").with("field", name).with("remedy", rule).not_taken();
    info.field = Some(name);
    info.status(Code::InvalidArgument, message)
}

/// The request's bytes are not the message that the method takes.
pub(super) fn malformed(problem: &str) -> Status {
    let reason = Reason::Malformed;
    Info::new(reason.name())
        .with("code", reason.code().to_string())
        .with("iso_code", reason.iso_code())
        .with("remedy", reason.remedy())
        .not_taken()
        .status(Code::InvalidArgument, format!("The request does not decode: {problem}"))
}

/// There is none, or it is not the caller's: the two are told in the same words.
pub(super) fn not_found(what: &'static str) -> Status {
    Info::new("NOT_FOUND")
        .with("remedy", "Check what was asked for; only a party to it can see it.")
        .status(
            Code::NotFound,
            format!("There is no such {what}, or the caller is no party to it."),
        )
}

/// The ledger has not come to a height within the time that a read waits for it.
pub(super) fn not_reached(height: u64, reached: u64) -> Status {
    Info::new("HEIGHT_NOT_REACHED")
        .with("height", height.to_string())
        .with("reached", reached.to_string())
        .with("remedy", "Ask for a height that exists, or ask again later.")
        .not_taken()
        .status(Code::OutOfRange, format!("This node has executed height {reached}, not {height}."))
}

/// Something that the request needs is not there, or is too much for one answer.
pub(super) fn impossible(reason: &'static str, message: &str, remedy: &'static str) -> Status {
    Info::new(reason).with("remedy", remedy).not_taken().status(Code::FailedPrecondition, message)
}

/// Nothing was done of what was asked of a sealed original.
pub(super) fn original(why: NotDone) -> Status {
    let full = |whose, remedy| {
        Info::new("ORIGINALS_FULL")
            .with("remedy", remedy)
            .not_taken()
            .retry(limits::RETRY_DELAY)
            .status(Code::ResourceExhausted, whose)
    };
    match why {
        NotDone::Field(name, rule) => field(name, rule),
        NotDone::NotFound => not_found("original"),
        NotDone::KeepsNone => impossible(
            "ORIGINALS_NOT_KEPT",
            "The agreement keeps no originals.",
            "Name an agreement with keep_originals.",
        ),
        NotDone::OtherNode => impossible(
            "NODE_OF_NEITHER_PARTY",
            "This node belongs to neither party of the agreement and keeps none of its originals.",
            "Ask a node of one of the two parties.",
        ),
        NotDone::OtherPartysNode => impossible(
            "NODE_OF_OTHER_PARTY",
            "This node is the other party's: it does not speak for the caller's institution.",
            "Ask a node of your own institution.",
        ),
        NotDone::Different => impossible(
            "ORIGINAL_DIFFERS",
            "The bytes that came have another hash than sealed_hash; they are gone.",
            "Put the file again from its beginning.",
        ),
        NotDone::Busy => Info::new("ORIGINAL_BUSY")
            .with(
                "remedy",
                "Ask again after the delay: the parts of a file come one after the other.",
            )
            .not_taken()
            .retry(limits::RETRY_DELAY)
            .status(Code::ResourceExhausted, "Another part of this file is being written."),
        NotDone::OwnRoom => full(
            "The institution has all of its room for originals at this node.",
            "Delete originals that are not needed any more.",
        ),
        NotDone::AllRoom => full(
            "This node's room for originals is taken.",
            "Ask another node of the institution, or its operator.",
        ),
        NotDone::Unavailable(cause) => unavailable(cause),
    }
}

/// The deadline came before the answer.
pub(super) fn deadline() -> Status {
    Info::new("DEADLINE_EXCEEDED")
        .with("remedy", "Ask again with a later deadline.")
        .status(Code::DeadlineExceeded, "There was no answer within the deadline.")
}

/// Nobody stands behind the connection.
pub(super) fn nobody() -> Status {
    Info::new("CALLER_UNKNOWN")
        .with("remedy", "Connect with a client certificate of a member institution.")
        .not_taken()
        .status(Code::Unauthenticated, "The connection has no client certificate.")
}

/// The caller's certificate has expired since the handshake.
pub(super) fn expired(expired: CertificateExpired) -> Status {
    Info::new("CERTIFICATE_EXPIRED")
        .with("not_after_s", expired.not_after_s.to_string())
        .with("remedy", "Connect again with a new certificate.")
        .not_taken()
        .status(Code::Unauthenticated, expired.to_string())
}

/// The caller's role may not do this.
pub(super) fn role_denied(role: Role, allowed: &[Role]) -> Status {
    let allowed: Vec<&str> = allowed.iter().map(|role| role.as_str()).collect();
    let allowed = allowed.join(", ");
    let message = format!("The role {role} may not call this; it is for: {allowed}.");
    Info::new("ROLE_NOT_ALLOWED")
        .with("role", role.as_str())
        .with("allowed", allowed)
        .with("remedy", "Use a certificate with another role.")
        .not_taken()
        .status(Code::PermissionDenied, message)
}

/// The caller's scope does not reach this.
pub(super) fn scope_denied() -> Status {
    Info::new("SCOPE_NOT_ALLOWED")
        .with("remedy", "Let an auditor do it whose scope is the consortium.")
        .not_taken()
        .status(
            Code::PermissionDenied,
            "Only an auditor whose scope is the consortium may do this.",
        )
}

/// No such method stands in the authorisation table.
pub(super) fn no_such_method() -> Status {
    Info::new("METHOD_UNKNOWN")
        .with("remedy", "Use the published .proto files of this version.")
        .not_taken()
        .status(Code::Unimplemented, "This server has no such method.")
}

/// What tonic says of a request that it could not read, in the words of this API: larger than any
/// message may be, or no message at all.
pub(super) fn unreadable(status: &Status) -> Option<Status> {
    if !status.details().is_empty() {
        return None;
    }
    match status.code() {
        Code::OutOfRange => Some(refused(Reason::TooLarge)),
        Code::Internal => Some(malformed(status.message())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(status: &Status) -> HashMap<String, String> {
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!(info.domain, DOMAIN);
        info.metadata.clone()
    }

    #[test]
    fn every_reason_that_is_not_taken_has_a_code_and_a_remedy() {
        for reason in Reason::ALL.iter().copied().filter(|reason| !reason.burns_id()) {
            let status = refused(reason);
            let expected = match reason.code() / 100 {
                1 => Code::InvalidArgument,
                2 => Code::PermissionDenied,
                _ if reason == Reason::IdReused => Code::AlreadyExists,
                _ => Code::FailedPrecondition,
            };
            assert_eq!(status.code(), expected, "{reason:?}");
            let details = status.get_error_details();
            assert_eq!(details.error_info().unwrap().reason, reason.name());
            assert!(details.retry_info().is_none());
            let metadata = metadata(&status);
            assert_eq!(metadata["iso_code"], reason.iso_code());
            assert_eq!(metadata["remedy"], reason.remedy());
            assert_eq!(metadata["fate"], "not_taken");
        }
    }

    #[test]
    fn what_may_be_tried_again_says_when_and_what_is_true() {
        for (cause, code, fate) in [
            (Unavailable::NoLeader, Code::Unavailable, Some("not_taken")),
            (Unavailable::Overloaded, Code::ResourceExhausted, Some("not_taken")),
            (
                Full { institution: Bic::parse("BANKCHAA").unwrap(), bound: Bound::Queue }.into(),
                Code::ResourceExhausted,
                Some("not_taken"),
            ),
            (Unavailable::Unknown, Code::DeadlineExceeded, Some("unknown")),
            (Unavailable::Stopping, Code::Unavailable, None),
        ] {
            let status = unavailable(cause);
            assert_eq!(status.code(), code);
            assert!(status.get_error_details().retry_info().unwrap().retry_delay.is_some());
            assert_eq!(metadata(&status).get("fate").map(String::as_str), fate);
        }
    }

    #[test]
    fn what_is_not_final_says_who_has_not_signed() {
        let standing = Standing {
            certified_height: 6,
            attested_height: 7,
            attested: std::collections::BTreeMap::new(),
            missing: vec![Bic::parse("BANKCHAA").unwrap(), Bic::parse("BANKCHBB").unwrap()],
            admission_stopped: false,
        };
        for (status, reason, fate) in [
            (not_final(7, &standing), "NOT_FINAL", None),
            (not_final_yet(7, &standing), "NOT_FINAL_YET", Some("ordered")),
        ] {
            assert_eq!(status.code(), Code::Unavailable);
            let details = status.get_error_details();
            assert_eq!(details.error_info().unwrap().reason, reason);
            assert!(details.retry_info().unwrap().retry_delay.is_some());
            let metadata = metadata(&status);
            assert_eq!(metadata["height"], "7");
            assert_eq!(metadata["certified_height"], "6");
            assert_eq!(metadata["missing_institutions"], "BANKCHAAXXX,BANKCHBBXXX");
            assert_eq!(metadata.get("fate").map(String::as_str), fate);
        }
    }

    #[test]
    fn a_field_is_named() {
        let status = field("page_token", "from the page before");
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "page_token");
        assert_eq!(metadata(&status)["field"], "page_token");
    }

    #[test]
    fn details_fit_into_trailers() {
        for reason in Reason::ALL.iter().copied() {
            assert!(refused(reason).details().len() < 4_096, "{reason:?}");
        }
    }

    #[test]
    fn only_bare_statuses_are_translated() {
        let large = unreadable(&Status::out_of_range("message length too large")).unwrap();
        assert_eq!(large.code(), Code::InvalidArgument);
        assert_eq!(large.get_error_details().error_info().unwrap().reason, "TOO_LARGE");
        let garbage = unreadable(&Status::internal("buffer underflow")).unwrap();
        assert_eq!(garbage.get_error_details().error_info().unwrap().reason, "MALFORMED");
        assert!(unreadable(&not_reached(7, 6)).is_none());
        assert!(unreadable(&Status::unimplemented("")).is_none());
    }
}
