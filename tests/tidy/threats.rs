//! The threat model and its tests: every row names a test that exists, and every test of misbehaviour
//! stands in a row; and a release build cannot misbehave.

use super::*;

/// The names of the tests in a source file.
fn tests_in(file: &Text) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut lines = file.text.lines();
    while let Some(line) = lines.next() {
        if !line.starts_with("#[tokio::test") && line != "#[test]" {
            continue;
        }
        let head = lines.find_map(|line| line.split_once("fn ").map(|(_, rest)| rest));
        found.extend(head.and_then(|head| head.split('(').next()).map(str::to_owned));
    }
    found
}

/// What is wrong between the page's tables and the tests.
fn differences(
    page: &Text,
    all: &BTreeSet<String>,
    misbehaviour: &BTreeSet<String>,
) -> Vec<String> {
    let mut violations = Vec::new();
    let mut named = BTreeSet::new();
    for (number, line) in (1..).zip(page.text.lines()) {
        let is_row = line.starts_with("| ") && !line.starts_with("| who does what ");
        let Some(last) = line.trim_end_matches('|').rsplit('|').next().filter(|_| is_row) else {
            continue;
        };
        let names: Vec<&str> = last.split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            violations.push(page.at(number, "the row names no test"));
        }
        for name in names {
            if !all.contains(name) {
                violations.push(page.at(number, &format!("there is no test {name}")));
            }
            named.insert(name.to_owned());
        }
    }
    let missing = misbehaviour.difference(&named);
    violations.extend(missing.map(|name| page.at(1, &format!("no row names {name}"))));
    violations
}

#[test]
fn every_threat_has_a_test_and_every_test_a_threat() {
    let sources = texts(&[".rs"]);
    let of = |prefix: &str| -> BTreeSet<String> {
        sources.iter().filter(|file| file.path.starts_with(prefix)).flat_map(tests_in).collect()
    };
    let misbehaviour = of("tests/misbehaviour/");
    assert!(misbehaviour.len() > 5, "{misbehaviour:?}");
    none(differences(&page("docs/threat-model.md"), &of("tests/"), &misbehaviour));
}

#[test]
fn rows_and_tests_that_do_not_fit_are_found() {
    let file = Text::of(
        "tests/x.rs",
        "#[tokio::test(flavor = \"multi_thread\")]\nasync fn one() {}\n\n#[test]\nfn two() {}\nfn no() {}\n",
    );
    let names = tests_in(&file);
    assert_eq!(names.iter().collect::<Vec<_>>(), ["one", "two"]);
    let check = |rows: &str| differences(&Text::of("page.md", rows), &names, &names);
    none(check("| who does what | shown by |\n|---|---|\n| x | `one` |\n| y | `two` |\n"));
    assert_eq!(check("| x | `one`, `two` |\n| y | `three` |\n").len(), 1);
    assert_eq!(check("| x | `one` |\n").len(), 1);
    assert_eq!(check("| x | `one` |\n| y | `two` |\n| z | |\n").len(), 1);
}

/// A text, because a second build in release mode takes minutes.
#[test]
fn a_release_build_cannot_misbehave() {
    let guard = "#[cfg(all(feature = \"misbehaviour\", not(debug_assertions)))]\ncompile_error!(";
    assert!(page("node/src/lib.rs").text.contains(guard));
    // Nothing else switches it on. Without it there is no such module to call.
    let manifest = page("node/Cargo.toml").text;
    assert!(manifest.contains("\nmisbehaviour = []\n") && !manifest.contains("default = ["));
    for file in texts(&["/Cargo.toml"]).iter().filter(|file| file.path != "node/Cargo.toml") {
        assert!(!file.text.contains("features = [\"misbehaviour\"]"), "{}", file.path);
    }
}
