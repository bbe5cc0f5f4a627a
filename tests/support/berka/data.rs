//! The two files: standing orders, and the bookings of 1993.

use std::{fs::File, path::Path};

use counterfoil_ledger::{asset::parse_amount, date::Date};
use serde::{Deserialize, de::DeserializeOwned};

/// Decimals of the Czech koruna.
pub const EXPONENT: u8 = 2;

/// What is taken from the two files.
#[derive(Clone, Debug)]
pub struct Data {
    /// All standing orders, in the file's order.
    pub orders: Vec<Order>,
    /// Bookings to or from another bank, in the file's order, which is by date.
    pub bookings: Vec<Booking>,
    /// Bookings in the file, those within the bank included.
    pub rows: usize,
}

/// A standing order of a customer of the home bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Number.
    pub id: u32,
    /// Whose it is and where it goes.
    pub parties: Parties,
    /// Hellers, every month.
    pub amount: u64,
}

/// A booking of the home bank whose counterparty is another bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booking {
    /// Number.
    pub id: u32,
    /// When.
    pub date: Date,
    /// Whose it is and where it goes to or comes from.
    pub parties: Parties,
    /// Hellers.
    pub amount: u64,
    /// The money leaves the home bank.
    pub outgoing: bool,
}

/// The two customers' accounts and the other bank.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Parties {
    /// Account at the home bank.
    pub account: u32,
    /// Two letters of the other bank.
    pub bank: String,
    /// Account there.
    pub counter_account: String,
}

/// A file that is not as described.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct DataError {
    file: String,
    problem: String,
}

#[derive(Deserialize)]
struct OrderRow {
    order_id: u32,
    account_id: u32,
    bank_to: String,
    account_to: String,
    amount: String,
}

#[derive(Deserialize)]
struct BookingRow {
    trans_id: u32,
    account_id: u32,
    date: u32,
    #[serde(rename = "type")]
    side: String,
    amount: String,
    bank: String,
    account: String,
}

impl Data {
    /// Reads `order.asc` and `trans-1993.asc` of a folder.
    pub fn read(folder: &Path) -> Result<Data, DataError> {
        let orders = rows(&folder.join("order.asc"), |row: OrderRow| {
            let parties = parties(row.account_id, row.bank_to, row.account_to)?;
            Ok(Order { id: row.order_id, parties, amount: amount(&row.amount)? })
        })?;
        let all = rows(&folder.join("trans-1993.asc"), booking)?;
        let rows = all.len();
        Ok(Data { orders, bookings: all.into_iter().flatten().collect(), rows })
    }
}

fn booking(row: BookingRow) -> Result<Option<Booking>, String> {
    let date = Date::from_yyyymmdd(19_000_000 + row.date).map_err(|error| error.to_string())?;
    if date.yyyymmdd() / 10_000 != 1993 {
        return Err(format!("{date} is not in 1993"));
    }
    if row.bank.is_empty() {
        return Ok(None);
    }
    let outgoing = match row.side.as_str() {
        "VYDAJ" => true,
        "PRIJEM" => false,
        other => return Err(format!("{other} is neither VYDAJ (out) nor PRIJEM (in)")),
    };
    let parties = parties(row.account_id, row.bank, row.account)?;
    Ok(Some(Booking { id: row.trans_id, date, parties, amount: amount(&row.amount)?, outgoing }))
}

fn parties(account: u32, bank: String, counter_account: String) -> Result<Parties, String> {
    if bank.len() == 2 && bank.bytes().all(|byte| byte.is_ascii_uppercase()) {
        Ok(Parties { account, bank, counter_account })
    } else {
        Err(format!("{bank:?} is not a bank's two letters"))
    }
}

fn amount(text: &str) -> Result<u64, String> {
    match parse_amount(text, EXPONENT) {
        Ok(0) => Err("an amount of zero".to_owned()),
        Ok(amount) => Ok(amount),
        Err(error) => Err(format!("{text:?}: {error}")),
    }
}

fn rows<R: DeserializeOwned, T>(
    file: &Path,
    read: impl Fn(R) -> Result<T, String>,
) -> Result<Vec<T>, DataError> {
    let fail = |problem: String| DataError { file: file.display().to_string(), problem };
    let source = File::open(file).map_err(|error| fail(error.to_string()))?;
    let mut reader = csv::ReaderBuilder::new().delimiter(b';').from_reader(source);
    let mut all = Vec::new();
    for (line, row) in (2..).zip(reader.deserialize()) {
        let row = row.map_err(|error| fail(error.to_string()))?;
        all.push(read(row).map_err(|problem| fail(format!("line {line}: {problem}")))?);
    }
    Ok(all)
}
