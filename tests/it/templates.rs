//! Templates and executions in both databases: what is written once for SQLite and PostgreSQL holds in each.

use mixvideo::domain::Timestamp;
use mixvideo::domain::template::{Content, TemplateType};
use mixvideo::runtime::journal::{Claim, migrate};
use mixvideo::store::executions::{self, Filter};
use mixvideo::store::templates::{Created, NewTemplate, Search, SyncCounts, Template, Templates};
use mixvideo::store::{Database, Error};
use serde_json::json;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn new(code: &str, name: &str, tags: &[&str]) -> NewTemplate {
    let content = Content {
        name: name.into(),
        description: "50% of_all".into(),
        credit_cost: 1,
        version: "1.0.0".into(),
        template_type: TemplateType::Video,
        workflow: "noop".into(),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        image_model: Some("m".into()),
        image_prompt: None,
        video_model: None,
        video_prompt: None,
        settings: json!({ "a": { "b": [1, 2.5, null] } }).as_object().unwrap().clone(),
        receiver_id: None,
    };
    NewTemplate { code: code.into(), content, is_active: true }
}

fn claim(fingerprint: &str) -> Claim {
    Claim { name: "key".into(), fingerprint: fingerprint.into(), answer: "{}".into(), expires: NOW.plus_ms(1_000) }
}

async fn opened(url: &str) -> (Database, Templates) {
    migrate(url).await.unwrap();
    let database = Database::open(url).await.unwrap();
    (database.clone(), Templates::new(database))
}

async fn write_and_read(url: &str) {
    let (_, templates) = opened(url).await;
    let first = new("b", "Über den Alpen", &["Travel", "Sea"]);
    assert_eq!(templates.create(&first, "me", Some(&claim("f")), NOW).await.unwrap(), Created::Now);
    assert_eq!(templates.create(&first, "me", None, NOW).await.unwrap(), Created::Taken);
    let claimed = templates.create(&new("z", "Z", &[]), "me", Some(&claim("other")), NOW).await.unwrap();
    assert_eq!(claimed, Created::Claimed { fingerprint: "f".into(), answer: "{}".into() });
    assert_eq!(templates.create(&new("a", "A", &["travel"]), "me", None, NOW).await.unwrap(), Created::Now);
    let found = templates.by_code("b", NOW).await.unwrap().unwrap();
    assert_eq!((&found.content, found.revision, found.is_active), (&first.content, 1, true));
    assert_eq!(templates.by_code("z", NOW).await.unwrap(), None);

    for (search, expected) in [
        (Search::default(), vec!["a", "b"]),
        (Search { tag: Some("TRAVEL".into()), ..Search::default() }, vec!["a", "b"]),
        (Search { tag: Some("rave".into()), ..Search::default() }, vec![]),
        (Search { text: Some("ÜBER".into()), ..Search::default() }, vec!["b"]),
        (Search { text: Some("50% OF_".into()), ..Search::default() }, vec!["a", "b"]),
        (Search { text: Some("5_%".into()), ..Search::default() }, vec![]),
        (Search { template_type: Some(TemplateType::Image), ..Search::default() }, vec![]),
    ] {
        let found = templates.search(&search, None, 10).await.unwrap();
        let codes: Vec<&str> = found.iter().map(|template| template.code.as_str()).collect();
        assert_eq!(codes, expected, "{search:?}");
        assert_eq!(templates.count(&search).await.unwrap(), expected.len() as u64);
    }
    assert_eq!(templates.search(&Search::default(), Some("a"), 1).await.unwrap()[0].code, "b");
}

async fn change_and_delete(url: &str) {
    let (_, templates) = opened(url).await;
    templates.create(&new("t", "One", &[]), "me", None, NOW).await.unwrap();
    let later = NOW.plus_ms(5);
    let renamed = |name: &'static str| {
        move |old: &Template| {
            let mut new = old.clone();
            new.content.name = name.into();
            if name.is_empty() { Err("no name") } else { Ok(new) }
        }
    };
    let changed = templates.change("t", "you", later, renamed("Two")).await.unwrap().unwrap().unwrap();
    assert_eq!((changed.revision, changed.updated_at, changed.created_at), (2, later, NOW));
    assert_eq!(templates.change("t", "you", later, renamed("")).await.unwrap(), Some(Err("no name")));
    assert_eq!(templates.change("none", "you", later, renamed("x")).await.unwrap(), None);
    let both = tokio::join!(
        templates.change("t", "you", later, |old| Ok::<_, ()>(described(old, "d"))),
        templates.change("t", "you", later, |old| Ok::<_, ()>(costing(old, 7)))
    );
    both.0.unwrap();
    both.1.unwrap();
    let now = templates.by_code("t", later).await.unwrap().unwrap();
    assert_eq!((now.content.description.as_str(), now.content.credit_cost, now.revision), ("d", 7, 4));
    let kept = templates.revisions("t", Some(3), 10).await.unwrap();
    let said: Vec<_> =
        kept.iter().map(|one| (one.number, one.content.name.as_str(), one.created_by.as_str())).collect();
    assert_eq!(said, [(2, "Two", "you"), (1, "One", "me")]);
    assert_eq!(
        templates.sync_counts().await.unwrap(),
        SyncCounts { total: 1, with_product: 0, active: 1, needs_sync: 1 }
    );
    assert!(templates.delete("t", later).await.unwrap());
    assert!(!templates.delete("t", later).await.unwrap());
    assert_eq!(templates.by_code("t", later).await.unwrap(), None);
    assert_eq!(templates.create(&new("t", "Three", &[]), "me", None, later).await.unwrap(), Created::Now);
    assert_eq!(templates.by_code("t", later).await.unwrap().unwrap().revision, 5);
    assert_eq!(templates.count_revisions("t").await.unwrap(), 5);
}

fn described(old: &Template, text: &str) -> Template {
    let mut new = old.clone();
    new.content.description = text.into();
    new
}

fn costing(old: &Template, credits: i64) -> Template {
    let mut new = old.clone();
    new.content.credit_cost = credits;
    new
}

async fn executions_of_a_user(url: &str) {
    use mixvideo_entities::task;
    use sea_orm::{EntityTrait as _, IntoActiveModel as _};
    let (database, _) = opened(url).await;
    let connection = sea_orm::Database::connect(url).await.unwrap();
    for (id, at, owner) in [("a", 1, "x"), ("C", 2, "x"), ("b", 2, "y"), ("d", 3, "x")] {
        let row = task::Model {
            id: id.into(),
            version: 1,
            status: "cancelled".into(),
            schema: 1,
            created_at: at,
            updated_at: at,
            owner: Some(owner.into()),
            user_id: Some("u".into()),
            template_code: Some("t".into()),
            state: "{}".into(),
        };
        task::Entity::insert(row.into_active_model()).exec_without_returning(&connection).await.unwrap();
    }
    let ids = async |owner: Option<&str>, limit| -> Result<Vec<String>, Error> {
        let filter = Filter { user_id: "u", owner };
        let (mut seen, mut before) = (Vec::new(), None);
        loop {
            let page = executions::list(&database, &filter, before.as_ref(), limit).await?;
            let Some(last) = page.last() else { return Ok(seen) };
            before = Some((last.created_at, last.task.clone()));
            seen.extend(page.iter().map(|one| one.task.to_string()));
        }
    };
    for limit in [1, 3] {
        assert_eq!(ids(None, limit).await.unwrap(), ["d", "b", "C", "a"]);
        assert_eq!(ids(Some("x"), limit).await.unwrap(), ["d", "C", "a"]);
    }
    assert_eq!(executions::count(&database, &Filter { user_id: "u", owner: Some("y") }).await.unwrap(), 1);
}

fn sqlite(directory: &tempfile::TempDir) -> String {
    format!("sqlite://{}", directory.path().join("mixvideo.db").display())
}

macro_rules! in_each {
    ($($test:ident),+) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                let directory = tempfile::tempdir().unwrap();
                super::$test(&super::sqlite(&directory)).await;
            })+
        }
        mod postgresql {
            $(#[tokio::test]
            async fn $test() {
                super::$test(&crate::postgres::database().await).await;
            })+
        }
    };
}

in_each!(write_and_read, change_and_delete, executions_of_a_user);
