#!/bin/sh
# Makes an authority of your own and a certificate for each member:
#
#   certificates.sh DIRECTORY NAME=HOST[,HOST...] ...
#   certificates.sh tls hz-1=hz-1.example fra-1=fra-1.example nrt-1=nrt-1.example,192.0.2.3
#
# A HOST is a name or an address. DIRECTORY/NAME.pem and NAME.key become /etc/detour-etcd/tls/member.pem
# and member.key on that machine, DIRECTORY/ca.pem goes to all and to Detour (`ca:`). Keep ca.key off
# every machine: with it anybody makes members. The same files serve `group.tls` between replicas.
# Run again with the same DIRECTORY and a new NAME, it adds one; what is there is never written over.
set -eu
umask 077
[ $# -ge 2 ] || { sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2; }
to=$1
shift
days=3650
mkdir -p "$to"
if [ ! -e "$to/ca.key" ]; then
  openssl ecparam -genkey -name prime256v1 -noout -out "$to/ca.key"
  openssl req -x509 -new -key "$to/ca.key" -sha256 -days "$days" -out "$to/ca.pem" \
    -subj '/CN=etcd of a group of Detours' \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
fi
for member in "$@"; do
  name=${member%%=*}
  hosts=${member#*=}
  case $member in
    ?*=?*) ;;
    *) echo "$member: expected NAME=HOST[,HOST...]" >&2; exit 2 ;;
  esac
  [ ! -e "$to/$name.key" ] || { echo "$to/$name.key is there already: left alone" >&2; continue; }
  # For tools of the machine itself, too.
  names=DNS:localhost,IP:127.0.0.1
  for host in $(echo "$hosts" | tr , ' '); do
    case $host in
      *[!0-9.]*) case $host in *:*) names=$names,IP:$host ;; *) names=$names,DNS:$host ;; esac ;;
      *) names=$names,IP:$host ;;
    esac
  done
  openssl ecparam -genkey -name prime256v1 -noout -out "$to/$name.key"
  # Members are servers and one another's clients.
  {
    echo "subjectAltName=$names"
    echo 'extendedKeyUsage=serverAuth,clientAuth'
    echo 'basicConstraints=CA:FALSE'
  } > "$to/$name.ext"
  openssl req -new -key "$to/$name.key" -subj "/CN=$name" |
    openssl x509 -req -CA "$to/ca.pem" -CAkey "$to/ca.key" -set_serial "0x$(openssl rand -hex 16)" \
      -sha256 -days "$days" -extfile "$to/$name.ext" -out "$to/$name.pem"
  rm "$to/$name.ext"
  # Readable where they are copied to; the keys stay their owner's alone.
  chmod 644 "$to/$name.pem" "$to/ca.pem"
done
