//! Each rule finds what breaks it, and leaves alone what does not.

use super::*;

fn found(violations: Vec<String>, words: &str) {
    assert!(violations.len() == 1 && violations[0].contains(words), "{violations:?}");
}

#[test]
fn crates() {
    let manifest = |path: &str, dependencies: &str| {
        let text = format!("[lints]\nworkspace = true\n\n[dependencies]\n{dependencies}");
        crate_imports(&Text::of(path, &text))
    };
    let upwards = "counterfoil-node.workspace = true\n";
    found(manifest("ledger/Cargo.toml", "tokio.workspace = true\n"), "not tokio");
    found(manifest("client-sdk/Cargo.toml", upwards), "must not depend on counterfoil-node");
    found(manifest("node/Cargo.toml", "counterfoil-tests = { path = \"../tests\" }\n"), "tests");
    found(manifest("common/Cargo.toml", ""), "not in the table");
    found(crate_imports(&Text::of("proto/Cargo.toml", "[package]\n")), "lints");
    none(manifest("admin-cli/Cargo.toml", "counterfoil-client.workspace = true\nclap = \"4\"\n"));
    let for_tests = "bytes = \"1\"\n\n[dev-dependencies]\nproptest = \"1\"\n";
    none(manifest("ledger/Cargo.toml", for_tests));
}

#[test]
fn modules() {
    let check = |path: &str, text: &str| node_imports(&Text::of(path, text));
    let schema = "node/src/storage/schema.rs";
    found(
        check(schema, "//! x\nuse crate::api::Caller;\n"),
        "schema.rs:2: storage must not import api",
    );
    found(check(schema, "fn f() -> crate::consensus::Replica {}\n"), "must not import consensus");
    found(check("node/src/consensus/log.rs", "use crate::{clock, api};\n"), "one path for each");
    found(check(schema, "use super::super::api::Caller;\n"), "instead of super");
    found(check("node/src/helpers.rs", ""), "helpers is not in the table");
    none(check("node/src/api/caller.rs", "use crate::consensus::Replica;\n// crate::node\n"));
    let tests = "fn f() {}\n\n#[cfg(test)]\nmod tests {\n    use crate::api::Caller;\n}\n";
    none(check(schema, tests));
}

#[test]
fn vendors() {
    let check = |path: &str, text: &str| fences(&Text::of(path, text));
    found(check("node/src/api/mod.rs", "use openraft::Raft;\n"), "openraft is known only");
    found(check("node/src/consensus/log.rs", "fn f(db: &rocksdb::DB) {}\n"), "rocksdb");
    found(check("admin-cli/src/main.rs", "use x509_parser as x;\n"), "x509_parser");
    found(check("node/src/listener/mod.rs", "    let now = SystemTime::now();\n"), "SystemTime");
    found(check("client-sdk/src/client.rs", "use rustls::ClientConfig;\n"), "rustls");
    none(check("node/src/consensus/mod.rs", "use openraft::Raft;\n"));
    none(check("node/src/config/mod.rs", "/// openraft::Config calls it so.\nlet string = 1;\n"));
    none(check("tests/support/lib.rs", "use rustls::ClientConfig;\n"));
}

#[test]
fn impurity() {
    let check = |text: &str| purity(&Text::of("ledger/src/state.rs", text));
    found(check("use std::collections::HashMap;\n"), "not HashMap");
    found(check("let share = units as f64;\n"), "not f64");
    none(check("use std::collections::BTreeMap;\n/// Like a HashMap.\n"));
}

#[test]
fn shapes() {
    let check = |path: &str, text: &str| shape(&Text::of(path, text));
    let long = format!("//! x\n{}", "fn f() {}\n".repeat(LINES_MAX));
    found(check("node/src/a.rs", &long), "split it");
    found(check("node/src/a.rs", "fn f() {}\n"), "does not say");
    let promise = format!("# {}: later\n", PROMISES[0]);
    found(check("docs/a.md", &promise), "do it");
    none(check("node/src/storage/tests.rs", "use super::*;\n"));
}

#[test]
fn names() {
    let check = |text: &str| {
        dead_names(&Text::of("docs/how-to/a.md", text), |path| {
            path == "docs/b.md" || path == "node/src"
        })
    };
    found(check("[c](../c.md)\n"), "there is no ../c.md");
    found(check("see `node/src/gone.rs`\n"), "there is no node/src/gone.rs");
    none(check("[b](../b.md#part), [web](https://example.org), `node/src/`, `node/src/*.rs`\n"));
}

#[test]
fn metrics() {
    let table = Text::of("metrics.rs", "    READY: Gauge = \"ready\" []\n    KIND: u8\n");
    found(uncounted(&table, &[]), "metrics.rs:1: nothing counts READY");
    none(uncounted(&table, &[Text::of("health.rs", "metrics::READY.set(1.0);\n")]));
}

#[test]
fn tables() {
    let page = Text::of("docs/a.md", "# A\n\n| a |\n| b |\n");
    found(table_differences(&page, "| a |\n| b |\n| c |\n"), "missing: | c |");
    found(table_differences(&page, "| a |\n"), "stale: | b |");
    none(table_differences(&page, "| a |\n| b |\n"));
}
