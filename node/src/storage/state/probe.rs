//! What the indices' rows read back, as a function of bytes alone.

use super::rows;

/// Bytes as a row of each index: what is read is written back as it was.
pub fn row(bytes: &[u8]) {
    let mut again = Vec::new();
    if let Some(record) = rows::read_id(bytes) {
        rows::push_id(&mut again, &record);
        assert_eq!(again, bytes);
    }
    again.clear();
    if let Some(movement) = rows::read_movement(bytes) {
        rows::push_movement(&mut again, &movement);
        assert_eq!(again, bytes);
    }
    let _ = rows::read_place(bytes);
}
