//! A disk whose power can be cut: a file system in an image. What the kernel has not written to the
//! image is not in a copy of it, and a copy is what is there after the power comes back.
//!
//! A copy counts only if nothing was written to the image while it was made: a real cut leaves the
//! state of one moment. What was written is kept in the order in which it was written; a disk whose own
//! cache loses writes that were not flushed is worse than this.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Bytes of an image; holes take no space. A node on a smaller one is short of space from the start.
const IMAGE_BYTES: u64 = 8 * 1024 * 1024 * 1024;

/// Few files and a small journal, all made at once: the kernel must not go on making them later.
const FILE_SYSTEM: [&str; 8] =
    ["-q", "-F", "-N", "4096", "-J", "size=32", "-E", "lazy_itable_init=0,lazy_journal_init=0"];

/// Copies that are tried until nothing is written meanwhile.
const COPIES_MAX: u32 = 50;

/// One disk, mounted.
pub struct Disk {
    image: PathBuf,
    mount: PathBuf,
    copies: u32,
}

fn run(program: &str, arguments: &[&Path]) -> Result<String, String> {
    let done = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned());
    }
    Err(format!("{program} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr).trim()))
}

fn told(error: &std::io::Error, path: &Path) -> String {
    format!("{}: {error}", path.display())
}

impl Disk {
    /// A new disk, mounted in a directory.
    pub fn make(directory: &Path, name: &str) -> Result<Disk, String> {
        let image = directory.join(format!("{name}.image"));
        let mount = directory.join(name);
        fs::create_dir_all(&mount).map_err(|error| told(&error, &mount))?;
        let file = File::create(&image).map_err(|error| told(&error, &image))?;
        file.set_len(IMAGE_BYTES).map_err(|error| told(&error, &image))?;
        let words = FILE_SYSTEM.iter().map(Path::new).chain([image.as_path()]);
        run("mkfs.ext4", &words.collect::<Vec<_>>())?;
        let disk = Disk { image, mount, copies: 0 };
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    fn mount(&self) -> Result<(), String> {
        run("mount", &["-o".as_ref(), "loop".as_ref(), &self.image, &self.mount]).map(drop)
    }

    /// What was written so far, and what is being written: sectors, and requests.
    fn written(&self) -> Result<(u64, u64), String> {
        let device =
            run("findmnt", &["-n".as_ref(), "-o".as_ref(), "SOURCE".as_ref(), &self.mount])?;
        let name = device.rsplit('/').next().unwrap_or_default();
        let path = Path::new("/sys/block").join(name).join("stat");
        let stat = fs::read_to_string(&path).map_err(|error| told(&error, &path))?;
        let figure = |place: usize| stat.split_whitespace().nth(place)?.parse::<u64>().ok();
        let figures = figure(6).zip(figure(8));
        figures.ok_or_else(|| format!("{}: {stat}", path.display()))
    }

    /// Copies the disk as it is at one moment. Who writes to it must have been stopped.
    pub fn copy(&mut self) -> Result<PathBuf, String> {
        self.copies += 1;
        let copy = self.image.with_extension(format!("copy{}", self.copies));
        for _ in 0..COPIES_MAX {
            let before = self.written()?;
            run("cp", &["--sparse=always".as_ref(), &self.image, &copy])?;
            if before.1 == 0 && self.written()? == before {
                return Ok(copy);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("{} is never at rest", self.mount.display()))
    }

    /// Goes on from a copy; nobody may use the disk any more.
    pub fn replace(&mut self, copy: PathBuf) -> Result<(), String> {
        // A process that was killed lets go of its files a moment later.
        let mut left = 100;
        while let Err(error) = run("umount", &[&self.mount]) {
            left -= 1;
            if left == 0 {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        fs::remove_file(&self.image).map_err(|error| told(&error, &self.image))?;
        self.image = copy;
        self.mount()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = run("umount", &["-l".as_ref(), &self.mount]);
        let _ = fs::remove_file(&self.image);
    }
}

/// Tries whether a cut loses what was not synced, and that alone: without that no campaign says
/// anything.
pub fn loses_what_was_not_synced(directory: &Path) -> Result<(), String> {
    let mut disk = Disk::make(directory, "trial")?;
    let at = |name: &str| disk.path().join(name);
    let (synced, appended, lost) = (at("synced"), at("appended"), at("lost"));
    let wrong = |error: std::io::Error| told(&error, disk.path());
    fs::write(&synced, vec![1; 100_000]).map_err(wrong)?;
    fs::write(&appended, vec![2; 100_000]).map_err(wrong)?;
    for path in [synced.as_path(), &appended, disk.path()] {
        File::open(path).and_then(|file| file.sync_all()).map_err(wrong)?;
    }
    let mut file = fs::OpenOptions::new().append(true).open(&appended).map_err(wrong)?;
    file.write_all(&[3; 50_000]).map_err(wrong)?;
    fs::write(&lost, vec![4; 100_000]).map_err(wrong)?;
    drop(file);
    let copy = disk.copy()?;
    disk.replace(copy)?;
    let length = |path: &Path| fs::metadata(path).map(|it| it.len()).unwrap_or_default();
    let lengths = [&synced, &appended, &lost].map(|path| length(path));
    match lengths == [100_000, 100_000, 0] {
        true => Ok(()),
        false => Err(format!(
            "after a cut the synced files have {} and {} bytes, the other one {}",
            lengths[0], lengths[1], lengths[2]
        )),
    }
}
