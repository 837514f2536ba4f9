//! `kill -9` between the work and the answer: the repeated call hears what the first would have.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Method;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::crash::service::{Service, noop, until};
use crate::postgres;

/// What only the commit of the birth brings to the database: the answer that the key will be given.
const OF_THE_COMMIT: &[u8] = b"Sent message to the queue";

/// A line to PostgreSQL that can lose what it answers to a commit.
struct Relay {
    port: u16,
    loses: Arc<AtomicBool>,
}

impl Relay {
    async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let loses = Arc::<AtomicBool>::default();
        let losing = loses.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&*server).await.unwrap();
                tokio::spawn(carry(client, server, losing.clone()));
            }
        });
        Self { port, loses }
    }
}

/// Carries bytes both ways. While it loses answers, nothing comes back any more once the commit was sent.
async fn carry(client: TcpStream, server: TcpStream, loses: Arc<AtomicBool>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mute = Arc::<AtomicBool>::default();
    let muted = mute.clone();
    let there = async move {
        let (mut bytes, mut sent) = (vec![0; 65_536], Vec::new());
        while let Ok(count @ 1..) = from_client.read(&mut bytes).await {
            if loses.load(Ordering::SeqCst) {
                sent.extend_from_slice(&bytes[..count]);
                if sent.windows(OF_THE_COMMIT.len()).any(|part| part == OF_THE_COMMIT) {
                    mute.store(true, Ordering::SeqCst);
                }
            }
            if to_server.write_all(&bytes[..count]).await.is_err() {
                break;
            }
        }
    };
    let back = async move {
        let mut bytes = vec![0; 65_536];
        while let Ok(count @ 1..) = from_server.read(&mut bytes).await {
            if !muted.load(Ordering::SeqCst) && to_client.write_all(&bytes[..count]).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(there, back);
}

async fn count(database: &DatabaseConnection, sql: &str) -> i64 {
    let statement = Statement::from_string(database.get_database_backend(), sql);
    database.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

#[tokio::test]
async fn a_call_whose_process_dies_between_the_commit_and_the_answer_is_replayed_and_acts_once() {
    let direct = postgres::database().await;
    let url = reqwest::Url::parse(&direct).unwrap();
    let relay = Relay::to(format!("127.0.0.1:{}", url.port().unwrap())).await;
    let relayed = direct.replace(&format!(":{}/", url.port().unwrap()), &format!(":{}/", relay.port));
    assert_ne!(relayed, direct);
    let mut service = Service::postgres(relayed).await;
    service.start_with_templates().await;
    let database = sea_orm::Database::connect(&direct).await.unwrap();
    let caller = service.caller.clone();
    let post = |body: serde_json::Value| {
        caller.request(Method::POST, "/task").header("idempotency-key", "the-only-one").json(&body)
    };

    relay.loses.store(true, Ordering::SeqCst);
    let first = tokio::spawn({
        let (caller, request) = (caller.clone(), post(noop()));
        async move { caller.ask(request).await }
    });
    until("it is committed", async || count(&database, "SELECT count(*) FROM claims").await == 1).await;
    assert!(!first.is_finished(), "nobody is answered before the database has");
    service.kill().await;
    assert!(first.await.unwrap().is_err(), "the first call was answered");
    relay.loses.store(false, Ordering::SeqCst);

    service.start().await;
    let again = caller.ask(post(noop())).await.unwrap();
    let id = again.data().as_str().unwrap().to_owned();
    assert_eq!(again.header("idempotent-replayed"), "true");
    let twice = caller.ask(post(noop())).await.unwrap();
    assert_eq!(twice.data().as_str(), Some(&*id));
    let other =
        caller.ask(post(serde_json::json!({ "type": "video_generation", "templateCode": "other" }))).await.unwrap();
    assert_eq!(other.status, 422);
    caller.until_completed(&id).await;
    assert_eq!(count(&database, "SELECT count(*) FROM tasks").await, 1);
    assert_eq!(count(&database, "SELECT count(*) FROM journal WHERE actor LIKE 'task/%'").await, 2);
}
