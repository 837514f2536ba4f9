//! Mixvideo.

use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("worker") => mixvideo::activity::worker::worker_main(),
        _ => ExitCode::FAILURE,
    }
}
