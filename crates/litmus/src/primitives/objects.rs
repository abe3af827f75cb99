//! The primitives of objects that come and go: their memory, and the list of
//! those that are told of changes.

use super::Kind::{Context, Number, Record, Space};
use super::row;
use super::{Action, Gives, Kind, LifeOp, ListOp, Primitive, Tag};
use crate::types::Type;

const VOID: Gives = Gives::Nothing;
const INT: Gives = Gives::One(Type::Int);
const ONE: &[&[Kind]] = &[&[Record]];
const FREE: Action = Action::Life(LifeOp::Free);
const MAKE: Action = Action::Life(LifeOp::Make);

#[rustfmt::skip]
pub(super) static ROWS: [Primitive; 12] = [
    row("kfree", ONE, VOID, FREE, &[], "frees an object: `kfree(&s)`"),
    row("kmem_cache_free", &[&[Context, Record]], VOID, FREE, &[], "frees an object"),
    row("kzalloc", &[&[Record], &[Record, Number]], VOID, MAKE, &[Tag::Allocates, Tag::Sleeps], "makes an object of zeroes: `kzalloc(&s)`; until then it does not exist"),
    row("kmem_cache_zalloc", &[&[Context, Record], &[Context, Record, Number]], VOID, MAKE, &[Tag::Allocates, Tag::Sleeps], "makes an object of zeroes; until then it does not exist"),
    row("hlist_unhashed", ONE, INT, Action::List(ListOp::Unhashed), &[Tag::Load], "whether a subscriber is on no list"),
    row("hlist_add_head_rcu", ONE, VOID, Action::List(ListOp::Add), &[Tag::Store, Tag::Release], "puts a subscriber on the list of its address space"),
    row("hlist_del_rcu", ONE, VOID, Action::List(ListOp::Delete), &[Tag::Store], "takes it off"),
    row("hlist_del_init_rcu", ONE, VOID, Action::List(ListOp::Delete), &[Tag::Store], "takes it off"),
    row("hlist_empty", &[&[Space]], INT, Action::List(ListOp::Empty), &[Tag::Load], "whether nobody is on the list of an address space"),
    row("call_release", ONE, VOID, Action::List(ListOp::Release), &[], "calls `.release` of a subscriber"),
    row("call_release_of_all", &[&[Space]], VOID, Action::List(ListOp::ReleaseAll), &[], "calls `.release` of every subscriber on the list"),
    row("hlist_del_init_all", &[&[Space]], VOID, Action::List(ListOp::DeleteAll), &[Tag::Store], "takes every subscriber off the list"),
];
