//! Campaigns against real processes: banks at work, faults by a schedule that follows from a seed, and
//! at the end the checker of histories.

pub mod campaign;
pub mod chance;
pub mod closing;
pub mod disk;
pub mod ground;
pub mod nemesis;
pub mod powercut;
pub mod proxy;
pub mod recorder;
pub mod teller;
pub mod votes;
pub mod wiring;
