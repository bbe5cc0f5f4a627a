//! `verify chain`: an exported ledger, executed again, and up to where a quorum vouches for it.

use counterfoil_client::outcome::Finality;
use counterfoil_client::v1;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::replay::Replay;
use counterfoil_ledger::verify;
use serde_json::json;

use super::{Chain, finality, material};
use crate::commands::ledger::verify::{check_known, missing_known, replayed, report};
use crate::error::{self, Failure};
use crate::exit::Exit;
use crate::output::{Answer, extend};

/// A height that is proved final: its header, and the certificate that says so.
struct Certified {
    header: Header,
    finality: Finality,
}

/// Verifies it.
pub fn run(arguments: &Chain) -> Result<Answer, Failure> {
    let trust = arguments.material.trust(&arguments.file)?;
    let mut certified = Vec::new();
    for file in &arguments.proof {
        let proof: v1::HistoryProof = material::proof(file)?;
        let verified =
            verify::history(&trust, &proof).map_err(|error| material::refused(file, error))?;
        material::agrees(&trust, file, &[&verified.header, &verified.certified])?;
        let certified_height = verified.certified.height;
        let finality = Finality::Final { certified_height, signers: verified.signers };
        // The certified header may be above what was exported; then the earlier one counts.
        for header in [verified.header, verified.certified] {
            certified.push(Certified { header, finality: finality.clone() });
        }
    }
    if let Some(certificate) = trust.newest_certificate() {
        let (header, signers) = trust
            .certified(certificate)
            .map_err(|error| material::refused(&arguments.file, error))?;
        let finality = Finality::Final { certified_height: header.height, signers };
        certified.push(Certified { header, finality });
    }
    let known = &arguments.known;
    let check = |replay: &Replay| {
        check_known(replay, known)?;
        check_certified(replay, &certified)
    };
    let (replay, counts) =
        replayed(trust.genesis().clone(), &arguments.file, |replay, _| check(replay))?;
    missing_known(&replay, known)?;
    let last = replay.state().height();
    let held = certified.iter().filter(|it| it.header.height <= last);
    let held = held.max_by_key(|it| it.header.height);
    if held.is_none() && !certified.is_empty() {
        return Err(Failure::new(
            Exit::Verification,
            "HEADER_MISSING",
            "the ledger ends before the header that is proved final",
        )
        .fix("prove a height that it has: counterfoil ledger proof HEIGHT --out FILE"));
    }
    let finality = held.map_or(Finality::Ordered, |held| held.finality.clone());
    let final_height = held.map_or(0, |held| held.header.height);
    let mut json = finality::json(&trust, &finality);
    extend(&mut json, json!({ "finalHeight": held.map(|held| held.header.height.to_string()) }));
    let line = match held {
        Some(_) => {
            format!("{}: up to height {final_height}", finality::sentence(&trust, &finality))
        }
        None => "ORDERED, NOT FINAL  the rules allow it; no certificate was given".to_owned(),
    };
    let above = last - final_height;
    let answer = report(&replay, &counts, arguments.accounts, json, &[line]);
    Ok(match (above, arguments.accept_ordered) {
        (0, _) => answer,
        (above, true) => {
            error::warn(&format!("{above} blocks are only ordered: they hold unless nodes lie"));
            answer
        }
        (above, false) => answer
            .failure(finality::not_final(&format!("no certificate vouches for the last {above} blocks"))
                .fix(format!("counterfoil ledger proof {last} --out FILE, then --proof FILE; or give --accept-ordered"))),
    })
}

fn check_certified(replay: &Replay, certified: &[Certified]) -> Result<(), Failure> {
    let (height, hash) = (replay.state().height(), replay.state().header_hash());
    let other = certified.iter().find(|it| it.header.height == height && it.header.hash() != hash);
    match other {
        None => Ok(()),
        Some(other) => Err(Failure::new(
            Exit::Verification,
            "CERTIFIED_HEADER_DIFFERS",
            format!("the header at height {height} is not the one that is proved final"),
        )
        .fact(format!("proved {}", other.header.hash()))
        .fact(format!("found  {hash}"))
        .fix("keep both files: one of the two histories is forged")),
    }
}
