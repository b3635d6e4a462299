//! `stockade manifest`

use serde_json::{Value, json};
use stockade_image::Reference;
use stockade_registry::{Document, EntryPlatform, Fetched, ManifestList, ManifestLists, Silent};

use crate::Outcome;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::transfer::{RegistryArgs, Transfer, Way, reference};

/// Arguments of `stockade manifest`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Say more about one image of a list, or correct what it says
    Annotate(Annotate),
    /// Begin a list of images for several platforms
    Create(Create),
    /// Show a manifest or list, of a registry or in the making
    Inspect(Inspect),
    /// Send a list to its registry
    Push(Push),
    /// Forget lists in the making
    Rm(Rm),
}

#[derive(Debug, clap::Args)]
struct Annotate {
    /// The architecture, such as arm64
    #[arg(long)]
    arch: Option<String>,
    /// The system
    #[arg(long)]
    os: Option<String>,
    /// What the system must have
    #[arg(long, value_delimiter = ',')]
    os_features: Vec<String>,
    /// Version of the system
    #[arg(long)]
    os_version: Option<String>,
    /// The architecture's variant, such as v7
    #[arg(long)]
    variant: Option<String>,
    /// Name of the list
    list: String,
    /// The image in it, by name or digest
    manifest: String,
}

#[derive(Debug, clap::Args)]
struct Create {
    /// Add to the list if there is one
    #[arg(short, long)]
    amend: bool,
    #[command(flatten)]
    registry: RegistryArgs,
    /// Name of the list
    list: String,
    /// Images that a registry has
    #[arg(required = true)]
    manifests: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct Inspect {
    /// Show descriptors and platforms too
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    registry: RegistryArgs,
    /// What to show; with two names, the second one in the list of the first
    #[arg(required = true, num_args = 1..=2, value_name = "[LIST] MANIFEST")]
    names: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct Push {
    /// Forget the list when it is there
    #[arg(short, long)]
    purge: bool,
    #[command(flatten)]
    registry: RegistryArgs,
    /// Name of the list
    list: String,
}

#[derive(Debug, clap::Args)]
struct Rm {
    /// Names of lists
    #[arg(required = true)]
    lists: Vec<String>,
}

/// Runs the chosen verb.
pub fn run(args: Args, context: &Context) -> Outcome {
    let lists = ManifestLists::new(&context.settings.dirs.root);
    match args.verb {
        Verb::Annotate(args) => annotate(args, &lists),
        Verb::Create(args) => create(&args, &lists, context),
        Verb::Inspect(args) => inspect(&args, &lists, context),
        Verb::Push(args) => push(&args, &lists, context),
        Verb::Rm(args) => remove(&args, &lists),
    }
}

fn existing(lists: &ManifestLists, name: &Reference) -> Result<ManifestList, Failure> {
    lists.get(name)?.ok_or_else(|| {
        Failure::new(format!("there is no manifest list `{name}` in the making"))
            .hint(format!("begin it with `stockade manifest create {name} IMAGE...`"))
    })
}

fn create(args: &Create, lists: &ManifestLists, context: &Context) -> Outcome {
    let name = reference(&args.list)?;
    let mut list = match lists.get(&name)? {
        Some(_) if !args.amend => {
            let hint = "use --amend to add to it, or `stockade manifest rm` to begin anew";
            return Err(Failure::new(format!("the manifest list `{name}` exists")).hint(hint));
        }
        Some(list) => list,
        None => ManifestList::new(&name),
    };
    let client = args.registry.client(context);
    for manifest in &args.manifests {
        list.add(client.list_members(&reference(manifest)?, &Silent)?);
    }
    lists.put(&name, &list)?;
    output::to_stdout(&format!("Created manifest list {}\n", name.or_latest().canonical()))?;
    Ok(Exit::DONE)
}

fn annotate(args: Annotate, lists: &ManifestLists) -> Outcome {
    let name = reference(&args.list)?;
    let mut list = existing(lists, &name)?;
    let wanted = reference(&args.manifest).ok();
    let canonical = wanted.as_ref().map(Reference::canonical);
    let digest = wanted.and_then(|r| r.digest).map(|d| d.to_string()).unwrap_or_else(|| args.manifest.clone());
    let found =
        list.members.iter_mut().filter(|m| Some(&m.name) == canonical.as_ref() || m.entry.digest.to_string() == digest);
    let mut changed = false;
    for member in found {
        let platform = member.entry.platform.get_or_insert_with(EntryPlatform::default);
        if let Some(arch) = &args.arch {
            platform.architecture.clone_from(arch);
        }
        if let Some(os) = &args.os {
            platform.os.clone_from(os);
        }
        if !args.os_features.is_empty() {
            platform.os_features.clone_from(&args.os_features);
        }
        platform.os_version = args.os_version.clone().or(platform.os_version.take());
        platform.variant = args.variant.clone().or(platform.variant.take());
        changed = true;
    }
    if !changed {
        let names: Vec<&str> = list.members.iter().map(|m| m.name.as_str()).collect();
        return Err(Failure::new(format!("the list `{name}` has no `{}`; it has {}", args.manifest, names.join(", "))));
    }
    lists.put(&name, &list)?;
    Ok(Exit::DONE)
}

fn push(args: &Push, lists: &ManifestLists, context: &Context) -> Outcome {
    let name = reference(&args.list)?;
    let list = existing(lists, &name)?;
    let pushed = args.registry.client(context).push_list(&name, &list, &Transfer::new(Way::Out, false))?;
    if args.purge {
        lists.remove(&name)?;
    }
    output::to_stdout(&format!("{}\n", pushed.digest))?;
    Ok(Exit::DONE)
}

fn remove(args: &Rm, lists: &ManifestLists) -> Outcome {
    crate::container::for_each(&args.lists, |name| {
        let name = reference(name)?;
        if lists.remove(&name)? {
            return Ok(String::new());
        }
        Err(Failure::new(format!("there is no manifest list `{name}` in the making")))
    })
}

fn inspect(args: &Inspect, lists: &ManifestLists, context: &Context) -> Outcome {
    let client = args.registry.client(context);
    let (list, wanted) = match args.names.as_slice() {
        [list, manifest] => (Some(reference(list)?), manifest),
        names => (None, names.first().ok_or_else(|| Failure::usage("name a manifest"))?),
    };
    let wanted = reference(wanted)?;
    if let Some(list) = &list {
        existing(lists, list)?;
    } else if let Some(local) = lists.get(&wanted)? {
        output::json(&local.index())?;
        return Ok(Exit::DONE);
    }
    let fetched = client.manifest(&wanted, &Silent)?;
    if !args.verbose {
        output::json(&serde_json::from_slice::<Value>(&fetched.bytes)?)?;
        return Ok(Exit::DONE);
    }
    match &fetched.document {
        Document::Image(_) => {
            let members = client.list_members(&wanted, &Silent)?;
            let platform = members.into_iter().next().and_then(|m| m.entry.platform);
            output::json(&described(&wanted.or_latest().canonical(), &fetched, platform.as_ref())?)?;
        }
        Document::Index(index) => {
            let mut all = Vec::new();
            for entry in &index.manifests {
                let pinned = Reference { tag: None, digest: Some(entry.digest), ..wanted.clone() };
                let one = client.manifest(&pinned, &Silent)?;
                all.push(described(&pinned.canonical(), &one, entry.platform.as_ref())?);
            }
            output::json(&all)?;
        }
    }
    Ok(Exit::DONE)
}

/// Docker's form of `manifest inspect --verbose`.
fn described(name: &str, fetched: &Fetched, platform: Option<&EntryPlatform>) -> Result<Value, Failure> {
    let document: Value = serde_json::from_slice(&fetched.bytes)?;
    let field = if fetched.media_type.contains("docker") { "SchemaV2Manifest" } else { "OCIManifest" };
    Ok(json!({
        "Ref": name,
        "Descriptor": {
            "mediaType": fetched.media_type,
            "digest": fetched.digest,
            "size": fetched.bytes.len(),
            "platform": platform,
        },
        field: document,
    }))
}
