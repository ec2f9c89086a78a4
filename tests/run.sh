# ./amm test and ./amm fuzz; sourced by ./amm.
#
#   quick   unit, golden, simulation (a sample of seeds) and fuzz smoke under ASan + UBSan; threads under TSan;
#           system tests against real peers in network namespaces (a sample)
#   --all   10 000 seeds, the whole interoperability matrix, mutation of the security checks, unit tests for armhf
# The last line is: N passed, N failed, N skipped

test_run() {
  local all=no
  [ "${1:-}" = --all ] && all=yes
  [ "$(id -u)" = 0 ] || die "the system tests make network namespaces: run as root"
  need $packages_build $packages_run $packages_test
  [ "$all" = no ] || need $packages_test_all
  command -v npm >/dev/null || need nodejs npm # nodejs of another origin brings its own npm
  rm -rf var/test && mkdir -p var/test

  say "build with address and undefined behaviour sanitizers"
  configure build-asan -Dtests=true -Db_sanitize=address,undefined -Db_lundef=false --buildtype=debugoptimized
  compile build-asan
  say "unit, golden, simulation, fuzz smoke"
  meson_suite build-asan asan

  say "build with thread sanitizer"
  configure build-tsan -Dtests=true -Db_sanitize=thread -Db_lundef=false --buildtype=debugoptimized
  compile build-tsan src/tunneld/amm-tunneld
  say "threads"
  meson_suite build-tsan tsan --suite threads

  say "build for use"
  build
  say "system tests: real peers in network namespaces"
  local marker='not slow'
  [ "$all" = yes ] && marker=''
  # They wait more than they work, each in namespaces of its own; the tests of one file share a server.
  local folder # short: paths of unix sockets have an end
  folder=$(mktemp -d /tmp/amm-XXXX)
  chmod 755 "$folder"
  /usr/bin/python3 -m pytest -q -p no:cacheprovider -n 3 --dist loadgroup --basetemp="$folder/t" tests/system -m "$marker" \
    --junitxml=var/test/system.xml || true
  rm -rf "$folder"
  say "browser tests: ACEmanager and the console in Debian's chromium"
  browser_run "$@"

  if [ "$all" = yes ]; then
    say "simulation: 10 000 seeds"
    record simulation-10000 simulate 10000
    say "mutation of the security checks"
    record mutation /usr/bin/python3 tests/mutation/mutate.py
    say "unit tests of what runs on gateways, for armhf under qemu-user"
    armhf_run
  fi
  /usr/bin/python3 tests/summary.py var/test
}

# meson_suite DIR NAME [meson test options]
meson_suite() {
  local dir=$1 name=$2
  shift 2
  meson test -C "$dir" --print-errorlogs --timeout-multiplier 3 "$@" || true
  cp "$dir/meson-logs/testlog.json" "var/test/$name.json"
}

armhf_run() {
  local log=build-armhf-test/meson-logs/testlog.json
  . packaging/cross.sh
  rm -f "$log"
  (cross_test armhf) || true
  if [ -f "$log" ]; then cp "$log" var/test/armhf.json; else record "armhf: the tests could not be built" false; fi
}

# simulate N: seeds 1 to N, a share for each CPU; a seed that fails is named with the command that repeats it.
simulate() {
  local n=$1 shares share pids=() status=0 pid
  shares=$(nproc)
  for ((share = 0; share < shares; share++)); do
    build-asan/tests/sim/sim --seeds "$((n * share / shares + 1))..$((n * (share + 1) / shares))" \
      >"var/test/simulation-$share.log" 2>&1 &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || status=1; done
  tail -n 3 var/test/simulation-*.log
  return $status
}

# browser_run [--all]: playwright-core and axe-core come from the npm registry, by the lock file's checksums.
browser_run() {
  record "console: unit tests" node web/test/run.mjs
  if ! (npm_install tests/browser); then
    record "browser tests: npm ci (var/npm.log)" false
    return
  fi
  node tests/browser/run.mjs build-asan/tests/browser/acemanager-preview var/test/browser.json "$@" || true
}

# record NAME COMMAND...: one more line for the summary.
record() {
  local name=$1 result=OK
  shift
  "$@" || result=FAIL
  printf '{"name": "%s", "result": "%s"}\n' "$name" "$result" >>var/test/record.json
}

fuzz_run() {
  local seconds=${1:-60} target
  need $packages_build $packages_test
  configure build-fuzz -Dtests=true -Dfuzzer=true -Db_sanitize=address,undefined -Db_lundef=false --native-file tests/fuzz/clang.ini
  compile build-fuzz
  for target in build-fuzz/tests/fuzz/fuzz_*; do
    [ -x "$target" ] && [ -f "$target" ] || continue
    local name=${target##*/}
    mkdir -p "var/fuzz/$name"
    say "$name, $seconds s"
    "$target" -max_total_time="$seconds" -print_final_stats=1 -artifact_prefix="var/fuzz/$name-" "var/fuzz/$name" \
      "tests/fuzz/corpus/${name#fuzz_}" >"var/fuzz/$name.log" 2>&1 || { tail -40 "var/fuzz/$name.log"; die "$name found something: var/fuzz"; }
    grep -E 'stat::number_of_executed_units|stat::peak_rss' "var/fuzz/$name.log"
  done
}
