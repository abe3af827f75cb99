//! What walks read, and which sets of caches change with what.

use shootdown_step::Target;
use shootdown_step::shape::Source;

use super::foot::{Feet, bits};
use super::objects::{Foot, Kind};
use super::values;

impl Feet<'_> {
    /// What a walk of an address space's table reads.
    pub(super) fn walk(&self, foot: &mut Foot, space: usize, page: usize) {
        let shape = self.world.shape();
        if shape.two_levels {
            self.read(foot, Kind::Upper, space, shape.pages[page].block);
        }
        for table in values::tables_of(self.world, space, page) {
            self.read(foot, Kind::Entry, table, page);
        }
    }

    /// What a cache fills from.
    pub(super) fn source(&self, foot: &mut Foot, cache: usize, page: usize) {
        let is = &self.world.shape().caches[cache];
        match is.source {
            Source::Nothing => {}
            Source::Table => self.walk(foot, is.space, page),
            Source::Soft(soft) => self.read(foot, Kind::Soft, soft, page),
            Source::Cache(source) => self.read(foot, Kind::Set, source, page),
            Source::Roots => {
                let shape = self.world.shape();
                self.contexts(foot);
                (0..shape.spaces.len()).for_each(|space| self.walk(foot, space, page));
            }
            Source::Context(context) => {
                self.contexts(foot);
                let first = self.world.shape().contexts[context].cache;
                for tag in self.world.shape().every_tag(first) {
                    self.read(foot, Kind::Set, tag, page);
                }
            }
        }
    }

    /// Which caches and tables somebody uses depends on what is loaded.
    pub(super) fn contexts(&self, foot: &mut Foot) {
        for context in 0..self.world.shape().contexts.len() {
            self.read(foot, Kind::Context, 0, context);
        }
    }

    /// The caches that a cache is one of: those of all tags of a TLB.
    pub(super) fn tags(&self, cache: usize) -> std::ops::Range<usize> {
        match self.world.shape().caches[cache].source {
            Source::Roots => self.world.shape().every_tag(cache),
            _ => cache..cache + 1,
        }
    }

    /// A context gets another root, or another tag, or nothing.
    pub(super) fn load_root(&self, foot: &mut Foot, context: usize) {
        let shape = self.world.shape();
        self.contexts(foot);
        self.write(foot, Kind::Context, 0, context);
        for (at, cache) in shape.caches.iter().enumerate() {
            let its = self.tags(shape.contexts[context].cache).contains(&at);
            if its || cache.source == Source::Context(context) {
                self.invalidate(foot, at, shape.all_pages());
            }
        }
    }

    /// The end of the chain that a cache fills from.
    pub(super) fn root(&self, cache: usize) -> usize {
        let shape = self.world.shape();
        let mut at = cache;
        loop {
            at = match shape.caches[at].source {
                Source::Cache(source) => source,
                Source::Context(context) => shape.contexts[context].cache,
                _ => return at,
            };
        }
    }

    /// Sets that may grow because what they come from has changed.
    pub(super) fn grown(
        &self,
        foot: &mut Foot,
        page: usize,
        from: impl Fn(&Source, usize) -> bool,
    ) {
        let caches = &self.world.shape().caches;
        for cache in 0..caches.len() {
            let root = &caches[self.root(cache)];
            if from(&root.source, root.space) {
                self.write(foot, Kind::Set, cache, page);
            }
        }
    }

    /// A lower entry gets another value; if it `grants` nothing no set grows.
    pub(super) fn set_entry(&self, foot: &mut Foot, table: usize, page: usize, grants: bool) {
        let shape = self.world.shape();
        self.write(foot, Kind::Entry, table, page);
        if grants || self.world.setting.cache_nonpresent {
            let space = table / shape.blocks.len().max(1);
            let shared = (0..shape.pages.len()).filter(|at| shape.twin(*at) == shape.twin(page));
            for page in shared {
                self.grown(foot, page, |source, of| {
                    *source == Source::Roots
                        || *source == Source::Table && (shape.two_levels || of == space)
                });
            }
        }
    }

    /// A walk for a write sets the dirty bit of the entry that it finds.
    pub(super) fn set_dirty(&self, foot: &mut Foot, root: usize, page: usize) {
        let is = &self.world.shape().caches[root];
        match is.source {
            Source::Soft(soft) => self.set_soft(foot, soft, page),
            _ => {
                for table in values::tables_of(self.world, is.space, page) {
                    self.set_entry(foot, table, page, true);
                }
                if self.world.shape().two_levels {
                    self.upper(foot);
                }
            }
        }
    }

    pub(super) fn upper(&self, foot: &mut Foot) {
        let shape = self.world.shape();
        for space in 0..shape.spaces.len() {
            for block in 0..shape.blocks.len() {
                self.write(foot, Kind::Upper, space, block);
            }
        }
        for page in 0..shape.pages.len() {
            self.grown(foot, page, |source, _| matches!(source, Source::Table | Source::Roots));
        }
    }

    pub(super) fn set_soft(&self, foot: &mut Foot, soft: usize, page: usize) {
        self.write(foot, Kind::Soft, soft, page);
        self.grown(foot, page, |source, _| *source == Source::Soft(soft));
    }

    /// Pages, and those that huge entries and tables are shared with.
    pub(super) fn blocks(&self, pages: u64) -> u64 {
        let shape = self.world.shape();
        if !shape.two_levels {
            return pages;
        }
        let touched = shape.blocks.iter().filter(|block| block.iter().any(|p| pages >> p & 1 != 0));
        touched.flatten().fold(pages, |pages, page| pages | 1 << page)
    }

    /// A cache forgets pages, and fills again from what there is.
    pub(super) fn invalidate(&self, foot: &mut Foot, cache: usize, pages: u64) {
        for page in bits(self.blocks(pages)) {
            self.write(foot, Kind::Set, cache, page);
            self.source(foot, cache, page);
        }
    }

    pub(super) fn flush_cpu(&self, foot: &mut Foot, space: usize, pages: u64) {
        for (at, cache) in self.world.shape().caches.iter().enumerate() {
            if cache.cpu && cache.space == space {
                self.invalidate(foot, at, pages);
            }
        }
    }

    /// Frames that a cache may ever lead to from a page.
    pub(super) fn may_hold(&self, cache: usize, page: usize) -> u64 {
        let shape = self.world.shape();
        let root = &shape.caches[self.root(cache)];
        match root.source {
            _ if self.world.target == Target::Ideal || shape.two_levels => {
                (1 << shape.frames.len()) - 1
            }
            Source::Soft(soft) => self.maps.softs[soft][page],
            Source::Roots => (0..shape.spaces.len()).fold(0, |mask, space| {
                mask | values::mapped_at(self.world, self.maps, space, page)
            }),
            _ => values::mapped_at(self.world, self.maps, root.space, page),
        }
    }

    pub(super) fn all_sets(&self, foot: &mut Foot) {
        let shape = self.world.shape();
        for cache in 0..shape.caches.len() {
            for page in 0..shape.pages.len() {
                self.read(foot, Kind::Set, cache, page);
            }
        }
        self.contexts(foot);
    }
}
