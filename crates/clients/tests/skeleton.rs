//! A test is taken apart and put together again.

use shootdown_clients::shape::{Client, Step, Thread};
use shootdown_clients::{NoPath, Role, Skeleton};
use shootdown_litmus::{NoSources, Program, Variant, check_source};

const TEXT: &str = "\
C apart
{
    map a -> Fa {7} : rw;
    map b -> Fb {8} : rw;
    int told = 0;
    iotlb U <- mm;
    device dev : U;
    frame Fa owner other;
}
static void path(unsigned long va) { flush_tlb_page(va); }
P0(int *told) { int r = READ_ONCE(*told); }
P1(int *b)
{
    path(b);
}
P2@other() { struct page *p = alloc_page(); page_write(p, 0, 5); }
D0@dev(int *a) { int r = READ_ONCE(*a); }
exists (D0:r=7)
expect { * : clean; }
";

fn read(text: &str) -> Program {
    match check_source("apart.litmus", text, &NoSources, &Variant::base()) {
        Ok(program) => program,
        Err(messages) => panic!("{messages}\n{text}"),
    }
}

#[test]
fn clients_and_the_condition_go_and_lines_stay() {
    let skeleton = Skeleton::of(&read(TEXT)).expect("a path");
    let text = skeleton.text();
    assert_eq!(text.lines().count(), TEXT.lines().count());
    for gone in ["P0(", "P2@", "D0@", "exists", "expect"] {
        assert!(!text.contains(gone), "{gone} in\n{text}");
    }
    let line = |text: &str| text.lines().position(|line| line.contains("P1(int *b)"));
    assert_eq!(line(text), line(TEXT));
    // The path's own page comes first; who gets free pages is nobody's client.
    assert_eq!(skeleton.pages(), ["b", "a"]);
    assert_eq!(skeleton.roles(), [Role::Device, Role::Cpu]);
}

#[test]
fn a_client_is_put_around_the_path() {
    let skeleton = Skeleton::of(&read(TEXT)).expect("a path");
    let client = Client {
        threads: vec![
            Thread { agent: 0, steps: vec![Step::Hear(0), Step::Load(0)] },
            Thread { agent: 1, steps: vec![Step::Store(1)] },
        ],
        after: vec![Step::Store(1), Step::Tell(0)],
    };
    let text = skeleton.test(&client, Some("apart+1"), "\nexists (true)\n");
    let program = read(&text);
    assert_eq!(&*program.header.name, "apart+1");
    let names: Vec<&str> = program.threads.iter().map(|thread| &*thread.name).collect();
    // Who was P1 is P1 still; the client's CPU fills the gap.
    assert_eq!(names, ["P0", "P1", "D0"]);
    assert!(
        text.contains("path(b);\n WRITE_ONCE(*a, 22); smp_store_release(told_0, 1); }"),
        "{text}"
    );
    assert!(text.contains("P1(int *b, int *a, int *told_0)"), "{text}");
    assert!(text.contains("P0(int *a) { WRITE_ONCE(*a, 21); }"), "{text}");
    // Each thread once, and nothing of the machine.
    assert_eq!(
        skeleton.lines(&client),
        "D0@dev(int *told_0, int *b) { int seen0 = smp_load_acquire(told_0); int seen1 = \
         READ_ONCE(*b); }\nP0(int *a) { WRITE_ONCE(*a, 21); }\nthen WRITE_ONCE(*a, 22); \
         smp_store_release(told_0, 1);"
    );
}

#[test]
fn the_path_alone_is_a_test() {
    let skeleton = Skeleton::of(&read(TEXT)).expect("a path");
    let program = read(&skeleton.test(&Client::default(), None, ""));
    let names: Vec<&str> = program.threads.iter().map(|thread| &*thread.name).collect();
    assert_eq!(names, ["P0", "P1"]);
    assert_eq!(program.threads[0].body.ops.len(), 1, "P0 only fills the gap");
}

#[test]
fn a_test_of_clients_alone_has_no_path() {
    let text = "C t\n{ map a -> F {1} : rw; }\nP0(int *a) { int r = READ_ONCE(*a); }\n";
    assert_eq!(Skeleton::of(&read(text)).err(), Some(NoPath::OnlyClients));
    assert!(NoPath::OnlyClients.to_string().contains("write one as"));
    let text = "C t\n{ int x = 0; }\nP0() { flush_tlb_mm(); }\n";
    assert_eq!(Skeleton::of(&read(text)).err(), Some(NoPath::NoPages));
}

/// What stands behind a comment would be part of it.
#[test]
fn a_path_may_end_with_a_comment() {
    let text = "C t\n{ map a -> F {1} : rw; }\nP0(int *a)\n{\n    flush_tlb_page(a);  // told\n}\n";
    let skeleton = Skeleton::of(&read(text)).expect("a path");
    let client = Client { threads: Vec::new(), after: vec![Step::Load(0)] };
    let program = read(&skeleton.test(&client, None, ""));
    assert_eq!(program.threads[0].body.locals.len(), 1);
}

/// Where only faults bring the path about, there is nobody to go on behind it.
#[test]
fn a_path_of_faults_alone() {
    let text = "C t\n{ map a -> F {1} : ro; iotlb U <- mm; device dev : U; }\n\
        static int h(struct vm_fault *vmf) { ptep_get_and_clear(pte_offset_map(vmf->address)); return 0; }\n\
        fault cpu = h;\nP0(int *a) { WRITE_ONCE(*a, 2); }\n";
    let skeleton = Skeleton::of(&read(text)).expect("a path");
    let list = skeleton.clients(&Default::default());
    assert!(list.iter().all(|client| client.after.is_empty()));
    for client in &list {
        assert_eq!(
            read(&skeleton.test(client, None, "")).threads.len(),
            client.threads.len().max(1)
        );
    }
}
