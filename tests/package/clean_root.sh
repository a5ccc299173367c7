#!/usr/bin/env bash
# Installs the .deb packages of PACKAGES in a bare Debian of their own, does there what scripts/demo does, and builds a
# project against them. The Debian comes from where this machine has its own.
#   clean_root.sh PACKAGES [ROOT]     ROOT is made anew, and kept; without one, all is removed in the end
set -euo pipefail
packages=$(realpath "$1") source=$(cd "$(dirname "$0")/../.." && pwd)

skip() { echo "skipped: $1"; exit 77; }
refuse() { echo "clean_root.sh: $1" >&2; exit 2; }
[ "$(id -u)" -eq 0 ] || skip "a root of its own needs the rights of root"
command -v debootstrap >/dev/null || skip "debootstrap is not installed"
. /etc/os-release
[ "${VERSION_CODENAME:-}" = bookworm ] || skip "the packages are for Debian 12"
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Origin: Debian' 'Codename: bookworm' | sed 1q)
[ -n "$mirror" ] || skip "apt knows no mirror of Debian"

if [ -n "${2:-}" ]; then
  root=$(realpath -m "$2")
  [ ! -e "$root" ] || [ -e "$root/maskgrad_clean_root" ] || refuse "'$root' is there, and was not made by this script"
  rm -rf --one-file-system "$root"
else
  root=$(mktemp -d)
  trap 'rm -rf --one-file-system "$root"' EXIT
fi
mkdir -p "$root" && touch "$root/maskgrad_clean_root"
debootstrap --variant=minbase bookworm "$root" "$mirror" >"$root/debootstrap.txt" 2>&1 ||
  { tail -5 "$root/debootstrap.txt" >&2; exit 1; }
cp -r /etc/apt/apt.conf.d "$root/etc/apt/"
[ ! -e /etc/ssl/certs/ca-certificates.crt ] || install -D /etc/ssl/certs/ca-certificates.crt \
  "$root/etc/ssl/certs/ca-certificates.crt"
mkdir "$root/packages" && cp "$packages"/*.deb "$root/packages"
inside() {
  chroot "$root" env -i PATH=/usr/bin:/bin:/usr/sbin:/sbin HOME=/root DEBIAN_FRONTEND=noninteractive \
    DEBCONF_NOWARNINGS=yes "$@"
}
install_quietly() { inside apt-get install -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends "$@" >/dev/null; }
# The one package of this name, as the root sees it.
package() {
  local found=("$root"/packages/$1_*.deb)
  [ ${#found[@]} -eq 1 ] && [ -e "${found[0]}" ] || refuse "'$packages' holds not one package $1"
  echo "${found[0]#"$root"}"
}

inside apt-get update -qq
library=$(package 'libmaskgrad[0-9]*') program=$(package maskgrad) development=$(package libmaskgrad-dev)
install_quietly "$library" "$program"
inside bash -euo pipefail -c '
  cd /root
  maskgrad data arithmetic --out data --shards 2 --samples 1000 --seed 1
  maskgrad train blog --data data --out run --mask key --epochs 2 --seed 1
  maskgrad check run
  maskgrad report run && test -s run/report.html
  maskgrad explain run x=-12,y=24:y-x --out explain.html && test -s explain.html
  test "$(maskgrad predict /usr/share/maskgrad/models/arithmetic x=-12,y=24:y-x)" = 36' \
  >"$root/program.txt" 2>&1 || { tail -20 "$root/program.txt" >&2; exit 1; }
cp "$source/tests/package/right_level.sh" "$root/root"
for without in -AVX2,-AVX512F -AVX512F ""; do
  inside env GLIBC_TUNABLES="glibc.cpu.hwcaps=$without" /root/right_level.sh maskgrad
done
echo "the program does its work"

# The layer and the operation that CONTRIBUTING.md shows, and a run of a program's own.
install_quietly "$development" g++ cmake make libxtensor-dev libxtensor-blas-dev
cp -r "$source/tests" "$source/docs" "$root/root/"
inside cmake -DSOURCE=/root/tests/package -DDOCS=/root/docs -DWORK=/root/work -DPREFIX=/usr -DCOMPILER=g++ \
  "-DGENERATOR=Unix Makefiles" -P /root/tests/package/run.cmake
echo "a project of one's own builds and runs"
