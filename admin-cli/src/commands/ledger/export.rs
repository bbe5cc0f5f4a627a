//! `ledger export`: the genesis file and every block, into one file.

use std::io::BufWriter;
use std::path::Path;

use serde_json::json;

use crate::commands::cluster;
use crate::context::Connection;
use crate::error::Failure;
use crate::exit::Exit;
use crate::files::{self, Aside, Readers};
use crate::ledger_file::{LedgerFileError, LedgerWriter};
use crate::output::Answer;
use crate::progress::Progress;
use crate::session::Session;

/// Writes it; the file appears when it is whole.
pub async fn run(
    out: &Path,
    to_height: Option<u64>,
    connection: &Connection,
) -> Result<Answer, Failure> {
    files::refuse_existing(&[out])?;
    let session = Session::reading(connection)?;
    // What was not finished is no ledger and must not look like one.
    let aside = Aside::begin(out, Readers::All)?;
    let height = write(&session, &aside, to_height).await?;
    let size = aside.finish()?;
    Ok(Answer::new(json!({
        "file": out,
        "chainId": session.client.chain_id().to_string(),
        "height": height.to_string(),
        "bytes": size.to_string(),
    }))
    .line(format!("{} blocks, {}, in {}", height, cluster::size(size), out.display()))
    .line(format!("prove it final: counterfoil ledger proof {height} --out PROOF"))
    .line(format!(
        "verify it, without any node: counterfoil verify chain {} --proof PROOF --genesis FILE",
        out.display()
    )))
}

/// Writes a whole ledger; the last height.
async fn write(session: &Session, aside: &Aside, to_height: Option<u64>) -> Result<u64, Failure> {
    let failed = |error: LedgerFileError| match error {
        LedgerFileError::Io(error) => aside.failed(&error),
        LedgerFileError::Broken(rule) => Failure::new(Exit::Unexpected, "LEDGER_UNWRITABLE", rule),
    };
    let mut export = session.client.export(1, to_height).await?;
    let buffered = BufWriter::with_capacity(1 << 20, aside.file());
    let genesis = session.client.genesis().bytes();
    let mut writer = LedgerWriter::new(buffered, genesis).map_err(failed)?;
    let mut progress = Progress::new("block");
    let (mut height, last) = (0, export.last_height());
    while let Some(block) = export.next().await? {
        writer.block(&block).map_err(failed)?;
        height += 1;
        progress.set(height, last);
    }
    writer.finish().map_err(failed)?;
    Ok(height)
}
