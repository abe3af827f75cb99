//! How a test is checked.

use shootdown_explore::{Limits, Options, Reductions, Until};
use shootdown_litmus::{
    Diagnostics, Found, Include, Program, SourceError, Sources, Variant, check_source,
};
pub use shootdown_step::MemoryModel;

/// How a test is checked.
#[derive(Clone)]
pub struct Request {
    /// The memory model.
    pub model: MemoryModel,
    /// Dials that are turned: name, value.
    pub params: Vec<(String, String)>,
    /// Another machine than the one that the file includes.
    pub machine: Option<String>,
    /// Another kernel than the one that the file includes.
    pub kernel: Option<String>,
    /// Caps on the search.
    pub limits: Limits,
    /// When all searches end that an answer takes.
    pub until: Until,
    /// Threads of the search.
    pub threads: usize,
    /// What need not be searched.
    pub reductions: Reductions,
    /// Registers that nobody reads any more are forgotten.
    pub forget_dead: bool,
    /// Words that only count are numbered anew.
    pub renumber: bool,
    /// Look for the steps without which a clean test would not be.
    pub guards: bool,
    /// Is told now and then how far a search has come.
    pub progress: Option<std::sync::Arc<dyn Fn(shootdown_explore::Progress) + Send + Sync>>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("model", &self.model)
            .field("params", &self.params)
            .field("machine", &self.machine)
            .field("kernel", &self.kernel)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Default for Request {
    /// `sc`, the file's own machine and dials, the default limits, one thread.
    fn default() -> Self {
        Request {
            model: MemoryModel::Sc,
            params: Vec::new(),
            machine: None,
            kernel: None,
            limits: Limits::default(),
            until: Until::default(),
            threads: 1,
            reductions: Reductions::ALL,
            forget_dead: true,
            renumber: true,
            guards: false,
            progress: None,
        }
    }
}

impl Request {
    /// What the engine is told.
    pub(crate) fn options(&self) -> Options {
        Options {
            threads: self.threads,
            limits: self.limits,
            until: self.until.clone(),
            reductions: self.reductions,
            progress: self.progress.clone(),
            ..Options::default()
        }
    }

    /// The model and the dials that were turned, for below an answer that is about
    /// many machines.
    pub fn assumed(&self) -> String {
        let dials = self.params.iter().map(|(name, value)| format!(" {name}={value}"));
        format!("{}{}", self.model.name(), dials.collect::<String>())
    }

    /// Dials that come with the chosen kernel.
    pub(crate) fn dials(&self) -> Vec<(String, String)> {
        let era = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut dials = match self.kernel.as_deref() {
            // Since 6.6 the secondary TLBs are told by the flush of the CPUs'.
            Some(tag) if since_6_6(tag) => {
                vec![era("cpu_flush_notifies", "yes"), era("range_end_invalidates", "no")]
            }
            Some(_) => vec![era("cpu_flush_notifies", "no"), era("range_end_invalidates", "yes")],
            None => Vec::new(),
        };
        dials.extend(self.params.iter().cloned());
        dials
    }
}

/// The values that a dial of the machine can have; `None` if it has no such dial.
pub fn values_of(dial: &str) -> Option<&'static [&'static str]> {
    let dials = shootdown_machine::setting::DIALS.iter();
    dials.into_iter().find(|known| known.name == dial).map(|known| known.values)
}

fn since_6_6(tag: &str) -> bool {
    let mut numbers =
        tag.trim_start_matches('v').split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version >= (6, 6)
}

impl Request {
    /// Reads one variant of a test with the machine and the kernel that are
    /// asked for.
    ///
    /// # Errors
    ///
    /// What is wrong with the text.
    pub fn read(
        &self,
        name: &str,
        text: &str,
        sources: &dyn Sources,
        variant: &Variant,
    ) -> Result<Program, Diagnostics> {
        let chosen =
            Chosen { sources, machine: self.machine.as_deref(), kernel: self.kernel.as_deref() };
        check_source(name, text, &chosen, variant)
    }

    /// Why a file cannot be had with the machine or the kernel that is asked
    /// for. Only an included one can be replaced: a file that declares its own
    /// TLBs, or has its own kernel code, would run as it stands, and the answer
    /// would be about something else than was asked.
    pub fn missing_include(&self, program: &Program) -> Option<String> {
        let includes = |folders: [&str; 2], wanted: &str| {
            program.files.iter().skip(1).any(|file| {
                let path = file.name.strip_suffix(".mm").unwrap_or(&file.name);
                let parts: Vec<&str> = path.split('/').collect();
                parts.windows(2).any(|two| folders.contains(&two[0]) && two[1] == wanted)
            })
        };
        if let Some(machine) = self.machine.as_deref()
            && !includes(["machine", "machines"], machine)
        {
            return Some(format!(
                "the file includes no machine that `{machine}` could replace; a file that \
                 declares its own TLBs is checked without --machine"
            ));
        }
        if let Some(kernel) = self.kernel.as_deref()
            && !includes(["kernel", "kernels"], kernel)
        {
            return Some(format!(
                "the file includes nothing of a kernel that `{kernel}` could replace; for a file \
                 with its own functions turn the dials: --param cpu_flush_notifies=yes --param \
                 range_end_invalidates=no is Linux since 6.6"
            ));
        }
        None
    }
}

/// Includes of machines and kernels lead to the ones that were asked for.
pub struct Chosen<'s> {
    /// Where texts come from.
    pub sources: &'s dyn Sources,
    /// The machine, if one was asked for.
    pub machine: Option<&'s str>,
    /// The kernel, if one was asked for.
    pub kernel: Option<&'s str>,
}

impl Sources for Chosen<'_> {
    fn read(&self, include: Include<'_>) -> Result<Found, SourceError> {
        let parts: Vec<&str> = include.path.split('/').collect();
        let path = match (parts.as_slice(), self.machine, self.kernel) {
            (["machine", _], Some(machine), _) => format!("machine/{machine}"),
            (["kernel", _, rest @ ..], _, Some(kernel)) => {
                format!("kernel/{kernel}/{}", rest.join("/"))
            }
            _ => return self.sources.read(include),
        };
        self.sources.read(Include { path: &path, ..include })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eras() {
        assert!(!since_6_6("v6.1"));
        assert!(!since_6_6("v6.1.192"));
        assert!(since_6_6("v6.6"));
        assert!(since_6_6("v6.12"));
        assert!(since_6_6("v7.2"));
    }
}
