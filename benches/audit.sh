#!/usr/bin/env bash
# `stockade audit docker` beside docker-bench-security on a real dockerd: 20 differently weak containers and five daemon
# configurations, compared id by id, and the time of both.
#   benches/audit.sh [path of the stockade binary] [directory of docker-bench-security]
# Without the peer's directory only our answers and times are shown, and it says so. Differences are explained in
# docs/AUDIT-DIFF.md. Needs root, docker.io, busybox-static and jq. Everything runs in namespaces of its own (mounts, network,
# processes) with /run and /etc covered: nothing is left on the host.
set -euo pipefail
cd "$(dirname "$0")"
stockade=$(command -v "${1:-stockade}") || { echo "error: no stockade binary: build it, and give its path" >&2; exit 1; }
stockade=$(realpath "$stockade")
peer=${2:-}
if [ "${STOCKADE_BENCH_INSIDE:-}" != 1 ]; then
  for program in dockerd docker busybox jq unshare; do
    command -v "$program" >/dev/null || { echo "error: $program is missing: apt-get install it, then run again" >&2; exit 1; }
  done
  [ -z "$peer" ] || peer=$(realpath "$peer")
  work=$(mktemp -d "${TMPDIR:-/tmp}/stockade-bench.XXXXXX")
  trap 'rm -rf --one-file-system "$work"' EXIT
  STOCKADE_BENCH_INSIDE=1 STOCKADE_BENCH_WORK=$work \
    unshare --mount --net --pid --fork --mount-proc --kill-child bash "$PWD/audit.sh" "$stockade" "$peer"
  exit
fi

work=$STOCKADE_BENCH_WORK
mount --make-rprivate /
ip link set lo up
mkdir -p "$work"/{upper,overlay,shared,answers}
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$work/upper,workdir=$work/overlay" /etc
mount -t tmpfs tmpfs /run
mkdir -p /run/lock
mount -t tmpfs tmpfs "$work/shared"
mount --make-rshared "$work/shared"
export STOCKADE_ROOT=$work/stockade STOCKADE_RUN=/run/stockade
unset DOCKER_HOST DOCKER_CONTENT_TRUST

make_image() { # a root of busybox with a Dockerfile's worth of history
  mkdir -p "$work/root"/{bin,etc,tmp,usr/sbin}
  cp "$(command -v busybox)" "$work/root/bin/busybox"
  "$work/root/bin/busybox" --list | grep -vx busybox | while read -r applet; do ln -sf busybox "$work/root/bin/$applet"; done
  printf 'root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n' >"$work/root/etc/passwd"
  printf '#!/bin/sh\nwhile :; do sleep 1000; done\n' >"$work/root/usr/sbin/sshd"
  chmod 755 "$work/root/usr/sbin/sshd"
  tar -C "$work/root" -cf "$work/root.tar" .
}

# start_daemon NAME FLAG…: with what is in /etc/docker/daemon.json
start_daemon() {
  local name=$1 i
  shift
  dockerd --data-root "$work/docker-$name" --exec-root /run/docker -p /run/docker.pid "$@" >"$work/dockerd-$name.log" 2>&1 &
  daemon=$!
  for ((i = 0; i < 150; i++)); do
    docker version >/dev/null 2>&1 && break
    sleep 0.2
  done
  docker version >/dev/null || { tail -20 "$work/dockerd-$name.log" >&2; exit 1; }
  docker import -c 'CMD ["sleep","100000"]' "$work/root.tar" weak >/dev/null
  docker import -c 'USER app' -c 'HEALTHCHECK CMD true' "$work/root.tar" good >/dev/null
}

stop_daemon() {
  local ids
  ids=$(docker ps -aq)
  # shellcheck disable=SC2086 # several ids
  [ -z "$ids" ] || docker rm -f $ids >/dev/null
  kill "$daemon"
  wait "$daemon" 2>/dev/null || true
  rm -rf /etc/docker /etc/audit
}

run() { # run NAME OPTION…: a container that sleeps
  local name=$1
  shift
  docker run -d --name "$name" "$@" weak sleep 100000 >/dev/null || { echo "error: container $name did not start" >&2; exit 1; }
}

# The same where a machine may lack a capability that the container needs: then another one takes its place.
try_run() {
  local name=$1
  shift
  docker run -d --name "$name" "$@" weak sleep 100000 >/dev/null 2>&1 && return
  echo "skipped: a container with $* does not start on this machine"
  docker rm -f "$name" >/dev/null 2>&1 || true
  run "instead-of-$name"
}

# Ours by reference: the worst answer, and the containers that fail or are for a person.
ours() {
  "$stockade" audit docker --format json --all >"$work/answers/$1.ours" || [ $? = 3 ]
  jq -r '[.checks[] | {r: .refs[], result, subject}] | group_by(.r)[] |
    (map(.result)) as $a |
    (if ($a | index("fail")) then "FAIL" elif ($a | index("unknown")) then "UNKNOWN" elif ($a | index("manual")) then "MANUAL"
     elif ($a | index("pass")) then "PASS" else "N/A" end) as $worst |
    (map(select((.subject | startswith("container ")) and (.result == ($worst | ascii_downcase))) | .subject[10:]) | sort | unique | join(" ")) as $who |
    [(.[0].r | sub("^CIS-"; "")), $worst, $who] | @tsv' "$work/answers/$1.ours" | sort >"$work/answers/$1.ours.tsv"
}

theirs() { # The peer's own run: all of the benchmark and its community checks.
  (cd "$peer" && ./docker-bench-security.sh -b -c cis,community -l "$work/answers/$1.theirs") >/dev/null 2>"$work/answers/$1.theirs.err" || true
  jq -r '.tests[].results[] | .id as $id | [$id, .result, ((.items // []) | map(
    if $id == "5.30" then sub("^[^:]*:"; "") else sub(":[^:]*$"; "") end | select(startswith("[") | not)) | sort | unique | join(" "))] | @tsv' \
    "$work/answers/$1.theirs.json" | sort >"$work/answers/$1.theirs.tsv"
}

same=0 different=0
compare() {
  ours "$1"
  [ -n "$peer" ] || { awk -F'\t' -v c="$1" '{n[$2]++} END {printf "%s:", c; for (k in n) printf " %s %d", k, n[k]; print ""}' "$work/answers/$1.ours.tsv"; return; }
  theirs "$1"
  local id verdict who our our_who
  while IFS=$'\t' read -r id verdict who; do
    IFS=$'\t' read -r _ our our_who < <(awk -F'\t' -v id="$id" '$1 "" == id ""' "$work/answers/$1.ours.tsv") || true
    case "$verdict-${our:-none}" in
      PASS-PASS | PASS-N/A | WARN-FAIL | INFO-MANUAL | NOTE-MANUAL | INFO-N/A) agree=1 ;;
      *) agree= ;;
    esac
    # Which containers it is about, where both fail.
    case $verdict-$our in WARN-FAIL | INFO-MANUAL) ;; *) who='' ;; esac
    if [ -n "$agree" ] && [[ $id == 5.* || $id == C.* || $id == 4.1 ]] && [ -n "$who" ] && [ "$who" != "$our_who" ]; then agree=; fi
    if [ -n "$agree" ]; then same=$((same + 1)); else
      different=$((different + 1))
      printf '%-9s %-8s peer %-5s ours %-8s peer: %s | ours: %s\n' "$1" "$id" "$verdict" "${our:-none}" "${who:--}" "${our_who:--}"
    fi
  done <"$work/answers/$1.theirs.tsv"
}

# Seconds of the fastest of N runs.
best_of() {
  local n=$1 i best='' t
  shift
  for ((i = 0; i < n; i++)); do
    t=$({ TIMEFORMAT=%R; time "$@" >/dev/null 2>&1 || true; } 2>&1)
    if [ -z "$best" ] || awk "BEGIN{exit !($t < $best)}"; then best=$t; fi
  done
  printf '%s' "$best"
}

make_image
rm -rf /etc/docker /etc/audit

# 1: no configuration, 20 containers.
start_daemon plain -H unix:///run/docker.sock
docker network create own >/dev/null
run plain
try_run privileged --privileged
run caps --cap-add SYS_ADMIN --cap-add NET_ADMIN
try_run all-caps --cap-add ALL --cap-drop SYS_RESOURCE
run usual-caps --cap-add chown --cap-add CAP_KILL
run host-dirs -v /etc:/host-etc -v /usr:/host-usr:ro
run socket -v /run/docker.sock:/docker.sock:ro
run host-spaces --net host --pid host --ipc host --uts host
run ports -p 80:80 -p 8080:81 -p 127.0.0.1:9000:82 -p 1024:83
run hardened --memory 64m --cpu-shares 512 --pids-limit 50 --read-only --user 1000 --security-opt no-new-privileges \
  --health-cmd true --ulimit nofile=100:100 --restart on-failure:5 --network own
run no-filters --security-opt seccomp=unconfined --security-opt apparmor=unconfined
run always --restart always
run nine-times --restart on-failure:9
run cgroup --cgroup-parent /weak
run shared -v "$work/shared:/shared:rshared"
run userns --userns host
run device --device /dev/null:/dev/mine
run cpus --cpus 0.5 --pids-limit -1
run gains --security-opt no-new-privileges:false
docker run -d --name sshd -v data:/boot weak /usr/sbin/sshd >/dev/null
compare plain
printf 'containers: %s\n' "$(docker ps -q | wc -l)"
ours_seconds=$(best_of 10 "$stockade" audit docker)
printf 'time with 20 containers: stockade %s s (target 0.1 s)\n' "$ours_seconds"
if [ -n "$peer" ]; then
  printf 'time with 20 containers: peer     %s s\n' "$(best_of 1 bash -c 'cd "$1" && ./docker-bench-security.sh -b -c cis,community -l "$2"' peer "$peer" "$work/answers/time")"
fi
stop_daemon

# 2: a weak file, with weak modes.
mkdir -p /etc/docker/certs.d/r /etc/default
cat >/etc/docker/daemon.json <<'JSON'
{
  "hosts": ["unix:///run/docker.sock", "tcp://127.0.0.1:2375"],
  "log-level": "debug",
  "icc": true,
  "iptables": false,
  "insecure-registries": ["r:5000"],
  "cgroup-parent": "/weak2",
  "userland-proxy": true
}
JSON
echo x >/etc/docker/certs.d/r/ca.crt
echo '# x' >/etc/default/docker
chmod 666 /etc/docker/daemon.json /etc/default/docker
chown 1000 /etc/docker/daemon.json
chmod 777 /etc/docker
start_daemon weak
run one
run two --user root
compare weak
stop_daemon

# 3: a hardened file.
mkdir -p /etc/docker /etc/audit
cat >/etc/docker/daemon.json <<'JSON'
{
  "icc": false,
  "log-level": "info",
  "live-restore": true,
  "userland-proxy": false,
  "no-new-privileges": true,
  "log-driver": "local",
  "default-ulimits": { "nofile": { "Name": "nofile", "Soft": 1024, "Hard": 4096 } }
}
JSON
printf -- '-w /usr/bin/containerd -k docker\n-w /etc/docker -k docker\n# -w /usr/sbin/runc -k docker\n' >/etc/audit/audit.rules
start_daemon hard -H unix:///run/docker.sock
run one
run two --security-opt no-new-privileges
compare hardened
stop_daemon

# 4: the command line.
start_daemon flags -H unix:///run/docker.sock -H tcp://127.0.0.1:2376 --icc=false --log-level=warn --insecure-registry r2:5000 \
  --no-new-privileges --userland-proxy=false --live-restore --default-ulimit nofile=100:200 --log-driver=local
run one
compare flags
stop_daemon

# 5: a swarm.
start_daemon swarm -H unix:///run/docker.sock --log-level info
docker swarm init --advertise-addr 127.0.0.1 >/dev/null
docker network create -d overlay plain-overlay >/dev/null
docker network create -d overlay --opt encrypted secret-overlay >/dev/null
run one
compare swarm
docker swarm leave --force >/dev/null
stop_daemon

if [ -n "$peer" ]; then
  printf '%d answers agree, %d differ (docs/AUDIT-DIFF.md)\n' "$same" "$different"
else
  echo "the peer was not given: nothing is compared"
fi
