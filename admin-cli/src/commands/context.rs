//! `context`: which consortium the other commands talk to, and as whom.

use serde_json::{Value, json};

use crate::context::{Connection, Context, Contexts, Settings};
use crate::error::Failure;
use crate::exit::Exit;
use crate::output::{Answer, Table};

/// Verbs of `context`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Adds a context; the first one becomes the current one
    Add {
        /// Its name
        name: String,
        /// Replace a context of this name
        #[arg(long)]
        replace: bool,
        /// What it holds.
        #[command(flatten)]
        context: Box<Context>,
    },
    /// Makes a context the current one
    Use {
        /// Its name
        name: String,
    },
    /// Lists the contexts
    List,
    /// Shows what holds for a command here and now, and where each value comes from
    Show(Box<Connection>),
}

/// Does it.
pub fn run(command: Command) -> Result<Answer, Failure> {
    match command {
        Command::Add { name, replace, context } => add(name, replace, *context),
        Command::Use { name } => make_current(name),
        Command::List => list(),
        Command::Show(connection) => show(&connection),
    }
}

fn add(name: String, replace: bool, context: Context) -> Result<Answer, Failure> {
    let path = Contexts::path()?;
    let mut contexts = Contexts::load(&path)?;
    if contexts.contexts.contains_key(&name) && !replace {
        let message = format!("there is a context {name} already");
        return Err(Failure::new(Exit::Conflict, "CONTEXT_EXISTS", message)
            .fix("choose another name, or give --replace"));
    }
    contexts.contexts.insert(name.clone(), context.absolute()?);
    contexts.current.get_or_insert_with(|| name.clone());
    contexts.save(&path)?;
    let current = contexts.current.as_ref() == Some(&name);
    let more = if current { ", the current one" } else { "" };
    Ok(Answer::new(json!({ "name": name, "current": current, "file": path }))
        .line(format!("context {name}{more}, in {}", path.display())))
}

fn make_current(name: String) -> Result<Answer, Failure> {
    let path = Contexts::path()?;
    let mut contexts = Contexts::load(&path)?;
    contexts.named(&name)?;
    contexts.current = Some(name.clone());
    contexts.save(&path)?;
    Ok(Answer::new(json!({ "name": name, "current": true }))
        .line(format!("context {name} is the current one")))
}

fn list() -> Result<Answer, Failure> {
    let contexts = Contexts::load(&Contexts::path()?)?;
    let mut table = Table::new(&["CURRENT", "NAME", "INSTITUTION", "SERVICER", "ENDPOINTS"]);
    let mut list = Vec::new();
    for (name, context) in &contexts.contexts {
        let current = contexts.current.as_ref() == Some(name);
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        table.row([
            if current { "*" } else { "" }.to_owned(),
            name.clone(),
            or_dash(&context.institution),
            or_dash(&context.servicer),
            context.endpoints.join(","),
        ]);
        list.push(json!({
            "name": name,
            "current": current,
            "institution": context.institution,
            "servicer": context.servicer,
            "endpoints": context.endpoints,
        }));
    }
    Ok(Answer::new(Value::Array(list)).table(table))
}

fn show(connection: &Connection) -> Result<Answer, Failure> {
    let settings = Settings::resolve(connection)?;
    let mut table = Table::new(&["SETTING", "VALUE", "FROM"]);
    let mut list = Vec::new();
    for ((name, value), (_, origin)) in
        settings.values.described().into_iter().zip(&settings.origins)
    {
        let shown = value.clone().unwrap_or_else(|| "-".to_owned());
        table.row([name.to_owned(), shown, origin.to_string()]);
        list.push(json!({ "setting": name, "value": value, "from": origin.to_string() }));
    }
    Ok(Answer::new(Value::Array(list)).table(table))
}
