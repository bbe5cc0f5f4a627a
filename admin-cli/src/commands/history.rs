//! `history`: the settlement history in your scope.

use counterfoil_client::audit::HistoryFilter;
use counterfoil_proto::v1;
use serde_json::{Value, json};

use crate::account_name::parse_asset;
use crate::commands::account::{as_of, date, date_json, position, position_json};
use crate::context::{Connection, parse_bic};
use crate::error::{self, Failure};
use crate::moment;
use crate::output::{Answer, Table, hex, uuid};
use crate::session::{self, Session};

/// Arguments of `history`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// First height
    #[arg(long, value_name = "HEIGHT", default_value_t = 0)]
    from_height: u64,
    /// Last height; the newest, unless given
    #[arg(long, value_name = "HEIGHT")]
    to_height: Option<u64>,
    /// Only transfers that this institution sends or receives
    #[arg(long, value_name = "BIC")]
    party: Option<String>,
    /// Only this asset
    #[arg(long, value_name = "CODE")]
    asset: Option<String>,
    /// Rejected ones too
    #[arg(long)]
    rejected: bool,
    /// At most so many; 0 = all
    #[arg(long, default_value_t = 1_000)]
    limit: usize,
    /// How to connect.
    #[command(flatten)]
    connection: Connection,
}

/// Lists it.
pub fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    session::run(arguments.run())
}

impl Arguments {
    async fn run(&self) -> Result<Answer, Failure> {
        let filter = HistoryFilter {
            from_height: self.from_height,
            to_height: self.to_height,
            institution: self.party.as_deref().map(parse_bic).transpose()?,
            asset: self.asset.as_deref().map(parse_asset).transpose()?,
            include_rejected: self.rejected,
        };
        let session = Session::reading(&self.connection)?;
        let mut pages = session.client.history(filter);
        let mut transfers = Vec::new();
        let mut moment = v1::AsOf::default();
        let enough = |count: usize| self.limit > 0 && count > self.limit;
        while let Some(page) = pages.next().await? {
            transfers.extend(page.items);
            moment = page.as_of;
            if enough(transfers.len()) {
                transfers.truncate(self.limit);
                error::warn(&format!(
                    "there are more than {} transfers; give --limit 0 for all",
                    self.limit
                ));
                break;
            }
        }
        Ok(describe(&session, &transfers).line("").line(as_of(&moment)))
    }
}

fn describe(session: &Session, transfers: &[v1::TransferRecord]) -> Answer {
    let mut table = Table::new(&[
        "POSITION",
        "TIME",
        "DEBTOR",
        "CREDITOR",
        ">AMOUNT",
        "DATE",
        "STATE",
        "END-TO-END ID",
        "UETR",
    ]);
    let mut list = Vec::new();
    for record in transfers {
        let transfer = record.transfer.clone().unwrap_or_default();
        let verdict = record.verdict.clone().unwrap_or_default();
        table.row([
            position(verdict.position.as_ref()),
            moment::utc_ms(record.block_time_ms),
            record.debtor.clone(),
            record.creditor.clone(),
            session.money(record.amount.as_ref()),
            date(record.settlement_date),
            state(&verdict),
            transfer.end_to_end_id.clone(),
            uuid(&transfer.uetr),
        ]);
        list.push(json!({
            "position": position_json(verdict.position.as_ref()),
            "blockTime": moment::utc_ms(record.block_time_ms),
            "institution": record.institution,
            "instructionId": uuid(&record.instruction_id),
            "debtor": record.debtor,
            "creditor": record.creditor,
            "debitAccount": hex(&transfer.debit_account),
            "creditAccount": hex(&transfer.credit_account),
            "amount": session.money_json(record.amount.as_ref()),
            "settlementDate": date_json(record.settlement_date),
            "state": v1_state(verdict.state()),
            "reason": verdict.reason.as_ref().filter(|reason| reason.code != 0).map(|reason| json!({
                "code": reason.code,
                "name": reason.name,
                "isoCode": reason.iso_code,
                "remedy": reason.remedy,
            })),
            "endToEndId": transfer.end_to_end_id,
            "uetr": uuid(&transfer.uetr),
        }));
    }
    Answer::new(Value::Array(list)).table(table)
}

fn state(verdict: &v1::Verdict) -> String {
    match &verdict.reason {
        Some(reason) if reason.code != 0 => {
            format!("{} {}", v1_state(verdict.state()), reason.name)
        }
        _ => v1_state(verdict.state()).to_owned(),
    }
}

fn v1_state(state: v1::State) -> &'static str {
    state.as_str_name().trim_start_matches("STATE_")
}
