//! JUnit XML: a suite for each test, a case for each variant and setting.
//!
//! A case fails if the file expected something else, and is skipped if the file
//! expects nothing of it. The writer is our own: the form needs five elements,
//! and the crate for it (quick-junit) brings eighteen others.

use shootdown_answers::verdict::{Checked, Judgement};

use super::paint::Paint;
use super::setting::{by_test, differences, names};
use super::verdict;

/// The whole file.
pub fn text(checks: &[Checked]) -> String {
    let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    let all: Vec<&Checked> = checks.iter().collect();
    out.push_str(&format!("<testsuites name=\"shootdown\"{}>\n", totals(&all)));
    for (test, of_test) in by_test(checks) {
        out.push_str(&format!("  <testsuite name=\"{}\"{}>\n", escape(test), totals(&of_test)));
        for (name, checked) in names(&of_test).iter().zip(&of_test) {
            case(&mut out, test, name, checked);
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn totals(checks: &[&Checked]) -> String {
    let count = |wanted: fn(&Judgement) -> bool| {
        checks.iter().filter(|checked| wanted(&checked.judgement)).count()
    };
    let failures = count(|it| matches!(it, Judgement::Differs { .. }));
    let skipped = count(|it| matches!(it, Judgement::Unjudged));
    let time: f64 = checks.iter().map(|checked| checked.search.time.as_secs_f64()).sum();
    let tests = checks.len();
    format!(
        " tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\" \
         time=\"{time:.3}\""
    )
}

fn case(out: &mut String, test: &str, name: &str, checked: &Checked) {
    let (test, name, file) = (escape(test), escape(name), escape(&checked.file));
    let time = checked.search.time.as_secs_f64();
    out.push_str(&format!(
        "    <testcase classname=\"{test}\" name=\"{name}\" file=\"{file}\" time=\"{time:.3}\">\n"
    ));
    if let Some(message) = differences(&checked.judgement) {
        let message = escape(&message);
        out.push_str(&format!("      <failure type=\"differs\" message=\"{message}\"/>\n"));
    }
    if checked.judgement == Judgement::Unjudged {
        out.push_str("      <skipped message=\"unjudged: the file expects nothing of it\"/>\n");
    }
    let verdicts = escape_text(&verdict::text(checked, Paint::plain()));
    out.push_str(&format!("      <system-out>{verdicts}</system-out>\n    </testcase>\n"));
}

/// For a place between quotes, where a parser would turn a line's end into a
/// blank.
fn escape(text: &str) -> String {
    let text = escape_text(text).replace('"', "&quot;");
    text.replace('\n', "&#10;").replace('\t', "&#9;")
}

/// For a place between elements. What XML 1.0 cannot say at all becomes U+FFFD.
fn escape_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            // `]]>` may not stand in a text.
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#13;"),
            '\n' | '\t' => out.push(c),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn suites_cases_failures_and_what_is_skipped() {
        let text = text(&fixture::all());
        let head = "<testsuites name=\"shootdown\" tests=\"4\" failures=\"1\" errors=\"0\" \
                    skipped=\"1\" time=\"61.246\">";
        assert!(text.contains(head), "{text}");
        assert!(text.contains("<testcase classname=\"doorbell\" name=\"LATE sc\""), "{text}");
        assert!(text.contains("<failure type=\"differs\" message=\"litmus/seed"), "{text}");
        assert_eq!(text.matches("<skipped ").count(), 1, "{text}");
        for element in ["testsuites", "testsuite", "testcase", "system-out"] {
            let open = text.matches(&format!("<{element}>")).count()
                + text.matches(&format!("<{element} ")).count();
            assert_eq!(open, text.matches(&format!("</{element}>")).count(), "{element}");
        }
    }

    #[test]
    fn what_xml_would_misread() {
        assert_eq!(escape("a<b & \"c\"\n]]>"), "a&lt;b &amp; &quot;c&quot;&#10;]]&gt;");
        assert_eq!(escape_text("\x1b[1m\r\n\u{ffff}\u{e9}"), "\u{fffd}[1m&#13;\n\u{fffd}\u{e9}");
    }

    #[test]
    fn a_hostile_name_stays_an_attribute() {
        let mut checked = fixture::clean();
        checked.test = "\"/><failure/>".to_owned();
        let text = text(&[checked]);
        assert!(!text.contains("<failure"), "{text}");
    }
}
