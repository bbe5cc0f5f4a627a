//! `pki`: an institution's own certificate authority, certificates and signing keys. Nothing here
//! overwrites a file.

mod authority;
mod inspect;
mod issue;
mod key;
mod sealing_key;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DistinguishedName, SerialNumber};

use crate::certificate::Certificate;
use crate::context::parse_bic;
use crate::error::Failure;
use crate::exit::Exit;
use crate::moment;
use crate::output::Answer;
use crate::private_key::Algorithm;
use crate::random;

/// A certificate is valid from a little before it is made: clocks differ.
const BACKDATED: Duration = Duration::from_secs(300);

const DAY: Duration = Duration::from_secs(86_400);

/// Verbs of `pki`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Makes an institution's certificate authority: its trust anchor on the ledger
    Authority {
        /// The institution
        #[arg(long, value_name = "BIC")]
        institution: String,
        /// Directory for authority.pem and authority.key.pem
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Kind of key
        #[arg(long, value_enum, default_value = "p256")]
        algorithm: Algorithm,
        /// Days until it expires
        #[arg(long, default_value_t = 3_650, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: u32,
    },
    /// Issues a certificate for a node, a client, an operator or an auditor
    Issue(Box<issue::Issue>),
    /// Makes a key that signs instructions, or what a node produces
    Key {
        /// File for the private key; the public key goes beside it, as .pub.pem
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Kind of key
        #[arg(long, value_enum, default_value = "ed25519")]
        algorithm: Algorithm,
    },
    /// Makes a key that opens originals of statements sealed to your institution
    SealingKey {
        /// File for the private key; the public key goes beside it, as .pub.pem
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Shows what a certificate or key says
    Inspect {
        /// A certificate, public key or private key in PEM
        file: PathBuf,
    },
}

/// Does it.
pub fn run(command: Command) -> Result<Answer, Failure> {
    match command {
        Command::Authority { institution, out, algorithm, days } => {
            authority::run(&parse_bic(&institution)?, &out, algorithm, days)
        }
        Command::Issue(issue) => issue.run(),
        Command::Key { out, algorithm } => key::run(&out, algorithm),
        Command::SealingKey { out } => sealing_key::run(&out),
        Command::Inspect { file } => inspect::run(&file),
    }
}

/// What every certificate has: a random serial number and a time.
fn parameters(subject: DistinguishedName, days: u32) -> Result<CertificateParams, Failure> {
    let mut parameters = CertificateParams::default();
    let mut serial = random::bytes::<16>()?;
    // Positive and of full length, whatever was drawn.
    serial[0] = serial[0] & 0x7f | 0x40;
    let now = SystemTime::now();
    parameters.serial_number = Some(SerialNumber::from_slice(&serial));
    parameters.distinguished_name = subject;
    parameters.not_before = (now - BACKDATED).into();
    parameters.not_after = (now + DAY * days).into();
    Ok(parameters)
}

fn read_back(der: &[u8]) -> Result<Certificate, Failure> {
    Certificate::from_der(der).map_err(|error| {
        Failure::new(Exit::Unexpected, "CERTIFICATE_FAILED", format!("what was issued: {error}"))
    })
}

fn cannot_issue(error: &rcgen::Error) -> Failure {
    Failure::new(Exit::Unexpected, "CERTIFICATE_FAILED", format!("cannot make it: {error}"))
}

fn expiry(certificate: &Certificate) -> String {
    moment::utc(unix_ms(certificate.not_after_s))
}

/// Certificates from before 1970 count as from then.
fn unix_ms(unix_s: i64) -> u64 {
    u64::try_from(unix_s).unwrap_or(0).saturating_mul(1_000)
}

fn seconds(unix_s: u64) -> i64 {
    i64::try_from(unix_s).unwrap_or(i64::MAX)
}
