//! HTML: one self-contained file with a filter and sortable columns. No script or style from elsewhere, no font, no request.

use super::sections::{drift_summary, place};
use super::text::{by_severity, count};
use crate::matching::Status;
use crate::report::{Finding, ScanReport};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use stockade_advisory_db::names::canonical_url;

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:76rem;padding:0 1rem;color:#1b1f24;background:#fff}\
h1{font-size:1.5rem}table{border-collapse:collapse;width:100%;margin:1rem 0}th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #d8dee4;vertical-align:top}\
th{cursor:pointer;user-select:none;position:sticky;top:0;background:#f6f8fa}td{overflow-wrap:anywhere}code{font:13px ui-monospace,monospace}\
.critical{color:#a40e26;font-weight:700}.high{color:#bc4c00;font-weight:600}.medium{color:#7d6200}.low,.negligible{color:#57606a}.unknown{color:#0550ae}\
.mark{background:#a40e26;color:#fff;border-radius:3px;padding:0 .3em;font-size:.8em}.box{background:#fff8c5;border:1px solid #d4a72c;border-radius:6px;padding:.6rem 1rem}\
.bar{display:flex;height:1.6rem;border-radius:4px;overflow:hidden;background:#d8dee4}.bar span{display:block;min-width:3px;background:#0969da;border-right:1px solid #fff}\
input{font:inherit;padding:.4rem .6rem;width:24rem;max-width:100%}\
@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}th{background:#161b22}th,td{border-color:#30363d}.box{background:#272115;border-color:#9e6a03}.medium{color:#d4a72c}.unknown{color:#58a6ff}.critical{color:#ff7b72}.high{color:#ffa657}}";

const SCRIPT: &str = "const t=document.querySelector('#findings'),b=t&&t.tBodies[0],f=document.querySelector('#filter');\
if(f)f.oninput=()=>{const q=f.value.toLowerCase();for(const r of b.rows)r.hidden=!r.textContent.toLowerCase().includes(q)};\
if(t)[...t.tHead.rows[0].cells].forEach((h,i)=>{h.onclick=()=>{const d=h.dataset.d=h.dataset.d==='1'?'-1':'1';\
[...b.rows].sort((x,y)=>{const k=r=>r.cells[i].dataset.k||r.cells[i].textContent;return d*k(x).localeCompare(k(y),undefined,{numeric:true})}).forEach(r=>b.append(r))}});";

/// The report as one HTML document.
pub fn html(report: &ScanReport) -> String {
    let mut out = String::with_capacity(16_384 + report.findings.len() * 512);
    let name = escape(&report.target.name);
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\
         <title>Vulnerabilities in {name}</title><style>{STYLE}</style></head><body>\n<h1>Vulnerabilities in <code>{name}</code></h1>\n"
    );
    let open: Vec<&Finding> = report.open_findings().collect();
    let os = report.target.os.as_ref().map_or(String::new(), |os| format!(" · {}", escape(&os.name)));
    let found = if open.is_empty() {
        "No known vulnerability".to_owned()
    } else {
        format!("{}: {}", count(open.len(), "finding"), by_severity(open.iter().map(|f| f.severity)))
    };
    let _ = writeln!(out, "<p>{} in {}{os}</p>", escape(&found), count(report.packages.len(), "package"));
    unknown(&mut out, report);
    layers(&mut out, report, &open);
    if !open.is_empty() {
        out.push_str("<p><input id=\"filter\" type=\"search\" placeholder=\"filter\" aria-label=\"filter\"></p>\n<table id=\"findings\"><thead><tr><th>Severity</th><th>Id</th><th>Package</th><th>Installed</th><th>Fixed in</th><th>Brought by</th></tr></thead><tbody>\n");
        for finding in &open {
            row(&mut out, finding);
        }
        out.push_str("</tbody></table>\n");
    }
    extras(&mut out, report);
    for note in &report.notes {
        let _ = writeln!(out, "<p>{}</p>", escape(note));
    }
    let used: Vec<String> =
        report.database.coverage.iter().map(|c| format!("{} until {}", c.ecosystem, c.until)).collect();
    let _ = writeln!(
        out,
        "<p><small>Facts: {}. Database of {}. {} {}.</small></p>\n<script>{SCRIPT}</script></body></html>",
        escape(&used.join(", ")),
        escape(&report.database.built),
        escape(&report.scanner.name),
        escape(&report.scanner.version)
    );
    out
}

fn unknown(out: &mut String, report: &ScanReport) {
    if report.unknown.is_empty() {
        return;
    }
    out.push_str("<div class=\"box\"><strong>Not known, so the result is incomplete:</strong><ul>\n");
    for unknown in &report.unknown {
        let place =
            if unknown.path.is_empty() { String::new() } else { format!("<code>{}</code>: ", escape(&unknown.path)) };
        let _ = writeln!(out, "<li>{place}{}</li>", escape(&unknown.why));
    }
    out.push_str("</ul></div>\n");
}

/// Credentials, weak settings and drift.
fn extras(out: &mut String, report: &ScanReport) {
    if !report.secrets.is_empty() {
        out.push_str("<h2>Credentials</h2><table><thead><tr><th>Where</th><th>What</th><th>Begins</th><th>Brought by</th></tr></thead><tbody>\n");
        for s in &report.secrets {
            let deleted = if s.deleted { " <small>deleted above, still in the layer below</small>" } else { "" };
            let _ = writeln!(
                out,
                "<tr><td><code>{}</code>{deleted}</td><td>{}</td><td><code>{}</code></td><td><code>{}</code></td></tr>",
                escape(&place(&s.path, s.line)),
                escape(&s.title),
                escape(&s.hint),
                escape(s.instruction.as_deref().unwrap_or(""))
            );
        }
        out.push_str("</tbody></table>\n");
    }
    if !report.weaknesses.is_empty() {
        out.push_str("<h2>Weak settings</h2><table><thead><tr><th>Severity</th><th>Check</th><th>Where</th><th>What to do</th></tr></thead><tbody>\n");
        for w in &report.weaknesses {
            let seen = if w.path.is_empty() { &w.evidence } else { &w.path };
            let _ = writeln!(
                out,
                "<tr><td class=\"{0}\">{0}</td><td>{1}</td><td><code>{2}</code></td><td>{3}</td></tr>",
                w.severity.word(),
                escape(&w.id),
                escape(seen),
                escape(&w.fix)
            );
        }
        out.push_str("</tbody></table>\n");
    }
    if let Some(drift) = &report.drift {
        let _ = writeln!(out, "<p><strong>Different from the image:</strong> {}</p>", escape(&drift_summary(drift)));
    }
}

/// A bar of the layers, each as wide as the number of its findings.
fn layers(out: &mut String, report: &ScanReport, open: &[&Finding]) {
    let mut order: Vec<(&str, Option<&str>)> = Vec::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for package in &report.packages {
        if let Some(layer) = package.layer.as_deref()
            && !order.iter().any(|(known, _)| *known == layer)
        {
            order.push((layer, package.instruction.as_deref()));
        }
    }
    for layer in open.iter().filter_map(|f| f.layer.as_deref()) {
        *counts.entry(layer).or_default() += 1;
    }
    if order.len() < 2 || counts.is_empty() {
        return;
    }
    out.push_str("<h2>Layers</h2><div class=\"bar\">");
    for (layer, instruction) in &order {
        let n = counts.get(layer).copied().unwrap_or(0);
        let title = escape(&format!("{}: {}", instruction.unwrap_or(layer), count(n, "finding")));
        let _ = write!(out, "<span style=\"flex:{n}\" title=\"{title}\"></span>");
    }
    out.push_str("</div><ol>\n");
    for (layer, instruction) in &order {
        let n = counts.get(layer).copied().unwrap_or(0);
        let _ = writeln!(out, "<li><code>{}</code> {}</li>", escape(instruction.unwrap_or(layer)), count(n, "finding"));
    }
    out.push_str("</ol>\n");
}

fn row(out: &mut String, f: &Finding) {
    let rank = crate::severity::Severity::ALL.iter().position(|s| *s == f.severity).unwrap_or(9);
    let id = canonical_url(&f.id).map_or_else(
        || escape(&f.id),
        |url| format!("<a href=\"{}\" rel=\"noreferrer\">{}</a>", escape(&url), escape(&f.id)),
    );
    let mark = if f.known_exploited() { " <span class=\"mark\">exploited</span>" } else { "" };
    let doubt = if f.status == Status::Unknown { " not known whether affected" } else { "" };
    let fixed = if f.fixed.is_empty() {
        "–".to_owned()
    } else {
        f.fixed.iter().map(|v| escape(v)).collect::<Vec<_>>().join(", ")
    };
    let brought = f.instruction.as_deref().unwrap_or("");
    let _ = writeln!(
        out,
        "<tr><td class=\"{0}\" data-k=\"{rank}\">{0}{mark}{doubt}</td><td>{id}</td><td>{1}<br><small>{2}</small></td><td>{3}</td><td>{fixed}</td><td><code>{4}</code></td></tr>",
        f.severity.word(),
        escape(&f.package.name),
        escape(&f.path),
        escape(&f.package.version),
        escape(brought)
    );
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
