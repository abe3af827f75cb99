//! `shootdown trace` and its neighbours, as they are called.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mmu_protocol::{MmId, PageSize, VirtAddr, VirtRange};
use serde_json::Value;
use shootdown_trace::event::{At, Entry, Event, Kind};
use shootdown_trace::finding::{Finding, Link};
use shootdown_trace::litmus::{litmus, refuted_as};
use shootdown_trace::rules::Rule;

fn shootdown(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_shootdown")).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn recording(name: &str) -> String {
    let traces = Path::new(env!("CARGO_MANIFEST_DIR")).join("../trace/tests/traces");
    traces.join(name).to_str().unwrap().to_owned()
}

/// A file of this test's own.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("trace");
    fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

/// A recording without some of its lines.
fn without(name: &str, to: &str, is_gone: impl Fn(usize, &str) -> bool) -> String {
    let file = fs::File::open(recording(name)).unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(file), &mut text).unwrap();
    let lines = text.lines().enumerate().filter(|(number, line)| !is_gone(*number, line));
    let kept: String = lines.map(|(_, line)| format!("{line}\n")).collect();
    assert_ne!(kept.len(), text.len(), "something is gone");
    let path = scratch(to);
    fs::write(&path, kept).unwrap();
    path.to_str().unwrap().to_owned()
}

const CORRECT: &str = "linux-6.1-faketlb-correct.trace.gz";
const LATE: &str = "linux-6.1-faketlb-drops-at-range-end.trace.gz";
const KVM: &str = "linux-6.1-kvm.trace.gz";

#[test]
fn right_late_and_nothing() {
    let right = shootdown(&["trace", "--clock", "mono", &recording(CORRECT)]);
    assert_eq!(right.status.code(), Some(0), "{}", stdout(&right));
    let late = shootdown(&["trace", "--clock", "mono", &recording(LATE)]);
    assert_eq!(late.status.code(), Some(1));
    let text = stdout(&late);
    assert!(text.contains("D3  device keeps     VIOLATION, 9 times"), "{text}");
    assert!(
        text.contains("NEW is broken: a new page is mapped and the device still holds"),
        "{text}"
    );
    assert!(text.contains("line 1632") && text.contains("devwork-144 on CPU"), "{text}");
    let nothing = shootdown(&["trace", &recording("linux-6.18-perf-script.txt.gz")]);
    assert_eq!(nothing.status.code(), Some(3), "{}", stdout(&nothing));
    let only = shootdown(&["trace", "--clock", "mono", "--rule", "R4", &recording(LATE)]);
    assert_eq!(only.status.code(), Some(0), "the kernel did its part");
    assert!(!stdout(&only).contains("D3"));
}

#[test]
fn json() {
    let late = shootdown(&["trace", "--json", "--statistics", "--clock", "mono", &recording(LATE)]);
    let value: Value = serde_json::from_str(&stdout(&late)).unwrap();
    assert_eq!(value["schema"], "shootdown.trace/1");
    let trace = &value["traces"][0];
    let rules = trace["rules"].as_array().unwrap();
    let rule = |code: &str| rules.iter().find(|row| row["rule"] == code).unwrap();
    assert_eq!(rule("D3")["status"], "violated");
    assert_eq!(rule("D3")["violations"], 9);
    let finding = &rule("D3")["findings"][0];
    assert_eq!(finding["code"], "new");
    assert_eq!(finding["events"].as_array().unwrap().len(), 4);
    assert_eq!(rule("R6")["status"], "not_checked");
    assert!(rule("R6")["why"].as_str().unwrap().contains("kvm_tdp_mmu_spte_changed"));
    assert_eq!(trace["statistics"][0]["ranges"]["CLEAR"], 28);

    // One range of everything among a thousand says nothing of how wide ranges are.
    // The recording's other one comes at the exit, when nobody is registered any more.
    let kvm = shootdown(&["trace", "--json", "--statistics", &recording(KVM)]);
    let value: Value = serde_json::from_str(&stdout(&kvm)).unwrap();
    let figures = &value["traces"][0]["statistics"][0];
    assert_eq!(figures["ranges_of_everything"], 1);
    assert!(figures["mean_width"].as_u64().is_some_and(|bytes| bytes < 1 << 30), "{figures}");
}

#[test]
fn what_cannot_be_read() {
    let none = shootdown(&["trace", "/nowhere/at.all"]);
    assert_eq!(none.status.code(), Some(2));
    for wrong in [["--rule", "R9"], ["--mm", "here"], ["--kernel", "2.6"]] {
        let output = shootdown(&["trace", wrong[0], wrong[1], &recording(CORRECT)]);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(!output.stderr.is_empty());
    }
    // What was read before a damaged line is checked, and the status says both.
    let cut = scratch("cut.trace");
    let whole = without(CORRECT, "whole.trace", |_, line| line.contains("dev_drop"));
    let text = fs::read_to_string(whole).unwrap();
    fs::write(&cut, format!("{text}and this is no line\n")).unwrap();
    let output = shootdown(&["trace", "--clock", "mono", cut.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stdout(&output).contains("VIOLATION"), "{}", stdout(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cut.trace:"));
}

/// Writes a violation as a litmus test, and has it refuted for the same obligation.
fn refuted(trace: &str, rule: &str, obligation: &str) {
    let file = scratch(&format!("{rule}.litmus"));
    let file = file.to_str().unwrap();
    let found =
        shootdown(&["trace", "--clock", "mono", "--rule", rule, "--to-litmus", file, trace]);
    assert_eq!(found.status.code(), Some(1), "{rule}: {}", stdout(&found));
    let check = shootdown(&["check", file]);
    assert_eq!(check.status.code(), Some(1), "{}", stdout(&check));
    let text = stdout(&check);
    let verdict = text.lines().find(|line| line.starts_with(obligation)).unwrap();
    assert!(verdict.contains("violated"), "{verdict}");
}

#[test]
fn violations_of_recordings_are_refuted_by_the_checker() {
    refuted(&recording(LATE), "D3", "NEW");
    let kept = without(CORRECT, "kept.trace", |_, line| line.contains("dev_drop"));
    refuted(&kept, "D1", "FREE");
    refuted(&kept, "D3", "NEW");
    // The probes had been on before.
    let silent =
        without(CORRECT, "silent.trace", |number, line| number > 1500 && line.contains(" inv: "));
    refuted(&silent, "R4", "NEW");
    refuted(&silent, "R5", "FREE");
    let unstarted = without(CORRECT, "unstarted.trace", |number, line| {
        number > 1500 && line.contains(" start: ")
    });
    refuted(&unstarted, "R1", "range");
    let unended =
        without(CORRECT, "unended.trace", |number, line| number > 1500 && line.contains(" end: "));
    refuted(&unended, "R1", "range");
    let written = fs::read_to_string(scratch("R1.litmus")).unwrap();
    assert!(written.contains("range_start(va);") && !written.contains("range_end"), "{written}");
    let written = fs::read_to_string(scratch("R4.litmus")).unwrap();
    assert!(written.contains("//   line ") && written.contains("clear 0x"), "{written}");
}

/// Each rule that has a litmus form, whatever the trace.
#[test]
fn the_litmus_form_of_each_rule_is_refuted() {
    let addr = VirtAddr::new(0x7000);
    let range = VirtRange::page(addr, PageSize::Base);
    let event = |place, kind| {
        let at =
            At { place, time: place, cpu: None, thread: 1, preempt_depth: None, interrupt: false };
        Link::new(Event { at, mm: Some(MmId(1)), kind }, "")
    };
    let mut written = Vec::new();
    for rule in Rule::all() {
        let old = Some(Entry { pfn: 1, accessible: true, table: false });
        let start = event(1, Kind::Start { range, event: None, blockable: None });
        let end = event(3, Kind::End { range, tells: None });
        let clear = event(2, Kind::Clear { addr, size: PageSize::Base, old });
        let chain = match rule {
            Rule::R1 => vec![end],
            Rule::R2 => vec![start, event(2, Kind::StartReturned { result: -11 }), end],
            Rule::R4 | Rule::D3 => {
                vec![start, clear, event(3, Kind::MapNew { addr, pfn: Some(2) })]
            }
            _ => vec![start, clear, event(3, Kind::Free { pfn: 1, frames: 1 })],
        };
        let about = rule.about();
        let finding = Finding {
            rule,
            mm: None,
            obligation: about.obligation,
            what: about.says,
            lacks: None,
            chain,
        };
        let Some(text) = litmus(&finding, "a trace", |event| event.kind.to_string()) else {
            continue;
        };
        let file = scratch(&format!("by-hand-{rule}.litmus"));
        fs::write(&file, text).unwrap();
        let check = shootdown(&["check", file.to_str().unwrap()]);
        let text = stdout(&check);
        let verdict = text.lines().find(|line| line.starts_with(refuted_as(rule)));
        assert!(verdict.is_some_and(|line| line.contains("violated")), "{rule}: {text}");
        written.push(rule);
    }
    use Rule::{D1, D2, D3, R1, R2, R4, R5, R6, R7};
    assert_eq!(written, [R1, R2, R4, R5, R6, R7, D1, D2, D3]);
}

#[test]
fn probes() {
    let old = shootdown(&["probes", "--kernel", "6.1"]);
    assert_eq!(old.status.code(), Some(0));
    let text = stdout(&old);
    for word in
        ["__mmu_notifier_invalidate_range ", "only_end=%si:u8", "trace-cmd record", "kfunc:"]
    {
        assert!(text.contains(word), "{word}: {text}");
    }
    let new = shootdown(&["probes", "--kernel", "6.12", "--for", "tracefs"]);
    let text = stdout(&new);
    assert!(text.contains("__mmu_notifier_arch_invalidate_secondary_tlbs mm=mm"), "{text}");
    assert!(!text.contains("trace-cmd"));
    let between = shootdown(&["probes", "--kernel", "6.5"]);
    assert!(String::from_utf8_lossy(&between.stderr).contains("6.5 itself was not read"));
    let none = shootdown(&["probes", "--kernel", "3.10"]);
    assert_eq!(none.status.code(), Some(2));
    let json = shootdown(&["probes", "--kernel", "6.12", "--json"]);
    let value: Value = serde_json::from_str(&stdout(&json)).unwrap();
    assert_eq!(value["schema"], "shootdown.probes/1");
    assert_eq!(value["tools"].as_array().unwrap().len(), 4);
}

/// Where traces can be made here, nothing of ours is left behind; elsewhere the message
/// says what is missing.
#[cfg(target_os = "linux")]
#[test]
fn recording_leaves_nothing_behind() {
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    let tracing = Path::new("/sys/kernel/tracing");
    for interrupted in [false, true] {
        let file = scratch("recorded.trace");
        let command: &[&str] = if interrupted { &["sleep", "60"] } else { &["true"] };
        let record = Command::new(env!("CARGO_BIN_EXE_shootdown"))
            .args(["record", "--buffer", "256", "-o", file.to_str().unwrap(), "--"])
            .args(command)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let instance = tracing.join(format!("instances/shootdown_{}", record.id()));
        let on =
            || fs::read_to_string(instance.join("tracing_on")).is_ok_and(|on| on.trim() == "1");
        let since = Instant::now();
        while interrupted && !on() && since.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(20));
            if !tracing.join("instances").is_dir() {
                break;
            }
        }
        if interrupted {
            let kill = Command::new("kill").args(["-TERM", &record.id().to_string()]).status();
            assert!(kill.is_ok());
        }
        let output = record.wait_with_output().unwrap();
        assert!(!instance.exists(), "{} is left", instance.display());
        let probes = fs::read_to_string(tracing.join("dynamic_events")).unwrap_or_default();
        assert!(!probes.contains(&format!("shootdown_{}/", output_id(&instance))), "{probes}");
        let said = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(2) => assert!(
                said.contains("/sys/kernel/tracing") || said.contains("before 5.0"),
                "{said}"
            ),
            code => {
                assert!(matches!(code, Some(0 | 3)), "{code:?} {said}");
                let said = stdout(&output);
                assert!(said.contains("next: shootdown trace"), "{said}");
                assert_eq!(said.contains("was interrupted"), interrupted, "{said}");
                let read = shootdown(&["trace", file.to_str().unwrap()]);
                assert!(matches!(read.status.code(), Some(0 | 3)), "{}", stdout(&read));
            }
        }
    }
}

/// The number in the name of an instance.
#[cfg(target_os = "linux")]
fn output_id(instance: &Path) -> String {
    instance.to_string_lossy().rsplit('_').next().unwrap_or_default().to_owned()
}
