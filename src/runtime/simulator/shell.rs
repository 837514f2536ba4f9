//! The shell that carries commands out against the models, with faults, where production's does it against stores.

use super::journal::Journal;
use super::machine::{Trouble, kind_of};
use super::owner::Task;
use super::plan::Mutation;
use super::world::{Due, World};
use crate::domain::Address;
use crate::runtime::fold::{Snapshot, fold};
use crate::runtime::journal::{DECIDE, Envelope, MessageId, Outcome, Unit};
use crate::runtime::partition::{Command, Event, LoadFailure, Ticket};

impl World {
    /// Reports to the core, and takes its commands.
    pub fn report(&mut self, number: u32, event: Event, brought: Option<(Address, Snapshot)>) {
        self.note(|| format!("#{number} hears {event:?}"));
        let now = self.now;
        let Some(owner) = self.owner(number) else { return };
        if let Some((actor, snapshot)) = brought {
            let resident = owner.memory.entry(actor).or_default();
            resident.snapshot = Some(snapshot);
            resident.decided = None;
        }
        let is_tick = matches!(event, Event::Tick);
        if let Event::Decided { actor, ticket, .. } = &event
            && owner.deciding.get(actor).is_some_and(|(current, _)| current == ticket)
        {
            owner.deciding.remove(actor);
        }
        let commands = owner.partition.on_event(event, now);
        let wake = owner.partition.next_wake();
        let wakes_sooner = owner.wake_at.is_none_or(|at| wake < at);
        if wakes_sooner {
            owner.wake_at = Some(wake);
        }
        if is_tick && wake <= now {
            self.fail(format!("the core wants to be woken at {wake:?} right after it was woken at {now:?}"));
        }
        if wakes_sooner {
            self.plan_in(wake.since_ms(now), Due::Carry(number, Task::Tick));
        }
        for command in commands {
            self.take(number, command);
        }
    }

    pub fn carry_later(&mut self, number: u32, task: Task) {
        let delay = self.delay();
        self.plan_in(delay, Due::Carry(number, task));
    }

    pub fn answer(&mut self, number: u32, event: Event) {
        let delay = self.delay();
        self.plan_in(delay, Due::Report(number, event, None));
    }

    /// What touches memory alone is done at once; everything else takes its time.
    fn take(&mut self, number: u32, command: Command) {
        self.note(|| format!("#{number} shall {command:?}"));
        let delay = self.delay();
        let now = self.now;
        let mutation = self.plan.mutation;
        let Some(owner) = self.owner(number) else { return };
        match command {
            Command::Adopt { actor } => {
                if let Some(resident) = owner.memory.get_mut(&actor)
                    && let Some(decided) = resident.decided.take()
                {
                    resident.snapshot = Some(decided);
                }
            }
            Command::Forget { actor } => {
                owner.memory.remove(&actor);
                owner.deciding.remove(&actor);
            }
            Command::Abort { id } => {
                owner.running.remove(&id);
                owner.waiting.remove(&id);
                owner.starting.remove(&id);
                self.give_back_later(number, &id);
            }
            Command::Drained => self.drained(number),
            Command::Post { .. } | Command::Settle { .. } => {
                if let Command::Settle { ids } = &command {
                    owner.settled.extend(ids.iter().cloned());
                }
                owner.mail_at = owner.mail_at.max(now.plus_ms(delay));
                let at = owner.mail_at;
                self.plan_at(at, Due::Carry(number, Task::Command(command)));
            }
            Command::Decide { ref actor, ticket, ref messages } => {
                let ids: Vec<MessageId> = messages.iter().map(|message| message.id.clone()).collect();
                if mutation == Some(Mutation::SettlesBeforeCommit) {
                    self.mail_settle(number, &ids);
                }
                if let Some(owner) = self.owner(number) {
                    owner.deciding.insert(actor.clone(), (ticket, ids));
                }
                self.carry_later(number, Task::Command(command));
            }
            Command::Start { ref envelope, .. } => {
                owner.starting.insert(envelope.id.clone());
                self.plan_in(delay, Due::Carry(number, Task::Command(command)));
            }
            other => self.plan_in(delay, Due::Carry(number, Task::Command(other))),
        }
    }

    pub fn carry(&mut self, number: u32, task: Task) {
        match task {
            Task::Tick => {
                let now = self.now;
                let Some(owner) = self.owner(number) else { return };
                if owner.wake_at.is_some_and(|at| at <= now) {
                    owner.wake_at = None;
                    self.report(number, Event::Tick, None);
                }
            }
            Task::Greet(client, unit) => {
                let horizon = self.now.plus_ms(self.plan.limits.horizon_ms());
                let posts = unit.posts.iter().filter(|post| post.due <= horizon).cloned().collect();
                if self.strikes(self.plan.unavailable) {
                    // The mailbox did not answer, or the process that asked it was slow: the sweep finds it.
                    self.answer(number, Event::PostFailed);
                } else {
                    self.mail_post(number, posts);
                }
                self.accepted.insert(client);
            }
            Task::End(id) => self.end(number, &id),
            Task::Command(command) => self.carry_command(number, command),
        }
    }

    fn carry_command(&mut self, number: u32, command: Command) {
        match command {
            Command::Accuse { id, deaths } => self.accuse(number, id, deaths),
            Command::Read { lane, max } => self.read(number, lane, max),
            Command::Load { actor } => self.load(number, actor),
            Command::Decide { actor, ticket, messages } => self.decide(number, actor, ticket, &messages),
            Command::Commit { actor, ticket, unit } => self.commit(number, actor, ticket, &unit),
            Command::Settle { ids } => {
                self.must_be_settled(&ids);
                self.settle(number, &ids);
            }
            Command::Post { envelopes, swept } => self.post(number, envelopes, swept),
            Command::Start { envelope, ours } => self.start(number, envelope, ours),
            Command::Recall => self.recall(number),
            Command::Quarantine { actor, id, reason } => {
                let act = |journal: &mut Journal| {
                    journal.quarantine(&id, reason);
                    Ok(())
                };
                let result = self.write(number, act);
                self.answer(number, Event::SetAside { actor, id, result });
            }
            Command::Park { actor, id } => {
                let result = self.write(number, |journal| journal.park(&actor, &id));
                self.answer(number, Event::SetAside { actor, id, result });
            }
            Command::Sweep { lane, after, due_by, max } => {
                let event = if self.strikes(self.plan.unavailable) {
                    Event::SweepFailed { lane }
                } else {
                    let (envelopes, next) = self.journal.sweep(&lane, after.as_ref(), due_by, max);
                    Event::Swept { lane, envelopes, next }
                };
                self.answer(number, event);
            }
            Command::Adopt { .. }
            | Command::Forget { .. }
            | Command::Abort { .. }
            | Command::Opened
            | Command::Drained => {}
        }
    }

    /// Writes to the journal, which may stay silent before or after it wrote.
    fn write(&mut self, number: u32, act: impl FnOnce(&mut Journal) -> Result<(), String>) -> Result<(), String> {
        if self.is_fenced(number) {
            return Err("another owner has the partition".to_owned());
        }
        if self.strikes(self.plan.unavailable) {
            if self.dice.one_in(2) {
                let _ = act(&mut self.journal);
            }
            return Err("the journal did not answer".to_owned());
        }
        act(&mut self.journal)
    }

    fn accuse(&mut self, number: u32, id: MessageId, deaths: u32) {
        if self.is_fenced(number) {
            let outstanding = Err("another owner has the partition".to_owned());
            return self.answer(number, Event::Accused { id, outstanding });
        }
        let silent = self.strikes(self.plan.unavailable);
        let written = !silent || self.dice.one_in(2);
        let outstanding = written && self.journal.accuse(&id, deaths);
        if outstanding {
            let accusers = self.accused.entry(id.clone()).or_default();
            accusers.insert(number);
            if deaths as usize > accusers.len() {
                let accusers = accusers.clone();
                return self.fail(format!("{id} is charged with {deaths} deaths by {accusers:?}"));
            }
        }
        let outstanding = if silent { Err("the journal did not answer".to_owned()) } else { Ok(outstanding) };
        self.answer(number, Event::Accused { id, outstanding });
    }

    fn load(&mut self, number: u32, actor: Address) {
        if self.strikes(self.plan.unavailable) {
            // The actor died of something else while it was being read.
            return self.answer(number, Event::Lost { actor });
        }
        if self.strikes(self.plan.unavailable) {
            let found = Err(LoadFailure::Unavailable("the journal did not answer".to_owned()));
            return self.answer(number, Event::Loaded { actor, found });
        }
        if self.strikes(self.plan.unavailable.saturating_mul(2)) && self.unreadable.insert(actor.clone()) {
            // Once for each actor: who finds its message's actor unreadable as often as it tries sets it aside.
            let found = Err(if self.dice.one_in(2) {
                LoadFailure::Newer("this release is too old".to_owned())
            } else {
                LoadFailure::Unreadable("this release is broken".to_owned())
            });
            return self.answer(number, Event::Loaded { actor, found });
        }
        let kept = self.owner(number).and_then(|owner| owner.kept.get(&actor).cloned());
        let snapshot = match self.journal.states.get(&actor) {
            _ if kept.is_some() => kept.unwrap_or(Snapshot { version: 0, state: None }),
            None => Snapshot { version: 0, state: None },
            Some((version, schema, json)) => match kind_of(&actor).read(*schema, json) {
                Ok(state) => Snapshot { version: *version, state: Some(state) },
                Err(why) => return self.fail(format!("the state of {actor} cannot be read: {why:?}")),
            },
        };
        let delay = self.delay();
        let event = Event::Loaded { actor: actor.clone(), found: Ok(()) };
        self.plan_in(delay, Due::Report(number, event, Some((actor, snapshot))));
    }

    fn decide(&mut self, number: u32, actor: Address, ticket: Ticket, messages: &[Envelope]) {
        if messages.iter().any(|message| Trouble::of(&message.body) == Some(Trouble::Kills)) {
            if self.is_current(number) {
                self.crash(Some(messages));
            } else {
                self.owners.retain(|owner| owner.number != number);
            }
            return;
        }
        if messages.iter().any(|message| Trouble::of(&message.body) == Some(Trouble::Hangs)) {
            return;
        }
        let now = self.now;
        let Some(owner) = self.owner(number) else { return };
        let Some(resident) = owner.memory.get_mut(&actor) else {
            owner.deciding.remove(&actor);
            return self.answer(number, Event::Lost { actor });
        };
        let Some(before) = resident.snapshot.clone() else { return };
        let folded = fold(kind_of(&actor), &actor, &before, messages, now);
        resident.decided = folded.unit.is_some().then_some(folded.after);
        let (unit, is_final, failed) = (folded.unit, folded.is_final, folded.failed);
        self.answer(number, Event::Decided { actor, ticket, unit, is_final, failed });
    }

    fn commit(&mut self, number: u32, actor: Address, ticket: Ticket, unit: &Unit) {
        let silent = self.strikes(self.plan.unavailable);
        let outcome = if silent && self.dice.one_in(2) {
            Outcome::Unavailable("nothing was written".to_owned())
        } else {
            let refused =
                |entry: &crate::runtime::journal::Entry| matches!(entry.verdict, crate::domain::Verdict::Refused(_));
            if self.plan.mutation == Some(Mutation::RefusalsLeaveNoRow) && unit.entries.iter().all(refused) {
                unit.settled.iter().for_each(|id| drop(self.journal.outbox.remove(id)));
                for post in &unit.posts {
                    self.journal.ordered.insert(post.id.clone(), post.clone());
                }
                Outcome::Won
            } else if self.is_fenced(number) {
                Outcome::Fenced
            } else {
                self.journal.commit(unit)
            }
        };
        self.note(|| format!("#{number} commits {actor} {ticket:?}: {outcome:?}"));
        if outcome == Outcome::Won
            && let Some(owner) = self.owner(number)
        {
            owner.ordered.extend(unit.posts.iter().map(|post| post.id.clone()));
        }
        if outcome == Outcome::Won
            && let Some(post) = unit.posts.iter().find(|post| unit.settled.contains(&post.id))
        {
            self.fail(format!("{} is ordered and settled by one unit", post.id));
        }
        let outcome = if silent { Outcome::Unavailable("nobody knows".to_owned()) } else { outcome };
        if outcome == Outcome::Stale
            && self.plan.mutation == Some(Mutation::LosersKeepTheirState)
            && let Some(owner) = self.owner(number)
            && let Some(snapshot) = owner.memory.get(&actor).and_then(|resident| resident.snapshot.clone())
        {
            owner.kept.insert(actor.clone(), snapshot);
        }
        self.answer(number, Event::Committed { actor, ticket, outcome });
    }

    fn drained(&mut self, number: u32) {
        let Some(owner) = self.owner(number) else { return };
        if !owner.draining || !owner.running.is_empty() || !owner.deciding.is_empty() {
            let running = format!("{:?} {:?}", owner.running(), owner.deciding);
            self.fail(format!("#{number} says it is drained with {running}"));
        }
        self.hand_over(number);
    }

    /// What is not done, for the report of a run that never ends.
    pub fn leftovers(&self) -> String {
        let outbox: Vec<&str> = self
            .journal
            .outbox
            .values()
            .filter(|row| !row.parked)
            .map(|row| row.envelope.id.as_str())
            .take(5)
            .collect();
        let owners: Vec<String> = self
            .owners
            .iter()
            .map(|owner| {
                let (hand, running, posted) = (owner.partition.in_hand(), owner.running(), owner.posted());
                format!("#{} has {hand} in hand, {posted} posted, runs {running:?}", owner.number)
            })
            .collect();
        let accepted = self.accepted.len();
        format!("outbox {outbox:?}; {}; {accepted} of {} born; {DECIDE}", owners.join("; "), self.plan.births.len())
    }
}
