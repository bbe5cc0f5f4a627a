//! Where certificates are kept.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;

use counterfoil_proto::v1;

use crate::limits;

/// The newest certificates, by height.
#[derive(Default)]
pub struct Certificates {
    newest: Mutex<BTreeMap<u64, v1::Certificate>>,
}

impl Certificates {
    /// Keeps the certificate of a height.
    pub fn save(&self, height: u64, certificate: &v1::Certificate) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.insert(height, certificate.clone());
        if newest.len() > limits::CERTIFICATES_HELD_MAX {
            newest.pop_first();
        }
    }

    /// The certificate of exactly this height.
    pub fn at(&self, height: u64) -> Option<v1::Certificate> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).get(&height).cloned()
    }

    /// The certificate of the greatest height.
    pub fn last(&self) -> Option<v1::Certificate> {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.values().next_back().cloned()
    }
}
