//! Several messages of one actor become one [`Unit`]: the step from decisions to a commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::journal::{DECIDE, Entry, Envelope, MessageId, Unit};
use super::kind::{Kind, State, Step, Undecided};
use crate::domain::{Address, EffectNo, Moment, Order, Timestamp};

/// What an actor is in memory.
#[derive(Clone)]
pub struct Snapshot {
    /// Its version; 0 before the birth.
    pub version: u64,
    /// Its state; `None` before the birth.
    pub state: Option<State>,
}

/// A message that could not be decided, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The message.
    pub message: MessageId,
    /// Why.
    pub why: Undecided,
}

/// What came of a run of messages.
pub struct Folded {
    /// What to commit: the decisions up to the first failure, if there is one.
    pub unit: Option<Arc<Unit>>,
    /// The actor as it is once the unit has won.
    pub after: Snapshot,
    /// Whether it can be put away then.
    pub is_final: bool,
    /// The first message that could not be decided; those after it were not looked at.
    pub failed: Option<Failed>,
}

/// Decides about `messages` in turn, each on the state that the one before left. Panics of the machine are caught and become a failure of their message.
#[must_use]
pub fn fold(kind: &dyn Kind, actor: &Address, before: &Snapshot, messages: &[Envelope], now: Timestamp) -> Folded {
    let mut after = before.clone();
    let mut entries = Vec::with_capacity(messages.len());
    let mut posts: Vec<Envelope> = Vec::new();
    let mut settled = Vec::with_capacity(messages.len());
    let mut failed = None;
    for envelope in messages {
        if settled.contains(&envelope.id) {
            // A message before it cancelled it.
            continue;
        }
        let moment = Moment { now, version: after.version + 1 };
        let step = match step(kind, after.state.as_ref(), envelope, moment) {
            Ok(step) => step,
            Err(why) => {
                failed = Some(Failed { message: envelope.id.clone(), why });
                break;
            }
        };
        settled.push(envelope.id.clone());
        entries.push(Entry {
            version: moment.version,
            message: envelope.id.clone(),
            body: envelope.body.clone(),
            verdict: step.verdict,
            now,
        });
        carry_out(actor, moment, step.orders, &mut posts, &mut settled);
        after = Snapshot { version: moment.version, state: step.state.or(after.state) };
    }
    let is_final = after.state.as_ref().is_some_and(|state| kind.is_final(state));
    let unit = if entries.is_empty() {
        None
    } else {
        match unit(kind, actor, before.version, &after, entries, posts, settled) {
            Ok(unit) => Some(Arc::new(unit)),
            Err(why) => {
                failed = messages.first().map(|first| Failed { message: first.id.clone(), why });
                None
            }
        }
    };
    if unit.is_none() {
        after = before.clone();
    }
    Folded { unit, after, is_final, failed }
}

fn step(kind: &dyn Kind, state: Option<&State>, envelope: &Envelope, moment: Moment) -> Result<Step, Undecided> {
    let step = catch_unwind(AssertUnwindSafe(|| kind.decide(state, &envelope.body, moment)))
        .unwrap_or_else(|panic| Err(Undecided::Broken(format!("the handler panicked: {}", panic_text(&*panic)))))?;
    if state.is_none() && step.state.is_none() {
        return Err(Undecided::Broken("a birth was decided without a state".to_owned()));
    }
    Ok(step)
}

/// What a panic said.
#[must_use]
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// Turns orders into outbox rows; an order that cancels one of this same fold leaves neither behind.
fn carry_out(
    actor: &Address,
    moment: Moment,
    orders: Vec<Order>,
    posts: &mut Vec<Envelope>,
    settled: &mut Vec<MessageId>,
) {
    for (index, order) in orders.into_iter().enumerate() {
        let number = EffectNo { version: moment.version, index: u32::try_from(index).unwrap_or(u32::MAX) };
        let (to, lane, due, body) = match order {
            Order::Tell { to, message } => (to, DECIDE, moment.now, message),
            Order::Start { lane, input } => (actor.clone(), lane, moment.now, input),
            Order::Timer { due, message } => (actor.clone(), DECIDE, due, message),
            Order::Cancel { effect } => {
                let id = MessageId::of_effect(actor, effect);
                if let Some(place) = posts.iter().position(|post| post.id == id) {
                    posts.remove(place);
                } else {
                    settled.push(id);
                }
                continue;
            }
        };
        posts.push(Envelope {
            id: MessageId::of_effect(actor, number),
            to,
            lane: lane.into(),
            due,
            body: body.into(),
            deaths: 0,
            recovered: false,
        });
    }
}

fn unit(
    kind: &dyn Kind,
    actor: &Address,
    expected: u64,
    after: &Snapshot,
    entries: Vec<Entry>,
    posts: Vec<Envelope>,
    settled: Vec<MessageId>,
) -> Result<Unit, Undecided> {
    let state = after.state.as_ref().ok_or_else(|| Undecided::Broken("there is no state to store".to_owned()))?;
    let state = kind.row(state).map_err(Undecided::Broken)?;
    Ok(Unit { actor: actor.clone(), table: kind.table(), expected, entries, state, posts, settled, claim: None })
}
