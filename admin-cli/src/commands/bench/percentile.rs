//! Percentiles by the nearest rank.

/// The value below or at which so many of a thousand are; 0 of none. `values` is ascending.
pub fn of(values: &[u32], permille: u32) -> u32 {
    let length = u64::try_from(values.len()).unwrap_or(u64::MAX);
    let rank = (length * u64::from(permille)).div_ceil(1_000).max(1);
    let index = usize::try_from(rank - 1).unwrap_or(usize::MAX);
    values.get(index).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_rank() {
        let values: Vec<u32> = (1..=1_000).collect();
        assert_eq!(of(&values, 500), 500);
        assert_eq!(of(&values, 999), 999);
        assert_eq!(of(&values, 1_000), 1_000);
        assert_eq!(of(&[7], 500), 7);
        assert_eq!(of(&[1, 2], 500), 1);
        assert_eq!(of(&[], 500), 0);
    }
}
