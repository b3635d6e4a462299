//! How systemd starts dockerd, from the unit's files: what a host that does not run says about the command line.
//! Sources: systemd.unit(5), systemd.service(5).

use std::path::Path;

use crate::host::Host;

/// Where the unit is; the first that exists counts.
const UNITS: [&str; 3] = [
    "/etc/systemd/system/docker.service",
    "/usr/lib/systemd/system/docker.service",
    "/lib/systemd/system/docker.service",
];
/// Directories of drop-ins, the weakest first: of files with the same name the last counts.
const DROP_INS: [&str; 2] = ["/usr/lib/systemd/system/docker.service.d", "/etc/systemd/system/docker.service.d"];

/// The last command of a unit, with continued lines joined.
pub(crate) fn exec_start(unit: &str) -> Option<String> {
    let joined = unit.replace("\\\n", " ");
    let last = joined.lines().filter_map(|l| l.trim().strip_prefix("ExecStart=")).rfind(|c| !c.trim().is_empty())?;
    Some(last.trim().to_owned())
}

/// The unit itself, without its drop-ins.
pub(crate) fn text(host: &Host) -> Option<String> {
    UNITS.iter().find_map(|p| host.read_text(Path::new(p)).ok().flatten())
}

/// Words of the command that starts dockerd: the unit's, unless a drop-in replaces it.
pub(crate) fn arguments(host: &Host) -> Vec<String> {
    let mut files: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();
    for dir in DROP_INS {
        for name in host.names_in(Path::new(dir)).into_iter().filter(|n| n.ends_with(".conf")) {
            files.insert(name.clone(), format!("{dir}/{name}"));
        }
    }
    let texts = files.values().filter_map(|f| host.read_text(Path::new(f)).ok().flatten());
    let command = text(host).into_iter().chain(texts).filter_map(|t| exec_start(&t)).last().unwrap_or_default();
    let words = command.trim_start_matches(['-', '@', ':', '+', '!']).split_whitespace();
    words.map(|w| w.trim_matches(['"', '\'']).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drop_ins_replace_the_units_command() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let of = || arguments(&Host::at(dir.path()).unwrap());
        assert!(of().is_empty());
        write(
            "usr/lib/systemd/system/docker.service",
            "[Service]\nExecStart=-/usr/sbin/dockerd -H fd:// \\\n  --icc=true\n",
        );
        assert_eq!(of(), ["/usr/sbin/dockerd", "-H", "fd://", "--icc=true"]);
        write(
            "etc/systemd/system/docker.service.d/10-a.conf",
            "[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd --debug\n",
        );
        write("etc/systemd/system/docker.service.d/20-b.conf", "[Service]\nLimitNOFILE=1\n");
        write("etc/systemd/system/docker.service.d/30-c.bak", "[Service]\nExecStart=/bin/false\n");
        assert_eq!(of(), ["/usr/sbin/dockerd", "--debug"]);
    }

    #[test]
    fn a_host_image_says_what_its_daemon_would_be_started_with() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("etc/systemd/system")).unwrap();
        let unit = "[Service]\nExecStart=/usr/bin/dockerd --insecure-registry r:5000 --config-file=/etc/d.json\n";
        std::fs::write(dir.path().join("etc/systemd/system/docker.service"), unit).unwrap();
        std::fs::write(dir.path().join("etc/d.json"), "{\"icc\": false}").unwrap();
        let facts = crate::docker::facts::DockerFacts::from_files(&Host::at(dir.path()).unwrap());
        assert_eq!(facts.arguments_of("insecure-registry"), ["r:5000"]);
        assert_eq!(facts.setting("icc", "icc").unwrap().1, "/etc/d.json: icc");
    }
}
