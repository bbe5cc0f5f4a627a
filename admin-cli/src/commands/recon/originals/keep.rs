//! What `recon import` does with the file where the agreement keeps originals: seals it to both parties
//! and puts it at a node, before the statement is signed.

use counterfoil_client::originals::KeptAt;
use counterfoil_client::sealed::{self, About};
use counterfoil_ledger::date::Date;
use counterfoil_ledger::hash::Hash;
use serde_json::{Value, json};

use super::{not_moved, scratch};
use crate::commands::recon::book_file::Part;
use crate::error::{self, Failure};
use crate::exit::Exit;
use crate::progress::Progress;
use crate::session::{Session, state_directory};

/// Keeps the file of a part with a statement; none where nothing is kept.
pub async fn keep(session: &Session, part: &Part, file: &[u8]) -> Result<Option<KeptAt>, Failure> {
    let date = part.statement.as_ref().and_then(|it| Date::from_yyyymmdd(it.to_date).ok());
    let Some(date) = date else { return Ok(None) };
    let governing = session.client.governing(part.account, date).await?;
    let Some((id, keys)) = governing.and_then(|it| Some((it.id, it.terms.originals?))) else {
        return Ok(None);
    };
    let about = About { agreement: id, account: part.account, original: Hash::of(file) };
    let length = u64::try_from(file.len()).unwrap_or(u64::MAX);
    let mut scratch = scratch::file(&state_directory()?)?;
    sealed::seal(file, length, &mut scratch, &about, &keys).map_err(|error| {
        let message = format!("the original of {} is not sealed: {error}", part.title);
        Failure::new(Exit::Usage, "ORIGINAL_NOT_SEALED", message)
    })?;
    let mut progress = Progress::new("kept");
    let put = session.client.put_original(&about, &mut scratch, |done, total| {
        progress.set(done, total);
    });
    let kept = put.await.map_err(not_moved)?;
    drop(progress);
    if !kept.missing.is_empty() {
        error::warn(&format!(
            "the original has not come to a node of {} yet: it is read from the others",
            kept.missing.join(", ")
        ));
    }
    Ok(Some(kept))
}

/// Where it is, for people.
pub fn sentence(title: &str, kept: &KeptAt) -> String {
    format!("original of {title}: sealed to both, kept by {}", kept.held_by.join(" and "))
}

/// The same for programs.
pub fn json(kept: &KeptAt) -> Value {
    json!({ "heldBy": kept.held_by, "missing": kept.missing })
}
