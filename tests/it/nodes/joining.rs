//! A node that joins gets its share; one that does not share is refused.

use std::time::Duration;

use super::{Cluster, Load};
use crate::crash::service::Service;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_third_node_gets_its_share_under_load_and_nothing_is_lost() {
    let mut cluster = Cluster::start(2, |_| {}).await;
    let callers = cluster.nodes.iter().map(|node| node.caller.clone()).collect();
    let load = Load::start(callers, Duration::from_millis(500));
    cluster.add(|_| {}).await;
    cluster.until_divided(2).await;
    let tasks = load.end().await;
    cluster.assert_done_once(&cluster.nodes[2].caller, &tasks).await;
    let health = cluster.nodes[0].caller.get("/health").await;
    let health = health.data();
    assert_eq!(health["silentPartitions"], serde_json::json!([]), "what is elsewhere is not silent: {health}");
    assert_eq!(health["status"], "ok", "{health}");
}

#[tokio::test]
async fn a_server_with_its_own_mailbox_and_nodes_that_share_one_keep_each_other_out() {
    let cluster = Cluster::start(1, |_| {}).await;
    let alone = Service::postgres(cluster.database.clone()).await;
    let refused = alone.run(&["serve"]).await;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("serves") && said.contains("already"), "{said}");

    let database = crate::postgres::database().await;
    let mut alone = Service::postgres(database.clone()).await;
    alone.start().await;
    let mut node = Service::postgres(database).await;
    node.set("MAILBOX__BACKEND", "redis");
    node.set("REDIS__URL", cluster.redis.clone());
    let refused = node.run(&["serve"]).await;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("only nodes with the mailbox in Redis can share a database"), "{said}");
}
