//! Users, tokens, codes, keys and the audit log in both databases: what is written once holds in each.

use mixvideo::auth::api_key::{self, NewKey, Role};
use mixvideo::domain::Timestamp;
use mixvideo::runtime::journal::migrate;
use mixvideo::store::access_tokens::{self, AccessTokenRow};
use mixvideo::store::audit::{self, AuditRow};
use mixvideo::store::sign_ins::{self, CodeRow, SpentRow};
use mixvideo::store::users::{self, KeptRefresh, UserRow};
use mixvideo::store::{Database, api_keys};

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn person(id: &str, sub: &str, refresh: Option<&str>) -> UserRow {
    UserRow {
        id: id.into(),
        google_sub: sub.into(),
        email: format!("{id}@example.com"),
        name: "Ada".into(),
        picture: None,
        refresh_token: refresh.map(|hash| format!("sealed-{hash}")),
        refresh_hash: refresh.map(str::to_owned),
        created_at: NOW.0,
        seen_at: NOW.0,
    }
}

async fn people(database: &Database) {
    let first = users::signed_in(database, person("user_1", "ada", Some("h1"))).await.unwrap();
    let again = users::signed_in(database, person("user_2", "ada", None)).await.unwrap();
    assert_eq!((&*again.id, &*again.email), ("user_1", "user_2@example.com"), "one person, two users");
    assert_eq!(
        again.refresh_token, first.refresh_token,
        "a sign-in without a refresh token loses the one that is held"
    );
    assert_eq!(users::by_refresh_hash(database, "h1").await.unwrap().unwrap().id, "user_1");
    let new = || Some(KeptRefresh { sealed: "s2".into(), hash: "h2".into() });
    assert!(users::replace_refresh(database, "h1", new()).await.unwrap());
    assert!(!users::replace_refresh(database, "h1", None).await.unwrap(), "a stale writer wins");
    assert!(users::replace_refresh(database, "h2", None).await.unwrap());
    assert_eq!(users::by_google_sub(database, "ada").await.unwrap().unwrap().refresh_token, None);
    users::link(database, "user_1", "shop", NOW).await.unwrap();
    users::link(database, "user_1", "shop", NOW).await.unwrap();
    assert!(users::is_linked(database, "user_1", "shop").await.unwrap());
    assert!(!users::is_linked(database, "user_1", "other").await.unwrap());
}

async fn tokens(database: &Database) {
    for (hash, user, expires_at) in [("a", "user_1", 10), ("b", "user_1", 20), ("c", "user_2", 30)] {
        let (hash, user_id, scope) = (hash.to_owned(), user.to_owned(), "openid".to_owned());
        let row = AccessTokenRow { hash, user_id, scope, created_at: 0, expires_at, revoked_at: None };
        access_tokens::keep(database, row.clone()).await.unwrap();
        access_tokens::keep(database, row).await.unwrap();
    }
    let mut revoked = access_tokens::revoke_all(database, "user_1", Timestamp(5)).await.unwrap();
    revoked.sort();
    assert_eq!(revoked, ["a", "b"]);
    assert_eq!(access_tokens::by_hash(database, "a").await.unwrap().unwrap().revoked_at, Some(5));
    assert_eq!(access_tokens::by_hash(database, "c").await.unwrap().unwrap().revoked_at, None);
    assert_eq!(access_tokens::prune(database, Timestamp(20)).await.unwrap(), 1);

    let state = || SpentRow { hash: "s".into(), expires_at: 10 };
    assert!(sign_ins::spend(database, state()).await.unwrap());
    assert!(!sign_ins::spend(database, state()).await.unwrap());
    let (hash, user_id, access_token) = ("k".to_owned(), "user_1".to_owned(), "sealed".to_owned());
    let code = CodeRow { hash, user_id, access_token, token_expires_at: 9, expires_at: 5 };
    sign_ins::keep_code(database, code.clone()).await.unwrap();
    assert_eq!(sign_ins::take_code(database, "k").await.unwrap(), Some(code.clone()));
    assert_eq!(sign_ins::take_code(database, "k").await.unwrap(), None);
    sign_ins::keep_code(database, code).await.unwrap();
    assert_eq!(sign_ins::prune(database, Timestamp(6)).await.unwrap(), 1);
    assert_eq!(sign_ins::prune(database, Timestamp(11)).await.unwrap(), 1);
}

async fn keys(url: &str) {
    let db = sea_orm::Database::connect(url).await.unwrap();
    let receivers = vec!["acct_1".to_owned()];
    let (role, name) = (Role::Client, "till".to_owned());
    let new = NewKey { role, client_id: Some("shop".into()), name, expires_at: Some(NOW.plus_ms(1_000)), receivers };
    let (id, _) = api_key::create(&db, new, NOW).await.unwrap();
    let (successor, _) = api_key::rotate(&db, &id, 5_000, NOW.plus_ms(500)).await.unwrap().unwrap();
    let row = async |id: &str| api_keys::by_id(&db, id).await.unwrap().unwrap();
    assert_eq!(row(&id).await.expires_at, Some(NOW.0 + 1_000), "the overlap makes the old key live longer");
    assert_eq!(row(&successor).await.expires_at, Some(NOW.0 + 1_500));
    assert_eq!(api_key::receivers(&row(&successor).await), ["acct_1"]);
    assert!(api_key::rotate(&db, &successor, 100, NOW.plus_ms(600)).await.unwrap().is_some());
    assert_eq!(row(&successor).await.expires_at, Some(NOW.0 + 700));
    assert!(api_key::revoke(&db, &successor, NOW).await.unwrap());
    assert!(api_key::rotate(&db, &successor, 100, NOW.plus_ms(600)).await.unwrap().is_none());
    assert!(api_key::rotate(&db, "key_none", 100, NOW).await.unwrap().is_none());
}

async fn actions(database: &Database) {
    for number in 1..=4 {
        let row = AuditRow {
            id: format!("audit_{number}"),
            at: number,
            by_id: "key_1".into(),
            action: "POST /ops/keys".into(),
            target: None,
            trace_id: String::new(),
            status: None,
        };
        audit::begin(database, row).await.unwrap();
    }
    audit::end(database, "audit_4", 200, Some("key_2".into())).await.unwrap();
    let page = audit::list(database, None, 2).await.unwrap();
    assert_eq!((page[0].status, page[0].target.as_deref()), (Some(200), Some("key_2")));
    assert_eq!((&*page[1].id, page[1].status), ("audit_3", None));
    assert_eq!(audit::list(database, Some("audit_3"), 9).await.unwrap().len(), 2);
    assert_eq!(audit::prune(database, Timestamp(3), 1).await.unwrap(), 1);
    assert_eq!(audit::prune(database, Timestamp(3), 9).await.unwrap(), 1);
    assert_eq!(audit::prune(database, Timestamp(3), 9).await.unwrap(), 0);
    assert_eq!(audit::count(database).await.unwrap(), 2);
}

async fn all(url: &str) {
    migrate(url).await.unwrap();
    let database = Database::open(url).await.unwrap();
    people(&database).await;
    tokens(&database).await;
    keys(url).await;
    actions(&database).await;
}

#[tokio::test]
async fn people_and_what_is_kept_of_them_on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    all(&format!("sqlite://{}", directory.path().join("m.db").display())).await;
}

#[tokio::test]
async fn people_and_what_is_kept_of_them_on_postgres() {
    all(&crate::postgres::database().await).await;
}
