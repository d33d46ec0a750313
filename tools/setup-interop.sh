#!/usr/bin/env bash
# Installs the programs that the tests talk to. Debian or Ubuntu, as root. Does nothing where they are
# all there already; says nothing unless something goes wrong.
set -euo pipefail

# program : package that brings it
readonly TOOLS=(
  curl:curl
  ethtool:ethtool
  fish:fish
  groff:groff-base
  ip:iproute2
  iperf3:iperf3
  nc:netcat-openbsd
  ping:iputils-ping
  python3:python3
  tcpdump:tcpdump
  tshark:tshark
  zsh:zsh
)

missing=()
for entry in "${TOOLS[@]}"; do
  PATH="$PATH:/usr/sbin:/sbin" command -v "${entry%%:*}" > /dev/null || missing+=("${entry##*:}")
done

if [ "${#missing[@]}" -gt 0 ]; then
  if [ "$(id -u)" -ne 0 ]; then
    echo "setup-interop: ${missing[*]} not installed, and installing needs root" >&2
    echo "hint: sudo npm run setup:interop" >&2
    exit 4
  fi
  if ! command -v apt-get > /dev/null; then
    echo "setup-interop: ${missing[*]} not installed, and this system has no apt-get" >&2
    echo "hint: install them with your package manager" >&2
    exit 4
  fi
  export DEBIAN_FRONTEND=noninteractive
  if command -v debconf-set-selections > /dev/null; then
    # Both packages ask a question at installation: capture as a non-root user, and start the iperf3 daemon.
    printf '%s\n' 'wireshark-common wireshark-common/install-setuid boolean false' \
      'iperf3 iperf3/start_daemon boolean false' | debconf-set-selections
  fi
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  install() {
    apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=120 "${missing[@]}" > "$log" 2>&1
  }
  # The package lists of a fresh container are empty, those of a used one are good enough: update only after a failure.
  if ! install && ! { apt-get update -q -o DPkg::Lock::Timeout=120 > "$log" 2>&1 && install; }; then
    cat "$log" >&2
    echo "setup-interop: could not install ${missing[*]}" >&2
    exit 1
  fi
fi

# A container may have the module without the device node.
if [ ! -e /dev/net/tun ] && [ "$(id -u)" -eq 0 ]; then
  mkdir -p /dev/net
  mknod -m 666 /dev/net/tun c 10 200 || echo 'setup-interop: no /dev/net/tun, and none could be made' >&2
fi
