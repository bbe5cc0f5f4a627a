//! What becomes of each file: names, counts, sums and reasons, and nothing else of what is in them.

/// A row.
pub struct Verdict {
    /// Below the folder of the data.
    pub file: &'static str,
    /// Counts and sums, or the place at which it is refused.
    pub outcome: &'static str,
    /// Why it is refused.
    pub reason: Option<Reason>,
}

/// Why files are refused: nothing else is a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Lines of a statement without the statement: samples of single fields, and what remains
    /// behind the end of one.
    Fragment,
    /// The file has no statement at all.
    NoStatement,
    /// The account, the currency or the statement itself is missing.
    Incomplete,
    /// A statement without its end.
    Cut,
    /// A field of the heading among the entries: one of them was spoilt.
    Misplaced,
    /// A closing balance in SEK of an account in EUR.
    MixedCurrencies,
    /// The 30th of February.
    ImpossibleDate,
    /// A closing balance that is a year older than the opening balance.
    DatesBackward,
    /// An amount without its comma, which would be a tenth of what the balances say.
    NoComma,
    /// A balance without a currency.
    NoCurrency,
    /// A header that announces another message.
    HeaderDiffers,
}

impl Reason {
    /// What the error says of it.
    pub fn fact(self) -> &'static str {
        match self {
            Reason::Fragment => "it stands outside of a statement",
            Reason::NoStatement => "it has no statement",
            Reason::Incomplete => "it is missing",
            Reason::Cut => "the statement was cut",
            Reason::Misplaced => "it stands behind the entries",
            Reason::MixedCurrencies => "in a statement of an account in",
            Reason::ImpossibleDate => "is not a date that exists",
            Reason::DatesBackward => "before the opening balance",
            Reason::NoComma => "is no amount",
            Reason::NoCurrency => "is not an asset of this ledger",
            Reason::HeaderDiffers => "in front of a",
        }
    }
}

const fn read(file: &'static str, outcome: &'static str) -> Verdict {
    Verdict { file, outcome, reason: None }
}

const fn refused(file: &'static str, place: &'static str, reason: Reason) -> Verdict {
    Verdict { file, outcome: place, reason: Some(reason) }
}

/// camt.052, camt.053 and camt.054.
pub const CAMT: &[Verdict] = &[
    read("genkgo-camt/camt052.v1.xml", "1 statements, 1 entries, SEK +0.00 -200000.00"),
    read(
        "genkgo-camt/camt052.v2.other-account.xml",
        "1 statements, 1 entries, SEK +0.00 -200000.00",
    ),
    read(
        "genkgo-camt/camt052.v2.with-account-name.xml",
        "1 statements, 0 entries, 0 expected, 1 left out, SEK +0.00 -0.00",
    ),
    read("genkgo-camt/camt052.v2.xml", "1 statements, 1 entries, SEK +0.00 -200000.00"),
    read(
        "genkgo-camt/camt052.v4.xml",
        "1 statements, 0 entries, 1 expected, 0 left out, SEK +0.00 -0.00",
    ),
    read(
        "genkgo-camt/camt052.v6.Amt-zero.xml",
        "1 statements, 0 entries, 1 expected, 0 left out, SEK +0.00 -0.00",
    ),
    read(
        "genkgo-camt/camt052.v6.xml",
        "1 statements, 0 entries, 1 expected, 0 left out, SEK +0.00 -0.00",
    ),
    read("genkgo-camt/camt052.v8.xml", "1 statements, 1 entries, SEK +0.00 -200000.00"),
    read(
        "genkgo-camt/camt053.v2.all-balance-types.xml",
        "1 statements, 1 entries, EUR +8.85 -0.00",
    ),
    read("genkgo-camt/camt053.v2.five.decimals.xml", "1 statements, 1 entries, EUR +8.85 -0.00"),
    refused(
        "genkgo-camt/camt053.v2.minimal.ultimate.xml",
        "Document/BkToCstmrStmt/Stmt/Bal[2]/Amt/@Ccy",
        Reason::MixedCurrencies,
    ),
    refused(
        "genkgo-camt/camt053.v2.minimal.xml",
        "Document/BkToCstmrStmt/Stmt/Bal[2]/Amt/@Ccy",
        Reason::MixedCurrencies,
    ),
    read("genkgo-camt/camt053.v2.multi.statement.xml", "2 statements, 2 entries, EUR +8.85 -7.00"),
    read(
        "genkgo-camt/camt053.v2.with-account-name.xml",
        "1 statements, 1 entries, EUR +8.85 -0.00",
    ),
    refused(
        "genkgo-camt/camt053.v2.with-party-ids.xml",
        "Document/BkToCstmrStmt/Stmt/Bal[2]/Amt/@Ccy",
        Reason::MixedCurrencies,
    ),
    refused("genkgo-camt/camt053.v2.wrong.xml", "Document/BkToCstmrStmt/Stmt", Reason::Incomplete),
    refused(
        "genkgo-camt/camt053.v3.xml",
        "Document/BkToCstmrStmt/Stmt/Bal[2]/Amt/@Ccy",
        Reason::MixedCurrencies,
    ),
    refused(
        "genkgo-camt/camt053.v4.xml",
        "Document/BkToCstmrStmt/Stmt/Bal[2]/Amt/@Ccy",
        Reason::MixedCurrencies,
    ),
    refused(
        "genkgo-camt/camt053.v8.xml",
        "Document/BkToCstmrStmt/Stmt/Bal[2]/Amt/@Ccy",
        Reason::MixedCurrencies,
    ),
    read(
        "genkgo-camt/camt054.v2.with-account-name.xml",
        "1 statements, 0 entries, 0 expected, 1 left out, SEK +0.00 -0.00",
    ),
    read("genkgo-camt/camt054.v2.xml", "1 statements, 1 entries, SEK +0.00 -200000.00"),
    read("genkgo-camt/camt054.v4.xml", "1 statements, 1 entries, SEK +0.00 -200000.00"),
    read(
        "genkgo-camt/camt054.v8-with-UETR.xml",
        "1 statements, 0 entries, 0 expected, 1 left out, SEK +0.00 -0.00",
    ),
    read(
        "genkgo-camt/camt054.v8-with-financial-institution.xml",
        "1 statements, 0 entries, 0 expected, 1 left out, SEK +0.00 -0.00",
    ),
    read("genkgo-camt/camt054.v8.xml", "1 statements, 1 entries, SEK +0.00 -200000.00"),
    read("genkgo-camt/camt53.only-Dt-with-DtTm.xml", "1 statements, 0 entries, RON +0.00 -0.00"),
    read(
        "phoughton-cbpr/examples/y2025/camt.052.max.xml",
        "1 statements, 0 entries, 0 expected, 1 left out, EUR +0.00 -0.00",
    ),
    read(
        "phoughton-cbpr/examples/y2025/camt.052.min.xml",
        "1 statements, 0 entries, EUR +0.00 -0.00",
    ),
    read(
        "phoughton-cbpr/examples/y2025/camt.054.max.xml",
        "1 statements, 0 entries, 0 expected, 1 left out, EUR +0.00 -0.00",
    ),
    read(
        "phoughton-cbpr/examples/y2025/camt.054.min.xml",
        "1 statements, 0 entries, 0 expected, 1 left out, EUR +0.00 -0.00",
    ),
    read(
        "phoughton-cbpr/examples/y2026/camt.052.max.xml",
        "1 statements, 0 entries, 0 expected, 1 left out, EUR +0.00 -0.00",
    ),
    refused(
        "phoughton-cbpr/examples/y2026/camt.052.min.xml",
        "Document/BkToCstmrAcctRpt/Rpt/Acct/Ccy",
        Reason::Incomplete,
    ),
    read(
        "phoughton-cbpr/examples/y2026/camt.054.max.xml",
        "1 statements, 0 entries, 0 expected, 1 left out, EUR +0.00 -0.00",
    ),
    read(
        "phoughton-cbpr/examples/y2026/camt.054.min.xml",
        "1 statements, 0 entries, 0 expected, 1 left out, EUR +0.00 -0.00",
    ),
    read(
        "phoughton-cbpr/test_files/2025/CBPR+_p.9.1.2.a_camt.054-DtoE.xml",
        "1 statements, 1 entries, CAD +2565972.00 -0.00",
    ),
    read(
        "phoughton-cbpr/test_files/2025/CBPR+_pn.1.2.1.a_camt.052_A_to_I.xml",
        "1 statements, 0 entries, NOK +0.00 -0.00",
    ),
    read(
        "phoughton-cbpr/test_files/2025/camt052_account_report_sample.xml",
        "1 statements, 0 entries, CHF +0.00 -0.00",
    ),
    read(
        "phoughton-cbpr/test_files/2025/camt054_credit_notification_sample.xml",
        "1 statements, 1 entries, MXN +1843750.00 -0.00",
    ),
    read(
        "phoughton-cbpr/test_files/2025/camt_52_cbprplus_sample_xsd_issue.xml",
        "1 statements, 0 entries, NOK +0.00 -0.00",
    ),
    read(
        "phoughton-cbpr/test_files/2025/cbprplus_camt054_slash_in_instrid.xml",
        "1 statements, 0 entries, 0 expected, 1 left out, CAD +0.00 -0.00",
    ),
    read(
        "phoughton-cbpr/test_files/2025/violators/CBPR+_p.9.1.2.a_camt.054-DtoE__violates_camt.054-R20_slash_in_instrid.xml",
        "1 statements, 1 entries, CAD +2565972.00 -0.00",
    ),
    refused(
        "phoughton-cbpr/test_files/2025/violators/CBPR+_pn.1.2.1.a_camt.052_A_to_I__violates_camt.052-R4_msgdefidr_mismatch.xml",
        "Envelope/AppHdr/MsgDefIdr",
        Reason::HeaderDiffers,
    ),
    refused(
        "phoughton-cbpr/test_files/2025/violators/camt052_account_report_sample__violates_camt.052-R4_msgdefidr_mismatch.xml",
        "Envelope/AppHdr/MsgDefIdr",
        Reason::HeaderDiffers,
    ),
    read(
        "phoughton-cbpr/test_files/2025/violators/camt054_credit_notification_sample__violates_camt.054-R20_slash_in_instrid.xml",
        "1 statements, 1 entries, MXN +1843750.00 -0.00",
    ),
    refused(
        "phoughton-cbpr/test_files/2025/violators/camt_52_cbprplus_sample_xsd_issue__violates_camt.052-R4_msgdefidr_mismatch.xml",
        "Envelope/AppHdr/MsgDefIdr",
        Reason::HeaderDiffers,
    ),
    read(
        "phoughton-cbpr/test_files/2025/violators/cbprplus_camt054_slash_in_instrid__violates_camt.054-R20_slash_in_instrid.xml",
        "1 statements, 0 entries, 0 expected, 1 left out, CAD +0.00 -0.00",
    ),
    read(
        "phoughton-cbpr/test_files/2026/camt052_account_report_sample.xml",
        "1 statements, 0 entries, CHF +0.00 -0.00",
    ),
    read(
        "phoughton-cbpr/test_files/2026/camt054_credit_notification_sample.xml",
        "1 statements, 1 entries, MXN +1843750.00 -0.00",
    ),
    refused(
        "phoughton-cbpr/test_files/2026/violators/camt052_account_report_sample__violates_camt.052-R5_msgdefidr_mismatch.xml",
        "Envelope/AppHdr/MsgDefIdr",
        Reason::HeaderDiffers,
    ),
    read(
        "phoughton-cbpr/test_files/2026/violators/camt054_credit_notification_sample__violates_camt.054-R10_existing.xml",
        "1 statements, 1 entries, MXN +1843750.00 -0.00",
    ),
];

/// Entries of them that were compared one by one.
pub const CAMT_ENTRIES: usize = 21;

/// MT940 and MT942.
pub const MT: &[Verdict] = &[
    read("ASNB/mt940.txt", "31 statements, 8 entries, EUR +2828.90 -2771.96"),
    read(
        "ASNB/mt940_with_spaces_for_entry_date.txt",
        "31 statements, 8 entries, EUR +2828.90 -2771.96",
    ),
    refused("betterplace/amount_formats.sta", "line 1, :60F:", Reason::Fragment),
    refused("betterplace/currency_in_25.sta", "line 1, :25:", Reason::Fragment),
    refused("betterplace/empty_86.sta", "line 1, :86:", Reason::Fragment),
    refused("betterplace/empty_entry_date.sta", "line 1, :61:", Reason::Fragment),
    refused("betterplace/empty_line.sta", "line 2, :25:", Reason::Incomplete),
    refused("betterplace/missing_crlf_at_end.sta", "line 1, :62F:", Reason::Fragment),
    read("betterplace/sepa_mt9401.sta", "20 statements, 97 entries, EUR +5188474.94 -14457610.84"),
    read("betterplace/sepa_snippet.sta", "2 statements, 11 entries, EUR +1430745.72 -3574069.11"),
    refused("betterplace/sepa_snippet_broken.sta", "line 6, :25:", Reason::Misplaced),
    read(
        "betterplace/with_binary_character.sta",
        "2 statements, 4 entries, EUR +14215.30 -193282.05",
    ),
    read("citi/mt940.txt", "1 statements, 3 entries, 0 expected, 2 left out, USD +0.00 -1142.75"),
    refused("cmxl/account_balance_credit.sta", "line 1, :60F:", Reason::Fragment),
    refused("cmxl/account_balance_debit.sta", "line 1, :60F:", Reason::Fragment),
    refused("cmxl/account_identification_iban.sta", "line 1, :25:", Reason::Fragment),
    refused("cmxl/account_identification_legacy.sta", "line 1, :25:", Reason::Fragment),
    refused("cmxl/available_balance.sta", "line 1, :64:", Reason::Fragment),
    refused("cmxl/closing_balance.sta", "line 1, :62F:", Reason::Fragment),
    refused("cmxl/mt940.sta", "line 73, :62F:", Reason::DatesBackward),
    refused("cmxl/reference.sta", "line 1, :25:", Reason::Incomplete),
    refused("cmxl/statement_details.sta", "line 1, :61:", Reason::Fragment),
    refused("cmxl/statement_line.sta", "line 1, :61:", Reason::Fragment),
    refused("cmxl/statement_number.sta", "line 1, :28C:", Reason::Fragment),
    read("jejik/abnamro.sta", "2 statements, 10 entries, EUR +0.00 -345.93"),
    read("jejik/generic.sta", "2 statements, 2 entries, EUR +0.00 -20.00"),
    read("jejik/ing.sta", "1 statements, 7 entries, EUR +4.68 -50.27"),
    refused("jejik/knab.sta", "line 17, :61:", Reason::NoComma),
    read("jejik/postfinance.sta", "1 statements, 4 entries, CHF +239.30 -79.90"),
    read("jejik/rabobank-iban.sta", "2 statements, 4 entries, EUR +0.00 -70.00"),
    read("jejik/rabobank.sta", "4 statements, 5 entries, EUR +0.00 -1589.09"),
    read("jejik/sns.sta", "2 statements, 2 entries, EUR +0.00 -25.00"),
    read("jejik/triodos.sta", "1 statements, 2 entries, EUR +0.00 -715.70"),
    read("mBank/mt940.sta", "1 statements, 3 entries, PLN +0.03 -0.00"),
    read("mBank/mt942.sta", "1 statements, 3 entries, PLN +0.03 -0.00"),
    read("mBank/with_newline_in_tnr.sta", "1 statements, 2 entries, PLN +89.00 -0.00"),
    read("sberbank/171011_01234945.sta", "1 statements, 3 entries, HUF +0.00 -9437.00"),
    refused(
        "self-provided/account_identification.sta",
        "line 1, :60F: (or :34F:)",
        Reason::Incomplete,
    ),
    read("self-provided/details_60-63.sta", "1 statements, 1 entries, EUR +0.00 -233.15"),
    refused("self-provided/empty_non_swift.sta", "the file", Reason::NoStatement),
    refused("self-provided/february_30.sta", "line 6, :61:", Reason::ImpossibleDate),
    refused("self-provided/gv_codes.sta", "line 1, :62F:", Reason::Cut),
    refused("self-provided/invalid_statement.sta", "the file", Reason::NoStatement),
    read("self-provided/long_statement_number.sta", "1 statements, 0 entries, TRY +0.00 -0.00"),
    read("self-provided/malformed_details.sta", "1 statements, 1 entries, EUR +0.00 -233.15"),
    read("self-provided/mt942.sta", "1 statements, 1 entries, EUR +0.00 -0.42"),
    refused("self-provided/multiline.sta", "line 38, :61:", Reason::Fragment),
    read("self-provided/overly_long_details.sta", "1 statements, 1 entries, EUR +0.00 -233.15"),
    read(
        "self-provided/raiffeisen-cmi.sta",
        "1 statements, 7 entries, HUF +2066637.00 -3078850.50",
    ),
    refused("self-provided/raphaelm.sta", "line 27, :62M:", Reason::NoCurrency),
    refused("self-provided/sparkassen.sta", "line 1, :61:", Reason::Fragment),
    refused(
        "self-provided/transaction_details_wrapped.sta",
        "line 6, :61:",
        Reason::ImpossibleDate,
    ),
    read("self-provided/whitespace.sta", "1 statements, 1 entries, EUR +0.00 -233.15"),
    refused("self-provided/wrapped_timestamp.sta", "line 5, :61:", Reason::ImpossibleDate),
];

/// Entries of them that were compared one by one.
pub const MT_ENTRIES: usize = 190;

/// End-to-end ids that their narrative gives.
pub const MT_END_TO_END_IDS: usize = 74;
