//! Sealed originals: who may put, read and delete them, and how they get to the other party's nodes.
//!
//! A node keeps originals of its own institution's agreements alone. What is put at one node is passed
//! on to the other nodes of the two parties before it is acknowledged; a node that lacks one asks those
//! that may have it. The nodes of an institution do what it says; the other party may delete there
//! what it has brought there itself, unless a statement of the institution's own book names it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::agreement::AgreementId;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::matching::item::Source;
use counterfoil_proto::peer::v1 as peer;
use counterfoil_proto::peer::v1::peer_service_client::PeerServiceClient;
use counterfoil_proto::v1;
use futures::future::join_all;
use tokio::sync::Semaphore;
use tonic::transport::Channel;

use super::replica::Replica;
use super::replica::Unavailable;
use crate::blocking;
use crate::exit;
use crate::exit::Stop;
use crate::limits;
use crate::storage::StorageError;
use crate::storage::directory::DataDirectory;
use crate::storage::originals as store;
use crate::storage::originals::Part;
use crate::storage::originals::Put;
use crate::storage::originals::Removed;
use crate::storage::originals::Sealed;

/// How much a node keeps.
const BOUNDS: store::Bounds = store::Bounds {
    own_bytes: limits::ORIGINALS_OWN_BYTES_MAX,
    all_bytes: limits::ORIGINALS_BYTES_MAX,
    own_files: limits::ORIGINALS_OWN_FILES_MAX,
    unfinished: limits::ORIGINALS_UNFINISHED_MAX,
    unfinished_age: limits::ORIGINALS_UNFINISHED_AGE_MAX,
};

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotDone {
    /// A field breaks its rule.
    Field(&'static str, &'static str),
    /// There is no such agreement, account in it or file, or who asks is no party.
    NotFound,
    /// The agreement keeps no originals.
    KeepsNone,
    /// This node belongs to neither party.
    OtherNode,
    /// This node is the other party's, and who asks has nodes of its own.
    OtherPartysNode,
    /// The bytes have another hash than was said.
    Different,
    /// A part of the same file is being written.
    Busy,
    /// The institution has all of its room.
    OwnRoom,
    /// The node's room is taken.
    AllRoom,
    /// The node takes nothing, or is stopping.
    Unavailable(Unavailable),
}

/// A file of an agreement, and whose.
#[derive(Clone)]
struct File {
    name: v1::OriginalName,
    account: AccountId,
    original: Hash,
    key: Hash,
    parties: [Bic; 2],
}

/// How far a file has come at the other nodes.
#[derive(Default)]
struct PassedOn {
    held_by: BTreeSet<Bic>,
    bytes: u64,
}

/// The originals of a node.
pub struct Originals {
    store: store::Originals,
    replica: Arc<Replica>,
    /// Whose node this is.
    institution: Bic,
    /// Turns of requests from other nodes.
    peers: Semaphore,
}

impl Originals {
    /// Opens what is kept in a node's directory, for the institution that runs the node.
    pub fn open(directory: &DataDirectory, replica: Arc<Replica>) -> Result<Arc<Originals>, Stop> {
        let store = store::Originals::open(directory, BOUNDS)?;
        let of_node = replica.state().registry().node(replica.node()).map(|it| it.institution);
        let institution = of_node.expect("a node that runs is in the registry");
        let peers = Semaphore::new(limits::ORIGINALS_OF_PEERS_AT_ONCE);
        Ok(Arc::new(Originals { store, replica, institution, peers }))
    }

    /// Takes a part from a client. The part that ends the file is passed on before this returns, as far
    /// as the time for it goes.
    pub async fn put(
        &self,
        by: Bic,
        request: v1::PutOriginalRequest,
    ) -> Result<v1::PutOriginalResponse, NotDone> {
        let (file, put) = self.keep_part(by, request).await?;
        let sealed = match put {
            Put::Whole(sealed) => sealed,
            put => {
                let received = received(put)?;
                return Ok(v1::PutOriginalResponse { received, ..Default::default() });
            }
        };
        let mut passed = self.pass_on(&file, sealed).await?;
        passed.held_by.insert(self.institution);
        let with_nodes = self.with_nodes();
        let is_missing = |it: &&Bic| with_nodes.contains(it) && !passed.held_by.contains(it);
        Ok(v1::PutOriginalResponse {
            received: sealed.length,
            whole: true,
            held_by: passed.held_by.iter().map(ToString::to_string).collect(),
            missing: file.parties.iter().filter(is_missing).map(ToString::to_string).collect(),
            passed_on: passed.bytes,
        })
    }

    /// Takes a part from another node.
    pub async fn keep(
        &self,
        sender: u64,
        request: v1::PutOriginalRequest,
    ) -> Result<peer::KeepOriginalResponse, NotDone> {
        let (_turn, by) = (self.turn().await?, self.institution_of(sender)?);
        match self.keep_part(by, request).await?.1 {
            Put::Whole(sealed) => {
                Ok(peer::KeepOriginalResponse { received: sealed.length, whole: true })
            }
            put => Ok(peer::KeepOriginalResponse { received: received(put)?, whole: false }),
        }
    }

    async fn keep_part(
        &self,
        by: Bic,
        request: v1::PutOriginalRequest,
    ) -> Result<(File, Put), NotDone> {
        let v1::PutOriginalRequest { name, sealed_length, sealed_hash, offset, part } = request;
        if !(1..=limits::ORIGINAL_BYTES_MAX).contains(&sealed_length) {
            return Err(NotDone::Field("sealed_length", "1 to 268435456 bytes"));
        }
        if part.len() > limits::ORIGINAL_PART_BYTES_MAX {
            return Err(NotDone::Field("part", "at most 1048576 bytes"));
        }
        let hash = Hash::from_slice(&sealed_hash)
            .ok_or(NotDone::Field("sealed_hash", "SHA-256 of the sealed file, 32 bytes"))?;
        let file = self.file(name, &by).await?;
        self.replica.space().admits().map_err(NotDone::Unavailable)?;
        let (store, key) = (self.store.clone(), file.key);
        let sealed = Sealed { by, length: sealed_length, hash };
        let put = aside(move || store.put(key, sealed, offset, &part)).await?;
        Ok((file, put))
    }

    /// Gives a client a part, from here or from a node that has it.
    pub async fn get(
        &self,
        by: Bic,
        request: v1::GetOriginalRequest,
    ) -> Result<v1::GetOriginalResponse, NotDone> {
        let v1::GetOriginalRequest { name, offset } = request;
        let file = self.file(name, &by).await?;
        if let Some(part) = self.read_part(&file, offset).await? {
            return Ok(part);
        }
        let request = v1::GetOriginalRequest { name: Some(file.name.clone()), offset };
        for (_, mut client) in self.others(&file) {
            let asked = peer::ReadOriginalRequest { part: Some(request.clone()) };
            if let Some(answer) = within(client.read_original(asked)).await
                && let Some(part) = answer.part.filter(is_part)
            {
                return Ok(part);
            }
        }
        Err(NotDone::NotFound)
    }

    /// Gives another node a part that is here.
    pub async fn read(
        &self,
        sender: u64,
        request: Option<v1::GetOriginalRequest>,
    ) -> Result<peer::ReadOriginalResponse, NotDone> {
        let (_turn, by) = (self.turn().await?, self.institution_of(sender)?);
        let v1::GetOriginalRequest { name, offset } = request.unwrap_or_default();
        let file = self.file(name, &by).await?;
        Ok(peer::ReadOriginalResponse { part: self.read_part(&file, offset).await? })
    }

    async fn read_part(
        &self,
        file: &File,
        offset: u64,
    ) -> Result<Option<v1::GetOriginalResponse>, NotDone> {
        let (store, key) = (self.store.clone(), file.key);
        let read = aside(move || store.read(key, offset, limits::ORIGINAL_PART_BYTES_MAX));
        Ok(read.await?.map(|Part { sealed, bytes }| v1::GetOriginalResponse {
            sealed_length: sealed.length,
            sealed_hash: sealed.hash.to_bytes(),
            part: bytes.into(),
        }))
    }

    /// Deletes what a client's institution may delete, here and elsewhere.
    pub async fn delete(
        &self,
        by: Bic,
        request: v1::DeleteOriginalRequest,
    ) -> Result<v1::DeleteOriginalResponse, NotDone> {
        let file = self.file(request.name, &by).await?;
        if by != self.institution && self.with_nodes().contains(&by) {
            return Err(NotDone::OtherPartysNode);
        }
        let mut kept_at = BTreeSet::new();
        let mut asked = BTreeSet::from([self.institution]);
        if self.remove_here(&file, by).await? {
            kept_at.insert(self.institution);
        }
        // Nodes hear from nodes what these nodes' institutions want.
        let others = if by == self.institution { self.others(&file) } else { Vec::new() };
        let removals = others.into_iter().map(|(institution, mut client)| {
            let request = peer::RemoveOriginalRequest { name: Some(file.name.clone()) };
            async move {
                let answer = within(client.remove_original(request)).await;
                (institution, answer.is_none_or(|it| it.kept))
            }
        });
        for (institution, kept) in join_all(removals).await {
            asked.insert(institution);
            if kept {
                kept_at.insert(institution);
            }
        }
        Ok(v1::DeleteOriginalResponse {
            deleted_at: asked.difference(&kept_at).map(ToString::to_string).collect(),
            kept_at: kept_at.iter().map(ToString::to_string).collect(),
        })
    }

    /// Deletes what another node's institution may delete here.
    pub async fn remove(
        &self,
        sender: u64,
        name: Option<v1::OriginalName>,
    ) -> Result<peer::RemoveOriginalResponse, NotDone> {
        let (_turn, by) = (self.turn().await?, self.institution_of(sender)?);
        let file = self.file(name, &by).await?;
        Ok(peer::RemoveOriginalResponse { kept: self.remove_here(&file, by).await? })
    }

    /// Says whether it is still here.
    async fn remove_here(&self, file: &File, by: Bic) -> Result<bool, NotDone> {
        let Some(brought_by) = self.store.brought_by(file.key) else { return Ok(false) };
        if by != self.institution && (by != brought_by || self.is_of_own_book(file)) {
            return Ok(true);
        }
        let (store, key) = (self.store.clone(), file.key);
        match aside(move || store.remove(key)).await? {
            Removed::Gone => Ok(false),
            Removed::Busy => Err(NotDone::Busy),
        }
    }

    /// Whether a statement of the own institution's book names the file.
    fn is_of_own_book(&self, file: &File) -> bool {
        let state = self.replica.state();
        let Some(account) = state.account(&file.account) else { return false };
        let own = match account.owner == self.institution {
            true => Source::OwnerBook,
            false => Source::ServicerBook,
        };
        let book = state.reconciliation().sheet(account.ordinal).and_then(|sheet| sheet.book(own));
        book.is_some_and(|book| book.statements().iter().any(|it| it.original == file.original))
    }

    /// The institutions that run nodes.
    fn with_nodes(&self) -> BTreeSet<Bic> {
        self.replica.state().registry().nodes().map(|node| node.institution).collect()
    }

    /// Sends a whole file to the other nodes of the two parties, to all of them at once.
    async fn pass_on(&self, file: &File, sealed: Sealed) -> Result<PassedOn, NotDone> {
        let deadline = Instant::now() + limits::ORIGINAL_PASS_ON_TIME;
        let passing = self.others(file).into_iter().map(|(institution, client)| async move {
            let (whole, bytes) = self.pass_to(client, file, sealed, deadline).await?;
            Ok((institution, whole, bytes))
        });
        let mut passed = PassedOn::default();
        for done in join_all(passing).await {
            let (institution, whole, bytes) = done?;
            passed.bytes = passed.bytes.saturating_add(bytes);
            if whole {
                passed.held_by.insert(institution);
            }
        }
        Ok(passed)
    }

    /// Sends one node what it lacks, until the deadline or until it does not answer. Says whether it
    /// has all of it, and how many bytes went there.
    async fn pass_to(
        &self,
        mut client: PeerServiceClient<Channel>,
        file: &File,
        sealed: Sealed,
        deadline: Instant,
    ) -> Result<(bool, u64), NotDone> {
        let mut sent = 0_u64;
        // Behind the end: the answer says where to begin.
        let mut offset = sealed.length;
        let mut part = Bytes::new();
        while Instant::now() < deadline {
            let length = part.len() as u64;
            let request = v1::PutOriginalRequest {
                name: Some(file.name.clone()),
                sealed_length: sealed.length,
                sealed_hash: sealed.hash.to_bytes(),
                offset,
                part,
            };
            let keeping = client.keep_original(peer::KeepOriginalRequest { part: Some(request) });
            let Some(answer) = within(keeping).await else { break };
            if answer.whole {
                return Ok((true, sent.saturating_add(length)));
            }
            // A node that went back, or says that it has what it cannot have, is asked another time.
            let is_next = answer.received == offset.saturating_add(length) || length == 0;
            if !is_next || answer.received >= sealed.length {
                break;
            }
            sent = sent.saturating_add(length);
            offset = answer.received;
            // Deleted meanwhile: there is nothing to pass on.
            let Some(next) = self.read_part(file, offset).await? else { break };
            part = next.part;
        }
        Ok((false, sent))
    }

    /// The file of a name, for a party of its agreement. An agreement that this node does not know may
    /// have been accepted a moment ago: then what is ordered is waited for.
    async fn file(&self, name: Option<v1::OriginalName>, by: &Bic) -> Result<File, NotDone> {
        let name = name.ok_or(NotDone::Field("name", "which file; it is required"))?;
        match self.known_file(&name, by) {
            Err(NotDone::NotFound) => {
                self.replica.barrier().await.map_err(NotDone::Unavailable)?;
                self.known_file(&name, by)
            }
            known => known,
        }
    }

    fn known_file(&self, name: &v1::OriginalName, by: &Bic) -> Result<File, NotDone> {
        let agreement = AgreementId::from_bytes(&name.agreement)
            .ok_or(NotDone::Field("name.agreement", "an agreement's id of 16 bytes"))?;
        let account = AccountId::from_bytes(&name.account)
            .ok_or(NotDone::Field("name.account", "an account id of 16 bytes"))?;
        let original = Hash::from_slice(&name.original)
            .ok_or(NotDone::Field("name.original", "SHA-256 of the file, 32 bytes"))?;
        let key = Hash::of_parts(&[&name.agreement, &name.account, &name.original]);
        let state = self.replica.state();
        let found = state.agreements().get(&agreement).filter(|it| {
            it.is_accepted() && it.terms.party(by).is_some() && it.terms.accounts.contains(&account)
        });
        let terms = &found.ok_or(NotDone::NotFound)?.terms;
        if terms.originals.is_none() {
            return Err(NotDone::KeepsNone);
        }
        if terms.party(&self.institution).is_none() {
            return Err(NotDone::OtherNode);
        }
        let parties = [terms.servicer, terms.owner];
        Ok(File { name: name.clone(), account, original, key, parties })
    }

    /// The other nodes of the two parties.
    fn others(&self, file: &File) -> Vec<(Bic, PeerServiceClient<Channel>)> {
        let state = self.replica.state();
        let nodes = state.registry().nodes();
        let theirs = nodes.filter(|node| file.parties.contains(&node.institution));
        theirs
            .filter_map(|node| Some((node.institution, self.replica.peers().client(node.id)?)))
            .collect()
    }

    fn institution_of(&self, node: u64) -> Result<Bic, NotDone> {
        let state = self.replica.state();
        state.registry().node(node).map(|it| it.institution).ok_or(NotDone::NotFound)
    }

    async fn turn(&self) -> Result<tokio::sync::SemaphorePermit<'_>, NotDone> {
        self.peers.acquire().await.map_err(|_| NotDone::Unavailable(Unavailable::Stopping))
    }
}

/// Where a part ended that did not end the file.
fn received(put: Put) -> Result<u64, NotDone> {
    match put {
        Put::Received(received) => Ok(received),
        Put::Whole(sealed) => Ok(sealed.length),
        Put::Different => Err(NotDone::Different),
        Put::Busy => Err(NotDone::Busy),
        Put::OwnRoom => Err(NotDone::OwnRoom),
        Put::AllRoom => Err(NotDone::AllRoom),
    }
}

/// Whether another node's answer can be a part of a file.
fn is_part(it: &v1::GetOriginalResponse) -> bool {
    it.sealed_hash.len() == 32
        && it.part.len() <= limits::ORIGINAL_PART_BYTES_MAX
        && it.sealed_length <= limits::ORIGINAL_BYTES_MAX
}

/// What another node answers in time, if it does.
async fn within<T>(
    asking: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Option<T> {
    match tokio::time::timeout(limits::ORIGINAL_PEER_TIMEOUT, asking).await {
        Ok(Ok(response)) => Some(response.into_inner()),
        Ok(Err(status)) => {
            tracing::debug!(%status, "another node did not do what it was asked of an original");
            None
        }
        Err(_) => None,
    }
}

/// Works on files. The first read or write that fails ends the process.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, NotDone> {
    let stopping = NotDone::Unavailable(Unavailable::Stopping);
    match blocking::aside(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => {
            let stop = Stop::from(&error);
            exit::exit(stop.code, &stop.message)
        }
        Err(_) => Err(stopping),
    }
}
