//! `verify checkpoint`: how long the ledger is and what its headers hash to, as nodes cosigned it.

use counterfoil_client::outcome::Finality;
use counterfoil_ledger::checkpoint::{Cosigners, NOTE_BYTES_MAX, Note};
use counterfoil_ledger::registry::Registry;
use serde_json::json;

use super::{Receipt, finality, material};
use crate::error::Failure;
use crate::files;
use crate::moment;
use crate::output::{Answer, Table, extend};

/// Verifies it.
pub fn run(arguments: &Receipt) -> Result<Answer, Failure> {
    let trust = arguments.material.trust(&arguments.file)?;
    let size_max = u64::try_from(NOTE_BYTES_MAX).unwrap_or(u64::MAX);
    let bytes = files::read_or_stdin(&arguments.file, size_max)?.into();
    material::refuse_other_kinds(&arguments.file, "checkpoint", &bytes)?;
    let refused = |error| material::refused(&arguments.file, error);
    let note = Note::parse(&bytes).map_err(refused)?;
    let genesis = trust.genesis();
    let consortium = &genesis.message().consortium;
    let cosigners = Cosigners::of(consortium, &trust.chain_id(), &Registry::of(genesis));
    let signed = cosigners.verify(&note).map_err(refused)?;
    let height = signed.checkpoint.size;
    if let Some(known) = trust.newest().filter(|known| known.height == height) {
        let (known, found) = (&known.history_root, &signed.checkpoint.root);
        if known != found {
            return Err(material::forked(&arguments.file, height, known, found));
        }
    }
    let nodes: Vec<u64> = signed.cosigned.keys().copied().collect();
    let certain = match signed.quorum {
        true => Finality::Final { certified_height: height, signers: nodes.clone() },
        false => Finality::Ordered,
    };
    let mut json = json!({
        "verdict": finality::word(&certain),
        "origin": signed.checkpoint.origin,
        "height": height.to_string(),
        "historyRoot": signed.checkpoint.root.to_string(),
        "cosigners": finality::signers_json(&trust, &nodes),
        "quorum": cosigners.quorum(),
    });
    let newest =
        signed.cosigned.values().max().map(|time_s| moment::utc(time_s.saturating_mul(1_000)));
    extend(&mut json, json!({ "cosignedAt": newest }));
    let by = format!("{} of the {} that are needed", nodes.len(), cosigners.quorum());
    let line = match signed.quorum {
        true => format!("FINAL  cosigned by {}", finality::names(&trust, &nodes)),
        false => format!("ORDERED, NOT FINAL  cosigned by {by}"),
    };
    let answer = Answer::new(json).line(line).table(Table::facts([
        ("origin", signed.checkpoint.origin.clone()),
        ("height", height.to_string()),
        ("history root", signed.checkpoint.root.to_string()),
        ("cosigned at", newest.unwrap_or_else(|| "-".to_owned())),
    ]));
    Ok(finality::conclude(answer, &certain, arguments.accept_ordered))
}
