//! From the data to payments and to both banks' books of every partner's account. The home bank's book
//! and the payments come from the bookings; a partner's book comes from the standing orders for what
//! it receives, so that two sources meet, and mirrors the booking for what it pays, where there is no
//! second one.

use std::collections::BTreeMap;

use counterfoil_ledger::{agreement::Party, bic::Bic, block::Side, date::Date, uetr::Uetr};

use super::{
    data::{Booking, Data, Order, Parties},
    names::{self, Reference},
    plan::signed,
};

/// Money from one bank to another.
#[derive(Clone, Debug)]
pub struct Payment {
    /// Whose account moves.
    pub partner: Bic,
    /// As that account sees it: credit if the home bank pays.
    pub side: Side,
    /// Hellers.
    pub amount: u64,
    /// Settlement date.
    pub date: Date,
    /// What both know it by.
    pub reference: Reference,
}

impl Payment {
    /// Who pays.
    pub fn payer(&self) -> Party {
        match self.side {
            Side::Credit => Party::Servicer,
            Side::Debit => Party::Owner,
        }
    }
}

/// One payment of a standing order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instalment {
    /// The order's number.
    pub order: u32,
    /// When.
    pub date: Date,
    /// Hellers.
    pub amount: u64,
}

/// One entry of a bank's own book of an account.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As the account sees it.
    pub side: Side,
    /// Hellers.
    pub amount: u64,
    /// When the bank wrote it.
    pub booked: Date,
    /// From when the money counts.
    pub valued: Date,
    /// What the bank knows the payment by.
    pub reference: Reference,
    /// Which part of the reference the entry carries.
    pub carries: Carries,
    /// The bank's own reference of the entry.
    pub own_reference: String,
    /// The other side's agent, where the book names it.
    pub counterparty: Option<Bic>,
    /// Takes back an earlier entry.
    pub reversal: bool,
    /// Returns an earlier payment.
    pub returned: bool,
    /// The amount was exchanged.
    pub exchanged: bool,
    /// Charges in the amount, hellers.
    pub charges: u64,
    /// Asset, where it is not the account's.
    pub asset: Option<&'static str>,
}

impl Entry {
    /// An entry of a payment.
    pub fn of(payment: &Payment, carries: Carries, own_reference: String) -> Entry {
        Entry {
            side: payment.side,
            amount: payment.amount,
            booked: payment.date,
            valued: payment.date,
            reference: payment.reference.clone(),
            carries,
            own_reference,
            counterparty: None,
            reversal: false,
            returned: false,
            exchanged: false,
            charges: 0,
            asset: None,
        }
    }

    /// What it adds to the account's balance, hellers; nothing if it is in another asset.
    pub fn counted(&self) -> i128 {
        let amount = if self.asset.is_none() { self.amount } else { 0 };
        signed(self.side, amount)
    }

    /// What takes the entry back, written on a later day: it names the entry by its own reference alone.
    pub fn reversal(&self, booked: Date) -> Entry {
        let side = self.side.opposite();
        let (carries, reversal) = (Carries::Nothing, true);
        Entry { side, booked, carries, reversal, ..self.clone() }
    }
}

/// Which part of the reference an entry carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    /// The UETR.
    Uetr,
    /// The end-to-end id.
    EndToEnd,
    /// Both.
    Both,
    /// Neither.
    Nothing,
}

/// Both banks' books of every partner's account.
pub type Books = BTreeMap<(Bic, Party), Vec<Entry>>;

/// Orders by what a booking shows of them. None shares it with another: whoever looks here has the
/// one order that a booking belongs to.
pub fn orders_by_booking(orders: &[Order]) -> BTreeMap<(&Parties, u64), &Order> {
    let mut all = BTreeMap::new();
    for order in orders {
        let other = all.insert((&order.parties, order.amount), order);
        assert!(other.is_none(), "orders {order:?} and {other:?} cannot be told apart");
    }
    all
}

/// The orders' payments in 1993: each month to December from that of the order's first booking, on
/// the day of that booking. Orders without a booking stay out.
pub fn instalments(data: &Data) -> Vec<Instalment> {
    let mut first: BTreeMap<(&Parties, u64), Date> = BTreeMap::new();
    for booking in data.bookings.iter().filter(|booking| booking.outgoing) {
        let date = first.entry((&booking.parties, booking.amount)).or_insert(booking.date);
        *date = booking.date.min(*date);
    }
    let mut all = Vec::new();
    for (seen, order) in orders_by_booking(&data.orders) {
        let Some(first) = first.get(&seen) else { continue };
        let (month, day) = (first.yyyymmdd() / 100 % 100, first.yyyymmdd() % 100);
        for month in month..=12 {
            // The data has no order after the 14th; one on the 31st would need a rule.
            let date = Date::from_yyyymmdd(19_930_000 + month * 100 + day)
                .expect("the orders of 1993 are paid on days that every month has");
            all.push(Instalment { order: order.id, date, amount: order.amount });
        }
    }
    all
}

/// What every booking paid, in the bookings' order.
pub fn payments(data: &Data) -> Vec<Payment> {
    let orders = orders_by_booking(&data.orders);
    data.bookings.iter().map(|booking| payment(&orders, booking)).collect()
}

fn payment(orders: &BTreeMap<(&Parties, u64), &Order>, booking: &Booking) -> Payment {
    let (side, reference) = if booking.outgoing {
        let order = orders
            .get(&(&booking.parties, booking.amount))
            .expect("an outgoing booking belongs to an order");
        let month = booking.date.yyyymmdd() / 100 % 100;
        (Side::Credit, Reference::of_instalment(order.id, month))
    } else {
        (Side::Debit, Reference::of_incoming(booking.id))
    };
    let partner = names::partner(&booking.parties.bank);
    Payment { partner, side, amount: booking.amount, date: booking.date, reference }
}

/// Every book as it should be, by date.
pub fn books(data: &Data) -> Books {
    let mut books = Books::new();
    let mut write = |party, payment: &Payment, own_reference| {
        let carries = carries(party, &payment.reference.uetr);
        let mut entry = Entry::of(payment, carries, own_reference);
        let named = names::derived(&["names", &entry.own_reference]).as_bytes()[0] < 128;
        entry.counterparty = named.then(names::home);
        books.entry((payment.partner, party)).or_default().push(entry);
    };
    for (booking, payment) in data.bookings.iter().zip(payments(data)) {
        write(Party::Servicer, &payment, booking.id.to_string());
        if !booking.outgoing {
            write(Party::Owner, &payment, booking.id.to_string());
        }
    }
    let banks: BTreeMap<u32, Bic> =
        data.orders.iter().map(|order| (order.id, names::partner(&order.parties.bank))).collect();
    for Instalment { order, date, amount } in instalments(data) {
        let reference = Reference::of_instalment(order, date.yyyymmdd() / 100 % 100);
        let payment =
            Payment { partner: banks[&order], side: Side::Credit, amount, date, reference };
        write(Party::Owner, &payment, format!("{order}/{}", date.yyyymmdd()));
    }
    for book in books.values_mut() {
        book.sort_by_key(|entry| entry.booked);
    }
    books
}

/// A quarter of each bank's entries carries one of the two, the rest both; but the home bank's carries
/// both where the partner's has one, so that the two have a key in common.
fn carries(party: Party, uetr: &Uetr) -> Carries {
    let drawn =
        |party| match names::derived(&["carries", party, &uetr.to_string()]).as_bytes()[0] % 4 {
            0 => Carries::EndToEnd,
            1 => Carries::Uetr,
            _ => Carries::Both,
        };
    match (party, drawn("owner")) {
        (Party::Owner, owner) => owner,
        (Party::Servicer, Carries::Both) => drawn("servicer"),
        (Party::Servicer, _) => Carries::Both,
    }
}
