//! What holds for the source as a text: who may import whom, which vendor is known where, how long a
//! file may be, and that the reference pages are what the programs print. Every rule is tried on a
//! text that breaks it, so that none of them passes by looking away.

#![allow(clippy::unwrap_used)]

#[path = "tidy/bites.rs"]
mod bites;
#[path = "tidy/threats.rs"]
mod threats;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use counterfoil_tests::consortium::binary;

/// Which crates of the workspace each crate may depend on.
const CRATES: &[(&str, &[&str])] = &[
    ("proto", &[]),
    ("ledger", &["counterfoil-proto"]),
    ("client-sdk", &["counterfoil-ledger", "counterfoil-proto"]),
    ("admin-cli", &["counterfoil-client", "counterfoil-ledger", "counterfoil-proto"]),
    ("node", &["counterfoil-ledger", "counterfoil-proto"]),
    (
        "tests",
        &["counterfoil-client", "counterfoil-ledger", "counterfoil-node", "counterfoil-proto"],
    ),
    (
        "fuzz",
        &["counterfoil-client", "counterfoil-ledger", "counterfoil-node", "counterfoil-proto"],
    ),
];

/// What the ledger may depend on: nothing here reads a clock, a file, a socket or a random number.
const LEDGER_DEPENDENCIES: &[&str] = &[
    "base64ct",
    "bytes",
    "counterfoil-proto",
    "ed25519-dalek",
    "p256",
    "pkcs8",
    "prost",
    "sha2",
    "thiserror",
];

/// Which modules of `node/src` each module may import. Read from above, this is the architecture.
const NODE_IMPORTS: &[(&str, &[&str])] = &[
    ("shares", &[]),
    ("budget", &[]),
    ("limits", &["shares"]),
    ("clock", &[]),
    ("exit", &[]),
    ("blocking", &[]),
    ("bounded_file", &[]),
    ("telemetry", &["limits"]),
    ("config", &["bounded_file", "limits", "telemetry"]),
    ("identity", &["bounded_file", "budget", "clock", "limits", "telemetry"]),
    ("listener", &["budget", "exit", "identity", "limits", "shares", "telemetry"]),
    ("connector", &["identity", "limits"]),
    ("defect", &[]),
    ("storage", &["defect"]),
    (
        "consensus",
        &[
            "blocking",
            "budget",
            "clock",
            "config",
            "defect",
            "exit",
            "identity",
            "limits",
            "misbehaviour",
            "shares",
            "storage",
            "telemetry",
        ],
    ),
    ("status", &["clock", "consensus", "identity", "storage", "telemetry"]),
    (
        "api",
        &[
            "clock",
            "consensus",
            "defect",
            "identity",
            "limits",
            "listener",
            "misbehaviour",
            "shares",
            "status",
            "storage",
            "telemetry",
        ],
    ),
    (
        "boot",
        &[
            "bounded_file",
            "clock",
            "config",
            "exit",
            "identity",
            "limits",
            "listener",
            "storage",
            "telemetry",
        ],
    ),
    ("check", &["boot", "clock", "config", "exit", "identity", "listener", "storage"]),
    (
        "node",
        &[
            "api",
            "boot",
            "clock",
            "config",
            "connector",
            "consensus",
            "exit",
            "identity",
            "limits",
            "listener",
            "misbehaviour",
            "scrubber",
            "status",
            "storage",
            "telemetry",
        ],
    ),
    // In builds that tests alone make.
    ("misbehaviour", &["clock", "consensus", "limits"]),
    ("process", &["config", "exit", "limits", "node", "telemetry"]),
    ("scrubber", &["config", "exit", "limits", "storage", "telemetry"]),
    ("repair", &["boot", "config", "consensus", "exit", "storage"]),
];

/// The only places where a name may be written outside of tests; a directory ends with a slash.
const FENCES: &[(&str, &[&str])] = &[
    ("openraft", &["node/src/consensus/"]),
    ("rocksdb", &["node/src/storage/"]),
    (
        "x509_parser",
        &[
            "node/src/identity/certificate.rs",
            "client-sdk/src/certificate.rs",
            "admin-cli/src/certificate.rs",
        ],
    ),
    ("rustls", &["node/src/identity/tls/", "client-sdk/src/tls.rs"]),
    ("ring", &["node/src/identity/tls/", "client-sdk/src/tls.rs"]),
    ("quick_xml", &["client-sdk/src/formats/xml/"]),
    (
        "rcgen",
        &["admin-cli/src/commands/pki/", "admin-cli/src/private_key.rs", "fuzz/src/files.rs"],
    ),
    (
        "SystemTime::now",
        &[
            "node/src/clock.rs",
            "client-sdk/src/clock.rs",
            "admin-cli/src/moment.rs",
            "admin-cli/src/commands/pki/mod.rs",
        ],
    ),
    ("metrics_exporter_prometheus", &["node/src/telemetry/"]),
    ("hpke", &["client-sdk/src/sealed/"]),
    ("chacha20poly1305", &["client-sdk/src/sealed/"]),
    ("getrandom", &["node/src/", "client-sdk/src/random.rs", "admin-cli/src/random.rs"]),
];

/// What may not be written in the ledger: with any of these, two nodes could decide differently.
const IMPURE: &[&str] = &[
    "HashMap",
    "HashSet",
    "SystemTime",
    "Instant",
    "std::env",
    "std::fs",
    "std::net",
    "std::thread",
    "f32",
    "f64",
    "println",
    "eprintln",
];

/// A file longer than this is more than one noun.
const LINES_MAX: usize = 600;

/// Words that promise work instead of doing it. Taken apart, so that this file may name them.
const PROMISES: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("HA", "CK")];

/// A text file of the repository, its path relative to the root.
struct Text {
    path: String,
    text: String,
}

impl Text {
    fn of(path: &str, text: &str) -> Text {
        Text { path: path.to_owned(), text: text.to_owned() }
    }

    /// Whether the whole file is for tests.
    fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap();
        matches!(name, "tests.rs" | "fixture.rs" | "hostile.rs") || self.path.contains("/tests/")
    }

    /// The lines of code that is not for tests, with their numbers, without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests = self.text.match_indices("#[cfg(test)]").map(|(at, _)| at).find(|at| {
            let mut after = self.text[*at..].lines().skip_while(|line| line.starts_with('#'));
            after.next().is_some_and(|line| line.ends_with("mod tests {"))
        });
        let end = if self.is_test() { 0 } else { tests.unwrap_or(self.text.len()) };
        let lines = (1..).zip(self.text[..end].lines());
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    fn at(&self, line: usize, words: &str) -> String {
        format!("{}:{line}: {words}", self.path)
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every text file whose name ends so, but for what is built.
fn texts(endings: &[&str]) -> Vec<Text> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let name = entry.file_name().into_string().unwrap();
            if kind.is_dir() && name != "target" && (!name.starts_with('.') || name == ".ci") {
                walk(&path, found);
            } else if kind.is_file() {
                found.push(path);
            }
        }
    }
    let (root, mut found) = (root(), Vec::new());
    walk(&root, &mut found);
    found.sort();
    let named = |path: &PathBuf| endings.iter().any(|end| path.to_str().unwrap().ends_with(end));
    let read = |path: PathBuf| Text {
        path: path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(),
        text: fs::read_to_string(&path).unwrap(),
    };
    found.into_iter().filter(named).map(read).collect()
}

fn none(violations: Vec<String>) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

/// The positions at which a whole word stands in a line.
fn words<'a>(line: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part_of_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    line.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = at.checked_sub(1).and_then(|before| line.as_bytes().get(before));
        let after = line.as_bytes().get(at + word.len());
        !before.is_some_and(part_of_word) && !after.is_some_and(part_of_word)
    })
}

/// The names in the tables of dependencies of a manifest, with the line's number.
fn dependencies(manifest: &Text) -> Vec<(usize, String)> {
    let mut within = false;
    let mut found = Vec::new();
    for (number, line) in (1..).zip(manifest.text.lines()) {
        if line.starts_with('[') {
            within = line.trim_end().ends_with("dependencies]");
        } else if let Some((name, _)) = line.split_once('=').filter(|_| within) {
            found.push((number, name.trim().trim_end_matches(".workspace").to_owned()));
        }
    }
    found
}

fn crate_imports(manifest: &Text) -> Vec<String> {
    let name = manifest.path.trim_end_matches("/Cargo.toml");
    let Some((_, allowed)) = CRATES.iter().find(|(of, _)| *of == name) else {
        return vec![manifest.at(1, "this crate is not in the table of tests/tidy.rs")];
    };
    let ours = |name: &str| name.starts_with("counterfoil");
    let mut violations = Vec::new();
    for (line, import) in dependencies(manifest) {
        if ours(&import) && !allowed.contains(&import.as_str()) {
            violations.push(manifest.at(line, &format!("{name} must not depend on {import}")));
        }
        if name == "ledger" && !LEDGER_DEPENDENCIES.contains(&import.as_str()) {
            // What only its tests need cannot decide anything.
            let tests = manifest.text.find("[dev-dependencies]").unwrap_or(usize::MAX);
            let at = manifest.text.lines().take(line - 1).map(|line| line.len() + 1).sum::<usize>();
            if at < tests {
                violations.push(manifest.at(line, &format!("the ledger is pure: not {import}")));
            }
        }
    }
    if !manifest.text.contains("[lints]\nworkspace = true") {
        violations.push(manifest.at(1, "the lints of the workspace are not switched on"));
    }
    violations
}

fn node_imports(file: &Text) -> Vec<String> {
    let Some(path) = file.path.strip_prefix("node/src/") else { return Vec::new() };
    let module = path.split('/').next().unwrap().trim_end_matches(".rs");
    if matches!(module, "lib" | "main" | "misbehaving") {
        return Vec::new();
    }
    let Some((_, allowed)) = NODE_IMPORTS.iter().find(|(of, _)| *of == module) else {
        return vec![file.at(1, &format!("{module} is not in the table of tests/tidy.rs"))];
    };
    let depth = path.trim_end_matches("/mod.rs").split('/').count();
    let mut violations = Vec::new();
    for (number, line) in file.code() {
        if line.contains("crate::{") {
            violations.push(file.at(number, "write one path for each `use` of crate::"));
        }
        if line.contains(&"super::".repeat(depth)) {
            violations.push(file.at(number, "write crate:: instead of super:: up to the root"));
        }
        for at in words(line, "crate") {
            let Some(import) = line[at..].strip_prefix("crate::") else { continue };
            let end = import.find(|letter: char| !letter.is_ascii_lowercase() && letter != '_');
            let import = &import[..end.unwrap_or(import.len())];
            if !import.is_empty() && import != module && !allowed.contains(&import) {
                violations.push(file.at(number, &format!("{module} must not import {import}")));
            }
        }
    }
    violations
}

fn fences(file: &Text) -> Vec<String> {
    let mut violations = Vec::new();
    if !file.path.contains("/src/") {
        return violations;
    }
    for (vendor, places) in FENCES {
        if places.iter().any(|place| file.path.starts_with(place)) {
            continue;
        }
        for (number, line) in file.code() {
            let is_path = |at: usize| {
                let rest = &line[at + vendor.len()..];
                rest.starts_with("::")
                    || rest.starts_with('(')
                    || line.trim_start().starts_with("use ")
            };
            if words(line, vendor).any(is_path) {
                violations.push(file.at(number, &format!("{vendor} is known only in {places:?}")));
            }
        }
    }
    violations
}

fn purity(file: &Text) -> Vec<String> {
    let mut violations = Vec::new();
    if file.path.starts_with("ledger/src/") {
        for (number, line) in file.code() {
            for word in IMPURE.iter().filter(|word| words(line, word).next().is_some()) {
                violations.push(file.at(number, &format!("the ledger is pure: not {word}")));
            }
        }
    }
    violations
}

fn shape(file: &Text) -> Vec<String> {
    let mut violations = Vec::new();
    let lines = file.text.lines().count();
    let is_code = [".rs", ".sh", ".py"].iter().any(|end| file.path.ends_with(end));
    if is_code && lines > LINES_MAX {
        violations.push(file.at(lines, &format!("more than {LINES_MAX} lines: split it")));
    }
    let says = file.text.starts_with("//!") || file.is_test();
    if file.path.ends_with(".rs") && !says {
        violations.push(file.at(1, "the first line does not say what the file holds"));
    }
    for (number, line) in (1..).zip(file.text.lines()) {
        for word in PROMISES.iter().filter(|word| words(line, word).next().is_some()) {
            violations.push(file.at(number, &format!("{word}: do it, or leave the word out")));
        }
    }
    violations
}

/// What a page names that does not exist: links, and paths in backticks.
fn dead_names(page: &Text, exists: impl Fn(&str) -> bool) -> Vec<String> {
    const TOP: [&str; 9] = [
        "proto/",
        "ledger/",
        "node/",
        "client-sdk/",
        "admin-cli/",
        "deploy/",
        "docs/",
        "tests/",
        ".ci/",
    ];
    let directory = page.path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let mut violations = Vec::new();
    for (number, line) in (1..).zip(page.text.lines()) {
        for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap();
            if !file.is_empty() && !file.contains("://") && !exists(&resolve(directory, file)) {
                violations.push(page.at(number, &format!("there is no {target}")));
            }
        }
        for name in line.split('`').skip(1).step_by(2) {
            let is_path =
                TOP.iter().any(|top| name.starts_with(top)) && !name.contains([' ', '*', '{', '<']);
            if is_path && !exists(name.trim_end_matches('/')) {
                violations.push(page.at(number, &format!("there is no {name}")));
            }
        }
    }
    violations
}

fn resolve(directory: &str, target: &str) -> String {
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The rows that a page has and a table has not, and the other way round.
fn table_differences(page: &Text, table: &str) -> Vec<String> {
    let rows = |text: &str| -> BTreeSet<String> {
        text.lines().filter(|line| line.starts_with('|')).map(str::to_owned).collect()
    };
    let (page_rows, rows) = (rows(&page.text), rows(table));
    let missing = rows.difference(&page_rows).map(|row| page.at(1, &format!("missing: {row}")));
    let stale = page_rows.difference(&rows).map(|row| page.at(1, &format!("stale: {row}")));
    missing.chain(stale).collect()
}

/// The metrics of the table that nothing counts; the table's file is given first.
fn uncounted(table: &Text, others: &[Text]) -> Vec<String> {
    let mut violations = Vec::new();
    for (number, line) in (1..).zip(table.text.lines()) {
        let Some((name, kind)) = line.trim().split_once(": ") else { continue };
        let is_metric =
            ["Counter =", "Gauge =", "Histogram ="].iter().any(|of| kind.starts_with(of));
        let counted = |file: &Text| file.code().any(|(_, line)| words(line, name).next().is_some());
        let verbs = ["counter", "gauge", "histogram", "increment", "set"];
        let counted_here = verbs.iter().any(|verb| table.text.contains(&format!("{name}.{verb}(")));
        if is_metric && !counted_here && !others.iter().any(counted) {
            violations.push(table.at(number, &format!("nothing counts {name}")));
        }
    }
    violations
}

fn printed(program: &str, verbs: &str) -> String {
    let output = Command::new(binary(program)).args(verbs.split(' ')).output().unwrap();
    assert!(output.status.success(), "{program} {verbs}");
    String::from_utf8(output.stdout).unwrap()
}

fn page(path: &str) -> Text {
    Text::of(path, &fs::read_to_string(root().join(path)).unwrap())
}

#[test]
fn crates_import_downwards() {
    let manifests = texts(&["/Cargo.toml"]);
    let members = manifests.iter().filter(|manifest| manifest.path.contains('/'));
    let violations: Vec<String> = members.flat_map(crate_imports).collect();
    none(violations);
}

#[test]
fn modules_of_the_node_import_downwards() {
    none(texts(&[".rs"]).iter().flat_map(node_imports).collect());
}

#[test]
fn vendors_stay_behind_their_doors() {
    none(texts(&[".rs"]).iter().flat_map(fences).collect());
}

#[test]
fn the_ledger_is_pure() {
    none(texts(&[".rs"]).iter().flat_map(purity).collect());
}

#[test]
fn files_are_short_say_what_they_hold_and_promise_nothing() {
    let endings = [".rs", ".sh", ".py", ".md", ".toml", ".proto", "Makefile", ".ci/run"];
    none(texts(&endings).iter().flat_map(shape).collect());
}

#[test]
fn pages_name_what_exists() {
    let root = root();
    let exists = |path: &str| root.join(path).exists();
    none(texts(&[".md"]).iter().flat_map(|page| dead_names(page, exists)).collect());
}

#[test]
fn reference_pages_are_what_the_programs_print() {
    let pages = [
        ("docs/reference/exit-codes.md", "counterfoil", "exit-codes -o markdown"),
        ("docs/reference/reasons.md", "counterfoil", "reasons -o markdown"),
        ("docs/reference/node-exit-codes.md", "counterfoil-node", "exit-codes"),
        ("docs/reference/metrics.md", "counterfoil-node", "metrics"),
    ];
    let differences = pages.iter().flat_map(|(path, program, verbs)| {
        table_differences(&page(path), &printed(program, verbs))
    });
    none(differences.collect());
    let example = printed("counterfoil-node", "config");
    let configuration = page("docs/reference/configuration.md");
    assert!(
        configuration.text.contains(&example),
        "{}: the file in it is not what `counterfoil-node config` prints",
        configuration.path
    );
}

#[test]
fn every_metric_is_counted() {
    let table = "node/src/telemetry/metrics.rs";
    let others: Vec<Text> = texts(&[".rs"])
        .into_iter()
        .filter(|file| file.path.starts_with("node/src/") && file.path != table)
        .collect();
    none(uncounted(&page(table), &others));
}
