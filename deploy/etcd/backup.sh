#!/bin/sh
# A backup of etcd into a directory, looked at before it counts, and the oldest ones taken away:
#
#   backup.sh DIRECTORY ROOT_PASSWORD_FILE [HOW_MANY]
#
# detour-etcd-backup.timer runs it every hour. Where etcd is, and whom to trust, say ETCDCTL_ENDPOINTS
# (one member) and ETCDCTL_CACERT. A backup is older than what was decided since: after one was
# restored, nobody acts until a person has said `detour ack --restored` (docs/replicas.md).
set -eu
umask 077
[ $# -ge 2 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
to=$1
keep=${3:-48}
: "${ETCDCTL_ENDPOINTS:=https://127.0.0.1:2379}" "${ETCDCTL_CACERT:=/etc/detour-etcd/tls/ca.pem}"
ETCDCTL_USER=root ETCDCTL_PASSWORD=$(cat "$2")
export ETCDCTL_API=3 ETCDCTL_ENDPOINTS ETCDCTL_CACERT ETCDCTL_USER ETCDCTL_PASSWORD
mkdir -p "$to"
file=$to/etcd-$(date -u +%Y%m%dT%H%M%SZ).db
trap 'rm -f "$file.part"' EXIT
etcdctl snapshot save "$file.part" > /dev/null
# Its own checksum is looked at here: a backup that is none fails now, not on the day it is wanted.
etcdctl --write-out=json snapshot status "$file.part" > "$file.json"
mv "$file.part" "$file"
find "$to" -name 'etcd-*.db' | sort -r | tail -n "+$((keep + 1))" | while read -r old; do
  rm -f "$old" "$old.json"
done
echo "$file"
