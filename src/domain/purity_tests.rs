//! The domain decides and does nothing else: no file of it may name what does IO, reads a clock or waits.

use std::fs;
use std::path::{Path, PathBuf};

/// Written in two halves, so that this file does not name them either.
const FORBIDDEN: &[&str] = &[
    concat!("act", "ix"),
    concat!("sea_", "orm"),
    concat!("sq", "lx"),
    concat!("tok", "io"),
    concat!("red", "is"),
    concat!("req", "west"),
    concat!("std::", "net"),
    concat!("std::", "process"),
    concat!("std::", "thread"),
    concat!("System", "Time"),
    concat!("Instant", "::now"),
    concat!("Utc", "::now"),
    concat!("now", "_v7"),
    concat!("new", "_v4"),
    concat!("rand", "::"),
    concat!("async", " "),
    concat!(".aw", "ait"),
];

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn the_domain_does_no_io_reads_no_clock_and_never_waits() {
    let mut files = Vec::new();
    rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/domain"), &mut files);
    assert!(files.len() > 10, "the folder has moved: {files:?}");
    let mut faults = Vec::new();
    for file in files {
        for (index, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
            let names = FORBIDDEN.iter().filter(|word| line.contains(**word));
            faults.extend(names.map(|word| format!("{}:{}: `{word}`", file.display(), index + 1)));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Reading files is for this test alone.
#[test]
fn the_domain_reads_no_files() {
    let mut files = Vec::new();
    rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/domain"), &mut files);
    files.retain(|file| !file.ends_with("purity_tests.rs"));
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert!(!text.contains("std::fs") && !text.contains("File::"), "{}", file.display());
    }
}
