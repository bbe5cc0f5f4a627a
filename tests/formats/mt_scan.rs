//! A second reading of MT files: lines that begin with a field's name, taken apart from the left
//! and from the right, without any state between them.

/// What the lines of a file say.
#[derive(Default)]
pub struct Scanned {
    /// Of :60F: and :60M:, in minor units of two decimals, positive = credit.
    pub opening: Vec<i64>,
    /// Of :62F: and :62M:.
    pub closing: Vec<i64>,
    /// How many :60M: follow a :62M: of the same amount.
    pub intermediate_joined: usize,
    pub lines: Vec<ScannedLine>,
}

/// A :61:.
pub struct ScannedLine {
    pub value_date: u32,
    pub entry_date: Option<u32>,
    pub units: i128,
    pub reversal: bool,
    pub owner: String,
    pub servicer: String,
}

pub fn scan(bytes: &[u8]) -> Scanned {
    let mut scanned = Scanned::default();
    let mut page_end = None;
    for line in bytes.split(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(line).trim_end_matches('\r').to_owned();
        if let Some(text) = line.strip_prefix(":60F:").or(line.strip_prefix(":60M:")) {
            let units = balance(text);
            scanned.intermediate_joined +=
                usize::from(line.starts_with(":60M") && page_end == Some(units));
            scanned.opening.push(units);
        } else if let Some(text) = line.strip_prefix(":62F:").or(line.strip_prefix(":62M:")) {
            let units = balance(text);
            page_end = line.starts_with(":62M").then_some(units);
            scanned.closing.push(units);
        } else if let Some(text) = line.strip_prefix(":61:") {
            scanned.lines.push(statement_line(text));
        }
    }
    scanned
}

fn balance(text: &str) -> i64 {
    let units = i64::try_from(hundredths(&text[10..])).unwrap();
    if text.starts_with('D') { -units } else { units }
}

/// Digits with a comma; every currency of the samples has two decimals.
fn hundredths(text: &str) -> i128 {
    let (whole, rest) = text.split_once(',').unwrap();
    let fraction: String = rest.chars().take_while(char::is_ascii_digit).collect();
    format!("{whole}{fraction:0<2}").parse().unwrap()
}

fn statement_line(text: &str) -> ScannedLine {
    let comma = text.find(',').unwrap();
    // From the comma to the left: the digits of the amount, then letters, then dates.
    let amount = text[..comma].rfind(|one: char| !one.is_ascii_digit()).unwrap() + 1;
    let letters = text[..amount].find(|one: char| one.is_ascii_alphabetic()).unwrap();
    let mark = &text[letters..amount];
    let reversal = mark.starts_with('R');
    let credit = mark.trim_start_matches('R').starts_with('C') != reversal;
    let units = hundredths(&text[amount..]);
    let after = &text[comma + 1..];
    let kind = after.find(|one: char| !one.is_ascii_digit()).unwrap();
    let (owner, servicer) = after[kind + 4..].split_once("//").unwrap_or((&after[kind + 4..], ""));
    ScannedLine {
        value_date: text[..6].parse().unwrap(),
        entry_date: text[6..letters].trim().parse().ok(),
        units: if credit { units } else { -units },
        reversal,
        // Columns are filled up with blanks.
        owner: owner.split("   ").next().unwrap().trim().to_owned(),
        servicer: servicer.trim().to_owned(),
    }
}

/// The narrative of a file on one line, without the numbers of subfields.
pub fn narrative(bytes: &[u8]) -> String {
    let joined: String =
        String::from_utf8_lossy(bytes).chars().filter(|one| !"\r\n".contains(*one)).collect();
    let mut parts = joined.split('?');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.get(2..).unwrap_or_default())
}
