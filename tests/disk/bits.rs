//! Damaged bytes: noticed or harmless, in a node that does not run and in one that does; and the
//! state made anew where it is the state that is damaged.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use counterfoil_tests::banking::account;
use counterfoil_tests::consortium::{AGENT, BANKS, Consortium};
use counterfoil_tests::kept::histories_are_the_same;

use crate::damage::{self, Damage, Outcome, Random, Trial};
use crate::nodes::ends;
use crate::worn::{self, Worn};

/// Trials of each kind of file, in the short form of the campaign.
const TRIALS: u64 = 4;

/// What a node needs to read everything again at once and for ever.
const SCRUB: [&str; 2] = ["disk.scrub_kib_per_second=1048576", "disk.scrub_pause_s=1"];

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_noticed_or_harmless_and_what_is_derived_can_be_made_anew() {
    let worn = worn::node().await;
    every_kind_of_file_is_damaged(&worn);
    the_state_is_made_anew(&worn);
    let Worn { consortium, node, .. } = worn;
    for place in (0..consortium.node_count()).filter(|place| *place != node) {
        consortium.start_node(place);
    }
    consortium.wait_ready();
    the_scrubber_finds_damage_while_the_node_runs(&consortium, node).await;
    answers_are_those_of_the_others(&consortium, node).await;
}

fn every_kind_of_file_is_damaged(worn: &Worn) {
    let classes = worn.template.classes();
    let expected = [
        "log *.log",
        "log *.sst",
        "log *.blob",
        "log MANIFEST",
        "state *.sst",
        "state.building *.sst",
        "snapshots content",
        "snapshots manifest",
        "node",
    ];
    for class in expected {
        assert!(classes.contains_key(class), "{class}: {:?}", classes.keys());
    }
    let mut random = Random(1);
    for (class, files) in &classes {
        for _ in 0..TRIALS {
            let trial = worn.template.choose(files, &mut random);
            let outcome = worn.template.run(&trial);
            assert!(!matches!(outcome, Outcome::Wrong(_)), "{class}: {trial}: {outcome:?}");
        }
    }
}

/// Damage of every kind to the state, and each time it is made anew.
fn the_state_is_made_anew(worn: &Worn) {
    let (consortium, node) = (&worn.consortium, worn.node);
    let data = consortium.home(consortium.institution(node)).join("data");
    let state = data.join("state");
    let whole = tempfile::tempdir().unwrap();
    damage::copy(&state, whole.path());
    let restore = || {
        fs::remove_dir_all(&state).unwrap();
        damage::copy(whole.path(), &state);
    };
    let largest = |ending: &str| {
        let files = fs::read_dir(&state).unwrap().map(|file| file.unwrap().path());
        let files = files.filter(|path| path.extension().is_some_and(|it| it == ending));
        files.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()
    };
    // Whole, but to be made anew: every header is compared, every certificate kept.
    let said = repair(consortium, node);
    assert!(said.contains("headers are those that were stored before"), "{said}");
    assert!(!said.contains(" 0 headers") && !said.contains("kept 0 "), "{said}");
    restore();
    fs::write(largest("sst"), "garbage").unwrap();
    fs::create_dir(data.join("state.building")).unwrap();
    repair(consortium, node);
    restore();
    fs::remove_file(state.join("CURRENT")).unwrap();
    repair(consortium, node);
    fs::remove_dir_all(&state).unwrap();
    repair(consortium, node);
    for leftover in ["state.building", "state.next", "state.old"] {
        assert!(!data.join(leftover).exists(), "{leftover}");
    }
    // With the log damaged there is nothing to make it of, and nothing is replaced.
    restore();
    let log = tempfile::tempdir().unwrap();
    damage::copy(&data.join("log"), log.path());
    let file = file_of(&data, "log", "sst");
    let length = fs::metadata(data.join(&file)).unwrap().len();
    Trial { file, damage: Damage::Cut { at: length / 2 } }.apply(&data);
    let (code, said) = run_repair(consortium, node);
    assert_eq!(code, Some(73), "{said}");
    fs::remove_dir_all(data.join("log")).unwrap();
    damage::copy(log.path(), &data.join("log"));
}

fn repair(consortium: &Consortium, node: usize) -> String {
    let (code, said) = run_repair(consortium, node);
    assert_eq!(code, Some(0), "{said}");
    said
}

fn run_repair(consortium: &Consortium, node: usize) -> (Option<i32>, String) {
    let mut command: Command = consortium.command(node, "repair");
    let output =
        command.arg("--index").stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    let said = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap()).concat();
    (output.status.code(), said)
}

/// The largest file of a kind in a part of a data directory, relative to it.
fn file_of(data: &Path, part: &str, ending: &str) -> PathBuf {
    let files = fs::read_dir(data.join(part)).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|it| it == ending));
    let largest = files.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    largest.strip_prefix(data).unwrap().to_owned()
}

async fn the_scrubber_finds_damage_while_the_node_runs(consortium: &Consortium, node: usize) {
    let data = consortium.home(consortium.institution(node)).join("data");
    let whole = tempfile::tempdir().unwrap();
    damage::copy(&data, whole.path());
    for (part, ending) in [("log", "sst"), ("log", "blob"), ("state", "sst")] {
        consortium.start_node_with(node, &SCRUB);
        consortium.await_metric(node, "counterfoil_scrub_passes_total", |passes| passes >= 1.0);
        assert!(consortium.metrics(node, "counterfoil_scrub_bytes_total", "") > 0.0);
        // In place, as a disk does it: the node has the file open.
        let file = file_of(&data, part, ending);
        flip_everywhere(&data.join(&file));
        ends(consortium, node, 73, &format!("damage in {}", file.display()));
        fs::remove_dir_all(&data).unwrap();
        damage::copy(whole.path(), &data);
    }
    // Its data are older than what it has acknowledged to this leader, who hears it no more.
    let leader = consortium.leader();
    consortium.kill_node(leader);
    consortium.start_node(leader);
    consortium.start_node(node);
    consortium.await_metric(node, "counterfoil_ready", |ready| ready == 1.0);
    consortium.leader();
}

/// Flips a bit in each 256 bytes, so that something that is read is hit.
fn flip_everywhere(path: &Path) {
    use std::os::unix::fs::FileExt;
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    for at in (128..length).step_by(256) {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    }
}

async fn answers_are_those_of_the_others(consortium: &Consortium, node: usize) {
    histories_are_the_same(consortium).await;
    let other = (node + 1) % consortium.node_count();
    let mut answers = Vec::new();
    for node in [node, other] {
        let client = consortium.client_at(AGENT, &[node]);
        let mut told = Vec::new();
        for bank in BANKS {
            let balance = client.balance(account(bank, "CHF"), None).await.unwrap();
            told.push(balance.value.balance.unwrap().minor_units);
        }
        answers.push(told);
    }
    assert_eq!(answers[0], answers[1]);
}
