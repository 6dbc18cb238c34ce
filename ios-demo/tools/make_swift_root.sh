#!/usr/bin/env bash
# Makes (once) a Debian trixie root with Swift in a folder, so that Swift
# packages can be built and tested on a bookworm machine by chroot.
#
#   make_swift_root.sh [TARGET [CACHE]]
#
# TARGET: folder of the root (default ~/.cache/qcnn-swift-root); CACHE: folder that
# keeps the downloaded .debs (default TARGET.debs).  Run as root.  Run again,
# it does nothing when the root is complete; after a broken run it starts anew.
# The Debian mirror is the one that this machine's apt uses.
set -euo pipefail

target=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/qcnn-swift-root}
cache=${2:-$target.debs}
suite=trixie
# swiftlang brings clang, lld, SwiftPM, XCTest, Swift Testing, Foundation and
# swift-format; the C++ headers are all that a package with C++ needs besides.
packages=(swiftlang libstdc++-14-dev)
# Parts that building and testing never use (0.9 of 2.6 GB); KEEP_ALL=1 keeps them.
unused="usr/libexec/swift/lib/swift_static usr/libexec/swift/lib/liblldb.so*
        usr/libexec/swift/lib/libsourcekitdInProc.so usr/libexec/swift/lib/libLTO.so*
        usr/libexec/swift/bin/lldb* usr/libexec/swift/bin/clangd
        usr/libexec/swift/bin/sourcekit-lsp usr/libexec/swift/bin/repl_swift"
stamp=$target/.swift-root-complete
want="$suite ${packages[*]} ${KEEP_ALL:-0}"

if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then
    echo "swift root: $target is complete"
    exit 0
fi
[ "$(id -u)" = 0 ] || { echo "swift root: run as root" >&2; exit 1; }

command -v debootstrap >/dev/null || {
    apt-get update -qq
    apt-get install -y -qq debootstrap
}
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
         grep -v -- '-security' | head -n 1)
[ -n "$mirror" ] || { echo "swift root: no Debian mirror in apt's sources" >&2; exit 1; }
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

mkdir -p "$cache"
if [ -d "$target" ]; then
    if grep -q " $(realpath "$target")/" /proc/mounts; then
        echo "swift root: something is still mounted under $target" >&2
        exit 1
    fi
    rm -rf --one-file-system "$target"
fi
cache=$(realpath "$cache")
debootstrap --variant=minbase --keyring="$keyring" --cache-dir="$cache" \
    "$suite" "$target" "$mirror"

# No daemon is started from a package script, and nothing asks questions.
printf '#!/bin/sh\nexit 101\n' >"$target/usr/sbin/policy-rc.d"
chmod 755 "$target/usr/sbin/policy-rc.d"
[ -f "$target/etc/resolv.conf" ] || cp /etc/resolv.conf "$target/etc/resolv.conf"
printf 'path-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\npath-exclude=/usr/share/locale/*\n' \
    >"$target/etc/dpkg/dpkg.cfg.d/small"
# apt settings of this machine (proxy, retries), if it has any, hold inside too
for f in /etc/apt/apt.conf.d/*; do
    if grep -qiE 'proxy|Acquire::(Retries|https?)' "$f"; then
        cp "$f" "$target/etc/apt/apt.conf.d/"
    fi
done

unshare_mount() {            # mounts live in a private namespace: none is left behind
    unshare --mount --propagation private bash -euc '
        root=$1 cache=$2; shift 2
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount --bind "$cache" "$root/var/cache/apt/archives"
        exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
            HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
    ' unshare_mount "$target" "$cache" "$@"
}
mkdir -p "$cache/partial"
unshare_mount apt-get update -qq
unshare_mount apt-get install -y -qq --no-install-recommends \
    -o APT::Keep-Downloaded-Packages=true -o Dpkg::Use-Pty=0 "${packages[@]}"
rm -rf "$target"/var/lib/apt/lists/*
if [ "${KEEP_ALL:-0}" != 1 ]; then
    # shellcheck disable=SC2086  # a list of patterns
    (cd "$target" && shopt -s nullglob && rm -rf -- $unused)
fi
unshare_mount swift --version
echo "$want" >"$stamp"
echo "swift root: $target is complete"
