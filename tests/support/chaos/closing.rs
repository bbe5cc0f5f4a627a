//! What every node says at the end, each asked alone and directly.

use base64ct::{Base64, Encoding};
use counterfoil_client::audit::HistoryFilter;
use counterfoil_client::{Client, Error, v1};
use counterfoil_ledger::id::InstructionId;

use super::recorder::{decided, hex, read_mode, view};
use crate::checker::history::{Answer, Known, Mode, NodeEnd, State, Transfer, Verdict};
use crate::consortium::{AGENT, BANKS, Consortium};

/// Ids of each bank that each node is asked for one by one; its list of transfers has all of them.
const ASKED_MAX: usize = 40;

/// The genesis file, as a history has it.
pub fn genesis(consortium: &Consortium) -> String {
    let bytes = std::fs::read(consortium.path().join("genesis.bin")).expect("it was founded");
    Base64::encode_string(&bytes)
}

/// Asks a node for everything; says why it is down if it does not answer.
pub async fn of_node(consortium: &Consortium, node: usize, mode: Mode) -> NodeEnd {
    let number = u64::try_from(node).expect("a few nodes") + 1;
    let down = |why: String| NodeEnd { node: number, down: Some(why), ..NodeEnd::default() };
    if let Some(status) = consortium.ended(node) {
        return down(format!("ended by itself: {status}"));
    }
    ask(consortium, node, number, mode).await.unwrap_or_else(|error| down(error.to_string()))
}

async fn ask(
    consortium: &Consortium,
    node: usize,
    number: u64,
    mode: Mode,
) -> Result<NodeEnd, Error> {
    let client =
        |institution| consortium.client_at(institution, &[node]).with_read_mode(read_mode(mode));
    let agent = client(AGENT);
    let accounts = agent.accounts(None).all().await?;
    let height = accounts.as_of.height;
    let headers = agent.blocks(0).all().await?.value;
    let mut transfers = Vec::new();
    let mut instructions = Vec::new();
    for institution in std::iter::once(AGENT).chain(BANKS) {
        let client = client(institution);
        let own = own_transfers(&client, institution, height).await?;
        let step = (own.len() / ASKED_MAX).max(1);
        for transfer in own.iter().step_by(step) {
            // What has no id is nothing that anybody ordered: the checker says so.
            let Ok(id) = InstructionId::parse(&transfer.id) else { continue };
            let told = client.instruction(id).await.map(|found| found.value.outcome);
            let answer = match decided(&told) {
                Answer::Unknown { cause } => return Err(Error::Unavailable { cause }),
                answer => answer,
            };
            let (institution, id) = (institution.to_owned(), transfer.id.clone());
            instructions.push(Known { institution, id, answer });
        }
        transfers.extend(own);
    }
    transfers.sort_by_key(|it| (it.verdict.height, it.verdict.leaf));
    let headers = headers.iter().map(|header| Base64::encode_string(&header.encode())).collect();
    let accounts = view(&accounts.value, &accounts.as_of);
    Ok(NodeEnd { node: number, down: None, headers, accounts, transfers, instructions })
}

/// The transfers that an institution has signed, up to a height.
async fn own_transfers(
    client: &Client,
    institution: &str,
    height: u64,
) -> Result<Vec<Transfer>, Error> {
    let filter = HistoryFilter {
        to_height: Some(height),
        include_rejected: true,
        ..HistoryFilter::default()
    };
    let all = client.history(filter).all().await?.value;
    let own = all.into_iter().filter(|it| it.institution == institution);
    Ok(own.map(|it| transfer(&it)).collect())
}

fn transfer(told: &v1::TransferRecord) -> Transfer {
    let signed = told.transfer.clone().unwrap_or_default();
    let verdict = told.verdict.clone().unwrap_or_default();
    let id = InstructionId::from_bytes(&told.instruction_id);
    Transfer {
        institution: told.institution.clone(),
        id: id.map(|id| id.to_string()).unwrap_or_default(),
        debit: hex(&signed.debit_account),
        credit: hex(&signed.credit_account),
        amount: signed.amount,
        uetr: hex(&signed.uetr),
        first_posting: verdict.first_posting,
        verdict: read(&verdict),
    }
}

fn read(told: &v1::Verdict) -> Verdict {
    let state = match told.state() {
        v1::State::Settled => State::Settled,
        v1::State::Rejected => State::Rejected,
        v1::State::Recorded | v1::State::Unspecified => State::Recorded,
        v1::State::Itemised => State::Itemised,
    };
    let (height, leaf) = told.position.map_or((0, 0), |at| (at.height, at.leaf));
    let reason = told.reason.as_ref().map_or(0, |reason| reason.code);
    Verdict { item: told.item_number, state, reason, height, leaf }
}
