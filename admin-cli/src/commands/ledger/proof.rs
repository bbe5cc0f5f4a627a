//! `ledger proof` and `ledger trust`: what is final, in files.

use std::path::Path;

use counterfoil_client::outcome::Finality;
use prost::Message;
use serde_json::json;

use crate::commands::verify::finality;
use crate::context::Connection;
use crate::error::Failure;
use crate::files::{self, Readers};
use crate::output::{Answer, Table, extend};
use crate::session::{self, Session};

/// Saves a history proof.
pub async fn run(
    height: u64,
    to_height: Option<u64>,
    out: &Path,
    connection: &Connection,
) -> Result<Answer, Failure> {
    files::refuse_existing(&[out])?;
    let session = Session::reading(connection)?;
    let proved = session.client.history_proof(height, to_height).await?;
    files::create(out, &proved.bytes(), Readers::All)?;
    let verified = &proved.verified;
    let certified_height = verified.certified.height;
    let certain = Finality::Final { certified_height, signers: verified.signers.clone() };
    let trust = session.client.trust();
    let mut json = finality::json(&trust, &certain);
    extend(
        &mut json,
        json!({
            "file": out,
            "height": height.to_string(),
            "headerHash": verified.header.hash().to_string(),
        }),
    );
    Ok(Answer::new(json)
        .line(finality::sentence(&trust, &certain))
        .table(Table::facts([
            ("height", height.to_string()),
            ("header", verified.header.hash().to_string()),
        ]))
        .line(format!("{} bytes in {}", proved.bytes().len(), out.display())))
}

/// Advances the trusted state.
pub async fn trust(out: Option<&Path>, connection: &Connection) -> Result<Answer, Failure> {
    if let Some(out) = out {
        files::refuse_existing(&[out])?;
    }
    let session = Session::reading(connection)?;
    let before = session.client.trust().newest().map(|header| header.height);
    session.client.update_trust().await?;
    let trust = session.client.trust();
    let file = session::trusted_state(&session.client.chain_id()).ok();
    if let Some(out) = out {
        files::create(out, &trust.to_message().encode_to_vec(), Readers::All)?;
    }
    let shown = |height: Option<u64>| height.map_or("-".to_owned(), |height| height.to_string());
    let newest = trust.newest();
    let hash = newest.map(|header| header.hash().to_string());
    let kept = file.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
    Ok(Answer::new(json!({
        "chainId": trust.chain_id().to_string(),
        "epoch": trust.epoch().to_string(),
        "heightBefore": before.map(|height| height.to_string()),
        "height": newest.map(|header| header.height.to_string()),
        "headerHash": hash,
        "file": file,
        "out": out,
    }))
    .table(Table::facts([
        ("chain id", trust.chain_id().to_string()),
        ("epoch", trust.epoch().to_string()),
        ("known before", shown(before)),
        ("known now", shown(newest.map(|header| header.height))),
        ("header", hash.unwrap_or_default()),
        ("kept in", kept),
    ])))
}
