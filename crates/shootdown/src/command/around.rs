//! A file's path with clients around it, as tests.

use shootdown_answers::jury::Case;
use shootdown_answers::request::Request;
use shootdown_clients::{Bound, Client, Skeleton};
use shootdown_litmus::{Program, Sources, Variant};

/// How the tests are read: as the file itself was.
pub(crate) struct Around<'a> {
    /// The file's name.
    pub(crate) name: &'a str,
    /// Which variant of it.
    pub(crate) variant: &'a Variant,
    /// How it is checked.
    pub(crate) request: &'a Request,
    /// Where included parts come from.
    pub(crate) sources: &'a dyn Sources,
}

impl Around<'_> {
    /// The path with each client up to a bound, the smallest first.
    pub(crate) fn cases(&self, program: &Program, bound: &Bound) -> Result<Vec<Case>, String> {
        let skeleton = Skeleton::of(program).map_err(|why| why.to_string())?;
        let list = skeleton.clients(bound);
        list.iter().map(|client| self.case(&skeleton, client)).collect()
    }

    fn case(&self, skeleton: &Skeleton, client: &Client) -> Result<Case, String> {
        let text = skeleton.test(client, None, "");
        let program = self.request.read(self.name, &text, self.sources, self.variant);
        // What is written around a right test is right.
        let program = program.map_err(|error| format!("the client `{client}`: {error}"))?;
        let always = client.threads.iter().all(|thread| thread.steps.len() == 1);
        Ok(Case { program, client: Some(skeleton.lines(client).into()), always })
    }
}
