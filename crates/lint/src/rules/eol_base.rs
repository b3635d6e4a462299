//! `end-of-life-base`

use super::{Rule, Severity};

/// Image names with tag beginnings whose release gets no fixes any more, and the day on which they ended
/// (the distributions' and projects' own announcements). Only ends before 2026 are listed, so that the answer does not
/// depend on the clock.
const ENDED: [(&str, &[&str], &str); 32] = [
    ("debian", &["7", "wheezy", "8", "jessie"], "2020-06-30"),
    ("debian", &["9", "stretch"], "2022-06-30"),
    ("debian", &["10", "buster"], "2024-06-30"),
    ("ubuntu", &["12.04", "precise", "14.04", "trusty"], "2019-04-25"),
    ("ubuntu", &["16.04", "xenial"], "2021-04-30"),
    ("ubuntu", &["18.04", "bionic"], "2023-05-31"),
    ("ubuntu", &["20.04", "focal"], "2025-05-31"),
    ("ubuntu", &["21.04", "21.10", "22.10", "23.04", "23.10", "24.10"], "2025-07-10"),
    ("centos", &["5", "6", "centos6"], "2020-11-30"),
    ("centos", &["7", "centos7"], "2024-06-30"),
    ("centos", &["8", "centos8", "latest"], "2021-12-31"),
    ("alpine", &["3.10", "3.11", "3.12", "3.13", "3.14"], "2023-05-01"),
    ("alpine", &["3.15", "3.16"], "2024-05-23"),
    ("alpine", &["3.17"], "2024-11-22"),
    ("alpine", &["3.18"], "2025-05-09"),
    ("alpine", &["3.19"], "2025-11-01"),
    ("fedora", &["36", "37", "38", "39", "40"], "2025-05-13"),
    ("node", &["8", "10", "12"], "2022-04-30"),
    ("node", &["14", "16"], "2023-09-11"),
    ("node", &["18"], "2025-04-30"),
    ("node", &["15", "17", "19", "21", "23"], "2025-06-01"),
    ("python", &["2", "2.7"], "2020-01-01"),
    ("python", &["3.5", "3.6"], "2021-12-23"),
    ("python", &["3.7"], "2023-06-27"),
    ("python", &["3.8"], "2024-10-07"),
    ("python", &["3.9"], "2025-10-31"),
    ("php", &["5", "7"], "2022-11-28"),
    ("php", &["8.0"], "2023-11-26"),
    ("ruby", &["2"], "2023-03-31"),
    ("ruby", &["3.0"], "2024-04-23"),
    ("ruby", &["3.1"], "2025-03-26"),
    ("postgres", &["9", "10", "11", "12", "13"], "2025-11-13"),
];

pub(super) static RULE: Rule = Rule {
    id: "end-of-life-base",
    refs: &["SD1006", "CIS-4.4"],
    severity: Severity::Warning,
    default: true,
    finds: "A base image whose release gets no fixes any more.",
    why: "Holes found since then stay open for ever.",
    instead: "Use a supported release.",
    bad: &["FROM debian:buster-slim\n", "FROM docker.io/library/centos:7\n", "FROM node:16-alpine\n", "FROM python:3.8.10\n"],
    good: &["FROM debian:bookworm\n", "FROM node:160\n", "FROM python:3.12\n", "FROM me/debian:9\n", "FROM ubuntu:24.04\n"],
    test: |file, out| {
        for (_, from, _) in file.stages() {
            let image = from.image.value.split('@').next().unwrap_or("");
            let image = image.strip_prefix("docker.io/").unwrap_or(image);
            let image = image.strip_prefix("library/").unwrap_or(image);
            let Some((name, tag)) = image.split_once(':') else { continue };
            let found = ENDED.iter().find(|(n, tags, _)| *n == name && tags.iter().any(|t| release_is(tag, t)));
            if let Some((_, _, day)) = found {
                out.word(&from.image, format!("{name} {tag} got its last fixes on {day}"));
            }
        }
    },
};

/// `16` is the release of `16`, `16-alpine` and `16.2`, not of `160`.
fn release_is(tag: &str, release: &str) -> bool {
    tag.strip_prefix(release).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.', '_']))
}
