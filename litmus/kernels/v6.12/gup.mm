// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// get_user_pages without locks: interrupts are off from the read of the first entry
// to the end, so that neither table nor page is given back meanwhile. A reference is
// taken, and the entry read again: if it has changed the reference is dropped.
// Where a flush is no interrupt pages can be freed all the same, and the reference
// is taken only if there is one left; that is one step which has no word here, so a
// test says `param flush_by_ipi = yes`.

__from("v6.12.117", "mm/gup.c", gup_fast_fallback)
__from("v6.12.117", "mm/gup.c", gup_fast)
__from("v6.12.117", "mm/gup.c", gup_fast_pte_range)
__implements(nop)
static struct page *gup_fast(unsigned long va)
{
    struct page *page = NULL;
    pte_t *ptep;
    pmd_t pmd;
    pte_t pte;

    local_irq_disable();
    pmd = pmdp_get(pmd_offset(va));
    if (pmd_none(pmd))
        goto out;
    ptep = pte_offset_table(pmd_pgtable(pmd), va);
    pte = ptep_get(ptep);
    if (!pte_write(pte))
        goto out;
    page = pte_page(pte);
    get_page(page);
    if (!pte_same(ptep_get(ptep), pte) || !pmd_same(pmdp_get(pmd_offset(va)), pmd)) {
        put_page(page);
        page = NULL;
    }
out:
    local_irq_enable();
    return page;
}
