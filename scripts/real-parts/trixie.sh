#!/usr/bin/env bash
# Makes what `npm run test:real` has AWS calls judged by: a Debian 13 tree with moto, an emulator of AWS that checks
# signatures, and botocore, AWS's own client library for Python; and PostgreSQL 17, whose psql begins with TLS. Debian 12 has
# no moto and an older PostgreSQL, so the tree is run by chroot.
#
#   scripts/real-parts/trixie.sh          makes $SALLYPORT_REAL_ROOT/trixie unless it is there and complete
#   scripts/real-parts/trixie.sh --path   prints where the tree is; fails where it is missing or not complete
#
# Needs root and mmdebstrap, takes some minutes and 600 MB. On Debian it takes the mirror that apt uses already. Nothing
# is left mounted: to be rid of the tree, delete the folder.
set -euo pipefail

packages=(
  ca-certificates python3-moto python3-botocore
  # Only suggested by python3-moto, and what its server imports.
  python3-flask python3-flask-cors python3-joserfc python3-xmltodict python3-yaml python3-docker
  postgresql-17 postgresql-client-17
)
root=${SALLYPORT_REAL_ROOT:-${TMPDIR:-/tmp}/sallyport-real}
tree=$root/trixie
# Holds the list above, so that a change of the list makes the tree anew.
stamp=$tree/.sallyport-complete

complete() {
  # The default is below /tmp: a tree that somebody else put there is not run as root.
  [ -O "$root" ] && [ -O "$tree" ] && [ "$(cat "$stamp" 2>/dev/null)" = "${packages[*]}" ]
}

if [ "${1:-}" = --path ]; then
  complete || exit 1
  echo "$tree"
  exit 0
fi
complete && exit 0
if [ "$(id -u)" -ne 0 ]; then
  echo 'trixie.sh: needs root' >&2
  exit 1
fi

mkdir -p "$root"
if [ ! -O "$root" ]; then
  echo "trixie.sh: $root belongs to somebody else; set SALLYPORT_REAL_ROOT" >&2
  exit 1
fi
exec 9>"$root/lock"
flock 9
complete && exit 0

new=$root/trixie.new
rm -rf "$new" "$tree"
mirror=()
if [ "$(. /etc/os-release && echo "$ID")" = debian ]; then
  mapfile -t -n 1 mirror < <(
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | sort -u
  )
fi
mmdebstrap --quiet --variant=essential --include="$(IFS=,; echo "${packages[*]}")" \
  --aptopt='APT::Install-Recommends "false"' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt=force-confold \
  `# Tests make databases of their own.` \
  --essential-hook='mkdir -p "$1/etc/postgresql-common"' \
  --essential-hook='echo create_main_cluster = false >"$1/etc/postgresql-common/createcluster.conf"' \
  trixie "$new" "${mirror[@]}" 1>&2
echo "${packages[*]}" >"$new/.sallyport-complete"
mv "$new" "$tree"
