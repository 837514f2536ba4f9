//! What whoever stands before the sandbox's checkout page can do, and what time does to a session.

use serde_json::json;

use super::objects::{self, event};
use super::{Fault, Sandbox, invalid, missing};
use crate::domain::Timestamp;
use crate::domain::gateway::Rejection;
use crate::store::sandbox::{Change, Object};
use crate::store::{self};

/// What is told to a payer whose card is declined.
const DECLINED: &str = "Your card was declined.";

/// What can be done on the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Pay.
    Pay,
    /// Try to pay with a card that is declined.
    Decline,
    /// Let the session end before its time.
    Expire,
}

/// A session as its page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// `open`, `complete` or `expired`.
    pub status: String,
    /// What is bought.
    pub name: String,
    /// What it costs, in minor units.
    pub amount: i64,
    /// In this currency.
    pub currency: String,
    /// Where the payer goes once it is paid.
    pub success_url: String,
    /// Where the payer goes otherwise.
    pub cancel_url: String,
    /// Why the last card was declined.
    pub declined: Option<String>,
}

impl Sandbox {
    /// A session; `None` when there is none of that id.
    ///
    /// # Errors
    /// The database did not answer.
    pub async fn seen(&self, id: &str) -> Result<Option<Seen>, store::Error> {
        self.expire_due(id).await?;
        let family = self.kept.family(id).await?;
        Ok(family.iter().find(|object| object.id == id).map(|session| seen(session, &family)))
    }

    /// Does what the payer asks for; a session that is paid or expired already stays so.
    ///
    /// # Errors
    /// The database did not answer. Inside: there is no such session, or it is closed.
    pub async fn act(&self, id: &str, deed: Deed) -> Result<Result<(), Rejection>, store::Error> {
        self.expire_due(id).await?;
        let now = self.clock.now();
        let deed = if deed == Deed::Pay && self.has(Fault::Declined) { Deed::Decline } else { deed };
        let changed = self
            .kept
            .change(id, |family| match deed {
                Deed::Pay => pay(family, id, now),
                Deed::Decline => decline(family, id, now),
                Deed::Expire => expire(family, id, now),
            })
            .await?;
        self.sending.notify_one();
        Ok(changed.map(drop))
    }

    /// Ends a session whose time is over.
    pub(super) async fn expire_due(&self, id: &str) -> Result<(), store::Error> {
        let now = self.clock.now();
        let over = |object: &Object| object.id == id && object.ends_at.is_some_and(|at| at <= now);
        if self.kept.family(id).await?.iter().any(over) {
            // Whoever was faster did the same.
            let _done_already = self.kept.change(id, |family| expire(family, id, now)).await?;
            self.sending.notify_one();
        }
        Ok(())
    }
}

fn seen(session: &Object, family: &[Object]) -> Seen {
    let text = |field: &str| session.body[field].as_str().unwrap_or_default().to_owned();
    let declined = family.iter().find(|object| object.kind == objects::INTENT);
    let declined = declined.and_then(|intent| intent.body["last_payment_error"]["message"].as_str());
    Seen {
        status: text("status"),
        name: session.body["line_items"][0]["description"].as_str().unwrap_or_default().to_owned(),
        amount: session.body["amount_total"].as_i64().unwrap_or_default(),
        currency: text("currency"),
        success_url: text("success_url").replace("{CHECKOUT_SESSION_ID}", &session.id),
        cancel_url: text("cancel_url").replace("{CHECKOUT_SESSION_ID}", &session.id),
        declined: declined.map(str::to_owned),
    }
}

/// The session, when it is still open.
fn open(family: &[Object], id: &str) -> Result<Object, Rejection> {
    let session = family.iter().find(|object| object.id == id && object.kind == objects::SESSION);
    let session = session.ok_or_else(|| missing(objects::SESSION, id))?;
    match session.body["status"].as_str() {
        Some("open") => Ok(session.clone()),
        status => {
            let message = format!("This Session is not open: it is {}.", status.unwrap_or("unreadable"));
            Err(invalid("checkout_session_not_open", message))
        }
    }
}

/// The session's payment, if one was tried before, or a new one.
fn intent(family: &[Object], session: &Object, now: Timestamp) -> Object {
    let tried = family.iter().find(|object| object.kind == objects::INTENT).cloned();
    tried.unwrap_or_else(|| objects::intent(session, now))
}

fn pay(family: &[Object], id: &str, now: Timestamp) -> Result<Change, Rejection> {
    let mut session = open(family, id)?;
    let mut intent = intent(family, &session, now);
    let charge = objects::charge(&intent, now);
    intent.body["status"] = json!("succeeded");
    intent.body["amount_received"] = intent.body["amount"].clone();
    intent.body["latest_charge"] = json!(charge.id);
    intent.body["last_payment_error"] = json!(null);
    session.body["status"] = json!("complete");
    session.body["payment_status"] = json!("paid");
    session.body["payment_intent"] = json!(intent.id);
    session.body["url"] = json!(null);
    session.ends_at = None;
    let events = vec![
        event("payment_intent.succeeded", &intent, now),
        event("charge.succeeded", &charge, now),
        event("checkout.session.completed", &session, now),
    ];
    Ok(Change { objects: vec![session, intent, charge], events })
}

fn decline(family: &[Object], id: &str, now: Timestamp) -> Result<Change, Rejection> {
    let session = open(family, id)?;
    let mut intent = intent(family, &session, now);
    intent.body["last_payment_error"] = json!({ "type": "card_error", "code": "card_declined", "decline_code": "generic_decline", "message": DECLINED });
    let events = vec![event("payment_intent.payment_failed", &intent, now)];
    Ok(Change { objects: vec![intent], events })
}

pub(super) fn expire(family: &[Object], id: &str, now: Timestamp) -> Result<Change, Rejection> {
    let mut session = open(family, id)?;
    session.body["status"] = json!("expired");
    session.body["url"] = json!(null);
    session.ends_at = None;
    let events = vec![event("checkout.session.expired", &session, now)];
    Ok(Change { objects: vec![session], events })
}
