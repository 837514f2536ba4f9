//! The rows of nodes and partitions in PostgreSQL, and the few statements that change them.
//!
//! Each statement stands for itself, so that a renewal holds no lock while something else is claimed; a round that stops
//! half-way is as good as one that was never answered. Only the database's clock is read here.

use std::str::FromStr;
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgRow};
use sea_orm::sqlx::{self, Connection as _, PgConnection, Row as _};
use tokio::time::timeout;

use super::planner::{Answer, Release, Round, Standing};
use super::{Epoch, Identity, Limits, Node, NodeId, Ownership, View};

/// Where nodes tell each other that something was released, or that they came or went.
pub const CHANNEL: &str = "mixvideo_leases";
/// A round that takes longer has failed.
const ROUND_LIMIT: Duration = Duration::from_secs(2);
/// For how long a dead node is remembered, in milliseconds.
const REMEMBERED_MS: i64 = 60_000;
/// Now, on the database's clock, in milliseconds.
const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::int8";

/// The rows of leases could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database's answer.
    #[error("the leases in the database cannot be read or written")]
    Database(#[from] sqlx::Error),
    /// It takes too long.
    #[error("the database does not say within {} s what became of the leases", ROUND_LIMIT.as_secs())]
    TooSlow,
    /// The system gives no thread.
    #[error("the thread that keeps the leases cannot be started")]
    Thread(#[source] std::io::Error),
}

/// The leases of one database, for one node.
pub struct Store {
    options: PgConnectOptions,
    me: Identity,
    limits: Limits,
    connection: Option<PgConnection>,
    /// How the others know this node to stand.
    known_as: Option<Standing>,
}

impl Store {
    /// The leases at `url`, and a row for each of `partitions` partitions.
    ///
    /// # Errors
    /// [`Error`] when the database cannot be reached.
    pub async fn open(url: &str, me: Identity, limits: Limits, partitions: u32) -> Result<Self, Error> {
        let options = PgConnectOptions::from_str(url)?.application_name("mixvideo leases");
        let mut store = Self { options, me, limits, connection: None, known_as: None };
        let missing = format!(
            "INSERT INTO partitions (partition, owner, epoch, lease_until, since, generation) \
             SELECT number, NULL, 0, 0, {NOW}, 0 FROM generate_series(0, $1 - 1) AS number ON CONFLICT DO NOTHING"
        );
        let connection = store.connection().await?;
        within(sqlx::query(sqlx::AssertSqlSafe(missing)).bind(i64::from(partitions)).execute(connection)).await?;
        Ok(store)
    }

    /// Carries out a round.
    ///
    /// # Errors
    /// [`Error`]; what was done of it is not known.
    pub async fn round(&mut self, round: &Round) -> Result<Answer, Error> {
        let answer = timeout(ROUND_LIMIT, self.carry_out(round)).await.unwrap_or(Err(Error::TooSlow));
        if answer.is_err() {
            self.connection = None;
        }
        answer
    }

    async fn carry_out(&mut self, round: &Round) -> Result<Answer, Error> {
        let stands_anew = self.known_as != Some(round.standing);
        let (me, lease_ms) = (self.me.clone(), self.limits.lease_ms);
        let connection = self.connection().await?;
        stand(connection, &me, lease_ms, round.standing).await?;
        let renewed = renew(connection, &me.id, lease_ms, &round.renew).await?;
        release(connection, &me.id, &round.release).await?;
        let claimed = claim(connection, &me.id, lease_ms, &round.claim).await?;
        if stands_anew || !round.release.is_empty() {
            let notify = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(&*me.id.0);
            notify.execute(&mut *connection).await?;
        }
        let view = view(connection).await?;
        self.known_as = Some(round.standing);
        Ok(Answer { renewed, claimed, view })
    }

    async fn connection(&mut self) -> Result<&mut PgConnection, Error> {
        if self.connection.is_none() {
            self.connection = Some(within(PgConnection::connect_with(&self.options)).await?);
        }
        Ok(self.connection.as_mut().expect("made just now"))
    }

    /// Ends its connection; the next round makes another one.
    pub fn disconnect(&mut self) {
        self.connection = None;
    }

    /// How to connect to the same database.
    pub fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }
}

async fn within<T>(answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Error> {
    Ok(timeout(ROUND_LIMIT, answer).await.map_err(|_| Error::TooSlow)??)
}

/// Says how the node stands, and forgets those that died long ago.
async fn stand(db: &mut PgConnection, me: &Identity, lease_ms: i64, standing: Standing) -> Result<(), Error> {
    if standing == Standing::Gone {
        sqlx::query("DELETE FROM nodes WHERE id = $1").bind(&*me.id.0).execute(db).await?;
        return Ok(());
    }
    let sql = format!(
        "WITH gone AS (DELETE FROM nodes WHERE id IN (SELECT id FROM nodes WHERE lease_until < {NOW} - $7 AND id <> $1 \
         FOR UPDATE SKIP LOCKED)) \
         INSERT INTO nodes (id, host, pid, generation, since, lease_until, draining) \
         VALUES ($1, $2, $3, $4, {NOW}, {NOW} + $5, $6) \
         ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until, draining = excluded.draining"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(&*me.id.0)
        .bind(&me.host)
        .bind(i64::from(me.pid))
        .bind(i64::from(me.generation))
        .bind(lease_ms)
        .bind(i64::from(standing == Standing::Draining))
        .bind(REMEMBERED_MS)
        .execute(db)
        .await?;
    Ok(())
}

async fn renew(db: &mut PgConnection, me: &NodeId, lease_ms: i64, held: &[(u32, Epoch)]) -> Result<Vec<u32>, Error> {
    if held.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "UPDATE partitions AS p SET lease_until = {NOW} + $2 FROM UNNEST($3::int8[], $4::int8[]) AS v(partition, epoch) \
         WHERE p.partition = v.partition AND p.epoch = v.epoch AND p.owner = $1 RETURNING p.partition"
    );
    let (partitions, epochs) = columns(held);
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(&*me.0).bind(lease_ms).bind(partitions).bind(epochs);
    rows.fetch_all(db).await?.iter().map(|row| number(row, 0)).collect()
}

async fn release(db: &mut PgConnection, me: &NodeId, released: &[Release]) -> Result<(), Error> {
    if released.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "UPDATE partitions AS p SET owner = NULL, lease_until = 0, since = {NOW}, \
         generation = GREATEST(p.generation, v.generation) \
         FROM UNNEST($2::int8[], $3::int8[], $4::int8[]) AS v(partition, epoch, generation) \
         WHERE p.partition = v.partition AND p.epoch = v.epoch AND p.owner = $1"
    );
    let held: Vec<_> = released.iter().map(|release| (release.partition, release.epoch)).collect();
    let (partitions, epochs) = columns(&held);
    let generations: Vec<i64> = released.iter().map(|release| i64::from(release.generation)).collect();
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(&*me.0)
        .bind(partitions)
        .bind(epochs)
        .bind(generations)
        .execute(db)
        .await?;
    Ok(())
}

/// The rows arbitrate: of two that claim the same, the second finds another epoch.
async fn claim(
    db: &mut PgConnection,
    me: &NodeId,
    lease_ms: i64,
    wanted: &[(u32, Epoch)],
) -> Result<Vec<(u32, Epoch)>, Error> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "UPDATE partitions AS p SET owner = $1, epoch = p.epoch + 1, lease_until = {NOW} + $2, since = {NOW} \
         FROM UNNEST($3::int8[], $4::int8[]) AS v(partition, epoch) \
         WHERE p.partition = v.partition AND p.epoch = v.epoch \
         AND (p.owner IS NULL OR p.owner = $1 OR p.lease_until <= {NOW}) RETURNING p.partition, p.epoch"
    );
    let (partitions, epochs) = columns(wanted);
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(&*me.0).bind(lease_ms).bind(partitions).bind(epochs);
    rows.fetch_all(db).await?.iter().map(|row| Ok((number(row, 0)?, Epoch(row.try_get(1)?)))).collect()
}

/// Everything as it stands.
pub(super) async fn view(db: &mut PgConnection) -> Result<View, Error> {
    let sql = format!(
        "SELECT id, host, pid, generation, {NOW} - since, lease_until - {NOW}, draining FROM nodes ORDER BY id"
    );
    let nodes = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut *db).await?;
    let sql = format!(
        "SELECT partition, owner, epoch, lease_until - {NOW}, {NOW} - since, generation FROM partitions \
         ORDER BY partition"
    );
    let partitions = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut *db).await?;
    Ok(View {
        nodes: nodes.iter().map(node).collect::<Result<_, _>>()?,
        partitions: partitions.iter().map(ownership).collect::<Result<_, _>>()?,
    })
}

fn node(row: &PgRow) -> Result<Node, Error> {
    let id = NodeId(row.try_get::<String, _>(0)?.into());
    let identity = Identity { id, host: row.try_get(1)?, pid: number(row, 2)?, generation: number(row, 3)? };
    let draining = row.try_get::<i64, _>(6)? != 0;
    Ok(Node { identity, up_ms: row.try_get(4)?, lease_left_ms: row.try_get(5)?, draining })
}

fn ownership(row: &PgRow) -> Result<Ownership, Error> {
    Ok(Ownership {
        partition: number(row, 0)?,
        owner: row.try_get::<Option<String>, _>(1)?.map(|id| NodeId(id.into())),
        epoch: Epoch(row.try_get(2)?),
        lease_left_ms: row.try_get(3)?,
        since_ms: row.try_get(4)?,
        generation: number(row, 5)?,
    })
}

/// A column that is only ever written from a `u32`.
fn number(row: &PgRow, column: usize) -> Result<u32, Error> {
    Ok(u32::try_from(row.try_get::<i64, _>(column)?).unwrap_or(u32::MAX))
}

fn columns(held: &[(u32, Epoch)]) -> (Vec<i64>, Vec<i64>) {
    held.iter().map(|(partition, epoch)| (i64::from(*partition), epoch.0)).unzip()
}
