//! A trace instance, from its making to its end.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use shootdown_trace::era::Probe;
use shootdown_trace::probes;

/// An instance of our own. Whatever was changed outside of it is in `probes`.
pub(super) struct Session {
    tracing: PathBuf,
    instance: PathBuf,
    group: String,
    /// Names of the probes that were set.
    probes: RefCell<Vec<String>>,
}

impl Session {
    /// Makes an instance that records nothing yet.
    pub(super) fn open(tracing: &Path) -> Result<Session, String> {
        let instances = tracing.join("instances");
        if !instances.is_dir() {
            let why = match fs::read_dir(tracing) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    "is for root; run this as root"
                }
                _ => "is not there; as root: mount -t tracefs nodev /sys/kernel/tracing",
            };
            return Err(format!("{} {why}", tracing.display()));
        }
        // Two recordings at once do not meet.
        let group = format!("shootdown_{}", std::process::id());
        let instance = instances.join(&group);
        fs::create_dir(&instance).map_err(|error| {
            format!("{}: no trace instance can be made: {error}", instance.display())
        })?;
        let session =
            Session { tracing: tracing.to_owned(), instance, group, probes: RefCell::default() };
        session.write("tracing_on", "0")?;
        // Other tools may have their own wish; only ours is touched.
        let _ = session.write("options/hash-ptr", "0");
        let _ = session.write("options/record-tgid", "1");
        Ok(session)
    }

    fn write(&self, file: &str, text: &str) -> Result<(), String> {
        put(&self.instance.join(file), text)
    }

    pub(super) fn clock(&self, name: &str) -> Result<(), String> {
        self.write("trace_clock", name).map_err(|why| {
            let known = super::read(&self.instance.join("trace_clock")).unwrap_or_default();
            format!("clock {name}: {why}; this kernel has {}", known.trim())
        })
    }

    pub(super) fn buffer(&self, kib: u32) -> Result<(), String> {
        self.write("buffer_size_kb", &kib.to_string())
    }

    /// Turns a static tracepoint on.
    pub(super) fn tracepoint(&self, system: &str, name: &str) -> Result<(), String> {
        let file = format!("events/{system}/{name}/enable");
        if !self.instance.join(&file).exists() {
            return Err("this kernel does not have it, or its module is not loaded".to_owned());
        }
        self.write(&file, "1")
    }

    /// Sets a probe and turns it on.
    pub(super) fn probe(&self, probe: &Probe) -> Result<(), String> {
        let Some(line) = probes::definition(probe) else { return Ok(()) };
        let line = line.replacen(":mn/", &format!(":{}/", self.group), 1);
        // `dynamic_events` is there without kprobes too, for what else is dynamic.
        let file = self.tracing.join("kprobe_events");
        if !file.exists() {
            return Err("this kernel is built without kprobe events".to_owned());
        }
        let opened = OpenOptions::new().append(true).open(&file);
        opened
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .map_err(|error| format!("the kernel refuses the probe: {error}"))?;
        self.probes.borrow_mut().push(probe.name.to_owned());
        self.write(&format!("events/{}/{}/enable", self.group, probe.name), "1")
    }

    pub(super) fn on(&self) -> Result<(), String> {
        self.write("tracing_on", "1")
    }

    pub(super) fn off(&self) {
        let _ = self.write("tracing_on", "0");
    }

    /// Copies what was recorded: how many events, and how many were lost.
    pub(super) fn save(&self, to: &Path) -> Result<(u64, u64), String> {
        let failed = |error: io::Error| format!("{}: cannot be written: {error}", to.display());
        let from = File::open(self.instance.join("trace"));
        let from = from.map_err(|error| format!("the trace cannot be read: {error}"))?;
        let mut file = BufWriter::new(File::create(to).map_err(failed)?);
        let mut events = 0;
        for line in BufReader::new(from).split(b'\n') {
            let line = line.map_err(|error| format!("the trace cannot be read: {error}"))?;
            events += u64::from(!line.starts_with(b"#") && !line.is_empty());
            file.write_all(&line).and_then(|()| file.write_all(b"\n")).map_err(failed)?;
        }
        file.flush().map_err(failed)?;
        Ok((events, self.lost()))
    }

    /// Events that were overwritten or dropped, on all CPUs.
    fn lost(&self) -> u64 {
        let Ok(cpus) = fs::read_dir(self.instance.join("per_cpu")) else { return 0 };
        let of = |text: String| -> u64 {
            let counts = text.lines().filter_map(|line| {
                let (name, count) = line.split_once(": ")?;
                let lost = matches!(name, "overrun" | "commit overrun" | "dropped events");
                lost.then(|| count.trim().parse::<u64>().ok()).flatten()
            });
            counts.sum()
        };
        let stats = cpus.flatten().filter_map(|cpu| super::read(&cpu.path().join("stats")).ok());
        stats.map(of).sum()
    }
}

fn put(path: &Path, text: &str) -> Result<(), String> {
    let opened = OpenOptions::new().write(true).open(path);
    opened
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| format!("{}: {error}", path.display()))
}

impl Drop for Session {
    /// Takes back what was changed. What cannot be taken back is said.
    fn drop(&mut self) {
        self.off();
        let _ = self.write("events/enable", "0");
        for name in self.probes.borrow_mut().drain(..) {
            let line = format!("-:{}/{name}", self.group);
            let file = self.tracing.join("kprobe_events");
            let opened = OpenOptions::new().append(true).open(&file);
            if let Err(error) = opened.and_then(|mut file| file.write_all(line.as_bytes())) {
                eprintln!("shootdown: the probe {}/{name} is still set: {error}", self.group);
            }
        }
        if let Err(error) = fs::remove_dir(&self.instance) {
            let instance = self.instance.display();
            eprintln!("shootdown: {instance} is still there: {error}; rmdir removes it");
        }
    }
}
