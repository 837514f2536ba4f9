//! Suspects: messages that were in hand when the process died, tried one at a time before anything else.

use std::collections::VecDeque;

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
