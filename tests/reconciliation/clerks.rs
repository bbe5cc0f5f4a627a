//! A bank's clerks at the command line: what stands on the wrong account, and a write-off that takes two
//! of them.

use std::fs;

use counterfoil_tests::consortium::{AGENT, BANKS, Consortium};
use counterfoil_tests::desk::Desk;
use serde_json::Value;

/// A day that is over: what a statement of it does not have is missing at once.
const DAY: &str = "2026-03-31";

const UETRS: [&str; 2] =
    ["00000001-0000-4000-8000-000000000000", "00000002-0000-4000-8000-000000000000"];

#[test]
fn two_clerks_write_off_what_stands_on_the_wrong_account() {
    let consortium = Consortium::start();
    let bank = Desk::of(&consortium, BANKS[0]);
    two_accounts(&consortium);
    pay(&consortium, &bank);
    // Of the two payments one is booked on the other account.
    book(&consortium, &bank, "CHF:SETTLEMENT", "S1", UETRS[0], "10");
    book(&consortium, &bank, "CHF:FEES", "S2", UETRS[1], "20");
    both_accounts_say_where(&consortium, &bank);
    it_takes_two_keys(&consortium, &bank);
}

/// Accounts of one agreement, and money on the first.
fn two_accounts(consortium: &Consortium) {
    let (bank, agent) = (Desk::of(consortium, BANKS[0]), Desk::of(consortium, AGENT));
    agent.ask(&format!("account open --owner {AGENT} --asset CHF --name ISSUANCE"));
    for (owner, name) in [(BANKS[0], "SETTLEMENT"), (BANKS[0], "FEES"), (BANKS[1], "SETTLEMENT")] {
        agent.ask(&format!("account open --owner {owner} --asset CHF --name {name}"));
    }
    agent.ask(&format!("issue --to {} --asset CHF --amount 1000", BANKS[0]));
    let template =
        String::from_utf8(bank.run("recon agreement propose --template").stdout).unwrap();
    let (before, rest) = template.split_once("effective_from = \"").unwrap();
    let (_, after) = rest.split_once('"').unwrap();
    let terms = format!("{before}effective_from = \"{DAY}\"{after}")
        .replace(", \"servicer-book\"]", "]")
        .replace(
            "[[tolerances]]",
            "[[accounts]]\nasset = \"CHF\"\nname = \"FEES\"\n[[tolerances]]",
        );
    fs::write(consortium.path().join("terms.toml"), terms).unwrap();
    let offered = bank.ask("recon agreement propose --file terms.toml --yes");
    let id = offered["agreement"].as_str().unwrap();
    agent.ask(&format!("recon agreement accept {id} --yes"));
}

fn pay(consortium: &Consortium, bank: &Desk<'_>) {
    let header = "debtor_bic,creditor_bic,currency,amount,uetr,end_to_end_id,settlement_date\n";
    let row = |uetr: &str, amount: &str| {
        format!("{},{},CHF,{amount},{uetr},,{DAY}\n", BANKS[0], BANKS[1])
    };
    let file = [header, &row(UETRS[0], "10"), &row(UETRS[1], "20")].concat();
    fs::write(consortium.path().join("payments.csv"), file).unwrap();
    assert_eq!(bank.ask("submit --file payments.csv")["settled"], 2);
}

/// Imports the whole book of the day: one debit.
fn book(
    consortium: &Consortium,
    bank: &Desk<'_>,
    account: &str,
    id: &str,
    uetr: &str,
    amount: &str,
) {
    let header =
        "booking_date,value_date,side,currency,amount,entry_reference,uetr,end_to_end_id\n";
    let file = format!("{header}{DAY},,DEBIT,CHF,{amount},{id},{uetr},\n");
    fs::write(consortium.path().join("book.csv"), file).unwrap();
    let (_, name) = account.split_once(':').unwrap();
    let imported = bank.ask(&format!(
        "recon import --file book.csv --name {name} --statement-id {id} --from {DAY} --to {DAY} \
         --opening 100 --closing {}",
        100 - amount.parse::<u32>().unwrap()
    ));
    assert_eq!(imported[0]["recorded"], 1);
}

/// Each names the other one's item, to both parties, in the list, in the break and in the explanation.
fn both_accounts_say_where(consortium: &Consortium, bank: &Desk<'_>) {
    let agent = Desk::of(consortium, AGENT);
    let fees = only(bank.ask("recon breaks CHF:FEES"));
    assert_eq!(fees["category"], "wrong-account");
    assert_eq!(fees["elsewhere"]["name"], "SETTLEMENT");
    assert_eq!(fees["elsewhere"]["item"]["uetr"], UETRS[1]);
    let here = only(agent.ask(&format!("recon breaks CHF@{}", BANKS[0])));
    assert_eq!(here["category"], "wrong-account");
    assert_eq!(here["elsewhere"]["name"], "FEES");
    assert_eq!(here["elsewhere"]["item"]["item"], "owner:1");
    let text =
        |desk: &Desk<'_>, command: &str| String::from_utf8(desk.run(command).stdout).unwrap();
    let listed = text(bank, "recon breaks CHF");
    assert!(listed.contains("owner:1 on CHF:FEES"), "{listed}");
    let shown = text(&agent, &format!("recon breaks show CHF@{}:FEES 1", BANKS[0]));
    assert!(shown.contains(&format!("on CHF@{}", BANKS[0])), "{shown}");
    let why = text(bank, "recon explain CHF:FEES owner:1");
    assert!(why.contains("Its counterpart is missing here, and stands on CHF: ledger:3"), "{why}");
}

/// The clerk who offers a write-off cannot agree to it, and neither can the other bank.
fn it_takes_two_keys(consortium: &Consortium, bank: &Desk<'_>) {
    let agent = Desk::of(consortium, AGENT);
    bank.ask("recon propose CHF:FEES 1 --as write-off --reason Small");
    let refused = |answer: Value| answer["verdict"]["reason"]["name"].as_str().unwrap().to_owned();
    let alone = bank.ends("recon agree CHF:FEES 1 --yes", 8);
    assert_eq!(refused(alone), "SECOND_KEY_MISSING");
    let other = agent.ends(&format!("recon agree CHF@{}:FEES 1 --yes", BANKS[0]), 8);
    assert_eq!(refused(other), "SECOND_KEY_MISSING");
    let second = format!("--signing-key {}/second.pem", BANKS[0]);
    bank.ask(&format!("recon agree CHF:FEES 1 --yes {second}"));
    let ended = only(agent.ask(&format!("recon breaks CHF@{}:FEES --all", BANKS[0])));
    assert_eq!(
        (&ended["state"], &ended["category"]),
        (&"WRITTEN_OFF".into(), &"wrong-account".into())
    );
    assert_eq!(bank.ask("recon breaks CHF:FEES"), Value::Array(Vec::new()));
    // It is on record who did what, and nothing else has changed.
    let steps = bank.ask("recon breaks show CHF:FEES 1")["steps"].clone();
    let by: Vec<&Value> = steps.as_array().unwrap().iter().map(|step| &step["by"]).collect();
    assert_eq!(by, ["owner", "owner"]);
    assert_eq!(only(bank.ask("recon breaks CHF"))["category"], "wrong-account");
    // A resolution that was none is opened again.
    bank.ask("recon reopen CHF:FEES 1");
    assert_eq!(only(bank.ask("recon breaks CHF:FEES"))["state"], "OPEN");
}

fn only(list: Value) -> Value {
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), 1, "{list:?}");
    list[0].clone()
}
