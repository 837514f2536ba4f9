//! The program as a user starts it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use serde_json::Value;

use crate::crash::service::{Service, png};
use crate::media::films::probe;
use crate::postgres;

/// The program in `directory`, where it finds its configuration and keeps its data.
fn program(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mixvideo"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MIXVIDEO")) {
        command.env_remove(name);
    }
    command.args(arguments).current_dir(directory);
    command
}

/// Runs the program.
fn mixvideo(directory: &Path, arguments: &[&str]) -> Output {
    program(directory, arguments).output().unwrap()
}

/// A server that is killed at the end.
struct Serving(Child);

impl Serving {
    /// Starts a server and waits until it listens.
    fn start(directory: &Path, database: &str) -> Self {
        let mut command = program(directory, &["serve", "--bind", "127.0.0.1:0", "--database", database]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("mixvideo listens on "), "{line}");
        Self(child)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A second server says that there is another one, and ends.
fn assert_refused(directory: &Path, database: &str) {
    let mut command = program(directory, &["serve", "--bind", "127.0.0.1:0", "--database", database]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > Duration::from_secs(30) {
            child.kill().unwrap();
            panic!("the second server serves: {}", stderr(&child.wait_with_output().unwrap()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let second = child.wait_with_output().unwrap();
    assert_eq!(code(&second), 1, "{}", stderr(&second));
    assert!(stderr(&second).contains("another mixvideo serves"), "{}", stderr(&second));
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    assert_eq!(code(output), 0, "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_key_is_printed_alone_listed_without_itself_and_revoked_once() {
    let home = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| mixvideo(home.path(), arguments);
    let key = stdout(&run(&["keys", "create", "--role", "client", "--client-id", "shop", "--expires", "30d"]));
    assert_eq!(key.lines().count(), 1, "{key}");
    assert!(key.trim().len() > 40 && !key.trim().contains(' '), "{key}");
    let listed = stdout(&run(&["keys", "list", "--json"]));
    assert!(!listed.contains(key.trim()));
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((&listed[0]["role"], &listed[0]["clientId"]), (&"client".into(), &"shop".into()));
    assert!(listed[0]["expiresAt"].is_string() && listed[0]["revokedAt"].is_null(), "{listed}");
    let id = listed[0]["id"].as_str().unwrap();
    stdout(&run(&["keys", "revoke", id]));
    let listed: Value = serde_json::from_str(&stdout(&run(&["keys", "list", "--json"]))).unwrap();
    assert!(listed[0]["revokedAt"].is_string(), "{listed}");
    let unknown = run(&["keys", "revoke", "key_unknown"]);
    assert_eq!(code(&unknown), 4, "{}", stderr(&unknown));
}

#[test]
fn the_doctor_finds_a_fresh_directory_fit_and_changes_nothing_in_the_database() {
    let home = tempfile::tempdir().unwrap();
    let report: Value = serde_json::from_str(&stdout(&mixvideo(home.path(), &["doctor", "--json"]))).unwrap();
    assert_eq!(report["ok"], true, "{report:#}");
    let whats: Vec<&str> = report["checks"].as_array().unwrap().iter().map(|c| c["what"].as_str().unwrap()).collect();
    for what in ["configuration", "database", "disk", "storage", "worker", "workflow", "clock"] {
        assert!(whats.contains(&what), "{what} is missing in {whats:?}");
    }
    let workflows = report["workflows"].as_array().unwrap();
    let named = |name: &str| workflows.iter().find(|workflow| workflow["name"] == name).unwrap();
    assert_eq!((workflows.len(), &named("noop")["needs"]), (8, &serde_json::json!(["the lane local"])));
    let set = named("photo-set-workflow");
    assert_eq!(
        (&set["runs"], &set["lacks"], &set["priority"]),
        (&true.into(), &serde_json::json!([]), &"normal".into())
    );
    assert_eq!(set["needs"], serde_json::json!(["the lane local", "the lane media", "a worker"]));
    let hired = named("replicate-workflow");
    let provider = "the provider `replicate`, configured as [providers.replicate]";
    assert_eq!((&hired["runs"], &hired["lacks"]), (&false.into(), &serde_json::json!([provider])));
    assert_eq!((&set["steps"][2]["name"], &set["steps"][2]["when"]), (&"cover".into(), &"cover = true".into()));
    assert!(!home.path().join("data/mixvideo.db").exists());
    let left: Vec<_> = std::fs::read_dir(home.path().join("data/files")).unwrap().collect();
    assert!(left.is_empty(), "the doctor leaves {left:?}");
    stdout(&mixvideo(home.path(), &["migrate"]));
    let text = stdout(&mixvideo(home.path(), &["doctor"]));
    assert!(text.contains("write-ahead log") && text.contains("up to date"), "{text}");
    let digest = &set["digest"].as_str().unwrap()[..12];
    let line =
        text.lines().find(|line| line.contains(digest)).unwrap_or_else(|| panic!("{digest} is missing in {text}"));
    assert!(line.contains("cover after picture when cover = true") && line.ends_with("it can run here"), "{line}");
}

#[test]
fn an_operators_key_belongs_to_no_client() {
    let home = tempfile::tempdir().unwrap();
    let refused = mixvideo(home.path(), &["keys", "create", "--role", "operator", "--client-id", "shop"]);
    assert_eq!(code(&refused), 2);
    assert!(stderr(&refused).contains("leave out --client-id"), "{}", stderr(&refused));
    assert!(refused.stdout.is_empty());
}

#[tokio::test]
async fn a_task_that_fails_is_exit_code_five_and_says_why() {
    let mut service = Service::sqlite().await;
    service.start_with_templates().await;
    let directory = tempfile::tempdir().unwrap();
    let broken = directory.path().join("broken.png");
    // Its header is a picture's, and what follows is missing.
    let bytes = png();
    std::fs::write(&broken, &bytes[..bytes.len() / 2]).unwrap();
    let film = directory.path().join("film.mp4");
    let output = service
        .run(&["run", "photo-to-video", "--image", broken.to_str().unwrap(), "--out", film.to_str().unwrap()])
        .await;
    assert_eq!(code(&output), 5, "{}", stderr(&output));
    assert!(stderr(&output).contains("failed: "), "{}", stderr(&output));
    assert!(stderr(&output).contains("picture_damaged"), "{}", stderr(&output));
    assert!(!film.exists());
}

#[test]
fn the_demonstration_leaves_a_film_and_can_be_repeated() {
    let home = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let told = stdout(&mixvideo(home.path(), &["demo", "--out", "film.mp4", "--data", "here", "--json"]));
        let told: Value = serde_json::from_str(&told).unwrap();
        let film = home.path().join("film.mp4");
        assert_eq!(told["bytes"], std::fs::metadata(&film).unwrap().len());
        let found = probe(&film);
        let stream = &found["streams"][0];
        assert_eq!(
            (&stream["codec_name"], &stream["width"], &stream["height"]),
            (&"h264".into(), &1280.into(), &720.into())
        );
        let seconds: f64 = found["format"]["duration"].as_str().unwrap().parse().unwrap();
        assert!((seconds - 5.0).abs() < 0.1, "{seconds} s");
        std::fs::remove_file(film).unwrap();
    }
}

#[test]
fn the_doctor_names_what_is_wrong_and_fails() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("broken.db"), "this is no database, whatever its name says").unwrap();
    std::fs::create_dir(home.path().join("workflows")).unwrap();
    std::fs::write(home.path().join("workflows/mine.toml"), "name = \"mine\"\n").unwrap();
    let own = "name = \"noop\"\ndescription = \"Mine.\"\nproduces = \"nothing\"\n[[steps]]\nname = \"mine\"\nactivity = \"noop\"\n";
    std::fs::write(home.path().join("workflows/noop.toml"), own).unwrap();
    std::fs::write(home.path().join("config.toml"), "[database]\nurl = \"sqlite://broken.db\"\n").unwrap();
    let output = mixvideo(home.path(), &["doctor", "--json"]);
    assert_eq!(code(&output), 1);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ok"], false);
    let wrong: Vec<&str> = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["ok"] == false)
        .map(|check| check["what"].as_str().unwrap())
        .collect();
    assert!(wrong.iter().any(|what| what.starts_with("database")) && wrong.contains(&"workflow"), "{report:#}");
    let noops = report["workflows"].as_array().unwrap().iter().filter(|workflow| workflow["name"] == "noop");
    let steps: Vec<&Value> = noops.map(|workflow| &workflow["steps"][0]["name"]).collect();
    assert_eq!(steps, ["mine"], "the one that replaces the bundled one, and the rest in spite of the broken file");
}

#[test]
fn a_wrong_configuration_is_a_wrong_usage_and_every_fault_is_told() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("config.toml"), "[server]\nbindd = \"x\"\n[mailbox]\nbackend = \"rabbits\"\n")
        .unwrap();
    let output = mixvideo(home.path(), &["serve"]);
    assert_eq!(code(&output), 2);
    let said = stderr(&output);
    assert!(said.contains("`server.bindd` from config.toml is not known"), "{said}");
    assert!(said.contains("must be memory or redis"), "{said}");
}

#[test]
fn a_server_that_is_not_there_is_exit_code_three() {
    let home = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = format!("http://{free}");
    for arguments in [&["actors", "list"][..], &["dead", "list"], &["run", "noop"]] {
        let output = mixvideo(home.path(), &[arguments, &["--server", &server]].concat());
        assert_eq!(code(&output), 3, "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("start one with `mixvideo serve`"), "{}", stderr(&output));
    }
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mixvideo"))
        .arg("openapi")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
}

#[test]
fn no_two_operations_of_the_description_share_a_name() {
    let home = tempfile::tempdir().unwrap();
    let api: Value = serde_json::from_str(&stdout(&mixvideo(home.path(), &["openapi"]))).unwrap();
    let operations = api["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let mut names: Vec<&str> = operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "{names:?}");
}

#[test]
fn a_database_that_does_not_answer_is_told_in_words_and_by_the_exit_code() {
    let home = tempfile::tempdir().unwrap();
    // A port that is held and never answered on.
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://nobody:secret@{}/nowhere", held.local_addr().unwrap());
    std::fs::write(home.path().join("config.toml"), format!("[database]\nurl = \"{url}\"\n")).unwrap();
    for arguments in [["serve"].as_slice(), &["keys", "list"]] {
        let output = mixvideo(home.path(), arguments);
        assert_eq!(code(&output), 3, "{arguments:?}: {}", stderr(&output));
        let said = stderr(&output);
        assert!(said.contains("nothing answers at its address"), "{said}");
        assert!(!said.contains("secret") && !said.contains("pool"), "{said}");
    }
}

#[test]
fn nonsense_is_a_wrong_usage_and_help_is_not() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(code(&mixvideo(home.path(), &["sing"])), 2);
    assert_eq!(code(&mixvideo(home.path(), &["keys", "create"])), 2);
    let help = stdout(&mixvideo(home.path(), &["--help"]));
    for name in [
        "serve",
        "demo",
        "run",
        "keys",
        "actors",
        "dead",
        "migrate",
        "doctor",
        "openapi",
        "payments",
        "bench",
        "Exit codes",
    ] {
        assert!(help.contains(name), "{name} is missing in\n{help}");
    }
    assert!(!help.contains("bench-baseline") && !help.contains("bench-unguarded"));
}

#[test]
fn what_guards_cost_is_measured_against_a_server_that_has_none_and_that_is_reached_from_here_alone() {
    let home = tempfile::tempdir().unwrap();
    let found = mixvideo(home.path(), &["bench", "limits", "--seconds", "2", "--connections", "4", "--json"]);
    assert_eq!(code(&found), 0, "{}", stderr(&found));
    let found: Value = serde_json::from_str(&stdout(&found)).unwrap();
    let figure = |name: &str| found["limits"][name].as_f64().unwrap();
    assert!(figure("guardedPerSecond") > 0.0 && figure("unguardedPerSecond") > 0.0, "{found}");
    assert!((0.01..10.0).contains(&figure("ratio")), "{found}");
    let exposed = mixvideo(home.path(), &["bench-unguarded", "--bind", "0.0.0.0:0"]);
    assert_ne!(code(&exposed), 0);
    assert!(stderr(&exposed).contains("listens on 127.0.0.1 alone"), "{}", stderr(&exposed));
}

#[test]
fn a_second_server_on_the_same_file_is_refused_until_the_first_is_gone() {
    let (home, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let database = format!("sqlite://{}", home.path().join("mixvideo.db").display());
    let first = Serving::start(home.path(), &database);
    assert_refused(other.path(), &database);
    drop(first);
    drop(Serving::start(other.path(), &database));
}

#[tokio::test]
async fn a_second_server_on_the_same_postgresql_is_refused_until_the_first_is_gone() {
    let (home, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let database = postgres::database().await;
    let first = Serving::start(home.path(), &database);
    assert_refused(other.path(), &database);

    let administrator = Database::connect(&database).await.unwrap();
    let before = lock_holder(&administrator).await;
    postgres::end_connections(&administrator).await;
    // Until its old connection has ended, that one is still seen to hold it.
    let started = Instant::now();
    while matches!(lock_holder(&administrator).await, holder if holder.is_none() || holder == before) {
        assert!(started.elapsed() < Duration::from_secs(20), "the lock was not taken again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_refused(other.path(), &database);
    drop(first);
    drop(Serving::start(other.path(), &database));
}

/// The process of the connection that has the lock of the database.
async fn lock_holder(administrator: &DatabaseConnection) -> Option<i32> {
    let sql = "SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = database \
               WHERE locktype = 'advisory' AND granted AND datname = current_database()";
    let statement = sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, sql);
    let row = administrator.query_one_raw(statement).await.unwrap()?;
    Some(row.try_get_by_index(0).unwrap())
}
