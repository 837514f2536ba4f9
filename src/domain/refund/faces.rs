//! The faces of refunds: the APIs in which one can be asked for, and the names that each has for how far one is.

use serde::{Deserialize, Serialize};

use super::Status;

/// An API in which refunds are asked for. The names are durable.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::EnumIter,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Face {
    /// Mixvideo's own, and what it gives back by itself.
    #[default]
    Mixvideo,
    /// UQPAY's.
    Uqpay,
    /// UniBee's.
    Unibee,
    /// That of payments in coins.
    Crypto,
}

/// How far a refund is, in the words of each face.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// `pending`, `succeeded`, `failed` or `cancelled`.
    pub mixvideo: &'static str,
    /// UQPAY's `refund_status`.
    pub uqpay: &'static str,
    /// UniBee's `status`: 10 pending, 20 success, 30 failed, 40 cancelled.
    pub unibee: u8,
    /// The `status` of refunds in coins.
    pub crypto: &'static str,
}

impl Status {
    /// Its names in every face.
    #[must_use]
    pub const fn shown(self) -> Shown {
        let (mixvideo, uqpay, unibee, crypto) = match self {
            Self::Requested | Self::ReservingAccount | Self::Releasing | Self::Reserved => {
                ("pending", "INITIATED", 10, "PROCESSING")
            }
            Self::Submitted | Self::OutcomeUnknown => ("pending", "PROCESSING", 10, "PROCESSING"),
            Self::Succeeded => ("succeeded", "SUCCEEDED", 20, "SUCCEEDED"),
            Self::Failed => ("failed", "FAILED", 30, "FAILED"),
            Self::Cancelled => ("cancelled", "FAILED", 40, "CANCELLED"),
            Self::ReversalInitiated => ("succeeded", "REVERSAL_INITIATED", 20, "REVERSAL_INITIATED"),
            Self::ReversalProcessing => ("succeeded", "REVERSAL_PROCESSING", 20, "REVERSAL_PROCESSING"),
            Self::ReversalSucceeded => ("failed", "REVERSAL_SUCCEEDED", 30, "REVERSAL_SUCCEEDED"),
        };
        Shown { mixvideo, uqpay, unibee, crypto }
    }
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator as _;

    use super::*;

    #[test]
    fn every_status_has_a_name_in_every_face() {
        let rows: Vec<String> = Status::iter()
            .map(|status| {
                let Shown { mixvideo, uqpay, unibee, crypto } = status.shown();
                format!("{} {mixvideo} {uqpay} {unibee} {crypto}", <&str>::from(status))
            })
            .collect();
        assert_eq!(
            rows,
            [
                "requested pending INITIATED 10 PROCESSING",
                "reserving_account pending INITIATED 10 PROCESSING",
                "releasing pending INITIATED 10 PROCESSING",
                "reserved pending INITIATED 10 PROCESSING",
                "submitted pending PROCESSING 10 PROCESSING",
                "outcome_unknown pending PROCESSING 10 PROCESSING",
                "succeeded succeeded SUCCEEDED 20 SUCCEEDED",
                "failed failed FAILED 30 FAILED",
                "cancelled cancelled FAILED 40 CANCELLED",
                "reversal_initiated succeeded REVERSAL_INITIATED 20 REVERSAL_INITIATED",
                "reversal_processing succeeded REVERSAL_PROCESSING 20 REVERSAL_PROCESSING",
                "reversal_succeeded failed REVERSAL_SUCCEEDED 30 REVERSAL_SUCCEEDED",
            ]
        );
    }

    #[test]
    fn a_settled_refund_is_pending_nowhere() {
        for status in Status::iter() {
            let shown = status.shown();
            assert_eq!(status.is_settled(), shown.mixvideo != "pending", "{status:?}");
            assert_eq!(status.is_settled(), shown.unibee != 10, "{status:?}");
        }
    }

    /// These texts are in databases: a change of one loses what is stored.
    #[test]
    fn durable_names_are_as_written_down() {
        let names: Vec<String> = Face::iter().map(|face| serde_json::to_string(&face).unwrap()).collect();
        assert_eq!(names, ["\"mixvideo\"", "\"uqpay\"", "\"unibee\"", "\"crypto\""]);
    }
}
