//! `mixvideo run`.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::client::Client;
use super::progress::Progress;
use super::{Error, Remote, print_json, task};

/// The largest picture that is fetched, in bytes: with its encoding it just fits into a call.
const PICTURE_BYTES_MAX: usize = 7 << 20;

/// What to run, on what.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The template's code
    template: String,
    /// The picture: a file, or a link to one, which this program follows from where it runs
    #[arg(long, value_name = "FILE|URL")]
    image: Option<String>,
    /// A parameter of the template; may be given more than once
    #[arg(long = "param", value_name = "KEY=VALUE", value_parser = task::parameter)]
    params: Vec<(String, Value)>,
    /// Where to save the result [default: named after the task]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    remote: Remote,
    /// Answer in JSON, without a bar
    #[arg(long)]
    json: bool,
}

/// Sends the picture, waits, and saves the result.
pub(super) async fn run(args: Args) -> Result<(), Error> {
    let client = Client::new(&args.remote.server, args.remote.key)?;
    let picture = match args.image {
        // Not left to the server, which refuses what only this machine can reach.
        Some(link) if link.starts_with("http://") || link.starts_with("https://") => {
            Some(task::picture(&client.fetch(&link, PICTURE_BYTES_MAX).await?)?)
        }
        Some(image) => {
            let path = PathBuf::from(image);
            let bytes = tokio::fs::read(&path).await;
            Some(task::picture(&bytes.map_err(|source| Error::File { path, verb: "read", source })?)?)
        }
        None => None,
    };
    let id = task::execute(&client, &args.template, picture, args.params.into_iter().collect()).await?;
    let mut progress = Progress::new(&args.template, args.json);
    let ended = task::watch(&client, &id, &mut progress).await?;
    let saved = task::save(&client, &ended, args.out).await?;
    if args.json {
        let file = saved.as_ref().map(|(path, bytes)| json!({ "path": path, "bytes": bytes }));
        print_json(&json!({ "taskId": id, "status": ended["status"], "file": file }));
        return Ok(());
    }
    match saved {
        Some((path, _)) => say!("{}", path.display()),
        None => say!("{id} is completed; it makes no file"),
    }
    Ok(())
}
