//! Values that wait for the log's next write, so that they cost no fsync of their own.

use std::sync::Mutex;
use std::sync::PoisonError;

use super::super::batch::Family;
use super::super::batch::WriteBatch;

use super::seal::Seal;

/// One value.
struct Value {
    name: &'static str,
    value: Vec<u8>,
    durable: Box<dyn FnOnce() + Send>,
}

/// Values that wait, in the order in which they came.
#[derive(Default)]
pub(super) struct Deferred {
    waiting: Mutex<Vec<Value>>,
}

/// Values that were taken into one write.
pub(super) struct Riders(Vec<Value>);

impl Deferred {
    /// One more.
    pub(super) fn push(
        &self,
        name: &'static str,
        value: Vec<u8>,
        durable: Box<dyn FnOnce() + Send>,
    ) {
        self.waiting().push(Value { name, value, durable });
    }

    /// All of them; they wait no longer.
    pub(super) fn take(&self) -> Riders {
        Riders(std::mem::take(&mut *self.waiting()))
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Value>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Riders {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts them into a batch; of one name the last stands.
    pub(super) fn put(&self, batch: &mut WriteBatch, family: Family<'_>) {
        for rider in &self.0 {
            batch.put_cf(family, rider.name, &rider.value);
        }
    }

    /// Takes them into the seal.
    pub(super) fn seal(&self, seal: &mut Seal) {
        for rider in &self.0 {
            seal.take(rider.name, &rider.value);
        }
    }

    /// Says that the batch is durable.
    pub(super) fn tell(self) {
        for rider in self.0 {
            (rider.durable)();
        }
    }
}
