use super::*;

const ACCOUNT: u32 = 7;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    EntryByUetr,
    EntryByReference,
    Posting,
    Statement,
}

fn uetr() -> Uetr {
    Uetr::from_random([9; 16])
}

fn date(yyyymmdd: u32) -> Date {
    Date::from_yyyymmdd(yyyymmdd).unwrap()
}

fn take(
    all: &mut Reconciliation,
    step: Step,
    height: u64,
    posted: &mut Vec<LedgerItem>,
) -> Records {
    let mut records = Records::new();
    let at = Position { height, leaf: 0 };
    let item = LedgerItem { position: at, side: Side::Credit, amount: 500, date: date(20_260_102) };
    match step {
        Step::EntryByUetr | Step::EntryByReference => {
            let entry = BookEntry {
                side: item.side,
                amount: item.amount,
                date: item.date,
                entry_reference: String::new(),
                uetr: (step == Step::EntryByUetr).then(uetr),
                end_to_end_id: "E2E".to_owned(),
            };
            all.entry(ACCOUNT, Book::Owner, &entry, posted, at, &mut records);
        }
        Step::Posting => {
            posted.push(item);
            all.posting(ACCOUNT, &item, &uetr(), "E2E", at, &mut records);
        }
        Step::Statement => {
            let (from, to) = (date(20_260_101), date(20_260_131));
            let id = "JANUARY".to_owned();
            let account = AccountId::from_bytes(&[0; 16]).unwrap();
            let statement = Statement { account, id, from, to, opening: 0, closing: 0 };
            let movement = |item: &LedgerItem| Movement {
                account: ACCOUNT,
                position: item.position,
                sequence: 1,
                side: item.side,
                amount: item.amount,
                date: item.date,
                balance: 0,
            };
            let movements: Vec<Movement> = posted.iter().map(movement).collect();
            all.statement(ACCOUNT, Book::Owner, &statement, &movements, at, &mut records);
        }
    }
    records
}

fn orders(steps: &[Step]) -> Vec<Vec<Step>> {
    if steps.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (place, step) in steps.iter().enumerate() {
        let mut rest = steps.to_vec();
        rest.remove(place);
        for mut order in orders(&rest) {
            order.insert(0, *step);
            all.push(order);
        }
    }
    all
}

#[test]
fn an_entry_booked_twice_is_a_duplicate_whatever_comes_first() {
    use Step::{EntryByReference, EntryByUetr, Posting, Statement};
    for second in [EntryByUetr, EntryByReference] {
        for order in orders(&[EntryByUetr, second, Posting, Statement]) {
            let mut all = Reconciliation::default();
            let mut posted = Vec::new();
            let mut stored = BTreeMap::new();
            for (height, step) in (1..).zip(&order) {
                stored.extend(take(&mut all, *step, height, &mut posted));
                let restored = Reconciliation::restore(stored.clone()).unwrap();
                assert_eq!(format!("{restored:?}"), format!("{all:?}"), "{order:?}");
            }
            let open = all.breaks(ACCOUNT).iter().filter(|found| found.healed_at.is_none());
            let kinds: Vec<BreakKind> = open.map(|found| found.kind).collect();
            assert_eq!(kinds, [BreakKind::Duplicate], "{order:?}");
            let entries = all.book(ACCOUNT, Book::Owner).unwrap().entries();
            let matched = |entry: &&Entry| matches!(entry.status, Status::Matched(..));
            assert_eq!(entries.iter().filter(matched).count(), 1, "{order:?}");
        }
    }
}

#[test]
fn a_report_may_begin_and_end_within_a_statement() {
    let mut all = Reconciliation::default();
    let account = AccountId::from_bytes(&[0; 16]).unwrap();
    let at = Position { height: 1, leaf: 0 };
    for (number, day) in (0..).zip([20_260_104, 20_260_110, 20_260_120]) {
        let entry = BookEntry {
            side: Side::Credit,
            amount: 100,
            date: date(day),
            entry_reference: String::new(),
            uetr: Some(Uetr::from_random([number; 16])),
            end_to_end_id: String::new(),
        };
        all.entry(ACCOUNT, Book::Owner, &entry, &[], at, &mut Records::new());
    }
    let statement = Statement {
        account,
        id: "JANUARY".to_owned(),
        from: date(20_260_103),
        to: date(20_260_131),
        opening: 1_000,
        closing: 1_307,
    };
    all.statement(ACCOUNT, Book::Owner, &statement, &[], at, &mut Records::new());
    for (from, to, opening, closing) in [
        (20_260_103, 20_260_131, 1_000, 1_307),
        (20_260_105, 20_260_131, 1_100, 1_307),
        (20_260_105, 20_260_115, 1_100, 1_207),
        (20_260_101, 20_260_205, 1_000, 1_307),
    ] {
        let report =
            report::report(&all, ACCOUNT, Book::Owner, date(from), date(to), std::iter::empty());
        assert_eq!((report.book.opening, report.book.closing), (opening, closing));
        assert_eq!(report.unexplained, 7, "the statement's own balances do not add up");
    }
}
