//! A rolling restart under load.

use std::collections::BTreeMap;
use std::time::Duration;

use sea_orm::{ConnectionTrait, Statement};

use super::{Cluster, Load, PARTITIONS, partition};
use crate::crash::service::until;

/// How often each partition gets a task.
const EVERY: Duration = Duration::from_millis(500);
/// The longest time without a completion that a partition may have: a second beyond what the load itself leaves.
const PAUSE_MS_MAX: i64 = 1_500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_loses_nothing_and_no_partition_pauses_for_more_than_a_second() {
    let mut cluster = Cluster::start(2, |_| {}).await;
    let callers = cluster.nodes.iter().map(|node| node.caller.clone()).collect();
    let load = Load::start(callers, EVERY);
    let database = cluster.database().await;
    let completed = async || super::number(&database, "SELECT count(*) FROM tasks WHERE status = 'completed'").await;
    until("work is under way", async || completed().await > 100).await;
    for place in 0..2 {
        assert_eq!(cluster.nodes[place].terminate().await, Some(0));
        cluster.nodes[place].start().await;
        cluster.until_divided(1 - place).await;
    }
    let before = completed().await;
    until("it goes on", async || completed().await > before + 100).await;
    let tasks = load.end().await;
    cluster.assert_done_once(&cluster.nodes[0].caller, &tasks).await;

    let sql = "SELECT actor, now FROM journal WHERE actor LIKE 'task/load-%' AND version = 2 ORDER BY now";
    let rows = database.query_all_raw(Statement::from_string(database.get_database_backend(), sql)).await.unwrap();
    let mut latest: BTreeMap<u32, i64> = BTreeMap::new();
    let mut pauses: BTreeMap<u32, i64> = BTreeMap::new();
    for row in rows {
        let (actor, now): (String, i64) = (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap());
        let place = partition(actor.strip_prefix("task/").unwrap());
        if let Some(before) = latest.insert(place, now) {
            let pause = pauses.entry(place).or_default();
            *pause = (*pause).max(now - before);
        }
    }
    eprintln!("the longest pauses in ms, by partition: {pauses:?}");
    assert_eq!(pauses.len(), PARTITIONS as usize);
    assert!(pauses.values().all(|pause| *pause <= PAUSE_MS_MAX), "{pauses:?}");
}
