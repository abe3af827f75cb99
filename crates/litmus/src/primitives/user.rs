//! What a program asks its kernel for.

use super::Kind::{Address, Context, Number, Rights, Space};
use super::row;
use super::{Action, Gives, Primitive, Tag, UserCall};
use crate::types::Type;

const INT: Gives = Gives::One(Type::Int);
const SLEEPS: &[Tag] = &[Tag::Sleeps];

/// The rows. Lengths are taken and mean one page: names are pages.
#[rustfmt::skip]
pub(super) static ROWS: &[Primitive] = &[
    row("mmap", &[&[Address], &[Address, Context]], INT, Action::User(UserCall::Mmap), SLEEPS, "maps a page of zeroes at an address"),
    row("munmap", &[&[Address], &[Address, Context]], INT, Action::User(UserCall::Munmap), SLEEPS, "unmaps an address"),
    row("mprotect", &[&[Address, Rights], &[Address, Context, Rights]], INT, Action::User(UserCall::Mprotect), SLEEPS, "changes what accesses are allowed"),
    row("mremap", &[&[Address, Address], &[Address, Context, Address]], INT, Action::User(UserCall::Mremap), SLEEPS, "moves what is at the first address to the second"),
    row("madvise", &[&[Address, Number], &[Address, Context, Number]], INT, Action::User(UserCall::Madvise), SLEEPS, "gives advice: MADV_DONTNEED, MADV_FREE and others"),
    row("fork", &[&[], &[Space]], INT, Action::User(UserCall::Fork), SLEEPS, "copies the address space; threads `@child` begin when it returns"),
    row("exit", &[&[], &[Context]], Gives::Nothing, Action::User(UserCall::Exit), SLEEPS, "ends the address space"),
];
