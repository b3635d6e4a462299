//! `updateinfo.xml` of RPM repositories (Amazon Linux, Fedora, Oracle, AlmaLinux, Rocky …): errata with the packages
//! that fix them. What is not fixed is not in it.

use super::xml::{Attributes, Visitor, visit};
use super::{Batch, described};
use crate::error::DbError;
use crate::model::{Affected, Event, EventKind, Label, Record, parse_day};
use std::collections::BTreeMap;

#[derive(Default)]
struct Update {
    kind: String,
    record: Record,
    /// Name, then version with release and epoch.
    packages: BTreeMap<String, String>,
    release: String,
}

#[derive(Default)]
struct Reader {
    current: Option<Update>,
    done: Vec<Update>,
}

impl Visitor for Reader {
    fn start(&mut self, path: &[String], attributes: &Attributes) {
        let get = |key: &str| attributes.get(key).map_or("", String::as_str);
        match path.last().map_or("", String::as_str) {
            "update" => self.current = Some(Update { kind: get("type").to_owned(), ..Update::default() }),
            "issued" => {
                if let Some(update) = &mut self.current {
                    update.record.published = parse_day(get("date"));
                }
            }
            "updated" => {
                if let Some(update) = &mut self.current {
                    update.record.modified = parse_day(get("date"));
                }
            }
            "reference" if get("type") == "cve" || get("id").starts_with("CVE-") => {
                if let Some(update) = &mut self.current {
                    update.record.upstream.push(get("id").to_owned());
                }
            }
            "package" => {
                if let Some(update) = &mut self.current {
                    let epoch = get("epoch");
                    let epoch = if epoch.is_empty() || epoch == "0" { String::new() } else { format!("{epoch}:") };
                    get("release").clone_into(&mut update.release);
                    update
                        .packages
                        .insert(get("name").to_owned(), format!("{epoch}{}-{}", get("version"), get("release")));
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, path: &[String], text: &str) {
        let parent = path.len().checked_sub(2).and_then(|i| path.get(i)).map_or("", String::as_str);
        match (parent, path.last().map_or("", String::as_str)) {
            ("update", "id") => {
                if let Some(update) = &mut self.current {
                    text.clone_into(&mut update.record.id);
                }
            }
            ("update", "severity") => {
                if let Some(update) = &mut self.current {
                    update.record.label = Label::from_word(text);
                }
            }
            (_, "update") => self.done.extend(self.current.take()),
            _ => {}
        }
    }
}

pub(super) fn read(batch: &mut Batch, name: &str, bytes: &[u8], day: &str) -> Result<(), DbError> {
    let mut reader = Reader::default();
    visit(name, bytes, &mut reader)?;
    for update in reader.done {
        // Errata of other kinds ("bugfix", "newpackage") fix nothing that a scan looks for.
        if update.kind != "security" || update.packages.is_empty() {
            continue;
        }
        let Some((source, ecosystem)) = release(&update.record.id, &update.release) else {
            return Err(DbError::input(
                name,
                format!("it is not known of which distribution `{}` is", update.record.id),
            ));
        };
        let affected = update.packages.into_iter().map(|(package, version)| Affected {
            ecosystem: ecosystem.clone(),
            name: package,
            ranges: vec![vec![
                Event { kind: EventKind::Introduced, version: "0".to_owned() },
                Event { kind: EventKind::Fixed, version },
            ]],
            ..Affected::default()
        });
        batch.add(described(source, "", day, false), Record { affected: affected.collect(), ..update.record });
    }
    Ok(())
}

/// Source and ecosystem, from the id and the release of a package: `ALAS2023-2023-001`, `ELSA-2024-1` with `5.el9`.
fn release(id: &str, package_release: &str) -> Option<(&'static str, String)> {
    let number = |mark: &str| -> Option<String> {
        let after = package_release.split(mark).nth(1)?;
        let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
        (!digits.is_empty()).then_some(digits)
    };
    let prefix = id.split('-').next().unwrap_or_default();
    Some(match prefix {
        "ALAS" => ("Amazon", "Amazon Linux:2018.03".to_owned()),
        p if p.starts_with("ALAS2023") => ("Amazon", "Amazon Linux:2023".to_owned()),
        p if p.starts_with("ALAS2") => ("Amazon", "Amazon Linux:2".to_owned()),
        "ELSA" => ("Oracle", format!("Oracle Linux:{}", number(".el")?)),
        "FEDORA" => ("Fedora", format!("Fedora:{}", number(".fc")?)),
        "ALSA" => ("AlmaLinux", format!("AlmaLinux:{}", number(".el")?)),
        "RLSA" => ("Rocky", format!("Rocky Linux:{}", number(".el")?)),
        "RHSA" => ("Red-Hat", format!("Red Hat:enterprise_linux:{}", number(".el")?)),
        _ => return None,
    })
}
