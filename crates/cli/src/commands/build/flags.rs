//! The flags of `docker build`, and what they become.

use std::collections::BTreeMap;
use std::path::PathBuf;

use stockade_build::{BuildRequest, Pull};
use stockade_engine::{Level, NetMode};
use stockade_image::Reference;

use super::progress::Kind;
use super::specs;
use crate::failure::Failure;

/// Flags of `stockade build`.
#[derive(Debug, clap::Args)]
pub struct Flags {
    /// Name of the image, `NAME[:TAG]`; may be repeated
    #[arg(short, long, value_name = "NAME")]
    pub tag: Vec<String>,
    /// The Dockerfile [default: PATH/Dockerfile]; `-` for standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<String>,
    /// Set an `ARG`: `NAME=VALUE`, or `NAME` for the value of the environment
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub build_arg: Vec<String>,
    /// Files or an image under a name, for `FROM` and `COPY --from`: `NAME=DIR`, `NAME=docker-image://IMAGE`, `NAME=URL`
    /// of a Git repository
    #[arg(long, value_name = "NAME=DIR")]
    pub build_context: Vec<String>,
    /// Build this stage instead of the last
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// Run every step, whatever the cache has
    #[arg(long)]
    pub no_cache: bool,
    /// Set a label of the image: `KEY=VALUE`
    #[arg(long, value_name = "KEY=VALUE")]
    pub label: Vec<String>,
    /// Network of RUN steps: default, none or host
    #[arg(long, value_name = "MODE", default_value = "default")]
    pub network: String,
    /// Confinement of RUN steps: compat, standard or strict
    #[arg(long, value_name = "LEVEL", default_value = "standard")]
    pub confine: String,
    /// Ask for newer base images: `always` (or no value), `missing`, `never`
    #[arg(long, value_name = "WHEN", num_args = 0..=1, require_equals = true, default_missing_value = "always")]
    pub pull: Option<String>,
    /// Give a secret to steps that mount it: `id=ID[,src=FILE|,env=NAME]`
    #[arg(long, value_name = "SPEC")]
    pub secret: Vec<String>,
    /// Give an ssh agent to steps that mount it: `default`, or `ID=SOCKET`
    #[arg(long, value_name = "ID[=SOCKET]")]
    pub ssh: Vec<String>,
    /// Take results of steps from there, too: an image, `type=registry,ref=NAME` or `type=local,src=DIR`
    #[arg(long, value_name = "SPEC")]
    pub cache_from: Vec<String>,
    /// Write results of steps there, too: `type=inline`, `type=registry,ref=NAME` or `type=local,dest=DIR`; with
    /// `mode=max` those of all stages
    #[arg(long, value_name = "SPEC")]
    pub cache_to: Vec<String>,
    /// Run all steps of this stage, whatever the cache has
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub no_cache_filter: Vec<String>,
    /// Annotate the image's manifest: `KEY=VALUE`
    #[arg(long, value_name = "KEY=VALUE")]
    pub annotation: Vec<String>,
    /// Attach a bill of materials to the image: true (the default) or false
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub sbom: Option<String>,
    /// Attach a statement of how the image was built: true (the default), false, mode=min or mode=max
    #[arg(long, value_name = "MODE", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub provenance: Option<String>,
    /// The same as `type=sbom` or `type=provenance`, with `disabled=true` or `mode=max`
    #[arg(long, value_name = "SPEC")]
    pub attest: Vec<String>,
    /// Push the image under its names when it is built
    #[arg(long)]
    pub push: bool,
    /// Build twice without cache, and show the first file that differs
    #[arg(long, conflicts_with = "check")]
    pub check_reproducible: bool,
    /// Add a line to /etc/hosts of steps: `NAME:ADDRESS`
    #[arg(long, value_name = "NAME:ADDRESS")]
    pub add_host: Vec<String>,
    /// Platform to build for; only this machine's
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
    /// What becomes of the result: `type=image`, `type=tar|local|oci|docker,dest=PATH` (`-` for standard output), or a
    /// directory; may be repeated
    #[arg(short, long, value_name = "SPEC")]
    pub output: Vec<String>,
    /// Package archive to make base images from, instead of the configured one
    #[arg(long, value_name = "URL")]
    pub mirror: Option<String>,
    /// How progress is shown: auto, plain, tty or quiet
    #[arg(long, value_name = "KIND", default_value = "auto")]
    pub progress: String,
    /// Print nothing but the image's id
    #[arg(short, long)]
    pub quiet: bool,
    /// Write the image's id to this file
    #[arg(long, value_name = "FILE")]
    pub iidfile: Option<PathBuf>,
    /// Write facts about the result to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<PathBuf>,
    /// Look for mistakes in the Dockerfile, and build nothing
    #[arg(long)]
    pub check: bool,
    /// As --check, with the value `check`
    #[arg(long, value_name = "METHOD", hide = true)]
    pub call: Option<String>,
    #[command(flatten)]
    accepted: Accepted,
    #[command(flatten)]
    refused: Refused,
}

/// Flags that ask for what happens anyway.
#[derive(Debug, clap::Args)]
struct Accepted {
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, value_name = "BOOL")]
    rm: Option<Option<String>>,
    #[arg(long, hide = true)]
    force_rm: bool,
    #[arg(long, hide = true)]
    load: bool,
    #[arg(long, hide = true)]
    compress: bool,
}

/// Flags that are refused by name, with what to do instead.
#[derive(Debug, clap::Args)]
struct Refused {
    #[arg(long, hide = true)]
    squash: bool,
    #[arg(long, hide = true)]
    allow: Vec<String>,
    #[arg(long, hide = true)]
    builder: Option<String>,
    #[arg(long, hide = true)]
    cgroup_parent: Option<String>,
    #[arg(long, hide = true)]
    shm_size: Option<String>,
    #[arg(long, hide = true)]
    ulimit: Vec<String>,
    #[arg(short, long, hide = true)]
    memory: Option<String>,
    #[arg(long, hide = true)]
    memory_swap: Option<String>,
    #[arg(long, hide = true)]
    cpu_period: Option<String>,
    #[arg(long, hide = true)]
    cpu_quota: Option<String>,
    #[arg(short, long, hide = true)]
    cpu_shares: Option<String>,
    #[arg(long, hide = true)]
    cpuset_cpus: Option<String>,
    #[arg(long, hide = true)]
    cpuset_mems: Option<String>,
    #[arg(long, hide = true)]
    isolation: Option<String>,
    #[arg(long, hide = true)]
    security_opt: Vec<String>,
}

impl Flags {
    /// Fails at the first flag that this version does not know how to obey.
    pub fn refuse_unsupported(&self) -> Result<(), Failure> {
        let r = &self.refused;
        let table = [
            (r.squash, "--squash", "end the Dockerfile with a stage `FROM scratch` and `COPY --from=… / /`"),
            (!r.allow.is_empty(), "--allow", "steps run confined; `--network host` can be asked for directly"),
            (r.builder.is_some(), "--builder", "there is one builder, this program"),
            (r.cgroup_parent.is_some(), "--cgroup-parent", "steps have cgroups of their own"),
            (r.shm_size.is_some(), "--shm-size", "steps have 64 MiB of /dev/shm"),
            (!r.ulimit.is_empty(), "--ulimit", "set limits in the step itself with `ulimit`"),
            (r.memory.is_some() || r.memory_swap.is_some(), "--memory", "steps may use 80 % of the machine's memory"),
            (
                r.cpu_period.is_some() || r.cpu_quota.is_some() || r.cpu_shares.is_some(),
                "--cpu-period, --cpu-quota and --cpu-shares",
                "run the build under `nice`",
            ),
            (
                r.cpuset_cpus.is_some() || r.cpuset_mems.is_some(),
                "--cpuset-cpus and --cpuset-mems",
                "run the build under `taskset`",
            ),
            (r.isolation.as_deref().is_some_and(|i| i != "default"), "--isolation", "it is for Windows"),
            (!r.security_opt.is_empty(), "--security-opt", "use `--confine`"),
        ];
        match table.into_iter().find(|(given, _, _)| *given) {
            Some((_, flag, instead)) => Err(Failure::usage(format!("{flag} is not supported")).hint(instead)),
            None => Ok(()),
        }
    }

    /// Whether nothing is to be built.
    pub fn check(&self) -> bool {
        self.check || self.call.as_deref() == Some("check")
    }

    /// How progress is to be shown.
    pub fn progress_kind(&self, terminal: bool) -> Kind {
        match self.progress.as_str() {
            _ if self.quiet => Kind::Quiet,
            "quiet" => Kind::Quiet,
            "plain" => Kind::Plain,
            "tty" => Kind::Live,
            _ if terminal => Kind::Live,
            _ => Kind::Plain,
        }
    }

    /// The request, without its context.
    pub fn request(&self) -> Result<BuildRequest, Failure> {
        if !["auto", "plain", "tty", "quiet"].contains(&self.progress.as_str()) {
            return Err(Failure::usage(format!("`--progress={}`: expected auto, plain, tty or quiet", self.progress)));
        }
        if let Some(call) = self.call.as_deref().filter(|c| !matches!(*c, "build" | "check")) {
            return Err(Failure::usage(format!("`--call={call}` is not supported")).hint("`build` and `check` are"));
        }
        let mut request = BuildRequest::new(PathBuf::from("."));
        request.mirror.clone_from(&self.mirror);
        for name in &self.tag {
            let reference = name
                .parse::<Reference>()
                .map_err(Failure::from)
                .map_err(|f| f.with_exit(crate::failure::Exit::USAGE))?;
            if reference.digest.is_some() {
                return Err(Failure::usage(format!("`{name}` has a digest, which a new image cannot be given")));
            }
            request.tags.push(reference);
        }
        request.build_args = self.build_args()?;
        request.labels = specs::pairs("--label", &self.label)?;
        for text in &self.build_context {
            let (name, context) = specs::build_context(text)?;
            request.build_contexts.insert(name, context);
        }
        request.target.clone_from(&self.target);
        request.no_cache = self.no_cache;
        request.network = self.network.parse::<NetMode>().map_err(Failure::usage)?;
        request.level = self.confine.parse::<Level>().map_err(Failure::usage)?;
        request.pull = match self.pull.as_deref() {
            None | Some("missing" | "false") => Pull::Missing,
            Some("always" | "true") => Pull::Always,
            Some("never") => Pull::Never,
            Some(other) => return Err(Failure::usage(format!("`--pull={other}`: expected always, missing or never"))),
        };
        for text in &self.secret {
            let (id, secret) = specs::secret(text)?;
            request.secrets.insert(id, secret);
        }
        for text in &self.add_host {
            let (name, address) = text
                .split_once('=')
                .or_else(|| text.split_once(':'))
                .filter(|(n, a)| !n.is_empty() && !a.is_empty())
                .ok_or_else(|| Failure::usage(format!("`--add-host {text}`: expected NAME:ADDRESS")))?;
            request.extra_hosts.push((name.to_owned(), address.trim_matches(['[', ']']).to_owned()));
        }
        request.platform.clone_from(&self.platform);
        for text in &self.ssh {
            let (id, socket) = specs::ssh(text)?;
            request.ssh.insert(id, socket);
        }
        self.results(&mut request)?;
        request.proxies = proxies();
        request.source_date_epoch = match std::env::var("SOURCE_DATE_EPOCH") {
            Ok(text) if !text.is_empty() => Some(
                text.parse()
                    .map_err(|_| Failure::usage(format!("SOURCE_DATE_EPOCH is seconds since 1970, not `{text}`")))?,
            ),
            _ => None,
        };
        Ok(request)
    }

    /// What becomes of the result, and of the steps' results.
    fn results(&self, request: &mut BuildRequest) -> Result<(), Failure> {
        for text in &self.output {
            request.outputs.push(specs::output(text)?.0);
        }
        specs::one_standard_output(&request.outputs)?;
        if self.push && !request.wants_image() {
            return Err(Failure::usage("`--push` needs an image; leave `--output` out, or add `-o type=image`"));
        }
        if self.pushes()? && request.tags.is_empty() {
            return Err(Failure::usage("an image is pushed under its names; give one with `-t NAME`"));
        }
        for (key, value) in specs::pairs("--annotation", &self.annotation)? {
            let key = key.strip_prefix("manifest:").unwrap_or(&key).to_owned();
            if let Some(kind) = ["index:", "manifest-descriptor:", "index-descriptor:"].iter().find(|k| key.starts_with(**k)) {
                return Err(Failure::usage(format!("`--annotation {kind}…` is not supported"))
                    .hint("annotations go to the manifest: leave the prefix out"));
            }
            request.annotations.insert(key, value);
        }
        request.no_cache_stages.clone_from(&self.no_cache_filter);
        request.cache_from = self.cache_from.iter().map(|t| specs::cache_from(t)).collect::<Result<_, _>>()?;
        request.cache_to = self.cache_to.iter().map(|t| specs::cache_to(t)).collect::<Result<_, _>>()?;
        request.attest = specs::attest(self.sbom.as_deref(), self.provenance.as_deref(), &self.attest)?;
        Ok(())
    }

    /// Whether the image is to be pushed.
    pub fn pushes(&self) -> Result<bool, Failure> {
        let mut push = self.push;
        for text in &self.output {
            push |= specs::output(text)?.1;
        }
        Ok(push)
    }

    /// `--build-arg`; one without a value takes the environment's, and is left out when that has none.
    pub fn build_args(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut out = BTreeMap::new();
        for text in &self.build_arg {
            match text.split_once('=') {
                Some(("", _)) => return Err(Failure::usage(format!("`--build-arg {text}`: the name is missing"))),
                Some((name, value)) => drop(out.insert(name.to_owned(), value.to_owned())),
                None => {
                    if let Ok(value) = std::env::var(text) {
                        out.insert(text.clone(), value);
                    }
                }
            }
        }
        Ok(out)
    }
}

/// The caller's proxies. One on this machine's loopback cannot be reached from a step, so it is left out.
fn proxies() -> BTreeMap<String, String> {
    let names = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];
    let both = names.iter().flat_map(|n| [(*n).to_owned(), n.to_lowercase()]);
    both.filter_map(|name| {
        let value = std::env::var(&name).ok().filter(|v| !v.is_empty())?;
        let local = ["127.", "localhost", "[::1]"].iter().any(|l| value.contains(l));
        (name.eq_ignore_ascii_case("no_proxy") || !local).then_some((name, value))
    })
    .collect()
}
