//! What a newer release has sent waits for one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mixvideo::domain::machine::Report;
use mixvideo::domain::{Failure, Moment};
use mixvideo::runtime::activity::{Activities, Progress, Work};
use mixvideo::runtime::journal::{DECIDE, StateRow, StateTable, partition_of};
use mixvideo::runtime::kind::{Kind, State, Step, Undecided, Unreadable};
use sea_orm::{ConnectionTrait, Database};
use tokio_util::sync::CancellationToken;

use super::support::{self, Node, PARTITIONS, Place, until};
use super::toy::{self, Message};

const SOON: Duration = Duration::from_secs(20);

/// The toys of the next release.
struct Next(Arc<dyn Kind>);

impl Kind for Next {
    fn table(&self) -> &'static StateTable {
        self.0.table()
    }

    fn schema(&self) -> u32 {
        self.0.schema() + 1
    }

    fn decide(&self, state: Option<&State>, body: &str, moment: Moment) -> Result<Step, Undecided> {
        self.0.decide(state, body, moment)
    }

    fn row(&self, state: &State) -> Result<StateRow, String> {
        self.0.row(state)
    }

    fn read(&self, schema: u32, json: &str) -> Result<State, Unreadable> {
        self.0.read(schema, json)
    }

    fn is_final(&self, state: &State) -> bool {
        self.0.is_final(state)
    }

    fn reported(&self, report: Report) -> String {
        self.0.reported(report)
    }
}

/// Notes what it was given.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Notes {
    fn taken(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl Activities for Notes {
    async fn run(&self, work: &Work, _: &Progress, _: &CancellationToken) -> Result<serde_json::Value, Failure> {
        self.0.lock().unwrap().push(work.input.to_string());
        Ok(serde_json::Value::Null)
    }
}

/// Puts an effect of `victim` into the outbox as if a release had sent it that has this schema number.
async fn send(place: &Place, (index, lane): (u32, &str), body: &str, schema: u32) {
    let victim = toy::address("victim");
    let partition = partition_of(&victim, PARTITIONS);
    let sql = format!(
        "INSERT INTO outbox (id, target, partition, lane, due, body, schema, created_at) \
         VALUES ('{victim}:1:{index}', '{victim}', {partition}, '{lane}', {index}, '{body}', {schema}, 0)"
    );
    let database = Database::connect(place.url()).await.unwrap();
    database.execute_unprepared(&sql).await.unwrap();
}

#[test]
fn a_message_and_an_activity_of_a_newer_release_wait_for_it_and_the_rest_goes_on() {
    support::system(async {
        let (place, notes) = (support::sqlite(), Arc::new(Notes::default()));
        let node = Node::of_toys(&place, notes.clone(), Default::default()).await;
        node.engine.birth(toy::birth("victim", vec![])).await.unwrap();
        assert!(node.stop().await);
        let add = |more| serde_json::to_string(&Message::Add(more)).unwrap();
        send(&place, (0, DECIDE), &add(1), 2).await;
        send(&place, (1, DECIDE), &add(10), 1).await;
        send(&place, (2, "media"), "newer", 2).await;
        send(&place, (3, "media"), "known", 1).await;

        // Both lanes are read in order: what comes second tells that the first was seen.
        let node = Node::of_toys(&place, notes.clone(), Default::default()).await;
        until("the known message is decided", SOON, async || node.toy("victim").await.count >= 10).await;
        until("the known activity has run", SOON, async || node.toy("victim").await.reports == 1).await;
        assert_eq!((node.toy("victim").await.count, notes.taken()), (10, vec!["known".to_owned()]));
        assert_eq!(node.outstanding().await, 2);
        assert!(node.engine.journal().dead_list(None, 100).await.unwrap().is_empty());
        assert!(node.stop().await);

        let kinds = toy::kinds().into_iter().map(|kind| Arc::new(Next(kind)) as Arc<dyn Kind>).collect();
        let node = Node::of(&place, kinds, notes.clone()).await;
        until("all is done", SOON, async || node.outstanding().await == 0).await;
        let victim = node.toy("victim").await;
        assert_eq!(
            (victim.count, victim.reports, notes.taken()),
            (11, 2, vec!["known".to_owned(), "newer".to_owned()])
        );
        assert!(node.stop().await);
    });
}
