//! Which step of a thread may follow which.

use shootdown_step::{Node, NodeId, ThreadCode};

/// The steps of a thread by number; what is computed between them is left out.
#[derive(Debug)]
pub(super) struct Graph {
    /// The steps that may come next, without a fault or after one. Step 0 is
    /// the end.
    pub(super) next: Vec<Vec<usize>>,
    /// Steps that a thread may begin with.
    pub(super) first: Vec<usize>,
    /// The order in which a search in depth leaves the steps: an edge to a step
    /// that is left no earlier goes back, and every cycle has one.
    rank: Vec<usize>,
}

impl Graph {
    pub(super) fn of(code: &ThreadCode) -> Graph {
        let next = (0..code.steps.len())
            .map(|number| match number {
                0 => Vec::new(),
                _ => {
                    let (on, fault) = code.after(number);
                    steps_from(code, std::iter::once(on).chain(fault))
                }
            })
            .collect();
        let first = steps_from(code, std::iter::once(code.start));
        let mut graph = Graph { next, first, rank: vec![usize::MAX; code.steps.len()] };
        graph.number();
        graph
    }

    fn number(&mut self) {
        let mut seen = vec![false; self.next.len()];
        let mut left = 0;
        for start in self.first.iter().copied().chain(0..self.next.len()) {
            if std::mem::replace(&mut seen[start], true) {
                continue;
            }
            let mut stack = vec![(start, 0)];
            while let Some((step, edge)) = stack.last_mut() {
                match self.next[*step].get(*edge) {
                    Some(next) => {
                        *edge += 1;
                        if !std::mem::replace(&mut seen[*next], true) {
                            stack.push((*next, 0));
                        }
                    }
                    None => {
                        self.rank[*step] = left;
                        left += 1;
                        stack.pop();
                    }
                }
            }
        }
    }

    /// Whether going from one step to another may close a cycle.
    pub(super) fn goes_back(&self, from: usize, to: usize) -> bool {
        self.rank[to] >= self.rank[from]
    }

    /// Steps that may lead to each step.
    pub(super) fn before(&self) -> Vec<Vec<usize>> {
        let mut before = vec![Vec::new(); self.next.len()];
        for (step, next) in self.next.iter().enumerate() {
            for next in next {
                before[*next].push(step);
            }
        }
        before
    }
}

fn steps_from(code: &ThreadCode, from: impl Iterator<Item = NodeId>) -> Vec<usize> {
    let mut seen = vec![false; code.nodes.len()];
    let mut open: Vec<NodeId> = from.collect();
    let mut found = Vec::new();
    while let Some(at) = open.pop() {
        if std::mem::replace(&mut seen[at], true) {
            continue;
        }
        match &code.nodes[at] {
            Node::Set { next, .. } | Node::Jump(next) => open.push(*next),
            Node::Branch { yes, no, .. } => open.extend([*yes, *no]),
            Node::Step { number, .. } => found.push(*number),
            Node::End => found.push(0),
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}
