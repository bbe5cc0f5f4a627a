//! The command line against a running consortium: money moves once, however often it is asked to; an
//! import that is interrupted goes on; a failure says why and ends as documented.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use counterfoil_tests::consortium::{AGENT, BANKS, Consortium};
use counterfoil_tests::desk::Desk;
use serde_json::Value;

/// Accounts in CHF, and money for the first bank.
fn fund(consortium: &Consortium) {
    let agent = Desk::of(consortium, AGENT);
    agent.ask(&format!("account open --owner {AGENT} --asset CHF --name ISSUANCE"));
    for bank in BANKS {
        agent.ask(&format!("account open --owner {bank} --asset CHF"));
    }
    agent.ask(&format!("issue --to {} --asset CHF --amount 1000", BANKS[0]));
}

#[test]
fn a_desk_at_work() {
    let consortium = Consortium::start();
    fund(&consortium);
    files_settle_once(&consortium);
    refusals_say_why(&consortium);
    an_interrupted_import_goes_on(&consortium);
    two_desks_agree(&consortium);
    what_is_told_is_proved(&consortium);
    the_ledger_is_verified_without_a_node(&consortium);
}

fn files_settle_once(consortium: &Consortium) {
    let [payer, payee, _] = BANKS;
    let (payer_desk, payee_desk) = (Desk::of(consortium, payer), Desk::of(consortium, payee));
    let header = "debtor_bic,creditor_bic,currency,amount,uetr,end_to_end_id,settlement_date\n";
    let row = |number: u8, amount: &str| {
        format!(
            "{payer},{payee},CHF,{amount},0000000{number}-0000-4000-8000-000000000000,E{number},\n"
        )
    };
    let file = [header, &row(1, "10"), &row(2, "5000"), &row(3, "2.50")].concat();
    fs::write(consortium.path().join("payments.csv"), file).unwrap();

    let dry = payer_desk.ask("submit --file payments.csv --dry-run");
    assert_eq!((&dry["paymentCount"], &dry["notSent"]), (&3.into(), &3.into()));
    let first = payer_desk.ends("submit --file payments.csv", 8);
    assert_eq!((&first["settled"], &first["rejected"]), (&2.into(), &1.into()));
    assert_eq!(first["payments"][1]["fate"]["reason"]["name"], "INSUFFICIENT_FUNDS");
    let again = payer_desk.ends("submit --file payments.csv", 8);
    assert_eq!(again["settled"], 0);
    assert_eq!(again["payments"][0]["fate"]["reason"]["name"], "UETR_SETTLED");
    assert_eq!((payer_desk.balance().as_str(), payee_desk.balance().as_str()), ("987.50", "12.50"));

    assert_eq!(payee_desk.fails("submit --file payments.csv", 4), "DEBTOR_NOT_YOURS");
    fs::write(consortium.path().join("broken.csv"), header.replace("uetr", "memo")).unwrap();
    assert_eq!(payer_desk.fails("submit --file broken.csv", 2), "FILE_REFUSED");
    assert_eq!(payer_desk.ask("instruction pending"), Value::Array(Vec::new()));
}

fn refusals_say_why(consortium: &Consortium) {
    let [payer, payee, _] = BANKS;
    let desk = Desk::of(consortium, payer);
    let pay = |more: &str| format!("transfer --to {payee} --asset CHF --amount 1 {more}");
    let foreign = format!("--signing-key {payee}/signing.pem");
    assert_eq!(desk.fails(&pay(&foreign), 4), "KEY_UNKNOWN");
    assert_eq!(desk.fails(&pay("--uetr nonsense"), 2), "UETR_MALFORMED");
    assert_eq!(desk.fails(&pay("--endpoint 127.0.0.1:1 --timeout 2"), 6), "UNAVAILABLE");
    let exposed = consortium.path().join("exposed.pem");
    fs::copy(consortium.path().join(payer).join("signing.pem"), &exposed).unwrap();
    let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o644);
    fs::set_permissions(&exposed, mode).unwrap();
    assert_eq!(desk.fails(&pay("--signing-key exposed.pem"), 2), "FILE_UNUSABLE");
    assert_eq!(desk.fails(&format!("account show --asset CHF --owner {payee}"), 3), "NOT_FOUND");
    assert_eq!(desk.fails("ledger export --out none", 4), "ROLE_NOT_ALLOWED");
    assert!(!consortium.path().join("none.partial").exists());
    let rejected = desk.ends(&format!("redeem --asset CHF --amount 5000 --to-name {payee}"), 8);
    assert_eq!(rejected["verdict"]["state"], "REJECTED");
    assert_eq!(desk.balance(), "987.50");
}

fn an_interrupted_import_goes_on(consortium: &Consortium) {
    let desk = Desk::of(consortium, BANKS[1]);
    desk.agree("2026-03-31");
    let mut book =
        "booking_date,value_date,side,currency,amount,entry_reference,uetr,end_to_end_id\n"
            .to_owned();
    for number in 0..200 {
        book.push_str(&format!("2026-03-31,,CREDIT,CHF,1,R{number},,BOOK-{number}\n"));
    }
    fs::write(consortium.path().join("book.csv"), book).unwrap();
    let import = "recon import --file book.csv --batch 1 --statement-id S1 --from 2026-03-31 \
                  --to 2026-03-31 --opening 0 --closing 200";

    let mut killed = desk.command(import).stdout(Stdio::null()).spawn().unwrap();
    let state = consortium.path().join(BANKS[1]).join("state");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !begun(&state) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    // Long enough for some of the two hundred, too short for all.
    std::thread::sleep(Duration::from_millis(200));
    killed.kill().unwrap();
    killed.wait().unwrap();

    let resumed = desk.ask(import);
    assert_eq!((&resumed[0]["recorded"], &resumed[0]["resumed"]), (&200.into(), &true.into()));
    let report = desk.ask("recon report CHF --from 2026-03-31 --to 2026-03-31");
    let report = &report["comparisons"][0];
    assert_eq!(report["second"]["creditCount"], "200");
    let breaks = report["breaks"].as_array().unwrap();
    let figures: Vec<_> = breaks.iter().map(|it| (&it["category"], &it["openCount"])).collect();
    assert_eq!(figures, [(&"missing-first".into(), &"200".into())]);
    assert_eq!(report["equation"]["holds"], true);
    assert_eq!(desk.fails(import, 5), "IMPORTED_BEFORE");
    // From another machine, which knows nothing of the first.
    fs::remove_dir_all(&state).unwrap();
    assert_eq!(desk.fails(import, 5), "BOOK_COVERED");
    let breaks = desk.ends("recon breaks CHF --exit-code", 10);
    assert_eq!(breaks.as_array().unwrap().len(), 200);
}

/// Terms from the template are offered by one desk, read and accepted by the other, and superseded.
fn two_desks_agree(consortium: &Consortium) {
    let [bank, _, other] = BANKS;
    let (desk, agent) = (Desk::of(consortium, bank), Desk::of(consortium, AGENT));
    let template = desk.run("recon agreement propose --template").stdout;
    let template = String::from_utf8(template).unwrap();
    let write = |name: &str, from: &str, more: &str| {
        // The template is for tomorrow.
        let (before, rest) = template.split_once("effective_from = \"").unwrap();
        let (_, after) = rest.split_once('"').unwrap();
        let terms = format!("{more}\n{before}effective_from = \"{from}\"{after}");
        fs::write(consortium.path().join(name), terms).unwrap();
    };
    write("terms.toml", "2199-12-02", "");
    assert_eq!(desk.fails("recon agreement propose --file terms.toml", 2), "CONFIRMATION_MISSING");
    write("wrong.toml", "2199-12-32", "");
    assert_eq!(desk.fails("recon agreement propose --file wrong.toml --yes", 2), "TERMS_MALFORMED");
    let stranger = Desk::of(consortium, other);
    let propose = "recon agreement propose --file terms.toml --yes";
    assert_eq!(stranger.fails(propose, 2), "NOT_A_PARTY");

    let offered = desk.ask(propose);
    let id = offered["agreement"].as_str().unwrap();
    assert_eq!(offered["terms"]["tolerances"][0]["absolute"]["amount"], "1.00");
    let show = format!("recon agreement show {id}");
    assert_eq!(agent.ask(&show)["state"], "PROPOSED");
    assert_eq!(stranger.fails(&show, 3), "NOT_FOUND");
    let words = String::from_utf8(agent.run(&show).stdout).unwrap();
    for said in ["18:00, 1 business day after", "charges: the servicer answers", "SETTLEMENT CHF ("]
    {
        assert!(words.contains(said), "{said}: {words}");
    }
    let accept = format!("recon agreement accept {id}");
    assert_eq!(agent.fails(&accept, 2), "CONFIRMATION_MISSING");
    let own = desk.ends(&format!("{accept} --yes"), 8);
    assert_eq!(own["verdict"]["reason"]["name"], "ANSWER_NOT_SIGNERS");
    assert_eq!(agent.ask(&format!("{accept} --yes"))["verdict"]["state"], "RECORDED");
    assert_eq!(desk.ask(&show)["answered"]["by"], "servicer");

    write("next.toml", "2199-12-03", &format!("supersedes = \"{id}\""));
    let next = desk.ask("recon agreement propose --file next.toml --yes --stands 1");
    let next = next["agreement"].as_str().unwrap();
    agent.ask(&format!("recon agreement reject {next}"));
    let late = desk.ends(&format!("recon agreement withdraw {next}"), 8);
    assert_eq!(late["verdict"]["reason"]["name"], "AGREEMENT_ANSWERED");
    let states = |list: Value| -> Vec<String> {
        let states = list.as_array().unwrap().iter().map(|it| it["state"].as_str().unwrap());
        states.map(str::to_owned).collect()
    };
    assert_eq!(states(desk.ask("recon agreement list")), ["ACTIVE", "REJECTED"]);
    // That of the bank that has imported its book, and this one.
    assert_eq!(states(agent.ask("recon agreement list --current")), ["ACTIVE", "ACTIVE"]);
    assert_eq!(stranger.ask("recon agreement list"), Value::Array(Vec::new()));
}

/// Whether an import has written down everything that it will send.
fn begun(state: &Path) -> bool {
    let below = |directory: PathBuf| {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let chains = below(state.join("counterfoil").join("imports"));
    let plans = chains.into_iter().flat_map(below).flat_map(below);
    // One that is being written has an extension.
    plans.into_iter().any(|plan| plan.extension().is_none())
}

/// Each proof is saved by one command and verified by another, which asks no node.
fn what_is_told_is_proved(consortium: &Consortium) {
    let [_, payee, third] = BANKS;
    let desk = Desk::of(consortium, payee);
    let verify = |file: &str| format!("verify {file} --genesis genesis.bin");
    let pay = format!("transfer --to {third} --asset CHF --amount 2.50 --receipt-out paid.receipt");
    let paid = desk.ask(&pay);
    assert_eq!(paid["finality"]["state"], "FINAL");
    assert!(paid["finality"]["signers"].as_array().unwrap().len() >= 3);
    assert_eq!(desk.fails(&pay, 5), "FILE_EXISTS");
    let id = paid["id"].as_str().unwrap();
    let receipt = desk.ask(&verify("receipt paid.receipt"));
    assert_eq!((&receipt["id"], &receipt["verdict"]), (&paid["id"], &"FINAL".into()));
    desk.ask(&format!("instruction receipt {id} --out again.receipt"));
    let again = desk.ask(&verify("receipt again.receipt"));
    assert_eq!((&again["position"], &again["verdict"]), (&receipt["position"], &"FINAL".into()));
    assert_eq!(desk.fails(&verify("statement paid.receipt"), 2), "WRONG_KIND");

    // Whoever is paid has the place from its movements, and the receipt by that.
    let (height, leaf) =
        (&paid["verdict"]["position"]["height"], &paid["verdict"]["position"]["leaf"]);
    let at = format!("{}/{leaf}", height.as_str().unwrap());
    Desk::of(consortium, third).ask(&format!("instruction receipt --at {at} --out got.receipt"));
    let got = desk.ask(&verify("receipt got.receipt --expect settled"));
    assert_eq!((&got["id"], &got["state"]), (&paid["id"], &"SETTLED".into()));
    let early = format!("instruction absence {id} --valid-until-ms 1 --out none.absence");
    assert_eq!(desk.fails(&early, 2), "VALID_UNTIL_TOO_EARLY");

    let ordered = "transfer --to {third} --asset CHF --amount 1 --wait ordered";
    let ordered = desk.ask(&ordered.replace("{third}", third));
    assert_eq!(ordered["verdict"]["state"], "SETTLED");
    desk.ask("instruction resume");
    assert_eq!(desk.ask("instruction pending"), Value::Array(Vec::new()));
    let header = "debtor_bic,creditor_bic,currency,amount,uetr,end_to_end_id,settlement_date\n";
    let uetr = "00000009-0000-4000-8000-000000000000";
    let row = format!("{payee},{third},CHF,1,{uetr},E9,\n");
    fs::write(consortium.path().join("proved.csv"), [header, &row].concat()).unwrap();
    let sent = desk.ask("submit --file proved.csv --receipt-out receipts");
    assert_eq!(sent["payments"][0]["fate"]["finality"], "FINAL");
    let kept = fs::read_dir(consortium.path().join("receipts")).unwrap().next().unwrap().unwrap();
    let kept = format!("receipt receipts/{}", kept.file_name().to_str().unwrap());
    assert_eq!(desk.ask(&verify(&kept))["transfer"]["uetr"], uetr);

    desk.ask("account prove --asset CHF --out account.proof");
    let statement = desk.ask(&verify("statement account.proof"));
    assert_eq!(statement["closing"]["balance"]["amount"], "8.00");
    assert_eq!(statement["postings"].as_array().unwrap().len(), 5);
    let stale = desk.ask("account show --asset CHF --read stale");
    assert_eq!(stale["balance"]["amount"], "8.00");

    let trusted = desk.ask("ledger trust --out trusted.bin");
    assert!(trusted["height"].as_str().is_some());
    let file = "receipt again.receipt --trusted trusted.bin";
    assert_eq!(desk.ask(&verify(file))["verdict"], "FINAL");
    let status = desk.ask("cluster status");
    assert_eq!((&status["finalityQuorum"], &status["belowTwoThirds"]), (&3.into(), &false.into()));
    assert_eq!(status["missingInstitutions"], Value::Array(Vec::new()));
    let height = |value: &Value| value.as_str().unwrap().parse::<u64>().unwrap();
    assert!(height(&status["certifiedHeight"]) >= height(&receipt["position"]["height"]));
}

fn the_ledger_is_verified_without_a_node(consortium: &Consortium) {
    let auditor = Desk::of_role(consortium, AGENT, "auditor");
    let exported = auditor.ask("ledger export --out day.ledger");
    assert_eq!(auditor.fails("ledger export --out day.ledger", 5), "FILE_EXISTS");
    let history = auditor.ask("history --rejected");
    assert!(history.as_array().unwrap().len() >= 4);
    let last = exported["height"].as_str().unwrap();
    auditor.ask(&format!("ledger proof {last} --out day.proof"));
    for node in 0..consortium.node_count() {
        consortium.kill_node(node);
    }
    let chain = "verify chain day.ledger --genesis genesis.bin";
    let held = auditor.ask(&format!("{chain} --proof day.proof"));
    assert_eq!((&held["verdict"], &held["finalHeight"]), (&"FINAL".into(), &exported["height"]));
    assert_eq!(auditor.ends(chain, 7)["verdict"], "ORDERED_NOT_FINAL");
    let verify = "ledger verify --genesis genesis.bin --file day.ledger --accounts";
    let verified = auditor.ask(verify);
    assert_eq!((&verified["valid"], &verified["height"]), (&true.into(), &exported["height"]));
    let (height, hash) = (verified["height"].as_str(), verified["headerHash"].as_str());
    auditor.ask(&format!("{verify} --known {}:{}", height.unwrap(), hash.unwrap()));
    let path = consortium.path().join("day.ledger");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let code = auditor.fails(verify, 7);
    assert!(["LEDGER_INVALID", "LEDGER_FILE_BROKEN"].contains(&code.as_str()), "{code}");
}
