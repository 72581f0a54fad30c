#!/bin/sh
# A member's data from a backup, for when a majority of the members has lost its own. On EVERY machine,
# with the same backup and etcd stopped; then start all of them:
#
#   systemctl stop detour-etcd
#   restore.sh FILE        (reads /etc/detour-etcd/etcd.env and member.env; another folder: CONFIG=DIR)
#   systemctl start detour-etcd
#   detour ack --restored  (once, on the replica whose memory is right)
#
# It is another cluster then, by its token: a member that was not restored does not get in, and every
# Detour sees that it is another one. The data that is there is moved aside, never removed. Where one member of three is lost there is nothing to restore:
# take it out and add it anew (docs/replicas.md).
set -eu
umask 077
[ $# -eq 1 ] || { sed -n '2,13s/^# \{0,1\}//p' "$0" >&2; exit 2; }
config=${CONFIG:-/etc/detour-etcd}
value() { sed -n "s/^$1=//p" "$config/etcd.env" "$config/member.env" | tail -n 1; }
data=$(value ETCD_DATA_DIR)
if [ -e "$data" ]; then
  aside=$data.$(date -u +%Y%m%dT%H%M%SZ)
  mv "$data" "$aside"
  echo "what was there is now $aside"
fi
ETCDCTL_API=3 etcdctl snapshot restore "$1" \
  --data-dir "$data" \
  --name "$(value ETCD_NAME)" \
  --initial-cluster "$(value ETCD_INITIAL_CLUSTER)" \
  --initial-cluster-token "$(value ETCD_INITIAL_CLUSTER_TOKEN)-$(cksum < "$1" | tr ' ' -)" \
  --initial-advertise-peer-urls "$(value ETCD_INITIAL_ADVERTISE_PEER_URLS)"
# The service's user owns what was there; as root this gives it the new data too.
if [ "$(id -u)" = 0 ] && id detour-etcd > /dev/null 2>&1; then
  chown -R detour-etcd: "$data"
fi
