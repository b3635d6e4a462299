//! Which hierarchies this machine has, and which controller is where.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// v1 controllers we make groups for. `freezer` only without a v2 tree, those after `blkio` only on demand.
const USED_V1: [&str; 11] =
    ["memory", "pids", "cpu", "cpuacct", "blkio", "devices", "cpuset", "hugetlb", "net_cls", "net_prio", "rdma"];

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hierarchy {
    /// Controller names; empty for the v2 tree.
    pub(super) controllers: Vec<String>,
    /// Where it is mounted.
    pub(super) top: PathBuf,
    /// Our own group's directory, if it is not the top.
    pub(super) own: Option<PathBuf>,
}

impl Hierarchy {
    /// Directories below which groups may be, in the order of preference.
    pub(super) fn places(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.top.as_path()).chain(self.own.as_deref())
    }

    pub(super) fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|c| c == controller)
    }
}

/// What is mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// The v2 tree.
    pub(super) unified: Option<Hierarchy>,
    /// Controllers available in the v2 tree.
    pub(super) unified_controllers: Vec<String>,
    /// v1 hierarchies that hold a controller we use.
    pub(super) v1: Vec<Hierarchy>,
}

impl Layout {
    /// This machine's, read once: cgroup mounts do not change under a running system.
    pub(super) fn current() -> Arc<Layout> {
        static CURRENT: OnceLock<Arc<Layout>> = OnceLock::new();
        Arc::clone(CURRENT.get_or_init(|| {
            let read = |path| std::fs::read_to_string(path).unwrap_or_default();
            Arc::new(Self::parse(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"), &|dir| {
                std::fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default()
            }))
        }))
    }

    /// This machine's as a process with these memberships (the text of its /proc/PID/cgroup) sees it.
    pub(super) fn of(memberships: &str) -> Layout {
        let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        Self::parse(&mountinfo, memberships, &|dir| {
            std::fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default()
        })
    }

    /// From the texts of /proc/self/mountinfo and /proc/self/cgroup (proc(5), cgroups(7)).
    fn parse(mountinfo: &str, memberships: &str, controllers_of: &dyn Fn(&Path) -> String) -> Self {
        let mut layout = Layout::default();
        for line in mountinfo.lines() {
            let Some(mount) = parse_mount(line) else { continue };
            let names = mount.options.split(',');
            if mount.fstype == "cgroup2" {
                let own = own_group(memberships, |list| list.is_empty(), &mount);
                layout.unified_controllers =
                    controllers_of(&mount.point).split_whitespace().map(str::to_owned).collect();
                layout.unified = Some(Hierarchy { controllers: Vec::new(), top: mount.point, own });
            } else {
                let controllers: Vec<String> = names.filter(|n| known(n)).map(str::to_owned).collect();
                let Some(first) = controllers.first().cloned() else { continue };
                let own = own_group(memberships, |list| list.split(',').any(|c| c == first), &mount);
                layout.v1.push(Hierarchy { controllers, top: mount.point, own });
            }
        }
        let in_v2 = layout.unified_controllers.clone();
        let freezer_needed = layout.unified.is_none();
        layout.v1.retain(|h| {
            USED_V1.iter().any(|c| h.has(c) && !in_v2.iter().any(|v| v == c)) || (freezer_needed && h.has("freezer"))
        });
        layout
    }

    /// All hierarchies in use, the v2 tree first.
    pub(super) fn hierarchies(&self) -> impl Iterator<Item = &Hierarchy> {
        self.unified.iter().chain(&self.v1)
    }

    /// The hierarchy of a controller, and whether it is the v2 tree.
    pub(super) fn controller(&self, name: &str) -> Option<(&Hierarchy, bool)> {
        match &self.unified {
            Some(unified) if self.unified_controllers.iter().any(|c| c == name) => Some((unified, true)),
            _ => self.v1.iter().find(|h| h.has(name)).map(|h| (h, false)),
        }
    }
}

fn known(option: &str) -> bool {
    USED_V1.contains(&option) || option == "freezer"
}

struct MountLine<'a> {
    root: &'a str,
    point: PathBuf,
    fstype: &'a str,
    options: &'a str,
}

fn parse_mount(line: &str) -> Option<MountLine<'_>> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(3);
    let (root, point) = (before.next()?, before.next()?);
    let mut after = after.split(' ');
    let (fstype, _source, options) = (after.next()?, after.next()?, after.next()?);
    fstype.starts_with("cgroup").then(|| MountLine { root, point: PathBuf::from(unescape(point)), fstype, options })
}

/// mountinfo writes space, tab, newline and backslash as octal.
fn unescape(text: &str) -> String {
    ["\\040", "\\011", "\\012", "\\134"]
        .iter()
        .zip([" ", "\t", "\n", "\\"])
        .fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

/// The directory of our own group, from the lines `number:controllers:path` of /proc/self/cgroup. The path is relative
/// to the hierarchy, the mount may show only a part of it.
fn own_group(memberships: &str, wanted: impl Fn(&str) -> bool, mount: &MountLine<'_>) -> Option<PathBuf> {
    let path = memberships.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        wanted(controllers).then_some(path)
    })?;
    let visible = path.strip_prefix(mount.root.trim_end_matches('/'))?.trim_start_matches('/');
    (!visible.is_empty() && !visible.split('/').any(|p| p == "..")).then(|| mount.point.join(visible))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
22 27 0:21 / /proc rw - proc proc rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";

    #[test]
    fn hybrid_uses_v1_controllers_and_the_v2_tree_for_its_core() {
        let own = "4:memory:/process_api/ab\n2:cpu,cpuacct:/\n0::/";
        let layout = Layout::parse(HYBRID, own, &|_| String::new());
        assert_eq!(layout.unified.as_ref().unwrap().top, Path::new("/sys/fs/cgroup/unified"));
        let (memory, v2) = layout.controller("memory").unwrap();
        assert!(!v2);
        assert_eq!(memory.own.as_deref(), Some(Path::new("/sys/fs/cgroup/memory/process_api/ab")));
        assert_eq!(layout.controller("cpu").unwrap().0.top, Path::new("/sys/fs/cgroup/cpu,cpuacct"));
        assert!(layout.controller("pids").is_none());
        assert!(layout.controller("freezer").is_none(), "the v2 tree freezes");
        assert_eq!(layout.v1.len(), 3);
    }

    #[test]
    fn pure_v2_has_every_controller_in_one_tree() {
        let line = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";
        let layout = Layout::parse(line, "0::/user.slice/a b", &|_| "cpu io memory pids".to_owned());
        assert!(layout.v1.is_empty());
        assert!(layout.controller("memory").unwrap().1);
        assert_eq!(layout.unified.unwrap().own.unwrap(), Path::new("/sys/fs/cgroup/user.slice/a b"));
    }

    #[test]
    fn pure_v1_freezes_with_its_own_controller() {
        let v1 = HYBRID.replace("cgroup2", "other");
        let layout = Layout::parse(&v1, "", &|_| String::new());
        assert!(layout.unified.is_none());
        assert!(layout.controller("freezer").is_some());
    }

    #[test]
    fn a_mount_of_a_part_shows_our_group_relative_to_it() {
        let line = "30 23 0:26 /docker/x /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory";
        let layout = Layout::parse(line, "4:memory:/docker/x/y\n", &|_| String::new());
        assert_eq!(layout.v1[0].own.as_deref(), Some(Path::new("/sys/fs/cgroup/memory/y")));
        let outside = Layout::parse(line, "4:memory:/elsewhere\n", &|_| String::new());
        assert_eq!(outside.v1[0].own, None);
    }
}
