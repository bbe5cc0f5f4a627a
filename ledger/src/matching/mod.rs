//! What belongs together: a function of two sets of items of one account, and of nothing else. The
//! order in which items came decides nothing.
//!
//! A *comparison* sets two of an account's *sources* against each other, the first and the second:
//! [`item`]. Of each book that is compared, what it has twice is put aside: [`duplicates`]. Then
//! keys are gone through, the strongest first: who shares a key's value meets in its *bucket*, is
//! scored pair by pair ([`pair`]), and the best pairs are taken wherever there is no doubt
//! ([`bucket`]); who is left over goes on to the next key. [`assign`] does so for whole sets,
//! [`desk`] item by item, with the same result. What then is still open the [`runs`] compare
//! without keys. [`explain`] says why.

pub mod assign;
pub mod bucket;
pub mod desk;
pub mod duplicates;
pub mod explain;
pub mod item;
pub mod pair;
pub mod runs;
pub mod terms;

/// The rules of this module, as agreements name them.
pub const RULE_SET: u32 = 1;
