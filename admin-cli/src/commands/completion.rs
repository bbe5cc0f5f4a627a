//! `completion`: scripts that complete commands in a shell.

use clap::CommandFactory;
use serde_json::json;

use crate::output::Answer;

/// Arguments of `completion`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// For which shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Writes the script.
pub fn run(arguments: &Arguments) -> Answer {
    let mut script = Vec::new();
    let mut command = crate::arguments::Arguments::command();
    clap_complete::generate(arguments.shell, &mut command, "counterfoil", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    Answer::new(json!({ "shell": arguments.shell.to_string(), "script": script })).line(script)
}
