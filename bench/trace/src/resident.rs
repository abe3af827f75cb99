//! Memory: the most that was resident, for a small and a large file.

use std::process::{Command, ExitCode};

use shootdown_trace::read::{Reader, Wanted};

use crate::recording;

/// The argument that makes the program read one file and say what it took.
pub const ARGUMENT: &str = "--resident";

pub fn print() {
    println!("| file | most memory resident |");
    println!("|---|---:|");
    for (size, bytes) in [("1 MB", 1_000_000), ("1 GB", 1_000_000_000)] {
        println!("| {size} | {} |", measure(bytes).unwrap_or_else(|reason| reason));
    }
}

fn measure(bytes: u64) -> Result<String, String> {
    let path = std::env::temp_dir().join(format!("shootdown-trace-bench-{}", std::process::id()));
    let result = (|| {
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path)?);
        recording::write(bytes, &mut file)?;
        drop(file);
        Command::new(std::env::current_exe()?).arg(ARGUMENT).arg(&path).output()
    })();
    let _ = std::fs::remove_file(&path);
    let output = result.map_err(|error| format!("not measured: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

pub fn child(file: &str) -> ExitCode {
    let mut reader = Reader::open(file.as_ref(), &Wanted::everything()).expect("a recording");
    while reader.next().expect("readable").is_some() {}
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    println!("{}", most.unwrap_or("not known").trim());
    ExitCode::SUCCESS
}
