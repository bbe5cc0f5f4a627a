//! What can still be read of a state that is to be made again: its headers, to compare them, and its
//! certificates, which cannot be derived. Nothing is written, and what cannot be read is passed over.

use bytes::Bytes;
use counterfoil_ledger::header::Header;
use counterfoil_proto::v1;
use rocksdb::DB;
use rocksdb::IteratorMode;
use rocksdb::Options;

use super::CERTIFICATES;
use super::DataDirectory;
use super::HEADERS;
use super::certificates;
use crate::storage::manifest_mark;

/// The state as it was found.
pub struct Salvage(DB);

impl Salvage {
    /// Opens it for reading; none if that is not possible. Nobody else has it open.
    pub fn open(directory: &DataDirectory) -> Option<Salvage> {
        let families = ["default", HEADERS, CERTIFICATES];
        let path = directory.state();
        manifest_mark::check(&path).ok()?;
        let database =
            DB::open_cf_for_read_only(&Options::default(), path, families, false).ok()?;
        Some(Salvage(database))
    }

    /// A header, if it can be read.
    pub fn header(&self, height: u64) -> Option<Header> {
        let family = self.0.cf_handle(HEADERS)?;
        let bytes = self.0.get_cf(family, height.to_be_bytes()).ok()??;
        Header::decode(&bytes).filter(|header| header.height == height)
    }

    /// The certificates in ascending height, as far as they can be read. Whether they hold is for who
    /// takes them to ask.
    pub fn certificates(&self) -> impl Iterator<Item = (u64, Vec<v1::NodeSignature>)> + '_ {
        let family = self.0.cf_handle(CERTIFICATES);
        let pairs = family.map(|family| self.0.iterator_cf(family, IteratorMode::Start));
        pairs.into_iter().flatten().map_while(Result::ok).filter_map(|(key, value)| {
            let height = u64::from_be_bytes((*key).try_into().ok()?);
            Some((height, certificates::unpack(&Bytes::from(value))?))
        })
    }
}
