//! An outbox in apalis's job table: the application's trigger writes a job in its own transaction, an apalis worker
//! posts it.
//!
//! `apalis-peer tables` makes the tables in the application's file and says the queue's name; without a word it works
//! for ever. Tuned: jobs fetched and acknowledged in groups, no lock per job, a single database connection, looked
//! at every few milliseconds, keep-alive connections. What apalis has no notion of is a record: with more than one
//! request in flight its events may overtake each other.

use std::task::{Context, Poll};
use std::time::Duration;

use apalis::prelude::*;
use apalis_sqlite::{Config, SqliteConnectOptions, SqlitePoolOptions, SqliteStorage};
use reqwest::{Certificate, Client};
use serde_json::value::RawValue;
use tokio::time::{Interval, MissedTickBehavior};

const QUEUE: &str = "outbox";

/// How often an idle worker looks.
const PAUSE: Duration = Duration::from_millis(5);

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A poll every [`PAUSE`]. apalis 1.0.0 has one of its own, `poll_with_interval`, but that falls asleep for ever when its
/// timer is due in the moment that an empty fetch ends: it does not look at the next timer before it waits.
struct Ticks(Interval);

impl PollStrategy for Ticks {
    fn poll_drive(&mut self, context: &mut Context<'_>, _: &PollSnapshot) -> Poll<Option<()>> {
        let mut due = false;
        while self.0.poll_tick(context).is_ready() {
            due = true;
        }
        if due { Poll::Ready(Some(())) } else { Poll::Pending }
    }
}

#[derive(Clone)]
struct Target {
    client: Client,
    url: String,
}

async fn deliver(event: Box<RawValue>, target: Data<Target>) -> Result<(), BoxDynError> {
    let event: Box<str> = event.into();
    let request = target.client.post(&target.url).header("content-type", "application/json");
    request.body(event.into_string()).send().await?.error_for_status()?.bytes().await?;
    Ok(())
}

fn main() -> Result<(), Failure> {
    // As many threads as there are cores to run on.
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work())
}

async fn work() -> Result<(), Failure> {
    let set = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
    let options = SqliteConnectOptions::new().filename(set("PEER_DATABASE")?).busy_timeout(Duration::from_secs(5));
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
    SqliteStorage::setup(&pool).await?;
    if std::env::args().nth(1).as_deref() == Some("tables") {
        println!("{QUEUE}");
        return Ok(());
    }
    let flight: usize = set("PEER_FLIGHT")?.parse()?;
    let authority = Certificate::from_pem(&std::fs::read(set("PEER_CA")?)?)?;
    let client = Client::builder().tls_certs_only([authority]).pool_max_idle_per_host(flight).tcp_nodelay(true);
    let target = Target { client: client.build()?, url: set("PEER_URL")? };
    let config = Config::default().queue(QUEUE).batch_size(100).lock_tasks(false);
    let mut ticks = tokio::time::interval(PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let backend = SqliteStorage::new(&pool).with_config(config).poll_with_strategy(Ticks(ticks));
    WorkerBuilder::new("outbox-1").backend(backend).data(target).concurrency(flight).build(deliver).run().await?;
    Ok(())
}
