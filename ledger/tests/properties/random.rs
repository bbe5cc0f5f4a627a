//! Random histories, drawn from a small world so that ids, UETRs, references and dates collide.

use bytes::Bytes;
use counterfoil_ledger::{account::AccountId, bic::Bic, instruction::Draft};
use counterfoil_proto::v1::{self, instruction::Body as Wire};
use proptest::prelude::*;
use prost::Message;

use super::naive::{Body, DAY_MS, Entry, Order, Transfer};
use super::{agreements, steps};
use crate::support::{
    Consortium, NOON_MS,
    build::{self, HOUR_MS, bytes_of, id_of, sign_with, uetr_of},
    consortium::{bic_of, ed25519},
};

#[derive(Clone, Debug)]
pub enum Step {
    /// A block of orders, so many milliseconds after the one before.
    Block(u64, Vec<Draw>),
    /// A block of many small payments.
    Load(u64),
    /// A proposal that is void.
    Void,
    /// The node stops and comes back.
    Restart,
}

/// Numbers that an order is made of.
pub type Draw = [u8; 10];

pub fn history() -> impl Strategy<Value = Vec<Step>> {
    let gap = prop_oneof![
        8 => 1..400u64,
        4 => 1_000..60_000u64,
        1 => Just(0),
        1 => 11 * HOUR_MS..14 * HOUR_MS,
    ];
    let step = prop_oneof![
        12 => (gap, prop::collection::vec(any::<Draw>(), 0..6)).prop_map(|(gap, draws)| Step::Block(gap, draws)),
        2 => (1..900u64).prop_map(Step::Load),
        1 => Just(Step::Void),
        2 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 4..24)
}

/// Servicer, owner, asset, name. The first seven are opened and funded at the start.
pub const ACCOUNTS: [(&str, &str, &str, &str); 11] = [
    ("Central", "Central", "CHF", "contra"),
    ("Central", "Alpha", "CHF", "main"),
    ("Central", "Beta", "CHF", "main"),
    ("Central", "Alpha", "CHF", "second"),
    ("Alpha", "Alpha", "CHF", "contra"),
    ("Alpha", "Beta", "CHF", "nostro"),
    ("Central", "Central", "JPY", "contra"),
    ("Central", "Alpha", "JPY", "main"),
    ("Central", "Beta", "JPY", "main"),
    ("Central", "Delta", "CHF", "main"),
    ("Central", "Alpha", "USD", "main"),
];

const BANKS: [&str; 3] = ["Central", "Alpha", "Beta"];
const DATES: [u32; 4] = [20_261_123, 20_261_124, 20_261_125, 20_261_126];
const AMOUNTS: [u64; 8] = [1, 10, 11, 25, 600, 5_000, u64::MAX >> 1, u64::MAX >> 1];

/// A payment that transfers and book entries are about, in whatever order they come.
#[derive(Clone, Copy)]
struct Payment {
    from: usize,
    to: usize,
    amount: u64,
    uetr: u8,
    reference: &'static str,
    date: u32,
}

/// There are 48 of them: six between each of eight pairs of accounts, some with the same reference
/// or the same UETR.
fn payment(number: u8) -> Payment {
    let number = number % 48;
    let pairs = [(1, 2), (2, 1), (1, 3), (2, 3), (0, 1), (0, 2), (5, 4), (3, 1)];
    let (from, to) = pick(&pairs, number % 8);
    let series = number / 8;
    Payment {
        from,
        to,
        amount: pick(&[10, 10, 10, 25, 10, 11], series),
        uetr: number % 44,
        reference: pick(&["R1", "R1", "R2", "", "NOTPROVIDED", "R2"], series),
        date: pick(&[DATES[0], DATES[0], 0, DATES[1], DATES[0], DATES[1]], series),
    }
}

pub fn account(place: usize) -> AccountId {
    let (servicer, owner, asset, name) = ACCOUNTS[place];
    AccountId::of(&bic_of(servicer), &bic_of(owner), asset, name)
}

fn pick<T: Copy>(from: &[T], number: u8) -> T {
    from[usize::from(number) % from.len()]
}

/// Accounts that exist come up more often than those that do not.
fn pick_account(number: u8) -> usize {
    usize::from(pick(&[0u8, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 5, 6, 7, 8, 9], number))
}

/// Sends an order and keeps it, so that it can be sent again.
pub struct Sender<'a> {
    pub consortium: &'a Consortium,
    pub sent: Vec<(Order, Bytes)>,
}

impl Sender<'_> {
    /// The accounts that every history has, and money on them.
    pub fn prelude(&mut self, now_ms: u64) -> Vec<(Order, Bytes)> {
        let mut orders: Vec<_> =
            (0..7).map(|place| self.open(place, &format!("open {place}"), now_ms)).collect();
        for (place, (from, to)) in [(0, 1), (0, 2), (4, 5)].into_iter().enumerate() {
            let label = format!("fund {place}");
            let uetr = u8::try_from(200 + place).unwrap();
            let (transfer, wire) = transfer(&label, from, to, 1_000, uetr, "", 0);
            let signer = ACCOUNTS[from].1;
            let body = Body::Transfer(transfer);
            orders.push(self.plain(&label, now_ms, signer, body, Wire::Transfer(wire)));
        }
        for (number, (signer, body, wire)) in agreements::prelude().into_iter().enumerate() {
            orders.push(self.plain(&format!("agree {number}"), now_ms, signer, body, wire));
        }
        orders
    }

    fn open(&self, place: usize, label: &str, now_ms: u64) -> (Order, Bytes) {
        let (servicer, owner, asset, name) = ACCOUNTS[place];
        let body = Body::Open {
            key: *account(place).as_bytes(),
            servicer: servicer.to_owned(),
            owner: owner.to_owned(),
            asset: asset.to_owned(),
        };
        let wire = build::open(&bic_of(servicer), &bic_of(owner), asset, name);
        self.plain(label, now_ms, servicer, body, wire)
    }

    fn plain(&self, label: &str, now: u64, signer: &str, body: Body, wire: Wire) -> (Order, Bytes) {
        let bic = bic_of(signer);
        let draft = Draft::new(id_of(label, now), &bic, now + HOUR_MS, wire);
        self.finish(now, now + HOUR_MS, signer, true, body, draft)
    }

    fn finish(
        &self,
        made_ms: u64,
        until_ms: u64,
        signer: &str,
        signed_well: bool,
        body: Body,
        draft: Draft,
    ) -> (Order, Bytes) {
        let content = draft.instruction.to_vec();
        let message = v1::Instruction::decode(draft.instruction.clone()).unwrap();
        let bytes = if signed_well {
            self.consortium.sign(&bic_of(signer), draft)
        } else {
            // The right key's name under a stranger's signature.
            let chain_id = self.consortium.chain_id();
            let bytes = sign_with(&ed25519("stranger"), &chain_id, draft.clone());
            let good = self.consortium.sign(&bic_of(signer), draft);
            let mut bad = v1::SignedInstruction::decode(bytes).unwrap();
            let good = v1::SignedInstruction::decode(good).unwrap();
            bad.signatures[0].key_id = good.signatures[0].key_id.clone();
            bad.encode_to_vec().into()
        };
        let id = message.id[..].try_into().unwrap();
        let signer = signer.to_owned();
        (Order { id, made_ms, until_ms, signer, signed_well, content, body }, bytes)
    }

    /// A block under load: one batch of small payments.
    pub fn load(&mut self, number: usize, now_ms: u64) -> (Order, Bytes) {
        let label = format!("load {number}");
        let items: Vec<_> = (0..66u8)
            .map(|item| {
                // A UETR that is settled already: some load blocks change no account at all.
                let uetr = if number.is_multiple_of(2) { 100 + item } else { 100 };
                let (from, to) = if number.is_multiple_of(4) { (1, 2) } else { (2, 3) };
                transfer(&format!("{label}-{item}"), from, to, 1, uetr, "", 0)
            })
            .collect();
        let signer = ACCOUNTS[if number.is_multiple_of(4) { 1 } else { 2 }].1;
        let (items, wires): (Vec<_>, Vec<_>) = items.into_iter().unzip();
        let until = now_ms + HOUR_MS;
        let id = id_of(&label, now_ms);
        let draft = Draft::transfers(id, &bic_of(signer), until, &wires, false);
        let body = Body::Batch { items, together: false };
        self.finish(now_ms, until, signer, true, body, draft)
    }

    /// The order that a draw stands for.
    pub fn order(&mut self, number: usize, draw: &Draw, now_ms: u64) -> (Order, Bytes) {
        if draw[0].is_multiple_of(8) && !self.sent.is_empty() {
            let place = usize::from(u16::from_be_bytes([draw[1], draw[2]])) % self.sent.len();
            return self.sent[place].clone();
        }
        // Few labels, so that some ids come again with other content.
        let label = match draw[1] % 4 {
            0 => format!("id {}", draw[2] % 4),
            _ => format!("order {number}"),
        };
        let made = match draw[3] {
            0..=3 => now_ms - DAY_MS - HOUR_MS,
            4..=7 => now_ms - DAY_MS + HOUR_MS,
            8..=11 => now_ms + 4 * 60_000,
            12..=15 => now_ms + 6 * 60_000,
            // Ids that come again have to be made at the same time.
            16..=127 => NOON_MS,
            _ => now_ms,
        };
        let until = match draw[4] {
            0..=3 => made + 1,
            4..=7 => made + DAY_MS + 1,
            8..=127 => made + DAY_MS,
            _ => made + HOUR_MS,
        };
        let signed_well = draw[5] >= 8;
        let id = id_of(&label, made);
        let rest = [draw[5], draw[6], draw[7], draw[8], draw[9]];
        let (signer, body, draft) =
            self.body(&format!("order {number}"), draw[0] / 8, rest, |bic, plain| match plain {
                Plain::Body(wire) => Draft::new(id, bic, until, wire),
                Plain::Transfers(wires, together) => {
                    Draft::transfers(id, bic, until, &wires, together)
                }
                Plain::Entries(wires) => Draft::book_entries(id, bic, until, &wires),
            });
        let order = self.finish(made, until, signer, signed_well, body, draft);
        self.sent.push(order.clone());
        order
    }

    fn body(
        &self,
        label: &str,
        kind: u8,
        draw: [u8; 5],
        draft: impl FnOnce(&Bic, Plain) -> Draft,
    ) -> (&'static str, Body, Draft) {
        let (signer, body, plain) = match kind % 20 {
            0 => {
                let place = usize::from(draw[1]) % ACCOUNTS.len();
                let (servicer, owner, asset, name) = ACCOUNTS[place];
                let body = Body::Open {
                    key: *account(place).as_bytes(),
                    servicer: servicer.to_owned(),
                    owner: owner.to_owned(),
                    asset: asset.to_owned(),
                };
                let wire = build::open(&bic_of(servicer), &bic_of(owner), asset, name);
                // Now and then another than the servicer opens it.
                let signer = if draw[2] < 32 { pick(&BANKS, draw[3]) } else { servicer };
                (signer, body, Plain::Body(wire))
            }
            1..=5 => {
                let (signer, transfer, wire) = random_transfer(label, &draw);
                (signer, Body::Transfer(transfer), Plain::Body(Wire::Transfer(wire)))
            }
            6..=8 => {
                let mut items = Vec::new();
                let mut signer = "";
                for item in 0..1 + draw[4] % 4 {
                    let turn = |byte: u8| byte.wrapping_mul(31).wrapping_add(item * 77);
                    let turned = if item == 0 { draw } else { draw.map(turn) };
                    let label = format!("{label}-{item}");
                    let (owner, transfer, wire) = random_transfer(&label, &turned);
                    signer = if item == 0 { owner } else { signer };
                    items.push((transfer, wire));
                }
                let (items, wires) = items.into_iter().unzip();
                let together = draw[0].is_multiple_of(2);
                (signer, Body::Batch { items, together }, Plain::Transfers(wires, together))
            }
            9..=11 => {
                let about = payment(draw[0]);
                let place = match draw[1] {
                    0..=9 => pick_account(draw[3]),
                    side => {
                        if side % 2 == 0 {
                            about.from
                        } else {
                            about.to
                        }
                    }
                };
                let items: Vec<_> = (0..1 + draw[4] % 4)
                    .map(|item| random_entry(&format!("{label}-{item}"), place, &draw, item))
                    .collect();
                let (items, wires) = items.into_iter().unzip();
                let account = *account(place).as_bytes();
                (
                    bookkeeper(place, draw[2]),
                    Body::Entries { account, items },
                    Plain::Entries(wires),
                )
            }
            12..=13 => {
                let (signer, body, wire) = agreements::order(label, draw);
                (signer, body, Plain::Body(wire))
            }
            16..=19 => {
                let (signer, paid, wire) = steps::order(label, draw);
                (signer, Body::Step { paid }, Plain::Body(wire))
            }
            _ => {
                let place = if draw[1].is_multiple_of(2) { 1 } else { pick_account(draw[1]) };
                let (from, to) = (pick(&DATES, draw[3]), pick(&DATES, draw[4]));
                let (from, to) = (from.min(to), from.max(to));
                let name = format!("S{}", draw[0] % 3);
                let mut wire = build::statement(&name, &account(place), from, to);
                wire.salt = Bytes::copy_from_slice(&bytes_of(label));
                wire.closing_balance = i64::from(draw[2]);
                let account = *account(place).as_bytes();
                let body = Body::Statement { account, name, to };
                (bookkeeper(place, draw[2]), body, Plain::Body(Wire::Statement(wire)))
            }
        };
        (signer, body, draft(&bic_of(signer), plain))
    }
}

enum Plain {
    Body(Wire),
    Transfers(Vec<v1::Transfer>, bool),
    Entries(Vec<v1::BookEntry>),
}

/// Mostly a party to the account.
fn bookkeeper(place: usize, number: u8) -> &'static str {
    let (servicer, owner, ..) = ACCOUNTS[place];
    let member = |name: &'static str| if BANKS.contains(&name) { name } else { "Beta" };
    match number % 8 {
        0 => "Beta",
        1..=3 => member(servicer),
        _ => member(owner),
    }
}

fn random_transfer(label: &str, draw: &[u8; 5]) -> (&'static str, Transfer, v1::Transfer) {
    let mut paid = payment(draw[0]);
    match draw[1] {
        0..=31 => paid.amount = pick(&AMOUNTS, draw[2]),
        32..=39 => paid.to = pick_account(draw[2]),
        40..=47 => paid.from = pick_account(draw[2]),
        48..=55 => paid.uetr = draw[2] % 44,
        56..=63 => paid.date = pick(&DATES, draw[2]),
        _ => {}
    }
    if paid.from == paid.to {
        paid.to = (paid.from + 1) % ACCOUNTS.len();
    }
    let Payment { from, to, amount, uetr, reference, date } = paid;
    let (transfer, wire) = transfer(label, from, to, amount, uetr, reference, date);
    let owner = ACCOUNTS[from].1;
    let signer = if draw[3] < 12 || owner == "Delta" { pick(&BANKS, draw[2]) } else { owner };
    (signer, transfer, wire)
}

pub fn transfer(
    label: &str,
    from: usize,
    to: usize,
    amount: u64,
    uetr: u8,
    reference: &str,
    date: u32,
) -> (Transfer, v1::Transfer) {
    let (debit, credit) = (account(from), account(to));
    let mut wire = build::transfer(label, &debit, &credit, amount);
    wire.uetr = Bytes::copy_from_slice(uetr_of(&uetr.to_string()).as_bytes());
    wire.end_to_end_id = reference.to_owned();
    wire.settlement_date = date;
    let (debit, credit) = (*debit.as_bytes(), *credit.as_bytes());
    (Transfer { debit, credit, amount, uetr, date }, wire)
}

/// What a book says of a payment: mostly the truth.
fn random_entry(label: &str, place: usize, draw: &[u8; 5], item: u8) -> (Entry, v1::BookEntry) {
    let turn = |byte: u8| byte.wrapping_mul(13).wrapping_add(item.wrapping_mul(59));
    // Every eighth payment is between the same two accounts.
    let about = payment(draw[0].wrapping_add(8 * (item % 3)));
    let mut date = if about.date == 0 { DATES[0] } else { about.date };
    let (mut amount, mut credit) = (about.amount, place == about.to);
    match turn(draw[2]) {
        0..=25 => amount = pick(&AMOUNTS, turn(draw[3])),
        26..=51 => date = pick(&DATES, turn(draw[3])),
        52..=64 => credit = !credit,
        _ => {}
    }
    let (uetr, reference) = match turn(draw[3]) % 8 {
        0..=3 => (Some(about.uetr), ""),
        4 => (Some(about.uetr), "R1"),
        _ => (None, about.reference),
    };
    let side = if credit { v1::Side::Credit } else { v1::Side::Debit };
    let mut wire = build::book_entry(label, &account(place), side, amount, date);
    wire.end_to_end_id = reference.to_owned();
    if let Some(uetr) = uetr {
        wire.uetr = Bytes::copy_from_slice(uetr_of(&uetr.to_string()).as_bytes());
    }
    (Entry { date }, wire)
}
