//! `shootdown drift`: are the kernel functions behind the files still the ones
//! that were read?

use std::fs;
use std::io::{IsTerminal, Write};
use std::path::{Path as FilePath, PathBuf};

use clap::Args;
use serde::Serialize;
use shootdown_answers::LIBRARY;
use shootdown_drift::{Recorded, State, Tree};

use super::status::Status;
use crate::draw::Paint;
use crate::drift::path::{Path, paths};

/// What `drift` is told.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// A kernel's source tree: the folder that has mm/
    #[arg(long, value_name = "DIR")]
    pub tree: PathBuf,
    /// Digests that `--record` printed, beside those of the program
    #[arg(long, value_name = "FILE")]
    pub digests: Option<PathBuf>,
    /// Only paths of this kernel, such as v6.1
    #[arg(long, value_name = "TAG")]
    pub kernel: Option<String>,
    /// Folders with litmus files and parts; without them those of the program
    pub folders: Vec<PathBuf>,
    /// Print the digests of this tree instead, for kernels/TAG/digests.tsv
    #[arg(long)]
    pub record: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// One function of a path.
#[derive(Clone, Debug, Serialize)]
struct Function {
    tag: String,
    file: String,
    function: String,
    line: usize,
    state: &'static str,
    #[serde(skip)]
    holds: State,
}

/// A path with what became of its functions.
#[derive(Clone, Debug, Serialize)]
struct Drifted {
    path: String,
    functions: Vec<Function>,
}

/// A test whose verdict is withheld, and because of which functions.
#[derive(Clone, Debug, Serialize)]
struct Withheld {
    test: String,
    because: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Report {
    schema: &'static str,
    tree: String,
    version: Option<String>,
    paths: Vec<Drifted>,
    withheld: Vec<Withheld>,
}

fn wrong(why: &dyn std::fmt::Display) -> Status {
    eprintln!("shootdown: {why}");
    Status { input: true, ..Status::default() }
}

/// Runs the command.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Status {
    let mut tree = match Tree::open(&arguments.tree) {
        Ok(tree) => tree,
        Err(why) => return wrong(&why),
    };
    let files = match files(&arguments.folders) {
        Ok(files) => files,
        Err(why) => return wrong(&why),
    };
    let of_kernel = |path: &Path| {
        let asked = arguments.kernel.as_deref();
        asked.is_none_or(|tag| {
            path.cites
                .iter()
                .any(|cited| cited.tag == tag || cited.tag.starts_with(&format!("{tag}.")))
        })
    };
    let all = paths(&files);
    if arguments.record {
        return record(&all, &of_kernel, &mut tree, out);
    }
    let recorded = match recorded(arguments.digests.as_deref()) {
        Ok(recorded) => recorded,
        Err(why) => return wrong(&why),
    };
    let mut drifted = Vec::new();
    for path in all.iter().filter(|path| !path.cites.is_empty() && of_kernel(path)) {
        let functions = path.cites.iter().map(|cited| {
            let state = tree.state(cited, &recorded);
            Function {
                tag: cited.tag.clone(),
                file: cited.file.clone(),
                function: cited.function.clone(),
                line: cited.line,
                state: state.word(),
                holds: state,
            }
        });
        drifted.push(Drifted { path: path.name.clone(), functions: functions.collect() });
    }
    if drifted.is_empty() {
        return wrong(
            &"no file cites a function of this kernel; `__from(\"tag\", \"file\", function)` does",
        );
    }
    let withheld = withheld(&all, &drifted);
    let report = Report {
        schema: "shootdown-drift 1",
        tree: tree.root().display().to_string(),
        version: tree.version().map(str::to_owned),
        paths: drifted,
        withheld,
    };
    let text = if arguments.json {
        match serde_json::to_string_pretty(&report) {
            Ok(json) => json + "\n",
            Err(error) => {
                eprintln!("shootdown: the report could not be written as json: {error}");
                return Status { internal: true, ..Status::default() };
            }
        }
    } else {
        report.text(Paint::new(std::io::stdout().is_terminal()))
    };
    let _ = out.write_all(text.as_bytes());
    let states = || report.paths.iter().flat_map(|path| &path.functions).map(|one| one.holds);
    Status {
        differs: states()
            .any(|state| matches!(state, State::Changed | State::Gone | State::NoFile)),
        open: states().any(|state| matches!(state, State::Unread | State::NotRecorded)),
        ..Status::default()
    }
}

/// The digests of the program, and those of a file.
///
/// # Errors
///
/// The file cannot be read, or a line of it is no digest.
pub fn recorded(file: Option<&FilePath>) -> Result<Recorded, String> {
    let mut recorded = Recorded::shipped();
    if let Some(file) = file {
        let name = file.display();
        let text = fs::read_to_string(file)
            .map_err(|error| format!("{name}: error: cannot be read: {error}"))?;
        recorded.extend(Recorded::read(&text).map_err(|error| format!("{name}: error: {error}"))?);
    }
    Ok(recorded)
}

/// The digests of the tree for every function that is cited from its version.
fn record(
    all: &[Path],
    of_kernel: &dyn Fn(&Path) -> bool,
    tree: &mut Tree,
    out: &mut dyn Write,
) -> Status {
    let Some(version) = tree.version().map(str::to_owned) else {
        return wrong(
            &"the tree's Makefile does not say which version it is; only a whole tree can be recorded",
        );
    };
    let tag = format!("v{version}");
    let (mut recorded, mut status) = (Recorded::default(), Status::default());
    for path in all.iter().filter(|path| of_kernel(path)) {
        for cited in path.cites.iter().filter(|cited| cited.tag == tag) {
            match tree.digest(cited) {
                Ok(digest) => recorded.add(&cited.tag, &cited.file, &cited.function, digest),
                Err(state) => {
                    let (name, line) = (&path.name, cited.line);
                    let what =
                        format!("{name}:{line}: `{}` ({}): {state}", cited.function, cited.file);
                    status = status.and(wrong(&what));
                }
            }
        }
    }
    let _ = write!(
        out,
        "# Digests of the functions that were read, of their text without comments\n# and blanks: tag, file, function, digest. `shootdown drift --record` makes them.\n{recorded}"
    );
    status
}

/// Tests that run into a path or function that does not hold.
fn withheld(all: &[Path], drifted: &[Drifted]) -> Vec<Withheld> {
    let broken = |name: &str| -> Vec<String> {
        let found = drifted.iter().filter(|path| path.path == name);
        let broken = found.flat_map(|path| &path.functions).filter(|one| !one.holds.holds());
        broken.map(|one| format!("{} {}", one.function, one.state)).collect()
    };
    let tests = all.iter().filter(|path| path.is_test);
    let list = tests.map(|test| {
        let mut because: Vec<String> = std::iter::once(&test.name)
            .chain(&test.includes)
            .flat_map(|name| broken(name))
            .collect();
        because.sort();
        because.dedup();
        Withheld { test: test.name.clone(), because }
    });
    list.filter(|test| !test.because.is_empty()).collect()
}

/// Every test and part below the folders, or those of the program.
fn files(folders: &[PathBuf]) -> Result<Vec<(String, String)>, String> {
    if folders.is_empty() {
        let own = LIBRARY.0.iter();
        return Ok(own.map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect());
    }
    let mut list = Vec::new();
    for folder in folders {
        let before = list.len();
        below(folder, &mut list)
            .map_err(|error| format!("{}: cannot be read: {error}", folder.display()))?;
        if list.len() == before {
            return Err(format!(
                "{}: no `*.litmus` or `*.mm` file below this folder",
                folder.display()
            ));
        }
    }
    Ok(list)
}

fn below(folder: &FilePath, list: &mut Vec<(String, String)>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            below(&path, list)?;
        } else if path.extension().is_some_and(|kind| kind == "litmus" || kind == "mm") {
            let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
            list.push((path.display().to_string(), text));
        }
    }
    Ok(())
}

impl Report {
    fn text(&self, paint: Paint) -> String {
        let mut out = match &self.version {
            Some(version) => format!("{} is Linux {version}\n\n", self.tree),
            None => format!("{} does not say which Linux it is\n\n", self.tree),
        };
        let width = self.paths.iter().map(|path| path.path.len()).max().unwrap_or(0);
        let mut counts = [0usize; 3];
        for path in &self.paths {
            let broken: Vec<&Function> =
                path.functions.iter().filter(|one| !one.holds.holds()).collect();
            let word = if broken.is_empty() {
                paint.good("unchanged")
            } else if broken.iter().any(|one| matches!(one.holds, State::Gone | State::NoFile)) {
                paint.bad("gone")
            } else if broken.iter().any(|one| one.holds == State::Changed) {
                paint.bad("changed")
            } else {
                paint.open("not compared")
            };
            counts[usize::from(!broken.is_empty())] += 1;
            out.push_str(&format!(
                "{:width$}  {:3} functions  {word}\n",
                path.path,
                path.functions.len()
            ));
            for one in broken {
                out.push_str(&format!(
                    "    line {}: {} ({}, read in {}): {}\n",
                    one.line, one.function, one.file, one.tag, one.state
                ));
            }
        }
        if !self.withheld.is_empty() {
            out.push_str("\nverdicts that are withheld for this tree\n");
            for test in &self.withheld {
                out.push_str(&format!("    {}: {}\n", test.test, test.because.join(", ")));
            }
        }
        out.push_str(&format!(
            "\n{} paths: {} unchanged, {} not; {} tests withheld\n",
            self.paths.len(),
            counts[0],
            counts[1],
            self.withheld.len()
        ));
        out
    }
}
