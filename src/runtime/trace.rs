//! The trace of a call (W3C Trace Context), as far as its caller gave one: from the call to the births that it causes, and
//! from there to calls elsewhere.
//!
//! Effects name who ordered them, so an actor's birth is enough: whatever one call caused is found from there. A call
//! that brings no trace writes nothing and reads nothing.

use std::fmt;
use std::sync::Arc;

/// A trace id: 32 hexadecimal digits in lower case, not all of them zero.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Trace(Arc<str>);

tokio::task_local! {
    static CURRENT: Trace;
}

impl Trace {
    /// The trace of these digits.
    #[must_use]
    pub fn parse(digits: &str) -> Option<Self> {
        let hex = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (digits.len() == 32 && hex && digits.bytes().any(|byte| byte != b'0')).then(|| Self(digits.into()))
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The `traceparent` of a call that is made because of it.
    #[must_use]
    pub fn parent(&self) -> String {
        let span = uuid::Uuid::new_v4().as_u64_pair().0 | 1;
        format!("00-{}-{span:016x}-01", self.0)
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Carries `future` out as a part of `trace`.
pub async fn within<F: Future>(trace: Option<Trace>, future: F) -> F::Output {
    match trace {
        Some(trace) => CURRENT.scope(trace, future).await,
        None => future.await,
    }
}

/// The trace that this is a part of.
#[must_use]
pub fn current() -> Option<Trace> {
    CURRENT.try_with(Clone::clone).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "0af7651916cd43dd8448eb211c80319c";

    #[tokio::test]
    async fn what_is_carried_out_within_a_trace_knows_it_and_nothing_else_does() {
        let trace = Trace::parse(DIGITS);
        assert!(current().is_none());
        let seen = within(trace.clone(), async {
            tokio::task::yield_now().await;
            current()
        });
        assert_eq!(seen.await, trace);
        assert!(current().is_none() && within(None, async { current() }).await.is_none());
    }

    #[test]
    fn only_an_id_is_one_and_it_is_passed_on_with_a_span_of_its_own() {
        for wrong in ["", "0", &"0".repeat(32), &"A".repeat(32), &format!("{DIGITS}0")] {
            assert_eq!(Trace::parse(wrong), None, "{wrong}");
        }
        let trace = Trace::parse(DIGITS).unwrap();
        let parent = trace.parent();
        assert!(parent.starts_with(&format!("00-{DIGITS}-")) && parent.ends_with("-01") && parent.len() == 55);
        assert_ne!(parent, trace.parent());
    }
}
