//! Certificates that `counterfoil pki` would not issue: expired, of a stranger, for a short moment.

use std::fs;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

use crate::consortium::{CONSORTIUM, Consortium};
use crate::wire::Credential;

/// Who issues.
pub struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    /// An institution's own.
    pub fn of(consortium: &Consortium, institution: &str) -> Authority {
        let directory = consortium.home(institution).join("authority");
        let read = |name| fs::read_to_string(directory.join(name)).expect("it was made");
        let key = KeyPair::from_pem(&read("authority.key.pem")).expect("a key");
        let certificate = read("authority.pem");
        Authority(Issuer::from_ca_cert_pem(&certificate, key).expect("an authority"))
    }

    /// One that no institution has as its anchor, though it says so.
    pub fn stranger(institution: &str) -> Authority {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::OrganizationName, institution);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Authority(Issuer::new(parameters, KeyPair::generate().expect("a key")))
    }

    /// A certificate that holds now, for an hour.
    pub fn issue(&self, consortium: &str, institution: &str, role: &str) -> Credential {
        let now = SystemTime::now();
        let hour = Duration::from_secs(3_600);
        self.issue_for(consortium, institution, role, now - hour, now + hour)
    }

    /// A certificate of our consortium that ended an hour ago.
    pub fn issue_expired(&self, institution: &str, role: &str) -> Credential {
        let (certificate, key) = self.issue_expired_pem(institution, role);
        Credential::of_pem(&certificate, &key)
    }

    /// The same as two texts in PEM: certificate and key.
    pub fn issue_expired_pem(&self, institution: &str, role: &str) -> (String, String) {
        let now = SystemTime::now();
        let hour = Duration::from_secs(3_600);
        self.issue_pem(CONSORTIUM, institution, role, now - 2 * hour, now - hour)
    }

    /// A certificate of our consortium that ends after a time.
    pub fn issue_until(&self, institution: &str, role: &str, time: Duration) -> Credential {
        let now = SystemTime::now();
        let hour = Duration::from_secs(3_600);
        self.issue_for(CONSORTIUM, institution, role, now - hour, now + time)
    }

    fn issue_for(
        &self,
        consortium: &str,
        institution: &str,
        role: &str,
        from: SystemTime,
        until: SystemTime,
    ) -> Credential {
        let (certificate, key) = self.issue_pem(consortium, institution, role, from, until);
        Credential::of_pem(&certificate, &key)
    }

    fn issue_pem(
        &self,
        consortium: &str,
        institution: &str,
        role: &str,
        from: SystemTime,
        until: SystemTime,
    ) -> (String, String) {
        let mut parameters = CertificateParams::default();
        let uri = format!("spiffe://{consortium}/institution/{institution}/{role}/one");
        let uri = uri.as_str().try_into().expect("text");
        parameters.subject_alt_names = vec![SanType::URI(uri)];
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if role == "node" {
            parameters.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        (parameters.not_before, parameters.not_after) = (from.into(), until.into());
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.signed_by(&key, &self.0).expect("it can be signed");
        (certificate.pem(), key.serialize_pem())
    }
}
