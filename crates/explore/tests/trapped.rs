//! Runs that can only go on for ever are told from those that may.

use shootdown_explore::{
    Exploration, Field, Layout, Model, Options, Outcome, Packed, Reductions, explore,
};

/// Two equal waiters spin on a flag. A setter sets it, or, where it may
/// forget, does not.
struct Spin {
    waiters: [Field; 2],
    setter: Field,
    flag: Field,
    may_forget: bool,
}

/// A waiter: 0 and 1 steps of its own, 2 looks, 3 goes back to look, 4 done.
#[derive(Clone)]
struct Open {
    waiters: [u64; 2],
    set: bool,
    flag: bool,
}

impl Spin {
    fn new(may_forget: bool) -> Self {
        let mut layout = Layout::new();
        let mut field = |values| layout.field(values);
        Spin { waiters: [field(5), field(5)], setter: field(2), flag: field(2), may_forget }
    }
}

impl Model for Spin {
    type State = u64;
    type Open = Open;

    fn open(&self, state: &u64) -> Open {
        Open {
            waiters: self.waiters.map(|field| state.get(field)),
            set: state.get(self.setter) == 1,
            flag: state.get(self.flag) == 1,
        }
    }

    fn close(&self, open: &Open) -> u64 {
        let mut state = 0;
        for (field, pc) in self.waiters.iter().zip(open.waiters) {
            state.set(*field, pc);
        }
        state.set(self.setter, u64::from(open.set));
        state.set(self.flag, u64::from(open.flag));
        state
    }

    fn initial(&self) -> Vec<Open> {
        vec![Open { waiters: [0, 0], set: false, flag: false }]
    }

    fn processes(&self) -> usize {
        3
    }

    fn steps(&self, state: &Open, process: usize, each: &mut dyn FnMut(u32, Open)) {
        let mut next = state.clone();
        match state.waiters.as_slice().get(process) {
            Some(pc) => {
                next.waiters[process] = match pc {
                    0 | 1 => pc + 1,
                    2 if state.flag => 4,
                    2 => 3,
                    3 => 2,
                    _ => return,
                };
                each(0, next);
            }
            None if state.set => {}
            None => {
                next.set = true;
                if self.may_forget {
                    each(1, next.clone());
                }
                next.flag = true;
                each(0, next);
            }
        }
    }

    /// Also said of the setter, which has two steps or none: not heeded then.
    fn may_fuse(&self, state: &Open, process: usize) -> bool {
        match state.waiters.as_slice().get(process) {
            Some(pc) => matches!(pc, 0 | 1 | 3),
            None => self.may_forget || state.set,
        }
    }

    fn canonical(&self, mut state: Open) -> Open {
        state.waiters.sort_unstable();
        state
    }
}

fn search<M: Model>(model: &M, reductions: Reductions, threads: usize) -> Exploration<M::State> {
    let found =
        explore(model, &Options { reductions, threads, trapped: true, ..Options::default() });
    assert_eq!(found.outcome, Outcome::Complete);
    found
}

fn all_reductions() -> impl Iterator<Item = Reductions> {
    [false, true]
        .into_iter()
        .flat_map(|fuse| [false, true].map(|symmetry| Reductions { fuse, symmetry }))
}

#[test]
fn a_livelock_that_some_runs_enter_has_a_shortest_witness() {
    let model = Spin::new(true);
    for reductions in all_reductions() {
        let found = search(&model, reductions, 1);
        let witness = found.trapped.expect("nobody sets the flag any more");
        assert_eq!(witness.levels, 1, "{reductions:?}");
        assert_eq!(witness.replay(&model), Ok(()));
        let end = model.open(&witness.end());
        assert!(end.set && !end.flag);
        assert!(found.deadlock.is_none() && found.ends.len() == 1);
        assert_eq!(found.fused > 0, reductions.fuse);
        let many = search(&model, reductions, 3);
        assert_eq!((many.trapped, many.fused), (Some(witness), found.fused));
    }
}

#[test]
fn a_loop_that_can_always_be_left_is_no_trap() {
    for reductions in all_reductions() {
        let found = search(&Spin::new(false), reductions, 1);
        assert!(found.trapped.is_none(), "{reductions:?}");
        assert_eq!(found.ends.len(), 1);
    }
}

/// One process that goes along the edges of a graph.
struct Graph {
    edges: Vec<Vec<u64>>,
}

impl Graph {
    fn random(nodes: u64, seed: u64) -> Self {
        let mut random = seed;
        let mut below = |end: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % end
        };
        let mut node = |_| (0..below(20).min(2)).map(|_| below(nodes)).collect();
        Graph { edges: (0..nodes).map(&mut node).collect() }
    }

    fn reachable(&self, from: u64) -> Vec<u64> {
        let mut found = vec![from];
        let mut next = 0;
        while let Some(node) = found.get(next) {
            for to in &self.edges[*node as usize] {
                if !found.contains(to) {
                    found.push(*to);
                }
            }
            next += 1;
        }
        found
    }
}

impl Model for Graph {
    type State = u64;
    type Open = u64;

    fn open(&self, state: &u64) -> u64 {
        *state
    }

    fn close(&self, open: &u64) -> u64 {
        *open
    }

    fn initial(&self) -> Vec<u64> {
        vec![0]
    }

    fn processes(&self) -> usize {
        1
    }

    fn steps(&self, state: &u64, _: usize, each: &mut dyn FnMut(u32, u64)) {
        self.edges[*state as usize].iter().zip(0..).for_each(|(to, choice)| each(choice, *to));
    }

    /// Ends and deadlocks are alike here.
    fn is_end(&self, state: &u64) -> bool {
        state.is_multiple_of(2)
    }
}

#[test]
fn random_graphs_agree_with_a_search_from_every_node() {
    let mut trapped = 0;
    for seed in 0..2_000 {
        let graph = Graph::random(40, seed);
        let found = search(&graph, Reductions::NONE, 1);
        let good = |node: &u64| {
            graph.reachable(*node).iter().any(|node| graph.edges[*node as usize].is_empty())
        };
        let witness = found.trapped;
        assert_eq!(witness.is_some(), !graph.reachable(0).iter().all(good), "seed {seed}");
        if let Some(witness) = witness {
            trapped += 1;
            assert!(!good(&witness.end()));
            assert_eq!(witness.replay(&graph), Ok(()));
            let before = witness.steps.iter().rev().skip(1).map(|step| step.state);
            assert!(before.chain([witness.start]).all(|node| node == witness.end() || good(&node)));
        }
    }
    assert!((100..1_900).contains(&trapped), "{trapped} of 2000 graphs have a trap");
}
