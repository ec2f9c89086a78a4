# ./amm run and ./amm stop; sourced by ./amm.
#
# The server is amm-cad, ammd, amm-tunneld and amm-proxyd, each as a user of its own. Each virtual gateway stands behind its own
# carrier-like NAT:
#
#   host 198.18.N.1 ──── [amm-nat-N] masquerade ──── [amm-gw-N] wan0 100.64.N.2
#   server                 198.18.N.2 / 100.64.N.1        lan0 192.168.13.31   amm0 (tun0) from the tunnel
#
# Two run our software (acemanager, ammer): one has its tunnel from its group's template, with the other one a newcomer
# does it on the gateway's own page. The third is a stock OpenVPN router.
#
# Everything that runs or was made is written to var/run/ first, so that `./amm stop` can take it back after a kill.

lab=lab
run=var/run
pki=var/pki
gateway_names=(bus-0107 pump-house-12 kiosk-rail-03)
gateway_ports=(1190 1191 1193)
gateway_kinds=(amm amm openvpn)
gateway_groups=(buses by-hand routers)
user_engine=61190 user_proxy=61191 user_manager=61192 user_cad=61193

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

# gateway_start N: virtual gateway N (1..3), known to the server and running.
gateway_start() {
  local n=$1 name=${gateway_names[$1 - 1]}
  local dir=var/gateways/$name
  mkdir -p "$dir"
  gateway_network "$n"
  case "${gateway_kinds[n - 1]}" in
  amm) gateway_start_ours "$n" "$name" "$dir" ;;
  openvpn) gateway_start_router "$n" "$name" "$dir" ;;
  esac
}

# Our software: made known once, with the token on its label; it enrols by itself.
gateway_start_ours() {
  local n=$1 name=$2 dir=$3
  if ! ctl gateway show "$name" >/dev/null 2>&1; then
    { # as a label says it: where to go, and the token that is good there
      printf 'https://198.18.%s.1:8443 ' "$n"
      ctl gateway add "$name" --serial "VGW-000$n" --group "${gateway_groups[n - 1]}" --port "${gateway_ports[n - 1]}" |
        tail -n 1
    } >"$dir/label"
    rm -rf "$dir/state"
  fi
  cat >"$dir/acemanager.conf" <<CONF
folder = $PWD/$dir/state
run-folder = $PWD/$run/gateway-$n
state-socket = $PWD/$run/gateway-$n.sock
ammer = $PWD/build/bin/ammer
lan = lan0
model = Virtual
serial = VGW-000$n
modem = $PWD/$lab/modem-$n.json
label = $PWD/$dir/label
set-clock = no
reboot-command = restart
CONF
  ip netns exec "amm-gw-$n" build/bin/acemanager --config "$dir/acemanager.conf" >"$dir/acemanager.log" 2>&1 &
  started "gateway-$n" $!
}

# Another maker's router: a page, and OpenVPN with a connection file.
gateway_start_router() {
  local n=$1 name=$2 dir=$3 gw=amm-gw-$1
  if ! ctl gateway show "$name" >/dev/null 2>&1; then
    ctl gateway add "$name" --kind openvpn --group "${gateway_groups[n - 1]}" --port "${gateway_ports[n - 1]}" >/dev/null
    rm -f "$dir/$name.ovpn"
  fi
  [ -f "$dir/$name.ovpn" ] || ctl gateway profile "$name" --remote "198.18.$n.1" --output "$dir/$name.ovpn" >/dev/null
  if [ ! -f "$dir/page.key" ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=$name" \
      -keyout "$dir/page.key" -out "$dir/page.crt" 2>/dev/null
  fi
  ip netns exec "$gw" python3 "$lab/gateway_page.py" --name "$name" --certificate "$dir/page.crt" \
    --key "$dir/page.key" lan0 tun0 >"$dir/page.log" 2>&1 &
  started "page-$n" $!
  ip netns exec "$gw" openvpn --config "$dir/$name.ovpn" --dev tun0 --suppress-timestamps --verb 3 \
    >"$dir/tunnel.log" 2>&1 &
  started "gateway-$n" $!
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
  [ -f "$pki/remote-access.key" ] || build/bin/ammctl pki upgrade --pki "$pki" >/dev/null
  mkdir -p var/manager
  # ammd writes both, the tunnel server reads them.
  [ -f var/manager/gateways.conf ] || touch var/manager/gateways.conf
  [ -f var/manager/crl.pem ] || cp "$pki/crl.pem" var/manager/crl.pem
  chown -R $user_manager:$user_manager var/manager
  cat >var/amm.conf <<CONF
# Written by ./amm run; change lab/run.sh instead. All settings: build/bin/PROGRAM --print-config
pki = $PWD/$pki
gateways = $PWD/var/manager/gateways.conf
crl = $PWD/var/manager/crl.pem
control-socket = $PWD/$run/tunneld.sock
user = $user_engine
proxy-user = $user_proxy
manager-user = $user_manager

[cad]
user = $user_cad
socket = $PWD/$run/cad.sock
state = $PWD/var/cad

[manager]
user = $user_manager
database = $PWD/var/manager/fleet.db
backups = $PWD/var/manager/backups
socket = $PWD/$run/ammd.sock
console = 127.0.0.1:8080
console-files = $PWD/build/console
metrics = 127.0.0.1:9480

[remote-access]
listen = 127.0.0.1:8081
socket = $PWD/$run/remote.sock
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

# lab_serve NAME PROGRAM QUESTION...: starts one of the server's programs; it is there when QUESTION is answered.
lab_serve() {
  local name=$1 program=$2
  shift 2
  "build/bin/$program" --config var/amm.conf --check-config >var/check.log 2>&1 || { cat var/check.log >&2; exit 2; }
  "build/bin/$program" --config var/amm.conf >"var/$name.log" 2>&1 &
  started "$name" $!
  wait_for 15 answered_or_ended "$name" "$@" || true
  alive "$run/$name.pid" && "$@" >/dev/null 2>&1 ||
    { tail -5 "var/$name.log" >&2; die "$program did not start (var/$name.log)"; }
}
answered_or_ended() { ! alive "$run/$1.pid" || "${@:2}"; }

gateway_is_up() { ctl gateway fetch "$1"; }
cad_listens() { [ -S "$run/cad.sock" ]; }
proxy_listens() { (exec 3<>/dev/tcp/127.0.0.1/8081); }

# The groups of the virtual gateways, once: what is set here later stays as it was set.
lab_fleet() {
  ctl group list | grep -q " ${gateway_groups[0]} " && return 0
  local group
  for group in "${gateway_groups[@]}"; do ctl group add "$group" >/dev/null; done
  ctl gateway set --group "${gateway_groups[0]}" 60001=Enable 60003=60 >/dev/null
  ctl gateway set --group by-hand 60003=60 >/dev/null
}

lab_start() {
  mkdir -p "$run"
  chmod 711 var "$run"
  # Each program makes its socket and then is another user.
  chown $user_manager "$run"
  lab_configuration
  lab_serve cad amm-cad cad_listens
  lab_serve manager ammd ctl tenant list
  lab_serve tunneld amm-tunneld ctl tunnel status
  echo amm >>"$run/namespaces"
  lab_serve proxyd amm-proxyd proxy_listens
  [ "$gateways" = 0 ] || lab_fleet
  local n
  for ((n = 1; n <= gateways; n++)); do gateway_start "$n"; done
}

# The password of the first administrator is printed once in its life; until it is changed we know it.
lab_password() { sed -n '/one-time password/{n;s/^ *//;p;q}' var/manager.log; }

lab_block() {
  local password
  password=$(lab_password)
  password=${password:+one-time password $password (shown this once)}
  password=${password:-with your password (a new one: ./amm ctl user password admin)}
  cat <<TXT

  amm is running.        Ctrl-C stops all of it.

  API                    http://localhost:8080/api/v1, check-ins and enrolment on port 8443
  Pages of gateways      http://SESSION.localhost:8081, opened from the console
  Log in as              admin, $password
  Tunnel ports           1190-1193, UDP and TCP, on every address of this machine
  Virtual gateways       $gateways, each behind its own NAT (logs: var/gateways/*/*.log)

  In another terminal:
    ./amm ctl gateway list
    ./amm ctl gateway show ${gateway_names[0]}
    ./amm ctl gateway fetch ${gateway_names[0]} /login
    ./amm ctl gateway set ${gateway_names[0]} 10034=1191      # moves its tunnel to another port

  Do it yourself: ${gateway_names[1]} has no tunnel yet. On its page, Services > MSCI, enable it, Apply, Reboot:
    ip netns exec amm-gw-2 chromium --no-sandbox https://192.168.13.31:9443   (password: var/gateways/${gateway_names[1]}/state/page-label)

  Your own router with an OpenVPN client:
    ./amm ctl gateway add my-router --kind openvpn
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

# in_pool NAME PORT: the gateway's inner address lies in the pool of its port and is a /30 client address, as the
# tunnel server and the manager say; the stat is there.
in_pool() {
  { ctl tunnel status -o json; ctl gateway show "$1" -o json; } | python3 -c '
import ipaddress, json, sys
text, read = sys.stdin.read(), json.JSONDecoder().raw_decode
status, end = read(text)
gateway, _ = read(text[end:].lstrip())
peer = {p["name"]: p for p in status["peers"]}[sys.argv[1]]
address = ipaddress.ip_address(peer["address"])
assert address in ipaddress.ip_network(sys.argv[2]) and int(address) % 4 == 2 and peer["port"] == int(sys.argv[3]), peer
assert gateway["stats"]["ManagementTunnel-IPAddress"] == peer["address"], gateway["stats"]
' "$1" "$(pool_of "$2")" "$2"
}

# shows NAME EXPRESSION: of the gateway as the manager shows it, in Python (g).
shows() {
  ctl gateway show "$1" -o json | python3 -c 'import json, sys; g = json.load(sys.stdin); sys.exit(not eval(sys.argv[1]))' "$2"
}
reported() {
  ctl gateway parameters "$1" -o json | python3 -c '
import json, sys
found = {str(p["id"]): p.get("reported") for p in json.load(sys.stdin)}
sys.exit(str(found.get(sys.argv[1])) != sys.argv[2])' "$2" "$3"
}
on_page() { ip netns exec "amm-gw-$1" python3 "$lab/acemanager.py" 192.168.13.31 "var/gateways/${gateway_names[$1 - 1]}/state/page-label" "${@:2}"; }
# checked_in_until N COMMAND...: "Check in now" on the page of gateway N, then until COMMAND succeeds.
checked_in_until() {
  on_page "$1" then checkin || return 1
  shift
  wait_for 90 "$@" || { "$@"; return 1; }
}

not() { ! "$@"; }
page_from() { ip netns exec "$1" python3 -c '
import ssl, sys, urllib.request
context = ssl._create_unverified_context()
sys.exit(b"ACEmanager" not in urllib.request.urlopen(f"https://{sys.argv[1]}:9443/", timeout=3, context=context).read())' "$2"; }

check_tunnel() {
  local n=$1 port=$2 name=${gateway_names[$1 - 1]}
  check "$name joined over port $port; its page opens through the tunnel" wait_for 60 gateway_is_up "$name"
  check "$name has a /30 address of the pool of port $port, and the stat says so" wait_for 10 in_pool "$name" "$port"
  check "$name: page opens on its LAN" page_from "amm-gw-$n" 192.168.13.31
  check "$name: page is closed on its WAN" not page_from "amm-nat-$n" "100.64.$n.2"
}

check_ours() {
  local name=${gateway_names[0]} hand=${gateway_names[1]} from=${gateway_ports[0]} to=1191
  check "$name has enrolled and checked in" wait_for 60 shows "$name" 'g["last_checkin"] and not g["late"] and g["access"] == "admitted"'
  check_tunnel 1 "$from"
  check "the server sets 1154 of $name" ctl gateway set "$name" 1154="Bus 107"
  check "... and the gateway has it after its next check-in" checked_in_until 1 reported "$name" 1154 "Bus 107"
  check "a setting of the page reaches the server" on_page 1 1154="Bus 0107" then nothing
  check "... and the server has it" wait_for 30 reported "$name" 1154 "Bus 0107"
  check "10034=$to moves $name" ctl gateway set "$name" 10034=$to
  check "... to the pool of port $to" checked_in_until 1 in_pool "$name" $to
  check "... and back" ctl gateway set "$name" 10034=$from
  check "... to the pool of port $from" checked_in_until 1 in_pool "$name" "$from"
  [ "$gateways" -ge 2 ] || return 0
  check "$hand has enrolled and checked in" wait_for 60 shows "$hand" 'g["last_checkin"]'
  check "$hand has no tunnel: nobody enabled it" shows "$hand" '"ManagementTunnel-IPAddress" not in g["stats"]'
  check "on its page: Enable, port 1192, Apply, Reboot" on_page 2 60001=Enable 10034=1192 then reboot
  check_tunnel 2 1192
  check "on its page: Disable, Apply, Reboot" on_page 2 60001=Disable 10034="${gateway_ports[1]}" then reboot
  check "$hand: the stat is gone" wait_for 30 shows "$hand" '"ManagementTunnel-IPAddress" not in g["stats"]'
}

lab_check() {
  local failures=0
  [ "$gateways" -lt 1 ] || check_ours
  [ "$gateways" -lt 3 ] || check_tunnel 3 "${gateway_ports[2]}"
  check "the server's programs run" alive "$run/cad.pid"
  check "amm-proxyd waits for browsers" proxy_listens
  check "the audit log is whole" ctl audit verify
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
  if [ -f "$run/manager.pid" ] && alive "$run/manager.pid"; then die "already running here: ./amm stop ends it"; fi
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
  local name
  while true; do
    for name in cad manager tunneld proxyd; do
      alive "$run/$name.pid" || { status=1; die "a program of the server has ended (var/$name.log)"; }
    done
    sleep 1 &
    wait $! || true
  done
}
