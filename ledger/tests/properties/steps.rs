//! Steps of reconciliation, drawn from a small world: the first breaks and items of two accounts, and few
//! ways to end a break, so that some of them fit what is there.

use bytes::Bytes;
use counterfoil_proto::v1::{self, instruction::Body, work_break::Action};

use super::{
    naive::Transfer,
    random::{ACCOUNTS, account, transfer},
};
use crate::support::build::bytes_of;

/// The order that a draw stands for: the signer, its transfer, and what is signed.
pub fn order(label: &str, draw: [u8; 5]) -> (&'static str, Option<Transfer>, Body) {
    // Mostly the account on which most happens.
    let place = if draw[0] < 224 { 1 } else { 3 };
    let (servicer, owner, ..) = ACCOUNTS[place];
    let signer = match draw[1] {
        0..=11 => "Beta",
        number if number % 2 == 0 => servicer,
        _ => owner,
    };
    let id = Bytes::copy_from_slice(account(place).as_bytes());
    let salt = Bytes::copy_from_slice(&bytes_of(label));
    let (paid, body) = match draw[2] % 10 {
        0 => (None, Body::RunMatching(v1::RunMatching { account: id, salt })),
        1..=3 => (None, Body::DecideMatch(decision(id, salt, draw))),
        4 => (None, Body::SignPosition(view(id, salt, draw))),
        _ => {
            let (paid, action) = action(label, draw);
            let number = 1 + u64::from(draw[3] % 12);
            let step = v1::WorkBreak { account: id, number, salt, action: Some(action) };
            (paid, Body::WorkBreak(Box::new(step)))
        }
    };
    (signer, paid, body)
}

fn decision(account: Bytes, salt: Bytes, draw: [u8; 5]) -> v1::DecideMatch {
    let numbers = |from: u8, count: u8| {
        let first = 1 + u64::from(from % 12);
        (0..u64::from(count)).map(|more| v1::ItemNumber { number: first + more }).collect()
    };
    let counts = [(1, 1), (1, 1), (1, 1), (2, 1), (1, 2), (0, 2), (2, 2)];
    let (first, second) = counts[usize::from(draw[0]) % counts.len()];
    v1::DecideMatch {
        account,
        comparison: 1 + i32::from(draw[0] % 3),
        first: numbers(draw[3], first),
        second: numbers(draw[4], second),
        decision: 1 + i32::from(draw[1] / 2 % 3),
        commitment: Bytes::new(),
        salt,
    }
}

/// An empty day's view, which is right on days without entries.
fn view(account: Bytes, salt: Bytes, draw: [u8; 5]) -> v1::SignPosition {
    let empty = counterfoil_ledger::merkle::root_of(std::iter::empty());
    v1::SignPosition {
        account,
        date: 20_261_123 + u32::from(draw[3] % 8),
        digest: Bytes::copy_from_slice(empty.as_bytes()),
        salt,
        ..v1::SignPosition::default()
    }
}

/// The ways to end a break: without money, written off, and with a unit from one party to the other.
fn resolution(number: u8) -> v1::ProposeResolution {
    use v1::ResolutionKind as Kind;
    let plain = |kind: Kind| v1::ProposeResolution { kind: kind.into(), ..Default::default() };
    let paid = |from, to| v1::ProposeResolution {
        amount: 1,
        debit_account: Bytes::copy_from_slice(account(from).as_bytes()),
        credit_account: Bytes::copy_from_slice(account(to).as_bytes()),
        ..plain(Kind::CorrectingTransfer)
    };
    match number % 4 {
        0 => plain(Kind::NoAction),
        1 => plain(Kind::WriteOff),
        2 => paid(1, 0),
        _ => paid(0, 1),
    }
}

fn action(label: &str, draw: [u8; 5]) -> (Option<Transfer>, Action) {
    let resolution = resolution(draw[4] / 8);
    match draw[4] % 8 {
        0 => (None, Action::Assign(v1::AssignBreak { owner: v1::Party::Owner.into() })),
        1 => {
            let code = "IPAY".to_owned();
            (None, Action::Say(v1::SayOfBreak { code, ..Default::default() }))
        }
        2 => (None, Action::Decline(v1::DeclineResolution::default())),
        3 => (None, Action::Reopen(v1::ReopenBreak::default())),
        4 | 5 => (None, Action::Propose(resolution)),
        _ => {
            let (from, to) = if draw[4] / 8 % 4 == 2 { (1, 0) } else { (0, 1) };
            let pays = resolution.amount > 0 && !draw[0].is_multiple_of(4);
            let paid = pays.then(|| transfer(label, from, to, 1, 220 + draw[0] % 16, "", 0));
            let (paid, wire) = paid.unzip();
            let agree = v1::AgreeResolution { offer: Some(resolution), transfer: wire };
            (paid, Action::Agree(agree))
        }
    }
}
