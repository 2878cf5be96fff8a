#!/bin/sh
# Installs a Bramble client as a service: join.sh NAME, with the client's token on standard input. Run as root on a Raspberry Pi OS or
# Debian, Bookworm or newer. Whoever runs this has compared its SHA-256; what it fetches it compares itself.
set -eu
base=@BASE@
name=$1
fail() { echo "join: $1" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "run this as root, with sudo"
[ -d /run/systemd/system ] || fail "this machine does not run systemd"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || fail "there is no Python 3.11 or newer: take a newer system"
identity=
read -r token || [ -n "${token:-}" ] || fail "the client's token is to come on standard input: paste the whole line"
read -r identity || true
[ ! -e /opt/bramble/client/releases ] || fail "Ansible's play has brought a client here already"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fetch() { # FILE SHA256
  curl -fsS --retry 3 -o "$work/$1" "$base/$1" || fail "$base/$1 cannot be fetched: does bramble quickstart still run?"
  echo "$2  $work/$1" | sha256sum -c --quiet - || fail "$1 is not what it should be: it was changed on the way, or quickstart began anew"
}
@FETCHES@

echo "Installing the client ..."
venv=/opt/bramble/client/quickstart
rm -rf "$venv"
mkdir -p /opt/bramble/client /etc/bramble
pip=$(ls "$work"/pip-*.whl 2>/dev/null || true)
if [ -n "$pip" ]; then
  python3 -m venv --without-pip "$venv"
  set -- "$venv/bin/python" "$pip/pip" install --no-index --find-links "$work"
else
  python3 -c 'import ensurepip' 2>/dev/null || { apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null; }
  python3 -m venv "$venv"
  set -- "$venv/bin/python" -m pip install
fi
# On 32 bits there is no wheel of what checks signatures; Bramble's own graphs need none.
case $(uname -m) in
armv*) extras=client && [ -z "$identity" ] || fail "secure sums need a 64-bit system: there is no wheel of the package cryptography for 32 bits" ;;
*) extras=client,signing ;;
esac
"$@" --quiet --disable-pip-version-check "$work/@WHEEL@[$extras]"
ln -sfn quickstart /opt/bramble/client/current

groupadd -rf i2c
groupadd -rf gpio
id bramble-client >/dev/null 2>&1 || useradd -r -d /var/lib/bramble-client -s /usr/sbin/nologin bramble-client
umask 022
cat >/etc/bramble/ca.crt <<'EOF'
@CA@
EOF
cat >/etc/bramble/graphs.pub <<'EOF'
@KEY@
EOF
unit=/etc/systemd/system/bramble-client.service
rm -f "$unit.d/secure.conf"
if [ -n "$identity" ]; then
  cat >/etc/bramble/roll <<'EOF'
@ROLL@
EOF
  (umask 077 && printf -- '-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----\n' "$identity" >/etc/bramble/identity.key)
  mkdir -p "$unit.d"
  printf '[Service]\nLoadCredential=identity:/etc/bramble/identity.key\n' >"$unit.d/secure.conf"
fi
cat >/etc/bramble/client.toml <<EOF
# Written by bramble quickstart; bramble client --help explains every setting.
[client]
id = "$name"
@SETTINGS@
EOF
(umask 077 && printf '%s\n' "$token" >/etc/bramble/client.token)
[ "@SENSORS@" != linux ] || ! command -v raspi-config >/dev/null || raspi-config nonint do_i2c 0
cp "$venv"/lib/python3*/site-packages/bramble/quickstart/bramble-client.service "$unit"
systemctl daemon-reload
systemctl enable --quiet bramble-client.service
systemctl restart bramble-client.service || fail "the client does not start; see: journalctl --namespace=bramble -u bramble-client -n 20"
echo "$name has joined; its log: journalctl --namespace=bramble -u bramble-client"
