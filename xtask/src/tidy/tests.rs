//! Which tests there are.

use std::collections::BTreeMap;

use crate::source::Source;
use crate::tree::Tree;

/// Where a test is.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) path: String,
    pub(super) line: usize,
    pub(super) ignored: bool,
}

/// Every function under `crates/*/src` and `crates/*/tests` that is marked as
/// a test, by its name. A model-checked test is marked like any other.
pub(super) fn test_functions(tree: &Tree) -> BTreeMap<String, Vec<Place>> {
    let mut tests: BTreeMap<String, Vec<Place>> = BTreeMap::new();
    for (path, text) in tree.crate_tests() {
        for function in Source::parse(text).functions() {
            if function.attributes.iter().any(|attribute| is_test(attribute)) {
                tests.entry(function.name).or_default().push(Place {
                    path: path.to_owned(),
                    line: function.line,
                    ignored: function.attributes.iter().any(|a| a.starts_with("#[ignore")),
                });
            }
        }
    }
    tests
}

/// `#[test]`, or one of some other harness: `#[shuttle::test]`.
fn is_test(attribute: &str) -> bool {
    let name = attribute.trim_start_matches("#[").split([']', '(', '=']).next();
    name.is_some_and(|name| name == "test" || name.ends_with("::test"))
}
