//! Where values come from: the file, the environment, flags; the later go before the earlier.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::bounded_file;
use crate::config::Fault;
use crate::config::keys;
use crate::limits;

/// What every setting in the environment begins with. Only names with a double underscore are
/// settings: Kubernetes sets others for a service of the same name.
pub const ENVIRONMENT_PREFIX: &str = "COUNTERFOIL_NODE_";

/// Where to look for values.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The configuration file.
    pub file: Option<PathBuf>,
    /// Environment variables, all of them.
    pub environment: Vec<(String, String)>,
    /// `section.key=value`, in the order given.
    pub flags: Vec<String>,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A line of the file, counted from 1.
    File(PathBuf, usize),
    /// An environment variable.
    Environment(String),
    /// A flag.
    Flag,
    /// Nobody said.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(path, line) => write!(f, "{}:{line}", path.display()),
            Origin::Environment(name) => f.write_str(name),
            Origin::Flag => f.write_str("flag"),
            Origin::Default => f.write_str("not given"),
        }
    }
}

/// A value as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// A string of the file.
    Text(String),
    /// A whole number of the file.
    Number(String),
    /// `true` or `false` of the file.
    Switch(bool),
    /// What a flag or a variable holds: a string, a number or a switch.
    Either(String),
    /// Something else of the file: its TOML type.
    Other(&'static str),
}

impl Written {
    /// Its TOML type, as far as it is known.
    pub fn type_name(&self) -> &'static str {
        match self {
            Written::Text(_) | Written::Either(_) => "string",
            Written::Number(_) => "integer",
            Written::Switch(_) => "boolean",
            Written::Other(name) => name,
        }
    }
}

/// A value with its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The value.
    pub written: Written,
    /// Where it came from.
    pub origin: Origin,
}

/// Values by `section.key`.
pub type Settings = BTreeMap<String, Setting>;

impl Sources {
    /// Gathers the values; unknown keys and unreadable files are faults.
    pub fn gather(&self, faults: &mut Vec<Fault>) -> Settings {
        let mut settings = Settings::new();
        if let Some(path) = &self.file {
            gather_file(path, &mut settings, faults);
        }
        for (name, value) in &self.environment {
            if let Some(key) = environment_key(name) {
                let origin = Origin::Environment(name.clone());
                insert(&mut settings, faults, key, Written::Either(value.clone()), origin);
            }
        }
        for flag in &self.flags {
            match flag.split_once('=') {
                Some((key, value)) => {
                    let written = Written::Either(value.to_owned());
                    insert(&mut settings, faults, key.to_owned(), written, Origin::Flag);
                }
                None => faults.push(Fault::new(
                    flag,
                    &Origin::Flag,
                    "a setting has the form section.key=value",
                    "write for example --set log.format=text",
                )),
            }
        }
        settings
    }
}

/// `COUNTERFOIL_NODE_RAFT__HEARTBEAT_MS` is `raft.heartbeat_ms`.
fn environment_key(name: &str) -> Option<String> {
    let (section, key) = name.strip_prefix(ENVIRONMENT_PREFIX)?.split_once("__")?;
    Some(format!("{}.{}", section.to_ascii_lowercase(), key.to_ascii_lowercase()))
}

fn insert(
    settings: &mut Settings,
    faults: &mut Vec<Fault>,
    key: String,
    written: Written,
    origin: Origin,
) {
    let section = key.split_once('.').map_or(key.as_str(), |(section, _)| section);
    if keys::key(&key).is_some() || (section == keys::PEERS_SECTION && key != section) {
        settings.insert(key, Setting { written, origin });
        return;
    }
    let names = keys::keys_of(section);
    let fix = if names.is_empty() {
        format!("the sections are {}", keys::sections().join(", "))
    } else {
        format!("the keys of [{section}] are {}", names.join(", "))
    };
    faults.push(Fault::new(&key, &origin, "there is no such key", fix));
}

fn gather_file(path: &Path, settings: &mut Settings, faults: &mut Vec<Fault>) {
    let at = |line| Origin::File(path.to_owned(), line);
    let text = match read(path) {
        Ok(text) => text,
        Err(rule) => {
            faults.push(Fault::new("file", &at(1), rule, "give a readable TOML file to --config"));
            return;
        }
    };
    let (table, errors) = DeTable::parse_recoverable(&text);
    for error in errors {
        let line = error.span().map_or(1, |span| line_of(&text, &span));
        let rule = format!("not TOML: {}", error.message());
        faults.push(Fault::new("file", &at(line), rule, "correct the line"));
    }
    for (section, value) in table.get_ref() {
        let name: &str = section.get_ref();
        let line = line_of(&text, &section.span());
        let Some(entries) = value.get_ref().as_table() else {
            insert(settings, faults, name.to_owned(), Written::Other("value"), at(line));
            continue;
        };
        if !keys::sections().contains(&name) {
            let fix = format!("the sections are {}", keys::sections().join(", "));
            faults.push(Fault::new(name, &at(line), "there is no such section", fix));
            continue;
        }
        for (key, value) in entries {
            let origin = at(line_of(&text, &key.span()));
            let key = format!("{name}.{}", key.get_ref());
            insert(settings, faults, key, written(value.get_ref()), origin);
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    let bytes = File::open(path)
        .and_then(|file| bounded_file::read(file, limits::CONFIG_FILE_BYTES_MAX))
        .map_err(|error| format!("cannot be read: {error}"))?;
    String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())
}

fn written(value: &DeValue<'_>) -> Written {
    match value {
        DeValue::String(text) => Written::Text(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => {
            Written::Number(number.as_str().to_owned())
        }
        DeValue::Boolean(switch) => Written::Switch(*switch),
        other => Written::Other(other.type_str()),
    }
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    let before = &text.as_bytes()[..span.start.min(text.len())];
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}
