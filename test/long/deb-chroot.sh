#!/bin/sh
# In a Debian root without a network and without systemd: the package is installed, moves a record in
# the lab, is upgraded, removed and purged. Each line that begins with WRONG is a defect.
#
#   sh deb-chroot.sh OLDER.deb NEWER.deb

older=$1 newer=$2

check() { # WHAT COMMAND...
  what=$1
  shift
  if "$@" > /tmp/said 2>&1; then echo "ok: $what"; else
    echo "WRONG: $what"
    tail -n 20 /tmp/said
  fi
}
alone() { test "$(wc -l < /proc/net/route)" -le 1; }
not() { ! "$@"; }
version() { detour version | grep -q "^detour $1 "; }
steered() { detour lab --demo --dir /tmp/lab.dir | tee /tmp/lab | grep -q 'every record is at every vendor on the standby cloud'; }
manual() { gzip -dc /usr/share/man/man1/detour.1.gz | grep -q 'install.*service'; }

find / -xdev -path /tmp -prune -o -path /proc -prune -o -print | sort > /tmp/before
check 'no network is there' alone
check 'dpkg -i' dpkg -i "$older"
check 'the command runs' version "$(dpkg-deb -f "$older" Version | sed 's/-1$//')"
check 'it runs on its own Node' not command -v node
check 'the user is there' getent passwd detour
check 'the folder is the group'"'"'s' test "$(stat -c %U:%G:%a /etc/detour)" = root:detour:750
check 'keys are for root alone' test "$(stat -c %U:%G:%a /etc/detour/credentials)" = root:root:700
check 'the manual' manual
for file in bash-completion/completions/detour zsh/vendor-completions/_detour \
  fish/vendor_completions.d/detour.fish doc/detour/examples/example.yaml; do
  check "$file" test -s "/usr/share/$file"
done
check 'a record is steered in the lab' steered
grep -a -E 'at every vendor' /tmp/lab | tail -n 2

echo kept > /var/lib/detour.before
mkdir -p /var/lib/detour && echo state > /var/lib/detour/detour.sqlite
echo '# changed by hand' >> /etc/default/detour
echo 'cluster: shop' > /etc/detour/detour.yaml
check 'dpkg -i again changes nothing' dpkg -i "$older"
check 'the upgrade' dpkg -i "$newer"
check 'the newer command' version "$(dpkg-deb -f "$newer" Version | sed 's/-1$//')"
check 'the state is kept' grep -q state /var/lib/detour/detour.sqlite
check 'the configuration is kept' grep -q shop /etc/detour/detour.yaml
check 'what was changed by hand is kept' grep -q 'by hand' /etc/default/detour
check 'remove' dpkg --remove detour
check 'the program is gone' test ! -e /usr/lib/detour
check 'the state stays' test -e /var/lib/detour/detour.sqlite
check 'the configuration stays' test -e /etc/detour/detour.yaml
check 'install after remove' dpkg -i "$newer"
check 'purge' dpkg --purge detour
rm /var/lib/detour.before
find / -xdev -path /tmp -prune -o -path /proc -prune -o -print | sort > /tmp/after
diff /tmp/before /tmp/after | grep '^>' | grep -v -E ' /(var/log|var/cache|etc/(passwd|group|shadow|gshadow|subuid|subgid)-|etc/\.pwd\.lock|root/|var/lib/dpkg/(.*-old|lock.*|triggers/.*)|dev/|etc/init\.d/\.legacy|var/lib/systemd($|/))' > /tmp/left
check 'purge leaves nothing' test ! -s /tmp/left
cat /tmp/left
check 'purge leaves no user' not getent passwd detour
