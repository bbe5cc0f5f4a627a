//! The verifier in Python, which shares nothing with this repository but the page that describes the
//! bytes, says the same of every receipt as the one in the ledger: of what a chain gives, and of what
//! is wrong in any field.

#![allow(clippy::unwrap_used, missing_docs)]

mod certificates;
mod epochs;
mod fields;
mod forged;
#[path = "../../ledger/tests/support/mod.rs"]
mod support;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use counterfoil_ledger::{
    genesis::Genesis,
    signature::key_id,
    verify::{self, Finality, Trust},
};
use counterfoil_proto::v1;
use fields::Field;
use prost::Message;
use world::World;

/// What Python has to have been given after.
const PYTHON_MAX: Duration = Duration::from_secs(300);

/// At least this many receipts verify, and as many do not.
const EACH_MIN: usize = 8_000;

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("second_verifier/receipt.py")
}

/// What the ledger's own verifier says, in the words of the other one.
fn verdict(trust: &Trust, bytes: &[u8]) -> String {
    let verified = verify::read::<v1::Receipt>(&Bytes::copy_from_slice(bytes))
        .and_then(|receipt| verify::receipt(trust, &receipt));
    let Ok(verified) = verified else { return "refused".to_owned() };
    let height = verified.header.height;
    let item = verified.item.as_ref().map_or(0, |item| item.number);
    let outcome = hex(&verified.outcome.encode());
    match verified.finality {
        Finality::Ordered => format!("ordered {height} {item} {outcome}"),
        Finality::Final { certified_height, .. } => {
            format!("final {height} {certified_height} {item} {outcome}")
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs the Python verifier; its exit code and what it prints, or nothing if it did not end in time.
fn python(arguments: &[&Path], out: &Path) -> Option<(i32, String)> {
    let output = fs::File::create(out).unwrap();
    let mut child = Command::new("python3")
        .arg(script())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PYTHON_MAX;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some((status.code().unwrap(), fs::read_to_string(out).unwrap()));
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn python_is_there() {
    let check = Command::new("python3").args(["-c", "import cryptography"]).output();
    assert!(
        check.is_ok_and(|check| check.status.success()),
        "this test needs Python with `cryptography`. Run: sudo apt-get install -y --no-install-recommends \
         python3 python3-cryptography"
    );
}

/// Asks both about every receipt, and counts the answers by their first word.
fn compare(
    trust: &Trust,
    epochs: Option<&v1::EpochChain>,
    receipts: &[Vec<u8>],
) -> BTreeMap<String, usize> {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("genesis"), trust.genesis().bytes()).unwrap();
    let mut framed = Vec::new();
    for receipt in receipts {
        framed.extend(u32::try_from(receipt.len()).unwrap().to_be_bytes());
        framed.extend(receipt);
    }
    fs::write(at("receipts"), framed).unwrap();
    let [genesis_flag, epochs_flag, framed_flag] =
        ["--genesis", "--epochs", "--framed"].map(PathBuf::from);
    let mut arguments = vec![genesis_flag, at("genesis"), framed_flag, at("receipts")];
    if let Some(epochs) = epochs {
        fs::write(at("epochs"), epochs.encode_to_vec()).unwrap();
        arguments.extend([epochs_flag, at("epochs")]);
    }
    let arguments: Vec<&Path> = arguments.iter().map(PathBuf::as_path).collect();
    let (code, lines) = python(&arguments, &at("lines")).expect("Python ends in time");
    assert_eq!(code, 0, "{lines}");
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), receipts.len());
    let mut counts = BTreeMap::new();
    for (receipt, line) in receipts.iter().zip(lines) {
        let ours = verdict(trust, receipt);
        assert_eq!(ours, line, "the ledger and then Python of the receipt {}", hex(receipt));
        *counts.entry(line.split(' ').next().unwrap().to_owned()).or_default() += 1;
    }
    counts
}

/// Receipts of everything in a chain: ordered, and final by certificates of every distance.
fn genuine(world: &World) -> Vec<v1::Receipt> {
    let last = world.chain.blocks.len() - 1;
    let mut receipts = Vec::new();
    for height in 1..=last {
        for (leaf, receipt) in world.receipts(height).into_iter().enumerate() {
            let skipped = leaf as u64 % 4;
            let later = height + (last - height) / 2;
            let certified = [height, later, last - leaf % 2].map(|it| it.max(height));
            receipts.extend(certified.map(|it| world.finalise(&receipt, it, skipped)));
            receipts.push(receipt);
        }
    }
    receipts
}

/// Some receipts from all over, in which every field of the message is set: what the corruptions are of.
fn samples(receipts: &[v1::Receipt], count: usize) -> Vec<Vec<Field>> {
    // Odd: `genuine` makes four of each leaf, and all of them have to come.
    let step = (receipts.len() / count) | 1;
    // Few transfers come after the books that they are in.
    let hashed =
        receipts.iter().filter(|it| !it.effects_hash.is_empty()).skip(1).step_by(2).take(2);
    let samples = receipts.iter().step_by(step).chain(hashed);
    let samples = samples.map(|it| fields::receipt(&it.encode_to_vec()));
    let samples: Vec<Vec<Field>> = samples.collect();
    let set: BTreeSet<u64> = samples.iter().flatten().map(Field::number).collect();
    assert_eq!(set, (1..=14).collect());
    samples
}

fn corrupted(receipts: &[v1::Receipt], count: usize) -> Vec<Vec<u8>> {
    let samples = samples(receipts, count);
    let mut all: Vec<Vec<u8>> = samples.iter().flat_map(|it| fields::corruptions(it)).collect();
    for (place, sample) in samples.iter().enumerate() {
        all.extend(fields::mixtures(sample, &samples[(place + 1) % samples.len()]));
    }
    all
}

fn encoded(receipts: &[v1::Receipt]) -> Vec<Vec<u8>> {
    receipts.iter().map(Message::encode_to_vec).collect()
}

fn of_a_batch(receipts: &[v1::Receipt]) -> &v1::Receipt {
    let final_item = |it: &&v1::Receipt| {
        it.item_number == 2 && it.history_path.is_empty() && it.certificate.is_some()
    };
    receipts.iter().find(final_item).unwrap()
}

#[test]
fn python_says_the_same_of_every_receipt() {
    python_is_there();
    let four = World::new(&["Central", "Alpha", "Beta", "Gamma"], 0, &[3], 14);
    let seven = ["Central", "Alpha", "Beta", "Gamma", "Delta", "Epsilon", "Zeta"];
    let seven = World::new(&seven, 6, &[2, 5], 6);
    let mut counts = BTreeMap::new();
    for (world, sampled) in [(&four, 10), (&seven, 5)] {
        let genuine = genuine(world);
        let mut receipts = encoded(&genuine);
        receipts.extend(corrupted(&genuine, sampled));
        receipts.extend(encoded(&forged::forgeries(world, of_a_batch(&genuine))));
        for (word, count) in compare(&Trust::new(world.genesis().clone()), None, &receipts) {
            *counts.entry(word).or_insert(0) += count;
        }
    }
    println!("{counts:?}");
    let verified = counts["final"] + counts["ordered"];
    assert!(verified >= EACH_MIN && counts["refused"] >= EACH_MIN, "{counts:?}");
}

#[test]
fn python_follows_a_change_of_who_signs() {
    python_is_there();
    let world = World::new(&["Central", "Alpha", "Beta", "Gamma"], 0, &[3], 1);
    let genuine = genuine(&world);
    let (chain, receipts) = epochs::change(&world, &genuine[..genuine.len().min(40)]);
    let mut trust = Trust::new(world.genesis().clone());
    trust.extend(&chain).unwrap();
    let counts = compare(&trust, Some(&chain), &encoded(&receipts));
    assert!(counts["final"] > 0 && counts["refused"] > 0, "{counts:?}");
    // Without the chain nothing of the second epoch holds.
    compare(&Trust::new(world.genesis().clone()), None, &encoded(&receipts));
}

/// A genesis file or an epoch chain that is wrong in any field is nothing to read a receipt against.
#[test]
fn python_takes_the_same_files_to_read_against() {
    python_is_there();
    let world = World::new(&["Central", "Alpha", "Beta"], 2, &[3], 1);
    let receipt = world.finalise(&world.receipts(1)[0], 1, 0);
    let (chain, _) = epochs::change(&world, std::slice::from_ref(&receipt));
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("receipt"), receipt.encode_to_vec()).unwrap();
    let taken = |genesis: &[u8], epochs: &[u8]| {
        fs::write(at("genesis"), genesis).unwrap();
        fs::write(at("epochs"), epochs).unwrap();
        let arguments = ["--genesis", "genesis", "--epochs", "epochs", "receipt"];
        let path = |name: &str| if name.starts_with('-') { name.into() } else { at(name) };
        let arguments = arguments.map(path);
        let arguments: Vec<&Path> = arguments.iter().map(PathBuf::as_path).collect();
        let (code, _) = python(&arguments, &at("lines")).expect("Python ends in time");
        code != 2
    };
    let step = 61;
    let file = world.genesis().bytes();
    for genesis in fields::corruptions(&fields::genesis(file)).iter().step_by(step) {
        assert_eq!(Genesis::decode(genesis).is_ok(), taken(genesis, &[]), "{}", hex(genesis));
    }
    for genesis in genesis_files(world.genesis().message()) {
        let genesis = genesis.encode_to_vec();
        assert_eq!(Genesis::decode(&genesis).is_ok(), taken(&genesis, &[]), "{}", hex(&genesis));
    }
    let chain = chain.encode_to_vec();
    assert!(taken(file, &chain));
    for chain in fields::corruptions(&fields::epochs(&chain)).iter().step_by(step) {
        let mut trust = Trust::new(world.genesis().clone());
        let read = verify::read::<v1::EpochChain>(&Bytes::copy_from_slice(chain));
        let holds = read.and_then(|chain| trust.extend(&chain)).is_ok();
        assert_eq!(holds, taken(file, chain), "{}", hex(chain));
    }
}

/// Genesis files on both sides of rules that a changed byte does not come near.
fn genesis_files(genesis: &v1::Genesis) -> Vec<v1::Genesis> {
    let mut files = Vec::new();
    let mut add = |change: &dyn Fn(&mut v1::Genesis)| {
        files.push(genesis.clone());
        change(files.last_mut().unwrap());
    };
    let long = format!("{}:1", "h".repeat(253));
    for address in [
        "h:0", "h:65535", "h:65536", "h:+80", "h:00080", "h:", ":80", "h", "[::1]:1", "h\n:1",
        "é:1", &long,
    ] {
        add(&|it| it.nodes[0].peer_address = address.to_owned());
    }
    add(&|it| it.nodes[1].client_address = format!("h{long}"));
    for name in ["a", "a.b", "a..b", "-a", "a-", "a-.b", "a.", ".a", "A", "a_b", "a\n", ""] {
        add(&|it| it.consortium = name.to_owned());
    }
    for length in [63, 64] {
        add(&|it| it.consortium = "a".repeat(length));
    }
    for quorum in 0..5 {
        add(&|it| {
            it.policy = Some(v1::Policy {
                finality_quorum: quorum,
                certificate_lag_ms: 9,
                ..v1::Policy::default()
            })
        });
    }
    for name in ["", "x", " x", "x ", "x\n", "(1)/-?:.,'+ x", "é"] {
        add(&|it| it.institutions[0].keys[0].name = name.to_owned());
    }
    add(&|it| it.institutions[0].keys[0].name = "x".repeat(36));
    for length in [0, 140, 141] {
        add(&|it| it.institutions[0].name = "x".repeat(length));
    }
    add(&|it| it.institutions[1].name = "é".repeat(71));
    for length in [0, 4_096, 4_097] {
        add(&|it| it.institutions[0].trust_anchor = vec![0; length].into());
    }
    for code in ["C", "CHF-12345678", "CHF-123456789", "chf", "CHF\n", ""] {
        add(&|it| it.assets[0].code = code.to_owned());
    }
    for scope in [-1, 0, 2, 3] {
        add(&|it| it.institutions[0].audit_scope = scope);
        add(&|it| it.institutions[0].keys[0].purpose = scope);
    }
    add(&|it| it.nodes[1].institution = it.nodes[0].institution.clone());
    for role in [-1, 1, 2] {
        add(&|it| it.nodes[0].role = role);
    }
    add(&|it| it.nodes.iter_mut().for_each(|node| node.role = 1));
    // An institution's second node, which has a key of its own: a learner under another name.
    for (role, name) in [(0, "node-2"), (1, "node-2"), (1, "node-1")] {
        add(&|it| {
            let id = it.nodes[1].attestation_key_id.clone();
            let is_its = |key: &v1::Key| key_id(&key.public_key).as_bytes()[..] == id[..];
            let keys: Vec<v1::Key> =
                it.institutions[1].keys.extract_if(.., |key| is_its(key)).collect();
            it.institutions[0].keys.extend(keys);
            it.institutions[0].keys.sort_by_key(|key| key_id(&key.public_key));
            it.nodes[1].institution = it.institutions[0].bic.clone();
            (it.nodes[1].role, it.nodes[1].name) = (role, name.to_owned());
        });
    }
    add(&|it| it.nodes[1].attestation_key_id = it.nodes[0].attestation_key_id.clone());
    add(&|it| it.nodes.truncate(1));
    add(&|it| it.institutions[1].keys = it.institutions[0].keys.clone());
    files
}
