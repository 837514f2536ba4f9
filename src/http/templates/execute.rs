//! `POST /templates/execute/{code}`.

use actix_web::HttpRequest;
use actix_web::web::{self, Path};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::domain::ids::{ExecutionId, TaskId};
use crate::http::body::{self, Body, Fields};
use crate::http::envelope::Reply;
use crate::http::error::Error;
use crate::http::openapi;
use crate::http::wish::{Desk, USER_CHARS_MAX, Wish};

/// The body of an execution. What is neither of these is a parameter of the workflow, as if it stood in `parameters`.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it documents what `read_execution` reads field by field")]
pub struct NewExecution {
    /// The customer.
    #[schema(example = "user_123")]
    user_id: Option<String>,
    /// The picture, as a data URL.
    #[schema(example = "data:image/jpeg;base64,...")]
    image_url: Option<String>,
    /// More for the workflow.
    #[schema(value_type = Option<Object>)]
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

/// Runs a template.
#[utoipa::path(post, path = "/templates/execute/{code}", tag = "templates", request_body = NewExecution,
    params(("code" = String, Path), openapi::IdempotencyHeader),
    responses((status = 200, description = "Its execution", body = openapi::Success<Started>), openapi::Creating))]
pub(in crate::http) async fn execute(
    request: HttpRequest,
    payload: web::Payload,
    path: Path<String>,
    desk: Desk,
) -> Result<Reply, Error> {
    let body = body::read(&request, payload, body::WITH_PICTURES_MAX).await?;
    let task = TaskId::new((desk.state.fresh)());
    let execution_id = ExecutionId::of_task(&task).to_string();
    let started = Started { execution_id, task_id: task.to_string(), status: "running" };
    let answer = Reply::ok("Template execution started", &started)?;
    desk.submit(&request, read_execution(body, path.into_inner(), task)?, answer).await
}

fn read_execution(body: Body, template_code: String, id: TaskId) -> Result<Wish, Error> {
    let mut fields = Fields::of(&body.object);
    let user_id = fields.text("userId", USER_CHARS_MAX).map(str::to_owned);
    let mut parameters = fields.object("parameters").cloned().unwrap_or_default();
    fields.finish()?;
    let Body { object, digest } = body;
    parameters.extend(object.into_iter().filter(|(name, _)| name != "userId" && name != "parameters"));
    Ok(Wish {
        id,
        id_chosen: false,
        task_type: None,
        template_code,
        user_id,
        payment: None,
        parameters,
        field_prefix: "",
        digest,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
