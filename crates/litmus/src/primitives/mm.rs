//! The primitives of memory management: pages, entries, locks, flushes,
//! notifications, invalidation queues.

use super::Kind::{
    Address, Atc, Context, Iotlb, Lock as LockArg, LockOut, Number, Page, Pmd, PmdPtr, Pointer,
    Pte, PtePtr, Queue, Range, Rights, SoftTlb, Space, Tlb, Truth, Value,
};
use super::row;
use super::{
    Action, EntryChange as To, EntryQuestion as Is, FlushScope, Gives, Kind, Level, LockClass,
    LockOp, Notify, Primitive, Tag, UseMark, Wanted, Write,
};
use crate::types::Type;

const VOID: Gives = Gives::Nothing;
const INT: Gives = Gives::One(Type::Int);
const PAGE: Gives = Gives::One(Type::Page);
const NONE: &[&[Kind]] = &[&[]];
const PURE: &[Tag] = &[Tag::Pure];
const TABLE: &[Tag] = &[Tag::Table];

const fn level(pte: bool) -> Level {
    if pte { Level::Pte } else { Level::Pmd }
}

const fn value(pte: bool) -> Gives {
    Gives::One(if pte { Type::Pte } else { Type::Pmd })
}

const fn change(name: &'static str, pte: bool, to: To, help: &'static str) -> Primitive {
    let forms: &[&[Kind]] =
        if pte { &[&[Pte], &[Pte, Context]] } else { &[&[Pmd], &[Pmd, Context]] };
    row(name, forms, value(pte), Action::ChangeEntry(level(pte), to), PURE, help)
}

const fn ask(name: &'static str, pte: bool, is: Is, help: &'static str) -> Primitive {
    let forms: &[&[Kind]] = if pte { &[&[Pte]] } else { &[&[Pmd]] };
    row(name, forms, INT, Action::AskEntry(level(pte), is), PURE, help)
}

const fn clear(
    name: &'static str,
    pte: bool,
    flush: bool,
    notify: bool,
    help: &'static str,
) -> Primitive {
    let forms: &[&[Kind]] = if pte {
        &[&[PtePtr], &[Context, Context, PtePtr]]
    } else {
        &[&[PmdPtr], &[Context, Context, PmdPtr]]
    };
    let tags: &[Tag] = match (flush, notify) {
        (true, true) => &[Tag::Table, Tag::Flushes, Tag::Notifies],
        (true, false) => &[Tag::Table, Tag::Flushes],
        _ => TABLE,
    };
    let action = Action::ClearEntry { level: level(pte), flush, notify };
    row(name, forms, value(pte), action, tags, help)
}

const fn set(name: &'static str, pte: bool, tells: bool, help: &'static str) -> Primitive {
    let forms: &[&[Kind]] = if pte {
        &[&[PtePtr, Pte], &[Context, Context, PtePtr, Pte]]
    } else {
        &[&[PmdPtr, Pmd], &[Context, Context, PmdPtr, Pmd]]
    };
    row(name, forms, VOID, Action::SetEntry(level(pte), tells), TABLE, help)
}

const fn flush(name: &'static str, scope: FlushScope, help: &'static str) -> Primitive {
    let forms: &[&[Kind]] = match scope {
        FlushScope::Mm => &[&[], &[Context]],
        FlushScope::Range => &[&[Range], &[Address, Address], &[Context, Address, Address]],
        _ => &[&[Range], &[Context, Address]],
    };
    row(name, forms, VOID, Action::Flush(scope), &[Tag::Flushes, Tag::Waits], help)
}

const NOTIFY: &[&[Kind]] = &[&[Range], &[Address, Address], &[Context, Address, Address]];

const fn notify(
    name: &'static str,
    kind: Notify,
    tags: &'static [Tag],
    help: &'static str,
) -> Primitive {
    row(name, NOTIFY, VOID, Action::Notify(kind), tags, help)
}

const fn page_lock(
    name: &'static str,
    class: LockClass,
    op: LockOp,
    help: &'static str,
) -> Primitive {
    let tags: &[Tag] = match op {
        LockOp::Unlock | LockOp::ReadUnlock | LockOp::Downgrade => &[Tag::Unlocks],
        LockOp::TryLock | LockOp::ReadTryLock => &[Tag::Locks],
        _ => &[Tag::Locks, Tag::Sleeps],
    };
    let result = match op {
        LockOp::TryLock | LockOp::ReadTryLock => INT,
        _ => VOID,
    };
    let forms: &[&[Kind]] = match class {
        LockClass::Mmap => &[&[], &[Space]],
        _ => &[&[Page]],
    };
    row(name, forms, result, Action::Lock(class, op), tags, help)
}

const fn marks(name: &'static str, action: Action, result: Gives, help: &'static str) -> Primitive {
    row(name, &[&[Page]], result, action, &[Tag::Store], help)
}

const fn test_and_clear(
    name: &'static str,
    pte: bool,
    mark: UseMark,
    help: &'static str,
) -> Primitive {
    let forms: &[&[Kind]] = if pte {
        &[&[PtePtr], &[Context, Context, PtePtr]]
    } else {
        &[&[PmdPtr], &[Context, Context, PmdPtr]]
    };
    row(name, forms, INT, Action::TestAndClear(level(pte), mark), TABLE, help)
}

const GET_PUT: &[Tag] = &[Tag::Store];
const FREES: &[Tag] = &[Tag::Store, Tag::Frees];
const POST: &[&[Kind]] = &[&[Queue, Tlb, Range], &[Queue, Tlb, Address, Address]];
const INTERVAL: Action =
    Action::NotCovered("write the subscription's sequence count out as a word");

/// The rows, in the order in which a fault meets them.
#[rustfmt::skip]
pub(super) static ROWS: &[Primitive] = &[
    // Pages.
    row("alloc_page", &[&[], &[Number]], PAGE, Action::AllocPage(false), &[Tag::Allocates, Tag::Sleeps], "a page that nobody has; NULL never"),
    row("alloc_zeroed_page", &[&[], &[Number]], PAGE, Action::AllocPage(true), &[Tag::Allocates, Tag::Sleeps], "a page of zeroes that nobody has"),
    row("get_page", &[&[Page]], VOID, Action::GetPage, GET_PUT, "takes a reference"),
    row("put_page", &[&[Page]], VOID, Action::PutPage, FREES, "drops a reference; the last one frees the page"),
    row("folio_get", &[&[Page]], VOID, Action::GetPage, GET_PUT, "takes a reference"),
    row("folio_put", &[&[Page]], VOID, Action::PutPage, FREES, "drops a reference; the last one frees the page"),
    row("free_page", &[&[Page]], VOID, Action::PutPage, FREES, "drops the reference of the one who allocated"),
    row("page_count", &[&[Page]], INT, Action::PageCount, &[Tag::Load], "how many references there are"),
    row("copy_page", &[&[Page, Page]], VOID, Action::CopyPage, &[Tag::Load, Tag::Store], "copies to the first from the second, word by word"),
    row("copy_user_highpage", &[&[Page, Page], &[Page, Page, Context, Context]], VOID, Action::CopyPage, &[Tag::Load, Tag::Store], "copies to the first from the second, word by word"),
    row("clear_page", &[&[Page]], VOID, Action::ClearPage, &[Tag::Store], "fills a page with zeroes"),
    row("pages_identical", &[&[Page, Page]], INT, Action::SamePages, &[Tag::Load], "whether two pages hold the same words; reads them one by one"),
    row("memcmp_pages", &[&[Page, Page]], INT, Action::SamePages, &[Tag::Load], "1 if two pages hold the same words (not as memcmp: 0 is different)"),
    row("page_write", &[&[Page, Number, Value]], VOID, Action::PageWrite, &[Tag::Store], "writes a word of a page, past all tables"),
    row("page_read", &[&[Page, Number]], INT, Action::PageRead, &[Tag::Load], "reads a word of a page, past all tables"),
    row("hva_to_pfn", &[&[Address]], PAGE, Action::PageBehind(Wanted::Page), &[Tag::Load, Tag::Sleeps], "the page behind an address, with a reference; faults if it must"),
    row("get_user_page", &[&[Address]], PAGE, Action::PageBehind(Wanted::Page), &[Tag::Load, Tag::Sleeps], "the page behind an address, with a reference; faults if it must"),
    row("get_user_page_write", &[&[Address]], PAGE, Action::PageBehind(Wanted::Writable), &[Tag::Load, Tag::Sleeps], "the same, once its entry is writable; faults as a write does"),
    row("pin_user_page", &[&[Address]], PAGE, Action::PageBehind(Wanted::Pin), &[Tag::Load, Tag::Sleeps], "the page behind an address, pinned and writable"),
    row("unpin_user_page", &[&[Page]], VOID, Action::Unpin, FREES, "drops a pin, and the reference that came with it"),
    row("page_maybe_dma_pinned", &[&[Page]], INT, Action::Pinned, &[Tag::Load], "whether somebody has pinned the page"),
    // Whether the contents are newer than what is kept elsewhere.
    marks("set_page_dirty", Action::MarkDirty, VOID, "marks a page as dirty"),
    marks("SetPageDirty", Action::MarkDirty, VOID, "marks a page as dirty"),
    marks("folio_mark_dirty", Action::MarkDirty, VOID, "marks a page as dirty"),
    marks("mark_page_dirty", Action::MarkDirty, VOID, "marks a page in the dirty log"),
    marks("clear_page_dirty_for_io", Action::UnmarkDirty, INT, "takes a page's mark away, not that of entries; gives whether it was there"),
    marks("folio_clear_dirty_for_io", Action::UnmarkDirty, INT, "takes a page's mark away, not that of entries; gives whether it was there"),
    marks("TestClearPageDirty", Action::UnmarkDirty, INT, "takes a page's mark away; gives whether it was there"),
    row("PageDirty", &[&[Page]], INT, Action::IsMarked, &[Tag::Load], "whether a page is marked as dirty"),
    row("folio_test_dirty", &[&[Page]], INT, Action::IsMarked, &[Tag::Load], "whether a page is marked as dirty"),
    row("page_writeback", &[&[Page]], VOID, Action::WriteOut, &[Tag::Load, Tag::Store], "writes the contents out, now: to the file, to swap, to another host"),
    marks("folio_mark_lazyfree", Action::GiveUp { for_good: false }, VOID, "what the page holds now may be lost; what is written later may not"),
    marks("folio_cancel_dirty", Action::GiveUp { for_good: true }, VOID, "takes the mark away and gives the contents up"),
    row("folio_migrate_flags", &[&[Page, Page]], VOID, Action::MoveMarks, &[Tag::Store], "the first page takes the place of the second, with its mark and what is not yet written out"),
    // Entries: finding and locking.
    row("pte_offset_map_lock", &[&[Address], &[Address, LockOut], &[Context, Context, Address, LockOut]], Gives::One(Type::PtePtr), Action::MapEntry(Level::Pte), &[Tag::Locks], "the entry of an address, locked"),
    row("pte_offset_map", &[&[Address], &[Context, Address]], Gives::One(Type::PtePtr), Action::MapEntry(Level::Pte), PURE, "the entry of an address, not locked"),
    row("pte_unmap_unlock", &[&[PtePtr, LockArg]], VOID, Action::UnmapUnlock(Level::Pte), &[Tag::Unlocks], "drops the lock of an entry"),
    row("pte_unmap", &[&[PtePtr]], VOID, Action::Nothing, PURE, "nothing"),
    row("pte_lockptr", &[&[PtePtr]], Gives::One(Type::Lock), Action::EntryLock(Level::Pte), PURE, "the lock of the table that an entry is in"),
    row("pmd_offset", &[&[Address], &[Context, Address]], Gives::One(Type::PmdPtr), Action::MapEntry(Level::Pmd), PURE, "the upper entry of an address, not locked"),
    row("pmd_lock", &[&[PmdPtr], &[Context, PmdPtr]], Gives::One(Type::Lock), Action::EntryLock(Level::Pmd), &[Tag::Locks], "takes the lock of an upper entry and gives it"),
    row("pmd_lockptr", &[&[PmdPtr], &[Context, PmdPtr]], Gives::One(Type::Lock), Action::EntryLock(Level::Pmd), PURE, "the lock of an upper entry"),
    // Entries: reading and writing.
    row("ptep_get", &[&[PtePtr]], value(true), Action::ReadEntry(Level::Pte), &[Tag::Load], "reads an entry"),
    row("pmdp_get", &[&[PmdPtr]], value(false), Action::ReadEntry(Level::Pmd), &[Tag::Load], "reads an upper entry"),
    clear("ptep_get_and_clear", true, false, false, "clears an entry in one step, without flush; gives the old value"),
    clear("ptep_clear_flush", true, true, false, "clears an entry and flushes the CPU TLBs; gives the old value"),
    clear("ptep_clear_flush_notify", true, true, true, "clears, flushes the CPU TLBs, and tells the secondary ones (until 6.5)"),
    clear("ptep_modify_prot_start", true, false, false, "clears an entry in one step, to be written again"),
    set("ptep_modify_prot_commit", true, false, "writes an entry that ptep_modify_prot_start cleared"),
    clear("pmdp_huge_get_and_clear", false, false, false, "clears an upper entry in one step, without flush"),
    clear("pmdp_huge_clear_flush", false, true, false, "clears an upper entry and flushes the CPU TLBs"),
    clear("pmdp_huge_clear_flush_notify", false, true, true, "clears, flushes the CPU TLBs, and tells the secondary ones (until 6.5)"),
    clear("pmdp_collapse_flush", false, true, false, "takes a table out of an upper entry and flushes the CPU TLBs"),
    clear("pmdp_invalidate", false, true, false, "makes an upper entry absent and flushes the CPU TLBs"),
    set("set_pte_at", true, false, "writes an entry"),
    set("set_pte", true, false, "writes an entry"),
    set("set_pte_at_notify", true, true, "tells KVM of the new page, then writes the entry (until 6.9)"),
    set("set_pmd_at", false, false, "writes an upper entry"),
    row("pte_clear", &[&[PtePtr], &[Context, Context, PtePtr]], VOID, Action::ClearEntry { level: Level::Pte, flush: false, notify: false }, TABLE, "clears an entry, without flush"),
    row("pmd_clear", &[&[PmdPtr]], VOID, Action::ClearEntry { level: Level::Pmd, flush: false, notify: false }, TABLE, "clears an upper entry, without flush"),
    row("pmd_populate", &[&[PmdPtr, Page], &[Context, PmdPtr, Page]], VOID, Action::Populate, TABLE, "makes an upper entry point to a table"),
    row("ptep_set_wrprotect", &[&[PtePtr], &[Context, Context, PtePtr]], VOID, Action::WriteProtectEntry(Level::Pte), TABLE, "takes the write permission away in one step, without flush"),
    row("pmdp_set_wrprotect", &[&[PmdPtr], &[Context, Context, PmdPtr]], VOID, Action::WriteProtectEntry(Level::Pmd), TABLE, "takes the write permission away in one step, without flush"),
    row("ptep_set_access_flags", &[&[PtePtr, Pte], &[PtePtr, Pte, Number], &[Context, Context, PtePtr, Pte, Number]], INT, Action::SetAccessFlags(Level::Pte), TABLE, "adds rights, dirty and young; gives whether something changed"),
    row("pmdp_set_access_flags", &[&[PmdPtr, Pmd], &[PmdPtr, Pmd, Number], &[Context, Context, PmdPtr, Pmd, Number]], INT, Action::SetAccessFlags(Level::Pmd), TABLE, "adds rights, dirty and young; gives whether something changed"),
    test_and_clear("ptep_test_and_clear_young", true, UseMark::Young, "makes an entry old in one step; gives whether it was young"),
    test_and_clear("ptep_test_and_clear_dirty", true, UseMark::Dirty, "makes an entry clean in one step; gives whether it was dirty"),
    test_and_clear("pmdp_test_and_clear_young", false, UseMark::Young, "makes an upper entry old in one step; gives whether it was young"),
    row("pmdp_establish", &[&[PmdPtr, Pmd], &[Context, Context, PmdPtr, Pmd]], value(false), Action::ExchangeEntry(Level::Pmd), TABLE, "writes an upper entry in one step and gives the old value"),
    row("pte_alloc_one", &[&[], &[Context]], PAGE, Action::AllocTable, &[Tag::Allocates, Tag::Sleeps], "a page for a table"),
    row("pte_free", &[&[Page], &[Context, Page]], VOID, Action::FreeTable, FREES, "gives a table's page back"),
    // Values.
    row("mk_pte", &[&[Page, Rights]], value(true), Action::MakeEntry(Level::Pte), PURE, "the value that maps a page with rights"),
    row("pfn_pte", &[&[Page, Rights]], value(true), Action::MakeEntry(Level::Pte), PURE, "the value that maps a page with rights"),
    row("mk_pmd", &[&[Page, Rights]], value(false), Action::MakeEntry(Level::Pmd), PURE, "the value that maps a huge page with rights"),
    row("pte_none_value", NONE, value(true), Action::EmptyEntry(Level::Pte), PURE, "the value of an absent entry"),
    row("__pte", &[&[Number]], value(true), Action::EmptyEntry(Level::Pte), PURE, "__pte(0), the value of an absent entry"),
    row("__pmd", &[&[Number]], value(false), Action::EmptyEntry(Level::Pmd), PURE, "__pmd(0), the value of an absent upper entry"),
    row("pte_same", &[&[Pte, Pte]], INT, Action::SameEntry(Level::Pte), PURE, "whether two values are the same"),
    row("pmd_same", &[&[Pmd, Pmd]], INT, Action::SameEntry(Level::Pmd), PURE, "whether two values are the same"),
    row("pte_page", &[&[Pte]], PAGE, Action::EntryPage(Level::Pte), PURE, "the page that a value maps"),
    row("pte_pfn", &[&[Pte]], PAGE, Action::EntryPage(Level::Pte), PURE, "the page that a value maps"),
    row("vm_normal_page", &[&[Pte], &[Context, Context, Pte]], PAGE, Action::EntryPage(Level::Pte), PURE, "the page that a value maps"),
    row("pmd_page", &[&[Pmd]], PAGE, Action::EntryPage(Level::Pmd), PURE, "the page or table that a value leads to"),
    row("pmd_pgtable", &[&[Pmd]], PAGE, Action::EntryPage(Level::Pmd), PURE, "the table that a value leads to"),
    change("pte_wrprotect", true, To::WriteProtect, "the value without the write permission"),
    change("pte_mkwrite", true, To::MakeWritable, "the value with the write permission"),
    change("pte_mkclean", true, To::MakeClean, "the value without dirty"),
    change("pte_mkdirty", true, To::MakeDirty, "the value with dirty"),
    change("pte_mkold", true, To::MakeOld, "the value without accessed"),
    change("pte_mkinvalid", true, To::MakeInvalid, "the value as hardware does not see it; software still does"),
    change("pte_mkvalid", true, To::MakeValid, "the value as hardware sees it again"),
    change("pte_mkyoung", true, To::MakeYoung, "the value with accessed"),
    change("maybe_mkwrite", true, To::MakeWritable, "the value with the write permission"),
    change("pmd_wrprotect", false, To::WriteProtect, "the value without the write permission"),
    change("pmd_mkwrite", false, To::MakeWritable, "the value with the write permission"),
    change("pmd_mkclean", false, To::MakeClean, "the value without dirty"),
    change("pmd_mkdirty", false, To::MakeDirty, "the value with dirty"),
    change("pmd_mkinvalid", false, To::MakeInvalid, "the value as hardware does not see it; software still does"),
    change("pmd_mkyoung", false, To::MakeYoung, "the value with accessed"),
    ask("pte_none", true, Is::None, "whether the value is absent"),
    ask("pte_present", true, Is::Present, "whether the value maps a page"),
    ask("pte_write", true, Is::Write, "whether the value grants writes"),
    ask("pte_dirty", true, Is::Dirty, "whether the value is dirty"),
    ask("pte_young", true, Is::Young, "whether the value is accessed"),
    ask("pte_valid", true, Is::Valid, "whether hardware sees the value"),
    ask("pmd_none", false, Is::None, "whether the value is absent"),
    ask("pmd_present", false, Is::Present, "whether the value leads somewhere"),
    ask("pmd_write", false, Is::Write, "whether the value grants writes"),
    ask("pmd_dirty", false, Is::Dirty, "whether the value is dirty"),
    ask("pmd_trans_huge", false, Is::Huge, "whether the value maps a huge page"),
    // CPU TLBs.
    flush("flush_tlb_page", FlushScope::Page, "flushes a page from all CPU TLBs; since 6.6 it tells the secondary ones"),
    flush("flush_tlb_fix_spurious_fault", FlushScope::LocalPage, "flushes a page from this CPU's TLB"),
    flush("local_flush_tlb_page", FlushScope::LocalPage, "flushes a page from this CPU's TLB"),
    flush("flush_tlb_range", FlushScope::Range, "flushes a range from all CPU TLBs; since 6.6 it tells the secondary ones"),
    flush("flush_tlb_mm", FlushScope::Mm, "flushes an address space from all CPU TLBs; since 6.6 it tells the secondary ones"),
    row("update_mmu_cache", &[&[Context, Context, Context]], VOID, Action::Nothing, PURE, "nothing on processors that walk by themselves"),
    // Gathers.
    row("tlb_gather_mmu", &[&[], &[Context], &[Context, Context]], VOID, Action::GatherStart, &[], "opens a gather: pages to be freed after one flush"),
    row("tlb_remove_page", &[&[Page], &[Context, Page]], VOID, Action::GatherPage, &[], "to be freed when the gather is flushed"),
    row("tlb_flush_mmu", &[&[], &[Context]], VOID, Action::GatherFlush(true), &[Tag::Flushes, Tag::Frees, Tag::Waits], "flushes a gather and frees its pages"),
    row("tlb_flush_mmu_tlbonly", &[&[], &[Context]], VOID, Action::GatherFlush(false), &[Tag::Flushes, Tag::Waits], "flushes a gather and keeps its pages"),
    row("tlb_finish_mmu", &[&[], &[Context]], VOID, Action::GatherFlush(true), &[Tag::Flushes, Tag::Frees, Tag::Waits], "flushes a gather and frees its pages"),
    // Notifier calls.
    notify("mmu_notifier_invalidate_range_start", Notify::Start, &[Tag::Sleeps], "opens a range: software TLBs drop it and must not fill"),
    row("mmu_notifier_invalidate_range_start_nonblock", NOTIFY, INT, Action::Notify(Notify::TryStart), &[], "opens a range where nobody may sleep; gives what a subscriber refuses with, and then it is not open"),
    notify("mmu_notifier_invalidate_range_end", Notify::End, &[Tag::Notifies, Tag::Sleeps], "closes a range; until 6.5 it tells the secondary TLBs"),
    notify("mmu_notifier_invalidate_range_only_end", Notify::OnlyEnd, &[Tag::Sleeps], "closes a range whose secondary TLBs were told"),
    notify("mmu_notifier_invalidate_range", Notify::Range, &[Tag::Notifies, Tag::Waits], "tells the secondary TLBs, now"),
    notify("mmu_notifier_arch_invalidate_secondary_tlbs", Notify::Range, &[Tag::Notifies, Tag::Waits], "tells the secondary TLBs, now (since 6.6)"),
    row("mmu_notifier_release", &[&[], &[Context]], VOID, Action::Notify(Notify::Release), &[Tag::Notifies, Tag::Sleeps], "tells the subscribers that the address space ends"),
    row("mmu_interval_read_begin", &[&[Context]], INT, INTERVAL, &[Tag::Sleeps, Tag::Waits], "the sequence number to check the fill with"),
    row("mmu_interval_read_retry", &[&[Context, Number]], INT, INTERVAL, &[Tag::Load], "whether the fill has to be done again"),
    row("mmu_interval_check_retry", &[&[Context, Number]], INT, INTERVAL, &[Tag::Load], "whether the fill will have to be done again"),
    row("mmu_interval_set_seq", &[&[Context, Number]], VOID, INTERVAL, &[Tag::Store], "stores the number that a range brought"),
    row("mmu_notifier_range_init", &[&[Context, Context, Context, Context, Context, Context]], VOID, Action::NotCovered("set `range.start` and `range.end` instead"), &[], "fills a range record"),
    // Secondary TLBs.
    row("q_iotlb_inv", &[&[Queue, Iotlb, Range], &[Queue, Iotlb, Address, Address]], VOID, Action::Post(false), &[Tag::Notifies], "posts the invalidation of an IOTLB"),
    row("q_atc_inv", &[&[Queue, Atc, Range], &[Queue, Atc, Address, Address]], VOID, Action::Post(false), &[Tag::Notifies], "posts the invalidation of a device's ATC"),
    row("q_inv", POST, VOID, Action::Post(false), &[Tag::Notifies], "posts the invalidation of a TLB"),
    row("q_inv_leaf", POST, VOID, Action::Post(true), &[Tag::Notifies], "posts the invalidation of a TLB's leaf entries, and not of how it came to them"),
    row("q_sync", &[&[Queue]], VOID, Action::Sync, &[Tag::Waits], "waits until all that was posted is done"),
    row("swtlb_install", &[&[SoftTlb, Address, Page], &[SoftTlb, Address, Page, Rights]], VOID, Action::SoftInstall, TABLE, "writes a translation into a software TLB"),
    row("swtlb_zap", &[&[SoftTlb, Range], &[SoftTlb, Address, Address]], VOID, Action::SoftZap, TABLE, "takes translations out of a software TLB, without flush"),
    row("tlb_flush", &[&[Tlb], &[Tlb, Range], &[Tlb, Address, Address]], VOID, Action::FlushTlb(false), &[Tag::Flushes, Tag::Notifies, Tag::Waits], "flushes a TLB and waits for it"),
    row("tlb_flush_leaf", &[&[Tlb], &[Tlb, Range], &[Tlb, Address, Address]], VOID, Action::FlushTlb(true), &[Tag::Flushes, Tag::Notifies, Tag::Waits], "flushes the leaf entries of a TLB, and not how it came to them"),
    row("q_write", &[&[Queue, Pointer, Number]], VOID, Action::PostWrite, &[Tag::Store], "posts a descriptor that writes a word, a number from 0 to 15, when the queue comes to it"),
    row("swtlb_get", &[&[SoftTlb, Address]], value(true), Action::SoftRead, &[Tag::Load], "reads an entry of a software TLB"),
    row("swtlb_set", &[&[SoftTlb, Address, Pte]], VOID, Action::SoftSet, TABLE, "writes an entry of a software TLB"),
    row("swtlb_mkinvalid", &[&[SoftTlb, Address]], VOID, Action::SoftHide, TABLE, "hides an entry of a software TLB from hardware in one step; software still has it"),
    row("swtlb_xchg", &[&[SoftTlb, Address, Pte]], value(true), Action::SoftExchange, TABLE, "writes an entry of a software TLB in one step and gives the old value"),
    // Locks that are not words.
    page_lock("mmap_read_lock", LockClass::Mmap, LockOp::ReadLock, "takes the address space's lock to read"),
    page_lock("mmap_read_trylock", LockClass::Mmap, LockOp::ReadTryLock, "takes it to read if it is free; 1 if so"),
    page_lock("mmap_read_unlock", LockClass::Mmap, LockOp::ReadUnlock, "drops it"),
    page_lock("mmap_write_lock", LockClass::Mmap, LockOp::Lock, "takes the address space's lock to write"),
    page_lock("mmap_write_unlock", LockClass::Mmap, LockOp::Unlock, "drops it"),
    page_lock("mmap_write_downgrade", LockClass::Mmap, LockOp::Downgrade, "keeps it to read"),
    page_lock("lock_page", LockClass::Page, LockOp::Lock, "takes the lock of a page"),
    page_lock("trylock_page", LockClass::Page, LockOp::TryLock, "takes it if it is free; 1 if so"),
    page_lock("unlock_page", LockClass::Page, LockOp::Unlock, "drops it"),
    page_lock("folio_lock", LockClass::Page, LockOp::Lock, "takes the lock of a page"),
    page_lock("folio_trylock", LockClass::Page, LockOp::TryLock, "takes it if it is free; 1 if so"),
    page_lock("folio_unlock", LockClass::Page, LockOp::Unlock, "drops it"),
    page_lock("rmap_lock", LockClass::Rmap, LockOp::Lock, "takes the lock of a page's reverse map"),
    page_lock("rmap_unlock", LockClass::Rmap, LockOp::Unlock, "drops it"),
    // Faults on behalf of a program.
    row("fault_in_write", &[&[Address]], VOID, Action::FaultIn(Write::Yes), &[Tag::Sleeps], "the fault that a write would take, if it would"),
    row("fault_in_read", &[&[Address]], VOID, Action::FaultIn(Write::No), &[Tag::Sleeps], "the fault that a read would take, if it would"),
    // What faults may grant, and what a child begins with.
    row("vma_set_rights", &[&[Address, Rights]], VOID, Action::SetRights, &[Tag::Store], "what faults at an address may grant from now on; NONE once it is unmapped"),
    row("vma_rights", &[&[Address]], Gives::One(Type::Rights), Action::AskRights, &[Tag::Load], "what faults at an address may grant"),
    row("copy_one_pte", &[&[Space, Address]], VOID, Action::ForkEntry, TABLE, "the child's entry of an address: the parent's, write-protected"),
    row("set_child_pte", &[&[Space, Address, Pte]], VOID, Action::SetChildEntry, TABLE, "writes the child's entry of an address: another page than the parent's"),
    row("copy_all_ptes", &[&[Space]], VOID, Action::ForkEntry, TABLE, "the child's entries: the parent's, write-protected"),
    row("page_index", &[&[Address]], INT, Action::PageIndex, PURE, "the place of an address among all pages, from 0"),
    row("pte_offset_table", &[&[Page, Address]], Gives::One(Type::PtePtr), Action::TableEntry, PURE, "the entry of an address in a table that need not be hooked in"),
    row("mm_start", NONE, Gives::One(Type::VirtAddr), Action::Bound(false), PURE, "the first address of an address space"),
    row("mm_end", NONE, Gives::One(Type::VirtAddr), Action::Bound(true), PURE, "the address after its last one"),
    // Words that kernel code is full of.
    row("likely", &[&[Truth]], Gives::OfArgument, Action::Same, PURE, "gives its argument"),
    row("unlikely", &[&[Truth]], Gives::OfArgument, Action::Same, PURE, "gives its argument"),
    row("WARN_ON", &[&[Truth]], Gives::OfArgument, Action::Warn, &[], "must not hold; gives its argument"),
    row("WARN_ON_ONCE", &[&[Truth]], Gives::OfArgument, Action::Warn, &[], "must not hold; gives its argument"),
    row("BUG_ON", &[&[Truth]], VOID, Action::Warn, &[], "must not hold"),
    row("VM_BUG_ON", &[&[Truth]], VOID, Action::Warn, &[], "must not hold"),
    row("VM_WARN_ON", &[&[Truth]], VOID, Action::Warn, &[], "must not hold"),
    row("VM_BUG_ON_PAGE", &[&[Truth, Context]], VOID, Action::Warn, &[], "must not hold"),
    row("choose", &[&[Number]], INT, Action::Choose, &[], "any number from 0 up to, and not with, its argument: an error path that may be taken"),
    row("count_vm_event", &[&[Context]], VOID, Action::Nothing, PURE, "nothing"),
    row("mmu_notifier_synchronize", NONE, VOID, Action::NotCovered("grace periods are not modelled"), &[Tag::Sleeps], "waits for callbacks"),
    row("page_folio", &[&[Page]], Gives::OfArgument, Action::Same, PURE, "gives its argument"),
    row("page_to_pfn", &[&[Page]], Gives::OfArgument, Action::Same, PURE, "gives its argument"),
    row("pfn_to_page", &[&[Page]], Gives::OfArgument, Action::Same, PURE, "gives its argument"),
    row("compound_head", &[&[Page]], Gives::OfArgument, Action::Same, PURE, "gives its argument"),
];
