//! Who speaks to whom, and with which files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use counterfoil_client::builder::ClientBuilder;
use counterfoil_client::{Client, Error, Fate, signer};

use crate::consortium::{AGENT, Authority, BANK, uri, write_private};
use crate::world::World;

#[tokio::test]
async fn a_client_that_is_not_admitted_is_told_so() {
    let world = World::new();
    let node = world.node();
    world.consortium.give_bank(&Authority::new("x").leaf(&format!("{BANK}/client/other")));
    let client = world.client(&[&node]);
    let error = client.submit(world.order()).await.unwrap_err();
    assert!(matches!(error, Error::NotAdmitted { .. }), "{error}");
    assert_eq!((error.outcome(), error.is_retryable()), (Fate::NotTaken, false));
    assert!(client.pending().await.unwrap().is_empty());
}

#[tokio::test]
async fn only_nodes_that_their_own_institution_vouches_for_are_spoken_to() {
    let world = World::new();
    let foreign = Authority::new("Agent");
    let node_of_agent = format!("{AGENT}/node/node");
    let (agent, bank) = (&world.consortium.agent, &world.consortium.bank);
    let expired = |params: &mut rcgen::CertificateParams| {
        params.subject_alt_names = vec![uri(&node_of_agent)];
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    };
    for (leaf, problem) in [
        (foreign.leaf(&node_of_agent), "not vouched for"),
        (bank.leaf(&node_of_agent), "not vouched for"),
        (agent.leaf(&format!("{AGENT}/client/node")), "not a node's"),
        (agent.leaf("NOBODYXXXXX/node/node"), "no member"),
        (agent.leaf_with(expired), "not vouched for"),
        (agent.leaf_with(|params| params.subject_alt_names.clear()), "exactly one SAN URI"),
        (
            agent.leaf_with(|params| {
                params.subject_alt_names = vec![uri(&node_of_agent), uri(&node_of_agent)];
            }),
            "exactly one SAN URI",
        ),
    ] {
        let node = world.node_with(&leaf);
        let client = world.client(&[&node]);
        let error = client.submit(world.order()).await.unwrap_err();
        assert!(matches!(error, Error::Untrusted { .. }), "{problem}: {error}");
        assert!(error.to_string().contains(problem), "{problem}: {error}");
        assert_eq!((error.outcome(), error.is_retryable()), (Fate::NotTaken, false));
        assert!(node.script().seen.is_empty());
        assert!(client.pending().await.unwrap().is_empty());

        let good = world.node();
        world.client(&[&node, &good]).submit(world.order()).await.unwrap();
        assert!(node.script().seen.is_empty());
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_used_without_a_restart() {
    let world = World::new();
    let node = world.node();
    let client = world.client(&[&node]);
    client.submit(world.order()).await.unwrap();
    world.consortium.give_bank(&world.consortium.bank.leaf(&format!("{BANK}/client/renewed")));
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    client.submit(world.order()).await.unwrap();
    // Half of a renewal does not fit together: what was loaded stays.
    fs::write(world.consortium.path("client/certificate.pem"), "half").unwrap();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    client.submit(world.order()).await.unwrap();
    let callers = node.script().callers.clone();
    assert_eq!(callers.len(), 2, "one connection for each certificate");
    assert_ne!(callers[0], callers[1]);
}

#[tokio::test]
async fn what_a_client_cannot_use_is_refused_when_it_is_built() {
    let world = World::new();
    let build = |builder: ClientBuilder| builder.build().map(|_| ()).unwrap_err().to_string();
    let endpoints = |builder: ClientBuilder| builder.endpoints(["https://127.0.0.1:1"]);

    let other = world.consortium.bic(AGENT);
    let problem = build(endpoints(world.builder()).institution(other));
    assert!(problem.contains("names BANKCHZZXXX"), "{problem}");
    let problem = build(world.builder().endpoints(["http://127.0.0.1:1"]));
    assert!(problem.contains("not an endpoint"), "{problem}");
    let without_journal = Client::builder()
        .genesis_file(world.consortium.path("genesis.bin"))
        .identity(
            world.consortium.path("client/certificate.pem"),
            world.consortium.path("client/key.pem"),
        )
        .signer(signer::from_file(world.consortium.path("signing.key.pem")).unwrap());
    assert!(build(without_journal).contains("journal"));

    for name in ["client/key.pem", "signing.key.pem"] {
        let path = world.consortium.path(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    }
    let signing = signer::from_file(world.consortium.path("signing.key.pem")).err().unwrap();
    assert!(signing.to_string().contains("chmod 600"), "{signing}");
    let reader = Client::builder().genesis_file(world.consortium.path("genesis.bin")).identity(
        world.consortium.path("client/certificate.pem"),
        world.consortium.path("client/key.pem"),
    );
    assert!(build(reader).contains("mode 0640"));

    let other_key = world.consortium.bank.leaf(&format!("{BANK}/client/other")).key;
    let path = world.consortium.path("other.pem");
    write_private(&path, &other_key);
    let mismatched = Client::builder()
        .genesis_file(world.consortium.path("genesis.bin"))
        .identity(world.consortium.path("client/certificate.pem"), path);
    assert!(build(mismatched).contains("other.pem"));
}
