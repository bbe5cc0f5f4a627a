//! `instruction receipt`, `absence`, `promise`: what proves an instruction's fate, in files.

use std::path::{Path, PathBuf};

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
    /// Its id
    #[arg(value_parser = parse_id)]
    id: InstructionId,
    /// An item of the batch, from 1; the instruction itself, unless given
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
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
    /// When it expired, Unix milliseconds; as it is kept on this machine, or else the latest that its
    /// id allows
    #[arg(long, value_name = "MS")]
    valid_until_ms: Option<u64>,
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
        let proved = session.client.receipt(self.id, self.item).await?;
        let answer = receipt::describe(&session.client.trust(), &proved.verified);
        save(answer, &self.out, &proved.bytes())
    }
}

impl Absence {
    pub(super) async fn run(&self) -> Result<Answer, Failure> {
        files::refuse_existing(&[&self.out])?;
        let session = Session::journalled(&self.connection, Waiting::default())?;
        let kept = session.client.pending().await?;
        let kept = kept.iter().find(|signed| signed.id == self.id);
        let latest = self.id.time_ms().saturating_add(ID_AGE_MAX_MS);
        let valid_until_ms =
            self.valid_until_ms.or(kept.map(|signed| signed.valid_until_ms)).unwrap_or(latest);
        let proved = session.client.absence(self.id, valid_until_ms).await?;
        let header = &proved.verified.header;
        let answer = Answer::new(json!({
            "verdict": "ABSENT_FOR_EVER",
            "institution": proved.verified.institution.as_str(),
            "id": self.id.to_string(),
            "validUntil": moment::utc_ms(valid_until_ms),
            "height": header.height.to_string(),
            "blockTime": moment::utc_ms(header.block_time_ms),
            "file": self.out,
        }))
        .line("ABSENT FOR EVER  no block has decided it, and none can")
        .table(Table::facts([
            ("instruction", self.id.to_string()),
            ("expired", moment::utc_ms(valid_until_ms)),
            ("searched up to height", header.height.to_string()),
            ("block time", moment::utc_ms(header.block_time_ms)),
        ]));
        save(answer, &self.out, &proved.bytes())
    }
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
