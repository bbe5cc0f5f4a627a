//! `ledger checkpoint`: how far the ledger is final, as a file that witnesses of transparency logs
//! read.

use std::path::Path;

use serde_json::json;

use crate::context::Connection;
use crate::error::Failure;
use crate::files::{self, Readers};
use crate::output::{Answer, Table};
use crate::session::Session;

/// Asks for it, checks that a quorum of nodes cosigned it, and writes it as it came.
pub async fn run(out: &Path, connection: &Connection) -> Result<Answer, Failure> {
    files::refuse_existing(&[out])?;
    let session = Session::reading(connection)?;
    let cosigned = session.client.checkpoint().await?;
    let checkpoint = &cosigned.signed.checkpoint;
    files::create(out, cosigned.note.to_string().as_bytes(), Readers::All)?;
    let registry = session.client.registry();
    let institution = |node: &u64| {
        registry.node(*node).map_or_else(|| node.to_string(), |it| it.institution.to_string())
    };
    let by: Vec<String> = cosigned.signed.cosigned.keys().map(institution).collect();
    let keys: Vec<String> = session.client.cosigners().verifier_keys().collect();
    Ok(Answer::new(json!({
        "file": out,
        "origin": checkpoint.origin,
        "height": checkpoint.size.to_string(),
        "historyRoot": checkpoint.root.to_string(),
        "cosignedBy": by,
        "verifierKeys": keys,
    }))
    .table(Table::facts([
        ("file", out.display().to_string()),
        ("origin", checkpoint.origin.clone()),
        ("height", checkpoint.size.to_string()),
        ("history root", checkpoint.root.to_string()),
        ("cosigned by", by.join(", ")),
    ]))
    .title("What a witness is configured with")
    .line(keys.join("\n")))
}
