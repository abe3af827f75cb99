//! Faults that hardware can repeat for ever, each by something that survives
//! the fault: small programs that random ones hit too rarely.

mod support;

use shootdown_litmus::Variant;
use shootdown_machine::model::{FAILED, PROGRESS};
use shootdown_machine::setting::MemoryModel;
use shootdown_machine::world::Failed;
use shootdown_machine_naive::{Comparison, compare};

/// The properties that both machines break.
fn both_break(text: &str) -> u64 {
    let (lowered, setting) =
        support::lowered("progress.litmus", text, &Variant::base(), MemoryModel::Sc)
            .expect("a test");
    match compare(&lowered, setting, 100_000) {
        Comparison::Same { broken, .. } => broken,
        Comparison::Differs(difference) => panic!("the machines disagree:\n{text}\n{difference}"),
        Comparison::TooLarge => panic!("a small test is too large"),
    }
}

const MEND: &str = "
static int mend(unsigned long va)
{
    pte_t *pte = pte_offset_map(va);
    if (!pte)
        return VM_FAULT_SIGSEGV;
    set_pte_at(pte, mk_pte(alloc_zeroed_page(), RW));
    return 0;
}
";

#[test]
fn an_entry_that_stays_where_it_is() {
    let upgrade = "
C an-entry-that-stays
{
    map a -> Fa {1} : ro anon;
    param perm_miss_rewalk = no;
}
static int upgrade(unsigned long va)
{
    pte_t *pte = pte_offset_map(va);
    ptep_set_access_flags(pte, pte_mkwrite(*pte), 1);
    return 0;
}
fault cpu = upgrade;
P0(int *a) { WRITE_ONCE(*a, 3); }
exists (true)";
    assert_ne!(both_break(upgrade) & 1 << PROGRESS, 0);
    let flushed = upgrade.replace("    return 0;", "    flush_tlb_page(va);\n    return 0;");
    assert_eq!(both_break(&flushed) & 1 << PROGRESS, 0);
}

/// A fault drops what the device's own TLB holds; that of the IOMMU, which it
/// fills from, keeps that the page is absent.
#[test]
fn absence_that_the_source_keeps() {
    let text = format!(
        "
C absence-that-the-source-keeps
{{
    map a -> none : rw anon;
    iotlb U <- mm;
    atc T <- U;
    device dev : T, pasid 1, order waits;
    param cache_nonpresent = yes;
    param fault_invalidates = yes;
}}
{MEND}
fault dev = mend;
D0@dev(int *a) {{ int r0 = READ_ONCE(*a); }}
exists (true)"
    );
    assert_ne!(both_break(&text) & 1 << PROGRESS, 0);
}

/// The table that the walker still has a pointer to has nothing for the page;
/// the one that is hooked in now is mended again and again.
#[test]
fn a_table_that_the_walker_remembers() {
    let text = format!(
        "
C a-table-that-the-walker-remembers
{{
    map a -> none : rw anon;
    param perm_miss_rewalk = no;
}}
{MEND}
fault cpu = mend;
P0(int *a) {{ WRITE_ONCE(*a, 3); }}
P1(int *a)
{{
    pmd_t *pmd = pmd_offset(a);
    struct page *table = pte_alloc_one();
    pmd_populate(pmd, table);
}}
exists (true)"
    );
    assert_ne!(both_break(&text) & 1 << PROGRESS, 0);
}

/// No fault, but as rare: nothing has a root loaded when the table is given back.
#[test]
fn a_root_that_is_loaded_with_a_table_that_was_given_back() {
    let broken = both_break(
        "C freed\n{ map a -> Fa {1} : rw anon; tlb C : tags 2; context c -> C : none; }\n\
         P0@c(int *a) { struct page *t = pmd_pgtable(pmdp_get(pmd_offset(a))); pte_free(t); \
         write_cr3_noflush(c, mm, 1); }\nexists (true)\n",
    );
    assert_ne!(broken >> (FAILED + Failed::Table as u32) & 1, 0);
}
