//! From the data to payments and to the books of both sides. The home bank's book and the payments
//! come from the bookings; a partner's book comes from the standing orders for what it receives, so
//! that two sources meet, and mirrors the booking for what it pays, where there is no second one.

use std::collections::BTreeMap;

use counterfoil_ledger::{bic::Bic, block::Side, date::Date, uetr::Uetr};

use super::{
    data::{Booking, Data, Order, Parties},
    names::{self, Reference},
};

/// Money from one bank to another.
#[derive(Clone, Debug)]
pub struct Payment {
    /// Settlement date.
    pub date: Date,
    /// Hellers.
    pub amount: u64,
    /// Whose account is debited.
    pub payer: Bic,
    /// Whose account is credited.
    pub payee: Bic,
    /// What both know it by.
    pub reference: Reference,
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

/// One entry of a bank's own book of its settlement account.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As the account sees it.
    pub side: Side,
    /// Hellers.
    pub amount: u64,
    /// Value date.
    pub date: Date,
    /// What the bank knows the payment by.
    pub reference: Reference,
    /// Which part of the reference the entry carries.
    pub carries: Carries,
    /// The bank's own number of the entry.
    pub own_reference: String,
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
}

/// Every bank's book, in the order in which each bank wrote it.
pub type Books = BTreeMap<Bic, Vec<Entry>>;

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
    let partner = names::partner(&booking.parties.bank);
    let (payer, payee, reference) = if booking.outgoing {
        let order = orders
            .get(&(&booking.parties, booking.amount))
            .expect("an outgoing booking belongs to an order");
        let month = booking.date.yyyymmdd() / 100 % 100;
        (names::home(), partner, Reference::of_instalment(order.id, month))
    } else {
        (partner, names::home(), Reference::of_incoming(booking.id))
    };
    Payment { date: booking.date, amount: booking.amount, payer, payee, reference }
}

/// Every bank's book as it should be.
pub fn books(data: &Data) -> Books {
    let mut books = Books::new();
    let mut write = |bank: Bic, side, amount, date, reference: Reference, own_reference| {
        let carries = carries(&bank, &reference.uetr);
        let entry = Entry { side, amount, date, reference, carries, own_reference };
        books.entry(bank).or_default().push(entry);
    };
    for (booking, payment) in data.bookings.iter().zip(payments(data)) {
        let own = booking.id.to_string();
        let (amount, date) = (booking.amount, booking.date);
        if booking.outgoing {
            write(payment.payer, Side::Debit, amount, date, payment.reference, own);
        } else {
            write(
                payment.payee,
                Side::Credit,
                amount,
                date,
                payment.reference.clone(),
                own.clone(),
            );
            write(payment.payer, Side::Debit, amount, date, payment.reference, own);
        }
    }
    let banks: BTreeMap<u32, Bic> =
        data.orders.iter().map(|order| (order.id, names::partner(&order.parties.bank))).collect();
    for Instalment { order, date, amount } in instalments(data) {
        let reference = Reference::of_instalment(order, date.yyyymmdd() / 100 % 100);
        let own = format!("{order}/{}", date.yyyymmdd());
        write(banks[&order], Side::Credit, amount, date, reference, own);
    }
    for book in books.values_mut() {
        book.sort_by_key(|entry| entry.date);
    }
    books
}

/// A quarter each carries one of the two, the rest both.
fn carries(bank: &Bic, uetr: &Uetr) -> Carries {
    match names::derived(&["carries", bank.as_str(), &uetr.to_string()]).as_bytes()[0] % 4 {
        0 => Carries::EndToEnd,
        1 => Carries::Uetr,
        _ => Carries::Both,
    }
}
