#!/bin/sh
# In a Debian that systemd has booted, without a network: the package's unit is started, reloaded,
# hung, upgraded and removed, as systemd sees it. Each line that begins with WRONG is a defect.
#
#   sh deb-booted.sh OLDER.deb NEWER.deb FOLDER   what detour.yaml and a package that hangs are taken from

older=$1 newer=$2 given=$3

check() { # WHAT COMMAND...
  what=$1
  shift
  if "$@" > /tmp/said 2>&1; then echo "ok: $what"; else
    echo "WRONG: $what"
    tail -n 20 /tmp/said
    systemctl status detour --no-pager -l 2>&1 | tail -n 15
  fi
}
not() { ! "$@"; }
shown() { systemctl show detour --property="$1" --value; }
is() { test "$(shown "$1")" = "$2"; }
within() { # SECONDS COMMAND...
  left=$1
  shift
  until "$@" > /dev/null 2>&1; do
    left=$((left - 1))
    [ $left -gt 0 ] || return 1
    sleep 1
  done
}
restarted() { test "$(shown NRestarts)" -gt 0 && is ActiveState active; }
frozen() { detour status --json | grep -q '"reason": *"the test froze it"'; }
has_sentence() { shown StatusText | grep -E '^(not )?ready'; }
loaded() { ls /run/credentials/detour.service; }

check 'systemd runs' test -d /run/systemd/system
check 'dpkg -i' dpkg -i "$older"
check 'it is enabled' systemctl is-enabled detour
check 'without a configuration nothing runs' is ActiveState inactive
check 'and starting it says why not' not systemctl start detour
check 'it has not failed for that' not systemctl is-failed detour

cp -r "$given/." /etc/detour/
chown -R root:detour /etc/detour/detour.yaml /etc/detour/node_modules
chmod 640 /etc/detour/detour.yaml
detour init --key-only /etc/detour/credentials/cluster-key > /dev/null
echo a-token > /etc/detour/credentials/cf-token
chmod 600 /etc/detour/credentials/*
mkdir -p /etc/systemd/system/detour.service.d
printf '[Service]\nWatchdogSec=3\n' > /etc/systemd/system/detour.service.d/quick.conf
systemctl daemon-reload
check 'start waits until it serves' systemctl start detour
check 'who is told may ask at once' detour status
check 'it is active' is ActiveState active
check 'its own process told' test "$(shown MainPID)" -gt 1
check 'its sentence is shown' within 20 has_sentence
echo "  $(shown StatusText)"
check 'it runs as detour' test "$(stat -c %U "/proc/$(shown MainPID)")" = detour
check 'no restart yet' is NRestarts 0
check 'an order' detour freeze --reason 'the test froze it'
check 'reload' systemctl reload detour
check 'it is still active' within 10 is ActiveState active
sleep 6
check 'fed, it lives longer than its watchdog waits' is NRestarts 0
touch /var/lib/detour/hang
check 'hung, it is started anew' within 40 restarted
journalctl -u detour --no-pager 2> /dev/null | grep -i watchdog | head -n 2
check 'for that reason' sh -c 'journalctl -u detour --no-pager | grep -i "watchdog timeout"'
rm -f /var/lib/detour/hang
check 'it answers again' within 40 frozen

before=$(shown MainPID)
check 'the upgrade' dpkg -i "$newer"
check 'it runs anew' within 30 is ActiveState active
check 'as another process' test "$(shown MainPID)" != "$before"
check 'of the newer version' sh -c "detour status --json | grep -q '\"detour\": *\"$(dpkg-deb -f "$newer" Version | sed 's/-1$//')\"'"
check 'with its state' within 30 frozen
check 'stopped by hand' systemctl stop detour
check 'in order' is Result success
check 'an upgrade starts nothing that was stopped' dpkg -i "$newer"
check 'it is still stopped' is ActiveState inactive
systemctl start detour
check 'remove stops it' dpkg --remove detour
check 'nothing of it runs' test -z "$(find /proc -maxdepth 1 -user detour)"
check 'its state stays' test -s /var/lib/detour/detour.sqlite
rm -r /etc/systemd/system/detour.service.d
check 'purge' dpkg --purge detour
check 'no state' test ! -e /var/lib/detour
check 'no configuration' test ! -e /etc/detour
check 'no user' not getent passwd detour
check 'no unit, no link to one' test -z "$(find /etc/systemd /usr/lib/systemd /var/lib/systemd -name '*detour*')"

# The same program without the package: what `detour install-service` does.
dpkg-deb --extract "$newer" /tmp/unpacked
mv /tmp/unpacked/usr/lib/detour /opt/detour
own() { /opt/detour/bin/node /opt/detour/bin/detour.cjs "$@"; }
says() { own install-service "$@" | grep -E -q "^ *$word"; }
word='would: unit /etc/systemd/system/detour.service, for /opt/detour/bin/detour.cjs'
check 'install-service --dry-run says what it would do' says --dry-run
check 'and does none of it' test ! -e /etc/systemd/system/detour.service -a ! -e /etc/detour
word='done: useradd'
check 'install-service' says
word='all of it was there already'
check 'twice is once' says
cp -r "$given/." /etc/detour/
sed -i 's#/usr/lib/detour#/opt/detour#' /etc/detour/node_modules/detour-check-trap/index.js
chown -R root:detour /etc/detour/detour.yaml /etc/detour/node_modules
own init --key-only /etc/detour/credentials/cluster-key > /dev/null
echo a-token > /etc/detour/credentials/cf-token
check 'its unit starts' systemctl start detour
check 'and is active' is ActiveState active
check 'and answers' own status
check 'and stops' systemctl stop detour
echo "all was tried"
