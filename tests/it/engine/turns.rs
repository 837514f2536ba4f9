//! Many activities that want the same thing: limits hold, and users take turns.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use mixvideo::domain::ids::TaskId;
use mixvideo::domain::workflow::{Definition, Library, StepCall};
use mixvideo::domain::{Failure, Permit, Priority, Turn, task};
use mixvideo::runtime::activity::{Activities, Progress, Work};
use mixvideo::runtime::engine::{Birth, Born};
use mixvideo::runtime::partition::Limits;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::support::{self, Brittle, Node, until};
use super::toy::{self, Message};

const SOON: Duration = Duration::from_secs(60);
/// Permits of each key.
const LIMIT: usize = 4;

const CROWD: &str = r#"
name = "crowd"
description = "Wants a permit of a model."
produces = "nothing"

[parameters.model]
kind = "text"
required = true

[[steps]]
name = "work"
activity = "noop"
concurrency = { key = "{parameters.model}", limit = 4 }
with = { model = "{parameters.model}", who = "{parameters.who}" }

[parameters.who]
kind = "text"
"#;

/// Does its work once it is open, and notes who began, and how many ran at once.
#[derive(Default)]
struct Shop {
    book: Mutex<Book>,
    open: CancellationToken,
}

#[derive(Default)]
struct Book {
    running: HashMap<String, usize>,
    most: BTreeMap<String, usize>,
    /// Who began, in order, by what they wanted.
    begun: BTreeMap<String, Vec<String>>,
}

impl Shop {
    fn running(&self) -> usize {
        self.book.lock().unwrap().running.values().sum()
    }
}

#[async_trait]
impl Activities for Shop {
    async fn run(&self, work: &Work, _: &Progress, cancel: &CancellationToken) -> Result<serde_json::Value, Failure> {
        let (model, who) = match serde_json::from_str::<StepCall>(&work.input) {
            Ok(call) => {
                (call.with["model"].as_str().unwrap().to_owned(), call.with["who"].as_str().unwrap().to_owned())
            }
            Err(_) => ("toys".to_owned(), work.actor.to_string()),
        };
        {
            let mut book = self.book.lock().unwrap();
            let running = book.running.entry(model.clone()).or_default();
            *running += 1;
            let running = *running;
            let most = book.most.entry(model.clone()).or_default();
            *most = running.max(*most);
            book.begun.entry(model.clone()).or_default().push(who);
        }
        tokio::select! {
            () = cancel.cancelled() => {}
            () = self.open.cancelled() => tokio::task::yield_now().await,
        }
        *self.book.lock().unwrap().running.get_mut(&model).unwrap() -= 1;
        Ok(serde_json::Value::Null)
    }
}

fn task_of(definition: &Definition, user: &str, model: &str) -> Birth {
    let id = TaskId::new(uuid::Uuid::now_v7());
    let parameters = json!({ "model": model, "who": user });
    let request = task::Request {
        task_type: task::TaskType::VideoGeneration,
        template_code: definition.name().to_owned(),
        template_revision: None,
        user_id: Some(user.to_owned()),
        owner: "client".to_owned(),
        payment: None,
        parameters: parameters.as_object().unwrap().clone(),
    };
    let create = task::Create { id: id.clone(), request, workflow: definition.pinned() };
    Birth {
        actor: task::address(&id),
        message: "birth".into(),
        body: serde_json::to_string(&task::Message::Create(Box::new(create))).unwrap(),
        claim: None,
    }
}

/// How many activities wait for a permit.
async fn waiting(node: &Node) -> usize {
    node.engine.health(SOON).await.room.keys.iter().map(|key| key.waiting).sum()
}

#[test]
fn a_thousand_tasks_of_four_users_keep_to_the_limit_of_their_key_and_take_turns() {
    support::system(async {
        let place = support::sqlite();
        let definition = Definition::parse("crowd.toml", CROWD).unwrap();
        let library = Arc::new(Library::new([definition.clone()]).unwrap());
        let shop = Arc::new(Shop::default());
        let node = Node::of_tasks(&place, &library, shop.clone()).await;
        // One user comes first, with most of them.
        for (user, tasks) in [("ada", 350), ("bob", 50), ("cyd", 50), ("dee", 50)] {
            let births = ["red", "blue"].into_iter().flat_map(|model| (0..tasks).map(move |_| model));
            let births = births.map(|model| node.engine.birth(task_of(&definition, user, model)));
            for born in join_all(births).await {
                assert_eq!(born.unwrap(), Born::Now);
            }
        }
        until("everybody has asked", SOON, async || waiting(&node).await == 1_000 - 2 * LIMIT).await;
        assert_eq!(shop.running(), 2 * LIMIT);
        let room = node.engine.health(SOON).await.room;
        assert_eq!((&*room.keys[0].key, room.keys[0].limit, room.keys[0].taken), ("blue", LIMIT, LIMIT));
        shop.open.cancel();
        until("all tasks completed", SOON, async || node.count("task", "completed").await == 1_000).await;

        let book = std::mem::take(&mut *shop.book.lock().unwrap());
        assert_eq!(book.most, BTreeMap::from([("blue".to_owned(), LIMIT), ("red".to_owned(), LIMIT)]));
        for begun in book.begun.values() {
            assert_eq!(begun.len(), 500);
            assert!(begun[..LIMIT].iter().all(|user| user == "ada"), "ada was first");
            for user in ["ada", "bob", "cyd", "dee"] {
                let turns = begun[LIMIT..].iter().enumerate().filter(|(_, who)| *who == user);
                // Each of the four is served once in four turns, however many of ada's came before.
                for (nth, (turn, _)) in turns.take(50).enumerate() {
                    assert!(turn < 4 * (nth + 1), "number {nth} of {user} had to wait for turn {turn}");
                }
            }
        }
        assert_eq!(node.outstanding().await, 0);
        assert!(node.stop().await);
    });
}

#[test]
fn a_drain_does_not_wait_for_those_who_wait() {
    support::system(async {
        let place = support::sqlite();
        let definition = Definition::parse("crowd.toml", CROWD).unwrap();
        let library = Arc::new(Library::new([definition.clone()]).unwrap());
        let shop = Arc::new(Shop::default());
        let node = Node::of_tasks(&place, &library, shop.clone()).await;
        for _ in 0..20 {
            node.engine.birth(task_of(&definition, "ada", "red")).await.unwrap();
        }
        until("everybody has asked", SOON, async || waiting(&node).await == 20 - LIMIT).await;
        let engine = node.engine.clone();
        let drained = actix::spawn(async move { engine.drain(SOON).await });
        until("nobody waits any more", SOON, async || node.engine.health(SOON).await.room.keys.is_empty()).await;
        shop.open.cancel();
        assert!(drained.await.unwrap(), "what ran has finished");
        assert_eq!(shop.book.lock().unwrap().begun["red"].len(), LIMIT, "and nothing else has begun");

        let node = Node::of_tasks(&place, &library, shop.clone()).await;
        until("the rest goes on at the next start", SOON, async || node.count("task", "completed").await == 20).await;
        assert_eq!(shop.book.lock().unwrap().begun["red"].len(), 20);
        node.stop().await;
    });
}

#[test]
fn permits_of_a_supervisor_that_died_are_given_back() {
    support::system(async {
        let place = support::sqlite();
        let (clock, shop) = (Arc::new(Brittle::default()), Arc::new(Shop::default()));
        let node = Node::of_toys_at(&place, shop.clone(), Limits::default(), clock.clone()).await;
        let names: Vec<String> = (0..40).map(|index| format!("toy{index}")).collect();
        for name in &names {
            node.engine.birth(toy::birth(name, vec![])).await.unwrap();
        }
        let permit = Some(Permit { key: "toys".into(), limit: 4 });
        let turn = Some(Turn { permit, group: "toys".into(), priority: Priority::Normal });
        let start = Message::Start { input: "{}".to_owned(), turn };
        let tells = names.iter().map(|name| (toy::address(name), start.clone())).collect();
        node.engine.birth(toy::birth("starter", tells)).await.unwrap();
        until("everybody has asked", SOON, async || waiting(&node).await == 40 - LIMIT).await;

        for deaths in 1..=4 {
            clock.break_once();
            until("a supervisor died and another one began", SOON, async || {
                node.engine.health(SOON).await.restarts == deaths
            })
            .await;
            until("as many run as may", SOON, async || shop.running() == LIMIT && waiting(&node).await == 40 - LIMIT)
                .await;
        }
        shop.open.cancel();
        for name in &names {
            until("everything came through", SOON, async || node.toy(name).await.reports == 1).await;
        }
        assert_eq!(shop.book.lock().unwrap().most["toys"], LIMIT, "what was being stopped still held its permit");
        node.stop().await;
    });
}
