#!/bin/sh
# Turns passwords on, once the members run: the user `root`, for people and backups, and the user
# `detour`, who may read and write what lies below one prefix and nothing else.
#
#   users.sh PREFIX ROOT_PASSWORD_FILE DETOUR_PASSWORD_FILE
#   users.sh /detour/shop/ /etc/detour-etcd/root-password /etc/detour-etcd/detour-password
#
# Each file holds one password on one line: `openssl rand -hex 24 > FILE`. PREFIX is `prefix` of
# Detour's configuration, by default /detour/ and the name of the cluster, with a slash at its end.
# Where etcd is, and whom to trust, say ETCDCTL_ENDPOINTS and ETCDCTL_CACERT. Run again, it changes the
# passwords and nothing else. No password is given as an argument, where others would read it.
set -eu
[ $# -eq 3 ] || { sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2; }
prefix=$1
case $prefix in */) ;; *) echo "$prefix: expected a slash at its end" >&2; exit 2 ;; esac
: "${ETCDCTL_ENDPOINTS:=https://127.0.0.1:2379}" "${ETCDCTL_CACERT:=/etc/detour-etcd/tls/ca.pem}"
export ETCDCTL_API=3 ETCDCTL_ENDPOINTS ETCDCTL_CACERT
for file in "$2" "$3"; do
  # etcdctl takes the first word alone: what follows a space would be no part of the password.
  grep -Eqx '[^[:space:]]{16,}' "$file" && [ "$(wc -l < "$file")" -le 1 ] ||
    { echo "$file: expected one line, 16 characters or more and no space" >&2; exit 2; }
done

if etcdctl user list > /dev/null 2>&1; then
  etcdctl user add root --interactive=false < "$2" 2> /dev/null ||
    etcdctl user passwd root --interactive=false < "$2"
  etcdctl user grant-role root root
  etcdctl role get detour > /dev/null 2>&1 || etcdctl role add detour
  etcdctl role grant-permission detour readwrite --prefix=true "$prefix"
  etcdctl user add detour --interactive=false < "$3" 2> /dev/null ||
    etcdctl user passwd detour --interactive=false < "$3"
  etcdctl user grant-role detour detour
  etcdctl auth enable
else
  # They are on already; etcdctl takes the name and the password from here.
  ETCDCTL_USER=root ETCDCTL_PASSWORD=$(cat "$2")
  export ETCDCTL_USER ETCDCTL_PASSWORD
  etcdctl user passwd detour --interactive=false < "$3"
  etcdctl role grant-permission detour readwrite --prefix=true "$prefix"
fi
