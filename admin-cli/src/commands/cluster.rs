//! `cluster`: the health of the consortium.

use counterfoil_proto::v1;
use serde_json::{Value, json};

use crate::context::Connection;
use crate::error::Failure;
use crate::moment;
use crate::output::{Answer, Table, extend, hex};
use crate::quorum::Quorum;
use crate::session::{self, Session};

/// Verbs of `cluster`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Shows every node, as the one that answers sees them
    Status(Box<Connection>),
}

/// Does it.
pub fn run(command: Command) -> Result<Answer, Failure> {
    match command {
        Command::Status(connection) => session::run(async {
            let session = Session::reading(&connection)?;
            Ok(describe(&session.client.cluster_status().await?, moment::now_ms()))
        }),
    }
}

/// How the consortium fares, in one word.
fn health(status: &v1::GetClusterStatusResponse, reachable: usize) -> &'static str {
    let number = |figure: u32| usize::try_from(figure).unwrap_or(usize::MAX);
    match status.leader {
        _ if reachable < number(status.ordering_quorum) => "NO QUORUM",
        0 => "NO LEADER",
        _ if status.admission_stopped => "ADMISSION STOPPED",
        _ if reachable < number(status.finality_quorum) => "NO FINALITY",
        _ if reachable < number(status.voter_count) => "DEGRADED",
        _ => "HEALTHY",
    }
}

fn describe(status: &v1::GetClusterStatusResponse, now_ms: u64) -> Answer {
    let reachable = status.members.iter().filter(|member| member.voter && member.reachable).count();
    let health = health(status, reachable);
    let number = |figure: u32| usize::try_from(figure).unwrap_or(usize::MAX);
    let voters = number(status.voter_count);
    let quorum = Quorum { voters, finality: number(status.finality_quorum) };
    let nodes = || status.members.iter().filter_map(|member| member.status.as_ref());
    let newest = nodes().max_by_key(|node| node.height);
    let certified = nodes().map(|node| node.certified_height).max();
    let leader = match status.leader {
        0 => "none".to_owned(),
        id => name_of(status, id),
    };
    let shown = |figure: Option<u64>| figure.map_or("-".to_owned(), |figure| figure.to_string());
    let height = newest.map(|node| node.height);
    let mut json = json!({
        "consortium": status.consortium,
        "chainId": hex(&status.chain_id),
        "health": health,
        "leader": status.leader.to_string(),
        "reachableVoters": reachable,
        "height": height.map(|height| height.to_string()),
        "certifiedHeight": certified.map(|height| height.to_string()),
        "admissionStopped": status.admission_stopped,
        "missingInstitutions": status.missing_institutions,
        "members": status.members.iter().map(member_json).collect::<Vec<_>>(),
    });
    extend(&mut json, quorum.json());
    let mut answer = Answer::new(json)
        .line(format!(
            "CONSORTIUM {}  {health}  voters {reachable}/{voters}  leader {leader}  term {}  height {}  final {}",
            status.consortium,
            shown(newest.map(|node| node.term)),
            shown(height),
            shown(certified),
        ))
        .line(format!("{}, {}", quorum.ordering_sentence(), slack(status, reachable)))
        .line(quorum.finality_sentence());
    for warning in warnings(status, quorum) {
        answer = answer.line(format!("warning: {warning}"));
    }
    answer.line("").table(members(status, newest.map_or(0, |node| node.height), now_ms))
}

/// What nobody may overlook.
fn warnings(status: &v1::GetClusterStatusResponse, quorum: Quorum) -> Vec<String> {
    let missing = status.missing_institutions.join(", ");
    let mut warnings: Vec<String> = quorum.warning().into_iter().collect();
    match (status.admission_stopped, missing.is_empty()) {
        (true, false) => warnings.push(format!(
            "certificates lag: nothing new is admitted until these sign again: {missing}"
        )),
        (true, true) => {
            warnings
                .push("certificates lag: nothing new is admitted until they catch up".to_owned());
        }
        (false, false) => warnings.push(format!("certificates lack the signature of {missing}")),
        (false, true) => {}
    }
    warnings
}

/// What may still happen.
fn slack(status: &v1::GetClusterStatusResponse, reachable: usize) -> String {
    let quorum = usize::try_from(status.ordering_quorum).unwrap_or(usize::MAX);
    match reachable.checked_sub(quorum) {
        None => format!("{} more must come back before anything is ordered", quorum - reachable),
        Some(0) => "no more may fail now".to_owned(),
        Some(more) => format!("{more} more may fail now"),
    }
}

fn name_of(status: &v1::GetClusterStatusResponse, id: u64) -> String {
    let nodes = status.members.iter().filter_map(|member| member.status.as_ref());
    nodes
        .into_iter()
        .find(|node| node.id == id)
        .map_or_else(|| id.to_string(), |node| format!("{} ({})", node.name, node.institution))
}

fn members(status: &v1::GetClusterStatusResponse, newest: u64, now_ms: u64) -> Table {
    let mut table = Table::new(&[
        ">NODE",
        "INSTITUTION",
        "NAME",
        "ROLE",
        ">HEIGHT",
        ">TRAILS BY",
        ">SIGNED",
        ">FINAL",
        ">SNAPSHOT",
        ">PURGED TO",
        ">DISK",
        "CERTIFICATE",
        "UPTIME",
        "VERSION",
    ]);
    for member in &status.members {
        let node = member.status.clone().unwrap_or_default();
        let shown = |text: String| if member.reachable { text } else { "-".to_owned() };
        let role = match (member.reachable, member.voter) {
            (true, true) => role(node.role()),
            // A spare id, or one that was started: nobody depends on it.
            (false, false) => "learner, away",
            (true, false) => "learner",
            (false, true) => "unreachable",
        };
        let role = match node.catching_up_to {
            0 => role.to_owned(),
            target => format!("{role}, catching up to {target}"),
        };
        let problem = if member.problem.is_empty() { "" } else { ": " };
        table.row([
            node.id.to_string(),
            node.institution.clone(),
            node.name.clone(),
            format!("{role}{problem}{}", member.problem),
            shown(node.height.to_string()),
            shown(newest.saturating_sub(node.height).to_string()),
            if member.voter { attested(member).to_string() } else { "-".to_owned() },
            shown(node.certified_height.to_string()),
            shown(node.snapshot_height.to_string()),
            shown(node.purged_index.to_string()),
            shown(size(node.disk_bytes)),
            shown(certificate(node.certificate_not_after_s, now_ms)),
            shown(duration(node.uptime_s)),
            shown(node.version.clone()),
        ]);
    }
    table
}

/// Height of the newest header that a node signed: by its own word, or as the answering node has seen.
fn attested(member: &v1::ClusterMember) -> u64 {
    let own = member.status.as_ref().map_or(0, |node| node.attested_height);
    own.max(member.attested_height)
}

fn member_json(member: &v1::ClusterMember) -> Value {
    let node = member.status.as_ref();
    json!({
        "reachable": member.reachable,
        "attestedHeight": attested(member).to_string(),
        "problem": member.problem,
        "voter": member.voter,
        "status": node.map(|node| json!({
            "id": node.id.to_string(),
            "institution": node.institution,
            "name": node.name,
            "role": role(node.role()),
            "term": node.term.to_string(),
            "height": node.height.to_string(),
            "headerHash": hex(&node.header_hash),
            "certifiedHeight": node.certified_height.to_string(),
            "attestedHeight": node.attested_height.to_string(),
            "snapshotHeight": node.snapshot_height.to_string(),
            "purgedIndex": node.purged_index.to_string(),
            "catchingUpTo": node.catching_up_to.to_string(),
            "blockTime": moment::utc_ms(node.block_time_ms),
            "lastLogIndex": node.last_log_index.to_string(),
            "appliedIndex": node.applied_index.to_string(),
            "version": node.version,
            "uptimeS": node.uptime_s.to_string(),
            "certificateNotAfterS": node.certificate_not_after_s.to_string(),
            "diskBytes": node.disk_bytes.to_string(),
        })),
    })
}

fn role(role: v1::NodeRole) -> &'static str {
    match role {
        v1::NodeRole::Unspecified => "unknown",
        v1::NodeRole::Leader => "leader",
        v1::NodeRole::Follower => "follower",
        v1::NodeRole::Candidate => "candidate",
        v1::NodeRole::Learner => "learner",
    }
}

/// `41.5 MiB`.
pub fn size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut tenths, mut unit) = (u128::from(bytes) * 10, 0);
    while tenths >= 10_240 && unit < units.len() - 1 {
        tenths /= 1_024;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ => format!("{}.{} {}", tenths / 10, tenths % 10, units[unit]),
    }
}

fn certificate(not_after_s: i64, now_ms: u64) -> String {
    let now_s = i64::try_from(now_ms / 1_000).unwrap_or(i64::MAX);
    match not_after_s.saturating_sub(now_s).div_euclid(86_400) {
        days @ ..0 => format!("expired {} days ago !", -days),
        days @ 0..30 => format!("{days} days left !"),
        days => format!("{days} days left"),
    }
}

/// `3d 4h`, in its two largest units.
fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;

    fn member(id: u64, reachable: bool) -> v1::ClusterMember {
        let status = v1::NodeStatus {
            id,
            institution: format!("BANK{id}HZZXXX"),
            name: format!("node-{id}"),
            role: if id == 1 { v1::NodeRole::Leader } else { v1::NodeRole::Follower }.into(),
            term: 3,
            height: 100 + id,
            certified_height: 90 + id,
            attested_height: 95 + id,
            disk_bytes: 5_000_000,
            certificate_not_after_s: 86_400 * 20,
            uptime_s: 3_700,
            version: "0.1.0".to_owned(),
            ..v1::NodeStatus::default()
        };
        let problem = if reachable { String::new() } else { "connection refused".to_owned() };
        v1::ClusterMember {
            status: Some(status),
            reachable,
            problem,
            voter: true,
            attested_height: 0,
        }
    }

    fn status(reachable: [bool; 4], leader: u64) -> v1::GetClusterStatusResponse {
        v1::GetClusterStatusResponse {
            chain_id: vec![0xab; 32].into(),
            consortium: "demo.example".to_owned(),
            leader,
            voter_count: 4,
            ordering_quorum: 3,
            finality_quorum: 3,
            members: (1..).zip(reachable).map(|(id, reachable)| member(id, reachable)).collect(),
            ..Default::default()
        }
    }

    #[test]
    fn health_follows_quorum_and_leader() {
        let word = |reachable, leader| {
            let status = status(reachable, leader);
            let count = status.members.iter().filter(|member| member.reachable).count();
            health(&status, count)
        };
        assert_eq!(word([true; 4], 1), "HEALTHY");
        assert_eq!(word([true, true, true, false], 1), "DEGRADED");
        assert_eq!(word([true; 4], 0), "NO LEADER");
        assert_eq!(word([true, true, false, false], 1), "NO QUORUM");
    }

    #[test]
    fn the_table_says_who_is_missing_and_what_may_fail() {
        let text = describe(&status([true, true, true, false], 1), 0).render(Format::Table);
        assert!(text.contains("DEGRADED  voters 3/4  leader node-1"), "{text}");
        assert!(text.contains("no more may fail now"), "{text}");
        assert!(text.contains("unreachable: connection refused"), "{text}");
        assert!(text.contains("4.7 MiB  20 days left !  1h 1m"), "{text}");
        assert!(text.contains("height 104  final 94"), "{text}");
        assert!(text.contains("it is final when 3 of 4 institutions sign it"), "{text}");
        assert!(!text.contains("warning"), "{text}");
    }

    #[test]
    fn what_stands_in_the_way_of_finality_is_named() {
        let mut stopped = status([true; 4], 1);
        stopped.admission_stopped = true;
        stopped.missing_institutions = vec!["BANK2HZZXXX".to_owned()];
        let text = describe(&stopped, 0).render(Format::Table);
        assert!(text.contains("ADMISSION STOPPED"), "{text}");
        assert!(text.contains("until these sign again: BANK2HZZXXX"), "{text}");
        let mut three = status([true, true, true, false], 1);
        three.members.pop();
        (three.voter_count, three.ordering_quorum, three.finality_quorum) = (3, 2, 2);
        let text = describe(&three, 0).render(Format::Table);
        assert!(text.contains("2 of 3 is not more than two thirds"), "{text}");
        assert!(text.contains("one lying institution is enough"), "{text}");
    }
}
