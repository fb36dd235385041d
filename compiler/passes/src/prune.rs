//! Removes what no output needs: dead nodes and, in scans, unread yields and carries, carries that never
//! change, yields that repeat an operand. Slices and captures that nothing reads go with them.
use crate::rebuild::{SharedAxes, ancestors, drop_dead};
use crate::scan::parts::{Loop, Port, rewrite_loops};
use stmc_ir::ops::Expand;
use stmc_ir::{Graph, NodeId, Op};

/// The graph without what no output needs.
pub fn prune(axes: &SharedAxes, graph: &Graph) -> Graph {
    let mut graph = drop_dead(axes, graph);
    loop {
        // An outer loop that stops reading makes results of an inner one useless, so once may not be enough.
        let next = rewrite_loops(axes, &graph, &|parts, used| thin(parts, used));
        let next = drop_dead(axes, &next);
        if next == graph {
            return graph;
        }
        graph = next;
    }
}

/// The loop without what `used` does not need.
fn thin(mut parts: Loop, used: &[bool]) -> Vec<Option<NodeId>> {
    let carries = parts.carries.len();
    let (used_carries, used_yields) = used.split_at(carries);
    let mut results: Vec<Option<NodeId>> = vec![None; used.len()];
    // Which result each of the new loop's will be.
    let mut kept: Vec<usize> = vec![];
    for c in needed_carries(&parts, used_carries, used_yields) {
        let carry = parts.carries[c];
        if carry.next == carry.value {
            parts.captures.push(Port { outside: carry.initial, inside: carry.value });
            results[c] = Some(carry.initial);
        } else {
            kept.push(c);
        }
    }
    let new_carries = kept.iter().map(|c| parts.carries[*c]).collect();
    for y in (0..used_yields.len()).filter(|y| used_yields[*y]) {
        match repeated_operand(&parts, parts.yields[y]) {
            Some(outside) => results[carries + y] = Some(outside),
            None => kept.push(carries + y),
        }
    }
    parts.yields = kept.iter().filter(|r| **r >= carries).map(|r| parts.yields[*r - carries]).collect();
    parts.carries = new_carries;
    if kept.is_empty() {
        return results;
    }
    for (result, node) in kept.into_iter().zip(parts.close()) {
        results[result] = Some(node);
    }
    results
}

/// The carries that a used result depends on, by their next values.
fn needed_carries(parts: &Loop, used_carries: &[bool], used_yields: &[bool]) -> Vec<usize> {
    let graph = parts.graph();
    let mut kept = used_carries.to_vec();
    loop {
        let next = parts.carries.iter().zip(&kept).filter(|(_, k)| **k).map(|(c, _)| c.next);
        let yields = parts.yields.iter().zip(used_yields).filter(|(_, u)| **u).map(|(y, _)| *y);
        let needed = ancestors(&graph, &next.chain(yields).collect::<Vec<_>>());
        let now: Vec<bool> =
            parts.carries.iter().zip(&kept).map(|(c, k)| *k || needed[c.value.index()]).collect();
        if now == kept {
            return (0..kept.len()).filter(|c| kept[*c]).collect();
        }
        kept = now;
    }
}

/// What a yield stacks again just as it was sliced, or at every step the same. `None`: it computes something.
fn repeated_operand(parts: &Loop, value: NodeId) -> Option<NodeId> {
    if let Some(port) = parts.slices.iter().find(|p| p.inside == value) {
        return Some(port.outside);
    }
    let port = parts.captures.iter().find(|p| p.inside == value)?;
    let expand = Expand { axis: parts.axis, extent: parts.extent };
    Some(parts.outside.must(Op::Expand(expand), &[port.outside]))
}
