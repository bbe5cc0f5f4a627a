//! `instruction receipt`, `absence`, `promise`: what proves an instruction's fate, in files.

use std::path::{Path, PathBuf};

use counterfoil_client::watch::Position;
use counterfoil_ledger::id::InstructionId;
use counterfoil_ledger::state::ID_AGE_MAX_MS;
use serde_json::json;

use super::parse_id;
use crate::commands::verify::{material, receipt};
use crate::context::Connection;
use crate::error::Failure;
use crate::files::{self, Readers};
use crate::moment;
use crate::output::{Answer, Table};
use crate::session::Session;
use crate::waiting::Waiting;

/// Arguments of `instruction receipt`.
#[derive(Debug, clap::Args)]
pub struct Receipt {
    /// Its id, where your institution signed it
    #[arg(value_parser = parse_id, required_unless_present = "at", conflicts_with = "at")]
    id: Option<InstructionId>,
    /// Its place, as account show --movements shows it: of a payment that you received, too
    #[arg(long, value_name = "HEIGHT/LEAF", value_parser = parse_position)]
    at: Option<Position>,
    /// An item of the batch, from 1; the instruction itself, unless given
    #[arg(long, value_name = "NUMBER", default_value_t = 0, conflicts_with = "at")]
    item: u32,
    /// The file to write; counterfoil verify receipt reads it
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What to wait for.
    #[command(flatten)]
    waiting: Waiting,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `instruction absence`.
#[derive(Debug, clap::Args)]
pub struct Absence {
    /// Its id
    #[arg(value_parser = parse_id)]
    id: InstructionId,
    /// The statement is made when a block is at or past this, Unix milliseconds; the end of its
    /// validity, unless given
    #[arg(long, value_name = "MS")]
    valid_until_ms: Option<u64>,
    /// The signed instruction that is meant: it says until when it is valid; as it is kept on this
    /// machine, or else the latest that its id allows
    #[arg(long, value_name = "FILE")]
    instruction: Option<PathBuf>,
    /// The file to write; counterfoil verify absence reads it
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `instruction promise`.
#[derive(Debug, clap::Args)]
pub struct Promise {
    /// Signed instructions, as the journal keeps them; the promise for FILE is written to FILE.promise
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

impl Receipt {
    pub(super) async fn run(&self) -> Result<Answer, Failure> {
        files::refuse_existing(&[&self.out])?;
        let session = Session::reading_as(&self.connection, self.waiting)?;
        let proved = match (self.id, self.at) {
            (Some(id), _) => session.client.receipt(id, self.item).await?,
            (None, Some(at)) => session.client.receipt_at(at).await?,
            (None, None) => return Err(Failure::usage("ID_MISSING", "give an id, or --at")),
        };
        let answer = receipt::describe(&session.client.trust(), &proved.verified);
        save(answer, &self.out, &proved.bytes())
    }
}

impl Absence {
    pub(super) async fn run(&self) -> Result<Answer, Failure> {
        files::refuse_existing(&[&self.out])?;
        let session = Session::journalled(&self.connection, Waiting::default())?;
        let end_ms = self.end_of_validity(&session).await?;
        let asked_ms = self.valid_until_ms.unwrap_or(end_ms);
        if asked_ms < self.id.time_ms() {
            let message = "--valid-until-ms is before the id was made: that says nothing about it";
            return Err(Failure::usage("VALID_UNTIL_TOO_EARLY", message)
                .fact(format!("the id is of {}", moment::utc_ms(self.id.time_ms())))
                .fix(format!(
                    "leave it out; it is valid until {} at most",
                    moment::utc_ms(end_ms)
                )));
        }
        let proved = session.client.absence(self.id, asked_ms).await?;
        let header = &proved.verified.header;
        let block_time = moment::utc_ms(header.block_time_ms);
        let (verdict, line) = match proved.verified.is_final_for(end_ms) {
            true => (
                "ABSENT_FOR_EVER",
                "ABSENT FOR EVER  no block has decided it, and none can".to_owned(),
            ),
            false => (
                "ABSENT",
                format!(
                    "ABSENT  so far: a later block may decide it until {}",
                    moment::utc_ms(end_ms)
                ),
            ),
        };
        let answer = Answer::new(json!({
            "verdict": verdict,
            "institution": proved.verified.institution.as_str(),
            "id": self.id.to_string(),
            "validUntil": moment::utc_ms(end_ms),
            "height": header.height.to_string(),
            "blockTime": block_time,
            "file": self.out,
        }))
        .line(line)
        .table(Table::facts([
            ("instruction", self.id.to_string()),
            ("valid until", moment::utc_ms(end_ms)),
            ("searched up to height", header.height.to_string()),
            ("block time", block_time),
        ]));
        save(answer, &self.out, &proved.bytes())
    }

    /// When nothing that was signed under the id can be decided any more.
    async fn end_of_validity(&self, session: &Session) -> Result<u64, Failure> {
        if let Some(file) = &self.instruction {
            let signed = material::signed(file)?;
            if signed.id == self.id {
                return Ok(signed.valid_until_ms);
            }
            let message = format!("{} holds another instruction", file.display());
            return Err(Failure::usage("OTHER_INSTRUCTION", message)
                .fact(format!("asked about {}", self.id))
                .fact(format!("it holds    {}", signed.id)));
        }
        let kept = session.client.pending().await?;
        let kept = kept.iter().find(|signed| signed.id == self.id);
        Ok(kept.map_or_else(|| latest_end(&self.id), |signed| signed.valid_until_ms))
    }
}

/// The latest end of validity that an id allows.
pub fn latest_end(id: &InstructionId) -> u64 {
    id.time_ms().saturating_add(ID_AGE_MAX_MS)
}

impl Promise {
    pub(super) async fn run(&self) -> Result<Answer, Failure> {
        let outs: Vec<PathBuf> = self.files.iter().map(|file| beside(file)).collect();
        files::refuse_existing(&outs.iter().map(PathBuf::as_path).collect::<Vec<_>>())?;
        let session = Session::reading(&self.connection)?;
        let mut table = Table::new(&["INSTRUCTION", "PROMISED BY", "DEADLINE", "FILE"]);
        let mut list = Vec::new();
        for (file, out) in self.files.iter().zip(&outs) {
            let signed = material::signed(file)?;
            let proved = session.client.request_inclusion(&signed).await?;
            files::create(out, &proved.bytes(), Readers::Owner)?;
            let promise = &proved.verified;
            let deadline = moment::utc_ms(promise.deadline_ms);
            let (node, institution) = (promise.node, promise.institution);
            table.row([
                signed.id.to_string(),
                format!("node {node} of {institution}"),
                deadline.clone(),
                out.display().to_string(),
            ]);
            list.push(json!({
                "id": signed.id.to_string(),
                "node": node.to_string(),
                "institution": institution.as_str(),
                "deadline": deadline,
                "file": out,
            }));
        }
        Ok(Answer::new(list.into()).table(table))
    }
}

fn parse_position(text: &str) -> Result<Position, String> {
    let parts = text.split_once('/');
    let parsed = parts.and_then(|(height, leaf)| {
        Some(Position { height: height.parse().ok()?, leaf: leaf.parse().ok()? })
    });
    parsed.ok_or_else(|| "write HEIGHT/LEAF, 12/3 say".to_owned())
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".promise");
    name.into()
}

/// Writes a proof, and says so.
fn save(answer: Answer, out: &Path, bytes: &[u8]) -> Result<Answer, Failure> {
    files::create(out, bytes, Readers::Owner)?;
    Ok(answer.line(format!("{} bytes in {}", bytes.len(), out.display())))
}
