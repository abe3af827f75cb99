//! Colours, or none.

/// Adds colours for a terminal, or nothing. Whoever prints decides: only a
/// terminal gets colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// No colours.
    pub const fn plain() -> Paint {
        Paint { on: false }
    }

    /// ANSI colours if `on`.
    pub const fn new(on: bool) -> Paint {
        Paint { on }
    }

    fn with(self, code: &str, text: &str) -> String {
        // Around nothing a colour is only noise.
        if self.on && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// What holds.
    pub fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    /// What is broken.
    pub fn bad(self, text: &str) -> String {
        self.with("1;31", text)
    }

    /// What is not known.
    pub fn open(self, text: &str) -> String {
        self.with("33", text)
    }

    /// What can be passed over.
    pub fn faint(self, text: &str) -> String {
        self.with("2", text)
    }

    /// A heading.
    pub fn strong(self, text: &str) -> String {
        self.with("1", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_adds_nothing() {
        assert_eq!(Paint::plain().bad("x"), "x");
        assert_eq!(Paint::default(), Paint::plain());
    }

    #[test]
    fn a_colour_ends_where_the_text_ends() {
        let paint = Paint::new(true);
        assert_eq!(paint.bad("x"), "\x1b[1;31mx\x1b[0m");
        assert_eq!(paint.good(""), "");
    }
}
