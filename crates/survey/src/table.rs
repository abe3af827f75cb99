//! All paths of the kernels by all machines.

use std::time::{Duration, Instant};

use shootdown_answers::request::Request;
use shootdown_clients::Bound;
use shootdown_litmus::Sources;

use crate::cell::{Cell, cell};
use crate::path;

/// The kernels that come with the program.
pub const KERNELS: [&str; 2] = ["v6.1", "v6.12"];

/// Machines that come with the program and that paths can be put on. Those of
/// domains are not among them: what these paths change is a process's table.
pub const MACHINES: [&str; 9] = [
    "iommu-only",
    "ats-pasid",
    "vt-d",
    "amd-iommu",
    "smmuv3",
    "riscv-iommu",
    "kvm",
    "mirror-hmm",
    "mirror-odp",
];

/// What is asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Paths, by name.
    pub paths: Vec<String>,
    /// Kernels.
    pub kernels: Vec<String>,
    /// Machines.
    pub machines: Vec<String>,
    /// How large clients may be.
    pub bound: Bound,
}

impl Asked {
    /// How many rows that is.
    pub fn rows(&self) -> usize {
        self.paths.len() * self.kernels.len() * self.machines.len()
    }
}

/// A row: one path of one kernel on one machine.
#[derive(Clone, Debug)]
pub struct Row {
    /// The path.
    pub path: String,
    /// What the file says of it.
    pub title: String,
    /// The kernel.
    pub kernel: String,
    /// The machine.
    pub machine: String,
    /// What was found; or why it could not be asked.
    pub cell: Result<Cell, String>,
    /// How long it took.
    pub time: Duration,
}

/// Asks for all of them, one after the other; `each` is told of every row. Fewer
/// rows than were asked for: [`Request::until`] has ended it.
pub fn table(
    asked: &Asked,
    sources: &(dyn Sources + Sync),
    request: &Request,
    each: &mut dyn FnMut(&Row),
) -> Vec<Row> {
    let mut rows = Vec::new();
    for kernel in &asked.kernels {
        for machine in &asked.machines {
            for name in &asked.paths {
                let begun = Instant::now();
                let request = Request {
                    kernel: Some(kernel.clone()),
                    machine: Some(machine.clone()),
                    ..request.clone()
                };
                let text = path::text(name);
                let title = text.as_deref().map_or(String::new(), title);
                let cell = text.and_then(|text| cell(name, &text, sources, &request, &asked.bound));
                if request.until.over().is_some() {
                    return rows;
                }
                let row = Row {
                    path: name.clone(),
                    title,
                    kernel: kernel.clone(),
                    machine: machine.clone(),
                    cell,
                    time: begun.elapsed(),
                };
                each(&row);
                rows.push(row);
            }
        }
    }
    rows
}

/// The quoted line under the header.
fn title(text: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
    line.unwrap_or_default().to_owned()
}
