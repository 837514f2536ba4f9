//! Reading the journal. Reads see what is committed, over connections of their own, and take at most a second.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QueryResult, QuerySelect, Value,
    sea_query::Expr,
};

use crate::domain::{Address, Timestamp, Verdict};
use crate::runtime::journal::connect::READ_LIMIT;
use crate::runtime::journal::dialect::{Datum, Holds, Shape, Source};
use crate::runtime::journal::error::Error;
use crate::runtime::journal::{Claim, Entry, Envelope, Journal, MessageId};
use crate::runtime::trace::Trace;
use mixvideo_entities::{claim, dead, journal, outbox, trace};

const KEY: Shape<'static> = &[("id", Holds::Text)];

/// The current state of an actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// How many decisions led to it.
    pub version: u64,
    /// Its name for operators and searches.
    pub status: String,
    /// The schema number of `state`.
    pub schema: u32,
    /// The state as JSON.
    pub state: String,
}

/// A decision as it was journaled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// The decision.
    pub entry: Entry,
    /// The schema number it was written with.
    pub schema: u32,
}

/// Where a page of the outbox ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The last row's due time.
    pub due: Timestamp,
    /// The last row's id.
    pub id: MessageId,
}

/// How much waits in a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneDepth {
    /// The lane.
    pub lane: String,
    /// Rows that wait for their turn or their time.
    pub waiting: u64,
    /// The earliest due time among them.
    pub oldest_due: Option<Timestamp>,
    /// Rows that wait for the birth of their target.
    pub parked: u64,
}

impl Journal {
    /// The current states of those of `actors` that exist: one statement per kind.
    ///
    /// # Errors
    /// A kind without a table, or a read that failed.
    pub async fn load(&self, actors: &[Address]) -> Result<HashMap<Address, Stored>, Error> {
        let mut kinds: BTreeMap<&str, Vec<&Address>> = BTreeMap::new();
        for actor in actors {
            kinds.entry(actor.kind()).or_default().push(actor);
        }
        let mut states = HashMap::with_capacity(actors.len());
        for (kind, actors) in kinds {
            let shaped = self.shared.tables.get(kind).ok_or_else(|| Error::UnknownKind(kind.to_owned()))?;
            let table = shaped.table.table;
            if let Some(lookups) = &self.lookups {
                states.extend(lookups.states(table, &actors)?);
                continue;
            }
            let mut keys = Source::new("keys", KEY);
            for actor in actors {
                keys.push([Datum::Text(actor.key())]);
            }
            let sql = format!(
                "SELECT id, version, status, schema, state FROM {table} WHERE id IN (SELECT id FROM {{keys}} AS v)"
            );
            let statement = self.shared.dialect.query(&sql, &[keys], Vec::new());
            for row in self.read("states", self.readers.query_all_raw(statement)).await? {
                let (key, stored) = stored(&row).map_err(|source| Error::Read { what: "states", source })?;
                states.insert(Address::new(kind, &key), stored);
            }
        }
        Ok(states)
    }

    /// Decisions of an actor past `after_version`, oldest first.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn history(&self, actor: &Address, after_version: u64, limit: u64) -> Result<Vec<Past>, Error> {
        let after = i64::try_from(after_version).unwrap_or(i64::MAX);
        let find = journal::Entity::find()
            .filter(journal::Column::Actor.eq(actor.as_str()))
            .filter(journal::Column::Version.gt(after))
            .order_by_asc(journal::Column::Version)
            .limit(limit);
        self.read("history", find.all(&self.readers)).await?.into_iter().map(past).collect()
    }

    /// What an actor ordered and what is on its way to it, parked or not, by id. Looks through the whole outbox: for
    /// operators, not for a hot path.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn outstanding(&self, actor: &Address, limit: u64) -> Result<Vec<Envelope>, Error> {
        // Effects are named `kind/key:...`, and `;` comes right after `:`.
        let (from, to) = (format!("{actor}:"), format!("{actor};"));
        let ordered = outbox::Entity::find()
            .filter(outbox::Column::Id.gte(from.clone()))
            .filter(outbox::Column::Id.lt(to.clone()))
            .order_by_asc(outbox::Column::Id)
            .limit(limit);
        let received = outbox::Entity::find()
            .filter(outbox::Column::Target.eq(actor.as_str()))
            .order_by_asc(outbox::Column::Id)
            .limit(limit);
        let ordered = self.read("outstanding effects", ordered.all(&self.readers)).await?;
        let received = self.read("outstanding effects", received.all(&self.readers)).await?;
        let rows: BTreeMap<String, outbox::Model> =
            ordered.into_iter().chain(received).map(|row| (row.id.clone(), row)).collect();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        rows.into_values().take(limit).map(envelope).collect()
    }

    /// A page of what is due in a lane of a partition up to `due_before` and not parked, in order of due time and id,
    /// past `after`. All of it says `recovered`.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn sweep(
        &self,
        partition: u32,
        lane: &str,
        due_before: Timestamp,
        after: Option<&Cursor>,
        limit: u64,
    ) -> Result<Vec<Envelope>, Error> {
        let (due, id) = after.map_or((i64::MIN, ""), |cursor| (cursor.due.0, cursor.id.as_str()));
        let values: Vec<Value> = vec![
            i64::from(partition).into(),
            lane.into(),
            due_before.0.into(),
            due.into(),
            id.into(),
            limit.cast_signed().into(),
        ];
        let sql = "SELECT * FROM outbox WHERE partition = {1} AND lane = {2} AND due <= {3} AND (due, id) > ({4}, {5}) \
                   AND parked = 0 ORDER BY due, id LIMIT {6}";
        let find = outbox::Entity::find().from_raw_sql(self.shared.dialect.query(sql, &[], values));
        self.read("the outbox", find.all(&self.readers)).await?.into_iter().map(envelope).collect()
    }

    /// The outstanding messages of these partitions that were in hand when a process died, up to `limit`.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn suspects(&self, partitions: &[u32], limit: u64) -> Result<Vec<Envelope>, Error> {
        let partitions = partitions.iter().map(|partition| i64::from(*partition));
        let find = outbox::Entity::find()
            // Written out: only then is the index of the suspects used.
            .filter(Expr::cust("suspect = 1"))
            .filter(outbox::Column::Partition.is_in(partitions))
            .order_by_asc(outbox::Column::Id)
            .limit(limit);
        self.read("the outbox", find.all(&self.readers)).await?.into_iter().map(envelope).collect()
    }

    /// Those of `effects` that still must happen.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn still_outstanding(&self, effects: &[MessageId]) -> Result<HashSet<MessageId>, Error> {
        let mut keys = Source::new("keys", KEY);
        for effect in effects {
            keys.push([Datum::Text(effect.as_str())]);
        }
        if keys.is_empty() {
            return Ok(HashSet::new());
        }
        let sql = "SELECT id FROM outbox WHERE id IN (SELECT id FROM {keys} AS v)";
        let statement = self.shared.dialect.query(sql, &[keys], Vec::new());
        let rows = self.read("the outbox", self.readers.query_all_raw(statement)).await?;
        let id = |row: &QueryResult| row.try_get_by_index::<String>(0).map(|id| MessageId::from(id.as_str()));
        rows.iter().map(id).collect::<Result<_, _>>().map_err(|source| Error::Read { what: "the outbox", source })
    }

    /// Those of `actors` of which something was set aside.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn with_dead(&self, actors: &[&Address]) -> Result<HashSet<Address>, Error> {
        if let Some(lookups) = &self.lookups {
            return lookups.with_dead(actors);
        }
        let mut targets = Source::new("targets", KEY);
        for actor in actors {
            targets.push([Datum::Text(actor.as_str())]);
        }
        if targets.is_empty() {
            return Ok(HashSet::new());
        }
        let sql = "SELECT DISTINCT target FROM dead WHERE target IN (SELECT id FROM {targets} AS v)";
        let statement = self.shared.dialect.query(sql, &[targets], Vec::new());
        let rows = self.read("the dead", self.readers.query_all_raw(statement)).await?;
        let target = |row: &QueryResult| row.try_get_by_index::<String>(0);
        let targets: Vec<String> = rows
            .iter()
            .map(target)
            .collect::<Result<_, _>>()
            .map_err(|source| Error::Read { what: "the dead", source })?;
        targets.iter().map(|target| address("dead", target, target)).collect()
    }

    /// Whether reading a few actors by their addresses is done at once, on the thread that asks: gathering the reads of
    /// many callers into one statement gains nothing then.
    #[must_use]
    pub const fn reads_at_once(&self) -> bool {
        self.lookups.is_some()
    }

    /// The claim on a name, and the actor that was born with it.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn claim(&self, name: &str) -> Result<Option<(Claim, Address)>, Error> {
        let row = self.read("claims", claim::Entity::find_by_id(name).one(&self.readers)).await?;
        row.map(|row| {
            let actor = address("claims", &row.name, &row.actor)?;
            let claim::Model { name, fingerprint, answer, expires, .. } = row;
            Ok((Claim { name, fingerprint, answer, expires: Timestamp(expires) }, actor))
        })
        .transpose()
    }

    /// The trace of the call that an actor was born in, if that was traced.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn trace_of(&self, actor: &Address) -> Result<Option<Trace>, Error> {
        let row = self.read("traces", trace::Entity::find_by_id(actor.as_str()).one(&self.readers)).await?;
        Ok(row.and_then(|row| Trace::parse(&row.trace)))
    }

    /// Actors that were born in calls of this trace, up to `limit` of them.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn traced(&self, trace: &Trace, limit: u64) -> Result<Vec<Address>, Error> {
        let find = trace::Entity::find().filter(trace::Column::Trace.eq(trace.as_str()));
        let rows = self.read("traces", find.order_by_asc(trace::Column::Actor).limit(limit).all(&self.readers)).await?;
        rows.iter().map(|row| address("traces", &row.actor, &row.actor)).collect()
    }

    /// How many actors of a kind are in each status. Counts every actor: not for a hot path.
    ///
    /// # Errors
    /// A kind without a table, or a read that failed.
    pub async fn counts(&self, kind: &str) -> Result<BTreeMap<String, u64>, Error> {
        let shaped = self.shared.tables.get(kind).ok_or_else(|| Error::UnknownKind(kind.to_owned()))?;
        let sql = format!("SELECT status, count(*) FROM {} GROUP BY status", shaped.table.table);
        let statement = self.shared.dialect.query(&sql, &[], Vec::new());
        let rows = self.read("counts", self.readers.query_all_raw(statement)).await?;
        let count = |row: &QueryResult| Ok((row.try_get_by_index(0)?, row.try_get_by_index::<i64>(1)?.unsigned_abs()));
        rows.iter().map(count).collect::<Result<_, _>>().map_err(|source| Error::Read { what: "counts", source })
    }

    /// How much waits in each lane.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn lanes(&self) -> Result<Vec<LaneDepth>, Error> {
        let sql = "SELECT lane, count(CASE WHEN parked = 0 THEN 1 END), min(CASE WHEN parked = 0 THEN due END), \
                   count(CASE WHEN parked = 1 THEN 1 END) FROM outbox GROUP BY lane ORDER BY lane";
        let statement = self.shared.dialect.query(sql, &[], Vec::new());
        let rows = self.read("lanes", self.readers.query_all_raw(statement)).await?;
        let depth = |row: &QueryResult| {
            Ok(LaneDepth {
                lane: row.try_get_by_index(0)?,
                waiting: row.try_get_by_index::<i64>(1)?.unsigned_abs(),
                oldest_due: row.try_get_by_index::<Option<i64>>(2)?.map(Timestamp),
                parked: row.try_get_by_index::<i64>(3)?.unsigned_abs(),
            })
        };
        rows.iter().map(depth).collect::<Result<_, _>>().map_err(|source| Error::Read { what: "lanes", source })
    }

    /// How many effects are set aside.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn dead_count(&self) -> Result<u64, Error> {
        let statement = self.shared.dialect.query("SELECT count(*) FROM dead", &[], Vec::new());
        let row = self.read("the dead", self.readers.query_one_raw(statement)).await?;
        let count = row.map_or(Ok(0), |row| row.try_get_by_index::<i64>(0));
        count.map(i64::unsigned_abs).map_err(|source| Error::Read { what: "the dead", source })
    }

    /// Reads within the limit. Boxed: callers that rarely ask need not carry the room that a query takes.
    pub(super) fn read<T>(
        &self,
        what: &'static str,
        read: impl Future<Output = Result<T, DbErr>>,
    ) -> impl Future<Output = Result<T, Error>> {
        let read = Box::pin(tokio::time::timeout(READ_LIMIT, read));
        async move {
            match read.await {
                Ok(answer) => answer.map_err(|source| Error::Read { what, source }),
                Err(_) => Err(Error::TooSlow { what }),
            }
        }
    }
}

fn stored(row: &QueryResult) -> Result<(String, Stored), DbErr> {
    let stored = Stored {
        version: row.try_get_by_index::<i64>(1)?.unsigned_abs(),
        status: row.try_get_by_index(2)?,
        schema: number(row.try_get_by_index(3)?),
        state: row.try_get_by_index(4)?,
    };
    Ok((row.try_get_by_index(0)?, stored))
}

fn past(row: journal::Model) -> Result<Past, Error> {
    let verdict = match (row.verdict.as_str(), row.reason) {
        ("applied", _) => Verdict::Applied,
        ("ignored", _) => Verdict::Ignored,
        ("refused", reason) => Verdict::Refused(reason.unwrap_or_default()),
        (other, _) => {
            let id = format!("{} {}", row.actor, row.version);
            return Err(Error::Corrupt { table: "journal", id, what: format!("the verdict `{other}`") });
        }
    };
    let entry = Entry {
        version: row.version.unsigned_abs(),
        message: MessageId(row.message_id.into()),
        body: row.body.into(),
        verdict,
        now: Timestamp(row.now),
    };
    Ok(Past { entry, schema: number(row.schema) })
}

pub(super) fn envelope(row: outbox::Model) -> Result<Envelope, Error> {
    let to = address("outbox", &row.id, &row.target)?;
    Ok(Envelope {
        id: MessageId(row.id.into()),
        to,
        lane: Arc::from(row.lane),
        due: Timestamp(row.due),
        body: row.body.into(),
        schema: number(row.schema),
        deaths: number(row.deaths),
        turn: row.turn.map(Arc::from),
        recovered: true,
    })
}

/// A dead row as the envelope it was.
pub(super) fn remains(row: &dead::Model) -> Result<Envelope, Error> {
    Ok(Envelope {
        id: MessageId::from(row.id.as_str()),
        to: address("dead", &row.id, &row.target)?,
        lane: Arc::from(row.lane.as_str()),
        due: Timestamp(row.due),
        body: row.body.as_str().into(),
        schema: number(row.schema),
        deaths: number(row.deaths),
        turn: row.turn.as_deref().map(Arc::from),
        recovered: true,
    })
}

fn address(table: &'static str, id: &str, text: &str) -> Result<Address, Error> {
    Address::parse(text).map_err(|_| Error::Corrupt { table, id: id.to_owned(), what: format!("the address `{text}`") })
}

/// A small number from a column that is only ever written from a `u32`.
fn number(value: i64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
