//! Answers: a table for people, JSON for programs, Markdown for documents, CSV for spreadsheets.
//!
//! JSON follows proto3's mapping: lowerCamelCase, 64-bit integers as strings, an empty list is `[]`.
//! Where proto3 would write bytes in base64, ids are written as people know them: hashes and account
//! ids in hex, UETRs and instruction ids as UUIDs.

use std::io::{self, Write};

use counterfoil_ledger::asset::format_amount;
use serde_json::{Value, json};

use crate::error::Failure;
use crate::exit::Exit;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns, for people.
    Table,
    /// JSON, for programs.
    Json,
    /// Markdown, for documents.
    Markdown,
}

/// What a command found out.
#[derive(Debug)]
pub struct Answer {
    /// How the program ends.
    pub exit: Exit,
    /// What went wrong although there is an answer; for stderr, after it.
    pub problem: Option<Failure>,
    json: Value,
    parts: Vec<Part>,
    /// What is written instead, whatever the format.
    file: Option<String>,
}

#[derive(Debug)]
enum Part {
    Title(String),
    Line(String),
    Table(Table),
}

impl Answer {
    /// An answer for programs; people see what is added with the methods below.
    pub fn new(json: Value) -> Answer {
        Answer { exit: Exit::Success, problem: None, json, parts: Vec::new(), file: None }
    }

    /// Nothing more: the command has written its answer itself.
    pub fn nothing() -> Answer {
        Answer { file: Some(String::new()), ..Answer::new(Value::Null) }
    }

    /// Adds a title.
    pub fn title(mut self, title: impl Into<String>) -> Answer {
        self.parts.push(Part::Title(printable(&title.into())));
        self
    }

    /// Adds a line of text; an empty one separates.
    pub fn line(mut self, line: impl Into<String>) -> Answer {
        self.parts.push(Part::Line(line.into()));
        self
    }

    /// Adds a table.
    pub fn table(mut self, table: Table) -> Answer {
        self.parts.push(Part::Table(table));
        self
    }

    /// Writes a table of comma-separated values instead, whatever the format (RFC 4180).
    pub fn csv(mut self, table: &Csv) -> Answer {
        self.file = Some(table.text());
        self
    }

    /// Ends the program otherwise than with success, though with an answer.
    pub fn exit(mut self, exit: Exit) -> Answer {
        self.exit = exit;
        self
    }

    /// Ends the program with a failure after an answer that is worth having.
    pub fn failure(mut self, failure: Failure) -> Answer {
        self.exit = failure.exit;
        self.problem = Some(failure);
        self
    }

    /// The bytes for stdout.
    pub fn render(&self, format: Format) -> String {
        if let Some(file) = &self.file {
            return file.clone();
        }
        if format == Format::Json {
            return format!("{:#}\n", self.json);
        }
        let mut text = String::new();
        for part in &self.parts {
            match (part, format) {
                (Part::Title(title), Format::Markdown) => text.push_str(&format!("# {title}\n\n")),
                (Part::Title(title), _) => text.push_str(&format!("{title}\n")),
                (Part::Line(line), Format::Markdown) => text.push_str(&format!("{line}\n\n")),
                (Part::Line(line), _) => text.push_str(&format!("{line}\n")),
                (Part::Table(table), Format::Markdown) => table.markdown(&mut text),
                (Part::Table(table), _) => table.columns(&mut text),
            }
        }
        text
    }
}

/// Writes an answer to stdout.
pub fn print(answer: &Answer, format: Format) -> Exit {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(answer.render(format).as_bytes()).and_then(|()| stdout.flush());
    match written {
        Ok(()) => answer.exit,
        // A reader that has seen enough (`| head`) is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => answer.exit,
        Err(error) => {
            eprintln!("error: cannot write to stdout: {error}  [OUTPUT_FAILED]");
            Exit::Unexpected
        }
    }
}

/// Rows under headings.
#[derive(Debug)]
pub struct Table {
    headings: Vec<&'static str>,
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table; a heading that begins with `>` has its column on the right, as numbers are.
    pub fn new(headings: &[&'static str]) -> Table {
        Table {
            right: headings.iter().map(|heading| heading.starts_with('>')).collect(),
            headings: headings.iter().map(|heading| heading.trim_start_matches('>')).collect(),
            rows: Vec::new(),
        }
    }

    /// A table of names and values, without headings.
    pub fn facts<const N: usize>(facts: [(&str, String); N]) -> Table {
        let mut table = Table::new(&["", ""]);
        for (name, value) in facts {
            table.row([name.to_owned(), value]);
        }
        table
    }

    /// Adds a row; it has a cell for every heading.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        assert_eq!(N, self.headings.len(), "a row has a cell for every heading");
        self.rows.push(cells.map(|cell| printable(&cell)).into());
    }

    fn columns(&self, text: &mut String) {
        let headless = self.headings.iter().all(|heading| heading.is_empty());
        let headings: Vec<String> = self.headings.iter().map(|text| text.to_string()).collect();
        let shown = (!headless).then_some(&headings).into_iter().chain(&self.rows);
        let mut widths = vec![0; headings.len()];
        for row in shown.clone() {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        for row in shown {
            let mut line = String::new();
            for ((cell, width), right) in row.iter().zip(&widths).zip(&self.right) {
                let width = *width;
                let padded =
                    if *right { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
                line.push_str(&padded);
                line.push_str("  ");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }

    fn markdown(&self, text: &mut String) {
        let mut line = |cells: Vec<String>| text.push_str(&format!("| {} |\n", cells.join(" | ")));
        line(self.headings.iter().map(|heading| heading.to_lowercase()).collect());
        let rule = |right: &bool| if *right { "---:" } else { "---" }.to_owned();
        line(self.right.iter().map(rule).collect());
        for row in &self.rows {
            line(row.iter().map(|cell| cell.replace('|', "\\|")).collect());
        }
    }
}

/// Rows for a spreadsheet or a program: RFC 4180, with a header always.
#[derive(Debug)]
pub struct Csv {
    rows: Vec<Vec<String>>,
}

impl Csv {
    /// A table of these columns.
    pub fn new(columns: &[&str]) -> Csv {
        Csv { rows: vec![columns.iter().map(|name| (*name).to_owned()).collect()] }
    }

    /// Adds a row; it has a cell for every column.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        assert_eq!(N, self.rows[0].len(), "a row has a cell for every column");
        self.rows.push(cells.into());
    }

    fn text(&self) -> String {
        let quoted = |cell: &String| match cell.contains(['"', ',', '\r', '\n']) {
            true => format!("\"{}\"", cell.replace('"', "\"\"")),
            false => cell.clone(),
        };
        let line = |row: &Vec<String>| row.iter().map(quoted).collect::<Vec<_>>().join(",");
        self.rows.iter().map(|row| line(row) + "\r\n").collect()
    }
}

/// A text that a bank wrote, for a cell: a spreadsheet must not take it for a formula.
pub fn cell(text: &str) -> String {
    let text = printable(text);
    if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text }
}

/// Text without control characters: what a bank wrote must not steer a terminal.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|character| if character.is_control() { '\u{fffd}' } else { character })
        .collect()
}

/// An amount for people: `1250.50 CHF`.
pub fn amount(minor_units: i128, exponent: u8, asset: &str) -> String {
    format!("{} {asset}", format_amount(minor_units, exponent))
}

/// An amount for programs: decimal, minor units and asset.
pub fn amount_json(minor_units: i128, exponent: u8, asset: &str) -> Value {
    json!({
        "amount": format_amount(minor_units, exponent),
        "minorUnits": minor_units.to_string(),
        "asset": asset,
    })
}

/// Adds the members of one JSON object to another.
pub fn extend(json: &mut Value, more: Value) {
    if let (Value::Object(json), Value::Object(more)) = (json, more) {
        json.extend(more);
    }
}

/// 16 bytes as a UUID; nothing for none.
pub fn uuid(bytes: &[u8]) -> String {
    let hex = hex(bytes);
    match hex.len() {
        32 => [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"),
        _ => hex,
    }
}

/// Bytes in hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["NAME", ">COUNT"]);
        table.row(["a|b".to_owned(), "1".to_owned()]);
        table.row(["longer\x1b[2J".to_owned(), "1000".to_owned()]);
        table
    }

    #[test]
    fn tables() {
        let answer = Answer::new(json!([])).title("Things").table(table());
        assert_eq!(
            answer.render(Format::Table),
            "Things\nNAME        COUNT\na|b             1\nlonger\u{fffd}[2J   1000\n"
        );
        assert_eq!(
            answer.render(Format::Markdown),
            "# Things\n\n| name | count |\n| --- | ---: |\n| a\\|b | 1 |\n| longer\u{fffd}[2J | 1000 |\n"
        );
        assert_eq!(answer.render(Format::Json), "[]\n");
    }

    #[test]
    fn a_csv_is_quoted_and_has_no_formulas() {
        let mut csv = Csv::new(&["a", "b"]);
        csv.row([cell("=1+1"), cell("one, \"two\"")]);
        csv.row(["-5.00".to_owned(), cell("x\r\ny")]);
        let text = Answer::new(json!({})).csv(&csv).render(Format::Json);
        assert_eq!(text, "a,b\r\n'=1+1,\"one, \"\"two\"\"\"\r\n-5.00,x\u{fffd}\u{fffd}y\r\n");
    }

    #[test]
    fn amounts() {
        assert_eq!(amount(-125_050, 2, "CHF"), "-1250.50 CHF");
        assert_eq!(amount_json(7, 0, "JPY")["minorUnits"], "7");
        assert_eq!(uuid(&[0xab; 16]), "abababab-abab-abab-abab-abababababab");
        assert_eq!(uuid(&[]), "");
    }
}
