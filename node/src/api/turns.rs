//! Turns at the threads that read. Each institution has a few; whoever of it asks for more waits behind
//! its own requests, and nobody else's.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use counterfoil_ledger::bic::Bic;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;

use crate::limits;

tokio::task_local! {
    /// The turns of whoever is being answered.
    static OWN: Arc<Semaphore>;
}

/// The turns of all institutions.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<Bic, Arc<Semaphore>>>);

impl Turns {
    /// Those of one.
    pub(super) fn of(&self, institution: Bic) -> Arc<Semaphore> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Members, whose certificates were checked: not without end.
        let own = turns.entry(institution);
        own.or_insert_with(|| Arc::new(Semaphore::new(limits::READS_AT_ONCE))).clone()
    }
}

/// Work whose reads are in these turns.
pub(super) fn with<F: Future>(own: Arc<Semaphore>, work: F) -> impl Future<Output = F::Output> {
    OWN.scope(own, work)
}

/// Work that goes on elsewhere, in the turns of whoever is being answered now.
pub(super) fn kept<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let own = OWN.try_with(Arc::clone).ok();
    async move {
        match own {
            Some(own) => OWN.scope(own, work).await,
            None => work.await,
        }
    }
}

/// Waits for a turn. Work that nobody asked for needs none.
pub(super) async fn next() -> Option<OwnedSemaphorePermit> {
    let own = OWN.try_with(Arc::clone).ok()?;
    own.acquire_owned().await.ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn each_institution_waits_for_itself() {
        let turns = Turns::default();
        let [one, other] = ["BANKCHAA", "BANKCHBB"].map(|bic| turns.of(Bic::parse(bic).unwrap()));
        let held: Vec<_> = with(one.clone(), async {
            let mut held = Vec::new();
            for _ in 0..limits::READS_AT_ONCE {
                held.push(next().await.unwrap());
            }
            held
        })
        .await;
        let soon = |own| tokio::time::timeout(Duration::from_millis(20), with(own, next()));
        assert!(soon(one.clone()).await.is_err());
        assert!(soon(other).await.unwrap().is_some());
        let elsewhere = with(one.clone(), async { [tokio::spawn(kept(next()))] }).await;
        let [elsewhere] = elsewhere;
        assert!(!elsewhere.is_finished());
        drop(held);
        assert!(elsewhere.await.unwrap().is_some());
        assert!(next().await.is_none());
    }
}
