//! News of other nodes, over a connection of its own that is opened again after any loss.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use redis::aio::{PubSub, PubSubSink, PubSubStream};
use tokio::sync::{Notify, mpsc};

use super::pool::Pool;
use super::{RESPONSE_LIMIT, WATCH_EVERY};

/// News of one channel that wait for whoever subscribed; what comes beyond is a gap.
pub const NEWS_MAX: usize = 1_024;
/// How long a lost connection rests before it is opened again.
const REST: Duration = Duration::from_millis(200);

/// What arrives at a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// This was published.
    Message(Arc<str>),
    /// Something may have been published and missed, as before the subscription: look again.
    Gap,
}

/// Somebody's interest in a channel; it ends when this is dropped.
pub struct Subscription {
    channel: Arc<str>,
    number: u64,
    news: mpsc::Receiver<News>,
    desk: Arc<Desk>,
}

impl Subscription {
    /// The next news. The first is a [`News::Gap`], once the server knows of the subscription.
    pub async fn next(&mut self) -> News {
        match self.news.recv().await {
            Some(news) => {
                // What was dropped for want of room is missing just before what comes next.
                if self.desk.take_lagging(&self.channel, self.number) { News::Gap } else { news }
            }
            None => std::future::pending().await,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.desk.leave(&self.channel, self.number);
    }
}

struct Reader {
    number: u64,
    news: mpsc::Sender<News>,
    lagging: bool,
}

impl Reader {
    fn tell(&mut self, news: News) {
        // A full queue has a gap at its end; a reader that is gone takes itself off the list.
        self.lagging |= self.news.try_send(news).is_err();
    }
}

#[derive(Default)]
struct Readers {
    by_channel: HashMap<Arc<str>, Vec<Reader>>,
    numbers: u64,
    /// Channels to be told to the server.
    changed: Vec<Arc<str>>,
    /// Whether the connection stands.
    hears: bool,
}

/// Who reads which channel.
#[derive(Default)]
pub struct Desk {
    readers: Mutex<Readers>,
    changed: Notify,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Readers> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether news arrive.
    pub fn hears(&self) -> bool {
        self.lock().hears
    }

    /// Subscribes to `channel`.
    pub fn subscribe(self: &Arc<Self>, channel: &str) -> Subscription {
        let (sender, news) = mpsc::channel(NEWS_MAX);
        let mut readers = self.lock();
        readers.numbers += 1;
        let number = readers.numbers;
        let channel: Arc<str> = channel.into();
        let mut reader = Reader { number, news: sender, lagging: false };
        let fellows = readers.by_channel.entry(channel.clone()).or_default();
        let first = fellows.is_empty();
        if !first {
            reader.tell(News::Gap);
        }
        fellows.push(reader);
        if first {
            readers.changed.push(channel.clone());
            self.changed.notify_one();
        }
        drop(readers);
        Subscription { channel, number, news, desk: self.clone() }
    }

    fn leave(&self, channel: &Arc<str>, number: u64) {
        let mut readers = self.lock();
        let Some(fellows) = readers.by_channel.get_mut(channel) else { return };
        fellows.retain(|reader| reader.number != number);
        if fellows.is_empty() {
            readers.by_channel.remove(channel);
            readers.changed.push(channel.clone());
            self.changed.notify_one();
        }
    }

    fn take_lagging(&self, channel: &Arc<str>, number: u64) -> bool {
        let mut readers = self.lock();
        let reader = readers.by_channel.get_mut(channel).and_then(|all| all.iter_mut().find(|r| r.number == number));
        reader.is_some_and(|reader| std::mem::take(&mut reader.lagging))
    }

    fn tell(&self, channel: &str, news: &News) {
        if let Some(fellows) = self.lock().by_channel.get_mut(channel) {
            fellows.iter_mut().for_each(|reader| reader.tell(news.clone()));
        }
    }

    fn set_hears(&self, hears: bool) {
        self.lock().hears = hears;
    }

    /// Keeps a connection open and everybody told, for ever.
    pub async fn run(self: Arc<Self>, pool: Arc<Pool>, renewed: Arc<Notify>) {
        for attempt in 0_usize.. {
            match pool.news(attempt).await {
                Ok(connection) => {
                    let ended = self.serve(connection, &renewed).await;
                    self.set_hears(false);
                    tracing::warn!(reason = ended, "the connection for news of other nodes is lost and opened again");
                }
                Err(error) => tracing::debug!(%error, "there is no connection for news of other nodes yet"),
            }
            tokio::time::sleep(REST).await;
        }
    }

    /// Serves one connection until it is of no use; says why.
    async fn serve(&self, connection: PubSub, renewed: &Notify) -> String {
        let (mut sink, mut stream) = connection.split();
        let all: Vec<Arc<str>> = {
            let mut readers = self.lock();
            readers.changed.clear();
            readers.by_channel.keys().cloned().collect()
        };
        if let Err(error) = self.announce(&mut sink, &all).await {
            return error;
        }
        self.set_hears(true);
        tokio::select! {
            ended = self.deliver(&mut stream) => ended,
            ended = self.keep(&mut sink) => ended,
            () = renewed.notified() => "another server is in charge".to_owned(),
        }
    }

    async fn deliver(&self, stream: &mut PubSubStream) -> String {
        while let Some(message) = stream.next().await {
            match message.get_payload::<String>() {
                Ok(text) => self.tell(message.get_channel_name(), &News::Message(text.into())),
                Err(error) => tracing::warn!(%error, "news that cannot be read were dropped"),
            }
        }
        "it was closed".to_owned()
    }

    /// Tells the server who reads what, and makes sure that it is still there.
    async fn keep(&self, sink: &mut PubSubSink) -> String {
        loop {
            let changed = tokio::time::timeout(WATCH_EVERY * 2, self.changed.notified()).await;
            let told = if changed.is_ok() {
                let channels = std::mem::take(&mut self.lock().changed);
                self.announce(sink, &channels).await
            } else {
                within(sink.ping::<redis::Value>()).await.map(drop)
            };
            if let Err(error) = told {
                return error;
            }
        }
    }

    /// Subscribes to those channels that somebody reads and unsubscribes from the others.
    async fn announce(&self, sink: &mut PubSubSink, channels: &[Arc<str>]) -> Result<(), String> {
        let (read, left): (Vec<&Arc<str>>, Vec<&Arc<str>>) = {
            let readers = self.lock();
            channels.iter().partition(|channel| readers.by_channel.contains_key(*channel))
        };
        if !left.is_empty() {
            within(sink.unsubscribe(left.iter().map(|channel| &***channel).collect::<Vec<_>>())).await?;
        }
        if !read.is_empty() {
            within(sink.subscribe(read.iter().map(|channel| &***channel).collect::<Vec<_>>())).await?;
        }
        for channel in read {
            self.tell(channel, &News::Gap);
        }
        Ok(())
    }
}

async fn within<T>(asked: impl Future<Output = redis::RedisResult<T>>) -> Result<T, String> {
    match tokio::time::timeout(RESPONSE_LIMIT, asked).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("it did not answer within {RESPONSE_LIMIT:?}")),
    }
}
