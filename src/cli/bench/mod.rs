//! `mixvideo bench`: what a server can do, measured from outside.
//!
//! The load generator is a process of its own and talks to a server that it starts, or to one that runs. Everything
//! is bounded in count and in time and bound to 127.0.0.1.

mod checkouts;
mod child;
mod commits;
mod http;
mod load;
mod measure;
mod raw;
mod refunds;
mod report;
mod rows;
mod webhooks;

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use secrecy::SecretString;

use super::{Error, print_json};
use child::{BareServer, Child};
use report::Report;

pub(super) use child::baseline;

/// What to measure, and how much of it.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// What to measure
    #[arg(value_enum, default_value_t = Mode::All)]
    mode: Mode,
    /// No-op tasks for `throughput` and finished ones for `size`
    #[arg(long, default_value_t = 100_000)]
    tasks: u64,
    /// Tasks that wait, for `size`
    #[arg(long, default_value_t = 10_000)]
    waiting: u64,
    /// Keep-alive connections
    #[arg(long, default_value_t = 512)]
    connections: usize,
    /// Calls a second, for `latency`
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// How long `latency` and each side of `reads` run, in seconds
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Payments that `webhooks` are about
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    payments: u64,
    /// Distinct events on them, for `webhooks`
    #[arg(long, default_value_t = 20_000)]
    events: u64,
    /// Deliveries of one event for each payment, in all, for `webhooks`
    #[arg(long, default_value_t = 100_000)]
    deliveries: u64,
    /// Payments of one receiver that `refunds` gives a part of back, each once
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    refunds: u64,
    /// Refunds of one payment, for `refunds`
    #[arg(long, default_value_t = 900, value_parser = clap::value_parser!(u64).range(1..=refunds::HOT_REFUNDS_MAX))]
    hot_refunds: u64,
    /// The longest that one measurement may take, in seconds
    #[arg(long, default_value_t = 300)]
    limit: u64,
    /// Database of the server that is started [default: SQLite in a directory of its own]
    #[arg(long, value_name = "URL", conflicts_with = "server")]
    database: Option<String>,
    /// Redis for the mailboxes of the server that is started [default: in memory]
    #[arg(long, value_name = "URL", conflicts_with = "server")]
    redis: Option<String>,
    /// Measure this running server instead of starting one; its tasks are counted only with --count-in
    #[arg(long, value_name = "URL", requires = "key")]
    server: Option<String>,
    /// An operator's key to it
    #[arg(long, env = "MIXVIDEO_KEY", value_name = "KEY", hide_env_values = true)]
    key: Option<SecretString>,
    /// The running server's database, to count what is completed
    #[arg(long, value_name = "URL", requires = "server")]
    count_in: Option<String>,
    /// Where the started server keeps its data [default: a temporary directory]
    #[arg(long, value_name = "DIRECTORY")]
    data: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// No-op tasks a second, from the first POST to the last one completed on disk
    Throughput,
    /// POST, and POST to completed, at a fixed rate
    Latency,
    /// Reads of a task, against a bare actix-web endpoint
    Reads,
    /// Reads with authentication, limits and tracing, against the same reads without
    Limits,
    /// Resident memory with many finished and many waiting tasks
    Size,
    /// The same rows by plain multi-row inserts
    Raw,
    /// Webhooks accepted a second, and what the same ones leave that come again and again
    Webhooks,
    /// Refunds a second, of many payments of one receiver and of one payment
    Refunds,
    /// All but `size`, `webhooks` and `refunds`
    All,
}

impl Mode {
    fn includes(self, other: Self) -> bool {
        self == other || (self == Self::All && !matches!(other, Self::Size | Self::Webhooks | Self::Refunds))
    }
}

/// Measures and prints.
pub(super) async fn run(args: Args) -> Result<(), Error> {
    let target = Child::start(&args).await?;
    let measured = measure_all(&args, &target).await;
    target.stop().await;
    let report = measured?;
    if args.json {
        print_json(&report.json());
    } else {
        say!("{}", report.text());
    }
    Ok(())
}

async fn measure_all(args: &Args, target: &Child) -> Result<Report, Error> {
    let limit = Duration::from_secs(args.limit);
    let mut report = Report::new(target);
    let noop = measure::Noop::find(target).await?;
    if args.mode.includes(Mode::Throughput) || args.mode.includes(Mode::Raw) {
        report.throughput = Some(measure::throughput(target, &noop, args.tasks, args.connections, limit).await?);
    }
    if args.mode.includes(Mode::Latency) {
        let span = Duration::from_secs(args.seconds);
        report.latency = Some(measure::latency(target, &noop, args.rate, span, limit).await?);
        if let Some(database) = &target.database {
            let spans = (measure::WARM_UP, span);
            report.commits = Some(commits::measure(database, target.scratch(), args.rate, spans).await?);
        }
    }
    if args.mode.includes(Mode::Reads) {
        let bare = BareServer::start().await?;
        let span = Duration::from_secs(args.seconds);
        let reads = measure::reads(target, &noop, &bare, args.connections, span).await;
        bare.stop().await;
        report.reads = Some(reads?);
    }
    // A server that runs elsewhere is compared with nothing here.
    if args.mode == Mode::Limits || (args.mode == Mode::All && args.server.is_none()) {
        let unguarded = Child::unguarded(args).await?;
        let span = Duration::from_secs(args.seconds);
        let limits = measure::limits(target, &noop, &unguarded, args.connections, span).await;
        unguarded.stop().await;
        report.limits = Some(limits?);
    }
    if args.mode.includes(Mode::Size) {
        report.size = Some(measure::size(target, &noop, (args.tasks, args.waiting), args.connections, limit).await?);
    }
    if args.mode.includes(Mode::Webhooks) {
        let (payments, events, deliveries) = (args.payments, args.events, args.deliveries);
        let amounts = webhooks::Amounts { payments, events, deliveries };
        report.webhooks = Some(webhooks::webhooks(target, amounts, args.connections, limit).await?);
    }
    if args.mode.includes(Mode::Refunds) {
        let amounts = refunds::Amounts { payments: args.refunds, hot: args.hot_refunds };
        report.refunds = Some(refunds::refunds(target, amounts, args.connections, limit).await?);
    }
    if args.mode.includes(Mode::Raw)
        && let Some(address) = &target.database
    {
        report.raw = raw::measure(address, target.scratch()).await?;
    }
    Ok(report)
}
