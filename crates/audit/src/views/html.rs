//! One self-contained page: no file beside it, nothing fetched, sortable and searchable without a server.

use std::fmt::Write as _;

use super::{escaped, summary, word};
use crate::model::{Answer, Report};

/// Styles; colours differ in lightness too, so that they can be told apart without colour.
const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;margin:2rem;color:#1c2024;background:#fff}\
h1{font-size:1.4rem}table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.4rem .6rem;\
border-bottom:1px solid #d8dde2;overflow-wrap:anywhere}th button{font:inherit;font-weight:600;background:none;border:0;padding:0;\
cursor:pointer}th[aria-sort=ascending] button::after{content:' \\2191'}th[aria-sort=descending] button::after{content:' \\2193'}\
.r{font-weight:600;white-space:nowrap}.fail .r{color:#b3261e}.unknown .r{color:#8a5a00}.manual .r{color:#5b4b8a}.pass .r{color:#1b6e3a}\
.not_applicable,.waived{color:#5c6670}code{font-size:.92em}.bar{display:flex;gap:1rem;flex-wrap:wrap;margin:1rem 0}\
small{color:#5c6670}@media(prefers-color-scheme:dark){body{background:#14171a;color:#e6e9ec}th,td{border-color:#333a41}\
.fail .r{color:#ff8a80}.unknown .r{color:#ffc46b}.manual .r{color:#c3b5f5}.pass .r{color:#7fd99a}small,.not_applicable,.waived{color:#9aa4ae}\
th button{color:inherit}input,select{background:#1e2328;color:inherit;border:1px solid #444}}";

/// Sorting by a click on a heading, filtering by text and by result.
const SCRIPT: &str = "const t=document.querySelector('table'),b=t.tBodies[0],q=document.getElementById('q'),\
s=document.getElementById('s');function f(){const w=q.value.toLowerCase();for(const r of b.rows)\
r.hidden=!(r.textContent.toLowerCase().includes(w)&&(s.value===''||r.classList.contains(s.value)))}\
q.addEventListener('input',f);s.addEventListener('change',f);for(const h of t.tHead.rows[0].cells)\
h.addEventListener('click',()=>{const i=h.cellIndex,up=h.getAttribute('aria-sort')!=='ascending';\
for(const o of t.tHead.rows[0].cells)o.removeAttribute('aria-sort');h.setAttribute('aria-sort',up?'ascending':'descending');\
const k=r=>r.cells[i].dataset.k??r.cells[i].textContent;[...b.rows].sort((x,y)=>(up?1:-1)*k(x).localeCompare(k(y),'en',{numeric:true}))\
.forEach(r=>b.append(r))});f()";

/// The whole report as a page. `title` is what was audited and when.
pub fn html(report: &Report, title: &str) -> String {
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\
         <title>{0}</title><style>{STYLE}</style></head><body>\n<h1>{0}</h1>\n<p>{1}</p>\n",
        escaped(title),
        escaped(&summary(report))
    );
    text.push_str(
        "<div class=\"bar\"><label>Search <input id=\"q\" type=\"search\"></label><label>Result <select id=\"s\">\
         <option value=\"\">all</option><option value=\"fail\" selected>failed</option><option value=\"unknown\">unknown</option>\
         <option value=\"manual\">for a person</option><option value=\"pass\">passed</option><option value=\"waived\">waived</option>\
         <option value=\"not_applicable\">not applicable</option></select></label></div>\n\
         <table><thead><tr>",
    );
    for heading in ["Result", "Check", "Subject", "Evidence", "Why and fix"] {
        let _ = write!(text, "<th scope=\"col\"><button type=\"button\">{heading}</button></th>");
    }
    text.push_str("</tr></thead><tbody>\n");
    for check in &report.checks {
        let class = if check.waived.is_some() { "waived" } else { check.result.name() };
        let advice = match &check.waived {
            Some(reason) => format!("waived: {}", escaped(reason)),
            None if check.result == Answer::Fail => {
                format!("{} <b>Fix:</b> {}", escaped(check.meta.why), escaped(check.meta.fix))
            }
            None => escaped(check.meta.why),
        };
        let _ = writeln!(
            text,
            "<tr class=\"{class}\"><td class=\"r\" data-k=\"{}\">{}</td><td>{}<br><small><code>{}</code> {}</small></td><td>{}</td><td>{}</td><td>{advice}</td></tr>",
            check.result as u8,
            word(check),
            escaped(check.meta.title),
            escaped(check.meta.id),
            escaped(&check.meta.refs.join(", ")),
            escaped(&check.subject),
            escaped(&check.evidence),
        );
    }
    let _ = write!(text, "</tbody></table>\n<script>{SCRIPT}</script>\n</body></html>\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_whole_and_holds_no_markup_of_others() {
        let report = crate::views::tests::report();
        let text = html(&report, "a <title>");
        assert_eq!(text.matches("<tr class").count(), report.checks.len());
        assert_eq!(text.matches("<script>").count(), 1);
        assert!(!text.contains("<b>&amp;") && text.contains("container &lt;b&gt;&amp;"));
        assert!(!text.contains("http://") && !text.contains("https://") && !text.contains("src="));
    }
}
