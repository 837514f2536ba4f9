//! A thousand slow clients beside normal ones.

use std::time::{Duration, Instant};

use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::crash::service::{LIMIT, Service, noop, until};

const HEADS: usize = 400;
const BODIES: usize = 400;
const READERS: usize = 200;
/// What a normal client waits for an answer beside them, on a machine that has other things to do as well.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much larger the server may become, in MB.
const GROWTH_MB: u64 = 150;

/// Sends a request a byte at a time and is answered, if at all, before it is complete; what it hears.
async fn drips(address: String, head: String, every: Duration) -> String {
    let mut stream = TcpStream::connect(&*address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let mut heard = Vec::new();
    let drip = async {
        while writer.write_all(b"a").await.is_ok() {
            tokio::time::sleep(every).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        // A reset ends it as well.
        _ = reader.read_to_end(&mut heard) => {}
        () = drip => {}
    }
    String::from_utf8_lossy(&heard).into_owned()
}

/// Asks for much and reads nothing of it, until the server has had enough.
async fn never_reads(address: String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(address.parse().unwrap()).await.unwrap();
    // The server stops to read as well, once nobody takes its answers.
    while stream.write_all(b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn resident_mb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1_024
}

#[tokio::test]
async fn a_thousand_slow_clients_are_cut_off_and_hold_up_nobody() {
    rlimit::increase_nofile_limit(16_384).unwrap();
    let mut service = Service::sqlite().await;
    // Normal clients have their threads from the same machine: they may be late with a head as well.
    service.set("SERVER__HEAD_SECONDS", 5);
    service.set("SERVER__BODY_SECONDS", 3);
    service.set("SERVER__STALL_SECONDS", 2);
    service.start_with_templates().await;
    let caller = service.caller.clone();
    caller.make("before", &noop()).await;
    let address = caller.base().trim_start_matches("http://").to_owned();
    let before_mb = resident_mb(service.pid());

    let (mut heads, mut bodies, mut readers) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
    let key = caller.request(Method::GET, "/").build().unwrap().headers()["authorization"].to_str().unwrap().to_owned();
    for number in 0..HEADS {
        let head = "GET /health/live HTTP/1.1\r\nhost: x\r\nx-slow: ".to_owned();
        heads.spawn(drips(address.clone(), head, Duration::from_millis(200 + number as u64 % 50)));
    }
    for number in 0..BODIES {
        let head = format!(
            "POST /task HTTP/1.1\r\nhost: x\r\nauthorization: {key}\r\ncontent-type: application/json\r\n\
             content-length: 9000000\r\n\r\n{{"
        );
        // Some send a byte now and then, and some nothing more.
        let every = if number % 2 == 0 { Duration::from_millis(300) } else { LIMIT };
        bodies.spawn(drips(address.clone(), head, every));
    }
    for _ in 0..READERS {
        readers.spawn(never_reads(address.clone()));
    }

    let mut largest_mb = before_mb;
    let mut slowest = Duration::ZERO;
    let (mut number, mut told) = (0, 0);
    while !(heads.is_empty() && bodies.is_empty() && readers.is_empty()) {
        let asked = Instant::now();
        let id = format!("normal-{number}");
        caller.make(&id, &noop()).await;
        assert_eq!(caller.task("before").await["id"], "before");
        slowest = slowest.max(asked.elapsed());
        largest_mb = largest_mb.max(resident_mb(service.pid()));
        number += 1;
        while let Some(heard) = heads.try_join_next() {
            let heard = heard.unwrap();
            assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 408"), "{heard}");
        }
        while let Some(heard) = bodies.try_join_next() {
            let heard = heard.unwrap();
            // Who still sends when the connection ends is reset, which may take what it was told from it.
            if heard.is_empty() {
                continue;
            }
            told += 1;
            assert!(heard.starts_with("HTTP/1.1 408") && heard.contains("did not arrive in time"), "{heard}");
            assert!(heard.contains("x-ratelimit-remaining") && heard.contains("\"code\":408"), "{heard}");
        }
        while let Some(ended) = readers.try_join_next() {
            ended.unwrap();
        }
        assert!(asked.elapsed() < LIMIT && number < 100_000, "they are never cut off");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("{number} normal calls, the slowest took {slowest:?}; memory from {before_mb} to {largest_mb} MB");
    assert!(number > 5 && slowest < PATIENCE, "{number} normal calls, the slowest took {slowest:?}");
    assert!(told > BODIES / 2, "{told} were told why");
    assert!(largest_mb < before_mb + GROWTH_MB, "memory from {before_mb} to {largest_mb} MB");
    caller.until_completed(&format!("normal-{}", number - 1)).await;
    until("nothing of them is left", async || {
        let health = caller.get("/health").await;
        let limits = &health.data()["limits"];
        limits["slowClientsCut"] == BODIES as u64 && limits["connections"].as_u64().unwrap() < 10
    })
    .await;
}

/// Much longer than the silence that is allowed, and shorter than anything else may take.
const SOON: Duration = Duration::from_secs(40);

#[tokio::test]
async fn who_takes_nothing_of_an_answer_is_cut_off_soon() {
    let mut service = Service::sqlite().await;
    service.set("SERVER__HEAD_SECONDS", LIMIT.as_secs());
    service.set("SERVER__KEEP_ALIVE_SECONDS", LIMIT.as_secs());
    service.set("SERVER__STALL_SECONDS", 2);
    service.start().await;
    let address = service.caller.base().trim_start_matches("http://").to_owned();
    let cut = tokio::time::timeout(SOON, never_reads(address)).await;
    assert!(cut.is_ok(), "who never reads is never cut off");
}

#[tokio::test]
async fn who_falls_silent_is_cut_off_soon_and_who_sends_slowly_is_heard_out() {
    let mut service = Service::sqlite().await;
    service.set("SERVER__BODY_SECONDS", LIMIT.as_secs());
    service.set("SERVER__STALL_SECONDS", 2);
    service.start_with_templates().await;
    let caller = &service.caller;
    let address = caller.base().trim_start_matches("http://").to_owned();
    let body = noop().to_string();
    let head = format!(
        "POST /task/slow HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n",
        caller.key(),
        body.len()
    );

    let silent = drips(address.clone(), head.clone(), LIMIT);
    let steady = async {
        let mut stream = TcpStream::connect(&*address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        // All of it takes longer than the silence that is allowed.
        for byte in body.bytes() {
            stream.write_all(&[byte]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(80)).await;
        }
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await.unwrap();
        heard
    };
    let (silent, steady) = tokio::join!(tokio::time::timeout(SOON, silent), steady);
    let silent = silent.expect("who says nothing more is not cut off");
    assert!(silent.starts_with("HTTP/1.1 408") && silent.contains("2 s without a byte"), "{silent}");
    assert!(steady.starts_with("HTTP/1.1 200"), "{steady}");
    assert_eq!(caller.get("/health").await.data()["limits"]["slowClientsCut"], 1);
}
