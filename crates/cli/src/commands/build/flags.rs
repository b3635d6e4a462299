//! The flags of `docker build`, and what they become.

use std::collections::BTreeMap;
use std::path::PathBuf;

use stockade_build::{BuildRequest, Output, Pull, Secret, SecretSource};
use stockade_engine::{Level, NetMode};
use stockade_image::Reference;

use super::progress::Kind;
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
    /// Another directory that `COPY --from=NAME` takes files from: `NAME=DIR`
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
    /// Add a line to /etc/hosts of steps: `NAME:ADDRESS`
    #[arg(long, value_name = "NAME:ADDRESS")]
    pub add_host: Vec<String>,
    /// Platform to build for; only this machine's
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
    /// What becomes of the result: image, `type=tar|local|oci|docker,dest=PATH`, or a directory
    #[arg(short, long, value_name = "SPEC")]
    pub output: Option<String>,
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
    push: bool,
    #[arg(long, hide = true)]
    squash: bool,
    #[arg(long, hide = true)]
    ssh: Vec<String>,
    #[arg(long, hide = true)]
    cache_from: Vec<String>,
    #[arg(long, hide = true)]
    cache_to: Vec<String>,
    #[arg(long, hide = true)]
    allow: Vec<String>,
    #[arg(long, hide = true)]
    annotation: Vec<String>,
    #[arg(long, hide = true)]
    attest: Vec<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true)]
    provenance: Option<Option<String>>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true)]
    sbom: Option<Option<String>>,
    #[arg(long, hide = true)]
    builder: Option<String>,
    #[arg(long, hide = true)]
    cgroup_parent: Option<String>,
    #[arg(long, hide = true)]
    no_cache_filter: Vec<String>,
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
        let off = |v: &Option<Option<String>>| match v {
            None => true,
            Some(Some(text)) => matches!(text.as_str(), "false" | "0" | "mode=off"),
            Some(None) => false,
        };
        let table = [
            (
                r.push,
                "--push",
                "there is no registry client yet; `stockade save` writes an archive that others can load",
            ),
            (r.squash, "--squash", "end the Dockerfile with a stage `FROM scratch` and `COPY --from=… / /`"),
            (!r.ssh.is_empty(), "--ssh", "give the key as a secret: `--secret id=key,src=FILE`"),
            (!r.cache_from.is_empty(), "--cache-from", "the local cache is used always"),
            (!r.cache_to.is_empty(), "--cache-to", "the local cache is written always"),
            (!r.allow.is_empty(), "--allow", "steps run confined; `--network host` can be asked for directly"),
            (!r.annotation.is_empty(), "--annotation", "use `--label`"),
            (!r.attest.is_empty(), "--attest", "attestations are not written yet"),
            (!off(&r.provenance), "--provenance", "attestations are not written yet"),
            (!off(&r.sbom), "--sbom", "`stockade scan` lists the packages of an image"),
            (r.builder.is_some(), "--builder", "there is one builder, this program"),
            (r.cgroup_parent.is_some(), "--cgroup-parent", "steps have cgroups of their own"),
            (
                !r.no_cache_filter.is_empty(),
                "--no-cache-filter",
                "use `--no-cache`, with `--target` for a single stage",
            ),
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
        request.labels = pairs("--label", &self.label)?;
        for text in &self.build_context {
            let (name, dir) = pair("--build-context", text)?;
            if dir.contains("://") {
                return Err(Failure::usage(format!("`--build-context {text}`: only directories are supported"))
                    .hint("an image can be named in `COPY --from` directly"));
            }
            request.build_contexts.insert(name, PathBuf::from(dir));
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
            let (id, secret) = secret(text)?;
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
        request.output = output(self.output.as_deref())?;
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

fn pair(flag: &str, text: &str) -> Result<(String, String), Failure> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Failure::usage(format!("`{flag} {text}`: expected KEY=VALUE"))),
    }
}

fn pairs(flag: &str, list: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    list.iter()
        .map(|text| match text.split_once('=') {
            // Docker takes a label without a value as an empty one.
            None if !text.is_empty() => Ok((text.clone(), String::new())),
            _ => pair(flag, text),
        })
        .collect()
}

fn secret(text: &str) -> Result<(String, Secret), Failure> {
    let (mut id, mut file, mut variable, mut kind) = (None, None, None, None);
    for field in text.split(',') {
        let (key, value) = pair("--secret", field)?;
        match key.as_str() {
            "id" => id = Some(value),
            "src" | "source" => file = Some(value),
            "env" => variable = Some(value),
            "type" if matches!(value.as_str(), "file" | "env") => kind = Some(value),
            _ => {
                return Err(Failure::usage(format!("`--secret {text}`: `{field}` is not understood"))
                    .hint("write `id=ID,src=FILE` or `id=ID,env=NAME`"));
            }
        }
    }
    let Some(id) = id.or_else(|| variable.clone()) else {
        return Err(Failure::usage(format!("`--secret {text}`: the id is missing")).hint("write `id=ID,src=FILE`"));
    };
    if kind.as_deref() == Some("env") && variable.is_none() {
        variable = file.take().or_else(|| Some(id.clone()));
    }
    let from_environment = |name: &str| std::env::var(name).map(|v| SecretSource::Value(v.into_bytes()));
    let source = match (file, variable) {
        (Some(file), None) => SecretSource::File(PathBuf::from(file)),
        (None, Some(name)) => from_environment(&name)
            .map_err(|_| Failure::usage(format!("`--secret {text}`: the variable `{name}` is not set")))?,
        (None, None) => from_environment(&id).unwrap_or_else(|_| SecretSource::File(PathBuf::from(&id))),
        (Some(_), Some(_)) => return Err(Failure::usage(format!("`--secret {text}`: give `src` or `env`, not both"))),
    };
    if let SecretSource::File(path) = &source
        && !path.is_file()
    {
        return Err(Failure::usage(format!("`--secret {text}`: there is no file `{}`", path.display())));
    }
    Ok((id, Secret { source }))
}

fn output(text: Option<&str>) -> Result<Output, Failure> {
    let Some(text) = text else { return Ok(Output::Image) };
    if text == "-" {
        return Ok(Output::Tar(PathBuf::from("/dev/stdout")));
    }
    if !text.contains('=') {
        return Ok(Output::Local(PathBuf::from(text)));
    }
    let (mut kind, mut dest) = (None, None);
    for field in text.split(',') {
        let (key, value) = pair("--output", field)?;
        match key.as_str() {
            "type" => kind = Some(value),
            "dest" | "destination" => dest = Some(value),
            "push" if value == "false" => {}
            _ => return Err(Failure::usage(format!("`--output {text}`: `{field}` is not supported"))),
        }
    }
    let dest = dest.map(|d| if d == "-" { PathBuf::from("/dev/stdout") } else { PathBuf::from(d) });
    let needed = |dest: Option<PathBuf>| {
        dest.ok_or_else(|| {
            Failure::usage(format!("`--output {text}`: the destination is missing")).hint("add `,dest=PATH`")
        })
    };
    Ok(match kind.as_deref() {
        Some("image") => Output::Image,
        Some("docker") if dest.is_none() => Output::Image,
        Some("docker") => Output::Docker(needed(dest)?),
        Some("oci") => Output::Oci(needed(dest)?),
        Some("tar") => Output::Tar(needed(dest)?),
        Some("local") => Output::Local(needed(dest)?),
        Some("cacheonly") => Output::CacheOnly,
        Some(other) => {
            return Err(Failure::usage(format!("`--output type={other}` is not supported"))
                .hint("image, docker, oci, tar, local and cacheonly are"));
        }
        None => return Err(Failure::usage(format!("`--output {text}`: the type is missing"))),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_understood() {
        assert_eq!(output(Some("out")).unwrap(), Output::Local("out".into()));
        assert_eq!(output(Some("-")).unwrap(), Output::Tar("/dev/stdout".into()));
        assert_eq!(output(Some("type=oci,dest=x.tar")).unwrap(), Output::Oci("x.tar".into()));
        assert_eq!(output(Some("type=docker")).unwrap(), Output::Image);
        for bad in ["type=oci", "type=registry", "dest=x", "type=tar,dest=x,compression=zstd"] {
            assert!(output(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn secrets_name_one_source() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("s");
        std::fs::write(&file, "x").unwrap();
        let (id, secret) = super::secret(&format!("id=a,src={}", file.display())).unwrap();
        // No `assert_eq!`: a secret's source cannot be printed, on purpose.
        assert!(id == "a" && secret.source == SecretSource::File(file));
        for bad in ["src=x", "id=a,src=/no/such", "id=a,env=NO_SUCH_VARIABLE_HERE", "id=a,color=red", "a"] {
            assert!(super::secret(bad).is_err(), "{bad}");
        }
    }
}
