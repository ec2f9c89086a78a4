# ./amm build --target armhf|aarch64, and the gateway's unit tests under qemu-user; sourced by ./amm.
#
# The target's libraries are Debian's, found by this machine's apt sources, but with lists and an (empty) package database
# below var/cross, and are unpacked there: nothing of a foreign architecture gets installed.

packages_cross='pkg-config gcc-arm-linux-gnueabihf libc6-dev-armhf-cross gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user'
libraries_cross='libssl3 libssl-dev libjansson4 libjansson-dev libmnl0 libmnl-dev libargon2-1 libargon2-dev libsqlite3-0
  libsqlite3-dev libcmocka0 libcmocka-dev'
programs_gateway='src/acemanager/acemanager src/ammer/ammer'
# The folders that the two programs consist of, but for src/io: qemu-user lacks some of the kernel's interfaces.
tests_cross='acemanager|ammer|base|conf|crypto|data|domain|http|ipc|proto'

# cross_apt DIR DEBIAN-ARCHITECTURE APT-GET-ARGUMENT...: works in DIR/packages.
cross_apt() {
  local dir=$PWD/$1 architecture=$2
  shift 2
  mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial" "$dir/packages"
  : >>"$dir/apt/status"
  (cd "$dir/packages" &&
    apt-get -q -o APT::Architecture="$architecture" -o APT::Architectures="$architecture" -o APT::Sandbox::User=root \
      -o Dir::State="$dir/apt" -o Dir::State::status="$dir/apt/status" -o Dir::Cache="$dir/apt/cache" "$@" >>"$dir/apt.log" 2>&1)
}

# cross_root TARGET: the target's libraries in var/cross/TARGET/root, once.
cross_root() {
  local dir=var/cross/$1 architecture package
  case "$1" in
  armhf) architecture=armhf ;;
  aarch64) architecture=arm64 ;;
  *) die "there is no target \"$1\"; there are: armhf aarch64" ;;
  esac
  need $packages_cross
  [ ! -e "$dir/complete" ] || return 0
  say "libraries for $1"
  rm -rf "$dir"
  cross_apt "$dir" "$architecture" update || true # a list that fails does no harm if the packages are in another one
  cross_apt "$dir" "$architecture" download $libraries_cross ||
    { tail -5 "$dir/apt.log" >&2; die "apt-get could not download the libraries for $1 ($dir/apt.log)"; }
  for package in "$dir"/packages/*.deb; do dpkg -x "$package" "$dir/root"; done
  printf "[constants]\nroot = '%s'\n" "$PWD/$dir/root" >"$dir/root.ini"
  touch "$dir/complete"
}

# cross_build TARGET: the gateway's programs, stripped, in build-TARGET/bin.
cross_build() {
  need $packages_build
  cross_root "$1"
  configure "build-$1" --buildtype=release --cross-file "var/cross/$1/root.ini" --cross-file "packaging/cross/$1.ini"
  compile "build-$1" $programs_gateway
  mkdir -p "build-$1/bin"
  local program
  for program in $programs_gateway; do
    "$(sed -n "s/^triple = '\(.*\)'/\1/p" "packaging/cross/$1.ini")-strip" -o "build-$1/bin/${program##*/}" "build-$1/$program"
  done
}

# cross_test TARGET: results in build-TARGET-test/meson-logs/testlog.json.
cross_test() {
  local dir=build-$1-test tests
  cross_root "$1"
  # Tests mix sizes that are the same on the machines they were written on; of the programs cross_build forgives nothing.
  configure "$dir" -Dtests=true -Dwerror=false --buildtype=debugoptimized --cross-file "var/cross/$1/root.ini" --cross-file "packaging/cross/$1.ini"
  mapfile -t tests < <(ninja -C "$dir" -t targets all | sed -nE "s,^(tests/unit/($tests_cross)/test_[a-z0-9_]+): c_LINKER.*,\1,p")
  compile "$dir" "${tests[@]}"
  mapfile -t tests < <(cross_names "$dir")
  meson test -C "$dir" --no-rebuild --print-errorlogs --timeout-multiplier 10 "${tests[@]}"
}

# The names of the tests whose program has been built.
cross_names() {
  meson introspect --tests "$1/meson-info/.." | python3 -c '
import json, os, re, sys
for test in json.load(sys.stdin):
    if any(re.search(r"/tests/unit/(" + sys.argv[1] + r")/test_\w+$", part) and os.path.exists(part) for part in test["cmd"]):
        print(test["name"])' "$tests_cross"
}
