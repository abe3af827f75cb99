//! Whatever the text is: a program or messages, soon, and never a panic.

use std::fs;
use std::path::Path;

use shootdown_litmus::{Directories, Variant, check_source, variants};

/// A small generator, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

fn sources() -> Directories {
    Directories(vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../../litmus")])
}

fn read(text: &str) {
    let sources = sources();
    let variant = Variant::base();
    if let Err(messages) = check_source("random.litmus", text, &sources, &variant) {
        assert!(messages.has_errors(), "refused without a reason:\n{text}");
        assert!(messages.to_string().contains(": error: "));
    }
    let _ = variants("random.litmus", text, &sources);
}

fn seeds() -> Vec<String> {
    let mut texts = Vec::new();
    for folder in ["seed", "lkmm"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../litmus").join(folder);
        for entry in fs::read_dir(path).expect("a folder of the repository") {
            let path = entry.expect("readable").path();
            texts.push(fs::read_to_string(path).expect("a text"));
        }
    }
    texts.sort();
    texts
}

#[test]
fn random_bytes() {
    let mut random = Random(0x5eed_0001);
    for _ in 0..1500 {
        let length = random.below(200);
        let bytes: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
        read(&String::from_utf8_lossy(&bytes));
        let printable: String =
            (0..length).map(|_| char::from(32 + random.below(95) as u8)).collect();
        read(&format!("C t\n{{}}\n{printable}"));
    }
}

/// Small texts with which the fuzzer came to parts that no file comes to.
#[test]
fn what_the_fuzzer_kept() {
    let texts: Vec<&str> = include_str!("fuzzed.txt").split("\n====\n").collect();
    assert!(texts.len() > 50, "{} texts", texts.len());
    texts.into_iter().for_each(read);
}

#[test]
fn random_tokens() {
    let text = seeds().join("\n");
    let words: Vec<&str> =
        text.split_inclusive([' ', '\n', '(', ')', ';', '{', '}', ',']).collect();
    let mut random = Random(0x5eed_0002);
    for _ in 0..1500 {
        let mut soup = String::from("C t\n{ map a -> Fa {1}; int x = 0; }\n");
        for _ in 0..random.below(80) {
            soup.push_str(words[random.below(words.len())]);
        }
        read(&soup);
    }
}

#[test]
fn mutated_files() {
    let texts = seeds();
    let mut random = Random(0x5eed_0003);
    for _ in 0..1500 {
        let mut text = texts[random.below(texts.len())].clone().into_bytes();
        for _ in 0..1 + random.below(4) {
            let at = random.below(text.len());
            match random.below(4) {
                0 => {
                    text.remove(at);
                }
                1 => text.insert(at, b"(){};,*&#\"'=<>:\\/"[random.below(17)]),
                2 => {
                    let end = (at + random.below(40)).min(text.len());
                    text.drain(at..end);
                }
                _ => {
                    let end = (at + random.below(40)).min(text.len());
                    let piece: Vec<u8> = text[at..end].to_vec();
                    let to = random.below(text.len());
                    text.splice(to..to, piece);
                }
            }
        }
        read(&String::from_utf8_lossy(&text));
    }
}

#[test]
fn text_that_is_deep_or_long() {
    for (open, close) in [("(", ")"), ("{", "}"), ("f(", ")"), ("!", ""), ("*", ""), ("a[", "]")] {
        let inner = format!("{}1{}", open.repeat(50_000), close.repeat(50_000));
        read(&format!("C t\n{{}}\nP0() {{ int r = {inner}; }}\n"));
        read(&format!("C t\n{{}}\nP0() {{ {inner} }}\n"));
        read(&format!("C t\n{{}}\nP0() {{}}\nexists {inner}\n"));
        read(&format!("C t\n{{}}\n#if {inner}\n#endif\nP0() {{}}\n"));
    }
    let chain = "1 + ".repeat(50_000);
    read(&format!("C t\n{{}}\nP0() {{ int r = {chain}1; }}\n"));
    let chain = "x=1 /\\ ".repeat(50_000);
    read(&format!("C t\n{{}}\nP0(int *x) {{}}\nexists ({chain}x=1)\n"));
    read(&format!("C t\n{{}}\nP0() {{ {} }}\n", "if (1) ".repeat(50_000)));
    read(&format!("C t\n{{}}\nP0() {{ {} }}\n", "if (1) ; else ".repeat(50_000)));
}
