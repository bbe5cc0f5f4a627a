//! From an entry of a file to what is signed: everything that the file says and the ledger compares.

use bytes::Bytes;
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::asset::AssetCode;
use counterfoil_ledger::block::Side;
use counterfoil_ledger::date::Date;
use counterfoil_ledger::instruction::AMOUNT_MAX;
use counterfoil_proto::v1;

use crate::formats::statement::{Entry, EntryStatus, Purpose};
use crate::instructions;

impl Entry {
    /// Whether it can go on the ledger, and as what: `Some(false)` as booked, `Some(true)` as expected.
    /// What is only said of another account (`INFO`) goes nowhere.
    fn expected(&self) -> Option<bool> {
        match self.status {
            EntryStatus::Booked => Some(false),
            EntryStatus::Pending | EntryStatus::Future => Some(true),
            EntryStatus::Information => None,
        }
    }

    /// The entry of an account in an asset as it is signed, with a new salt, on this side of the
    /// account; none if it is for information only. Its batch's transactions are left out: those are
    /// [`Entry::postings`].
    pub fn to_book_entry(
        &self,
        account: AccountId,
        asset: &AssetCode,
        side: Side,
    ) -> Option<v1::BookEntry> {
        let expected = self.expected()?;
        let foreign = self.amount.currency != *asset;
        let purpose = match self.purpose {
            Purpose::Other => v1::Purpose::Unspecified,
            Purpose::Lending => v1::Purpose::Lending,
            Purpose::Repayment => v1::Purpose::Repayment,
        };
        // Charges beyond what an amount can be are a mistake of the file; the entry is true without.
        let charges = self.charges.filter(|units| *units <= AMOUNT_MAX && !foreign);
        Some(v1::BookEntry {
            value_date: self.value_date.map(Date::yyyymmdd).unwrap_or_default(),
            entry_reference: self.book_reference().to_owned(),
            uetr: self.uetr.map_or(Bytes::new(), |uetr| Bytes::copy_from_slice(uetr.as_bytes())),
            end_to_end_id: self.end_to_end_id.clone(),
            transaction_id: self.transaction_id.clone(),
            instruction_id: self.instruction_id.clone(),
            group_id: self.group_id.clone(),
            counterparty: self.counterparty.map(|bic| bic.to_string()).unwrap_or_default(),
            reversal: self.reversal,
            returned: self.returned.is_some(),
            charges: charges.unwrap_or_default(),
            exchanged: self.original_amount.is_some(),
            asset: if foreign { self.amount.currency.to_string() } else { String::new() },
            expected,
            purpose: purpose.into(),
            ..instructions::book_entry(account, side, self.amount.units, self.booking_date)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use counterfoil_ledger::bic::Bic;

    use super::*;
    use crate::formats::fields::Amount;
    use crate::formats::statement::Returned;

    fn asset(code: &str) -> AssetCode {
        AssetCode::parse(code).unwrap()
    }

    fn entry() -> Entry {
        let date = Date::from_yyyymmdd(20_261_123).unwrap();
        let amount = |code| Amount { currency: asset(code), units: 995, exponent: 2 };
        Entry {
            value_date: Some(date.next()),
            reference: "OWN".to_owned(),
            servicer_reference: "SERVICER".to_owned(),
            end_to_end_id: "E".to_owned(),
            transaction_id: "T".to_owned(),
            instruction_id: "I".to_owned(),
            group_id: "G".to_owned(),
            counterparty: Some(Bic::parse("BANKCHZZ").unwrap()),
            reversal: true,
            returned: Some(Returned::default()),
            charges: Some(5),
            original_amount: Some(amount("EUR")),
            purpose: Purpose::Lending,
            ..Entry::booked("row 1", Side::Credit, amount("CHF"), date)
        }
    }

    fn account() -> AccountId {
        AccountId::from_bytes(&[1; 16]).unwrap()
    }

    #[test]
    fn everything_is_passed_on() {
        let signed = entry().to_book_entry(account(), &asset("CHF"), Side::Debit).unwrap();
        let expected = v1::BookEntry {
            account: vec![1; 16].into(),
            side: v1::Side::Debit.into(),
            amount: 995,
            booking_date: 20_261_123,
            value_date: 20_261_124,
            entry_reference: "SERVICER".to_owned(),
            end_to_end_id: "E".to_owned(),
            salt: signed.salt.clone(),
            transaction_id: "T".to_owned(),
            instruction_id: "I".to_owned(),
            group_id: "G".to_owned(),
            counterparty: "BANKCHZZXXX".to_owned(),
            reversal: true,
            returned: true,
            charges: 5,
            exchanged: true,
            purpose: v1::Purpose::Lending.into(),
            ..v1::BookEntry::default()
        };
        assert_eq!(signed, expected);
    }

    #[test]
    fn what_is_not_booked_is_expected_and_information_is_nothing() {
        let of = |status| {
            let entry = Entry { status, ..entry() };
            entry.to_book_entry(account(), &asset("CHF"), Side::Credit)
        };
        assert!(of(EntryStatus::Pending).unwrap().expected);
        assert!(of(EntryStatus::Future).unwrap().expected);
        assert!(of(EntryStatus::Information).is_none());
    }

    #[test]
    fn another_asset_is_named_and_its_charges_are_not_the_accounts() {
        let signed = entry().to_book_entry(account(), &asset("USD"), Side::Credit).unwrap();
        assert_eq!((signed.asset.as_str(), signed.charges), ("CHF", 0));
        let wild = Entry { charges: Some(u64::MAX), ..entry() };
        assert_eq!(wild.to_book_entry(account(), &asset("CHF"), Side::Credit).unwrap().charges, 0);
    }
}
