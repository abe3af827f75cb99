//! The functions of a C file, as lists of tokens.
//!
//! The text is read as it is, without a preprocessor: what stands between
//! `#ifdef` and `#endif` counts whatever the configuration. A name that is
//! defined several times has all its definitions, in their order.

use std::collections::BTreeMap;

use tree_sitter::{Node, Parser};

use crate::Digest;

/// All definitions of one name in one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definition {
    tokens: Vec<String>,
}

impl Definition {
    /// Of its tokens.
    pub fn digest(&self) -> Digest {
        Digest::of(self.tokens.iter().map(String::as_str))
    }
}

/// Functions and macros with arguments, by name.
///
/// # Panics
///
/// If the parser's two libraries are of versions that do not fit, which the
/// tests would show.
pub fn definitions(text: &str) -> BTreeMap<String, Definition> {
    let mut parser = Parser::new();
    parser
        .set_language(&tree_sitter_c::LANGUAGE.into())
        .expect("the grammar fits the parser's version");
    let mut found = BTreeMap::new();
    if let Some(tree) = parser.parse(text, None) {
        collect(tree.root_node(), text, &mut found);
    }
    found
}

fn collect(node: Node<'_>, text: &str, found: &mut BTreeMap<String, Definition>) {
    let name = match node.kind() {
        "function_definition" => node.child_by_field_name("declarator").and_then(declared),
        "preproc_function_def" => node.child_by_field_name("name"),
        _ => None,
    };
    if let Some(name) = name {
        let definition = found.entry(text[name.byte_range()].to_owned()).or_default();
        tokens(node, text, &mut definition.tokens);
        return;
    }
    let mut cursor = node.walk();
    for child in node.children(&mut cursor) {
        collect(child, text, found);
    }
}

/// The name in a declarator: `*(*f)(int)` leads to `f`.
fn declared(node: Node<'_>) -> Option<Node<'_>> {
    match node.kind() {
        "identifier" => Some(node),
        _ => {
            let inner = node.child_by_field_name("declarator");
            let mut cursor = node.walk();
            let inner = inner.or_else(|| node.named_children(&mut cursor).next());
            inner.and_then(declared)
        }
    }
}

fn tokens(node: Node<'_>, text: &str, into: &mut Vec<String>) {
    match node.kind() {
        "comment" => {}
        // The body of a macro is one token to the parser.
        "preproc_arg" => {
            let body = text[node.byte_range()].replace("\\\n", " ");
            into.extend(body.split_whitespace().map(str::to_owned));
        }
        _ if node.child_count() == 0 => {
            let token = text[node.byte_range()].trim();
            if !token.is_empty() {
                into.push(token.to_owned());
            }
        }
        _ => {
            let mut cursor = node.walk();
            for child in node.children(&mut cursor) {
                tokens(child, text, into);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str, name: &str) -> Option<Digest> {
        definitions(text).get(name).map(Definition::digest)
    }

    #[test]
    fn comments_and_blanks_do_not_count() {
        let one = "static int f(int x)\n{\n\treturn x + 1; /* more */\n}\n";
        let two = "static int\nf(int x) { // other\n  return x\n + 1; }\n";
        assert!(digest(one, "f").is_some());
        assert_eq!(digest(one, "f"), digest(two, "f"));
        assert_ne!(digest(one, "f"), digest(&one.replace("+ 1", "+ 2"), "f"));
    }

    #[test]
    fn pointers_attributes_macros_and_branches() {
        let text = "\
static __always_inline struct page *g(struct vm_area_struct *vma) { return NULL; }
#define pte_clear_it(vma, ptep) \\
({\t\t\\
\tptep_clear(ptep);\t\\
})
#ifdef CONFIG_X
int h(void) { return 1; }
#else
int h(void) { return 2; }
#endif
";
        let found = definitions(text);
        let names: Vec<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(names, ["g", "h", "pte_clear_it"]);
        // Both branches count.
        assert_ne!(digest(text, "h"), digest(&text.replace("return 2", "return 3"), "h"));
        let wider = text.replace("\t\t\\\n", " \\\n");
        assert_eq!(digest(text, "pte_clear_it"), digest(&wider, "pte_clear_it"));
    }
}
