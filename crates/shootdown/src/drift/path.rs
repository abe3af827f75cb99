//! Files that cite kernel functions, and which tests include which parts.

use std::collections::BTreeMap;

use shootdown_drift::{Citation, citations};

/// A file of the language: a test, or a part for tests to include.
#[derive(Clone, Debug)]
pub struct Path {
    /// Its name, such as `kernels/v6.1/cow.mm`.
    pub name: String,
    /// What it cites itself, each function once.
    pub cites: Vec<Citation>,
    /// Parts that it includes, and that these include, by name.
    pub includes: Vec<String>,
    /// It has threads, so it is a test and not a part.
    pub is_test: bool,
}

/// Files with their citations and includes, in the order of their names.
pub fn paths(files: &[(String, String)]) -> Vec<Path> {
    let texts: BTreeMap<&str, &str> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    let list = texts.iter().map(|(name, text)| {
        let mut cites = Vec::new();
        for cited in citations(text) {
            let known = cites.iter().any(|known: &Citation| {
                (&known.tag, &known.file, &known.function)
                    == (&cited.tag, &cited.file, &cited.function)
            });
            if !known {
                cites.push(cited);
            }
        }
        let mut includes = Vec::new();
        gather(text, &texts, &mut includes);
        let is_test = name.ends_with(".litmus");
        Path { name: (*name).to_owned(), cites, includes, is_test }
    });
    list.collect()
}

fn gather(text: &str, texts: &BTreeMap<&str, &str>, into: &mut Vec<String>) {
    for line in text.lines() {
        let Some(rest) = line.trim_start().strip_prefix("#include") else { continue };
        let Some(named) = rest.trim().strip_prefix('<').and_then(|rest| rest.split_once('>'))
        else {
            continue;
        };
        // `<kernel/v6.1/cow>` is `kernels/v6.1/cow.mm`.
        let Some((folder, part)) = named.0.split_once('/') else { continue };
        let name = format!("{folder}s/{}.mm", part.trim_end_matches(".mm"));
        let found =
            texts.iter().find(|(path, _)| **path == name || path.ends_with(&format!("/{name}")));
        if let Some((path, text)) = found
            && !into.iter().any(|known| known == path)
        {
            into.push((*path).to_owned());
            gather(text, texts, into);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn includes_of_includes() {
        let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let files = [
            file(
                "kernels/v1/cow.mm",
                "__from(\"v1\", \"mm/memory.c\", f)\n__from(\"v1\", \"mm/memory.c\", f)",
            ),
            file("kernels/v1/all.mm", "#include <kernel/v1/cow>\n"),
            file("paths/t.litmus", "  #include <kernel/v1/all>\n#include <machine/none>\n"),
        ];
        let list = paths(&files);
        let names: Vec<&str> = list.iter().map(|path| &*path.name).collect();
        assert_eq!(names, ["kernels/v1/all.mm", "kernels/v1/cow.mm", "paths/t.litmus"]);
        assert_eq!(list[1].cites.len(), 1);
        assert_eq!(list[2].includes, ["kernels/v1/all.mm", "kernels/v1/cow.mm"]);
        assert!(list[2].is_test && !list[0].is_test);
    }
}
