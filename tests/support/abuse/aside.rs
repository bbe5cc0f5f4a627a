//! An attack beside everything else: on a thread of its own, or in a process of its own that takes only
//! the time that nobody else wants.

use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Attack, Scene};

/// An attack on a thread, until it is dropped.
pub struct Aside {
    stop: Option<DropGuard>,
    thread: Option<JoinHandle<()>>,
}

impl Aside {
    /// Begins an attack.
    pub fn begin(attack: Attack, scene: Arc<Scene>) -> Aside {
        let stop = CancellationToken::new();
        let ends = stop.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .expect("the system gives threads");
            runtime.block_on(ends.run_until_cancelled((attack.begin)(scene)));
            runtime.shutdown_background();
        });
        Aside { stop: Some(stop.drop_guard()), thread: Some(thread) }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || ended.is_none_or(|it| it.is_ok()), "an attack failed");
    }
}

/// An attack in another process, until it is dropped.
pub struct Apart(Child);

impl Apart {
    /// Runs this program again, as [`Apart::obey`] understands it.
    pub fn begin(attack: Attack, scene: &Scene) -> io::Result<Apart> {
        let mut command = Command::new("nice");
        command
            .args(["-n", "19"])
            .arg(std::env::current_exe()?)
            .args(["attack", attack.name, &scene.clients, &scene.peers, &scene.institution])
            .args([&scene.home, &scene.genesis])
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        Ok(Apart(command.spawn()?))
    }

    /// Attacks, if that is what the arguments say; it does not return then.
    pub fn obey(arguments: &[String]) -> Option<()> {
        let [word, name, clients, peers, institution, home, genesis] = arguments else {
            return None;
        };
        let attack = super::attack(name).filter(|_| word == "attack")?;
        let scene = Scene {
            clients: clients.clone(),
            peers: peers.clone(),
            institution: institution.clone(),
            home: PathBuf::from(home),
            genesis: PathBuf::from(genesis),
        };
        let runtime = tokio::runtime::Runtime::new().expect("the system gives threads");
        runtime.block_on((attack.begin)(Arc::new(scene)));
        Some(())
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
