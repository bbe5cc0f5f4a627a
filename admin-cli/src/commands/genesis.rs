//! `genesis`: the founding document of a consortium, from a specification that people write.

use std::path::{Path, PathBuf};

use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::registry::Registry;
use counterfoil_ledger::signature::key_id;
use counterfoil_proto::v1;
use pkcs8::Document;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::certificate::Certificate;
use crate::context::parse_bic;
use crate::error::{self, Failure};
use crate::files::{self, Readers};
use crate::moment;
use crate::output::{Answer, Table, extend};
use crate::quorum::Quorum;

/// Verbs of `genesis`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Founds a consortium: writes its genesis file
    Create {
        /// The specification, TOML; its paths are relative to it
        #[arg(long, value_name = "FILE")]
        spec: PathBuf,
        /// The genesis file to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Shows what a genesis file says
    Inspect {
        /// The genesis file
        file: PathBuf,
    },
}

/// Does it.
pub fn run(command: Command) -> Result<Answer, Failure> {
    match command {
        Command::Create { spec, out } => create(&spec, &out),
        Command::Inspect { file } => Ok(describe(&load(&file)?, None)),
    }
}

/// Reads a genesis file.
pub fn load(path: &Path) -> Result<Genesis, Failure> {
    Genesis::decode(&files::read(path, files::SMALL_FILE_MAX)?).map_err(|error| {
        Failure::usage("GENESIS_MALFORMED", format!("{} does not hold", path.display()))
            .fact(error.to_string())
            .fix("use the very file with which the consortium was founded")
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Specification {
    consortium: String,
    /// Time of block 0, Unix milliseconds; now, if it is left out.
    created_ms: Option<u64>,
    institutions: Vec<InstitutionSpecification>,
    nodes: Vec<NodeSpecification>,
    assets: Vec<AssetSpecification>,
    policy: Option<PolicySpecification>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InstitutionSpecification {
    bic: String,
    name: String,
    /// The institution's authority, PEM.
    anchor: PathBuf,
    #[serde(default)]
    audit_scope: AuditScope,
    keys: Vec<KeySpecification>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AuditScope {
    #[default]
    Institution,
    Consortium,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeySpecification {
    name: String,
    purpose: Purpose,
    /// PEM, as `pki key` writes it.
    public_key: PathBuf,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Purpose {
    Instruction,
    Attestation,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeSpecification {
    id: u64,
    institution: String,
    name: String,
    /// One of the institution's attestation keys, PEM.
    attestation_key: PathBuf,
    peer_address: String,
    client_address: String,
    #[serde(default)]
    role: NodeRole,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum NodeRole {
    #[default]
    Voter,
    /// Follows and never votes: an id in reserve, until a node is started under it.
    Learner,
}

/// What makes a block final; a figure that is left out is the default one.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicySpecification {
    /// Institutions that must sign a header.
    finality_quorum: Option<u32>,
    /// Blocks without a certificate at which admission stops.
    certificate_lag_blocks: Option<u32>,
    /// Milliseconds without one, while a block waits for it, at which admission stops.
    certificate_lag_ms: Option<u32>,
    /// Blocks from one snapshot to the next.
    snapshot_interval_blocks: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AssetSpecification {
    code: String,
    exponent: u32,
}

fn create(spec: &Path, out: &Path) -> Result<Answer, Failure> {
    files::refuse_existing(&[out])?;
    let specification: Specification =
        toml::from_str(&files::read_text(spec)?).map_err(|error| {
            Failure::usage("SPEC_MALFORMED", format!("{} is not understood", spec.display()))
                .fact(error.to_string().trim_end().replace('\n', "\n  "))
        })?;
    let directory = spec.parent().unwrap_or(Path::new(""));
    let genesis = Genesis::create(specification.message(directory)?).map_err(|error| {
        Failure::usage("GENESIS_REFUSED", format!("{} founds no consortium", spec.display()))
            .fact(error.to_string())
            .fix("correct the specification")
    })?;
    files::create(out, genesis.bytes(), Readers::All)?;
    if let Some(warning) = Quorum::of(&genesis).warning() {
        error::warn(&warning);
    }
    Ok(describe(&genesis, Some(out)))
}

impl Specification {
    fn message(self, directory: &Path) -> Result<v1::Genesis, Failure> {
        let mut institutions = Vec::with_capacity(self.institutions.len());
        for institution in self.institutions {
            institutions.push(institution.message(directory)?);
        }
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for node in self.nodes {
            nodes.push(node.message(directory)?);
        }
        let mut assets: Vec<v1::Asset> = self
            .assets
            .into_iter()
            .map(|asset| v1::Asset { code: asset.code, exponent: asset.exponent })
            .collect();
        let voters = nodes.iter().filter(|node| node.role() != v1::GroupRole::Learner).count();
        let policy = policy(self.policy, voters)?;
        institutions.sort_by(|one, other| one.bic.cmp(&other.bic));
        nodes.sort_by_key(|node| node.id);
        assets.sort_by(|one, other| one.code.cmp(&other.code));
        Ok(v1::Genesis {
            format: 1,
            consortium: self.consortium,
            created_ms: self.created_ms.unwrap_or_else(moment::now_ms),
            rule_version: 1,
            institutions,
            nodes,
            assets,
            policy,
        })
    }
}

/// The policy, absent where every figure is the default one. With three institutions either answer has
/// a price, so that nobody gets one that was not asked for.
fn policy(
    given: Option<PolicySpecification>,
    voters: usize,
) -> Result<Option<v1::Policy>, Failure> {
    let given = given.unwrap_or_default();
    if voters == 3 && given.finality_quorum.is_none() {
        return Err(Failure::usage(
            "FINALITY_QUORUM_MISSING",
            "three institutions must choose how many of them make a block final",
        )
        .fact("3: all must sign, so that nothing becomes final while one is away")
        .fact("2: one may be away, but one lying institution is enough to break finality")
        .fact("with 4 institutions, 3 sign, one may be away, and it takes two liars")
        .fix("write [policy] and finality_quorum = 3, or 2, into the specification"));
    }
    // 0 is how the file says "the default": it is written by leaving the figure out.
    for (name, value) in [
        ("finality_quorum", given.finality_quorum),
        ("certificate_lag_blocks", given.certificate_lag_blocks),
        ("certificate_lag_ms", given.certificate_lag_ms),
        ("snapshot_interval_blocks", given.snapshot_interval_blocks),
    ] {
        if value == Some(0) {
            return Err(Failure::usage("POLICY_MALFORMED", format!("policy.{name} is 0"))
                .fix("leave it out for the default, or write at least 1"));
        }
    }
    let policy = v1::Policy {
        finality_quorum: given.finality_quorum.unwrap_or_default(),
        certificate_lag_blocks: given.certificate_lag_blocks.unwrap_or_default(),
        certificate_lag_ms: given.certificate_lag_ms.unwrap_or_default(),
        snapshot_interval_blocks: given.snapshot_interval_blocks.unwrap_or_default(),
    };
    Ok((policy != v1::Policy::default()).then_some(policy))
}

impl InstitutionSpecification {
    fn message(self, directory: &Path) -> Result<v1::Institution, Failure> {
        let mut keys = Vec::with_capacity(self.keys.len());
        for key in self.keys {
            let purpose = match key.purpose {
                Purpose::Instruction => v1::KeyPurpose::Instruction,
                Purpose::Attestation => v1::KeyPurpose::Attestation,
            };
            keys.push(v1::Key {
                public_key: public_key(&directory.join(&key.public_key))?.into(),
                purpose: purpose.into(),
                name: key.name,
            });
        }
        keys.sort_by_key(|key| key_id(&key.public_key));
        let audit_scope = match self.audit_scope {
            AuditScope::Institution => v1::AuditScope::Institution,
            AuditScope::Consortium => v1::AuditScope::Consortium,
        };
        Ok(v1::Institution {
            bic: parse_bic(&self.bic)?.to_string(),
            name: self.name,
            trust_anchor: anchor(&directory.join(&self.anchor))?.into(),
            keys,
            audit_scope: audit_scope.into(),
        })
    }
}

impl NodeSpecification {
    fn message(self, directory: &Path) -> Result<v1::Node, Failure> {
        let key = public_key(&directory.join(&self.attestation_key))?;
        Ok(v1::Node {
            id: self.id,
            institution: parse_bic(&self.institution)?.to_string(),
            name: self.name,
            attestation_key_id: key_id(&key).as_bytes().to_vec().into(),
            peer_address: self.peer_address,
            client_address: self.client_address,
            role: match self.role {
                NodeRole::Voter => v1::GroupRole::Unspecified.into(),
                NodeRole::Learner => v1::GroupRole::Learner.into(),
            },
        })
    }
}

fn public_key(path: &Path) -> Result<Vec<u8>, Failure> {
    match Document::from_pem(&files::read_text(path)?) {
        Ok(("PUBLIC KEY", document)) => Ok(document.as_bytes().to_vec()),
        _ => Err(Failure::usage(
            "PUBLIC_KEY_MALFORMED",
            format!("{} is not a public key in PEM", path.display()),
        )
        .fix("counterfoil pki key --out FILE writes one beside the private key")),
    }
}

/// An anchor stands for ever: it is looked at before it is taken.
fn anchor(path: &Path) -> Result<Vec<u8>, Failure> {
    let malformed = |what: String| {
        Failure::usage("ANCHOR_MALFORMED", format!("{}: {what}", path.display()))
            .fix("counterfoil pki authority --institution BIC --out DIR makes one")
    };
    let certificate = Certificate::from_pem(&files::read_text(path)?)
        .map_err(|error| malformed(error.to_string()))?;
    if !certificate.authority {
        return Err(malformed("the certificate may not issue others".to_owned()));
    }
    Ok(certificate.der)
}

fn describe(genesis: &Genesis, written: Option<&Path>) -> Answer {
    let message = genesis.message();
    let quorum = Quorum::of(genesis);
    let policy = Registry::of(genesis).policy();
    let (institutions, institutions_json) = institutions(message);
    let (nodes, nodes_json) = nodes(message);
    let assets: Vec<String> = message
        .assets
        .iter()
        .map(|asset| format!("{} ({} decimals)", asset.code, asset.exponent))
        .collect();
    let mut json = json!({
        "file": written,
        "chainId": genesis.chain_id().to_string(),
        "consortium": message.consortium,
        "createdMs": message.created_ms.to_string(),
        "created": moment::utc_ms(message.created_ms),
        "ruleVersion": message.rule_version,
        "certificateLagBlocks": policy.certificate_lag_blocks.to_string(),
        "certificateLagMs": policy.certificate_lag_ms.to_string(),
        "snapshotIntervalBlocks": policy.snapshot_interval_blocks.to_string(),
        "institutions": institutions_json,
        "nodes": nodes_json,
        "assets": message.assets.iter().map(|asset| {
            json!({ "code": asset.code, "exponent": asset.exponent })
        }).collect::<Vec<Value>>(),
    });
    extend(&mut json, quorum.json());
    let mut answer = Answer::new(json)
        .line(format!("CONSORTIUM {}", message.consortium))
        .line(format!("chain id   {}", genesis.chain_id()))
        .line(format!("created    {}", moment::utc_ms(message.created_ms)))
        .line(format!("assets     {}", assets.join(", ")))
        .line(format!("quorum     {}", quorum.ordering_sentence()))
        .line(format!("finality   {}", quorum.finality_sentence()))
        .line(format!(
            "lag        admission stops {} blocks or {} ms without a certificate",
            policy.certificate_lag_blocks, policy.certificate_lag_ms,
        ))
        .line(format!("snapshots  every {} blocks", policy.snapshot_interval_blocks));
    if let Some(warning) = quorum.warning() {
        answer = answer.line(format!("warning    {warning}"));
    }
    if let Some(file) = written {
        answer = answer.line(format!("file       {}", file.display()));
    }
    answer.line("").table(institutions).line("").table(nodes)
}

fn institutions(message: &v1::Genesis) -> (Table, Vec<Value>) {
    let mut table = Table::new(&["INSTITUTION", "NAME", "AUDITS", "KEY", "PURPOSE", "KEY ID"]);
    let mut list = Vec::new();
    for institution in &message.institutions {
        let scope = match institution.audit_scope() {
            v1::AuditScope::Consortium => "consortium",
            _ => "institution",
        };
        let mut keys = Vec::new();
        for key in &institution.keys {
            let purpose = match key.purpose() {
                v1::KeyPurpose::Attestation => "attestation",
                _ => "instruction",
            };
            let id = key_id(&key.public_key).to_string();
            table.row([
                institution.bic.clone(),
                institution.name.clone(),
                scope.to_owned(),
                key.name.clone(),
                purpose.to_owned(),
                id.clone(),
            ]);
            keys.push(json!({ "keyId": id, "purpose": purpose, "name": key.name }));
        }
        list.push(json!({
            "bic": institution.bic,
            "name": institution.name,
            "auditScope": scope,
            "anchorFingerprint": Hash::of(&institution.trust_anchor).to_string(),
            "keys": keys,
        }));
    }
    (table, list)
}

fn role(node: &v1::Node) -> &'static str {
    match node.role() {
        v1::GroupRole::Unspecified => "voter",
        v1::GroupRole::Learner => "learner",
    }
}

fn nodes(message: &v1::Genesis) -> (Table, Vec<Value>) {
    let mut table = Table::new(&[">NODE", "INSTITUTION", "NAME", "ROLE", "PEERS", "CLIENTS"]);
    let mut list = Vec::new();
    for node in &message.nodes {
        table.row([
            node.id.to_string(),
            node.institution.clone(),
            node.name.clone(),
            role(node).to_owned(),
            node.peer_address.clone(),
            node.client_address.clone(),
        ]);
        list.push(json!({
            "id": node.id.to_string(),
            "institution": node.institution,
            "name": node.name,
            "role": role(node),
            "peerAddress": node.peer_address,
            "clientAddress": node.client_address,
        }));
    }
    (table, list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_institutions_have_to_choose() {
        let quorum = |finality_quorum| PolicySpecification {
            finality_quorum,
            ..PolicySpecification::default()
        };
        assert_eq!(policy(None, 3).unwrap_err().code, "FINALITY_QUORUM_MISSING");
        assert_eq!(policy(Some(quorum(None)), 3).unwrap_err().code, "FINALITY_QUORUM_MISSING");
        assert_eq!(policy(Some(quorum(Some(2))), 3).unwrap().unwrap().finality_quorum, 2);
        assert_eq!(policy(Some(quorum(Some(0))), 4).unwrap_err().code, "POLICY_MALFORMED");
        assert_eq!(policy(None, 4).unwrap(), None);
    }

    #[test]
    fn a_specification_with_an_unknown_key_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let spec = directory.path().join("spec.toml");
        files::create(&spec, b"consortium = \"a\"\nnonsense = 1\n", Readers::All).unwrap();
        let failure = create(&spec, &directory.path().join("genesis.bin")).unwrap_err();
        assert_eq!(failure.code, "SPEC_MALFORMED");
    }
}
