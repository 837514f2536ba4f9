//! Whether a template fits the workflow it names.

use super::parameters::is_picture;
use super::{Content, TemplateType, prompt};
use crate::domain::workflow::{Definition, FieldFault};

impl Content {
    /// What is wrong with it for `workflow`: every task of it would fail, or make something else than it says.
    #[must_use]
    pub fn faults_for(&self, workflow: &Definition) -> Vec<FieldFault> {
        let mut faults = Vec::new();
        if let Some(makes) = TemplateType::making(workflow.produces()).filter(|makes| *makes != self.template_type) {
            let makes: &str = makes.into();
            faults.push(FieldFault {
                field: "templateType".into(),
                reason: format!("must be {makes}: that is what the workflow `{}` makes", workflow.name()),
            });
        }
        // What the settings leave out is the customer's to give.
        for fault in workflow.check_parameters(&self.settings) {
            if self.settings.get(&fault.field).is_some_and(|value| !value.is_null()) {
                faults.push(FieldFault { field: format!("settings.{}", fault.field), reason: fault.reason });
            }
        }
        for (preset, _) in self.presets_for(workflow).filter(|(preset, _)| preset.is_prompt()) {
            for name in prompt::needs(preset.text).into_iter().filter(|name| is_picture(workflow, name)) {
                let reason = format!("takes {{{name}}}, which is a picture and no text");
                faults.push(FieldFault { field: preset.field.into(), reason });
            }
        }
        faults
    }

    /// What of it `workflow` will never look at, one sentence each.
    #[must_use]
    pub fn unused_by(&self, workflow: &Definition) -> Vec<String> {
        let settings = self.settings.keys().filter(|name| !workflow.parameters().contains_key(*name));
        let presets = self.presets().filter(|preset| preset.parameter_of(workflow, self.template_type).is_none());
        let unused = settings.map(|name| format!("settings.{name}")).chain(presets.map(|preset| preset.field.into()));
        unused
            .map(|field| format!("`{field}` has no effect: the workflow `{}` does not take it", workflow.name()))
            .collect()
    }
}
