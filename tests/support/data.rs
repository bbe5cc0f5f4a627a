//! Where the real data lies that some tests run against. None of it is in the repository.

use std::{
    env,
    ffi::OsString,
    io::Write,
    path::{Path, PathBuf},
};

/// The data is not where it was looked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no folder {}; COUNTERFOIL_DATA names the folder that holds it (docs/how-to/real-data.md)",
    .0.display()
)]
pub struct Absent(pub PathBuf);

/// A folder of the real data: in the folder that `COUNTERFOIL_DATA` names (from the root of the
/// checkout, if it is relative), or else in `shared/data` beside the checkout.
pub fn folder(name: &str) -> Result<PathBuf, Absent> {
    find(env::var_os("COUNTERFOIL_DATA"), checkout(), name)
}

/// The same for a test. Where the data is absent it says so aloud, and the test is to return; under
/// `COUNTERFOIL_REQUIRE_DATA=1` it fails instead.
pub fn folder_or_skip(name: &str, test: &str) -> Option<PathBuf> {
    let absent = match folder(name) {
        Ok(folder) => return Some(folder),
        Err(absent) => absent,
    };
    let required = env::var_os("COUNTERFOIL_REQUIRE_DATA").is_some_and(|value| value == "1");
    assert!(!required, "{test}: {absent}, and COUNTERFOIL_REQUIRE_DATA=1 asks for it");
    // To the handle itself: the test harness swallows what print macros say in a test that passes.
    writeln!(std::io::stderr(), "\nSKIPPED: {test}: {absent}").expect("standard error is open");
    None
}

fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate is a folder of the checkout")
}

fn find(variable: Option<OsString>, checkout: &Path, name: &str) -> Result<PathBuf, Absent> {
    let named = variable.filter(|value| !value.is_empty());
    let root = named.map_or_else(|| checkout.join("../shared/data"), |value| checkout.join(value));
    let folder = root.join(name);
    if folder.is_dir() { Ok(folder) } else { Err(Absent(folder)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_comes_before_the_neighbour() {
        let checkout = checkout();
        let found = |value: &str| find(Some(value.into()), checkout, "support");
        assert_eq!(found("tests"), Ok(checkout.join("tests/support")));
        let absolute = checkout.join("tests");
        assert_eq!(found(absolute.to_str().expect("UTF-8")), Ok(absolute.join("support")));
        assert_eq!(found("nowhere"), Err(Absent(checkout.join("nowhere/support"))));
        let beside = checkout.join("../shared/data/no such folder");
        assert_eq!(find(None, checkout, "no such folder"), Err(Absent(beside.clone())));
        assert_eq!(find(Some("".into()), checkout, "no such folder"), Err(Absent(beside)));
    }
}
