//! Units as rows, and the script that writes them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{Address, Verdict};
use crate::runtime::journal::dialect::{Datum, Holds, Shape, Source};
use crate::runtime::journal::script::{Script, Step};
use crate::runtime::journal::{Cell, Column, ColumnType, Entry, Origin, RecordTable, StateTable, Unit, partition_of};
use crate::runtime::lease::Epoch;

const CLAIMS: Shape<'static> = &[
    ("name", Holds::Text),
    ("fingerprint", Holds::Text),
    ("actor", Holds::Text),
    ("answer", Holds::Text),
    ("expires", Holds::Integer),
];
const JOURNAL: Shape<'static> = &[
    ("actor", Holds::Text),
    ("version", Holds::Integer),
    ("message_id", Holds::Text),
    ("verdict", Holds::Text),
    ("reason", Holds::MaybeText),
    ("body", Holds::Text),
    ("now", Holds::Integer),
    ("schema", Holds::Integer),
];
const POSTS: Shape<'static> = &[
    ("id", Holds::Text),
    ("target", Holds::Text),
    ("partition", Holds::Integer),
    ("lane", Holds::Text),
    ("due", Holds::Integer),
    ("body", Holds::Text),
    ("schema", Holds::Integer),
    ("deaths", Holds::Integer),
    ("turn", Holds::MaybeText),
    ("created_at", Holds::Integer),
];
pub(super) const FENCE: Shape<'static> = &[("partition", Holds::Integer), ("epoch", Holds::Integer)];
const SETTLED: Shape<'static> = &[("id", Holds::Text)];
const BORN: Shape<'static> = &[("target", Holds::Text)];
const TRACES: Shape<'static> = &[("actor", Holds::Text), ("trace", Holds::Text), ("at", Holds::Integer)];
const HEIRS: Shape<'static> = &[("actor", Holds::Text), ("sender", Holds::Text), ("at", Holds::Integer)];

/// A statement in both its forms, whether or not there are rows for it.
#[derive(Clone, Debug)]
struct Wording {
    all: Cow<'static, str>,
    each: Cow<'static, str>,
}

impl Wording {
    const fn fixed(all: &'static str, each: &'static str) -> Self {
        Self { all: Cow::Borrowed(all), each: Cow::Borrowed(each) }
    }
}

static TAKE_CLAIM: Wording = Wording::fixed(
    "INSERT INTO claims (name, fingerprint, actor, answer, expires) \
     SELECT name, fingerprint, actor, answer, expires FROM {claims} AS v",
    "INSERT INTO claims (name, fingerprint, actor, answer, expires) VALUES (?1, ?2, ?3, ?4, ?5)",
);
static TRACE: Wording = Wording::fixed(
    "INSERT INTO traces (actor, trace, at) SELECT actor, trace, at FROM {traces} AS v",
    "INSERT INTO traces (actor, trace, at) VALUES (?1, ?2, ?3)",
);
static INHERIT_TRACE: Wording = Wording::fixed(
    "INSERT INTO traces (actor, trace, at) \
     SELECT v.actor, t.trace, v.at FROM {heirs} AS v JOIN traces AS t ON t.actor = v.sender",
    "INSERT INTO traces (actor, trace, at) SELECT ?1, trace, ?3 FROM traces WHERE actor = ?2",
);
static WRITE_ENTRY: Wording = Wording::fixed(
    "INSERT INTO journal (actor, version, message_id, verdict, reason, body, now, schema) \
     SELECT actor, version, message_id, verdict, reason, body, now, schema FROM {journal} AS v",
    "INSERT INTO journal (actor, version, message_id, verdict, reason, body, now, schema) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
);
static SETTLE: Wording = Wording::fixed(
    "DELETE FROM outbox WHERE id IN (SELECT id FROM {settled} AS v)",
    "DELETE FROM outbox WHERE id = ?1",
);
static POST: Wording = Wording::fixed(
    "INSERT INTO outbox (id, target, partition, lane, due, body, schema, deaths, turn, created_at) \
     SELECT id, target, partition, lane, due, body, schema, deaths, turn, created_at FROM {posts} AS v",
    "INSERT INTO outbox (id, target, partition, lane, due, body, schema, deaths, turn, created_at) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
);
/// Few rows are parked, if any, and many are born: the comparison starts the search in the index of the parked, and
/// the expression keeps it from looking there for each that is born.
static UNPARK: Wording = Wording::fixed(
    "UPDATE outbox SET parked = 0 \
     WHERE parked = 1 AND target > '' AND target || '' IN (SELECT target FROM {born} AS v)",
    UNPARK_EACH,
);
/// [`UNPARK`] in a script that settles: see [`effects`].
static UNPARK_BUT_SETTLED: Wording = Wording::fixed(
    "UPDATE outbox SET parked = 0 \
     WHERE parked = 1 AND target > '' AND target || '' IN (SELECT target FROM {born} AS v) \
     AND id NOT IN (SELECT id FROM {settled} AS s)",
    UNPARK_EACH,
);
const UNPARK_EACH: &str = "UPDATE outbox SET parked = 0 WHERE parked = 1 AND target = ?1";

/// A state table with what scripts need of it.
pub(super) struct Shaped {
    pub(super) table: &'static StateTable,
    births: String,
    updates: String,
    fields: Vec<(&'static str, Holds)>,
    birth: Wording,
    update: Wording,
    records: Option<ShapedRecords>,
}

/// A table of records with what scripts need of it.
struct ShapedRecords {
    name: String,
    fields: Vec<(&'static str, Holds)>,
    insert: Wording,
}

impl ShapedRecords {
    fn new(table: &RecordTable) -> Self {
        let mut fields = vec![("id", Holds::Text), ("actor", Holds::Text), ("at", Holds::Integer)];
        fields.extend(table.columns.iter().map(field));
        let names = fields.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let places = (1..=fields.len()).map(|place| format!("?{place}")).collect::<Vec<_>>().join(", ");
        let (name, table) = (format!("records {}", table.table), table.table);
        let insert = Wording {
            all: format!("INSERT INTO {table} ({names}) SELECT {names} FROM {{{name}}} AS v").into(),
            each: format!("INSERT INTO {table} ({names}) VALUES ({places})").into(),
        };
        Self { name, fields, insert }
    }
}

/// A kind's own column as a field that may be null.
fn field(column: &Column) -> (&'static str, Holds) {
    let holds = match column.holds {
        ColumnType::Text => Holds::MaybeText,
        ColumnType::Integer => Holds::MaybeInteger,
    };
    (column.name, holds)
}

impl Shaped {
    pub(super) fn new(table: &'static StateTable) -> Self {
        let mut fields = vec![
            ("id", Holds::Text),
            ("expected", Holds::Integer),
            ("version", Holds::Integer),
            ("status", Holds::Text),
            ("schema", Holds::Integer),
            ("state", Holds::Text),
            ("created_at", Holds::Integer),
            ("updated_at", Holds::Integer),
        ];
        fields.extend(table.columns.iter().map(field));
        let (births, updates) = (format!("births {}", table.table), format!("updates {}", table.table));
        // Each field's name with the parameter that holds it.
        let places = || fields.iter().enumerate().map(|(index, (name, _))| (*name, format!("?{}", index + 1)));
        let list = |parts: Vec<String>| parts.join(", ");
        let stored: Vec<(&str, String)> = places().filter(|(name, _)| *name != "expected").collect();
        let changed = || stored.iter().filter(|(name, _)| !matches!(*name, "id" | "created_at"));
        let of = |wanted: &str| places().find(|(name, _)| *name == wanted).map(|(_, place)| place).unwrap_or_default();
        let name = table.table;
        let names = list(stored.iter().map(|(name, _)| (*name).to_owned()).collect());
        let birth = Wording {
            all: format!("INSERT INTO {name} ({names}) SELECT {names} FROM {{{births}}} AS v").into(),
            each: format!(
                "INSERT INTO {name} ({names}) VALUES ({})",
                list(stored.iter().map(|(_, place)| place.clone()).collect())
            )
            .into(),
        };
        let update = Wording {
            all: format!(
                "UPDATE {name} AS t SET {} FROM {{{updates}}} AS v WHERE t.id = v.id AND t.version = v.expected",
                list(changed().map(|(name, _)| format!("{name} = v.{name}")).collect())
            )
            .into(),
            each: format!(
                "UPDATE {name} SET {} WHERE id = {} AND version = {}",
                list(changed().map(|(name, place)| format!("{name} = {place}")).collect()),
                of("id"),
                of("expected")
            )
            .into(),
        };
        let records = table.records.as_ref().map(ShapedRecords::new);
        Self { table, births, updates, fields, birth, update, records }
    }
}

/// Why a unit can be written by no database, if so: what is checked here would otherwise be stored askew by one of
/// them and refused by the other.
pub(super) fn flaw(unit: &Unit, known: &BTreeMap<&'static str, Shaped>) -> Option<String> {
    let actor = &unit.actor;
    if !known.get(unit.table.kind).is_some_and(|shaped| shaped.table == unit.table) || actor.kind() != unit.table.kind {
        return Some(format!("{actor} has no state table here"));
    }
    if unit.entries.is_empty() {
        return Some(format!("a unit of {actor} holds no decision"));
    }
    let versions = unit.entries.iter().map(|entry| entry.version);
    let beyond = |version: u64| i64::try_from(version).is_err();
    if beyond(unit.expected) || beyond(unit.version()) || !versions.eq(unit.expected + 1..=unit.version()) {
        return Some(format!("the decisions of {actor} on version {} do not follow each other", unit.expected));
    }
    if !fit(&unit.state.cells, unit.table.columns) {
        return Some(format!("the state of {actor} does not fit the columns of `{}`", unit.table.table));
    }
    let columns = unit.table.records.map(|records| records.columns);
    if !unit.records.iter().all(|record| columns.is_some_and(|columns| fit(&record.cells, columns))) {
        return Some(format!("a record of {actor} does not fit the columns of its table"));
    }
    texts(unit)
        .any(|text| text.as_bytes().contains(&0))
        .then(|| format!("a unit of {actor} holds the character U+0000"))
}

fn fit(cells: &[Cell], columns: &[Column]) -> bool {
    let fits = |(cell, column): (&Cell, &Column)| {
        matches!((cell, column.holds), (Cell::Text(_), ColumnType::Text) | (Cell::Integer(_), ColumnType::Integer))
    };
    cells.len() == columns.len() && cells.iter().zip(columns).all(fits)
}

/// Every text a unit brings.
fn texts(unit: &Unit) -> impl Iterator<Item = &str> {
    let entries = unit.entries.iter().flat_map(|entry| {
        let reason = reason(entry).unwrap_or_default();
        [entry.message.as_str(), &*entry.body, reason]
    });
    let posts = unit.posts.iter().flat_map(|post| {
        let turn = post.turn.as_deref().unwrap_or_default();
        [post.id.as_str(), post.to.as_str(), &*post.lane, &*post.body, turn]
    });
    let claim = unit.claim.iter().flat_map(|claim| [&*claim.name, &*claim.fingerprint, &*claim.answer]);
    let recorded = unit.records.iter().flat_map(|record| &record.cells);
    let ids = unit.records.iter().map(|record| record.id.as_str());
    let cells = unit.state.cells.iter().chain(recorded).filter_map(|cell| match cell {
        Cell::Text(text) => text.as_deref(),
        Cell::Integer(_) => None,
    });
    [unit.actor.as_str(), &*unit.state.state]
        .into_iter()
        .chain(entries)
        .chain(posts)
        .chain(claim)
        .chain(cells)
        .chain(ids)
        .chain(unit.settled.iter().map(super::MessageId::as_str))
}

/// How many rows a unit writes, and roughly how many bytes.
pub(super) fn weight(unit: &Unit) -> (usize, usize) {
    let beside = unit.posts.len() + unit.records.len() + unit.settled.len() + usize::from(unit.claim.is_some());
    let rows = 1 + unit.entries.len() + beside;
    (rows, texts(unit).map(str::len).sum())
}

/// The script that writes all of `units`, which are of different actors, or fails. Rows go in order of their keys, so
/// that two writers wait for each other rather than in a circle.
pub(super) fn script<'a>(units: &[&'a Unit], known: &'a BTreeMap<&'static str, Shaped>, partitions: u32) -> Script<'a> {
    let mut units = units.to_vec();
    units.sort_unstable_by(|a, b| a.actor.cmp(&b.actor));
    let mut script = Script::default();
    claims(&mut script, &units);
    for shaped in known.values() {
        states(&mut script, &units, shaped);
        records(&mut script, &units, shaped);
    }
    traces(&mut script, &units);
    history(&mut script, &units);
    effects(&mut script, &units, partitions);
    script.fence = fence(&units, partitions);
    script
}

/// Each partition and epoch that something was decided in, once. Two epochs of one partition cannot both be right: the
/// batch is refused, and then it is asked whose fault that is.
fn fence<'a>(units: &[&'a Unit], partitions: u32) -> Option<Source<'a>> {
    let epochs: BTreeSet<(u32, Epoch)> =
        units.iter().filter_map(|unit| Some((partition_of(&unit.actor, partitions), unit.epoch?))).collect();
    if epochs.is_empty() {
        return None;
    }
    let mut rows = Source::new("fence", FENCE);
    for (partition, epoch) in epochs {
        rows.push([Datum::Integer(partition.into()), Datum::Integer(epoch.0)]);
    }
    Some(rows)
}

/// Adds a statement over `rows`, if there are any. `counted`: it must write each of them, no more and no less.
fn add<'a>(script: &mut Script<'a>, rows: Source<'a>, wording: &'a Wording, counted: bool) {
    if !rows.is_empty() {
        script.steps.push(Step { rows, all: &wording.all, each: &wording.each, counted });
    }
}

fn claims<'a>(script: &mut Script<'a>, units: &[&'a Unit]) {
    let mut taken: Vec<_> = units.iter().filter_map(|unit| Some((unit.claim.as_ref()?, &unit.actor))).collect();
    taken.sort_unstable_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    let mut rows = Source::new("claims", CLAIMS);
    for (claim, actor) in taken {
        rows.push([
            Datum::Text(&claim.name),
            Datum::Text(&claim.fingerprint),
            Datum::Text(actor.as_str()),
            Datum::Text(&claim.answer),
            Datum::Integer(claim.expires.0),
        ]);
    }
    add(script, rows, &TAKE_CLAIM, true);
}

fn states<'a>(script: &mut Script<'a>, units: &[&'a Unit], shaped: &'a Shaped) {
    let mut births = Source::new(&shaped.births, &shaped.fields);
    let mut updates = Source::new(&shaped.updates, &shaped.fields);
    for unit in units.iter().filter(|unit| unit.table == shaped.table) {
        let (first, last) = (unit.entries.first(), unit.entries.last());
        let time = |entry: Option<&Entry>| Datum::Integer(entry.map_or(0, |entry| entry.now.0));
        let row = [
            Datum::Text(unit.actor.key()),
            Datum::Integer(unit.expected.cast_signed()),
            Datum::Integer(unit.version().cast_signed()),
            Datum::Text(unit.state.status),
            Datum::Integer(unit.state.schema.into()),
            Datum::Text(&unit.state.state),
            time(first),
            time(last),
        ];
        let cells = unit.state.cells.iter().map(datum);
        let rows = if unit.expected == 0 { &mut births } else { &mut updates };
        rows.push(row.into_iter().chain(cells));
    }
    add(script, births, &shaped.birth, true);
    add(script, updates, &shaped.update, true);
}

/// Whose birth a traced call caused, itself or through another actor.
fn traces<'a>(script: &mut Script<'a>, units: &[&'a Unit]) {
    let (mut called, mut heirs) = (Source::new("traces", TRACES), Source::new("heirs", HEIRS));
    for unit in units {
        let Some(origin) = &unit.origin else { continue };
        let (rows, of) = match origin {
            Origin::Call(trace) => (&mut called, trace.as_str()),
            Origin::Actor(sender) => (&mut heirs, sender.as_str()),
        };
        let at = unit.entries.first().map_or(0, |entry| entry.now.0);
        rows.push([Datum::Text(unit.actor.as_str()), Datum::Text(of), Datum::Integer(at)]);
    }
    add(script, called, &TRACE, true);
    add(script, heirs, &INHERIT_TRACE, false);
}

fn datum(cell: &Cell) -> Datum<'_> {
    match cell {
        Cell::Text(text) => text.as_deref().into(),
        Cell::Integer(number) => number.map_or(Datum::Null, Datum::Integer),
    }
}

fn records<'a>(script: &mut Script<'a>, units: &[&'a Unit], shaped: &'a Shaped) {
    let Some(table) = &shaped.records else { return };
    let mut rows = Source::new(&table.name, &table.fields);
    for unit in units.iter().filter(|unit| unit.table == shaped.table) {
        let at = Datum::Integer(unit.entries.last().map_or(0, |entry| entry.now.0));
        for record in &unit.records {
            let row = [Datum::Text(record.id.as_str()), Datum::Text(unit.actor.key()), at];
            rows.push(row.into_iter().chain(record.cells.iter().map(datum)));
        }
    }
    add(script, rows, &table.insert, true);
}

fn history<'a>(script: &mut Script<'a>, units: &[&'a Unit]) {
    let mut rows = Source::new("journal", JOURNAL);
    for unit in units {
        for entry in &unit.entries {
            rows.push([
                Datum::Text(unit.actor.as_str()),
                Datum::Integer(entry.version.cast_signed()),
                Datum::Text(entry.message.as_str()),
                Datum::Text(verdict(entry)),
                reason(entry).into(),
                Datum::Text(&entry.body),
                Datum::Integer(entry.now.0),
                Datum::Integer(unit.state.schema.into()),
            ]);
        }
    }
    add(script, rows, &WRITE_ENTRY, true);
}

/// On PostgreSQL all of this sees the outbox as it was before, and a row is changed once: so a row that is settled is
/// not also called back from parking, and settling comes first, which on SQLite has the same effect.
fn effects<'a>(script: &mut Script<'a>, units: &[&'a Unit], partitions: u32) {
    let mut posts = Source::new("posts", POSTS);
    let mut settled = Source::new("settled", SETTLED);
    let mut born = Source::new("born", BORN);
    for unit in units {
        let decided = unit.entries.last().map_or(0, |entry| entry.now.0);
        for post in &unit.posts {
            posts.push([
                Datum::Text(post.id.as_str()),
                Datum::Text(post.to.as_str()),
                Datum::Integer(partition_of(&post.to, partitions).into()),
                Datum::Text(&post.lane),
                Datum::Integer(post.due.0),
                Datum::Text(&post.body),
                Datum::Integer(post.schema.into()),
                Datum::Integer(post.deaths.into()),
                post.turn.as_deref().into(),
                Datum::Integer(decided),
            ]);
        }
        for message in &unit.settled {
            settled.push([Datum::Text(message.as_str())]);
        }
        if unit.expected == 0 {
            born.push([Datum::Text(unit.actor.as_str())]);
        }
    }
    let unpark = if settled.is_empty() { &UNPARK } else { &UNPARK_BUT_SETTLED };
    add(script, settled, &SETTLE, false);
    add(script, posts, &POST, true);
    add(script, born, unpark, false);
}

fn verdict(entry: &Entry) -> &'static str {
    match entry.verdict {
        Verdict::Applied => "applied",
        Verdict::Refused(_) => "refused",
        Verdict::Ignored => "ignored",
    }
}

fn reason(entry: &Entry) -> Option<&str> {
    match &entry.verdict {
        Verdict::Refused(reason) => Some(reason),
        Verdict::Applied | Verdict::Ignored => None,
    }
}

/// What a script may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

/// Takes from the front of `waiting` what may share a transaction: within the limits (but at least one unit), no actor
/// twice and no claim twice. What it passes over stays, in order.
pub(super) fn take_round(units: &[std::sync::Arc<Unit>], waiting: &mut Vec<usize>, limits: Limits) -> Vec<usize> {
    let (mut actors, mut names) = (std::collections::HashSet::<&Address>::new(), std::collections::HashSet::new());
    let (mut rows, mut bytes, mut full) = (0, 0, false);
    let mut round = Vec::new();
    waiting.retain(|&index| {
        let unit = &*units[index];
        let weight = weight(unit);
        let fits = round.is_empty() || (rows + weight.0 <= limits.rows && bytes + weight.1 <= limits.bytes);
        full |= !fits;
        let claimed = unit.claim.as_ref().is_some_and(|claim| !names.insert(&claim.name));
        if full || !actors.insert(&unit.actor) || claimed {
            actors.insert(&unit.actor);
            return true;
        }
        (rows, bytes) = (rows + weight.0, bytes + weight.1);
        round.push(index);
        false
    });
    round
}
