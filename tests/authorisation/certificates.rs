//! Certificates that are none, on every listener, and one that expires while it is used.

use std::io;
use std::time::Duration;

use counterfoil_client::v1;
use counterfoil_tests::authority::Authority;
use counterfoil_tests::banking::account;
use counterfoil_tests::consortium::{BANKS, CONSORTIUM, Consortium};
use counterfoil_tests::wire::{self, Credential, Told};
use prost::Message;
use rustls::AlertDescription;
use tonic::Code;

use super::{CLIENTS, PEERS, ROLES, empty_call};

/// Tries a method with a certificate, if it gets as far as a method.
async fn attempt(address: &str, credential: Option<&Credential>, path: &str) -> io::Result<Code> {
    let channel = wire::connect(address, credential).await?;
    Ok(empty_call(&channel, path).await.0)
}

pub async fn are_refused(consortium: &Consortium) {
    let victim = BANKS[0];
    let own = Authority::of(consortium, victim);
    let other = Authority::of(consortium, BANKS[1]);
    let stranger = Authority::stranger(victim);
    for role in ROLES {
        let cases = [
            ("no certificate", None, AlertDescription::CertificateRequired),
            (
                "expired",
                Some(own.issue_expired(victim, role)),
                AlertDescription::CertificateExpired,
            ),
            (
                "a foreign authority's, claiming the victim",
                Some(stranger.issue(CONSORTIUM, victim, role)),
                AlertDescription::UnknownCA,
            ),
            (
                "another member's authority's, claiming the victim",
                Some(other.issue(CONSORTIUM, victim, role)),
                AlertDescription::UnknownCA,
            ),
            (
                "of no member",
                Some(own.issue(CONSORTIUM, "NOBDCHZZXXX", role)),
                AlertDescription::UnknownCA,
            ),
            (
                "of another consortium",
                Some(own.issue("other.example", victim, role)),
                AlertDescription::CertificateUnknown,
            ),
            (
                "of no role",
                Some(own.issue(CONSORTIUM, victim, "root")),
                AlertDescription::CertificateUnknown,
            ),
        ];
        for (what, credential, alert) in &cases {
            let tables =
                [(consortium.client_address(2), CLIENTS), (consortium.peer_address(2), PEERS)];
            for (address, table) in tables {
                for (path, ..) in table {
                    let answer = attempt(address, credential.as_ref(), path).await;
                    let error = answer.expect_err(&format!("{what}: {role} {path}"));
                    assert_eq!(wire::alert(&error), Some(*alert), "{what}: {role} {path}: {error}");
                }
            }
        }
    }
    // The node of one institution is no node of another's making, and no node that nobody registered.
    let peer = consortium.peer_address(2);
    let unregistered = format!("{victim}/authority");
    let two = consortium.home(victim).join("two");
    counterfoil_tests::consortium::counterfoil(&[
        "pki",
        "issue",
        "--authority",
        consortium.path().join(unregistered).to_str().unwrap(),
        "--consortium",
        CONSORTIUM,
        "--role",
        "node",
        "--name",
        "two",
        "--out",
        two.to_str().unwrap(),
    ]);
    let error = attempt(peer, Some(&Credential::of(&two)), PEERS[0].0).await.unwrap_err();
    assert_eq!(wire::alert(&error), Some(AlertDescription::AccessDenied));
}

pub async fn expire_while_they_are_used(consortium: &Consortium) {
    let bank = BANKS[0];
    let short = Authority::of(consortium, bank).issue_until(bank, "client", Duration::from_secs(4));
    let address = consortium.client_address(0);
    let channel = wire::connect(address, Some(&short)).await.unwrap();
    let path = "/counterfoil.v1.AccountService/ListAccounts";
    assert_eq!(empty_call(&channel, path).await.0, Code::Ok);
    let watch = v1::WatchMovementsRequest {
        account: account(bank, "CHF").as_bytes().to_vec().into(),
        start_after: None,
        ..Default::default()
    };
    let watch_path = "/counterfoil.v1.AccountService/WatchMovements";
    let mut watch = wire::open(&channel, watch_path, watch.encode_to_vec()).await.unwrap();
    let ended = async {
        loop {
            if let Err(status) = watch.message().await {
                return Told::of(&status);
            }
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(15), ended).await.unwrap();
    assert!(told.is(Code::Unauthenticated, "CERTIFICATE_EXPIRED"), "{told:?}");
    for (path, ..) in CLIENTS {
        let (_, told) = empty_call(&channel, path).await;
        assert!(told.is(Code::Unauthenticated, "CERTIFICATE_EXPIRED"), "{path}: {told:?}");
    }
}
