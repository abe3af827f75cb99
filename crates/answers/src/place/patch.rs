//! A placement as a change of files that somebody would write: lines of their
//! own, with the indentation of what they stand before.

use shootdown_litmus::{Gap, Program};

use super::silent::{Cut, How};
use super::spots::{Spot, Stands};
use super::text::{Edit, before, range};

/// What the original text becomes without what was forgotten and with these.
/// Places are those of the text without; `cuts` lead from the one to the other.
pub(super) fn edits(program: &Program, cuts: &[Cut], spots: &[&Spot]) -> Vec<Edit> {
    let gone: Vec<Edit> = cuts.iter().map(Cut::edit).collect();
    let mut list: Vec<Edit> = Vec::new();
    let mut kept: Vec<usize> = Vec::new();
    for spot in spots {
        let file = match spot.stands {
            Stands::Gap(gap) => gap.before.file,
            Stands::End(span) => span.file,
        };
        let inside: Vec<Edit> = gone.iter().filter(|edit| edit.file == file).cloned().collect();
        let back = |at: u32| before(&inside, at as usize);
        match spot.stands {
            Stands::End(span) => {
                let start = back(span.start);
                let own = cuts
                    .iter()
                    .position(|cut| cut.span.file == file && range(cut.span).start == start);
                match own {
                    // It told before.
                    Some(cut) => kept.push(cut),
                    None => list.extend(spot.edits.iter().map(|edit| Edit {
                        range: start..start + edit.range.len(),
                        ..edit.clone()
                    })),
                }
            }
            Stands::Gap(gap) => {
                let text = program.files.file(file).map_or("", |file| &*file.text);
                let (start, end) = (back(gap.before.start), back(gap.before.end));
                let own = cuts.iter().position(|cut| {
                    cut.span.file == file && stood_here(program, text, cut, start, spot)
                });
                if let Some(cut) = own {
                    kept.push(cut);
                    continue;
                }
                let bare = gap.bare.map(back);
                let put = |at: usize, text: String| Edit {
                    function: spot.function,
                    file,
                    range: at..at,
                    text,
                };
                list.extend(line(text, &gap, start, end, bare, &spot.call, &put));
            }
        }
    }
    let cuts = cuts.iter().enumerate().filter(|(at, _)| !kept.contains(at));
    list.extend(cuts.map(|(_, cut)| removed(program, cut)));
    list
}

/// Whether what was forgotten is what this place asks for: the same call, or the
/// clear that tells right before.
fn stood_here(program: &Program, text: &str, cut: &Cut, start: usize, spot: &Spot) -> bool {
    let same = match cut.how {
        How::Whole(_) => program.files.text(cut.span) == spot.call,
        How::Renamed(_) => cut.what.ends_with("_notify") && !spot.whole,
    };
    let between = text.get(cut.span.end as usize..start);
    same && between.is_some_and(|between| {
        let code = |line: &&str| !line.trim_start().starts_with('#') && !is_comment(line);
        let first = between.trim_start().strip_prefix(';');
        first.is_some_and(|rest| !rest.lines().any(|line| code(&line)))
    })
}

/// A call as a line before a statement.
fn line(
    text: &str,
    gap: &Gap,
    start: usize,
    end: usize,
    bare: Option<usize>,
    call: &str,
    put: &dyn Fn(usize, String) -> Edit,
) -> Vec<Edit> {
    let (begin, lead) = indentation(text, start);
    if let Some(head) = bare {
        let rest = text[end..].find('\n').map_or("", |at| &text[end..end + at]);
        let alone = lead.is_some() && is_comment(rest);
        return match (lead, alone) {
            (Some(lead), true) => {
                let outer = indentation(text, head).1.unwrap_or("");
                vec![
                    put(head_end(text, head, start), " {".to_owned()),
                    put(begin, format!("{lead}{call};\n")),
                    put(end + rest.len(), format!("\n{outer}}}")),
                ]
            }
            _ => vec![put(start, format!("{{ {call}; ")), put(end, " }".to_owned())],
        };
    }
    match lead {
        Some(lead) if gap.closes => {
            let more = if lead.contains('\t') { "\t" } else { "    " };
            vec![put(begin, format!("{lead}{more}{call};\n"))]
        }
        Some(lead) => vec![put(begin, format!("{lead}{call};\n"))],
        None => vec![put(start, format!("{call}; "))],
    }
}

/// Where the line begins, and what is before a place on it, if that is blank.
fn indentation(text: &str, at: usize) -> (usize, Option<&str>) {
    let begin = text[..at].rfind('\n').map_or(0, |at| at + 1);
    let line = &text[begin..];
    let blank = &line[..line.len() - line.trim_start_matches([' ', '\t']).len()];
    let lead = &text[begin..at];
    (begin, lead.trim().is_empty().then_some(blank).filter(|blank| blank.len() == lead.len()))
}

fn is_comment(rest: &str) -> bool {
    let rest = rest.trim();
    rest.is_empty()
        || rest.starts_with("//")
        || rest.starts_with("/*") && rest.find("*/") == Some(rest.len() - 2)
}

/// Behind the last sign before a statement that is no comment: the `)` of an
/// `if`, or an `else`.
fn head_end(text: &str, from: usize, to: usize) -> usize {
    let (mut at, mut end) = (from, from);
    while at < to {
        let rest = &text[at..to];
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("/*") {
            at += rest.find("*/").map_or(rest.len(), |at| at + 2);
        } else {
            let sign = rest.chars().next().unwrap_or(' ');
            at += sign.len_utf8();
            if !sign.is_whitespace() {
                end = at;
            }
        }
    }
    end
}

/// Something that told, taken out: with its line, if it has one of its own.
fn removed(program: &Program, cut: &Cut) -> Edit {
    let text = program.files.file(cut.span.file).map_or("", |file| &*file.text);
    let edit = cut.edit();
    let How::Whole(gap) = cut.how else { return edit };
    let (start, end) = (gap.before.start as usize, gap.before.end as usize);
    let (begin, lead) = indentation(text, start);
    let rest = text[end..].find('\n').map(|at| &text[end..end + at]);
    match (lead, rest) {
        (Some(_), Some(rest)) if gap.bare.is_none() && is_comment(rest) => {
            Edit { range: begin..end + rest.len() + 1, ..edit }
        }
        // An empty statement stays where one has to be.
        _ if gap.bare.is_some() => edit,
        _ => {
            let blanks = text[end..].len() - text[end..].trim_start_matches(' ').len();
            Edit { range: start..end + blanks, ..edit }
        }
    }
}
