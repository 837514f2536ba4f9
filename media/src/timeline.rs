//! Which pictures are seen when.

/// The order of a film: every picture for the same time, each beginning before the one before it has gone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeline {
    pictures: u32,
    /// Frames in which a picture is seen, alone or not.
    each: u32,
    /// Frames in which two are seen: at most half of `each`, so that there are never three.
    shared: u32,
}

/// A picture at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shot {
    /// Which one, from 0.
    pub(super) picture: usize,
    /// The part of its time that has gone, 0 to 1.
    pub(super) part: f64,
}

/// What a frame shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct View {
    pub(super) shot: Shot,
    /// The picture that is coming, and the part of its way that is done.
    pub(super) next: Option<(Shot, f64)>,
}

impl Timeline {
    /// `pictures` (at least one) for `each` frames (at least one), `shared` of which with the neighbour, as far as half
    /// of them reach.
    pub(super) fn new(pictures: u32, each: u32, shared: u32) -> Self {
        Self { pictures, each, shared: shared.min(each / 2) }
    }

    /// How many frames the film has.
    pub(super) const fn frames(self) -> u32 {
        self.pictures * self.each - (self.pictures - 1) * self.shared
    }

    /// What frame `number` shows.
    pub(super) fn at(self, number: u32) -> View {
        let step = self.each - self.shared;
        let latest = (number / step).min(self.pictures - 1);
        let seen = number - latest * step;
        let shot = |picture: u32, seen: u32| Shot {
            picture: picture as usize,
            part: f64::from(seen) / f64::from(self.each.saturating_sub(1).max(1)),
        };
        if latest == 0 || seen >= self.shared {
            return View { shot: shot(latest, seen), next: None };
        }
        let done = f64::from(seen + 1) / f64::from(self.shared + 1);
        View { shot: shot(latest - 1, step + seen), next: Some((shot(latest, seen), done)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_picture_is_seen_from_its_first_to_its_last_moment_in_order(
            pictures in 1_u32..=20, each in 2_u32..200, shared in 0_u32..300,
        ) {
            let timeline = Timeline::new(pictures, each, shared);
            let mut seen = vec![Vec::new(); pictures as usize];
            // The picture that is coming, and how far it was.
            let mut coming = (0, 0.0);
            for number in 0..timeline.frames() {
                let view = timeline.at(number);
                seen[view.shot.picture].push(view.shot.part);
                if let Some((next, part)) = view.next {
                    prop_assert_eq!(next.picture, view.shot.picture + 1);
                    let before = if coming.0 == next.picture { coming.1 } else { 0.0 };
                    prop_assert!(before < part && part < 1.0);
                    coming = (next.picture, part);
                    seen[next.picture].push(next.part);
                }
            }
            for parts in seen {
                prop_assert_eq!(parts.len(), each as usize);
                prop_assert!(parts.is_sorted() && parts[0] == 0.0 && parts[parts.len() - 1] == 1.0, "{parts:?}");
            }
        }
    }

    #[test]
    fn three_pictures_of_four_frames_share_two_with_each_neighbour() {
        let timeline = Timeline::new(3, 4, 2);
        let shown: Vec<String> = (0..timeline.frames())
            .map(|number| {
                let view = timeline.at(number);
                let next = view.next.map(|(shot, _)| shot.picture.to_string()).unwrap_or_default();
                format!("{}{next}", view.shot.picture)
            })
            .collect();
        assert_eq!(shown, ["0", "0", "01", "01", "12", "12", "2", "2"]);
    }
}
