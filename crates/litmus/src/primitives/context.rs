//! Contexts: what a root register and its tag are loaded with, flushes by tag,
//! and walkers that do not look into the caches of CPUs.

use super::Kind::{
    Address, Context, Number, PmdPtr, PtePtr, Queue, Range, RootRegister as Root, Space, Tlb,
};
use super::row;
use super::{Action, Gives, Kind, Level, Primitive, Tag};

const VOID: Gives = Gives::Nothing;
const LOAD: &[&[Kind]] = &[&[Root, Space], &[Root, Space, Number]];
const CLEAR: &[&[Kind]] = &[&[Root]];
const BY_TAG: &[&[Kind]] =
    &[&[Tlb, Number], &[Tlb, Number, Range], &[Tlb, Number, Address, Address]];
const FLUSHES: &[Tag] = &[Tag::Flushes, Tag::Notifies, Tag::Waits];

const fn load(name: &'static str, flush: bool, help: &'static str) -> Primitive {
    row(name, LOAD, VOID, Action::LoadRoot { flush }, &[], help)
}

/// The rows: loads, flushes, write-backs.
#[rustfmt::skip]
pub(super) static ROWS: &[Primitive] = &[
    // What is loaded.
    load("write_cr3", true, "loads a root and a tag (PCID); the entries of that tag go"),
    load("write_cr3_noflush", false, "loads a root and a tag (PCID); the entries of that tag stay"),
    load("load_root", false, "loads a root and a tag; the entries of that tag stay"),
    load("write_ttbr0", false, "loads a root and a tag (ASID); the entries of that tag stay"),
    load("write_satp", false, "loads a root and a tag (ASID); the entries of that tag stay"),
    load("write_vttbr", false, "loads a guest's root and a tag (VMID); the entries of that tag stay"),
    load("write_hgatp", false, "loads a guest's root and a tag (VMID); the entries of that tag stay"),
    load("set_device_entry", false, "gives a device a root and a tag (domain); the entries of that tag stay"),
    load("set_pasid_entry", false, "gives a PASID a root and a tag (domain, ASID); the entries of that tag stay"),
    row("clear_root", CLEAR, VOID, Action::ClearRoot, &[], "loads nothing: no fills, and accesses fault"),
    row("clear_device_entry", CLEAR, VOID, Action::ClearRoot, &[], "takes a device's root away: no fills, and accesses fault"),
    row("clear_pasid_entry", CLEAR, VOID, Action::ClearRoot, &[], "takes a PASID's root away: no fills, and accesses fault"),
    row("enter_lazy_tlb", CLEAR, VOID, Action::Lazy(true), &[], "a kernel thread runs: hardware still walks what is loaded, and nobody uses it"),
    row("leave_lazy_tlb", CLEAR, VOID, Action::Lazy(false), &[], "what is loaded is used again; a load of a root does that too"),
    // Flushes.
    row("tlb_flush_tag", BY_TAG, VOID, Action::FlushTag, FLUSHES, "flushes the entries of a tag from a TLB and waits for it"),
    row("invpcid_flush_single_context", &[&[Tlb, Number]], VOID, Action::FlushTag, FLUSHES, "flushes the entries of a tag from a TLB and waits for it"),
    row("invpcid_flush_one", &[&[Tlb, Number, Address]], VOID, Action::FlushTag, FLUSHES, "flushes a page of a tag from a TLB and waits for it"),
    row("invpcid_flush_all", &[&[Tlb]], VOID, Action::FlushTlb(false), FLUSHES, "flushes the entries of all tags from a TLB and waits for it"),
    row("flush_context", &[&[Root], &[Root, Range], &[Root, Address, Address]], VOID, Action::FlushContext, FLUSHES, "flushes the entries of the tag that a context has now"),
    row("invlpg", &[&[Root, Address]], VOID, Action::FlushContext, FLUSHES, "flushes a page of the tag that a context has now"),
    row("q_inv_tag", &[&[Queue, Tlb, Number], &[Queue, Tlb, Number, Range], &[Queue, Tlb, Number, Address, Address]], VOID, Action::PostTag, &[Tag::Notifies], "posts the invalidation of a tag of a TLB"),
    // Walkers that do not snoop.
    row("clflush", &[&[PtePtr]], VOID, Action::WriteBack(Level::Pte), &[Tag::Flushes], "writes an entry back to memory, for walkers that are not coherent"),
    row("clflush_cache_range", &[&[PtePtr], &[PtePtr, Context]], VOID, Action::WriteBack(Level::Pte), &[Tag::Flushes], "writes an entry back to memory, for walkers that are not coherent"),
    row("clflush_pmd", &[&[PmdPtr]], VOID, Action::WriteBack(Level::Pmd), &[Tag::Flushes], "writes an upper entry back to memory, for walkers that are not coherent"),
];
