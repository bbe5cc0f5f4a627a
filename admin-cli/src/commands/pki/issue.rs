//! `pki issue`: certificates for nodes, clients, operators and auditors.

use std::net::IpAddr;
use std::path::PathBuf;

use counterfoil_ledger::genesis::{is_certificate_name, is_consortium};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
    SanType,
};
use serde_json::json;

use super::authority::Authority;
use super::{cannot_issue, expiry, parameters, read_back};
use crate::certificate::Identity;
use crate::error::Failure;
use crate::files::{self, Readers};
use crate::output::{Answer, Table};
use crate::private_key::{self, Algorithm};

/// File names in the directory.
const FILES: [&str; 2] = ["certificate.pem", "key.pem"];

/// Arguments of `pki issue`.
#[derive(Debug, clap::Args)]
pub struct Issue {
    /// Directory that `pki authority` made
    #[arg(long, value_name = "DIR")]
    authority: PathBuf,
    /// The consortium, as in its genesis file
    #[arg(long, value_name = "NAME")]
    consortium: String,
    /// What the holder may do
    #[arg(long, value_enum)]
    role: Role,
    /// Which of several: 1 to 32 of a-z, 0-9 and '-'
    #[arg(long)]
    name: String,
    /// Directory for certificate.pem and key.pem
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A host name of the holder; may be repeated
    #[arg(long, value_name = "NAME")]
    dns: Vec<String>,
    /// An IP address of the holder; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    ip: Vec<IpAddr>,
    /// Kind of key
    #[arg(long, value_enum, default_value = "p256")]
    algorithm: Algorithm,
    /// Days until it expires
    #[arg(long, default_value_t = 397, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
}

/// Roles in a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// A consensus node
    Node,
    /// A back office that submits and reads
    Client,
    /// A person or tool that operates the institution's node
    Operator,
    /// A person or tool that only reads
    Auditor,
}

impl Role {
    fn as_str(self) -> &'static str {
        match self {
            Role::Node => "node",
            Role::Client => "client",
            Role::Operator => "operator",
            Role::Auditor => "auditor",
        }
    }
}

impl Issue {
    /// Issues it.
    pub fn run(&self) -> Result<Answer, Failure> {
        if !is_consortium(&self.consortium) {
            let message = format!("{:?} cannot be the name of a consortium", self.consortium);
            return Err(Failure::usage("CONSORTIUM_MALFORMED", message)
                .fact("a lower-case DNS name of at most 63 characters"));
        }
        if !is_certificate_name(&self.name) {
            let message = format!("{:?} cannot stand in a certificate", self.name);
            return Err(
                Failure::usage("NAME_MALFORMED", message).fact("1 to 32 of a-z, 0-9 and '-'")
            );
        }
        let [certificate_file, key_file] = FILES.map(|name| self.out.join(name));
        files::refuse_existing(&[&certificate_file, &key_file])?;
        let authority = Authority::load(&self.authority)?;
        let identity = Identity {
            consortium: self.consortium.clone(),
            institution: authority.institution,
            role: self.role.as_str().to_owned(),
            name: self.name.clone(),
        };
        let key = private_key::generate(self.algorithm)?;
        let made = self
            .leaf(&identity)?
            .signed_by(&private_key::key_pair(&key)?, &authority.issuer)
            .map_err(|error| cannot_issue(&error))?;
        let certificate = read_back(made.der())?;
        authority.outlives(&certificate)?;
        files::create_directory(&self.out)?;
        files::create(&key_file, private_key::pem(&key).as_bytes(), Readers::Owner)?;
        files::create(&certificate_file, made.pem().as_bytes(), Readers::All)?;
        let json = json!({
            "identity": identity.uri(),
            "certificate": certificate_file,
            "key": key_file,
            "fingerprint": certificate.fingerprint().to_string(),
            "notAfter": expiry(&certificate),
        });
        Ok(Answer::new(json)
            .line(format!("{}, until {}", identity.uri(), expiry(&certificate)))
            .table(Table::facts([
                ("certificate", certificate_file.display().to_string()),
                ("private key", key_file.display().to_string()),
                ("fingerprint", certificate.fingerprint().to_string()),
            ])))
    }

    fn leaf(&self, identity: &Identity) -> Result<CertificateParams, Failure> {
        let mut subject = DistinguishedName::new();
        subject.push(DnType::OrganizationName, identity.institution.as_str());
        subject.push(DnType::CommonName, identity.name.as_str());
        let mut parameters = parameters(subject, self.days)?;
        let text = |text: String| {
            text.as_str().try_into().map_err(|_| {
                Failure::usage("NAME_MALFORMED", format!("{text:?} cannot stand in a certificate"))
            })
        };
        parameters.subject_alt_names.push(SanType::URI(text(identity.uri())?));
        for name in &self.dns {
            parameters.subject_alt_names.push(SanType::DnsName(text(name.clone())?));
        }
        parameters.subject_alt_names.extend(self.ip.iter().map(|ip| SanType::IpAddress(*ip)));
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if self.role == Role::Node {
            parameters.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        parameters.use_authority_key_identifier_extension = true;
        Ok(parameters)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use counterfoil_ledger::bic::Bic;
    use counterfoil_ledger::signature::Signer;

    use super::*;
    use crate::certificate::Certificate;
    use crate::commands::pki::authority;

    fn issue(authority: &Path, out: PathBuf, role: Role) -> Issue {
        Issue {
            authority: authority.to_owned(),
            consortium: "demo.example".to_owned(),
            role,
            name: "node-1".to_owned(),
            out,
            dns: vec!["localhost".to_owned()],
            ip: vec![IpAddr::from([127, 0, 0, 1])],
            algorithm: Algorithm::Ed25519,
            days: 10,
        }
    }

    #[test]
    fn a_leaf_names_its_holder_and_nobody_else() {
        let directory = tempfile::tempdir().unwrap();
        for algorithm in [Algorithm::P256, Algorithm::Ed25519] {
            let home = directory.path().join(format!("{algorithm:?}"));
            authority::run(&Bic::parse("BANKCHZZ").unwrap(), &home, algorithm, 30).unwrap();
            let node = issue(&home, home.join("node"), Role::Node);
            node.run().unwrap();
            assert_eq!(node.run().unwrap_err().code, "FILE_EXISTS");
            let pem = files::read_text(&home.join("node").join("certificate.pem")).unwrap();
            let leaf = Certificate::from_pem(&pem).unwrap();
            let uri = "spiffe://demo.example/institution/BANKCHZZXXX/node/node-1";
            assert_eq!(leaf.uris, [uri]);
            assert_eq!(leaf.identity().unwrap().uri(), uri);
            assert_eq!(leaf.uses, ["serverAuth", "clientAuth"]);
            assert_eq!(leaf.names[1..], ["DNS localhost", "IP 127.0.0.1"]);
            assert!(!leaf.authority);
            let key = files::read_private_key(&home.join("node").join("key.pem")).unwrap();
            assert_eq!(
                private_key::signer(&private_key::from_pem(&key).unwrap()).spki(),
                leaf.spki
            );
            issue(&home, home.join("client"), Role::Client).run().unwrap();
            let pem = files::read_text(&home.join("client").join("certificate.pem")).unwrap();
            assert_eq!(Certificate::from_pem(&pem).unwrap().uses, ["clientAuth"]);
            let mut long = issue(&home, home.join("long"), Role::Client);
            long.days = 31;
            assert_eq!(long.run().unwrap_err().code, "AUTHORITY_EXPIRES_FIRST");
            assert!(!home.join("long").exists());
        }
    }

    #[test]
    fn names_that_cannot_stand_in_a_certificate() {
        let mut bad = issue(Path::new("none"), PathBuf::from("none"), Role::Client);
        bad.name = "Node/1".to_owned();
        assert_eq!(bad.run().unwrap_err().code, "NAME_MALFORMED");
        bad.name = "node".to_owned();
        bad.consortium = "Demo".to_owned();
        assert_eq!(bad.run().unwrap_err().code, "CONSORTIUM_MALFORMED");
    }
}
