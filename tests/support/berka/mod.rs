//! A real year of interbank payments: the bookings of 1993 of the Czech bank in the PKDD'99
//! "Financial" data set (Berka and Sochorova, anonymised by its publishers), through the real core.
//!
//! **Real**: every booking to or from another bank with its date and its amount, and the standing
//! orders. Each outgoing booking belongs to exactly one order, by account, bank, counter-account
//! and amount; an order is paid on the same day of every month from that of its first booking.
//!
//! **Made up**, because the data has none: the banks' names and BICs (`ABXXCZPP` of the two-letter code
//! `AB`, `HOMECZPP`), their keys, the account that every partner holds with the home bank and its
//! funds, and every reference. The UETR of an outgoing payment is a seeded hash of (order, month), that of
//! an incoming one of the booking's number; so are the end-to-end ids. A quarter of a book's entries
//! carries an end-to-end id only, a quarter a UETR only, the rest both.
//!
//! It is a star: one home bank pays and is paid by thirteen partners, which pay nothing to each
//! other. Read it in this order: [`data`], [`names`], [`books`], [`plan`], [`faults`],
//! [`chain`], [`desk`], [`year`], [`work`].

pub mod books;
pub mod chain;
pub mod data;
pub mod desk;
pub mod faults;
mod misstated;
pub mod names;
pub mod plan;
pub mod work;
pub mod year;
