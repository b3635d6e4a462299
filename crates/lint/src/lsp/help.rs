//! What each instruction and each of its flags is for. Source: the Dockerfile reference (docs.docker.com).

/// An instruction.
pub(super) struct Help {
    pub(super) name: &'static str,
    pub(super) form: &'static str,
    pub(super) text: &'static str,
    /// Flags without dashes; those that end with `=` take a value.
    pub(super) flags: &'static [(&'static str, &'static str)],
}

const OWNER: (&str, &str) = ("chown=", "Owner of what is copied: `USER[:GROUP]`, names or numbers.");
const MODE: (&str, &str) = ("chmod=", "Permissions of what is copied, octal (`0644`) or symbolic (`u=rwX,go=rX`).");
const LINK: (&str, &str) = ("link", "Copy into a layer of its own that does not depend on what is below it.");
const EXCLUDE: (&str, &str) = ("exclude=", "Leave out files that match a pattern; may be repeated.");

/// All instructions, in the order of the alphabet.
pub(super) const INSTRUCTIONS: &[Help] = &[
    Help {
        name: "ADD",
        form: "ADD [--chown=…] [--checksum=…] SOURCE… DESTINATION",
        text: "Copies files of the context, fetches URLs, and unpacks local archives. For plain files, `COPY` says what it does.",
        flags: &[
            ("keep-git-dir", "Keep `.git` of a Git repository that is added."),
            ("checksum=", "Digest that a fetched file must have: `sha256:…`."),
            OWNER,
            MODE,
            LINK,
            ("unpack", "Unpack fetched archives too; `--unpack=false` leaves local ones packed."),
            EXCLUDE,
        ],
    },
    Help {
        name: "ARG",
        form: "ARG NAME[=DEFAULT]…",
        text: "Declares a variable of the build that `--build-arg` sets. It is not in the image's environment, but its value is in the image's history: no place for a secret.",
        flags: &[],
    },
    Help {
        name: "CMD",
        form: "CMD [\"PROGRAM\", \"ARGUMENT\", …]",
        text: "What a container runs unless it is told otherwise; behind an `ENTRYPOINT`, its arguments. The last one counts. The JSON form runs the program itself, so that it gets signals.",
        flags: &[],
    },
    Help {
        name: "COPY",
        form: "COPY [--from=…] [--chown=…] SOURCE… DESTINATION",
        text: "Copies files of the context, or of another stage or image, into the image.",
        flags: &[
            ("from=", "Stage, image or named build context to copy from, instead of the context."),
            OWNER,
            MODE,
            LINK,
            ("parents", "Keep the directories above the sources."),
            EXCLUDE,
        ],
    },
    Help {
        name: "ENTRYPOINT",
        form: "ENTRYPOINT [\"PROGRAM\", \"ARGUMENT\", …]",
        text: "The program of a container; what is behind the image's name on the command line, or `CMD`, are its arguments.",
        flags: &[],
    },
    Help {
        name: "ENV",
        form: "ENV NAME=VALUE…",
        text: "Sets variables for the following steps and for containers. Everyone who has the image can read them.",
        flags: &[],
    },
    Help {
        name: "EXPOSE",
        form: "EXPOSE PORT[/tcp|/udp]…",
        text: "Says on which ports the program listens. It publishes nothing: `run -p` does.",
        flags: &[],
    },
    Help {
        name: "FROM",
        form: "FROM [--platform=…] IMAGE[:TAG|@DIGEST] [AS NAME]",
        text: "Begins a stage on an image, on an earlier stage, or on nothing (`scratch`).",
        flags: &[("platform=", "Platform of the image: `linux/arm64`, `$BUILDPLATFORM` or `$TARGETPLATFORM`.")],
    },
    Help {
        name: "HEALTHCHECK",
        form: "HEALTHCHECK [FLAGS] CMD COMMAND | HEALTHCHECK NONE",
        text: "How to find out whether a container still works: exit code 0 is healthy, 1 is not.",
        flags: &[
            ("interval=", "Time between checks; 30s unless given."),
            ("timeout=", "How long a check may take; 30s unless given."),
            ("start-period=", "Time to start, in which failures do not count; 0s unless given."),
            ("start-interval=", "Time between checks in the start period; 5s unless given."),
            ("retries=", "Failures one after another that make a container unhealthy; 3 unless given."),
        ],
    },
    Help {
        name: "LABEL",
        form: "LABEL NAME=VALUE…",
        text: "Facts about the image, such as `org.opencontainers.image.source`.",
        flags: &[],
    },
    Help {
        name: "MAINTAINER",
        form: "MAINTAINER NAME",
        text: "Deprecated: `LABEL org.opencontainers.image.authors=…` says the same.",
        flags: &[],
    },
    Help {
        name: "ONBUILD",
        form: "ONBUILD INSTRUCTION",
        text: "An instruction that runs right after the `FROM` of builds on this image.",
        flags: &[],
    },
    Help {
        name: "RUN",
        form: "RUN [--mount=…] COMMAND | RUN [\"PROGRAM\", …] | RUN <<EOF",
        text: "Runs a command and keeps what it changed as a layer.",
        flags: &[
            ("mount=", "Mount a cache, a secret, an SSH agent, a tmpfs or a directory for this step only."),
            ("network=", "`default`, `none` or `host`."),
            ("security=", "`sandbox` or `insecure`."),
            ("device=", "A device (CDI name) for this step."),
        ],
    },
    Help {
        name: "SHELL",
        form: "SHELL [\"PROGRAM\", \"ARGUMENT\", …]",
        text: "The shell of the commands that follow in shell form: `[\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"]`.",
        flags: &[],
    },
    Help {
        name: "STOPSIGNAL",
        form: "STOPSIGNAL SIGNAL",
        text: "Signal that asks a container to end; SIGTERM unless given.",
        flags: &[],
    },
    Help {
        name: "USER",
        form: "USER USER[:GROUP]",
        text: "User of the following steps and of containers. Without it that is root.",
        flags: &[],
    },
    Help {
        name: "VOLUME",
        form: "VOLUME [\"PATH\", …]",
        text: "Directories whose content is kept outside the container. What later steps write there is lost.",
        flags: &[],
    },
    Help {
        name: "WORKDIR",
        form: "WORKDIR PATH",
        text: "Working directory of the following steps and of containers; it is made where it does not exist.",
        flags: &[],
    },
];

/// An instruction by name, in any case.
pub(super) fn find(name: &str) -> Option<&'static Help> {
    INSTRUCTIONS.iter().find(|h| h.name.eq_ignore_ascii_case(name))
}

/// Values that flags take: instruction, flag, values.
pub(super) const VALUES: &[(&str, &str, &[&str])] = &[
    (
        "RUN",
        "mount=",
        &["type=cache,target=", "type=secret,id=", "type=ssh", "type=tmpfs,target=", "type=bind,source="],
    ),
    ("RUN", "network=", &["default", "none", "host"]),
    ("RUN", "security=", &["sandbox", "insecure"]),
    ("FROM", "platform=", &["$BUILDPLATFORM", "$TARGETPLATFORM", "linux/amd64", "linux/arm64"]),
];

/// First words that instructions take besides what only their author knows.
pub(super) const WORDS: &[(&str, &[&str])] = &[
    ("HEALTHCHECK", &["CMD", "NONE"]),
    ("STOPSIGNAL", &["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGKILL", "SIGWINCH"]),
];
