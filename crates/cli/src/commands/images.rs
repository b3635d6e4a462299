//! `stockade images`, and what the image verbs share.

use jiff::Timestamp;
use serde_json::{Value, json};
use stockade_image::{Image, ImageError, Reference, Store};

use crate::Outcome;
use crate::container::filter::{self, Filter};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::Table;
use crate::{go_template, human, output};

/// What docker shows where there is nothing.
const NONE: &str = "<none>";

/// Arguments of `stockade images`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Accepted for docker's sake: all images are shown
    #[arg(short, long)]
    all: bool,
    /// Show digests of manifests
    #[arg(long)]
    digests: bool,
    /// Those that fit: dangling=true, label=a=b, before=IMAGE, since=IMAGE, reference=PATTERN
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,
    /// `json`, `table TEMPLATE` or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Do not cut ids
    #[arg(long)]
    no_trunc: bool,
    /// Print ids only
    #[arg(short, long)]
    quiet: bool,
    /// Only this repository, or this name
    #[arg(value_name = "REPOSITORY[:TAG]")]
    repository: Option<String>,
}

/// Lists images, newest first; one row for each name.
pub fn run(args: Args, context: &Context) -> Outcome {
    let store = open(context)?;
    let filters = ImageFilters::new(&args.filter, &store)?;
    let mut rows = Vec::new();
    for image in store.list()? {
        if filters.fit(&image) {
            rows.extend(
                names_of(&image, &filters, args.repository.as_deref())
                    .into_iter()
                    .map(|n| row(&image, n.as_ref(), &args)),
            );
        }
    }
    if args.quiet {
        let mut ids: Vec<&str> = rows.iter().filter_map(|r| r.get("ID").and_then(Value::as_str)).collect();
        ids.dedup();
        output::to_stdout(&ids.iter().map(|id| format!("{id}\n")).collect::<String>())?;
        return Ok(Exit::DONE);
    }
    if let Some(format) = args.format.as_deref().filter(|f| *f != "table") {
        output::to_stdout(&go_template::render_rows(format, &rows)?)?;
        return Ok(Exit::DONE);
    }
    let (mut header, mut fields) = (vec!["REPOSITORY", "TAG"], vec!["Repository", "Tag"]);
    if args.digests {
        header.push("DIGEST");
        fields.push("Digest");
    }
    header.extend(["IMAGE ID", "CREATED", "SIZE"]);
    fields.extend(["ID", "CreatedSince", "Size"]);
    let mut table = Table::new(header);
    for row in &rows {
        table.row(fields.iter().map(|f| row.get(*f).and_then(Value::as_str).unwrap_or_default()));
    }
    table.print()?;
    Ok(Exit::DONE)
}

/// The names to show: those that fit, or one empty place for an image without a name.
fn names_of(image: &Image, filters: &ImageFilters, wanted: Option<&str>) -> Vec<Option<Reference>> {
    if image.names.is_empty() {
        return if wanted.is_none() && !filters.want_names() { vec![None] } else { Vec::new() };
    }
    let names = image.names.iter().filter_map(|n| Reference::parse(n).ok());
    names.filter(|n| wanted.is_none_or(|w| name_fits(n, w)) && filters.fit_name(n)).map(Some).collect()
}

/// Docker's names of the columns.
fn row(image: &Image, name: Option<&Reference>, args: &Args) -> Value {
    let created = image.created.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
    json!({
        "ID": if args.no_trunc { image.id.to_string() } else { image.id.short() },
        "Repository": name.map_or_else(|| NONE.to_owned(), Reference::name),
        "Tag": name.and_then(|n| n.tag.clone()).unwrap_or_else(|| NONE.to_owned()),
        "Digest": if name.is_some() { image.manifest_digest.to_string() } else { NONE.to_owned() },
        "CreatedSince": created.map_or_else(|| "N/A".to_owned(), human::ago),
        "CreatedAt": created.map_or_else(|| "N/A".to_owned(), |t| t.to_string()),
        "Size": human::size(image.size),
        "VirtualSize": human::size(image.size),
        "SharedSize": "N/A",
        "UniqueSize": "N/A",
        "Containers": "N/A",
    })
}

/// Opens the image store.
pub(super) fn open(context: &Context) -> Result<Store, Failure> {
    Ok(Store::open(&context.settings.dirs.root)?)
}

/// The next step for errors of the image room that have one.
pub(super) fn failure(error: ImageError) -> Failure {
    let hint = match &error {
        ImageError::NotFound { .. } => Some("`stockade images` lists what is there"),
        ImageError::InUse { .. } => {
            Some("remove the containers first, or use -f: the names go now, the files when the containers are gone")
        }
        ImageError::Conflict { .. } => Some("use -f to remove all of its names"),
        ImageError::Ambiguous { .. } => Some("write more digits of the id"),
        ImageError::NoSpace { .. } => Some("`stockade image prune` and `stockade builder prune` make room"),
        ImageError::MissingBlob { .. } | ImageError::DigestMismatch { .. } => {
            Some("the image is damaged; load, import or build it again")
        }
        _ => None,
    };
    let failure = Failure::from(error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The image that a name or id means.
pub(super) fn find(store: &Store, name: &str) -> Result<Image, Failure> {
    match store.resolve(name) {
        Ok(Some(image)) => Ok(image),
        Ok(None) => Err(failure(ImageError::NotFound { name: name.to_owned() })),
        Err(error) => Err(failure(error)),
    }
}

/// `debian` means every tag of it, `debian:12` that one; `*` and `?` stand for what they do in a shell.
fn name_fits(name: &Reference, wanted: &str) -> bool {
    let full = name.to_string();
    glob(wanted, &name.name()) || glob(wanted, &full) || Reference::parse(wanted).is_ok_and(|w| w == *name)
}

/// `*` and `?` do not cross slashes, as in Go's `path.Match`.
fn glob(pattern: &str, text: &str) -> bool {
    let (mut p, mut t) = (pattern.chars(), text.chars());
    match (p.next(), t.next()) {
        (None, None) => true,
        (Some('*'), next) => glob(p.as_str(), text) || next.is_some_and(|c| c != '/') && glob(pattern, t.as_str()),
        (Some('?'), Some(c)) if c != '/' => glob(p.as_str(), t.as_str()),
        (Some(a), Some(b)) if a == b => glob(p.as_str(), t.as_str()),
        _ => false,
    }
}

/// Keys of `images --filter`.
const KEYS: &[&str] = &["dangling", "label", "before", "since", "until", "reference"];

/// `--filter` of `images` and `image prune`.
pub(super) struct ImageFilters {
    filters: Vec<Filter>,
    /// Times that `before`, `since` and `until` mean, by the filter's value.
    times: Vec<(String, Timestamp)>,
}

impl ImageFilters {
    /// Reads filters and looks up the images that they name.
    pub fn new(texts: &[String], store: &Store) -> Result<ImageFilters, Failure> {
        let filters = filter::parse(texts, KEYS)?;
        let mut times = Vec::new();
        for filter in &filters {
            let value = &filter.value;
            match filter.key.as_str() {
                "before" | "since" => {
                    let image = find(store, value)?;
                    let created = image.created.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
                    let created = created
                        .ok_or_else(|| Failure::new(format!("image `{value}` does not say when it was made")))?;
                    times.push((value.clone(), created));
                }
                "until" => times.push((value.clone(), human::parse_time(value).map_err(Failure::usage)?)),
                "dangling" if !matches!(value.as_str(), "true" | "false" | "1" | "0") => {
                    return Err(Failure::usage(format!("--filter dangling={value}: write true or false")));
                }
                _ => {}
            }
        }
        Ok(ImageFilters { filters, times })
    }

    /// Whether an image fits, its names aside.
    pub fn fit(&self, image: &Image) -> bool {
        filter::matches(&self.filters, |f| self.one(f, image))
    }

    fn one(&self, filter: &Filter, image: &Image) -> bool {
        let value = filter.value.as_str();
        let created = || image.created.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
        let limit = || self.times.iter().find(|(text, _)| text == value).map(|(_, time)| *time);
        match filter.key.as_str() {
            "dangling" => image.names.is_empty() == matches!(value, "true" | "1"),
            "label" => match value.split_once('=') {
                Some((key, wanted)) => image.config.config.labels.get(key).is_some_and(|v| v == wanted),
                None => image.config.config.labels.contains_key(value),
            },
            "before" | "until" => created() < limit(),
            "since" => created() > limit(),
            _ => true,
        }
    }

    fn want_names(&self) -> bool {
        self.filters.iter().any(|f| f.key == "reference")
    }

    fn fit_name(&self, name: &Reference) -> bool {
        !self.want_names() || self.filters.iter().any(|f| f.key == "reference" && name_fits(name, &f.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_names_as_in_a_shell() {
        for (pattern, text, fits) in [
            ("debian", "debian", true),
            ("deb*", "debian", true),
            ("*", "a/b", false),
            ("*/*", "a/b", true),
            ("?ebian", "debian", true),
            ("debian", "debian2", false),
            ("**", "x", true),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        }
        let name = Reference::parse("debian:12").unwrap();
        assert!(
            name_fits(&name, "debian")
                && name_fits(&name, "debian:12")
                && name_fits(&name, "docker.io/library/debian:12")
        );
        assert!(!name_fits(&name, "debian:13") && !name_fits(&name, "docker.io/library/debian:13"));
    }
}
