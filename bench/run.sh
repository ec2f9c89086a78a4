# ./amm bench [GROUP]; sourced by ./amm.
bench_run() {
  [ "$(id -u)" = 0 ] || die "the benches make network namespaces: run as root"
  need $packages_build $packages_run iperf3 procps
  build
  local group=${1:-tunnel}
  [ -f "bench/$group.py" ] ||
    die "there is no bench group \"$group\"; there are: $(cd bench && ls ./*.py | sed 's|./||; s/\.py$//' | grep -v '^_' | tr '\n' ' ')"
  shift || true
  /usr/bin/python3 "bench/$group.py" "$@"
}
