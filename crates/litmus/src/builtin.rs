//! Handlers of faults that a test can name without defining them. They are
//! texts like any other, added behind the test's own.

use crate::ast::Test;
use crate::diag::Diagnostic;
use crate::lex::lex;
use crate::parse::parse;
use crate::preprocess::preprocess;
use crate::source::{Files, NoSources};
use crate::variant::Variant;

/// A handler with its text, and whom it calls.
struct Builtin {
    name: &'static str,
    text: &'static str,
    calls: Option<&'static str>,
}

const HANDLERS: [Builtin; 2] = [
    Builtin {
        name: "handle_mm_fault",
        text: include_str!("builtin/handle_mm_fault.mm"),
        calls: None,
    },
    Builtin {
        name: "do_page_request",
        text: include_str!("builtin/do_page_request.mm"),
        calls: Some("handle_mm_fault"),
    },
];

/// Adds the handlers that a test names and does not define.
pub(crate) fn add(test: &mut Test, files: &mut Files, errors: &mut Vec<Diagnostic>) {
    let mut wanted: Vec<String> =
        test.faults.iter().map(|(_, name)| name.name.to_string()).collect();
    while let Some(name) = wanted.pop() {
        let Some(builtin) = HANDLERS.iter().find(|builtin| builtin.name == name) else { continue };
        if test.functions.iter().any(|f| f.body.is_some() && *f.name.name == *name) {
            continue;
        }
        let file = files.add(&format!("<builtin>/{name}"), builtin.text);
        let lexed = lex(file, builtin.text, 0);
        errors.extend(lexed.errors);
        let done = preprocess(files, file, lexed.tokens, &NoSources, &Variant::base());
        errors.extend(done.errors);
        let tree = parse(done.tokens);
        errors.extend(tree.errors);
        test.functions.extend(tree.test.functions);
        wanted.extend(builtin.calls.map(str::to_owned));
    }
}
