//! Debian version numbers and their order (Debian policy §5.6.12, deb-version(7)).

use std::cmp::Ordering;

/// Compares two version strings the way dpkg does: epoch, then upstream version, then revision.
/// A string without an epoch has epoch 0; one without a revision compares as with revision "0".
pub fn compare(a: &str, b: &str) -> Ordering {
    let (epoch_a, rest_a) = split_epoch(a);
    let (epoch_b, rest_b) = split_epoch(b);
    compare_numbers(epoch_a.as_bytes(), epoch_b.as_bytes()).then_with(|| {
        let (upstream_a, revision_a) = rest_a.rsplit_once('-').unwrap_or((rest_a, ""));
        let (upstream_b, revision_b) = rest_b.rsplit_once('-').unwrap_or((rest_b, ""));
        compare_part(upstream_a.as_bytes(), upstream_b.as_bytes())
            .then_with(|| compare_part(revision_a.as_bytes(), revision_b.as_bytes()))
    })
}

fn split_epoch(version: &str) -> (&str, &str) {
    match version.split_once(':') {
        Some((epoch, rest)) if epoch.bytes().all(|b| b.is_ascii_digit()) => (epoch, rest),
        _ => ("", version),
    }
}

/// Alternates between a stretch of non-digits (by [`weight`]) and one of digits (by value), until one differs.
fn compare_part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (text_a, rest_a) = a.split_at(a.iter().take_while(|c| !c.is_ascii_digit()).count());
        let (text_b, rest_b) = b.split_at(b.iter().take_while(|c| !c.is_ascii_digit()).count());
        for i in 0..text_a.len().max(text_b.len()) {
            match weight(text_a.get(i)).cmp(&weight(text_b.get(i))) {
                Ordering::Equal => {}
                unequal => return unequal,
            }
        }
        let (number_a, next_a) = rest_a.split_at(rest_a.iter().take_while(|c| c.is_ascii_digit()).count());
        let (number_b, next_b) = rest_b.split_at(rest_b.iter().take_while(|c| c.is_ascii_digit()).count());
        match compare_numbers(number_a, number_b) {
            Ordering::Equal => {}
            unequal => return unequal,
        }
        (a, b) = (next_a, next_b);
    }
    Ordering::Equal
}

/// `~` before the end, the end before letters, letters before everything else.
fn weight(c: Option<&u8>) -> i32 {
    match c {
        Some(b'~') => -1,
        None => 0,
        Some(c) if c.is_ascii_alphabetic() => i32::from(*c),
        Some(c) => i32::from(*c) + 256,
    }
}

/// By value, of any length.
fn compare_numbers(a: &[u8], b: &[u8]) -> Ordering {
    let strip = |n: &[u8]| n.iter().position(|c| *c != b'0').unwrap_or(n.len());
    let (a, b) = (&a[strip(a)..], &b[strip(b)..]);
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Whether `have` stands in `relation` (`<<`, `<=`, `=`, `>=`, `>>`) to `wanted`.
/// The old spellings `<` and `>` mean `<=` and `>=`. An unknown relation is never satisfied.
pub fn satisfies(have: &str, relation: &str, wanted: &str) -> bool {
    let order = compare(have, wanted);
    match relation {
        "<<" => order.is_lt(),
        "<=" | "<" => order.is_le(),
        "=" => order.is_eq(),
        ">=" | ">" => order.is_ge(),
        ">>" => order.is_gt(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_policy_and_of_real_versions() {
        // Each is lower than the next.
        let ascending = [
            "0~",
            "0",
            "1~~",
            "1~~a",
            "1~",
            "1",
            "1a",
            "1a1",
            "1+",
            "1.0~rc1-1",
            "1.0-1~deb12u1",
            "1.0-1",
            "1.0-1+b1",
            "1.0-1+deb12u1",
            "1.0-1.1",
            "1.0.1-1",
            "1.2.3",
            "1.2.10",
            "2.36-9+deb12u9",
            "2.36-9+deb12u10",
            "1:0.1",
            "2:0",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} against {b}");
            }
        }
    }

    #[test]
    fn equal_in_value_is_equal() {
        for (a, b) in [("0:1.0", "1.0"), ("1.0-0", "1.0"), ("1.00", "1.0"), ("01", "1"), ("", "0")] {
            assert_eq!(compare(a, b), Ordering::Equal, "{a} against {b}");
        }
    }

    #[test]
    fn relations() {
        assert!(satisfies("1.0", ">=", "1.0~rc1"));
        assert!(satisfies("1.0", "<<", "1.0-1"));
        assert!(!satisfies("1.0", "?", "1.0"));
    }

    proptest::proptest! {
        #[test]
        fn it_is_an_order(a in "[0-9a-c~:.+-]{0,8}", b in "[0-9a-c~:.+-]{0,8}", c in "[0-9a-c~:.+-]{0,8}") {
            proptest::prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                proptest::prop_assert!(compare(&a, &c).is_le());
            }
        }

        #[test]
        fn any_strings_compare_without_panic(a: String, b: String) {
            let _ = compare(&a, &b);
        }
    }
}
