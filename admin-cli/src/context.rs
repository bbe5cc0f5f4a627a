//! Contexts: how a consortium is reached and as whom. Kept in
//! `$XDG_CONFIG_HOME/counterfoil/config.toml`; a flag goes before the environment, the environment
//! before the context.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use counterfoil_ledger::bic::Bic;
use serde::{Deserialize, Serialize};

use crate::error::Failure;
use crate::exit::Exit;
use crate::files::{self, Readers};
use crate::waiting::{Read, Waiting};

/// How to reach a consortium, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// host:port of a node's client listener; several, with commas or repeated, are tried in turn; every node of the genesis file, unless given
    /// [env: COUNTERFOIL_ENDPOINTS]
    #[arg(long = "endpoint", value_name = "HOST:PORT", value_delimiter = ',')]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// The consortium's genesis file [env: COUNTERFOIL_GENESIS]
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub genesis: Option<PathBuf>,
    /// The certificate to connect with, PEM [env: COUNTERFOIL_CERTIFICATE]
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// The certificate's private key, PEM [env: COUNTERFOIL_KEY]
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// The key that signs instructions, PEM [env: COUNTERFOIL_SIGNING_KEY]
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<PathBuf>,
    /// The key that opens originals sealed to your institution, PEM [env: COUNTERFOIL_SEALING_KEY]
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealing_key: Option<PathBuf>,
    /// Your institution's BIC [env: COUNTERFOIL_INSTITUTION]
    #[arg(long, value_name = "BIC")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub institution: Option<String>,
    /// The servicer whose accounts are meant unless another is named [env: COUNTERFOIL_SERVICER]
    #[arg(long, value_name = "BIC")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub servicer: Option<String>,
}

/// Flags of every command that talks to a node.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// The context to use instead of the current one [env: COUNTERFOIL_CONTEXT]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Seconds to wait for an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub timeout: u64,
    /// How certain what is read has to be
    #[arg(long, value_name = "HOW", value_enum, default_value = "final")]
    pub read: Read,
    /// The rest.
    #[command(flatten)]
    pub fields: Context,
}

/// The file of contexts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contexts {
    /// The one that is used unless another is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// By name.
    #[serde(default)]
    pub contexts: BTreeMap<String, Context>,
}

/// Where a setting came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag,
    /// An environment variable.
    Environment,
    /// The named context.
    Context(String),
    /// Nowhere: it is not set.
    Unset,
}

/// What holds for one command.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The values.
    pub values: Context,
    /// Where each came from, in the order of the fields.
    pub origins: Vec<(&'static str, Origin)>,
    /// How long to wait for an answer.
    pub timeout: Duration,
    /// How certain what is read has to be.
    pub read: Read,
    /// How certain what is submitted has to be.
    pub waiting: Waiting,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Flag => write!(f, "flag"),
            Origin::Environment => write!(f, "environment"),
            Origin::Context(name) => write!(f, "context {name}"),
            Origin::Unset => write!(f, "not set"),
        }
    }
}

impl Contexts {
    /// Where the file is.
    pub fn path() -> Result<PathBuf, Failure> {
        let absolute =
            |name: &str| env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        absolute("XDG_CONFIG_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".config")))
            .map(|directory| directory.join("counterfoil").join("config.toml"))
            .ok_or_else(|| {
                Failure::usage("NO_CONFIG_HOME", "neither XDG_CONFIG_HOME nor HOME is set")
                    .fix("set XDG_CONFIG_HOME to a directory of your own")
            })
    }

    /// Reads the file; none is an empty one.
    pub fn load(path: &Path) -> Result<Contexts, Failure> {
        if !path.exists() {
            return Ok(Contexts::default());
        }
        toml::from_str(&files::read_text(path)?).map_err(|error| {
            Failure::usage("CONFIG_MALFORMED", format!("{} is not understood", path.display()))
                .fact(error.to_string().trim_end().replace('\n', "\n  "))
                .fix("correct the file, or move it away and add the contexts again")
        })
    }

    /// Writes the file; a reader sees the old one or the new one.
    pub fn save(&self, path: &Path) -> Result<(), Failure> {
        let directory = path.parent().expect("the path ends in a file name");
        files::create_directory(directory)?;
        let failed = |error: std::io::Error| files::cannot("write", path, &error);
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        let text = toml::to_string_pretty(self).expect("strings, paths and lists fit TOML");
        let new = path.with_extension(format!("toml.{}", std::process::id()));
        files::create(&new, text.as_bytes(), Readers::Owner)?;
        fs::rename(&new, path).map_err(failed)
    }

    /// The context with a name.
    pub fn named(&self, name: &str) -> Result<&Context, Failure> {
        self.contexts.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.contexts.keys().map(String::as_str).collect();
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            Failure::new(Exit::NotFound, "CONTEXT_UNKNOWN", format!("there is no context {name}"))
                .fact(format!("contexts: {known}"))
                .fix(format!(
                    "counterfoil context add {name} --endpoint HOST:PORT --genesis FILE ..."
                ))
        })
    }
}

impl Context {
    /// The same with paths that hold from every directory.
    pub fn absolute(mut self) -> Result<Context, Failure> {
        let Context { genesis, certificate, key, signing_key, sealing_key, .. } = &mut self;
        let paths = [genesis, certificate, key, signing_key, sealing_key];
        for path in paths.into_iter().flatten() {
            let made = std::path::absolute(&*path);
            *path = made.map_err(|error| files::cannot("find", path, &error))?;
        }
        for bic in [&mut self.institution, &mut self.servicer].into_iter().flatten() {
            *bic = parse_bic(bic)?.to_string();
        }
        Ok(self)
    }

    /// What the environment says.
    fn of_environment() -> Context {
        let text = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let path = |name: &str| text(name).map(PathBuf::from);
        Context {
            endpoints: text("COUNTERFOIL_ENDPOINTS")
                .map(|list| list.split(',').map(|endpoint| endpoint.trim().to_owned()).collect())
                .unwrap_or_default(),
            genesis: path("COUNTERFOIL_GENESIS"),
            certificate: path("COUNTERFOIL_CERTIFICATE"),
            key: path("COUNTERFOIL_KEY"),
            signing_key: path("COUNTERFOIL_SIGNING_KEY"),
            sealing_key: path("COUNTERFOIL_SEALING_KEY"),
            institution: text("COUNTERFOIL_INSTITUTION"),
            servicer: text("COUNTERFOIL_SERVICER"),
        }
    }

    /// Name and value of every field, for people.
    pub fn described(&self) -> Vec<(&'static str, Option<String>)> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        vec![
            ("endpoints", (!self.endpoints.is_empty()).then(|| self.endpoints.join(","))),
            ("genesis", path(&self.genesis)),
            ("certificate", path(&self.certificate)),
            ("key", path(&self.key)),
            ("signing_key", path(&self.signing_key)),
            ("sealing_key", path(&self.sealing_key)),
            ("institution", self.institution.clone()),
            ("servicer", self.servicer.clone()),
        ]
    }
}

impl Settings {
    /// Settles each value: flag, else environment, else context.
    pub fn resolve(connection: &Connection) -> Result<Settings, Failure> {
        let contexts = Contexts::load(&Contexts::path()?)?;
        let environment = Context::of_environment();
        let named = env::var("COUNTERFOIL_CONTEXT").ok().filter(|name| !name.is_empty());
        let name = connection.context.clone().or(named).or(contexts.current.clone());
        let context = match &name {
            Some(name) => contexts.named(name)?.clone(),
            None => Context::default(),
        };
        let origin = Origin::Context(name.unwrap_or_default());
        let layers = [
            (connection.fields.clone(), Origin::Flag),
            (environment, Origin::Environment),
            (context, origin),
        ];
        let settled = Settings::layered(layers, Duration::from_secs(connection.timeout));
        Ok(Settings { read: connection.read, ..settled })
    }

    /// The same for a command that submits.
    pub fn to_submit(connection: &Connection, waiting: Waiting) -> Result<Settings, Failure> {
        Ok(Settings { waiting, ..Settings::resolve(connection)? })
    }

    /// What a context alone says: neither flags nor environment.
    pub fn of_context(name: &str, timeout: Duration) -> Result<Settings, Failure> {
        let context = Contexts::load(&Contexts::path()?)?.named(name)?.clone();
        let none = || (Context::default(), Origin::Unset);
        let origin = Origin::Context(name.to_owned());
        Ok(Settings::layered([none(), none(), (context, origin)], timeout))
    }

    fn layered(layers: [(Context, Origin); 3], timeout: Duration) -> Settings {
        let described: Vec<_> =
            layers.iter().map(|(layer, origin)| (layer.described(), origin)).collect();
        let origins = (0..described[0].0.len())
            .map(|at| {
                let set = described.iter().find(|(fields, _)| fields[at].1.is_some());
                let origin = set.map_or(Origin::Unset, |(_, origin)| (*origin).clone());
                (described[0].0[at].0, origin)
            })
            .collect();
        let mut values = Context::default();
        for (layer, _) in layers {
            if values.endpoints.is_empty() {
                values.endpoints = layer.endpoints;
            }
            values.genesis = values.genesis.or(layer.genesis);
            values.certificate = values.certificate.or(layer.certificate);
            values.key = values.key.or(layer.key);
            values.signing_key = values.signing_key.or(layer.signing_key);
            values.sealing_key = values.sealing_key.or(layer.sealing_key);
            values.institution = values.institution.or(layer.institution);
            values.servicer = values.servicer.or(layer.servicer);
        }
        let (read, waiting) = (Read::default(), Waiting::default());
        Settings { values, origins, timeout, read, waiting }
    }

    /// The genesis file.
    pub fn genesis(&self) -> Result<&Path, Failure> {
        self.values.genesis.as_deref().ok_or_else(|| unset("genesis", "FILE"))
    }

    /// The certificate to connect with.
    pub fn certificate(&self) -> Result<&Path, Failure> {
        self.values.certificate.as_deref().ok_or_else(|| unset("certificate", "FILE"))
    }

    /// Its private key.
    pub fn key(&self) -> Result<&Path, Failure> {
        self.values.key.as_deref().ok_or_else(|| unset("key", "FILE"))
    }

    /// The key that signs instructions.
    pub fn signing_key(&self) -> Result<&Path, Failure> {
        self.values.signing_key.as_deref().ok_or_else(|| unset("signing-key", "FILE"))
    }

    /// The key that opens what is sealed to the user's institution.
    pub fn sealing_key(&self) -> Result<&Path, Failure> {
        self.values.sealing_key.as_deref().ok_or_else(|| unset("sealing-key", "FILE"))
    }

    /// The user's institution.
    pub fn institution(&self) -> Result<Bic, Failure> {
        parse_bic(self.values.institution.as_ref().ok_or_else(|| unset("institution", "BIC"))?)
    }

    /// The servicer that is meant.
    pub fn servicer(&self) -> Result<Bic, Failure> {
        parse_bic(self.values.servicer.as_ref().ok_or_else(|| unset("servicer", "BIC"))?)
    }
}

/// Reads a BIC of eight or eleven characters.
pub fn parse_bic(text: &str) -> Result<Bic, Failure> {
    Bic::parse(text).map_err(|error| {
        Failure::usage("BIC_MALFORMED", format!("{text:?} is not a BIC")).fact(error.to_string())
    })
}

fn unset(flag: &str, value: &str) -> Failure {
    let variable = flag.replace('-', "_").to_uppercase();
    Failure::usage("SETTING_MISSING", format!("this command needs --{flag}"))
        .fact("looked at the flag, the environment and the current context")
        .fix(format!(
            "give --{flag} {value}, set COUNTERFOIL_{variable}, or choose a context: counterfoil context use NAME"
        ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(institution: Option<&str>, servicer: Option<&str>) -> Context {
        Context {
            institution: institution.map(str::to_owned),
            servicer: servicer.map(str::to_owned),
            ..Context::default()
        }
    }

    #[test]
    fn a_flag_goes_before_the_environment_and_that_before_the_context() {
        let layers = [
            (context(Some("FLAGCHZZ"), None), Origin::Flag),
            (context(Some("ENVNCHZZ"), Some("ENVNCHZZ")), Origin::Environment),
            (context(Some("CTXTCHZZ"), Some("CTXTCHZZ")), Origin::Context("a".to_owned())),
        ];
        let settings = Settings::layered(layers, Duration::from_secs(1));
        assert_eq!(settings.institution().unwrap().as_str(), "FLAGCHZZXXX");
        assert_eq!(settings.servicer().unwrap().as_str(), "ENVNCHZZXXX");
        assert!(settings.origins.contains(&("institution", Origin::Flag)));
        assert!(settings.origins.contains(&("key", Origin::Unset)));
        assert_eq!(settings.key().unwrap_err().code, "SETTING_MISSING");
    }

    #[test]
    fn the_file_round_trips_and_refuses_unknown_keys() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("counterfoil").join("config.toml");
        assert_eq!(Contexts::load(&path).unwrap(), Contexts::default());
        let mut contexts = Contexts { current: Some("a".to_owned()), ..Contexts::default() };
        contexts.contexts.insert("a".to_owned(), context(Some("FLAGCHZZXXX"), None));
        contexts.save(&path).unwrap();
        contexts.save(&path).unwrap();
        assert_eq!(Contexts::load(&path).unwrap(), contexts);
        assert_eq!(contexts.named("b").unwrap_err().exit, Exit::NotFound);
        fs::write(&path, "nonsense = 1\n").unwrap();
        assert_eq!(Contexts::load(&path).unwrap_err().code, "CONFIG_MALFORMED");
    }
}
