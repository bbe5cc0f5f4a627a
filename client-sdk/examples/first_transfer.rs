//! A bank pays another: 1,250.00 francs from its settlement account to the other's.

use std::path::Path;

use counterfoil_client::{AccountId, Bic, Client, Order, Outcome, instructions, signer, v1};
use prost::Message;

/// `files` holds what the bank was given: the genesis file, its certificate and its two keys.
pub async fn first_transfer(
    files: &Path,
    agent: Bic,
    payee: Bic,
) -> Result<Outcome, Box<dyn std::error::Error>> {
    let client = Client::builder()
        .genesis_file(files.join("genesis.bin"))
        .identity(files.join("client/certificate.pem"), files.join("client/key.pem"))
        .signer(signer::from_file(files.join("signing.key.pem"))?)
        .journal(files.join("journal"))
        .trusted_state(files.join("trusted.bin"))
        .build()?;

    // What an earlier run may have sent without learning its fate comes first.
    for resumed in client.resume().await? {
        println!("resumed {}: {:?}", resumed.id, resumed.result);
    }

    let account = |owner: &Bic| AccountId::of(&agent, owner, "CHF", "settlement");
    let outcome = client
        .submit(Order::transfer(v1::Transfer {
            end_to_end_id: "INVOICE 4711".to_owned(),
            ..instructions::transfer(account(&client.institution()), account(&payee), 125_000)
        }))
        .await?;
    // The outcome was proved, or there would be none. Whoever has the genesis file can check the receipt.
    let receipt = files.join(format!("{}.receipt", outcome.id));
    let bytes = outcome.receipt.encode_to_vec();
    println!("{:?}, {} bytes of proof in {}", outcome.finality, bytes.len(), receipt.display());
    std::fs::write(&receipt, bytes)?;
    match &outcome.verdict.rejection {
        None => println!("{} settled at height {}", outcome.id, outcome.verdict.height),
        Some(why) => println!("{} rejected: {}. {}", outcome.id, why.name, why.remedy),
    }
    Ok(outcome)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, files, agent, payee] = &arguments[..] else {
        return Err("usage: first_transfer DIRECTORY AGENT_BIC PAYEE_BIC".into());
    };
    first_transfer(Path::new(files), Bic::parse(agent)?, Bic::parse(payee)?).await?;
    Ok(())
}
