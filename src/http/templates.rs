//! `/templates`: what is offered, and running it.

use actix_web::web::{self, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, http};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::body::{self, Body, Fields};
use super::caller::Caller;
use super::envelope::{Reply, rfc3339};
use super::error::Error;
use super::front::Door;
use super::guard::{get_and_head, resource};
use super::idempotency::{Call, Key};
use super::query::Query;
use super::view::{ExecutionView, find, show};
use super::wish::{Desk, Wish};
use super::{State, openapi};
use crate::domain::Timestamp;
use crate::domain::ids::{ExecutionId, TaskId};
use crate::store::templates::{Template, TemplateType};

/// What comes with the product.
const BUNDLED: &str = include_str!("../../workflows/templates.json");
const USER_CHARS_MAX: usize = 255;
const EXECUTE: &str = "/templates/execute/{code}";

/// A template in a list.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// The name it is run by.
    #[schema(example = "template_001")]
    code: String,
    /// Its name for people.
    name: String,
    /// What it makes.
    description: String,
    /// Its price in credits.
    credit_cost: i64,
    /// `IMAGE` or `VIDEO`.
    #[schema(value_type = String, example = "VIDEO")]
    template_type: TemplateType,
    /// Whether it can be run.
    is_active: bool,
    /// Words to find it by.
    tags: Vec<String>,
}

/// Templates.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateList {
    /// Those of this page.
    templates: Vec<Listed>,
    /// How many there are in all.
    total: usize,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// A template.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// The name it is run by.
    #[schema(example = "template_001")]
    code: String,
    /// Its name for people.
    name: String,
    /// What it makes.
    description: String,
    /// Its price in credits.
    credit_cost: i64,
    /// `IMAGE` or `VIDEO`.
    #[schema(value_type = String, example = "VIDEO")]
    template_type: TemplateType,
    /// The workflow it runs.
    workflow: String,
    /// Whether it can be run.
    is_active: bool,
    /// Its product at Stripe.
    stripe_product_id: Option<String>,
    /// When it was made.
    created_at: String,
}

/// The body of an execution. What is neither of these is a parameter of the workflow, as if it stood in `parameters`.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it documents what `read_execution` reads field by field")]
pub struct NewExecution {
    /// The customer.
    #[schema(example = "user_123")]
    user_id: Option<String>,
    /// The picture: a data URL, or a link to one.
    #[schema(example = "data:image/jpeg;base64,...")]
    image_url: Option<String>,
    /// More for the workflow.
    #[schema(value_type = Object)]
    parameters: Option<Map<String, Value>>,
}

/// An execution that was started.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Started {
    /// The execution: derived from the task.
    #[schema(example = "exec_123")]
    execution_id: String,
    /// The task.
    #[schema(example = "task_123")]
    task_id: String,
    /// `running`.
    status: &'static str,
}

/// What an import did.
#[derive(Serialize, ToSchema)]
pub struct Imported {
    /// Templates in the data.
    total: usize,
    /// Those that are new.
    imported: usize,
    /// Those that were there already.
    failed: usize,
    /// One by one.
    details: Vec<ImportedOne>,
}

/// What became of one template.
#[derive(Serialize, ToSchema)]
pub struct ImportedOne {
    /// Which.
    code: String,
    /// `success` or `error`.
    status: &'static str,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<&'static str>,
}

/// How the templates are.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateHealth {
    /// How many there are.
    total_templates: u64,
    /// When they were counted.
    timestamp: String,
    /// `TemplateService`.
    service: &'static str,
}

/// `workflows/templates.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bundle {
    templates: Vec<Bundled>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Bundled {
    code: String,
    name: String,
    description: String,
    credit_cost: i64,
    version: String,
    template_type: TemplateType,
    workflow: String,
    tags: Vec<String>,
    settings: Map<String, Value>,
}

/// Adds the routes.
pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/templates", |at| at.route(get_and_head().to(list))))
        .service(resource("/templates/get/{code}", |at| at.route(get_and_head().to(get))))
        .service(resource(EXECUTE, |at| at.route(web::post().to(execute))))
        .service(resource("/templates/execution/{taskId}/progress", |at| at.route(get_and_head().to(progress))))
        .service(resource("/templates/init", |at| at.route(web::get().to(init))))
        .service(resource("/templates/health", |at| at.route(get_and_head().to(health))));
}

/// The active templates.
#[utoipa::path(get, path = "/templates", tag = "templates", params(openapi::Paging),
    responses((status = 200, description = "The templates", body = openapi::Success<TemplateList>), openapi::Reading))]
pub(super) async fn list(request: HttpRequest, state: Data<State>) -> Result<Reply, Error> {
    let query = Query::of(&request)?;
    let limit =
        if query.text("limit").is_some() { usize::try_from(query.limit()?).unwrap_or(usize::MAX) } else { usize::MAX };
    let all = state.templates.active().await?;
    let total = all.len();
    let after = query.text("cursor").unwrap_or_default();
    let mut rest = all.into_iter().filter(|template| template.code.as_str() > after);
    let templates: Vec<Listed> = rest.by_ref().take(limit).map(listed).collect();
    let next_cursor = rest.next().and_then(|_| templates.last().map(|last| last.code.clone()));
    Reply::ok("Templates retrieved successfully", &TemplateList { templates, total, next_cursor })
}

fn listed(template: Template) -> Listed {
    Listed {
        code: template.code,
        name: template.name,
        description: template.description,
        credit_cost: template.credit_cost,
        template_type: template.template_type,
        is_active: template.is_active,
        tags: template.tags,
    }
}

/// A template, active or not.
#[utoipa::path(get, path = "/templates/get/{code}", tag = "templates", params(("code" = String, Path)),
    responses((status = 200, description = "The template", body = openapi::Success<Shown>), openapi::Reading))]
pub(super) async fn get(path: Path<String>, state: Data<State>) -> Result<Reply, Error> {
    let found = state.templates.by_code(&path, state.now()).await?;
    let template = found.ok_or_else(|| {
        Error::NotFound(format!("there is no template `{}`", path.chars().take(100).collect::<String>()))
    })?;
    let shown = Shown {
        code: template.code.clone(),
        name: template.name.clone(),
        description: template.description.clone(),
        credit_cost: template.credit_cost,
        template_type: template.template_type,
        workflow: template.workflow.clone(),
        is_active: template.is_active,
        stripe_product_id: template.stripe_product_id.clone(),
        created_at: rfc3339(template.created_at),
    };
    Reply::ok("Template retrieved successfully", &shown)
}

/// Runs a template.
#[utoipa::path(post, path = "/templates/execute/{code}", tag = "templates", request_body = NewExecution,
    params(("code" = String, Path), openapi::IdempotencyHeader),
    responses((status = 200, description = "Its execution", body = openapi::Success<Started>), openapi::Creating))]
pub(super) async fn execute(
    request: HttpRequest,
    payload: web::Payload,
    path: Path<String>,
    state: Data<State>,
    door: Data<Door>,
    caller: Caller,
) -> Result<Reply, Error> {
    let body = body::read(&request, payload, body::WITH_PICTURES_MAX).await?;
    let call = Call { caller: &caller, method: "POST", route: EXECUTE, path: request.path(), body: &body };
    let key = Key::of(request.headers(), &call)?;
    let task = TaskId::new((state.fresh)());
    let execution_id = ExecutionId::of_task(&task).to_string();
    let started = Started { execution_id, task_id: task.to_string(), status: "running" };
    let answer = Reply::ok("Template execution started", &started)?;
    let wish = read_execution(body, path.into_inner(), task)?;
    Desk { state, door, caller }.submit(wish, key, answer).await
}

fn read_execution(body: Body, template_code: String, id: TaskId) -> Result<Wish, Error> {
    let mut fields = Fields::of(&body.object);
    let user_id = fields.text("userId", USER_CHARS_MAX).map(str::to_owned);
    let mut parameters = fields.object("parameters").cloned().unwrap_or_default();
    fields.finish()?;
    let Body { object, digest } = body;
    parameters.extend(object.into_iter().filter(|(name, _)| name != "userId" && name != "parameters"));
    Ok(Wish { id, id_chosen: false, task_type: None, template_code, user_id, parameters, field_prefix: "", digest })
}

/// How far an execution is.
#[utoipa::path(get, path = "/templates/execution/{taskId}/progress", tag = "templates",
    params(("taskId" = String, Path)),
    responses((status = 200, description = "The execution", body = openapi::Success<ExecutionView>), openapi::Reading))]
pub(super) async fn progress(path: Path<String>, state: Data<State>, caller: Caller) -> Result<Reply, Error> {
    let known = find(&state, &caller, &path).await?;
    let view = ExecutionView::of(&known, show(&state, &known));
    Ok(Reply::ok("Execution progress retrieved", &view)?.no_store())
}

/// Imports the templates that come with the product. What is there already stays as it is.
#[utoipa::path(get, path = "/templates/init", tag = "templates",
    responses((status = 200, description = "What was imported", body = openapi::Success<Imported>), openapi::Operating))]
pub(super) async fn init(state: Data<State>) -> Result<Reply, Error> {
    let bundle: Bundle = serde_json::from_str(BUNDLED).map_err(Error::internal)?;
    let mut details = Vec::with_capacity(bundle.templates.len());
    for bundled in bundle.templates {
        let is_active = state.library.current(&bundled.workflow).is_some();
        let template = bundled.into_template(is_active, state.now());
        let new = state.templates.insert(&template).await?;
        let (status, error) = if new { ("success", None) } else { ("error", Some("Template already exists")) };
        details.push(ImportedOne { code: template.code, status, error });
    }
    let imported = details.iter().filter(|one| one.error.is_none()).count();
    let total = details.len();
    let done = Imported { total, imported, failed: total - imported, details };
    Ok(Reply::ok("Templates initialization completed", &done)?.no_store())
}

impl Bundled {
    fn into_template(self, is_active: bool, now: Timestamp) -> Template {
        Template {
            code: self.code,
            name: self.name,
            description: self.description,
            credit_cost: self.credit_cost,
            version: self.version,
            template_type: self.template_type,
            workflow: self.workflow,
            is_active,
            tags: self.tags,
            settings: self.settings,
            stripe_product_id: None,
            stripe_price_id: None,
            created_at: now,
        }
    }
}

/// Whether templates can be read.
#[utoipa::path(get, path = "/templates/health", tag = "templates", security(()),
    responses((status = 200, description = "They can", body = openapi::Success<TemplateHealth>)))]
pub(super) async fn health(state: Data<State>) -> Result<Reply, Error> {
    let total_templates = state.templates.count().await?;
    let health = TemplateHealth { total_templates, timestamp: rfc3339(state.now()), service: "TemplateService" };
    let reply = Reply::new(http::StatusCode::OK, "Template service is healthy", &health)?;
    Ok(reply.no_store())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::workflow::{BUNDLED as WORKFLOWS, Definition};

    #[test]
    fn every_bundled_template_runs_a_bundled_workflow_with_settings_it_takes() {
        let bundle: Bundle = serde_json::from_str(BUNDLED).unwrap();
        assert!(bundle.templates.len() >= 3);
        for template in bundle.templates {
            let found = WORKFLOWS.iter().find(|(file, _)| *file == format!("{}.toml", template.workflow));
            let (file, text) = found.unwrap_or_else(|| panic!("{} runs no bundled workflow", template.code));
            let definition = Definition::parse(file, text).unwrap();
            let picture = json!({ "imageUrl": "data:image/png;base64,AA==" });
            let mut given = template.settings.clone();
            given.extend(picture.as_object().unwrap().clone());
            assert_eq!(definition.check_parameters(&given), [], "{}", template.code);
            for name in template.settings.keys() {
                assert!(definition.parameters().contains_key(name), "{}: {name}", template.code);
            }
        }
    }

    #[test]
    fn what_stands_beside_the_user_is_a_parameter() {
        let object = json!({ "userId": "u", "imageUrl": "x", "parameters": { "seconds": 3, "imageUrl": "y" } });
        let digest = body::digest(&object);
        let body = Body { object: object.as_object().unwrap().clone(), digest };
        let wish = read_execution(body, "t".into(), TaskId::parse("a").unwrap()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(wish.user_id.as_deref(), Some("u"));
        assert_eq!(Value::Object(wish.parameters), json!({ "imageUrl": "x", "seconds": 3 }));
    }
}
