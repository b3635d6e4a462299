//! CISA's catalogue of known exploited vulnerabilities (JSON).

use crate::error::DbError;
use crate::model::{ExploitedFact, parse_day};
use serde::Deserialize;

#[derive(Deserialize)]
struct Catalogue {
    #[serde(rename = "dateReleased", default)]
    released: String,
    vulnerabilities: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "cveID")]
    id: String,
    #[serde(rename = "dateAdded", default)]
    added: String,
    #[serde(rename = "dueDate", default)]
    due: String,
    #[serde(rename = "knownRansomwareCampaignUse", default)]
    ransomware: String,
}

/// The catalogue's release day (`YYYY-MM-DD`) and its entries.
pub type Exploited = (String, Vec<(String, ExploitedFact)>);

/// Reads the catalogue. `name` is for messages.
pub fn parse(name: &str, json: &[u8]) -> Result<Exploited, DbError> {
    let raw: Catalogue =
        serde_json::from_slice(json).map_err(|e| DbError::input(name, format!("not CISA's catalogue: {e}")))?;
    let entries = raw
        .vulnerabilities
        .into_iter()
        .map(|e| {
            let fact = ExploitedFact {
                added: parse_day(&e.added),
                due: parse_day(&e.due),
                ransomware: e.ransomware.eq_ignore_ascii_case("known"),
            };
            (e.id, fact)
        })
        .collect();
    Ok((raw.released.chars().take(10).collect(), entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_dates_and_ransomware() {
        let json = br#"{"dateReleased":"2025-08-25T17:04:19.9796Z","vulnerabilities":[
            {"cveID":"CVE-2021-44228","dateAdded":"2021-12-10","dueDate":"2021-12-24","knownRansomwareCampaignUse":"Known"}]}"#;
        let (day, entries) = parse("kev", json).unwrap();
        assert_eq!(day, "2025-08-25");
        assert_eq!(entries[0].0, "CVE-2021-44228");
        assert!(entries[0].1.ransomware);
        assert_eq!(entries[0].1.added, parse_day("2021-12-10"));
    }
}
