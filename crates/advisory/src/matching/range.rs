//! Whether a version lies in the ranges of an advisory, by OSV's rules
//! (<https://ossf.github.io/osv-schema/#evaluation>), and what would fix it.

use crate::version::{Order, Unparsable};
use std::cmp::Ordering;
use stockade_advisory_db::reader::{AffectedView, EventView};
use stockade_advisory_db::{DbError, EventKind};

/// The answer for one affected entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The version lies in no range.
    Outside,
    /// The version is affected; the versions that end the ranges it lies in, in order of the ranges.
    Inside(Vec<String>),
    /// An event's version cannot be read, and it would have decided.
    Undecided(Unparsable),
}

/// Evaluates an entry for a version that the order can read.
/// # Errors
/// When the database is damaged.
pub fn evaluate(order: Option<Order>, version: &str, entry: &AffectedView<'_>) -> Result<Answer, DbError> {
    let events: Vec<EventView<'_>> = entry.events().collect::<Result<_, _>>()?;
    let mut fixes: Vec<String> = Vec::new();
    let (mut inside, mut undecided) = (false, None);
    let mut start = 0;
    for end in 1..=events.len() {
        if events.get(end).is_some_and(|e| !e.opens_range) {
            continue;
        }
        match evaluate_range(order, version, events.get(start..end).unwrap_or_default()) {
            Ok(None) => {}
            Ok(Some(fix)) => {
                inside = true;
                if let Some(fix) = fix.filter(|f| !fixes.iter().any(|known| known == f)) {
                    fixes.push(fix.to_owned());
                }
            }
            Err(e) => undecided = Some(e),
        }
        start = end;
    }
    Ok(match undecided {
        _ if inside => Answer::Inside(fixes),
        Some(e) => Answer::Undecided(e),
        None => Answer::Outside,
    })
}

/// `None` when the version is outside; the fixing version, if there is one, when it is inside.
fn evaluate_range<'e>(
    order: Option<Order>,
    version: &str,
    events: &[EventView<'e>],
) -> Result<Option<Option<&'e str>>, Unparsable> {
    if events.first().is_some_and(|e| e.kind == EventKind::Exact) {
        return exact(order, version, events);
    }
    let order = order.ok_or_else(|| Unparsable { version: version.to_owned(), order: "known" })?;
    // The event that has taken effect last decides. "0" is before every version.
    let mut decisive: Option<&EventView<'_>> = None;
    for event in events {
        let position = against(order, version, event)?;
        let in_effect = match event.kind {
            EventKind::Introduced | EventKind::Fixed | EventKind::Limit => position != Ordering::Less,
            EventKind::LastAffected => position == Ordering::Greater,
            EventKind::Exact => false,
        };
        let later = |known: &EventView<'_>| -> Result<bool, Unparsable> {
            Ok(compare_events(order, event, known)? != Ordering::Less)
        };
        if in_effect && decisive.map_or(Ok(true), later)? {
            decisive = Some(event);
        }
    }
    if decisive.map(|e| e.kind) != Some(EventKind::Introduced) {
        return Ok(None);
    }
    // The next fix above the version.
    let mut fix: Option<&EventView<'e>> = None;
    for event in events.iter().filter(|e| e.kind == EventKind::Fixed) {
        if against(order, version, event)? == Ordering::Less
            && fix.map_or(Ok(true), |f| Ok(compare_events(order, event, f)? == Ordering::Less))?
        {
            fix = Some(event);
        }
    }
    Ok(Some(fix.map(|f| f.version)))
}

fn exact<'e>(
    order: Option<Order>,
    version: &str,
    events: &[EventView<'e>],
) -> Result<Option<Option<&'e str>>, Unparsable> {
    for event in events {
        let same = event.version == version
            || order.is_some_and(|o| o.compare(version, event.version).is_ok_and(|c| c == Ordering::Equal));
        if same {
            return Ok(Some(None));
        }
    }
    Ok(None)
}

fn against(order: Order, version: &str, event: &EventView<'_>) -> Result<Ordering, Unparsable> {
    if is_beginning(event) {
        return Ok(Ordering::Greater);
    }
    if order == Order::Debian && event.kind == EventKind::Fixed && is_stable_rebuild(version, event.version) {
        return Ok(Ordering::Equal);
    }
    order.compare(version, event.version)
}

/// Whether `version` is the rebuild for a stable release (`1.0-3~deb12u2`) of `original` (`1.0-3`). It holds every fix of
/// the original, although it comes before it in the order, so that upgrades to the next release work.
/// Source: Debian Developer's Reference, section 5.5.1.
fn is_stable_rebuild(version: &str, original: &str) -> bool {
    let suffix = version.strip_prefix(original).and_then(|rest| rest.strip_prefix("~deb"));
    suffix.and_then(|s| s.split_once('u')).is_some_and(|(release, update)| {
        let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
        digits(release) && digits(update)
    })
}

fn compare_events(order: Order, a: &EventView<'_>, b: &EventView<'_>) -> Result<Ordering, Unparsable> {
    match (is_beginning(a), is_beginning(b)) {
        (true, true) => Ok(Ordering::Equal),
        (true, false) => Ok(Ordering::Less),
        (false, true) => Ok(Ordering::Greater),
        (false, false) => order.compare(a.version, b.version),
    }
}

fn is_beginning(event: &EventView<'_>) -> bool {
    event.kind == EventKind::Introduced && event.version == "0"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rebuild_for_stable_holds_the_fixes_of_what_it_rebuilds() {
        let ranges: &[&[(EventKind, &str)]] = &[&[(EventKind::Introduced, "0"), (EventKind::Fixed, "2.9.14+dfsg-1.3")]];
        let affected = |version| matches!(answer(Some(Order::Debian), version, ranges), Answer::Inside(_));
        assert!(!affected("2.9.14+dfsg-1.3~deb12u6") && !affected("2.9.14+dfsg-1.3"));
        assert!(affected("2.9.14+dfsg-1.3~rc1") && affected("2.9.14+dfsg-1.2~deb12u9"));
    }
    use stockade_advisory_db::{Affected, Event, Reader, Record, Source, Writer};

    fn answer(order: Option<Order>, version: &str, ranges: &[&[(EventKind, &str)]]) -> Answer {
        let ranges = ranges
            .iter()
            .map(|r| r.iter().map(|(kind, v)| Event { kind: *kind, version: (*v).to_owned() }).collect())
            .collect();
        let affected = Affected { ecosystem: "E".into(), name: "p".into(), ranges, ..Affected::default() };
        let mut writer = Writer::new();
        let source = writer.source(&Source::default()).unwrap();
        writer.add(source, &Record { id: "A".into(), affected: vec![affected], ..Record::default() }).unwrap();
        let file = writer.finish(0).unwrap();
        let found = Reader::open(&file).unwrap().package("E", "p").unwrap();
        evaluate(order, version, &found[0]).unwrap()
    }

    use EventKind::{Exact, Fixed, Introduced, LastAffected, Limit};

    #[test]
    fn osv_events() {
        let inside = |fixes: &[&str]| Answer::Inside(fixes.iter().map(|f| (*f).to_owned()).collect());
        let branches: &[&[(EventKind, &str)]] = &[&[
            (Introduced, "0"),
            (Fixed, "1.27.3"),
            (Introduced, "1.28.0"),
            (Fixed, "1.28.3"),
            (Introduced, "1.29.0"),
            (Fixed, "1.29.1"),
        ]];
        for (version, expected) in [
            ("0.0.1", inside(&["1.27.3"])),
            ("1.27.2", inside(&["1.27.3"])),
            ("1.27.3", Answer::Outside),
            ("1.28.0-rc.1", Answer::Outside),
            ("1.28.0", inside(&["1.28.3"])),
            ("1.29.0", inside(&["1.29.1"])),
            ("1.30.0", Answer::Outside),
        ] {
            assert_eq!(answer(Some(Order::SemVer), version, branches), expected, "{version}");
        }
        // The order in which events are written does not matter.
        let shuffled: &[&[(EventKind, &str)]] = &[&[(Fixed, "2"), (Introduced, "3"), (Introduced, "1"), (Fixed, "4")]];
        assert_eq!(answer(Some(Order::SemVer), "1.5.0", shuffled), inside(&["2"]));
        assert_eq!(answer(Some(Order::SemVer), "2.5.0", shuffled), Answer::Outside);
        let last: &[&[(EventKind, &str)]] =
            &[&[(Introduced, "3.5.5"), (LastAffected, "3.8.38")], &[(Introduced, "4.0.0"), (LastAffected, "4.3.5")]];
        for (version, hit) in
            [("3.5.4", false), ("3.5.5", true), ("3.8.38", true), ("3.8.39", false), ("4.3.5", true), ("4.3.6", false)]
        {
            assert_eq!(answer(Some(Order::SemVer), version, last) == inside(&[]), hit, "{version}");
        }
        let one: &[&[(EventKind, &str)]] = &[&[(Introduced, "4.2.3"), (LastAffected, "4.2.3")]];
        assert_eq!(answer(Some(Order::RubyGems), "4.2.3", one), inside(&[]));
        assert_eq!(answer(Some(Order::RubyGems), "4.2.4", one), Answer::Outside);
        let limited: &[&[(EventKind, &str)]] = &[&[(Introduced, "0"), (Limit, "2.0.0")]];
        assert_eq!(answer(Some(Order::SemVer), "1.0.0", limited), inside(&[]));
        assert_eq!(answer(Some(Order::SemVer), "2.0.0", limited), Answer::Outside);
    }

    #[test]
    fn listed_versions_and_unreadable_events() {
        let listed: &[&[(EventKind, &str)]] = &[&[(Exact, "1.0"), (Exact, "2.0b1")]];
        assert_eq!(answer(Some(Order::Pep440), "1.0.0", listed), Answer::Inside(vec![]));
        assert_eq!(answer(Some(Order::Pep440), "2.0", listed), Answer::Outside);
        assert_eq!(answer(None, "1.0", listed), Answer::Inside(vec![]));
        let odd: &[&[(EventKind, &str)]] = &[&[(Introduced, "0"), (Fixed, "what?")]];
        assert!(matches!(answer(Some(Order::SemVer), "1.0.0", odd), Answer::Undecided(_)));
        assert!(matches!(answer(None, "1.0.0", odd), Answer::Undecided(_)));
    }
}
