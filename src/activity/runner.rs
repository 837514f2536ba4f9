//! The engine's view of the activities: an order from the outbox in, a step's outcome out.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Activities, Running, gateway, provider};
use crate::domain::workflow::StepCall;
use crate::domain::{Failure, rail};
use crate::runtime::{activity, trace};

/// How much longer than its own limit a step may take before it is dropped: a worker is stopped at the limit itself.
const GRACE: Duration = Duration::from_secs(5);

#[async_trait]
impl activity::Activities for Activities {
    async fn run(
        &self,
        work: &activity::Work,
        progress: &activity::Progress,
        cancel: &CancellationToken,
    ) -> Result<Value, Failure> {
        if *work.lane == *rail::LANE {
            return trace::within(work.trace().await, gateway::run(self.gateway.as_deref(), work)).await;
        }
        let call: StepCall = serde_json::from_str(&work.input)
            .map_err(|error| Failure::fatal("step_unreadable", format!("the step cannot be read: {error}")))?;
        if let Some(job) = &call.job {
            // Each of its calls has a limit of its own, and the job has the step's.
            let running = Running { call: &call, progress, cancel };
            return Ok(trace::within(work.trace().await, provider::run(self, running, job, work)).await);
        }
        let limit = Duration::from_millis(call.timeout_ms).saturating_add(GRACE);
        match tokio::time::timeout(limit, Self::run(self, &call, progress, cancel)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::passing(
                "step_timed_out",
                format!("the step `{}` took longer than its {} ms", call.step, call.timeout_ms),
            )),
        }
    }
}
