//! Writes that belong to no unit: setting effects aside and calling them back, parking, and forgetting what is old.

use mixvideo_entities::{claim, dead, outbox, trace};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, ExprTrait, IntoActiveModel,
    QueryFilter, QueryOrder, QuerySelect, SqliteTransactionMode, TransactionOptions, TransactionTrait, Value,
    sea_query::Expr,
};

use crate::domain::{Address, Timestamp};
use crate::runtime::journal::dialect::{Datum, Holds, Shape, Source};
use crate::runtime::journal::error::{Error, Trouble};
use crate::runtime::journal::read::{envelope, remains};
use crate::runtime::journal::{Envelope, Journal, MessageId};
use crate::runtime::lease::Epoch;

const SUSPECT: Shape<'static> = &[("id", Holds::Text)];
const ACTOR: Shape<'static> = &[("actor", Holds::Text)];

/// An effect that was set aside for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// What it was.
    pub envelope: Envelope,
    /// Why it was set aside.
    pub reason: String,
    /// When.
    pub died_at: Timestamp,
}

/// What one call of [`Journal::prune`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pruned {
    /// Journal rows deleted.
    pub rows: u64,
    /// Where the next call goes on; `None` after the last actor.
    pub next: Option<String>,
}

impl Journal {
    /// Sets an effect aside for `reason`. `false` when it is not outstanding.
    ///
    /// # Errors
    /// A write that failed; nothing was moved, or all of it was. [`Error::Fenced`].
    pub async fn quarantine(
        &self,
        effect: &MessageId,
        reason: &str,
        epoch: Option<Epoch>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let written = self.write("set aside", effect.as_str(), async |database| {
            let transaction = database.begin_with_options(writing()).await?;
            let row = outbox::Entity::find_by_id(effect.as_str()).filter(in_epoch(epoch)).one(&transaction).await?;
            let Some(row) = row else {
                return Ok(false);
            };
            let moved = dead::Model {
                id: row.id,
                target: row.target,
                partition: row.partition,
                lane: row.lane,
                due: row.due,
                body: row.body,
                deaths: row.deaths,
                schema: row.schema,
                turn: row.turn,
                reason: reason.replace('\0', "\u{fffd}"),
                died_at: now.0,
            };
            let gone = outbox::Entity::delete_by_id(effect.as_str()).exec(&transaction).await?;
            if gone.rows_affected == 0 {
                return Ok(false);
            }
            dead::Entity::insert(moved.into_active_model()).exec_without_returning(&transaction).await?;
            transaction.commit().await?;
            Ok(true)
        });
        self.or_fenced(written.await?, effect, epoch).await
    }

    /// Effects that were set aside, by id, past `after`.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn dead_list(&self, after: Option<&MessageId>, limit: u64) -> Result<Vec<DeadLetter>, Error> {
        let after = after.map_or("", MessageId::as_str);
        let find = dead::Entity::find().filter(dead::Column::Id.gt(after)).order_by_asc(dead::Column::Id).limit(limit);
        self.read("the dead", find.all(&self.readers)).await?.into_iter().map(letter).collect()
    }

    /// An effect that was set aside.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn dead_show(&self, effect: &MessageId) -> Result<Option<DeadLetter>, Error> {
        let row = self.read("the dead", dead::Entity::find_by_id(effect.as_str()).one(&self.readers)).await?;
        row.map(letter).transpose()
    }

    /// Makes an effect that was set aside outstanding again, under its own id and with a clean record; the envelope is
    /// for the mailbox. `None` when it is not set aside.
    ///
    /// # Errors
    /// A write that failed; nothing was moved, or all of it was.
    pub async fn replay(&self, effect: &MessageId, now: Timestamp) -> Result<Option<Envelope>, Error> {
        let row = self
            .write("replay", effect.as_str(), async |database| {
                let transaction = database.begin_with_options(writing()).await?;
                let Some(row) = dead::Entity::find_by_id(effect.as_str()).one(&transaction).await? else {
                    return Ok(None);
                };
                let gone = dead::Entity::delete_by_id(effect.as_str()).exec(&transaction).await?;
                if gone.rows_affected == 0 {
                    return Ok(None);
                }
                let moved = outbox::Model {
                    id: row.id,
                    target: row.target,
                    partition: row.partition,
                    lane: row.lane,
                    due: row.due,
                    body: row.body,
                    deaths: 0,
                    schema: row.schema,
                    turn: row.turn,
                    parked: 0,
                    // Nothing is remembered of it: its activity may have acted.
                    begun: 1,
                    suspect: 0,
                    created_at: now.0,
                };
                outbox::Entity::insert(moved.clone().into_active_model()).exec_without_returning(&transaction).await?;
                transaction.commit().await?;
                Ok(Some(moved))
            })
            .await?;
        row.map(envelope).transpose()
    }

    /// Forgets an effect that was set aside. `false` when there is none.
    ///
    /// # Errors
    /// A write that failed.
    pub async fn drop_dead(&self, effect: &MessageId) -> Result<bool, Error> {
        self.write("drop", effect.as_str(), async |database| {
            Ok(dead::Entity::delete_by_id(effect.as_str()).exec(database).await?.rows_affected > 0)
        })
        .await
    }

    /// Notes how many deaths of the process count against this effect, before it is tried again; never fewer than are
    /// noted already, so that it may be said twice. It is no suspect any more: should it kill again, its process will say
    /// so. `false` when it is not outstanding.
    ///
    /// # Errors
    /// A write that failed. [`Error::Fenced`].
    pub async fn note_deaths(&self, effect: &MessageId, deaths: u32, epoch: Option<Epoch>) -> Result<bool, Error> {
        let sql = "UPDATE outbox SET suspect = 0, deaths = CASE WHEN deaths < {2} THEN {2} ELSE deaths END \
                   WHERE id = {1}";
        let values = vec![effect.as_str().into(), i64::from(deaths).into()];
        self.mark("note the deaths of", effect, sql, values, epoch).await
    }

    /// Notes that these messages were in hand when a process died, for whoever owns their partitions by then.
    ///
    /// # Errors
    /// A write that failed; asked again, it does the same.
    pub async fn note_suspects(&self, messages: &[MessageId]) -> Result<(), Error> {
        let mut suspects = Source::new("suspects", SUSPECT);
        for message in messages {
            suspects.push([Datum::Text(message.as_str())]);
        }
        if suspects.is_empty() {
            return Ok(());
        }
        self.write("note as suspects", &format!("{} messages", messages.len()), async |database| {
            let sql = "UPDATE outbox SET suspect = 1 WHERE id IN (SELECT id FROM {suspects} AS v)";
            database.execute_raw(self.shared.dialect.query(sql, &[suspects], Vec::new())).await.map(drop)
        })
        .await
    }

    /// Notes that an activity begins to act for this effect. `true` for the first time; `false` when it is noted already
    /// or the effect is not outstanding: then it may have acted before.
    ///
    /// # Errors
    /// A write that failed; whether it is noted is not known. [`Error::Fenced`].
    pub async fn note_begun(&self, effect: &MessageId, epoch: Option<Epoch>) -> Result<bool, Error> {
        let sql = "UPDATE outbox SET begun = 1 WHERE id = {1} AND begun = 0";
        self.mark("note the beginning of", effect, sql, vec![effect.as_str().into()], epoch).await
    }

    /// Changes one row of the outbox in the name of an owner; whether there was one.
    async fn mark(
        &self,
        what: &'static str,
        effect: &MessageId,
        sql: &str,
        values: Vec<Value>,
        epoch: Option<Epoch>,
    ) -> Result<bool, Error> {
        let sql = match epoch {
            None => sql.to_owned(),
            Some(epoch) => format!("{sql} AND {}", fence(epoch)),
        };
        let written = self.write(what, effect.as_str(), async |database| {
            Ok(database.execute_raw(self.shared.dialect.query(&sql, &[], values)).await?.rows_affected() > 0)
        });
        self.or_fenced(written.await?, effect, epoch).await
    }

    /// What was not written may not have been ours to write.
    async fn or_fenced(&self, written: bool, effect: &MessageId, epoch: Option<Epoch>) -> Result<bool, Error> {
        let Some(epoch) = epoch.filter(|_| !written) else { return Ok(written) };
        let sql = format!("SELECT 1 FROM outbox WHERE id = {{1}} AND NOT {}", fence(epoch));
        let statement = self.shared.dialect.query(&sql, &[], vec![effect.as_str().into()]);
        match self.read("the epoch", self.readers.query_one_raw(statement)).await? {
            Some(_) => Err(Error::Fenced { id: effect.as_str().to_owned() }),
            None => Ok(false),
        }
    }

    /// Lets a message wait for the birth of its target, whose commit calls it back. `false` when it is not outstanding
    /// or the target exists by now: it can be handled.
    ///
    /// # Errors
    /// A kind without a table, or a write that failed. [`Error::Fenced`].
    pub async fn park(&self, message: &MessageId, target: &Address, epoch: Option<Epoch>) -> Result<bool, Error> {
        let kind = target.kind();
        let shaped = self.shared.tables.get(kind).ok_or_else(|| Error::UnknownKind(kind.to_owned()))?;
        let sql = format!(
            "UPDATE outbox SET parked = 1 WHERE id = {{1}} AND target = {{2}} \
             AND NOT EXISTS (SELECT 1 FROM {} WHERE id = {{3}})",
            shaped.table.table
        );
        let values = vec![message.as_str().into(), target.as_str().into(), target.key().into()];
        self.mark("park", message, &sql, values, epoch).await
    }

    /// Drops the journals of actors of a kind that have been in one of the statuses `finals` since `before`. Their
    /// state rows stay and refuse late messages. Looks at `limit` actors, those with keys past `after`.
    ///
    /// # Errors
    /// A kind without a table, or a write that failed.
    pub async fn prune(
        &self,
        kind: &str,
        finals: &[&str],
        before: Timestamp,
        after: Option<&str>,
        limit: u64,
    ) -> Result<Pruned, Error> {
        let shaped = self.shared.tables.get(kind).ok_or_else(|| Error::UnknownKind(kind.to_owned()))?;
        let sql = format!(
            "SELECT id, status, updated_at FROM {} WHERE id > {{1}} ORDER BY id LIMIT {{2}}",
            shaped.table.table
        );
        let values = vec![after.unwrap_or_default().into(), limit.cast_signed().into()];
        let statement = self.shared.dialect.query(&sql, &[], values);
        let rows = self.read("what may be pruned", self.readers.query_all_raw(statement)).await?;
        let row = |row: &sea_orm::QueryResult| -> Result<(String, String, i64), DbErr> {
            Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?))
        };
        let seen: Vec<_> = rows
            .iter()
            .map(row)
            .collect::<Result<_, _>>()
            .map_err(|source| Error::Read { what: "what may be pruned", source })?;
        let next = if seen.len() as u64 == limit { seen.last().map(|(id, ..)| id.clone()) } else { None };
        let old: Vec<String> = seen
            .into_iter()
            .filter(|(_, status, at)| *at < before.0 && finals.contains(&status.as_str()))
            .map(|(id, ..)| format!("{kind}/{id}"))
            .collect();
        if old.is_empty() {
            return Ok(Pruned { rows: 0, next });
        }
        Ok(Pruned { rows: self.forget(&old).await?, next })
    }

    /// Drops the journals of actors; how many rows. Their state rows stay and refuse late messages.
    ///
    /// # Errors
    /// A write that failed.
    pub async fn forget(&self, actors: &[String]) -> Result<u64, Error> {
        self.write("prune the journals of", "actors", async |database| {
            let mut source = Source::new("actors", ACTOR);
            for actor in actors {
                source.push([Datum::Text(actor)]);
            }
            let sql = "DELETE FROM journal WHERE actor IN (SELECT actor FROM {actors} AS v)";
            let statement = self.shared.dialect.query(sql, &[source], Vec::new());
            Ok(database.execute_raw(statement).await?.rows_affected())
        })
        .await
    }

    /// Forgets up to `limit` claims that have expired; how many.
    ///
    /// # Errors
    /// A write that failed.
    pub async fn prune_claims(&self, now: Timestamp, limit: u64) -> Result<u64, Error> {
        self.write("prune", "claims", async |database| {
            let expired: Vec<String> = claim::Entity::find()
                .select_only()
                .column(claim::Column::Name)
                .filter(claim::Column::Expires.lte(now.0))
                .limit(limit)
                .into_tuple()
                .all(database)
                .await?;
            if expired.is_empty() {
                return Ok(0);
            }
            let gone = claim::Entity::delete_many()
                .filter(Expr::col(claim::Column::Name).is_in(expired))
                .exec(database)
                .await?;
            Ok(gone.rows_affected)
        })
        .await
    }

    /// Forgets up to `limit` traces of births before `before`; how many.
    ///
    /// # Errors
    /// A write that failed.
    pub async fn prune_traces(&self, before: Timestamp, limit: u64) -> Result<u64, Error> {
        self.write("prune", "traces", async |database| {
            let old: Vec<String> = trace::Entity::find()
                .select_only()
                .column(trace::Column::Actor)
                .filter(trace::Column::At.lt(before.0))
                .limit(limit)
                .into_tuple()
                .all(database)
                .await?;
            if old.is_empty() {
                return Ok(0);
            }
            let gone = trace::Entity::delete_many().filter(Expr::col(trace::Column::Actor).is_in(old)).exec(database);
            Ok(gone.await?.rows_affected)
        })
        .await
    }

    /// Writes in turn with the units, over a connection of its own.
    async fn write<T>(
        &self,
        what: &'static str,
        id: &str,
        work: impl AsyncFnOnce(&DatabaseConnection) -> Result<T, DbErr>,
    ) -> Result<T, Error> {
        let mut writer = self.writer.lock().await;
        let _turn = self.shared.turn.lock().await;
        let limit = self.shared.options.attempt_limit;
        let answer = tokio::time::timeout(limit, work(writer.connection().await?)).await;
        let failed = |source| Error::Write { what, id: id.to_owned(), source };
        match answer {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => {
                if Trouble::of(&error) == Trouble::Away {
                    writer.close().await;
                }
                Err(failed(error))
            }
            Err(_) => {
                writer.close().await;
                Err(Error::TooSlow { what })
            }
        }
    }
}

/// That the partition of a row of the outbox is in this epoch.
fn fence(epoch: Epoch) -> String {
    format!("EXISTS (SELECT 1 FROM partitions AS p WHERE p.partition = outbox.partition AND p.epoch = {})", epoch.0)
}

/// [`fence`], or nothing.
fn in_epoch(epoch: Option<Epoch>) -> Condition {
    epoch.map_or_else(Condition::all, |epoch| Condition::all().add(Expr::cust(fence(epoch))))
}

/// A transaction that will write says so at its begin: SQLite refuses to turn one that has read into one that writes
/// when another process has committed in between.
fn writing() -> TransactionOptions {
    TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate), ..Default::default() }
}

fn letter(row: dead::Model) -> Result<DeadLetter, Error> {
    let envelope = remains(&row)?;
    Ok(DeadLetter { envelope, reason: row.reason, died_at: Timestamp(row.died_at) })
}
