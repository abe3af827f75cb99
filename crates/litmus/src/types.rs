//! The types of the language: one for each thing that kernel code passes
//! around and must not mix up.

use std::fmt;

use crate::ast::TypeName;

/// A record's number in [`Program::records`](crate::Program::records).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordId(pub u32);

/// Which kind of translation cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlbKind {
    /// Of an IOMMU; fills from a page table.
    Iotlb,
    /// Of a device; fills through an IOTLB.
    Atc,
    /// Of a processor or a guest processor; fills from a page table or from a
    /// software TLB.
    Tlb,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Type {
    /// Nothing: a function without a result.
    Void,
    /// A number.
    Int,
    /// `unsigned long`: a number or a virtual address, as in the kernel.
    Long,
    /// The name of a mapped page.
    VirtAddr,
    /// The address of a word that nobody remaps.
    WordPtr,
    /// `int *` in a function: a mapped page or a word.
    IntPtr,
    /// `pte_t`: the value of an entry.
    Pte,
    /// `pte_t *`: an entry.
    PtePtr,
    /// `pmd_t`: the value of an upper entry.
    Pmd,
    /// `pmd_t *`: an upper entry.
    PmdPtr,
    /// `struct page *`, `struct folio *` or a frame number.
    Page,
    /// What an entry grants: bits 0 read, 1 write, 2 execute.
    Rights,
    /// `spinlock_t *` or another lock.
    Lock,
    /// `struct mm_struct *`.
    Space,
    /// A translation cache.
    Tlb(TlbKind),
    /// A TLB that software fills.
    SoftTlb,
    /// An invalidation queue.
    Queue,
    /// A device.
    Device,
    /// A context: a root register with its tag.
    Context,
    /// A pointer to a record.
    Record(RecordId),
    /// `NULL` and the number 0 where a pointer is meant.
    Null,
    /// Not known: `void *`, or a message was given already.
    Any,
}

impl Type {
    /// Whether a value of type `from` may stand where `self` is meant.
    pub fn accepts(self, from: Type) -> bool {
        use Type as T;
        match (self, from) {
            (T::Any, _) | (_, T::Any) => true,
            (to, from) if to == from => true,
            (T::Int, T::Long) | (T::Long, T::Int | T::VirtAddr) => true,
            (T::VirtAddr, T::Long | T::IntPtr) | (T::WordPtr, T::IntPtr) => true,
            (T::IntPtr, T::VirtAddr | T::WordPtr) => true,
            (to, T::Null) => to.is_pointer(),
            _ => false,
        }
    }

    /// Whether it may be null.
    pub fn is_pointer(self) -> bool {
        use Type as T;
        !matches!(self, T::Void | T::Int | T::Long | T::Pte | T::Pmd | T::Rights)
    }

    /// Whether one may calculate with it.
    pub fn is_number(self) -> bool {
        matches!(self, Type::Int | Type::Long | Type::Any)
    }

    /// As messages name it.
    pub(crate) fn describe(self) -> &'static str {
        use Type as T;
        match self {
            T::Void => "nothing",
            T::Int => "a number",
            T::Long => "an `unsigned long`",
            T::VirtAddr => "a virtual address",
            T::WordPtr => "the address of a word",
            T::IntPtr => "an `int *`",
            T::Pte => "a `pte_t`",
            T::PtePtr => "a `pte_t *`",
            T::Pmd => "a `pmd_t`",
            T::PmdPtr => "a `pmd_t *`",
            T::Page => "a `struct page *`",
            T::Rights => "rights",
            T::Lock => "a lock",
            T::Space => "an address space",
            T::Tlb(TlbKind::Iotlb) => "an iotlb",
            T::Tlb(TlbKind::Atc) => "an atc",
            T::Tlb(TlbKind::Tlb) => "a tlb",
            T::SoftTlb => "a swtlb",
            T::Queue => "a queue",
            T::Device => "a device",
            T::Context => "a context",
            T::Record(_) => "a record",
            T::Null => "NULL",
            T::Any => "a value",
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.describe())
    }
}

/// A number that has fewer bits than the language's numbers, which have 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Narrow {
    /// 8, 16 or 32.
    pub bits: u32,
    /// Whether the highest is a sign.
    pub signed: bool,
}

impl Narrow {
    /// The narrow type of a name; `int` is as wide as all numbers.
    pub(crate) fn of(ty: &TypeName) -> Option<Narrow> {
        if ty.is_struct || ty.pointers > 0 {
            return None;
        }
        let (bits, signed) = match ty.base.as_str() {
            "u8" | "__u8" | "uint8_t" | "unsigned char" => (8, false),
            "u16" | "__u16" | "uint16_t" | "unsigned short" | "unsigned short int" => (16, false),
            "u32" | "__u32" | "uint32_t" | "unsigned" | "unsigned int" | "uint" => (32, false),
            "s8" | "int8_t" | "signed char" | "char" => (8, true),
            "s16" | "int16_t" | "short" | "short int" => (16, true),
            _ => return None,
        };
        Some(Narrow { bits, signed })
    }

    /// The lowest bits.
    pub fn mask(self) -> i64 {
        (1 << self.bits) - 1
    }

    /// The bit of the sign; 0 if there is none.
    pub fn sign(self) -> i64 {
        if self.signed { 1 << (self.bits - 1) } else { 0 }
    }

    /// A number as this type holds it.
    pub fn wrap(self, value: i64) -> i64 {
        ((value & self.mask()) ^ self.sign()) - self.sign()
    }
}

/// What a C type means here; records are numbered by `record`.
pub(crate) fn resolve(ty: &TypeName, record: &mut dyn FnMut(&str) -> RecordId) -> Type {
    if ty.is_struct {
        return match ty.base.as_str() {
            "page" | "folio" => Type::Page,
            "mm_struct" => Type::Space,
            "mutex" | "rw_semaphore" | "anon_vma" | "srcu_struct" | "address_space" => Type::Lock,
            tag => Type::Record(record(tag)),
        };
    }
    let pointer = ty.pointers > 0;
    match (ty.base.as_str(), pointer) {
        ("void", false) => Type::Void,
        ("void", true) => Type::Any,
        ("pte_t", false) => Type::Pte,
        ("pte_t", true) => Type::PtePtr,
        ("pmd_t", false) => Type::Pmd,
        ("pmd_t" | "pud_t" | "p4d_t" | "pgd_t", true) => Type::PmdPtr,
        ("spinlock_t" | "rwlock_t" | "raw_spinlock_t", _) => Type::Lock,
        ("pgprot_t", false) => Type::Rights,
        ("pfn_t" | "kvm_pfn_t" | "pgtable_t", false) => Type::Page,
        ("context_t", false) => Type::Context,
        ("iotlb_t", false) => Type::Tlb(TlbKind::Iotlb),
        ("atc_t", false) => Type::Tlb(TlbKind::Atc),
        ("tlb_t", false) => Type::Tlb(TlbKind::Tlb),
        (_, true) => Type::IntPtr,
        (base, false) => {
            let wide = ["long", "u64", "ulong", "intptr_t", "uintptr_t", "pgoff_t", "gfn_t"];
            let long = wide.contains(&base) || base.split(' ').any(|word| word == "long");
            if long { Type::Long } else { Type::Int }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_numbers_wrap() {
        let (u8, s8) = (Narrow { bits: 8, signed: false }, Narrow { bits: 8, signed: true });
        assert_eq!([255, 256, -1].map(|value| u8.wrap(value)), [255, 0, 255]);
        assert_eq!([127, 128, 255].map(|value| s8.wrap(value)), [127, -128, -1]);
    }

    #[test]
    fn what_may_stand_for_what() {
        assert!(Type::Long.accepts(Type::VirtAddr));
        assert!(!Type::PtePtr.accepts(Type::VirtAddr));
        assert!(!Type::PtePtr.accepts(Type::Long));
        assert!(!Type::VirtAddr.accepts(Type::WordPtr));
        assert!(!Type::VirtAddr.accepts(Type::Int));
        assert!(Type::Page.accepts(Type::Null));
        assert!(!Type::Pte.accepts(Type::Null));
    }
}
