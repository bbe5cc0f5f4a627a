//! The program that libFuzzer drives: `FUZZ_TARGET` names the target. With `FUZZ_SEEDS` it writes the
//! target's seeds into that directory instead, and ends.

#![no_main]

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use counterfoil_fuzz::Target;
use counterfoil_fuzz::find;
use libfuzzer_sys::fuzz_target;

fn target() -> &'static Target {
    static TARGET: OnceLock<&'static Target> = OnceLock::new();
    TARGET.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        find(&name).unwrap_or_else(|| panic!("FUZZ_TARGET names no target: {name:?}"))
    })
}

fn begin() {
    let Ok(directory) = std::env::var("FUZZ_SEEDS") else { return };
    for (number, seed) in (target().seeds)().iter().enumerate() {
        let path = Path::new(&directory).join(format!("seed-{number:03}"));
        fs::write(&path, seed).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    std::process::exit(0);
}

fuzz_target!(init: begin(), |bytes: &[u8]| (target().run)(bytes));
