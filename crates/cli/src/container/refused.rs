//! Options of docker's that we know and do not have: each says what to use instead.

use stockade_config::nearest;

/// Name, and what to do instead.
const REFUSED: &[(&str, &str)] = &[
    ("annotation", "use --label"),
    ("blkio-weight", "block devices are not weighed yet; limit --memory and --cpus"),
    ("blkio-weight-device", "block devices are not weighed yet; limit --memory and --cpus"),
    ("cgroup-parent", "every container has a group of its own under `stockade/`"),
    ("cpu-count", "that is Windows'; use --cpus"),
    ("cpu-percent", "that is Windows'; use --cpus"),
    ("cpu-rt-period", "real-time groups are not supported; use --cpus or --cpu-shares"),
    ("cpu-rt-runtime", "real-time groups are not supported; use --cpus or --cpu-shares"),
    ("cpuset-cpus", "use --cpus to limit the share; binding to cores is not there yet"),
    ("cpuset-mems", "binding to memory nodes is not there yet"),
    ("device-cgroup-rule", "name each device with --device"),
    ("device-read-bps", "block devices are not limited yet"),
    ("device-read-iops", "block devices are not limited yet"),
    ("device-write-bps", "block devices are not limited yet"),
    ("device-write-iops", "block devices are not limited yet"),
    ("disable-content-trust", "what an image must prove is set in `stockade.toml`"),
    ("gpus", "give the device nodes with --device, for example --device /dev/dri"),
    ("io-maxbandwidth", "that is Windows'"),
    ("io-maxiops", "that is Windows'"),
    ("ip", "addresses are given out by the bridge; publish a port with -p"),
    ("ip6", "containers have IPv4 addresses only for now"),
    ("kernel-memory", "the kernel dropped it; use --memory"),
    ("link", "share a network with --network container:NAME"),
    ("link-local-ip", "addresses are given out by the bridge"),
    ("mac-address", "hardware addresses are derived from the IP address"),
    ("memory-swappiness", "limit swap with --memory-swap"),
    ("network-alias", "user-defined networks are not there yet; use --add-host"),
    ("net-alias", "user-defined networks are not there yet; use --add-host"),
    ("no-trunc", "run prints whole ids"),
    ("oom-kill-disable", "a container that may not be killed can hang the host; raise --memory instead"),
    ("storage-opt", "the size of the writable layer is not limited yet; use --read-only with --tmpfs PATH:size=…"),
    ("use-api-socket", "a container that talks to the engine is root on the host"),
    ("volume-driver", "only local volumes exist; mount the file system on the host and use -v"),
    ("volumes-from", "name each volume with -v"),
];

/// Words for an option that clap did not know and took for the image.
pub fn explain(option: &str, known: &[&str]) -> String {
    let name = option.trim_start_matches('-').split('=').next().unwrap_or_default();
    if let Some((_, instead)) = REFUSED.iter().find(|(n, _)| *n == name) {
        return format!("--{name} is not supported: {instead}");
    }
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("unknown option `{option}`; did you mean --{near}?"),
        None => format!("unknown option `{option}`; see `stockade run --help`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_what_to_use() {
        assert!(explain("--gpus=all", &[]).contains("--device"));
        assert!(explain("--memroy", &["memory"]).contains("--memory"));
        assert!(explain("--zzz", &["memory"]).contains("--help"));
    }

    #[test]
    fn the_table_is_sorted_and_has_advice() {
        assert!(REFUSED.iter().all(|(_, instead)| !instead.is_empty()));
    }
}
