// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// Two x86 CPUs with PCIDs, lazy mode and generations, as Linux 6.12 uses them
// (arch/x86/mm/tlb.c): CPU 0 changes tables, CPU 1 runs threads of the same
// address space and kernel threads in between. Each flush raises the generation;
// a CPU that was left out compares it when it comes back. What a flush reaches
// is written out here, so `flush_tlb_page` and its like are these functions.
// An IPI waits until CPU 1 has its interrupts on: a lock.

mm init_mm;
tlb C0 : tags 2;
tlb C1 : tags 2;
context cpu0 -> C0 : mm, tag 1;
context cpu1 -> C1 : mm, tag 1;
atomic_t tlb_gen = 1;
spinlock_t irqs_off1;
int ctx_gen1 = 1;                       // what CPU 1 has flushed up to
int loaded_mm1 = 1;                     // 1 mm, 2 init_mm
int is_lazy1 = 0;

// On CPU 1, with interrupts off.
__from("v6.12.117", "arch/x86/mm/tlb.c", flush_tlb_func)
static void flush_tlb_func(void)
{
    if (loaded_mm1 != 1)
        return;
    if (is_lazy1) {                     // leave the tables to those who free them
        write_cr3_noflush(cpu1, init_mm, 0);
        loaded_mm1 = 2;
        return;
    }
    ctx_gen1 = atomic_read(&tlb_gen);
    tlb_flush_tag(C1, 1);
}

__from("v6.12.117", "arch/x86/mm/tlb.c", flush_tlb_mm_range)
static void flush_tlb_mm_range(unsigned long start, unsigned long end, bool freed_tables)
{
#ifdef GEN_LATE
    bool lazy = READ_ONCE(is_lazy1);
    atomic_inc_return(&tlb_gen);
#else
    atomic_inc_return(&tlb_gen);
    bool lazy = READ_ONCE(is_lazy1);
#endif
    tlb_flush_tag(C0, 1, start, end);
    if (lazy && !freed_tables)
        return;
    spin_lock(&irqs_off1);
    flush_tlb_func();
    spin_unlock(&irqs_off1);
}
static void flush_tlb_page(unsigned long va)  { flush_tlb_mm_range(va, va + PAGE_SIZE, false); }

// CPU 1 goes on with a kernel thread.
static void to_kernel_thread(void)
{
    spin_lock(&irqs_off1);
    enter_lazy_tlb(cpu1);
    WRITE_ONCE(is_lazy1, 1);
    spin_unlock(&irqs_off1);
}

// And with a thread of the address space again.
__from("v6.12.117", "arch/x86/mm/tlb.c", switch_mm_irqs_off)
static void to_user_thread(void)
{
    int gen;

    spin_lock(&irqs_off1);
#ifndef LAZY_LATE
    WRITE_ONCE(is_lazy1, 0);
    smp_mb();
#endif
    gen = atomic_read(&tlb_gen);
#ifndef NO_GEN
    if (loaded_mm1 != 1 || ctx_gen1 != gen) {
        ctx_gen1 = gen;
        write_cr3(cpu1, mm, 1);
        loaded_mm1 = 1;
    }
#else
    if (loaded_mm1 != 1) {
        write_cr3_noflush(cpu1, mm, 1);
        loaded_mm1 = 1;
    }
#endif
#ifdef LAZY_LATE
    WRITE_ONCE(is_lazy1, 0);
#endif
    leave_lazy_tlb(cpu1);
    spin_unlock(&irqs_off1);
}
