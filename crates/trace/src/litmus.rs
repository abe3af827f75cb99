//! A finding as a litmus test.
//!
//! What was recorded is one interleaving; what can come of it is the checker's
//! question. The kernel's steps are those of the finding's events, in their order, and
//! around them stands the machine that they were meant for: a device that walks the
//! tables, one whose TLB a driver fills, or a guest.

use std::fmt::Write;

use crate::event::{Event, Kind};
use crate::finding::Finding;
use crate::rules::Rule;

/// What `check` says of the litmus test of this rule.
///
/// Pairs have a name of their own there: a run ends where they break, before anybody
/// could wait for ever.
#[must_use]
pub fn refuted_as(rule: Rule) -> &'static str {
    match rule {
        Rule::R1 | Rule::R2 => "range",
        _ => rule.about().obligation.code(),
    }
}

/// The litmus test of a finding; `None` if its rule has no such form. `source` is where
/// it was found, `say` writes an event.
pub fn litmus(finding: &Finding, source: &str, say: impl Fn(&Event) -> String) -> Option<String> {
    let (machine, path) = match finding.rule {
        Rule::R4 => (WALKS, replace(finding)),
        Rule::R5 => (WALKS, zap(finding)),
        Rule::R6 => (GUEST_NOT_TOLD, ZAP_IN_ORDER.to_owned()),
        Rule::R7 => (GUEST_NOT_ASKING, ZAP_IN_ORDER.to_owned()),
        Rule::D1 => (DRIVER_NOT_TOLD, ZAP_IN_ORDER.to_owned()),
        Rule::D2 => (DRIVER_NOT_ASKING, ZAP_IN_ORDER.to_owned()),
        Rule::D3 => (DRIVER_AT_END, REPLACE_IN_ORDER.to_owned()),
        Rule::R1 => (WALKS, unpaired(finding).to_owned()),
        Rule::R2 => (REFUSES, ended_all_the_same(finding)?.to_owned()),
        // Never more than a suspicion.
        Rule::R3 | Rule::R8 => return None,
    };
    let place = finding.chain.first().map_or(0, |link| link.event.at.place);
    let code = finding.rule.code().to_lowercase();
    let mut out = format!(
        "// SPDX-License-Identifier: MIT OR Apache-2.0\n// shootdown-litmus 1\n\
         C trace-{code}-{place}\n\"{}\"\n\
         // Made of a trace: {source}, rule {} ({}).\n// The events:\n",
        finding.what,
        finding.rule,
        refuted_as(finding.rule),
    );
    for link in &finding.chain {
        let note = if link.note.is_empty() { String::new() } else { format!(": {}", link.note) };
        let _ = writeln!(out, "//   {}{note}", say(&link.event));
    }
    let _ = writeln!(
        out,
        "// They are one run. Below, their order is kept, and all else may happen at any time."
    );
    let (map, threads) = match finding.rule {
        Rule::R4 => (MAP_COW, COW_THREADS),
        Rule::D3 => (MAP_COW, COW_THREADS_FILLED),
        Rule::R1 | Rule::R2 => (MAP_ALONE, ALONE),
        _ => (MAP_ZAP, ZAP_THREADS),
    };
    let guest = matches!(finding.rule, Rule::R6 | Rule::R7);
    let threads = if guest { threads.replace("D0@dev", "V0") } else { threads.to_owned() };
    let _ = write!(out, "\n{map}{machine}\n{path}\n{threads}");
    Some(out)
}

const MAP_COW: &str = "{\n    map a -> Fa {7} : ro anon cow x2;\n    int bell = 0;\n}\n\n";
const MAP_ZAP: &str = "{\n    map a -> Fa {7} : rw anon excl;\n    frame Fa owner other;\n}\n\n";

const MAP_ALONE: &str = "{\n    map a -> Fa {7} : rw anon excl;\n}\n\n";

/// Pairs need nobody else.
const ALONE: &str = "P0(int *a)  { change(a); }\n\nexists (true)\n";

/// The one who writes through the new entry, and the device that has heard of it.
const COW_THREADS: &str = "\
static vm_fault_t wait(struct vm_fault *vmf) { return 0; }
fault cpu = wait;
P0(int *a)                 { change(a); }
P1(int *a, int *bell)      { WRITE_ONCE(*a, 8); smp_store_release(bell, 1); }
D0@dev(int *a, int *bell)  { int rung = smp_load_acquire(bell); int r = READ_ONCE(*a); }

exists (D0:rung=1 /\\ D0:r=7)
";

/// The same, with a device that has taken the old page before.
const COW_THREADS_FILLED: &str = "\
static vm_fault_t wait(struct vm_fault *vmf) { return 0; }
fault cpu = wait;
P0(int *a)                 { change(a); }
P1(int *a, int *bell)      { WRITE_ONCE(*a, 8); smp_store_release(bell, 1); }
D0@dev(int *a, int *bell)
{
    int first = READ_ONCE(*a);
    int rung = smp_load_acquire(bell);
    int r = READ_ONCE(*a);
}

exists (D0:rung=1 /\\ D0:r=7)
";

/// The next owner of the page, and the device that writes.
const ZAP_THREADS: &str = "\
P0(int *a)      { change(a); }
P1@other()      { struct page *p = alloc_page(); page_write(p, 0, 5); int r = page_read(p, 0); }
D0@dev(int *a)  { WRITE_ONCE(*a, 9); }

exists (P1:r=9)
";

/// Hardware that walks the tables by itself.
const WALKS: &str = "#include <machine/ats-pasid>\n";

/// A TLB that a driver fills from the process's table: its lock, its fill, and what it
/// does when it is told.
macro_rules! filled {
    ($agent:literal, $state:literal, $callbacks:literal, $look:literal, $stale:literal) => {
        concat!(
            "swtlb M;\ntlb G <- M;\n",
            $agent,
            "spinlock_t lock;\n",
            $state,
            "\n",
            $callbacks,
            "\nstatic int fill(unsigned long va)\n{\n    struct page *page;\n    int stale;\n\nagain:\n",
            $look,
            "    page = hva_to_pfn(va);\n    if (!page)\n        return VM_FAULT_SIGBUS;\n    \
             spin_lock(&lock);\n    stale = ",
            $stale,
            ";\n    if (!stale)\n        swtlb_install(M, va, page);\n    spin_unlock(&lock);\n    \
             put_page(page);\n    if (stale)\n        goto again;\n    return 0;\n}\n"
        )
    };
}

/// A subscriber that refuses.
const REFUSES: &str = "\
static int refuse(struct mmu_notifier *mn, const struct mmu_notifier_range *r) { return -EAGAIN; }
static const struct mmu_notifier_ops ops = { .invalidate_range_start = refuse };
subscribe mm : ops;
";

/// It forgets only when the range ends.
const DRIVER_AT_END: &str = filled!(
    "device dev : G, pasid 1, order waits;\n",
    "",
    "static void forget(struct mmu_notifier *mn, const struct mmu_notifier_range *r)\n{\n    \
     spin_lock(&lock);\n    swtlb_zap(M, r->start, r->end);\n    tlb_flush(G, r->start, r->end);\n    \
     spin_unlock(&lock);\n}\n\
     static const struct mmu_notifier_ops ops = { .invalidate_range_end = forget };\n\
     subscribe mm : ops;\nfault dev = fill;\n",
    "",
    "0"
);

/// It keeps what it has whatever it is told.
const DRIVER_NOT_TOLD: &str = filled!(
    "device dev : G, pasid 1, order waits;\n",
    "",
    "static int hear(struct mmu_notifier *mn, const struct mmu_notifier_range *r) { return 0; }\n\
     static const struct mmu_notifier_ops ops = { .invalidate_range_start = hear };\n\
     subscribe mm : ops;\nfault dev = fill;\n",
    "",
    "0"
);

/// It forgets at the start, and does not ask whether a range is open when it fills.
const DRIVER_NOT_ASKING: &str = filled!(
    "device dev : G, pasid 1, order waits;\n",
    "",
    "static int forget(struct mmu_notifier *mn, const struct mmu_notifier_range *r)\n{\n    \
     spin_lock(&lock);\n    swtlb_zap(M, r->start, r->end);\n    tlb_flush(G, r->start, r->end);\n    \
     spin_unlock(&lock);\n    return 0;\n}\n\
     static const struct mmu_notifier_ops ops = { .invalidate_range_start = forget };\n\
     subscribe mm : ops;\nfault dev = fill;\n",
    "",
    "0"
);

/// A guest whose table keeps what it has.
const GUEST_NOT_TOLD: &str = filled!(
    "",
    "",
    "static int hear(struct mmu_notifier *mn, const struct mmu_notifier_range *r) { return 0; }\n\
     static const struct mmu_notifier_ops ops = { .invalidate_range_start = hear };\n\
     subscribe mm : ops;\nfault G = fill;\n",
    "",
    "0"
);

/// A guest whose fault asks only whether a range has ended since, not whether one is
/// open.
const GUEST_NOT_ASKING: &str = filled!(
    "",
    "int seq = 0;\n",
    "static int forget(struct mmu_notifier *mn, const struct mmu_notifier_range *r)\n{\n    \
     spin_lock(&lock);\n    swtlb_zap(M, r->start, r->end);\n    tlb_flush(G, r->start, r->end);\n    \
     spin_unlock(&lock);\n    return 0;\n}\n\
     static void ended(struct mmu_notifier *mn, const struct mmu_notifier_range *r)\n{\n    \
     spin_lock(&lock);\n    seq++;\n    spin_unlock(&lock);\n}\n\
     static const struct mmu_notifier_ops ops = {\n    .invalidate_range_start = forget, \
     .invalidate_range_end = ended };\nsubscribe mm : ops;\nfault G = fill;\n",
    "    int then = READ_ONCE(seq);\n    smp_rmb();\n",
    "READ_ONCE(seq) != then"
);

/// The steps of the finding that the kernel takes under its lock.
fn steps(finding: &Finding, set: &str, free: &str) -> (String, String) {
    let (mut locked, mut after) = (String::new(), String::new());
    for link in &finding.chain {
        match link.event.kind {
            Kind::Clear { .. } => locked.push_str("    old = pte_page(ptep_clear_flush(pte));\n"),
            Kind::Invalidate { .. } => locked.push_str("    mmu_notifier_invalidate_range(va);\n"),
            Kind::MapNew { .. } => locked.push_str(set),
            Kind::Free { .. } => after.push_str(free),
            _ => {}
        }
    }
    (locked, after)
}

fn unpaired(finding: &Finding) -> &'static str {
    let started = finding.chain.iter().any(|link| matches!(link.event.kind, Kind::Start { .. }));
    if started { NO_END } else { NO_START }
}

/// The caller that takes a refusal for a start. A start that may block and is refused has
/// no form: the checker takes every answer to it for a yes, as its callers do.
fn ended_all_the_same(finding: &Finding) -> Option<&'static str> {
    let ended = finding.chain.iter().any(|link| matches!(link.event.kind, Kind::End { .. }));
    ended.then_some(
        "__implements(nop)\nstatic void change(unsigned long va)\n{\n    \
         if (mmu_notifier_invalidate_range_start_nonblock(va)) {\n        \
         mmu_notifier_invalidate_range_end(va);\n        return;\n    }\n    \
         mmu_notifier_invalidate_range_end(va);\n}\n",
    )
}

const NO_END: &str = "\
__implements(nop)
static void change(unsigned long va)
{
    mmu_notifier_invalidate_range_start(va);
}
";

const NO_START: &str = "\
__implements(nop)
static void change(unsigned long va)
{
    mmu_notifier_invalidate_range_end(va);
}
";

fn replace(finding: &Finding) -> String {
    let (locked, _) = steps(finding, "    set_pte_at(pte, mk_pte(new, RW));\n", "");
    // The end of the range tells; earlier nobody did.
    format!(
        "__implements(nop)\nstatic void change(unsigned long va)\n{{\n    \
         struct page *old, *new = alloc_page();\n    spinlock_t *ptl;\n    pte_t *pte;\n\n    \
         copy_page(new, hva_to_pfn(va));\n    mmu_notifier_invalidate_range_start(va);\n    \
         pte = pte_offset_map_lock(va, &ptl);\n{locked}    pte_unmap_unlock(pte, ptl);\n    \
         mmu_notifier_invalidate_range_end(va);\n    put_page(old);\n}}\n\
         static vm_fault_t again(struct vm_fault *vmf) {{ return 0; }}\nfault dev = again;\n"
    )
}

fn zap(finding: &Finding) -> String {
    let (locked, after) = steps(finding, "", "    put_page(old);\n");
    format!(
        "__implements(zap(va))\nstatic void change(unsigned long va)\n{{\n    struct page *old;\n    \
         spinlock_t *ptl;\n    pte_t *pte;\n\n    mmu_notifier_invalidate_range_start(va);\n    \
         pte = pte_offset_map_lock(va, &ptl);\n{locked}    pte_unmap_unlock(pte, ptl);\n{after}    \
         mmu_notifier_invalidate_range_end(va);\n}}\n"
    )
}

/// The kernel's part in order: what is wrong is the subscriber.
const REPLACE_IN_ORDER: &str = "\
__implements(nop)
static void change(unsigned long va)
{
    struct page *old, *new = alloc_page();
    spinlock_t *ptl;
    pte_t *pte;

    copy_page(new, hva_to_pfn(va));
    mmu_notifier_invalidate_range_start(va);
    pte = pte_offset_map_lock(va, &ptl);
    old = pte_page(ptep_clear_flush(pte));
    mmu_notifier_invalidate_range(va);
    set_pte_at(pte, mk_pte(new, RW));
    pte_unmap_unlock(pte, ptl);
    mmu_notifier_invalidate_range_only_end(va);
    put_page(old);
}
";

/// The same for a page that goes away.
const ZAP_IN_ORDER: &str = "\
__implements(zap(va))
static void change(unsigned long va)
{
    struct page *old;
    spinlock_t *ptl;
    pte_t *pte;

    mmu_notifier_invalidate_range_start(va);
    pte = pte_offset_map_lock(va, &ptl);
    old = pte_page(ptep_clear_flush(pte));
    mmu_notifier_invalidate_range(va);
    pte_unmap_unlock(pte, ptl);
    put_page(old);
    mmu_notifier_invalidate_range_only_end(va);
}
";
