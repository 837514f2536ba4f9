//! One behaviour for every kind of storage: a local directory, and S3 as moto speaks it, which checks signatures.

use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt as _;
use mixvideo::activity::Storage;
use mixvideo::activity::storage::{Error, Reading, StoredFile, Swept};
use mixvideo::domain::{Failure, Timestamp};
use reqwest::{Method, StatusCode, Url};
use tokio::process::Command;

use crate::crash::service::{SMALL_FILM, Service, film_of, png};
use crate::server::now;

/// A place of its own on the S3 server that `tests/run.sh` starts.
fn s3() -> String {
    let url = std::env::var("MIXVIDEO_TEST_S3");
    let url = url.expect("this test needs S3, whose address is in MIXVIDEO_TEST_S3: run `bash tests/run.sh`");
    let mut url = Url::parse(&url).unwrap();
    url.set_path(&format!("tests/{}", uuid::Uuid::new_v4()));
    url.into()
}

/// Runs a test on a storage of each kind.
async fn each(test: impl AsyncFn(&Storage)) {
    let directory = tempfile::tempdir().unwrap();
    for url in [format!("file://{}/files", directory.path().display()), s3()] {
        println!("on {url}");
        test(&Storage::open(&url).unwrap()).await;
    }
}

async fn text(reading: Reading) -> String {
    let pieces: Vec<_> = reading.stream.map(|piece| piece.unwrap().to_vec()).collect().await;
    String::from_utf8(pieces.concat()).unwrap()
}

#[tokio::test]
async fn what_is_put_is_read_whole_and_by_range() {
    each(async |storage| {
        storage.put("work/t/a.mp4", "replaced").await.unwrap();
        storage.put("work/t/a.mp4", "hello world").await.unwrap();
        assert_eq!(storage.get("work/t/a.mp4", 11).await.unwrap(), "hello world");
        assert_eq!(storage.size("work/t/a.mp4").await.unwrap(), 11);
        let part = storage.read("work/t/a.mp4", Some(6..99)).await.unwrap();
        assert_eq!((part.size, part.range.clone()), (11, 6..11));
        assert_eq!(text(part).await, "world");
        let part = storage.read("work/t/a.mp4", Some(0..1)).await.unwrap();
        assert_eq!((part.size, part.range.clone()), (11, 0..1));
        assert_eq!(text(part).await, "h");
        assert_eq!(text(storage.read("work/t/a.mp4", None).await.unwrap()).await, "hello world");
        let outside = storage.read("work/t/a.mp4", Some(11..12)).await.err();
        assert!(matches!(outside, Some(Error::OutOfRange { size: 11, .. })), "{outside:?}");
    })
    .await;
}

#[tokio::test]
async fn an_empty_file_and_one_of_several_megabytes_are_kept() {
    each(async |storage| {
        let large: Vec<u8> = (0..6_000_000_u32).map(|number| (number % 251) as u8).collect();
        storage.put("a", large.clone()).await.unwrap();
        assert!(storage.get("a", 6_000_000).await.unwrap() == large);
        storage.put("a", "").await.unwrap();
        assert_eq!(storage.get("a", 0).await.unwrap(), "");
    })
    .await;
}

#[tokio::test]
async fn a_file_that_is_not_there_is_not_found() {
    each(async |storage| {
        assert!(matches!(storage.get("a", 1).await, Err(Error::NotFound(_))));
        assert!(matches!(storage.read("a", None).await, Err(Error::NotFound(_))));
        assert!(matches!(storage.read("a", Some(0..1)).await, Err(Error::NotFound(_))));
        assert!(matches!(storage.size("a").await, Err(Error::NotFound(_))));
        assert!(matches!(storage.copy("a", "b").await, Err(Error::NotFound(_))));
        storage.delete("a").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_file_over_the_readers_limit_is_refused() {
    each(async |storage| {
        storage.put("a", "12345").await.unwrap();
        assert!(matches!(storage.get("a", 4).await, Err(Error::TooLarge { size: 5, limit: 4, .. })));
    })
    .await;
}

#[tokio::test]
async fn the_same_input_is_kept_under_its_digest() {
    each(async |storage| {
        let first = storage.put_input("abc").await.unwrap();
        assert_eq!(first, "inputs/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(storage.put_input("abc").await.unwrap(), first);
        assert_eq!(storage.get(&first, 3).await.unwrap(), "abc");
    })
    .await;
}

#[tokio::test]
async fn a_copy_replaces_and_outlives_its_original() {
    each(async |storage| {
        storage.put("work/a", "one").await.unwrap();
        storage.put("results/a", "old").await.unwrap();
        for _ in 0..2 {
            storage.copy("work/a", "results/a").await.unwrap();
        }
        storage.put("work/a", "two").await.unwrap();
        storage.delete("work/a").await.unwrap();
        storage.delete("work/a").await.unwrap();
        assert_eq!(storage.get("results/a", 9).await.unwrap(), "one");
        assert!(matches!(storage.copy("work/a", "results/a").await, Err(Error::NotFound(_))));
    })
    .await;
}

#[tokio::test]
async fn a_sweep_takes_what_may_go_in_bounded_portions_and_nothing_beside_its_folder() {
    each(async |storage| {
        for key in ["work/t/a", "work/t/b", "work/t/c", "work/t2/a", "results/t/a"] {
            storage.put(key, "12345").await.unwrap();
        }
        let spares_c = |file: &StoredFile| file.key != "work/t/c";
        let first = storage.sweep("work/t", 1, spares_c).await.unwrap();
        assert_eq!(first, Swept { files: 1, bytes: 5, more: true });
        let second = storage.sweep("work/t", 9, spares_c).await.unwrap();
        assert_eq!(second, Swept { files: 1, bytes: 5, more: false });
        for kept in ["work/t/c", "work/t2/a", "results/t/a"] {
            assert!(storage.size(kept).await.is_ok(), "{kept} was removed");
        }
        assert_eq!(storage.sweep("work/t", 9, |_| true).await.unwrap().files, 1);
        assert_eq!(storage.sweep("work/t", 9, |_| true).await.unwrap(), Swept::default());
        assert!(matches!(storage.sweep("../files", 9, |_| true).await, Err(Error::InvalidKey(_))));
    })
    .await;
}

#[tokio::test]
async fn a_listing_tells_when_a_file_was_written() {
    each(async |storage| {
        // A store may tell whole seconds alone.
        let begun = now().plus_ms(-1_000);
        storage.put("work/t/a", "12345").await.unwrap();
        let fresh = |file: &StoredFile| (begun..=now().plus_ms(1_000)).contains(&file.written);
        assert_eq!(storage.sweep("work", 9, fresh).await.unwrap().files, 1);
        storage.put("work/t/a", "12345").await.unwrap();
        let old = |file: &StoredFile| file.written < Timestamp(begun.0);
        assert_eq!(storage.sweep("work", 9, old).await.unwrap(), Swept::default());
    })
    .await;
}

#[tokio::test]
async fn a_file_written_again_during_a_sweep_stays() {
    each(async |storage| {
        storage.put("inputs/a", "1").await.unwrap();
        // The first look is the listing's, the second the one before the removal.
        let looks = AtomicUsize::new(0);
        let once = |_: &StoredFile| looks.fetch_add(1, Ordering::Relaxed) == 0;
        assert_eq!(storage.sweep("inputs", 9, once).await.unwrap(), Swept::default());
        assert!(storage.size("inputs/a").await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn a_key_that_could_leave_the_storage_is_refused() {
    each(async |storage| {
        let long = "a".repeat(256);
        for key in
            ["", "..", "../a", "a/../../b", "/etc/passwd", "a//b", "a/", ".hidden", "a b", "a%2fb", "ä", "a\0", &long]
        {
            assert!(matches!(storage.put(key, "x").await, Err(Error::InvalidKey(_))), "{key:?} was taken");
            assert!(matches!(storage.get(key, 1).await, Err(Error::InvalidKey(_))), "{key:?} was read");
        }
    })
    .await;
}

#[tokio::test]
async fn two_prefixes_of_a_bucket_are_two_storages() {
    let (one, other) = (Storage::open(&s3()).unwrap(), Storage::open(&s3()).unwrap());
    one.put("a", "1").await.unwrap();
    assert!(matches!(other.get("a", 1).await, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn a_store_that_is_away_may_be_back_later() {
    let vacant = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut url = Url::parse(&s3()).unwrap();
    url.set_query(Some(&format!("region=us-east-1&endpoint=http://{vacant}")));
    let storage = Storage::open(url.as_str()).unwrap();
    let failure: Failure = storage.put("a", "x").await.unwrap_err().into();
    assert_eq!((failure.code.as_str(), failure.retryable), ("storage_unavailable", true));
    let failure: Failure = storage.get("a", 1).await.unwrap_err().into();
    assert_eq!((failure.code.as_str(), failure.retryable), ("storage_unavailable", true));
}

/// `mixvideo doctor` on a storage, with the environment's keys or another secret.
async fn doctor(url: &str, secret: Option<&str>) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mixvideo"));
    command.arg("doctor").current_dir(directory.path()).env("MIXVIDEO__STORAGE__URL", url);
    if let Some(secret) = secret {
        command.env("AWS_SECRET_ACCESS_KEY", secret);
    }
    command.output().await.unwrap()
}

#[tokio::test]
async fn the_doctor_looks_at_s3_and_sees_a_wrong_key() {
    let url = s3();
    let well = doctor(&url, None).await;
    let said = String::from_utf8(well.stdout).unwrap();
    assert!(well.status.success() && said.contains("takes files and gives them back"), "{said}");
    let ill = doctor(&url, Some("another secret")).await;
    let said = String::from_utf8(ill.stdout).unwrap();
    let line = said.lines().find(|line| line.contains(" storage ")).unwrap();
    assert!(!ill.status.success() && line.starts_with("WRONG"), "{said}");
    assert!(line.contains("SignatureDoesNotMatch") && !said.contains("another secret"), "{said}");
}

#[tokio::test]
async fn a_film_is_made_and_watched_on_s3() {
    let mut service = Service::sqlite().await;
    service.define("film.toml", SMALL_FILM);
    let url = s3();
    service.set("STORAGE__URL", &url);
    service.start_with_templates().await;
    let caller = &service.caller;
    caller.make("film", &film_of(&png())).await;
    let task = caller.until_completed("film").await;
    caller.assert_playable("film").await;
    // The link is the server's own, and gives parts.
    let link = task["result"]["videoUrl"].as_str().unwrap();
    let path = link.strip_prefix(&caller.base()).unwrap();
    let part = caller.ask(caller.request(Method::GET, path).header("range", "bytes=4-7")).await.unwrap();
    assert_eq!((part.status, part.body), (StatusCode::PARTIAL_CONTENT, "ftyp".into()));
    let storage = Storage::open(&url).unwrap();
    assert!(storage.size("results/film/video.mp4").await.unwrap() > 200);
}
