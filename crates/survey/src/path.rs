//! The paths of the table, and one of them with all its clients.

use shootdown_answers::LIBRARY;
use shootdown_answers::jury::Case;
use shootdown_answers::request::Request;
use shootdown_clients::{Bound, Client, Skeleton};
use shootdown_litmus::{Embedded, Include, Program, Sources, Variant, text_of};

use crate::around::Around;

/// The paths, files of `litmus/table`, in the order of the table.
pub const PATHS: [&str; 17] = [
    "cow",
    "zero-page",
    "replace-page",
    "ksm",
    "fork",
    "munmap",
    "munmap-full",
    "dontneed",
    "dontneed-full",
    "mprotect",
    "mremap",
    "mremap-reclaim",
    "reclaim",
    "migrate",
    "mkclean",
    "split",
    "collapse",
];

/// The text of a path that comes with the program.
///
/// # Errors
///
/// There is no path of this name; says which there are.
pub fn text(name: &str) -> Result<String, String> {
    let embedded: Embedded<'static> = LIBRARY;
    let path = format!("table/{name}.litmus");
    let found = embedded.read(Include { path: &path, local: false, from: "" });
    let text = found.ok().and_then(|found| text_of(&found.name, &found.text).ok());
    text.map(|text| text.to_string())
        .ok_or_else(|| format!("there is no path `{name}`; there are {}", PATHS.join(", ")))
}

/// A path with clients around it.
pub struct Path {
    /// The path alone.
    pub program: Program,
    skeleton: Skeleton,
    clients: Vec<Client>,
    file: String,
}

impl Path {
    /// Reads a path and lists its clients.
    ///
    /// # Errors
    ///
    /// Why it does not fit a machine or a kernel.
    pub fn read(
        name: &str,
        text: &str,
        sources: &(dyn Sources + Sync),
        request: &Request,
        bound: &Bound,
    ) -> Result<Path, String> {
        let file = format!("table/{name}.litmus");
        let program = request
            .read(&file, text, sources, &Variant::base())
            .map_err(|error| error.to_string())?;
        if let Some(why) = request.missing_include(&program) {
            return Err(why);
        }
        let skeleton = Skeleton::of(&program).map_err(|why| why.to_string())?;
        let clients = skeleton.clients(bound);
        Ok(Path { program, skeleton, clients, file })
    }

    /// How many clients there are.
    pub fn count(&self) -> usize {
        self.clients.len()
    }

    /// The path with each of its clients, the smallest first; only these, if
    /// they are named.
    ///
    /// # Errors
    ///
    /// A client that cannot be read: never, if the path can.
    pub fn cases(
        &self,
        sources: &(dyn Sources + Sync),
        request: &Request,
        only: Option<&[usize]>,
    ) -> Result<Vec<Case>, String> {
        let all: Vec<usize> = (0..self.clients.len()).collect();
        let wanted = only.unwrap_or(&all);
        let variant = Variant::base();
        let around = Around { name: &self.file, variant: &variant, request, sources };
        around.all(&self.skeleton, wanted.iter().map(|at| &self.clients[*at]))
    }
}
