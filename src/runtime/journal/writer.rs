//! Many units in one transaction, and a fair word for each.
//!
//! A round is optimistic: everything is written at once, and any row in the way fails all of it. Only then is it asked
//! who is to blame: units that lost are told so, the rest goes again; where nobody lost, the round is halved until a
//! unit that the database refuses stands alone. When the database did not answer, it is asked what it wrote first.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};

use crate::domain::Address;
use crate::runtime::journal::batch::{self, Limits, Shaped};
use crate::runtime::journal::connect::{Purpose, connect};
use crate::runtime::journal::dialect::{Datum, Dialect, Holds, Shape, Source};
use crate::runtime::journal::error::{Error, Trouble};
use crate::runtime::journal::open::Shared;
use crate::runtime::journal::postgres;
use crate::runtime::journal::sqlite::{Pen, Refusal};
use crate::runtime::journal::{Outcome, Unit, partition_of};
use crate::runtime::lease::Epoch;
use crate::runtime::retry::Delays;

/// What one transaction may hold: a larger one would make its neighbours wait for no gain.
const LIMITS: Limits = Limits { rows: 1_000, bytes: 4 * 1024 * 1024 };
/// A lone unit that failed without a reason to be found may have met a row that is gone by now: it is tried again.
const LONE_ATTEMPTS: u32 = 3;

const MESSAGE: Shape<'static> = &[("actor", Holds::Text), ("message_id", Holds::Text)];
const KEY: Shape<'static> = &[("id", Holds::Text)];

/// Writes units over connections of its own.
pub(super) struct Writer {
    shared: Arc<Shared>,
    /// For scripts on SQLite.
    pen: Option<Pen>,
    /// For scripts on PostgreSQL, and for questions.
    connection: Option<DatabaseConnection>,
}

/// Units that share a transaction.
struct Group {
    members: Vec<usize>,
    attempts: u32,
    /// Whether an earlier attempt may have been written.
    unknown: bool,
    /// The waits left while the database is away or contended; started with the first.
    patience: Option<Delays>,
}

impl Group {
    fn new(members: Vec<usize>, unknown: bool) -> Self {
        Self { members, attempts: 0, unknown, patience: None }
    }
}

/// How a group stands after an attempt.
enum Standing {
    /// Every unit has its outcome.
    Decided,
    /// The database refuses what is left; `progress` when some of the group have their outcome by now.
    Refused { progress: bool, cause: String },
    /// What is left may be tried again later.
    Unanswered(String),
}

/// Why an attempt failed.
struct Failed {
    trouble: Trouble,
    cause: String,
}

impl Failed {
    fn away(cause: String) -> Self {
        Self { trouble: Trouble::Away, cause }
    }
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self { trouble: refusal.trouble(), cause: refusal.to_string() }
    }
}

impl From<DbErr> for Failed {
    fn from(error: DbErr) -> Self {
        Self { trouble: Trouble::of(&error), cause: error.to_string() }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::away(match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        })
    }
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, pen: None, connection: None }
    }

    /// Another writer to the same database, over connections of its own.
    pub(super) fn renewed(&self) -> Self {
        Self::new(Arc::clone(&self.shared))
    }

    /// One outcome per unit, in order.
    pub(super) async fn commit(&mut self, units: &[Arc<Unit>]) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> =
            units.iter().map(|unit| batch::flaw(unit, &self.shared.tables).map(Outcome::Rejected)).collect();
        let mut waiting: Vec<usize> = (0..units.len()).filter(|&index| outcomes[index].is_none()).collect();
        while !waiting.is_empty() {
            let round = batch::take_round(units, &mut waiting, LIMITS);
            if let Some(cause) = self.round(units, round, &mut outcomes).await {
                // Whoever comes later would wait as long for nothing.
                for index in waiting.drain(..) {
                    outcomes[index] = Some(Outcome::Unavailable(cause.clone()));
                }
            }
        }
        let undecided = || Outcome::Unavailable("the unit was passed over".to_owned());
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(undecided)).collect()
    }

    /// How long to wait before a group is tried again; `None` when patience ran out. Once the database has been away for
    /// longer than that, each further group has one attempt: its callers need not wait out what others have.
    fn next_delay(&self, group: &mut Group) -> Option<Duration> {
        let patience = self.shared.options.patience;
        let limit = Duration::from_millis(patience.give_up_after_ms);
        if self.shared.away_since().is_some_and(|since| since.elapsed() >= limit) {
            return None;
        }
        group.patience.get_or_insert_with(|| patience.delays()).next()
    }

    /// Decides every unit of a round. `Some` when patience ran out.
    async fn round(
        &mut self,
        units: &[Arc<Unit>],
        round: Vec<usize>,
        outcomes: &mut [Option<Outcome>],
    ) -> Option<String> {
        let mut given_up = None;
        let mut groups = vec![Group::new(round, false)];
        while let Some(mut group) = groups.pop() {
            if let Some(cause) = &given_up {
                tell(&group.members, outcomes, || Outcome::Unavailable(String::clone(cause)));
                continue;
            }
            match self.advance(units, &mut group, outcomes).await {
                Standing::Decided => {}
                Standing::Refused { progress, cause } => refused(group, progress, cause, outcomes, &mut groups),
                Standing::Unanswered(cause) => match self.next_delay(&mut group) {
                    Some(delay) => {
                        tracing::warn!(cause, delay_ms = delay.as_millis(), "a commit is tried again");
                        tokio::time::sleep(delay).await;
                        groups.push(group);
                    }
                    None => {
                        tell(&group.members, outcomes, || Outcome::Unavailable(cause.clone()));
                        given_up = Some(cause);
                    }
                },
            }
        }
        given_up
    }

    /// One attempt with a group: tells the outcomes that are known after it, and leaves the others in the group.
    async fn advance(&mut self, units: &[Arc<Unit>], group: &mut Group, outcomes: &mut [Option<Outcome>]) -> Standing {
        let members: Vec<&Unit> = group.members.iter().map(|&index| &*units[index]).collect();
        let attempt = self.attempt(&members).await;
        let is_away = |failed: &Failed| failed.trouble == Trouble::Away;
        self.shared.note_answer(!attempt.as_ref().is_err_and(is_away));
        let Err(failed) = attempt else {
            tell(&group.members, outcomes, || Outcome::Won);
            return Standing::Decided;
        };
        group.attempts += 1;
        if failed.trouble == Trouble::Contended {
            return Standing::Unanswered(failed.cause);
        }
        if failed.trouble == Trouble::Away {
            // A connection in the middle of an answer is of no use to the next statement.
            group.unknown = true;
            self.pen = None;
            self.connection = None;
        }
        // After silence this is the reading back; after a refusal, the search for whom it concerns.
        let decided = match self.decided(&members, group.unknown).await {
            Ok(decided) => decided,
            Err(unanswered) => {
                self.connection = None;
                return Standing::Unanswered(unanswered.cause);
            }
        };
        for &index in &group.members {
            outcomes[index] = decided.get(&units[index].actor).cloned();
        }
        group.members.retain(|&index| outcomes[index].is_none());
        match failed.trouble {
            _ if group.members.is_empty() => Standing::Decided,
            Trouble::Data => Standing::Refused { progress: !decided.is_empty(), cause: failed.cause },
            Trouble::Away | Trouble::Contended => Standing::Unanswered(failed.cause),
        }
    }

    /// Writes all of `units` or nothing; an [`Trouble::Away`] says neither.
    async fn attempt(&mut self, units: &[&Unit]) -> Result<(), Failed> {
        let shared = Arc::clone(&self.shared);
        let script = batch::script(units, &shared.tables, shared.partitions);
        let _turn = shared.turn.lock().await;
        let faults = &shared.options.faults;
        if faults.fail_to_send() {
            return Err(Failed::away("the commit was not sent on purpose".to_owned()));
        }
        match shared.dialect {
            Dialect::Sqlite => self.pen()?.write(&script)?,
            Dialect::Postgres => self.send(postgres::statement(&script)).await?,
        }
        faults.panic();
        if faults.lose_answer() {
            return Err(Failed::away("the answer was lost on purpose".to_owned()));
        }
        Ok(())
    }

    /// Has PostgreSQL carry out a statement and waits for its answer.
    async fn send(&mut self, statement: Statement) -> Result<(), Failed> {
        let limit = self.shared.options.attempt_limit;
        let database = self.connection().await?;
        match tokio::time::timeout(limit, database.query_all_raw(statement)).await {
            Ok(answer) => Ok(answer.map(drop)?),
            Err(_) => Err(Failed::away(format!("no answer to a commit within {} ms", limit.as_millis()))),
        }
    }

    /// Which of `units`, by actor, are decided already, and how. `unknown`: their own rows count as theirs.
    async fn decided(&mut self, units: &[&Unit], unknown: bool) -> Result<HashMap<Address, Outcome>, Failed> {
        let limit = self.shared.options.attempt_limit;
        match tokio::time::timeout(limit, self.ask(units, unknown)).await {
            Ok(decided) => decided,
            Err(_) => Err(Failed::away(format!("no answer to a question within {} ms", limit.as_millis()))),
        }
    }

    /// Versions are read before messages: a message that is written in between makes its unit a duplicate, which says
    /// more than stale.
    async fn ask(&mut self, units: &[&Unit], unknown: bool) -> Result<HashMap<Address, Outcome>, Failed> {
        let shared = Arc::clone(&self.shared);
        let database = self.connection().await?;
        let versions = versions(database, &shared, units).await?;
        let claims = claims(database, &shared, units).await?;
        let journaled = journaled(database, &shared, units).await?;
        let epochs = epochs(database, &shared, units).await?;
        let mut decided = HashMap::new();
        for unit in units {
            let found = |message: &str| journaled.get(unit.actor.as_str())?.get(message).copied();
            let is_own = |entry: &super::Entry| {
                found(entry.message.as_str()) == Some((entry.version.cast_signed(), entry.now.0))
            };
            let present: Vec<_> = unit
                .entries
                .iter()
                .filter(|entry| found(entry.message.as_str()).is_some())
                .map(|entry| entry.message.clone())
                .collect();
            let claimed = unit.claim.as_ref().and_then(|claim| claims.get(&claim.name));
            let version = versions.get(unit.actor.as_str()).copied().unwrap_or(0);
            let of = |unit: &Unit| partition_of(&unit.actor, shared.partitions);
            let outcome = if unknown && unit.entries.iter().all(is_own) {
                Outcome::Won
            } else if unit.epoch.is_some_and(|epoch| epochs.get(&of(unit)) != Some(&epoch)) {
                Outcome::Fenced
            } else if !present.is_empty() {
                Outcome::Duplicate(present)
            } else if let Some(claimed) = claimed {
                claimed.clone()
            } else if version != unit.expected.cast_signed() {
                Outcome::Stale
            } else {
                continue;
            };
            decided.insert(unit.actor.clone(), outcome);
        }
        Ok(decided)
    }

    /// The pen, made when there is none.
    fn pen(&mut self) -> Result<&Pen, Error> {
        if self.pen.is_none() {
            self.pen = Some(Pen::open(&self.shared.options.url)?);
        }
        Ok(self.pen.as_ref().expect("made just now"))
    }

    /// The connection, made when there is none.
    pub(super) async fn connection(&mut self) -> Result<&DatabaseConnection, Error> {
        if self.connection.is_none() {
            self.connection = Some(connect(&self.shared.options.url, Purpose::Write).await?);
        }
        Ok(self.connection.as_ref().expect("made just now"))
    }

    /// Ends the connections in order; the next use makes others.
    pub(super) async fn close(&mut self) {
        self.pen = None;
        if let Some(connection) = self.connection.take() {
            let _ = connection.close().await;
        }
    }
}

fn tell(members: &[usize], outcomes: &mut [Option<Outcome>], outcome: impl Fn() -> Outcome) {
    for &index in members {
        outcomes[index] = Some(outcome());
    }
}

/// What to do with a group that the database refused: without those that lost it may go through; where nobody lost,
/// the guilty one is in one of the halves.
fn refused(mut group: Group, progress: bool, cause: String, outcomes: &mut [Option<Outcome>], groups: &mut Vec<Group>) {
    match group.members.len() {
        0 => {}
        1 if !progress && group.attempts >= LONE_ATTEMPTS => {
            tell(&group.members, outcomes, || Outcome::Rejected(cause.clone()));
        }
        1 => groups.push(group),
        _ if progress => groups.push(group),
        length => {
            let later = group.members.split_off(length / 2);
            groups.push(Group::new(later, group.unknown));
            groups.push(Group::new(group.members, group.unknown));
        }
    }
}

/// The version of each actor that exists.
async fn versions(
    database: &DatabaseConnection,
    shared: &Shared,
    units: &[&Unit],
) -> Result<HashMap<String, i64>, DbErr> {
    let mut versions = HashMap::new();
    for Shaped { table, .. } in shared.tables.values() {
        let mut keys = Source::new("keys", KEY);
        for unit in units.iter().filter(|unit| unit.table == *table) {
            keys.push([Datum::Text(unit.actor.key())]);
        }
        if keys.is_empty() {
            continue;
        }
        let sql = format!("SELECT id, version FROM {} WHERE id IN (SELECT id FROM {{keys}} AS v)", table.table);
        for row in database.query_all_raw(shared.dialect.query(&sql, &[keys], Vec::new())).await? {
            let key: String = row.try_get_by_index(0)?;
            versions.insert(format!("{}/{key}", table.kind), row.try_get_by_index(1)?);
        }
    }
    Ok(versions)
}

/// The epoch of each partition that one of `units` was decided in the name of.
async fn epochs(database: &DatabaseConnection, shared: &Shared, units: &[&Unit]) -> Result<HashMap<u32, Epoch>, DbErr> {
    let mut epochs = HashMap::new();
    if units.iter().all(|unit| unit.epoch.is_none()) {
        return Ok(epochs);
    }
    let sql = "SELECT partition, epoch FROM partitions";
    for row in database.query_all_raw(shared.dialect.query(sql, &[], Vec::new())).await? {
        let partition: i64 = row.try_get_by_index(0)?;
        epochs.insert(u32::try_from(partition).unwrap_or(u32::MAX), Epoch(row.try_get_by_index(1)?));
    }
    Ok(epochs)
}

/// The claims that are taken, by name, as the outcome for whoever wanted them.
async fn claims(
    database: &DatabaseConnection,
    shared: &Shared,
    units: &[&Unit],
) -> Result<HashMap<String, Outcome>, Failed> {
    let mut names = Source::new("names", KEY);
    for claim in units.iter().filter_map(|unit| unit.claim.as_ref()) {
        names.push([Datum::Text(&claim.name)]);
    }
    let mut claims = HashMap::new();
    if names.is_empty() {
        return Ok(claims);
    }
    let sql = "SELECT name, fingerprint, actor, answer FROM claims WHERE name IN (SELECT id FROM {names} AS v)";
    for row in database.query_all_raw(shared.dialect.query(sql, &[names], Vec::new())).await? {
        let name: String = row.try_get_by_index(0)?;
        let actor: String = row.try_get_by_index(2)?;
        let actor = Address::parse(&actor).map_err(|_| Error::Corrupt {
            table: "claims",
            id: name.clone(),
            what: format!("the actor `{actor}`"),
        })?;
        let (fingerprint, answer) = (row.try_get_by_index(1)?, row.try_get_by_index(3)?);
        claims.insert(name, Outcome::Claimed { fingerprint, actor, answer });
    }
    Ok(claims)
}

/// Version and time of each message of `units` that the journal holds, by actor and message.
async fn journaled(
    database: &DatabaseConnection,
    shared: &Shared,
    units: &[&Unit],
) -> Result<HashMap<String, HashMap<String, (i64, i64)>>, DbErr> {
    let mut messages = Source::new("messages", MESSAGE);
    for unit in units {
        for entry in &unit.entries {
            messages.push([Datum::Text(unit.actor.as_str()), Datum::Text(entry.message.as_str())]);
        }
    }
    let sql = "SELECT j.actor, j.message_id, j.version, j.now FROM {messages} AS v \
               JOIN journal AS j ON j.actor = v.actor AND j.message_id = v.message_id";
    let mut journaled: HashMap<String, HashMap<String, (i64, i64)>> = HashMap::new();
    for row in database.query_all_raw(shared.dialect.query(sql, &[messages], Vec::new())).await? {
        let place = (row.try_get_by_index(2)?, row.try_get_by_index(3)?);
        journaled.entry(row.try_get_by_index(0)?).or_default().insert(row.try_get_by_index(1)?, place);
    }
    Ok(journaled)
}
