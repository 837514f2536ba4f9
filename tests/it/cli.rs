//! The program as a user starts it.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Runs the program in `directory`, where it finds its configuration and keeps its data.
fn mixvideo(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mixvideo"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MIXVIDEO")) {
        command.env_remove(name);
    }
    command.args(arguments).current_dir(directory).output().unwrap()
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
    assert!(!home.path().join("data/mixvideo.db").exists());
    stdout(&mixvideo(home.path(), &["migrate"]));
    let text = stdout(&mixvideo(home.path(), &["doctor"]));
    assert!(text.contains("write-ahead log") && text.contains("up to date"), "{text}");
}

#[test]
fn the_doctor_names_what_is_wrong_and_fails() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("broken.db"), "this is no database, whatever its name says").unwrap();
    std::fs::create_dir(home.path().join("workflows")).unwrap();
    std::fs::write(home.path().join("workflows/mine.toml"), "name = \"mine\"\n").unwrap();
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
}

#[test]
fn a_wrong_configuration_is_a_wrong_usage_and_every_fault_is_told() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("config.toml"), "[server]\nbindd = \"x\"\n[mailbox]\nbackend = \"redis\"\n")
        .unwrap();
    let output = mixvideo(home.path(), &["serve"]);
    assert_eq!(code(&output), 2);
    let said = stderr(&output);
    assert!(said.contains("`server.bindd` from config.toml is not known"), "{said}");
    assert!(said.contains("Redis mailboxes are not part of this release"), "{said}");
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
    for name in
        ["serve", "demo", "run", "keys", "actors", "dead", "migrate", "doctor", "openapi", "bench", "Exit codes"]
    {
        assert!(help.contains(name), "{name} is missing in\n{help}");
    }
    assert!(!help.contains("bench-baseline"));
}
