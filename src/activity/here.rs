//! Whether this machine has what a workflow needs.

use crate::domain::workflow::{Definition, Need};

/// What a workflow needs and this server does not have, where `is_configured` tells which providers it knows. Whether
/// workers work is found out by trying one, which `mixvideo doctor` does.
#[must_use]
pub fn lacks(definition: &Definition, is_configured: impl Fn(&str) -> bool) -> Vec<Need> {
    let is_lacking = |need: &Need| match need {
        Need::Lane(_) | Need::Worker => false,
        Need::Provider(name) => !is_configured(name),
    };
    definition.needs().into_iter().filter(is_lacking).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::workflow::BUNDLED;

    #[test]
    fn a_provider_is_lacking_when_it_is_not_configured() {
        for (file, source) in BUNDLED {
            let definition = Definition::parse(file, source).unwrap();
            assert_eq!(lacks(&definition, |_| true), [], "{file}");
            let named: Vec<Need> = definition.providers().map(|(_, name)| Need::Provider(name.to_owned())).collect();
            assert_eq!(lacks(&definition, |_| false), named, "{file}");
        }
    }
}
