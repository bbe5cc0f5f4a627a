//! Being written.

pub mod storage;
