//! The arithmetic of a bucket, in one number: when it will be full again.
//!
//! A bucket holds as many calls as its rate allows in a minute, and fills evenly. A call takes one; nobody who asks more
//! slowly than it fills is ever refused. `take.lua` is the same arithmetic in Redis.

/// The time in which an empty bucket fills, in microseconds: a minute.
const WINDOW_US: i64 = 60_000_000;

/// The most calls a minute that can be told apart: one in each microsecond.
pub const CALLS_MAX: u32 = 60_000_000;

/// Calls a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(u32);

impl Rate {
    /// So many calls a minute: at least one, and [`CALLS_MAX`] at most.
    #[must_use]
    pub const fn a_minute(calls: u32) -> Self {
        Self(if calls == 0 {
            1
        } else if calls > CALLS_MAX {
            CALLS_MAX
        } else {
            calls
        })
    }

    /// Calls that a full bucket holds.
    #[must_use]
    pub const fn calls(self) -> u32 {
        self.0
    }

    /// In which time one call comes back, in microseconds.
    #[must_use]
    pub const fn step_us(self) -> i64 {
        WINDOW_US / self.0 as i64
    }

    /// In which time an empty bucket fills, in microseconds.
    #[must_use]
    pub const fn window_us(self) -> i64 {
        self.step_us() * self.0 as i64
    }

    /// Takes a call out of a bucket that is full again at `full_us`; a bucket that nobody asked before is full, and one that
    /// refuses stays as it is.
    #[must_use]
    pub fn take(self, full_us: i64, now_us: i64) -> Taken {
        // A clock that was set back, or a rate that was lowered, empties a bucket and no more than that.
        let full_us = full_us.clamp(now_us, now_us + self.window_us());
        let allowed = full_us + self.step_us() <= now_us + self.window_us();
        let fills_in_us = full_us - now_us + if allowed { self.step_us() } else { 0 };
        Taken { allowed, fills_in_us, now_us }
    }

    /// What is said of a bucket.
    #[must_use]
    pub fn standing(self, taken: Taken) -> Standing {
        let left = (self.window_us() - taken.fills_in_us) / self.step_us();
        let missing_us = taken.fills_in_us + self.step_us() - self.window_us();
        Standing {
            limit: self.0,
            remaining: u32::try_from(left).unwrap_or(0),
            reset_s: seconds_up(taken.full_us()),
            wait_s: (!taken.allowed).then(|| u32::try_from(seconds_up(missing_us)).unwrap_or(u32::MAX).max(1)),
        }
    }
}

const fn seconds_up(us: i64) -> i64 {
    us.div_euclid(1_000_000) + if us.rem_euclid(1_000_000) > 0 { 1 } else { 0 }
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Whether the bucket held one.
    pub allowed: bool,
    /// After how many microseconds it is full.
    pub fills_in_us: i64,
    /// When that was, in microseconds since the Unix epoch.
    pub now_us: i64,
}

impl Taken {
    /// When it is full, in microseconds since the Unix epoch.
    #[must_use]
    pub const fn full_us(self) -> i64 {
        self.now_us + self.fills_in_us
    }
}

/// What a caller is told of its bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Calls a minute.
    pub limit: u32,
    /// Calls that are left right now.
    pub remaining: u32,
    /// When the bucket is full again, in seconds since the Unix epoch.
    pub reset_s: i64,
    /// In how many seconds the next call is taken, when this one was refused.
    pub wait_s: Option<u32>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Takes at each of `times` in turn; how each went.
    fn taken(rate: Rate, times: &[i64]) -> Vec<Taken> {
        let mut full = 0;
        let take = |now: &i64| {
            let taken = rate.take(full, *now);
            full = taken.full_us();
            taken
        };
        times.iter().map(take).collect()
    }

    #[test]
    fn a_bucket_gives_what_it_holds_and_then_as_fast_as_it_fills() {
        let rate = Rate::a_minute(3);
        let said: Vec<Standing> = taken(rate, &[0, 0, 0, 0, 19_999_999, 20_000_000, 20_000_000, 90_000_000])
            .into_iter()
            .map(|taken| rate.standing(taken))
            .collect();
        let told: Vec<(u32, i64, Option<u32>)> =
            said.iter().map(|said| (said.remaining, said.reset_s, said.wait_s)).collect();
        assert_eq!(
            told,
            [
                (2, 20, None),
                (1, 40, None),
                (0, 60, None),
                (0, 60, Some(20)),
                (0, 60, Some(1)),
                (0, 80, None),
                (0, 80, Some(20)),
                (2, 110, None),
            ]
        );
        assert!(said.iter().all(|said| said.limit == 3));
    }

    #[test]
    fn a_clock_that_is_set_back_holds_nobody_up_for_longer_than_the_window() {
        let rate = Rate::a_minute(60);
        let taken = rate.take(10_000_000_000_000, 5);
        assert_eq!((taken.allowed, taken.fills_in_us), (false, 60_000_000));
        assert_eq!(rate.standing(taken).wait_s, Some(1));
    }

    #[test]
    fn the_greatest_rate_counts_exactly() {
        for calls in [59_999_999, CALLS_MAX] {
            let rate = Rate::a_minute(calls);
            assert_eq!(rate.standing(rate.take(0, 1)).remaining, calls - 1);
        }
        assert_eq!((Rate::a_minute(0).calls(), Rate::a_minute(u32::MAX).calls()), (1, CALLS_MAX));
    }

    proptest! {
        #[test]
        fn in_no_minute_more_is_given_than_two_buckets_hold_and_what_is_told_is_true(
            calls in 1_u32..200,
            steps in proptest::collection::vec(0_i64..2_000_000, 1..400),
        ) {
            let rate = Rate::a_minute(calls);
            let mut now = 1_000_000;
            let times: Vec<i64> = steps.iter().map(|step| { now += step; now }).collect();
            let gone = taken(rate, &times);
            for (at, first) in times.iter().enumerate() {
                let within = times[at..].iter().zip(&gone[at..]).take_while(|(time, _)| *time - first <= WINDOW_US);
                let given = within.filter(|(_, taken)| taken.allowed).count();
                prop_assert!(given <= 2 * calls as usize, "{given} of {calls}");
            }
            for (time, taken) in times.iter().zip(&gone) {
                let standing = rate.standing(*taken);
                prop_assert!(standing.remaining < calls);
                // Exactly as many as were promised are given at the same moment.
                let mut full = taken.full_us();
                for _ in 0..standing.remaining {
                    let next = rate.take(full, *time);
                    prop_assert!(next.allowed);
                    full = next.full_us();
                }
                prop_assert!(!rate.take(full, *time).allowed);
                if let Some(wait) = standing.wait_s {
                    prop_assert!(rate.take(taken.full_us(), time + i64::from(wait) * 1_000_000).allowed);
                }
            }
        }
    }
}
