//! Several messages of one actor become one [`Unit`]: the step from decisions to a commit.

use std::sync::Arc;

use serde_json::Value;

use super::journal::{Cell, ColumnType, DECIDE, Entry, Envelope, MessageId, Origin, Record, Unit};
use super::kind::{Kind, State, Step, Undecided, caught};
use super::lease::Epoch;
use super::room;
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

impl Folded {
    /// The same, decided in this epoch.
    #[must_use]
    pub fn in_epoch(mut self, epoch: Option<Epoch>) -> Self {
        // Nobody else has the unit yet.
        if let Some(unit) = self.unit.as_mut().and_then(Arc::get_mut) {
            unit.epoch = epoch;
        }
        self
    }
}

/// Decides about `messages` in turn, each on the state that the one before left. Panics of the machine are caught and become a failure of their message.
#[must_use]
pub fn fold(kind: &dyn Kind, actor: &Address, before: &Snapshot, messages: &[Envelope], now: Timestamp) -> Folded {
    let mut after = before.clone();
    let mut entries = Vec::with_capacity(messages.len());
    let mut posts: Vec<Envelope> = Vec::new();
    let mut records = Vec::new();
    let mut settled = Vec::with_capacity(messages.len());
    let mut failed = None;
    for envelope in messages {
        if settled.contains(&envelope.id) {
            // A message before it cancelled it.
            continue;
        }
        let moment = Moment { now, version: after.version + 1 };
        let decided = step(kind, after.state.as_ref(), envelope, moment)
            .and_then(|step| Ok((recorded(kind, actor, moment, &step.orders)?, step)));
        let (rows, step) = match decided {
            Ok(decided) => decided,
            Err(why) => {
                failed = Some(Failed { message: envelope.id.clone(), why });
                break;
            }
        };
        records.extend(rows);
        // What comes from outside settles no effect.
        if envelope.id.effect().is_some() {
            settled.push(envelope.id.clone());
        }
        entries.push(Entry {
            version: moment.version,
            message: envelope.id.clone(),
            body: envelope.body.clone(),
            verdict: step.verdict,
            now,
        });
        carry_out(kind, actor, moment, step.orders, &mut posts, &mut settled);
        after = Snapshot { version: moment.version, state: step.state.or(after.state) };
    }
    let is_final = after.state.as_ref().is_some_and(|state| kind.is_final(state));
    let unit = if entries.is_empty() {
        None
    } else {
        let sender = if before.version == 0 { entries[0].message.sender() } else { None };
        match unit(kind, actor, before.version, &after, Rows { entries, posts, records, settled }) {
            Ok(unit) => Some(Arc::new(Unit { origin: sender.map(Origin::Actor), ..unit })),
            // The guilty one is not known among several: the first is decided alone, and so each in its turn.
            Err(_) if messages.len() > 1 => return fold(kind, actor, before, &messages[..1], now),
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
    let step = caught(|| kind.decide(state, &envelope.body, moment)).map_err(Undecided::Broken)??;
    if state.is_none() && step.state.is_none() {
        return Err(Undecided::Broken("a birth was decided without a state".to_owned()));
    }
    Ok(step)
}

/// Turns orders into outbox rows; an order that cancels one of this same fold leaves neither behind.
fn carry_out(
    kind: &dyn Kind,
    actor: &Address,
    moment: Moment,
    orders: Vec<Order>,
    posts: &mut Vec<Envelope>,
    settled: &mut Vec<MessageId>,
) {
    for (index, order) in orders.into_iter().enumerate() {
        let number = EffectNo { version: moment.version, index: u32::try_from(index).unwrap_or(u32::MAX) };
        let (mut turn, mut schema) = (None, kind.schema());
        let (to, lane, due, body): (_, Arc<str>, _, _) = match order {
            Order::Tell { to, message, schema: of_receiver } => {
                schema = of_receiver;
                (to, DECIDE.into(), moment.now, message)
            }
            Order::Start { lane, input, turn: None } => (actor.clone(), lane.into(), moment.now, input),
            Order::Start { lane, input, turn: Some(waits) } => {
                turn = Some(serde_json::to_string(&waits).expect("a turn is plain data").into());
                (actor.clone(), room::lane_of_turns(lane), moment.now, input)
            }
            Order::Timer { due, message } => (actor.clone(), DECIDE.into(), due, message),
            // [`recorded`] has it.
            Order::Record { .. } => continue,
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
            lane,
            due,
            body: body.into(),
            schema,
            deaths: 0,
            turn,
            recovered: false,
        });
    }
}

/// The records among `orders`, as rows of their kind's table.
fn recorded(kind: &dyn Kind, actor: &Address, moment: Moment, orders: &[Order]) -> Result<Vec<Record>, Undecided> {
    let mut records = Vec::new();
    for (index, order) in (0..).zip(orders) {
        let Order::Record { row } = order else { continue };
        let id = MessageId::of_effect(actor, EffectNo { version: moment.version, index });
        let broken = |why: String| Undecided::Broken(format!("the record {id} cannot be written: {why}"));
        let table = kind.table().records.ok_or_else(|| broken("its kind has no table of records".to_owned()))?;
        let row: serde_json::Map<String, Value> =
            serde_json::from_str(row).map_err(|error| broken(error.to_string()))?;
        let cells = table.columns.iter().map(|column| match (column.holds, row.get(column.name)) {
            (ColumnType::Text, None | Some(Value::Null)) => Ok(Cell::Text(None)),
            (ColumnType::Text, Some(Value::String(text))) => Ok(Cell::Text(Some(text.clone()))),
            (ColumnType::Integer, None | Some(Value::Null)) => Ok(Cell::Integer(None)),
            (ColumnType::Integer, Some(Value::Number(number))) if number.is_i64() => Ok(Cell::Integer(number.as_i64())),
            (_, Some(other)) => Err(broken(format!("`{}` is {other}", column.name))),
        });
        let cells = cells.collect::<Result<Vec<_>, _>>()?;
        records.push(Record { id, cells });
    }
    Ok(records)
}

/// The rows of a unit beside its state.
struct Rows {
    entries: Vec<Entry>,
    posts: Vec<Envelope>,
    records: Vec<Record>,
    settled: Vec<MessageId>,
}

fn unit(kind: &dyn Kind, actor: &Address, expected: u64, after: &Snapshot, rows: Rows) -> Result<Unit, Undecided> {
    let Rows { entries, posts, records, settled } = rows;
    let state = after.state.as_ref().ok_or_else(|| Undecided::Broken("there is no state to store".to_owned()))?;
    let state = caught(|| kind.row(state)).and_then(|row| row).map_err(Undecided::Broken)?;
    Ok(Unit {
        actor: actor.clone(),
        table: kind.table(),
        expected,
        entries,
        state,
        posts,
        records,
        settled,
        claim: None,
        origin: None,
        epoch: None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::domain::{Broken, Decision, Machine, Report};
    use crate::runtime::journal::{Column, RecordTable, StateTable};
    use crate::runtime::kind::Hosted;

    struct Clerk;

    #[derive(Serialize, Deserialize)]
    enum Said {
        Arm,
        Disarm,
        Rang,
        Panic,
        Unwritable,
        Note(i64),
        Scribble,
    }

    /// How often the clerk was spoken to, the timer that is armed, and a map that JSON holds only while it is empty.
    #[derive(Clone, Default, Serialize, Deserialize)]
    struct Desk {
        count: u32,
        armed: Option<EffectNo>,
        unwritable: Vec<BTreeMap<(u8, u8), u8>>,
    }

    impl Machine for Clerk {
        const KIND: &'static str = "clerk";
        const SCHEMA: u32 = 1;
        type State = Desk;
        type Message = Said;
        type Effect = Order;

        fn apply(&self, state: Option<&Desk>, said: Said, moment: Moment) -> Result<Decision<Desk, Order>, Broken> {
            let mut desk = state.cloned().unwrap_or_default();
            desk.count += 1;
            let orders = match said {
                Said::Arm => {
                    desk.armed = Some(moment.effect(0));
                    vec![Order::Timer { due: moment.now.plus_ms(5), message: "\"Rang\"".to_owned() }]
                }
                Said::Disarm => desk.armed.take().map(|effect| Order::Cancel { effect }).into_iter().collect(),
                Said::Rang => Vec::new(),
                Said::Note(count) => vec![Order::Record { row: format!("{{\"count\":{count}}}") }],
                Said::Scribble => vec![Order::Record { row: "{\"count\":\"many\"}".to_owned() }],
                Said::Panic => std::panic::resume_unwind(Box::new("on purpose")),
                Said::Unwritable => {
                    desk.unwritable.push(std::iter::once(((0, 0), 0)).collect());
                    Vec::new()
                }
            };
            Ok(Decision::applied(desk, orders))
        }

        fn is_birth(said: &Said) -> bool {
            matches!(said, Said::Arm)
        }

        fn reported(_: Report) -> Said {
            Said::Rang
        }

        fn status(_: &Desk) -> &'static str {
            "sitting"
        }

        fn is_final(_: &Desk) -> bool {
            false
        }
    }

    const NOTES: RecordTable = RecordTable {
        table: "notes",
        columns: &[
            Column { name: "count", holds: ColumnType::Integer },
            Column { name: "about", holds: ColumnType::Text },
        ],
    };
    static DESKS: StateTable = StateTable { kind: "clerk", table: "desks", columns: &[], records: Some(NOTES) };
    static CLERK: Hosted<Clerk> = Hosted { machine: Clerk, table: &DESKS, cells: |_| Vec::new() };

    fn said(id: &str, body: &str) -> Envelope {
        Envelope {
            id: id.into(),
            to: Address::new("clerk", "1"),
            lane: DECIDE.into(),
            due: Timestamp(0),
            body: if body.starts_with('{') { body.into() } else { format!("\"{body}\"").into() },
            schema: 1,
            deaths: 0,
            turn: None,
            recovered: false,
        }
    }

    fn folded(messages: &[Envelope]) -> Folded {
        let unborn = Snapshot { version: 0, state: None };
        fold(&CLERK, &Address::new("clerk", "1"), &unborn, messages, Timestamp(1))
    }

    fn decided(unit: &Unit) -> Vec<&str> {
        unit.entries.iter().map(|entry| entry.message.as_str()).collect()
    }

    #[test]
    fn order_cancelled_in_the_same_fold_leaves_neither_behind() {
        let folded = folded(&[said("from outside", "Arm"), said("clerk/2:7:0", "Disarm")]);
        let unit = folded.unit.expect("something is decided");
        assert_eq!(unit.posts, []);
        assert_eq!(unit.settled, ["clerk/2:7:0".into()], "what comes from outside settles nothing");
        assert_eq!((unit.version(), folded.after.version), (2, 2));
    }

    #[test]
    fn message_cancelled_in_the_same_fold_is_not_decided() {
        let armed = folded(&[said("a", "Arm")]);
        let timer = armed.unit.expect("it is armed").posts[0].id.clone();
        let messages = [said("b", "Disarm"), said(timer.as_str(), "Rang"), said("c", "Rang")];
        let folded = fold(&CLERK, &Address::new("clerk", "1"), &armed.after, &messages, Timestamp(2));
        let unit = folded.unit.expect("something is decided");
        assert_eq!(decided(&unit), ["b", "c"]);
        assert_eq!(unit.entries[1].version, 3, "versions have no hole");
        assert!(unit.settled.contains(&timer));
    }

    #[test]
    fn panic_is_a_failure_of_its_message_and_the_prefix_is_kept() {
        let folded = folded(&[said("a", "Arm"), said("b", "Panic"), said("c", "Rang")]);
        assert_eq!(decided(&folded.unit.expect("something is decided")), ["a"]);
        assert_eq!(folded.after.version, 1);
        let failed = folded.failed.expect("the second fails");
        assert_eq!(failed.message, "b".into());
        assert_eq!(failed.why, Undecided::Broken("it panicked: on purpose".to_owned()));
    }

    #[test]
    fn panic_of_the_first_message_leaves_the_actor_as_it_was() {
        let armed = folded(&[said("a", "Arm")]);
        let folded = fold(&CLERK, &Address::new("clerk", "1"), &armed.after, &[said("b", "Panic")], Timestamp(2));
        assert!(folded.unit.is_none());
        assert_eq!(folded.after.version, 1);
    }

    #[test]
    fn records_are_rows_under_the_ids_of_their_orders() {
        let folded = folded(&[said("a", "Arm"), said("b", "{\"Note\":7}"), said("c", "{\"Note\":8}")]);
        let unit = folded.unit.expect("something is decided");
        let row = |version: u64, count| Record {
            id: format!("clerk/1:{version}:0").as_str().into(),
            cells: vec![Cell::Integer(Some(count)), Cell::Text(None)],
        };
        assert_eq!(unit.records, [row(2, 7), row(3, 8)]);
        assert_eq!(unit.posts.len(), 1, "a record is sent to nobody");
    }

    #[test]
    fn record_that_fits_no_column_is_a_failure_of_its_message() {
        let folded = folded(&[said("a", "Arm"), said("b", "Scribble")]);
        assert_eq!(decided(&folded.unit.expect("the first is decided")), ["a"]);
        let Undecided::Broken(why) = folded.failed.expect("the second fails").why else { panic!("it is broken") };
        assert!(why.contains("`count` is \"many\""), "{why}");
    }

    #[test]
    fn message_for_the_unborn_waits() {
        let folded = folded(&[said("a", "Rang"), said("b", "Arm")]);
        assert!(folded.unit.is_none());
        assert_eq!(folded.failed, Some(Failed { message: "a".into(), why: Undecided::Unborn }));
    }

    #[test]
    fn state_that_cannot_be_written_is_blamed_on_no_innocent() {
        let several = folded(&[said("a", "Arm"), said("b", "Unwritable")]);
        assert_eq!(decided(&several.unit.expect("the first is decided")), ["a"]);
        assert_eq!(several.failed, None);
        let alone = fold(&CLERK, &Address::new("clerk", "1"), &several.after, &[said("b", "Unwritable")], Timestamp(2));
        assert!(alone.unit.is_none());
        assert_eq!(alone.failed.expect("it fails alone").message, "b".into());
    }
}
