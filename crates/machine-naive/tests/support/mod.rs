//! From text to steps, for the tests.

#![allow(dead_code, reason = "each test uses its own part")]

use std::path::PathBuf;

use shootdown_litmus::{Directories, Variant, check_source, variants};
use shootdown_machine::setting::{MemoryModel, Setting};
use shootdown_step::{Lowered, Target, lower};

/// The folder of the litmus files.
pub(crate) fn litmus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../litmus")
}

/// The variants of a file that are to be judged.
pub(crate) fn listed(name: &str, text: &str) -> Result<Vec<Variant>, String> {
    let sources = Directories(vec![litmus()]);
    variants(name, text, &sources).map(|list| list.listed).map_err(|errors| errors.to_string())
}

/// A variant as steps; an error says why not.
pub(crate) fn lowered(
    name: &str,
    text: &str,
    variant: &Variant,
    model: MemoryModel,
) -> Result<(Lowered, Setting), String> {
    let sources = Directories(vec![litmus()]);
    let program =
        check_source(name, text, &sources, variant).map_err(|errors| errors.to_string())?;
    let setting = Setting::of(&program, model, &[]).map_err(|error| error.to_string())?;
    let lowered = lower(&program, Target::Machine, setting.dials()).map_err(|error| error.why)?;
    Ok((lowered, setting))
}
