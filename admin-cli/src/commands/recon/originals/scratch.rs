//! A file for what is sealed and on its way: it has no name, and is gone when it is closed.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::Failure;
use crate::files;

/// A new one, below a directory.
pub fn file(directory: &Path) -> Result<File, Failure> {
    files::create_directory(directory)?;
    let path = directory.join(format!("sealed-{}", std::process::id()));
    // A program of this number that was killed in this moment may have left one.
    let _ = fs::remove_file(&path);
    let mut options = File::options();
    let opened = options.read(true).write(true).create_new(true).mode(0o600).open(&path);
    let file = opened.map_err(|error| files::cannot("create", &path, &error))?;
    fs::remove_file(&path).map_err(|error| files::cannot("remove", &path, &error))?;
    Ok(file)
}
