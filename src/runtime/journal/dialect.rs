//! The two dialects of SQL: everything in which SQLite and PostgreSQL differ, but for the settings of a connection.
//!
//! A [`Script`] is written once. Its rows travel as columns, so that its text does not depend on how many there are
//! and is prepared once: as one JSON text a source and its number of rows on SQLite, as one array a column on
//! PostgreSQL. A script is one
//! transaction and one trip: several statements in one text on SQLite, one statement of many parts on PostgreSQL.
//!
//! Parameters are written `$1`, `$2` on both. On SQLite these are names: with `?2`, sqlx would count the parameters of
//! the statements before it in the same text, and bind nothing, silently, once they add up to too many.

use std::fmt::Write as _;

use sea_orm::sea_query::ArrayType;
use sea_orm::{DbBackend, Statement, Value};

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

/// What a field of a row holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Text,
    Integer,
    MaybeText,
    MaybeInteger,
}

/// One field of a row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Datum<'a> {
    Text(&'a str),
    Integer(i64),
    Null,
}

impl<'a> From<Option<&'a str>> for Datum<'a> {
    fn from(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }
}

/// The names and kinds of a row's fields.
pub(super) type Shape<'a> = &'a [(&'static str, Holds)];

/// Rows bound to a script under a name.
pub(super) struct Source<'a> {
    name: &'a str,
    shape: Shape<'a>,
    fields: Vec<Datum<'a>>,
}

impl<'a> Source<'a> {
    pub(super) fn new(name: &'a str, shape: Shape<'a>) -> Self {
        Self { name, shape, fields: Vec::new() }
    }

    /// Adds a row: as many fields as the shape has.
    pub(super) fn push(&mut self, row: impl IntoIterator<Item = Datum<'a>>) {
        self.fields.extend(row);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    fn rows(&self) -> impl Iterator<Item = &[Datum<'a>]> {
        self.fields.chunks(self.shape.len())
    }
}

/// A statement of a script. `{name}` stands for the source of that name, as a table in parentheses.
pub(super) struct Step {
    pub(super) sql: String,
    /// The source whose every row the statement must write, no more and no less: anything else undoes the script. Its
    /// first field is a text.
    pub(super) hits: Option<String>,
    /// Whether the statement ends with a WHERE that more can be added to.
    pub(super) is_filtered: bool,
}

/// Statements that are carried out together or not at all.
#[derive(Default)]
pub(super) struct Script<'a> {
    pub(super) sources: Vec<Source<'a>>,
    pub(super) steps: Vec<Step>,
}

impl Dialect {
    pub(super) fn backend(self) -> DbBackend {
        match self {
            Self::Sqlite => DbBackend::Sqlite,
            Self::Postgres => DbBackend::Postgres,
        }
    }

    /// The whole script as one statement with a transaction of its own.
    pub(super) fn script(self, script: Script<'_>) -> Statement {
        let placed = self.place(&script.sources);
        let sql = match self {
            Self::Sqlite => sqlite_text(&script.steps, &placed),
            Self::Postgres => postgres_text(&script.steps, &placed),
        };
        Statement::from_sql_and_values(self.backend(), sql, self.bind(&script.sources))
    }

    /// A single statement over `sources`; `more` are bound after them and written `{1}`, `{2}`, ...
    pub(super) fn query(self, sql: &str, sources: &[Source<'_>], more: Vec<Value>) -> Statement {
        let placed = self.place(sources);
        let mut sql = fill(sql, &placed);
        let mut values = self.bind(sources);
        for (index, value) in more.into_iter().enumerate() {
            values.push(value);
            sql = sql.replace(&format!("{{{}}}", index + 1), &format!("${}", values.len()));
        }
        Statement::from_sql_and_values(self.backend(), sql, values)
    }

    /// Undoes what a failed script left open. PostgreSQL leaves nothing open: its script is a single statement.
    pub(super) fn undo(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => Some("ROLLBACK"),
            Self::Postgres => None,
        }
    }

    /// Gives each source its place among the parameters.
    fn place<'s>(self, sources: &'s [Source<'_>]) -> Vec<Placed<'s>> {
        let mut first = 1;
        sources
            .iter()
            .map(|source| {
                let table = match self {
                    Self::Sqlite => sqlite_table(source.shape, first),
                    Self::Postgres => postgres_table(source.shape, first),
                };
                let placed = Placed { name: source.name, table, first };
                first += match self {
                    Self::Sqlite => 2,
                    Self::Postgres => source.shape.len(),
                };
                placed
            })
            .collect()
    }

    fn bind(self, sources: &[Source<'_>]) -> Vec<Value> {
        match self {
            Self::Sqlite => {
                let count = |source: &Source<'_>| i64::try_from(source.rows().count()).unwrap_or(i64::MAX);
                sources.iter().flat_map(|source| [sqlite_rows(source).into(), count(source).into()]).collect()
            }
            Self::Postgres => sources.iter().flat_map(postgres_columns).collect(),
        }
    }
}

/// A source with its place among a statement's parameters.
struct Placed<'a> {
    name: &'a str,
    table: String,
    first: usize,
}

/// Puts the tables where their names stand.
fn fill(sql: &str, placed: &[Placed<'_>]) -> String {
    let mut text = String::with_capacity(sql.len() + 256);
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        match after.split_once('}') {
            Some((name, after)) => {
                match placed.iter().find(|source| source.name == name) {
                    Some(source) => text.push_str(&source.table),
                    None => {
                        let _ = write!(text, "{{{name}}}");
                    }
                }
                rest = after;
            }
            None => {
                text.push('{');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

fn place_of(name: &str, placed: &[Placed<'_>]) -> usize {
    placed.iter().find(|source| source.name == name).map_or(0, |source| source.first)
}

/// `IMMEDIATE`, because a transaction that begins with a read cannot always be turned into one that writes.
///
/// Each statement whose rows are counted does something only when the one before it hit all of its own, so that one wrong
/// count makes all that follow wrong. The last count is made an error (a blob larger than SQLite allows), which ends the
/// text before its COMMIT. One question at the end instead of one a statement: every answer wakes the asker.
fn sqlite_text(steps: &[Step], placed: &[Placed<'_>]) -> String {
    let mut text = String::from("BEGIN IMMEDIATE;\n");
    let (counted, free): (Vec<&Step>, Vec<&Step>) = steps.iter().partition(|step| step.hits.is_some());
    for step in free {
        let _ = writeln!(text, "{};", fill(&step.sql, placed));
    }
    let mut before = None;
    for step in counted {
        text.push_str(&fill(&step.sql, placed));
        if let Some(count) = before {
            let and = if step.is_filtered { "AND" } else { "WHERE" };
            let _ = write!(text, " {and} changes() = ${count}");
        }
        text.push_str(";\n");
        before = step.hits.as_deref().map(|name| place_of(name, placed) + 1);
    }
    if let Some(count) = before {
        let _ = writeln!(text, "SELECT CASE WHEN changes() = ${count} THEN 1 ELSE zeroblob(2147483647) END;");
    }
    text.push_str("COMMIT");
    text
}

fn sqlite_table(shape: Shape<'_>, place: usize) -> String {
    let mut text = String::from("(SELECT ");
    for (index, (name, _)) in shape.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let _ = write!(text, "{comma}value->>{index} AS {name}");
    }
    let _ = write!(text, " FROM jsonb_each(${place}))");
    text
}

fn sqlite_rows(source: &Source<'_>) -> String {
    let mut json = Vec::with_capacity(source.fields.len() * 48);
    json.push(b'[');
    for (number, row) in source.rows().enumerate() {
        json.extend_from_slice(if number == 0 { b"[" } else { b",[" });
        for (index, field) in row.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            let written = match field {
                Datum::Text(text) => serde_json::to_writer(&mut json, text),
                Datum::Integer(number) => serde_json::to_writer(&mut json, number),
                Datum::Null => serde_json::to_writer(&mut json, &()),
            };
            written.expect("texts and integers are JSON, and a vector takes them");
        }
        json.push(b']');
    }
    json.push(b']');
    String::from_utf8(json).expect("JSON is UTF-8")
}

/// All parts see the database as it was before the statement, and take effect together. A wrong count divides by
/// zero, which undoes them all.
fn postgres_text(steps: &[Step], placed: &[Placed<'_>]) -> String {
    let mut text = String::from("WITH ");
    let mut counts = String::new();
    for (index, step) in steps.iter().enumerate() {
        let comma = if index == 0 { "" } else { ",\n" };
        let _ = write!(text, "{comma}s{index} AS ({} RETURNING 1)", fill(&step.sql, placed));
        if let Some(name) = &step.hits {
            let place = place_of(name, placed);
            let _ = write!(counts, " AND (SELECT count(*) FROM s{index}) = cardinality(${place}::text[])");
        }
    }
    let _ = write!(text, "\nSELECT 1 / (CASE WHEN TRUE{counts} THEN 1 ELSE 0 END)");
    text
}

/// An array cannot hold a null on its way through sea-orm: a field that may be null travels as a text, `=` and the
/// value, or nothing.
fn postgres_table(shape: Shape<'_>, first: usize) -> String {
    let (mut fields, mut arrays, mut names) = (String::new(), String::new(), String::new());
    for (index, (name, holds)) in shape.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let (field, array) = match holds {
            Holds::Text => ((*name).to_owned(), "text[]"),
            Holds::Integer => ((*name).to_owned(), "int8[]"),
            Holds::MaybeText => (format!("CASE WHEN {name} <> '' THEN substr({name}, 2) END AS {name}"), "text[]"),
            Holds::MaybeInteger => {
                (format!("CASE WHEN {name} <> '' THEN substr({name}, 2)::int8 END AS {name}"), "text[]")
            }
        };
        let _ = write!(fields, "{comma}{field}");
        let _ = write!(arrays, "{comma}${}::{array}", first + index);
        let _ = write!(names, "{comma}{name}");
    }
    format!("(SELECT {fields} FROM UNNEST({arrays}) AS bound({names}))")
}

fn postgres_columns<'s>(source: &'s Source<'_>) -> impl Iterator<Item = Value> + use<'s> {
    source.shape.iter().enumerate().map(move |(index, (_, holds))| {
        let column = source.rows().map(|row| row[index]);
        let (kind, values): (ArrayType, Vec<Value>) = match holds {
            Holds::Text => (ArrayType::String, column.map(text_value).collect()),
            Holds::Integer => (ArrayType::BigInt, column.map(integer_value).collect()),
            Holds::MaybeText | Holds::MaybeInteger => (ArrayType::String, column.map(marked_value).collect()),
        };
        Value::Array(kind, Some(Box::new(values)))
    })
}

fn text_value(field: Datum<'_>) -> Value {
    match field {
        Datum::Text(text) => text.into(),
        Datum::Integer(number) => number.to_string().into(),
        Datum::Null => "".into(),
    }
}

fn integer_value(field: Datum<'_>) -> Value {
    match field {
        Datum::Integer(number) => number.into(),
        Datum::Text(_) | Datum::Null => 0_i64.into(),
    }
}

fn marked_value(field: Datum<'_>) -> Value {
    match field {
        Datum::Text(text) => format!("={text}").into(),
        Datum::Integer(number) => format!("={number}").into(),
        Datum::Null => "".into(),
    }
}
