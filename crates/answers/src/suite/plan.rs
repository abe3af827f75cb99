//! Which checks a file asks for.
//!
//! Every variant that is to be judged is run as the command line says. A line
//! of the table that names a model, a machine, a kernel or parameters speaks
//! about another setting: without running that the line would stand there
//! unread. A line for `*` is run for each variant, as it speaks of each.

use shootdown_litmus::{Expectation, Program, Variant};

use crate::request::{MemoryModel, Request};

/// One check that a file asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The switches that are on.
    pub variant: Variant,
    /// What is different from the command line's setting.
    pub asked: Asked,
}

/// What a line asks for beyond the setting of the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// A memory model, also one that is not offered.
    pub model: Option<String>,
    /// A machine.
    pub machine: Option<String>,
    /// A kernel.
    pub kernel: Option<String>,
    /// Parameters.
    pub params: Vec<(String, String)>,
}

impl Asked {
    /// Whether nothing is different.
    pub fn is_base(&self) -> bool {
        *self == Asked::default()
    }
}

impl Planned {
    /// `LATE tso machine=iommu-only Q=in_order`: unique in its file.
    pub fn name(&self) -> String {
        let mut name = self.variant.to_string();
        let Asked { model, machine, kernel, params } = &self.asked;
        if let Some(model) = model {
            name.push_str(&format!(" {model}"));
        }
        for (what, value) in [("machine", machine), ("kernel", kernel)] {
            if let Some(value) = value {
                name.push_str(&format!(" {what}={value}"));
            }
        }
        for (param, value) in params {
            name.push_str(&format!(" {param}={value}"));
        }
        name
    }

    /// The command line's request with what this check asks for. A model that
    /// is not offered changes nothing here: it has to be refused before.
    pub fn request(&self, base: &Request) -> Request {
        let mut request = base.clone();
        if let Some(model) = &self.asked.model {
            request.model = MemoryModel::of_name(model).unwrap_or(request.model);
        }
        if self.asked.machine.is_some() {
            request.machine.clone_from(&self.asked.machine);
        }
        if self.asked.kernel.is_some() {
            request.kernel.clone_from(&self.asked.kernel);
        }
        // The last one turns the dial.
        request.params.extend(self.asked.params.iter().cloned());
        request
    }
}

/// The checks of one variant, the command line's own setting first, then in
/// the order of the table, each once.
pub fn plan(program: &Program, base: &Request) -> Vec<Planned> {
    let variant = &program.variant;
    let mut list = vec![Planned { variant: variant.clone(), asked: Asked::default() }];
    for line in &program.expectations.lines {
        if line.variant.as_ref().is_some_and(|named| named != variant) {
            continue;
        }
        for asked in settings(line, base) {
            let planned = Planned { variant: variant.clone(), asked };
            if !list.contains(&planned) {
                list.push(planned);
            }
        }
    }
    list
}

/// Every setting that a line speaks about.
fn settings(line: &Expectation, base: &Request) -> Vec<Asked> {
    let model = base.model.name();
    let models = others(line.models.iter().map(|name| &**name), Some(model));
    let machines = others(line.machines.iter().map(|name| &**name), base.machine.as_deref());
    let kernels = others(line.kernels.iter().map(|name| &**name), base.kernel.as_deref());
    let turned = |name: &str, value: &str| {
        let last = base.params.iter().rev().find(|(known, _)| known == name);
        last.is_some_and(|(_, known)| known == value)
    };
    let mut params: Vec<(String, String)> = line
        .params
        .iter()
        .filter(|(name, value)| !turned(name, value))
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect();
    // The order in a line means nothing.
    params.sort();
    let mut list = Vec::new();
    for model in &models {
        for machine in &machines {
            for kernel in &kernels {
                list.push(Asked {
                    model: model.clone(),
                    machine: machine.clone(),
                    kernel: kernel.clone(),
                    params: params.clone(),
                });
            }
        }
    }
    list
}

/// The names of a line; `None` is what the command line has anyway.
fn others<'a>(names: impl Iterator<Item = &'a str>, base: Option<&str>) -> Vec<Option<String>> {
    let mut list: Vec<Option<String>> = Vec::new();
    for name in names {
        list.push((base != Some(name)).then(|| name.to_owned()));
    }
    if list.is_empty() {
        list.push(None);
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use shootdown_litmus::{NoSources, check_source};

    fn names(table: &str, variant: &[&str], base: &Request) -> Vec<String> {
        let text = format!(
            "C t\n{{}}\nP0(int *x) {{\n#ifdef LATE\n#endif\n#ifdef NONE\n#endif\n}}\n\
             exists (x=0)\nexpect {{ {table} }}\n"
        );
        let variant = Variant::new(variant.iter().copied());
        let program = check_source("t.litmus", &text, &NoSources, &variant);
        let program = program.unwrap_or_else(|wrong| panic!("{wrong}"));
        plan(&program, base).iter().map(Planned::name).collect()
    }

    #[test]
    fn lines_without_a_setting_ask_for_the_variant_alone() {
        let sc = Request::default();
        assert_eq!(names("* : clean; LATE : NEW;", &[], &sc), ["base"]);
        assert_eq!(names("* : clean; LATE : NEW;", &["LATE"], &sc), ["LATE"]);
    }

    #[test]
    fn models() {
        let sc = Request::default();
        let table = "LATE model sc, tso : clean; LATE model ra : FREE; NONE model tso : clean;";
        assert_eq!(names(table, &["LATE"], &sc), ["LATE", "LATE tso", "LATE ra"]);
        let tso = Request { model: MemoryModel::Tso, ..Request::default() };
        assert_eq!(names(table, &["LATE"], &tso), ["LATE", "LATE sc", "LATE ra"]);
        assert_eq!(names(table, &[], &sc), ["base"]);
    }

    #[test]
    fn a_line_for_all_is_run_for_each() {
        let table = "* : clean; * param drain=no cache_nonpresent=yes : FREE; \
                     LATE param cache_nonpresent=yes drain=no : clean;";
        let both = "cache_nonpresent=yes drain=no";
        let sc = Request::default();
        assert_eq!(names(table, &["NONE"], &sc), ["NONE".to_owned(), format!("NONE {both}")]);
        // The same setting twice, in another order.
        assert_eq!(names(table, &["LATE"], &sc), ["LATE".to_owned(), format!("LATE {both}")]);
    }

    #[test]
    fn machines_kernels_and_what_is_turned_already() {
        let table = "* machine iommu-only kernel v6.1, v6.12 param drain=no : clean;";
        assert_eq!(
            names(table, &[], &Request::default()),
            [
                "base",
                "base machine=iommu-only kernel=v6.1 drain=no",
                "base machine=iommu-only kernel=v6.12 drain=no"
            ]
        );
        let base = Request {
            machine: Some("iommu-only".to_owned()),
            params: vec![("drain".to_owned(), "no".to_owned())],
            ..Request::default()
        };
        assert_eq!(names(table, &[], &base), ["base", "base kernel=v6.1", "base kernel=v6.12"]);
    }
}
