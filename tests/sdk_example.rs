//! The first example of the client's documentation, against a consortium that runs.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "../client-sdk/examples/first_transfer.rs"]
mod first_transfer;

use std::fs;

use counterfoil_client::Bic;
use counterfoil_tests::banking::{balance, open_and_fund};
use counterfoil_tests::consortium::{AGENT, BANKS, Consortium};

#[tokio::test(flavor = "multi_thread")]
async fn the_first_transfer_settles() {
    let consortium = Consortium::start();
    open_and_fund(&consortium, "CHF", 200_000).await;
    let [payer, payee, _] = BANKS;
    // What the example's bank was given, under the names that it gives them.
    let (home, files) = (consortium.home(payer), consortium.path().join("example"));
    fs::create_dir_all(files.join("client")).unwrap();
    for name in ["client/certificate.pem", "client/key.pem"] {
        fs::copy(home.join(name), files.join(name)).unwrap();
    }
    fs::copy(home.join("signing.pem"), files.join("signing.key.pem")).unwrap();
    fs::copy(consortium.path().join("genesis.bin"), files.join("genesis.bin")).unwrap();

    let (agent, payee_bic) = (Bic::parse(AGENT).unwrap(), Bic::parse(payee).unwrap());
    let pay = || first_transfer::first_transfer(&files, agent, payee_bic);
    let outcome = pay().await.unwrap();
    assert!(outcome.is_accepted(), "{outcome:?}");
    let observer = consortium.client(AGENT);
    assert_eq!(balance(&observer, payer, "CHF").await, 75_000);
    assert_eq!(balance(&observer, payee, "CHF").await, 325_000);

    // Run again it pays again, and the ledger refuses what is not there.
    let refused = pay().await.unwrap();
    assert_eq!(refused.verdict.rejection.unwrap().name, "INSUFFICIENT_FUNDS");
    assert_eq!(balance(&observer, payer, "CHF").await, 75_000);
}
