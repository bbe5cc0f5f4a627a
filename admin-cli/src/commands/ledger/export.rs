//! `ledger export`: the genesis file and every block, into one file.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::commands::cluster;
use crate::context::Connection;
use crate::error::Failure;
use crate::exit::Exit;
use crate::files;
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
    let mut export = session.client.export(1, to_height).await?;
    // What was not finished is no ledger and must not look like one.
    let mut partial = out.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let failed = |error: LedgerFileError| unwritable(&partial, &error);
    let file = File::create(&partial).map_err(|error| files::cannot("create", &partial, &error))?;
    let buffered = BufWriter::with_capacity(1 << 20, file);
    let genesis = session.client.genesis().bytes();
    let mut writer = LedgerWriter::new(buffered, genesis).map_err(failed)?;
    let mut progress = Progress::new("block");
    let (mut height, last) = (0, export.last_height());
    while let Some(block) = export.next().await? {
        writer.block(&block).map_err(failed)?;
        height += 1;
        progress.set(height, last);
    }
    drop(progress);
    let written = writer.finish().map_err(failed)?;
    written
        .get_ref()
        .sync_all()
        .and_then(|()| std::fs::rename(&partial, out))
        .map_err(|error| files::cannot("write", out, &error))?;
    let size = written.get_ref().metadata().map(|metadata| metadata.len()).unwrap_or_default();
    Ok(Answer::new(json!({
        "file": out,
        "chainId": session.client.chain_id().to_string(),
        "height": height.to_string(),
        "bytes": size.to_string(),
    }))
    .line(format!("{} blocks, {}, in {}", height, cluster::size(size), out.display()))
    .line(format!(
        "verify it, without any node: counterfoil ledger verify --genesis FILE --file {}",
        out.display()
    )))
}

fn unwritable(file: &Path, error: &LedgerFileError) -> Failure {
    match error {
        LedgerFileError::Io(error) => files::cannot("write", file, error),
        LedgerFileError::Broken(rule) => Failure::new(Exit::Unexpected, "LEDGER_UNWRITABLE", *rule),
    }
}
