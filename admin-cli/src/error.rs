//! Failures: what went wrong, with which facts, and how to fix it. On stderr, never on stdout.

use std::io::IsTerminal;

use serde_json::json;

use crate::exit::Exit;
use crate::output::Format;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub struct Failure {
    /// How the program ends.
    pub exit: Exit,
    /// For programs: UPPER_SNAKE_CASE.
    pub code: String,
    /// For people: one sentence without a full stop.
    pub message: String,
    /// What is known about it, one line each.
    pub facts: Vec<String>,
    /// What to do.
    pub fix: Option<String>,
}

impl Failure {
    /// A failure without facts and fix.
    pub fn new(exit: Exit, code: impl Into<String>, message: impl Into<String>) -> Failure {
        Failure { exit, code: code.into(), message: message.into(), facts: Vec::new(), fix: None }
    }

    /// A command line, or a file that it names, that is not understood.
    pub fn usage(code: impl Into<String>, message: impl Into<String>) -> Failure {
        Failure::new(Exit::Usage, code, message)
    }

    /// Adds a fact.
    pub fn fact(mut self, fact: impl Into<String>) -> Failure {
        self.facts.push(fact.into());
        self
    }

    /// Says what to do.
    pub fn fix(mut self, fix: impl Into<String>) -> Failure {
        self.fix = Some(fix.into());
        self
    }

    /// The lines for people.
    fn text(&self, prefix: &str) -> String {
        let mut text = format!("{prefix} {}  [{}]\n", self.message, self.code);
        for fact in &self.facts {
            text.push_str(&format!("  {fact}\n"));
        }
        if let Some(fix) = &self.fix {
            text.push_str(&format!("  fix: {fix}\n"));
        }
        text
    }

    /// The same for programs.
    fn json(&self) -> serde_json::Value {
        json!({
            "error": self.message,
            "code": self.code,
            "facts": self.facts,
            "fix": self.fix,
            "exitCode": self.exit.code(),
        })
    }
}

/// Writes a failure to stderr.
pub fn print(failure: &Failure, format: Format) {
    match format {
        Format::Json => eprintln!("{}", failure.json()),
        Format::Table | Format::Markdown => {
            let prefix = if colours() { "\x1b[1;31merror:\x1b[0m" } else { "error:" };
            eprint!("{}", failure.text(prefix));
        }
    }
}

/// Writes a line to stderr about what a person should know although the command succeeds.
pub fn warn(message: &str) {
    let prefix = if colours() { "\x1b[1;33mwarning:\x1b[0m" } else { "warning:" };
    eprintln!("{prefix} {message}");
}

/// Writes a line to stderr that is neither an answer nor a fault.
pub fn note(message: &str) {
    eprintln!("{message}");
}

/// Whether stderr takes colours (no-color.org).
fn colours() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    std::io::stderr().is_terminal() && !refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_say_the_same() {
        let failure = Failure::usage("CONTEXT_UNKNOWN", "there is no context bank-b")
            .fact("contexts: bank-a")
            .fix("counterfoil context add bank-b ...");
        assert_eq!(
            failure.text("error:"),
            "error: there is no context bank-b  [CONTEXT_UNKNOWN]\n  contexts: bank-a\n  fix: \
             counterfoil context add bank-b ...\n"
        );
        assert_eq!(failure.json()["code"], "CONTEXT_UNKNOWN");
        assert_eq!(failure.json()["exitCode"], 2);
    }
}
