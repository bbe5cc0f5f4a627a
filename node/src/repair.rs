//! `counterfoil-node repair --index`: makes everything that is derived anew from the log's blocks and
//! puts it in the place of what was there.

use std::time::Duration;
use std::time::Instant;

use crate::boot;
use crate::config::Config;
use crate::consensus::rebuild;
use crate::consensus::rebuild::Rebuilt;
use crate::exit::ExitCode;
use crate::exit::Stop;
use crate::storage::directory::DataDirectory;
use crate::storage::log::LogStore;
use crate::storage::state::Salvage;
use crate::storage::state::StateStore;

/// Between two words on how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);

/// Repairs the data directory of a node that does not run. What was there is replaced only once
/// everything new is complete and on disk.
pub fn index(config: &Config) -> Result<Rebuilt, Stop> {
    let genesis = boot::read_genesis(&config.genesis)?;
    let directory = DataDirectory::open(&config.data, config.node_id, &genesis.chain_id())?;
    directory.adopt_next()?;
    directory.discard_building()?;
    let log = LogStore::open(&directory)?;
    let old = Salvage::open(&directory);
    if old.is_none() {
        eprintln!("the old state cannot be read: nothing is compared, no certificate is kept");
    }
    let next = StateStore::open_building(&directory, log.clone())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Stop { code: ExitCode::Fatal, message: format!("no runtime: {error}") })?;
    let mut progress = Progress { told: Instant::now() };
    let mut tell = |done, of| progress.tell(done, of);
    // Closed when this returns: whoever holds it is gone.
    let rebuilt = runtime.block_on(async {
        let end = rebuild::committed_end(&log).await?;
        rebuild::rebuild(&log, end, next, genesis, old.as_ref(), &mut tell).await
    })?;
    drop(runtime);
    drop(old);
    directory.promote_building()?;
    directory.adopt_next()?;
    Ok(rebuilt)
}

struct Progress {
    told: Instant,
}

impl Progress {
    fn tell(&mut self, done: u64, of: u64) {
        if self.told.elapsed() >= PROGRESS_INTERVAL {
            self.told = Instant::now();
            let percent = u128::from(done) * 100 / u128::from(of.max(1));
            eprintln!("executed {done} of {of} entries, {percent} %");
        }
    }
}
