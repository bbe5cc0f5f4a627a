//! What is heard of the other nodes' snapshots.
