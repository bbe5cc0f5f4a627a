//! Chains of epochs: who signs changes only as those who sign have said.

#![allow(clippy::unwrap_used, reason = "a broken rule has to end the run")]

use std::sync::OnceLock;

use bytes::Bytes;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::verify;
use counterfoil_ledger::verify::Trust;
use counterfoil_proto::v1;
use prost::Message;

use crate::scene::BANKS;
use crate::support::Consortium;
use crate::support::epochs::World;
use crate::support::epochs::three_epochs;

/// A ledger whose signers have changed twice.
fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| three_epochs(Consortium::new(&BANKS, &[("CHF", 2)])))
}

/// What a verifier knows that has learnt none of the changes, one, and both.
fn trusts() -> &'static [Trust; 3] {
    static TRUSTS: OnceLock<[Trust; 3]> = OnceLock::new();
    TRUSTS.get_or_init(|| [0, 1, 2].map(|changes| world().trust(changes)))
}

/// The changes that end epochs 0 and 1 are the world's, if any are taken.
fn is_ours(trust: &Trust) {
    let world = world();
    let changes = trust.epoch_chain().changes;
    assert!(changes.len() <= world.changes.len());
    for (found, expected) in changes.iter().zip(&world.changes) {
        let header = |it: &v1::EpochChange| Header::decode(&it.before.as_ref().unwrap().header);
        assert_eq!(header(found), header(expected));
    }
    for epoch in 0..=trust.epoch() {
        let place = usize::try_from(epoch).unwrap();
        let expected = &trusts()[place];
        let signers = |trust: &Trust| {
            let signers = trust.signers(epoch).unwrap();
            (signers.quorum(), signers.nodes().collect::<Vec<_>>())
        };
        assert_eq!(signers(trust), signers(expected));
    }
}

/// An epoch chain, learnt at once and behind the first change.
pub fn epoch_chain(bytes: &[u8]) {
    let Ok(chain) = verify::read::<v1::EpochChain>(&Bytes::copy_from_slice(bytes)) else { return };
    for known in &trusts()[..2] {
        let mut trust = known.clone();
        if trust.extend(&chain).is_ok() {
            is_ours(&trust);
        }
    }
}

/// With none, one and both changes.
pub fn epoch_chain_seeds() -> Vec<Vec<u8>> {
    let changes = &world().changes;
    let chain = |count| v1::EpochChain { changes: changes[..count].to_vec() };
    (0..=changes.len()).map(|count| chain(count).encode_to_vec()).collect()
}
