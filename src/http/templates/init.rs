//! `GET /templates/init`: the templates that come with the product.

use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::create::Ready;
use crate::http::caller::Caller;
use crate::http::envelope::Reply;
use crate::http::error::Error;
use crate::http::{State, openapi};
use crate::store::templates::Created;

/// What comes with the product.
const BUNDLED: &str = include_str!("../../../workflows/templates.json");

/// `workflows/templates.json`: each template as `POST /templates` takes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bundle {
    templates: Vec<Map<String, Value>>,
}

/// What an import did.
#[derive(Serialize, ToSchema)]
pub struct Imported {
    /// Templates in the data.
    total: usize,
    /// Those that are new.
    imported: usize,
    /// Those that were there already, or that do not fit this service's workflows.
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
    error: Option<String>,
    /// What its operator should know, such as that it cannot run here yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// Imports the templates that come with the product. What is there already stays as it is.
#[utoipa::path(get, path = "/templates/init", tag = "templates",
    responses((status = 200, description = "What was imported", body = openapi::Success<Imported>), openapi::Operating))]
pub(in crate::http) async fn init(state: Data<State>, caller: Caller) -> Result<Reply, Error> {
    let bundle: Bundle = serde_json::from_str(BUNDLED).map_err(Error::internal)?;
    let mut details = Vec::with_capacity(bundle.templates.len());
    for template in bundle.templates {
        details.push(import(&state, &caller, &template).await?);
    }
    let imported = details.iter().filter(|one| one.error.is_none()).count();
    let total = details.len();
    let done = Imported { total, imported, failed: total - imported, details };
    Ok(Reply::ok("Templates initialization completed", &done)?.no_store())
}

async fn import(state: &State, caller: &Caller, template: &Map<String, Value>) -> Result<ImportedOne, Error> {
    let code = template.get("code").and_then(Value::as_str).unwrap_or_default().to_owned();
    let failed = |code, error| ImportedOne { code, status: "error", error: Some(error), warnings: Vec::new() };
    let ready = match Ready::of(state, template) {
        Ok(ready) => ready,
        // A workflow of this service's own has a bundled one's name, and takes other settings.
        Err(error) => return Ok(failed(code, error.sentence())),
    };
    Ok(match state.templates.create(&ready.new, caller.owner(), None, state.now()).await? {
        Created::Now => ImportedOne { code, status: "success", error: None, warnings: ready.warnings },
        Created::Taken | Created::Claimed { .. } => failed(code, "Template already exists".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::template::{Content, TemplateType};
    use crate::domain::workflow::{BUNDLED as WORKFLOWS, Definition};
    use crate::http::templates::draft::Draft;

    fn bundled() -> Vec<(String, Content)> {
        let bundle: Bundle = serde_json::from_str(BUNDLED).unwrap();
        let read = |template| Draft::of_new(template).unwrap_or_else(|error| panic!("{error}: {template:?}"));
        bundle.templates.iter().map(read).map(|(code, draft)| (code, draft.content())).collect()
    }

    fn workflow_of(content: &Content) -> Option<Definition> {
        let found = WORKFLOWS.iter().find(|(file, _)| *file == format!("{}.toml", content.workflow))?;
        Some(Definition::parse(found.0, found.1).unwrap())
    }

    fn needs_provider(content: &Content) -> bool {
        content.tags.iter().any(|tag| tag == "provider")
    }

    #[test]
    fn every_bundled_template_fits_its_workflow_and_says_when_it_needs_an_account() {
        for (code, content) in bundled() {
            if let Some(workflow) = workflow_of(&content) {
                assert_eq!(content.faults_for(&workflow), [], "{code}");
                assert_eq!(content.unused_by(&workflow), Vec::<String>::new(), "{code}");
            }
            assert_eq!(content.description.contains("needs an account"), needs_provider(&content), "{code}");
        }
    }

    #[test]
    fn the_set_is_useful_without_an_account_and_no_code_stands_there_twice() {
        let all = bundled();
        let codes: BTreeSet<&String> = all.iter().map(|(code, _)| code).collect();
        assert_eq!(codes.len(), all.len());
        let alone = |makes: TemplateType| {
            let runs = |content: &Content| workflow_of(content).is_some() && !needs_provider(content);
            all.iter().filter(|(_, content)| content.template_type == makes && runs(content)).count()
        };
        assert!(alone(TemplateType::Video) > 5 && alone(TemplateType::Image) >= 4);
        assert!(all.iter().filter(|(_, content)| needs_provider(content)).count() >= 3);
    }
}
