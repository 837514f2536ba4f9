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
        until("all tasks completed", Duration::from_secs(30), async || node.count("task", "completed").await == 4_000)
            .await;
        eprintln!("{:?}", started.elapsed());
        std::mem::forget(place);
        until("the outbox is empty", Duration::from_secs(5), async || node.outstanding().await == 0).await;
        assert!(node.stop().await, "the drain was not in time");
    });
}
