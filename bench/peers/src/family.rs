//! The family of models that all checkers are given, and our text of it.
//!
//! Pages that are copied on write under an MMU notifier, at any number of
//! pages and devices. Every page has a thread that replaces it:
//!
//! ```text
//! range_start, lock, clear, flush the CPU's TLB, [notify], set, unlock, range_end
//! ```
//!
//! under one lock for all pages; *under the lock* it notifies where the
//! brackets are, *deferred* it does so in the step of range_end. A notification
//! makes all devices forget the page, in one step. A writer stores to page 0,
//! 1, .. each as soon as the page's new frame is mapped. Every device reads the
//! pages from the last to the first, once each, through its TLB, which may
//! cache an entry at any time while the entry is present.
//!
//! The property: nobody reads a new value and then an old one. Since the
//! writer goes up and the readers go down, that is what a single memory
//! promises. It holds under the lock and is broken by the deferred policy.
//!
//! The texts for Spin and Rumur are in `models/`, that for stateright is
//! [`crate::in_rust`]. They take the same steps, so that without reductions
//! every tool counts the same states: [`crate::known`] has the numbers.

use std::fmt::{self, Write};
use std::str::FromStr;

/// How many pages and devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size {
    pub pages: usize,
    pub devices: usize,
}

/// What the models have room for.
pub const MOST: Size = Size { pages: 6, devices: 4 };

impl Size {
    pub const fn new(pages: usize, devices: usize) -> Self {
        Size { pages, devices }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let Size { pages, devices } = *self;
        write!(f, "{pages} page{}, {devices} device{}", plural(pages), plural(devices))
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once(',').and_then(|(pages, devices)| {
            Some(Size::new(pages.trim().parse().ok()?, devices.trim().parse().ok()?))
        });
        let size = numbers.ok_or_else(|| format!("`{text}` is no size; write PAGES,DEVICES"))?;
        let fits =
            (1..=MOST.pages).contains(&size.pages) && (1..=MOST.devices).contains(&size.devices);
        if !fits {
            let Size { pages, devices } = MOST;
            return Err(format!("`{text}`: 1 to {pages} pages and 1 to {devices} devices"));
        }
        Ok(size)
    }
}

/// When the secondary TLBs are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Between clear and set.
    UnderLock,
    /// In range_end.
    Deferred,
}

impl Policy {
    pub const ALL: [Policy; 2] = [Policy::UnderLock, Policy::Deferred];

    pub fn name(self) -> &'static str {
        match self {
            Policy::UnderLock => "under the lock",
            Policy::Deferred => "deferred",
        }
    }

    /// Whether the property holds. One page cannot be read in the wrong order.
    pub fn holds(self, size: Size) -> bool {
        self == Policy::UnderLock || size.pages < 2
    }
}

/// The litmus file of a member.
///
/// The writer must not fault a page in by itself, or it would be one more copy:
/// it waits until the entry is writable. A device that finds no entry asks
/// again. The peers tell all devices in one step; so the devices share a TLB
/// here, which is the same: TLBs that fill from one table and are told at the
/// same time may always hold the same.
pub fn litmus(size: Size, policy: Policy) -> String {
    let pages: Vec<char> = ('a'..).take(size.pages).collect();
    let devices = 0..size.devices;
    let list = |item: &dyn Fn(&char) -> String, separator: &str| {
        pages.iter().map(item).collect::<Vec<_>>().join(separator)
    };
    let mut text = String::new();
    let name = if policy == Policy::UnderLock { "locked" } else { "deferred" };
    let _ = writeln!(
        text,
        "// SPDX-License-Identifier: MIT OR Apache-2.0\n\
         // shootdown-litmus 1\n\
         C cow-{}-pages-{}-devices-{name}\n\
         \"{size}, secondary TLBs told {}\"\n\n{{",
        size.pages,
        size.devices,
        if policy == Policy::UnderLock { "under the lock" } else { "at range_end" },
    );
    for page in &pages {
        let _ = writeln!(text, "    map {page} -> F{page} {{0}} : ro anon cow x2;");
    }
    let _ = writeln!(text, "    ptl shared {};", list(&|page| page.to_string(), ", "));
    text.push_str("    iotlb T <- mm;\n    device dev : T, pasid 1, order waits;\n}\n\n");

    text.push_str(
        "static void forget(struct mmu_notifier *mn, struct mm_struct *mm,\n                   \
         unsigned long start, unsigned long end)\n{\n",
    );
    text.push_str(
        "    tlb_flush(T, start, end);\n}\nstatic const struct mmu_notifier_ops ops = { .invalidate_range = forget };\n\
         subscribe mm : ops;\n",
    );
    text.push_str(
        "static vm_fault_t ask_again(struct vm_fault *vmf)\n{\n    return 0;\n}\nfault dev = ask_again;\n",
    );

    let (inside, end) = match policy {
        Policy::UnderLock => ("    mmu_notifier_invalidate_range(va);\n", "only_end"),
        Policy::Deferred => ("", "end"),
    };
    let _ = write!(
        text,
        "\n__implements(nop)\n\
         static void copy(unsigned long va)\n{{\n    \
             struct page *new = alloc_zeroed_page();\n    \
             spinlock_t *ptl;\n    \
             pte_t *pte;\n\n    \
             mmu_notifier_invalidate_range_start(va);\n    \
             pte = pte_offset_map_lock(va, &ptl);\n    \
             ptep_get_and_clear(pte);\n    \
             flush_tlb_page(va);\n\
         {inside}    \
             set_pte_at(pte, mk_pte(new, RW));\n    \
             pte_unmap_unlock(pte, ptl);\n    \
             mmu_notifier_invalidate_range_{end}(va);\n}}\n\n\
         __implements(nop)\n\
         static void wait_until_copied(unsigned long va)\n{{\n    \
             pte_t *pte = pte_offset_map(va);\n\n    \
             while (!pte_write(ptep_get(pte)))\n        \
                 cond_resched();\n    \
             pte_unmap(pte);\n}}\n\n",
    );

    for (thread, page) in pages.iter().enumerate() {
        let _ = writeln!(text, "P{thread}(int *{page}) {{ copy({page}); }}");
    }
    let _ = writeln!(text, "P{}({})\n{{", size.pages, list(&|page| format!("int *{page}"), ", "));
    for page in &pages {
        let _ = writeln!(text, "    wait_until_copied({page});\n    WRITE_ONCE(*{page}, 1);");
    }
    text.push_str("}\n");
    for d in devices.clone() {
        let _ = writeln!(text, "D{d}@dev({})\n{{", list(&|page| format!("int *{page}"), ", "));
        for page in pages.iter().rev() {
            let _ = writeln!(text, "    int r{page} = READ_ONCE(*{page});");
        }
        text.push_str("}\n");
    }
    let _ = write!(text, "\nexists ({})\n\n", condition(size, &pages));
    text.push_str(match policy.holds(size) {
        true => "expect { * : clean, Never; }\n",
        false => "expect { * : NEW at \"set_pte_at\", Sometimes; }\n",
    });
    text
}

/// A new value and then, of a page further down, an old one; in any device.
fn condition(size: Size, pages: &[char]) -> String {
    let mut ways = Vec::new();
    for d in 0..size.devices {
        for (index, first) in pages.iter().enumerate() {
            for then in &pages[..index] {
                ways.push(format!("(D{d}:r{first}=1 /\\ D{d}:r{then}=0)"));
            }
        }
    }
    if ways.is_empty() { "false".to_owned() } else { ways.join(" \\/\n        ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shootdown_litmus::{NoSources, Variant, check_source};

    #[test]
    fn every_member_is_a_litmus_test() {
        for pages in 1..=MOST.pages {
            for devices in 1..=MOST.devices {
                for policy in Policy::ALL {
                    let size = Size::new(pages, devices);
                    let text = litmus(size, policy);
                    let program = check_source("t", &text, &NoSources, &Variant::base())
                        .unwrap_or_else(|messages| panic!("{messages}\n{text}"));
                    assert_eq!(program.warnings.to_string(), "", "{text}");
                    // The copies, the writer, the readers.
                    assert_eq!(program.threads.len(), pages + 1 + devices);
                }
            }
        }
    }

    #[test]
    fn the_policies_differ_in_where_they_notify() {
        let size = Size::new(2, 1);
        let locked = litmus(size, Policy::UnderLock);
        let deferred = litmus(size, Policy::Deferred);
        assert!(locked.contains("invalidate_range(va)") && locked.contains("range_only_end(va)"));
        assert!(!deferred.contains("invalidate_range(va)") && deferred.contains("range_end(va)"));
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!("4,3".parse(), Ok(Size::new(4, 3)));
        assert_eq!("4x3".parse::<Size>(), Err("`4x3` is no size; write PAGES,DEVICES".to_owned()));
        assert_eq!("9,1".parse::<Size>(), Err("`9,1`: 1 to 6 pages and 1 to 4 devices".to_owned()));
    }
}
