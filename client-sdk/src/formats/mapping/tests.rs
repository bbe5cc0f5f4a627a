#![allow(clippy::unwrap_used)]

use counterfoil_ledger::block::Side;

use super::Mapping;
use super::read;
use super::stream;
use crate::formats::csv::BookTable;
use crate::formats::error::FormatError;

const BANK: &str = r#"
delimiter = ";"
encoding = "latin-1"
skip_rows = 1
skip_rows_at_end = 1
decimal_separator = ","
thousands_separator = "."
date_format = "dd.mm.yyyy"

[columns]
booking_date = "Buchungstag"
value_date = "Valuta"
amount = 4
servicer_reference = "Referenz"
end_to_end_id = "Kundenreferenz"

[fixed]
currency = "CHF"
account_servicer = "SETLCHZZ"
account_owner = "ALPSCHZZ"
account_name = "SETTLEMENT"

[sign]
convention = "signed"
"#;

const TABLE: &[u8] = b"Kontoauszug;;;;\n\
    Buchungstag;Valuta;Text;Betrag;Referenz;Kundenreferenz\n\
    31.03.2026;01.04.2026;Z\xfcrich;1.250,50;R-1;E-1\n\
    31.03.2026;;x;-0,05;R-2;Geb\xfchr\n\
    31.03.2026;;null;0,00;R-3;\n\
    Summe;;;1.250,45;;\n";

fn exponent_of(code: &str) -> Option<u8> {
    matches!(code, "CHF" | "EUR").then_some(2)
}

fn table(mapping: &str, table: &[u8]) -> Result<BookTable, FormatError> {
    read(table, &Mapping::parse(mapping)?, &exponent_of)
}

#[test]
fn a_banks_own_table() {
    let table = table(BANK, TABLE).unwrap();
    let [first, second] = table.rows.as_slice() else { panic!("{table:?}") };
    assert_eq!((first.entry.side, first.entry.amount.units), (Side::Credit, 125_050));
    assert_eq!((second.entry.side, second.entry.amount.units), (Side::Debit, 5));
    assert_eq!(first.entry.booking_date.yyyymmdd(), 20_260_331);
    assert_eq!(first.entry.value_date.unwrap().yyyymmdd(), 20_260_401);
    assert_eq!((first.entry.place.as_str(), first.entry.book_reference()), ("row 3", "R-1"));
    assert_eq!((first.entry.end_to_end_id.as_str(), second.entry.value_date), ("E-1", None));
    assert_eq!(first.account.as_ref().unwrap().owner.as_str(), "ALPSCHZZXXX");
    let warnings: Vec<&str> = table.warnings.kept().iter().map(|one| one.place.as_str()).collect();
    assert_eq!(warnings, ["row 4, column Kundenreferenz", "row 5"]);
}

#[test]
fn sides_by_column_and_by_word() {
    let columns = "date_format = 'yymmdd'\nheader = false\n[columns]\nbooking_date = 1\ncredit = 2\n\
        debit = 3\ncurrency = 4\n[sign]\nconvention = 'columns'\n";
    let rows = |text: &str| -> Vec<i128> {
        let read = table(columns, text.as_bytes()).unwrap();
        read.rows.iter().map(|row| row.entry.signed_units()).collect()
    };
    assert_eq!(rows("260331,1,,CHF\n260331,,2,CHF\n260331,0.00,3,CHF\n"), [100, -200, -300]);
    for bad in ["260331,1,2,CHF", "260331,,,CHF", "260331,-1,,CHF", "260331,,-1,CHF"] {
        assert!(table(columns, bad.as_bytes()).is_err(), "{bad}");
    }
    let negative = columns.replace("'columns'", "'columns'\ndebit_is_negative = true");
    let read = table(&negative, b"260331,,-1,CHF\n").unwrap();
    assert_eq!(read.rows[0].entry.signed_units(), -100);
    assert!(table(&negative, b"260331,,1,CHF\n").is_err());
    let words = "date_format = 'yymmdd'\n[columns]\nbooking_date = 'D'\namount = 'A'\nside = 'S'\n\
        currency = 'C'\n[sign]\nconvention = 'indicator'\ncredit = ['H', 'CR']\ndebit = ['S']\n";
    let read = table(words, b"D,S,A,C\n260331,CR,1,CHF\n260331,S,1,CHF\n").unwrap();
    assert_eq!(read.rows[1].entry.signed_units(), -100);
    for (bad, place) in [("260331,X,1,CHF", "S"), ("260331,S,-1,CHF", "A"), ("260332,S,1,CHF", "D")]
    {
        let error = table(words, format!("D,S,A,C\n{bad}").as_bytes()).unwrap_err();
        assert_eq!(error.place, format!("row 2, column {place}"));
    }
}

#[test]
fn amounts_are_written_as_the_mapping_says() {
    let amount = |text: &str| {
        let row = format!(
            "h\nBuchungstag;Valuta;Text;Betrag;Referenz;Kundenreferenz\n\
             31.03.2026;;;{text};;\nend\n"
        );
        let row = row.replace("\nend\n", "\nend;;;;;\n");
        table(BANK, row.as_bytes()).map(|read| read.rows[0].entry.amount.units)
    };
    for (text, units) in [("1", 100), ("1.000", 100_000), ("1.000.000,5", 100_000_050), ("+,5", 50)]
    {
        assert_eq!(amount(text), Ok(units), "{text}");
    }
    for bad in
        ["1.00", "1.0000", ".100", "1,005", "1,0,0", "1'000", "--1", "", "99999999999999999999"]
    {
        assert_eq!(amount(bad).unwrap_err().place, "row 3, column Betrag", "{bad}");
    }
}

#[test]
fn a_mapping_that_says_too_much_or_too_little_is_refused_by_name() {
    for (from, to, named) in [
        ("skip_rows = 1\n", "skip_row = 1\n", "skip_row"),
        ("value_date =", "valuta =", "valuta"),
        ("currency = \"CHF\"", "amount = \"1\"", "fixed.amount"),
        ("[fixed]\n", "[fixed]\nuetr = 'x'\n", "fixed.uetr"),
        ("booking_date = \"Buchungstag\"\n", "", "columns.booking_date"),
        ("amount = 4\n", "", "columns.amount"),
        ("amount = 4\n", "amount = 4\ncredit = 5\n", "columns.credit"),
        ("account_name = \"SETTLEMENT\"\n", "", "columns"),
        ("\"signed\"", "\"guessed\"", "guessed"),
        ("delimiter = \";\"", "delimiter = \"ab\"", "delimiter"),
        ("= \"latin-1\"", "= \"cp850\"", "cp850"),
        ("dd.mm.yyyy", "dd.mm", "date_format"),
        ("decimal_separator = \",\"", "decimal_separator = \".\"", "decimal_separator"),
        ("skip_rows = 1\n", "skip_rows = 1000000\n", "skip_rows"),
    ] {
        assert!(BANK.contains(from), "{from}");
        let error = Mapping::parse(&BANK.replacen(from, to, 1)).unwrap_err();
        assert!(error.to_string().contains(named), "{named}: {error}");
        assert!(error.place.starts_with("mapping"), "{error}");
    }
    let missing = BANK.replace("Buchungstag", "Datum");
    assert_eq!(table(&missing, TABLE).unwrap_err().place, "row 2");
    let beyond = BANK.replace("amount = 4", "amount = 7");
    assert_eq!(table(&beyond, TABLE).unwrap_err().place, "mapping, columns");
    assert_eq!(
        table(&BANK.replace("latin-1", "utf-8"), TABLE).unwrap_err().place,
        "row 4, column Kundenreferenz"
    );
}

#[test]
fn a_row_is_bounded() {
    let mapping = Mapping::parse(BANK).unwrap();
    let long = [TABLE, b"\"", vec![b'x'; 3 * super::ROW_SIZE_MAX].as_slice()].concat();
    let rows = stream(long.as_slice(), &mapping, &exponent_of).unwrap();
    let error = rows.filter_map(Result::err).next().unwrap();
    assert!(error.fact.contains("larger than the limit"), "{error}");
}
