# ./amm run and ./amm stop; sourced by ./amm.
#
# Each virtual gateway stands behind its own carrier-like NAT:
#
#   host 198.18.N.1 ──── [amm-nat-N] masquerade ──── [amm-gw-N] wan0 100.64.N.2
#   tunnel server          198.18.N.2 / 100.64.N.1        lan0 192.168.13.31   tun0 from the tunnel
#
# Everything that runs or was made is written to var/run/ first, so that `./amm stop` can take it back after a kill.

lab=lab
run=var/run
pki=var/pki
gateway_names=(bus-0107 pump-house-12 kiosk-rail-03)
gateway_ports=(1190 1191 1193)
gateway_kinds=(ammer ammer openvpn)

ctl() { build/bin/ammctl --config var/amm.conf "$@"; }

# started NAME PID: remembers a process by pid and start time; a reused pid is never killed.
started() { printf '%s %s\n' "$2" "$(start_time "$2")" >"$run/$1.pid"; }
start_time() { awk '{ sub(/.*\) /, ""); print $20 }' "/proc/$1/stat" 2>/dev/null || true; }

alive() {
  local pid since
  read -r pid since 2>/dev/null <"$1" || return 1
  [ -n "$since" ] && [ "$(start_time "$pid")" = "$since" ]
}

# Ends the processes of var/run (TERM, then KILL after 12 s: the server gives itself 10), namespaces and links.
lab_clean() {
  local file pid name deadline
  [ -d "$run" ] || return 0
  for file in "$run"/*.pid; do
    if [ -e "$file" ] && alive "$file"; then
      read -r pid _ <"$file"
      kill -TERM "$pid" 2>/dev/null || true
    fi
  done
  deadline=$((SECONDS + 12))
  for file in "$run"/*.pid; do
    [ -e "$file" ] || continue
    while alive "$file" && [ $SECONDS -lt $deadline ]; do sleep 0.05; done
    if alive "$file"; then
      read -r pid _ <"$file"
      kill -KILL "$pid" 2>/dev/null || true
    fi
  done
  while read -r name; do
    ip netns del "$name" 2>/dev/null || true
  done < <(cat "$run/namespaces" 2>/dev/null || true)
  while read -r name; do
    ip link del "$name" 2>/dev/null || true
  done < <(cat "$run/links" 2>/dev/null || true)
  rm -rf "$run"
}

lab_stop() {
  if [ -d "$run" ]; then
    [ "$(id -u)" = 0 ] || die "stop takes namespaces back: it needs root (sudo ./amm stop)"
    lab_clean
    say "stopped"
  else
    say "nothing is running here"
  fi
}

namespace_add() {
  echo "$1" >>"$run/namespaces"
  ip netns del "$1" 2>/dev/null || true
  ip netns add "$1"
  ip -n "$1" link set lo up
}

# gateway_add N NAME: the namespaces of virtual gateway N.
gateway_network() {
  local n=$1 nat=amm-nat-$1 gw=amm-gw-$1
  namespace_add "$nat"
  namespace_add "$gw"
  echo "amm-wan$n" >>"$run/links"
  ip link del "amm-wan$n" 2>/dev/null || true
  ip link add "amm-wan$n" type veth peer name up0 netns "$nat"
  ip addr add "198.18.$n.1/24" dev "amm-wan$n"
  ip link set "amm-wan$n" up
  ip -n "$nat" addr add "198.18.$n.2/24" dev up0
  ip -n "$nat" link set up0 up
  ip -n "$nat" route add default via "198.18.$n.1"
  ip -n "$nat" link add down0 type veth peer name wan0 netns "$gw"
  ip -n "$nat" addr add "100.64.$n.1/24" dev down0
  ip -n "$nat" link set down0 up
  ip netns exec "$nat" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
  ip netns exec "$nat" nft -f - <<'NFT'
table ip nat {
  chain post { type nat hook postrouting priority srcnat; policy accept;
    oifname "up0" masquerade random
  }
}
table ip filter {
  chain forward { type filter hook forward priority filter; policy drop;
    iifname "down0" accept
    ct state established,related accept
  }
}
NFT
  ip -n "$gw" addr add "100.64.$n.2/24" dev wan0
  ip -n "$gw" link set wan0 up
  ip -n "$gw" route add default via "100.64.$n.1"
  ip -n "$gw" link add lan0 type veth peer name lan0-plug
  ip -n "$gw" link set lan0-plug up
  ip -n "$gw" addr add 192.168.13.31/24 dev lan0
  ip -n "$gw" link set lan0 up
}

# gateway_start N: page and tunnel client of virtual gateway N (1..3).
gateway_start() {
  local n=$1 name=${gateway_names[$1 - 1]} port=${gateway_ports[$1 - 1]} kind=${gateway_kinds[$1 - 1]}
  local gw=amm-gw-$n dir=var/gateways/$name
  mkdir -p "$dir"
  gateway_network "$n"
  ctl gateway add "$name" --port "$port" >/dev/null
  if [ ! -f "$dir/page.key" ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=$name" \
      -keyout "$dir/page.key" -out "$dir/page.crt" 2>/dev/null
  fi
  ip netns exec "$gw" python3 "$lab/gateway_page.py" --name "$name" --certificate "$dir/page.crt" \
    --key "$dir/page.key" lan0 tun0 >"$dir/page.log" 2>&1 &
  started "page-$n" $!
  [ "$dir/$name.ovpn" -nt "$pki/server.crt" ] || ctl gateway profile "$name" --port "$port" --remote "198.18.$n.1" --output "$dir/$name.ovpn" >/dev/null
  if [ "$kind" = ammer ]; then
    ip netns exec "$gw" build/bin/ammer --ovpn "$dir/$name.ovpn" --tun tun0 --state "$PWD/$run/ammer-$n.sock" \
      >"$dir/tunnel.log" 2>&1 &
  else
    ip netns exec "$gw" openvpn --config "$dir/$name.ovpn" --dev tun0 --suppress-timestamps --verb 3 \
      >"$dir/tunnel.log" 2>&1 &
  fi
  started "tunnel-$n" $!
}

# Says no with words before anything is installed or changed.
lab_possible() {
  [ "$(id -u)" = 0 ] || die "run makes network namespaces and tun devices: it needs root (sudo ./amm run)"
  [ -c /dev/net/tun ] || die "/dev/net/tun is missing: load the tun module, or start the container with --device /dev/net/tun"
  # Bit 12 is CAP_NET_ADMIN, bit 21 CAP_SYS_ADMIN.
  local caps
  caps=$((16#$(awk '/^CapEff/ { print $2 }' /proc/self/status)))
  (((caps >> 12 & 1) && (caps >> 21 & 1))) ||
    die "this root lacks CAP_NET_ADMIN or CAP_SYS_ADMIN (a container?): start it privileged"
}

lab_configuration() {
  [ -d "$pki" ] || build/bin/ammctl pki init --pki "$pki" >/dev/null
  touch var/gateways.conf
  cat >var/amm.conf <<CONF
# Written by ./amm run; change lab/run.sh instead. All settings: build/bin/amm-tunneld --print-config
pki = $PWD/$pki
gateways = $PWD/var/gateways.conf
control-socket = $PWD/$run/tunneld.sock
user = 61190
proxy-user = 61191
CONF
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.1
  done
}

server_answers() { alive "$run/tunneld.pid" && ctl tunnel status; }
server_has_started() { ! alive "$run/tunneld.pid" || ctl tunnel status; }
gateway_is_up() { ctl gateway fetch "$1"; }

lab_start() {
  mkdir -p "$run"
  chmod 711 var "$run"
  lab_configuration
  build/bin/amm-tunneld --config var/amm.conf --check-config || exit 2
  build/bin/amm-tunneld --config var/amm.conf >var/tunneld.log 2>&1 &
  started tunneld $!
  # The server takes its namespace back itself, unless it is killed.
  wait_for 15 server_has_started || true
  server_answers >/dev/null 2>&1 && echo amm >>"$run/namespaces" || { tail -5 var/tunneld.log >&2; die "the tunnel server did not start (var/tunneld.log)"; }
  local n
  for ((n = 1; n <= gateways; n++)); do gateway_start "$n"; done
}

lab_block() {
  cat <<TXT

  amm is running.        Ctrl-C stops all of it.

  Tunnel ports           1190-1193, UDP and TCP, on every address of this machine
  Virtual gateways       $gateways, each behind its own NAT (logs: var/gateways/*/tunnel.log)

  In another terminal:
    ./amm ctl tunnel status
    ./amm ctl gateway fetch ${gateway_names[0]}
    ./amm ctl tunnel kick ${gateway_names[0]}

  Your own router with an OpenVPN client:
    ./amm ctl gateway add my-router
    ./amm ctl gateway profile my-router --remote THIS-MACHINE --output my-router.ovpn
TXT
  [ -z "${SSH_CONNECTION:-}" ] || printf '\n  You came over ssh. What is served on loopback here, from your machine:\n    ssh -L 8080:localhost:8080 -L 8081:localhost:8081 %s\n' "$(hostname)"
  echo
}

# check NAME COMMAND...: one line of ./amm run --check.
check() {
  local name=$1
  shift
  if "$@" >var/check.log 2>&1; then
    printf '  ok      %s\n' "$name"
  else
    printf '  FAILED  %s\n' "$name"
    sed 's/^/          /' var/check.log | tail -5
    failures=$((failures + 1))
  fi
}

pool_of() { case "$1" in 1190) echo 10.4.32.0/19 ;; 1191) echo 10.4.96.0/19 ;; 1192) echo 10.4.160.0/19 ;; 1193) echo 10.4.224.0/19 ;; esac; }

# in_pool NAME PORT: the gateway's inner address lies in the pool of its port and is a /30 client address.
in_pool() {
  ctl tunnel status -o json | python3 -c '
import ipaddress, json, sys
peers = {p["name"]: p for p in json.load(sys.stdin)["peers"]}
address = ipaddress.ip_address(peers[sys.argv[1]]["address"])
sys.exit(not (address in ipaddress.ip_network(sys.argv[2]) and int(address) % 4 == 2 and peers[sys.argv[1]]["port"] == int(sys.argv[3])))
' "$1" "$(pool_of "$2")" "$2"
}

not() { ! "$@"; }
page_from() { ip netns exec "$1" python3 -c '
import ssl, sys, urllib.request
context = ssl._create_unverified_context()
sys.exit(b"ACEmanager" not in urllib.request.urlopen(f"https://{sys.argv[1]}:9443/", timeout=3, context=context).read())' "$2"; }

lab_check() {
  local n name failures=0
  for ((n = 1; n <= gateways; n++)); do
    name=${gateway_names[n - 1]}
    check "$name joined over port ${gateway_ports[n - 1]}; its page opens through the tunnel" wait_for 30 gateway_is_up "$name"
    check "$name has a /30 address of the pool of its port" in_pool "$name" "${gateway_ports[n - 1]}"
    check "$name: page opens on its LAN" page_from "amm-gw-$n" 192.168.13.31
    check "$name: page is closed on its WAN" not page_from "amm-nat-$n" "100.64.$n.2"
  done
  [ "$failures" = 0 ] && say "all checks passed" || say "$failures checks failed; logs are in var/"
  return $((failures > 0))
}

lab_run() {
  local only_check=no
  status=0 gateways=${GATEWAYS:-3} # read by the exit trap, which runs outside of this function
  case "${1:-}" in
  --check) only_check=yes ;;
  '') ;;
  *) die "run takes --check or nothing" ;;
  esac
  [[ "$gateways" =~ ^[0-3]$ ]] || die "GATEWAYS must be 0 to 3"
  lab_possible
  if [ -f "$run/tunneld.pid" ] && alive "$run/tunneld.pid"; then die "already running here: ./amm stop ends it"; fi
  lab_clean
  need $packages_run
  build
  # What fails on the way ends this shell with a code of its own: it must not be lost.
  trap 'code=$?; trap - EXIT INT TERM HUP; lab_clean; exit $((status ? status : code))' EXIT
  trap 'status=130; exit' INT
  trap 'status=143; exit' TERM HUP
  lab_start
  if [ "$only_check" = yes ]; then
    lab_check || status=1
    exit
  fi
  lab_block
  # The server is what this command stands for: when it ends, all of it ends.
  while alive "$run/tunneld.pid"; do
    sleep 1 &
    wait $! || true
  done
  status=1
  die "the tunnel server has ended (var/tunneld.log)"
}
