//! Unified diffs, as `diff -u` writes them, of texts that differ in few lines.

use std::fmt::Write as _;

/// Lines of context around a change.
const CONTEXT: usize = 3;
/// Largest table of the comparison, in cells: texts whose differing middle is larger are shown as replaced whole.
const MAX_CELLS: usize = 4 << 20;

/// A line and what happened to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line<'t> {
    Same(&'t str),
    Old(&'t str),
    New(&'t str),
}

/// The difference between two texts; empty where there is none. `old_name` and `new_name` head it.
pub fn unified(old_name: &str, new_name: &str, old: &str, new: &str) -> String {
    if old == new {
        return String::new();
    }
    let lines = compare(&split(old), &split(new));
    let mut out = format!("--- {old_name}\n+++ {new_name}\n");
    let changed: Vec<usize> = (0..lines.len()).filter(|i| !matches!(lines.get(*i), Some(Line::Same(_)))).collect();
    let mut next = 0;
    while let Some(first) = changed.get(next) {
        // A hunk reaches on while the next change is within two contexts.
        let mut last = *first;
        while let Some(after) = changed.get(next).filter(|i| **i <= last + 2 * CONTEXT + 1) {
            last = *after;
            next += 1;
        }
        let from = first.saturating_sub(CONTEXT);
        let to = (last + CONTEXT + 1).min(lines.len());
        hunk(&mut out, &lines, from, to);
    }
    out
}

fn split(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

fn hunk(out: &mut String, lines: &[Line<'_>], from: usize, to: usize) {
    let count = |range: &[Line<'_>], new: bool| {
        range
            .iter()
            .filter(|l| matches!((l, new), (Line::Same(_), _) | (Line::Old(_), false) | (Line::New(_), true)))
            .count()
    };
    let (before, inside) = (lines.get(..from).unwrap_or_default(), lines.get(from..to).unwrap_or_default());
    let span = |new: bool| {
        let n = count(inside, new);
        let start = count(before, new) + usize::from(n > 0);
        if n == 1 { start.to_string() } else { format!("{start},{n}") }
    };
    let _ = writeln!(out, "@@ -{} +{} @@", span(false), span(true));
    for line in inside {
        let (sign, text) = match line {
            Line::Same(t) => (' ', t),
            Line::Old(t) => ('-', t),
            Line::New(t) => ('+', t),
        };
        out.push(sign);
        out.push_str(text.trim_end_matches(['\n', '\r']));
        out.push('\n');
        if !text.ends_with('\n') {
            out.push_str("\\ No newline at end of file\n");
        }
    }
}

/// The longest common lines stay; the rest is old or new.
fn compare<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<Line<'t>> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let tail = tail.min(old.len() - head).min(new.len() - head);
    let (old_middle, new_middle) =
        (old.get(head..old.len() - tail).unwrap_or_default(), new.get(head..new.len() - tail).unwrap_or_default());
    let mut lines: Vec<Line<'t>> = old.iter().take(head).map(|l| Line::Same(l)).collect();
    lines.extend(middle(old_middle, new_middle));
    lines.extend(old.iter().skip(old.len() - tail).map(|l| Line::Same(l)));
    lines
}

fn middle<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<Line<'t>> {
    let width = new.len() + 1;
    if (old.len() + 1).saturating_mul(width) > MAX_CELLS {
        return old.iter().map(|l| Line::Old(l)).chain(new.iter().map(|l| Line::New(l))).collect();
    }
    // longest[i * width + j]: length of the longest common part of old[i..] and new[j..].
    let mut longest = vec![0u32; (old.len() + 1) * width];
    let cell = |table: &[u32], i: usize, j: usize| table.get(i * width + j).copied().unwrap_or(0);
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            let value = if old.get(i) == new.get(j) {
                cell(&longest, i + 1, j + 1) + 1
            } else {
                cell(&longest, i + 1, j).max(cell(&longest, i, j + 1))
            };
            if let Some(slot) = longest.get_mut(i * width + j) {
                *slot = value;
            }
        }
    }
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    loop {
        match (old.get(i), new.get(j)) {
            (Some(a), Some(b)) if a == b => {
                out.push(Line::Same(a));
                i += 1;
                j += 1;
            }
            (Some(a), other) if other.is_none() || cell(&longest, i + 1, j) >= cell(&longest, i, j + 1) => {
                out.push(Line::Old(a));
                i += 1;
            }
            (_, Some(b)) => {
                out.push(Line::New(b));
                j += 1;
            }
            _ => return out,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hunks_are_as_diff_writes_them() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n";
        let new = old.replace("\n2\n", "\ntwo\n").replace("15\n", "");
        assert_eq!(
            unified("a", "b", old, &new),
            "--- a\n+++ b\n@@ -1,5 +1,5 @@\n 1\n-2\n+two\n 3\n 4\n 5\n@@ -12,4 +12,3 @@\n 12\n 13\n 14\n-15\n"
        );
        assert_eq!(unified("a", "b", "", "x"), "--- a\n+++ b\n@@ -0,0 +1 @@\n+x\n\\ No newline at end of file\n");
        assert_eq!(unified("a", "b", "x\n", "x\n"), "");
    }

    #[test]
    fn neighbouring_changes_share_a_hunk() {
        let old = "a\n1\n2\n3\n4\n5\n6\nb\n";
        let new = old.replace('a', "A").replace('b', "B");
        assert_eq!(unified("a", "b", old, &new).matches("@@ -").count(), 1);
    }

    proptest::proptest! {
        /// Leaving out the old lines gives the new text, and the other way round.
        #[test]
        fn both_texts_can_be_read_from_the_comparison(old in "[ab\n]{0,40}", new in "[ab\n]{0,40}") {
            let lines = compare(&split(&old), &split(&new));
            let text = |keep_new: bool| lines.iter().filter_map(|l| match l {
                Line::Same(t) => Some(*t),
                Line::Old(t) => (!keep_new).then_some(*t),
                Line::New(t) => keep_new.then_some(*t),
            }).collect::<String>();
            assert_eq!(text(false), old);
            assert_eq!(text(true), new);
        }
    }
}
