//! The text of a scenario: commands with their answers, and what stands between them.

use std::ops::Range;

/// A command, or an item of the command before it, with its answer.
pub struct Command {
    /// Number of its line, from 1.
    pub line: usize,
    /// Without its answer.
    pub text: String,
    /// Its parts; none where a command has no answer.
    pub answer: Vec<String>,
}

impl Command {
    /// Whether its answer is a table, and stands below it.
    fn lists(&self) -> bool {
        ["entries ", "breaks ", "matches ", "proposals ", "position ", "agreements ", "clock "]
            .iter()
            .any(|word| self.text.starts_with(word))
    }
}

/// A file.
pub struct Script {
    pub commands: Vec<Command>,
    /// Lines in order: comments and blank lines as they are, and the places of commands.
    lines: Vec<Line>,
}

enum Line {
    Verbatim(String),
    Command(usize),
}

impl Script {
    pub fn parse(text: &str) -> Script {
        let mut script = Script { commands: Vec::new(), lines: Vec::new() };
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() || line.starts_with('#') {
                script.lines.push(Line::Verbatim(line.to_owned()));
            } else if let Some(part) = line.trim_start().strip_prefix('|') {
                let command = script.commands.last_mut().expect("an answer follows a command");
                command.answer.push(part.trim().to_owned());
            } else {
                let (text, answer) = line.split_once("=>").unwrap_or((line, ""));
                let answer = Some(answer.trim()).filter(|answer| !answer.is_empty());
                script.lines.push(Line::Command(script.commands.len()));
                script.commands.push(Command {
                    line: number,
                    text: text.trim_end().to_owned(),
                    answer: answer.map(str::to_owned).into_iter().collect(),
                });
            }
        }
        script
    }

    /// Each command with the items that belong to it.
    pub fn groups(&self) -> Vec<Range<usize>> {
        let mut groups: Vec<Range<usize>> = Vec::new();
        for (place, command) in self.commands.iter().enumerate() {
            match groups.last_mut() {
                Some(group) if command.text.trim_start().starts_with('-') => group.end = place + 1,
                _ => groups.push(place..place + 1),
            }
        }
        groups
    }

    /// The file again, answers in one column.
    pub fn render(&self) -> String {
        let answered = self.commands.iter().filter(|command| !command.answer.is_empty());
        let width = answered.map(|command| command.text.len()).max().unwrap_or(0);
        let mut text = String::new();
        for line in &self.lines {
            match line {
                Line::Verbatim(line) => text.push_str(line),
                Line::Command(place) => {
                    let command = &self.commands[*place];
                    if command.answer.is_empty() {
                        text.push_str(&command.text);
                    } else {
                        text.push_str(&format!("{:<width$}  =>", command.text));
                        let lists = command.lists() && command.answer.len() > 1;
                        for (number, part) in command.answer.iter().enumerate() {
                            let before = if number > 0 || lists { "\n      | " } else { " " };
                            text.push_str(before);
                            text.push_str(part);
                        }
                    }
                }
            }
            text.push('\n');
        }
        text
    }
}
