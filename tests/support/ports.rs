//! Where the nodes of tests listen.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where nodes of tests listen: below what the kernel gives to connections (from 32,768 on), so that
/// the port of a node that is down stays free for it.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// Ports that are free now, none of them twice in a process; each process begins elsewhere.
pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    let size = u32::from(PORTS.end - PORTS.start);
    let first = std::process::id().wrapping_mul(509) % size;
    let next = || {
        let tried = TRIED.fetch_add(1, Ordering::Relaxed);
        let offset = u16::try_from((first + tried) % size).expect("it is less than the size");
        PORTS.start + offset
    };
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(next).filter(is_free).take(count).collect()
}
