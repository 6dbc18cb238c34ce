# Sourced by the scripts beside it: system packages and the virtual environment .venv.
# shellcheck shell=bash

say() { printf '\n== %s\n' "$*" >&2; }

# need_packages COMMAND=PACKAGE...: installs each Debian package whose command (or, if it begins
# with a slash, file) is missing.
need_packages() {
  local pair missing=()
  for pair in "$@"; do
    case "${pair%%=*}" in
      /*) [ -e "${pair%%=*}" ] || missing+=("${pair#*=}") ;;
      *) command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}") ;;
    esac
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  local root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
      echo "missing: ${missing[*]}. Install them as root, then run this again." >&2
      exit 2
    }
    root=(sudo)
  fi
  command -v apt-get >/dev/null || {
    echo "missing: ${missing[*]} (names as in Debian 12). Install them, then run this again." >&2
    exit 2
  }
  say "installing ${missing[*]}"
  "${root[@]}" apt-get update -qq
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

# make_venv: .venv with python3, reused if it is there and works.
make_venv() {
  if ! .venv/bin/python -c '' 2>/dev/null; then
    # Debian splits venv's ensurepip off into a package of its own.
    python3 -c 'import ensurepip' 2>/dev/null || need_packages /none=python3-venv
    say "making the virtual environment .venv"
    rm -rf .venv
    python3 -m venv .venv
  fi
}

# install WHAT...: with pip, quietly, into .venv.
install() {
  say "installing the package (the first time takes some minutes)"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@"
}
