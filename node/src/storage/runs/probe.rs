//! What the runs read back, as a function of bytes alone.

use super::filter;
use super::run::Run;
use super::run::RunName;

/// The directory of a run: it is asked where a key may be, and written back as it was.
pub fn directory(key: &[u8], value: &[u8], asked: &[u8]) {
    let Some(name) = RunName::from_key(key) else { return };
    assert_eq!(name.key(), *key);
    let Some(run) = Run::decode(name, value) else { return };
    assert_eq!(run.encode(), value);
    let first = run.pages_before(|key| key < asked);
    assert!(first <= run.page_count());
    for page in 0..run.page_count() {
        let _ = (run.first_key(page), run.zone(page));
    }
    let _ = run.may_contain(filter::hash(7, asked));
}
