# ./amm build's part of the console, and ./amm screenshots; sourced by ./amm.

# npm_install FOLDER: what its lock file names, by its checksums; nothing if that is there already.
npm_install() {
  local stamp=$1/node_modules/.of-lock
  command -v npm >/dev/null || need nodejs npm # nodejs of another origin brings its own npm
  cmp -s "$1/package-lock.json" "$stamp" && return 0
  npm ci --prefix "$1" --ignore-scripts --no-audit --no-fund >var/npm.log 2>&1 ||
    { tail -5 var/npm.log >&2; die "npm ci in $1 failed (var/npm.log has all of it)"; }
  cp "$1/package-lock.json" "$stamp"
}

# web_hash: of all that the console is made of.
web_hash() { find web/src web/build.mjs web/index.html web/icon.svg web/package-lock.json web/tsconfig.json -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum; }

# Types are checked, then web/dist is made; nothing if it is of these sources already.
web_build() {
  local hash
  hash=$(web_hash)
  if [ ! -f web/dist/index.html ] || [ "$(cat var/web.stamp 2>/dev/null)" != "$hash" ]; then
    npm_install web
    { web/node_modules/.bin/tsc -p web && node web/build.mjs; } >var/web.log 2>&1 || { head -40 var/web.log >&2; die "the console could not be built (var/web.log)"; }
    printf '%s\n' "$hash" >var/web.stamp
  fi
  mkdir -p build
  ln -sfn ../web/dist build/console
}

# web_screenshots [URL]: of the made-up fleet of the tests; with a URL of a running server (AMM_USER and AMM_PASSWORD
# in the environment), of that.
web_screenshots() {
  npm_install tests/browser
  mkdir -p doc/screenshots
  node tests/browser/screenshots.mjs doc/screenshots "$@"
  [ $# -gt 0 ] && return
  # the pages for many gateways: a real ammd with a fleet that the benches' fixture makes
  build
  compile build bench/fleet_fixture
  node tests/browser/screenshots_pages.mjs doc/screenshots
}
