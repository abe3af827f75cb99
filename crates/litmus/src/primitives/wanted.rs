//! What software asks of the page behind an address, as the flags of
//! `get_user_pages` do.

/// What is wanted of the page behind an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// That it is there.
    Page,
    /// That it may be written as well (`FOLL_WRITE`).
    Writable,
    /// That it is pinned, and may be written.
    Pin,
}
