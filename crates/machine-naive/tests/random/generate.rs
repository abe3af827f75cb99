//! Random litmus tests: many tiny ones, each with a few features of the
//! machine, mixed.
//!
//! A test is kept as lines, so that it can be printed as a file and shrunk by
//! leaving lines out; the checker of the language says whether what is left is
//! still a test.

use std::fmt;

use shootdown_machine::setting::MemoryModel;

use crate::chance::Random;
use crate::kinds::enrich;

/// A function or a thread.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) head: String,
    pub(crate) lines: Vec<String>,
}

/// A test as lines.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    pub(crate) name: String,
    pub(crate) model: MemoryModel,
    pub(crate) declarations: Vec<String>,
    pub(crate) functions: Vec<Part>,
    pub(crate) handlers: Vec<String>,
    pub(crate) threads: Vec<Part>,
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "C {}\n{{", self.name)?;
        self.declarations.iter().try_for_each(|line| writeln!(f, "    {line}"))?;
        writeln!(f, "}}")?;
        for part in &self.functions {
            writeln!(f, "{}\n{{", part.head)?;
            part.lines.iter().try_for_each(|line| writeln!(f, "    {line}"))?;
            writeln!(f, "}}")?;
        }
        self.handlers.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        for part in &self.threads {
            writeln!(f, "{} {{ {} }}", part.head, part.lines.join(" "))?;
        }
        write!(f, "exists (true)")
    }
}

/// What a test is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Levels {
    /// Tables never change.
    One,
    /// Tables come and go.
    Two,
    /// A huge page at the beginning.
    Huge,
}

struct Maker {
    random: Random,
    pages: Vec<&'static str>,
    levels: Levels,
    iotlbs: Vec<&'static str>,
    atcs: Vec<&'static str>,
    queue: bool,
    soft: bool,
    child: bool,
    /// Dirty bits matter.
    dirty: bool,
    /// Contexts, and the TLB that they fill.
    contexts: Vec<&'static str>,
    tagged: &'static str,
    /// CPUs have contexts.
    cpu_contexts: bool,
    /// A walker reads memory.
    noncoherent: bool,
    registers: usize,
    /// Accesses of a thread, at most.
    most: usize,
}

/// The test of a number.
pub(crate) fn generate(seed: u64) -> Test {
    let mut random = Random::new(seed);
    let levels = match random.below(10) {
        0..6 => Levels::One,
        6..8 => Levels::Two,
        _ => Levels::Huge,
    };
    let two_pages = levels == Levels::Huge || random.percent(35);
    let maker = Maker {
        random,
        pages: if two_pages { vec!["a", "b"] } else { vec!["a"] },
        levels,
        iotlbs: Vec::new(),
        atcs: Vec::new(),
        queue: false,
        soft: false,
        child: false,
        dirty: false,
        contexts: Vec::new(),
        tagged: "U",
        cpu_contexts: false,
        noncoherent: false,
        registers: 0,
        most: 3,
    };
    let mut test = maker.test(seed);
    readers(&mut test, seed);
    enrich(&mut test, seed);
    test
}

/// Some tests get sections of readers, and somebody who waits for them. The
/// numbers are drawn apart, so that the tests of all seeds stay what they are
/// otherwise.
fn readers(test: &mut Test, seed: u64) {
    let mut random = Random::new(seed ^ 0x7ead);
    if !random.percent(15) {
        return;
    }
    let sleepable = random.percent(60);
    let (enter, leave, wait) = match sleepable {
        true => ("srcu_read_lock(&s);", "srcu_read_unlock(&s, 0);", "synchronize_srcu(&s);"),
        false => ("rcu_read_lock();", "rcu_read_unlock();", "synchronize_rcu();"),
    };
    if sleepable {
        test.declarations.push("struct srcu_struct s;".into());
    }
    for (at, part) in test.threads.iter_mut().filter(|p| p.head.starts_with('P')).enumerate() {
        if sleepable {
            part.head = part.head.replace(')', ", struct srcu_struct *s)");
        }
        let kernel = part.lines.iter().rposition(|line| line.contains('*') && line.contains('='));
        let first = kernel.filter(|_| at == 0).map_or(0, |at| at + 1);
        let mut place = |lines: &[String]| first + random.below(lines.len() + 1 - first);
        if at == 0 {
            let place = place(&part.lines);
            part.lines.insert(place, wait.into());
        } else {
            let begin = place(&part.lines);
            part.lines.insert(begin, enter.into());
            let end = begin + 1 + random.below(part.lines.len() - begin);
            part.lines.insert(end, leave.into());
        }
    }
}

impl Maker {
    fn test(mut self, seed: u64) -> Test {
        let mut test = Test {
            name: format!("random-{seed}"),
            model: if self.random.percent(25) { MemoryModel::Tso } else { MemoryModel::Sc },
            declarations: Vec::new(),
            functions: Vec::new(),
            handlers: Vec::new(),
            threads: Vec::new(),
        };
        let mut agents = vec!["P0"];
        self.mappings(&mut test);
        self.machine(&mut test, &mut agents);
        self.dials(&mut test);
        let contract = self.random.percent(20);
        if contract {
            let function = self.contract();
            test.functions.push(function);
        }
        self.handler(&mut test);
        if self.cpu_contexts {
            agents[0] = "P0@c";
            let other = self.contexts.len() - 1;
            agents.push(if other == 1 { "P1@k" } else { "P1@c" });
        } else if agents.len() == 1 || (agents.len() < 4 && self.random.percent(20)) {
            agents.push(if self.child { "P1@child" } else { "P1" });
        }
        // Every fill of every cache multiplies the states: what has many entries
        // has few steps.
        let caches = 1 + self.iotlbs.len() + self.atcs.len() + usize::from(self.child)
            - usize::from(self.cpu_contexts)
            + usize::from(!self.contexts.is_empty());
        let heavy = self.pages.len() * caches > 3;
        self.most = if heavy { 2 } else { 3 };
        let mut kernel = 1 + self.random.below(if heavy { 3 } else { 4 });
        for (at, agent) in agents.iter().enumerate() {
            let lines = if at == 0 {
                let mut lines = self.kernel(kernel);
                if contract {
                    let place = self.random.below(lines.len() + 1);
                    lines.insert(place.max(self.prologue()), "revoke(a);".into());
                }
                lines
            } else if agent.starts_with('P') && self.random.percent(30) {
                kernel = kernel.min(2);
                self.kernel(kernel)
            } else {
                self.accesses()
            };
            test.threads.push(Part { head: format!("{agent}(int *a, int *b, int *x)"), lines });
        }
        if self.pages.len() == 1 {
            for part in &mut test.threads {
                part.head = part.head.replace(", int *b", "");
            }
        }
        test
    }

    fn mappings(&mut self, test: &mut Test) {
        self.dirty = self.random.percent(25);
        let behind =
            if self.dirty { self.random.of(&["file", "anon saved", "anon"]) } else { "anon" };
        let behind = match self.dirty && self.random.percent(50) {
            true => format!("{behind} dirty"),
            false => behind.to_owned(),
        };
        let rights = ["rw", "rw", "ro", "none"];
        let lines = &mut test.declarations;
        if self.levels == Levels::Huge {
            let rights = self.random.of(&rights[..3]);
            lines.push(format!("map a -> H {{1, 2}} : {rights} {behind} huge;"));
            lines.push(format!("map b -> H : {rights} {behind} huge;"));
        } else {
            for (at, page) in self.pages.iter().enumerate() {
                let right = self.random.of(&rights);
                let frame = if self.random.percent(15) {
                    "none".into()
                } else {
                    format!("F{page} {{{}}}", at + 1)
                };
                lines.push(format!("map {page} -> {frame} : {right} {behind};"));
            }
        }
        if self.levels == Levels::Huge || (self.pages.len() == 2 && self.random.percent(50)) {
            lines.push("ptl shared a, b;".into());
        }
        lines.push("int x = 0;".into());
    }

    fn machine(&mut self, test: &mut Test, agents: &mut Vec<&'static str>) {
        let lines = &mut test.declarations;
        let mut line = |text: &str| lines.push(text.to_owned());
        self.child = self.random.percent(20);
        if self.child {
            line("mm child;");
        }
        let space = if self.child { self.random.of(&["mm", "child"]) } else { "mm" };
        self.noncoherent = self.random.percent(15);
        let memory = if self.noncoherent { " : noncoherent" } else { "" };
        match self.random.below(14) {
            0..2 => {}
            10..14 => {
                let memory = if self.noncoherent { ", noncoherent" } else { "" };
                self.cpu_contexts = self.random.percent(40);
                self.tagged = if self.cpu_contexts { "C" } else { "U" };
                let kind = if self.cpu_contexts { "tlb" } else { "iotlb" };
                line(&format!("{kind} {} : tags 2{memory};", self.tagged));
                self.iotlbs.push(self.tagged);
                let first = self.random.of(&["mm, tag 0", "mm, tag 1", "none"]);
                line(&format!("context c -> {} : {first};", self.tagged));
                self.contexts.push("c");
                if self.random.percent(35) {
                    let second = self.random.of(&["mm, tag 0", "mm, tag 1", "none"]);
                    line(&format!("context k -> {} : {second};", self.tagged));
                    self.contexts.push("k");
                }
                if !self.cpu_contexts {
                    if self.random.percent(35) {
                        line("atc T <- c;");
                        line("device dev : T;");
                        self.atcs.push("T");
                    } else {
                        line("device dev : c;");
                    }
                    agents.push("D0@dev");
                    if self.contexts.len() == 2 && self.random.percent(60) {
                        line("device two : k;");
                        agents.push("D1@two");
                    }
                }
            }
            2..4 => {
                line(&format!("iotlb U <- {space}{memory};"));
                line("device dev : U, pasid 1, order waits;");
                self.iotlbs.push("U");
                agents.push("D0@dev");
                if self.child && self.random.percent(50) {
                    // The same pages under two tags.
                    line("iotlb C <- child;");
                    line("device kid : C, pasid 2, order waits;");
                    self.iotlbs.push("C");
                    agents.push("D1@kid");
                }
            }
            4..8 => {
                line(&format!("iotlb U <- {space}{memory};"));
                line("atc T <- U;");
                line("device dev : T, pasid 1, order waits;");
                self.iotlbs.push("U");
                self.atcs.push("T");
                agents.push("D0@dev");
                if self.random.percent(40) {
                    if self.random.percent(50) {
                        line("device two : U, pasid 1, order waits;");
                    } else {
                        line("atc R <- U;");
                        line("device two : R, pasid 1, order waits;");
                        self.atcs.push("R");
                    }
                    agents.push("D1@two");
                }
            }
            _ => {
                line("swtlb S;");
                line("tlb G <- S;");
                self.soft = true;
                agents.push("V0");
            }
        }
        self.queue = !self.iotlbs.is_empty() && self.random.percent(45);
        if self.queue {
            let targets = [&self.iotlbs[..], &self.atcs[..]].concat().join(", ");
            let order = self.random.of(&["in_order", "any_order"]);
            line(&format!("queue Q -> {targets} : {order};"));
        }
        if self.levels != Levels::Huge && self.child && self.random.percent(50) {
            line("frame Fa owner child;");
        }
    }

    fn dials(&mut self, test: &mut Test) {
        for (dial, value, often) in [
            ("perm_miss_rewalk", "no", 35),
            ("cache_nonpresent", "yes", 20),
            ("fault_invalidates", "yes", 25),
            ("drain", "no", 20),
            ("drain", "repeat", 10),
        ] {
            if dial == "drain" && test.declarations.iter().any(|line| line.contains("drain")) {
                continue;
            }
            if self.random.percent(often) {
                test.declarations.push(format!("param {dial} = {value};"));
            }
        }
        let plain = self.contexts.is_empty() && !self.noncoherent;
        if self.dirty && plain && self.random.percent(85) {
            // With two levels nobody says which table a late mark goes to.
            let lazy = if self.levels == Levels::One { "lazy" } else { "yes" };
            let who = self.random.of(&["yes", "yes", "eager", lazy]);
            test.declarations.push(format!("param hw_dirty = {who};"));
        }
    }

    /// A function that promises to revoke something, and may do it wrong.
    fn contract(&mut self) -> Part {
        let forks = self.child && self.random.percent(60);
        let zaps = !forks && self.random.percent(60);
        let promise = if forks {
            "fork"
        } else if zaps {
            "zap(va)"
        } else {
            "downgrade(va)"
        };
        let mut lines = vec!["pte_t *pte = pte_offset_map(va);".to_owned()];
        if zaps {
            lines.push("struct page *old = pte_page(ptep_get_and_clear(pte));".into());
        } else {
            lines.push("ptep_set_wrprotect(pte);".into());
        }
        if forks {
            lines.push("copy_all_ptes(child);".into());
        }
        let first = lines.len();
        let mut later = Vec::new();
        if !self.cpu_contexts {
            later.push("flush_tlb_page(va);".to_owned());
        }
        if self.noncoherent {
            lines.push("clflush(pte);".into());
        }
        later.extend(
            self.iotlbs.iter().chain(&self.atcs).map(|tlb| format!("tlb_flush({tlb}, va);")),
        );
        if self.soft {
            later.extend(["swtlb_zap(S, va);", "tlb_flush(G, va);"].map(String::from));
        }
        if zaps && self.random.percent(40) {
            later.push("put_page(old);".into());
        }
        for line in later {
            if self.random.percent(85) {
                let place = first + self.random.below(lines.len() - first + 1);
                // Mostly from the source outwards.
                let place = if self.random.percent(70) { lines.len() } else { place };
                lines.insert(place, line);
            }
        }
        Part {
            head: format!("__implements({promise})\nstatic void revoke(unsigned long va)"),
            lines,
        }
    }

    fn handler(&mut self, test: &mut Test) {
        if self.soft && self.random.percent(40) {
            let lines = [
                "struct page *p = hva_to_pfn(va);",
                "swtlb_install(S, va, p);",
                "put_page(p);",
                "return 0;",
            ];
            let lines = lines.map(String::from).to_vec();
            test.functions
                .push(Part { head: "static int install(unsigned long va)".into(), lines });
            test.handlers.push("fault G = install;".into());
        } else if self.contexts.is_empty() && self.random.percent(25) {
            let line = self.random.of(&[
                "ptep_set_access_flags(pte, pte_mkwrite(*pte), 1);",
                "set_pte_at(pte, mk_pte(alloc_zeroed_page(), RW));",
                "flush_tlb_page(va);",
            ]);
            // With two levels there may be no entry to mend.
            let find = match self.levels {
                Levels::One => "pte_t *pte = pte_offset_map(va);",
                _ => "pte_t *pte = pte_offset_map(va); if (!pte) return VM_FAULT_SIGSEGV;",
            };
            let lines = [find, line, "return 0;"].map(String::from).to_vec();
            test.functions.push(Part { head: "static int mend(unsigned long va)".into(), lines });
            test.handlers.push("fault cpu = mend;".into());
            if !self.iotlbs.is_empty() {
                test.handlers.push("fault dev = mend;".into());
            }
        }
    }

    /// Lines at the beginning of kernel code that name what it works on.
    fn prologue(&self) -> usize {
        match self.levels {
            Levels::One => 2 * self.pages.len(),
            Levels::Two => 4,
            Levels::Huge => 4,
        }
    }

    /// Kernel code of so many steps.
    fn kernel(&mut self, steps: usize) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        match self.levels {
            Levels::One => {
                for page in &self.pages {
                    lines.push(format!("pte_t *p{page} = pte_offset_map({page});"));
                    lines.push(format!("struct page *o{page} = pte_page(ptep_get(p{page}));"));
                }
            }
            // The table of the beginning, or a new one that is not hooked in.
            Levels::Two => lines.extend(
                [
                    "pmd_t *ma = pmd_offset(a);",
                    "struct page *ot = pmd_pgtable(pmdp_get(ma));",
                    if self.random.percent(50) {
                        "struct page *nt = pte_alloc_one();"
                    } else {
                        "struct page *nt = ot;"
                    },
                    "pte_t *pa = pte_offset_table(ot, a);",
                ]
                .map(String::from),
            ),
            Levels::Huge => lines.extend(
                [
                    "pmd_t *ma = pmd_offset(a);",
                    "pmd_t was = pmdp_get(ma);",
                    "struct page *nt = pte_alloc_one();",
                    "pte_t *pa = pte_offset_table(nt, a);",
                ]
                .map(String::from),
            ),
        }
        for _ in 0..steps {
            let line = self.kernel_step(&mut lines);
            lines.push(line);
        }
        lines
    }

    fn new_page(&mut self, lines: &mut Vec<String>) -> String {
        let number = self.registers;
        self.registers += 1;
        lines.push(format!("struct page *n{number} = alloc_zeroed_page();"));
        format!("n{number}")
    }

    fn kernel_step(&mut self, lines: &mut Vec<String>) -> String {
        let page = self.random.below(self.pages.len());
        let page = self.pages[page];
        if self.dirty && self.random.percent(30) {
            return self.dirty_step(page);
        }
        if !self.contexts.is_empty() && self.random.percent(30) {
            return self.load();
        }
        if self.noncoherent && self.random.percent(20) {
            return match self.levels {
                Levels::One => format!("clflush(p{page});"),
                _ if self.random.percent(50) => "clflush(pa);".into(),
                _ => "clflush_pmd(ma);".into(),
            };
        }
        match self.random.below(20) {
            0..8 => self.table_step(page, lines),
            8..16 => self.invalidation(page),
            16 if self.levels == Levels::One => {
                format!("page_write(o{page}, 0, {});", 3 + self.random.below(5))
            }
            16 | 17 => format!("WRITE_ONCE(*{page}, {});", 3 + self.random.below(5)),
            18 if self.child && self.levels == Levels::One && self.random.percent(50) => {
                let rights = self.random.of(&["RW", "RO"]);
                let other = self.pages[self.random.below(self.pages.len())];
                format!("set_child_pte(child, {page}, mk_pte(o{other}, {rights}));")
            }
            18 if self.child => format!("copy_one_pte(child, {page});"),
            18 => "smp_store_release(x, 1);".into(),
            _ if self.levels == Levels::One => format!("put_page(o{page});"),
            _ => "pte_free(nt);".into(),
        }
    }

    /// Marks, and what is written out.
    fn dirty_step(&mut self, page: &str) -> String {
        let pointer = match self.levels {
            Levels::One => format!("p{page}"),
            Levels::Two => "pa".into(),
            Levels::Huge => "pte_offset_table(nt, a)".into(),
        };
        let frame = match self.levels {
            Levels::One => format!("o{page}"),
            _ => "alloc_zeroed_page()".into(),
        };
        match self.random.below(9) {
            0 => format!("set_page_dirty({frame});"),
            1 => format!("clear_page_dirty_for_io({frame});"),
            2 | 3 => format!("page_writeback({frame});"),
            4 => format!("ptep_test_and_clear_dirty({pointer});"),
            5 => format!("set_pte_at({pointer}, pte_mkclean(ptep_get({pointer})));"),
            6 => format!("set_pte_at({pointer}, pte_mkinvalid(ptep_get({pointer})));"),
            7 if self.soft => format!("swtlb_xchg(S, {page}, pte_mkclean(swtlb_get(S, {page})));"),
            7 => format!("cmpxchg({pointer}, mk_pte({frame}, RW), mk_pte({frame}, RO));"),
            _ => format!("set_pte_at({pointer}, pte_mkdirty(ptep_get({pointer})));"),
        }
    }

    /// Another root, another tag, or nothing.
    fn load(&mut self) -> String {
        let context = self.contexts[self.random.below(self.contexts.len())];
        let space = if self.child && self.random.percent(50) { "child" } else { "mm" };
        let tag = self.random.of(&["0", "1", "1", "smp_load_acquire(x)"]);
        match self.random.below(10) {
            0 | 1 => format!("clear_root({context});"),
            8 => format!("enter_lazy_tlb({context});"),
            9 => format!("leave_lazy_tlb({context});"),
            2 | 3 => format!("write_cr3({context}, {space}, {tag});"),
            _ => format!("write_cr3_noflush({context}, {space}, {tag});"),
        }
    }

    fn table_step(&mut self, page: &str, lines: &mut Vec<String>) -> String {
        let rights = self.random.of(&["RW", "RW", "RO", "NONE"]);
        if self.soft && self.random.percent(60) {
            return match self.random.below(3) {
                0 => format!("swtlb_zap(S, {page});"),
                _ if self.levels == Levels::One => {
                    format!("swtlb_install(S, {page}, o{page}, {rights});")
                }
                _ => {
                    let new = self.new_page(lines);
                    format!("swtlb_install(S, {page}, {new}, {rights});")
                }
            };
        }
        let upper = self.levels != Levels::One && self.random.percent(60);
        if upper {
            let huge = self.levels == Levels::Huge;
            return match self.random.below(6) {
                0 => "pmd_clear(ma);".into(),
                1 | 2 => "pmd_populate(ma, nt);".into(),
                3 if huge => "pmdp_set_wrprotect(ma);".into(),
                4 if huge => "set_pmd_at(ma, was);".into(),
                5 if huge => "set_pmd_at(ma, pmd_wrprotect(was));".into(),
                3 => "pmd_populate(ma, ot);".into(),
                _ => "pte_free(ot);".into(),
            };
        }
        // Which entry: with two levels, of the old table or of the new one.
        let pointer = match self.levels {
            Levels::One => format!("p{page}"),
            Levels::Two if self.random.percent(50) => "pa".into(),
            _ => format!("pte_offset_table(nt, {page})"),
        };
        match self.random.below(7) {
            0 | 1 => format!("ptep_get_and_clear({pointer});"),
            2 => format!("ptep_set_wrprotect({pointer});"),
            3 => format!("set_pte_at({pointer}, pte_mkwrite(ptep_get({pointer})));"),
            4 if self.levels == Levels::Huge => {
                format!("set_pte_at({pointer}, mk_pte(pmd_page(was), {rights}));")
            }
            4 if self.levels == Levels::One => {
                let other = self.pages[self.random.below(self.pages.len())];
                format!("set_pte_at({pointer}, mk_pte(o{other}, {rights}));")
            }
            _ => {
                let new = self.new_page(lines);
                format!("set_pte_at({pointer}, mk_pte({new}, {rights}));")
            }
        }
    }

    fn invalidation(&mut self, page: &str) -> String {
        let tlbs = [&self.iotlbs[..], &self.atcs[..]].concat();
        if self.soft && self.random.percent(60) {
            return format!("tlb_flush(G, {page});");
        }
        if !self.contexts.is_empty() && self.random.percent(50) {
            let context = self.contexts[self.random.below(self.contexts.len())];
            let tag = self.random.of(&["0", "1", "smp_load_acquire(x)"]);
            return match self.random.below(6) {
                0 => format!("flush_context({context});"),
                1 => format!("flush_context({context}, {page});"),
                2 => format!("tlb_flush_tag({}, {tag});", self.tagged),
                3 if self.queue => format!("q_inv_tag(Q, {}, {tag}, {page});", self.tagged),
                _ => format!("tlb_flush_tag({}, {tag}, {page});", self.tagged),
            };
        }
        if !self.cpu_contexts && (tlbs.is_empty() || self.random.percent(20)) {
            return match self.random.below(8) {
                0 => "flush_tlb_mm();".into(),
                1 => format!("local_flush_tlb_page({page});"),
                _ => format!("flush_tlb_page({page});"),
            };
        }
        let tlb = tlbs[self.random.below(tlbs.len())];
        if !self.queue || self.random.percent(30) {
            return match self.random.below(20) {
                0..3 => format!("tlb_flush({tlb});"),
                3..6 => format!("tlb_flush_leaf({tlb}, {page});"),
                _ => format!("tlb_flush({tlb}, {page});"),
            };
        }
        if self.random.percent(35) {
            "q_sync(Q);".into()
        } else if self.random.percent(20) {
            format!("q_inv_leaf(Q, {tlb}, {page});")
        } else {
            format!("q_inv(Q, {tlb}, {page});")
        }
    }

    /// Loads and stores of somebody who only uses memory.
    fn accesses(&mut self) -> Vec<String> {
        let count = 1 + self.random.below(self.most);
        let mut lines = Vec::new();
        for _ in 0..count {
            let page = self.pages[self.random.below(self.pages.len())];
            let number = self.registers;
            self.registers += 1;
            lines.push(match self.random.below(10) {
                0..6 => format!("int r{number} = READ_ONCE(*{page});"),
                6..9 if self.random.percent(10) => {
                    format!("if (choose(2)) WRITE_ONCE(*{page}, {});", 3 + self.random.below(5))
                }
                6..9 => format!("WRITE_ONCE(*{page}, {});", 3 + self.random.below(5)),
                _ => format!("int r{number} = smp_load_acquire(x);"),
            });
        }
        lines
    }
}
