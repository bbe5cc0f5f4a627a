//! Which headers a node signs. A certificate needs a quorum at one height, and nodes that are not
//! equally fast cannot each sign every block: so all go by the time of the blocks, which is the same
//! to all. Of the blocks that it has not signed yet a node takes the first one after the coarsest
//! boundary of time, the multiple of the greatest power of two milliseconds. Whatever a node has signed
//! before, it comes to each boundary that is coarser than twice the time of the blocks between two of its
//! signatures; and when nothing more comes all end with the last block. A leader chooses the times only
//! within what a stamp may be off, and each block is at least a millisecond after the one before.

/// The height that is signed next, above one that is signed or certified and up to the executed one,
/// by the times of the blocks.
pub fn next(before: u64, executed: u64, time_ms: impl Fn(u64) -> Option<u64>) -> u64 {
    let Some((before_ms, executed_ms)) = time_ms(before).zip(time_ms(executed)) else {
        return executed;
    };
    let Some(coarsest) = (before_ms ^ executed_ms).checked_ilog2() else { return executed };
    let boundary_ms = executed_ms >> coarsest << coarsest;
    // Blocks follow each other in time: the first one at the boundary or after it.
    let (mut low, mut high) = (before, executed);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if time_ms(middle).is_some_and(|time_ms| time_ms >= boundary_ms) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(height: u64) -> usize {
        usize::try_from(height).unwrap()
    }

    /// Signs as a node does that has executed so many more blocks each time it comes to sign.
    fn sign_all(times_ms: &[u64], mut steps: impl Iterator<Item = u64>) -> Vec<u64> {
        let time_ms = |height| times_ms.get(place(height)).copied();
        let last = u64::try_from(times_ms.len()).unwrap() - 1;
        let (mut executed, mut signed) = (0, vec![0]);
        while signed.last() < Some(&last) {
            if executed < last {
                executed = (executed + steps.next().unwrap()).min(last);
            }
            let newest = *signed.last().unwrap();
            if newest < executed {
                let height = next(newest, executed, time_ms);
                assert!(newest < height && height <= executed);
                signed.push(height);
            }
        }
        signed
    }

    #[test]
    fn a_node_that_keeps_up_signs_every_block() {
        let times: Vec<u64> = (0..50).map(|height| 1_000_003 + height * 7).collect();
        let signed = sign_all(&times, std::iter::repeat(1));
        assert_eq!(signed, (0..50).collect::<Vec<u64>>());
    }

    #[test]
    fn of_several_it_is_the_one_after_the_coarsest_boundary() {
        let time_ms = |height| [100, 127, 130, 191, 200].get(place(height)).copied();
        assert_eq!(next(0, 4, time_ms), 2, "128");
        assert_eq!(next(2, 4, time_ms), 4, "192");
        assert_eq!(next(2, 3, time_ms), 3, "160");
        // What cannot be read is not chosen.
        assert_eq!(next(1, 4, |height| time_ms(height).filter(|_| height != 1)), 4);
    }

    proptest! {
        /// Each node signs after so many blocks as it likes: none passes over a boundary that is
        /// coarse enough, and all end with the last block.
        #[test]
        fn nodes_that_differ_in_speed_meet(
            gaps_ms in prop::collection::vec(prop_oneof![9 => 1u64..40, 1 => 1u64..2_000], 200),
            paces in prop::collection::vec(prop::collection::vec(1u64..8, 1..20), 3),
        ) {
            let times: Vec<u64> = gaps_ms.iter().scan(1_795_435_200_000, |time, gap| {
                *time += gap;
                Some(*time)
            }).collect();
            let all: Vec<Vec<u64>> =
                paces.iter().map(|pace| sign_all(&times, pace.iter().copied().cycle())).collect();
            let time = |height: u64| times[place(height)];
            // A node that is behind has twice its blocks to choose from, at most.
            let slowest = place(2 * *paces.iter().flatten().max().unwrap());
            let window_ms = times.windows(slowest + 1).map(|it| it[slowest] - it[0]).max().unwrap();
            let coarse = 64 - window_ms.leading_zeros();
            let last = u64::try_from(times.len()).unwrap() - 1;
            for height in 1..=last {
                if height == last || time(height) >> coarse != time(height - 1) >> coarse {
                    for signed in &all {
                        prop_assert!(signed.contains(&height), "{} of {:?}", height, signed);
                    }
                }
            }
        }
    }
}
