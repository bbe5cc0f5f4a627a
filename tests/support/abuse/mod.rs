//! Attacks on a node: each goes on until it is dropped, and does what no client of ours does. Some are
//! a stranger's; most are a member's, with its real certificate and keys.

pub mod aside;
pub mod connections;
pub mod frames;
pub mod honest;
pub mod http2;
pub mod instructions;
pub mod requests;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use crate::consortium::{BANKS, Consortium};
use crate::wire::Credential;

/// What an attacker has.
pub struct Scene {
    /// host:port at which the node serves clients.
    pub clients: String,
    /// host:port at which it serves nodes.
    pub peers: String,
    /// Whose certificates and keys the attacker has.
    pub institution: String,
    /// Where they are.
    pub home: PathBuf,
    /// The founding document.
    pub genesis: PathBuf,
}

impl Scene {
    /// The first bank attacks a node.
    pub fn of(consortium: &Consortium, node: usize) -> Scene {
        Scene {
            clients: consortium.client_address(node).to_owned(),
            peers: consortium.peer_address(node).to_owned(),
            institution: BANKS[0].to_owned(),
            home: consortium.home(BANKS[0]),
            genesis: consortium.path().join("genesis.bin"),
        }
    }

    /// The certificate of its client.
    pub fn credential(&self) -> Credential {
        Credential::of(&self.home.join("client"))
    }
}

/// An attack under way; it ends when it is dropped.
pub type Attacking = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One kind of attack.
#[derive(Clone, Copy)]
pub struct Attack {
    /// Its name on the command line and in tables.
    pub name: &'static str,
    /// What it is, for tables.
    pub what: &'static str,
    /// The bound that the node names with the attacker's institution, where the attack meets one.
    pub bound: Option<&'static str>,
    /// Begins it.
    pub begin: fn(Arc<Scene>) -> Attacking,
}

macro_rules! attacks {
    ($($name:literal $bound:expr, $what:literal: $attack:path;)*) => {
        /// All of them.
        pub const ATTACKS: &[Attack] = &[$(
            Attack { name: $name, what: $what, bound: $bound, begin: |scene| Box::pin($attack(scene)) }
        ),*];
    };
}

attacks! {
    "half-open" None, "10,000 half-open handshakes, from four other addresses": connections::half_open;
    "half-open-here" None, "10,000 half-open handshakes, from the honest client's address": connections::half_open_here;
    "handshakes" None, "handshakes without a certificate, one after the other, 32 at once": connections::strangers;
    "hoard" Some("connections"), "as many connections of a member as it gets, open and idle": connections::hoard;
    "slow-head" None, "headers, one byte a second, 64 connections": requests::slow_head;
    "slow-body" Some("request_bytes"), "requests whose last byte never comes, 3 MiB each": requests::slow_body;
    "unread-answers" Some("requests"), "answers that are not read: a window of zero": requests::unread_answers;
    "unread-watches" Some("watches"), "watches that are not read": requests::unread_watches;
    "streams" None, "2,048 requests at once, again and again, on 16 connections": requests::flood;
    "rapid-reset" None, "requests that are reset as soon as they are sent": frames::rapid_reset;
    "reset-later" None, "requests that are reset when they have been taken up": frames::reset_later;
    "pings" Some("pace"), "PING frames without a pause": frames::pings;
    "settings" None, "SETTINGS frames without a pause": frames::settings;
    "continuation" None, "CONTINUATION frames without an end": frames::continuation;
    "empty-data" None, "DATA frames with nothing in them": frames::empty_data;
    "bad-signatures" Some("signatures"), "transfers whose signature does not hold, 256 at once": instructions::bad_signatures;
    "large-messages" Some("signatures"), "messages of the largest size, wrongly signed, 32 at once": instructions::large_messages;
    "too-large-messages" None, "messages larger than the largest, 32 at once": instructions::too_large;
    "transfers" None, "good transfers, 1,024 at once": instructions::transfers;
    "batches" None, "good batches of 8,192 transfers, 8 at once": instructions::batches;
    "inclusion" None, "promises asked for good transfers, 256 at once": instructions::inclusion;
}

/// One of them, by its name.
pub fn attack(name: &str) -> Option<Attack> {
    ATTACKS.iter().copied().find(|attack| attack.name == name)
}

/// Does so many of a thing at once, each again and again.
pub(crate) async fn at_once<W: Future<Output = ()> + Send + 'static>(
    count: usize,
    work: impl Fn(usize) -> W,
) {
    let mut tasks = tokio::task::JoinSet::new();
    (0..count).for_each(|number| drop(tasks.spawn(work(number))));
    while tasks.join_next().await.is_some() {}
}
