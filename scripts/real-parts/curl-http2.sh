#!/usr/bin/env bash
# Makes a curl that speaks HTTP/2 to a proxy (`--proxy-http2`), which Debian 12's own is too old for: the one of
# bookworm-backports, unpacked beside the system's and not installed. It runs on the libraries that the system's curl needs.
#
#   scripts/real-parts/curl-http2.sh          makes $SALLYPORT_REAL_ROOT/curl-http2 unless it is there and complete
#   scripts/real-parts/curl-http2.sh --path   prints the program; fails where it is missing or not complete
#
# Needs Debian 12 with curl, not root; takes some seconds and 3 MB. To be rid of it, delete the folder.
set -euo pipefail

packages=(curl libcurl4)
root=${SALLYPORT_REAL_ROOT:-${TMPDIR:-/tmp}/sallyport-real}
tree=$root/curl-http2
# Holds the list above, so that a change of the list makes the tree anew.
stamp=$tree/.sallyport-complete

# The default is below /tmp: a program that somebody else put there is not run.
trusted() {
  local owner
  owner=$(stat -c %u "$1" 2>/dev/null) && { [ "$owner" = 0 ] || [ "$owner" = "$(id -u)" ]; }
}

complete() {
  trusted "$root" && trusted "$tree" && [ "$(cat "$stamp" 2>/dev/null)" = "${packages[*]}" ]
}

if [ "${1:-}" = --path ]; then
  complete || exit 1
  echo "$tree/curl"
  exit 0
fi
complete && exit 0

mkdir -p "$root"
if [ ! -O "$root" ]; then
  echo "curl-http2.sh: $root belongs to somebody else; set SALLYPORT_REAL_ROOT" >&2
  exit 1
fi
exec 9>"$root/lock"
flock 9
complete && exit 0

mirror=$(
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 'Codename: bookworm' |
    sort -u | head -n 1
) || true
keyring=$(dpkg -L debian-archive-keyring | grep '/debian-archive-keyring\.gpg$' | head -n 1) || true
if [ -z "$mirror" ] || [ -z "$keyring" ]; then
  echo 'curl-http2.sh: needs Debian 12 (bookworm) with debian-archive-keyring, and apt-get update run once' >&2
  exit 1
fi

new=$root/curl-http2.new
rm -rf "$new" "$tree"
mkdir -p "$new/apt/lists/partial" "$new/apt/cache/archives/partial" "$new/root"
echo "deb [signed-by=$keyring] $mirror bookworm-backports main" >"$new/apt/sources.list"
# A package list of its own, so that nothing here changes what the machine's apt offers.
apt=(
  apt-get -qq -o "Dir::Etc::sourcelist=$new/apt/sources.list" -o Dir::Etc::sourceparts=none -o APT::Sandbox::User=root
  -o "Dir::State::Lists=$new/apt/lists" -o "Dir::Cache=$new/apt/cache" -o Acquire::Languages=none
)
"${apt[@]}" update
(cd "$new/apt" && "${apt[@]}" download "${packages[@]}")
for package in "$new"/apt/*.deb; do dpkg -x "$package" "$new/root"; done
library=$(cd "$new" && find root -name libcurl.so.4 -printf '%h\n')
cat >"$new/curl" <<END
#!/bin/sh
LD_LIBRARY_PATH='$tree/$library' exec '$tree/root/usr/bin/curl' "\$@"
END
chmod +x "$new/curl"
rm -rf "$new/apt"
mv "$new" "$tree"
if [[ "$("$tree/curl" --disable --help all)" != *--proxy-http2* ]]; then
  echo "curl-http2.sh: $("$tree/curl" --disable --version | head -n 1) has no --proxy-http2" >&2
  exit 1
fi
echo "${packages[*]}" >"$stamp"
