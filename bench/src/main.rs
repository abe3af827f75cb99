//! Prints the table: `cargo run --release --manifest-path bench/Cargo.toml`.

use std::collections::BTreeMap;
use std::process::{Command, ExitCode};
use std::time::Duration;

use mmu_notifier::Task;
use shootdown_bench::cases::{self, NOTHING, iotlb, range, read_side};
use shootdown_bench::options::{self, Mode, USAGE};
use shootdown_bench::table::Figures;
use shootdown_bench::{counting, report, slopes, timing, two_threads};

/// How long each case is timed.
const BUDGET: Duration = Duration::from_millis(600);

fn main() -> ExitCode {
    let mode = match options::parse(std::env::args().skip(1)) {
        Ok(mode) => mode,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(2);
        }
    };
    match mode {
        Mode::Help => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        Mode::Counted(case, steps) => counted(&case, steps),
        Mode::Gate => gate(),
        Mode::CountsOnly => {
            let mut missing = Vec::new();
            let figures = Figures { counts: counts(&mut missing), ..Figures::default() };
            println!("{}", heading());
            if figures.counts.is_empty() {
                print_missing(&missing);
                return ExitCode::from(3);
            }
            for section in report::sections() {
                if section.rows.iter().any(|row| figures.counts.contains_key(row.ours)) {
                    print!("{}", section.markdown(&figures));
                }
            }
            println!("{}", slopes::markdown(&figures));
            print_missing(&missing);
            ExitCode::SUCCESS
        }
        Mode::Table => {
            table();
            ExitCode::SUCCESS
        }
    }
}

fn table() {
    let mut missing = vec![
        "Asterinas ostd, Redox, Theseus: kernels of their own; emulated timings say nothing"
            .to_owned(),
        "IOMMU hardware with ATS/PASID, VFIO, iommufd: not measured by this program".to_owned(),
    ];
    let mut task = Task::current().expect("the main thread has no task yet");
    let mut figures = Figures::default();
    println!("{}", heading());
    // Before any thread is started: the live part forks.
    #[cfg(target_os = "linux")]
    shootdown_bench::live::time(&mut task, &mut figures.times, &mut missing);
    #[cfg(not(target_os = "linux"))]
    missing.push("live kernel: needs Linux".to_owned());
    for mut group in [range::cases(), read_side::cases(), iotlb::cases()] {
        group.push(cases::nothing());
        timing::time(group, BUDGET, &mut task, &mut figures.times);
    }
    figures.counts = counts(&mut missing);
    for section in report::sections() {
        println!("{}", section.markdown(&figures).trim_end());
        println!();
    }
    println!("{}", slopes::markdown(&figures));
    print_sharing(&mut task, &mut missing);
    if let Some(nothing) = figures.times.get(NOTHING) {
        println!("The loop around each step costs {:.1} ns; it is in every time.\n", nothing.min);
    }
    print_missing(&missing);
}

/// No shared write: as cache lines, and as time.
fn print_sharing(task: &mut Task, missing: &mut Vec<String>) {
    println!("### Two tasks at once\n");
    println!("| what | measured | target | reached |\n|---|---:|---|---|");
    #[cfg(target_os = "linux")]
    {
        let mm = Box::new(range::space_without_subscribers());
        match shootdown_bench::shared_lines::of_a_range(&mm, task) {
            Ok((shared, own)) => println!(
                "| cache lines of the address space that two ranges without subscriber both \
                 write (each writes {own}) | {shared} | 0 | {} |",
                yes(shared == 0)
            ),
            Err(error) => missing.push(format!("shared cache lines: {error}")),
        }
    }
    #[cfg(not(target_os = "linux"))]
    missing.push("shared cache lines: need Linux".to_owned());
    let pairs = [
        ("SRCU read section", two_threads::srcu(), Some(1.3)),
        ("peer: std RwLock read", two_threads::std_rwlock(), None),
    ];
    for (what, flatness, target) in pairs {
        let Some(flatness) = flatness else {
            missing.push(format!("{what} on 2 threads: they never ran at the same time"));
            continue;
        };
        let reached = target.map_or("", |target| yes(flatness.ratio() <= target));
        println!(
            "| {what}, 2 threads on one / on one each ({} of {} rounds overlapped) \
             | {:.1} / {:.1} ns = {:.2} | {} | {reached} |",
            flatness.overlapped,
            two_threads::ROUNDS,
            flatness.shared,
            flatness.apart,
            flatness.ratio(),
            target.map_or(String::new(), |target| target.to_string()),
        );
    }
    println!();
    let _ = task;
}

fn yes(reached: bool) -> &'static str {
    if reached { "yes" } else { "no" }
}

fn counts(missing: &mut Vec<String>) -> BTreeMap<&'static str, f64> {
    let mut counts = BTreeMap::new();
    if let Some(why) = counting::missing() {
        missing.push(format!("instruction counts: {why}"));
        return counts;
    }
    let nothing = match counting::count(NOTHING) {
        Ok(nothing) => nothing,
        Err(why) => {
            missing.push(format!("instruction counts: {why}"));
            return counts;
        }
    };
    for case in cases::all().into_iter().filter(|case| case.name != NOTHING) {
        match counting::count(case.name) {
            Ok(count) => {
                counts.insert(case.name, count - nothing);
            }
            Err(why) => missing.push(why),
        }
    }
    counts
}

/// Runs one case where callgrind counts it.
fn counted(name: &str, steps: u64) -> ExitCode {
    let Some(case) = cases::all().into_iter().find(|case| case.name == name) else {
        eprintln!("error: no case is called {name}");
        return ExitCode::from(2);
    };
    let mut task = Task::current().expect("the main thread has no task yet");
    (case.make)(&mut task).count(steps, &mut task);
    ExitCode::SUCCESS
}

/// Typed at most as many instructions as by hand.
fn gate() -> ExitCode {
    let pairs = range::TYPED.into_iter().zip(range::BY_HAND).take(2);
    let mut reached = true;
    for ((subscribers, typed), (_, by_hand)) in pairs {
        let counts = (counting::count_exactly(typed), counting::count_exactly(by_hand));
        let (typed, by_hand) = match counts {
            (Ok(typed), Ok(by_hand)) => (typed, by_hand),
            (Err(why), _) | (_, Err(why)) => {
                println!("not counted: {why}");
                return ExitCode::from(3);
            }
        };
        let ok = typed <= by_hand;
        println!(
            "{}: typed COW with {subscribers} subscribers: {typed} instructions, by hand {by_hand}",
            if ok { "ok" } else { "not reached" }
        );
        reached &= ok;
    }
    if reached { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the figures were taken with.
fn heading() -> String {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let compiler = said("rustc", &["--version"]).unwrap_or_else(|| "unknown compiler".to_owned());
    let system = said("uname", &["-srm"]).unwrap_or_else(|| "unknown system".to_owned());
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").ok();
    let load = load.as_deref().and_then(|load| load.split(' ').next()).unwrap_or("unknown");
    format!(
        "{compiler}, {system}, {processors} processors, load {load} at the start. Times are \
         minimum / median, in nanoseconds for one step, of cases sampled in turn; *ours/peer* \
         compares the minima. *Reached* is judged by the median; *at best* means by the minimum \
         only. Instructions are callgrind's.\n"
    )
}

fn print_missing(missing: &[String]) {
    println!("Not in this run:\n");
    for what in missing {
        println!("- {what}");
    }
    if missing.is_empty() {
        println!("- nothing is missing");
    }
}
