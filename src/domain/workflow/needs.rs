//! What a workflow needs of the machine that it runs on.

use std::collections::BTreeSet;
use std::fmt;

use super::definition::{Definition, Step};
use super::step::Activity;

/// Something that a step cannot do without.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// A place in this lane.
    Lane(&'static str),
    /// Child processes that decode and encode media.
    Worker,
    /// A provider of models, by the name it is configured under.
    Provider(String),
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lane(name) => write!(f, "the lane {name}"),
            Self::Worker => f.write_str("a worker"),
            Self::Provider(name) => write!(f, "the provider `{name}`, configured as [providers.{name}]"),
        }
    }
}

impl Step {
    /// What it needs beside its lane.
    fn needs_beside_its_lane(&self) -> Vec<Need> {
        match self.activity {
            Activity::Noop | Activity::Store => Vec::new(),
            // A provider's picture is decoded like a customer's.
            Activity::Picture | Activity::Render | Activity::Image | Activity::Provider => vec![Need::Worker],
        }
    }
}

impl Definition {
    /// What the machine must have to run it.
    #[must_use]
    pub fn needs(&self) -> BTreeSet<Need> {
        let lane = |step: &Step| Need::Lane(step.activity.lane());
        let providers = self.providers().map(|(_, name)| Need::Provider(name.to_owned()));
        let of_steps =
            self.steps().iter().flat_map(|step| step.needs_beside_its_lane().into_iter().chain([lane(step)]));
        of_steps.chain(providers).collect()
    }
}
