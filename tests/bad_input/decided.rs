//! Instructions that are whole and signed, and that the ledger's state rejects; ids that come again;
//! books whose sums fit nowhere.

use bytes::Bytes;
use counterfoil_client::v1::instruction::Body;
use counterfoil_client::{instructions, v1};
use counterfoil_ledger::date::Date;
use counterfoil_ledger::merkle;
use counterfoil_ledger::reason::Reason;
use counterfoil_tests::banking::{account, agree};
use counterfoil_tests::consortium::{AGENT, BANKS, Consortium};
use counterfoil_tests::wire::{self, Told};
use prost::Message;
use tonic::Code;

use crate::FUNDED;
use crate::forger::Forger;

const LARGEST: u64 = i64::MAX.cast_unsigned();

pub async fn rejections_move_nothing(consortium: &Consortium) {
    let bank = Forger::of(consortium, BANKS[0]).await;
    let agent = Forger::of(consortium, AGENT).await;
    let nowhere = Bytes::from(vec![7; 16]);
    let transfer = || bank.transfer(BANKS[1]);
    let issue = |amount| v1::Transfer { amount, ..agent.transfer(BANKS[0]) };
    let open = |asset: &str, owner: &str| {
        Body::OpenAccount(v1::OpenAccount {
            servicer: AGENT.to_owned(),
            owner: owner.to_owned(),
            asset: asset.to_owned(),
            name: "settlement".to_owned(),
        })
    };
    let own = || Bytes::from(account(BANKS[0], "CHF").as_bytes().to_vec());
    let statement = v1::Statement {
        account: nowhere.clone(),
        statement_id: "S".to_owned(),
        from_date: 20_260_101,
        to_date: 20_260_101,
        opening_balance: i64::MIN,
        closing_balance: i64::MAX,
        salt: instructions::salt(),
        ..v1::Statement::default()
    };
    let other_asset = Bytes::from(account(BANKS[1], "EUR").as_bytes().to_vec());
    for (what, forger, body, reason) in [
        (
            "from an account that is none",
            &bank,
            Body::Transfer(v1::Transfer { debit_account: nowhere.clone(), ..transfer() }),
            Reason::DebitAccountUnknown,
        ),
        (
            "from another's account",
            &bank,
            Body::Transfer(v1::Transfer {
                credit_account: own(),
                ..Forger::of(consortium, BANKS[1]).await.transfer(BANKS[2])
            }),
            Reason::DebitAccountUnknown,
        ),
        (
            "to an account that is none",
            &bank,
            Body::Transfer(v1::Transfer { credit_account: nowhere.clone(), ..transfer() }),
            Reason::CreditAccountUnknown,
        ),
        (
            "to an account that is not open",
            &bank,
            Body::Transfer(v1::Transfer { credit_account: other_asset, ..transfer() }),
            Reason::CreditAccountUnknown,
        ),
        (
            "more than there is",
            &bank,
            Body::Transfer(v1::Transfer { amount: FUNDED + 1, ..transfer() }),
            Reason::InsufficientFunds,
        ),
        (
            "as much as can be written",
            &bank,
            Body::Transfer(v1::Transfer { amount: LARGEST, ..transfer() }),
            Reason::InsufficientFunds,
        ),
        (
            "more than an account holds",
            &agent,
            Body::Transfer(issue(LARGEST)),
            Reason::BalanceTooLarge,
        ),
        ("an asset that is none", &agent, open("XAU", BANKS[0]), Reason::AssetUnknown),
        ("an owner that is none", &agent, open("CHF", "NOBDCHZZXXX"), Reason::OwnerUnknown),
        ("an account that is open", &agent, open("CHF", BANKS[0]), Reason::AccountExists),
        ("a book of no account", &bank, Body::Statement(statement), Reason::AccountUnknown),
    ] {
        let signed = forger.sign(&forger.instruction(body));
        let result = forger.submit(&signed).await.unwrap();
        let verdict = result.verdict.unwrap();
        assert_eq!(verdict.state(), v1::State::Rejected, "{what}");
        let why = verdict.reason.unwrap();
        assert_eq!(why.name, reason.name(), "{what}");
        assert_eq!(
            (why.iso_code.as_str(), why.remedy.as_str()),
            (reason.iso_code(), reason.remedy())
        );
        // The id is used up: asked again, the ledger says the same.
        let again = forger.submit(&signed).await.unwrap();
        assert!(again.replayed, "{what}");
        assert_eq!(again.verdict.unwrap().reason.unwrap().name, reason.name(), "{what}");
    }
    a_batch_that_overflows_on_its_way(&agent).await;
}

/// Each item fits, the sum does not; all or nothing means nothing.
async fn a_batch_that_overflows_on_its_way(agent: &Forger) {
    let half = v1::Transfer { amount: LARGEST / 2 + 1, ..agent.transfer(BANKS[0]) };
    let other = v1::Transfer { amount: LARGEST / 2 + 1, ..agent.transfer(BANKS[0]) };
    let items: Vec<Bytes> = [half, other].map(|it| it.encode_to_vec().into()).into();
    let root = merkle::root_of(items.iter().map(|item| merkle::leaf_hash(item)));
    let items_root = root.as_bytes().to_vec().into();
    let batch = v1::Batch { count: 2, items_root, all_or_nothing: true };
    let instruction = agent.instruction(Body::Transfers(batch)).encode_to_vec();
    let result = agent.submit(&agent.sign_bytes(instruction, items)).await.unwrap();
    let reasons: Vec<String> =
        result.items.into_iter().map(|item| item.reason.unwrap().name).collect();
    assert_eq!(reasons, ["BATCH_ABORTED", "BALANCE_TOO_LARGE"]);
}

pub async fn ids_name_one_content(consortium: &Consortium) {
    let bank = Forger::of(consortium, BANKS[0]).await;
    let payment = bank.transfer(BANKS[1]);
    let instruction = bank.instruction(Body::Transfer(payment.clone()));
    let signed = bank.sign(&instruction);
    let first = bank.submit(&signed).await.unwrap();
    assert!(!first.replayed);
    assert_eq!(first.verdict.as_ref().unwrap().state(), v1::State::Settled);
    // Again, at every node.
    for node in 0..consortium.node_count() {
        let credential = consortium.credential(BANKS[0], "client");
        let address = consortium.client_address(node);
        let channel = wire::connect(address, Some(&credential)).await.unwrap();
        let again = Forger { channel, ..Forger::of(consortium, BANKS[0]).await };
        let again = again.submit(&signed).await.unwrap();
        assert!(again.replayed);
        assert_eq!(v1::InstructionResult { replayed: false, ..again }, first);
    }
    // With other content: another amount, another time, another salt.
    let other =
        |transfer| v1::Instruction { body: Some(Body::Transfer(transfer)), ..instruction.clone() };
    for (what, changed) in [
        ("amount", other(v1::Transfer { amount: 2, ..payment.clone() })),
        ("salt", other(v1::Transfer { salt: instructions::salt(), ..payment.clone() })),
        (
            "time",
            v1::Instruction {
                valid_until_ms: instruction.valid_until_ms + 1,
                ..instruction.clone()
            },
        ),
    ] {
        let told = bank.submit(&bank.sign(&changed)).await.expect_err(what);
        assert!(told.is(Code::AlreadyExists, "ID_REUSED"), "{what}: {told:?}");
    }
    // The content under another id is another order, for the same payment.
    let renamed =
        v1::Instruction { id: instructions::new_id().as_bytes().to_vec().into(), ..instruction };
    let second = bank.submit(&bank.sign(&renamed)).await.unwrap();
    assert_eq!(second.verdict.unwrap().reason.unwrap().name, "UETR_SETTLED");
    let left = consortium.client(BANKS[0]).balance(account(BANKS[0], "CHF"), None).await.unwrap();
    assert_eq!(left.value.balance.unwrap().minor_units, i64::try_from(FUNDED).unwrap() - 1);
}

/// Entries are the bank's own claims and may be as large as it likes; their sums are said to be too
/// large, by all nodes, for as long as it likes.
pub async fn sums_that_fit_nowhere(consortium: &Consortium) {
    let bank = Forger::of(consortium, BANKS[2]).await;
    let first_day = Date::from_yyyymmdd(20_260_101).unwrap();
    agree(consortium, BANKS[2], "CHF", first_day).await;
    let own: Bytes = account(BANKS[2], "CHF").as_bytes().to_vec().into();
    let entry = |side: v1::Side| v1::BookEntry {
        account: own.clone(),
        side: side.into(),
        amount: LARGEST,
        booking_date: 99_991_231,
        salt: instructions::salt(),
        ..v1::BookEntry::default()
    };
    let sides = [v1::Side::Credit, v1::Side::Credit, v1::Side::Credit, v1::Side::Debit];
    let items: Vec<Bytes> = sides.map(|side| entry(side).encode_to_vec().into()).into();
    let root = merkle::root_of(items.iter().map(|item| merkle::leaf_hash(item)));
    let items_root = root.as_bytes().to_vec().into();
    let batch = v1::Batch { count: 4, items_root, all_or_nothing: false };
    let entries = bank.instruction(Body::BookEntries(batch)).encode_to_vec();
    let statement = Body::Statement(v1::Statement {
        account: own.clone(),
        statement_id: "LAST DAY".to_owned(),
        from_date: 99_991_231,
        to_date: 99_991_231,
        opening_balance: i64::MIN,
        closing_balance: i64::MAX,
        salt: instructions::salt(),
        ..v1::Statement::default()
    });
    for signed in [bank.sign_bytes(entries, items), bank.sign(&bank.instruction(statement))] {
        let result = bank.submit(&signed).await.unwrap();
        assert!(
            result.items.iter().chain(&result.verdict).all(|it| it.reason.is_none()),
            "{result:?}"
        );
    }
    for (from_date, to_date) in [(0, 0), (19_000_101, 99_991_231), (99_991_231, 99_991_231)] {
        let report = v1::GetReportRequest {
            account: own.clone(),
            comparison: v1::Comparison::LedgerOwner.into(),
            from_date,
            to_date,
            read_mode: 0,
        };
        let path = "/counterfoil.v1.ReconciliationService/GetReport";
        let status = wire::call(&bank.channel, path, report.encode_to_vec()).await.unwrap_err();
        let told = Told::of(&status);
        assert!(told.is(Code::FailedPrecondition, "SUM_TOO_LARGE"), "{told:?}");
    }
    let client = consortium.client(BANKS[2]);
    let breaks =
        client.breaks(account(BANKS[2], "CHF"), v1::Comparison::LedgerOwner, false).all().await;
    assert_eq!(breaks.unwrap().value.len(), 5, "four entries, and the statement");
}
