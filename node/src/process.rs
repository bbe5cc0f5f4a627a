//! The process around a running node: logging, panics, signals, and the way out.

use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::Config;
use crate::exit::{self, End, ExitCode, Stop};
use crate::limits;
use crate::telemetry::logging;

/// Runs a node until it ends by itself or is told to by SIGTERM or SIGINT. Returns only if all went
/// well; otherwise the process ends here with the code of the failure, and nothing is tidied up.
///
/// `node` opens everything, serves until the token is cancelled, drains, and closes everything. If it
/// asks for it, the process begins anew, under the same id.
pub fn run<F>(config: Config, node: impl FnOnce(Config, CancellationToken) -> F) -> Result<(), Stop>
where
    F: Future<Output = Result<End, Stop>>,
{
    let filter = logging::parse_filter(&config.log.filter)
        .map_err(|error| Stop { code: ExitCode::Usage, message: error.to_string() })?;
    logging::start(config.log.format, filter);
    exit::exit_on_panic();
    allow_files();
    let system = |error: std::io::Error| Stop {
        code: ExitCode::Fatal,
        message: format!("the system refuses threads or signals: {error}"),
    };
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().map_err(system)?;
    let ended = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        let signals = Signals {
            terminate: signal(SignalKind::terminate()).map_err(system)?,
            interrupt: signal(SignalKind::interrupt()).map_err(system)?,
        };
        tokio::spawn(signals.obey(shutdown.clone()));
        node(config, shutdown).await
    });
    match ended {
        Ok(End::Stopped) => {
            info!("stopped");
            Ok(())
        }
        Ok(End::Restart) => {
            runtime.shutdown_timeout(limits::DRAIN_TIMEOUT);
            Err(begin_anew())
        }
        Err(stop) => exit::exit(stop.code, &stop.message),
    }
}

/// Lets this process have as many open files as the system allows it: connections are files, too.
fn allow_files() {
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    let raised = setrlimit(Resource::Nofile, files);
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if raised.is_err() || allowed < limits::OPEN_FILES_MIN {
        let wanted = limits::OPEN_FILES_MIN;
        warn!(
            allowed,
            wanted, "too few open files are allowed; a flood of connections could take all"
        );
    }
}

/// Puts this very program in the place of the running one, with the same arguments: no thread, lock or
/// memory is left of it. Returns only if the system refuses.
fn begin_anew() -> Stop {
    let mut arguments = std::env::args_os();
    // What runs, even where another version was installed meanwhile.
    let mut program = Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        program.arg0(name);
    }
    let error = program.args(arguments).exec();
    Stop { code: ExitCode::Fatal, message: format!("the system refuses to start anew: {error}") }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// The first signal drains the node; a second one, or the end of its time, ends it at once. That
    /// loses nothing: what was answered is on disk.
    async fn obey(mut self, shutdown: CancellationToken) {
        let name = self.next().await;
        info!(signal = name, "stopping: no new work is taken, what is underway is finished");
        shutdown.cancel();
        let second = tokio::time::timeout(limits::DRAIN_TIMEOUT, self.next()).await;
        match second {
            Ok(name) => warn!(signal = name, "stopping at once"),
            Err(_) => warn!("what is underway takes too long; stopping at once"),
        }
        exit::exit(ExitCode::Ok, "stopped before everything underway was finished");
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
