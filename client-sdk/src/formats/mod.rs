//! The files that banks exchange, read into plain values: payments (pacs.008, pacs.009, CSV) and
//! books (camt.052, camt.053, camt.054, MT940, MT942, MT950, CSV).
//!
//! What leaves, [`outgoing`], are statements of the ledger's accounts.
//!
//! Everything here is a function of bytes: no network, no clock, no ledger. Input is hostile until
//! it is read: sizes and counts are bounded, and what is refused is refused with the element or the
//! row, the rule, and the fix.
//!
//! ```
//! use counterfoil_client::formats::{detect, payment};
//!
//! let file = b"debtor_bic,creditor_bic,currency,amount,uetr,end_to_end_id,settlement_date\n\
//!     ALPSCHZZXXX,BRNECHZZXXX,CHF,1250.50,eb6305c9-1f7f-49de-aed0-16487c27b42d,E2E-1,2026-03-31\n";
//! let exponent_of = |code: &str| (code == "CHF").then_some(2);
//! assert_eq!(detect::detect(file)?, detect::Kind::PaymentsCsv);
//! let payments = payment::read(file, &exponent_of, payment::MissingUetr::Refuse)?;
//! assert_eq!(payments[0].amount.units, 125_050);
//! # Ok::<(), counterfoil_client::formats::error::FormatError>(())
//! ```

mod book_entry;
pub mod camt;
pub mod csv;
pub mod detect;
pub mod error;
pub mod fields;
pub mod integrity;
pub mod mapping;
pub mod message;
pub mod mt;
pub mod outgoing;
pub mod pacs;
pub mod payment;
pub mod statement;
pub mod stream;
pub mod xml;
