//! `exit-codes`: how the program may end.

use serde_json::{Value, json};

use crate::exit::Exit;
use crate::output::{Answer, Table};

/// Lists every exit code.
pub fn run() -> Answer {
    let mut table = Table::new(&[">CODE", "NAME", "MEANING"]);
    let mut list = Vec::new();
    for exit in Exit::ALL {
        table.row([exit.code().to_string(), exit.name().to_owned(), exit.meaning().to_owned()]);
        list.push(json!({ "code": exit.code(), "name": exit.name(), "meaning": exit.meaning() }));
    }
    Answer::new(Value::Array(list)).title("Exit codes of counterfoil").table(table)
}
