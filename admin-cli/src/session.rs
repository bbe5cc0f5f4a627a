//! A session: one command's client, made of its settings, and what its errors mean here.

use std::env;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use counterfoil_client::client::Client;
use counterfoil_client::error::{Error, Refusal};
use counterfoil_client::outcome::Outcome;
use counterfoil_client::trusted::Fork;
use counterfoil_client::{Fate, Order, signer};
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::reason::Reason;
use counterfoil_proto::v1;
use serde_json::Value;
use tonic::Code;

use crate::commands::genesis;
use crate::context::{Connection, Settings};
use crate::error::{self, Failure};
use crate::exit::Exit;
use crate::output::{amount, amount_json};
use crate::verdict;
use crate::waiting::Waiting;

/// How long a command that signs may wait for the newest certificate.
const FOLLOW_TIMEOUT: Duration = Duration::from_secs(2);

/// A client and the settings that it was made of.
pub struct Session {
    /// Speaks to the nodes.
    pub client: Client,
    /// What holds for this command.
    pub settings: Settings,
}

impl Session {
    /// A session that reads.
    pub fn reading(connection: &Connection) -> Result<Session, Failure> {
        Session::reading_as(connection, Waiting::default())
    }

    /// The same, of what is as certain as this.
    pub fn reading_as(connection: &Connection, waiting: Waiting) -> Result<Session, Failure> {
        let settings = Settings::to_submit(connection, waiting)?;
        let client = builder(&settings)?.build()?;
        Ok(Session { client, settings })
    }

    /// A session that signs. What an earlier run left without a certain fate is sent again first.
    pub async fn signing(connection: &Connection, waiting: Waiting) -> Result<Session, Failure> {
        Session::signing_with(Settings::to_submit(connection, waiting)?).await
    }

    /// The same with settings that are settled.
    pub async fn signing_with(settings: Settings) -> Result<Session, Failure> {
        let client = builder(&settings)?
            .signer(signer::from_file(settings.signing_key()?)?)
            .journal(state_directory()?.join("journal"))
            .build()?;
        let session = Session { client, settings };
        session.refuse_fork().await?;
        for resumed in session.client.resume().await? {
            let fate = match resumed.result {
                Ok(outcome) => verdict::sentence(&outcome.verdict),
                Err(fork @ Error::Fork(_)) => return Err(fork.into()),
                Err(error) => error.to_string(),
            };
            error::warn(&format!("instruction {} of an earlier run: {fate}", resumed.id));
        }
        Ok(session)
    }

    /// A session that sends again what is kept, and signs nothing new.
    pub fn journalled(connection: &Connection, waiting: Waiting) -> Result<Session, Failure> {
        let settings = Settings::to_submit(connection, waiting)?;
        let client = builder(&settings)?.journal(state_directory()?.join("journal")).build()?;
        Ok(Session { client, settings })
    }

    /// Takes the newest certificate into the trusted state: on a history that contradicts it nothing
    /// is to be ordered. Where no node proves one now that is said, and what follows finds out more.
    async fn refuse_fork(&self) -> Result<(), Failure> {
        let deadline = FOLLOW_TIMEOUT.min(self.settings.timeout);
        match self.client.with_deadline(deadline).update_trust().await {
            Ok(_) => Ok(()),
            Err(error @ (Error::Fork(_) | Error::File { .. })) => Err(error.into()),
            Err(error) => {
                error::warn(&format!("the newest certificate is not known: {error}"));
                Ok(())
            }
        }
    }

    /// Submits an order and waits for its outcome.
    pub async fn submit(&self, order: Order) -> Result<Outcome, Failure> {
        Ok(self.client.submit(order).await?)
    }

    /// The institution that the certificate names.
    pub fn institution(&self) -> Bic {
        self.client.institution()
    }

    /// Digits after the decimal point of a registered asset.
    pub fn exponent(&self, asset: &str) -> Result<u8, Failure> {
        let registry = self.client.registry();
        registry.asset(asset).map(|asset| asset.exponent).ok_or_else(|| {
            let known: Vec<&str> = registry.assets().map(|asset| asset.code.as_str()).collect();
            Failure::usage("ASSET_UNKNOWN", format!("{asset:?} is not a registered asset"))
                .fact(format!("registered: {}", known.join(", ")))
        })
    }

    /// An amount for people.
    pub fn money(&self, money: Option<&v1::Money>) -> String {
        money.map_or("-".to_owned(), |money| {
            amount(money.minor_units.into(), self.exponent_or_none(&money.asset), &money.asset)
        })
    }

    /// An amount for programs.
    pub fn money_json(&self, money: Option<&v1::Money>) -> Value {
        money.map_or(Value::Null, |money| {
            amount_json(money.minor_units.into(), self.exponent_or_none(&money.asset), &money.asset)
        })
    }

    /// A newer registry may have assets that this program's genesis file has not: their amounts are
    /// shown in minor units.
    fn exponent_or_none(&self, asset: &str) -> u8 {
        self.client.registry().asset(asset).map_or(0, |asset| asset.exponent)
    }
}

/// A client that signs and keeps nothing on disk, for load: its endpoints begin with another one
/// for each number, and it knows what its companion knows.
pub fn unjournalled(
    settings: &Settings,
    number: usize,
    companion: Option<&Client>,
) -> Result<Client, Failure> {
    let mut builder =
        builder(settings)?.signer(signer::from_file(settings.signing_key()?)?).without_journal();
    if let Some(companion) = companion {
        builder = builder.trusting_with(companion);
    }
    let mut endpoints = settings.values.endpoints.clone();
    if let Some(first) = number.checked_rem(endpoints.len()) {
        endpoints.rotate_left(first);
        builder = builder.endpoints(endpoints);
    }
    Ok(builder.build()?)
}

/// Where what is known for certain of a chain is kept.
pub fn trusted_state(chain_id: &Hash) -> Result<PathBuf, Failure> {
    Ok(state_directory()?.join("trusted").join(format!("{chain_id}.bin")))
}

/// Runs a command that speaks to nodes until it is done or the user stops it.
pub fn run<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        Failure::new(Exit::Unexpected, "NO_RUNTIME", format!("cannot start threads: {error}"))
    })?;
    let result = runtime.block_on(async {
        tokio::select! {
            result = work => result,
            _ = tokio::signal::ctrl_c() => Err(interrupted()),
        }
    });
    // What is still running are connections: nothing waits for them.
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

fn interrupted() -> Failure {
    Failure::new(Exit::Interrupted, "INTERRUPTED", "stopped by the user")
        .fact("an instruction that was sent may be decided all the same")
        .fix("counterfoil instruction resume")
}

/// Where this program keeps what must survive it.
pub fn state_directory() -> Result<PathBuf, Failure> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local").join("state")))
        .map(|directory| directory.join("counterfoil"))
        .ok_or_else(|| {
            Failure::usage("NO_STATE_HOME", "neither XDG_STATE_HOME nor HOME is set")
                .fix("set XDG_STATE_HOME to a directory of your own")
        })
}

fn builder(settings: &Settings) -> Result<counterfoil_client::builder::ClientBuilder, Failure> {
    let genesis = genesis::load(settings.genesis()?)?;
    let trusted = trusted_state(&genesis.chain_id());
    let mut builder = Client::builder()
        .genesis(genesis)
        .identity(settings.certificate()?, settings.key()?)
        .endpoints(settings.values.endpoints.iter().cloned())
        .finality(settings.waiting.finality())
        .read_mode(settings.read.mode())
        .deadline(settings.timeout);
    // A program without a home keeps nothing, and begins with the genesis file each time.
    if let Ok(trusted) = trusted {
        builder = builder.trusted_state(trusted);
    }
    if settings.values.institution.is_some() {
        builder = builder.institution(settings.institution()?);
    }
    Ok(builder)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let message = error.to_string();
        let fate = error.outcome();
        match error {
            Error::Refused(refusal) => refused(&refusal, fate),
            Error::Unavailable { .. } => Failure::new(Exit::Unavailable, "UNAVAILABLE", message)
                .fix("try again; counterfoil cluster status tells who is missing"),
            Error::Unknown { id, .. } => Failure::new(Exit::Unavailable, "FATE_UNKNOWN", message)
                .fact("its bytes are kept: sending them again is always safe")
                .fix(format!("counterfoil instruction resume, or: instruction show {id}")),
            Error::Untrusted { .. } => Failure::new(Exit::Permission, "SERVER_UNTRUSTED", message)
                .fact("nothing was sent to it")
                .fix("check endpoint and genesis file"),
            Error::Configuration(_) => Failure::usage("CONFIGURATION", message)
                .fix("counterfoil context show tells where each setting comes from"),
            Error::File { .. } => Failure::usage("FILE_UNUSABLE", message),
            Error::Signer(_) => Failure::new(Exit::Unexpected, "SIGNER_FAILED", message),
            Error::Journal { .. } => Failure::new(Exit::Unexpected, "JOURNAL_FAILED", message)
                .fact("nothing of this command was sent"),
            Error::Unproven { .. } => Failure::new(Exit::Verification, "UNPROVEN", message)
                .fact("nothing in that answer is believed; no other node gave a proof in time")
                .fix("tell the institution that runs the node; ask another one with --endpoint"),
            Error::Fork(fork) => forked(message, &fork),
            _ => Failure::new(Exit::Unexpected, "BAD_ANSWER", message),
        }
    }
}

/// Two quorums contradict each other: somebody signed both.
fn forked(message: String, fork: &Fork) -> Failure {
    let failure = Failure::new(Exit::Verification, "FORK", message)
        .fact(format!("known {}", fork.known.hash()))
        .fact(format!("found {}", fork.found.hash()));
    match (&fork.file, &fork.evidence) {
        (Some(file), Some(_)) => failure
            .fix(format!("counterfoil verify evidence {} says who signed both", file.display())),
        (Some(file), None) => failure.fix(format!("show the members {}", file.display())),
        (None, _) => failure,
    }
}

fn refused(refusal: &Refusal, fate: Fate) -> Failure {
    let mut failure = Failure::new(exit_of(refusal), refusal.reason.as_str(), &refusal.message);
    for (name, value) in &refusal.facts {
        failure = failure.fact(format!("{name}: {value}"));
    }
    if fate == Fate::Final {
        failure = failure.fact("the id was decided before, for ever");
    }
    match &refusal.remedy {
        Some(remedy) => failure.fix(remedy),
        None => failure,
    }
}

fn exit_of(refusal: &Refusal) -> Exit {
    match (refusal.known.map(Reason::code), refusal.code) {
        (_, Code::NotFound) => Exit::NotFound,
        (Some(200..=299), _) | (_, Code::PermissionDenied | Code::Unauthenticated) => {
            Exit::Permission
        }
        (_, Code::AlreadyExists | Code::FailedPrecondition) => Exit::Conflict,
        (Some(_), _) => Exit::Rejected,
        (None, Code::InvalidArgument | Code::OutOfRange) => Exit::Usage,
        (None, _) => Exit::Unexpected,
    }
}
