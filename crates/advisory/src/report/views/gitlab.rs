//! GitLab's container scanning report (schema 15.0.7).

use crate::matching::Status;
use crate::report::{Finding, ScanReport};
use crate::severity::Severity;
use serde_json::{Value, json};
use stockade_advisory_db::names::canonical_url;

/// The report for GitLab. `start` and `end` are UTC times as `YYYY-MM-DDTHH:MM:SS`.
pub fn gitlab(report: &ScanReport, start: &str, end: &str) -> Value {
    let tool = json!({"id": report.scanner.name, "name": "Stockade", "version": report.scanner.version, "vendor": {"name": "Stockade"}});
    let os = report
        .target
        .os
        .as_ref()
        .map_or("unknown".to_owned(), |os| format!("{} {}", os.id, os.version).trim().to_owned());
    let image = image(report);
    json!({
        "version": "15.0.7",
        "scan": {"analyzer": tool, "scanner": tool, "type": "container_scanning", "start_time": start, "end_time": end, "status": "success",
            "messages": report.unknown.iter().map(|u| json!({"level": "warn", "value": u.why})).collect::<Vec<_>>()},
        "vulnerabilities": report.open_findings().filter(|f| f.status == Status::Affected).map(|f| vulnerability(f, &image, &os)).collect::<Vec<_>>(),
        "remediations": []
    })
}

/// The image as GitLab's schema wants it: `NAME:TAG`, with at most a port before it. Other targets go by their kind.
fn image(report: &ScanReport) -> String {
    let name = &report.target.name;
    let parts: Vec<&str> = name.split(':').collect();
    match parts.as_slice() {
        [_] if matches!(report.target.kind.as_str(), "image" | "registry" | "docker") && !name.starts_with('/') => {
            format!("{name}:latest")
        }
        [only] => format!("{}:{only}", if report.target.kind.is_empty() { "target" } else { &report.target.kind }),
        [_, _] if parts.iter().all(|p| !p.is_empty()) => name.clone(),
        [_, port, _] if port.starts_with(|c: char| c.is_ascii_digit()) => name.clone(),
        _ => format!("target:{}", name.replace(':', "_")),
    }
}

fn vulnerability(finding: &Finding, image: &str, os: &str) -> Value {
    let package = &finding.package;
    let word = match finding.severity {
        Severity::Critical => "Critical",
        Severity::High => "High",
        Severity::Medium => "Medium",
        Severity::Low => "Low",
        Severity::Negligible => "Info",
        Severity::Unknown => "Unknown",
    };
    let mut identifiers = vec![identifier(&finding.id)];
    identifiers.extend(finding.aliases.iter().map(|a| identifier(a)));
    let solution = finding
        .fixed
        .first()
        .map_or_else(|| "No solution provided".to_owned(), |v| format!("Upgrade {} to {v}", finding.component()));
    json!({
        "id": identity(finding),
        "name": format!("{} in {}", finding.id, package.name),
        "description": format!("{} {} is affected by {}", package.name, package.version, finding.id),
        "severity": word,
        "solution": solution,
        "location": {"dependency": {"package": {"name": package.name}, "version": package.version}, "operating_system": os, "image": image},
        "identifiers": identifiers,
        "links": finding.references.iter().map(|url| json!({"url": url})).collect::<Vec<_>>()
    })
}

fn identifier(id: &str) -> Value {
    let kind = id.split('-').next().unwrap_or("advisory").to_ascii_lowercase();
    let mut value = json!({"type": kind, "name": id, "value": id});
    if let Some(url) = canonical_url(id) {
        value["url"] = json!(url);
    }
    value
}

/// A stable id of the shape of a UUID: FNV-1a of what identifies the finding, twice with different starts.
fn identity(finding: &Finding) -> String {
    let key = format!("{}|{}|{}|{}", finding.id, finding.package.kind, finding.package.name, finding.path);
    let hash = |start: u64| key.bytes().fold(start, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let text = format!("{:016x}{:016x}", hash(0xcbf2_9ce4_8422_2325), hash(0x6c62_272e_07bb_0142));
    let part = |r: std::ops::Range<usize>| text.get(r).unwrap_or_default().to_owned();
    format!("{}-{}-{}-{}-{}", part(0..8), part(8..12), part(12..16), part(16..20), part(20..32))
}
