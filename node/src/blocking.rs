//! Work that takes long or waits for the disk, and must not hold up what else a thread serves.
//!
//! A runtime with one thread, as tests and the simulation have it, has nobody to hand the rest to:
//! there the work is done where it is asked for, in the order in which it was asked for.

use tokio::runtime::Handle;
use tokio::runtime::RuntimeFlavor;
use tokio::task::JoinHandle;

/// Does the work on this thread while others take over what else it serves.
pub async fn in_place<T>(work: impl FnOnce() -> T) -> T {
    if !is_alone() {
        return tokio::task::block_in_place(work);
    }
    #[cfg(feature = "simulation")]
    pace::pause().await;
    work()
}

/// Does the work beside what goes on here.
pub fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    if !is_alone() {
        return tokio::task::spawn_blocking(work);
    }
    tokio::spawn(async {
        #[cfg(feature = "simulation")]
        pace::pause().await;
        work()
    })
}

fn is_alone() -> bool {
    Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread
}

/// How long such work takes where time is simulated.
#[cfg(feature = "simulation")]
pub mod pace {
    use std::cell::Cell;
    use std::time::Duration;

    type Draw = fn() -> Duration;

    thread_local! {
        static DRAW: Cell<Option<Draw>> = const { Cell::new(None) };
    }

    /// From now on, on this thread, each piece of work begins after a time that is drawn.
    pub fn set(draw: Draw) {
        DRAW.set(Some(draw));
    }

    pub(super) async fn pause() {
        let time = DRAW.get().map_or(Duration::ZERO, |draw| draw());
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_single_thread_does_the_work_itself() {
        let here = std::thread::current().id();
        assert_eq!(in_place(|| std::thread::current().id()).await, here);
        assert_eq!(aside(|| std::thread::current().id()).await.unwrap(), here);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn several_threads_hand_it_over() {
        let served = tokio::spawn(async {
            let here = std::thread::current().id();
            assert_eq!(in_place(|| std::thread::current().id()).await, here);
            assert_ne!(aside(|| std::thread::current().id()).await.unwrap(), here);
        });
        served.await.unwrap();
    }
}
