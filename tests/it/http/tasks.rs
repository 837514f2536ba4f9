//! Tasks from their birth to their end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mixvideo::domain::ids::TaskId;
use mixvideo::domain::task;
use mixvideo::runtime::clock::{Clock as _, SystemClock};
use mixvideo::runtime::journal::Unit;
use mixvideo::store::tasks::Tasks;
use serde_json::{Value, json};

use crate::server::{PICTURE, served};

fn noop() -> Value {
    json!({ "type": "video_generation", "templateCode": "noop" })
}

#[test]
fn the_same_id_and_body_again_is_the_same_task_and_another_body_is_409() {
    served(async |server| {
        let first = server.post("/task/order-1", noop()).await;
        assert_eq!(server.post("/task/order-1", noop()).await.data(), first.data());
        let mut other = noop();
        other["userId"] = json!("u");
        let refused = server.post("/task/order-1", other).await;
        assert_eq!(refused.status, 409);
        assert!(refused.message().contains("order-1 exists already"), "{}", refused.body);
        // To another client the id is taken, whatever the body.
        assert_eq!(server.post_as(&server.other, "/task/order-1", noop()).await.status, 409);
    });
}

#[test]
fn an_accepted_task_is_answered_the_same_when_its_template_can_no_longer_run() {
    use mixvideo_entities::template::{Column, Entity};
    use sea_orm::sea_query::Expr;
    use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
    served(async |server| {
        server.post("/task/order-1", noop()).await.data();
        let withdraw =
            Entity::update_many().col_expr(Column::IsActive, Expr::value(false)).filter(Column::Code.eq("noop"));
        withdraw.exec(&server.database).await.unwrap();
        let begun = Instant::now();
        while server.post("/task", noop()).await.status != 400 {
            assert!(begun.elapsed() < Duration::from_secs(10), "the template still runs");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server.post("/task/order-1", noop()).await.data();
        let mut other = noop();
        other["userId"] = json!("u");
        assert_eq!(server.post("/task/order-1", other).await.status, 400);
    });
}

#[test]
fn a_task_shows_its_progress_and_null_until_it_ends() {
    served(async |server| {
        let held = server.hold("film-1", 0.5);
        server.make("film-1", "film", "pending").await;
        let shown = server.until("/task/film-1", |data| data["progress"] == 5).await;
        assert_eq!((&shown["result"], &shown["completedAt"]), (&Value::Null, &Value::Null));
        assert!(shown.get("error").is_none() && shown.get("attention").is_none(), "{shown}");
        held.add_permits(1);
        // The picture is done (10), half of the render (85) is on its way.
        let shown = server.until("/task/film-1", |data| data["progress"] == 52).await;
        assert_eq!(shown["status"], "running");
        held.add_permits(2);
        let shown = server.until("/task/film-1", |data| data["status"] == "completed").await;
        assert_eq!(shown["progress"], 100);
        assert!(shown["completedAt"].is_string());
    });
}

#[test]
fn a_picture_leads_to_a_picture() {
    served(async |server| {
        let shown = server.make("still-1", "still", "completed").await;
        let url = shown["result"]["imageUrl"].as_str().unwrap();
        assert!(url.ends_with("/results/still-1/image.jpg"), "{url}");
        assert!(shown["result"].get("videoUrl").is_none());
    });
}

#[test]
fn the_journal_holds_the_pictures_key_and_never_the_picture() {
    served(async |server| {
        server.make("film-1", "film", "completed").await;
        let actor = server.get_as(&server.operator, "/ops/actors/task/film-1").await;
        let kept = actor.data()["state"]["request"]["parameters"]["imageUrl"]["file"].as_str().unwrap();
        assert!(kept.starts_with("inputs/"), "{kept}");
        assert!(!actor.body.to_string().contains(&PICTURE[30..60]));
    });
}

#[test]
fn a_failed_task_says_why() {
    served(async |server| {
        server.fail("film-1");
        let shown = server.make("film-1", "film", "failed").await;
        assert_eq!(shown["error"], json!({ "code": "picture_damaged", "message": "the picture is damaged" }));
        assert_eq!(shown["result"], Value::Null);
        assert!(shown["completedAt"].is_string());
    });
}

#[test]
fn waiting_ends_when_the_task_changes_and_not_before() {
    served(async |server| {
        let held = server.hold("a", 0.5);
        server.make("a", "noop", "pending").await;
        let begun = Instant::now();
        let (waited, ()) = tokio::join!(server.get("/task/a?wait=20"), async {
            server.until_watched().await;
            held.add_permits(1);
        });
        assert_eq!(waited.data()["status"], "completed");
        assert!(begun.elapsed() < Duration::from_secs(5), "the news did not wake the call");
        let begun = Instant::now();
        server.get("/task/a?wait=20").await.data();
        assert!(begun.elapsed() < Duration::from_secs(5), "a finished task was waited for");
    });
}

#[test]
fn an_end_that_was_committed_here_need_not_be_read() {
    served(async |server| {
        let (now, held) = (SystemClock.now(), server.hold("a", 0.5));
        let mut news = server.engine.watch(&task::address(&TaskId::parse("a").unwrap())).unwrap();
        server.make("a", "noop", "pending").await;
        let tasks = Tasks::start(server.engine.journal().clone());
        let (learnt, unknown) = (TaskId::parse("learnt").unwrap(), TaskId::parse("unknown").unwrap());
        let of = |id: &TaskId, unit: Arc<Unit>| Unit { actor: task::address(id), ..Arc::unwrap_or_clone(unit) };
        tasks.learn(&of(&unknown, news.committed().unwrap()), now).unwrap();
        assert_eq!(tasks.read(&unknown, now).await.unwrap(), None, "it has not ended");
        held.add_permits(1);
        let begun = Instant::now();
        while news.committed().unwrap().state.status != "completed" {
            assert!(begun.elapsed() < Duration::from_secs(10));
            news.changed().await;
        }
        tasks.learn(&of(&learnt, news.committed().unwrap()), now).unwrap();
        let known = tasks.read(&learnt, now).await.unwrap().unwrap();
        assert_eq!((known.version, known.state.status), (2, task::Status::Completed));
    });
}

#[test]
fn waiting_ends_when_the_time_is_over() {
    served(async |server| {
        let held = server.hold("a", 0.5);
        server.make("a", "noop", "pending").await;
        let begun = Instant::now();
        assert_eq!(server.get("/task/a?wait=1").await.data()["status"], "pending");
        assert!(begun.elapsed() >= Duration::from_secs(1) && begun.elapsed() < Duration::from_secs(5));
        held.add_permits(1);
    });
}

#[test]
fn a_cancelled_task_shows_as_failed_and_cancelling_it_again_changes_nothing() {
    served(async |server| {
        let _held = server.hold("a", 0.5);
        server.make("a", "film", "pending").await;
        let cancelled = server.post("/task/a/cancel", json!({ "reason": "I changed my mind" })).await;
        assert_eq!(cancelled.data(), &json!({ "taskId": "a", "cancelled": true }));
        assert_eq!(cancelled.message(), "Task cancelled");
        let shown = server.get("/task/a").await;
        assert_eq!(shown.data()["status"], "failed");
        assert_eq!(shown.data()["error"], json!({ "code": "cancelled", "message": "I changed my mind" }));
        let again = server.post("/task/a/cancel", json!({})).await;
        assert_eq!(again.data(), cancelled.data());
        assert_eq!(server.get("/task/a").await.data(), shown.data());
    });
}

#[test]
fn many_cancels_at_once_all_succeed() {
    served(async |server| {
        let _held = server.hold("a", 0.5);
        server.make("a", "film", "pending").await;
        let calls = (0..8).map(|_| server.post("/task/a/cancel", json!({})));
        for answer in futures_util::future::join_all(calls).await {
            assert_eq!(answer.data()["cancelled"], true);
        }
    });
}

#[test]
fn a_task_that_has_ended_refuses_to_be_cancelled() {
    served(async |server| {
        server.make("done", "noop", "completed").await;
        server.fail("broken");
        server.make("broken", "noop", "failed").await;
        for (id, word) in [("done", "completed"), ("broken", "failed")] {
            let refused = server.post(&format!("/task/{id}/cancel"), json!({})).await;
            assert_eq!(refused.status, 409);
            assert_eq!(refused.message(), format!("The task {id} is {word} already and cannot be cancelled"));
        }
        assert_eq!(server.post("/task/nobody/cancel", json!({})).await.status, 404);
    });
}

#[test]
fn a_hundred_reads_at_once_are_all_answered() {
    served(async |server| {
        let held = server.hold("a", 0.5);
        server.make("a", "noop", "pending").await;
        let calls = (0..100).map(|_| server.get("/task/a"));
        for answer in futures_util::future::join_all(calls).await {
            assert_eq!(answer.data()["id"], "a");
            assert_eq!(answer.header("cache-control"), "no-store");
        }
        held.add_permits(1);
    });
}
