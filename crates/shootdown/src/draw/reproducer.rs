//! From a test of a program to a program: a skeleton in C that makes the same
//! calls and accesses, and where a delay opens the window of the run that was
//! found.
//!
//! The bodies of threads stay as they are written; macros give the calls their
//! lengths. A device thread becomes a function that somebody's device, guest or
//! queue has to run.

use std::fmt::Write;

use shootdown_answers::timeline::{ChangeKind, Mark, Row, Timeline};
use shootdown_answers::verdict::{Checked, Status};
use shootdown_litmus::primitives::Action;
use shootdown_litmus::program::{Agent, Backing, GlobalKind, OpKind, SpaceId, Thread};
use shootdown_litmus::{Program, Type};

/// The skeleton of a test whose threads only access memory and make the calls of
/// programs.
///
/// # Errors
///
/// The thread that does more, and what that is.
pub fn text(program: &Program, checked: &Checked) -> Result<String, String> {
    for thread in &program.threads {
        if let Some(what) = beyond(program, thread) {
            return Err(format!(
                "{} runs `{what}`, which no program can call; a reproducer is written for a test \
                 whose threads only access memory and call mmap, munmap, mprotect, mremap, \
                 madvise, fork and exit",
                thread.name
            ));
        }
    }
    let mut out = String::from(HEAD);
    let _ = writeln!(out, "// {} ({})", program.header.name, checked.variant);
    hint(&mut out, program, checked);
    out.push('\n');
    memory(&mut out, program);
    for thread in &program.threads {
        body(&mut out, program, thread);
    }
    main(&mut out, program);
    Ok(out)
}

/// Something in a thread that is no access and no call of a program.
fn beyond(program: &Program, thread: &Thread) -> Option<String> {
    thread.body.ops.iter().find_map(|op| {
        let stays = match &op.kind {
            OpKind::Call { .. } => false,
            OpKind::Primitive { primitive, .. } => matches!(
                primitive.action,
                Action::Load(_)
                    | Action::Store(_)
                    | Action::Fence(_)
                    | Action::Nothing
                    | Action::User(_)
            ),
            _ => true,
        };
        (!stays).then(|| program.files.text(op.span).to_owned())
    })
}

const HEAD: &str = "\
// Build: cc -O2 -pthread
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define LENGTH 4096
#define READ_ONCE(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, value) __atomic_store_n(&(x), (value), __ATOMIC_RELAXED)
#define smp_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define smp_store_release(p, value) __atomic_store_n((p), (value), __ATOMIC_RELEASE)
#define smp_mb() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define smp_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)
// The calls of a test have no lengths.
#define munmap(p) (munmap)((p), LENGTH)
#define mprotect(p, rights) (mprotect)((p), LENGTH, (rights))
#define madvise(p, advice) (madvise)((p), LENGTH, (advice))
#define mremap(from, to) (mremap)((from), LENGTH, LENGTH, MREMAP_MAYMOVE | MREMAP_FIXED, (to))
#define fork(child) do { if ((fork)() == 0) { in_the_child(); _exit(0); } wait(NULL); } while (0)
#define exit() (exit)(0)

static void in_the_child(void);

static __thread sigjmp_buf fault;
static void faulted(int number) { (void)number; siglongjmp(fault, 1); }

";

/// Where the window of the run lies, and how to keep it open.
fn hint(out: &mut String, program: &Program, checked: &Checked) {
    let violated = checked.verdicts.iter().find_map(|verdict| match &verdict.status {
        Status::Violated(violation) => Some((verdict.code, violation)),
        _ => None,
    });
    let Some((code, violation)) = violated else {
        out.push_str("// Nothing is violated: there is no window to keep open.\n");
        return;
    };
    let _ = writeln!(out, "// {code}: {}", violation.why);
    let Some((opens, closes)) = window(&violation.timeline) else { return };
    let _ = writeln!(out, "// The window opens with    {}", step(opens));
    match closes {
        Some(row) => {
            let _ = writeln!(out, "//        and closes before {}", step(row));
        }
        None => out.push_str("//        and nothing in the run closes it\n"),
    }
    let Some(name) = &opens.function else { return };
    let origins = program.function(name).map_or(&[][..], |function| &function.origins);
    for origin in origins {
        let _ = writeln!(
            out,
            "// To keep it open: a delay behind that step, in {} of {} ({}); where it is not \
             inlined, `p:window {}` is its kprobe.",
            origin.function, origin.file, origin.tag, origin.function
        );
    }
    if origins.is_empty() {
        let _ = writeln!(out, "// To keep it open: a delay behind that step, in {name}.");
    }
}

/// The step that breaks, or the last change of a table before the end; and the step
/// of the same thread by which a TLB forgets next.
fn window(timeline: &Timeline) -> Option<(&Row, Option<&Row>)> {
    let rows = &timeline.rows;
    let has = |row: &Row, kind: ChangeKind| row.changes.iter().any(|change| change.kind == kind);
    let breaks = |row: &Row| row.marks.iter().any(|mark| matches!(mark, Mark::Breaks { .. }));
    let at = rows.iter().position(breaks).or_else(|| {
        rows.iter().rposition(|row| row.function.is_some() && has(row, ChangeKind::Table))
    })?;
    let opens = &rows[at];
    let closes =
        rows[at + 1..].iter().find(|row| row.column == opens.column && has(row, ChangeKind::Tlb));
    Some((opens, closes))
}

fn step(row: &Row) -> String {
    let place = row
        .place
        .as_ref()
        .map_or(String::new(), |place| format!(" ({}:{})", place.file, place.line));
    format!("{}{place}", row.what)
}

/// Pages and words as the test has them at the beginning.
fn memory(out: &mut String, program: &Program) {
    let mut set = String::new();
    let named =
        |at: usize| program.threads.iter().any(|t| t.parameters.iter().any(|id| id.index() == at));
    // What only the kernel's part of the test has is the kernel's own here.
    for (_, global) in program.globals.iter().enumerate().filter(|(at, _)| named(*at)) {
        let name = &global.name;
        match &global.kind {
            GlobalKind::Page(mapping) => {
                let _ = writeln!(out, "static int *{name};");
                let file = matches!(mapping.backing, Backing::File | Backing::Shmem);
                let Some(frame) = mapping.frame else {
                    // An address that nothing is mapped at.
                    let _ = writeln!(set, "    {name} = page(0);");
                    let _ = writeln!(set, "    (munmap)({name}, LENGTH);");
                    continue;
                };
                let _ = writeln!(set, "    {name} = page({});", u8::from(file));
                let values = program.frames[frame.index()].values.iter().enumerate();
                if mapping.backing != Backing::Zero {
                    for (at, value) in values {
                        let _ = writeln!(set, "    {name}[{at}] = {value};");
                    }
                }
                if !mapping.writable {
                    // Mapped read-only and writable by the area: a write faults.
                    let _ = writeln!(set, "    // the entry of {name} is read-only at first");
                }
            }
            GlobalKind::Words { init, .. } => {
                let count = init.len().max(1);
                let _ = writeln!(out, "static int {name}_words[{count}];");
                let _ = writeln!(out, "static int *const {name} = {name}_words;");
                for (at, value) in init.iter().enumerate() {
                    if let shootdown_litmus::program::Initial::Int(value) = value {
                        let _ = writeln!(set, "    {name}_words[{at}] = {value};");
                    }
                }
            }
            _ => {}
        }
    }
    let _ = write!(
        out,
        "\nstatic int *page(int shared)\n{{\n    int *p = mmap(0, LENGTH, PROT_READ | PROT_WRITE,\n        \
         MAP_ANONYMOUS | (shared ? MAP_SHARED : MAP_PRIVATE), -1, 0);\n    if (p == MAP_FAILED) {{\n        \
         perror(\"mmap\");\n        (exit)(1);\n    }}\n    return p;\n}}\nstatic void begin(void)\n{{\n{set}}}\n\n"
    );
}

/// A thread: what it does, and what it has seen.
fn body(out: &mut String, program: &Program, thread: &Thread) {
    let text = program.files.text(thread.extent);
    let inner = text.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}'));
    let inner = inner.map_or("", |(inner, _)| inner.trim());
    let name = thread.name.to_lowercase();
    let mut unused = "";
    if !matches!(thread.agent, Agent::Cpu(_)) {
        unused = "__attribute__((unused)) ";
        out.push_str("// For the device or guest: it has to run this on the same addresses.\n");
    }
    let _ = writeln!(out, "{unused}static void *{name}(void *unused)\n{{");
    let numbers = thread.body.locals.iter().filter(|local| local.ty == Type::Int);
    let names: Vec<&str> = numbers.filter_map(|local| local.name.as_deref()).collect();
    let _ = writeln!(out, "    (void)unused;");
    let _ = writeln!(out, "    if (sigsetjmp(fault, 1)) {{");
    let _ =
        writeln!(out, "        puts(\"{}:fault=1\");\n        return NULL;\n    }}", thread.name);
    for line in inner.lines() {
        let _ = writeln!(out, "    {}", line.trim());
    }
    for local in names {
        let _ = writeln!(out, "    printf(\"{}:{local}=%d\\n\", (int){local});", thread.name);
    }
    out.push_str("    return NULL;\n}\n\n");
}

fn main(out: &mut String, program: &Program) {
    let here = Agent::Cpu(SpaceId(0));
    let cpus = || program.threads.iter().filter(|thread| thread.agent == here);
    let in_the_child = program
        .threads
        .iter()
        .filter(|thread| matches!(thread.agent, Agent::Cpu(_)) && thread.agent != here);
    out.push_str("static void in_the_child(void)\n{\n");
    for thread in in_the_child {
        let _ = writeln!(out, "    {}(NULL);", thread.name.to_lowercase());
    }
    out.push_str("}\n\n");
    let _ =
        writeln!(out, "int main(void)\n{{\n    pthread_t threads[{}];\n", cpus().count().max(1));
    out.push_str("    signal(SIGSEGV, faulted);\n    signal(SIGBUS, faulted);\n    begin();\n");
    for (at, thread) in cpus().enumerate() {
        let name = thread.name.to_lowercase();
        let _ = writeln!(out, "    pthread_create(&threads[{at}], NULL, {name}, NULL);");
    }
    for (at, _) in cpus().enumerate() {
        let _ = writeln!(out, "    pthread_join(threads[{at}], NULL);");
    }
    out.push_str("    return 0;\n}\n");
}

#[cfg(test)]
mod tests {
    use shootdown_answers::LIBRARY;
    use shootdown_answers::check::{check, read};
    use shootdown_answers::request::Request;
    use shootdown_litmus::Variant;

    fn of(file: &str, params: &[(&str, &str)]) -> Result<String, String> {
        let path = format!("{}/../../litmus/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("a file of the repository");
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let request = Request { params: params.iter().map(own).collect(), ..Request::default() };
        let subject = read(file, &text, &LIBRARY, &Variant::base(), &request);
        let Ok(subject) = subject else { panic!("{file} is covered") };
        super::text(&subject.program, &check(&subject, &request))
    }

    #[test]
    fn a_program_makes_the_calls_of_the_test() {
        let text = of("user/munmap-vs-device.litmus", &[("tells", "never")]).expect("a program");
        for wanted in [
            "    munmap(a); smp_store_release(done, 1);",
            "// The window opens with    tlb_finish_mmu()",
            "tlb_finish_mmu of mm/mmu_gather.c (v6.1.192)",
            "__attribute__((unused)) static void *d0(void *unused)",
            "    a[0] = 7;",
        ] {
            assert!(text.contains(wanted), "{wanted} in\n{text}");
        }
        // The words of the kernel's part are not the program's.
        assert!(!text.contains("tlb_flush_pending"), "{text}");
    }

    #[test]
    fn a_clean_test_has_no_window() {
        let text = of("user/fork-with-writer.litmus", &[]).expect("a program");
        assert!(text.contains("// Nothing is violated"), "{text}");
        assert!(text.contains("static void in_the_child(void)\n{\n    p2(NULL);\n}"), "{text}");
    }

    #[test]
    fn what_no_program_can_call_is_refused() {
        let why = of("paths/cow-free.litmus", &[]).expect_err("no program");
        assert!(why.starts_with("P0 runs `fault_in_write(a)`, which no program can call"), "{why}");
    }
}
