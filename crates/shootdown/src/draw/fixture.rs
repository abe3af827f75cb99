//! Hand-made answers for the tests: a COW with a late notification, a page freed
//! before `range_end`, and a queue that runs behind.

use std::time::Duration;

use shootdown_answers::timeline::{
    Change, ChangeKind, Column, ColumnKind, Mark, Place, Row, Timeline,
};
use shootdown_answers::verdict::{
    Block, BreakingStep, Checked, Guard, Judgement, Search, Status, Verdict, Violation,
};

pub(super) const FILE: &str = "litmus/seed/doorbell.litmus";

pub(super) fn place(file: &str, line: u32, text: &str) -> Place {
    Place { file: file.to_owned(), line, column: 5, text: text.to_owned() }
}

pub(super) fn column(name: &str, kind: ColumnKind, number: u32) -> Column {
    Column { name: name.to_owned(), kind, number }
}

pub(super) fn row(column: usize, line: u32, function: &str, what: &str) -> Row {
    let file = if function == "ats_invalidate" { "<machine/ats-pasid>" } else { FILE };
    Row {
        column,
        what: what.to_owned(),
        result: None,
        function: (!function.is_empty()).then(|| function.to_owned()),
        place: Some(place(file, line, &format!("{what};"))),
        changes: Vec::new(),
        marks: Vec::new(),
    }
}

/// What the fixtures say of a row, after the fact.
pub(super) trait With: Sized {
    fn result(self, result: &str) -> Self;
    fn change(self, kind: ChangeKind, text: &str) -> Self;
    fn mark(self, mark: Mark) -> Self;
}

impl With for Row {
    fn result(mut self, result: &str) -> Row {
        self.result = Some(result.to_owned());
        self
    }

    fn change(mut self, kind: ChangeKind, text: &str) -> Row {
        self.changes.push(Change { kind, text: text.to_owned() });
        self
    }

    fn mark(mut self, mark: Mark) -> Row {
        self.marks.push(mark);
        self
    }
}

/// Case B with one page: told at `range_end`.
pub(super) fn late_run() -> Timeline {
    let copy = "wp_page_copy";
    let entry = "a -> Fa ro".to_owned();
    Timeline {
        columns: vec![
            column("P0", ColumnKind::Cpu, 0),
            column("P1", ColumnKind::Cpu, 1),
            column("D0", ColumnKind::Device, 0),
        ],
        start: vec!["a -> Fa ro".to_owned()],
        rows: vec![
            row(0, 22, copy, "new = alloc_page()").change(ChangeKind::Frame, "F1 taken by mm"),
            row(0, 24, copy, "copy_page(new, old)"),
            row(0, 25, copy, "mmu_notifier_invalidate_range_start(vmf->address)")
                .change(ChangeKind::Range, "range a open"),
            row(0, 26, copy, "vmf->pte = pte_offset_map_lock(vmf->address, &vmf->ptl)")
                .change(ChangeKind::Lock, "ptl(a): P0"),
            row(0, 34, copy, "ptep_clear_flush(vmf->pte)")
                .change(ChangeKind::Table, "a: Fa ro -> none")
                .change(ChangeKind::Tlb, "CPUs forget a")
                .mark(Mark::Fill { tlb: "T".to_owned(), entry: entry.clone(), used_by: 9 }),
            row(0, 38, copy, "set_pte_at(vmf->pte, mk_pte(new, RW))")
                .change(ChangeKind::Table, "a: none -> F1 rw")
                .mark(Mark::Breaks { obligation: "NEW" }),
            row(1, 55, "", "WRITE_ONCE(*a, 1)").change(ChangeKind::Frame, "F1 = {1}"),
            row(1, 55, "", "smp_store_release(bell, 1)").change(ChangeKind::Word, "[bell] = 1"),
            row(2, 58, "", "rung = smp_load_acquire(bell)").result("rung = 1"),
            row(2, 59, "", "data = READ_ONCE(*a)")
                .result("data = 0")
                .mark(Mark::Stale { tlb: "T".to_owned(), entry })
                .mark(Mark::Impossible),
        ],
        end: "D0 saw the bell, and then the data of before: new data, then old.".to_owned(),
    }
}

/// Case A: freed before `range_end`.
pub(super) fn free_run() -> Timeline {
    let entry = "a -> Fa rw".to_owned();
    Timeline {
        columns: vec![
            column("P0", ColumnKind::Cpu, 0),
            column("P1", ColumnKind::Cpu, 1),
            column("D0", ColumnKind::Device, 0),
        ],
        start: vec!["a -> Fa rw".to_owned()],
        rows: vec![
            row(0, 19, "zap", "mmu_notifier_invalidate_range_start(va)"),
            row(0, 20, "zap", "pte = pte_offset_map_lock(va, &ptl)")
                .change(ChangeKind::Lock, "ptl(a): P0"),
            row(0, 21, "zap", "page = pte_page(ptep_clear_flush(pte))")
                .change(ChangeKind::Table, "a: Fa rw -> none")
                .change(ChangeKind::Tlb, "CPUs forget a")
                .mark(Mark::Fill { tlb: "T".to_owned(), entry: entry.clone(), used_by: 6 }),
            row(0, 25, "zap", "pte_unmap_unlock(pte, ptl)")
                .change(ChangeKind::Lock, "ptl(a): free"),
            row(0, 27, "zap", "put_page(page)")
                .change(ChangeKind::Frame, "Fa free")
                .mark(Mark::Breaks { obligation: "FREE" }),
            row(1, 39, "", "p = alloc_page()")
                .result("p = Fa")
                .change(ChangeKind::Frame, "Fa taken by other"),
            row(2, 40, "", "WRITE_ONCE(*a, 9)")
                .change(ChangeKind::Frame, "Fa = {9}")
                .mark(Mark::Stale { tlb: "T".to_owned(), entry }),
        ],
        end: "D0 wrote into a page that belongs to other.".to_owned(),
    }
}

/// An ATC that is refilled from an IOTLB which has not been told yet.
pub(super) fn queue_run() -> Timeline {
    let inv = "ats_invalidate";
    Timeline {
        columns: vec![
            column("P0", ColumnKind::Cpu, 0),
            column("P1", ColumnKind::Cpu, 1),
            column("D0", ColumnKind::Device, 0),
            column("Q", ColumnKind::Queue, 0),
            column("P0 buffer", ColumnKind::Buffer, 0),
        ],
        start: vec!["a -> Fa rw".to_owned()],
        rows: vec![
            row(0, 30, "zap_one", "page = pte_page(ptep_clear_flush(pte))"),
            row(4, 30, "zap_one", "ptep_clear_flush(pte)")
                .change(ChangeKind::Table, "a: Fa rw -> none"),
            row(0, 12, inv, "q_iotlb_inv(Q, U, start, end)")
                .change(ChangeKind::Queue, "Q: U forget a"),
            row(0, 14, inv, "q_atc_inv(Q, T, start, end)")
                .change(ChangeKind::Queue, "Q: U forget a, T forget a"),
            row(3, 14, "", "T forget a")
                .change(ChangeKind::Tlb, "T forgets a")
                .change(ChangeKind::Tlb, "T may hold a -> Fa rw, from U"),
            row(3, 12, "", "U forget a").change(ChangeKind::Tlb, "U forgets a"),
            row(0, 14, inv, "q_sync(Q)").result("blocked until here"),
            row(0, 34, "zap_one", "put_page(page)").mark(Mark::Breaks { obligation: "FREE" }),
            row(0, 35, "zap_one", "return 0"),
            row(2, 50, "", "WRITE_ONCE(*a, 9)")
                .mark(Mark::Stale { tlb: "T".to_owned(), entry: "a -> Fa rw".to_owned() }),
        ],
        end: "T still holds a -> Fa rw when Fa is free.".to_owned(),
    }
}

const CODES: [&str; 14] = [
    "FREE", "NEW", "COPY", "TABLE", "CLEAN", "RETURN", "PROGRESS", "LIFETIME", "RECLAIM", "REST",
    "deadlock", "sleep", "unlock", "range",
];

/// The base variant of the doorbell: clean, with guards.
pub(super) fn clean() -> Checked {
    let status = |code| match code {
        "TABLE" => Status::NotExercised("no page-table page is freed".to_owned()),
        "CLEAN" => Status::NotExercised("nobody takes a page as clean".to_owned()),
        "LIFETIME" => Status::NotExercised("nobody unregisters".to_owned()),
        "RECLAIM" => Status::NotCovered("allocation under a lock is not modelled".to_owned()),
        _ => Status::Clean,
    };
    let guard = |what: &str, line, without: &[&'static str]| Guard {
        what: what.to_owned(),
        place: Some(place(FILE, line, what)),
        without: without.to_vec(),
        unknown: false,
    };
    Checked {
        test: "doorbell".to_owned(),
        file: FILE.to_owned(),
        variant: "base".to_owned(),
        model: "sc".to_owned(),
        params: [("perm_miss_rewalk", "yes"), ("cpu_flush_notifies", "no"), ("Q", "in_order")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        block: Block {
            kind: "Allowed",
            states: ["D0:data=0; D0:rung=0;", "D0:data=1; D0:rung=0;", "D0:data=1; D0:rung=1;"]
                .map(str::to_owned)
                .to_vec(),
            validated: Some(false),
            satisfying: 0,
            others: 3,
            condition: "exists (D0:rung=1 /\\ D0:data=0)".to_owned(),
            hash: "0f1e2d3c4b5a69788796a5b4c3d2e1f0".to_owned(),
        },
        verdicts: CODES.map(|code| Verdict { code, status: status(code) }).to_vec(),
        search: Search {
            states: 1234,
            transitions: 5678,
            depth: 31,
            bytes: 12 * 1024,
            ideal_states: 96,
            stopped: None,
            time: Duration::from_millis(4),
        },
        guards: Some(vec![
            guard("mmu_notifier_invalidate_range", 36, &["NEW"]),
            guard("pte_offset_map_lock", 26, &["NEW", "FREE"]),
            guard("ptep_clear_flush", 34, &["NEW"]),
            guard("mmu_notifier_invalidate_range_start", 25, &[]),
            guard("mmu_notifier_invalidate_range_only_end", 47, &[]),
        ]),
        judgement: Judgement::Met { place: place(FILE, 65, "* : clean, Never;") },
        notes: vec!["device accesses are in order (order waits)".to_owned()],
    }
}

/// Its variant `LATE`: not clean, and expected so.
pub(super) fn late() -> Checked {
    let mut checked = clean();
    checked.variant = "LATE".to_owned();
    checked.block.states.insert(1, "D0:data=0; D0:rung=1;".to_owned());
    checked.block.validated = Some(true);
    checked.block.satisfying = 1;
    checked.block.hash = "00112233445566778899aabbccddeeff".to_owned();
    checked.guards = None;
    checked.notes.clear();
    checked.judgement =
        Judgement::Met { place: place(FILE, 68, "LATE : NEW at \"set_pte_at\", Sometimes;") };
    checked.verdicts[1].status = Status::Violated(Box::new(Violation {
        steps: vec![BreakingStep {
            name: "set_pte_at".to_owned(),
            place: Some(place(FILE, 38, "set_pte_at(vmf->pte, mk_pte(new, RW));")),
        }],
        why: "D0 reads 0 at a after it read 1 at bell: no ideal memory gives that".to_owned(),
        timeline: late_run(),
    }));
    checked
}

/// A search that stopped, against an expectation that it could have met.
pub(super) fn stopped() -> Checked {
    let mut checked = clean();
    checked.variant = "NONE".to_owned();
    checked.model = "tso".to_owned();
    checked.block.validated = None;
    checked.guards = None;
    checked.search.stopped = Some("stopped at 1,000,000 states, complete to depth 17".to_owned());
    checked.search.states = 1_000_000;
    checked.search.time = Duration::from_millis(61_234);
    for verdict in &mut checked.verdicts {
        if verdict.status == Status::Clean {
            verdict.status = Status::Unknown("complete to depth 17".to_owned());
        }
    }
    checked.judgement = Judgement::Differs {
        place: place(FILE, 69, "NONE : NEW at \"set_pte_at\", Sometimes;"),
        differences: vec!["NEW: expected violated at set_pte_at, found unknown".to_owned()],
    };
    checked
}

/// A page freed before `range_end`, in a file that expects nothing.
pub(super) fn freed() -> Checked {
    let mut checked = late();
    checked.test = "page-freed-before-range-end".to_owned();
    checked.file = "litmus/seed/page-freed-before-range-end.litmus".to_owned();
    checked.block.condition = "exists (P1:r=9)".to_owned();
    checked.judgement = Judgement::Unjudged;
    checked.verdicts[1].status = Status::NotCovered("no contract given".to_owned());
    let mut timeline = free_run();
    for place in timeline.rows.iter_mut().filter_map(|row| row.place.as_mut()) {
        place.file.clone_from(&checked.file);
    }
    checked.verdicts[0].status = Status::Violated(Box::new(Violation {
        steps: vec![BreakingStep {
            name: "put_page".to_owned(),
            place: Some(place(&checked.file, 27, "put_page(page);")),
        }],
        why: "T holds a -> Fa rw when Fa may be handed out".to_owned(),
        timeline,
    }));
    checked
}

/// All of them.
pub(super) fn all() -> Vec<Checked> {
    vec![clean(), late(), stopped(), freed()]
}

/// Numbers that look random and are always the same.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// Below `limit`.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn word(&mut self, longest: usize) -> String {
        let letters = b"abz_ (),->;*&=09 \t\n";
        let len = self.below(longest);
        let mut word: String =
            (0..len).map(|_| char::from(letters[self.below(letters.len())])).collect();
        if self.below(8) == 0 {
            word.push_str("\u{fc}\x1b[31m\u{4e2d}");
        }
        word
    }

    /// A run of anybody who does anything.
    pub(super) fn run(&mut self) -> Timeline {
        let kinds = [
            ColumnKind::Cpu,
            ColumnKind::Device,
            ColumnKind::Guest,
            ColumnKind::Queue,
            ColumnKind::Buffer,
        ];
        let columns: Vec<Column> = (0..1 + self.below(12))
            .map(|_| {
                let (longest, number) = ([4, 90][self.below(2)], self.below(2000) as u32);
                column(&self.word(longest), kinds[self.below(5)], number)
            })
            .collect();
        let rows = (0..self.below(25))
            .map(|_| {
                let longest = [8, 40, 200][self.below(3)];
                let (function, what) = (self.word(longest / 4), self.word(longest));
                let mut row =
                    row(self.below(columns.len()), self.below(99999) as u32, &function, &what);
                if self.below(2) == 0 {
                    row = row.result(&self.word(longest));
                }
                for _ in 0..self.below(4) {
                    row = row.change(ChangeKind::Tlb, &self.word(longest));
                }
                for _ in 0..self.below(3) {
                    let tlb = self.word(longest);
                    row = row.mark(match self.below(4) {
                        0 => Mark::Fill { tlb: tlb.clone(), entry: tlb, used_by: self.below(9) },
                        1 => Mark::Stale { tlb: tlb.clone(), entry: tlb },
                        2 => Mark::Breaks { obligation: "NEW" },
                        _ => Mark::Impossible,
                    });
                }
                row
            })
            .collect();
        let start = (0..self.below(4)).map(|_| self.word(120)).collect();
        Timeline { columns, start, rows, end: self.word(300) }
    }
}
