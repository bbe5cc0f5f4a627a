//! `recon statements`: the statements of the books of an account that the caller sees.

use counterfoil_proto::v1;
use serde_json::{Value, json};

use super::Book;
use crate::account_name::AccountWord;
use crate::commands::account::{as_of, date};
use crate::commands::recon::account::Reconciled;
use crate::commands::recon::words::counted;
use crate::context::Connection;
use crate::error::Failure;
use crate::output::{Answer, Table, hex};
use crate::session::Session;

/// Arguments of `recon statements`.
#[derive(Debug, clap::Args)]
pub struct Statements {
    /// The account: its id, or ASSET[@OWNER][:NAME]
    #[arg(value_name = "ACCOUNT")]
    account: AccountWord,
    /// Whose book; both, unless given
    #[arg(long, value_name = "WHOSE", value_enum)]
    book: Option<Book>,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

impl Statements {
    /// Lists them.
    pub async fn run(&self) -> Result<Answer, Failure> {
        let session = Session::reading(&self.connection)?;
        let of = Reconciled::find(&session, &self.account).await?;
        let mut table = Table::new(&[
            "BOOK",
            ">NUMBER",
            "STATEMENT",
            "COVERS",
            ">OPENING",
            ">CLOSING",
            "ORIGINAL",
        ]);
        let (mut list, mut moment) = (Vec::new(), None);
        for book in Book::ALL.into_iter().filter(|it| self.book.is_none_or(|book| book == *it)) {
            let found = session.client.statements(of.id, book.source()).all().await?;
            moment = Some(found.as_of);
            for one in &found.value {
                table.row([
                    book.name().to_owned(),
                    one.number.to_string(),
                    one.statement_id.clone(),
                    format!("{} to {}", date(one.from_date), date(one.to_date)),
                    of.figure(one.opening_balance.into()),
                    of.figure(one.closing_balance.into()),
                    original(one).to_owned(),
                ]);
                list.push(row_json(&of, book, one));
            }
        }
        let count = u64::try_from(list.len()).unwrap_or(u64::MAX);
        let moment = moment.as_ref().map_or(String::new(), |it| format!("; {}", as_of(it)));
        Ok(Answer::new(Value::Array(list))
            .title(format!("Statements of {}", of.title()))
            .table(table)
            .line("")
            .line(format!("{}{moment}", counted(count, "statement"))))
    }
}

/// What is known of the file.
fn original(one: &v1::RecordedStatement) -> &'static str {
    match (one.original.is_empty(), one.agreement.is_empty()) {
        (true, _) => "-",
        (false, true) => "by hash",
        (false, false) => "sealed",
    }
}

fn row_json(of: &Reconciled, book: Book, one: &v1::RecordedStatement) -> Value {
    let or_none = |bytes: &[u8]| Some(hex(bytes)).filter(|text| !text.is_empty());
    json!({
        "book": book.name(),
        "number": one.number.to_string(),
        "statementId": one.statement_id,
        "fromDate": date(one.from_date),
        "toDate": date(one.to_date),
        "openingBalance": of.amount_json(one.opening_balance.into()),
        "closingBalance": of.amount_json(one.closing_balance.into()),
        "sequence": Some(one.sequence).filter(|it| *it != 0).map(|it| it.to_string()),
        "original": or_none(&one.original),
        "sealedUnder": or_none(&one.agreement),
    })
}
