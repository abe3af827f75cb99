//! Probe definitions and recording commands, from the table of eras.

use std::fmt::Write;

use crate::era::{Era, How, Need, Probe};

/// Which tool records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// Files of tracefs.
    Tracefs,
    /// trace-cmd.
    TraceCmd,
    /// perf.
    Perf,
    /// bpftrace.
    Bpftrace,
}

impl Tool {
    /// All.
    pub const ALL: [Tool; 4] = [Tool::Tracefs, Tool::TraceCmd, Tool::Perf, Tool::Bpftrace];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Tool::Tracefs => "tracefs",
            Tool::TraceCmd => "trace-cmd",
            Tool::Perf => "perf",
            Tool::Bpftrace => "bpftrace",
        }
    }
}

/// The definition of a probe, as `dynamic_events` takes it; `None` for what is no
/// kprobe.
pub fn definition(probe: &Probe) -> Option<String> {
    let line = match probe.how {
        How::Entry { function, arguments, .. } => {
            format!("p:mn/{} {function} {arguments}", probe.name)
        }
        How::Return { function, arguments, .. } => {
            // As many instances as threads may be inside at once.
            format!("r64:mn/{} {function} {arguments}", probe.name)
        }
        How::Tracepoint { .. } | How::Printed => return None,
    };
    Some(line.trim_end().to_owned())
}

/// The static tracepoints, as `group:name`.
pub fn tracepoints(era: &Era) -> impl Iterator<Item = String> {
    era.probes.iter().filter_map(|probe| match probe.how {
        How::Tracepoint { system, .. } => Some(format!("{system}:{}", probe.name)),
        _ => None,
    })
}

/// The recording commands of a tool, as a script.
pub fn script(era: &Era, tool: Tool) -> String {
    match tool {
        Tool::Tracefs => tracefs(era),
        Tool::TraceCmd => trace_cmd(era),
        Tool::Perf => perf(era),
        Tool::Bpftrace => bpftrace(era),
    }
}

fn definitions(era: &Era, file: &str) -> String {
    let mut out = String::new();
    for need in [Need::Basic, Need::Entries, Need::Hypervisor, Need::Certainty] {
        let lines: Vec<String> =
            era.probes.iter().filter(|probe| probe.need == need).filter_map(definition).collect();
        if !lines.is_empty() {
            let _ = writeln!(out, "# {}", need.what());
        }
        for line in lines {
            let _ = writeln!(out, "echo '{line}' >> {file}");
        }
    }
    out
}

const NUMA: &str = "# entries of NUMA balancing are cleared without a flush; without it more can be said\n\
                    sysctl kernel.numa_balancing=0\n";

fn tracefs(era: &Era) -> String {
    let mut out = format!(
        "# as root; x86-64; {} (read in {})\n{NUMA}cd /sys/kernel/tracing\n",
        era.span(),
        era.read
    );
    out.push_str(&definitions(era, "dynamic_events"));
    out.push_str(
        "mkdir instances/shootdown\ncd instances/shootdown\n\
         echo counter > trace_clock          # one order for all CPUs\n\
         echo 0 > options/hash-ptr           # else no page has a frame\n\
         echo 1 > options/record-tgid\n\
         echo 40000 > buffer_size_kb         # of each CPU\n\
         echo 1 > events/mn/enable\n",
    );
    for point in tracepoints(era) {
        let file = point.replace(':', "/");
        let _ = writeln!(out, "[ -e events/{file} ] && echo 1 > events/{file}/enable");
    }
    out.push_str(
        "\nWORKLOAD\n\necho 0 > tracing_on\ncat trace > mn.trace           # choose a place of your own\n\
         grep -h overrun per_cpu/*/stats     # 0, or events were lost\n\
         cd ../.. && rmdir instances/shootdown\n\
         echo '-:mn/' >> dynamic_events      # the probes go\n",
    );
    out
}

fn trace_cmd(era: &Era) -> String {
    let mut out = format!("# as root; x86-64; {} (read in {})\n{NUMA}", era.span(), era.read);
    out.push_str(&definitions(era, "/sys/kernel/tracing/dynamic_events"));
    out.push_str("trace-cmd record -C mono -b 20000 -o mn.dat -e mn");
    for point in tracepoints(era) {
        let _ = write!(out, " \\\n    -e {point}");
    }
    out.push_str(" \\\n    WORKLOAD\nshootdown trace mn.dat\n");
    out
}

fn perf(era: &Era) -> String {
    let points: Vec<String> = tracepoints(era).collect();
    format!(
        "# static tracepoints only: rules R6 and, with slots, R7; {} (read in {})\n\
         perf record -k CLOCK_MONOTONIC -c 1 -a -o mn.perf \\\n    -e {} \\\n    -- WORKLOAD\n\
         perf script --ns -i mn.perf > mn.txt\nshootdown trace --clock mono mn.txt\n",
        era.span(),
        era.read,
        points.join(" \\\n    -e ")
    )
}

/// The program for bpftrace: one line for each event, which the reader knows.
fn bpftrace(era: &Era) -> String {
    let mut out = format!(
        "// bpftrace mn.bt > mn.txt; shootdown trace --kernel {} mn.txt\n// {} (read in {})\n",
        era.read.trim_start_matches('v'),
        era.span(),
        era.read
    );
    for probe in era.probes {
        let (at, fields) = match probe.how {
            How::Entry { function, bpftrace, .. } => (format!("kfunc:{function}"), bpftrace),
            How::Return { function, bpftrace, .. } => (format!("kretfunc:{function}"), bpftrace),
            How::Tracepoint { system, bpftrace } => {
                (format!("tracepoint:{system}:{}", probe.name), bpftrace)
            }
            How::Printed => continue,
        };
        if fields.is_empty() {
            continue;
        }
        let (format, values) = fields.split_once('"').unwrap_or((fields, ""));
        let blank = if format.is_empty() { "" } else { " " };
        let _ = writeln!(
            out,
            "{at} {{ printf(\"%llu %d %d {}{blank}{format}\\n\", nsecs, cpu, tid{values}); }}",
            probe.name
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::era::ERAS;

    #[test]
    fn definitions_name_what_the_reader_looks_for() {
        for era in &ERAS {
            for probe in era.probes {
                let Some(line) = definition(probe) else { continue };
                assert!(line.contains(&format!(":mn/{} ", probe.name)), "{line}");
            }
        }
    }

    #[test]
    fn each_tool_has_what_it_can_record() {
        for era in &ERAS {
            let text = |tool| script(era, tool);
            for tool in [Tool::Tracefs, Tool::TraceCmd] {
                assert!(text(tool).contains("p:mn/mn_start __mmu_notifier_invalidate_range_start"));
                assert!(text(tool).contains("kvm_tdp_mmu_spte_changed"));
            }
            assert!(!text(Tool::Perf).contains("mn_start"));
            let program = text(Tool::Bpftrace);
            for line in program.lines().filter(|line| !line.starts_with("//")) {
                let (quotes, opens) = (line.matches('"').count(), line.matches('{').count());
                assert_eq!((quotes, opens), (2, 1), "{line}");
                let format = line.split('"').nth(1).unwrap();
                let given = line.split('"').nth(2).unwrap().matches(", ").count();
                assert_eq!(format.matches('%').count(), given, "{line}");
            }
        }
    }
}
