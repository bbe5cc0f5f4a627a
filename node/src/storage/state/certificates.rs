//! Certificates: which nodes signed which header. The header itself is with the headers.
//!
//! A certificate is saved in memory and written with the next flush. A crash may lose the newest
//! ones: the nodes form them again.

use bytes::Bytes;
use counterfoil_proto::v1;
use rocksdb::Direction;
use rocksdb::IteratorMode;

use super::super::batch::WriteBatch;
use super::super::database::Pair;
use super::CERTIFICATES;
use super::StateStore;
use super::StorageError;
use super::tail::Tail;

/// Node id u64 · signature [64].
const SIGNATURE_LENGTH: usize = 72;

impl StateStore {
    /// Keeps the signatures over the header at a height, which this node has executed. What was
    /// kept for that height before is replaced.
    pub fn save_certificate(
        &self,
        height: u64,
        signatures: &[v1::NodeSignature],
    ) -> Result<(), StorageError> {
        self.inner.database.check_running()?;
        let packed = pack(signatures)
            .ok_or_else(|| StorageError::corrupt("a certificate", "a signature has 64 bytes"))?;
        let mut memory = self.inner.memory_mut();
        let expected = memory.last_height.unwrap_or(0);
        if height > expected {
            let what = "the certificate of block";
            return Err(StorageError::OutOfOrder { what, given: height, expected });
        }
        memory.growing.add_certificate(height, packed);
        Ok(())
    }

    /// The first certificate at or above a height; none if there is none yet.
    pub fn certificate_from(&self, height: u64) -> Result<Option<v1::Certificate>, StorageError> {
        // Memory first: what it no longer has then is on disk.
        let (in_tail, flushed) = {
            let memory = self.inner.memory();
            let of_tail = |tail: &Tail| {
                let found = tail.certificates().range(height..).next();
                found.map(|(height, packed)| (*height, packed.clone()))
            };
            // The newer tail has what was saved last for a height.
            let found = memory.tails().rev().filter_map(of_tail).min_by_key(|found| found.0);
            (found, memory.last_flushed_certificate)
        };
        let may_be_flushed = flushed.is_some_and(|flushed| height <= flushed);
        let on_disk = if may_be_flushed {
            let from = height.to_be_bytes();
            self.read_certificate(IteratorMode::From(&from, Direction::Forward))?
        } else {
            None
        };
        let found = in_tail.into_iter().chain(on_disk).min_by_key(|found| found.0);
        found.map(|(height, packed)| self.certificate(height, &packed)).transpose()
    }

    /// The highest certificate; none if there is none yet.
    pub fn last_certificate(&self) -> Result<Option<v1::Certificate>, StorageError> {
        let in_tail = {
            let memory = self.inner.memory();
            let of_tail = |tail: &Tail| {
                let found = tail.certificates().last_key_value();
                found.map(|(height, packed)| (*height, packed.clone()))
            };
            // Of two with one height, the newer tail's comes last and counts.
            memory.tails().filter_map(of_tail).max_by_key(|found| found.0)
        };
        let on_disk = self.read_certificate(IteratorMode::End)?;
        let found = on_disk.into_iter().chain(in_tail).max_by_key(|found| found.0);
        found.map(|(height, packed)| self.certificate(height, &packed)).transpose()
    }

    /// The height of the last certificate on disk.
    pub(super) fn last_flushed_certificate(&self) -> Result<Option<u64>, StorageError> {
        Ok(self.read_certificate(IteratorMode::End)?.map(|(height, _)| height))
    }

    /// Adds what a tail has to its flush.
    pub(super) fn add_certificates(&self, tail: &Tail, batch: &mut WriteBatch) {
        let family = self.inner.database.family(CERTIFICATES);
        for (height, packed) in tail.certificates() {
            batch.put_cf(family, height.to_be_bytes(), packed);
        }
    }

    fn read_certificate(
        &self,
        mode: IteratorMode<'_>,
    ) -> Result<Option<(u64, Bytes)>, StorageError> {
        let pair = self.inner.database.iterate(CERTIFICATES, mode).next().transpose()?;
        pair.map(|pair: Pair| {
            let height = <[u8; 8]>::try_from(&*pair.0).map(u64::from_be_bytes);
            let height = height.map_err(|_| damaged(&format!("{:?}", pair.0)))?;
            Ok((height, Bytes::from(pair.1)))
        })
        .transpose()
    }

    fn certificate(&self, height: u64, packed: &Bytes) -> Result<v1::Certificate, StorageError> {
        let signatures = unpack(packed).ok_or_else(|| damaged(&height.to_string()))?;
        let header = self.header(height)?.ok_or_else(|| damaged(&height.to_string()))?;
        Ok(v1::Certificate { header: Bytes::copy_from_slice(&header.encode()), signatures })
    }
}

/// Fails if a stored certificate does not decode. Whether its signatures hold is for who relies on it
/// to ask.
pub(super) fn check(key: &[u8], packed: Box<[u8]>) -> Result<(), StorageError> {
    let whole = key.len() == 8 && unpack(&Bytes::from(packed)).is_some();
    if whole { Ok(()) } else { Err(damaged(&format!("{key:?}"))) }
}

fn pack(signatures: &[v1::NodeSignature]) -> Option<Bytes> {
    let mut packed = Vec::with_capacity(signatures.len() * SIGNATURE_LENGTH);
    for signature in signatures {
        packed.extend(signature.node.to_be_bytes());
        packed.extend(<&[u8; 64]>::try_from(&*signature.value).ok()?);
    }
    Some(packed.into())
}

pub(super) fn unpack(packed: &Bytes) -> Option<Vec<v1::NodeSignature>> {
    let mut signatures = Vec::with_capacity(packed.len() / SIGNATURE_LENGTH);
    let mut rest = packed.clone();
    while !rest.is_empty() {
        if rest.len() < SIGNATURE_LENGTH {
            return None;
        }
        let mut one = rest.split_to(SIGNATURE_LENGTH);
        let node = u64::from_be_bytes((*one.split_to(8)).try_into().ok()?);
        signatures.push(v1::NodeSignature { node, value: one });
    }
    Some(signatures)
}

fn damaged(place: &str) -> StorageError {
    StorageError::corrupt("the certificates", place)
}
