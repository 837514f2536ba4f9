//! Asks the outbox whether activities are still wanted, for all that have gathered at once: after a takeover, and for what
//! other nodes accept, that is every activity.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::runtime::journal::{Journal, MessageId};

/// Activities asked about by one statement.
const BATCH_MAX: usize = 512;
/// How long to wait before a journal that did not answer is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(500);

struct Ask {
    id: MessageId,
    reply: oneshot::Sender<bool>,
}

/// The door to whoever asks. What waits there is bounded by what its partition has in hand.
#[derive(Clone)]
pub(super) struct Wanted(mpsc::UnboundedSender<Ask>);

impl Wanted {
    /// Starts asking on the current thread; it ends with the last door.
    pub(super) fn start(journal: Journal) -> Self {
        let (door, asks) = mpsc::unbounded_channel();
        actix::spawn(ask_together(journal, asks));
        Self(door)
    }

    /// Whether the effect must still happen; waits for as long as the journal does not say.
    pub(super) async fn is(&self, id: &MessageId) -> bool {
        let (reply, answer) = oneshot::channel();
        // Nobody answers once the thread ends, and nothing is to begin then.
        self.0.send(Ask { id: id.clone(), reply }).is_ok() && answer.await.unwrap_or(false)
    }
}

/// A journal that does not answer is asked again: an activity that starts once too often may act twice.
async fn ask_together(journal: Journal, mut asks: mpsc::UnboundedReceiver<Ask>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while asks.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let wanted = loop {
            batch.retain(|ask| !ask.reply.is_closed());
            let ids: Vec<MessageId> = batch.iter().map(|ask| ask.id.clone()).collect();
            match journal.still_outstanding(&ids).await {
                Ok(wanted) => break wanted,
                Err(error) => {
                    let asked = ids.len();
                    tracing::warn!(asked, %error, "the outbox does not say whether activities are still wanted");
                }
            }
            tokio::time::sleep(ASK_AGAIN).await;
        };
        for Ask { id, reply } in batch.drain(..) {
            // Whoever asked may have been stopped.
            let _ = reply.send(wanted.contains(&id));
        }
    }
}
