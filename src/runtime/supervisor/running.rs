//! Runs activities: in the room of their lane, stopped when asked, their panics caught.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use actix::{AsyncContext, Context};
use futures_util::FutureExt;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::wanted::Wanted;
use super::{Shared, Supervisor, report};
use crate::domain::{Address, EffectNo, Failure, Report};
use crate::runtime::activity::Work;
use crate::runtime::journal::{Envelope, MessageId};
use crate::runtime::kind::{caught, panic_text};
use crate::runtime::lease::Lease;
use crate::runtime::partition::Event;
use crate::runtime::room::{Guest, Place};
use crate::runtime::watch::Hub;

/// How long a cancelled activity may take to clean up before it is dropped where it stands.
const CANCEL_GRACE: Duration = Duration::from_millis(500);

/// An activity that runs or waits for room; letting go of it stops it.
pub(super) struct Running {
    guest: Guest,
    _stops: DropGuard,
}

impl Supervisor {
    pub(super) fn start_activity(&mut self, envelope: Envelope, ours: bool, ctx: &Context<Self>) {
        let place = match self.shared.room.ask(&envelope.lane, envelope.turn.as_deref()) {
            Ok(place) => place,
            Err(error) => {
                tracing::error!(lane = %envelope.lane, id = %envelope.id, %error, "an activity can never start");
                return;
            }
        };
        let cancel = CancellationToken::new();
        let running = Running { guest: place.guest(), _stops: cancel.clone().drop_guard() };
        self.running.insert(envelope.id.clone(), running);
        let (shared, supervisor, lease) = (self.shared.clone(), ctx.address(), self.lease.clone());
        let wanted = (!ours).then(|| self.wanted.clone());
        actix::spawn(async move {
            let id = envelope.id.clone();
            let run = run_activity(&shared, place, envelope, wanted.as_ref(), &lease, &cancel);
            let event = tokio::select! {
                biased;
                // Before every step it takes: a process that was stopped and wakes up must not act for whoever owns the
                // partition by now.
                () = lapsed(&lease) => return,
                event = run => event,
                () = stopped(&cancel) => return,
            };
            if !cancel.is_cancelled() {
                report(&supervisor, event.unwrap_or(Event::Unneeded { id }));
            }
        });
    }

    /// Stops what waits for room, before it begins.
    pub(super) fn recall_activities(&mut self, ctx: &Context<Self>) {
        let room = &self.shared.room;
        let waiting = self.running.extract_if(|_, running| !room.is_inside(running.guest));
        let ids = waiting.map(|(id, _)| id).collect();
        report(&ctx.address(), Event::Recalled { ids });
    }
}

/// Ready once the lease is over. It wakes nobody: what runs is cancelled by then.
async fn lapsed(lease: &Lease) {
    poll_fn(|_| if lease.is_held() { Poll::Pending } else { Poll::Ready(()) }).await;
}

async fn stopped(cancel: &CancellationToken) {
    cancel.cancelled().await;
    tokio::time::sleep(CANCEL_GRACE).await;
}

/// Runs an activity once there is room, and holds its place until it has ended. `wanted` is asked whether it must still
/// happen, unless that is known; `None` when it must not.
async fn run_activity(
    shared: &Shared,
    mut place: Place,
    envelope: Envelope,
    wanted: Option<&Wanted>,
    lease: &Lease,
    cancel: &CancellationToken,
) -> Option<Event> {
    tokio::select! {
        // First: what was stopped before it began does not begin, whether there is room or not.
        biased;
        () = cancel.cancelled() => return None,
        () = place.entered() => {}
    }
    if let Some(wanted) = wanted
        && !still_wanted(wanted, &envelope.id, cancel).await
    {
        return None;
    }
    let Some(effect) = envelope.id.effect() else {
        tracing::error!(id = %envelope.id, "an activity was ordered by no effect");
        return None;
    };
    let work = Work::new(envelope, lease.epoch(), shared.journal.clone());
    let shown = Shown { hub: &shared.hub, actor: &work.actor, effect };
    let outcome = run_caught(shared, &work, effect, cancel).await;
    drop(shown);
    let kind = shared.kinds.get(work.actor.kind())?;
    // A report that cannot be told is no message of the actor: it will be set aside with what stands in its place.
    let body = caught(|| kind.reported(Report { effect, outcome })).unwrap_or_else(|reason| reason);
    Some(Event::Ended { id: work.id, body: body.into() })
}

/// The progress of an activity is shown until it ended, or was dropped where it stood.
struct Shown<'a> {
    hub: &'a Hub,
    actor: &'a Address,
    effect: EffectNo,
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.hub.ended(self.actor, self.effect);
    }
}

/// Whether an effect that another owner may have settled is still outstanding.
async fn still_wanted(wanted: &Wanted, id: &MessageId, cancel: &CancellationToken) -> bool {
    tokio::select! {
        () = cancel.cancelled() => false,
        wanted = wanted.is(id) => wanted && !cancel.is_cancelled(),
    }
}

async fn run_caught(
    shared: &Shared,
    work: &Work,
    effect: EffectNo,
    cancel: &CancellationToken,
) -> Result<serde_json::Value, Failure> {
    let (hub, actor) = (shared.hub.clone(), work.actor.clone());
    let progress = move |fraction| hub.progressed(&actor, effect, fraction);
    std::panic::AssertUnwindSafe(shared.activities.run(work, &progress, cancel)).catch_unwind().await.unwrap_or_else(
        |panic| {
            let said = panic_text(&*panic);
            tracing::error!(id = %work.id, said, "an activity panicked");
            Err(Failure::passing("activity_panicked", format!("the step broke down: {said}")))
        },
    )
}
