# Shared by install.sh and test.sh: checks and packages. Source it.

need_root() {
  if [ "$(id -u)" -ne 0 ]; then
    echo "error: this script needs root: $1" >&2
    exit 1
  fi
}

# Installs the Debian packages that are missing; says what it does only when there is something to do.
install_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
  done
  [ "${#missing[@]}" -eq 0 ] && return 0
  command -v apt-get >/dev/null || { echo "error: install these yourself: ${missing[*]}" >&2; exit 1; }
  echo "installing packages: ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

need_cargo() {
  command -v cargo >/dev/null || PATH=$HOME/.cargo/bin:$PATH
  if ! command -v cargo >/dev/null; then
    echo "error: cargo is missing: install Rust (stable, 1.95 or newer) with rustup, https://rustup.rs" >&2
    exit 1
  fi
}
