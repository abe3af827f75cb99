//! `shootdown run`: a test on real threads, many times, as litmus7 does it.
//!
//! The kernel's part is played by [`address_space`]; what comes out is compared
//! with what the checker allows.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;
use shootdown_answers::LIBRARY;
use shootdown_litmus::program::Quantifier;
use shootdown_litmus::{Directories, Either, Program, Variant, check_source, read_file, variants};
use shootdown_live::{Config, Histogram, Policy, State};

use super::check::Model;
use super::status::Status;

/// Version of the JSON form.
pub const SCHEMA: &str = "shootdown.run/1";

/// What a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum On {
    /// Threads of this machine, and the address space of this project
    Threads,
}

/// Which protocol the address space follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// The secondary TLBs are told in time
    #[default]
    Right,
    /// A page is replaced, and the secondary TLBs are told after the lock
    LateNotify,
    /// A page is freed before the secondary TLBs are told
    EarlyFree,
    /// A page is copied while it can still be written
    UnsettledCopy,
}

impl Protocol {
    fn policy(self) -> Policy {
        let name = self.to_possible_value().map(|value| value.get_name().to_owned());
        name.and_then(|name| Policy::of(&name)).unwrap_or_default()
    }
}

/// What `run` is told.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// A litmus file
    pub file: PathBuf,
    /// What it runs on
    #[arg(long, value_enum)]
    pub on: On,
    /// How many times
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub iterations: u64,
    /// Follow the protocol, or break it
    #[arg(long, value_enum, default_value = "right")]
    pub policy: Protocol,
    /// Memory model: with `sc` a barrier follows each store
    #[arg(long, value_enum, default_value = "sc")]
    pub model: Model,
    /// Turn a dial of the machine that outcomes are compared with: NAME=VALUE
    /// (may be given several times)
    #[arg(long, value_name = "NAME=VALUE")]
    pub param: Vec<String>,
    /// Switches that are on: one variant of the file
    #[arg(long, value_name = "NAME[,NAME]", value_delimiter = ',')]
    pub variant: Vec<String>,
    /// Where the random waits begin
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Look for included files here first
    #[arg(short = 'I', long = "include", value_name = "DIR")]
    pub include: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Status {
    let On::Threads = arguments.on;
    let params = match super::check::params(&arguments.param) {
        Ok(params) => params,
        Err(why) => {
            eprintln!("shootdown: {why}");
            return Status { input: true, ..Status::default() };
        }
    };
    let program = match program(arguments) {
        Ok(mut program) => {
            shootdown_answers::check::order_queues(&mut program, &params);
            program
        }
        Err(why) => {
            eprint!("{why}");
            return Status { input: true, ..Status::default() };
        }
    };
    eprint!("{}", program.warnings);
    let config = Config {
        iterations: arguments.iterations,
        policy: arguments.policy.policy(),
        tso: arguments.model == Model::Tso,
        seed: arguments.seed,
        params,
        ..Config::default()
    };
    let histogram = match shootdown_live::run(&program, &config) {
        Ok(histogram) => histogram,
        Err(refused) => {
            match refused.place {
                Some(_) => eprintln!("{refused}"),
                None => eprintln!("{}: error: {refused}", arguments.file.display()),
            }
            return Status {
                input: !refused.failed,
                internal: refused.failed,
                ..Status::default()
            };
        }
    };
    let mut status = of(&histogram);
    if !arguments.json {
        // A reader that has seen enough (`| head`) is no error.
        let _ = write!(out, "{histogram}");
        return status;
    }
    match serde_json::to_string_pretty(&report(&histogram, arguments)) {
        Ok(json) => {
            let _ = writeln!(out, "{json}");
        }
        Err(error) => {
            eprintln!("shootdown: the report could not be written as json: {error}");
            status.internal = true;
        }
    }
    status
}

/// Reads the file, or says what is wrong with it.
fn program(arguments: &Arguments) -> Result<Program, String> {
    let name = arguments.file.display().to_string();
    let text = read_file(&arguments.file).map_err(|error| error.to_string())?;
    let sources = Either(Directories(arguments.include.clone()), LIBRARY);
    let offered = variants(&name, &text, &sources).map_err(|error| error.to_string())?;
    let unknown = arguments.variant.iter().find(|switch| !offered.switches.contains(switch));
    if let Some(unknown) = unknown {
        let known = match offered.switches.is_empty() {
            true => "none".to_owned(),
            false => offered.switches.join(", "),
        };
        return Err(format!(
            "{name}: error: there is no variant `{unknown}`; the file has {known}\n"
        ));
    }
    let variant = Variant::new(arguments.variant.iter().cloned());
    let program =
        check_source(&name, &text, &sources, &variant).map_err(|error| error.to_string())?;
    let model = model(arguments);
    if let Some((_, span)) = program.models.first()
        && !program.models.iter().any(|(name, _)| **name == *model)
    {
        let names: Vec<&str> = program.models.iter().map(|(name, _)| &**name).collect();
        return Err(format!(
            "{}: error: the file asks for the model {}, and this is {model}; choose it with \
             --model if threads have it\n",
            program.files.locate(*span),
            names.join(", ")
        ));
    }
    Ok(program)
}

fn model(arguments: &Arguments) -> &'static str {
    arguments.model.memory().name()
}

/// The status of what came out.
pub fn of(histogram: &Histogram) -> Status {
    Status {
        differs: !histogram.outside.is_empty(),
        open: histogram.unchecked.is_some() || histogram.iterations == 0,
        ..Status::default()
    }
}

/// `--json`: what came out, in a versioned form. Fields may be added without
/// changing the version.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names are those of `Histogram` and of the options")]
pub struct Report {
    /// [`SCHEMA`]
    pub schema: &'static str,
    pub file: String,
    pub test: String,
    pub variant: Vec<String>,
    /// `threads`.
    pub on: &'static str,
    pub model: &'static str,
    pub policy: String,
    pub seed: u64,
    pub iterations: u64,
    pub condition: String,
    /// `allowed`, `forbidden`, `required`.
    pub kind: &'static str,
    /// Every final state that came out.
    pub states: Vec<Seen>,
    /// Whether the condition holds of what came out.
    pub validated: bool,
    /// Iterations whose end fulfils the proposition, and the others.
    pub satisfying: u64,
    pub others: u64,
    /// Iterations in which threads met while the tables were changing.
    pub window: Window,
    /// Final states that the checker allows and that did not come out.
    pub allowed_not_seen: Vec<BTreeMap<String, String>>,
    /// Why no state was compared with those that the checker allows, or `null`.
    pub unchecked: Option<String>,
    pub seconds: f64,
}

/// A final state that came out.
#[derive(Debug, Serialize)]
pub struct Seen {
    /// Names and values.
    pub values: BTreeMap<String, String>,
    /// How often.
    pub count: u64,
    /// Whether it fulfils the proposition of the condition.
    pub satisfies: bool,
    /// Whether the checker allows it; `null` if that is not known.
    pub allowed: Option<bool>,
}

/// In how many iterations an access began while another thread was in there.
#[derive(Debug, Serialize)]
pub struct Window {
    /// Between `range_start` and the return of `range_end`.
    pub in_range: u64,
    /// Between the beginning and the return of a call.
    pub in_call: u64,
}

fn report(histogram: &Histogram, arguments: &Arguments) -> Report {
    let values = |state: &State| state.iter().cloned().collect::<BTreeMap<_, _>>();
    let (satisfying, others) = histogram.counts();
    let states = histogram.states.iter().zip(&histogram.satisfying);
    let outside = |state: &State| histogram.outside.iter().any(|(other, _)| other == state);
    Report {
        schema: SCHEMA,
        file: arguments.file.display().to_string(),
        test: histogram.test.clone(),
        variant: arguments.variant.clone(),
        on: "threads",
        model: model(arguments),
        policy: arguments.policy.policy().to_string(),
        seed: arguments.seed,
        iterations: histogram.iterations,
        condition: histogram.condition.clone(),
        kind: match histogram.quantifier {
            Quantifier::Exists | Quantifier::Final => "allowed",
            Quantifier::NotExists => "forbidden",
            Quantifier::Forall => "required",
        },
        states: states
            .map(|((state, count), satisfies)| Seen {
                values: values(state),
                count: *count,
                satisfies: *satisfies,
                allowed: histogram.unchecked.is_none().then(|| !outside(state)),
            })
            .collect(),
        validated: histogram.validated(),
        satisfying,
        others,
        window: Window { in_range: histogram.window.in_range, in_call: histogram.window.in_call },
        allowed_not_seen: histogram.allowed_not_seen.iter().map(values).collect(),
        unchecked: histogram.unchecked.clone(),
        seconds: histogram.seconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_of_the_policies() {
        for protocol in Protocol::value_variants() {
            let name = protocol.to_possible_value().unwrap().get_name().to_owned();
            assert_eq!(Policy::of(&name).map(|policy| policy.to_string()), Some(name.clone()));
            assert_eq!(protocol.policy().to_string(), name);
        }
        assert_eq!(Protocol::value_variants().len(), Policy::ALL.len());
    }

    #[test]
    fn the_status() {
        let mut histogram = Histogram {
            test: "t".to_owned(),
            condition: "exists (true)".to_owned(),
            quantifier: Quantifier::Exists,
            states: Vec::new(),
            satisfying: Vec::new(),
            iterations: 1,
            seconds: 0.0,
            window: shootdown_live::WindowHits::default(),
            outside: Vec::new(),
            allowed_not_seen: Vec::new(),
            unchecked: None,
        };
        assert_eq!(of(&histogram).number(), 0);
        histogram.unchecked = Some("too large".to_owned());
        assert_eq!(of(&histogram).number(), 3);
        histogram.outside.push((Vec::new(), 1));
        assert_eq!(of(&histogram).number(), 1);
    }

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    /// Status and output for a file of the repository.
    fn line(file: &str, options: &[&str]) -> (u8, String) {
        let file = format!("{}/../../litmus/{file}", env!("CARGO_MANIFEST_DIR"));
        let iterations =
            if options.contains(&"--iterations") { &[][..] } else { &["--iterations", "200"] };
        let words = ["run", &file, "--on", "threads"];
        let line =
            <Line as clap::Parser>::parse_from(words.iter().chain(iterations).chain(options));
        let mut out = Vec::new();
        let status = run(&line.arguments, &mut out);
        (status.number(), String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_file_for_user_programs() {
        let (status, out) = line("user/munmap-vs-device.litmus", &[]);
        assert_eq!(status, 0, "{out}");
        assert!(out.starts_with("Test munmap-vs-device Allowed\nHistogram ("), "{out}");
        let (status, out) = line(
            "user/munmap-vs-device.litmus",
            &["--json", "--variant", "SEEN", "--model", "tso"],
        );
        assert_eq!(status, 0, "{out}");
        let value: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(value["schema"], SCHEMA);
        assert_eq!(value["iterations"], 200);
        assert_eq!(value["variant"][0], "SEEN");
        let counts = value["states"].as_array().unwrap().iter();
        assert_eq!(counts.map(|state| state["count"].as_u64().unwrap()).sum::<u64>(), 200);
    }

    #[test]
    fn bad_input() {
        for (file, options) in [
            ("seed/doorbell.litmus", &[][..]),
            ("user/munmap-vs-device.litmus", &["--variant", "OTHER"]),
            ("user/there-is-none.litmus", &[]),
        ] {
            assert_eq!(line(file, options), (2, String::new()), "{file} {options:?}");
        }
    }

    #[test]
    fn no_iteration_shows_nothing() {
        let (status, _) = line("user/munmap-vs-device.litmus", &["--iterations", "0"]);
        assert_eq!(status, 3);
    }
}
