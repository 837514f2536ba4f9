//! `mixvideo actors`.

use clap::Subcommand;

use super::client::Client;
use super::table::print_list;
use super::{Error, Remote, print_json};

/// What to do with actors.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    remote: Remote,
    /// Answer in JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists actors, kind by kind, by id from the newest on
    List {
        /// Only this kind, such as task
        #[arg(long)]
        kind: Option<String>,
        /// Only these, such as running
        #[arg(long)]
        status: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Shows one actor: its state, its history and what is outstanding
    Show {
        /// Its address, such as task/task_0193
        actor: String,
    },
}

/// Asks the running server.
pub(super) async fn run(args: Args) -> Result<(), Error> {
    let client = Client::new(&args.remote.server, args.remote.key)?;
    match args.action {
        Action::List { kind, status, limit } => {
            let limit = limit.to_string();
            let mut query = vec![("limit", limit.as_str())];
            query.extend(kind.as_deref().map(|kind| ("kind", kind)));
            query.extend(status.as_deref().map(|status| ("status", status)));
            let answer = client.get(&["ops", "actors"], &query).await?;
            print_list(&answer, args.json, "no actors", &["id", "kind", "status", "version"]);
        }
        // What an actor knows has no form in common with others: people read its JSON too.
        Action::Show { actor } => print_json(&client.get(&["ops", "actors", &actor], &[]).await?),
    }
    Ok(())
}
