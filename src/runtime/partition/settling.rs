//! What the journal has settled is let go: in hand, in the mailbox, and as a running activity.

use super::Command;
use super::scheduler::Partition;
use crate::runtime::journal::MessageId;

impl Partition {
    /// What the journal has settled for good is let go.
    pub(super) fn settle(&mut self, ids: Vec<MessageId>) {
        for id in &ids {
            self.ordered.remove(id);
        }
        self.settled_lately[0].extend(ids.iter().cloned());
        self.let_go(ids);
    }

    pub(super) fn was_settled(&self, id: &MessageId) -> bool {
        self.settled_lately.iter().any(|ids| ids.contains(id))
    }

    /// Lets messages go, in hand and in the mailbox; stops activities that still run for them.
    pub(super) fn let_go(&mut self, ids: Vec<MessageId>) {
        let mut tried = false;
        for id in &ids {
            if self.lanes.release(id) {
                self.out.push(Command::Abort { id: id.clone() });
            }
            tried |= self.trial.close(id);
        }
        self.out.push(Command::Settle { ids });
        if tried {
            self.next_suspect();
        }
    }

    /// What was settled before the last scan is not remembered any longer.
    pub(super) fn forget_settled(&mut self) {
        self.settled_lately.swap(0, 1);
        self.settled_lately[0].clear();
    }
}
