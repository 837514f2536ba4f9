//! A journal to test, and units to commit to it.

use std::sync::Arc;
use std::time::Duration;

use mixvideo::domain::{Address, EffectNo, Timestamp, Verdict};
use mixvideo::runtime::journal::{
    Cell, Claim, Column, ColumnType, DECIDE, Entry, Envelope, Journal, MessageId, Options, Outcome, Record,
    RecordTable, StateRow, StateTable, Unit, migrate,
};
use mixvideo::runtime::retry::Policy;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};

use crate::postgres;

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// Makes a test on each database of each function: `name(backend: Backend)`.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::journal::fixture::Backend::Sqlite).await;
            })+
        }
        mod postgresql {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::journal::fixture::Backend::Postgres).await;
            })+
        }
    };
}
pub(crate) use on_both;

pub const PARTITIONS: u32 = 4;

const fn column(name: &'static str, holds: ColumnType) -> Column {
    Column { name, holds }
}

/// A kind with a column of each type; its database refuses names of more than 20 characters.
pub static VESSELS: StateTable = StateTable {
    kind: "vessel",
    table: "vessels",
    columns: &[column("name", ColumnType::Text), column("weight", ColumnType::Integer)],
    records: Some(RecordTable {
        table: "logbook",
        columns: &[column("port", ColumnType::Text), column("cargo", ColumnType::Integer)],
    }),
};

/// A second kind, without columns of its own.
pub static HARBOURS: StateTable = StateTable { kind: "harbour", table: "harbours", columns: &[], records: None };

/// An opened journal on a database of its own.
pub struct Fixture {
    pub journal: Journal,
    pub options: Options,
    /// Holds the SQLite file; removed with the fixture.
    _directory: Option<tempfile::TempDir>,
}

impl Fixture {
    pub async fn new(backend: Backend) -> Self {
        let directory = (backend == Backend::Sqlite).then(|| tempfile::tempdir().unwrap());
        let url = match &directory {
            Some(directory) => format!("sqlite://{}/deep/er/test.db", directory.path().display()),
            None => postgres::database().await,
        };
        Self::at(url, directory).await
    }

    pub async fn at(url: String, directory: Option<tempfile::TempDir>) -> Self {
        let mut options = Options::new(url);
        options.patience = Policy { first_ms: 5, longest_ms: 100, give_up_after_ms: 20_000 };
        options.attempt_limit = Duration::from_secs(10);
        migrate(&options.url).await.unwrap();
        let database = Database::connect(&options.url).await.unwrap();
        let common = "id TEXT NOT NULL PRIMARY KEY, version BIGINT NOT NULL, status TEXT NOT NULL, \
                      schema BIGINT NOT NULL, state TEXT NOT NULL, created_at BIGINT NOT NULL, \
                      updated_at BIGINT NOT NULL";
        for sql in [
            format!("CREATE TABLE vessels ({common}, name TEXT CHECK (length(name) <= 20), weight BIGINT)"),
            format!("CREATE TABLE harbours ({common})"),
            "CREATE TABLE logbook (id TEXT NOT NULL PRIMARY KEY, actor TEXT NOT NULL, at BIGINT NOT NULL, port TEXT, \
             cargo BIGINT CHECK (cargo < 1000))"
                .to_owned(),
        ] {
            database.execute_unprepared(&sql).await.unwrap();
        }
        database.close().await.unwrap();
        let journal = open(&options).await;
        Self { journal, options, _directory: directory }
    }

    /// A connection beside the journal's.
    pub async fn beside(&self) -> DatabaseConnection {
        Database::connect(&self.options.url).await.unwrap()
    }

    pub async fn commit(&self, units: impl IntoIterator<Item = Unit>) -> Vec<Outcome> {
        self.journal.commit(units.into_iter().map(Arc::new).collect()).await
    }

    /// Commits a unit that must win.
    pub async fn win(&self, unit: Unit) {
        assert_eq!(self.commit([unit]).await, [Outcome::Won]);
    }

    /// The journal's versions and messages of an actor.
    pub async fn history(&self, actor: &Address) -> Vec<(u64, String)> {
        let history = self.journal.history(actor, 0, 1_000).await.unwrap();
        history.into_iter().map(|past| (past.entry.version, past.entry.message.to_string())).collect()
    }

    pub async fn version(&self, actor: &Address) -> Option<u64> {
        let loaded = self.journal.load(std::slice::from_ref(actor)).await.unwrap();
        loaded.get(actor).map(|stored| stored.version)
    }

    /// The ids of everything in the outbox, by a look of its own.
    pub async fn outbox(&self) -> Vec<String> {
        self.texts("SELECT id FROM outbox ORDER BY id").await
    }

    /// The first column of a query.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let database = self.beside().await;
        let statement = sea_orm::Statement::from_string(database.get_database_backend(), sql);
        let rows = database.query_all_raw(statement).await.unwrap();
        let texts = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
        database.close().await.unwrap();
        texts
    }
}

pub async fn open(options: &Options) -> Journal {
    Journal::open(options, &[&VESSELS, &HARBOURS], PARTITIONS).await.unwrap()
}

pub fn vessel(key: &str) -> Address {
    Address::new("vessel", key)
}

pub fn harbour(key: &str) -> Address {
    Address::new("harbour", key)
}

pub fn id(text: &str) -> MessageId {
    MessageId::from(text)
}

/// Decisions about `messages`, made on version `expected` of `actor`; nothing else happens.
pub fn unit(actor: &Address, expected: u64, messages: &[&str]) -> Unit {
    let entries: Vec<Entry> = messages
        .iter()
        .zip(expected + 1..)
        .map(|(message, version)| Entry {
            version,
            message: id(message),
            body: format!("{{\"said\":\"{message}\"}}").into(),
            verdict: Verdict::Applied,
            now: Timestamp(1_000 + version.cast_signed()),
        })
        .collect();
    let (table, cells) = match actor.kind() {
        "vessel" => (&VESSELS, vec![Cell::Text(Some(format!("of {expected}"))), Cell::Integer(None)]),
        _ => (&HARBOURS, Vec::new()),
    };
    let state = format!("{{\"version\":{}}}", expected + entries.len() as u64);
    let state = StateRow { status: "afloat", schema: 1, state, cells };
    let actor = actor.clone();
    Unit {
        actor,
        table,
        expected,
        entries,
        state,
        posts: Vec::new(),
        records: Vec::new(),
        settled: Vec::new(),
        claim: None,
        origin: None,
        epoch: None,
    }
}

/// A row of the logbook, ordered by the last decision of `unit`.
pub fn record(unit: &Unit, index: u32, port: Option<&str>, cargo: Option<i64>) -> Record {
    let cells = vec![Cell::Text(port.map(str::to_owned)), Cell::Integer(cargo)];
    Record { id: effect(&unit.actor, unit.version(), index), cells }
}

/// The effect at `index` of the decision that made `version` of `actor`.
pub fn effect(actor: &Address, version: u64, index: u32) -> MessageId {
    MessageId::of_effect(actor, EffectNo { version, index })
}

/// A message to `to`, sent by `unit`'s last decision.
pub fn post(unit: &Unit, index: u32, to: &Address, due: i64) -> Envelope {
    Envelope {
        id: effect(&unit.actor, unit.version(), index),
        to: to.clone(),
        lane: DECIDE.into(),
        due: Timestamp(due),
        body: "{}".into(),
        schema: 3,
        deaths: 0,
        // Every second one says how it waits, so that whatever moves a row is seen to take that along.
        turn: (index % 2 == 1).then(|| "{\"group\":\"crew\"}".into()),
        recovered: false,
    }
}

pub fn claim(name: &str) -> Claim {
    Claim {
        name: name.to_owned(),
        fingerprint: format!("print of {name}"),
        answer: "{\"code\":200}".to_owned(),
        expires: Timestamp(5_000),
    }
}
