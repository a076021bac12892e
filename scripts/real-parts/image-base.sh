#!/usr/bin/env bash
# Makes what stands in for a registry in `npm run test:real`: a minimal Debian as an archive, of which the test makes a base
# image with Node in it, tagged as the one that gateway/Dockerfile begins from.
#
#   scripts/real-parts/image-base.sh          makes $SALLYPORT_REAL_ROOT/image/base.tar unless it is there
#   scripts/real-parts/image-base.sh --path   prints where it is; fails where it is missing
#
# Needs root, mmdebstrap, podman and runc, takes a quarter of a minute and 180 MB.
set -euo pipefail

root=${SALLYPORT_REAL_ROOT:-${TMPDIR:-/tmp}/sallyport-real}
base=$root/image/base.tar

# The default is below /tmp: an archive that somebody else put there is not run as root.
complete() { [ -O "$root" ] && [ -O "$base" ]; }

if [ "${1:-}" = --path ]; then
  complete || exit 1
  echo "$base"
  exit 0
fi
complete && exit 0
if [ "$(id -u)" -ne 0 ]; then
  echo 'image-base.sh: needs root' >&2
  exit 1
fi
mkdir -p "$root/image"
nice -n 19 mmdebstrap --quiet --variant=minbase --include=ca-certificates,libstdc++6 bookworm "$root/image/part.tar"
mv "$root/image/part.tar" "$base"
