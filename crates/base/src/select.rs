//! Which packages a base image holds: those that the distribution requires, apt, and all that these depend on.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::error::BaseError;
use crate::name::{Distro, Flavour};
use crate::packages::{Alternative, Candidate, Dependency, Offer};
use crate::version;

/// No minimal system has this many packages; a dependency graph that reaches it is broken.
const MAX_PACKAGES: usize = 1000;

/// The packages of a base image, each dependency before those that need it (cycles are cut at one place).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// In configuration order.
    pub packages: Vec<Candidate>,
}

/// Chooses the set. Deterministic for the same offer.
///
/// # Errors
/// [`BaseError::Unsatisfiable`] naming the dependency and who has it.
pub fn select(offer: &Offer, distro: Distro) -> Result<Selection, BaseError> {
    let mut roots = Vec::new();
    let mut names: Vec<&str> = offer.required.iter().map(String::as_str).collect();
    names.sort_unstable();
    for name in names {
        if let Some(candidate) = offer.best(name)?
            && (candidate.essential || candidate.priority == "required")
        {
            roots.push(candidate);
        }
    }
    let keyring = match distro {
        Distro::Debian => "debian-archive-keyring",
        Distro::Ubuntu => "ubuntu-keyring",
    };
    for name in ["apt", keyring] {
        if !roots.iter().any(|c| c.name == name) {
            roots.push(offer.best(name)?.ok_or_else(|| missing(name, "every base image"))?);
        }
    }
    let chosen = close(offer, roots, &[])?;
    Ok(Selection { packages: order(chosen) })
}

/// What `stockade/static` holds. The packages' dependencies are for their scripts, which do not run.
const STATIC: &[&str] = &["base-files", "ca-certificates", "media-types", "netbase", "tzdata"];
/// What `stockade/base` adds: groups of which the first name that the suite has is taken, with what it depends on.
const LIBRARIES: &[&[&str]] = &[&["libc6"], &["libssl3t64", "libssl3", "libssl1.1"], &["libgcc-s1"]];
/// Dependencies that only scripts have.
const SCRIPTS_ONLY: &[&str] = &["debconf", "debconf-2.0", "dpkg", "perl", "perl-base"];

/// Chooses the packages of a minimal image.
///
/// # Errors
/// As [`select`].
pub fn select_minimal(offer: &Offer, flavour: Flavour) -> Result<Selection, BaseError> {
    let find = |names: &[&str]| -> Result<Candidate, BaseError> {
        for name in names {
            if let Some(found) = offer.best(name)? {
                return Ok(found);
            }
        }
        Err(missing(&names.join(" | "), flavour.repository()))
    };
    let mut packages: Vec<Candidate> = STATIC.iter().map(|name| find(&[name])).collect::<Result<_, _>>()?;
    if flavour != Flavour::Static {
        let roots = LIBRARIES.iter().map(|names| find(names)).collect::<Result<_, _>>()?;
        packages.extend(order(close(offer, roots, SCRIPTS_ONLY)?));
    }
    if flavour == Flavour::Debug {
        packages.push(find(&["busybox-static"])?);
    }
    Ok(Selection { packages })
}

/// Adds what is missing until every dependency is satisfied. The first alternative that exists wins, as in apt,
/// unless another one is there already.
fn close(offer: &Offer, roots: Vec<Candidate>, without: &[&str]) -> Result<BTreeMap<String, Candidate>, BaseError> {
    let mut chosen: BTreeMap<String, Candidate> = BTreeMap::new();
    // Roots are all chosen before any dependency is looked at: so an alternative that is among them wins.
    let mut queue: std::collections::VecDeque<Candidate> = roots.into();
    chosen.extend(queue.iter().map(|c| (c.name.clone(), c.clone())));
    while let Some(package) = queue.pop_front() {
        for group in &package.depends {
            let unwanted = group.iter().any(|a| without.contains(&a.name.as_str()));
            if unwanted || group.iter().any(|a| chosen.values().any(|c| satisfied_by(a, c))) {
                continue;
            }
            let found = find_provider(offer, group)?.ok_or_else(|| {
                let wanted = group.iter().map(Alternative::to_string).collect::<Vec<_>>().join(" | ");
                missing(&wanted, &package.name)
            })?;
            chosen.insert(found.name.clone(), found.clone());
            queue.push_back(found);
            if chosen.len() > MAX_PACKAGES {
                return Err(missing("a set of fewer than a thousand packages", &package.name));
            }
        }
    }
    Ok(chosen)
}

fn satisfied_by(wanted: &Alternative, candidate: &Candidate) -> bool {
    let meets = |have: Option<&str>| match (&wanted.condition, have) {
        (None, _) => true,
        (Some((relation, version)), Some(have)) => version::satisfies(have, relation, version),
        // An unversioned Provides satisfies no versioned dependency (policy §7.5).
        (Some(_), None) => false,
    };
    (candidate.name == wanted.name && meets(Some(&candidate.version)))
        || candidate.provides.iter().any(|(name, v)| *name == wanted.name && meets(v.as_deref()))
}

/// Packages that assert a state which a fresh root has anyway, preferred to the ones that convert an old one to it.
const FRESH_ROOT: &[(&str, &str)] = &[("usrmerge", "usr-is-merged")];

fn find_provider(offer: &Offer, group: &Dependency) -> Result<Option<Candidate>, BaseError> {
    for (convert, assert) in FRESH_ROOT {
        let has = |name: &str| group.iter().find(|a| a.name == name);
        if let (Some(_), Some(wanted)) = (has(convert), has(assert))
            && let Some(found) = offer.best(assert)?.filter(|c| satisfied_by(wanted, c))
        {
            return Ok(Some(found));
        }
    }
    for wanted in group {
        if let Some(found) = offer.best(&wanted.name)?.filter(|c| satisfied_by(wanted, c)) {
            return Ok(Some(found));
        }
        for provider in offer.providers(&wanted.name) {
            if let Some(found) = offer.best(provider)?.filter(|c| satisfied_by(wanted, c)) {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

fn missing(wanted: &str, wanted_by: &str) -> BaseError {
    BaseError::Unsatisfiable { wanted: wanted.to_owned(), wanted_by: wanted_by.to_owned() }
}

/// Packages that all others may rely on without saying so: users and groups, and the base directories.
const FIRST: &[&str] = &["base-passwd", "base-files"];

/// Depth-first order: dependencies first.
fn order(chosen: BTreeMap<String, Candidate>) -> Vec<Candidate> {
    let mut providers: HashMap<&str, &str> = HashMap::new();
    for c in chosen.values() {
        for (name, _) in &c.provides {
            providers.entry(name).or_insert(&c.name);
        }
    }
    let mut done: HashSet<&str> = HashSet::new();
    let mut out: Vec<&str> = Vec::new();
    let starts = FIRST.iter().copied().chain(chosen.keys().map(String::as_str));
    for start in starts {
        // Each entry is a package and how many of its dependency groups were looked at.
        let mut stack: Vec<(&str, usize)> = Vec::new();
        if chosen.contains_key(start) && done.insert(start) {
            stack.push((start, 0));
        }
        while let Some((name, at)) = stack.pop() {
            let Some(group) = chosen.get(name).and_then(|c| c.depends.get(at)) else {
                out.push(name);
                continue;
            };
            stack.push((name, at + 1));
            for a in group {
                let real = match chosen.get_key_value(a.name.as_str()) {
                    Some((key, _)) => Some(key.as_str()),
                    None => providers.get(a.name.as_str()).copied(),
                };
                if let Some(real) = real {
                    if done.insert(real) {
                        stack.push((real, 0));
                    }
                    break;
                }
            }
        }
    }
    out.into_iter().filter_map(|name| chosen.get(name).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(entries: &[(&str, &str, &str)]) -> Offer {
        let mut text = String::new();
        for (name, version, more) in entries {
            text.push_str(&format!(
                "Package: {name}\nVersion: {version}\nArchitecture: amd64\n{more}Filename: pool/{name}.deb\nSize: 1\n\
                 SHA256: {}\n\n",
                "0".repeat(64)
            ));
        }
        let mut offer = Offer::default();
        offer.add(text, "http://a", "test").unwrap();
        offer
    }

    fn names(offer: &Offer) -> Vec<String> {
        select(offer, Distro::Debian).unwrap().packages.into_iter().map(|c| c.name).collect()
    }

    #[test]
    fn dependencies_come_first_and_cycles_end() {
        let offer = offer(&[
            ("bash", "5", "Essential: yes\nDepends: base-files, libc6 (>= 2)\n"),
            ("base-files", "12", "Essential: yes\nPre-Depends: awk\n"),
            ("mawk", "1", "Priority: required\nProvides: awk\nDepends: libc6\n"),
            ("libc6", "2.36", "Depends: libgcc\n"),
            ("libgcc", "1", "Depends: libc6\n"),
            ("apt", "2", "Depends: debian-archive-keyring\n"),
            ("debian-archive-keyring", "1", ""),
            ("unwanted", "1", ""),
        ]);
        let names = names(&offer);
        let at = |n: &str| names.iter().position(|x| x == n).unwrap();
        assert_eq!(names.len(), 7);
        assert!(at("libc6") < at("mawk") && at("mawk") < at("base-files") && at("base-files") < at("bash"));
    }

    #[test]
    fn a_chosen_alternative_beats_the_first_and_versioned_provides_count() {
        let offer = offer(&[
            ("apt", "2", "Depends: one | two, virtual (>= 3), usrmerge | usr-is-merged\n"),
            ("debian-archive-keyring", "1", ""),
            ("one", "1", ""),
            ("two", "1", "Priority: required\n"),
            ("old", "1", "Provides: virtual\n"),
            ("new", "1", "Provides: virtual (= 3.1)\n"),
            ("usrmerge", "1", ""),
            ("usr-is-merged", "1", ""),
        ]);
        assert_eq!(names(&offer), ["two", "new", "usr-is-merged", "apt", "debian-archive-keyring"]);
    }

    #[test]
    fn what_cannot_be_satisfied_is_named_with_who_wants_it() {
        let offer = offer(&[("apt", "2", "Depends: gone (>= 1) | lost\n"), ("debian-archive-keyring", "1", "")]);
        let error = select(&offer, Distro::Debian).unwrap_err().to_string();
        assert!(error.contains("gone (>= 1) | lost") && error.contains("apt"), "{error}");
    }
}
