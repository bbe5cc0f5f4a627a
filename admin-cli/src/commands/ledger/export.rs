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
    // What was not finished is no ledger and must not look like one.
    let mut partial = out.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let written = write(&session, &partial, to_height).await;
    let (height, size) = match written {
        Ok(written) => written,
        Err(failure) => {
            // It is of no use, and the next export writes over it.
            let _ = std::fs::remove_file(&partial);
            return Err(failure);
        }
    };
    std::fs::rename(&partial, out).map_err(|error| files::cannot("write", out, &error))?;
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

/// Writes a whole ledger; the last height and the file's length in bytes.
async fn write(
    session: &Session,
    partial: &Path,
    to_height: Option<u64>,
) -> Result<(u64, u64), Failure> {
    let failed = |error: LedgerFileError| unwritable(partial, &error);
    let io_failed = |error: std::io::Error| files::cannot("write", partial, &error);
    let mut export = session.client.export(1, to_height).await?;
    let buffered = BufWriter::with_capacity(1 << 20, File::create(partial).map_err(io_failed)?);
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
    written.get_ref().sync_all().map_err(io_failed)?;
    let size = written.get_ref().metadata().map_err(io_failed)?.len();
    Ok((height, size))
}

fn unwritable(file: &Path, error: &LedgerFileError) -> Failure {
    match error {
        LedgerFileError::Io(error) => files::cannot("write", file, error),
        LedgerFileError::Broken(rule) => Failure::new(Exit::Unexpected, "LEDGER_UNWRITABLE", *rule),
    }
}
