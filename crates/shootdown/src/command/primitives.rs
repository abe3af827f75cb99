//! `shootdown primitives`: the words that a test may use without defining them.

use shootdown_litmus::primitives::{Gives, Kind, Primitive, primitives};

/// The table as text; with a word only the rows that have it in their name or
/// their help.
pub fn text(word: Option<&str>) -> String {
    let rows: Vec<&Primitive> = primitives()
        .filter(|row| word.is_none_or(|word| row.name.contains(word) || row.help.contains(word)))
        .collect();
    let mut out = String::new();
    for row in rows {
        for form in row.forms {
            out.push_str(&format!("{}\n", signature(row, form)));
        }
        out.push_str(&format!("    {}\n", row.help));
        if let Some(why) = row.not_covered() {
            out.push_str(&format!("    not covered: {why}\n"));
        }
    }
    out
}

/// A form as C.
pub fn signature(row: &Primitive, form: &[Kind]) -> String {
    let kinds: Vec<&str> = form.iter().map(|kind| word(*kind)).collect();
    let gives = match row.result {
        Gives::Nothing => "void ".to_owned(),
        Gives::One(ty) => format!("{} ", c_type(ty)),
        Gives::OfPlace => "typeof(place) ".to_owned(),
        Gives::OfArgument => "typeof(value) ".to_owned(),
    };
    format!("{gives}{}({})", row.name, kinds.join(", "))
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Place => "place",
        Kind::Pointer => "pointer",
        Kind::Value | Kind::Number => "value",
        Kind::Address => "va",
        Kind::Range => "va or range",
        Kind::Pte => "pte_t",
        Kind::PtePtr => "pte_t *",
        Kind::Pmd => "pmd_t",
        Kind::PmdPtr => "pmd_t *",
        Kind::Page => "struct page *",
        Kind::Rights => "rights",
        Kind::Lock => "lock",
        Kind::LockOut => "&ptl",
        Kind::Space => "mm",
        Kind::Queue => "queue",
        Kind::Iotlb => "iotlb",
        Kind::Atc => "atc",
        Kind::Tlb => "tlb",
        Kind::RootRegister => "context",
        Kind::SoftTlb => "swtlb",
        Kind::Context => "...",
        Kind::Record => "record",
        Kind::Truth => "condition",
    }
}

fn c_type(ty: shootdown_litmus::Type) -> &'static str {
    use shootdown_litmus::Type as T;
    match ty {
        T::Pte => "pte_t",
        T::PtePtr => "pte_t *",
        T::Pmd => "pmd_t",
        T::PmdPtr => "pmd_t *",
        T::Page => "struct page *",
        T::Lock => "spinlock_t *",
        T::Rights => "pgprot_t",
        _ => "int",
    }
}
