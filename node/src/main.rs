//! The node's program: reads the command line, starts the node, and turns whatever ends it into a
//! documented exit code.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use counterfoil_node::boot;
use counterfoil_node::check::check;
use counterfoil_node::clock::Clock;
use counterfoil_node::config::{Config, Fault, Sources, keys};
use counterfoil_node::exit::{self, ExitCode, Stop};
use counterfoil_node::node;
use counterfoil_node::process;
use counterfoil_node::repair;
use counterfoil_node::storage::directory::DataDirectory;
use counterfoil_node::telemetry::metrics;

/// A node of a Counterfoil consortium.
#[derive(Parser)]
#[command(name = "counterfoil-node", version)]
struct Arguments {
    #[command(flatten)]
    settings: SettingArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
struct SettingArguments {
    /// The configuration file, TOML; `counterfoil-node config` prints one with every key.
    #[arg(long, global = true, env = "COUNTERFOIL_NODE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory; the same as --set node.data=DIRECTORY.
    #[arg(long, global = true, value_name = "DIRECTORY")]
    data: Option<PathBuf>,
    /// One setting, over the file and the environment; may be repeated.
    #[arg(long, global = true, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the node until SIGTERM or SIGINT.
    Run,
    /// Makes the data directory of a node that has never run.
    Init,
    /// Makes the state and its indices anew from the log of a node that does not run.
    Repair {
        /// Everything that is derived from the log: the whole of the state.
        #[arg(long, required = true)]
        index: bool,
    },
    /// Says whether the node would start, and if not, everything that is wrong.
    Check,
    /// Prints a configuration file with every key, its meaning and its default.
    Config,
    /// Prints what each exit code means and what to do about it.
    ExitCodes,
    /// Prints what each metric means.
    Metrics,
}

pub(crate) fn main() -> std::process::ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // A failure to print has nowhere to be reported.
            let _ = error.print();
            let code = if error.use_stderr() { ExitCode::Usage } else { ExitCode::Ok };
            return code.into();
        }
    };
    let settings = &arguments.settings;
    let done = match arguments.command {
        Command::Run => load(settings).and_then(|config| process::run(config, node::run)),
        Command::Init => load(settings).and_then(|config| init(&config)),
        Command::Repair { index: _ } => load(settings).and_then(|config| repair(&config)),
        Command::Check => load(settings).and_then(|config| report_check(&config)),
        Command::Config => print(&keys::example()),
        Command::ExitCodes => print(&exit::table()),
        Command::Metrics => print(&metrics::table()),
    };
    match done {
        Ok(()) => ExitCode::Ok.into(),
        Err(stop) => {
            eprintln!("counterfoil-node: {stop}");
            stop.code.into()
        }
    }
}

fn print(text: &str) -> Result<(), Stop> {
    print!("{text}");
    Ok(())
}

fn load(settings: &SettingArguments) -> Result<Config, Stop> {
    let mut flags = settings.set.clone();
    if let Some(data) = &settings.data {
        flags.push(format!("node.data={}", data.display()));
    }
    // A variable that is not UTF-8 is none of ours.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let sources = Sources { file: settings.config.clone(), environment, flags };
    Config::load(&sources).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(Fault::to_string).collect();
        let message = format!("the configuration is wrong:\n  {}", lines.join("\n  "));
        Stop { code: ExitCode::Usage, message }
    })
}

fn init(config: &Config) -> Result<(), Stop> {
    let genesis = boot::read_genesis(&config.genesis)?;
    DataDirectory::init(&config.data, config.node_id, &genesis.chain_id())?;
    println!(
        "{} is ready for node {} of chain {}",
        config.data.display(),
        config.node_id,
        genesis.chain_id()
    );
    Ok(())
}

fn repair(config: &Config) -> Result<(), Stop> {
    let rebuilt = repair::index(config)?;
    println!(
        "executed {} entries to height {}; {} headers are those that were stored before; kept {} \
         certificates",
        rebuilt.entries, rebuilt.height, rebuilt.compared, rebuilt.certificates
    );
    Ok(())
}

fn report_check(config: &Config) -> Result<(), Stop> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Stop { code: ExitCode::Fatal, message: format!("no runtime: {error}") })?;
    // Addresses are bound within a runtime.
    let findings = runtime.block_on(async { check(config, &Clock::system()) });
    for finding in &findings {
        println!("{finding}");
    }
    let faults = findings.iter().filter(|finding| !finding.good).count();
    if faults == 0 {
        return Ok(());
    }
    Err(Stop {
        code: ExitCode::Usage,
        message: format!("{faults} of {} are wrong", findings.len()),
    })
}
