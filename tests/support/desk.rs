//! An institution's desk: the program `counterfoil`, as its clerks type it.

use std::process::{Command, Output};

use serde_json::Value;

use crate::consortium::{AGENT, BANKS, Consortium};

/// An institution's desk: its context is its own, and so is what it keeps.
pub struct Desk<'a> {
    consortium: &'a Consortium,
    institution: &'static str,
    role: &'static str,
}

impl Desk<'_> {
    /// The desk of a client.
    pub fn of<'a>(consortium: &'a Consortium, institution: &'static str) -> Desk<'a> {
        Desk::of_role(consortium, institution, "client")
    }

    /// The desk of another role.
    pub fn of_role<'a>(
        consortium: &'a Consortium,
        institution: &'static str,
        role: &'static str,
    ) -> Desk<'a> {
        Desk { consortium, institution, role }
    }

    /// A command that is not running yet; spaces separate its arguments.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = self.consortium.command_line(self.institution, self.role);
        command.args(arguments.split_whitespace());
        command
    }

    /// How a command ends, and what it says.
    pub fn run(&self, arguments: &str) -> Output {
        self.command(arguments).output().expect("the program runs")
    }

    /// The answer of a command that succeeds.
    pub fn ask(&self, arguments: &str) -> Value {
        self.ends(arguments, 0)
    }

    /// The answer of a command that ends so.
    pub fn ends(&self, arguments: &str, code: i32) -> Value {
        let output = self.run(&format!("{arguments} -o json"));
        let stderr = String::from_utf8(output.stderr).expect("it speaks UTF-8");
        assert_eq!(output.status.code(), Some(code), "{arguments}: {stderr}");
        serde_json::from_slice(&output.stdout).expect("an answer is JSON")
    }

    /// The error of a command that ends so, and prints nothing but that.
    pub fn fails(&self, arguments: &str, code: i32) -> String {
        let output = self.run(&format!("{arguments} -o json"));
        let stderr = String::from_utf8(output.stderr).expect("it speaks UTF-8");
        assert_eq!(output.status.code(), Some(code), "{arguments}: {stderr}");
        assert!(output.stdout.is_empty(), "{arguments}: a failure leaves stdout empty");
        let error = stderr.lines().last().expect("a failure says why");
        let error: Value = serde_json::from_str(error).expect("an error is JSON");
        error["code"].as_str().expect("an error has a code").to_owned()
    }

    /// Agrees with the agent to compare the ledger with this bank's book of its account in CHF from a
    /// date on, by the terms of the template.
    pub fn agree(&self, from: &str) {
        let template = self.run("recon agreement propose --template").stdout;
        let template = String::from_utf8(template).expect("the template is UTF-8");
        let (before, rest) = template.split_once("effective_from = \"").expect("it has a date");
        let (_, after) = rest.split_once('"').expect("the date ends");
        let terms = format!("{before}effective_from = \"{from}\"{after}")
            .replace(BANKS[0], self.institution)
            .replace(", \"servicer-book\"]", "]");
        let file = format!("terms-{}.toml", self.institution);
        std::fs::write(self.consortium.path().join(&file), terms).expect("it can be written");
        let offered = self.ask(&format!("recon agreement propose --file {file} --yes"));
        let id = offered["agreement"].as_str().expect("an agreement has an id");
        let agent = Desk::of(self.consortium, AGENT);
        agent.ask(&format!("recon agreement accept {id} --yes"));
    }

    /// The balance of the institution's account in CHF.
    pub fn balance(&self) -> String {
        let account = self.ask("account show --asset CHF");
        account["balance"]["amount"].as_str().expect("an account has a balance").to_owned()
    }
}
