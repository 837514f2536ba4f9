//! What a partition does, event by event.

use std::sync::Arc;

use super::{Command, Event, Limits, Partition, Ticket};
use crate::domain::{Address, Timestamp, Verdict};
use crate::runtime::fold::Failed;
use crate::runtime::journal::{DECIDE, Entry, Envelope, MessageId, Outcome, StateRow, StateTable, Unit};
use crate::runtime::kind::Undecided;

static CLERKS: StateTable = StateTable { kind: "clerk", table: "clerks", columns: &[], records: None };
const RENDER: &str = "render";

fn clerk() -> Address {
    Address::new("clerk", "1")
}

fn envelope(id: &str, lane: &str) -> Envelope {
    Envelope {
        id: id.into(),
        to: clerk(),
        lane: lane.into(),
        due: Timestamp(0),
        body: "0".into(),
        schema: 1,
        deaths: 0,
        turn: None,
        recovered: false,
    }
}

fn unit(message: &str, expected: u64, posts: Vec<Envelope>) -> Arc<Unit> {
    let entry = Entry {
        version: expected + 1,
        message: message.into(),
        body: "0".into(),
        verdict: Verdict::Applied,
        now: Timestamp(0),
    };
    Arc::new(Unit {
        actor: clerk(),
        table: &CLERKS,
        expected,
        entries: vec![entry],
        state: StateRow { status: "sitting", schema: 1, state: "{}".to_owned(), cells: Vec::new() },
        posts,
        records: Vec::new(),
        settled: vec![message.into()],
        claim: None,
        origin: None,
        epoch: None,
    })
}

/// A partition and a shell in which everything takes no time.
struct Desk {
    partition: Partition,
    now: Timestamp,
}

impl Desk {
    /// A partition that is open and was swept.
    fn open() -> Self {
        let limits = Limits { lanes: vec![(RENDER.into(), 4)], ..Limits::default() };
        let mut desk = Self { partition: Partition::new(limits), now: Timestamp(0) };
        desk.hear(Event::Opened { suspects: Vec::new() });
        for lane in [DECIDE, RENDER] {
            desk.hear(Event::Swept { lane: lane.into(), envelopes: Vec::new(), next: None });
            desk.hear(Event::Posted { full: Vec::new(), swept: Some(lane.into()) });
        }
        desk
    }

    fn hear(&mut self, event: Event) -> Vec<Command> {
        self.partition.on_event(event, self.now)
    }

    fn deliver(&mut self, envelopes: Vec<Envelope>) -> Vec<Command> {
        let lane = envelopes.first().map_or_else(|| DECIDE.into(), |first| first.lane.clone());
        self.hear(Event::Delivered { lane, envelopes, drained: true })
    }

    /// Loads the clerk, who is asked to decide.
    fn load(&mut self) -> Ticket {
        match &*self.hear(Event::Loaded { actor: clerk(), found: Ok(()) }) {
            [Command::Decide { ticket, .. }] => *ticket,
            other => panic!("{other:?}"),
        }
    }

    fn decide(&mut self, ticket: Ticket, unit: Option<Arc<Unit>>, failed: Option<Failed>) -> Vec<Command> {
        self.hear(Event::Decided { actor: clerk(), ticket, unit, is_final: false, failed })
    }

    fn win(&mut self, ticket: Ticket) -> Vec<Command> {
        self.hear(Event::Committed { actor: clerk(), ticket, outcome: Outcome::Won })
    }
}

fn sweeps(commands: &[Command]) -> Vec<&str> {
    let mut lanes = Vec::new();
    for command in commands {
        if let Command::Sweep { lane, .. } = command {
            lanes.push(&**lane);
        }
    }
    lanes
}

fn is_drained(commands: &[Command]) -> bool {
    commands.iter().any(|command| matches!(command, Command::Drained))
}

#[test]
fn drain_begins_nothing_new_and_finishes_what_is_in_hand() {
    let mut desk = Desk::open();
    desk.deliver(vec![envelope("a", DECIDE)]);
    let ticket = desk.load();
    assert!(!is_drained(&desk.hear(Event::Drain)), "a is in hand");
    assert!(desk.hear(Event::Rang { lanes: vec![DECIDE.into()] }).is_empty(), "nothing is read any more");
    assert!(desk.deliver(vec![envelope("b", RENDER)]).is_empty(), "a read under way brings nothing in hand");
    assert!(matches!(&*desk.decide(ticket, Some(unit("a", 1, Vec::new())), None), [Command::Commit { .. }]));
    let commands = desk.win(ticket);
    assert!(commands.iter().any(|command| matches!(command, Command::Settle { ids } if *ids == ["a".into()])));
    assert!(is_drained(&commands));
}

#[test]
fn drain_waits_for_an_activity_and_for_what_its_actor_makes_of_the_end() {
    let mut desk = Desk::open();
    desk.deliver(vec![envelope("clerk/1:1:0", RENDER)]);
    assert!(!is_drained(&desk.hear(Event::Drain)));
    let ended = Event::Ended { id: "clerk/1:1:0".into(), body: "1".into() };
    assert!(matches!(&*desk.hear(ended), [Command::Load { .. }]));
    let ticket = desk.load();
    desk.decide(ticket, Some(unit("clerk/1:1:0", 1, Vec::new())), None);
    assert!(is_drained(&desk.win(ticket)));
}

#[test]
fn stop_aborts_what_a_drain_waits_for_and_leaves_it_in_the_outbox() {
    let mut desk = Desk::open();
    desk.deliver(vec![envelope("clerk/1:1:0", RENDER)]);
    desk.hear(Event::Drain);
    let commands = desk.hear(Event::Stop);
    assert!(matches!(&*commands, [Command::Abort { .. }, Command::Drained]), "{commands:?}");
}

#[test]
fn overflow_during_a_sweep_is_swept_again_after_it() {
    let mut desk = Desk::open();
    let overflow = |swept: Option<&str>| Event::Posted { full: vec![DECIDE.into()], swept: swept.map(Arc::from) };
    desk.hear(overflow(None));
    assert_eq!(sweeps(&desk.deliver(Vec::new())), [DECIDE], "the mailbox is empty: the rest is fetched");
    desk.hear(overflow(None));
    assert!(sweeps(&desk.deliver(Vec::new())).is_empty(), "a sweep is under way, perhaps past what stayed behind");
    desk.hear(Event::Swept { lane: DECIDE.into(), envelopes: Vec::new(), next: None });
    desk.hear(Event::Posted { full: Vec::new(), swept: Some(DECIDE.into()) });
    assert_eq!(sweeps(&desk.deliver(Vec::new())), [DECIDE], "the next read finds that out");
    assert!(sweeps(&desk.deliver(Vec::new())).is_empty());
}

#[test]
fn parked_message_is_swept_at_the_birth_it_waits_for() {
    let born = |desk: &mut Desk| desk.hear(Event::Born { actor: clerk(), ordered: Vec::new() });
    let mut desk = Desk::open();
    assert!(sweeps(&born(&mut desk)).is_empty(), "nothing waits for it");

    let mut desk = Desk::open();
    desk.deliver(vec![envelope("a", DECIDE)]);
    let ticket = desk.load();
    let unborn = Failed { message: "a".into(), why: Undecided::Unborn };
    let commands = desk.decide(ticket, None, Some(unborn));
    assert!(matches!(&*commands, [Command::Park { .. }, Command::Forget { .. }]), "{commands:?}");
    let commands = desk.hear(Event::SetAside { actor: clerk(), id: "a".into(), result: Ok(()) });
    assert!(commands.iter().any(|command| matches!(command, Command::Settle { .. })), "{commands:?}");
    assert_eq!(sweeps(&born(&mut desk)), [DECIDE]);
    assert!(sweeps(&born(&mut desk)).is_empty(), "once");
}

#[test]
fn journal_is_asked_about_activities_of_others_and_not_about_our_own() {
    let started_as_ours = |commands: &[Command]| match commands {
        [Command::Start { ours, .. }] => *ours,
        other => panic!("{other:?}"),
    };
    let mut desk = Desk::open();
    assert!(!started_as_ours(&desk.deliver(vec![envelope("clerk/1:9:0", RENDER)])), "nobody knows who posted it");

    let ordered: Vec<MessageId> = vec!["clerk/1:1:0".into()];
    desk.hear(Event::Born { actor: clerk(), ordered });
    assert!(started_as_ours(&desk.deliver(vec![envelope("clerk/1:1:0", RENDER)])), "ordered by a birth");

    let ticket = match &*desk.deliver(vec![envelope("a", DECIDE)]) {
        [Command::Decide { ticket, .. }] => *ticket,
        other => panic!("{other:?}"),
    };
    desk.decide(ticket, Some(unit("a", 1, vec![envelope("clerk/1:2:0", RENDER)])), None);
    desk.win(ticket);
    assert!(started_as_ours(&desk.deliver(vec![envelope("clerk/1:2:0", RENDER)])), "ordered by a commit");
}

#[test]
fn accusation_that_is_not_answered_is_repeated_with_the_same_number() {
    let accusation = |commands: &[Command]| match commands {
        [Command::Accuse { deaths, .. }] => *deaths,
        other => panic!("{other:?}"),
    };
    let mut partition = Partition::new(Limits::default());
    let suspects = vec![Envelope { deaths: 1, ..envelope("a", DECIDE) }];
    assert_eq!(accusation(&partition.on_event(Event::Opened { suspects }, Timestamp(0))), 2);
    let silence = Event::Accused { id: "a".into(), outstanding: Err("no answer".to_owned()) };
    assert!(partition.on_event(silence, Timestamp(1)).is_empty());
    assert_eq!(accusation(&partition.on_event(Event::Tick, Timestamp(1_000))), 2);
    let gone = Event::Accused { id: "a".into(), outstanding: Ok(false) };
    let commands = partition.on_event(gone, Timestamp(1_001));
    assert!(commands.iter().any(|command| matches!(command, Command::Opened)), "there is nothing to try: {commands:?}");
}
