//! Suspects: messages that were in hand when the process died, tried one at a time before anything else.

use std::collections::VecDeque;

use super::Command;
use super::scheduler::{Partition, SCAN_MS};
use crate::domain::Address;
use crate::runtime::journal::{DECIDE, Envelope, MessageId};

/// The suspects that are left, and the one being tried.
#[derive(Debug, Default)]
pub struct Trial {
    waiting: VecDeque<Envelope>,
    tried: Option<Envelope>,
}

impl Trial {
    /// An activity whose end was being decided cannot be tried: it may take long, and nothing else runs meanwhile. When
    /// it is the only one, it is counted as guilty once everything else has come through.
    pub fn new(suspects: Vec<Envelope>) -> Self {
        let (messages, activities): (Vec<Envelope>, Vec<Envelope>) =
            suspects.into_iter().partition(|suspect| *suspect.lane == *DECIDE);
        let mut waiting = VecDeque::from(messages);
        if activities.len() == 1 {
            waiting.extend(activities);
        }
        Self { waiting, tried: None }
    }

    /// Whether suspects are left, so that nothing else may run.
    pub fn is_open(&self) -> bool {
        self.tried.is_some() || !self.waiting.is_empty()
    }

    /// The next suspect, unless one is being tried.
    pub fn next(&mut self) -> Option<&Envelope> {
        if self.tried.is_none() {
            self.tried = self.waiting.pop_front();
            return self.tried.as_ref();
        }
        None
    }

    /// The suspect being tried, when it is this one.
    pub fn suspect(&self, id: &MessageId) -> Option<&Envelope> {
        self.tried.as_ref().filter(|suspect| suspect.id == *id)
    }

    /// The suspect being tried.
    pub const fn current(&self) -> Option<&Envelope> {
        self.tried.as_ref()
    }

    /// A suspect is done with, tried or not. Answers whether it was being tried.
    pub fn close(&mut self, id: &MessageId) -> bool {
        self.waiting.retain(|suspect| suspect.id != *id);
        self.tried.take_if(|suspect| suspect.id == *id).is_some()
    }
}

impl Partition {
    pub(super) fn opened(&mut self, suspects: Vec<Envelope>) {
        self.opened = true;
        self.scan_at = self.now.plus_ms(SCAN_MS);
        self.sweep_at = self.now.plus_ms(self.limits.sweep_ms);
        self.trial = Trial::new(suspects);
        self.next_suspect();
    }

    /// Tries the next suspect, or begins with everything else when none is left.
    pub(super) fn next_suspect(&mut self) {
        if self.draining {
            return;
        }
        if let Some(suspect) = self.trial.next() {
            let (actor, id, deaths) = (suspect.to.clone(), suspect.id.clone(), suspect.deaths);
            self.try_suspect(actor, id, deaths);
        } else if !self.trial.is_open() {
            self.out.push(Command::Opened);
            self.sweep_all();
        }
    }

    fn try_suspect(&mut self, actor: Address, id: MessageId, deaths: u32) {
        self.out.push(if deaths >= self.limits.deaths {
            let reason = format!("the process died {deaths} times while this message alone was handled");
            Command::Quarantine { actor, id, reason }
        } else {
            Command::Accuse { id, deaths: deaths.saturating_add(1) }
        });
    }

    pub(super) fn accused(&mut self, id: &MessageId, outstanding: Result<bool, String>) {
        let Some(suspect) = self.trial.suspect(id).cloned() else { return };
        match outstanding {
            Ok(false) => self.settle(vec![id.clone()]),
            Ok(true) if *suspect.lane == *DECIDE && !self.was_settled(id) => {
                let deaths = suspect.deaths.saturating_add(1);
                self.accept(Envelope { deaths, ..suspect });
            }
            Ok(true) => {
                self.trial.close(id);
                self.next_suspect();
            }
            Err(_) => self.trial_stuck = true,
        }
    }

    pub(super) fn retry_suspect(&mut self) {
        self.trial_stuck = false;
        if let Some(suspect) = self.trial.current() {
            let (actor, id, deaths) = (suspect.to.clone(), suspect.id.clone(), suspect.deaths);
            self.try_suspect(actor, id, deaths);
        }
    }
}
