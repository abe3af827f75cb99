//! Computations over registers.

use shootdown_litmus::primitives::{EntryChange, EntryQuestion};
use shootdown_litmus::program::{BinaryOp, UnaryOp};

use crate::value::{UNDEFINED, entry};

/// A register of a thread: an index into its registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reg(pub u16);

/// A computation without effects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expr {
    /// Known before the test runs.
    Const(i64),
    /// A register.
    Reg(Reg),
    /// `!x`, `-x`, `~x`.
    Unary(UnaryOp, Box<Expr>),
    /// `x + y`, ...
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `mk_pte(page, rights)`; with `huge` an upper entry that maps.
    MakeEntry(Box<Expr>, Box<Expr>, bool),
    /// `pte_wrprotect(value)`, ...
    ChangeEntry(EntryChange, Box<Expr>),
    /// `pte_none(value)`, ...
    AskEntry(EntryQuestion, Box<Expr>),
    /// `pte_page(value)`.
    EntryPage(Box<Expr>),
}

impl Expr {
    /// Its value, if it is known before the test runs.
    pub fn constant(&self) -> Option<i64> {
        match self {
            Expr::Const(value) => Some(*value),
            _ => None,
        }
    }

    /// Its value. What is computed from an undefined value is undefined.
    pub fn value(&self, registers: &dyn Fn(Reg) -> i64) -> i64 {
        match self {
            Expr::Const(value) => *value,
            Expr::Reg(reg) => registers(*reg),
            Expr::Unary(op, inner) => match (op, inner.value(registers)) {
                (_, UNDEFINED) => UNDEFINED,
                (UnaryOp::Not, value) => i64::from(value == 0),
                (UnaryOp::Negate, value) => value.wrapping_neg(),
                (_, value) => !value,
            },
            Expr::Binary(op, left, right) => {
                match (left.value(registers), right.value(registers)) {
                    (UNDEFINED, _) | (_, UNDEFINED) => UNDEFINED,
                    (left, right) => binary(*op, left, right),
                }
            }
            Expr::MakeEntry(page, rights, huge) => {
                let flags = rights.value(registers) | if *huge { entry::HUGE } else { 0 };
                entry::make(page.value(registers), flags)
            }
            Expr::ChangeEntry(change, value) => change_entry(*change, value.value(registers)),
            Expr::AskEntry(question, value) => ask_entry(*question, value.value(registers)),
            Expr::EntryPage(value) => entry::page(value.value(registers)),
        }
    }

    /// Calls `each` with every register that it reads.
    pub fn registers(&self, each: &mut dyn FnMut(Reg)) {
        match self {
            Expr::Const(_) => {}
            Expr::Reg(reg) => each(*reg),
            Expr::Unary(_, inner)
            | Expr::ChangeEntry(_, inner)
            | Expr::AskEntry(_, inner)
            | Expr::EntryPage(inner) => inner.registers(each),
            Expr::Binary(_, left, right) | Expr::MakeEntry(left, right, _) => {
                left.registers(each);
                right.registers(each);
            }
        }
    }

    /// The same with other registers.
    pub fn rename(&mut self, name: &dyn Fn(Reg) -> Reg) {
        match self {
            Expr::Const(_) => {}
            Expr::Reg(reg) => *reg = name(*reg),
            Expr::Unary(_, inner)
            | Expr::ChangeEntry(_, inner)
            | Expr::AskEntry(_, inner)
            | Expr::EntryPage(inner) => inner.rename(name),
            Expr::Binary(_, left, right) | Expr::MakeEntry(left, right, _) => {
                left.rename(name);
                right.rename(name);
            }
        }
    }

    /// Computes what needs no register.
    pub fn folded(self) -> Expr {
        let mut known = true;
        self.registers(&mut |_| known = false);
        if known { Expr::Const(self.value(&|_| 0)) } else { self }
    }
}

/// A new value of an entry from an old one. An absent entry stays absent.
pub fn change_entry(change: EntryChange, value: i64) -> i64 {
    if value == 0 {
        return 0;
    }
    match change {
        EntryChange::WriteProtect => value & !entry::WRITE,
        EntryChange::MakeWritable => value | entry::WRITE | entry::READ,
        EntryChange::MakeClean => value & !entry::DIRTY,
        EntryChange::MakeDirty => value | entry::DIRTY,
        EntryChange::MakeOld => value & !entry::YOUNG,
        EntryChange::MakeYoung => value | entry::YOUNG,
        EntryChange::MakeInvalid => value | entry::INVALID,
        EntryChange::MakeValid => value & !entry::INVALID,
    }
}

/// What an entry answers.
pub fn ask_entry(question: EntryQuestion, value: i64) -> i64 {
    i64::from(match question {
        EntryQuestion::None => value == 0,
        EntryQuestion::Present => value != 0,
        EntryQuestion::Write => value & entry::WRITE != 0,
        EntryQuestion::Dirty => value & entry::DIRTY != 0,
        EntryQuestion::Young => value & entry::YOUNG != 0,
        EntryQuestion::Valid => entry::grants(value, false),
        EntryQuestion::Huge => value & entry::HUGE != 0,
    })
}

fn binary(op: BinaryOp, a: i64, b: i64) -> i64 {
    let shift = (b & 63) as u32;
    match op {
        BinaryOp::Add => a.wrapping_add(b),
        BinaryOp::Subtract => a.wrapping_sub(b),
        BinaryOp::Multiply => a.wrapping_mul(b),
        // The value of a division by zero is nobody's.
        BinaryOp::Divide => a.checked_div(b).unwrap_or(UNDEFINED),
        BinaryOp::Remainder => a.checked_rem(b).unwrap_or(UNDEFINED),
        BinaryOp::ShiftLeft => a.wrapping_shl(shift),
        BinaryOp::ShiftRight => a.wrapping_shr(shift),
        BinaryOp::And => a & b,
        BinaryOp::Or => a | b,
        BinaryOp::Xor => a ^ b,
        BinaryOp::Equal => i64::from(a == b),
        BinaryOp::NotEqual => i64::from(a != b),
        BinaryOp::Less => i64::from(a < b),
        BinaryOp::LessEqual => i64::from(a <= b),
        BinaryOp::Greater => i64::from(a > b),
        BinaryOp::GreaterEqual => i64::from(a >= b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let two = || Box::new(Expr::Const(2));
        let sum = Expr::Binary(BinaryOp::Add, Box::new(Expr::Reg(Reg(1))), two());
        assert_eq!(sum.value(&|reg| i64::from(reg.0) * 10), 12);
        assert_eq!(sum.clone().folded(), sum);
        assert_eq!(Expr::Binary(BinaryOp::Multiply, two(), two()).folded(), Expr::Const(4));
        let unknown = Expr::Binary(BinaryOp::Divide, two(), Box::new(Expr::Const(0)));
        assert_eq!(unknown.value(&|_| 0), UNDEFINED);
    }

    #[test]
    fn entries() {
        let writable = entry::make(3, entry::READ | entry::WRITE);
        let protected = change_entry(EntryChange::WriteProtect, writable);
        assert_eq!(ask_entry(EntryQuestion::Write, protected), 0);
        assert_eq!(entry::page(protected), 3);
        assert_eq!(change_entry(EntryChange::MakeWritable, 0), 0, "absent stays absent");
    }
}
