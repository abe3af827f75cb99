//! The litmus language of shootdown: from text to a checked program.
//!
//! ```text
//! text -> lex -> preprocess (one variant) -> parse -> check -> Program
//! ```
//!
//! The language is the C dialect of the Linux kernel memory model, wide enough
//! that a hunk of kernel code can be pasted and trimmed, with lines for page
//! tables, TLBs and invalidation queues. What it means is not decided here:
//! the result is a [`Program`] of flat [steps](program::Op), and the machine
//! that runs it is built from that.
//!
//! ```
//! use shootdown_litmus::{NoSources, Variant, check_source};
//!
//! let text = "
//! C doorbell-without-tables
//! {}
//! P0(int *x, int *y) { WRITE_ONCE(*x, 1); smp_store_release(y, 1); }
//! P1(int *x, int *y) { int r0 = smp_load_acquire(y); int r1 = READ_ONCE(*x); }
//! exists (1:r0=1 /\\ 1:r1=0)
//! ";
//! let program = check_source("mp.litmus", text, &NoSources, &Variant::base())?;
//! assert_eq!(program.threads.len(), 2);
//! assert_eq!(program.threads[1].body.ops.len(), 3); // two loads and the end
//!
//! let wrong = text.replace("READ_ONCE", "REED_ONCE");
//! let messages = check_source("mp.litmus", &wrong, &NoSources, &Variant::base()).unwrap_err();
//! assert!(messages.to_string().starts_with(
//!     "mp.litmus:5:61: error: unknown primitive `REED_ONCE`\n"
//! ));
//! # Ok::<(), shootdown_litmus::Diagnostics>(())
//! ```
//!
//! All messages of a file are given at once, and none of them is a panic:
//! whatever the bytes, the answer is a program or [`Diagnostics`].

mod ast;
mod builtin;
mod check;
mod diag;
mod expect;
mod gaps;
mod header;
mod lex;
mod names;
mod parse;
mod preprocess;
pub mod primitives;
pub mod program;
mod source;
mod steps;
mod types;
mod variant;

pub use diag::{Diagnostic, Diagnostics, Severity};
pub use expect::{Claim, Expectation, Expectations, Finding, HowOften, Setting};
pub use gaps::Gap;
pub use header::{Header, KernelResult, ResultWord, VERSION};
pub use lex::Name;
pub use names::{CONSTANTS, Constant, constant};
pub use program::Program;
pub use source::{
    Directories, Either, Embedded, File, FileId, Files, Found, Include, LineColumn, MAX_BYTES,
    NoSources, SourceError, Sources, Span, read_file, text_of,
};
pub use types::{Narrow, RecordId, TlbKind, Type};
pub use variant::{Variant, Variants};

/// Reads one variant of a test, completely.
///
/// # Errors
///
/// All messages about the text, if one of them is an error.
pub fn check_source(
    name: &str,
    text: &str,
    sources: &dyn Sources,
    variant: &Variant,
) -> Result<Program, Diagnostics> {
    let read = read_variant(name, text, sources, variant)?;
    check::check(read, variant)
}

/// The variants that a test offers and those that are to be judged.
///
/// ```
/// use shootdown_litmus::{NoSources, variants};
///
/// let text = "C t\n{}\n#ifdef LATE\n#endif\nP0() {}\nexists (true)";
/// let offered = variants("t.litmus", text, &NoSources)?;
/// assert_eq!(offered.switches, ["LATE"]);
/// assert_eq!(offered.listed.len(), 2); // the base and LATE
/// # Ok::<(), shootdown_litmus::Diagnostics>(())
/// ```
///
/// # Errors
///
/// All messages about the base variant that its parse gives.
pub fn variants(name: &str, text: &str, sources: &dyn Sources) -> Result<Variants, Diagnostics> {
    let read = read_variant(name, text, sources, &Variant::base())?;
    if read.errors.iter().any(|error| error.severity == Severity::Error) {
        return Err(Diagnostics::new(read.files, read.errors));
    }
    let expected: Vec<Variant> = read
        .test
        .expect
        .iter()
        .filter(|line| !line.variants.is_empty())
        .map(|line| Variant::new(line.variants.iter().map(|name| name.name.to_string())))
        .collect();
    let switches = read.switches.iter().map(|(name, _)| name.to_string()).collect();
    Ok(Variants::new(switches, &expected))
}

/// A variant as a tree, with the errors so far.
pub(crate) struct Read {
    pub(crate) files: Files,
    pub(crate) header: Header,
    pub(crate) test: ast::Test,
    pub(crate) switches: Vec<(Name, Span)>,
    pub(crate) errors: Vec<Diagnostic>,
}

fn read_variant(
    name: &str,
    text: &str,
    sources: &dyn Sources,
    variant: &Variant,
) -> Result<Read, Diagnostics> {
    if let Some(why) = source::refuse(text.as_bytes()) {
        return Err(Diagnostics::whole_file(name, why));
    }
    let mut files = Files::default();
    let root = files.add(name, text);
    // A first look finds the comments before the first brace, which may say
    // what to expect; where the program begins is known after the header.
    let leading = lex::lex(root, text, 0).leading;
    let header::Scanned { header, end, mut errors } = header::scan(root, name, text, &leading);
    let lexed = lex::lex(root, text, end);
    errors.extend(lexed.errors);
    let done = preprocess::preprocess(&mut files, root, lexed.tokens, sources, variant);
    errors.extend(done.errors);
    let mut tree = parse::parse(done.tokens);
    errors.extend(tree.errors);
    builtin::add(&mut tree.test, &mut files, &mut errors);
    Ok(Read { files, header, test: tree.test, switches: done.switches, errors })
}
