#!/usr/bin/env bash
# Installs the .deb packages of PACKAGES in a bare Debian of their own, does there what scripts/demo does, and builds a
# project against them. The Debian comes from where this machine has its own.
#   clean_root.sh PACKAGES [ROOT]     ROOT is made anew; it is removed in the end unless it is named
set -euo pipefail
packages=$(realpath "$1") source=$(cd "$(dirname "$0")/../.." && pwd)

skip() { echo "skipped: $1"; exit 77; }
[ "$(id -u)" -eq 0 ] || skip "a root of its own needs the rights of root"
command -v debootstrap >/dev/null || skip "debootstrap is not installed"
. /etc/os-release
[ "${VERSION_CODENAME:-}" = bookworm ] || skip "the packages are for Debian 12"

root=${2:-$(mktemp -d)}
[ -n "${2:-}" ] || trap 'rm -rf --one-file-system "$root"' EXIT
# The first address that apt has for Debian itself.
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | sed 1q)
[ -n "$mirror" ] || skip "apt knows no mirror"

rm -rf --one-file-system "$root"
debootstrap --variant=minbase bookworm "$root" "$mirror" >"$root.log" 2>&1 || { tail -5 "$root.log" >&2; exit 1; }
rm "$root.log"
cp -r /etc/apt/apt.conf.d "$root/etc/apt/"
[ ! -e /etc/ssl/certs/ca-certificates.crt ] || install -D /etc/ssl/certs/ca-certificates.crt \
  "$root/etc/ssl/certs/ca-certificates.crt"
mkdir "$root/packages" && cp "$packages"/*.deb "$root/packages"
inside() { chroot "$root" env -i PATH=/usr/bin:/bin:/usr/sbin:/sbin HOME=/root DEBIAN_FRONTEND=noninteractive \
  DEBCONF_NOWARNINGS=yes "$@"; }
package() { (cd "$root" && printf '/%s' packages/$1_*.deb); }
install_quietly() { inside apt-get install -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends "$@" >/dev/null; }

inside apt-get update -qq
install_quietly "$(package libmaskgrad[0-9]*)" "$(package maskgrad)"
inside sh -e -c '
  cd /root
  maskgrad data arithmetic --out data --shards 2 --samples 1000 --seed 1 >/dev/null
  maskgrad train blog --data data --out run --mask key --epochs 2 --seed 1 >/dev/null
  maskgrad check run >/dev/null
  maskgrad report run >/dev/null && test -s run/report.html
  test "$(maskgrad predict /usr/share/maskgrad/models/arithmetic x=-12,y=24:y-x)" = 36
  maskgrad explain run x=-12,y=24:y-x --out explain.html >/dev/null && test -s explain.html
  GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2,-AVX512F maskgrad --version | grep -q SSE2
  maskgrad --version'
echo "the program does its work"

# The layer and the operation that CONTRIBUTING.md shows, and a run of a program's own.
install_quietly "$(package libmaskgrad-dev)" g++ cmake make libxtensor-dev libxtensor-blas-dev
cp -r "$source/tests" "$source/docs" "$root/root/"
inside cmake -DSOURCE=/root/tests/package -DDOCS=/root/docs -DWORK=/root/work -DPREFIX=/usr -DCOMPILER=g++ \
  "-DGENERATOR=Unix Makefiles" -P /root/tests/package/run.cmake
echo "a project of one's own builds and runs"
