//! `mixvideo serve`.

use std::path::PathBuf;

use super::Error;
use crate::app::{App, EndSignals};
use crate::config::{Config, Flag};

/// Flags over the configuration.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    bind: Option<String>,
    /// The database's address
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Keep the embedded database and all files in this directory
    #[arg(long, value_name = "DIRECTORY")]
    data: Option<PathBuf>,
    /// What to log: a level or filters
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
}

impl Args {
    /// The flags as values of keys.
    pub(super) fn flags(&self) -> Vec<Flag> {
        let mut flags = self.data.as_deref().map_or_else(Vec::new, |directory| super::kept_in(directory, "--data"));
        let single = [
            ("--bind", "server.bind", &self.bind),
            ("--database", "database.url", &self.database),
            ("--log", "log.level", &self.log),
        ];
        for (name, key, value) in single {
            flags.extend(value.clone().map(|value| Flag { name, key, value }));
        }
        flags
    }
}

/// Serves until SIGTERM or SIGINT. The address is the one line on standard output.
pub(super) async fn run(config: Config) -> Result<(), Error> {
    super::log(&config)?;
    let end = EndSignals::expect()?;
    serve(App::start(config).await?, end).await
}

/// The same without guards, for `bench`.
pub(super) async fn run_unguarded(config: Config) -> Result<(), Error> {
    super::log(&config)?;
    let end = EndSignals::expect()?;
    serve(App::start_unguarded(config).await?, end).await
}

async fn serve(app: App, end: EndSignals) -> Result<(), Error> {
    say!("{LISTENS}{}", app.base_url());
    Ok(app.serve_until(end).await?)
}

/// What the line that names the address begins with; `bench` reads it.
pub(super) const LISTENS: &str = "mixvideo listens on ";
