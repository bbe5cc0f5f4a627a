//! A sound history passes; each rule is broken once, and found.

#![allow(clippy::unwrap_used)]

#[path = "../../../ledger/tests/support/mod.rs"]
mod support;

use base64ct::{Base64, Encoding};
use bytes::Bytes;
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::verify;
use counterfoil_proto::v1::{self, instruction::Body};
use prost::Message;
use support::build::{HOUR_MS, id_of, open, transfer, uetr_of};
use support::consortium::bic_of;
use support::{Archive, Chain, Consortium, NOON_MS};

use super::history::*;
use super::{Rule, Violation, check};

const NAMES: [&str; 4] = ["Agent", "Bravo", "Cesar", "Delta"];

fn account(owner: &str) -> AccountId {
    AccountId::of(&bic_of(NAMES[0]), &bic_of(owner), "CHF", "main")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Agent funds three banks with 100 each; then Bravo pays, is refused, and pays a batch in which one
/// item is refused.
fn archive() -> Archive {
    let mut chain = Chain::new(Consortium::new(&NAMES, &[("CHF", 2)]));
    let mut now = NOON_MS;
    let mut block = |chain: &mut Chain, orders: Vec<(&str, &str, Body)>| {
        now += 400;
        let signed = orders.into_iter().map(|(label, signer, body)| {
            let (id, bic) = (id_of(label, NOON_MS), bic_of(signer));
            let until = NOON_MS + HOUR_MS;
            let draft = counterfoil_ledger::instruction::Draft::new(id, &bic, until, body);
            chain.consortium.sign(&bic, draft)
        });
        let signed = signed.collect();
        chain.execute(now, signed);
    };
    let pay = |label: &str, from: &str, to: &str, amount| {
        Body::Transfer(transfer(label, &account(from), &account(to), amount))
    };
    let opening = NAMES.map(|name| (name, open(&bic_of(NAMES[0]), &bic_of(name), "CHF", "main")));
    let opening = opening.into_iter().map(|(name, body)| (name, NAMES[0], body)).collect();
    block(&mut chain, opening);
    let fund = |name| {
        (
            ["fund1", "fund2", "fund3"][name - 1],
            NAMES[0],
            pay(["f1", "f2", "f3"][name - 1], NAMES[0], NAMES[name], 100),
        )
    };
    block(&mut chain, (1..=3).map(fund).collect());
    block(&mut chain, vec![("pay", NAMES[1], pay("p1", NAMES[1], NAMES[2], 30))]);
    block(&mut chain, vec![("too much", NAMES[1], pay("p2", NAMES[1], NAMES[2], 71))]);
    let items: Vec<_> = [(20, 1), (200, 2), (5, 3)]
        .map(|(amount, item)| {
            transfer(&format!("item {item}"), &account(NAMES[1]), &account(NAMES[3]), amount)
        })
        .into();
    let bic = bic_of(NAMES[1]);
    let draft = counterfoil_ledger::instruction::Draft::transfers(
        id_of("batch", NOON_MS),
        &bic,
        NOON_MS + HOUR_MS,
        &items,
        false,
    );
    let signed = chain.consortium.sign(&bic, draft);
    chain.execute(NOON_MS + 60_000, vec![signed]);
    block(&mut chain, Vec::new());
    Archive::of(chain)
}

/// What a client is told of the leaves of one instruction.
fn decided(
    archive: &Archive,
    height: u64,
    leaves: std::ops::Range<u32>,
) -> (Answer, verify::VerifiedReceipt) {
    let mut verdicts = Vec::new();
    let mut receipts = Vec::new();
    let mut first = None;
    for leaf in leaves {
        let receipt = archive.receipt(height, leaf, Some(height + 1));
        let verified = verify::receipt(&archive.trust(), &receipt).unwrap();
        use counterfoil_ledger::outcome::State as Theirs;
        verdicts.push(Verdict {
            item: verified.item.as_ref().map_or(0, |item| item.number),
            state: match verified.outcome.state {
                Theirs::Settled => State::Settled,
                Theirs::Rejected => State::Rejected,
                Theirs::Recorded => State::Recorded,
                Theirs::Itemised => State::Itemised,
            },
            reason: verified.outcome.reason.map_or(0, |it| it.code().into()),
            height,
            leaf,
        });
        receipts.push(Base64::encode_string(&receipt.encode_to_vec()));
        first.get_or_insert(verified);
    }
    (Answer::Decided { is_final: true, verdicts, receipts }, first.unwrap())
}

fn view(archive: &Archive, height: u64) -> View {
    let accounts = &archive.balances[usize::try_from(height).unwrap()];
    let seen = accounts.iter().map(|it| Account {
        id: hex(it.id.as_bytes()),
        servicer: it.servicer.to_string(),
        owner: it.owner.to_string(),
        asset: it.asset.as_str().to_owned(),
        balance: i64::try_from(it.balance).unwrap(),
        postings: it.posting_count,
    });
    let header = archive.header(height).hash().to_string();
    View { height, header, is_final: true, accounts: seen.collect() }
}

/// The transfers that the receipts show.
fn listed(archive: &Archive, answers: &[Answer]) -> Vec<Transfer> {
    let mut listed = Vec::new();
    for answer in answers {
        let Answer::Decided { verdicts, receipts, .. } = answer else { continue };
        for (verdict, receipt) in verdicts.iter().zip(receipts) {
            let receipt = Base64::decode_vec(receipt).unwrap();
            let receipt = verify::read::<v1::Receipt>(&Bytes::from(receipt)).unwrap();
            let verified = verify::receipt(&archive.trust(), &receipt).unwrap();
            let transfer = match (&verified.item, &verified.instruction.body) {
                (Some(item), _) => match &item.body {
                    verify::ItemBody::Transfer(transfer) => transfer.clone(),
                    verify::ItemBody::BookEntry(_) => continue,
                },
                (None, Some(Body::Transfer(transfer))) => transfer.clone(),
                _ => continue,
            };
            listed.push(Transfer {
                institution: verified.institution.to_string(),
                id: verified.id.to_string(),
                verdict: verdict.clone(),
                debit: hex(&transfer.debit_account),
                credit: hex(&transfer.credit_account),
                amount: transfer.amount,
                uetr: hex(&transfer.uetr),
                first_posting: verified.outcome.first_posting,
            });
        }
    }
    listed
}

/// A history as it should be: one call after the other, each a millisecond long.
fn sound() -> History {
    let archive = archive();
    let places = [(1, 0..1), (1, 1..2), (1, 2..3), (1, 3..4), (2, 0..1), (2, 1..2), (2, 2..3)];
    let places = places.into_iter().chain([(3, 0..1), (4, 0..1), (5, 0..4)]);
    let mut calls = Vec::new();
    let mut answers = Vec::new();
    for (height, leaves) in places {
        let (answer, verified) = decided(&archive, height, leaves);
        let asked = Asked::Submit {
            institution: verified.institution.to_string(),
            id: verified.id.to_string(),
            hash: verified.instruction_hash.to_string(),
            all_or_nothing: false,
        };
        answers.push(answer.clone());
        // What is in one block was sent at one time.
        let begun_us = height * 10_000;
        calls.push(Call {
            client: "one".to_owned(),
            begun_us,
            ended_us: begun_us + 1_000,
            asked,
            answer,
        });
    }
    let asked = |asked: Asked, answer: Answer, begun_us| Call {
        client: "two".to_owned(),
        begun_us,
        ended_us: begun_us + 1_000,
        asked,
        answer,
    };
    let accounts = Asked::Accounts { all: true, mode: Mode::Final };
    calls.push(asked(accounts, Answer::Accounts(view(&archive, 5)), 60_000));
    let transfers = listed(&archive, &answers);
    let mut movements: Vec<Movement> = Vec::new();
    for transfer in transfers.iter().filter(|it| it.verdict.state == State::Settled) {
        let debit = transfer.debit == hex(account(NAMES[1]).as_bytes());
        if !debit && transfer.credit != hex(account(NAMES[1]).as_bytes()) {
            continue;
        }
        let amount = i64::try_from(transfer.amount).unwrap();
        let change = if debit { -amount } else { amount };
        let balance = movements.last().map_or(0, |it| it.balance) + change;
        let (height, leaf) = (transfer.verdict.height, transfer.verdict.leaf);
        let sequence = movements.len() as u64 + 1;
        movements.push(Movement { height, leaf, sequence, change, balance });
    }
    assert_eq!(movements.len(), 4);
    let watched = Asked::Watch { account: hex(account(NAMES[1]).as_bytes()), to_end: true };
    calls.push(asked(watched, Answer::Movements(movements), 0));
    let (answer, verified) = decided(&archive, 3, 0..1);
    let (institution, id) = (verified.institution.to_string(), verified.id.to_string());
    let lookup =
        Asked::Instruction { institution: institution.clone(), id: id.clone(), mode: Mode::Final };
    calls.push(asked(lookup, answer.clone(), 70_000));
    let node = NodeEnd {
        node: 1,
        down: None,
        headers: (0..=archive.height())
            .map(|it| Base64::encode_string(&archive.header(it).encode()))
            .collect(),
        accounts: view(&archive, archive.height()),
        transfers,
        instructions: vec![Known { institution, id, answer }],
    };
    let nodes = (1..=4).map(|id| NodeEnd { node: id, ..node.clone() }).collect();
    let genesis = Base64::encode_string(archive.chain.consortium.genesis.bytes());
    let founding = Founding { genesis, seed: 1, recover_within_us: 1_000_000, node_count: 4 };
    History { founding, calls, faults: Vec::new(), healed_us: vec![0], nodes }
}

fn rules(history: &History) -> Vec<Rule> {
    let mut rules: Vec<Rule> = check(history).into_iter().map(|it| it.rule).collect();
    rules.dedup();
    rules
}

/// Breaks a sound history, and expects that the rule is found broken.
fn breaks(rule: Rule, damage: impl FnOnce(&mut History)) {
    let mut history = sound();
    damage(&mut history);
    let found = check(&history);
    assert!(found.iter().any(|it| it.rule == rule), "{rule:?} is not in {found:#?}");
}

/// The call by which an instruction with a label was submitted.
fn call<'a>(history: &'a mut History, label: &str) -> &'a mut Call {
    let wanted = id_of(label, NOON_MS).to_string();
    let is = |it: &&mut Call| matches!(&it.asked, Asked::Submit { id, .. } if *id == wanted);
    history.calls.iter_mut().find(is).unwrap()
}

fn parts(answer: &mut Answer) -> (&mut Vec<Verdict>, &mut Vec<String>) {
    let Answer::Decided { verdicts, receipts, .. } = answer else { panic!("decided") };
    (verdicts, receipts)
}

fn seen(history: &mut History) -> &mut View {
    let views = history.calls.iter_mut().filter_map(|it| match &mut it.answer {
        Answer::Accounts(view) => Some(view),
        _ => None,
    });
    views.last().unwrap()
}

fn everywhere(history: &mut History, damage: impl Fn(&mut NodeEnd)) {
    history.nodes.iter_mut().for_each(damage);
}

#[test]
fn a_sound_history_passes_and_survives_its_file() {
    let history = sound();
    assert_eq!(check(&history), Vec::<Violation>::new());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("history.jsonl");
    history.save(&path).unwrap();
    let loaded = History::load(&path).unwrap();
    assert_eq!(loaded, history);
    std::fs::write(&path, "{\"call\":1}\n").unwrap();
    assert!(History::load(&path).unwrap_err().contains("line 1"));
}

#[test]
fn what_has_no_answer_may_be_there_or_not() {
    let mut history = sound();
    for label in ["pay", "too much"] {
        let call = call(&mut history, label);
        call.answer = Answer::Unknown { cause: "the connection broke".to_owned() };
    }
    let mut never = call(&mut history, "pay").clone();
    let Asked::Submit { id, .. } = &mut never.asked else { panic!("submitted") };
    *id = id_of("never", NOON_MS).to_string();
    history.calls.push(never);
    assert_eq!(rules(&history), []);
}

#[test]
fn receipts_and_answers() {
    breaks(Rule::ReceiptHolds, |it| {
        let (_, receipts) = parts(&mut call(it, "pay").answer);
        let mut bytes = Base64::decode_vec(&receipts[0]).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        receipts[0] = Base64::encode_string(&bytes);
    });
    breaks(Rule::ReceiptHolds, |it| {
        let receipt = archive().receipt(3, 0, None).encode_to_vec();
        parts(&mut call(it, "pay").answer).1[0] = Base64::encode_string(&receipt);
    });
    breaks(Rule::ReceiptHolds, |it| {
        // Told as ordered it may pass, and may not pass as final thereafter.
        let receipt = archive().receipt(3, 0, None).encode_to_vec();
        let call = call(it, "pay");
        parts(&mut call.answer).1[0] = Base64::encode_string(&receipt);
        let mut ordered = call.clone();
        if let Answer::Decided { is_final, .. } = &mut ordered.answer {
            *is_final = false;
        }
        it.calls.insert(0, ordered);
    });
    breaks(Rule::ReceiptHolds, |it| drop(parts(&mut call(it, "batch").answer).1.pop()));
    breaks(Rule::AnswerIsProved, |it| {
        parts(&mut call(it, "too much").answer).0[0].state = State::Settled
    });
    breaks(Rule::AnswerIsProved, |it| {
        call(it, "pay").answer = Answer::Wrong { problem: "the receipt is another's".to_owned() };
    });
    breaks(Rule::AnswerIsProved, |it| {
        let Asked::Submit { hash, .. } = &mut call(it, "pay").asked else { panic!("submitted") };
        *hash = "other".to_owned();
    });
}

/// Another world in which the same ids were decided otherwise, signed by the same keys.
fn other_world(history: &mut History, label: &str) {
    let mut chain = Chain::new(Consortium::new(&NAMES, &[("CHF", 2)]));
    let bic = bic_of(NAMES[1]);
    let body = Body::Transfer(transfer("p1", &account(NAMES[1]), &account(NAMES[2]), 31));
    let id = id_of(label, NOON_MS);
    let draft = counterfoil_ledger::instruction::Draft::new(id, &bic, NOON_MS + HOUR_MS, body);
    let signed = chain.consortium.sign(&bic, draft);
    chain.execute(NOON_MS + 400, vec![signed]);
    chain.execute(NOON_MS + 800, Vec::new());
    let (answer, verified) = decided(&Archive::of(chain), 1, 0..1);
    let mut other = call(history, label).clone();
    let Asked::Submit { hash, .. } = &mut other.asked else { panic!("submitted") };
    *hash = verified.instruction_hash.to_string();
    history.calls.push(Call { answer, begun_us: 80_000, ended_us: 81_000, ..other });
}

#[test]
fn ids_have_one_outcome_that_stays() {
    breaks(Rule::OneOutcome, |it| other_world(it, "pay"));
    breaks(Rule::RefusalStays, |it| other_world(it, "too much"));
    breaks(Rule::DecidedOnce, |it| {
        everywhere(it, |node| {
            let again = node.transfers[3].clone();
            let verdict = Verdict { height: 6, ..again.verdict };
            node.transfers.push(Transfer { verdict, ..again });
        });
    });
    breaks(Rule::NotTakenStays, |it| {
        call(it, "pay").answer = Answer::Refused { reason: "EXPIRED".to_owned(), not_taken: true };
    });
    breaks(Rule::OwnerOrders, |it| {
        everywhere(it, |node| node.transfers[3].institution = bic_of(NAMES[2]).to_string());
    });
    breaks(Rule::OnlyOrdered, |it| {
        it.calls.retain(|call| {
            let id = id_of("pay", NOON_MS).to_string();
            !matches!(&call.asked, Asked::Submit { id: asked, .. } if *asked == id)
        });
    });
}

#[test]
fn nodes() {
    breaks(Rule::NothingLost, |it| {
        everywhere(it, |node| drop(node.headers.split_off(5)));
    });
    breaks(Rule::NothingLost, |it| {
        it.nodes[2].transfers.remove(3);
    });
    breaks(Rule::NothingLost, |it| {
        it.nodes[1].instructions[0].answer =
            Answer::Refused { reason: "NOT_FOUND".to_owned(), not_taken: true };
    });
    breaks(Rule::NothingLost, |it| seen(it).header = "another".to_owned());
    breaks(Rule::SameHeaders, |it| it.nodes[3].headers[2] = "another".to_owned());
    breaks(Rule::HeadersChain, |it| {
        everywhere(it, |node| drop(node.headers.remove(3)));
    });
    breaks(Rule::SameContent, |it| it.nodes[3].transfers[2].amount += 1);
    breaks(Rule::NodeRuns, |it| it.nodes[3].down = Some("exit code 72".to_owned()));
    breaks(Rule::NodeRuns, |it| drop(it.nodes.pop()));
}

#[test]
fn money() {
    breaks(Rule::MoneyConserved, |it| seen(it).accounts[1].balance += 1);
    breaks(Rule::MoneyConserved, |it| it.nodes[0].accounts.accounts[1].balance += 1);
    breaks(Rule::BalanceFollows, |it| {
        let accounts = &mut seen(it).accounts;
        (accounts[1].balance, accounts[2].balance) = (accounts[2].balance, accounts[1].balance);
    });
    breaks(Rule::NoOverdraft, |it| seen(it).accounts[1].balance = -1);
    breaks(Rule::NoOverdraft, |it| everywhere(it, |node| node.transfers[3].amount = 101));
    breaks(Rule::VerdictFollows, |it| everywhere(it, |node| node.transfers[4].amount = 1));
    breaks(Rule::VerdictFollows, |it| {
        let uetr = hex(uetr_of("p1").as_bytes());
        everywhere(it, |node| node.transfers[5].uetr.clone_from(&uetr));
    });
    breaks(Rule::VerdictFollows, |it| {
        let Asked::Submit { all_or_nothing, .. } = &mut call(it, "batch").asked else {
            panic!("submitted")
        };
        *all_or_nothing = true;
    });
    breaks(Rule::PostingsNumbered, |it| {
        everywhere(it, |node| node.transfers[3].first_posting += 2);
    });
}

#[test]
fn real_time() {
    breaks(Rule::ReadsFresh, |it| {
        let old = view(&archive(), 4);
        *seen(it) = old;
    });
    breaks(Rule::ReadsFresh, |it| seen(it).is_final = false);
    breaks(Rule::ReadsFresh, |it| {
        let lookup = it.calls.last_mut().unwrap();
        lookup.answer = Answer::Refused { reason: "NOT_FOUND".to_owned(), not_taken: true };
    });
    breaks(Rule::OrderIsReal, |it| {
        let late = call(it, "pay");
        (late.begun_us, late.ended_us) = (90_000, 91_000);
    });
    breaks(Rule::Recovers, |it| it.healed_us.push(75_000));
    breaks(Rule::Recovers, |it| it.founding.recover_within_us = 10);
}

#[test]
fn watches() {
    let watch = |history: &mut History, damage: fn(&mut Vec<Movement>)| {
        for call in &mut history.calls {
            if let Answer::Movements(movements) = &mut call.answer {
                damage(movements);
            }
        }
    };
    breaks(Rule::WatchComplete, |it| watch(it, |all| all.truncate(3)));
    breaks(Rule::WatchComplete, |it| watch(it, |all| all[1..].rotate_left(1)));
    breaks(Rule::WatchComplete, |it| watch(it, |all| all.insert(1, all[1].clone())));
    breaks(Rule::WatchComplete, |it| watch(it, |all| all[2].balance += 1));
    breaks(Rule::WatchComplete, |it| watch(it, |all| all.swap(1, 2)));
}
