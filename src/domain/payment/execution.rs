//! What a payment pays for: the execution starts once, is stopped when the money goes back, and is paid back when it
//! fails.

use super::decide::Turn;
use super::{Effect, Standing, TaskEnd, own_refund};
use crate::domain::refund::{self, Reason};

impl Turn {
    /// Starts the execution, once: its birth is handed out and never kept.
    pub(super) fn execute(&mut self) {
        if let Some(create) = self.state.execution.take() {
            self.state.standing = Standing::Started;
            self.order(Effect::Execute(create));
        }
    }

    /// Stops the execution when the money for it is gone.
    pub(super) fn stop_if_unpaid(&mut self) {
        let why = if self.state.is_disputed() {
            "its payment is disputed"
        } else if self.state.amounts.is_refunded() {
            "its payment was refunded"
        } else {
            return;
        };
        if self.state.standing == Standing::Started
            && let Some(task) = self.state.task.clone()
        {
            self.state.standing = Standing::Stopping;
            self.order(Effect::StopExecution { task, reason: why.to_owned() });
        }
    }

    /// What failed is paid back; so is what its customer stopped before anything of it had to be paid for.
    pub(super) fn task_ended(&mut self, end: TaskEnd) {
        let before = self.state.standing;
        let (standing, reason) = match end {
            TaskEnd::Completed => (Standing::Completed, None),
            TaskEnd::Failed => (Standing::Failed, Some(Reason::TechnicalIssue)),
            TaskEnd::Cancelled { begun: false } => (Standing::Cancelled, Some(Reason::UserRequest)),
            TaskEnd::Cancelled { begun: true } => (Standing::Cancelled, None),
        };
        match before {
            Standing::Started => {}
            // The money is on its way back, or held back, already.
            Standing::Stopping => {
                self.state.standing = standing;
                return;
            }
            Standing::Unstarted | Standing::Completed | Standing::Failed | Standing::Cancelled => {
                return self.ignore();
            }
        }
        self.state.standing = standing;
        if let Some(reason) = reason.filter(|_| self.state.amounts.captured > 0) {
            let (id, asked_by) = (own_refund(self.state.id), "mixvideo".to_owned());
            self.order(Effect::GiveBack(Box::new(refund::Request::new(id, self.state.id, reason, asked_by))));
        }
    }
}
