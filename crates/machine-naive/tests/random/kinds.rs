//! Steps of further kinds, put into tests that are made already: locks, pages
//! that a word holds, objects, gathers, and single steps from a table.
//!
//! The numbers are drawn apart, so that the tests of all seeds stay what they
//! are otherwise. What is put in need not make sense, only a test.

use crate::chance::Random;
use crate::generate::{Part, Test};

/// A test gets further kinds of steps, mostly one or two.
pub(crate) fn enrich(test: &mut Test, seed: u64) {
    let mut maker = Kinds { random: Random::new(seed ^ 0x10c5), registers: 0 };
    if maker.random.percent(18) {
        maker.locks(test);
    }
    if maker.random.percent(10) {
        maker.words(test);
    }
    if maker.random.percent(5) {
        maker.object(test);
    }
    if maker.random.percent(6) {
        maker.gather(test);
    }
    if maker.random.percent(6) {
        maker.interrupts(test);
    }
    if maker.random.percent(7) {
        maker.range(test);
    }
    if maker.random.percent(35) {
        maker.steps(test);
    }
    if maker.random.percent(12) {
        maker.condition(test);
    }
    maker.dials(test);
}

/// How a lock is taken and dropped. `$` is the lock, or the page.
const LOCKS: [(&str, &str, &str); 12] = [
    ("spinlock_t l;", "spin_lock(l);", "spin_unlock(l);"),
    ("spinlock_t l;", "spin_lock(l);", "spin_unlock(l);"),
    ("spinlock_t l;", "if (spin_trylock(l)) { WRITE_ONCE(*x, 3);", "spin_unlock(l); }"),
    ("struct mutex l;", "mutex_lock(l);", "mutex_unlock(l);"),
    ("rwlock_t l;", "read_lock(l);", "read_unlock(l);"),
    ("rwlock_t l;", "write_lock(l);", "write_unlock(l);"),
    ("", "mmap_read_lock();", "mmap_read_unlock();"),
    ("", "mmap_write_lock();", "mmap_write_unlock();"),
    ("", "mmap_write_lock();", "mmap_write_downgrade(); mmap_read_unlock();"),
    ("", "lock_page(oa);", "unlock_page(oa);"),
    ("", "rmap_lock(oa);", "rmap_unlock(oa);"),
    ("", "spin_lock(pte_lockptr(pa));", "spin_unlock(pte_lockptr(pa));"),
];

/// A step that fits kernel code where `pa` and `oa` are known; `#` is a number
/// of its own.
const KERNEL: [&str; 35] = [
    "get_page(oa);",
    "get_page(oa); put_page(oa);",
    "int e# = page_count(oa);",
    "clear_page(oa);",
    "int e# = page_read(oa, 0);",
    "struct page *e# = alloc_page(); copy_page(e#, oa); set_pte_at(pa, mk_pte(e#, RW));",
    "struct page *e# = alloc_page(); page_write(e#, 0, 6); copy_page(oa, e#);",
    "struct page *e# = alloc_zeroed_page(); int f# = pages_identical(e#, oa);",
    "int e# = PageDirty(oa);",
    "folio_mark_lazyfree(oa);",
    "folio_cancel_dirty(oa);",
    "set_page_dirty(oa);",
    "struct page *e# = alloc_zeroed_page(); folio_migrate_flags(e#, oa);",
    "struct page *e# = pin_user_page(a); page_write(e#, 0, 9); unpin_user_page(e#);",
    "int e# = page_maybe_dma_pinned(oa);",
    "struct page *e# = get_user_page(a); int f# = page_read(e#, 0); put_page(e#);",
    "fault_in_write(a);",
    "fault_in_read(a);",
    "vma_set_rights(a, RO);",
    "vma_set_rights(a, NONE);",
    "set_pte_at(pa, mk_pte(oa, vma_rights(a)));",
    "ptep_set_access_flags(pa, pte_mkwrite(pte_mkdirty(ptep_get(pa))), 1);",
    "int e# = ptep_test_and_clear_young(pa);",
    "xchg(pa, mk_pte(oa, RO));",
    "cmpxchg(pa, mk_pte(oa, RW), mk_pte(oa, RO));",
    "WARN_ON(page_count(oa) == 1);",
    "WARN_ON(pte_write(ptep_get(pa)));",
    "pte_t e# = ptep_clear_flush(pa);",
    "if (pte_write(ptep_get(pa))) put_page(oa);",
    "spinlock_t *q#; pte_t *e# = pte_offset_map_lock(a, &q#); ptep_get_and_clear(e#); pte_unmap_unlock(e#, q#);",
    "spinlock_t *q#; pte_t *e# = pte_offset_map_lock(a, &q#); set_pte_at(e#, mk_pte(oa, RO)); pte_unmap_unlock(e#, q#);",
    "spinlock_t *q# = pmd_lock(pmd_offset(a)); spin_unlock(q#);",
    "if (choose(2)) ptep_get_and_clear(pa);",
    "flush_tlb_range(a, a + PAGE_SIZE);",
    "might_sleep();",
];

/// A step of whoever uses memory.
const ANYBODY: [&str; 14] = [
    "smp_mb();",
    "smp_wmb();",
    "smp_rmb();",
    "WRITE_ONCE(*x, 2);",
    "smp_store_mb(*x, 1);",
    "int e# = xchg(x, 2);",
    "int e# = cmpxchg(x, 0, 1);",
    "int e# = xchg(a, 8);",
    "int e# = cmpxchg(a, 1, 8);",
    "atomic_inc(x);",
    "int e# = atomic_add_return(2, x);",
    "int e# = atomic_add_unless(x, 1, 1);",
    "WARN_ON(READ_ONCE(*x) == 2);",
    "smp_store_release(a, 7);",
];

struct Kinds {
    random: Random,
    registers: usize,
}

/// Where kernel code begins behind the lines that name what it works on.
fn first(part: &Part) -> usize {
    let names = |line: &String| {
        ["pte_t *p", "struct page *o", "pmd_t ", "struct page *nt"]
            .iter()
            .any(|begin| line.starts_with(begin))
    };
    part.lines.iter().rposition(names).map_or(0, |last| last + 1)
}

/// Whether `pa` and `oa` are known.
fn is_kernel(part: &Part) -> bool {
    part.lines.iter().any(|line| line.starts_with("struct page *oa"))
}

fn is_cpu(part: &Part) -> bool {
    part.head.starts_with('P')
}

impl Kinds {
    fn numbered(&mut self, line: &str) -> String {
        self.registers += 1;
        line.replace('#', &self.registers.to_string())
    }

    /// A place in a thread, behind its first lines.
    fn place(&mut self, part: &Part) -> usize {
        let first = first(part);
        first + self.random.below(part.lines.len() + 1 - first)
    }

    /// Two lines with something between them, mostly.
    fn around(&mut self, part: &mut Part, begin: &str, end: &str) {
        let at = self.place(part);
        let behind = at + self.random.below(part.lines.len() + 1 - at);
        part.lines.insert(behind, end.to_owned());
        part.lines.insert(at, begin.to_owned());
    }

    /// Sections under locks. Often what one thread says under the lock another
    /// asks under it, before it does something.
    fn locks(&mut self, test: &mut Test) {
        let declared =
            self.random.of(&["spinlock_t l;", "spinlock_t l;", "struct mutex l;", "rwlock_t l;"]);
        let parameter = declared.replace(" l;", " *l)");
        test.declarations.push(declared.to_owned());
        let told = self.random.percent(50);
        let mut says = true;
        for part in test.threads.iter_mut().filter(|part| is_cpu(part)) {
            part.head = part.head.replace(')', &format!(", {parameter}"));
            let fits: Vec<_> = LOCKS
                .iter()
                .filter(|(of, begin, _)| {
                    let page = begin.contains("oa") || begin.contains("pa)");
                    (*of == declared || of.is_empty()) && (!page || is_kernel(part))
                })
                .collect();
            let mine: Vec<_> = fits.iter().filter(|(of, ..)| !of.is_empty()).copied().collect();
            for _ in 0..1 + self.random.below(2) {
                let from = if self.random.percent(65) { &mine } else { &fits };
                let (_, begin, end) = *from[self.random.below(from.len())];
                if told && self.random.percent(70) && !begin.contains('{') {
                    let line = if std::mem::take(&mut says) {
                        format!("{begin} WRITE_ONCE(*x, 1); {end}")
                    } else {
                        self.numbered(&format!("{begin} int t# = READ_ONCE(*x); {end} if (t#)"))
                    };
                    if line.ends_with(')') && is_kernel(part) {
                        let then =
                            ["put_page(oa);", "ptep_get_and_clear(pa);", "page_write(oa, 0, 5);"];
                        let then = self.random.of(&then);
                        let at = self.place(part);
                        part.lines.insert(at, format!("{line} {then}"));
                    } else if line.ends_with(')') {
                        let at = self.place(part);
                        part.lines.insert(at, format!("{line} WRITE_ONCE(*a, 6);"));
                    } else {
                        let at = self.place(part);
                        part.lines.insert(at, line);
                    }
                } else if begin.contains('{') {
                    let at = self.place(part);
                    part.lines.insert(at, format!("{begin} {end}"));
                } else {
                    self.around(part, begin, end);
                }
            }
        }
    }

    /// A page that somebody makes and a word publishes.
    fn words(&mut self, test: &mut Test) {
        test.declarations.push("struct page *w = NULL;".into());
        let mut steps = vec!["struct page *page = alloc_zeroed_page();".to_owned()];
        for line in [
            "smp_store_release(&w, page);",
            "page_write(page, 0, 5);",
            "page_write(page, 0, 6);",
            "get_page(page);",
            "put_page(page);",
            "page = alloc_zeroed_page();",
            "WRITE_ONCE(w, NULL);",
        ] {
            let often = if steps.len() < 3 { 80 } else { 25 };
            if self.random.percent(often) {
                let at = 1 + self.random.below(steps.len());
                steps.insert(at, line.to_owned());
            }
        }
        test.functions.push(Part { head: "static void publish(void)".into(), lines: steps });
        let then = self.random.of(&[
            "return page_read(page, 0);",
            "return page_read(page, 0);",
            "page_write(page, 0, 7);",
            "put_page(page);",
            "set_pte_at(pte_offset_map(a), mk_pte(page, RW));",
            "get_page(page);",
        ]);
        let find = self.random.of(&["smp_load_acquire(&w)", "READ_ONCE(w)", "xchg(&w, NULL)"]);
        let lines = vec![
            format!("struct page *page = {find};"),
            "if (!page) return 5;".to_owned(),
            then.to_owned(),
            "return 0;".to_owned(),
        ];
        test.functions.push(Part { head: "static int look(void)".into(), lines });
        for (at, part) in test.threads.iter_mut().filter(|part| is_cpu(part)).enumerate() {
            let line =
                if at == 0 { "publish();".to_owned() } else { self.numbered("int e# = look();") };
            let place = self.place(part);
            part.lines.insert(place, line);
        }
    }

    /// An object that is used and freed, or made.
    fn object(&mut self, test: &mut Test) {
        test.declarations.push("struct foo o;".into());
        for part in test.threads.iter_mut().filter(|part| is_cpu(part)) {
            part.head = part.head.replace(')', ", struct foo *o)");
            for _ in 0..1 + self.random.below(2) {
                let line = self.random.of(&[
                    "kfree(o);",
                    "kzalloc(o);",
                    "WRITE_ONCE(o->n, 1);",
                    "int e# = READ_ONCE(o->n);",
                    "spin_lock(&o->lock); WRITE_ONCE(o->n, 2); spin_unlock(&o->lock);",
                    "if (smp_load_acquire(x)) kfree(o);",
                ]);
                let (line, at) = (self.numbered(line), self.place(part));
                part.lines.insert(at, line);
            }
        }
    }

    /// Pages that are kept until a flush.
    fn gather(&mut self, test: &mut Test) {
        if test.declarations.iter().any(|line| line.starts_with("tlb C")) {
            return;
        }
        for part in test.threads.iter_mut().filter(|part| is_kernel(part)) {
            let mut at = self.place(part);
            let end = self.random.of(&["tlb_finish_mmu();", "tlb_flush_mmu(); tlb_finish_mmu();"]);
            for line in
                ["tlb_gather_mmu();", "ptep_get_and_clear(pa);", "tlb_remove_page(oa);", end]
            {
                part.lines.insert(at, line.to_owned());
                at += 1 + self.random.below(part.lines.len() - at);
            }
        }
    }

    /// Processors with interrupts off, and who waits for them.
    fn interrupts(&mut self, test: &mut Test) {
        for (at, part) in test.threads.iter_mut().filter(|part| is_cpu(part)).enumerate() {
            if at == 0 && self.random.percent(50) {
                let place = self.place(part);
                part.lines.insert(place, "tlb_remove_table_sync_one();".into());
            } else {
                self.around(part, "local_irq_disable();", "local_irq_enable();");
            }
        }
        if self.random.percent(50) {
            test.declarations.push("param flush_by_ipi = yes;".into());
        }
    }

    /// Ranges with subscribers.
    fn range(&mut self, test: &mut Test) {
        let declared = |what: &str| test.declarations.iter().any(|line| line.starts_with(what));
        let mut lines: Vec<String> = Vec::new();
        for (what, line) in [
            ("iotlb U <-", "tlb_flush(U, start, end);"),
            ("atc T <-", "tlb_flush(T, start, end);"),
            ("tlb G <-", "swtlb_zap(S, start, end);"),
            ("tlb G <-", "tlb_flush(G, start, end);"),
        ] {
            if declared(what) && self.random.percent(90) {
                lines.push(line.to_owned());
            }
        }
        let head = "static void told(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start, unsigned long end)";
        test.functions.push(Part { head: head.into(), lines });
        test.handlers.push("static const struct mmu_notifier_ops ops = { .invalidate_range = told }; subscribe mm : ops;".into());
        for part in test.threads.iter_mut().filter(|part| is_kernel(part)) {
            let end = self.random.of(&[
                "mmu_notifier_invalidate_range_end(a);",
                "mmu_notifier_invalidate_range_only_end(a);",
                "mmu_notifier_invalidate_range(a); mmu_notifier_invalidate_range_only_end(a);",
            ]);
            self.around(part, "mmu_notifier_invalidate_range_start(a);", end);
        }
        for dial in ["cpu_flush_notifies = yes", "range_end_invalidates = no"] {
            if self.random.percent(30) {
                test.declarations.push(format!("param {dial};"));
            }
        }
    }

    /// Single steps.
    fn steps(&mut self, test: &mut Test) {
        // With contexts nobody says which CPUs a flush reaches.
        let tagged = test.declarations.iter().any(|line| line.starts_with("tlb C"));
        for part in &mut test.threads {
            if self.random.percent(45) {
                continue;
            }
            let line = if is_kernel(part) && self.random.percent(75) {
                self.random.of(&KERNEL)
            } else {
                self.random.of(&ANYBODY)
            };
            if tagged && line.contains("flush") {
                continue;
            }
            let (line, at) = (self.numbered(line), self.place(part));
            part.lines.insert(at, line);
        }
    }

    /// A step that is taken only if a word says so.
    fn condition(&mut self, test: &mut Test) {
        let count = test.threads.len();
        let part = &mut test.threads[self.random.below(count)];
        let declares = |line: &str| {
            ["int ", "struct ", "pte_t ", "pmd_t ", "spinlock_t "]
                .iter()
                .any(|begin| line.starts_with(begin))
        };
        let at = self.place(part);
        let Some(line) = part.lines.get_mut(at) else { return };
        if !declares(line) && !line.contains('{') && !line.contains('}') {
            *line = format!("if (READ_ONCE(*x)) {line}");
        }
    }

    fn dials(&mut self, test: &mut Test) {
        let has = |what: &str| test.declarations.iter().any(|line| line.starts_with(what));
        let (atc, queue, tagged) = (has("atc T"), has("queue Q"), has("tlb C"));
        if atc && self.random.percent(3) {
            test.declarations.push("param T = ignores;".into());
        }
        if !tagged && self.random.percent(3) {
            test.declarations.push("param empty_range = all;".into());
            if let Some(part) = test.threads.iter_mut().find(|part| is_kernel(part)) {
                let at = self.place(part);
                part.lines.insert(at, "flush_tlb_range(a, a);".into());
            }
        }
        if queue && self.random.percent(15) {
            let part = &mut test.threads[0];
            let at = self.place(part);
            part.lines.insert(at, "q_write(Q, x, 1);".into());
        }
    }
}
