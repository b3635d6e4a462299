//! `linux.resources` as files of both versions of cgroups (`config-linux.md`, "Control groups"; the kernel's cgroup-v1 and
//! cgroup-v2 documents).

use stockade_sandbox::{CgroupSetting, DeviceRule};

use crate::spec::{BlockIo, Cpu, Memory, Resources, Throttle};
use crate::{OciError, Result};

/// One file and what goes into it; `None`: that version has no such setting.
type File = Option<(String, String)>;

/// All settings but the device rules, in an order that a new group takes.
pub fn settings(resources: &Resources) -> Result<Vec<CgroupSetting>> {
    let mut list = List::default();
    if let Some(memory) = &resources.memory {
        list.memory(memory)?;
    }
    if let Some(cpu) = &resources.cpu {
        list.cpu(cpu);
    }
    if let Some(limit) = resources.pids.as_ref().and_then(|p| p.limit) {
        let value = if limit > 0 { limit.to_string() } else { "max".to_owned() };
        list.both("pids.limit", ("pids", "pids"), ("pids.max", &value), ("pids.max", &value));
    }
    if let Some(io) = &resources.block_io {
        list.block_io(io)?;
    }
    for page in resources.hugepage_limits.iter().flatten() {
        let size = &page.page_size;
        if size.is_empty() || !size.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(OciError::config(
                "linux.resources.hugepageLimits",
                format!("`{size}` is not a page size like 2MB"),
            ));
        }
        let limit = page.limit.to_string();
        let (v1, v2) = (format!("hugetlb.{size}.limit_in_bytes"), format!("hugetlb.{size}.max"));
        list.both(&format!("hugepageLimits.{size}"), ("hugetlb", "hugetlb"), (&v1, &limit), (&v2, &limit));
    }
    if let Some(network) = &resources.network {
        if let Some(class) = network.class_id {
            list.old("network.classID", "net_cls", "net_cls.classid", &class.to_string());
        }
        for priority in network.priorities.iter().flatten() {
            let value = format!("{} {}", priority.name, priority.priority);
            list.old("network.priorities", "net_prio", "net_prio.ifpriomap", &value);
        }
    }
    for (device, limits) in &resources.rdma {
        let part = |name: &str, value: Option<u32>| value.map(|v| format!(" {name}={v}")).unwrap_or_default();
        let value =
            format!("{device}{}{}", part("hca_handle", limits.hca_handles), part("hca_object", limits.hca_objects));
        list.both(&format!("rdma.{device}"), ("rdma", "rdma"), ("rdma.max", &value), ("rdma.max", &value));
    }
    for (file, value) in &resources.unified {
        if file.contains('/') || !file.contains('.') {
            return Err(OciError::config(
                "linux.resources.unified",
                format!("`{file}` is not the name of a control file"),
            ));
        }
        let controller = file.split('.').next().unwrap_or_default();
        // cgroup.* belongs to the core.
        let controller = if controller == "cgroup" { "" } else { controller };
        list.push(&format!("unified.{file}"), ("", controller), None, Some((file.clone(), value.clone())));
    }
    Ok(list.0)
}

#[derive(Default)]
struct List(Vec<CgroupSetting>);

impl List {
    fn push(&mut self, name: &str, controllers: (&'static str, &str), v1: File, v2: File) {
        self.0.push(CgroupSetting {
            name: format!("linux.resources.{name}"),
            v1_controller: controllers.0,
            v2_controller: controllers.1.to_owned(),
            v1,
            v2,
        });
    }

    fn both(&mut self, name: &str, controllers: (&'static str, &str), v1: (&str, &str), v2: (&str, &str)) {
        let file = |(file, value): (&str, &str)| Some((file.to_owned(), value.to_owned()));
        self.push(name, controllers, file(v1), file(v2));
    }

    /// A setting that only v1 has.
    fn old(&mut self, name: &str, controller: &'static str, file: &str, value: &str) {
        self.push(name, (controller, controller), Some((file.to_owned(), value.to_owned())), None);
    }

    fn memory(&mut self, memory: &Memory) -> Result<()> {
        const OF: (&str, &str) = ("memory", "memory");
        let limit = |bytes: i64| if bytes < 0 { "max".to_owned() } else { bytes.to_string() };
        if let Some(bytes) = memory.limit.filter(|b| *b != 0) {
            let files = [("memory.limit_in_bytes", bytes.to_string()), ("memory.max", limit(bytes))];
            self.both("memory.limit", OF, (files[0].0, &files[0].1), (files[1].0, &files[1].1));
        }
        if let Some(total) = memory.swap.filter(|b| *b != 0) {
            self.both(
                "memory.swap",
                OF,
                ("memory.memsw.limit_in_bytes", &total.to_string()),
                ("memory.swap.max", &swap_alone(total, memory.limit)?),
            );
        }
        if let Some(bytes) = memory.reservation.filter(|b| *b != 0) {
            self.both(
                "memory.reservation",
                OF,
                ("memory.soft_limit_in_bytes", &bytes.to_string()),
                ("memory.low", &limit(bytes)),
            );
        }
        if let Some(bytes) = memory.kernel.filter(|b| *b != 0) {
            self.old("memory.kernel", "memory", "memory.kmem.limit_in_bytes", &bytes.to_string());
        }
        if let Some(bytes) = memory.kernel_tcp.filter(|b| *b != 0) {
            self.old("memory.kernelTCP", "memory", "memory.kmem.tcp.limit_in_bytes", &bytes.to_string());
        }
        if let Some(swappiness) = memory.swappiness {
            if swappiness > 100 {
                return Err(OciError::config("linux.resources.memory.swappiness", "must be 0 to 100"));
            }
            self.old("memory.swappiness", "memory", "memory.swappiness", &swappiness.to_string());
        }
        if memory.disable_oom_killer == Some(true) {
            self.old("memory.disableOOMKiller", "memory", "memory.oom_control", "1");
        }
        if memory.use_hierarchy == Some(true) {
            // Linux knows nothing else since 5.11: the file takes 1 only.
            self.old("memory.useHierarchy", "memory", "memory.use_hierarchy", "1");
        }
        if memory.check_before_update == Some(true) {
            let why = "the kernel itself decides what happens to a limit below the use; leave it out";
            return Err(OciError::unsupported("linux.resources.memory.checkBeforeUpdate", why));
        }
        Ok(())
    }

    fn cpu(&mut self, cpu: &Cpu) {
        const OF: (&str, &str) = ("cpu", "cpu");
        if let Some(shares) = cpu.shares.filter(|s| *s != 0) {
            self.both(
                "cpu.shares",
                OF,
                ("cpu.shares", &shares.to_string()),
                ("cpu.weight", &weight(shares).to_string()),
            );
        }
        if let Some(idle) = cpu.idle {
            let idle = idle.to_string();
            self.both("cpu.idle", OF, ("cpu.idle", &idle), ("cpu.idle", &idle));
        }
        let (quota, period) = (cpu.quota.filter(|q| *q != 0), cpu.period.filter(|p| *p != 0));
        let quota_v2 = quota.map_or("max".to_owned(), |q| if q < 0 { "max".to_owned() } else { q.to_string() });
        let v2 = |period: Option<u64>| format!("{quota_v2} {}", period.unwrap_or(100_000));
        if let Some(period_us) = period {
            let file = |text: String| ("cpu.max", text);
            let (name, text) = file(v2(period));
            self.both("cpu.period", OF, ("cpu.cfs_period_us", &period_us.to_string()), (name, &text));
        }
        if let Some(quota) = quota {
            self.both("cpu.quota", OF, ("cpu.cfs_quota_us", &quota.to_string()), ("cpu.max", &v2(period)));
        }
        if let Some(burst) = cpu.burst {
            let burst = burst.to_string();
            self.both("cpu.burst", OF, ("cpu.cfs_burst_us", &burst), ("cpu.max.burst", &burst));
        }
        if let Some(period) = cpu.realtime_period.filter(|p| *p != 0) {
            self.old("cpu.realtimePeriod", "cpu", "cpu.rt_period_us", &period.to_string());
        }
        if let Some(runtime) = cpu.realtime_runtime.filter(|r| *r != 0) {
            self.old("cpu.realtimeRuntime", "cpu", "cpu.rt_runtime_us", &runtime.to_string());
        }
        for (name, file, value) in [("cpu.cpus", "cpuset.cpus", &cpu.cpus), ("cpu.mems", "cpuset.mems", &cpu.mems)] {
            if let Some(value) = value.as_deref().filter(|v| !v.is_empty()) {
                self.both(name, ("cpuset", "cpuset"), (file, value), (file, value));
            }
        }
    }

    fn block_io(&mut self, io: &BlockIo) -> Result<()> {
        const OF: (&str, &str) = ("blkio", "io");
        let io_weight = |weight: u16| 1 + (u32::from(weight.clamp(10, 1000)) - 10) * 9999 / 990;
        if let Some(weight) = io.weight.filter(|w| *w != 0) {
            let v2 = io_weight(weight).to_string();
            self.both("blockIO.weight", OF, ("blkio.bfq.weight", &weight.to_string()), ("io.weight", &v2));
        }
        if io.leaf_weight.is_some_and(|w| w != 0) {
            return Err(OciError::unsupported("linux.resources.blockIO.leafWeight", LEAF));
        }
        for device in io.weight_device.iter().flatten() {
            if device.leaf_weight.is_some_and(|w| w != 0) {
                return Err(OciError::unsupported("linux.resources.blockIO.weightDevice.leafWeight", LEAF));
            }
            if let Some(weight) = device.weight.filter(|w| *w != 0) {
                let v1 = format!("{}:{} {weight}", device.major, device.minor);
                let v2 = format!("{}:{} {}", device.major, device.minor, io_weight(weight));
                self.both("blockIO.weightDevice", OF, ("blkio.bfq.weight_device", &v1), ("io.weight", &v2));
            }
        }
        let mut rates = |name: &str, file: &str, key: &str, list: &Option<Vec<Throttle>>| {
            for rate in list.iter().flatten() {
                let device = format!("{}:{}", rate.major, rate.minor);
                let v1 = format!("{device} {}", rate.rate);
                let value = if rate.rate == 0 { "max".to_owned() } else { rate.rate.to_string() };
                self.both(&format!("blockIO.{name}"), OF, (file, &v1), ("io.max", &format!("{device} {key}={value}")));
            }
        };
        rates("throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps", &io.throttle_read_bps_device);
        rates("throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps", &io.throttle_write_bps_device);
        rates("throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops", &io.throttle_read_iops_device);
        rates("throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops", &io.throttle_write_iops_device);
        Ok(())
    }
}

const LEAF: &str = "the kernel has no leaf weights since 5.0; use weight";

/// v2 counts swap alone, the specification memory and swap together.
fn swap_alone(total: i64, limit: Option<i64>) -> Result<String> {
    if total < 0 {
        return Ok("max".to_owned());
    }
    match limit.filter(|l| *l > 0) {
        Some(limit) if total >= limit => Ok((total - limit).to_string()),
        Some(_) => Err(OciError::config("linux.resources.memory.swap", "is below memory.limit, which it includes")),
        None => Err(OciError::config("linux.resources.memory.swap", "needs memory.limit beside it")),
    }
}

/// v1 shares 2..=262144 as v2 weight 1..=10000, linearly, as systemd and the other runtimes do.
fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

/// `devices`, in order.
pub fn device_rules(resources: &Resources) -> Result<Vec<DeviceRule>> {
    let rule = |(at, rule): (usize, &crate::spec::DeviceCgroup)| {
        let what = |field: &str| format!("linux.resources.devices[{at}].{field}");
        let block = match rule.kind.as_deref() {
            None | Some("" | "a") => None,
            Some("b") => Some(true),
            Some("c" | "u") => Some(false),
            Some(other) => return Err(OciError::config(what("type"), format!("`{other}` is none of a, b and c"))),
        };
        let number = |field: &str, value: Option<i64>| match value {
            None | Some(-1) => Ok(None),
            Some(n) => u32::try_from(n)
                .map(Some)
                .map_err(|_| OciError::config(what(field), format!("{n} is no device number"))),
        };
        let access = rule.access.as_deref().filter(|a| !a.is_empty()).unwrap_or("rwm");
        if let Some(bad) = access.chars().find(|c| !matches!(c, 'r' | 'w' | 'm')) {
            return Err(OciError::config(what("access"), format!("`{bad}` is none of r, w and m")));
        }
        // The old controller reads `a` as everything; so does everybody else.
        let (major, minor) = match block {
            None => (None, None),
            Some(_) => (number("major", rule.major)?, number("minor", rule.minor)?),
        };
        Ok(DeviceRule {
            allow: rule.allow,
            block,
            major,
            minor,
            read: access.contains('r'),
            write: access.contains('w'),
            make: access.contains('m'),
        })
    };
    resources.devices.iter().flatten().enumerate().map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Result<Vec<CgroupSetting>> {
        settings(&serde_json::from_str(json).unwrap())
    }

    fn files(json: &str) -> (String, String) {
        let list = of(json).unwrap();
        let text = |pick: fn(&CgroupSetting) -> &File| {
            list.iter().filter_map(|s| pick(s).as_ref()).map(|(f, v)| format!("{f}={v}")).collect::<Vec<_>>().join("; ")
        };
        (text(|s| &s.v1), text(|s| &s.v2))
    }

    #[test]
    fn memory_and_swap_in_both_versions() {
        let (v1, v2) = files(r#"{"memory":{"limit":1000,"swap":3000,"reservation":500,"disableOOMKiller":false}}"#);
        assert_eq!(v1, "memory.limit_in_bytes=1000; memory.memsw.limit_in_bytes=3000; memory.soft_limit_in_bytes=500");
        assert_eq!(v2, "memory.max=1000; memory.swap.max=2000; memory.low=500");
        assert_eq!(files(r#"{"memory":{"limit":-1,"swap":-1}}"#).1, "memory.max=max; memory.swap.max=max");
        assert!(of(r#"{"memory":{"swap":5}}"#).is_err());
    }

    #[test]
    fn processor_time_in_both_versions() {
        let (v1, v2) = files(r#"{"cpu":{"shares":1024,"quota":50000,"period":200000,"cpus":"0-1"}}"#);
        assert_eq!(v1, "cpu.shares=1024; cpu.cfs_period_us=200000; cpu.cfs_quota_us=50000; cpuset.cpus=0-1");
        assert_eq!(v2, "cpu.weight=39; cpu.max=50000 200000; cpu.max=50000 200000; cpuset.cpus=0-1");
    }

    #[test]
    fn the_rest_in_both_versions() {
        let (v1, v2) = files(
            r#"{"pids":{"limit":0},"blockIO":{"weight":500,"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":7}]},
               "hugepageLimits":[{"pageSize":"2MB","limit":9}],"network":{"classID":5},
               "rdma":{"mlx5":{"hcaHandles":3}},"unified":{"memory.high":"1"}}"#,
        );
        assert_eq!(
            v1,
            "pids.max=max; blkio.bfq.weight=500; blkio.throttle.read_bps_device=8:0 7; hugetlb.2MB.limit_in_bytes=9; net_cls.classid=5; rdma.max=mlx5 hca_handle=3"
        );
        assert_eq!(
            v2,
            "pids.max=max; io.weight=4950; io.max=8:0 rbps=7; hugetlb.2MB.max=9; rdma.max=mlx5 hca_handle=3; memory.high=1"
        );
        assert!(of(r#"{"unified":{"../x.y":"1"}}"#).is_err());
        assert!(of(r#"{"blockIO":{"leafWeight":10}}"#).unwrap_err().to_string().contains("leafWeight"));
    }

    #[test]
    fn device_rules_are_read_in_order() {
        let resources = serde_json::from_str(
            r#"{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":10,"minor":-1,"access":"r"}]}"#,
        );
        let rules = device_rules(&resources.unwrap()).unwrap();
        assert!(!rules[0].allow && rules[0].block.is_none());
        assert_eq!((rules[1].major, rules[1].minor, rules[1].read, rules[1].write), (Some(10), None, true, false));
    }
}
