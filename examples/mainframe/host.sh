#!/bin/sh
# Plays the mainframe's SFTP server: OpenSSH on 127.0.0.1, run by whoever runs this, with keys of its own.
#
#   sh host.sh start     makes keys and folders in host/ where there are none, and starts the server
#   sh host.sh stop      stops it
#   sh host.sh tables    makes host/tables, by which READWIC reads the code page of the files
set -eu
cd "$(dirname "$0")"
port=8803
sshd="$(command -v sshd || echo /usr/sbin/sshd)"

keys() {
  mkdir -p host/incoming host/outgoing
  [ -f host/host_key ] || ssh-keygen -q -t ed25519 -N '' -C host -f host/host_key
  [ -f host/client_key ] || ssh-keygen -q -t ed25519 -N '' -C OF042 -f host/client_key
  chmod 600 host/host_key host/client_key
  cp host/client_key.pub host/authorized_keys
  printf '[127.0.0.1]:%s %s\n' "$port" "$(cut -d' ' -f1,2 host/host_key.pub)" > host/known_hosts
  cat > host/sshd_config <<CONFIG
Port $port
ListenAddress 127.0.0.1
HostKey "$PWD/host/host_key"
PidFile "$PWD/host/sshd.pid"
AuthorizedKeysFile "$PWD/host/authorized_keys"
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
Subsystem sftp internal-sftp -d "$PWD/host"
CONFIG
}

case "${1:-}" in
  start)
    keys
    # As root, and only then, OpenSSH wants this folder.
    [ "$(id -u)" != 0 ] || mkdir -p /run/sshd
    # It begins anew for each connection, in the root folder.
    "$sshd" -f "$PWD/host/sshd_config" -E "$PWD/host/sshd.log"
    # It says that it is there by its pid file.
    n=0
    until [ -s host/sshd.pid ] || [ "$n" = 100 ]; do n=$((n + 1)); sleep 0.1; done
    [ -s host/sshd.pid ] || { cat host/sshd.log >&2; exit 1; }
    echo "listening on 127.0.0.1:$port"
    ;;
  stop)
    kill "$(cat host/sshd.pid)"
    ;;
  tables)
    mkdir -p host
    # All bytes, and behind them what they are in Latin 1.
    n=0
    while [ "$n" -lt 256 ]; do
      # shellcheck disable=SC2059
      printf "\\$(printf %03o "$n")"
      n=$((n + 1))
    done > host/bytes
    iconv -f CP037 -t LATIN1 host/bytes > host/latin
    cat host/bytes host/latin > host/tables
    rm host/bytes host/latin
    ;;
  *)
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
