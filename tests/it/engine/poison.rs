//! One poison message harms one actor.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use mixvideo::runtime::journal::DeadLetter;
use mixvideo::runtime::partition::Limits;

use super::support::{self, Idle, Node, Place, until};
use super::toy::{self, Message};

const SOON: Duration = Duration::from_secs(20);

async fn dead(node: &Node) -> Vec<DeadLetter> {
    node.engine.journal().dead_list(None, 100).await.unwrap()
}

/// Tells `victim` the poison between two additions, and a neighbour to add.
async fn poison(node: &Node, poison: Message) {
    for name in ["victim", "neighbour"] {
        node.engine.birth(toy::birth(name, vec![])).await.unwrap();
    }
    let to = |name, message| (toy::address(name), message);
    let tells = vec![
        to("victim", Message::Add(1)),
        to("victim", poison),
        to("victim", Message::Add(1)),
        to("neighbour", Message::Add(1)),
    ];
    node.engine.birth(toy::birth("sender", tells)).await.unwrap();
}

fn quick() -> Limits {
    Limits { rest_ms: 5, ..Limits::default() }
}

async fn is_set_aside(poisonous: Message, reason: &str) {
    let place = support::sqlite();
    let node = Node::of_toys(&place, Arc::new(Idle), quick()).await;
    poison(&node, poisonous).await;
    until("the neighbour counted", SOON, async || node.toy("neighbour").await.count == 1).await;
    until("the victim counted", SOON, async || node.toy("victim").await.count == 2).await;
    let dead = dead(&node).await;
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert!(dead[0].reason.contains(reason), "{}", dead[0].reason);
    assert_eq!(node.outstanding().await, 0);
    node.stop().await;
}

#[test]
fn a_message_that_panics_is_set_aside_with_what_it_said() {
    support::system(is_set_aside(Message::Panic, "told to panic"));
}

#[test]
fn a_message_that_always_fails_is_set_aside_with_its_reason() {
    support::system(is_set_aside(Message::Break, "told to break"));
}

#[test]
fn a_decision_that_the_database_refuses_is_set_aside() {
    support::system(is_set_aside(Message::Poison, "U+0000"));
}

#[test]
fn a_message_set_aside_comes_back_under_its_own_id() {
    support::system(async {
        let place = support::sqlite();
        let node = Node::of_toys(&place, Arc::new(Idle), quick()).await;
        poison(&node, Message::Break).await;
        until("it is set aside", SOON, async || dead(&node).await.len() == 1).await;
        let id = dead(&node).await[0].envelope.id.clone();
        let back = node.engine.journal().replay(&id, support::now()).await.unwrap().expect("it was dead");
        assert_eq!(back.id, id);
        node.engine.post(back).await;
        until("it is set aside again", SOON, async || dead(&node).await.len() == 1).await;
        assert!(node.engine.journal().drop_dead(&id).await.unwrap());
        assert!(dead(&node).await.is_empty());
        node.stop().await;
    });
}

/// The environment variables that turn the test below into the process that dies: where, and of what.
const VICTIM: &str = "MIXVIDEO_TEST_VICTIM";
const KILLER: &str = "MIXVIDEO_TEST_KILLER";
/// What a process dies of that aborts.
const SIGABRT: i32 = 6;

/// Not a test of its own: run by the ones below, in a process that it may kill.
#[test]
fn the_process_that_a_killer_kills() {
    let (Ok(directory), Ok(killer)) = (std::env::var(VICTIM), std::env::var(KILLER)) else { return };
    let place = Place::at(directory.into());
    support::system(async {
        let limits = Limits { decide_ms: 500, ..Limits::default() };
        let node = Node::of_toys(&place, Arc::new(Idle), limits).await;
        if node.toy("neighbour").await.count == 0 && node.engine.birth(toy::birth("victim", vec![])).await.is_ok() {
            poison(&node, serde_json::from_str(&killer).unwrap()).await;
        }
        until("everything else is done", SOON, async || {
            node.toy("neighbour").await.count == 1 && node.toy("victim").await.count == 2
        })
        .await;
        node.stop().await;
    });
}

/// Starts a process again and again that is told `killer`, until it ends in peace.
fn is_found_after_three_deaths(killer: &Message) {
    let place = support::sqlite();
    let mut deaths = 0;
    let finished = loop {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "engine::poison::the_process_that_a_killer_kills"])
            .env(VICTIM, place.directory())
            .env(KILLER, serde_json::to_string(killer).unwrap())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let ended = child.wait().unwrap();
        if ended.success() {
            break true;
        }
        assert_eq!(ended.signal(), Some(SIGABRT), "it did not die of the killer: {ended}");
        deaths += 1;
        if deaths == 10 {
            break false;
        }
    };
    assert!(finished, "the process still died after {deaths} deaths");
    assert_eq!(deaths, 4, "one death that makes a suspect, three alone");
    support::system(async {
        let node = Node::of_toys(&place, Arc::new(Idle), quick()).await;
        let dead = dead(&node).await;
        assert_eq!(dead.len(), 1, "{dead:?}");
        assert!(dead[0].reason.contains("died 3 times"), "{}", dead[0].reason);
        node.stop().await;
    });
}

#[test]
fn a_message_that_kills_the_process_is_found_and_set_aside_and_everything_else_finishes() {
    is_found_after_three_deaths(&Message::Abort);
}

#[test]
fn a_message_that_is_never_decided_ends_the_process_and_is_found_like_a_killer() {
    is_found_after_three_deaths(&Message::Loop);
}
