//! Statements of ledger accounts: written by the command line of real nodes' ledger, read by a parser
//! that knows nothing of what wrote them, and taken back by the importer, entry by entry.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

use counterfoil_tests::consortium::{AGENT, BANKS, Consortium};
use counterfoil_tests::desk::Desk;
use serde_json::{Value, json};

/// Settlement dates long past: the day is over for the ledger, too.
const DAY_BEFORE: &str = "2026-03-30";
const DAY: &str = "2026-03-31";
const DAY_AFTER: &str = "2026-04-01";

/// What the first bank sends and gets on the day, by end-to-end id.
const SENT: [(&str, &str); 3] =
    [("INV/2026-1", "1250.50"), ("O'BRIEN (1), A+B", "0.05"), ("", "99999.99")];
const GOT: [(&str, &str); 2] = [("R-1", "2000"), ("R-2", "0.01")];

/// Runs the parser on files; its lines, and whether all of them hold.
fn parsed(consortium: &Consortium, files: &[&str]) -> (Vec<Value>, bool) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("statements/camt.py");
    let output = Command::new("python3")
        .arg(script)
        .args(files)
        .current_dir(consortium.path())
        .output()
        .expect("this test needs python3: sudo apt-get install -y --no-install-recommends python3");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.is_empty(), "{stderr}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (lines, output.status.success())
}

fn parse(consortium: &Consortium, file: &str) -> Value {
    let (mut lines, hold) = parsed(consortium, &[file]);
    assert!(hold, "{file}: {lines:?}");
    lines.remove(0)
}

fn height(answer: &Value) -> u64 {
    answer["asOf"]["height"].as_str().unwrap().parse().unwrap()
}

/// Accounts in CHF and in EUR, money the day before, and one payment on the day after.
fn found(consortium: &Consortium) {
    let agent = Desk::of(consortium, AGENT);
    for asset in ["CHF", "EUR"] {
        agent.ask(&format!("account open --owner {AGENT} --asset {asset} --name ISSUANCE"));
        for bank in BANKS {
            agent.ask(&format!("account open --owner {bank} --asset {asset}"));
        }
    }
    for bank in [BANKS[0], BANKS[1]] {
        Desk::of(consortium, bank).agree(DAY_BEFORE);
        agent.ask(&format!("issue --to {bank} --asset CHF --amount 500000 --date {DAY_BEFORE}"));
    }
    let pay = format!("transfer --to {} --asset CHF --amount 7 --date {DAY_AFTER}", BANKS[1]);
    Desk::of(consortium, BANKS[0]).ask(&pay);
}

/// Pays, from a file of one bank, in one batch.
fn pay(consortium: &Consortium, payer: &'static str, payee: &str, payments: &[(&str, &str)]) {
    let mut file =
        "debtor_bic,creditor_bic,currency,amount,uetr,end_to_end_id,settlement_date\n".to_owned();
    for (number, (reference, amount)) in payments.iter().enumerate() {
        let uetr = format!("{number:08}-0000-4000-8000-{:012}", u64::from(payer == BANKS[0]));
        file.push_str(&format!("{payer},{payee},CHF,{amount},{uetr},\"{reference}\",{DAY}\n"));
    }
    fs::write(consortium.path().join("payments.csv"), file).unwrap();
    let sent = Desk::of(consortium, payer).ask("submit --file payments.csv");
    assert_eq!(sent["settled"], payments.len());
}

#[test]
fn statements_leave_the_ledger_and_come_back() {
    let consortium = Consortium::start();
    found(&consortium);
    pay(&consortium, BANKS[0], BANKS[1], &SENT);
    pay(&consortium, BANKS[1], BANKS[0], &GOT);
    the_end_of_the_day(&consortium);
    reports_and_notifications(&consortium);
    tables_and_objects(&consortium);
    the_same_bytes_by_anybody(&consortium);
    what_comes_later_does_not_change_what_was(&consortium);
    nothing_is_overwritten_or_told_to_others(&consortium);
    the_importer_matches_every_entry(&consortium);
}

fn the_end_of_the_day(consortium: &Consortium) {
    let desk = Desk::of(consortium, BANKS[0]);
    let told =
        desk.ask(&format!("account statement --asset CHF --date {DAY} --proved --out day.xml"));
    assert_eq!(told["dayIsOver"], true);
    assert_eq!(told["finality"]["state"], "FINAL");
    let read = parse(consortium, "day.xml");
    assert_eq!(read["message"], "camt.053.001.08");
    for name in ["id", "sequence", "account", "servicer", "owner"] {
        assert_eq!(read[name], told[name], "{name}");
    }
    // 500,000 the day before; the day after is not in it.
    assert_eq!(read["balances"], json!({ "OPBD": "500000.00", "CLBD": "400749.47" }));
    assert_eq!(
        (&told["creditCount"], &told["credits"]["amount"]),
        (&"2".into(), &"2000.01".into())
    );
    assert_eq!(
        (&told["debitCount"], &told["debits"]["amount"]),
        (&"3".into(), &"101250.54".into())
    );
    let entries = read["entries"].as_array().unwrap();
    let of = |sign: &str, payments: &[(&str, &str)]| {
        let list = payments.iter().map(|(reference, amount)| {
            let reference = Some(*reference).filter(|text| !text.is_empty());
            (json!(reference), format!("{sign}{:.2}", amount.parse::<f64>().unwrap()))
        });
        list.collect::<Vec<_>>()
    };
    let expected = [of("-", &SENT), of("", &GOT)].concat();
    assert_eq!(entries.len(), expected.len());
    for (entry, (reference, amount)) in entries.iter().zip(expected) {
        assert_eq!((&entry["endToEndId"], &entry["amount"]), (&reference, &amount.into()));
        assert_eq!((&entry["counterparty"], &entry["date"]), (&BANKS[1].into(), &DAY.into()));
    }
    // What the parser checks it does check.
    let text = fs::read_to_string(consortium.path().join("day.xml")).unwrap();
    for (number, (from, to)) in [
        ("<Sum>2000.01</Sum>", "<Sum>2000.02</Sum>"),
        (">400749.47</Amt>", ">400749.48</Amt>"),
        ("<BookgDt><Dt>2026-03-31</Dt></BookgDt>", ""),
        ("<NbOfNtries>5<", "<NbOfNtries>6<"),
        ("DBIT</CdtDbtInd><Sts>", "CRDT</CdtDbtInd><Sts>"),
        ("<Ccy>CHF</Ccy><Nm>SETTLEMENT</Nm>", "<Nm>SETTLEMENT</Nm><Ccy>CHF</Ccy>"),
        ("-4000-8000-", "-1000-8000-"),
    ]
    .into_iter()
    .enumerate()
    {
        let wrong = text.replacen(from, to, 1);
        assert_ne!(wrong, text, "{from}");
        fs::write(consortium.path().join("wrong.xml"), wrong).unwrap();
        let (lines, holds) = parsed(consortium, &["wrong.xml"]);
        // A booking date may be missing: the parser is no stricter than the schema.
        assert_eq!(holds, number == 2, "{from}: {lines:?}");
    }
}

fn reports_and_notifications(consortium: &Consortium) {
    let desk = Desk::of(consortium, BANKS[0]);
    let statement = format!("account statement --asset CHF --date {DAY}");
    desk.ask(&format!("{statement} --kind intraday --out report.xml"));
    let report = parse(consortium, "report.xml");
    assert_eq!(report["message"], "camt.052.001.08");
    assert_eq!(report["balances"], json!({ "OPBD": "500000.00", "ITBD": "400749.47" }));
    assert_eq!(report["sequence"], Value::Null);

    let told = desk.ask(&format!("{statement} --kind notification --proved --out all.xml"));
    assert_eq!((&told["opening"], &told["closing"]), (&Value::Null, &Value::Null));
    let all = parse(consortium, "all.xml");
    assert_eq!((&all["message"], &all["balances"]), (&"camt.054.001.08".into(), &json!({})));
    assert_eq!(all["entries"], report["entries"]);
    // From an entry on, those behind it; from the end on, nothing.
    let entries = all["entries"].as_array().unwrap();
    let first = entries[0]["reference"].as_str().unwrap();
    desk.ask(&format!("{statement} --kind notification --from-position {first} --out rest.xml"));
    assert_eq!(parse(consortium, "rest.xml")["entries"], json!(entries[1..]));
    let next = height(&told);
    desk.ask(&format!("{statement} --kind notification --from-position {next} --out none.xml"));
    assert_eq!(parse(consortium, "none.xml")["entries"], json!([]));
    // A day without postings has balances all the same, and so has one before everything.
    for (day, balance) in [("2026-05-01", "400742.47"), ("1900-01-01", "0.00")] {
        desk.ask(&format!(
            "account statement --asset CHF --date {day} --proved --force --out quiet.xml"
        ));
        let quiet = parse(consortium, "quiet.xml");
        assert_eq!(quiet["balances"], json!({ "OPBD": balance, "CLBD": balance }));
    }
}

fn tables_and_objects(consortium: &Consortium) {
    let desk = Desk::of(consortium, BANKS[0]);
    let statement = format!("account statement --asset CHF --date {DAY}");
    let told = desk.ask(&format!("{statement} --format json --out day.json"));
    let object: Value =
        serde_json::from_slice(&fs::read(consortium.path().join("day.json")).unwrap()).unwrap();
    for name in ["kind", "id", "sequence", "opening", "credits", "debits", "closing", "asOf"] {
        assert_eq!(object[name], told[name], "{name}");
    }
    let camt = parse(consortium, "day.xml");
    let uetrs = |list: &Value| -> Vec<String> {
        let list = list.as_array().unwrap().iter();
        list.map(|entry| entry["uetr"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(uetrs(&object["entries"]), uetrs(&camt["entries"]));
    desk.ask(&format!("{statement} --format csv --out day.csv"));
    let import = format!("recon import --file day.csv --dry-run --institution {}", BANKS[0]);
    let read = desk.ask(&import);
    assert_eq!((read.as_array().unwrap().len(), &read[0]["entryCount"]), (1, &5.into()));
    assert_eq!(read[0]["account"], told["account"]);
}

/// Owner and servicer, of the same height, and through any node.
fn the_same_bytes_by_anybody(consortium: &Consortium) {
    let [owner, agent] = [BANKS[0], AGENT].map(|bic| Desk::of(consortium, bic));
    let at = height(&owner.ask("account show --asset CHF"));
    let statement = format!("account statement --asset CHF --date {DAY} --at-height {at}");
    for kind in ["end-of-day", "intraday", "notification"] {
        for format in ["camt", "csv", "json"] {
            let file = format!("--kind {kind} --format {format} --force --out");
            owner.ask(&format!("{statement} {file} owner"));
            agent.ask(&format!("{statement} {file} servicer --owner {}", BANKS[0]));
            let bytes = |name: &str| fs::read(consortium.path().join(name)).unwrap();
            assert_eq!(bytes("owner"), bytes("servicer"), "{kind} {format}");
        }
    }
    // The issuance account owes what was issued.
    agent.ask(&format!(
        "account statement --asset CHF --name ISSUANCE --owner {AGENT} --date {DAY} --out issued.xml"
    ));
    let issued = parse(consortium, "issued.xml");
    assert_eq!(issued["balances"], json!({ "OPBD": "-1000000.00", "CLBD": "-1000000.00" }));
}

fn what_comes_later_does_not_change_what_was(consortium: &Consortium) {
    let desk = Desk::of(consortium, BANKS[0]);
    let statement = format!("account statement --asset CHF --date {DAY}");
    let before = height(&desk.ask(&format!("{statement} --out before.xml")));
    // Somebody pays late, for the day that is over.
    let late = format!("transfer --to {} --asset CHF --amount 1 --date {DAY}", BANKS[1]);
    desk.ask(&format!("{late} --end-to-end-id LATE"));
    desk.ask(&format!("{statement} --at-height {before} --out again.xml"));
    let bytes = |name: &str| fs::read(consortium.path().join(name)).unwrap();
    assert_eq!(bytes("before.xml"), bytes("again.xml"));
    desk.ask(&format!("{statement} --proved --out after.xml"));
    let after = parse(consortium, "after.xml");
    assert_eq!(after["balances"], json!({ "OPBD": "500000.00", "CLBD": "400748.47" }));
    desk.ask(&format!("{statement} --kind notification --from-position {before} --out late.xml"));
    let late = parse(consortium, "late.xml");
    assert_eq!(late["entries"].as_array().unwrap().len(), 1);
    assert_eq!(late["entries"][0]["endToEndId"], "LATE");
}

fn nothing_is_overwritten_or_told_to_others(consortium: &Consortium) {
    let desk = Desk::of(consortium, BANKS[0]);
    let statement = format!("account statement --asset CHF --date {DAY}");
    assert_eq!(desk.fails(&format!("{statement} --out day.xml"), 5), "FILE_EXISTS");
    desk.ask(&format!("{statement} --out day.xml --force"));
    let part = format!("{statement} --from-position 3 --out part.xml");
    assert_eq!(desk.fails(&part, 2), "POSITION_MISPLACED");
    assert_eq!(
        desk.fails(&format!("{statement} --read stale --out part.xml"), 2),
        "READ_MISPLACED"
    );
    let later = format!("{statement} --kind notification --from-position 1000000 --out part.xml");
    assert_eq!(desk.fails(&later, 2), "CONFIGURATION");
    let ahead = format!("{statement} --at-height 1000000 --timeout 2 --out ahead.xml");
    assert_eq!(desk.fails(&ahead, 6), "UNAVAILABLE");
    let other = Desk::of(consortium, BANKS[2]);
    let foreign = format!("{statement} --owner {} --out foreign.xml", BANKS[0]);
    assert_eq!(other.fails(&foreign, 3), "NOT_FOUND");
    for name in ["part.xml", "ahead.xml", "foreign.xml"] {
        assert!(!consortium.path().join(name).exists(), "{name}");
        assert!(!consortium.path().join(format!("{name}.partial")).exists(), "{name}");
    }
    // Without a name it has its own.
    let told = desk.ask(&statement);
    let file = told["file"].as_str().unwrap();
    assert_eq!(file, format!("{}.camt053.xml", told["id"].as_str().unwrap()));
    parse(consortium, file);
}

fn the_importer_matches_every_entry(consortium: &Consortium) {
    let desk = Desk::of(consortium, BANKS[0]);
    desk.ask(&format!("account statement --asset CHF --date {DAY} --force --out day.xml"));
    let imported = desk.ask("recon import --file day.xml");
    assert_eq!(imported[0]["warnings"], json!([]));
    assert_eq!((&imported[0]["recorded"], &imported[0]["rejected"]), (&6.into(), &0.into()));
    let came = &imported[0]["comparisons"][0];
    assert_eq!((&came["matchedCount"], &came["openBreakCount"]), (&"12".into(), &"0".into()));
    assert_eq!(came["matchRateBasisPoints"], 10_000);
    // The other bank books as it is notified; nothing says that its book is complete.
    let desk = Desk::of(consortium, BANKS[1]);
    let notify = format!("account statement --asset CHF --date {DAY} --kind notification");
    let told = desk.ask(&format!("{notify} --out notified.xml"));
    let imported = desk.ask("recon import --file notified.xml");
    assert_eq!((&imported[0]["recorded"], &imported[0]["statementId"]), (&6.into(), &Value::Null));
    assert_eq!(imported[0]["account"], told["account"]);
    let report = desk.ask(&format!("recon report CHF --from {DAY} --to {DAY}"));
    let book = &report["comparisons"][0]["second"];
    assert_eq!((&book["matchedCount"], &book["statementCount"]), (&"6".into(), &0.into()));
    desk.ask(&format!(
        "account statement --asset CHF --date {DAY} --kind intraday --out so-far.xml"
    ));
    let import = format!("recon import --file so-far.xml --dry-run --institution {}", BANKS[1]);
    let read = desk.ask(&import);
    assert_eq!((&read[0]["entryCount"], &read[0]["statementId"]), (&6.into(), &Value::Null));
}
