//! The partition itself: one method per event.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::lanes::{Fixed, Lanes};
use super::seat::{Phase, Seat};
use super::trial::Trial;
use super::{Command, Cursor, Event, Limits, LoadFailure, Ticket};
use crate::domain::{Address, Timestamp};
use crate::runtime::fold::Failed;
use crate::runtime::journal::{DECIDE, Envelope, MessageId, Outcome, Unit};
use crate::runtime::kind::Undecided;

/// How often all actors are looked at for those that hang or are idle, in milliseconds.
const SCAN_MS: i64 = 1_000;
/// The longest wait between two tries, in milliseconds; also the wait for a release that can read a newer state.
const REST_MS_MAX: i64 = 30_000;
/// How soon the outbox is swept when something hints that effects were not posted, in milliseconds.
const SWEEP_SOON_MS: i64 = 500;
/// How often an actor that keeps losing is reloaded at once before it waits.
const SETBACKS_MAX: u32 = 3;
/// Actors whose birth is remembered to be awaited; messages for more of them wait for the next sweep.
const AWAITED_MAX: usize = 1_024;

/// A sweep under way.
#[derive(Default)]
struct Sweep {
    /// Where it goes on; `None` after the last page.
    next: Option<Cursor>,
    /// Activities that ran when it began and that no page has shown yet.
    unseen: HashSet<MessageId, Fixed>,
}

/// One partition's scheduler. See the module's documentation.
pub struct Partition {
    limits: Limits,
    now: Timestamp,
    seats: HashMap<Address, Seat, Fixed>,
    resting: BTreeSet<(Timestamp, Address)>,
    lanes: Lanes,
    trial: Trial,
    /// Suspects whose accusation or removal the journal did not answer.
    trial_stuck: bool,
    /// Sweeps under way.
    sweeping: HashMap<Arc<str>, Sweep, Fixed>,
    /// What was settled within the last scan and the one before: reads and sweeps under way may still show it.
    settled_lately: [HashSet<MessageId, Fixed>; 2],
    /// Actors whose birth messages wait for; a hint, so that they need not wait for a sweep as well.
    awaited: HashSet<Address, Fixed>,
    sweep_at: Timestamp,
    scan_at: Timestamp,
    tickets: u64,
    opened: bool,
    draining: bool,
    drained: bool,
    out: Vec<Command>,
}

impl Partition {
    /// A partition that does nothing until it is opened.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let lanes = Lanes::new(&limits);
        Self {
            limits,
            now: Timestamp(0),
            seats: HashMap::default(),
            resting: BTreeSet::new(),
            lanes,
            trial: Trial::default(),
            trial_stuck: false,
            sweeping: HashMap::default(),
            settled_lately: <[HashSet<MessageId, Fixed>; 2]>::default(),
            awaited: HashSet::default(),
            sweep_at: Timestamp(0),
            scan_at: Timestamp(0),
            tickets: 0,
            opened: false,
            draining: false,
            drained: false,
            out: Vec::new(),
        }
    }

    /// What to do now that `event` happened.
    pub fn on_event(&mut self, event: Event, now: Timestamp) -> Vec<Command> {
        self.now = now;
        match event {
            Event::Opened { suspects } => self.opened(suspects),
            Event::Accused { id, deaths } => self.accused(&id, deaths),
            Event::Rang => self.lanes.ring(),
            Event::Delivered { lane, envelopes, drained } => self.delivered(&lane, envelopes, drained),
            Event::Posted { full, swept } => self.posted(&full, swept),
            Event::Loaded { actor, found } => self.loaded(&actor, found),
            Event::Born { actor } => self.born(actor),
            Event::Decided { actor, ticket, unit, is_final, failed } => {
                self.decided(&actor, ticket, unit, is_final, failed);
            }
            Event::Lost { actor } => self.lost(&actor, "the actor died while it decided"),
            Event::Committed { actor, ticket, outcome } => self.committed(&actor, ticket, outcome),
            Event::Ended { id, body } => self.ended(&id, body),
            Event::Unneeded { id } => self.settle(vec![id]),
            Event::SetAside { actor, id, result } => self.set_aside(&actor, &id, result),
            Event::Swept { lane, envelopes, next } => self.swept(lane, envelopes, next),
            Event::SweepFailed { lane } => self.sweep_ended(&lane, SWEEP_SOON_MS),
            Event::Tick => self.tick(),
            Event::Drain => self.draining = true,
            Event::Stop => self.stop(),
        }
        if self.opened && !self.draining && !self.trial.is_open() {
            self.out.extend(self.lanes.reads());
        }
        self.report_drained();
        std::mem::take(&mut self.out)
    }

    /// When a [`Event::Tick`] is needed at the latest.
    #[must_use]
    pub fn next_wake(&self) -> Timestamp {
        let resting = self.resting.first().map(|(until, _)| *until);
        let sweep = self.may_sweep().then_some(self.sweep_at);
        resting.into_iter().chain(sweep).fold(self.scan_at, Timestamp::min)
    }

    /// Actors in memory or with messages.
    #[must_use]
    pub fn seated(&self) -> usize {
        self.seats.len()
    }

    /// Messages and activities in hand.
    #[must_use]
    pub fn in_hand(&self) -> usize {
        self.lanes.held()
    }

    // Opening and trials.

    fn opened(&mut self, suspects: Vec<Envelope>) {
        self.opened = true;
        self.scan_at = self.now.plus_ms(SCAN_MS);
        self.sweep_at = self.now.plus_ms(self.limits.sweep_ms);
        self.trial = Trial::new(suspects);
        self.next_suspect();
    }

    /// Tries the next suspect, or begins with everything else when none is left.
    fn next_suspect(&mut self) {
        if self.draining {
            return;
        }
        if let Some(suspect) = self.trial.next() {
            let (actor, id, deaths) = (suspect.to.clone(), suspect.id.clone(), suspect.deaths);
            self.try_suspect(actor, id, deaths);
        } else if !self.trial.is_open() {
            self.out.push(Command::Opened);
            self.sweep_all();
        }
    }

    fn try_suspect(&mut self, actor: Address, id: MessageId, deaths: u32) {
        self.out.push(if deaths >= self.limits.deaths {
            let reason = format!("the process died {deaths} times while this message alone was handled");
            Command::Quarantine { actor, id, reason }
        } else {
            Command::Accuse { id }
        });
    }

    fn accused(&mut self, id: &MessageId, deaths: Result<u32, String>) {
        let Some(suspect) = self.trial.suspect(id).cloned() else { return };
        match deaths {
            Ok(deaths) if *suspect.lane == *DECIDE && !self.was_settled(id) => {
                self.accept(Envelope { deaths, ..suspect })
            }
            Ok(_) => {
                self.trial.close(id);
                self.next_suspect();
            }
            Err(_) => self.trial_stuck = true,
        }
    }

    // Reading.

    fn delivered(&mut self, lane: &str, envelopes: Vec<Envelope>, drained: bool) {
        let overflowing = self.lanes.read(lane, drained);
        if self.draining {
            return;
        }
        for envelope in envelopes {
            self.accept(envelope);
        }
        if overflowing && self.sweeping.contains_key(lane) {
            // That sweep may be past what stayed behind: one more follows, after a later read.
            self.lanes.overflowed(lane);
        } else if overflowing {
            self.sweep(lane.into());
        }
    }

    fn accept(&mut self, envelope: Envelope) {
        if self.was_settled(&envelope.id) {
            // It was on its way here while it was settled: an activity would run that nobody stops.
            self.out.push(Command::Settle { ids: vec![envelope.id] });
            return;
        }
        if !self.lanes.hold(&envelope) {
            return;
        }
        if *envelope.lane == *DECIDE {
            self.enqueue(envelope);
        } else {
            self.out.push(Command::Start { envelope });
        }
    }

    fn enqueue(&mut self, envelope: Envelope) {
        let actor = envelope.to.clone();
        if let Some(seat) = self.seats.get_mut(&actor) {
            seat.queue.push_back(envelope);
            self.advance(&actor);
        } else {
            let mut seat = Seat::new(Phase::Loading, false, self.now);
            seat.queue.push_back(envelope);
            self.seats.insert(actor.clone(), seat);
            self.out.push(Command::Load { actor });
        }
    }

    fn ended(&mut self, id: &MessageId, body: Arc<str>) {
        if let Some(order) = self.lanes.ended(id) {
            self.enqueue(Envelope { lane: DECIDE.into(), body, ..order });
        }
    }

    // Deciding.

    /// Lets an idle actor decide about what waits for it.
    fn advance(&mut self, actor: &Address) {
        let crowded = self.seats.len() > self.limits.cached;
        let Some(seat) = self.seats.get_mut(actor) else { return };
        seat.touched = self.now;
        if self.drained || !matches!(seat.phase, Phase::Idle) {
            return;
        }
        if seat.queue.is_empty() {
            if crowded || !seat.loaded {
                self.leave(actor);
            }
            return;
        }
        if !seat.loaded {
            seat.phase = Phase::Loading;
            self.out.push(Command::Load { actor: actor.clone() });
            return;
        }
        let most = if seat.single > 0 { 1 } else { self.limits.fold };
        seat.single = seat.single.saturating_sub(1);
        let count = most.min(seat.queue.len());
        seat.hand = seat.queue.drain(..count).collect();
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        seat.phase = Phase::Deciding { ticket, since: self.now };
        let messages = seat.hand.clone();
        self.out.push(Command::Decide { actor: actor.clone(), ticket, messages });
    }

    fn loaded(&mut self, actor: &Address, found: Result<(), LoadFailure>) {
        let Some(seat) = self.seats.get_mut(actor) else {
            // Nobody waits for it any more.
            self.out.push(Command::Forget { actor: actor.clone() });
            return;
        };
        if !matches!(seat.phase, Phase::Loading) {
            return;
        }
        match found {
            Ok(()) => {
                seat.loaded = true;
                seat.phase = Phase::Idle;
                self.advance(actor);
            }
            Err(LoadFailure::Unavailable(_)) => self.setback(actor),
            Err(LoadFailure::Newer(_)) => self.rest(actor, REST_MS_MAX),
            Err(LoadFailure::Unreadable(reason)) => match seat.queue.front() {
                Some(first) => {
                    let failed = Failed { message: first.id.clone(), why: Undecided::Broken(reason) };
                    self.failed(actor, &failed);
                }
                None => self.leave(actor),
            },
        }
    }

    fn born(&mut self, actor: Address) {
        self.sweep_for(&actor);
        if self.seats.contains_key(&actor) {
            return;
        }
        if self.draining || self.seats.len() >= self.limits.cached {
            self.out.push(Command::Forget { actor });
        } else {
            self.seats.insert(actor, Seat::new(Phase::Idle, true, self.now));
        }
    }

    /// The commit of a birth called the messages back that wait for it; a sweep posts them.
    fn sweep_for(&mut self, actor: &Address) {
        if self.awaited.remove(actor) {
            self.sweep(DECIDE.into());
        }
    }

    fn decided(
        &mut self,
        actor: &Address,
        ticket: Ticket,
        unit: Option<Arc<Unit>>,
        is_final: bool,
        failed: Option<Failed>,
    ) {
        let Some(seat) = self.seats.get_mut(actor) else { return };
        if !matches!(seat.phase, Phase::Deciding { ticket: current, .. } if current == ticket) {
            return;
        }
        match (unit, failed) {
            (Some(unit), failed) => {
                seat.phase = Phase::Committing { ticket, unit: unit.clone(), is_final, failed };
                self.out.push(Command::Commit { actor: actor.clone(), ticket, unit });
            }
            (None, Some(failed)) => self.failed(actor, &failed),
            (None, None) => self.setback(actor),
        }
    }

    /// The actor is gone from memory without an answer, or gives none.
    fn lost(&mut self, actor: &Address, reason: &str) {
        let Some(seat) = self.seats.get_mut(actor) else { return };
        seat.loaded = false;
        match seat.phase {
            Phase::Deciding { .. } => {}
            Phase::Loading => return self.setback(actor),
            _ => return,
        }
        match seat.hand.as_slice() {
            [culprit] => {
                let failed = Failed { message: culprit.id.clone(), why: Undecided::Broken(reason.to_owned()) };
                self.failed(actor, &failed);
            }
            several => {
                seat.single = several.len();
                seat.put_back(&[]);
                seat.phase = Phase::Idle;
                self.advance(actor);
            }
        }
    }

    /// A message could not be decided: try again, or take it out of the way.
    fn failed(&mut self, actor: &Address, failed: &Failed) {
        let Some(seat) = self.seats.get_mut(actor) else { return };
        seat.put_back(&[]);
        let id = failed.message.clone();
        let reason = match &failed.why {
            Undecided::Unborn => {
                seat.phase = Phase::SettingAside { id: id.clone() };
                if self.awaited.len() < AWAITED_MAX {
                    self.awaited.insert(actor.clone());
                }
                self.out.push(Command::Park { actor: actor.clone(), id });
                // There is nothing of it to keep in memory; the next message reads it again.
                self.forget(actor);
                return;
            }
            Undecided::Broken(reason) => reason.clone(),
        };
        let tries = match &seat.failing {
            Some((failing, tries)) if *failing == id => tries + 1,
            _ => 1,
        };
        seat.failing = Some((id.clone(), tries));
        if tries >= self.limits.tries {
            seat.phase = Phase::SettingAside { id: id.clone() };
            self.out.push(Command::Quarantine { actor: actor.clone(), id, reason });
        } else {
            let wait = self.limits.rest_ms.saturating_mul(4_i64.saturating_pow(tries - 1));
            self.rest(actor, wait);
        }
    }

    fn set_aside(&mut self, actor: &Address, id: &MessageId, result: Result<(), String>) {
        let here = self
            .seats
            .get(actor)
            .is_some_and(|seat| matches!(&seat.phase, Phase::SettingAside { id: current } if current == id));
        match result {
            Ok(()) => {
                if here && let Some(seat) = self.seats.get_mut(actor) {
                    seat.queue.retain(|envelope| envelope.id != *id);
                    seat.failing = None;
                    seat.phase = Phase::Idle;
                }
                // Not for good: a birth or an operator may bring it back at once.
                self.let_go(vec![id.clone()]);
                if here {
                    self.advance(actor);
                }
            }
            Err(_) if here => {
                // The journal did not answer, or the actor was born meanwhile: read it again and decide again.
                self.forget(actor);
                self.setback(actor);
            }
            Err(_) => self.trial_stuck |= self.trial.suspect(id).is_some(),
        }
    }

    // Committing.

    fn committed(&mut self, actor: &Address, ticket: Ticket, outcome: Outcome) {
        let Some(seat) = self.seats.get_mut(actor) else { return };
        let (unit, is_final, failed) = match &mut seat.phase {
            Phase::Committing { ticket: current, unit, is_final, failed } if *current == ticket => {
                (unit.clone(), *is_final, failed.take())
            }
            _ => return,
        };
        match outcome {
            Outcome::Won => self.won(actor, &unit, is_final, failed),
            Outcome::Duplicate(known) => {
                seat.put_back(&known);
                self.settle(known);
                // Whoever committed them may have died before it posted their effects.
                self.sweep_at = self.sweep_at.min(self.now.plus_ms(SWEEP_SOON_MS));
                self.reload(actor);
            }
            Outcome::Stale => {
                seat.put_back(&[]);
                if seat.setbacks < SETBACKS_MAX {
                    seat.setbacks += 1;
                    self.reload(actor);
                } else {
                    self.forget(actor);
                    self.setback(actor);
                }
            }
            Outcome::Claimed { .. } => self.rejected(actor, "its claim is taken"),
            Outcome::Rejected(reason) => self.rejected(actor, &reason),
            Outcome::Unavailable(_) => {
                seat.put_back(&[]);
                self.forget(actor);
                self.setback(actor);
            }
        }
    }

    fn won(&mut self, actor: &Address, unit: &Unit, is_final: bool, failed: Option<Failed>) {
        if unit.expected == 0 {
            self.sweep_for(actor);
        }
        let horizon = self.now.plus_ms(self.limits.horizon_ms());
        let posts: Vec<Envelope> = unit.posts.iter().filter(|post| post.due <= horizon).cloned().collect();
        if !posts.is_empty() {
            self.out.push(Command::Post { envelopes: posts, swept: None });
        }
        self.settle(unit.settled.clone());
        let Some(seat) = self.seats.get_mut(actor) else { return };
        seat.put_back(&unit.settled);
        if unit.settled.len() > unit.entries.len() {
            // What was cancelled may have arrived already: it is not decided any more.
            let handled = |id: &&MessageId| unit.entries.iter().any(|entry| entry.message == **id);
            let cancelled: Vec<&MessageId> = unit.settled.iter().filter(|id| !handled(id)).collect();
            seat.queue.retain(|envelope| !cancelled.contains(&&envelope.id));
        }
        seat.setbacks = 0;
        seat.phase = Phase::Idle;
        if is_final && seat.queue.is_empty() {
            self.leave(actor);
            return;
        }
        if seat.loaded {
            self.out.push(Command::Adopt { actor: actor.clone() });
        }
        match failed {
            Some(failed) => self.failed(actor, &failed),
            None => self.advance(actor),
        }
    }

    fn rejected(&mut self, actor: &Address, reason: &str) {
        let Some(seat) = self.seats.get_mut(actor) else { return };
        match seat.hand.as_slice() {
            [culprit] => {
                let reason = format!("the database refuses what was decided: {reason}");
                let failed = Failed { message: culprit.id.clone(), why: Undecided::Broken(reason) };
                self.failed(actor, &failed);
            }
            several => {
                seat.single = several.len();
                seat.put_back(&[]);
                seat.phase = Phase::Idle;
                self.advance(actor);
            }
        }
    }

    /// What the journal has settled for good is let go.
    fn settle(&mut self, ids: Vec<MessageId>) {
        self.settled_lately[0].extend(ids.iter().cloned());
        self.let_go(ids);
    }

    fn was_settled(&self, id: &MessageId) -> bool {
        self.settled_lately.iter().any(|ids| ids.contains(id))
    }

    /// Lets messages go, in hand and in the mailbox; stops activities that still run for them.
    fn let_go(&mut self, ids: Vec<MessageId>) {
        let mut tried = false;
        for id in &ids {
            if self.lanes.release(id) {
                self.out.push(Command::Abort { id: id.clone() });
            }
            tried |= self.trial.close(id);
        }
        self.out.push(Command::Settle { ids });
        if tried {
            self.next_suspect();
        }
    }

    // Memory and waiting.

    fn forget(&mut self, actor: &Address) {
        if let Some(seat) = self.seats.get_mut(actor) {
            seat.loaded = false;
        }
        self.out.push(Command::Forget { actor: actor.clone() });
    }

    fn leave(&mut self, actor: &Address) {
        self.seats.remove(actor);
        self.out.push(Command::Forget { actor: actor.clone() });
    }

    /// What is known of the actor is wrong: read it again.
    fn reload(&mut self, actor: &Address) {
        self.forget(actor);
        if let Some(seat) = self.seats.get_mut(actor) {
            seat.phase = Phase::Idle;
        }
        if self.seats.get(actor).is_some_and(|seat| seat.queue.is_empty()) {
            self.seats.remove(actor);
        } else {
            self.advance(actor);
        }
    }

    /// Something that is not the message's fault went wrong: wait, longer each time, without counting a try.
    fn setback(&mut self, actor: &Address) {
        let Some(seat) = self.seats.get_mut(actor) else { return };
        seat.put_back(&[]);
        seat.setbacks = seat.setbacks.saturating_add(1);
        let wait = self.limits.rest_ms.saturating_mul(2_i64.saturating_pow(seat.setbacks.min(20)));
        self.rest(actor, wait.min(REST_MS_MAX));
    }

    fn rest(&mut self, actor: &Address, wait_ms: i64) {
        let Some(seat) = self.seats.get_mut(actor) else { return };
        let until = self.now.plus_ms(wait_ms);
        seat.phase = Phase::Resting { until };
        self.resting.insert((until, actor.clone()));
    }

    fn tick(&mut self) {
        while let Some((until, actor)) = self.resting.first().cloned() {
            if until > self.now {
                break;
            }
            self.resting.remove(&(until, actor.clone()));
            if let Some(seat) = self.seats.get_mut(&actor)
                && matches!(seat.phase, Phase::Resting { until: current } if current == until)
            {
                seat.phase = Phase::Idle;
                self.advance(&actor);
            }
        }
        if self.scan_at <= self.now {
            self.scan_at = self.now.plus_ms(SCAN_MS);
            self.scan();
            self.settled_lately.swap(0, 1);
            self.settled_lately[0].clear();
        }
        if self.trial_stuck && !self.draining {
            self.retry_suspect();
        }
        if self.may_sweep() && self.sweep_at <= self.now {
            self.sweep_all();
        }
    }

    fn retry_suspect(&mut self) {
        self.trial_stuck = false;
        if let Some(suspect) = self.trial.current() {
            let (actor, id, deaths) = (suspect.to.clone(), suspect.id.clone(), suspect.deaths);
            self.try_suspect(actor, id, deaths);
        }
    }

    /// Gives up actors that hang and puts away those that are idle.
    fn scan(&mut self) {
        let (hung, idle) = (self.limits.decide_ms, self.limits.idle_ms);
        let mut hanging = Vec::new();
        let mut leaving = Vec::new();
        for (actor, seat) in &self.seats {
            match seat.phase {
                Phase::Deciding { since, .. } if self.now.since_ms(since) >= hung => hanging.push(actor.clone()),
                Phase::Idle if seat.queue.is_empty() && self.now.since_ms(seat.touched) >= idle => {
                    leaving.push(actor.clone());
                }
                _ => {}
            }
        }
        for actor in hanging {
            self.out.push(Command::Forget { actor: actor.clone() });
            self.lost(&actor, "the decision took too long");
        }
        for actor in leaving {
            self.leave(&actor);
        }
    }

    // Sweeping.

    /// Otherwise a sweep that is due must wake nobody.
    fn may_sweep(&self) -> bool {
        self.opened && !self.trial.is_open() && !self.draining
    }

    fn sweep_all(&mut self) {
        self.sweep_at = self.now.plus_ms(self.limits.sweep_ms);
        let lanes: Vec<Arc<str>> = self.lanes.names().cloned().collect();
        for lane in lanes {
            self.sweep(lane);
        }
    }

    fn sweep(&mut self, lane: Arc<str>) {
        if self.sweeping.contains_key(&lane) || self.draining {
            return;
        }
        let unseen = self.lanes.running_in(&lane).cloned().collect();
        self.sweeping.insert(lane.clone(), Sweep { next: None, unseen });
        self.sweep_page(lane, None);
    }

    fn sweep_page(&mut self, lane: Arc<str>, after: Option<Cursor>) {
        let due_by = self.now.plus_ms(self.limits.horizon_ms());
        self.out.push(Command::Sweep { lane, after, due_by, max: self.limits.page });
    }

    fn swept(&mut self, lane: Arc<str>, mut envelopes: Vec<Envelope>, next: Option<Cursor>) {
        let Some(sweep) = self.sweeping.get_mut(&lane) else { return };
        sweep.next = next;
        for envelope in &envelopes {
            sweep.unseen.remove(&envelope.id);
        }
        envelopes.retain(|envelope| !self.was_settled(&envelope.id));
        self.out.push(Command::Post { envelopes, swept: Some(lane) });
    }

    fn posted(&mut self, full: &[Arc<str>], swept: Option<Arc<str>>) {
        for lane in full {
            self.lanes.overflowed(lane);
        }
        let Some(lane) = swept else { return };
        let Some(sweep) = self.sweeping.get_mut(&lane) else { return };
        match sweep.next.clone() {
            Some(next) if !full.contains(&lane) && !self.draining => return self.sweep_page(lane, Some(next)),
            Some(_) => {}
            None => {
                let unseen = std::mem::take(&mut sweep.unseen);
                self.stop_settled(unseen);
            }
        }
        self.sweep_ended(&lane, self.limits.sweep_ms);
    }

    /// The outbox is the record: what runs and is not in it was settled, by a commit whose answer was lost.
    fn stop_settled(&mut self, unseen: HashSet<MessageId, Fixed>) {
        let mut gone: Vec<MessageId> = unseen.into_iter().filter(|id| self.lanes.is_running(id)).collect();
        if !gone.is_empty() {
            gone.sort();
            self.settle(gone);
        }
    }

    fn sweep_ended(&mut self, lane: &str, again_ms: i64) {
        self.sweeping.remove(lane);
        self.sweep_at = self.sweep_at.min(self.now.plus_ms(again_ms));
    }

    // Ending.

    fn stop(&mut self) {
        self.draining = true;
        for id in self.lanes.running() {
            self.lanes.release(&id);
            self.out.push(Command::Abort { id });
        }
    }

    fn report_drained(&mut self) {
        if self.draining
            && !self.drained
            && self.lanes.running().is_empty()
            && (self.trial_stuck || self.trial.current().is_none())
            && self
                .seats
                .values()
                .all(|seat| !seat.is_busy() && (seat.queue.is_empty() || !matches!(seat.phase, Phase::Idle)))
        {
            self.drained = true;
            self.out.push(Command::Drained);
        }
    }
}
