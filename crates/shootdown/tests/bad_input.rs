//! Whatever a command is given: exit status 2, the reason on stderr, nothing on
//! stdout, and never a panic.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A folder of one test's own.
fn folder(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bad_input").join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("a folder for the test");
    path
}

fn shootdown(folder: &PathBuf, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shootdown"));
    command.current_dir(folder).args(arguments).output().expect("the program runs")
}

/// Runs and returns stderr.
fn refused(folder: &PathBuf, arguments: &[&str]) -> String {
    let output = shootdown(folder, arguments);
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(2), "{arguments:?}\n{out}\n{err}");
    assert!(!err.contains("panicked") && !err.trim().is_empty(), "{arguments:?}\n{err}");
    // `test` counts wrong files on stdout, as it goes on with the others.
    if arguments[0] != "test" {
        assert_eq!(out, "", "{arguments:?}");
    }
    err.into_owned()
}

/// A file with these lines is refused by every command that reads files, with
/// all of these words.
fn wrong(name: &str, text: &[u8], words: &[&str]) {
    let folder = folder(name);
    fs::write(folder.join("t.litmus"), text).expect("written");
    for command in [
        &["check", "t.litmus"][..],
        &["check", "--all-variants", "t.litmus"],
        &["test", "t.litmus"],
    ] {
        let err = refused(&folder, command);
        for word in words {
            assert!(err.contains(word), "{command:?}: `{word}` is missing in\n{err}");
        }
    }
}

/// A small test with this body and this end.
fn test(head: &str, body: &str, end: &str) -> Vec<u8> {
    format!("C t\n{{ map a -> Fa {{1}}; int x = 0; }}\n{head}\nP0(int *a, int *x)\n{{\n{body}\n}}\n{end}\n").into_bytes()
}

#[test]
fn the_text_itself() {
    wrong("empty", b"", &["t.litmus: error: the file is empty"]);
    wrong("binary", b"C t\n{\0}", &["t.litmus: error: a binary file"]);
    wrong("latin1", b"C t\n\xe9", &["t.litmus: error: not UTF-8"]);
    wrong("prose", b"Dear all,\nthis is a mail\n", &["t.litmus:1:"]);
}

#[test]
fn all_syntax_errors_and_not_the_first() {
    let text = test("", "    int r0 = ;\n    WRITE_ONCE(*x, 1);\n    int r1 = );", "exists (x=1)");
    wrong("syntax", &text, &["t.litmus:6:14: error:", "t.litmus:8:14: error:", "6 |", "^"]);
}

#[test]
fn names_and_arguments() {
    let text = test("", "    int r0 = REED_ONCE(*x);", "exists (x=1)");
    let words =
        ["t.litmus:6:14: error: unknown primitive `REED_ONCE`", "did you mean `READ_ONCE`?"];
    wrong("primitive", &text, &words);
    let text = test("", "    ptep_clear_flush(a);", "exists (x=1)");
    wrong("kind", &text, &["t.litmus:6:22: error:", "pte_t *", "^"]);
    let text = b"C t\n{ int x = 0; int y = 0; }\nP0(int *x) { WRITE_ONCE(*y, 1); }\nexists (x=1)\n";
    wrong("parameter", text, &["t.litmus:3:26: error:", "y"]);
    wrong("place", &test("", "", "exists (nobody=1)"), &["t.litmus:8:9: error:", "nobody"]);
    wrong(
        "include",
        &test("#include <kernel/v6.12/zzz>", "", "exists (x=1)"),
        &["t.litmus:3:", "cannot find the include file `kernel/v6.12/zzz`", "-I"],
    );
    let text = test("static void f(int n) { f(n); }", "    f(1);", "exists (x=1)");
    wrong("recursion", &text, &["t.litmus:3:", "error:", "f"]);
    wrong("itself", &test("#include \"t.litmus\"", "", "exists (x=1)"), &["error:"]);
}

#[test]
fn contracts_and_dials() {
    let head = "static void f(int n) contract(replaces va) { }";
    wrong("contract", &test(head, "    f(1);", "exists (x=1)"), &["t.litmus:3:", "error:"]);
    let line = "exists (x=1)\nexpect { LAET : clean; }";
    wrong("expect", &test("#ifdef LATE\n#endif", "", line), &["t.litmus:10:10: error:", "LATE"]);
}

#[test]
fn files_that_are_none() {
    let folder = folder("files");
    fs::create_dir(folder.join("empty")).expect("a folder");
    assert!(
        refused(&folder, &["check", "missing.litmus"])
            .contains("missing.litmus: error: cannot be read")
    );
    assert!(
        refused(&folder, &["test", "missing.litmus"])
            .contains("missing.litmus: error: cannot be read")
    );
    assert!(refused(&folder, &["check", "empty"]).contains("directory"));
    assert!(refused(&folder, &["test", "empty"]).contains("no `*.litmus` file below this folder"));
    // 100 MB, of which no byte is on the disk.
    let file = fs::File::create(folder.join("huge.litmus")).expect("created");
    file.set_len(100 << 20).expect("a length");
    for command in ["check", "test"] {
        assert!(refused(&folder, &[command, "huge.litmus"]).contains("more than 1024 KiB"));
    }
    for (name, text) in
        [("cut.json", "{\"schema\": "), ("other.json", "{}"), ("bytes.json", "\u{1}")]
    {
        fs::write(folder.join(name), text).expect("written");
        assert!(refused(&folder, &["merge", name]).contains(&format!("{name}:1:")));
    }
    assert!(refused(&folder, &["merge", "missing.json"]).contains("missing.json: error:"));
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder("unreadable");
    let path = folder.join("t.litmus");
    fs::write(&path, "C t").expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).expect("changed");
    // The super user reads everything.
    if fs::read(&path).is_err() {
        assert!(refused(&folder, &["check", "t.litmus"]).contains("cannot be read"));
    }
}

#[test]
fn flags() {
    let folder = folder("flags");
    fs::write(folder.join("t.litmus"), test("", "", "exists (x=0)")).expect("written");
    assert!(refused(&folder, &["check", "--param", "drain", "t.litmus"]).contains("NAME=VALUE"));
    assert!(refused(&folder, &["test", "--param", "drain", "t.litmus"]).contains("NAME=VALUE"));
    assert!(
        refused(&folder, &["check", "--variant", "LATE", "t.litmus"]).contains("no variant `LATE`")
    );
    let err = refused(&folder, &["test", "--json", "--shard", "3/2", "t.litmus"]);
    assert!(err.contains("there is no shard 3 of 2"), "{err}");
    assert!(refused(&folder, &["test", "--shard", "1/2", "t.litmus"]).contains("--results FILE"));
    assert!(refused(&folder, &["test", "--force", "t.litmus"]).contains("--bless"));
    assert!(refused(&folder, &["check", "--model", "power", "t.litmus"]).contains("sc"));
    // A file without an include has no machine and no kernel to be replaced.
    for command in ["check", "explain", "place"] {
        let err = refused(&folder, &[command, "--machine", "iommu-only", "t.litmus"]);
        assert!(err.contains("t.litmus: error: the file includes no machine"), "{err}");
        let err = refused(&folder, &[command, "--kernel", "v6.12", "t.litmus"]);
        assert!(err.contains("t.litmus: error: the file includes nothing of a kernel"), "{err}");
    }
    let err = refused(&folder, &["place", "--weights", "locks=2", "t.litmus"]);
    assert!(err.contains("there is no weight `locks`"), "{err}");
    let err = refused(&folder, &["place", "--function", "zap", "t.litmus"]);
    assert!(err.contains("there is no function `zap`"), "{err}");
    let err = refused(&folder, &["place", "--variants", "base", "LATE", "t.litmus"]);
    assert!(err.contains("no variant `LATE`"), "{err}");
    let run = ["run", "--on", "threads", "--param"];
    assert!(refused(&folder, &[&run[..], &["drain", "t.litmus"]].concat()).contains("NAME=VALUE"));
    let err = refused(&folder, &[&run[..], &["drian=no", "t.litmus"]].concat());
    assert!(err.contains("the machine has no parameter `drian`"), "{err}");
}

#[test]
fn one_wrong_file_stops_no_other() {
    let folder = folder("others");
    fs::write(folder.join("a.litmus"), "C a\n{").expect("written");
    let end = "exists (x=0)\nexpect { * : unexercised, Always; }";
    fs::write(folder.join("b.litmus"), test("", "", end)).expect("written");
    let output = shootdown(&folder, &["test", "."]);
    let out = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{out}");
    assert!(out.starts_with("2 files, 1 check: 1 as expected, 0 differ,"), "{out}");
    assert!(out.ends_with("; 1 file is wrong\n"), "{out}");
}

#[test]
fn blessed_and_then_as_expected() {
    let folder = folder("bless");
    let end = "exists (x=0)\nexpect {\n    * : clean, Never;      // why\n}";
    fs::write(folder.join("t.litmus"), test("", "", end)).expect("written");
    let before = fs::read_to_string(folder.join("t.litmus")).expect("read");
    let run = |arguments: &[&str]| {
        let output = shootdown(&folder, arguments);
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    // It would say less.
    assert_eq!(run(&["test", "--bless", "."]).0, Some(1));
    assert_eq!(run(&["test", "--bless", "--force", "--dry-run", "."]).0, Some(1));
    assert_eq!(fs::read_to_string(folder.join("t.litmus")).expect("read"), before);
    let (status, out) = run(&["test", "--bless", "--force", "."]);
    assert_eq!(status, Some(0), "{out}");
    assert!(out.contains("- clean, Never\n+ unexercised, Always\n"), "{out}");
    let after = fs::read_to_string(folder.join("t.litmus")).expect("read");
    assert_eq!(after, before.replace("clean, Never;      //", "unexercised, Always; //"));
    assert_eq!(run(&["test", "."]).0, Some(0));
    assert_eq!(fs::read_dir(&folder).expect("read").count(), 1);
}
