//! How a template and what its customer says become the parameters of a task.

use serde_json::{Map, Value};

use super::{Content, prompt};
use crate::domain::workflow::{Definition, FieldFault, ParameterKind};

/// What parameters that choose a model are called. A price is for a model, so they are the template's alone.
const MODELS: [&str; 3] = ["model", "imageModel", "videoModel"];

impl Content {
    /// The parameters of a task that runs `workflow`: the template's settings, over them what the customer has `given`,
    /// and the models and prompts that the workflow takes, filled in. Those are the template's own: a customer fills a
    /// prompt where it says so, and cannot choose another model at the same price.
    ///
    /// # Errors
    /// What is wrong with the customer's parameters, by name.
    pub fn parameters(
        &self,
        mut given: Map<String, Value>,
        workflow: &Definition,
    ) -> Result<Map<String, Value>, Vec<FieldFault>> {
        let mut faults = Vec::new();
        for name in MODELS.into_iter().filter(|name| workflow.parameters().contains_key(*name)) {
            if given.remove(name).is_some_and(|value| !value.is_null()) {
                faults.push(own(name));
            }
        }
        let mut parameters = self.settings.clone();
        parameters.extend(given);
        let mut filled = Vec::new();
        for (preset, parameter) in self.presets_for(workflow) {
            let needs = if preset.is_prompt() { prompt::needs(preset.text) } else { Vec::new() };
            if !needs.contains(&parameter) && parameters.get(parameter).is_some_and(|value| !value.is_null()) {
                faults.push(own(parameter));
                continue;
            }
            let mut values = Map::new();
            for name in needs {
                match value_of(&parameters, workflow, name) {
                    Ok(value) => drop(values.insert(name.to_owned(), value.clone())),
                    Err(reason) => {
                        let reason = format!("{reason}: the {} takes it", preset.field);
                        faults.push(FieldFault { field: name.to_owned(), reason });
                    }
                }
            }
            let text = if preset.is_prompt() { prompt::fill(preset.text, &values) } else { preset.text.to_owned() };
            filled.push((parameter.to_owned(), Value::from(text)));
        }
        parameters.extend(filled);
        for found in workflow.check_parameters(&parameters) {
            // A prompt has said so already.
            if !faults.iter().any(|known| known.field == found.field) {
                faults.push(found);
            }
        }
        if faults.is_empty() { Ok(parameters) } else { Err(faults) }
    }
}

fn own(parameter: &str) -> FieldFault {
    FieldFault { field: parameter.to_owned(), reason: "is the template's own and cannot be given".to_owned() }
}

/// What is put into a prompt for `name`, or why that cannot be.
fn value_of<'a>(
    parameters: &'a Map<String, Value>,
    workflow: &'a Definition,
    name: &str,
) -> Result<&'a Value, &'static str> {
    let default = || workflow.parameters().get(name).and_then(|parameter| parameter.default.as_ref());
    let value = parameters.get(name).filter(|value| !value.is_null()).or_else(default).ok_or("is required")?;
    let is_text = matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_));
    if is_text && !is_picture(workflow, name) { Ok(value) } else { Err("must be a text or a number") }
}

pub(super) fn is_picture(workflow: &Definition, name: &str) -> bool {
    workflow.parameters().get(name).is_some_and(|parameter| parameter.kind == ParameterKind::Picture)
}
