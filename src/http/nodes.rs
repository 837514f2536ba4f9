//! Which nodes there are and which partitions are whose, for `/health` and `/metrics`.

use serde::Serialize;
use utoipa::ToSchema;

use crate::runtime::lease::{Node, NodeId, Seen, View};

/// A node that has heard nothing of the leases for longer than this is worth a word, in milliseconds.
const STALE_MS: i64 = 5_000;
/// Characters of a node's id that tell it from the others.
const ID_CHARS: usize = 8;

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeStanding {
    /// Its id, drawn when its process began.
    pub id: String,
    /// Its machine.
    pub host: String,
    /// Its process there.
    pub pid: u32,
    /// Whether it is the one that answers.
    pub is_this: bool,
    /// Since how many seconds it has been known.
    pub up_seconds: i64,
    /// What is left of its leases, in milliseconds; nothing is left of a dead one's.
    pub lease_left_ms: i64,
    /// Whether it is ending.
    pub draining: bool,
    /// The partitions it owns.
    pub partitions: Vec<u32>,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PartitionStanding {
    /// Which.
    pub partition: u32,
    /// The id of the node that owns it; none while it moves.
    pub owner: Option<String>,
    /// How often it has changed hands.
    pub epoch: i64,
    /// Since how many seconds it has been where it is.
    pub since_seconds: i64,
}

/// All nodes and partitions, as the node that answers last heard of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Nodes {
    /// In words.
    pub summary: String,
    /// The nodes, also those that died within the last minute. Empty when there can be but one.
    pub nodes: Vec<NodeStanding>,
    /// The partitions.
    pub partitions: Vec<PartitionStanding>,
    /// For how long nothing newer has been heard, in milliseconds.
    pub heard_ms_ago: Option<i64>,
}

impl Nodes {
    pub(super) fn of(seen: Option<&Seen>) -> Self {
        let Some(seen) = seen else {
            let summary = "One server, to which all partitions belong.".to_owned();
            return Self { summary, ..Self::default() };
        };
        let view = &seen.view;
        Self {
            summary: summary(view),
            nodes: view.nodes.iter().map(|node| standing(node, &seen.me, view)).collect(),
            partitions: view
                .partitions
                .iter()
                .map(|owned| PartitionStanding {
                    partition: owned.partition,
                    owner: owned.holder().map(|holder| holder.0.to_string()),
                    epoch: owned.epoch.0,
                    since_seconds: owned.since_ms.max(0) / 1_000,
                })
                .collect(),
            heard_ms_ago: Some(seen.age_ms()),
        }
    }

    /// Nodes that live.
    pub(super) fn living(&self) -> usize {
        self.nodes.iter().filter(|node| node.lease_left_ms > 0).count()
    }

    /// Partitions of the node that answers.
    pub(super) fn owned_here(&self) -> usize {
        self.nodes.iter().find(|node| node.is_this).map_or(0, |node| node.partitions.len())
    }

    /// What a person should know about it.
    pub(super) fn attention(&self) -> Option<String> {
        let ms = self.heard_ms_ago.filter(|ms| *ms > STALE_MS)?;
        Some(format!(
            "This node has heard nothing of the leases for {} s: it has given up its partitions or is about to, and other \
             nodes that reach the database take them. See that this one reaches it.",
            ms / 1_000
        ))
    }
}

fn standing(node: &Node, me: &NodeId, view: &View) -> NodeStanding {
    let id = &node.identity.id;
    let owned = view.partitions.iter().filter(|owned| owned.holder() == Some(id));
    NodeStanding {
        id: id.0.to_string(),
        host: node.identity.host.clone(),
        pid: node.identity.pid,
        is_this: id == me,
        up_seconds: node.up_ms.max(0) / 1_000,
        lease_left_ms: node.lease_left_ms.max(0),
        draining: node.draining,
        partitions: owned.map(|owned| owned.partition).collect(),
    }
}

fn summary(view: &View) -> String {
    let mut said: Vec<String> = view
        .nodes
        .iter()
        .map(|node| {
            let id: String = node.identity.id.0.chars().take(ID_CHARS).collect();
            let who = format!("{id} (process {} on {})", node.identity.pid, node.identity.host);
            let count = view.partitions.iter().filter(|owned| owned.holder() == Some(&node.identity.id)).count();
            match (node.lives(), node.draining) {
                (false, _) => format!("{who} died {} s ago.", -node.lease_left_ms / 1_000),
                (true, true) => format!("{who} is ending and still has {count} partitions."),
                (true, false) => format!("{who} has {count} partitions."),
            }
        })
        .collect();
    let free = view.partitions.iter().filter(|owned| owned.holder().is_none()).count();
    if free > 0 {
        said.push(format!("{free} partitions are on their way to another node."));
    }
    said.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::lease::{Epoch, Identity, Ownership};

    fn node(id: &str, lease_left_ms: i64, draining: bool) -> Node {
        let identity = Identity { id: NodeId(id.into()), host: "web".to_owned(), pid: 7, generation: 1 };
        Node { identity, up_ms: 90_000, lease_left_ms, draining }
    }

    fn owned(partition: u32, owner: &str, lease_left_ms: i64) -> Ownership {
        let owner = Some(NodeId(owner.into()));
        Ownership { partition, owner, epoch: Epoch(3), lease_left_ms, since_ms: 5_500, generation: 0 }
    }

    #[test]
    fn words_say_who_lives_who_died_and_what_moves() {
        let nodes =
            vec![node("aaaaaaaabbbb", 5_000, false), node("cccccccc", 4_000, true), node("dddddddd", -3_000, false)];
        let partitions =
            vec![owned(0, "aaaaaaaabbbb", 5_000), owned(1, "cccccccc", 4_000), owned(2, "dddddddd", -3_000)];
        let said = summary(&View { nodes, partitions });
        assert_eq!(
            said,
            "aaaaaaaa (process 7 on web) has 1 partitions. cccccccc (process 7 on web) is ending and still has 1 \
             partitions. dddddddd (process 7 on web) died 3 s ago. 1 partitions are on their way to another node."
        );
    }
}
