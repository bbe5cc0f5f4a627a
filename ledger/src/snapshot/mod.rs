//! Snapshots: what apply reads that neither a header's roots nor a block alone gives, as one run of
//! bytes, cut into chunks. Every node computes it for itself at the heights that the policy fixes,
//! and signs its digest.
//!
//! Format 1, big-endian: format u32 · chain id [32] · items · end. An item is kind u8 · length u16 ·
//! bytes: first the core of the state (kind 1), then every account by its ordinal (2), then every
//! reconciliation record, key and value, by its key (3). The end is kind 0 · count of accounts u32 ·
//! count of records u64, and nothing follows it. There is one run of bytes for a state.
//!
//! A chunk is 1 MiB of it, the last one what is left. The digest is the RFC 6962 root over the
//! chunks.

mod statement;

pub use statement::{certified, convict};

use crate::{hash::Hash, merkle, reconciliation::KEY_LENGTH, state::State};

/// The layout that this program writes and reads.
pub const FORMAT: u32 = 1;

/// Length of every chunk but the last, in bytes.
pub const CHUNK_BYTES: usize = 1 << 20;

/// Most chunks of a snapshot that is taken from another node.
pub const CHUNKS_MAX: usize = 1 << 16;

/// Longest core, account or record, in bytes.
pub const ITEM_BYTES_MAX: usize = 4_096;

const END: u8 = 0;
const CORE: u8 = 1;
const ACCOUNT: u8 = 2;
const RECORD: u8 = 3;

/// The hash of a chunk: a leaf of the digest's tree.
pub fn chunk_hash(chunk: &[u8]) -> Hash {
    merkle::leaf_hash(chunk)
}

/// The digest of a snapshot, by the hashes of its chunks.
pub fn digest(chunks: &[Hash]) -> Hash {
    merkle::root_of(chunks.iter().copied())
}

/// Writes a snapshot, chunk by chunk, into a sink.
pub struct Writer<S> {
    sink: S,
    chunk: Vec<u8>,
    hashes: Vec<Hash>,
    bytes: u64,
    accounts: u32,
    records: u64,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The hash of each chunk.
    pub chunks: Vec<Hash>,
    /// Length of it all.
    pub bytes: u64,
}

impl<S, E> Writer<S>
where
    S: FnMut(&[u8]) -> Result<(), E>,
{
    /// Begins with what [`State::core`] gives.
    pub fn new(chain_id: &Hash, core: &[u8], sink: S) -> Result<Writer<S>, E> {
        let chunk = Vec::with_capacity(CHUNK_BYTES);
        let mut writer =
            Writer { sink, chunk, hashes: Vec::new(), bytes: 0, accounts: 0, records: 0 };
        writer.put(&FORMAT.to_be_bytes())?;
        writer.put(chain_id.as_bytes())?;
        writer.item(CORE, &[core])?;
        Ok(writer)
    }

    /// The next account, as it encodes itself.
    pub fn account(&mut self, account: &[u8]) -> Result<(), E> {
        self.accounts += 1;
        self.item(ACCOUNT, &[account])
    }

    /// The next reconciliation record.
    pub fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), E> {
        self.records += 1;
        self.item(RECORD, &[key, value])
    }

    /// Ends it.
    pub fn finish(mut self) -> Result<Written, E> {
        let (accounts, records) = (self.accounts.to_be_bytes(), self.records.to_be_bytes());
        self.put(&[END])?;
        self.put(&accounts)?;
        self.put(&records)?;
        if !self.chunk.is_empty() {
            self.end_chunk()?;
        }
        Ok(Written { chunks: self.hashes, bytes: self.bytes })
    }

    fn item(&mut self, kind: u8, parts: &[&[u8]]) -> Result<(), E> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let length = u16::try_from(length).expect("what the ledger keeps is far shorter");
        self.put(&[kind])?;
        self.put(&length.to_be_bytes())?;
        parts.iter().try_for_each(|part| self.put(part))
    }

    fn put(&mut self, mut bytes: &[u8]) -> Result<(), E> {
        while let Some((now, later)) = bytes.split_at_checked(CHUNK_BYTES - self.chunk.len()) {
            self.chunk.extend(now);
            self.end_chunk()?;
            bytes = later;
        }
        self.chunk.extend(bytes);
        Ok(())
    }

    fn end_chunk(&mut self) -> Result<(), E> {
        (self.sink)(&self.chunk)?;
        self.hashes.push(chunk_hash(&self.chunk));
        self.bytes += u64::try_from(self.chunk.len()).expect("a chunk is small");
        self.chunk.clear();
        Ok(())
    }
}

/// Writes the snapshot of a state whose reconciliation records the caller keeps, in the order of
/// their keys.
pub fn write<'a, S, E>(
    state: &State,
    records: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    sink: S,
) -> Result<Written, E>
where
    S: FnMut(&[u8]) -> Result<(), E>,
{
    let mut writer = Writer::new(&state.chain_id(), &state.core(), sink)?;
    state.accounts().iter().try_for_each(|account| writer.account(&account.encode()))?;
    records.into_iter().try_for_each(|(key, value)| writer.record(key, value))?;
    writer.finish()
}

/// An item of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// For [`State::restore`].
    Core(Vec<u8>),
    /// An account, as it encodes itself.
    Account(Vec<u8>),
    /// Key and value of a reconciliation record.
    Record(Vec<u8>, Vec<u8>),
}

/// What was read is no snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the snapshot does not decode: {0}")]
pub struct Malformed(pub &'static str);

/// Reads a snapshot from chunks, whoever sent them. It holds what was pushed and not yet taken.
pub struct Reader {
    chain_id: Hash,
    buffer: Vec<u8>,
    at: usize,
    begun: bool,
    /// Kind of the last item; none of it may come back.
    last: u8,
    accounts: u32,
    records: u64,
    last_key: Vec<u8>,
    ended: bool,
}

impl Reader {
    /// Of a snapshot of this chain.
    pub fn new(chain_id: Hash) -> Reader {
        Reader {
            chain_id,
            buffer: Vec::new(),
            at: 0,
            begun: false,
            last: 0,
            accounts: 0,
            records: 0,
            last_key: Vec::new(),
            ended: false,
        }
    }

    /// The next bytes. Whoever takes all items before pushing on has little more than these in memory.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend(bytes);
    }

    /// The next item; none if it is not there yet, or was the last.
    pub fn take(&mut self) -> Result<Option<Item>, Malformed> {
        if !self.begun {
            let Some(head) = self.bytes(0, 36) else { return Ok(None) };
            if head[..4] != FORMAT.to_be_bytes() {
                return Err(Malformed("this program knows format 1"));
            }
            if head[4..] != self.chain_id.as_bytes()[..] {
                return Err(Malformed("it is of another chain"));
            }
            (self.at, self.begun) = (36, true);
        }
        if self.ended {
            return if self.at == self.buffer.len() {
                Ok(None)
            } else {
                Err(Malformed("something follows its end"))
            };
        }
        let Some(&kind) = self.buffer.get(self.at) else { return Ok(None) };
        if kind == END { self.end() } else { self.item(kind) }
    }

    /// Whether all of it was there, and taken.
    pub fn finish(self) -> Result<(), Malformed> {
        if self.ended && self.at == self.buffer.len() {
            Ok(())
        } else {
            Err(Malformed("it breaks off, or goes on behind its end"))
        }
    }

    fn end(&mut self) -> Result<Option<Item>, Malformed> {
        let Some(counts) = self.bytes(1, 12) else { return Ok(None) };
        let expected = [&self.accounts.to_be_bytes()[..], &self.records.to_be_bytes()].concat();
        if self.last == 0 || counts != expected {
            return Err(Malformed("its counts are not those of its items"));
        }
        self.at += 13;
        self.ended = true;
        self.take()
    }

    fn item(&mut self, kind: u8) -> Result<Option<Item>, Malformed> {
        let Some(length) = self.bytes(1, 2) else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        if length > ITEM_BYTES_MAX {
            return Err(Malformed("an item is longer than any can be"));
        }
        let Some(bytes) = self.bytes(3, length) else { return Ok(None) };
        let bytes = bytes.to_vec();
        let item = match (kind, self.last) {
            (CORE, 0) => Item::Core(bytes),
            (ACCOUNT, CORE | ACCOUNT) if bytes.starts_with(&self.accounts.to_be_bytes()) => {
                self.accounts =
                    self.accounts.checked_add(1).ok_or(Malformed("too many accounts"))?;
                Item::Account(bytes)
            }
            (RECORD, CORE | ACCOUNT | RECORD) if bytes.len() > KEY_LENGTH => {
                let (key, value) = bytes.split_at(KEY_LENGTH);
                if *key <= self.last_key[..] {
                    return Err(Malformed("its records are not in order"));
                }
                self.last_key = key.to_vec();
                self.records += 1;
                Item::Record(key.to_vec(), value.to_vec())
            }
            _ => return Err(Malformed("an item is of no kind, or out of its order")),
        };
        self.last = kind;
        self.at += 3 + length;
        Ok(Some(item))
    }

    /// Bytes from an offset behind the last item, if they are there.
    fn bytes(&self, from: usize, length: usize) -> Option<&[u8]> {
        self.buffer.get(self.at + from..self.at + from + length)
    }
}

#[cfg(test)]
mod tests;
