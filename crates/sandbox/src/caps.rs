//! Capabilities by name and the sets our levels use (capabilities(7), `linux/capability.h`).

use crate::{Capabilities, CapabilitySets, SandboxError};

/// Names by number, without `CAP_`.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

macro_rules! numbers {
    ($($name:ident = $number:expr),* $(,)?) => { $(#[doc = concat!("Number of CAP_", stringify!($name), ".")] pub const $name: u32 = $number;)* };
}
numbers! {
    CHOWN = 0, DAC_OVERRIDE = 1, DAC_READ_SEARCH = 2, FOWNER = 3, FSETID = 4, KILL = 5, SETGID = 6, SETUID = 7,
    SETPCAP = 8, NET_BIND_SERVICE = 10, NET_ADMIN = 12, NET_RAW = 13, IPC_LOCK = 14, SYS_MODULE = 16, SYS_RAWIO = 17,
    SYS_CHROOT = 18, SYS_PTRACE = 19, SYS_PACCT = 20, SYS_ADMIN = 21, SYS_BOOT = 22, SYS_NICE = 23, SYS_RESOURCE = 24,
    SYS_TIME = 25, SYS_TTY_CONFIG = 26, MKNOD = 27, AUDIT_WRITE = 29, SETFCAP = 31, SYSLOG = 34, PERFMON = 38, BPF = 39,
}

const fn set(numbers: &[u32]) -> Capabilities {
    let mut bits = 0;
    let mut i = 0;
    while i < numbers.len() {
        bits |= 1 << numbers[i];
        i += 1;
    }
    Capabilities(bits)
}

/// Docker's default fourteen (moby `oci/caps/defaults.go`): the `compat` level.
pub const DOCKER_DEFAULT: Capabilities = set(&[
    CHOWN,
    DAC_OVERRIDE,
    FSETID,
    FOWNER,
    MKNOD,
    NET_RAW,
    SETGID,
    SETUID,
    SETFCAP,
    SETPCAP,
    NET_BIND_SERVICE,
    SYS_CHROOT,
    KILL,
    AUDIT_WRITE,
]);

/// The `standard` level: what ordinary images need to take files and change user, and only within the container's own
/// user namespace. Ports below 1024 are opened by `net.ipv4.ip_unprivileged_port_start=0` instead of a capability.
pub const STANDARD: Capabilities = set(&[CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID]);

/// Build steps: `STANDARD`, file capabilities (packages such as iputils-ping set them) and chroot (maintainer scripts).
pub const BUILD: Capabilities = Capabilities(STANDARD.0 | set(&[SETFCAP, SYS_CHROOT]).0);

/// All capabilities this version knows: docker's `ALL` and `--privileged`.
pub const ALL: Capabilities = Capabilities((1 << NAMES.len()) - 1);

impl Capabilities {
    /// No capability.
    pub const NONE: Capabilities = Capabilities(0);

    /// The set of these names. Each may have `CAP_` in front, in any case; `ALL` stands for every one.
    /// Errors: [`SandboxError::UnknownCapability`] with the first name nobody knows.
    pub fn from_names<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Result<Self, SandboxError> {
        names.into_iter().try_fold(Self::NONE, |sum, name| Ok(sum.with(Self::parse(name.as_ref())?)))
    }

    /// One name in docker's forms: `NET_ADMIN`, `cap_net_admin`, `ALL`.
    pub fn parse(name: &str) -> Result<Self, SandboxError> {
        let upper = name.trim().to_ascii_uppercase();
        let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if short == "ALL" {
            return Ok(ALL);
        }
        NAMES
            .iter()
            .position(|n| *n == short)
            .map(|number| Self(1 << number))
            .ok_or_else(|| SandboxError::UnknownCapability { name: name.to_owned() })
    }

    /// Names with `CAP_`, by number. Bits without a name are shown as `CAP_<number>`.
    pub fn names(self) -> Vec<String> {
        (0..64u32)
            .filter(|n| self.contains(*n))
            .map(|n| NAMES.get(n as usize).map_or_else(|| format!("CAP_{n}"), |name| format!("CAP_{name}")))
            .collect()
    }

    /// Whether capability `number` is in the set.
    pub const fn contains(self, number: u32) -> bool {
        number < 64 && self.0 & (1 << number) != 0
    }

    /// Union.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Difference.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Docker's rule for `--cap-add` and `--cap-drop` on top of a default set: drops first where `ALL` is dropped, so
    /// that `--cap-drop ALL --cap-add CHOWN` leaves one; otherwise adds, then drops.
    pub fn adjusted<S: AsRef<str>>(self, add: &[S], drop: &[S]) -> Result<Self, SandboxError> {
        let (add, drop) = (Self::from_names(add)?, Self::from_names(drop)?);
        Ok(if drop == ALL {
            add
        } else if add == ALL {
            ALL.without(drop)
        } else {
            self.without(drop).with(add.without(drop))
        })
    }
}

impl CapabilitySets {
    /// The five sets of a container process that may use `set`: bounding, effective and permitted hold it; inheritable
    /// and ambient are empty for root (CVE-2022-24769), and a process of another user starts without effective ones.
    pub fn for_user(set: Capabilities, uid: u32) -> Self {
        let active = if uid == 0 { set } else { Capabilities::NONE };
        Self {
            bounding: set,
            effective: active,
            permitted: active,
            inheritable: Capabilities::NONE,
            ambient: Capabilities::NONE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_forms_parse() {
        let net_admin = Capabilities(1 << NET_ADMIN);
        for form in ["NET_ADMIN", "CAP_NET_ADMIN", "cap_net_admin", " Net_Admin "] {
            assert_eq!(Capabilities::parse(form).unwrap(), net_admin, "{form}");
        }
        assert_eq!(Capabilities::parse("all").unwrap(), ALL);
        assert!(Capabilities::parse("NET_ADMINN").unwrap_err().to_string().contains("NET_ADMINN"));
    }

    #[test]
    fn names_and_parse_are_inverse() {
        for number in 0..NAMES.len() {
            let one = Capabilities(1 << number);
            assert_eq!(Capabilities::from_names(one.names()).unwrap(), one);
        }
        assert_eq!(Capabilities(1 << 50).names(), ["CAP_50"]);
    }

    #[test]
    fn constants_have_the_documented_values() {
        // 00000000a80425fb is what /proc/self/status shows as CapEff in a default docker container.
        assert_eq!(DOCKER_DEFAULT.0, 0xa804_25fb);
        assert_eq!(STANDARD.0, 0xfb & !(1 << DAC_READ_SEARCH));
        assert_eq!(ALL.0, 0x1ff_ffff_ffff);
    }

    #[test]
    fn add_and_drop_follow_docker() {
        let d = DOCKER_DEFAULT;
        assert_eq!(d.adjusted(&["CHOWN"], &["ALL"]).unwrap(), Capabilities(1));
        assert_eq!(d.adjusted(&["ALL"], &["SYS_ADMIN"]).unwrap(), ALL.without(Capabilities(1 << SYS_ADMIN)));
        assert_eq!(d.adjusted::<&str>(&[], &["MKNOD"]).unwrap(), d.without(Capabilities(1 << MKNOD)));
    }
}
