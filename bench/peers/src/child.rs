//! Runs a child and says what it used.
//!
//! `wait4` gives processor time, user and system, and the peak of resident
//! memory, of the child and of what it waited for. The kernel counts into the
//! peak what the child was before it became the other program, so nothing is
//! below the size of this program: [`floor`] says how much that is.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a child used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// User and system.
    pub cpu: Duration,
    pub wall: Duration,
    /// Peak resident memory, in bytes.
    pub peak: u64,
}

/// What a child may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// By the clock.
    pub time: Duration,
    /// Of address space.
    pub bytes: u64,
}

impl Limits {
    /// For compilers and generators.
    pub const PREPARATION: Limits = Limits { time: Duration::from_secs(120), bytes: 4 << 30 };
}

/// A child that ended.
pub struct Ended {
    pub usage: Usage,
    pub output: String,
    pub errors: String,
    /// The exit status, or nothing if a signal ended it.
    pub status: Option<i32>,
    out_of_time: bool,
}

impl Ended {
    pub fn succeeded(&self) -> bool {
        self.status == Some(0)
    }

    /// Which limit stopped the child, if one did. There is no common way to
    /// say "no memory": each of these words is from one of the peers.
    pub fn stopped(&self, limits: &Limits) -> Option<String> {
        if self.out_of_time {
            return Some(format!("none in {} s", limits.time.as_secs()));
        }
        let words = ["out of memory", "memory allocation of", "cannot allocate memory"];
        let said = [&self.output, &self.errors].map(|text| text.to_lowercase());
        let full = words.iter().any(|word| said.iter().any(|text| text.contains(word)));
        full.then(|| format!("none in {} GiB", limits.bytes >> 30))
    }

    /// The last line that it said, for messages.
    pub fn last_words(&self) -> String {
        let said = [&self.errors, &self.output];
        let line = said.iter().find_map(|text| text.lines().rfind(|line| !line.trim().is_empty()));
        let how = match self.status {
            Some(status) => format!("exit status {status}"),
            None => "ended by a signal".to_owned(),
        };
        format!("{how}: {}", line.unwrap_or("no message").trim())
    }
}

/// Runs a command to its end or to the limits.
///
/// # Errors
///
/// If it cannot be started or waited for.
pub fn run(command: &mut Command, limits: &Limits) -> Result<Ended, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let failed = |what: &str, error: io::Error| format!("cannot {what} {name}: {error}");
    // Files, not pipes: nobody has to read while the child runs.
    let mut output = scratch_file().map_err(|error| failed("keep the output of", error))?;
    let mut errors = scratch_file().map_err(|error| failed("keep the output of", error))?;
    let ours = |file: &File| file.try_clone().map(Stdio::from);
    command.stdin(Stdio::null());
    command.stdout(ours(&output).map_err(|error| failed("redirect", error))?);
    command.stderr(ours(&errors).map_err(|error| failed("redirect", error))?);
    let most = libc::rlimit { rlim_cur: limits.bytes, rlim_max: limits.bytes };
    // SAFETY: between fork and exec only setrlimit is called, which may be
    // called there, with a pointer to a value that the closure owns.
    unsafe {
        command.pre_exec(move || match libc::setrlimit(libc::RLIMIT_AS, &most) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        });
    }
    let begun = Instant::now();
    let mut child = command.spawn().map_err(|error| failed("start", error))?;
    let mut out_of_time = false;
    let mut pause = Duration::from_millis(1);
    let (status, used) = loop {
        match reap(child.id()).map_err(|error| failed("wait for", error))? {
            Some(ended) => break ended,
            None if begun.elapsed() > limits.time && !out_of_time => {
                out_of_time = true;
                child.kill().map_err(|error| failed("stop", error))?;
            }
            // Asking more rarely as it runs on: the clock is off by a
            // hundredth at most, the processor time not at all.
            None => {
                std::thread::sleep(pause);
                pause = (begun.elapsed() / 100)
                    .clamp(Duration::from_millis(1), Duration::from_millis(50));
            }
        }
    };
    let wall = begun.elapsed();
    let seconds = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
    };
    let usage = Usage {
        cpu: seconds(used.ru_utime) + seconds(used.ru_stime),
        wall,
        // Linux counts in KiB.
        peak: used.ru_maxrss as u64 * 1024,
    };
    Ok(Ended {
        usage,
        output: text_of(&mut output).map_err(|error| failed("read the output of", error))?,
        errors: text_of(&mut errors).map_err(|error| failed("read the output of", error))?,
        status: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
        out_of_time,
    })
}

/// The status and the usage of a child, if it has ended.
fn reap(id: u32) -> io::Result<Option<(i32, libc::rusage)>> {
    let mut status = 0;
    // SAFETY: a structure of integers, for which zeroes are a value.
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to values that live until the call returns.
    match unsafe { libc::wait4(id as libc::pid_t, &mut status, libc::WNOHANG, &mut used) } {
        0 => Ok(None),
        -1 => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            error => Err(error),
        },
        _ => Ok(Some((status, used))),
    }
}

/// What a child that does nothing is said to use at its peak, in bytes.
pub fn floor() -> Option<u64> {
    run(&mut Command::new("true"), &Limits::PREPARATION).ok().map(|ended| ended.usage.peak)
}

/// A file without a name.
fn scratch_file() -> io::Result<File> {
    let folder = Scratch::new()?;
    File::options().read(true).write(true).create_new(true).open(folder.path().join("said"))
}

fn text_of(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A folder that is removed with all that is in it.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> io::Result<Self> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("shootdown-peers-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path)?;
        Ok(Scratch(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A folder that stays behind is no reason to lose a measurement.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whether a program is on the path.
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { time: Duration::from_millis(300), bytes: 1 << 30 };

    fn shell(text: &str) -> Ended {
        run(Command::new("sh").args(["-c", text]), &LIMITS).expect("a shell")
    }

    #[test]
    fn a_child_is_measured() {
        let ended = shell("echo out; echo err >&2; exit 3");
        assert_eq!((ended.output.as_str(), ended.errors.as_str()), ("out\n", "err\n"));
        assert_eq!(ended.status, Some(3));
        assert!(ended.usage.peak > 0);
        assert_eq!(ended.stopped(&LIMITS), None);
        assert_eq!(ended.last_words(), "exit status 3: err");
    }

    #[test]
    fn a_child_that_takes_too_long_is_stopped() {
        let ended = run(Command::new("sleep").arg("60"), &LIMITS).expect("sleep");
        assert_eq!(ended.stopped(&LIMITS).as_deref(), Some("none in 0 s"));
        assert!(ended.usage.wall < Duration::from_secs(30));
    }

    #[test]
    fn words_about_memory_are_understood() {
        let ended = shell("echo 'pan: out of memory'");
        assert_eq!(ended.stopped(&LIMITS).as_deref(), Some("none in 1 GiB"));
    }
}
