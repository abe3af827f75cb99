//! `shootdown check`: a verdict with reasons for each variant of each file.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use shootdown_answers::LIBRARY;
use shootdown_answers::check::{Refused, check, not_covered, read};
use shootdown_answers::request::{MemoryModel, Request, values_of};
use shootdown_answers::verdict::{Checked, Judgement, Status as Verdict};
use shootdown_drift::{Recorded, Tree};
use shootdown_explore::{Limits, Reductions};
use shootdown_litmus::{Directories, Either, Variant, read_file, variants};

use super::interrupt;
use super::progress::{Line, search};
use super::status::Status;
use crate::draw::{self, Form, Paint};
use crate::drift::withhold::withhold;

/// Memory models that are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Model {
    /// Sequential consistency
    Sc,
    /// Store buffers, as on x86
    Tso,
    /// Release and acquire, a view of each thread on each word
    Ra,
}

impl Model {
    /// As the library takes it.
    pub fn memory(self) -> MemoryModel {
        match self {
            Model::Sc => MemoryModel::Sc,
            Model::Tso => MemoryModel::Tso,
            Model::Ra => MemoryModel::Ra,
        }
    }
}

/// Forms of a timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TimelineForm {
    /// A column for each thread, and beside it what changed
    Columns,
    /// The form of the kernel's document: [Time N] blocks
    Document,
    /// CPU0 | CPU1 | DEV0 in 72 columns, ready for a mail
    Changelog,
}

/// How files are read and searched; the same for several commands.
#[derive(Clone, Debug, Args)]
pub struct Setup {
    /// Memory model
    #[arg(long, value_enum, default_value = "sc")]
    pub model: Model,
    /// Turn a dial of the machine: NAME=VALUE (may be given several times)
    #[arg(long, value_name = "NAME=VALUE")]
    pub param: Vec<String>,
    /// Another machine than the one that the file includes
    #[arg(long, value_name = "NAME")]
    pub machine: Option<String>,
    /// Another kernel than the one that the file includes: v6.1, v6.12
    #[arg(long, value_name = "TAG")]
    pub kernel: Option<String>,
    /// Look for included files here first
    #[arg(short = 'I', long = "include", value_name = "DIR")]
    pub include: Vec<PathBuf>,
    /// Give up after this many states
    #[arg(long, value_name = "N", default_value_t = 100_000_000)]
    pub max_states: u64,
    /// Give up at this many MiB
    #[arg(long, value_name = "MIB", default_value_t = 4096)]
    pub max_memory: u64,
    /// Give up after this many seconds
    #[arg(long, value_name = "S", default_value_t = 600)]
    pub max_time: u64,
    /// Threads of the search
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub threads: usize,
    /// Search every order of steps, also of those that nobody can tell apart
    #[arg(long)]
    pub no_fuse: bool,
    /// Tell equal threads apart
    #[arg(long)]
    pub no_symmetry: bool,
    /// Remember variables that nobody reads any more
    #[arg(long)]
    pub no_forget: bool,
    /// Keep words that only count as the numbers that they are
    #[arg(long)]
    pub no_renumber: bool,
}

impl Setup {
    /// As the library takes it.
    ///
    /// # Errors
    ///
    /// A `--param` without `=`.
    pub fn request(&self) -> Result<Request, String> {
        Ok(Request {
            model: self.model.memory(),
            params: params(&self.param)?,
            machine: self.machine.clone(),
            kernel: self.kernel.clone(),
            limits: Limits {
                states: self.max_states,
                bytes: self.max_memory.saturating_mul(1 << 20),
                time: Duration::from_secs(self.max_time),
            },
            threads: self.threads.max(1),
            reductions: Reductions { fuse: !self.no_fuse, symmetry: !self.no_symmetry },
            forget_dead: !self.no_forget,
            renumber: !self.no_renumber,
            ..Request::default()
        })
    }

    /// The same for a search that may take long: how far it has come is drawn on
    /// a terminal, and Ctrl-C ends it with what was found until then.
    ///
    /// # Errors
    ///
    /// As of [`Setup::request`].
    pub(super) fn watched(&self) -> Result<(Request, Option<Arc<Line>>), String> {
        let mut request = self.request()?;
        let line = Line::new();
        request.progress = search(line.as_ref());
        request.until.asked = Some(interrupt::asked());
        Ok((request, line))
    }

    /// Where included files come from.
    pub fn sources(&self) -> Either<Directories, shootdown_litmus::Embedded<'static>> {
        Either(Directories(self.include.clone()), LIBRARY)
    }
}

/// The dials of `--param`: name, value.
///
/// # Errors
///
/// One without `=`.
pub fn params(given: &[String]) -> Result<Vec<(String, String)>, String> {
    let split = |text: &String| match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(format!("`--param {text}`: write NAME=VALUE, such as perm_miss_rewalk=no")),
    };
    given.iter().map(split).collect()
}

/// What `check` is told.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// Litmus files
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Switches that are on: one variant of the file
    #[arg(long, value_name = "NAME[,NAME]", value_delimiter = ',')]
    pub variant: Vec<String>,
    /// Every variant that the file lists, as one table
    #[arg(long, conflicts_with = "variant")]
    pub all_variants: bool,
    /// Run with each value of a dial
    #[arg(long, value_name = "PARAM")]
    pub both: Vec<String>,
    /// Form of the shortest run
    #[arg(long, value_enum, default_value = "columns")]
    pub timeline: TimelineForm,
    /// Do not look for the steps without which a clean test would not be
    #[arg(long)]
    pub no_guards: bool,
    /// Print a program in C that makes the same calls, and where a delay opens the window
    #[arg(long, conflicts_with_all = ["json", "all_variants", "both"])]
    pub reproducer: bool,
    /// Give no verdict that rests on a function which is another in this kernel tree
    #[arg(long, value_name = "DIR")]
    pub tree: Option<PathBuf>,
    /// With --tree: digests that `drift --record` printed, beside those of the program
    #[arg(long, value_name = "FILE", requires = "tree")]
    pub digests: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// How to search
    #[command(flatten)]
    pub setup: Setup,
}

/// Runs the command.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Status {
    let mut status = Status::default();
    let (mut request, line) = match arguments.setup.watched() {
        Ok(watched) => watched,
        Err(why) => {
            eprintln!("shootdown: {why}");
            return Status { input: true, ..status };
        }
    };
    request.guards = !arguments.no_guards && !arguments.all_variants;
    let mut tree = match tree(arguments) {
        Ok(tree) => tree,
        Err(why) => {
            eprintln!("shootdown: {why}");
            return Status { input: true, ..status };
        }
    };
    let mut all = Vec::new();
    for file in &arguments.files {
        if interrupt::is_asked() {
            status = status.and(left_out(file));
            continue;
        }
        let (checks, found) = one_file(file, arguments, &request, &mut tree);
        status = status.and(found);
        if let Some(line) = &line {
            line.clear();
        }
        if !arguments.json && !arguments.reproducer {
            // A reader that has seen enough (`| head`) is no error.
            let _ = out.write_all(text(&checks, arguments).as_bytes());
        }
        all.extend(checks);
    }
    if arguments.json {
        match draw::json::text(&all) {
            Ok(json) => {
                let _ = out.write_all(json.as_bytes());
                let _ = out.write_all(b"\n");
            }
            Err(error) => {
                eprintln!("shootdown: the report could not be written as json: {error}");
                status.internal = true;
            }
        }
    }
    status
}

/// The kernel tree that verdicts are withheld for, with the digests to compare.
fn tree(arguments: &Arguments) -> Result<Option<(Tree, Recorded)>, String> {
    let Some(folder) = &arguments.tree else { return Ok(None) };
    let tree = Tree::open(folder).map_err(|why| why.to_string())?;
    Ok(Some((tree, super::drift::recorded(arguments.digests.as_deref())?)))
}

/// A file that nothing was said of, because somebody asked for an end.
pub(super) fn left_out(file: &Path) -> Status {
    eprintln!("shootdown: interrupted before {}", file.display());
    Status { open: true, ..Status::default() }
}

fn text(checks: &[Checked], arguments: &Arguments) -> String {
    let paint = Paint::new(std::io::stdout().is_terminal());
    if arguments.all_variants {
        return draw::variants::text(checks, paint);
    }
    let form = match arguments.timeline {
        TimelineForm::Columns => Form::Columns,
        TimelineForm::Document => Form::Document,
        TimelineForm::Changelog => Form::Changelog,
    };
    checks.iter().map(|checked| draw::check(checked, form, width(), paint)).collect()
}

/// Columns of the terminal, or 100.
fn width() -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    columns.unwrap_or(100).clamp(60, 400)
}

fn one_file(
    file: &Path,
    arguments: &Arguments,
    request: &Request,
    tree: &mut Option<(Tree, Recorded)>,
) -> (Vec<Checked>, Status) {
    let mut status = Status::default();
    let wrong = |error: &dyn std::fmt::Display| {
        eprint!("{error}");
        (Vec::new(), Status { input: true, ..Status::default() })
    };
    let name = file.display().to_string();
    let text = match read_file(file) {
        Ok(text) => text,
        Err(error) => return wrong(&error),
    };
    let sources = arguments.setup.sources();
    let offered = match variants(&name, &text, &sources) {
        Ok(offered) => offered,
        Err(error) => return wrong(&error),
    };
    if let Some(unknown) = arguments.variant.iter().find(|name| !offered.switches.contains(name)) {
        let known = if offered.switches.is_empty() {
            "none".to_owned()
        } else {
            offered.switches.join(", ")
        };
        eprintln!("{name}: error: there is no variant `{unknown}`; the file has {known}");
        return (Vec::new(), Status { input: true, ..status });
    }
    let chosen = match arguments.all_variants {
        true => offered.listed,
        false => vec![Variant::new(arguments.variant.iter().cloned())],
    };
    let mut checks = Vec::new();
    for variant in &chosen {
        for request in settings(request, &arguments.both) {
            let checked = match read(&name, &text, &sources, variant, &request) {
                Ok(subject) => {
                    eprint!("{}", subject.program.warnings);
                    let drifted = tree
                        .as_mut()
                        .and_then(|(tree, recorded)| withhold(&subject.program, tree, recorded));
                    match drifted {
                        Some((why, span)) => {
                            let mut checked = not_covered(&subject.program, &why, span, &request);
                            checked.judgement = Judgement::Unjudged;
                            checked
                        }
                        None => {
                            let checked = check(&subject, &request);
                            if arguments.reproducer {
                                status = status.and(reproduce(&name, &subject.program, &checked));
                            }
                            checked
                        }
                    }
                }
                Err(Refused::NotCovered { program, why, span }) => {
                    not_covered(&program, &why, span, &request)
                }
                Err(Refused::Input(error)) => {
                    eprint!("{error}");
                    status.input = true;
                    continue;
                }
            };
            status = status.and(of(&checked));
            checks.push(checked);
        }
    }
    (checks, status)
}

/// A program in C, to standard output, or why there is none.
fn reproduce(name: &str, program: &shootdown_litmus::Program, checked: &Checked) -> Status {
    match draw::reproducer::text(program, checked) {
        Ok(text) => {
            print!("{text}");
            Status::default()
        }
        Err(why) => {
            eprintln!("{name}: error: {why}");
            Status { input: true, ..Status::default() }
        }
    }
}

/// Every setting of the dials that are run with all of their values.
fn settings(request: &Request, both: &[String]) -> Vec<Request> {
    let mut list = vec![request.clone()];
    for dial in both {
        // A dial that the machine does not have is an error of its own.
        let values = values_of(dial).unwrap_or(&["yes", "no"]);
        list = list
            .into_iter()
            .flat_map(|request| {
                values.iter().map(move |value| {
                    let mut request = request.clone();
                    request.params.push((dial.clone(), (*value).to_owned()));
                    request
                })
            })
            .collect();
    }
    list
}

/// The status of one verdict.
pub fn of(checked: &Checked) -> Status {
    let violated =
        checked.verdicts.iter().any(|verdict| matches!(verdict.status, Verdict::Violated(_)));
    let clean = checked.verdicts.iter().any(|verdict| verdict.status == Verdict::Clean);
    let unknown =
        checked.verdicts.iter().any(|verdict| matches!(verdict.status, Verdict::Unknown(_)));
    let stopped = checked.search.stopped.is_some();
    match &checked.judgement {
        Judgement::Met { .. } => Status::default(),
        // An answer that is only missing does not differ from what was expected.
        Judgement::Differs { .. } if !violated && (unknown || stopped) => {
            Status { open: true, ..Status::default() }
        }
        Judgement::Differs { .. } => Status { differs: true, ..Status::default() },
        Judgement::Unjudged => Status {
            differs: violated,
            open: unknown
                || stopped
                || (!violated
                    && !clean
                    && checked.verdicts.iter().all(|v| v.status != Verdict::Clean)
                    && checked.block.validated.is_none()),
            ..Status::default()
        },
    }
}
