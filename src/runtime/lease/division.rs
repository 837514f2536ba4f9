//! Whose a partition should be: rendezvous hashing, with an equal share for everybody.
//!
//! Every node that sees the same members finds the same answer, so that nobody has to be asked. Plain rendezvous hashing
//! divides few partitions badly (of 16, one of two nodes would often get 11): here each node has a quota, and a partition
//! goes to the one that ranks highest for it among those that have room.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::{NodeId, View};

/// The heir of each partition, among the nodes that take partitions; nothing when there is no such node.
///
/// A partition that holds what older releases cannot read goes to newer ones as long as any of them lives.
pub fn heirs(view: &View) -> BTreeMap<u32, NodeId> {
    let mut nodes: Vec<(&NodeId, u32)> =
        view.nodes.iter().filter(|node| node.takes()).map(|n| (&n.identity.id, n.identity.generation)).collect();
    nodes.sort_unstable();
    if nodes.is_empty() {
        return BTreeMap::new();
    }
    let (count, all) = (nodes.len(), view.partitions.len());
    // The first ones by id have what is left over.
    let mut room: Vec<usize> = (0..count).map(|place| all / count + usize::from(place < all % count)).collect();
    let newest = nodes.iter().map(|(_, generation)| *generation).max().unwrap_or(0);
    let can = |place: usize, least: u32| nodes[place].1 >= least.min(newest);
    let mut pairs: Vec<(bool, u64, u32, usize)> = Vec::with_capacity(all * count);
    for owned in &view.partitions {
        for (place, (id, _)) in nodes.iter().enumerate().filter(|(place, _)| can(*place, owned.generation)) {
            // What not everybody can read chooses first.
            pairs.push((owned.generation == 0, !weight(id, owned.partition), owned.partition, place));
        }
    }
    pairs.sort_unstable();
    let mut heirs = BTreeMap::new();
    for with_room in [true, false] {
        for &(.., partition, place) in &pairs {
            if !heirs.contains_key(&partition) && (room[place] > 0 || !with_room) {
                heirs.insert(partition, nodes[place].0.clone());
                room[place] = room[place].saturating_sub(1);
            }
        }
    }
    heirs
}

/// How much a node deserves a partition; every node must compute the same.
fn weight(node: &NodeId, partition: u32) -> u64 {
    // The keys of this hasher are fixed, and nodes of different releases agree soon enough: rows arbitrate.
    let mut hasher = DefaultHasher::new();
    (&*node.0, partition).hash(&mut hasher);
    hasher.finish()
}
