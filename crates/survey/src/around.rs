//! A path with clients around it, as tests.

use shootdown_answers::jury::Case;
use shootdown_answers::request::Request;
use shootdown_clients::{Bound, Client, Skeleton};
use shootdown_litmus::{Program, Sources, Variant};

/// How the tests are read: as the file of the path itself was.
pub struct Around<'a> {
    /// The file's name.
    pub name: &'a str,
    /// Which variant of it.
    pub variant: &'a Variant,
    /// How it is checked.
    pub request: &'a Request,
    /// Where included parts come from.
    pub sources: &'a (dyn Sources + Sync),
}

impl Around<'_> {
    /// The path of a test with each client up to a bound, the smallest first.
    ///
    /// # Errors
    ///
    /// The test has no path, or [`Request::until`] has ended it.
    pub fn cases(&self, program: &Program, bound: &Bound) -> Result<Vec<Case>, String> {
        let skeleton = Skeleton::of(program).map_err(|why| why.to_string())?;
        self.all(&skeleton, &skeleton.clients(bound))
    }

    /// A path with each of these clients.
    pub(crate) fn all<'c>(
        &self,
        skeleton: &Skeleton,
        clients: impl IntoIterator<Item = &'c Client>,
    ) -> Result<Vec<Case>, String> {
        clients.into_iter().map(|client| self.case(skeleton, client)).collect()
    }

    fn case(&self, skeleton: &Skeleton, client: &Client) -> Result<Case, String> {
        let program = self.read(skeleton, client)?;
        let always = client.threads.iter().all(|thread| thread.steps.len() == 1);
        Ok(Case { program, client: Some(skeleton.lines(client).into()), always })
    }

    /// One test.
    pub(crate) fn read(&self, skeleton: &Skeleton, client: &Client) -> Result<Program, String> {
        if let Some(why) = self.request.until.why() {
            return Err(format!("{why} before all clients were read; a smaller --bound has fewer"));
        }
        let text = skeleton.test(client, None, "");
        // What is written around a right test is right.
        let program = self.request.read(self.name, &text, self.sources, self.variant);
        program.map_err(|error| format!("the client `{client}`: {error}"))
    }
}
