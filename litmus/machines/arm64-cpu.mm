// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// Two arm64 CPUs as Linux 6.12 drives them. A TLBI of the inner shareable form is
// sent to all CPUs and posted: it is complete at `dsb ish`, and may overtake
// another until then. The local form stays on its CPU. `dsb ishst` in front makes
// the changed entry visible to walkers. Entries are tagged by ASID. What a flush
// reaches is written out here, so `flush_tlb_page` and its like are these
// functions. CPU 0 changes tables. Clean is said under `ra` alone.

param cpu_order = weak;
tlb C0 : tags 2;
tlb C1 : tags 2;
context cpu0 -> C0 : mm, tag 1;
context cpu1 -> C1 : mm, tag 1;
queue DVM -> C0, C1 : any_order;

// The TLBI of the flush, without the wait for it.
__from("v6.12.117", "arch/arm64/include/asm/tlbflush.h", __flush_tlb_page_nosync)
static void tlbi_vale1is(unsigned long va)
{
    wmb();                              // dsb ishst
    q_inv_tag(DVM, C0, 1, va);
    q_inv_tag(DVM, C1, 1, va);
}

__from("v6.12.117", "arch/arm64/include/asm/tlbflush.h", arch_tlbbatch_flush)
static void dsb_ish(void)
{
    q_sync(DVM);
    smp_mb();
}

__from("v6.12.117", "arch/arm64/include/asm/tlbflush.h", flush_tlb_page)
static void flush_tlb_page(unsigned long va)
{
    tlbi_vale1is(va);
    dsb_ish();
}

__from("v6.12.117", "arch/arm64/include/asm/tlbflush.h", flush_tlb_mm)
static void flush_tlb_mm(void)
{
    wmb();                              // dsb ishst
    q_inv_tag(DVM, C0, 1);
    q_inv_tag(DVM, C1, 1);
    dsb_ish();
}

// The form that other CPUs do not hear of.
__from("v6.12.117", "arch/arm64/include/asm/tlbflush.h", local_flush_tlb_all)
static void local_flush_tlb(void)
{
    wmb();                              // dsb nshst
    tlb_flush(C0);                      // tlbi vmalle1, dsb nsh
}

// Break before make: nobody can find the new entry while somebody may have the old.
__from("v6.12.117", "arch/arm64/mm/contpte.c", contpte_convert)
static void break_before_make(pte_t *pte, unsigned long va, pte_t entry)
{
    ptep_get_and_clear(pte);
    flush_tlb_page(va);
    set_pte_at(pte, entry);
}
