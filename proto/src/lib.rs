//! The wire: the generated messages of `counterfoil.v1` and `counterfoil.peer.v1`, and behind the
//! feature `services` their clients and servers. Nothing here is written by hand.

#![allow(missing_docs, clippy::all, clippy::pedantic, unused_qualifications)]

/// What institutions, operators and auditors speak.
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/counterfoil.v1.rs"));
}

/// What nodes speak to each other.
pub mod peer {
    /// Version 1.
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/counterfoil.peer.v1.rs"));
    }
}

/// A `FileDescriptorSet` of everything above, for reflection and for tests that enumerate methods.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));
