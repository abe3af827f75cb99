//! Where pages wait until every TLB was told that they are gone.

#[cfg(feature = "alloc")]
use alloc::vec::Vec;

/// A store for pages that must not be freed yet.
///
/// It may be full: then the page's TLBs are notified at once, under the lock,
/// and the page is released; no storage is needed for that.
pub trait DeferPages<P>: Default {
    /// Keeps the page.
    ///
    /// # Errors
    ///
    /// The page itself, if there is no room for it.
    fn push(&mut self, page: P) -> Result<(), P>;

    /// Hands every page to `release` and leaves the store empty.
    fn drain(&mut self, release: impl FnMut(P));
}

/// A fixed number of places, without an allocator.
#[derive(Debug)]
pub struct DeferArray<P, const N: usize> {
    pages: [Option<P>; N],
    len: usize,
}

impl<P, const N: usize> Default for DeferArray<P, N> {
    fn default() -> Self {
        DeferArray { pages: [const { None }; N], len: 0 }
    }
}

impl<P, const N: usize> DeferPages<P> for DeferArray<P, N> {
    fn push(&mut self, page: P) -> Result<(), P> {
        match self.pages.get_mut(self.len) {
            Some(place) => {
                *place = Some(page);
                self.len += 1;
                Ok(())
            }
            None => Err(page),
        }
    }

    fn drain(&mut self, mut release: impl FnMut(P)) {
        let len = core::mem::take(&mut self.len);
        for place in &mut self.pages[..len] {
            if let Some(page) = place.take() {
                release(page);
            }
        }
    }
}

/// Grows as needed; never full.
#[cfg(feature = "alloc")]
impl<P> DeferPages<P> for Vec<P> {
    fn push(&mut self, page: P) -> Result<(), P> {
        Vec::push(self, page);
        Ok(())
    }

    fn drain(&mut self, mut release: impl FnMut(P)) {
        for page in core::mem::take(self) {
            release(page);
        }
    }
}
