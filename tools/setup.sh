# Sourced by the scripts beside it: system packages and the virtual environment .venv.
# shellcheck shell=bash

say() { printf '\n== %s\n' "$*" >&2; }

# need COMMAND=PACKAGE...: installs each Debian package whose command (or, if it begins with a
# slash, file) is missing.
need() {
  local pair missing=()
  for pair in "$@"; do
    case "${pair%%=*}" in
      /*) [ -e "${pair%%=*}" ] || missing+=("${pair#*=}") ;;
      *) command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}") ;;
    esac
  done
  [ ${#missing[@]} -eq 0 ] || apt_install "${missing[@]}"
}

apt_install() {
  local root=()
  if [ "$(id -u)" -ne 0 ]; then root=(sudo); fi
  if ! command -v apt-get >/dev/null || ! command -v "${root[0]:-apt-get}" >/dev/null; then
    echo "missing: $* (names as in Debian 12). Install them, then run this again." >&2
    exit 2
  fi
  say "installing $*"
  "${root[@]}" apt-get update -qq
  # Without apt-utils, which the smallest Debian has not, debconf would warn of something that changes nothing.
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes \
    apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# make_venv: .venv with python3, reused if it is there and works.
make_venv() {
  if .venv/bin/python -c 'import pip' 2>/dev/null; then return; fi
  # Debian keeps what venv needs in a package of its own.
  python3 -c 'import ensurepip' 2>/dev/null || apt_install python3-venv
  say "making the virtual environment .venv"
  rm -rf .venv
  python3 -m venv .venv
}

# install WHAT...: with pip, quietly, into .venv.
install() {
  say "installing the package (the first time takes some minutes)"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@"
}

# tflite_c: prints the path of the oldest TensorFlow Lite C library that we support, for tests through
# a real runtime; nothing where it cannot be fetched.
tflite_c() {
  local package=tfjs-tflite-node@0.0.2 folder
  case "$(uname -m)" in
    x86_64) folder=linux_amd64 ;;
    aarch64) folder=linux_arm64 ;;
    *) folder=unknown ;;
  esac
  mkdir -p .cache
  local library="$PWD/.cache/package/cc_deps/$folder/libtensorflowlite_c.so"
  if [ ! -e "$library" ]; then
    say "fetching $package (libtensorflowlite_c.so)"
    if (need npm=npm && cd .cache && npm pack --silent "$package" >/dev/null); then
      tar -xzf .cache/tfjs-tflite-node-*.tgz -C .cache
    else
      echo "could not be fetched: what needs it is skipped" >&2
    fi
  fi
  if [ -e "$library" ]; then echo "$library"; fi
}
