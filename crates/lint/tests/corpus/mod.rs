//! Dockerfiles for comparisons with other linters: the cases of all rules, and files put together from typical and odd
//! instructions by a fixed pseudo-random sequence, so that they are always the same.
use std::fmt::Write as _;

const BASES: &[&str] = &[
    "FROM debian",
    "FROM debian:12",
    "FROM debian:latest",
    "FROM alpine:3.20 AS base",
    "FROM node:20 AS Build",
    "FROM scratch",
    "FROM reg.example:5000/x",
    "FROM a@sha256:0123456789012345678901234567890123456789012345678901234567890123",
    "FROM --platform=linux/amd64 b:1",
    "FROM python:3.12-slim",
    "ARG V=1\nFROM x:$V",
    "FROM base",
];
const STEPS: &[&str] = &[
    "RUN apt-get update && apt-get install -y curl",
    "RUN apt-get update && apt-get install -y --no-install-recommends curl=7.1 && rm -rf /var/lib/apt/lists/*",
    "RUN apt-get install curl",
    "RUN apt-get -qq -y install --no-install-recommends vim=1 git",
    "RUN apt install -y x",
    "RUN apt-get dist-upgrade -y",
    "RUN apt-get update",
    "RUN apt-get -y --no-install-recommends install -t stable x=1",
    "RUN sudo ls",
    "RUN cd /tmp && make",
    "RUN cd /a; ls",
    "RUN service x start",
    "RUN pip install flask",
    "RUN pip install --no-cache-dir flask==1.0",
    "RUN pip3 install -r requirements.txt",
    "RUN python3 -m pip install a b==2",
    "RUN pip install --no-cache-dir .",
    "RUN pip install --upgrade pip",
    "RUN npm install -g express",
    "RUN npm install express@4",
    "RUN npm ci",
    "RUN npm install",
    "RUN npm install git://github.com/a/b.git",
    "RUN gem install bundler",
    "RUN gem install bundler:2.0",
    "RUN gem install bundler -v 2.0",
    "RUN apk add curl",
    "RUN apk add --no-cache curl=1",
    "RUN apk upgrade",
    "RUN apk add --virtual deps gcc=1",
    "RUN apk --no-cache add curl",
    "RUN yum install -y httpd",
    "RUN yum install -y httpd-2.24 && yum clean all",
    "RUN yum install httpd",
    "RUN yum -y update",
    "RUN dnf install -y httpd",
    "RUN dnf install -y httpd-2.4 && dnf clean all",
    "RUN microdnf install x",
    "RUN zypper install httpd",
    "RUN zypper install -y httpd=2 && zypper clean",
    "RUN zypper dup -y",
    "RUN zypper -n in x",
    "RUN wget http://h/x",
    "RUN wget -q http://h/x",
    "RUN wget -O - http://h/x | sh",
    "RUN curl http://h/x",
    "RUN curl -sSL http://h/x | bash",
    "RUN wget --progress=dot:giga http://h/x",
    "RUN wget -nv http://h/x",
    "RUN yarn install",
    "RUN yarn install && yarn cache clean",
    "RUN ln -sf /bin/bash /bin/sh",
    "RUN useradd -u 123456 u",
    "RUN useradd -l -u 123456 u",
    "RUN useradd u",
    "RUN useradd --uid 12345 u",
    "RUN set -o pipefail && a | b",
    "RUN echo a | wc",
    "RUN a || b",
    "RUN echo $(cat x | sort)",
    "RUN if [ -f x ]; then apt-get install y; fi",
    "RUN for i in a b; do pip install $i; done",
    "RUN go install example.com/a@latest",
    "RUN go install example.com/a@v1.0.0",
    "RUN go install ./...",
    "RUN [\"apt-get\", \"install\", \"x\"]",
    "RUN [\"sudo\", \"x\"]",
    "RUN --mount=type=cache,target=/root/.cache/pip pip install x==1",
    "RUN --mount=type=cache,target=/var/cache/apt --mount=type=cache,target=/var/lib/apt apt-get update && apt-get install -y --no-install-recommends x=1",
    "RUN <<EOF\napt-get update\napt-get install x\nEOF",
    "RUN apt-get update \\\n  # comment\n  && apt-get install -y \\\n     curl=1 \\\n     wget",
    "COPY a /b",
    "COPY a b",
    "COPY a b c",
    "COPY a b c/",
    "COPY --from=base /x /y",
    "COPY --from=nope /x /y",
    "COPY --from=0 /x /y",
    "COPY --chown=1:1 a b",
    "COPY x.tar.gz /x/",
    "COPY . .",
    "COPY [\"a\", \"b\", \"/c\"]",
    "ADD a /b",
    "ADD a.tar.gz /b",
    "ADD http://h/x /b",
    "ADD --chown=1 a /b",
    "ADD $X /b",
    "WORKDIR app",
    "WORKDIR /app",
    "WORKDIR $X",
    "WORKDIR \"a b\"",
    "USER root",
    "USER app",
    "USER 0",
    "USER 1000:1000",
    "EXPOSE 80",
    "EXPOSE 80000",
    "EXPOSE 1-70000",
    "EXPOSE $P",
    "EXPOSE 80/tcp 53/udp",
    "ENV A=1",
    "ENV A=1 B=$A",
    "ENV A=1 B=${A}x",
    "ENV a b",
    "ENV PATH=/x:$PATH",
    "ENV PIP_NO_CACHE_DIR=1",
    "ARG X=1",
    "ARG X",
    "LABEL a=b",
    "LABEL UP=b",
    "LABEL com.docker.x=b",
    "LABEL a..b=c",
    "LABEL url=https://example.com/x",
    "LABEL url=nowhere",
    "LABEL created=2024-01-02T03:04:05Z",
    "LABEL created=yesterday",
    "LABEL version=1.2.3",
    "LABEL version=one",
    "LABEL revision=43c572f1272b8b3171dd1db9e41b7027128ce080",
    "LABEL revision=main",
    "LABEL licenses=MIT",
    "LABEL licenses=BSD-3",
    "LABEL author=me@example.com",
    "LABEL author=me",
    "LABEL title=x",
    "LABEL title=",
    "LABEL other=x title=x",
    "COPY --from=base / /",
    "LABEL maintainer=\"me\"",
    "MAINTAINER me",
    "CMD run",
    "CMD [\"run\"]",
    "ENTRYPOINT run it",
    "ENTRYPOINT [\"run\"]",
    "HEALTHCHECK CMD x",
    "HEALTHCHECK NONE",
    "SHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"]",
    "SHELL [\"/bin/sh\", \"-c\"]",
    "VOLUME /x",
    "STOPSIGNAL SIGTERM",
    "ONBUILD RUN sudo x",
    "ONBUILD COPY a b",
    "# hadolint ignore=DL3008,DL3015",
    "# hadolint ignore=DL3004",
    "# a comment",
    "RUN apt-get update && apt-get install -y --no-install-recommends \"x=1\" 'y=2'",
    "RUN pip install 'x>=1'",
    "RUN pip install git+https://h/x",
    "RUN pip install --user x",
    "RUN yum install -y x.rpm",
    "RUN apt-get install -y ./x.deb",
];

/// Shell scripts, one a line. Those in which hadolint finds what we have no rule for are left out.
const SCRIPTS: &str = include_str!("scripts.txt");

struct Sequence(u64);

impl Sequence {
    fn below(&mut self, n: usize) -> usize {
        // Multiplier and increment of Knuth's MMIX generator; only its high bits are used.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % n.max(1)
    }
}

fn pick<'s>(sequence: &mut Sequence, from: &[&'s str]) -> &'s str {
    from.get(sequence.below(from.len())).copied().unwrap_or("")
}

/// A file's name in tables of facts: FNV-1a of its bytes.
pub fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

/// The cases of all rules, then put-together files, up to `count`.
pub fn files(count: usize) -> Vec<String> {
    let mut files: Vec<String> = Vec::new();
    for rule in stockade_lint::all() {
        files.extend(rule.bad.iter().chain(rule.good).map(|s| (*s).to_owned()));
    }
    files.extend(generated(count.saturating_sub(files.len())));
    files.truncate(count);
    files
}

/// Put-together files.
fn generated(count: usize) -> Vec<String> {
    let scripts: Vec<&str> = SCRIPTS.lines().collect();
    let mut sequence = Sequence(42);
    let mut files = Vec::new();
    while files.len() < count {
        let mut text = String::new();
        for _ in 0..=sequence.below(3) {
            let _ = writeln!(text, "{}", pick(&mut sequence, BASES));
            for _ in 0..1 + sequence.below(8) {
                let _ = match sequence.below(6) {
                    0 => writeln!(text, "RUN {}", pick(&mut sequence, &scripts)),
                    1 => {
                        let (first, second) = (pick(&mut sequence, &scripts), pick(&mut sequence, &scripts));
                        writeln!(text, "RUN {first} && \\\n    {second}")
                    }
                    _ => writeln!(text, "{}", pick(&mut sequence, STEPS)),
                };
            }
        }
        files.push(text);
    }
    files
}
