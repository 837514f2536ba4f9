//! The command line: one file per subcommand.
//!
//! What a script reads goes to standard output, everything said to a person to standard error. Exit codes are in
//! [`exit`].

/// Prints a line to standard output, or lines that end as they should.
macro_rules! say {
    ($($text:tt)*) => { $crate::cli::say_text(&format!($($text)*)) };
}

mod actors;
mod bench;
mod client;
mod database;
mod dead;
mod demo;
mod doctor;
mod error;
pub mod exit;
mod keys;
mod migrate;
mod openapi;
mod payments;
mod progress;
mod run;
mod serve;
mod table;
mod task;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use secrecy::SecretString;

use crate::config::{Config, Faults, Flag, LogFormat, Sources};
pub use error::Error;

/// Durable actors that run media templates: a photo in, a video out.
#[derive(Debug, Parser)]
#[command(name = "mixvideo", version, after_help = exit::HELP)]
pub struct Cli {
    /// The configuration's file [default: config.toml, when it exists]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the service until it is told to stop
    Serve(serve::Args),
    /// Makes a video of a bundled picture, with nothing else installed
    Demo(demo::Args),
    /// Sends a picture to a template of a running server and saves the result
    Run(run::Args),
    /// Does one job for a server that starts it; not for people
    Worker,
    /// Keys to the API, made on the database itself
    Keys(keys::Args),
    /// Actors of a running server
    Actors(actors::Args),
    /// Messages that a running server has set aside
    Dead(dead::Args),
    /// Payments of a running server: compared with the gateway, released, given back
    Payments(payments::Args),
    /// Makes the database or brings its schema up to date
    Migrate(migrate::Args),
    /// Says whether the service can run here, and what is missing
    Doctor(doctor::Args),
    /// Prints the description of the API (OpenAPI 3.1)
    Openapi,
    /// Measures a server: throughput, latency, reads, memory, webhooks
    Bench(bench::Args),
    /// The bare endpoint that reads are compared with
    #[command(hide = true)]
    BenchBaseline,
    /// A server without guards that others are compared with
    #[command(hide = true)]
    BenchUnguarded(serve::Args),
}

/// Which server to talk to, and as whom.
#[derive(Clone, Debug, Args)]
struct Remote {
    /// The server's address
    #[arg(long, global = true, env = "MIXVIDEO_SERVER", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    server: String,
    /// A key to its API, from `mixvideo keys create`
    #[arg(long, global = true, env = "MIXVIDEO_KEY", value_name = "KEY", hide_env_values = true)]
    key: Option<SecretString>,
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing is left to do when the terminal is gone.
            let _ = error.print();
            return if error.use_stderr() { exit::Code::Usage.into() } else { ExitCode::SUCCESS };
        }
    };
    if matches!(cli.command, Command::Worker) {
        return crate::activity::worker::worker_main();
    }
    match actix_web::rt::System::new().block_on(run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mixvideo: {}", error::with_causes(&error));
            error.exit_code().into()
        }
    }
}

async fn run(cli: Cli) -> Result<(), Error> {
    let configured = |flags: Vec<Flag>| Config::load(&Sources::here(cli.config.clone(), flags));
    match cli.command {
        Command::Serve(args) => serve::run(configured(args.flags())?).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Run(args) => run::run(args).await,
        Command::Worker => unreachable!("it was started before"),
        Command::Keys(args) => keys::run(args, &configured(Vec::new())?).await,
        Command::Actors(args) => actors::run(args).await,
        Command::Dead(args) => dead::run(args).await,
        Command::Payments(args) => payments::run(args).await,
        Command::Migrate(args) => migrate::run(args, &configured(Vec::new())?).await,
        Command::Doctor(args) => doctor::run(args, configured(Vec::new())).await,
        Command::Openapi => openapi::run(),
        Command::Bench(args) => bench::run(args).await,
        Command::BenchBaseline => bench::baseline().await,
        Command::BenchUnguarded(args) => serve::run_unguarded(configured(args.flags())?).await,
    }
}

/// Flags that keep everything of an embedded server in `directory`.
fn kept_in(directory: &std::path::Path, name: &'static str) -> Vec<Flag> {
    let at = |rest: &str| directory.join(rest).display().to_string();
    [
        ("database.url", format!("sqlite://{}", at("mixvideo.db"))),
        ("storage.url", format!("file://{}", at("files"))),
        ("engine.inflight_file", at("inflight")),
        ("worker.scratch", at("work")),
    ]
    .into_iter()
    .map(|(key, value)| Flag { name, key, value })
    .collect()
}

/// Writes the log to standard error as `config` says.
fn log(config: &Config) -> Result<(), Faults> {
    let filter = tracing_subscriber::EnvFilter::try_new(&config.log.level)
        .map_err(|error| Faults(vec![format!("`log.level` cannot be used: {error}")]))?;
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || !std::io::IsTerminal::is_terminal(&std::io::stderr());
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(!plain);
    // A second call in one process keeps the first one's settings.
    let _ = match config.log.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    Ok(())
}

/// Prints `text` with one end of line. A reader that has gone, as `head` does, wants no more: that is no failure.
fn say_text(text: &str) {
    let mut out = std::io::stdout().lock();
    let said = writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush());
    if let Err(error) = said
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        eprintln!("mixvideo: standard output cannot be written: {error}");
    }
}

/// Prints `value` for a script.
fn print_json(value: &serde_json::Value) {
    say!("{value:#}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_documented_subcommand_exists() {
        for line in [
            "mixvideo serve",
            "mixvideo serve --bind 127.0.0.1:0 --data here --config mine.toml",
            "mixvideo demo --out film.mp4 --data here",
            "mixvideo run photo-to-video --image cat.jpg --param seconds=3 --param move=pan_left --out cat.mp4",
            "mixvideo worker",
            "mixvideo keys create --role operator",
            "mixvideo keys create --role client --client-id shop --expires 30d",
            "mixvideo keys list --json",
            "mixvideo keys revoke key_1",
            "mixvideo actors list --kind task --status running --json",
            "mixvideo actors show task/task_1 --server http://127.0.0.1:1 --key mv_1",
            "mixvideo dead list",
            "mixvideo dead show task/task_1:2:0",
            "mixvideo dead replay task/task_1:2:0",
            "mixvideo dead drop task/task_1:2:0",
            "mixvideo payments reconcile --json",
            "mixvideo payments sync pay_1",
            "mixvideo payments release pay_1",
            "mixvideo payments give-back pay_1",
            "mixvideo migrate",
            "mixvideo doctor --json",
            "mixvideo doctor --ledger",
            "mixvideo openapi",
            "mixvideo bench throughput --tasks 10 --json",
            "mixvideo bench webhooks --payments 10 --events 100 --deliveries 1000",
            "mixvideo bench refunds --refunds 10 --hot-refunds 997",
            "mixvideo bench all",
        ] {
            parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "mixvideo",
            "mixvideo sing",
            "mixvideo run photo-to-video --param seconds",
            "mixvideo keys create",
            "mixvideo keys create --role king",
            "mixvideo keys create --role client --expires soon",
            "mixvideo bench refunds --hot-refunds 998",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_data_directory_holds_everything_that_is_kept() {
        let flags = kept_in(std::path::Path::new("here"), "--data");
        let config = Config::load(&Sources { flags, ..Sources::default() }).unwrap();
        assert_eq!(config.database.address(), "sqlite://here/mixvideo.db");
        assert_eq!(config.storage.url, "file://here/files");
        assert!(config.engine.inflight_file.starts_with("here") && config.worker.scratch.starts_with("here"));
    }
}
