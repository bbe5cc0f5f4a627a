//! Which headers a node signs. A certificate needs a quorum at one height, and nodes that are not
//! equally fast cannot each sign every block: so all go by the time of the blocks, which is the same
//! to all. Of the blocks that it has not signed yet a node takes the first one after the coarsest
//! boundary of time, the multiple of the greatest power of two milliseconds. However long each of them
//! takes for a signature, all come to the boundaries that are further apart than that; and when
//! nothing more comes all end with the last block. No leader chooses, so none can choose badly.

/// The height that is signed next after a header of this time, given the newest executed one and the
/// times of those before it. A block whose time is not known counts as one of before.
pub fn next(
    signed_ms: u64,
    (executed, executed_ms): (u64, u64),
    time_ms: impl Fn(u64) -> Option<u64>,
) -> u64 {
    let Some(coarsest) = (signed_ms ^ executed_ms).checked_ilog2() else { return executed };
    let boundary_ms = executed_ms >> coarsest << coarsest;
    // Blocks follow each other in time: the first one at the boundary or after it.
    let (mut before, mut after) = (0, executed);
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if time_ms(middle).is_some_and(|time_ms| time_ms >= boundary_ms) {
            after = middle;
        } else {
            before = middle;
        }
    }
    after
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Signs as a node does that has executed so many more blocks each time it comes to sign.
    fn sign_all(times_ms: &[u64], mut steps: impl Iterator<Item = usize>) -> Vec<u64> {
        let time_ms = |height: u64| times_ms.get(usize::try_from(height).unwrap()).copied();
        let last = u64::try_from(times_ms.len()).unwrap() - 1;
        let (mut executed, mut signed) = (0, vec![0]);
        while signed.last() < Some(&last) {
            if executed < last {
                let more = u64::try_from(steps.next().unwrap()).unwrap();
                executed = (executed + more).min(last);
            }
            let newest = *signed.last().unwrap();
            if newest < executed {
                let place = (executed, time_ms(executed).unwrap());
                let height = next(time_ms(newest).unwrap(), place, time_ms);
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
        let time_ms = |height: u64| [100, 127, 130, 191, 200].get(height as usize).copied();
        assert_eq!(next(100, (4, 200), time_ms), 2, "128");
        assert_eq!(next(130, (4, 200), time_ms), 4, "192");
        assert_eq!(next(130, (3, 191), time_ms), 3, "160");
        assert_eq!(next(200, (4, 200), time_ms), 4);
        // What was there before this node joined is not known to it.
        assert_eq!(next(0, (4, 200), |height| time_ms(height).filter(|_| height > 2)), 3);
    }

    proptest! {
        /// Each signs after so many blocks as it likes; two signatures of one height are never
        /// further apart than twice the longest that a node takes, in time.
        #[test]
        fn nodes_that_differ_in_speed_meet(
            gaps_ms in prop::collection::vec(1u64..40, 200),
            paces in prop::collection::vec(prop::collection::vec(1usize..8, 1..20), 3),
        ) {
            let times: Vec<u64> = gaps_ms.iter().scan(1_795_435_200_000, |time, gap| {
                *time += gap;
                Some(*time)
            }).collect();
            let all: Vec<Vec<u64>> =
                paces.iter().map(|pace| sign_all(&times, pace.iter().copied().cycle())).collect();
            let slowest = paces.iter().flatten().max().unwrap();
            // Boundaries further apart than the longest window of time between two signatures.
            let time = |height: u64| times[usize::try_from(height).unwrap()];
            let window_ms = times.windows(slowest + 1).map(|it| it[*slowest] - it[0]).max().unwrap_or(0);
            let boundary = 64 - (2 * window_ms).leading_zeros();
            for height in 1..times.len() as u64 {
                if time(height) >> boundary != time(height - 1) >> boundary {
                    for signed in &all {
                        prop_assert!(signed.contains(&height), "{height} of {signed:?}");
                    }
                }
            }
            for signed in &all {
                prop_assert_eq!(signed.last(), Some(&(times.len() as u64 - 1)));
            }
        }
    }
}
