//! Whether this machine has what a workflow needs.

use crate::domain::workflow::{Definition, Need};

/// What a workflow needs and this process does not have. Whether workers work is found out by trying one, which
/// `mixvideo doctor` does.
#[must_use]
pub fn lacks(definition: &Definition) -> Vec<Need> {
    definition.needs().into_iter().filter(|need| is_lacking(need, |name| std::env::var_os(name).is_some())).collect()
}

fn is_lacking(need: &Need, has_variable: impl Fn(&str) -> bool) -> bool {
    match need {
        Need::Lane(_) | Need::Worker => false,
        Need::Variable(name) => !has_variable(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_lacking_when_it_is_not_set() {
        let key = Need::Variable("PROVIDER_KEY".to_owned());
        assert!(is_lacking(&key, |_| false));
        assert!(!is_lacking(&key, |name| name == "PROVIDER_KEY"));
        assert!(!is_lacking(&Need::Worker, |_| false) && !is_lacking(&Need::Lane("media"), |_| false));
    }
}
