//! `account`: opening accounts, balances, postings and statements.

mod statement;

use std::path::PathBuf;

use counterfoil_client::Order;
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::date::Date;
use counterfoil_ledger::verify::Standing;
use counterfoil_proto::v1;
use counterfoil_proto::v1::Money;
use serde_json::{Value, json};

use crate::account_name::{AccountName, SETTLEMENT, account_id, parse_asset};
use crate::context::{Connection, parse_bic};
use crate::error::Failure;
use crate::files::{self, Readers};
use crate::moment;
use crate::output::{Answer, Table, hex, uuid};
use crate::session::{self, Session};
use crate::verdict;
use crate::waiting::Waiting;

/// Verbs of `account`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Opens an account that your institution services
    Open(Box<Open>),
    /// Lists the accounts that you may see
    List {
        /// Only accounts in this asset
        #[arg(long, value_name = "CODE")]
        asset: Option<String>,
        /// How to connect.
        #[command(flatten)]
        connection: Box<Connection>,
    },
    /// Shows an account, now or at a height, and its postings
    Show(Box<Show>),
    /// Saves what proves an account's balance at two heights and every posting between them
    Prove(Box<Prove>),
    /// Writes the statement of an account's day: camt.053, camt.052, camt.054, CSV or JSON
    Statement(Box<statement::Arguments>),
}

/// Arguments of `account open`.
#[derive(Debug, clap::Args)]
pub struct Open {
    /// Whose money it is; your own BIC opens an issuance account
    #[arg(long, value_name = "BIC")]
    owner: String,
    /// In what
    #[arg(long, value_name = "CODE")]
    asset: String,
    /// Its name
    #[arg(long, value_name = "NAME", default_value = SETTLEMENT)]
    name: String,
    /// What to wait for.
    #[command(flatten)]
    waiting: Waiting,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `account show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// Which.
    #[command(flatten)]
    account: AccountName,
    /// The balance after the block at this height
    #[arg(long, value_name = "HEIGHT")]
    at_height: Option<u64>,
    /// Its postings too
    #[arg(long)]
    movements: bool,
    /// Only postings from this settlement date on (yyyy-mm-dd)
    #[arg(long, value_name = "DATE", value_parser = parse_date, requires = "movements")]
    from: Option<Date>,
    /// Only postings to this settlement date (yyyy-mm-dd)
    #[arg(long, value_name = "DATE", value_parser = parse_date, requires = "movements")]
    to: Option<Date>,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `account prove`.
#[derive(Debug, clap::Args)]
pub struct Prove {
    /// Which.
    #[command(flatten)]
    account: AccountName,
    /// The opening balance is that after the block at this height
    #[arg(long, value_name = "HEIGHT", default_value_t = 0)]
    from_height: u64,
    /// The closing balance is that after the block at this height; the newest that is final, unless
    /// given
    #[arg(long, value_name = "HEIGHT")]
    to_height: Option<u64>,
    /// The file to write; counterfoil verify balance and verify statement read it
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

/// Reads a date of the command line.
pub fn parse_date(text: &str) -> Result<Date, String> {
    Date::parse(text).map_err(|_| "write a day that exists as yyyy-mm-dd".to_owned())
}

/// Does it.
pub fn run(command: Command) -> Result<Answer, Failure> {
    match command {
        Command::Open(open) => session::run(open.run()),
        Command::List { asset, connection } => session::run(list(asset, &connection)),
        Command::Show(show) => session::run(show.run()),
        Command::Prove(prove) => session::run(prove.run()),
        Command::Statement(arguments) => session::run(arguments.run()),
    }
}

impl Open {
    async fn run(&self) -> Result<Answer, Failure> {
        let owner = parse_bic(&self.owner)?;
        let asset = parse_asset(&self.asset)?;
        let session = Session::signing(&self.connection, self.waiting).await?;
        let servicer = session.institution();
        let id = account_id(&servicer, &owner, asset.as_str(), &self.name)?;
        let order = Order::open_account(&servicer, &owner, &asset, &self.name);
        let outcome = session.submit(order).await?;
        let what = format!("account {} {asset} of {owner} at {servicer}", self.name);
        Ok(verdict::answer(&outcome, &what, json!({ "account": id.to_string() }))
            .line(format!("account id   {id}")))
    }
}

async fn list(asset: Option<String>, connection: &Connection) -> Result<Answer, Failure> {
    let asset = asset.as_deref().map(parse_asset).transpose()?;
    let session = Session::reading(connection)?;
    let accounts = session.client.accounts(asset).all().await?;
    let mut table =
        Table::new(&["SERVICER", "OWNER", "NAME", ">BALANCE", ">POSTINGS", "ACCOUNT ID"]);
    for account in &accounts.value {
        table.row([
            account.servicer.clone(),
            account.owner.clone(),
            account.name.clone(),
            session.money(account.balance.as_ref()),
            account.posting_count.to_string(),
            hex(&account.id),
        ]);
    }
    let list = accounts.value.iter().map(|account| account_json(&session, account)).collect();
    Ok(Answer::new(Value::Array(list)).table(table).line("").line(as_of(&accounts.as_of)))
}

impl Show {
    async fn run(&self) -> Result<Answer, Failure> {
        let session = Session::reading(&self.connection)?;
        let id = self.account.id(&session)?;
        let found = session.client.balance(id, self.at_height).await?;
        let account = &found.value;
        let mut json = account_json(&session, account);
        json["asOf"] = as_of_json(&found.as_of);
        let kind = if account.issuance { "issuance account" } else { "account" };
        let table = Table::facts([
            (kind, account.name.clone()),
            ("account id", hex(&account.id)),
            ("servicer", account.servicer.clone()),
            ("owner", account.owner.clone()),
            ("balance", session.money(account.balance.as_ref())),
            ("postings", account.posting_count.to_string()),
            ("as of", as_of(&found.as_of)),
        ]);
        if !self.movements {
            return Ok(Answer::new(json).table(table));
        }
        let (movements, list) = self.movements(&session, id).await?;
        json["movements"] = list;
        Ok(Answer::new(json).table(table).line("").table(movements))
    }

    async fn movements(
        &self,
        session: &Session,
        account: AccountId,
    ) -> Result<(Table, Value), Failure> {
        let movements = session.client.movements(account, self.from, self.to).all().await?;
        let mut table = Table::new(&[
            "POSITION",
            "DATE",
            "COUNTERPARTY",
            ">AMOUNT",
            ">BALANCE",
            "END-TO-END ID",
            "UETR",
        ]);
        let mut list = Vec::new();
        for movement in &movements.value {
            let sign = if movement.side() == v1::Side::Debit { "-" } else { "+" };
            table.row([
                position(movement.position.as_ref()),
                date(movement.settlement_date),
                movement.counterparty.clone(),
                format!("{sign}{}", session.money(movement.amount.as_ref())),
                session.money(movement.balance.as_ref()),
                movement.end_to_end_id.clone(),
                uuid(&movement.uetr),
            ]);
            list.push(json!({
                "position": position_json(movement.position.as_ref()),
                "sequence": movement.sequence.to_string(),
                "side": side(movement.side()),
                "amount": session.money_json(movement.amount.as_ref()),
                "balance": session.money_json(movement.balance.as_ref()),
                "settlementDate": date_json(movement.settlement_date),
                "counterparty": movement.counterparty,
                "counterpartyAccount": hex(&movement.counterparty_account),
                "uetr": uuid(&movement.uetr),
                "endToEndId": movement.end_to_end_id,
                "blockTime": moment::utc_ms(movement.block_time_ms),
            }));
        }
        Ok((table, Value::Array(list)))
    }
}

impl Prove {
    async fn run(&self) -> Result<Answer, Failure> {
        files::refuse_existing(&[&self.out])?;
        let session = Session::reading(&self.connection)?;
        let id = self.account.id(&session)?;
        let proved = session.client.account_proof(id, self.from_height, self.to_height).await?;
        let bytes = proved.bytes();
        files::create(&self.out, &bytes, Readers::Owner)?;
        let verified = &proved.verified;
        let shown = |standing: &Standing| {
            let money = Money {
                asset: verified.asset.as_str().to_owned(),
                minor_units: i64::try_from(standing.balance).unwrap_or_default(),
            };
            format!("{} after height {}", session.money(Some(&money)), standing.height)
        };
        Ok(Answer::new(json!({
            "file": self.out,
            "bytes": bytes.len().to_string(),
            "account": verified.id.to_string(),
            "fromHeight": verified.opening.height.to_string(),
            "toHeight": verified.closing.height.to_string(),
            "postingCount": verified.postings.len().to_string(),
            "finality": verdict::finality_json(&verified.finality),
        }))
        .table(Table::facts([
            ("account id", verified.id.to_string()),
            ("opening", shown(&verified.opening)),
            ("closing", shown(&verified.closing)),
            ("postings", verified.postings.len().to_string()),
            ("finality", verdict::finality(&verified.finality)),
            ("file", format!("{}, {} bytes", self.out.display(), bytes.len())),
        ])))
    }
}

fn account_json(session: &Session, account: &v1::Account) -> Value {
    json!({
        "id": hex(&account.id),
        "ordinal": account.ordinal,
        "servicer": account.servicer,
        "owner": account.owner,
        "asset": account.asset,
        "exponent": account.exponent,
        "name": account.name,
        "issuance": account.issuance,
        "balance": session.money_json(account.balance.as_ref()),
        "postingCount": account.posting_count.to_string(),
    })
}

/// Which side, in one word.
pub fn side(side: v1::Side) -> &'static str {
    match side {
        v1::Side::Unspecified => "-",
        v1::Side::Debit => "DEBIT",
        v1::Side::Credit => "CREDIT",
    }
}

/// `12/3`: height and leaf.
pub fn position(position: Option<&v1::Position>) -> String {
    position.map_or("-".to_owned(), |position| format!("{}/{}", position.height, position.leaf))
}

/// A position for programs.
pub fn position_json(position: Option<&v1::Position>) -> Value {
    position.map_or(
        Value::Null,
        |position| json!({ "height": position.height.to_string(), "leaf": position.leaf }),
    )
}

/// `2026-11-23`, of yyyymmdd.
pub fn date(yyyymmdd: u32) -> String {
    Date::from_yyyymmdd(yyyymmdd).map_or("-".to_owned(), |date| date.to_string())
}

/// The same for programs: none where there is no date.
pub fn date_json(yyyymmdd: u32) -> Value {
    Date::from_yyyymmdd(yyyymmdd).map_or(Value::Null, |date| json!(date.to_string()))
}

/// When an answer was true.
pub fn as_of(as_of: &v1::AsOf) -> String {
    format!("height {}, {}", as_of.height, moment::utc_ms(as_of.block_time_ms))
}

/// The same for programs.
pub fn as_of_json(as_of: &v1::AsOf) -> Value {
    json!({
        "height": as_of.height.to_string(),
        "headerHash": hex(&as_of.header_hash),
        "blockTime": moment::utc_ms(as_of.block_time_ms),
    })
}
