//! The two dialects of SQL: everything in which SQLite and PostgreSQL differ, but for the settings of a connection and
//! how a script is written ([`super::sqlite`], [`super::postgres`]).
//!
//! Rows that a statement is about travel as columns, so that its text does not depend on how many there are and is
//! prepared once: as one JSON text on SQLite, as one array a column on PostgreSQL.
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

    pub(super) fn len(&self) -> usize {
        self.fields.len() / self.shape.len()
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &[Datum<'a>]> {
        self.fields.chunks(self.shape.len())
    }
}

impl Dialect {
    pub(super) fn backend(self) -> DbBackend {
        match self {
            Self::Sqlite => DbBackend::Sqlite,
            Self::Postgres => DbBackend::Postgres,
        }
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

    /// Gives each source its place among the parameters.
    pub(super) fn place<'s>(self, sources: impl IntoIterator<Item = &'s Source<'s>>) -> Vec<Placed<'s>> {
        let mut first = 1;
        sources
            .into_iter()
            .map(|source| {
                let table = match self {
                    Self::Sqlite => sqlite_table(source.shape, first),
                    Self::Postgres => postgres_table(source.shape, first),
                };
                let placed = Placed { name: source.name, table, first };
                first += match self {
                    Self::Sqlite => 1,
                    Self::Postgres => source.shape.len(),
                };
                placed
            })
            .collect()
    }

    pub(super) fn bind<'s>(self, sources: impl IntoIterator<Item = &'s Source<'s>>) -> Vec<Value> {
        let sources = sources.into_iter();
        match self {
            Self::Sqlite => sources.map(|source| sqlite_rows(source).into()).collect(),
            Self::Postgres => sources.flat_map(postgres_columns).collect(),
        }
    }
}

/// A source with its place among a statement's parameters.
pub(super) struct Placed<'a> {
    name: &'a str,
    table: String,
    /// The number of its first parameter.
    pub(super) first: usize,
}

/// Puts the tables where their names stand.
pub(super) fn fill(sql: &str, placed: &[Placed<'_>]) -> String {
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
