//! Keys and certificates of institutions and their nodes, made as an operator makes them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::consortium::{CONSORTIUM, counterfoil};

/// Keys of every institution, each with its purpose. Two sign instructions, for what takes two pairs of
/// eyes.
const KEYS: [(&str, &str); 3] =
    [("signing", "instruction"), ("second", "instruction"), ("attestation", "attestation")];

/// Everything that an institution brings: its authority, certificates for each role, keys.
pub fn make(root: &Path, institution: &str) {
    let home = root.join(institution);
    fs::create_dir_all(&home).expect("a directory can be made");
    let at = |name: &str| home.join(name).to_str().expect("the path is text").to_owned();
    counterfoil(&["pki", "authority", "--institution", institution, "--out", &at("authority")]);
    for role in ["node", "client", "operator", "auditor"] {
        issue(&at("authority"), role, "one", &at(role));
    }
    for (name, _) in KEYS {
        counterfoil(&["pki", "key", "--out", &at(&format!("{name}.pem"))]);
    }
}

/// An institution's keys, as a specification has them.
pub fn keys(institution: &str) -> String {
    let line = |(name, purpose)| {
        format!(
            "[[institutions.keys]]\nname = \"{name}\"\npurpose = \"{purpose}\"\n\
             public_key = \"{institution}/{name}.pub.pem\"\n"
        )
    };
    KEYS.map(line).concat()
}

/// What a second node of an institution has of its own: a certificate and an attestation key.
pub fn make_spare(root: &Path, institution: &str, directory: &str, name: &str) {
    let home = root.join(directory);
    fs::create_dir_all(&home).expect("a directory can be made");
    let at = |path: PathBuf| path.to_str().expect("the path is text").to_owned();
    let authority = at(root.join(institution).join("authority"));
    issue(&authority, "node", name, &at(home.join("node")));
    counterfoil(&["pki", "key", "--out", &at(home.join("attestation.pem"))]);
}

fn issue(authority: &str, role: &str, name: &str, out: &str) {
    let consortium = ["--consortium", CONSORTIUM, "--role", role];
    let arguments = ["pki", "issue", "--authority", authority, "--name", name, "--out", out];
    counterfoil(&[&arguments[..], &consortium].concat());
}
