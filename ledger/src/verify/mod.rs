//! The verifier: checks answers of nodes that are not trusted, against the genesis file alone. What
//! it checks is described in `docs/reference/format.md`, whose order it follows.

pub mod signers;

pub use signers::Signers;

/// What does not prove what it claims: which part of it, and which rule that breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part}: {rule}")]
pub struct Unproven {
    /// Which part, as a field's name.
    pub part: &'static str,
    /// Which rule it breaks.
    pub rule: &'static str,
}

/// How certain something is that verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finality {
    /// It fits a header that nobody vouches for.
    Ordered,
    /// A quorum has signed a header that it belongs to.
    Final {
        /// Height of that header.
        certified_height: u64,
        /// Node ids of those that signed it.
        signers: Vec<u64>,
    },
}

/// An [`Unproven`].
fn unproven(part: &'static str, rule: &'static str) -> Unproven {
    Unproven { part, rule }
}
