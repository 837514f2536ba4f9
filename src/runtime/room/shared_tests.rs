//! Permits that several nodes share: the ledger and the queues step by step under whatever comes, then the whole.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::*;
use crate::domain::{Permit, Timestamp};

const MEDIA: &str = "media";
const LEASE_MS: i64 = 1_000;
const LIMIT: Duration = Duration::from_secs(20);

fn node(number: usize) -> Uuid {
    Uuid::from_u128(number as u128 + 1)
}

fn turn(key: &str, limit: u32) -> Turn {
    Turn { permit: Some(Permit { key: key.into(), limit }), ..Turn::default() }
}

fn says(number: u64, held: u32, wanted: u32) -> Saying {
    let statement = Statement { key: "k".into(), limit: 4, held, wanted };
    Saying { node: Uuid::nil(), number, totals: Totals::default(), statements: vec![statement] }
}

fn of(who: usize, saying: Saying) -> Saying {
    Saying { node: node(who), ..saying }
}

/// A ledger that has known everything for long.
fn old_ledger() -> Ledger {
    let mut ledger = Ledger::new(LEASE_MS);
    ledger.exchange(Timestamp(-10 * LEASE_MS), &Saying { statements: Vec::new(), ..says(0, 0, 0) });
    ledger
}

fn held_and_keep((grants, _): (Vec<Grant>, Vec<Arc<str>>)) -> (u32, u32) {
    (grants[0].held, grants[0].keep)
}

#[test]
fn a_node_alone_gets_all_and_gives_its_share_when_another_comes() {
    let (mut ledger, now) = (old_ledger(), Timestamp(0));
    assert_eq!(held_and_keep(ledger.exchange(now, &of(0, says(1, 0, 9)))), (4, 4));
    let (grants, rings) = ledger.exchange(now, &of(1, says(1, 0, 9)));
    assert_eq!((grants[0].held, grants[0].keep), (0, 2), "all are taken, and two of them are its");
    assert_eq!(rings, [Arc::<str>::from("k")], "the other is told");
    assert_eq!(held_and_keep(ledger.exchange(now, &of(0, says(2, 4, 9)))), (4, 2));
    assert_eq!(held_and_keep(ledger.exchange(now, &of(0, says(3, 2, 9)))), (2, 2));
    assert_eq!(held_and_keep(ledger.exchange(now, &of(1, says(2, 0, 9)))), (2, 2));
}

#[test]
fn an_odd_permit_goes_to_whoever_was_served_longest_ago() {
    let (mut ledger, now) = (old_ledger(), Timestamp(0));
    let one = |who, number, held| {
        let statement = Statement { key: "k".into(), limit: 1, held, wanted: 1 };
        of(who, Saying { statements: vec![statement], ..says(number, 0, 0) })
    };
    assert_eq!(held_and_keep(ledger.exchange(now, &one(0, 1, 0))), (1, 1));
    assert_eq!(held_and_keep(ledger.exchange(now, &one(1, 1, 0))), (0, 1), "its turn is next");
    assert_eq!(
        held_and_keep(ledger.exchange(now, &one(0, 2, 1))),
        (1, 0),
        "told to give it back when it is not in use"
    );
    assert_eq!(held_and_keep(ledger.exchange(now, &one(0, 3, 0))), (0, 0), "back in line");
    assert_eq!(
        held_and_keep(ledger.exchange(now, &one(1, 2, 0))),
        (1, 0),
        "the other has its turn; now it is the first's"
    );
}

#[test]
fn an_emptied_ledger_gives_nothing_before_everybody_has_said_what_it_holds() {
    let mut ledger = old_ledger();
    assert_eq!(held_and_keep(ledger.exchange(Timestamp(0), &of(0, says(1, 0, 4)))).0, 4);
    ledger.forget();
    assert_eq!(held_and_keep(ledger.exchange(Timestamp(1), &of(1, says(1, 0, 4)))).0, 0, "it may all be taken");
    assert_eq!(held_and_keep(ledger.exchange(Timestamp(2), &of(0, says(2, 4, 4)))).0, 4, "said again");
    assert_eq!(held_and_keep(ledger.exchange(Timestamp(900), &of(0, says(3, 4, 4)))).0, 4);
    assert_eq!(held_and_keep(ledger.exchange(Timestamp(1_001), &of(1, says(2, 0, 4)))).0, 0, "they are taken");
    assert_eq!(held_and_keep(ledger.exchange(Timestamp(1_002), &of(0, says(4, 0, 0)))).0, 0);
    assert_eq!(held_and_keep(ledger.exchange(Timestamp(1_003), &of(1, says(3, 0, 4)))).0, 4);
}

#[test]
fn what_is_heard_too_late_changes_nothing() {
    let (mut ledger, now) = (old_ledger(), Timestamp(0));
    ledger.exchange(now, &of(0, says(2, 0, 4)));
    let (grants, rings) = ledger.exchange(now, &of(0, says(1, 0, 0)));
    assert!(grants.is_empty() && rings.is_empty());
    assert_eq!(ledger.held("k", now), 4);
}

/// What may happen to nodes that share permits.
#[derive(Clone, Debug)]
enum Step {
    Ask {
        node: usize,
        key: u8,
        limit: u32,
    },
    Leave {
        node: usize,
        which: usize,
    },
    /// A node exchanges; its answer may get lost, or what it says arrives a second time, late.
    Exchange {
        node: usize,
        lost: bool,
        late: bool,
    },
    Pass {
        ms: i64,
    },
    Forget,
    Crash {
        node: usize,
    },
}

const NODES: usize = 3;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ask = (0..NODES, 0..2_u8).prop_map(|(node, key)| Step::Ask { node, key, limit: u32::from(key) * 2 + 1 });
    let leave = (0..NODES, any::<usize>()).prop_map(|(node, which)| Step::Leave { node, which });
    let exchange = (0..NODES, proptest::bool::weighted(0.1), proptest::bool::weighted(0.1));
    let exchange = exchange.prop_map(|(node, lost, late)| Step::Exchange { node, lost, late });
    let pass = (1..400_i64).prop_map(|ms| Step::Pass { ms });
    let crash = (0..NODES).prop_map(|node| Step::Crash { node });
    let step = prop_oneof![
        20 => ask, 15 => leave, 40 => exchange, 10 => pass, 1 => Just(Step::Forget), 1 => crash
    ];
    proptest::collection::vec(step, 0..200)
}

/// A node as [`Sharing`] runs it, without its tasks.
struct Simulated {
    id: Uuid,
    number: u64,
    queue: Queue,
    inside: BTreeMap<Guest, Arc<str>>,
    waiting: BTreeMap<Guest, Arc<str>>,
    /// When it last heard an answer of a key, by when it asked.
    heard: HashMap<Arc<str>, Timestamp>,
}

struct Nodes {
    now: Timestamp,
    ledger: Ledger,
    nodes: Vec<Simulated>,
    born: usize,
    /// Said, and still under way a second time.
    late: Vec<Saying>,
    /// What crashed nodes ran, until when it may count.
    ghosts: Vec<(Arc<str>, Timestamp)>,
}

impl Nodes {
    fn new() -> Self {
        let mut nodes = Self {
            now: Timestamp(0),
            ledger: old_ledger(),
            nodes: Vec::new(),
            born: 0,
            late: Vec::new(),
            ghosts: Vec::new(),
        };
        for _ in 0..NODES {
            let node = nodes.birth();
            nodes.nodes.push(node);
        }
        nodes
    }

    fn birth(&mut self) -> Simulated {
        self.born += 1;
        let mut queue = Queue::new([(MEDIA.into(), 3)]);
        queue.share();
        let (inside, waiting) = Default::default();
        Simulated { id: node(self.born), number: 0, queue, inside, waiting, heard: HashMap::new() }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Ask { node, key, limit } => {
                let key: Arc<str> = format!("k{key}").into();
                let node = &mut self.nodes[node];
                let guest = node.queue.ask(MEDIA, turn(&key, limit)).unwrap();
                node.waiting.insert(guest, key);
                let came = node.queue.is_inside(guest).then_some(guest);
                self.come_in(came);
            }
            Step::Leave { node, which } => {
                let node = &mut self.nodes[node];
                let Some(at) = which.checked_rem(node.inside.len()) else { return };
                let guest = *node.inside.keys().nth(at).unwrap();
                node.inside.remove(&guest);
                let came = node.queue.leave(guest);
                self.come_in(came);
            }
            Step::Exchange { node, lost, late } => self.exchange(node, lost, late),
            Step::Pass { ms } => self.pass(ms),
            Step::Forget => self.ledger.forget(),
            Step::Crash { node } => {
                let born = self.birth();
                let crashed = std::mem::replace(&mut self.nodes[node], born);
                // What it last said holds for a lease.
                let until = |key: &Arc<str>| crashed.heard[key].plus_ms(LEASE_MS);
                self.ghosts.extend(crashed.inside.values().map(|key| (key.clone(), until(key))));
            }
        }
    }

    fn pass(&mut self, ms: i64) {
        let end = self.now.plus_ms(ms);
        while self.now < end {
            self.now = self.now.plus_ms(end.since_ms(self.now).min(50));
            let now = self.now;
            self.ghosts.retain(|(_, until)| *until > now);
            for node in 0..NODES {
                // As `Sharing` does it: what is held is said again in time.
                let oldest = self.nodes[node].heard.values().min().copied();
                if oldest.is_some_and(|at| now.since_ms(at) >= LEASE_MS / 4) {
                    self.exchange(node, false, false);
                }
            }
        }
    }

    fn exchange(&mut self, node: usize, lost: bool, late: bool) {
        let now = self.now;
        let node = &mut self.nodes[node];
        node.number += 1;
        let keys: Vec<Arc<str>> = vec!["k0".into(), "k1".into()];
        let statements: Vec<Statement> = keys.iter().map(|key| node.queue.statement(key)).collect();
        let saying = Saying { node: node.id, number: node.number, totals: Totals::default(), statements };
        let (grants, _) = self.ledger.exchange(now, &saying);
        if late {
            self.late.push(saying);
        } else if let Some(late) = self.late.pop() {
            self.ledger.exchange(now, &late);
        }
        if lost {
            return;
        }
        let mut came = Vec::new();
        for grant in grants {
            node.heard.insert(grant.key.clone(), now);
            came.extend(node.queue.grant(&grant));
        }
        self.come_in(came);
    }

    /// Nobody comes in beyond the limit, be it of a crashed node that may still be running.
    fn come_in(&mut self, guests: impl IntoIterator<Item = Guest>) {
        for guest in guests {
            let node =
                self.nodes.iter_mut().find(|node| node.queue.is_inside(guest) && node.waiting.contains_key(&guest));
            let node = node.expect("it waited");
            let key = node.waiting.remove(&guest).unwrap();
            node.inside.insert(guest, key.clone());
            let limit = if *key == *"k0" { 1 } else { 3 };
            let inside = self.nodes.iter().flat_map(|node| node.inside.values()).filter(|other| **other == key).count();
            let ghosts = self.ghosts.iter().filter(|(other, _)| *other == key).count();
            assert!(inside + ghosts <= limit, "{inside} run with {key} beside {ghosts} of the dead, and {limit} may");
        }
    }

    /// Whether nobody is left once everybody who comes in leaves again.
    fn empties(&mut self) -> bool {
        for _ in 0..2_000 {
            if self.nodes.iter().all(|node| node.waiting.is_empty() && node.inside.is_empty()) {
                return true;
            }
            for node in 0..NODES {
                self.exchange(node, false, false);
                self.step(Step::Leave { node, which: 0 });
            }
            self.pass(50);
        }
        false
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_limit_is_exceeded_over_all_nodes_and_everybody_comes_in(steps in steps()) {
        let mut nodes = Nodes::new();
        for step in steps {
            nodes.step(step);
        }
        prop_assert!(nodes.empties(), "somebody waits for ever");
    }
}

/// Two rooms that share a ledger.
struct Two {
    rooms: [Room; 2],
    sharings: [Sharing; 2],
    ledger: InProcess,
}

fn terms() -> Terms {
    Terms { lease: Duration::from_millis(600) }
}

impl Two {
    fn new() -> Self {
        let ledger = InProcess::new(terms());
        let rooms = [(); 2].map(|()| Room::new([(MEDIA.into(), 100)]));
        let share = |at: usize| Sharing::start(&rooms[at], Arc::new(ledger.another_end()), node(at), terms());
        let sharings = [share(0), share(1)];
        Self { sharings, rooms, ledger }
    }

    fn ask(&self, node: usize, key: &str, limit: u32) -> Place {
        let json = serde_json::to_string(&turn(key, limit)).unwrap();
        self.rooms[node].ask("media.turns", Some(&json)).unwrap()
    }

    fn inside(&self, places: &[Place]) -> usize {
        places.iter().filter(|place| place.room.is_inside(place.guest())).count()
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_limit_holds_over_two_rooms_and_both_are_served() {
    let two = Two::new();
    let mut here: Vec<Place> = (0..20).map(|_| two.ask(0, "k", 3)).collect();
    until("the first room has all permits", || two.inside(&here) == 3).await;
    let mut there: Vec<Place> = (0..20).map(|_| two.ask(1, "k", 3)).collect();
    let mut served = [0, 0];
    while !here.is_empty() || !there.is_empty() {
        until("somebody is inside", || two.inside(&here) + two.inside(&there) > 0).await;
        assert!(two.inside(&here) + two.inside(&there) <= 3);
        // Time to hear of it.
        sleep(Duration::from_millis(1)).await;
        for (at, places) in [&mut here, &mut there].into_iter().enumerate() {
            if let Some(done) = places.iter().position(|place| two.rooms[at].is_inside(place.guest())) {
                drop(places.remove(done));
                served[at] += 1;
            }
        }
        if served[0] == 10 {
            assert!(served[1] >= 4, "the other room is served too: {served:?}");
        }
    }
    assert_eq!(served, [20, 20]);
}

#[tokio::test]
async fn what_one_node_gives_back_another_gets_at_once() {
    let two = Two::new();
    let mut first = two.ask(0, "k", 1);
    timeout(LIMIT, first.entered()).await.unwrap();
    let mut second = two.ask(1, "k", 1);
    let begun = Instant::now();
    drop(first);
    timeout(LIMIT, second.entered()).await.unwrap();
    assert!(begun.elapsed() < terms().renewal(), "it rang, and nobody waited for a renewal: {:?}", begun.elapsed());
    assert_eq!(two.sharings[0].standing().await.everywhere.unwrap().nodes, 2);
}

#[tokio::test]
async fn the_permits_of_a_dead_node_are_free_after_the_lease_and_not_before() {
    let two = Two::new();
    let mut first = two.ask(0, "k", 1);
    timeout(LIMIT, first.entered()).await.unwrap();
    let mut second = two.ask(1, "k", 1);
    let Two { rooms: _rooms, sharings: [dead, _alive], .. } = two;
    let begun = Instant::now();
    // Its tasks end without a word, as with the process; what it ran is not known to have stopped.
    dead.die().await;
    timeout(LIMIT, second.entered()).await.unwrap();
    assert!(begun.elapsed() >= terms().lease - terms().renewal() * 2, "{:?}", begun.elapsed());
    drop(first);
}

#[tokio::test]
async fn a_node_that_ends_gives_its_permits_back() {
    let two = Two::new();
    let mut first = two.ask(0, "k", 1);
    timeout(LIMIT, first.entered()).await.unwrap();
    let mut second = two.ask(1, "k", 1);
    drop(first);
    two.sharings[0].end().await;
    timeout(terms().lease / 2, second.entered()).await.unwrap();
}

#[tokio::test]
async fn while_the_ledger_is_away_who_is_inside_goes_on_and_nobody_comes_in() {
    let two = Two::new();
    let mut first = two.ask(0, "k", 2);
    timeout(LIMIT, first.entered()).await.unwrap();
    two.ledger.set_away(true);
    let mut second = two.ask(0, "k", 2);
    let mut unlimited = two.rooms[0].ask(MEDIA, None).unwrap();
    timeout(LIMIT, unlimited.entered()).await.unwrap();
    assert!(timeout(terms().lease, second.entered()).await.is_err(), "unknown is not free");
    assert!(two.rooms[0].is_inside(first.guest()));
    let standing = two.sharings[0].standing().await;
    assert!(standing.away.is_some() && standing.everywhere.is_none(), "{standing:?}");
    drop(first);
    let mut third = two.ask(0, "k", 2);
    assert!(timeout(terms().lease / 2, third.entered()).await.is_err(), "its own permit is not its own any more");
    two.ledger.set_away(false);
    timeout(LIMIT, second.entered()).await.unwrap();
    timeout(LIMIT, third.entered()).await.unwrap();
    assert_eq!(two.sharings[0].standing().await.away, None);
}

#[tokio::test]
async fn what_is_held_is_restored_after_the_ledger_was_emptied_before_anybody_else_gets_it() {
    let two = Two::new();
    let mut first = two.ask(0, "k", 1);
    timeout(LIMIT, first.entered()).await.unwrap();
    two.ledger.forget();
    let mut second = two.ask(1, "k", 1);
    assert!(timeout(terms().lease * 3, second.entered()).await.is_err(), "it is held");
    drop(first);
    timeout(LIMIT, second.entered()).await.unwrap();
}
