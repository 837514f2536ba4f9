//! How a request becomes a task: everything is checked, then the task is born, then the caller is answered.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use serde_json::{Map, Value};

use super::State;
use super::caller::Caller;
use super::envelope::Reply;
use super::error::{Error, Fault};
use super::front::{Door, Refused};
use super::idempotency::Key;
use super::pictures;
use crate::auth::roles::Role;
use crate::domain::ids::{PaymentId, TaskId};
use crate::domain::task::{self, Create, Request, TaskType};
use crate::domain::workflow::Definition;
use crate::runtime::engine::{Birth, Born, NotBorn};
use crate::runtime::journal::MessageId;
use crate::store::templates::Template;

/// What a task may bring into the journal, in bytes of JSON; pictures are kept elsewhere.
pub const PARAMETERS_BYTES_MAX: usize = 32 * 1024;

/// Characters of a user's id, at most.
pub const USER_CHARS_MAX: usize = 255;

/// A task that somebody asks for.
pub struct Wish {
    /// Its id.
    pub id: TaskId,
    /// The caller chose the id: the same wish again is the same task.
    pub id_chosen: bool,
    /// What it is to make; `None` takes what the template makes.
    pub task_type: Option<TaskType>,
    /// The template.
    pub template_code: String,
    /// The customer.
    pub user_id: Option<String>,
    /// The payment that it waits for; `None` when it is not bought.
    pub payment: Option<PaymentId>,
    /// What the customer says to the template's settings.
    pub parameters: Map<String, Value>,
    /// What stands before a parameter's name when a fault of it is shown.
    pub field_prefix: &'static str,
    /// The digest of the request's body.
    pub digest: String,
}

/// Who brings a wish, and where to.
pub struct Desk {
    /// What the API may touch.
    pub state: Data<State>,
    /// The way into the engine.
    pub door: Data<Door>,
    /// Who asks.
    pub caller: Caller,
}

impl FromRequest for Desk {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let caller = Caller::from_request(request, payload).into_inner();
        let state = request.app_data::<Data<State>>().ok_or_else(|| Error::internal("no state"));
        let door = request.app_data::<Data<Door>>().ok_or_else(|| Error::internal("no door"));
        let desk = || Ok(Self { caller: caller?, state: state?.clone(), door: door?.clone() });
        ready(desk())
    }
}

impl Desk {
    /// Makes the task and answers `answer`. A request that came before, by its Idempotency-Key or by the id that its
    /// caller chose, is answered as it was then.
    ///
    /// # Errors
    /// What is wrong with the request, or why the engine does not take it.
    pub async fn submit(&self, request: &HttpRequest, wish: Wish, answer: Reply) -> Result<Reply, Error> {
        let key = Key::of(request, &self.caller, &wish.digest)?;
        if let Some(key) = &key
            && let Some(first) = key.answered(self.state.engine.journal()).await?
        {
            return Ok(first);
        }
        let message = self.message_of(&wish);
        let (address, chosen) = (task::address(&wish.id), wish.id_chosen);
        let checked = match self.affordable(&wish.template_code).await {
            Ok(()) => self.admitted(wish).await,
            Err(error) => Err(error),
        };
        let create = match checked {
            Ok((_, create)) => create,
            // What was accepted once stays accepted, even when the template is gone by now.
            Err(_) if chosen && self.was_born_by(&address, &message).await? => return Ok(answer),
            Err(error) => return Err(error),
        };
        let body = journaled(create)?;
        let claim = key.as_ref().map(|key| key.claim(&answer, self.state.now())).transpose()?;
        match (self.door.bear(Birth { actor: address, message, body, claim }).await, key) {
            (Ok(Born::Now | Born::Before), _) => Ok(answer),
            (Err(Refused::NotBorn(NotBorn::Claimed { fingerprint, answer, .. })), Some(key)) => {
                key.replay(&fingerprint, &answer)
            }
            (Err(refused), _) => Err(refused.into()),
        }
    }

    /// A person runs without paying only what costs nothing; the rest is bought at a checkout. Applications pay by other
    /// means.
    async fn affordable(&self, template_code: &str) -> Result<(), Error> {
        if self.caller.role() != Role::User {
            return Ok(());
        }
        match self.state.templates.by_code(template_code, self.state.now()).await? {
            Some(template) if template.content.credit_cost > 0 => Err(Error::PaymentRequired(format!(
                "the template `{}` costs {} credits: buy it with POST /payment/checkout/{}",
                template.code, template.content.credit_cost, template.code
            ))),
            Some(_) | None => Ok(()),
        }
    }

    /// The task, checked, when its owner may have one more under way.
    async fn admitted(&self, wish: Wish) -> Result<(Arc<Template>, Create), Error> {
        let checked = self.checked(wish).await?;
        let (state, owner) = (&self.state, self.caller.owner());
        let limit = state.limits.unfinished_tasks(self.caller.role());
        state.limits.unfinished.admit(&state.database, owner, limit, state.now()).await?;
        Ok(checked)
    }

    /// The id of the birth: the same caller's same body has the same, so that it is recognised.
    fn message_of(&self, wish: &Wish) -> MessageId {
        let digest = super::body::digest_of(&[self.caller.owner(), &wish.digest]);
        MessageId::from(&*format!("create:{digest}"))
    }

    async fn was_born_by(&self, address: &crate::domain::Address, message: &MessageId) -> Result<bool, Error> {
        let first = self.state.engine.journal().history(address, 0, 1).await?;
        Ok(first.first().is_some_and(|past| past.entry.message == *message))
    }

    /// The template and the task's birth, everything in it checked; its pictures are kept.
    ///
    /// # Errors
    /// What is wrong with the wish.
    pub async fn checked(&self, wish: Wish) -> Result<(Arc<Template>, Create), Error> {
        let state = &self.state;
        let user_id = self.caller.user_for(wish.user_id)?;
        let template = state.templates.by_code(&wish.template_code, state.now()).await?;
        let template =
            template.ok_or_else(|| Error::NotFound(format!("there is no template `{}`", wish.template_code)))?;
        let (task_type, definition) = runnable(state, &template, wish.task_type)?;
        let field_of = |name: &str| format!("{}{name}", wish.field_prefix);
        let mut parameters = template.content.parameters(wish.parameters, &definition).map_err(|faults| {
            Error::Invalid(faults.into_iter().map(|fault| Fault::new(field_of(&fault.field), fault.reason)).collect())
        })?;
        pictures::keep(state, &definition, &mut parameters, field_of).await?;
        let request = Request {
            task_type,
            template_code: template.code.clone(),
            template_revision: Some(template.revision),
            user_id,
            owner: self.caller.owner().to_owned(),
            payment: wish.payment,
            parameters,
        };
        let create = Create { id: wish.id, request, workflow: definition.pinned() };
        Ok((template, create))
    }
}

/// The birth as it is journaled.
fn journaled(create: Create) -> Result<String, Error> {
    let create = task::Message::Create(Box::new(create));
    let body = serde_json::to_string(&create).map_err(Error::internal)?;
    // The parameters are a part of it: looked at by themselves only when they may be too large.
    if body.len() > PARAMETERS_BYTES_MAX
        && let task::Message::Create(create) = &create
    {
        let size = serde_json::to_string(&create.request.parameters).map_err(Error::internal)?.len();
        if size > PARAMETERS_BYTES_MAX {
            return Err(Error::TooLarge(format!(
                "the parameters have {size} bytes; without pictures at most {PARAMETERS_BYTES_MAX} are taken"
            )));
        }
    }
    Ok(body)
}

/// What a template makes and the workflow it follows, when it can be run here.
fn runnable(state: &State, template: &Template, asked: Option<TaskType>) -> Result<(TaskType, Arc<Definition>), Error> {
    if !template.is_active {
        return Err(Error::BadRequest(format!("the template `{}` is not active", template.code)));
    }
    let makes = template.content.template_type.task_type();
    if asked.is_some_and(|asked| asked != makes) {
        let makes: &str = makes.into();
        return Err(Error::field("type", format!("must be {makes} for the template `{}`", template.code)));
    }
    let definition = state.workflow(&template.content.workflow);
    Ok((makes, definition.map_err(|reason| reason.of(&template.code))?.clone()))
}
