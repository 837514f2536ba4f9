//! The rules of a job.

use super::{DOUBT_MS_MAX, Fact, Job, JobId, KEY_AGE_MS_MAX, Leg, Next, OUTCOME_UNKNOWN, Pace, Phase};
use super::{JOB_GONE, JobCall, REQUEST_LOST, TIMED_OUT, Token, Told};
use crate::domain::{Failure, Timestamp};

/// The longest rest that a provider can ask for, in milliseconds: it may be wrong, and the job may be done by then.
const AFTER_MS_MAX: u64 = 600_000;

fn plus(moment: Timestamp, ms: u64) -> Timestamp {
    moment.plus_ms(i64::try_from(ms).unwrap_or(i64::MAX))
}

impl Job {
    /// A job that is submitted now: the state to be written before anything is sent, and the leg that sends it.
    #[must_use]
    pub fn submit(provider: String, token: Token, now: Timestamp) -> (Self, Leg) {
        let phase = Phase::Submitting { sends: 1 };
        let job = Self { provider, token, first_sent_at: now, phase, in_doubt_since: None, percent: None };
        (job, Leg::Submit)
    }

    /// The order for `leg` of this job.
    #[must_use]
    pub fn call(&self, leg: Leg) -> JobCall {
        let Self { provider, token, first_sent_at, .. } = self;
        JobCall { provider: provider.clone(), token: token.clone(), first_sent_at: *first_sent_at, leg }
    }

    /// Whether it rests, so that a timer and no leg is outstanding.
    #[must_use]
    pub const fn rests(&self) -> bool {
        match self.phase {
            Phase::Resending { .. } | Phase::Doubting { .. } | Phase::Waiting { .. } => true,
            Phase::Submitting { .. } | Phase::Asking { .. } | Phase::Looking { .. } => false,
        }
    }

    /// The provider's id of it, once it is known.
    #[must_use]
    pub const fn id(&self) -> Option<&JobId> {
        match &self.phase {
            Phase::Looking { id, .. } | Phase::Waiting { id, .. } => Some(id),
            Phase::Submitting { .. } | Phase::Resending { .. } | Phase::Asking { .. } | Phase::Doubting { .. } => None,
        }
    }

    /// What follows the report of the leg that was under way. `deadline` is when the step's time is over.
    #[must_use]
    pub fn told(&self, told: Told, now: Timestamp, deadline: Timestamp) -> Next {
        let Told { fact, pace } = told;
        let turn = Turn { job: self, pace, now, deadline };
        match &self.phase {
            Phase::Submitting { sends } => turn.submitted(*sends, fact),
            Phase::Asking { asks } => turn.asked(*asks, fact),
            Phase::Looking { id, looks, called } => turn.looked(id, *looks, *called, fact),
            // A rest has no leg that could report.
            Phase::Resending { .. } | Phase::Doubting { .. } | Phase::Waiting { .. } => Next::Keep(self.clone()),
        }
    }

    /// What follows the end of a rest; `None` when it does not rest.
    #[must_use]
    pub fn due(&self) -> Option<Next> {
        match &self.phase {
            Phase::Resending { sends } => {
                Some(Next::Run(self.in_phase(Phase::Submitting { sends: sends + 1 }), Leg::Submit))
            }
            Phase::Doubting { asks } => Some(Next::Run(self.in_phase(Phase::Asking { asks: asks + 1 }), Leg::Ask)),
            Phase::Waiting { id, looks } => Some(self.look(id, looks + 1)),
            Phase::Submitting { .. } | Phase::Asking { .. } | Phase::Looking { .. } => None,
        }
    }

    /// What follows when the provider itself names its job: a look, because only its own answer counts. What is under
    /// way is given up for it, but for a look, which another one follows.
    #[must_use]
    pub fn called(&self, id: &JobId) -> Next {
        match &self.phase {
            Phase::Looking { id, looks, .. } => {
                Next::Keep(self.in_phase(Phase::Looking { id: id.clone(), looks: *looks, called: true }))
            }
            Phase::Waiting { id, looks } => self.certain().look(id, looks + 1),
            Phase::Submitting { .. } | Phase::Resending { .. } | Phase::Asking { .. } | Phase::Doubting { .. } => {
                self.certain().look(id, 1)
            }
        }
    }

    /// The same, now that the provider has said something of it.
    fn certain(&self) -> Self {
        Self { in_doubt_since: None, ..self.clone() }
    }

    fn in_phase(&self, phase: Phase) -> Self {
        Self { phase, ..self.clone() }
    }

    fn look(&self, id: &JobId, looks: u32) -> Next {
        let looking = Phase::Looking { id: id.clone(), looks, called: false };
        Next::Run(self.in_phase(looking), Leg::Look { id: id.clone() })
    }
}

/// One report being decided on.
struct Turn<'a> {
    job: &'a Job,
    pace: Pace,
    now: Timestamp,
    deadline: Timestamp,
}

impl Turn<'_> {
    fn submitted(&self, sends: u32, fact: Fact) -> Next {
        match fact {
            Fact::Accepted { id } => self.rest_before_look(&id, 0, self.pace.rest_ms(1)),
            Fact::Done { result } => Next::Done(result),
            // The first send may have been accepted: what fails now may be no more than its repetition.
            Fact::Failed(failure) if sends > 1 && failure.retryable && self.key_is_remembered() => {
                let due = self.after_rest(sends, failure.retry_after_ms);
                Next::Rest(self.doubted(Phase::Resending { sends }), due)
            }
            Fact::Failed(failure) if sends == 1 => Next::Failed(failure, None),
            Fact::Unknown { repeatable: true, .. } if self.key_is_remembered() => {
                let due = plus(self.now, self.pace.rest_ms(sends));
                Next::Rest(self.doubted(Phase::Resending { sends }), due)
            }
            // What only other legs find out says nothing of a submit.
            Fact::Failed(_)
            | Fact::Unknown { .. }
            | Fact::Silent { .. }
            | Fact::CannotTell { .. }
            | Fact::Running { .. }
            | Fact::Absent => Next::Run(self.doubted(Phase::Asking { asks: 1 }), Leg::Ask),
        }
    }

    fn asked(&self, asks: u32, fact: Fact) -> Next {
        match fact {
            Fact::Accepted { id } => self.job.certain().look(&id, 1),
            Fact::Done { result } => Next::Done(result),
            Fact::Failed(failure) => Next::Failed(failure, None),
            Fact::Absent if self.has_settled() => {
                let lost = "the request got lost on its way to the provider, which shows no trace of it";
                Next::Failed(Failure::passing(REQUEST_LOST, lost), None)
            }
            Fact::CannotTell { why } if self.has_settled() => self.unknown(&why),
            Fact::Absent | Fact::CannotTell { .. } => {
                Next::Rest(self.doubted(Phase::Doubting { asks }), self.settles())
            }
            Fact::Silent { why, .. } | Fact::Unknown { why, .. } if self.is_doubted_too_long() => self.unknown(&why),
            Fact::Silent { after_ms, .. } => {
                Next::Rest(self.doubted(Phase::Doubting { asks }), self.after_rest(asks, after_ms))
            }
            Fact::Unknown { .. } | Fact::Running { .. } => {
                Next::Rest(self.doubted(Phase::Doubting { asks }), self.after_rest(asks, None))
            }
        }
    }

    fn looked(&self, id: &JobId, looks: u32, called: bool, fact: Fact) -> Next {
        match fact {
            Fact::Done { result } => Next::Done(result),
            Fact::Failed(failure) => Next::Failed(failure, None),
            Fact::Running { percent } => {
                let job = Job { percent: percent.or(self.job.percent), ..self.job.certain() };
                if called {
                    return job.look(id, looks + 1);
                }
                if self.now >= self.deadline {
                    let slow = "the provider was still at work when the step's time was over";
                    return Next::Failed(Failure::fatal(TIMED_OUT, slow), Some(id.clone()));
                }
                Turn { job: &job, ..*self }.rest_before_look(id, looks, self.pace.rest_ms(looks))
            }
            Fact::Silent { why, .. } | Fact::Unknown { why, .. } | Fact::CannotTell { why }
                if self.is_doubted_too_long() =>
            {
                self.unknown(&why)
            }
            Fact::Silent { after_ms, .. } => {
                let waiting = Phase::Waiting { id: id.clone(), looks };
                Next::Rest(self.doubted(waiting), self.after_rest(looks, after_ms))
            }
            Fact::Absent if self.has_settled() => {
                let gone = format!("the provider does not know the job {} any more", id.as_str());
                Next::Failed(Failure::fatal(JOB_GONE, gone), None)
            }
            // What only other legs find out says nothing of how the job stands.
            Fact::Unknown { .. } | Fact::CannotTell { .. } | Fact::Absent | Fact::Accepted { .. } => {
                let waiting = Phase::Waiting { id: id.clone(), looks };
                Next::Rest(self.doubted(waiting), self.after_rest(looks, None))
            }
        }
    }

    /// The next look after a rest; the last one when the step's time is over.
    fn rest_before_look(&self, id: &JobId, looks: u32, rest_ms: u64) -> Next {
        let due = plus(self.now, rest_ms).min(self.deadline).max(self.now);
        let job = Job { in_doubt_since: None, ..self.job.in_phase(Phase::Waiting { id: id.clone(), looks }) };
        Next::Rest(job, due)
    }

    fn after_rest(&self, calls: u32, asked_ms: Option<u64>) -> Timestamp {
        plus(self.now, self.pace.rest_ms(calls).max(asked_ms.unwrap_or(0).min(AFTER_MS_MAX)))
    }

    fn doubted_since(&self) -> Timestamp {
        self.job.in_doubt_since.unwrap_or(self.now)
    }

    /// When a submit that arrived would have shown up.
    fn settles(&self) -> Timestamp {
        plus(self.doubted_since(), self.pace.settle_ms)
    }

    fn has_settled(&self) -> bool {
        self.now >= self.settles()
    }

    fn doubted(&self, phase: Phase) -> Job {
        Job { in_doubt_since: Some(self.doubted_since()), ..self.job.in_phase(phase) }
    }

    fn key_is_remembered(&self) -> bool {
        self.now.since_ms(self.job.first_sent_at) < KEY_AGE_MS_MAX && self.now < self.deadline
    }

    fn is_doubted_too_long(&self) -> bool {
        self.now >= self.deadline && self.now.since_ms(self.doubted_since()) >= DOUBT_MS_MAX
    }

    fn unknown(&self, why: &str) -> Next {
        let Job { provider, token, .. } = self.job;
        let message = format!(
            "it is not known whether the provider `{provider}` did the work, which is why it is not asked for again: \
             {why}; look there for {token}"
        );
        Next::Failed(Failure::fatal(OUTCOME_UNKNOWN, message), self.job.id().cloned())
    }
}
