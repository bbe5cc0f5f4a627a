//! What a transfer did to books: neither bank learns from a receipt what it did to the other's.

use counterfoil_client::instructions::{self, Order};
use counterfoil_client::v1;
use counterfoil_ledger::block::Side;
use counterfoil_ledger::date::Date;
use counterfoil_tests::banking::account;
use counterfoil_tests::consortium::BANKS;

use super::{Submitted, World, assert_final, pay};

/// Transfers that the books of both banks waited for, alone and in a batch: whoever asks is told that
/// something happened to books, and not what.
pub async fn of_another_are_not_told(world: &World) {
    let [payer, payee, _] = BANKS;
    let payments = [410, 420, 430].map(|amount| pay(payer, payee, amount));
    let any = world.submit(payer, Order::transfer(pay(payer, payee, 1)), 0).await;
    let today = Date::from_unix_ms(any.verified.header.block_time_ms);
    for (bank, side) in [(payer, Side::Debit), (payee, Side::Credit)] {
        let entry = |payment: &v1::Transfer| v1::BookEntry {
            uetr: payment.uetr.clone(),
            ..instructions::book_entry(account(bank, "CHF"), side, payment.amount, today)
        };
        // The last of them comes as a surprise.
        let entries = payments[..2].iter().map(entry).collect();
        world.submit(bank, Order::book_entries(entries), 1).await;
    }
    let [single, item, surprise] = payments;
    let single = world.submit(payer, Order::transfer(single), 2).await;
    let batch = world.submit(payer, Order::transfers(vec![item, surprise], false), 3).await;
    let height_of = |submitted: &Submitted| submitted.verified.header.height;
    for institution in [payer, payee] {
        let asked = world.node(0, institution).await;
        for (submitted, leaf) in [(&single, 0), (&batch, 1)] {
            let leaf = submitted.verified.leaf + leaf;
            let receipt = asked.receipt_at(height_of(submitted), leaf).await.unwrap();
            assert!(receipt.effects.is_empty() && receipt.effects_hash.len() == 32);
            let verified = world.receipt(&receipt);
            assert_final(&verified);
            assert_eq!(verified.effects_hash.to_bytes(), receipt.effects_hash);
        }
    }
    let id = batch.verified.id;
    let answer = world.node(1, payer).await.instruction(&id).await;
    let proof = answer.batch.unwrap();
    assert!(proof.effects.is_empty() && proof.effects_hashes.len() == 64);
    assert_ne!(proof.effects_hashes[..32], [0; 32]);
    // What is in one's own book one is told.
    let matches = world.node(2, payee).await.matches(&account(payee, "CHF")).await;
    assert_eq!(matches.len(), 2);
}
