//! Names that mean something without being declared: constants, and the
//! records of the kernel with the fields whose types matter.

use crate::primitives::gfp;
use crate::types::Type;

/// A constant of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Constant {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub ty: Type,
    /// Its value; of rights, bits 0 read, 1 write, 2 execute.
    pub value: i64,
}

const fn int(name: &'static str, value: i64) -> Constant {
    Constant { name, ty: Type::Int, value }
}

const fn rights(name: &'static str, value: i64) -> Constant {
    Constant { name, ty: Type::Rights, value }
}

/// All constants. Addresses have no numbers, so sizes and masks only have to
/// be consistent among themselves.
pub const CONSTANTS: [Constant; 72] = [
    rights("R", 1),
    rights("RO", 1),
    rights("W", 3),
    rights("RW", 3),
    rights("NONE", 0),
    rights("PROT_NONE", 0),
    rights("PROT_READ", 1),
    rights("PROT_WRITE", 2),
    rights("PROT_EXEC", 4),
    rights("PAGE_NONE", 0),
    rights("PAGE_READONLY", 1),
    rights("PAGE_SHARED", 3),
    int("true", 1),
    int("false", 0),
    Constant { name: "NULL", ty: Type::Null, value: 0 },
    int("PAGE_SIZE", 1),
    int("PAGE_MASK", -1),
    int("HPAGE_PMD_SIZE", 1),
    int("HPAGE_PMD_MASK", -1),
    // Of the flags only what an allocation may wait for matters.
    int("__GFP_DIRECT_RECLAIM", gfp::DIRECT_RECLAIM),
    int("__GFP_IO", gfp::IO),
    int("__GFP_FS", gfp::FS),
    int("__GFP_HIGH", 8),
    int("__GFP_KSWAPD_RECLAIM", 16),
    int("__GFP_NOWARN", 32),
    int("__GFP_NOFAIL", 64),
    int("__GFP_ZERO", 128),
    int("__GFP_ACCOUNT", 256),
    int("__GFP_MOVABLE", 512),
    int("GFP_KERNEL", gfp::KERNEL),
    int("GFP_KERNEL_ACCOUNT", gfp::KERNEL | 256),
    int("GFP_HIGHUSER_MOVABLE", gfp::KERNEL | 512),
    int("GFP_NOFS", gfp::KERNEL & !gfp::FS),
    int("GFP_NOIO", gfp::KERNEL & !gfp::FS & !gfp::IO),
    int("GFP_ATOMIC", 8 | 16),
    int("GFP_NOWAIT", 16 | 32),
    int("FAULT_FLAG_WRITE", 1),
    int("FAULT_FLAG_UNSHARE", 2),
    int("FAULT_FLAG_USER", 4),
    int("VM_FAULT_OOM", 1),
    int("VM_FAULT_SIGBUS", 2),
    int("VM_FAULT_SIGSEGV", 64),
    int("VM_FAULT_RETRY", 1024),
    int("VM_FAULT_NOPAGE", 256),
    int("VM_FAULT_COMPLETED", 16384),
    int("VM_READ", 1),
    int("VM_WRITE", 2),
    int("VM_SHARED", 8),
    int("MADV_DONTNEED", 4),
    int("MADV_FREE", 8),
    int("MADV_COLD", 20),
    int("MADV_PAGEOUT", 21),
    int("MAP_FIXED", 16),
    int("EPERM", 1),
    int("EAGAIN", 11),
    int("ENOMEM", 12),
    int("EACCES", 13),
    int("EFAULT", 14),
    int("EBUSY", 16),
    int("EEXIST", 17),
    int("EINVAL", 22),
    int("MMU_NOTIFY_UNMAP", 0),
    int("MMU_NOTIFY_CLEAR", 1),
    int("MMU_NOTIFY_PROTECTION_VMA", 2),
    int("MMU_NOTIFY_PROTECTION_PAGE", 3),
    int("MMU_NOTIFY_SOFT_DIRTY", 4),
    int("MMU_NOTIFY_RELEASE", 5),
    int("MMU_NOTIFY_MIGRATE", 6),
    int("MMU_NOTIFY_EXCLUSIVE", 7),
    int("TTU_BATCH_FLUSH", 64),
    int("SPIN_LOCK_UNLOCKED", 0),
    int("MMU_NOTIFIER_RANGE_BLOCKABLE", 1),
];

/// The constant of a name.
pub fn constant(name: &str) -> Option<&'static Constant> {
    CONSTANTS.iter().find(|constant| constant.name == name)
}

/// Fields of the kernel's own records. A record that is not listed has the
/// fields that the text gives it, with the types of what is stored.
pub(crate) const FIELDS: [(&str, &str, Type); 27] = [
    ("vm_fault", "address", Type::VirtAddr),
    ("vm_fault", "real_address", Type::VirtAddr),
    ("vm_fault", "pte", Type::PtePtr),
    ("vm_fault", "orig_pte", Type::Pte),
    ("vm_fault", "pmd", Type::PmdPtr),
    ("vm_fault", "orig_pmd", Type::Pmd),
    ("vm_fault", "ptl", Type::Lock),
    ("vm_fault", "page", Type::Page),
    ("vm_fault", "cow_page", Type::Page),
    ("vm_fault", "flags", Type::Int),
    ("vm_fault", "vma", Type::Any),
    ("vm_fault", "mm", Type::Space),
    ("mmu_notifier_range", "start", Type::VirtAddr),
    ("mmu_notifier_range", "end", Type::VirtAddr),
    ("mmu_notifier_range", "mm", Type::Space),
    ("mmu_notifier_range", "event", Type::Int),
    ("mmu_notifier_range", "flags", Type::Int),
    ("mmu_notifier_range", "owner", Type::Any),
    ("vm_area_struct", "vm_start", Type::VirtAddr),
    ("vm_area_struct", "vm_end", Type::VirtAddr),
    ("vm_area_struct", "vm_mm", Type::Space),
    ("vm_area_struct", "vm_flags", Type::Int),
    ("vm_area_struct", "vm_page_prot", Type::Rights),
    ("mmu_notifier", "mm", Type::Space),
    ("mmu_interval_notifier", "mm", Type::Space),
    ("mmu_gather", "mm", Type::Space),
    ("mmu_gather", "fullmm", Type::Int),
];

/// What callbacks a table of operations may have, with their parameters.
pub(crate) const CALLBACKS: [(&str, &str, &[Type]); 13] = {
    const MN: Type = Type::Any;
    const RANGE: Type = Type::Any;
    const A: Type = Type::VirtAddr;
    const MM: Type = Type::Space;
    const OPS: &str = "mmu_notifier_ops";
    [
        (OPS, "invalidate_range_start", &[MN, RANGE]),
        (OPS, "invalidate_range_end", &[MN, RANGE]),
        (OPS, "invalidate_range", &[MN, MM, A, A]),
        (OPS, "arch_invalidate_secondary_tlbs", &[MN, MM, A, A]),
        (OPS, "change_pte", &[MN, MM, A, Type::Pte]),
        (OPS, "release", &[MN, MM]),
        (OPS, "clear_flush_young", &[MN, MM, A, A]),
        (OPS, "clear_young", &[MN, MM, A, A]),
        (OPS, "test_young", &[MN, MM, A]),
        (OPS, "alloc_notifier", &[MM]),
        (OPS, "free_notifier", &[MN]),
        ("mmu_interval_notifier_ops", "invalidate", &[MN, RANGE, Type::Long]),
        ("vm_operations_struct", "fault", &[Type::Any]),
    ]
};

/// Attributes of a `map` line beside `xN`.
pub(crate) const ATTRIBUTES: [&str; 13] = [
    "ro", "rw", "none", "clean", "dirty", "saved", "anon", "file", "shmem", "zero", "cow", "excl",
    "huge",
];

/// Memory models that a test may name.
pub(crate) const MODELS: [&str; 4] = ["sc", "tso", "ra", "lkmm"];
