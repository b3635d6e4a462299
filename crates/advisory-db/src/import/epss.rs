//! FIRST's exploit prediction scores (CSV, <https://www.first.org/epss/data_stats>).

use crate::error::DbError;
use crate::names::cve_number;

/// One score: year and number of the CVE, probability and percentile in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Score {
    /// Year and number of the CVE.
    pub cve: (u32, u32),
    /// Probability of exploitation within 30 days, in millionths.
    pub probability_ppm: u32,
    /// Share of vulnerabilities scored no higher, in millionths.
    pub percentile_ppm: u32,
}

/// Reads the CSV: a comment line with `score_date:`, a header line, then `cve,epss,percentile`.
/// Output: the day of the scores (empty when the file does not say) and the scores in file order.
pub fn parse(name: &str, text: &str) -> Result<(String, Vec<Score>), DbError> {
    let mut day = String::new();
    let mut scores = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(comment) = line.strip_prefix('#') {
            if let Some(date) = comment.split("score_date:").nth(1) {
                day = date.chars().take(10).collect();
            }
            continue;
        }
        if line.is_empty() || line.starts_with("cve,") {
            continue;
        }
        let mut fields = line.split(',');
        let score = (|| {
            let cve = cve_number(fields.next()?)?;
            Some(Score { cve, probability_ppm: ppm(fields.next()?)?, percentile_ppm: ppm(fields.next()?)? })
        })();
        scores.push(score.ok_or_else(|| {
            DbError::input(name, format!("line {}: expected `CVE-…,probability,percentile`", index + 1))
        })?);
    }
    Ok((day, scores))
}

fn ppm(text: &str) -> Option<u32> {
    let value: f64 = text.trim().parse().ok()?;
    (0.0..=1.0).contains(&value).then(|| (value * 1e6).round() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_scores_and_names_a_wrong_line() {
        let text = "#model_version:v2025.03.14,score_date:2026-01-02T00:00:00+0000\ncve,epss,percentile\nCVE-1999-0001,0.0142,0.8\n";
        let (day, scores) = parse("epss.csv", text).unwrap();
        assert_eq!(day, "2026-01-02");
        assert_eq!(scores, [Score { cve: (1999, 1), probability_ppm: 14_200, percentile_ppm: 800_000 }]);
        let error = parse("epss.csv", "cve,epss,percentile\nCVE-1999-0001,7,0\n").unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
