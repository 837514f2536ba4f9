//! A refund as this document shows it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::payment;
use crate::http::envelope::rfc3339;
use crate::store::refunds::{Known, Listed};

/// A refund. A field that the face in which it was asked for does not have is null.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CryptoRefund {
    /// Its id.
    #[serde(rename = "_id")]
    #[schema(example = "re_018f3c5e000070008000000000000001")]
    id: String,
    /// The gateway's id of what was paid; the payment's where there is no gateway.
    payment_intent_id: String,
    /// The payment.
    payment_id: String,
    /// The customer.
    user_id: Option<String>,
    /// Who was paid.
    receiver_id: Option<String>,
    /// The address that the coins go to.
    #[schema(example = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")]
    refund_to: Option<String>,
    /// How much, in minor units (gwei for ETH); null when nothing was promised.
    #[schema(example = 100)]
    amount: Option<i64>,
    /// `PROCESSING`, `SUCCEEDED`, `FAILED`, `CANCELLED`, `REVERSAL_INITIATED`, `REVERSAL_PROCESSING` or
    /// `REVERSAL_SUCCEEDED`.
    #[schema(example = "PROCESSING")]
    status: &'static str,
    /// When it was asked for.
    created_at: String,
    /// When something happened to it last.
    updated_at: String,
}

impl CryptoRefund {
    /// A refund of a list.
    pub fn listed(listed: &Listed) -> Self {
        let (intent, user, receiver) = (&listed.intent, &listed.user_id, &listed.receiver);
        Self::of(&listed.refund, intent.as_deref(), user.as_deref(), receiver.as_deref())
    }

    /// A refund of `payment`.
    pub fn of_payment(refund: &Known, payment: &payment::State) -> Self {
        let user = Some(&*payment.user_id).filter(|user| !user.is_empty());
        Self::of(refund, payment.intent.as_deref(), user, Some(&payment.receiver))
    }

    fn of(refund: &Known, intent: Option<&str>, user: Option<&str>, receiver: Option<&str>) -> Self {
        let Known { state, updated_at } = refund;
        let payment_id = state.request.payment.to_string();
        Self {
            id: state.request.id.to_string(),
            payment_intent_id: intent.map_or_else(|| payment_id.clone(), str::to_owned),
            payment_id,
            user_id: user.map(str::to_owned),
            receiver_id: receiver.map(str::to_owned),
            refund_to: state.request.refund_to.clone(),
            amount: state.amount.map(|amount| amount.minor),
            status: state.status.shown().crypto,
            created_at: rfc3339(state.created_at),
            updated_at: rfc3339(*updated_at),
        }
    }
}
