//! `mixvideo migrate`.

use super::Error;
use crate::config::Config;
use crate::runtime::journal;

/// Nothing but the output's form.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Makes the database or brings its schema up to date. Doing it twice does nothing.
pub(super) async fn run(args: Args, config: &Config) -> Result<(), Error> {
    journal::migrate(config.database.address()).await?;
    if args.json {
        super::print_json(&serde_json::json!({ "database": config.database.shown(), "upToDate": true }));
    } else {
        say!("{} is up to date", config.database.shown());
    }
    Ok(())
}
