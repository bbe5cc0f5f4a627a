//! Support of the whole-system tests: real processes on this machine, and real data.

pub mod abuse;
pub mod authority;
pub mod banking;
pub mod berka;
pub mod chaos;
pub mod checker;
pub mod comparison;
pub mod consortium;
pub mod data;
pub mod desk;
pub mod footprint;
pub mod identities;
pub mod kept;
pub mod load;
pub mod measuring;
mod ports;
mod standing;
pub mod wire;
pub mod witness;
