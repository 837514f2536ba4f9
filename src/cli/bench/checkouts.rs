//! Checkouts that measurements open at the server.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;

use super::child::Child;
use crate::cli::Error;

/// Checkouts that are opened at once.
pub(super) const OPENED_AT_ONCE: usize = 16;
/// The template that is bought: its execution does nothing.
pub(super) const NOTHING: Template = Template { code: "bench-noop", credits: 10 };

/// What is bought.
#[derive(Clone, Copy, Debug)]
pub(super) struct Template {
    /// Its name at the server, where it is made unless it is there.
    pub code: &'static str,
    /// What it costs.
    pub credits: u64,
}

/// A payment that was asked for.
#[derive(Debug)]
pub(super) struct Checkout {
    /// The payment.
    pub payment: String,
    /// The gateway's session.
    pub session: String,
}

/// Opens `count` checkouts of a template.
pub(super) async fn open(target: &Child, bought: Template, count: u64) -> Result<Vec<Checkout>, Error> {
    if target.client.get(&["templates", "get", bought.code], &[]).await.is_err() {
        let template = json!({
            "code": bought.code, "name": "Nothing", "description": "Makes nothing.", "creditCost": bought.credits,
            "version": "1.0.0", "templateType": "VIDEO", "workflow": "noop", "tags": [],
        });
        target.client.post(&["templates"], &template).await?;
    }
    let order = json!({ "userId": "bench" });
    let open = async |_| {
        let opened = target.client.post(&["payment", "checkout", bought.code], &order).await?;
        let text = |field: &str| opened[field].as_str().map(str::to_owned);
        let both = text("paymentId").zip(text("sessionId"));
        let checkout = both.map(|(payment, session)| Checkout { payment, session });
        checkout.ok_or_else(|| Error::Failed("a checkout has no payment and session".to_owned()))
    };
    stream::iter(0..count).map(open).buffer_unordered(OPENED_AT_ONCE).try_collect().await
}
