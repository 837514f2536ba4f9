//! The engine as a whole, with real stores and without HTTP.

mod support;

use std::time::{Duration, Instant};

use support::{Node, noop_task, until};

#[test]
fn a_few_thousand_tasks_complete_and_leave_nothing_behind() {
    support::system(async {
        let place = support::sqlite();
        let node = Node::start(&place).await;
        let started = Instant::now();
        let births = (0..4_000).map(|_| node.engine.birth(noop_task()));
        for born in futures_util::future::join_all(births).await {
            born.unwrap();
        }
        eprintln!("born {:?} {:?}", started.elapsed(), node.engine.committer().stats());
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            eprintln!("{:?} {:?} {:?}", node.engine.journal().counts("task").await, node.engine.journal().lanes().await, node.engine.health(Duration::from_secs(1)).await);
            eprintln!("{:?}", node.engine.committer().stats());
        }
        until("all tasks completed", Duration::from_secs(30), async || node.count("task", "completed").await == 4_000)
            .await;
        eprintln!("{:?}", started.elapsed());
        until("the outbox is empty", Duration::from_secs(5), async || node.outstanding().await == 0).await;
        assert!(node.stop().await, "the drain was not in time");
    });
}
