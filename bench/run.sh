# ./amm bench [GROUP [OPTION...]]; sourced by ./amm. Without a group: all, one after the other.
bench_run() {
  [ "$(id -u)" = 0 ] || die "the benches make network namespaces: run as root"
  local groups=(tunnel manager gateway access) group status=0
  if [ $# -gt 0 ]; then
    [ -f "bench/$1.py" ] && [[ "$1" != _* ]] || die "there is no bench group \"$1\"; there are: ${groups[*]}"
    groups=("$1")
    shift
  fi
  need $packages_build $packages_run iperf3 procps binutils
  build
  compile build bench/fleet_fixture bench/checkin_load bench/access_load
  for group in "${groups[@]}"; do
    /usr/bin/python3 "bench/$group.py" "$@" || status=1
  done
  return $status
}
