//! Asks the journal what the core wants to know or written outside of a commit.

use actix::{AsyncContext, Context};

use super::{Milestone, Shared, Supervisor, reach, report};
use crate::runtime::journal::{Cursor, Error};
use crate::runtime::lease::Epoch;
use crate::runtime::partition::{Command, Event};

impl Supervisor {
    pub(super) fn ask_journal(&self, command: Command, ctx: &Context<Self>) {
        let (shared, partition, supervisor) = (self.shared.clone(), self.partition, ctx.address());
        let (lease, milestones) = (self.lease.clone(), self.milestones.clone());
        actix::spawn(async move {
            let fenced = || reach(&milestones, partition, &lease, Milestone::Fenced);
            let event = answer(&shared, partition, lease.epoch(), &fenced, command).await;
            if let Some(event) = event {
                report(&supervisor, event);
            }
        });
    }
}

/// The event that answers a command. `fenced` is called when the journal says that the partition is somebody else's.
async fn answer(
    shared: &Shared,
    partition: u32,
    epoch: Option<Epoch>,
    fenced: &impl Fn(),
    command: Command,
) -> Option<Event> {
    let journal = &shared.journal;
    let said = |error: Error| {
        if let Error::Fenced { .. } = &error {
            fenced();
        }
        error.to_string()
    };
    Some(match command {
        Command::Accuse { id, deaths } => {
            let outstanding = journal.note_deaths(&id, deaths, epoch).await.map_err(said);
            Event::Accused { id, outstanding }
        }
        Command::Quarantine { actor, id, reason } => {
            tracing::error!(%actor, %id, reason, "a message is set aside");
            let result = journal.quarantine(&id, &reason, epoch, shared.now()).await;
            shared.hub.announce(&actor);
            Event::SetAside { actor, id, result: result.map(|_| ()).map_err(said) }
        }
        Command::Park { actor, id } => {
            let result = match journal.park(&id, &actor, epoch).await {
                Ok(true) => Ok(()),
                Ok(false) => Err("the actor was born meanwhile".to_owned()),
                Err(error) => Err(said(error)),
            };
            Event::SetAside { actor, id, result }
        }
        Command::Sweep { lane, after, due_by, max } => {
            let after = after.map(|(due, id)| Cursor { due, id });
            // Never closed. All partitions sweep at once when a Redis forgot: readers of the API get their turn as well.
            let _turn = shared.sweeps.acquire().await;
            match journal.sweep(partition, &lane, due_by, after.as_ref(), max as u64).await {
                Ok(envelopes) => {
                    let last = envelopes.last().filter(|_| envelopes.len() == max);
                    let next = last.map(|last| (last.due, last.id.clone()));
                    Event::Swept { lane, envelopes, next }
                }
                Err(error) => {
                    tracing::warn!(partition, %lane, %error, "the outbox could not be swept");
                    Event::SweepFailed { lane }
                }
            }
        }
        _ => return None,
    })
}
