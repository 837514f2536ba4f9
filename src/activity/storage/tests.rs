//! What only a local directory can show; what holds for every storage is in `tests/it/storage.rs`.

use super::*;

fn storage() -> (tempfile::TempDir, Storage) {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::open(&format!("file://{}/files", directory.path().display())).unwrap();
    (directory, storage)
}

#[tokio::test]
async fn the_same_input_is_one_file() {
    let (directory, storage) = storage();
    for _ in 0..2 {
        storage.put_input("abc").await.unwrap();
    }
    assert_eq!(std::fs::read_dir(directory.path().join("files/inputs")).unwrap().count(), 1);
}

#[tokio::test]
async fn a_copy_made_twice_leaves_nothing_behind() {
    let (directory, storage) = storage();
    storage.put("work/a", "one").await.unwrap();
    for _ in 0..2 {
        storage.copy("work/a", "results/a").await.unwrap();
    }
    let names = std::fs::read_dir(directory.path().join("files/results")).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["a"]);
}

#[tokio::test]
async fn a_folder_that_a_sweep_empties_is_gone() {
    let (directory, storage) = storage();
    storage.put("work/t/a", "12345").await.unwrap();
    storage.sweep("work/t", 9, |_| true).await.unwrap();
    assert!(!directory.path().join("files/work/t").exists(), "an empty directory was left behind");
}

#[tokio::test]
async fn an_input_that_is_sent_again_counts_as_new() {
    let (directory, storage) = storage();
    let key = storage.put_input("abc").await.unwrap();
    let file = std::fs::File::open(directory.path().join("files").join(&key)).unwrap();
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1000)).unwrap();
    storage.put_input("abc").await.unwrap();
    let old = |file: &StoredFile| file.written < Timestamp(2_000_000);
    assert_eq!(storage.sweep("inputs", 9, old).await.unwrap(), Swept::default());
    assert_eq!(storage.get(&key, 3).await.unwrap(), "abc");
}

#[test]
fn an_unknown_storage_url_is_refused_with_an_example() {
    let error = Storage::open("ftp://files").unwrap_err().to_string();
    assert!(error.contains("file://data/files"), "{error}");
}
