//! What the tests share: files of the repository, and witnesses of the checker.
#![allow(dead_code)]

use std::path::PathBuf;

use shootdown_explore::Options;
use shootdown_litmus::{
    Directories, Found, Include, Program, SourceError, Sources, Variant, check_source, read_file,
};
use shootdown_machine::ideal::Ideal;
use shootdown_machine::machine::Machine;
use shootdown_machine::model::{OUTCOME, Run, search};
use shootdown_machine::outcome::{comparable, compared, holds, observe};
use shootdown_machine::sets::Sets;
use shootdown_machine::setting::{MemoryModel, Setting};
use shootdown_machine::world::World;
use shootdown_step::{Lowered, Target, lower};

/// The folder with the tests.
pub(crate) fn litmus() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../litmus"))
}

/// The files of the repository, with a device whose faults nobody handles: the
/// witnesses are shorter, and need no handler but the file's own.
struct NoPageRequests;

impl Sources for NoPageRequests {
    fn read(&self, include: Include<'_>) -> Result<Found, SourceError> {
        let mut found = Directories(vec![litmus()]).read(include)?;
        if found.name.contains("machines") || found.name.contains("machine/") {
            let text =
                String::from_utf8_lossy(&found.text).replace("fault dev = do_page_request;", "");
            found.text = text.into_bytes();
        }
        Ok(found)
    }
}

/// A variant of a test, ready to be searched.
pub(crate) struct Test {
    pub(crate) program: Program,
    pub(crate) lowered: Lowered,
    pub(crate) ideal: Lowered,
    pub(crate) setting: Setting,
}

/// Reads a seed, or a text.
pub(crate) fn seed(name: &str, variant: &[&str]) -> Test {
    let path = litmus().join("seed").join(name).with_extension("litmus");
    let text = read_file(&path).unwrap_or_else(|error| panic!("{error}"));
    test(name, &text, variant)
}

pub(crate) fn test(name: &str, text: &str, variant: &[&str]) -> Test {
    read(name, text, variant, &NoPageRequests)
}

/// Reads a file for user programs: page requests are served.
pub(crate) fn user(name: &str, variant: &[&str]) -> Test {
    let path = litmus().join("user").join(name).with_extension("litmus");
    let text = read_file(&path).unwrap_or_else(|error| panic!("{error}"));
    read(name, &text, variant, &Directories(vec![litmus()]))
}

fn read(name: &str, text: &str, variant: &[&str], sources: &dyn Sources) -> Test {
    let variant = Variant::new(variant.iter().map(|switch| (*switch).to_owned()));
    let program = check_source(&format!("{name}.litmus"), text, sources, &variant)
        .unwrap_or_else(|errors| panic!("{errors}"));
    let setting = Setting::of(&program, MemoryModel::Sc, &[]).unwrap();
    let lowered = lower(&program, Target::Machine, setting.dials()).unwrap();
    let ideal = lower(&program, Target::Ideal, setting.dials()).unwrap();
    Test { program, lowered, ideal, setting }
}

impl Test {
    pub(crate) fn machine(&self) -> Machine<Sets> {
        let (world, slots) = World::new(self.lowered.clone(), Target::Machine, self.setting);
        Machine::new(world, slots, Sets::default())
    }

    /// The shortest run that breaks a property of the machine, or that ideal
    /// memory does not have.
    pub(crate) fn witness(&self, property: u32) -> Option<Run> {
        let list = compared(&self.lowered, &self.ideal);
        let options = Options::default();
        let (world, slots) = World::new(self.ideal.clone(), Target::Ideal, self.setting);
        let ideal = Machine::new(world, slots, Ideal::default());
        let legal =
            search(&ideal, &options, &|_| 0, &|state| comparable(&ideal, state, &list)).ends;
        let machine = self.machine();
        let options = first(property);
        let found = search(
            &machine,
            &options,
            &|state| u64::from(!legal.contains(&comparable(&machine, state, &list))) << OUTCOME,
            &|_| Vec::new(),
        );
        found.violations.into_iter().find(|(broken, _)| *broken == property).map(|(_, run)| run)
    }

    /// The shortest run that fulfils the proposition of the test.
    pub(crate) fn fulfilled(&self) -> Option<Run> {
        let machine = self.machine();
        let prop = &self.program.condition.as_ref()?.prop;
        let found = search(
            &machine,
            &first(OUTCOME),
            &|state| {
                u64::from(holds(prop, &self.lowered, &|what| observe(&machine, state, what)))
                    << OUTCOME
            },
            &|_| Vec::new(),
        );
        found.violations.into_iter().find(|(broken, _)| *broken == OUTCOME).map(|(_, run)| run)
    }
}

/// A search that ends with the first run to a property.
fn first(property: u32) -> Options {
    Options { properties: 1 << property, first_violation_only: true, ..Options::default() }
}
