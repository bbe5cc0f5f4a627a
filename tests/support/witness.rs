//! An ordinary witness, written from C2SP *tlog-witness*, *signed-note* and *tlog-cosignature* alone:
//! it knows origins and keys, and nothing of consortia, blocks or certificates.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use base64ct::{Base64, Encoding};
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::signature::{PublicKey, Signer, SoftwareSigner};

/// DER of a SubjectPublicKeyInfo up to the 32 bytes of an Ed25519 key (RFC 8410).
const ED25519_SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

/// What the witness answers: an HTTP status and a body.
pub type Answer = (u16, String);

/// A witness with its record on disk.
pub struct Witness {
    name: String,
    signer: SoftwareSigner,
    /// The keys that it trusts for each origin.
    logs: BTreeMap<String, Vec<Key>>,
    directory: PathBuf,
    /// Checking and recording are one step: two requests must not pass each other.
    recording: Mutex<()>,
}

/// A key that may sign for a log.
struct Key {
    name: String,
    id: [u8; 4],
    key: PublicKey,
}

/// The last checkpoint that was cosigned.
#[derive(Clone, PartialEq, Eq)]
struct Record {
    size: u64,
    root: Vec<u8>,
}

/// The id of a key (*signed-note*).
fn key_id(name: &str, kind: u8, key: &[u8]) -> [u8; 4] {
    let hash = Hash::of(&[name.as_bytes(), b"\n", &[kind], key].concat());
    hash.0[..4].try_into().expect("four bytes")
}

/// A verifier key (*vkey*) of kind 1: `name+id+base64(01 ‖ key)`.
pub fn vkey(name: &str, key: &[u8; 32]) -> String {
    let id: String = key_id(name, 1, key).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{name}+{id}+{}", Base64::encode_string(&[&[1], &key[..]].concat()))
}

impl Witness {
    /// A witness of a name that trusts these verifier keys, each for the log of its name, and keeps its
    /// record in a directory.
    pub fn open(name: &str, seed: &[u8; 32], vkeys: &[String], directory: &Path) -> Witness {
        let mut logs: BTreeMap<String, Vec<Key>> = BTreeMap::new();
        for vkey in vkeys {
            let parts: Vec<&str> = vkey.splitn(3, '+').collect();
            let [name, _, encoded] = parts[..] else { panic!("no vkey: {vkey}") };
            let bytes = Base64::decode_vec(encoded).expect("a vkey is base64");
            assert_eq!(bytes[0], 1, "an Ed25519 key");
            let id = key_id(name, 1, &bytes[1..]);
            let spki = [&ED25519_SPKI[..], &bytes[1..]].concat();
            let key = PublicKey::from_spki(&spki).expect("a key");
            let key = Key { name: name.to_owned(), id, key };
            logs.entry(name.to_owned()).or_default().push(key);
        }
        let signer = SoftwareSigner::from_ed25519_seed(seed);
        let (name, directory) = (name.to_owned(), directory.to_owned());
        Witness { name, signer, logs, directory, recording: Mutex::new(()) }
    }

    /// `POST add-checkpoint`: the lines of cosignature, or why not.
    pub fn add_checkpoint(&self, body: &str) -> Answer {
        self.judge(body).unwrap_or_else(|refusal| refusal)
    }

    fn judge(&self, body: &str) -> Result<Answer, Answer> {
        let bad = |why: &str| (400, why.to_owned());
        let (head, note) = body.split_once("\n\n").ok_or(bad("no empty line"))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old "));
        let old = old.and_then(decimal).ok_or(bad("no old size"))?;
        let proof: Vec<Hash> = lines.map(hash).collect::<Option<_>>().ok_or(bad("no hash"))?;
        if proof.len() > 63 {
            return Err(bad("a longer proof than any"));
        }
        let (text, signatures) = note.rsplit_once("\n\n").ok_or(bad("no note"))?;
        let text = format!("{text}\n");
        let mut fields = text.lines();
        let origin = fields.next().ok_or(bad("no origin"))?;
        let size = fields.next().and_then(decimal).ok_or(bad("no size"))?;
        let root = fields.next().and_then(hash).ok_or(bad("no root"))?;
        let keys = self.logs.get(origin).ok_or((404, String::new()))?;
        if !is_signed(&text, signatures, keys) {
            return Err((403, String::new()));
        }
        if old > size {
            return Err(bad("the old size is greater than the new"));
        }
        let _recording = self.recording.lock().expect("no test panics here");
        let last = self.last(origin);
        let conflict = (409, format!("{}\n", last.size));
        if old != last.size {
            return Err(conflict);
        }
        let new = Record { size, root: root.0.to_vec() };
        if old == size && old > 0 && new != last {
            return Err(conflict);
        }
        let last_root = Hash::from_slice(&last.root).expect("32 bytes were recorded");
        if !grows_from((old, last_root), (size, root), &proof) {
            return Err((422, String::new()));
        }
        self.record(origin, &new);
        Ok((200, self.cosignature(&text)))
    }

    fn cosignature(&self, text: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let message = format!("cosignature/v1\ntime {now}\n{text}");
        let signature = self.signer.sign(message.as_bytes()).expect("it signs");
        let id = key_id(&self.name, 4, &self.signer.spki()[12..]);
        let bytes = [&id[..], &now.to_be_bytes(), &signature].concat();
        format!("\u{2014} {} {}\n", self.name, Base64::encode_string(&bytes))
    }

    fn file(&self, origin: &str) -> PathBuf {
        self.directory.join(Hash::of(origin.as_bytes()).to_string())
    }

    fn last(&self, origin: &str) -> Record {
        let Ok(text) = fs::read_to_string(self.file(origin)) else {
            return Record { size: 0, root: Hash::of(&[]).0.to_vec() };
        };
        let (size, root) = text.trim_end().split_once(' ').expect("it was recorded");
        let root = Base64::decode_vec(root).expect("it was recorded");
        Record { size: size.parse().expect("it was recorded"), root }
    }

    /// On disk before the cosignature leaves.
    fn record(&self, origin: &str, record: &Record) {
        let partial = self.directory.join("partial");
        let mut file = File::create(&partial).expect("the directory can be written");
        let line = format!("{} {}\n", record.size, Base64::encode_string(&record.root));
        file.write_all(line.as_bytes()).expect("it is written");
        file.sync_all().expect("it is on disk");
        fs::rename(partial, self.file(origin)).expect("the directory can be written");
        File::open(&self.directory).and_then(|it| it.sync_all()).expect("it is on disk");
    }
}

/// Whether a trusted key signed, and no line of one is wrong.
fn is_signed(text: &str, lines: &str, keys: &[Key]) -> bool {
    let mut is_signed = false;
    for line in lines.lines() {
        let Some((name, encoded)) =
            line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' '))
        else {
            return false;
        };
        let Ok(bytes) = Base64::decode_vec(encoded) else { return false };
        let Some((id, value)) = bytes.split_first_chunk::<4>() else { return false };
        let Some(key) = keys.iter().find(|key| key.name == name && key.id == *id) else { continue };
        let Ok(value) = <&[u8; 64]>::try_from(value) else { return false };
        if !key.key.verify(text.as_bytes(), value) {
            return false;
        }
        is_signed = true;
    }
    is_signed
}

/// RFC 6962, 2.1.2, read as RFC 9162, 2.1.4.2 has it: whether one tree begins with another.
fn grows_from((old, old_root): (u64, Hash), (new, new_root): (u64, Hash), proof: &[Hash]) -> bool {
    if old == 0 {
        return proof.is_empty();
    }
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    let mut proof = proof.to_vec();
    if old.is_power_of_two() {
        proof.insert(0, old_root);
    }
    let Some((start, rest)) = proof.split_first() else { return false };
    let (mut fr, mut sr) = (*start, *start);
    let (mut place, mut last) = (old - 1, new - 1);
    while place % 2 == 1 {
        (place, last) = (place / 2, last / 2);
    }
    for step in rest {
        if last == 0 {
            return false;
        }
        if place % 2 == 1 || place == last {
            (fr, sr) = (parent(step, &fr), parent(step, &sr));
            while place % 2 == 0 && place != 0 {
                (place, last) = (place / 2, last / 2);
            }
        } else {
            sr = parent(&sr, step);
        }
        (place, last) = (place / 2, last / 2);
    }
    last == 0 && fr == old_root && sr == new_root
}

fn parent(left: &Hash, right: &Hash) -> Hash {
    Hash::of(&[&[1], &left.0[..], &right.0[..]].concat())
}

fn hash(text: &str) -> Option<Hash> {
    Hash::from_slice(&Base64::decode_vec(text).ok()?)
}

/// Decimal without leading zeros.
fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}
