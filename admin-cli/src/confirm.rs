//! Questions before something is signed that binds for long.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::error::Failure;
use crate::exit::Exit;

/// Longest answer that is read, in bytes.
const ANSWER_MAX: u64 = 64;

/// Shows on stderr what is about to be signed and asks for a yes. Without a terminal nobody can be
/// asked: nothing is signed then.
pub async fn confirm(shown: &str, question: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        let failure = Failure::usage("CONFIRMATION_MISSING", "nobody can be asked: no terminal")
            .fact("nothing was signed");
        let lines = shown.lines().map(str::trim_end).filter(|line| !line.is_empty());
        return Err(lines
            .fold(failure, Failure::fact)
            .fix("read what would be signed, then run the same command with --yes"));
    }
    let question = format!("{shown}\n{question} [y/N] ");
    // Whoever interrupts the program is not kept waiting by the terminal.
    let asked = tokio::task::spawn_blocking(move || ask(&question)).await;
    match asked {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(Failure::new(Exit::Interrupted, "NOT_CONFIRMED", "not confirmed")
            .fact("nothing was signed")),
        Ok(Err(error)) => Err(cannot_ask(&error.to_string())),
        Err(error) => Err(cannot_ask(&error.to_string())),
    }
}

fn ask(question: &str) -> io::Result<bool> {
    let mut stderr = io::stderr().lock();
    stderr.write_all(question.as_bytes())?;
    stderr.flush()?;
    let mut answer = String::new();
    let mut bounded = io::Read::take(io::stdin().lock(), ANSWER_MAX);
    bounded.read_line(&mut answer)?;
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.trim().to_lowercase().as_str())
}

fn cannot_ask(error: &str) -> Failure {
    Failure::new(Exit::Unexpected, "CONFIRMATION_FAILED", format!("cannot ask: {error}"))
        .fact("nothing was signed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_one() {
        assert!(is_yes("y\n") && is_yes("YES\r\n"));
        assert!(!is_yes("") && !is_yes("\n") && !is_yes("no\n") && !is_yes("yessir\n"));
    }
}
