//! What the operator sees: logs, metrics, health.

pub mod excess;
pub mod health;
pub mod http;
pub mod logging;
pub mod metrics;
