//! Litmus files on both machines: every variant under every model.
//!
//! A file that has too many states for the naive machine is compared by its
//! *twin*, a file in `twins/` with something cut off. A twin says in its header
//! which file it stands for: `Twin=seed/ksm.litmus`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use shootdown_litmus::{Directories, Variant, check_source, read_file, variants};
use shootdown_machine::setting::{MemoryModel, Setting};
use shootdown_step::{Lowered, Target, lower};

use crate::compare::{Comparison, compare};

/// The models that the naive machine has: what caches find under `ra` it does
/// not say.
pub const MODELS: [MemoryModel; 2] = [MemoryModel::Sc, MemoryModel::Tso];

/// The folder of the twins.
pub const TWINS: &str = "twins";

/// A variant of a file under a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Folder and name of the file.
    pub file: String,
    /// Which variant.
    pub variant: Variant,
    /// Which model.
    pub model: MemoryModel,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} under {}", self.file, self.variant, self.model)
    }
}

/// What became of a run.
#[derive(Clone, Debug)]
pub enum Became {
    /// It was compared, if it was not too large.
    Compared(Comparison),
    /// It has no meaning, and why.
    Refused(String),
    /// The same file was too large already.
    Skipped,
}

/// What became of many.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Runs in which both machines agree.
    pub same: usize,
    /// States of the naive machine in these.
    pub naive: u64,
    /// States of the sets in these.
    pub sets: u64,
    /// Files with a run that is too large.
    pub too_large: BTreeSet<String>,
    /// Runs that have no meaning, and why.
    pub refused: Vec<String>,
    /// Runs in which the machines disagree, and how.
    pub failures: Vec<String>,
}

impl Tally {
    /// Whether nothing was refused and nothing differs.
    pub fn holds(&self) -> bool {
        self.refused.is_empty() && self.failures.is_empty()
    }

    fn note(&mut self, run: &Run, became: &Became) {
        match became {
            Became::Skipped => {}
            Became::Refused(why) => self.refused.push(format!("{run}: {why}")),
            Became::Compared(Comparison::TooLarge) => {
                self.too_large.insert(run.file.clone());
            }
            Became::Compared(Comparison::Same { naive, sets, .. }) => {
                self.same += 1;
                self.naive += naive;
                self.sets += sets;
            }
            Became::Compared(Comparison::Differs(difference)) => {
                self.failures.push(format!("{run}:\n{difference}"));
            }
        }
    }
}

/// Names of the files of a folder, with the folder.
///
/// # Errors
///
/// If it cannot be read.
pub fn files(root: &Path, folder: &str) -> Result<Vec<String>, String> {
    let at = root.join(folder);
    let listing = fs::read_dir(&at).map_err(|error| format!("{}: {error}", at.display()))?;
    let mut names = Vec::new();
    for entry in listing {
        let path = entry.map_err(|error| format!("{}: {error}", at.display()))?.path();
        if let (Some(name), true) =
            (path.file_name(), path.extension().is_some_and(|ending| ending == "litmus"))
        {
            names.push(format!("{folder}/{}", name.to_string_lossy()));
        }
    }
    names.sort();
    Ok(names)
}

/// Folders that have tests, and the twins last.
///
/// # Errors
///
/// If they cannot be listed.
pub fn folders(root: &Path) -> Result<Vec<String>, String> {
    let listing = fs::read_dir(root).map_err(|error| format!("{}: {error}", root.display()))?;
    let mut names = Vec::new();
    for entry in listing {
        let entry = entry.map_err(|error| format!("{}: {error}", root.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() && !files(root, &name)?.is_empty() {
            names.push(name);
        }
    }
    names.sort_by_key(|name| (name == TWINS, name.clone()));
    Ok(names)
}

/// The twin of each file that has one.
///
/// # Errors
///
/// If a twin says nothing of the sort, or names a file that is not there.
pub fn twins(root: &Path) -> Result<BTreeMap<String, String>, String> {
    let mut twins = BTreeMap::new();
    for file in files(root, TWINS)? {
        let text = read(root, &file)?;
        let of = text.lines().find_map(|line| line.strip_prefix("Twin="));
        let of = of.ok_or_else(|| {
            format!("{file}: no line `Twin=FOLDER/FILE` says which file it stands for")
        })?;
        if !root.join(of).is_file() {
            return Err(format!("{file}: it stands for {of}, which is not there"));
        }
        if let Some(other) = twins.insert(of.to_owned(), file.clone()) {
            return Err(format!("{file}: {other} stands for {of} already"));
        }
    }
    Ok(twins)
}

/// All runs of a file.
///
/// # Errors
///
/// If it is no test.
pub fn runs(root: &Path, file: &str) -> Result<Vec<Run>, String> {
    let sources = Directories(vec![root.to_owned()]);
    let list =
        variants(file, &read(root, file)?, &sources).map_err(|errors| errors.to_string())?.listed;
    let run =
        |variant: &Variant, model| Run { file: file.to_owned(), variant: variant.clone(), model };
    Ok(MODELS.iter().flat_map(|model| list.iter().map(|variant| run(variant, *model))).collect())
}

/// A run as steps.
///
/// # Errors
///
/// Why it has no meaning.
pub fn lowered(root: &Path, text: &str, run: &Run) -> Result<(Lowered, Setting), String> {
    let sources = Directories(vec![root.to_owned()]);
    let program = check_source(&run.file, text, &sources, &run.variant)
        .map_err(|errors| errors.to_string())?;
    let setting = Setting::of(&program, run.model, &[]).map_err(|error| error.to_string())?;
    let lowered = lower(&program, Target::Machine, setting.dials()).map_err(|error| error.why)?;
    Ok((lowered, setting))
}

/// Compares the machines in all runs, so many at a time. Once a run of a file
/// is too large the others of that file are skipped, unless they have begun.
/// `done` is told of each with the seconds that it took.
pub fn compare_all(
    root: &Path,
    runs: &[Run],
    cap: u64,
    workers: usize,
    done: &(dyn Fn(&Run, &Became, f64) + Sync),
) -> Tally {
    let (next, tally) = (AtomicUsize::new(0), Mutex::new(Tally::default()));
    let work = || {
        while let Some(run) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let begun = Instant::now();
            let large = tally.lock().expect("no worker panicked").too_large.contains(&run.file);
            let became = if large { Became::Skipped } else { one(root, run, cap) };
            done(run, &became, begun.elapsed().as_secs_f64());
            tally.lock().expect("no worker panicked").note(run, &became);
        }
    };
    std::thread::scope(|scope| (0..workers.max(1)).for_each(|_| drop(scope.spawn(work))));
    tally.into_inner().expect("no worker panicked")
}

fn one(root: &Path, run: &Run, cap: u64) -> Became {
    match read(root, &run.file).and_then(|text| lowered(root, &text, run)) {
        Ok((lowered, setting)) => Became::Compared(compare(&lowered, setting, cap)),
        Err(why) => Became::Refused(why),
    }
}

fn read(root: &Path, file: &str) -> Result<String, String> {
    read_file(&root.join(file)).map_err(|errors| errors.to_string())
}
