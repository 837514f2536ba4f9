//! Money that is not what was asked for: a person says whether it is enough, or goes back.

use super::decide::Turn;
use super::{Effect, Resolution, Status, own_refund};
use crate::domain::Address;
use crate::domain::refund::{self, Reason};

impl Turn {
    pub(super) fn resolve(&mut self, how: Resolution, input: Address) {
        match self.irresolvable(how) {
            Some(refusal) => {
                self.refuse(refusal.clone());
                self.answer(input, Some(refusal));
            }
            None => {
                self.state.attention.clear();
                match how {
                    Resolution::Execute => self.complete(),
                    Resolution::GiveBack => self.give_back(),
                }
                self.answer(input, None);
            }
        }
    }

    fn irresolvable(&self, how: Resolution) -> Option<String> {
        let state = &self.state;
        let id = state.id;
        if state.status != Status::Held {
            let status: &str = state.status.into();
            return Some(format!("payment {id} is {status}: only money that is held waits for a decision"));
        }
        if state.is_disputed() {
            return Some(format!("payment {id} is disputed: its money is held back until that is decided"));
        }
        match how {
            Resolution::Execute if state.amounts.is_refunded() => {
                Some(format!("all that came for payment {id} was given back: nothing is left to execute it for"))
            }
            Resolution::GiveBack if state.amounts.remainder() == 0 => Some(format!(
                "payment {id} has nothing left in {} to give back: look at the gateway, and refund it there",
                state.price.currency
            )),
            Resolution::Execute | Resolution::GiveBack => None,
        }
    }

    /// Nothing is executed, and all that came goes back.
    fn give_back(&mut self) {
        self.end(Status::Cancelled);
        let (id, asked_by) = (own_refund(self.state.id), "mixvideo".to_owned());
        let request = refund::Request::new(id, self.state.id, Reason::UserRequest, asked_by);
        self.order(Effect::GiveBack(Box::new(request)));
    }
}
