//! NVD's CVE records (API and feeds, JSON 2.0): ratings only. Its product names say too little about packages to match.

use super::{Batch, described};
use crate::error::DbError;
use crate::model::{Record, parse_day};
use serde::Deserialize;

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    vulnerabilities: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    cve: Cve,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cve {
    id: String,
    #[serde(default)]
    published: String,
    #[serde(default)]
    last_modified: String,
    #[serde(default)]
    vuln_status: String,
    #[serde(default)]
    metrics: Metrics,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Metrics {
    cvss_metric_v40: Vec<Metric>,
    cvss_metric_v31: Vec<Metric>,
    cvss_metric_v30: Vec<Metric>,
    cvss_metric_v2: Vec<Metric>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metric {
    #[serde(rename = "type", default)]
    kind: String,
    cvss_data: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    vector_string: String,
}

pub(super) fn read(batch: &mut Batch, name: &str, bytes: &[u8]) -> Result<(), DbError> {
    let page: Page =
        serde_json::from_slice(bytes).map_err(|e| DbError::input(name, format!("not NVD's JSON 2.0: {e}")))?;
    let source = described("NVD", "", "", true);
    for Item { cve } in page.vulnerabilities {
        if cve.vuln_status == "Rejected" {
            batch.withdrawn.insert(cve.id);
            continue;
        }
        let mut scores = Vec::new();
        let m = cve.metrics;
        for family in [m.cvss_metric_v40, m.cvss_metric_v31, m.cvss_metric_v30, m.cvss_metric_v2] {
            // NVD's own rating is "Primary"; where it has none, the reporter's counts.
            let chosen = family.iter().find(|x| x.kind == "Primary").or(family.first());
            scores.extend(chosen.map(|x| x.cvss_data.vector_string.clone()));
        }
        if scores.is_empty() {
            continue;
        }
        let record = Record {
            id: cve.id,
            published: parse_day(&cve.published),
            modified: parse_day(&cve.last_modified),
            scores,
            ..Record::default()
        };
        batch.add(source.clone(), record);
    }
    Ok(())
}
