//! What has no answer under `ra`. What is not listed here as known is refused.

use shootdown_litmus::primitives::LockOp;
use shootdown_litmus::program::ContractKind;
use shootdown_step::{EntryAt, Lowered, Op, Site};

use crate::setting::{HwDirty, Setting};

/// What `ra` cannot answer, and where.
///
/// # Errors
///
/// The first thing that has no meaning under `ra`.
pub fn covered<'l>(
    lowered: &'l Lowered,
    setting: &Setting,
) -> Result<(), (String, Option<&'l Site>)> {
    let shape = &lowered.shape;
    let dials = [
        (
            shape.two_levels && !shape.contexts.is_empty(),
            "two levels of page tables together with contexts",
        ),
        (shape.caches.iter().any(|cache| cache.noncoherent), "walkers that do not snoop"),
        (setting.hw_dirty != HwDirty::No, "hardware that writes entries (`hw_dirty`)"),
        (setting.cache_nonpresent, "absent entries that are cached (`cache_nonpresent`)"),
    ];
    if let Some((_, what)) = dials.iter().find(|(asked, _)| *asked) {
        return Err((format!("{what}: not modelled under ra"), None));
    }
    for call in &lowered.contracts {
        use ContractKind::{Downgrade, Exit, Move, Nop, Replace, Revoke, Upgrade, Zap};
        if !matches!(call.kind, Nop | Zap | Replace | Downgrade | Upgrade | Revoke | Exit | Move) {
            let why = format!("the contract {:?} is not modelled under ra", call.kind);
            return Err((why.to_lowercase(), None));
        }
    }
    for code in &lowered.threads {
        for number in 1..code.steps.len() {
            let Some((op, site)) = code.step(number) else { continue };
            if !knows(op) {
                return Err((format!("`{}` is not modelled under ra", site.name), Some(site)));
            }
        }
    }
    Ok(())
}

/// Whether a step has a meaning under `ra`.
fn knows(op: &Op) -> bool {
    match op {
        Op::Lock { op, .. } => {
            matches!(op, LockOp::Lock | LockOp::Unlock | LockOp::ReadLock | LockOp::ReadUnlock)
        }
        Op::EntryLock { entry, .. }
        | Op::ReadEntry { entry, .. }
        | Op::ClearEntry { entry, .. }
        | Op::SetEntry { entry, .. }
        | Op::WriteProtectEntry { entry }
        | Op::SetAccessFlags { entry, .. } => !matches!(entry, EntryAt::Soft(..)),
        Op::Access { .. }
        | Op::Fence(_)
        | Op::Alloc { .. }
        | Op::GetPage { .. }
        | Op::PutPage { .. }
        | Op::CopyPage { .. }
        | Op::ClearPage { .. }
        | Op::PageWrite { .. }
        | Op::PageRead { .. }
        | Op::PageCount { .. }
        | Op::MapEntry { .. }
        | Op::FlushCpu { .. }
        | Op::FlushCache { .. }
        | Op::FlushContext { .. }
        | Op::LoadRoot { .. }
        | Op::Lazy { .. }
        | Op::EntryOfTable { .. }
        | Op::Populate { .. }
        | Op::AllocTable { .. }
        | Op::FreeTable { .. }
        | Op::Post { .. }
        | Op::Sync { .. }
        | Op::Enter { .. }
        | Op::Leave { .. }
        | Op::GraceStart { .. }
        | Op::GraceWait { .. }
        | Op::SoftInstall { .. }
        | Op::SoftZap { .. }
        | Op::RangeOpen { .. }
        | Op::RangeClose { .. }
        | Op::GatherStart
        | Op::GatherPage { .. }
        | Op::GatherFlush { .. }
        | Op::GatherFree
        | Op::PageBehind { .. }
        | Op::Probe { .. }
        | Op::EnterFault { .. }
        | Op::SetRights { .. }
        | Op::AskRights { .. }
        | Op::Choose { .. }
        | Op::Begin { .. }
        | Op::Moment { .. }
        | Op::Return { .. }
        | Op::Warn { .. }
        | Op::Fail(_) => true,
        Op::SamePages { .. }
        | Op::Dirty { .. }
        | Op::MoveMarks { .. }
        | Op::Unpin { .. }
        | Op::Pinned { .. }
        | Op::WriteBack { .. }
        | Op::SetChildEntry { .. }
        | Op::Flags { .. }
        | Op::ExchangeEntry { .. }
        | Op::PostWrite { .. }
        | Op::Life { .. }
        | Op::ForkEntries { .. }
        | Op::Born { .. } => false,
    }
}
