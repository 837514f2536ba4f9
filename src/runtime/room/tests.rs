//! Who comes in when: examples, then whatever comes.

use std::collections::{BTreeMap, VecDeque};

use futures_util::FutureExt as _;
use proptest::prelude::*;

use super::queue::OVERTAKEN_MAX;
use super::*;
use crate::domain::{Permit, Priority};

const MEDIA: &str = "media";

fn queue(places: usize) -> Queue {
    Queue::new([(MEDIA.into(), places), ("local".into(), places)])
}

fn turn(key: &str, limit: u32, group: &str) -> Turn {
    let permit = Some(Permit { key: key.into(), limit });
    Turn { permit, group: group.into(), priority: Priority::Normal }
}

fn urgent(priority: Priority) -> Turn {
    Turn { priority, ..Turn::default() }
}

/// A queue whose guests have names.
struct Named {
    queue: Queue,
    names: BTreeMap<Guest, String>,
    /// Who came in and has not left, in order.
    inside: VecDeque<Guest>,
}

impl Named {
    fn new(places: usize) -> Self {
        Self { queue: queue(places), names: BTreeMap::new(), inside: VecDeque::new() }
    }

    fn ask(&mut self, name: &str, turn: Turn) -> bool {
        let guest = self.queue.ask(MEDIA, turn).unwrap();
        self.names.insert(guest, name.to_owned());
        let inside = self.queue.is_inside(guest);
        self.inside.extend(inside.then_some(guest));
        inside
    }

    /// The one that came in first leaves; who comes in for it.
    fn next(&mut self) -> Vec<String> {
        let Some(first) = self.inside.pop_front() else { return Vec::new() };
        let came = self.queue.leave(first);
        self.inside.extend(&came);
        came.iter().map(|guest| self.names[guest].clone()).collect()
    }

    /// Who comes in while one after the other leaves.
    fn order(&mut self) -> Vec<String> {
        let mut order = Vec::new();
        while !self.inside.is_empty() {
            order.extend(self.next());
        }
        order
    }
}

#[test]
fn as_many_come_in_as_the_key_has_permits_and_the_lane_places() {
    let mut room = Named::new(3);
    assert!(room.ask("a", turn("k", 2, "u")));
    assert!(room.ask("b", turn("k", 2, "u")));
    assert!(!room.ask("c", turn("k", 2, "u")), "the key has two permits");
    assert!(room.ask("d", turn("other", 2, "u")), "whoever waits for a key stands in nobody's way");
    assert!(!room.ask("e", Turn::default()), "the lane has three places");
    assert_eq!(room.next(), ["e"], "the place of a and the permit of a: c and e wait, keys take turns");
    assert_eq!(room.order(), ["c"]);
}

#[test]
fn a_crowd_of_one_group_delays_another_group_by_one_turn() {
    let mut room = Named::new(9);
    for number in 0..100 {
        room.ask(&format!("crowd {number}"), turn("k", 1, "crowd"));
    }
    room.ask("late", turn("k", 1, "late"));
    let order = room.order();
    assert!(order.iter().position(|name| name == "late").unwrap() <= 1, "{order:?}");
}

#[test]
fn within_a_group_the_first_comes_first() {
    let mut room = Named::new(1);
    for name in ["a", "b", "c"] {
        room.ask(name, turn("k", 1, "u"));
    }
    assert_eq!(room.order(), ["b", "c"]);
}

#[test]
fn a_higher_priority_goes_first_and_a_lower_one_is_not_starved() {
    let mut room = Named::new(1);
    room.ask("first", Turn::default());
    room.ask("low", urgent(Priority::Low));
    room.ask("normal", Turn::default());
    for number in 0..20 {
        room.ask(&format!("high {number}"), urgent(Priority::High));
    }
    let order = room.order();
    let place = |name: &str| order.iter().position(|other| other == name).unwrap() as u32;
    assert!(place("high 0") == 0 && place("high 5") == 5, "{order:?}");
    assert!(place("normal") <= OVERTAKEN_MAX + 1 && place("low") <= OVERTAKEN_MAX + 1, "{order:?}");
}

#[test]
fn the_least_limit_that_is_named_holds_as_long_as_it_is_about() {
    let mut room = Named::new(9);
    assert!(room.ask("old", turn("k", 1, "u")));
    assert!(!room.ask("new", turn("k", 3, "u")));
    assert!(!room.ask("newer", turn("k", 3, "u")));
    assert_eq!(room.next(), ["new", "newer"], "the old definition is done");
}

#[test]
fn whoever_waits_no_longer_leaves_its_turn_to_the_next() {
    let mut queue = queue(1);
    let inside = queue.ask(MEDIA, turn("k", 1, "u")).unwrap();
    let gone = queue.ask(MEDIA, turn("k", 1, "u")).unwrap();
    let next = queue.ask(MEDIA, turn("k", 1, "u")).unwrap();
    assert_eq!(queue.leave(gone), []);
    assert_eq!(queue.leave(inside), [next]);
    assert_eq!(queue.leave(inside), [], "leaving twice is nothing");
}

#[test]
fn a_permit_that_is_free_serves_every_lane_in_turn() {
    let mut queue = queue(9);
    let mut inside = queue.ask(MEDIA, turn("k", 1, "u")).unwrap();
    let mut lanes = Vec::new();
    for lane in [MEDIA, MEDIA, MEDIA, "local", "local", "local"] {
        lanes.push((queue.ask(lane, turn("k", 1, "u")).unwrap(), lane));
    }
    let mut order = Vec::new();
    while let [next] = queue.leave(inside)[..] {
        inside = next;
        order.push(lanes.iter().find(|(guest, _)| *guest == next).unwrap().1);
    }
    assert_eq!(order.len(), 6);
    assert!(order[..3].contains(&MEDIA) && order[..3].contains(&"local"), "{order:?}");
}

#[test]
fn a_place_that_is_dropped_calls_the_next_one() {
    let room = Room::new([(MEDIA.into(), 1)]);
    let json = serde_json::to_string(&turn("k", 1, "u")).unwrap();
    let first = room.ask(MEDIA, None).unwrap();
    let mut second = room.ask("media.turns", Some(&json)).unwrap();
    let mut third = room.ask(MEDIA, None).unwrap();
    assert!(room.is_inside(first.guest()) && !room.is_inside(second.guest()));
    assert!(second.entered().now_or_never().is_none());
    assert_eq!(room.standing().keys, [KeyStanding { key: "k".into(), limit: 1, taken: 0, waiting: 1 }]);
    drop(first);
    assert!(third.entered().now_or_never().is_none() || second.entered().now_or_never().is_none(), "one place");
    let came = [second.entered().now_or_never(), third.entered().now_or_never()];
    assert_eq!(came.iter().flatten().count(), 1, "one place, one comes in");
    drop((second, third));
    assert_eq!(room.standing().lanes, [LaneStanding { lane: MEDIA.into(), places: 1, taken: 0 }]);
    assert_eq!(room.standing().keys, []);
}

#[test]
fn what_has_no_lane_or_no_readable_turn_never_comes_in() {
    let room = Room::new([(MEDIA.into(), 1)]);
    assert!(matches!(room.ask("render", None), Err(NoRoom::NoLane(_))));
    assert!(matches!(room.ask(MEDIA, Some("{")), Err(NoRoom::Unreadable(_))));
}

/// Somebody asks, or one of those about leaves.
#[derive(Clone, Debug)]
enum Step {
    Ask { lane: bool, key: Option<u8>, limit: u32, group: u8, priority: u8 },
    Leave(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ask = (any::<bool>(), proptest::option::of(0..3_u8), 1..4_u32, 0..4_u8, 0..3_u8)
        .prop_map(|(lane, key, limit, group, priority)| Step::Ask { lane, key, limit, group, priority });
    proptest::collection::vec(prop_oneof![3 => ask, 2 => any::<usize>().prop_map(Step::Leave)], 0..80)
}

/// Everybody who asked and did not leave: where, with what, and inside or not.
type Crowd = BTreeMap<Guest, (&'static str, Turn, bool)>;

/// What holds whenever nothing is under way.
fn check(crowd: &Crowd, queue: &Queue, places: usize) {
    let inside = |lane: &str| crowd.values().filter(|(whose, _, inside)| *whose == lane && *inside).count();
    let mut keys: BTreeMap<Arc<str>, (usize, u32)> = BTreeMap::new();
    for (_, turn, inside) in crowd.values() {
        if let Some(Permit { key, limit }) = &turn.permit {
            let (taken, least) = keys.entry(key.clone()).or_insert((0, u32::MAX));
            *taken += usize::from(*inside);
            *least = (*least).min(*limit);
        }
    }
    for lane in queue.lanes() {
        assert_eq!(lane.taken, inside(&lane.lane));
        assert!(lane.taken <= places);
    }
    for (lane, turn, _) in crowd.values().filter(|(.., inside)| !inside) {
        let free = turn.permit.as_ref().is_none_or(|permit| keys[&permit.key].0 < keys[&permit.key].1 as usize);
        assert!(inside(lane) == places || !free, "{turn:?} waits in {lane} although there is room");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_limit_is_exceeded_and_nobody_waits_who_could_come_in(steps in steps(), places in 1..4_usize) {
        let mut queue = queue(places);
        let mut crowd = Crowd::new();
        for step in steps {
            match step {
                Step::Ask { lane, key, limit, group, priority } => {
                    let permit = key.map(|key| Permit { key: format!("k{key}").into(), limit });
                    let before = |crowd: &Crowd| crowd.values().filter(|(_, turn, inside)| {
                        *inside && turn.permit.as_ref().map(|p| &p.key) == permit.as_ref().map(|p| &p.key)
                    }).count();
                    let priority = [Priority::High, Priority::Normal, Priority::Low][usize::from(priority)];
                    let turn = Turn { permit: permit.clone(), group: format!("g{group}").into(), priority };
                    let lane = if lane { MEDIA } else { "local" };
                    let guest = queue.ask(lane, turn.clone()).unwrap();
                    let inside = queue.is_inside(guest);
                    prop_assert!(!inside || permit.as_ref().is_none_or(|p| before(&crowd) < p.limit as usize));
                    crowd.insert(guest, (lane, turn, inside));
                }
                Step::Leave(which) => {
                    let Some(index) = which.checked_rem(crowd.len()) else { continue };
                    let guest = *crowd.keys().nth(index).unwrap();
                    crowd.remove(&guest);
                    for came in queue.leave(guest) {
                        let (_, turn, _) = crowd[&came].clone();
                        if let Some(permit) = &turn.permit {
                            let taken = crowd.values().filter(|(_, other, inside)| {
                                *inside && other.permit.as_ref().is_some_and(|p| p.key == permit.key)
                            }).count();
                            prop_assert!(taken < permit.limit as usize, "the limit of {permit:?} is exceeded");
                        }
                        let inside = &mut crowd.get_mut(&came).unwrap().2;
                        prop_assert!(!*inside, "it came in twice");
                        *inside = true;
                    }
                }
            }
            check(&crowd, &queue, places);
        }
        while let Some((guest, _)) = crowd.iter().find(|(_, (.., inside))| *inside) {
            let guest = *guest;
            crowd.remove(&guest);
            for came in queue.leave(guest) {
                crowd.get_mut(&came).unwrap().2 = true;
            }
        }
        prop_assert!(crowd.is_empty(), "somebody never came in: {crowd:?}");
        prop_assert!(queue.busy_keys().is_empty());
    }
}
