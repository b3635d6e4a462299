//! `stockade lint`

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use stockade_lint::{Finding, LabelType, Options, Report, Severity, apply, find, lint};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::{Outcome, output};

/// Largest Dockerfile that is read, in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// Arguments of `stockade lint`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Dockerfiles; `-` is standard input [default: Dockerfile]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Leave out a rule: an id (unpinned-apt) or a reference (DL3008)
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    ignore: Vec<String>,
    /// Run a rule that is off by default
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    enable: Vec<String>,
    /// Registries that base images may come from (all others are findings)
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    trusted_registry: Vec<String>,
    /// A label that must be there, with its type: text, url, rfc3339, semver, hash, spdx or email
    #[arg(long, value_name = "NAME:TYPE")]
    require_label: Vec<String>,
    /// Labels that are not required are findings
    #[arg(long)]
    strict_labels: bool,
    /// Exit with 1 from this severity on; `none` never does
    #[arg(short = 't', long, value_name = "SEVERITY", default_value = "info")]
    failure_threshold: Threshold,
    /// Ignore comments in the file count for nothing
    #[arg(long)]
    disable_ignore_pragma: bool,
    /// hadolint's configuration [default: .hadolint.yaml, if it is there]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Mend what can be mended mechanically, in the files themselves
    #[arg(long)]
    fix: bool,
    /// With --fix: show what would change, and change nothing
    #[arg(long, requires = "fix")]
    dry_run: bool,
    /// Explain a rule
    #[arg(long, value_name = "ID", exclusive = true)]
    explain: Option<String>,
    /// List all rules
    #[arg(long)]
    list: bool,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// With the line and carets
    Text,
    /// stockade.lint/v1
    Json,
    /// SARIF 2.1.0
    Sarif,
    /// Checkstyle XML
    Checkstyle,
    /// Code Climate / GitLab code quality
    Codeclimate,
    /// GitHub workflow annotations
    Github,
    /// With --list: the page of rules
    Markdown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Threshold {
    Error,
    Warning,
    Info,
    Style,
    None,
}

impl Threshold {
    fn reached(self, severity: Severity) -> bool {
        match self {
            Threshold::Error => severity <= Severity::Error,
            Threshold::Warning => severity <= Severity::Warning,
            Threshold::Info => severity <= Severity::Info,
            Threshold::Style => true,
            Threshold::None => false,
        }
    }
}

/// One file's result.
struct Linted {
    name: String,
    text: String,
    report: Report,
}

/// Lints, or mends.
pub fn run(args: Args, _context: &Context) -> Outcome {
    if let Some(id) = &args.explain {
        return explain(id);
    }
    if args.list {
        return list(args.format);
    }
    let options = options(&args)?;
    let files = if args.files.is_empty() { vec![PathBuf::from("Dockerfile")] } else { args.files.clone() };
    if args.fix {
        return fix(&args, &options, &files);
    }
    let mut results = Vec::new();
    for path in &files {
        results.push(one(path, &options)?);
    }
    for linted in &results {
        for complaint in &linted.report.unused_ignores {
            output::warn(&format!("{}: {complaint}", linted.name));
        }
    }
    output::to_stdout(&render(args.format, &results)?)?;
    let failed = results.iter().any(|l| {
        l.report.diagnostics.errors().next().is_some()
            || l.report.findings.iter().any(|f| args.failure_threshold.reached(f.severity))
    });
    Ok(if failed { Exit::FAILED } else { Exit::DONE })
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let result = if path == Path::new("-") {
        std::io::stdin().take(MAX_BYTES).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|f| f.take(MAX_BYTES).read_to_end(&mut bytes))
    };
    result.map_err(|e| Failure::new(format!("cannot read `{}`: {e}", path.display())))?;
    Ok(bytes)
}

fn one(path: &Path, options: &Options) -> Result<Linted, Failure> {
    let name = if path == Path::new("-") { "stdin".to_owned() } else { path.display().to_string() };
    let bytes = read(path)?;
    let report = lint(&bytes, &name, options);
    Ok(Linted { name, text: String::from_utf8_lossy(&bytes).into_owned(), report })
}

fn options(args: &Args) -> Result<Options, Failure> {
    for name in args.enable.iter() {
        if find(name).is_none() {
            let names = stockade_lint::all().iter().flat_map(|r| r.refs.iter().copied().chain([r.id]));
            let near =
                stockade_config::nearest(name, names).map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
            return Err(Failure::usage(format!("no rule is called `{name}`{near}"))
                .hint("`stockade lint --list` shows all rules"));
        }
    }
    let mut options = Options {
        ignored: args.ignore.clone(),
        enabled: args.enable.clone(),
        trusted_registries: args.trusted_registry.clone(),
        strict_labels: args.strict_labels,
        disable_ignore_comments: args.disable_ignore_pragma,
        ..Options::default()
    };
    for label in &args.require_label {
        let (name, kind) = label.split_once(':').unwrap_or((label, "text"));
        let kind = LabelType::parse(kind).ok_or_else(|| {
            Failure::usage(format!("`{kind}` is no type of label"))
                .hint("types: text, url, rfc3339, semver, hash, spdx, email")
        })?;
        options.label_schema.insert(name.to_owned(), kind);
    }
    let config = match &args.config {
        Some(path) => Some(path.clone()),
        None => [".hadolint.yaml", ".hadolint.yml"].iter().map(PathBuf::from).find(|p| p.exists()),
    };
    if let Some(path) = config {
        hadolint_config(&path, &mut options)?;
    }
    Ok(options)
}

/// Reads `.hadolint.yaml`: ignored, override, trustedRegistries, label-schema, strict-labels, disable-ignore-pragma.
fn hadolint_config(path: &Path, options: &mut Options) -> Result<(), Failure> {
    let documents = stockade_audit::yaml::parse(&read(path)?)
        .map_err(|e| Failure::usage(format!("cannot read `{}`: {e}", path.display())))?;
    let Some(root) = documents.first() else { return Ok(()) };
    let texts = |node: &stockade_audit::yaml::Node| -> Vec<String> {
        node.list().iter().filter_map(|n| n.text()).map(str::to_owned).collect()
    };
    for (key, node) in root.map() {
        match key.as_str() {
            "ignored" => options.ignored.extend(texts(node)),
            "trustedRegistries" => options.trusted_registries.extend(texts(node)),
            "strict-labels" => options.strict_labels |= node.boolean() == Some(true),
            "disable-ignore-pragma" => options.disable_ignore_comments |= node.boolean() == Some(true),
            "override" => {
                let levels = [
                    ("error", Severity::Error),
                    ("warning", Severity::Warning),
                    ("info", Severity::Info),
                    ("style", Severity::Style),
                ];
                for (name, severity) in levels {
                    for id in node.get(name).map(texts).unwrap_or_default() {
                        options.severities.insert(id, severity);
                    }
                }
            }
            "label-schema" => {
                for (name, kind) in node.map() {
                    let kind = kind.text().and_then(LabelType::parse).ok_or_else(|| {
                        Failure::usage(format!("{}:{}: no type of label: {}", path.display(), kind.line, kind.shown()))
                    })?;
                    options.label_schema.insert(name.clone(), kind);
                }
            }
            // These choose hadolint's own output and exit code; ours have flags.
            "failure-threshold" | "format" | "no-color" | "no-fail" | "output-file" | "verbose" => {}
            other => output::warn(&format!("{}: key `{other}` is not known", path.display())),
        }
    }
    Ok(())
}

fn fix(args: &Args, options: &Options, files: &[PathBuf]) -> Outcome {
    let mut left = false;
    for path in files {
        let before = String::from_utf8(read(path)?)
            .map_err(|_| Failure::new(format!("cannot mend `{}`: not UTF-8 text", path.display())))?;
        let (after, mended) = mend(&before, path, options);
        let name = path.display();
        if args.dry_run {
            output::to_stdout(&diff(&name.to_string(), &before, &after))?;
        } else if path == Path::new("-") {
            output::to_stdout(&after)?;
        } else if mended > 0 {
            let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(path)?) & 0o7777;
            stockade_durable::write(path, after.as_bytes(), mode)?;
        }
        let report = lint(after.as_bytes(), &name.to_string(), options);
        let rest = report.findings.iter().filter(|f| args.failure_threshold.reached(f.severity)).count();
        left |= rest > 0;
        output::to_stderr(&format!("{name}: {mended} mended, {} left for you\n", report.findings.len()));
    }
    Ok(if left { Exit::FAILED } else { Exit::DONE })
}

/// Applies fixes until nothing changes: a fix may make room for another.
fn mend(before: &str, path: &Path, options: &Options) -> (String, usize) {
    let mut text = before.to_owned();
    let mut total = 0;
    for _ in 0..10 {
        let report = lint(text.as_bytes(), &path.display().to_string(), options);
        if report.diagnostics.errors().next().is_some() {
            break;
        }
        let (next, mended) = apply(&text, &report.findings);
        // A fix must not break the file.
        if mended == 0
            || next == text
            || stockade_dockerfile::parse_fragment(next.as_bytes(), "f").diagnostics.errors().next().is_some()
        {
            break;
        }
        text = next;
        total += mended;
    }
    (text, total)
}

/// Lines that differ, with what is common at both ends left out.
fn diff(name: &str, before: &str, after: &str) -> String {
    if before == after {
        return String::new();
    }
    let (a, b): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let head = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let tail = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count().min(a.len().min(b.len()) - head);
    let style = output::Style::stdout();
    let mut text = format!("--- {name}\n+++ {name}\n@@ line {} @@\n", head + 1);
    for line in a.get(head..a.len() - tail).unwrap_or_default() {
        text.push_str(&format!("{}\n", style.red(&format!("-{line}"))));
    }
    for line in b.get(head..b.len() - tail).unwrap_or_default() {
        text.push_str(&format!("{}\n", style.green(&format!("+{line}"))));
    }
    text
}

#[derive(Serialize)]
struct JsonFinding<'f> {
    file: &'f str,
    #[serde(flatten)]
    finding: &'f Finding,
}

fn render(format: Format, results: &[Linted]) -> Result<String, Failure> {
    Ok(match format {
        Format::Text => results.iter().map(text).collect(),
        Format::Json => {
            let findings: Vec<_> = each(results).map(|(l, finding)| JsonFinding { file: &l.name, finding }).collect();
            let errors: Vec<_> = results
                .iter()
                .flat_map(|l| {
                    l.report.diagnostics.errors().map(|d| {
                        serde_json::json!({"file": l.name, "id": d.code, "line": d.span.start.line, "column": d.span.start.column, "message": d.message})
                    })
                })
                .collect();
            let all = serde_json::json!({"schema": stockade_lint::SCHEMA, "findings": findings, "errors": errors});
            serde_json::to_string_pretty(&all)? + "\n"
        }
        Format::Sarif => serde_json::to_string_pretty(&sarif(results))? + "\n",
        Format::Codeclimate => {
            let issues: Vec<_> = each(results).map(|(l, f)| codeclimate(&l.name, f)).collect();
            serde_json::to_string_pretty(&issues)? + "\n"
        }
        Format::Checkstyle => checkstyle(results),
        Format::Github => each(results).map(|(l, f)| github(&l.name, f)).collect(),
        Format::Markdown => return Err(Failure::usage("--format markdown goes with --list")),
    })
}

fn each(results: &[Linted]) -> impl Iterator<Item = (&Linted, &Finding)> {
    results.iter().flat_map(|l| l.report.findings.iter().map(move |f| (l, f)))
}

fn text(linted: &Linted) -> String {
    let style = output::Style::stdout();
    let mut out = String::new();
    for diagnostic in linted.report.diagnostics.errors() {
        out.push_str(&diagnostic.render(&linted.name, &linted.text));
    }
    for f in &linted.report.findings {
        let severity = match f.severity {
            Severity::Error => style.red("error"),
            Severity::Warning => style.yellow("warning"),
            other => style.bold(other.name()),
        };
        let reference = f.refs.first().map(|r| format!(" {r}")).unwrap_or_default();
        out.push_str(&format!(
            "{}:{}:{}: {severity}: {} [{}{reference}]\n",
            linted.name,
            f.line,
            f.column,
            output::printable(&f.message),
            f.id
        ));
        let line = linted.text.lines().nth(f.line.saturating_sub(1) as usize).unwrap_or("");
        let shown: String = line.chars().take(160).map(|c| if c == '\t' { ' ' } else { c }).collect();
        let start = f.column.saturating_sub(1) as usize;
        let end = if f.end_line == f.line { f.end_column.saturating_sub(1) as usize } else { line.chars().count() };
        let carets = end.saturating_sub(start).clamp(1, 160usize.saturating_sub(start).max(1));
        out.push_str(&format!(
            "{:>5} | {}\n      | {}{}\n",
            f.line,
            output::printable(&shown),
            " ".repeat(start.min(160)),
            style.red(&"^".repeat(carets))
        ));
        out.push_str(&format!("      = {}{}\n", f.advice, if f.fix.is_some() { " (--fix does it)" } else { "" }));
    }
    out
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info | Severity::Style => "note",
    }
}

fn sarif(results: &[Linted]) -> serde_json::Value {
    let rules: Vec<_> = stockade_lint::all()
        .iter()
        .map(|r| {
            serde_json::json!({
                "id": r.id, "shortDescription": {"text": r.finds}, "fullDescription": {"text": r.why},
                "help": {"text": r.instead}, "defaultConfiguration": {"level": level(r.severity)},
                "properties": {"tags": r.refs},
            })
        })
        .collect();
    let findings: Vec<_> = each(results)
        .map(|(l, f)| {
            serde_json::json!({
                "ruleId": f.id, "level": level(f.severity), "message": {"text": f.message},
                "locations": [{"physicalLocation": {
                    "artifactLocation": {"uri": l.name},
                    "region": {"startLine": f.line, "startColumn": f.column, "endLine": f.end_line, "endColumn": f.end_column},
                }}],
            })
        })
        .collect();
    serde_json::json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0",
        "runs": [{"tool": {"driver": {"name": "stockade lint", "version": env!("CARGO_PKG_VERSION"), "rules": rules}}, "results": findings}],
    })
}

fn codeclimate(name: &str, f: &Finding) -> serde_json::Value {
    let severity = match f.severity {
        Severity::Error => "blocker",
        Severity::Warning => "major",
        Severity::Info => "info",
        Severity::Style => "minor",
    };
    // Stable across runs, so that tools can tell old findings from new ones.
    let identity = format!("{name}:{}:{}:{}", f.id, f.line, f.message);
    let fingerprint =
        identity.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    serde_json::json!({
        "type": "issue", "check_name": f.id, "description": f.message, "categories": ["Bug Risk"], "severity": severity,
        "fingerprint": format!("{fingerprint:016x}"),
        "location": {"path": name, "lines": {"begin": f.line, "end": f.end_line}},
    })
}

fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn checkstyle(results: &[Linted]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<checkstyle version=\"4.3\">\n");
    for l in results {
        out.push_str(&format!("  <file name=\"{}\">\n", xml(&l.name)));
        for f in &l.report.findings {
            let severity = if f.severity == Severity::Style { "info" } else { f.severity.name() };
            out.push_str(&format!(
                "    <error line=\"{}\" column=\"{}\" severity=\"{severity}\" message=\"{}\" source=\"{}\"/>\n",
                f.line,
                f.column,
                xml(&f.message),
                f.id
            ));
        }
        out.push_str("  </file>\n");
    }
    out.push_str("</checkstyle>\n");
    out
}

/// `::warning file=…,line=…::message`; percent, line breaks and separators are escaped as workflow commands want it.
fn github(name: &str, f: &Finding) -> String {
    let data = |s: &str| s.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |s: &str| data(s).replace(':', "%3A").replace(',', "%2C");
    let kind = match f.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        _ => "notice",
    };
    format!(
        "::{kind} file={},line={},endLine={},col={},endColumn={},title={}::{}\n",
        property(name),
        f.line,
        f.end_line,
        f.column,
        f.end_column,
        property(f.id),
        data(&f.message)
    )
}

fn explain(id: &str) -> Outcome {
    let Some(rule) = find(id) else {
        let names = stockade_lint::all().iter().flat_map(|r| r.refs.iter().copied().chain([r.id]));
        let near = stockade_config::nearest(id, names).map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
        return Err(
            Failure::usage(format!("no rule is called `{id}`{near}")).hint("`stockade lint --list` shows all rules")
        );
    };
    let style = output::Style::stdout();
    let mut out = format!(
        "{} ({}), {}{}\n\n",
        style.bold(rule.id),
        rule.refs.join(", "),
        rule.severity.name(),
        if rule.default { "" } else { ", off by default" }
    );
    out.push_str(&format!("Finds:   {}\nWhy:     {}\nInstead: {}\n", rule.finds, rule.why, rule.instead));
    for (title, cases) in [("Found", rule.bad), ("Not found", rule.good)] {
        out.push_str(&format!("\n{title}:\n"));
        for case in cases {
            for line in case.lines() {
                out.push_str(&format!("    {line}\n"));
            }
            out.push('\n');
        }
    }
    output::to_stdout(&out)?;
    Ok(Exit::DONE)
}

fn list(format: Format) -> Outcome {
    match format {
        Format::Json => {
            let rules: Vec<_> = stockade_lint::all()
                .iter()
                .map(|r| serde_json::json!({"id": r.id, "refs": r.refs, "severity": r.severity, "default": r.default, "finds": r.finds, "why": r.why, "instead": r.instead}))
                .collect();
            output::json(&serde_json::json!({"schema": "stockade.lint-rules/v1", "rules": rules}))?;
        }
        Format::Markdown => output::to_stdout(&stockade_lint::docs::markdown())?,
        _ => {
            let mut table = output::Table::new(["ID", "REFERENCES", "SEVERITY", "FINDS"]).shrink(3);
            for r in stockade_lint::all() {
                let severity =
                    if r.default { r.severity.name().to_owned() } else { format!("{} (off)", r.severity.name()) };
                table.row([r.id.to_owned(), r.refs.join(", "), severity, r.finds.to_owned()]);
            }
            table.print()?;
        }
    }
    Ok(Exit::DONE)
}
