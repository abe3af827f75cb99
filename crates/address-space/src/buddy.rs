//! Which frames are free: blocks of 2 MiB that break into frames and heal.
//!
//! The frame that was freed last is handed out first: the worst case for
//! whoever still holds a translation to it.

use mmu_protocol::PageSize;

use crate::memory::Pfn;

const BLOCK: u64 = PageSize::Huge.base_pages();

enum Block {
    /// Free as a whole.
    Whole,
    /// Given out as a 2 MiB page.
    Huge,
    /// Broken; these of its frames are free.
    Broken(Vec<Pfn>),
}

pub(crate) struct Buddy {
    blocks: Vec<Block>,
    /// Blocks that are free as a whole.
    whole: Vec<usize>,
    /// Broken blocks that had a free frame when they were noted; checked on use.
    partial: Vec<usize>,
    frames: u64,
    free: usize,
}

impl Buddy {
    pub(crate) fn new(frames: usize) -> Self {
        let frames = frames as u64;
        let count = frames.div_ceil(BLOCK) as usize;
        let mut buddy = Buddy {
            blocks: Vec::with_capacity(count),
            whole: Vec::new(),
            partial: Vec::new(),
            frames,
            free: frames as usize,
        };
        for block in 0..count {
            if (block as u64 + 1) * BLOCK <= frames {
                buddy.blocks.push(Block::Whole);
                buddy.whole.push(block);
            } else {
                // The rest of the memory is too small for a 2 MiB page.
                buddy.blocks.push(Block::Broken(buddy.frames_of(block)));
                buddy.partial.push(block);
            }
        }
        // Low frames first.
        buddy.whole.reverse();
        // The zero page is frame 0: its block is broken first.
        buddy.break_one();
        buddy
    }

    pub(crate) fn free_frames(&self) -> usize {
        self.free
    }

    pub(crate) fn take(&mut self, size: PageSize) -> Option<Pfn> {
        let pfn = match size {
            PageSize::Huge => {
                let block = self.whole.pop()?;
                self.blocks[block] = Block::Huge;
                block as u64 * BLOCK
            }
            PageSize::Base => self.take_frame()?,
        };
        self.free -= size.base_pages() as usize;
        Some(pfn)
    }

    fn take_frame(&mut self) -> Option<Pfn> {
        loop {
            let Some(&block) = self.partial.last() else {
                self.break_one().then_some(())?;
                continue;
            };
            if let Block::Broken(free) = &mut self.blocks[block]
                && let Some(pfn) = free.pop()
            {
                return Some(pfn);
            }
            self.partial.pop();
        }
    }

    fn break_one(&mut self) -> bool {
        let Some(block) = self.whole.pop() else { return false };
        self.blocks[block] = Block::Broken(self.frames_of(block));
        self.partial.push(block);
        true
    }

    /// The frames of a block, lowest last.
    fn frames_of(&self, block: usize) -> Vec<Pfn> {
        let first = block as u64 * BLOCK;
        (first..(first + BLOCK).min(self.frames)).rev().collect()
    }

    /// The size of the page that starts here and is in use.
    pub(crate) fn size_of(&self, pfn: Pfn) -> PageSize {
        match self.blocks[(pfn / BLOCK) as usize] {
            Block::Huge => PageSize::Huge,
            _ => PageSize::Base,
        }
    }

    /// Takes a page back.
    pub(crate) fn give(&mut self, pfn: Pfn) {
        let number = (pfn / BLOCK) as usize;
        self.free += self.size_of(pfn).base_pages() as usize;
        let healed = match &mut self.blocks[number] {
            Block::Whole => unreachable!("frame {pfn} was freed while its block was free"),
            Block::Huge => true,
            Block::Broken(free) => {
                free.push(pfn);
                if self.partial.last() != Some(&number) {
                    self.partial.push(number);
                }
                free.len() as u64 == BLOCK
            }
        };
        if healed {
            self.blocks[number] = Block::Whole;
            self.whole.push(number);
        }
        if self.partial.len() > 4 * self.blocks.len() {
            self.forget_repeats();
        }
    }

    /// Notes each broken block once, where it was noted last.
    fn forget_repeats(&mut self) {
        let mut noted = vec![false; self.blocks.len()];
        self.partial.reverse();
        self.partial.retain(|block| !std::mem::replace(&mut noted[*block], true));
        self.partial.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_break_and_heal() {
        let mut buddy = Buddy::new(1024 + 100);
        assert_eq!(buddy.free_frames(), 1124);
        let huge = buddy.take(PageSize::Huge).expect("one block is whole");
        assert_eq!(huge % BLOCK, 0);
        assert_eq!(buddy.take(PageSize::Huge), None, "the other block was broken for frames");
        let mut frames: Vec<_> = std::iter::from_fn(|| buddy.take(PageSize::Base)).collect();
        assert_eq!(frames.len(), 612);
        frames.sort_unstable();
        frames.dedup();
        assert_eq!(frames.len(), 612, "no frame twice");
        assert!(frames.iter().all(|pfn| !(huge..huge + BLOCK).contains(pfn)));
        for pfn in frames {
            buddy.give(pfn);
        }
        buddy.give(huge);
        assert_eq!(buddy.free_frames(), 1124);
        assert!(buddy.take(PageSize::Huge).is_some());
        assert!(buddy.take(PageSize::Huge).is_some(), "the broken block healed");
        assert_eq!(buddy.take(PageSize::Huge), None);
    }

    #[test]
    fn frees_that_alternate_between_blocks_do_not_pile_up() {
        let mut buddy = Buddy::new(2048);
        let mut frames: Vec<_> = (0..1500).map(|_| buddy.take(PageSize::Base).unwrap()).collect();
        for turn in 0..10_000 {
            let at = turn * 511 % frames.len();
            buddy.give(frames[at]);
            assert!(buddy.partial.len() <= 4 * buddy.blocks.len());
            frames[at] = buddy.take(PageSize::Base).unwrap();
        }
        frames.into_iter().for_each(|pfn| buddy.give(pfn));
        assert_eq!(buddy.free_frames(), 2048);
        assert!((0..4).all(|_| buddy.take(PageSize::Huge).is_some()), "all healed");
    }

    #[test]
    fn the_frame_freed_last_is_handed_out_first() {
        let mut buddy = Buddy::new(600);
        let a = buddy.take(PageSize::Base).unwrap();
        let b = buddy.take(PageSize::Base).unwrap();
        let _keeps_the_block_broken = buddy.take(PageSize::Base).unwrap();
        buddy.give(a);
        buddy.give(b);
        assert_eq!(buddy.take(PageSize::Base), Some(b));
    }
}
