//! Disks that fail, fill up and lie: what a node does when its files cannot be written, cannot be read,
//! or say something else than what was written.

#![allow(clippy::unwrap_used)]

mod backup;
mod bits;
mod damage;
mod faults;
mod nodes;
mod space;
mod storage;
mod worn;
